//! Who is on the move in a drive: traffic on the lanes, riders at their edge, people on the pavements.

use super::super::draw::Draw;
use super::super::things::{Category, Posture, Region, Thing};
use super::super::world::{Mood, Network, REACH_M, Scene, Street};
use super::motion::Motion;
use super::route::{Path, Start, wander};
use super::traffic::Mover;
use glam::Vec2;

/// The own car is at most this high, metres: the nuScenes cars are.
const OWN_HEIGHT_M: f32 = 1.56;

/// The own car: a mover like the others, whose box nobody sees.
pub(super) fn own_car(network: &Network, mood: &Mood, duration_s: f64, draw: &mut Draw) -> Mover {
    let thing = Thing::draw_car(draw, mood.region, true);
    let wish_m_s = mood.speed_m_s * draw.range(0.85, 1.1);
    // Far enough for the whole drive, and for what goes before it.
    let length_m = wish_m_s * (duration_s as f32 + 12.0) + 60.0;
    let start = Start { street: 0, along_m: -10.0, direction: 1.0, lane_share: draw.range(0.42, 0.6) };
    let p_turn = if draw.chance(0.6) { 0.4 } else { 0.05 };
    let route = wander(network, start, length_m, p_turn, draw);
    Mover { thing, route, at_m: 0.0, speed_m_s: wish_m_s * draw.range(0.0, 1.0), wish_m_s }
}

/// The body under the scanner: a low car, as scanners stand a little above its roof.
pub(super) fn own_body(draw: &mut Draw, region: Region) -> Thing {
    let mut body = Thing::draw_car(draw, region, true);
    for _ in 0..40 {
        if body.size_lwh.z < OWN_HEIGHT_M {
            break;
        }
        body = Thing::draw_car(draw, region, true);
    }
    body
}

/// Places of a route, for what has to know where the own car comes by.
pub(super) fn way_of(path: &Path, length_m: f32) -> Vec<Vec2> {
    let n_steps = (length_m / 4.0).ceil() as usize;
    (0..=n_steps).map(|step| path.at(step as f32 * 4.0).0).collect()
}

fn in_reach(way: &[Vec2], place: Vec2) -> bool {
    way.iter().any(|point| point.distance_squared(place) < REACH_M * REACH_M)
}

/// A vehicle or a rider of the usual mix.
fn draw_mover(draw: &mut Draw, mood: &Mood) -> (Thing, f32, f32) {
    let region = mood.region;
    let wish = mood.speed_m_s * draw.range(0.8, 1.25);
    if draw.chance((0.14 * mood.riders).min(0.5)) {
        return (Thing::draw_bicycle(draw, true), draw.range(3.0, 6.5), 0.88);
    }
    match draw.index(86) {
        0..=70 => (Thing::draw_car(draw, region, true), wish, 0.5),
        71..=76 => (Thing::draw_van(draw, region, true), wish, 0.5),
        77..=80 => (Thing::draw_truck(draw, region, true), wish * 0.9, 0.5),
        81..=82 => (Thing::draw_bus(draw, region, true), wish * 0.85, 0.5),
        _ => (Thing::draw_motorcycle(draw, true), wish, 0.55),
    }
}

/// The traffic on all lanes within reach of the own car's way.
pub(super) fn draw_traffic(
    network: &Network,
    mood: &Mood,
    way: &[Vec2],
    duration_s: f64,
    draw: &mut Draw,
) -> Vec<Mover> {
    let mut movers: Vec<Mover> = Vec::new();
    let begin = way.first().copied().unwrap_or(Vec2::ZERO);
    for (street_idx, street) in network.streets.iter().enumerate() {
        let middle = street.along_across(begin).x;
        for direction in [1.0, -1.0] {
            let mean = if draw.chance(0.12) { 6.0 } else { 48.0 / mood.traffic.max(0.05) };
            let mut along = middle - 170.0 + draw.exponential(mean);
            while along < middle + 220.0 {
                let (thing, wish_m_s, lane_share) = draw_mover(draw, mood);
                let start = Start { street: street_idx, along_m: along, direction, lane_share };
                along += 6.0 + thing.size_lwh.x + draw.exponential(mean);
                let (place, _) = street.place(start.along_m, 0.0);
                // Whoever is far from all of the way now would not come near it in time.
                if !way.iter().any(|point| point.distance(place) < REACH_M + 60.0) || movers.len() >= 90 {
                    continue;
                }
                let length_m = wish_m_s * (duration_s as f32 + 10.0) + 40.0;
                let route = wander(network, start, length_m, 0.2, draw);
                let (here, _) = route.path.at(0.0);
                let clear = 0.5 * thing.size_lwh.x + 5.0;
                if here.distance(begin) < clear + 4.0
                    || movers
                        .iter()
                        .any(|m| m.route.path.at(m.at_m).0.distance(here) < clear + 0.5 * m.thing.size_lwh.x)
                {
                    continue;
                }
                movers.push(Mover { thing, route, at_m: 0.0, speed_m_s: wish_m_s * 0.8, wish_m_s });
            }
        }
    }
    movers
}

/// Somebody on foot or on a cycle beside the lanes.
pub(super) struct Walker {
    pub(super) thing: Thing,
    pub(super) motion: Motion,
}

/// The people on the move on the pavements, and those who cross.
pub(super) fn draw_walkers(
    scene: &Scene,
    network: &Network,
    mood: &Mood,
    way: &[Vec2],
    duration_s: f64,
    draw: &mut Draw,
) -> Vec<Walker> {
    let mut walkers = Vec::new();
    let begin = way.first().copied().unwrap_or(Vec2::ZERO);
    for street in &network.streets {
        let middle = street.along_across(begin).x;
        for side in [1.0, -1.0] {
            let mean = 30.0 / mood.people.max(0.03);
            let mut along = middle - 120.0 + draw.exponential(mean);
            while along < middle + 220.0 {
                let n_people = if draw.chance(0.2) { 2 + draw.index(3) } else { 1 };
                let p_ride = (0.18 * mood.riders).min(0.35);
                let spot = Spot { street, side, along, pavement_m: mood.pavement_m, p_ride };
                let (place, _) = street.place(along, side * street.half_width_m);
                along += 1.5 + draw.exponential(mean);
                if in_reach(way, place) {
                    walkers.extend(draw_group(scene, spot, n_people, duration_s, draw));
                }
            }
        }
    }
    walkers
}

/// Where a group begins.
#[derive(Clone, Copy)]
struct Spot<'a> {
    street: &'a Street,
    side: f32,
    along: f32,
    pavement_m: f32,
    p_ride: f32,
}

/// People who walk side by side, or one rider; those whose way is blocked stay away.
fn draw_group(
    scene: &Scene,
    spot: Spot<'_>,
    n_people: usize,
    duration_s: f64,
    draw: &mut Draw,
) -> Vec<Walker> {
    let rides = n_people == 1 && draw.chance(spot.p_ride);
    let pace = if rides { draw.range(2.5, 4.5) } else { draw.bell_within(1.35, 0.25, 0.7, 2.2) };
    let runs = !rides && draw.chance(0.04);
    let pace = if runs { draw.range(2.3, 3.3) } else { pace };
    let direction = draw.sign();
    let crosses = !rides && draw.chance(0.22);
    let off = draw.range(0.6, (spot.pavement_m - 0.4).max(0.7));
    let mut group = Vec::new();
    for member in 0..n_people {
        let lane = off + 0.65 * member as f32;
        let path = if crosses {
            crossing_path(spot, lane, direction, draw)
        } else {
            pavement_path(spot, lane, direction, pace * (duration_s as f32 + 6.0))
        };
        let thing = if rides {
            Thing::draw_bicycle(draw, true)
        } else {
            let category = if draw.chance(0.08) { Category::Child } else { Category::Adult };
            Thing::draw_person(draw, category, Posture::Walking)
        };
        let lead = pace * 3.0 + draw.range(0.0, 0.4) * pace;
        let n_checks = ((pace * (duration_s as f32 + 2.0)) / 0.7).ceil() as usize;
        let is_free = (0..n_checks).all(|k| {
            let (place, _) = path.at(lead - pace * 1.5 + 0.7 * k as f32);
            !scene.is_occupied(place, 0.3)
        });
        if is_free {
            group.push(Walker { thing, motion: Motion::Steady { path, from_m: lead, speed_m_s: pace } });
        }
    }
    group
}

/// Along the pavement, a little from side to side.
fn pavement_path(spot: Spot<'_>, off: f32, direction: f32, length_m: f32) -> Path {
    let n_steps = (length_m / 2.0).ceil() as usize + 4;
    let place = |step: usize| {
        let ahead = step as f32 * 2.0;
        let sway = 0.08 * libm::sinf(ahead * 0.35 + spot.along);
        let across = spot.side * (spot.street.half_width_m + off + sway);
        spot.street.place(spot.along + direction * ahead, across).0
    };
    Path::new((0..n_steps).map(place).collect())
}

/// Up to the kerb, over the street, and on along the other side.
fn crossing_path(spot: Spot<'_>, off: f32, direction: f32, draw: &mut Draw) -> Path {
    let before = draw.range(2.0, 12.0);
    let slant = draw.range(0.0, 2.5);
    let edge = spot.street.half_width_m + off;
    let corners = [
        (0.0, edge),
        (before, edge),
        (before + 0.8, edge - 0.5),
        (before + 0.8 + slant, -edge + 0.5),
        (before + 1.6 + slant, -edge),
        (before + 60.0, -edge),
    ]
    .map(Vec2::from);
    let mut points = Vec::new();
    for pair in corners.windows(2) {
        let [a, b] = pair else { continue };
        let n_steps = (a.distance(*b) / 0.8).ceil().max(1.0);
        for step in 0..n_steps as usize {
            let at = a.lerp(*b, step as f32 / n_steps);
            points.push(spot.street.place(spot.along + direction * at.x, spot.side * at.y).0);
        }
    }
    Path::new(points)
}
