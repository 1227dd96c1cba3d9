use super::super::draw::Draw;
use super::super::parts::{Finish, Primitive};
use super::extents::extents;
use super::people::Person;
use super::{Category, Form, Posture, Region, Thing};
use glam::Vec3;
use std::borrow::Cow;

/// How near to its box a vehicle's body comes on every side, metres.
const VEHICLE_REACH_M: f32 = 0.06;

type Drawn = fn(&mut Draw) -> Thing;

/// Every kind of thing: its name, how it is drawn, and how many parts it may have.
const KINDS: [(&str, Drawn, usize); 17] = [
    ("car in Europe", |draw| Thing::draw_car(draw, Region::Europe, true), 45),
    ("car elsewhere", |draw| Thing::draw_car(draw, Region::UsAsia, false), 45),
    ("van", |draw| Thing::draw_van(draw, Region::Europe, true), 45),
    ("truck in Europe", |draw| Thing::draw_truck(draw, Region::Europe, true), 60),
    ("truck elsewhere", |draw| Thing::draw_truck(draw, Region::UsAsia, true), 60),
    ("bus", |draw| Thing::draw_bus(draw, Region::Europe, true), 80),
    ("trailer", Thing::draw_trailer, 40),
    ("machine", |draw| Thing::draw_construction_vehicle(draw, true), 45),
    ("motorcycle", |draw| Thing::draw_motorcycle(draw, false), 45),
    ("ridden motorcycle", |draw| Thing::draw_motorcycle(draw, true), 60),
    ("bicycle", |draw| Thing::draw_bicycle(draw, false), 25),
    ("cyclist", |draw| Thing::draw_bicycle(draw, true), 45),
    ("walking adult", |draw| Thing::draw_person(draw, Category::Adult, Posture::Walking), 18),
    ("standing worker", |draw| Thing::draw_person(draw, Category::Worker, Posture::Standing), 18),
    ("sitting child", |draw| Thing::draw_person(draw, Category::Child, Posture::Sitting), 18),
    ("barrier", Thing::draw_barrier, 12),
    ("cone", Thing::draw_cone, 8),
];

fn is_vehicle(thing: &Thing) -> bool {
    matches!(
        thing.category,
        Category::Car
            | Category::Van
            | Category::Truck
            | Category::Bus
            | Category::Trailer
            | Category::ConstructionVehicle
    )
}

/// Where a beam first meets a part that is not mostly air.
fn first_hit(parts: &[Primitive], origin: Vec3, direction: Vec3) -> Option<Vec3> {
    parts
        .iter()
        .filter_map(|part| part.shape.span(origin, direction))
        .map(|span| span.enter)
        .min_by(f32::total_cmp)
        .map(|range| origin + direction * range)
}

/// What beams that come from the front, the rear, the sides and above meet, most of them slanting.
fn hits_from_all_sides(thing: &Thing, parts: &[Primitive], draw: &mut Draw) -> Vec<Vec3> {
    let (half, height) = (thing.size_lwh * 0.5, thing.size_lwh.z);
    let mut hits = Vec::new();
    for from in [Vec3::X, Vec3::NEG_X, Vec3::Y, Vec3::NEG_Y, Vec3::Z] {
        for _ in 0..700 {
            let target = Vec3::new(
                draw.range(-1.05, 1.05) * half.x,
                draw.range(-1.05, 1.05) * half.y,
                draw.range(0.0, 1.05) * height,
            );
            let slant = Vec3::new(draw.range(-0.3, 0.3), draw.range(-0.3, 0.3), draw.range(-0.1, 0.2));
            let away = (from + slant * draw.unit()).normalize();
            hits.extend(first_hit(parts, target + away * 40.0, -away));
        }
    }
    hits
}

/// What beams meet that are aimed at each part in turn: small ones reach for the box too.
fn hits_on_every_part(parts: &[Primitive], draw: &mut Draw) -> Vec<Vec3> {
    let mut hits = Vec::new();
    for part in parts {
        let (low, high) = extents(std::slice::from_ref(part));
        for from in [Vec3::X, Vec3::NEG_X, Vec3::Y, Vec3::NEG_Y, Vec3::Z] {
            for _ in 0..40 {
                let target = low + (high - low) * Vec3::new(draw.unit(), draw.unit(), draw.unit());
                hits.extend(first_hit(parts, target + from * 40.0, -from));
            }
        }
    }
    hits
}

#[test]
fn things_fill_their_boxes_and_stay_inside() {
    for (name, draw_thing, _) in KINDS {
        for seed in 0..14 {
            let mut draw = Draw::new(seed, 3);
            let thing = draw_thing(&mut draw);
            let half = thing.size_lwh * 0.5;
            let (mut n_hits, mut n_outside, mut gaps) = (0, 0, [f32::MAX; 5]);
            for step in 0..8u8 {
                let parts = thing.parts(0.25 * f32::from(step));
                let slack = Vec3::splat(0.002);
                let is_inside = |hit: &Vec3| {
                    (hit.abs() - half.with_z(thing.size_lwh.z) - slack).max_element() < 0.0 && hit.z > -0.02
                };
                let seen = hits_from_all_sides(&thing, &parts, &mut draw);
                n_hits += seen.len();
                n_outside += seen.iter().filter(|hit| !is_inside(hit)).count();
                // Mirrors stand out of boxes: they fill no gap.
                for hit in hits_on_every_part(&parts, &mut draw).into_iter().filter(is_inside) {
                    let to_faces = [
                        half.x - hit.x,
                        half.x + hit.x,
                        half.y - hit.y,
                        half.y + hit.y,
                        2.0 * half.z - hit.z,
                    ];
                    for (gap, to_face) in gaps.iter_mut().zip(to_faces) {
                        *gap = gap.min(to_face);
                    }
                }
                if matches!(thing.parts(0.0), Cow::Borrowed(_)) {
                    break;
                }
            }
            assert!(n_hits > 200, "{name} {seed}: {n_hits} hits");
            assert!(n_outside * 100 <= n_hits * 3, "{name} {seed}: {n_outside} of {n_hits} outside");
            // The arm of a machine may touch its box with a corner only, which few beams meet.
            let is_body = is_vehicle(&thing) && thing.category != Category::ConstructionVehicle;
            let allowed = if is_body { VEHICLE_REACH_M } else { 0.10 };
            for gap in gaps {
                assert!(gap < allowed, "{name} {seed}: gaps {gaps:?} in {}", thing.size_lwh);
            }
        }
    }
}

#[test]
fn the_doors_of_cars_reach_the_sides_of_their_boxes() {
    for seed in 0..40 {
        let mut draw = Draw::new(seed, 3);
        let car = Thing::draw_car(&mut draw, Region::UsAsia, false);
        let parts = car.parts(0.0);
        let half = car.size_lwh * 0.5;
        let (mut n_near, n_beams) = (0, 200);
        for _ in 0..n_beams {
            // Between the wheels, from the sills to below the windows.
            let (x, z) = (draw.range(-0.2, 0.15) * half.x, draw.range(0.22, 0.5) * car.size_lwh.z);
            let hit = first_hit(&parts, Vec3::new(x, 9.0, z), Vec3::NEG_Y);
            n_near += usize::from(hit.is_some_and(|hit| (0.0..0.09).contains(&(half.y - hit.y))));
        }
        assert!(n_near * 10 > n_beams * 9, "{seed}: {n_near} of {n_beams}");
    }
}

#[test]
fn things_have_few_parts() {
    for (name, draw_thing, max_parts) in KINDS {
        let mut most = 0;
        for seed in 0..300 {
            let thing = draw_thing(&mut Draw::new(seed, 0));
            most = most.max(thing.parts(0.4).len());
        }
        assert!(most > 1 && most <= max_parts, "{name}: {most} parts");
    }
}

#[test]
fn bounds_contain_their_shapes() {
    for (name, draw_thing, _) in KINDS {
        for seed in 0..20 {
            let thing = draw_thing(&mut Draw::new(seed, 0));
            for part in thing.parts(0.3).iter() {
                let (low, high) = extents(std::slice::from_ref(part));
                let corners = part.bounds.corners();
                let around = corners.iter().fold((f32::MAX, f32::MIN, f32::MAX, f32::MIN), |a, c| {
                    (a.0.min(c.x), a.1.max(c.x), a.2.min(c.y), a.3.max(c.y))
                });
                let slack = 0.002;
                assert!(
                    low.x >= around.0 - slack
                        && high.x <= around.1 + slack
                        && low.y >= around.2 - slack
                        && high.y <= around.3 + slack,
                    "{name} {seed}: {part:?} reaches {low}..{high}",
                );
            }
        }
    }
}

#[test]
fn mean_sizes_are_those_of_the_labels() {
    // Published means, length, width, height, and by how much a mean may differ: a tenth, for shares are guesses.
    let cases: [(&str, Drawn, [f32; 3], f32); 11] = [
        ("car of KITTI", |draw| Thing::draw_car(draw, Region::Europe, false), [3.88, 1.63, 1.53], 0.05),
        ("car of nuScenes", |draw| Thing::draw_car(draw, Region::UsAsia, false), [4.63, 1.97, 1.74], 0.05),
        ("van of KITTI", |draw| Thing::draw_van(draw, Region::Europe, false), [5.06, 1.90, 2.20], 0.05),
        ("truck of KITTI", |draw| Thing::draw_truck(draw, Region::Europe, false), [10.1, 2.6, 3.2], 0.10),
        (
            "truck of nuScenes",
            |draw| Thing::draw_truck(draw, Region::UsAsia, false),
            [6.93, 2.51, 2.84],
            0.10,
        ),
        ("bus", |draw| Thing::draw_bus(draw, Region::UsAsia, false), [10.5, 2.94, 3.47], 0.10),
        ("trailer", Thing::draw_trailer, [12.29, 2.90, 3.87], 0.12),
        ("machine", |draw| Thing::draw_construction_vehicle(draw, false), [6.37, 2.85, 3.19], 0.12),
        (
            "adult of KITTI",
            |draw| {
                // About two of three are on their way.
                let posture = if draw.chance(0.65) { Posture::Walking } else { Posture::Standing };
                Thing::draw_person(draw, Category::Adult, posture)
            },
            [0.84, 0.66, 1.76],
            0.15,
        ),
        ("cyclist of KITTI", |draw| Thing::draw_bicycle(draw, true), [1.76, 0.60, 1.74], 0.12),
        ("cone", Thing::draw_cone, [0.41, 0.41, 1.07], 0.22),
    ];
    for (name, draw_thing, published, share) in cases {
        let n_drawn = 400;
        let mut sum = Vec3::ZERO;
        for seed in 0..n_drawn {
            sum += draw_thing(&mut Draw::new(seed, 0)).size_lwh;
        }
        let ratio = sum / n_drawn as f32 / Vec3::from_array(published);
        assert!((ratio - 1.0).abs().max_element() < share, "{name}: mean over published {ratio}");
    }
}

#[test]
fn things_are_functions_of_seed_and_way() {
    for (name, draw_thing, _) in KINDS {
        let picture = |seed| {
            let thing = draw_thing(&mut Draw::new(seed, 0));
            format!("{:?} {:?}", thing.size_lwh, thing.parts(1.7))
        };
        assert_eq!(picture(5), picture(5), "{name}");
        assert_ne!(picture(5), picture(6), "{name}");
    }
}

fn walker(seed: u64) -> (Thing, Box<Person>) {
    let thing = Thing::draw_person(&mut Draw::new(seed, 0), Category::Adult, Posture::Walking);
    let Form::Walker(person) = &thing.form else { unreachable!("walking people are animated") };
    let person = person.clone();
    (thing, person)
}

#[test]
fn a_foot_of_a_walker_is_always_on_the_ground() {
    for seed in 0..10 {
        let (thing, _) = walker(seed);
        for step in 0..24u8 {
            let (low, _) = extents(&thing.parts(f32::from(step) * 0.1));
            // The shoe's sole is round.
            assert!(low.z.abs() < 0.02, "{seed} {step}: lowest at {}", low.z);
        }
    }
}

#[test]
fn a_stride_repeats_and_moves_the_limbs() {
    let (thing, person) = walker(2);
    let stride_m = person.stride_m();
    assert!((0.8..2.2).contains(&stride_m), "stride of {stride_m} m");
    let reach = |travel_m: f32| extents(&thing.parts(travel_m));
    for step in 0..6u8 {
        let travel_m = 0.2 * f32::from(step);
        let (now, later) = (reach(travel_m), reach(travel_m + stride_m));
        assert!((now.0 - later.0).length() < 0.01 && (now.1 - later.1).length() < 0.01);
    }
    let places =
        |travel_m: f32| thing.parts(travel_m).iter().map(|part| format!("{part:?}")).collect::<Vec<_>>();
    assert_ne!(places(0.0), places(0.25 * stride_m), "limbs move");
}

#[test]
fn a_planted_foot_stays_where_it_is() {
    for seed in 0..10 {
        let (_, person) = walker(seed);
        let step_m = 0.01;
        let (mut slid, mut n_planted) = (0.0, 0);
        for step in 0..200u8 {
            let travel_m = f32::from(step) * step_m;
            let (before, after) = (person.planted(travel_m), person.planted(travel_m + step_m));
            assert!(before.iter().any(Option::is_some), "{seed}: in the air after {travel_m} m");
            for (before, after) in before.into_iter().zip(after) {
                if let (Some(before), Some(after)) = (before, after) {
                    // In the body's frame it moves back as far as the body goes.
                    slid += (after.x - before.x + step_m).abs();
                    n_planted += 1;
                }
            }
        }
        // The last centimetres of a swing are close to the ground too.
        assert!(slid < 0.12 * step_m * n_planted as f32, "{seed}: {slid} m in {n_planted} steps");
    }
}

#[test]
fn riders_pedal_with_the_way() {
    let thing = Thing::draw_bicycle(&mut Draw::new(4, 0), true);
    let Form::Ridden { rider, .. } = &thing.form else { unreachable!("riders are animated") };
    let picture = |travel_m: f32| format!("{:?}", thing.parts(travel_m));
    assert_ne!(picture(0.0), picture(0.5 * rider.period_m()));
    let reach = |travel_m: f32| extents(&thing.parts(travel_m)[14..]);
    assert!((reach(0.3).0 - reach(0.3 + rider.period_m()).0).length() < 0.01);
    assert!(thing.has_rider && matches!(thing.parts(0.0), Cow::Owned(_)));
}

#[test]
fn nearly_half_of_the_cars_are_dark() {
    let mut n_dark = 0;
    for seed in 0..400 {
        let car = Thing::draw_car(&mut Draw::new(seed, 0), Region::Europe, false);
        let parts = car.parts(0.0);
        let paint = parts.iter().find(|part| part.finish == Finish::Paint).map(|part| part.reflectivity);
        n_dark += usize::from(paint.is_some_and(|reflectivity| reflectivity <= 0.10));
    }
    assert!((150..210).contains(&n_dark), "{n_dark} of 400");
}

#[test]
fn glass_shows_seats_and_drivers() {
    // Behind the windscreen and the side windows of a driven car, something stands above the belt.
    let mut n_seen = 0;
    for seed in 0..50 {
        let car = Thing::draw_car(&mut Draw::new(seed, 0), Region::Europe, true);
        let parts: Vec<_> = car.parts(0.0).iter().filter(|p| p.finish != Finish::Glass).cloned().collect();
        let z = 0.80 * car.size_lwh.z;
        for idx in 0..60 {
            let x = (-0.2 + 0.006 * idx as f32) * car.size_lwh.x;
            let hit = first_hit(&parts, Vec3::new(x, 9.0, z), Vec3::NEG_Y);
            n_seen += usize::from(hit.is_some_and(|hit| hit.y.abs() < 0.36 * car.size_lwh.y));
        }
    }
    assert!(n_seen > 300, "{n_seen} of 3000 beams meet seats or people");
}

#[test]
fn kitti_names_what_it_labels() {
    let mut draw = Draw::new(0, 0);
    let sitting = Thing::draw_person(&mut draw, Category::Adult, Posture::Sitting);
    assert_eq!(sitting.kitti(), Some("Person_sitting"));
    assert_eq!(Thing::draw_bicycle(&mut draw, true).kitti(), Some("Cyclist"));
    assert_eq!(Thing::draw_bicycle(&mut draw, false).kitti(), None);
    assert_eq!(Thing::draw_bus(&mut draw, Region::Europe, true).kitti(), Some("Misc"));
    assert_eq!(Category::Cone.kitti(false), None);
}
