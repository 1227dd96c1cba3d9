//! Traffic: vehicles that follow their lanes, keep their distance and stop at red lights.
//!
//! The car-following law is the Intelligent Driver Model. **Source**: Treiber, Hennecke and Helbing 2000.

use super::super::draw::Draw;
use super::super::things::Thing;
use super::motion::{Motion, STEP_S, Track};
use super::route::{Path, Route};
use glam::Vec2;

/// Time that the traffic runs before a drive begins, seconds: queues form, gaps settle.
pub(super) const SETTLE_S: f64 = 6.0;
/// Time before a drive's beginning from which motion is recorded, seconds.
pub(super) const LEAD_S: f64 = 1.5;

const ACCELERATION: f32 = 1.8;
const BRAKING: f32 = 2.5;
const HARDEST_BRAKING: f32 = 7.0;
const HEADWAY_S: f32 = 1.3;
const STANDING_GAP_M: f32 = 2.2;
/// Sideways acceleration that drivers accept in a bend, m/s^2.
const SIDEWAYS: f32 = 2.2;

/// A vehicle or rider of the traffic.
pub(super) struct Mover {
    pub(super) thing: Thing,
    pub(super) route: Route,
    pub(super) at_m: f32,
    pub(super) speed_m_s: f32,
    /// What its driver would drive on a free road.
    pub(super) wish_m_s: f32,
}

impl Mover {
    fn half_length(&self) -> f32 {
        self.thing.size_lwh.x * 0.5
    }
}

/// Traffic lights: which arm of a crossing may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lights {
    cycle_s: f64,
    offset_s: f64,
}

impl Lights {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        Self { cycle_s: f64::from(draw.range(16.0, 36.0)), offset_s: f64::from(draw.range(0.0, 36.0)) }
    }

    /// Green for an arm; between the phases both are red.
    fn is_green(&self, arm: usize, time_s: f64) -> bool {
        let phase = ((time_s + self.offset_s) / self.cycle_s).rem_euclid(1.0);
        if arm == 0 { phase < 0.45 } else { (0.5..0.95).contains(&phase) }
    }
}

/// A rectangle that moves, as the others see it.
#[derive(Clone, Copy)]
struct Seen {
    center: Vec2,
    along: Vec2,
    half: Vec2,
    velocity: Vec2,
}

impl Seen {
    fn of(path: &Path, at_m: f32, size: Vec2, speed_m_s: f32) -> Self {
        let (center, yaw) = path.at(at_m);
        let along = Vec2::new(libm::cosf(yaw), libm::sinf(yaw));
        Self { center, along, half: size * 0.5, velocity: along * speed_m_s }
    }

    fn covers(&self, p: Vec2, margin: f32) -> bool {
        let rel = p - self.center;
        rel.dot(self.along).abs() < self.half.x + 0.4
            && rel.dot(self.along.perp()).abs() < self.half.y + margin
    }
}

/// Runs the traffic for a drive of `duration_s`, and gives how each mover moved, in order.
///
/// `walkers` are people who walk; drivers brake for them.
pub(super) fn run(
    movers: &mut [Mover],
    walkers: &[(Motion, Vec2)],
    lights: &[Lights],
    duration_s: f64,
) -> Vec<Motion> {
    let n_settle = ((SETTLE_S - LEAD_S) / STEP_S).round() as usize;
    let n_steps = n_settle + ((LEAD_S + duration_s + 0.5) / STEP_S).ceil() as usize;
    let mut tracks: Vec<Vec<f32>> = vec![Vec::with_capacity(n_steps - n_settle); movers.len()];
    for step in 0..=n_steps {
        let time_s = step as f64 * STEP_S - SETTLE_S;
        if step >= n_settle {
            for (track, mover) in tracks.iter_mut().zip(movers.iter()) {
                track.push(mover.at_m);
            }
        }
        let accelerations = decide(movers, walkers, lights, time_s);
        for (mover, acceleration) in movers.iter_mut().zip(accelerations) {
            let speed = (mover.speed_m_s + acceleration * STEP_S as f32).max(0.0);
            mover.at_m += 0.5 * (mover.speed_m_s + speed) * STEP_S as f32;
            mover.speed_m_s = speed;
        }
    }
    let recorded = |(mover, at_m): (&Mover, Vec<f32>)| Motion::Recorded {
        path: mover.route.path.clone(),
        track: Track { from_s: -LEAD_S, at_m },
    };
    movers.iter().zip(tracks).map(recorded).collect()
}

fn decide(movers: &[Mover], walkers: &[(Motion, Vec2)], lights: &[Lights], time_s: f64) -> Vec<f32> {
    let size = |mover: &Mover| mover.thing.size_lwh.truncate();
    let mut seen: Vec<Seen> =
        movers.iter().map(|m| Seen::of(&m.route.path, m.at_m, size(m), m.speed_m_s)).collect();
    seen.extend(walkers.iter().map(|(motion, size)| {
        let stand = motion.at(time_s);
        let along = Vec2::new(libm::cosf(stand.yaw), libm::sinf(stand.yaw));
        Seen { center: stand.place, along, half: *size * 0.5, velocity: Vec2::ZERO }
    }));
    let one = |(idx, mover): (usize, &Mover)| {
        let mut acceleration = follow(mover, wish(mover), None);
        if let Some((gap, speed)) = obstacle(mover, idx, &seen) {
            acceleration = acceleration.min(follow(mover, wish(mover), Some((gap, speed))));
        }
        if let Some(gap) = red_light(mover, lights, time_s) {
            acceleration = acceleration.min(follow(mover, wish(mover), Some((gap, 0.0))));
        }
        acceleration.max(-HARDEST_BRAKING)
    };
    movers.iter().enumerate().map(one).collect()
}

/// The speed a driver wishes to have: slower before and in bends.
fn wish(mover: &Mover) -> f32 {
    let mut wish = mover.wish_m_s;
    for ahead in [0.0, 4.0, 8.0, 14.0] {
        let bend = mover.route.path.curvature(mover.at_m + ahead).abs();
        // As fast as the bend allows, and faster by what can still be braked off.
        let allowed = SIDEWAYS / bend.max(1e-3) + 2.0 * BRAKING * 0.5 * ahead;
        wish = wish.min(allowed.sqrt());
    }
    wish.max(1.0)
}

/// Acceleration behind a leader at a gap, metres, with a speed; on a free road without one.
fn follow(mover: &Mover, wish: f32, leader: Option<(f32, f32)>) -> f32 {
    let v = mover.speed_m_s;
    let ratio = v / wish;
    let free = 1.0 - ratio * ratio * ratio * ratio;
    let near = leader.map_or(0.0, |(gap, speed)| {
        let braking = v * (v - speed) / (2.0 * (ACCELERATION * BRAKING).sqrt());
        let desired = STANDING_GAP_M + (v * HEADWAY_S + braking).max(0.0);
        let share = desired / gap.max(0.1);
        share * share
    });
    ACCELERATION * (free - near)
}

/// What lies ahead on the mover's way: the gap to it, metres, and its speed along the way.
fn obstacle(mover: &Mover, own_idx: usize, seen: &[Seen]) -> Option<(f32, f32)> {
    let reach = 6.0 + mover.speed_m_s * 3.0;
    let (here, _) = mover.route.path.at(mover.at_m);
    let margin = mover.thing.size_lwh.y * 0.5 + 0.25;
    let near: Vec<&Seen> = seen
        .iter()
        .enumerate()
        .filter(|(idx, other)| *idx != own_idx && other.center.distance(here) < reach + 14.0)
        .map(|(_, other)| other)
        .collect();
    if near.is_empty() {
        return None;
    }
    let front = mover.half_length();
    let mut ahead = 0.0;
    while ahead < reach {
        let (place, yaw) = mover.route.path.at(mover.at_m + front + ahead);
        let along = Vec2::new(libm::cosf(yaw), libm::sinf(yaw));
        // Two that stand nose to nose would wait for ever: who looks against one's own way is passed by.
        let blocks = |other: &&&Seen| other.covers(place, margin) && other.along.dot(along) > -0.8;
        let found = near.iter().filter(blocks).map(|other| other.velocity.dot(along).max(0.0));
        if let Some(speed) = found.reduce(f32::min) {
            return Some((ahead.max(0.1), speed));
        }
        ahead += 1.0;
    }
    None
}

/// The gap to a red light that the mover can still stop for.
fn red_light(mover: &Mover, lights: &[Lights], time_s: f64) -> Option<f32> {
    let front = mover.at_m + mover.half_length();
    let stop = mover.route.stops.iter().find(|stop| stop.at_m > front - 0.5)?;
    let lights = lights.get(stop.crossing)?;
    let gap = stop.at_m - front;
    let needed = mover.speed_m_s * mover.speed_m_s / (2.0 * 4.0);
    (!lights.is_green(stop.arm, time_s) && gap < 60.0 && gap + 1.0 >= needed).then_some(gap + STANDING_GAP_M)
}
