//! The plan of a frame: streets, and what is put along them.

use super::draw::Draw;
use super::geometry::Pose;
use super::ground::{Ground, Street};
use super::people::{park_bicycle, stand_cyclist, stand_pedestrian};
use super::scene::Scene;
use super::surroundings::{
    build_barrier, build_house, build_thicket, build_wood, stand_bulk, stand_furniture, stand_tree,
};
use super::vehicles::VehiclePlan;
use glam::Vec2;
use std::f32::consts::{FRAC_PI_2, PI};

/// How far from the sensor the world reaches, metres.
const REACH_M: f32 = 84.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Residential,
    City,
    Intersection,
    Lot,
    OpenRoad,
}

/// What a frame's places have in common.
struct Mood {
    kind: Kind,
    /// 0: gardens and fields; 1: closed rows of houses.
    urban: f32,
    /// Share of the taken places at the kerb.
    parked: f32,
    /// Moving vehicles per lane and metre, relative to a usual day.
    traffic: f32,
    /// People on the pavements, likewise.
    people: f32,
    lane_m: f32,
    parking_m: f32,
    pavement_m: f32,
}

impl Mood {
    fn draw(draw: &mut Draw) -> Self {
        let kind = draw.weighted(
            &[
                (0.34, Kind::Residential),
                (0.22, Kind::City),
                (0.20, Kind::Intersection),
                (0.09, Kind::Lot),
                (0.15, Kind::OpenRoad),
            ],
            Kind::City,
        );
        let quiet = draw.chance(0.12);
        let busy = if quiet { 0.1 } else { draw.range(0.3, 1.7) };
        let urban = match kind {
            Kind::City => draw.range(0.5, 1.0),
            Kind::OpenRoad => draw.range(0.0, 0.2),
            _ => draw.range(0.1, 0.9),
        };
        let parked = match kind {
            Kind::OpenRoad => 0.02,
            Kind::Residential | Kind::City => draw.unit() * draw.range(0.3, 0.9),
            _ => draw.range(0.0, 0.35),
        };
        Self {
            kind,
            urban,
            parked: if quiet { parked * 0.15 } else { parked },
            traffic: busy * draw.range(0.4, 1.2),
            people: if quiet { 0.1 } else { draw.unit() * draw.range(0.3, 2.6) },
            lane_m: draw.range(2.8, 3.6),
            parking_m: if kind == Kind::OpenRoad || draw.chance(0.25) { 0.0 } else { 2.2 },
            pavement_m: if kind == Kind::OpenRoad { 0.3 } else { draw.range(1.5, 4.0) },
        }
    }
}

/// The world of a frame.
pub(super) fn build_scene(draw: &mut Draw) -> Scene {
    let mood = Mood::draw(draw);
    let half = mood.lane_m + mood.parking_m;
    // Mostly the own car follows its lane; sometimes it is turning.
    let heading = if draw.chance(0.12) { draw.range(-PI, PI) } else { 0.04 * draw.bell() };
    let curvature = if draw.chance(0.35) { 0.004 * draw.bell() } else { 0.0 };
    let lane_left =
        Vec2::new(-libm::sinf(heading), libm::cosf(heading)) * (mood.lane_m * draw.range(0.35, 0.65));
    let along = Vec2::new(libm::cosf(heading), libm::sinf(heading));
    let mut streets = vec![Street::new(lane_left, heading, curvature, half)];
    if mood.kind == Kind::Intersection || draw.chance(0.2) {
        let at = if draw.chance(0.6) { draw.range(4.0, 35.0) } else { draw.range(-40.0, 60.0) };
        let turn = FRAC_PI_2 + 0.15 * draw.bell();
        let width = draw.range(3.0, 6.5);
        streets.push(Street::new(lane_left + along * at, heading + turn, 0.0, width));
    }
    let mut ground = Ground::build(draw, streets.clone(), mood.pavement_m);
    let lot =
        (mood.kind == Kind::Lot).then(|| (Vec2::new(draw.range(-8.0, 20.0), 0.0), Vec2::new(34.0, 24.0)));
    ground.lot = lot;
    let mut scene = Scene::new(ground);
    if let (Some((center, half_lot)), Some(street)) = (lot, streets.first()) {
        fill_lot(&mut scene, draw, street, center, half_lot);
    }
    for (idx, street) in streets.iter().enumerate() {
        drive_cars(&mut scene, draw, &mood, street, idx);
        if lot.is_none() {
            park_cars(&mut scene, draw, &mood, street);
        }
    }
    stray_cars(&mut scene, draw, &mood);
    for street in &streets {
        walk_people(&mut scene, draw, &mood, street);
    }
    for street in &streets {
        furnish(&mut scene, draw, &mood, street);
        for side in [1.0, -1.0] {
            front(&mut scene, draw, &mood, street, side);
        }
    }
    scene
}

fn in_reach(place: Vec2) -> bool {
    place.length() < REACH_M
}

/// True where `place` is on or beside another carriageway by less than `margin` metres.
fn on_street(scene: &Scene, place: Vec2, margin: f32) -> bool {
    scene.ground.beyond_kerb(place) < margin
}

/// Direction of travel on the side of the street: keep right.
fn lane_yaw(heading: f32, side: f32) -> f32 {
    if side > 0.0 { heading + PI } else { heading }
}

fn drive_cars(scene: &mut Scene, draw: &mut Draw, mood: &Mood, street: &Street, idx: usize) {
    let lane = if idx == 0 { mood.lane_m * 0.5 } else { street.half_width_m * 0.45 };
    for side in [1.0, -1.0] {
        let queue = draw.chance(0.12);
        let mean = if queue { 5.0 } else { 48.0 / mood.traffic.max(0.05) };
        let mut along = -REACH_M + draw.exponential(mean);
        let mut n_cars = 0;
        while along < REACH_M && n_cars < 9 {
            let (place, heading) = street.place(along, side * lane + 0.15 * draw.bell());
            let yaw = lane_yaw(heading, side) + 0.02 * draw.bell();
            if in_reach(place) {
                if draw.chance(0.07) {
                    let (edge, heading) = street.place(along, side * (lane + 0.9));
                    stand_cyclist(scene, edge, lane_yaw(heading, side) + 0.05 * draw.bell(), draw);
                } else {
                    n_cars += usize::from(VehiclePlan::draw(draw, false).stand(scene, place, yaw, draw));
                }
            }
            along += 7.0 + draw.exponential(mean);
        }
    }
}

fn park_cars(scene: &mut Scene, draw: &mut Draw, mood: &Mood, street: &Street) {
    for side in [1.0, -1.0] {
        let share = (mood.parked * draw.range(0.2, 1.5)).min(0.95);
        let upright = draw.chance(0.1);
        let on_pavement = mood.parking_m == 0.0 && draw.chance(0.5);
        if mood.parking_m == 0.0 && !on_pavement {
            continue;
        }
        let mut along = -REACH_M * 0.9 + draw.range(0.0, 6.0);
        let mut n_cars = 0;
        while along < REACH_M * 0.9 && n_cars < 14 {
            let plan = VehiclePlan::draw(draw, true);
            let length = if upright { 2.4 } else { plan.size_lwh.x };
            along += length * 0.5;
            let across = match (upright, on_pavement) {
                (true, _) => street.half_width_m + 2.4,
                (_, true) => street.half_width_m + 0.6,
                _ => street.half_width_m - 1.05,
            };
            let (place, heading) = street.place(along, side * (across + 0.10 * draw.bell()));
            let jitter = if draw.chance(0.1) { 0.10 } else { 0.025 };
            let turned = if draw.chance(0.15) { PI } else { 0.0 };
            let quarter = if upright { FRAC_PI_2 } else { 0.0 };
            let yaw = lane_yaw(heading, side) + turned + quarter + jitter * draw.bell();
            let crossing = scene.ground.streets.iter().any(|other| {
                !other.is(street) && other.along_across(place).y.abs() < other.half_width_m + 3.5
            });
            if draw.chance(share) && in_reach(place) && !crossing {
                n_cars += usize::from(plan.stand(scene, place, yaw, draw));
            }
            along += length * 0.5 + if upright { 0.3 } else { draw.range(0.5, 1.6) };
        }
    }
}

fn fill_lot(scene: &mut Scene, draw: &mut Draw, street: &Street, center: Vec2, half: Vec2) {
    let share = draw.range(0.08, 0.55);
    let mut n_cars = 0;
    for row in 0..6 {
        // Two rows nose to nose, then an aisle; the own street is the middle aisle.
        let across = [-20.0, -10.5, -5.5, 5.5, 10.5, 20.0].get(row).copied().unwrap_or(0.0);
        let mut along = center.x - half.x + 2.0;
        while along < center.x + half.x - 2.0 && n_cars < 30 {
            if draw.chance(share) {
                let plan = VehiclePlan::draw(draw, true);
                let (place, heading) = street.place(along, across + 0.25 * draw.bell());
                let yaw = heading + draw.sign() * FRAC_PI_2 + 0.03 * draw.bell();
                n_cars += usize::from(plan.size_lwh.x < 6.5 && plan.stand(scene, place, yaw, draw));
            }
            along += 2.6;
        }
    }
    for _ in 0..draw.index(4) {
        let at = Vec2::new(draw.range(-25.0, 25.0), draw.range(-20.0, 20.0));
        stand_pedestrian(scene, at, draw.unit() * 2.0 * PI, draw);
    }
}

fn stray_cars(scene: &mut Scene, draw: &mut Draw, mood: &Mood) {
    let n_stray = if mood.kind == Kind::OpenRoad { draw.index(2) } else { draw.index(4) };
    for _ in 0..n_stray {
        let place = Vec2::new(draw.range(-60.0, 60.0), draw.range(-35.0, 35.0));
        let yaw = draw.range(-PI, PI);
        if place.length() > 5.0 && draw.chance(mood.traffic.min(1.0)) {
            VehiclePlan::draw(draw, true).stand(scene, place, yaw, draw);
        }
    }
}

fn walk_people(scene: &mut Scene, draw: &mut Draw, mood: &Mood, street: &Street) {
    for side in [1.0, -1.0] {
        let mean = 34.0 / mood.people.max(0.03);
        let mut along = -55.0 + draw.exponential(mean);
        while along < 60.0 {
            let (place, heading) =
                street.place(along, side * (street.half_width_m + draw.range(0.5, mood.pavement_m + 0.5)));
            let yaw = heading + if draw.chance(0.5) { 0.0 } else { PI } + 0.25 * draw.bell();
            match draw.index(10) {
                0 | 1 => {
                    stand_cyclist(scene, place, yaw, draw);
                }
                2 => {
                    // Crossing the street.
                    let (place, heading) = street.place(along, draw.range(-1.0, 1.0) * street.half_width_m);
                    stand_pedestrian(
                        scene,
                        place,
                        heading + draw.sign() * FRAC_PI_2 + 0.3 * draw.bell(),
                        draw,
                    );
                }
                3 | 4 => {
                    for _ in 0..2 + draw.index(3) {
                        let near = place + Vec2::new(draw.bell(), draw.bell()) * 0.7;
                        stand_pedestrian(scene, near, yaw + 0.4 * draw.bell(), draw);
                    }
                }
                5 => {
                    let (edge, heading) = street.place(along, side * (street.half_width_m - 0.7));
                    stand_cyclist(scene, edge, lane_yaw(heading, side) + 0.08 * draw.bell(), draw);
                }
                _ => {
                    stand_pedestrian(scene, place, yaw, draw);
                }
            }
            along += 1.0 + draw.exponential(mean);
        }
    }
}

fn furnish(scene: &mut Scene, draw: &mut Draw, mood: &Mood, street: &Street) {
    for side in [1.0, -1.0] {
        let tree_gap = draw.range(6.0, 40.0);
        let mut along = -REACH_M + draw.range(0.0, tree_gap);
        while along < REACH_M {
            let (place, _) = street.place(along, side * (street.half_width_m + 0.7 + 0.15 * draw.bell()));
            if !on_street(scene, place, 0.3) {
                stand_tree(scene, place, draw);
            }
            along += tree_gap * draw.range(0.8, 1.3);
        }
        let gap = draw.range(2.0, 10.0) * if mood.kind == Kind::OpenRoad { 3.0 } else { 1.0 };
        let mut along = -REACH_M + draw.exponential(gap);
        while along < REACH_M {
            let (place, heading) =
                street.place(along, side * (street.half_width_m + draw.range(0.4, mood.pavement_m + 1.0)));
            if !on_street(scene, place, 0.2) {
                if draw.chance(0.06) {
                    park_bicycle(scene, place, heading + 0.3 * draw.bell());
                } else {
                    stand_furniture(scene, place, lane_yaw(heading, side), draw);
                }
            }
            along += 0.5 + draw.exponential(gap);
        }
    }
}

/// The edge of the street: houses, hedges, gardens and gaps.
fn front(scene: &mut Scene, draw: &mut Draw, mood: &Mood, street: &Street, side: f32) {
    let edge = street.half_width_m + mood.pavement_m + 0.2;
    let setback = if draw.chance(mood.urban) { draw.range(0.0, 2.0) } else { draw.range(2.0, 11.0) };
    let mut along = -REACH_M;
    while along < REACH_M {
        let length = draw.range(5.0, 26.0);
        let middle = along + length * 0.5;
        along += length + if draw.chance(0.25) { draw.range(0.5, 8.0) } else { 0.0 };
        let facing = |heading: f32| if side > 0.0 { heading } else { heading + PI };
        let in_lot = scene.ground.lot.is_some() && middle.abs() < 50.0;
        let base = if in_lot { 25.0 } else { edge };
        let back = base + setback + draw.range(0.0, 1.5);
        let (place, heading) = street.place(middle, side * back);
        let (line, _) = street.place(middle, side * base);
        let clear = |at: Vec2, reach: f32, scene: &Scene| {
            scene.ground.streets.iter().all(|other| {
                other.is(street) || other.along_across(at).y.abs() > other.half_width_m + 1.5 + reach
            })
        };
        let half = length * 0.5;
        let house = draw.chance(0.15 + 0.85 * mood.urban);
        if house && clear(place, half, scene) {
            let spot = Vec2::new(half, 7.0);
            let (center, _) = street.place(middle, side * (back + 7.2));
            if scene.claim(center, spot, heading) {
                let pose = scene.stand(place, facing(heading));
                build_house(scene, pose, length, mood.urban, draw);
                if setback > 2.5 && draw.chance(0.6) {
                    // A front garden.
                    let (at, heading) = street.place(middle, side * (edge + 0.3));
                    let pose = scene.stand(at, facing(heading));
                    build_thicket(scene, pose, length, setback - 0.5, draw);
                }
            }
        } else if draw.chance(0.6) && clear(place, half, scene) {
            let pose = scene.stand(place, facing(heading));
            if draw.chance(0.3) {
                build_wood(scene, pose, length, draw);
            }
            build_thicket(scene, pose, length, draw.range(2.0, 16.0), draw);
            for _ in 0..draw.index(5) {
                let (at, _) =
                    street.place(middle + draw.range(-half, half), side * (back + draw.range(0.0, 18.0)));
                stand_tree(scene, at, draw);
            }
        }
        let divided = draw.chance(if house && setback < 1.5 { 0.05 } else { 0.5 });
        if divided && clear(line, half, scene) && scene.claim(line, Vec2::new(half, 0.15), heading) {
            let pose = Pose::new(scene.ground.point(line), facing(heading));
            build_barrier(scene, pose, length, draw);
        }
        if draw.chance(0.3) {
            let (at, heading) =
                street.place(middle + draw.range(-half, half), side * (base + draw.range(1.2, 7.0)));
            if !on_street(scene, at, 1.5) {
                stand_bulk(scene, at, heading + draw.range(-0.6, 0.6), draw);
            }
        }
    }
}
