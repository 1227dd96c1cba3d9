//! Fills a world: parked vehicles, people who stay, furniture, and the fronts of houses.

use super::super::draw::Draw;
use super::super::drive::Attribute;
use super::super::geometry::Pose;
use super::super::scenery::{
    Roadside, build_barrier, build_house, build_thicket, build_wood, stand_bulk, stand_furniture, stand_tree,
};
use super::super::things::{Category, Posture, Thing};
use super::mood::Kind;
use super::{Fixed, Mood, Network, REACH_M, Scene, Street};
use glam::Vec2;
use std::f32::consts::{FRAC_PI_2, PI};

/// Room around a parked vehicle, metres.
const CLEARANCE_M: f32 = 0.12;

/// Direction of travel on a side of a street (1 left, -1 right of its direction): keep right.
pub(super) fn lane_yaw(heading: f32, side: f32) -> f32 {
    if side > 0.0 { heading + PI } else { heading }
}

/// A world in the making.
pub(super) struct Filler<'a> {
    pub(super) scene: Scene,
    pub(super) fixed: Vec<Fixed>,
    pub(super) mood: &'a Mood,
    pub(super) network: &'a Network,
    pub(super) way: &'a [Vec2],
}

impl<'a> Filler<'a> {
    pub(super) fn new(scene: Scene, mood: &'a Mood, network: &'a Network, way: &'a [Vec2]) -> Self {
        Self { scene, fixed: Vec::new(), mood, network, way }
    }

    pub(super) fn finish(self) -> (Scene, Vec<Fixed>) {
        (self.scene, self.fixed)
    }

    /// Claims the lane of the own car, so that nothing is put into it.
    pub(super) fn keep_way_free(&mut self) {
        for pair in self.way.windows(2) {
            let [a, b] = pair else { continue };
            let yaw = libm::atan2f(b.y - a.y, b.x - a.x);
            self.scene.claim((*a + *b) * 0.5, Vec2::new(a.distance(*b) * 0.45, 1.1), yaw);
        }
    }

    /// Whether a place lies within reach of the way of the own car.
    fn in_reach(&self, place: Vec2) -> bool {
        self.way.iter().any(|point| point.distance_squared(place) < REACH_M * REACH_M)
    }

    /// The stretch of a street that lies within reach; empty (low > high) where none does.
    fn stretch(&self, street: &Street) -> (f32, f32) {
        let mut stretch = (f32::MAX, f32::MIN);
        for point in self.way {
            let at = street.along_across(*point);
            if at.y.abs() < REACH_M {
                let half = (REACH_M * REACH_M - at.y * at.y).sqrt();
                stretch = (stretch.0.min(at.x - half), stretch.1.max(at.x + half));
            }
        }
        stretch
    }

    /// Whether a place on or beside `street` is clear of all others by `margin` metres.
    pub(super) fn is_clear_of_others(&self, street: &Street, place: Vec2, margin: f32) -> bool {
        self.network
            .streets
            .iter()
            .all(|other| other.is(street) || other.along_across(place).y.abs() > other.half_width_m + margin)
    }

    /// Puts a thing down; false where there is no room.
    pub(super) fn put(&mut self, thing: Thing, place: Vec2, yaw: f32, attribute: Option<Attribute>) -> bool {
        let half = thing.size_lwh.truncate() * 0.5 + Vec2::splat(CLEARANCE_M);
        // Whoever puts it down need not know that cycles have attributes of their own.
        let attribute = match (thing.category, thing.has_rider) {
            (Category::Bicycle | Category::Motorcycle, true) => Some(Attribute::CycleWithRider),
            (Category::Bicycle | Category::Motorcycle, false) => Some(Attribute::CycleWithoutRider),
            _ => attribute,
        };
        let is_free = self.scene.claim(place, half, yaw);
        if is_free {
            self.fixed.push(Fixed { thing, place, yaw, attribute });
        }
        is_free
    }

    /// A parked vehicle of the usual mix.
    fn draw_parked(&self, draw: &mut Draw) -> Thing {
        let region = self.mood.region;
        match draw.index(100) {
            0..=86 => Thing::draw_car(draw, region, false),
            87..=93 => Thing::draw_van(draw, region, false),
            94..=95 => Thing::draw_truck(draw, region, false),
            96 => Thing::draw_trailer(draw),
            _ => Thing::draw_motorcycle(draw, false),
        }
    }

    /// Everything of a usual street.
    pub(super) fn fill(&mut self, draw: &mut Draw) {
        let network = self.network;
        if let (Some((center, half)), Some(street)) = (self.mood.lot, network.streets.first()) {
            self.fill_lot(draw, street, center, half);
        }
        for (idx, street) in network.streets.iter().enumerate() {
            let stretch = self.stretch(street);
            if self.mood.lot.is_none() || idx > 0 {
                self.park(draw, street, stretch);
            }
            for side in [1.0, -1.0] {
                self.line_edge(draw, street, side, stretch);
            }
            self.linger(draw, street, stretch);
        }
        self.stray(draw);
        for street in &network.streets {
            let stretch = self.stretch(street);
            self.furnish(draw, street, stretch);
            for side in [1.0, -1.0] {
                self.front(draw, street, side, stretch);
            }
        }
    }

    fn park(&mut self, draw: &mut Draw, street: &Street, (low, high): (f32, f32)) {
        for side in [1.0, -1.0] {
            let share = (self.mood.parked * draw.range(0.2, 1.5)).min(0.95);
            // Along the kerb, across it, or at a slant to it.
            let slant = match draw.index(10) {
                0 => FRAC_PI_2,
                1 | 2 => draw.range(0.5, 1.2),
                _ => 0.0,
            };
            let on_pavement = street.parking_m() < 1.0 && draw.chance(0.5);
            if street.parking_m() < 1.0 && !on_pavement {
                continue;
            }
            let mut along = low + draw.range(0.0, 6.0);
            while along < high {
                let thing = self.draw_parked(draw);
                let size = thing.size_lwh;
                // How far the slanting vehicle reaches along and across the kerb.
                let (sin, cos) = (libm::sinf(slant), libm::cosf(slant));
                let deep = size.x * sin + size.y * cos;
                let wide = if slant > 0.0 { (size.y + 0.5) / sin.max(0.45) } else { size.x };
                along += wide * 0.5;
                let across = match (slant > 0.0, on_pavement) {
                    (true, _) => street.half_width_m + 0.3 + 0.5 * deep,
                    (_, true) => street.half_width_m + 0.2 + 0.5 * deep,
                    _ => street.half_width_m - 0.15 - 0.5 * deep,
                };
                let (place, heading) = street.place(along, side * (across + 0.10 * draw.bell()));
                let jitter = if draw.chance(0.1) { 0.10 } else { 0.025 };
                let turned = if draw.chance(0.15) { PI } else { 0.0 };
                let yaw = lane_yaw(heading, side) + turned - slant + jitter * draw.bell();
                let is_far = self.is_clear_of_others(street, place, 6.0 + size.x * 0.5);
                if draw.chance(share) && is_far && self.in_reach(place) {
                    self.put(thing, place, yaw, Some(Attribute::VehicleParked));
                }
                along += wide * 0.5 + if slant > 0.0 { draw.range(0.0, 0.4) } else { draw.range(0.5, 1.6) };
            }
        }
    }

    fn fill_lot(&mut self, draw: &mut Draw, street: &Street, center: Vec2, half: Vec2) {
        let share = draw.range(0.08, 0.55);
        // Two rows nose to nose, then an aisle; the own street is the middle aisle.
        for across in [-20.0, -10.5, -5.5, 5.5, 10.5, 20.0] {
            let mut along = center.x - half.x + 2.0;
            while along < center.x + half.x - 2.0 {
                if draw.chance(share) {
                    let thing = self.draw_parked(draw);
                    let (place, heading) = street.place(along, across + 0.25 * draw.bell());
                    let yaw = heading + draw.sign() * FRAC_PI_2 + 0.03 * draw.bell();
                    if thing.size_lwh.x < 6.5 && self.is_clear_of_others(street, place, 3.5) {
                        self.put(thing, place, yaw, Some(Attribute::VehicleParked));
                    }
                }
                along += 2.6;
            }
        }
        for _ in 0..draw.index(5) {
            let (at, _) = street.place(center.x + draw.range(-25.0, 25.0), draw.range(-20.0, 20.0));
            let thing = self.draw_standing(draw);
            self.put(thing, at, draw.range(-PI, PI), Some(Attribute::PedestrianStanding));
        }
    }

    fn draw_standing(&self, draw: &mut Draw) -> Thing {
        let category = if draw.chance(0.08) { Category::Child } else { Category::Adult };
        Thing::draw_person(draw, category, Posture::Standing)
    }

    /// People who stand or sit beside a street, and cycles left there.
    fn linger(&mut self, draw: &mut Draw, street: &Street, (low, high): (f32, f32)) {
        for side in [1.0, -1.0] {
            let mean = 70.0 / self.mood.people.max(0.03);
            let mut along = low + draw.exponential(mean);
            while along < high {
                let across = side * (street.half_width_m + draw.range(0.5, self.mood.pavement_m + 0.5));
                let (place, heading) = street.place(along, across);
                along += 1.0 + draw.exponential(mean);
                if !self.in_reach(place) || !self.is_clear_of_others(street, place, 0.5) {
                    continue;
                }
                if draw.chance(0.15) {
                    let thing = Thing::draw_person(draw, Category::Adult, Posture::Sitting);
                    let yaw = heading - side * FRAC_PI_2;
                    self.put(thing, place, yaw, Some(Attribute::PedestrianSitting));
                    continue;
                }
                for _ in 0..1 + draw.index(3) {
                    let near = place + Vec2::new(draw.bell(), draw.bell()) * 0.6;
                    let thing = self.draw_standing(draw);
                    self.put(thing, near, draw.range(-PI, PI), Some(Attribute::PedestrianStanding));
                }
            }
            self.leave_cycles(draw, street, side, (low, high));
        }
    }

    fn leave_cycles(&mut self, draw: &mut Draw, street: &Street, side: f32, (low, high): (f32, f32)) {
        let mean = if self.mood.kind == Kind::OpenRoad { 300.0 } else { 60.0 };
        let mut along = low + draw.exponential(mean);
        while along < high {
            let n_cycles = if draw.chance(0.3) { 2 + draw.index(5) } else { 1 };
            let yaw_off = if draw.chance(0.5) { FRAC_PI_2 } else { 0.0 };
            for idx in 0..n_cycles {
                let (place, heading) =
                    street.place(along + idx as f32 * 0.7, side * (street.half_width_m + 0.9));
                if self.in_reach(place) && self.is_clear_of_others(street, place, 1.0) {
                    let thing = Thing::draw_bicycle(draw, false);
                    let yaw = heading + yaw_off + 0.15 * draw.bell();
                    self.put(thing, place, yaw, Some(Attribute::CycleWithoutRider));
                }
            }
            along += 4.0 + draw.exponential(mean);
        }
    }

    /// Vehicles off the street: in drives and yards.
    fn stray(&mut self, draw: &mut Draw) {
        let n_tries = if self.mood.kind == Kind::OpenRoad { draw.index(3) } else { self.way.len() / 2 };
        for _ in 0..n_tries {
            let Some(near) = self.way.get(draw.index(self.way.len())).copied() else { return };
            let place = near + Vec2::new(draw.range(-45.0, 45.0), draw.range(-45.0, 45.0));
            let yaw = draw.range(-PI, PI);
            let thing = self.draw_parked(draw);
            let is_off = self.scene.ground.beyond_kerb(place) > 1.0 + thing.size_lwh.x * 0.5;
            if is_off && draw.chance(0.6) {
                self.put(thing, place, yaw, Some(Attribute::VehicleParked));
            }
        }
    }

    /// A rail, wall or hedge that follows the street for a long way, close to it.
    fn line_edge(&mut self, draw: &mut Draw, street: &Street, side: f32, (low, high): (f32, f32)) {
        let is_open = self.mood.kind == Kind::OpenRoad;
        if !draw.chance(if is_open { 0.6 } else { 0.15 }) {
            return;
        }
        let kind = Roadside::draw(draw);
        let across = street.half_width_m + draw.range(0.4, self.mood.pavement_m.max(1.2));
        let length = draw.range(9.0, 16.0);
        let mut along = low;
        while along < high {
            let middle = along + 0.5 * length;
            along += length + if draw.chance(0.12) { draw.range(2.0, 12.0) } else { 0.0 };
            let (line, heading) = street.place(middle, side * across);
            if self.in_reach(line)
                && self.is_clear_of_others(street, line, 2.0 + 0.5 * length)
                && self.scene.claim(line, Vec2::new(0.5 * length, 0.15), heading)
            {
                let facing = if side > 0.0 { heading } else { heading + PI };
                let pose = Pose::new(self.scene.ground.point(line), facing);
                kind.build(&mut self.scene, pose, length, draw);
            }
        }
    }

    fn furnish(&mut self, draw: &mut Draw, street: &Street, (low, high): (f32, f32)) {
        for side in [1.0, -1.0] {
            let tree_gap = draw.range(6.0, 40.0);
            let mut along = low + draw.range(0.0, tree_gap);
            while along < high {
                let (place, _) = street.place(along, side * (street.half_width_m + 0.7 + 0.15 * draw.bell()));
                if self.scene.ground.beyond_kerb(place) > 0.3 && self.in_reach(place) {
                    stand_tree(&mut self.scene, place, draw);
                }
                along += tree_gap * draw.range(0.8, 1.3);
            }
            let gap = draw.range(2.0, 10.0) * if self.mood.kind == Kind::OpenRoad { 3.0 } else { 1.0 };
            let mut along = low + draw.exponential(gap);
            while along < high {
                let across = street.half_width_m + draw.range(0.4, self.mood.pavement_m + 1.0);
                let (place, heading) = street.place(along, side * across);
                if self.scene.ground.beyond_kerb(place) > 0.2 && self.in_reach(place) {
                    stand_furniture(&mut self.scene, place, lane_yaw(heading, side), draw);
                }
                along += 0.5 + draw.exponential(gap);
            }
        }
    }

    /// The edge of a street: houses, hedges, gardens and gaps.
    fn front(&mut self, draw: &mut Draw, street: &Street, side: f32, (low, high): (f32, f32)) {
        let setback = if draw.chance(self.mood.urban) { draw.range(0.0, 2.0) } else { draw.range(1.5, 7.0) };
        let mut along = low;
        while along < high {
            let length = draw.range(5.0, 26.0);
            let middle = along + length * 0.5;
            along += length + if draw.chance(0.25) { draw.range(0.5, 8.0) } else { 0.0 };
            if self.in_reach(street.place(middle, 0.0).0) {
                self.front_piece(draw, street, side, Piece { middle, length, setback });
            }
        }
    }

    fn front_piece(&mut self, draw: &mut Draw, street: &Street, side: f32, piece: Piece) {
        let Piece { middle, length, setback } = piece;
        let facing = |heading: f32| if side > 0.0 { heading } else { heading + PI };
        let in_lot = self.mood.lot.is_some_and(|(center, half)| {
            let first = self.network.streets.first().is_some_and(|first| first.is(street));
            first && (middle - center.x).abs() < half.x + 12.0
        });
        let edge = street.half_width_m + self.mood.pavement_m + 0.2;
        let base = if in_lot { 25.0 } else { edge };
        let back = base + setback + draw.range(0.0, 1.5);
        let (place, heading) = street.place(middle, side * back);
        let (line, _) = street.place(middle, side * base);
        let half = length * 0.5;
        let house = draw.chance(0.3 + 0.7 * self.mood.urban);
        if house && self.is_clear_of_others(street, place, 1.5 + half) {
            let (center, _) = street.place(middle, side * (back + 7.2));
            if self.scene.claim(center, Vec2::new(half, 7.0), heading) {
                let pose = self.scene.stand(place, facing(heading));
                build_house(&mut self.scene, pose, length, self.mood.urban, draw);
                if setback > 2.5 && draw.chance(0.6) {
                    // A front garden.
                    let (at, heading) = street.place(middle, side * (edge + 0.3));
                    let pose = self.scene.stand(at, facing(heading));
                    build_thicket(&mut self.scene, pose, length, setback - 0.5, draw);
                }
            }
        } else if draw.chance(0.75) && self.is_clear_of_others(street, place, 1.5 + half) {
            self.grow(draw, street, side, piece, Pose::new(self.scene.ground.point(place), facing(heading)));
        }
        let divided = draw.chance(if house && setback < 1.5 { 0.05 } else { 0.65 });
        if divided
            && self.is_clear_of_others(street, line, 1.5 + half)
            && self.scene.claim(line, Vec2::new(half, 0.15), heading)
        {
            let pose = Pose::new(self.scene.ground.point(line), facing(heading));
            build_barrier(&mut self.scene, pose, length, draw);
        }
        if draw.chance(0.4) {
            let (at, heading) =
                street.place(middle + draw.range(-half, half), side * (base + draw.range(1.2, 7.0)));
            if self.scene.ground.beyond_kerb(at) > 1.5 {
                stand_bulk(&mut self.scene, at, heading + draw.range(-0.6, 0.6), draw);
            }
        }
    }

    /// Plants where no house stands.
    fn grow(&mut self, draw: &mut Draw, street: &Street, side: f32, piece: Piece, pose: Pose) {
        if draw.chance(0.3) {
            build_wood(&mut self.scene, pose, piece.length, draw);
        }
        build_thicket(&mut self.scene, pose, piece.length, draw.range(2.0, 16.0), draw);
        let back = street.along_across(pose.origin.truncate()).y.abs();
        for _ in 0..draw.index(5) {
            let along = piece.middle + draw.range(-0.5, 0.5) * piece.length;
            let (at, _) = street.place(along, side * (back + draw.range(0.0, 18.0)));
            if self.scene.ground.beyond_kerb(at) > 0.5 {
                stand_tree(&mut self.scene, at, draw);
            }
        }
    }
}

/// A piece of a street's edge.
#[derive(Clone, Copy)]
struct Piece {
    middle: f32,
    length: f32,
    setback: f32,
}
