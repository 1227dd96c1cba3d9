//! Routes: the lines that vehicles and people follow, and where a vehicle may have to stop.

use super::super::draw::Draw;
use super::super::world::Network;
use glam::Vec2;
use std::f32::consts::PI;

/// A line through the world by distance.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Path {
    points: Vec<Vec2>,
    /// Distance from the beginning, of each point, metres.
    at_m: Vec<f32>,
}

impl Path {
    /// A line through `points`, of which two in a row differ.
    pub(in crate::simulate) fn new(points: Vec<Vec2>) -> Self {
        let mut points = points;
        points.dedup_by(|b, a| a.distance_squared(*b) < 1e-6);
        let mut at = 0.0;
        let mut at_m = Vec::with_capacity(points.len());
        for (idx, point) in points.iter().enumerate() {
            at +=
                idx.checked_sub(1).and_then(|i| points.get(i)).map_or(0.0, |before| before.distance(*point));
            at_m.push(at);
        }
        Self { points, at_m }
    }

    /// The place at a distance, and the heading there; beyond its ends the line goes straight on.
    pub(in crate::simulate) fn at(&self, distance_m: f32) -> (Vec2, f32) {
        let last = self.points.len().saturating_sub(2);
        let idx = self.at_m.partition_point(|at| *at <= distance_m).saturating_sub(1).min(last);
        let place = |idx: usize| self.points.get(idx).copied().unwrap_or(Vec2::ZERO);
        let (a, b) = (place(idx), place(idx + 1));
        let along = (b - a).normalize_or(Vec2::X);
        let from = self.at_m.get(idx).copied().unwrap_or(0.0);
        let length = a.distance(b).max(1e-3);
        let share = ((distance_m - from) / length).clamp(0.0, 1.0);
        // The heading turns evenly from the middle of one piece to that of the next.
        let near = if share < 0.5 { idx.saturating_sub(1) } else { (idx + 1).min(last) };
        let next = (place(near + 1) - place(near)).normalize_or(along);
        let weight = (share - 0.5).abs();
        let turned = (along * (1.0 - weight) + next * weight).normalize_or(along);
        (a + along * (distance_m - from), libm::atan2f(turned.y, turned.x))
    }

    /// Bend over the next metres, 1/m.
    pub(in crate::simulate) fn curvature(&self, distance_m: f32) -> f32 {
        let turn = self.at(distance_m + 2.0).1 - self.at(distance_m - 2.0).1;
        let turn = (turn + PI).rem_euclid(2.0 * PI) - PI;
        turn / 4.0
    }
}

/// Where a vehicle waits for a crossing.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct StopLine {
    /// Distance along the route, metres.
    pub(in crate::simulate) at_m: f32,
    /// Index of the crossing.
    pub(in crate::simulate) crossing: usize,
    /// Which of the crossing's streets the vehicle comes on.
    pub(in crate::simulate) arm: usize,
}

/// A way through the network.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Route {
    pub(in crate::simulate) path: Path,
    pub(in crate::simulate) stops: Vec<StopLine>,
    /// Crossings at which the way turns.
    pub(in crate::simulate) n_turns: usize,
}

/// Where and how a way begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Start {
    pub(in crate::simulate) street: usize,
    pub(in crate::simulate) along_m: f32,
    /// 1 along the street, -1 against it.
    pub(in crate::simulate) direction: f32,
    /// Where in the lane, from the street's middle (0) to the lane's outer edge (1).
    pub(in crate::simulate) lane_share: f32,
}

/// A way of at least `length_m` from `start` on, which keeps right and turns at a crossing with chance `p_turn`.
pub(in crate::simulate) fn wander(
    network: &Network,
    start: Start,
    length_m: f32,
    p_turn: f32,
    draw: &mut Draw,
) -> Route {
    let mut walk =
        Walk { network, at: start, points: Vec::new(), stops: Vec::new(), length_m: 0.0, n_turns: 0 };
    while walk.length_m < length_m {
        match walk.next_crossing() {
            Some((crossing, arm, along)) if draw.chance(p_turn) => {
                let direction = draw.sign();
                walk.turn(crossing, arm, along, direction);
            }
            Some((crossing, arm, along)) => walk.pass(crossing, arm, along),
            None => walk.advance(walk.at.along_m + walk.at.direction * (length_m - walk.length_m + 10.0)),
        }
    }
    Route { path: Path::new(walk.points), stops: walk.stops, n_turns: walk.n_turns }
}

struct Walk<'a> {
    network: &'a Network,
    at: Start,
    points: Vec<Vec2>,
    stops: Vec<StopLine>,
    length_m: f32,
    n_turns: usize,
}

impl Walk<'_> {
    fn push(&mut self, point: Vec2) {
        if let Some(last) = self.points.last() {
            self.length_m += last.distance(point);
        }
        self.points.push(point);
    }

    /// The place in the lane at a distance along the present street, and the direction of travel.
    fn lane(&self, along_m: f32) -> (Vec2, Vec2) {
        let Some(street) = self.network.streets.get(self.at.street) else { return (Vec2::ZERO, Vec2::X) };
        let across = -self.at.direction * street.lane_m * self.at.lane_share;
        let (place, heading) = street.place(along_m, across);
        (place, Vec2::new(libm::cosf(heading), libm::sinf(heading)) * self.at.direction)
    }

    /// Goes on in the lane up to a distance along the street.
    fn advance(&mut self, to_m: f32) {
        let ahead = (to_m - self.at.along_m) * self.at.direction;
        let n_steps = (ahead / 1.5).ceil().max(1.0);
        for step in 0..=n_steps as usize {
            let along = self.at.along_m + self.at.direction * ahead * step as f32 / n_steps;
            let (place, _) = self.lane(along);
            self.push(place);
        }
        self.at.along_m = to_m;
    }

    /// The next crossing ahead: its index, which of its streets this is, and where on it.
    fn next_crossing(&self) -> Option<(usize, usize, f32)> {
        let mut best: Option<(usize, usize, f32)> = None;
        for (idx, crossing) in self.network.crossings.iter().enumerate() {
            for arm in 0..2 {
                if crossing.streets.get(arm) != Some(&self.at.street) {
                    continue;
                }
                let along = crossing.along_m.get(arm).copied().unwrap_or(0.0);
                let ahead = (along - self.at.along_m) * self.at.direction;
                let nearest = best.map_or(f32::MAX, |(_, _, a)| (a - self.at.along_m) * self.at.direction);
                if ahead > 14.0 && ahead < nearest {
                    best = Some((idx, arm, along));
                }
            }
        }
        best
    }

    fn other_half_width(&self, crossing: usize, arm: usize) -> f32 {
        let other = self.network.crossings.get(crossing).and_then(|c| c.streets.get(1 - arm));
        other.and_then(|idx| self.network.streets.get(*idx)).map_or(4.0, |street| street.half_width_m)
    }

    /// Goes up to where one stops for a crossing.
    fn approach(&mut self, crossing: usize, arm: usize, along_m: f32) {
        let before = self.other_half_width(crossing, arm) + 4.5;
        self.advance(along_m - self.at.direction * before);
        self.stops.push(StopLine { at_m: self.length_m, crossing, arm });
    }

    /// Goes straight over a crossing.
    fn pass(&mut self, crossing: usize, arm: usize, along_m: f32) {
        self.approach(crossing, arm, along_m);
        let after = self.other_half_width(crossing, arm) + 1.0;
        self.advance(along_m + self.at.direction * after);
    }

    /// Turns into the other street of a crossing.
    fn turn(&mut self, crossing: usize, arm: usize, along_m: f32, direction: f32) {
        self.approach(crossing, arm, along_m);
        let found = self.network.crossings.get(crossing).copied();
        let Some(found) = found else { return };
        let [other_arm, own_arm] = [1 - arm, arm].map(|arm| found.streets.get(arm).copied().unwrap_or(0));
        let (from, ahead) = self.lane(self.at.along_m);
        let own_half = self.network.streets.get(own_arm).map_or(4.0, |street| street.half_width_m);
        self.at = Start {
            street: other_arm,
            along_m: found.along_m.get(1 - arm).copied().unwrap_or(0.0) + direction * (own_half + 3.5),
            direction,
            ..self.at
        };
        let (to, leaving) = self.lane(self.at.along_m);
        // A cubic curve that begins and ends along the lanes.
        let pull = from.distance(to) * 0.45;
        let (a, b) = (from + ahead * pull, to - leaving * pull);
        for step in 1..=14 {
            let t = step as f32 / 14.0;
            let u = 1.0 - t;
            let point = from * (u * u * u) + a * (3.0 * u * u * t) + b * (3.0 * u * t * t) + to * (t * t * t);
            self.push(point);
        }
        self.n_turns += 1;
    }
}
