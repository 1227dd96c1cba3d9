use super::{Attribute, Distortion, Drive, DriveOptions};
use crate::simulate::sensor::Sensor;
use crate::simulate::tests::options;
use crate::simulate::things::Category;
use glam::DVec2;
use std::collections::BTreeSet;

fn drives() -> Vec<Drive> {
    (0..8).map(|scene_idx| Drive::build(5, scene_idx, &options(8.0))).collect()
}

#[test]
fn the_own_car_moves_smoothly_turns_and_stops() {
    let (mut n_stops, mut n_turned, mut fastest) = (0, 0, 0.0f64);
    for drive in drives() {
        let pose = |step: usize| drive.ego(step as f64 * 0.05);
        let mut heading = 0.0;
        let mut least = f64::MAX;
        for step in 1..160 {
            let (before, now) = (pose(step - 1), pose(step));
            let speed = now.translation.distance(before.translation) / 0.05;
            let turn = super::wrap((before.rotation.inverse() * now.rotation).to_scaled_axis().z);
            assert!(speed < 26.0, "{speed} m/s");
            assert!(turn.abs() < 0.12, "turns by {turn} in a twentieth of a second");
            let up = now.rotation * glam::DVec3::Z;
            assert!(up.z > 0.99, "leans: {up}");
            heading += turn;
            least = least.min(speed);
            fastest = fastest.max(speed);
        }
        n_stops += usize::from(least < 0.1);
        n_turned += usize::from(heading.abs() > 0.8);
    }
    assert!(n_stops >= 1, "nobody had to stop");
    assert!(n_turned >= 1, "nobody turned");
    assert!(fastest > 6.0, "nobody drove on: {fastest} m/s");
}

#[test]
fn velocities_are_those_of_the_motion() {
    let mut n_moving = 0;
    for drive in drives() {
        for idx in 0..drive.things().len() {
            let at = |time_s: f64| drive.state(idx, time_s);
            let moved = (at(4.25).center - at(3.75).center).truncate() / 0.5;
            let state = at(4.0);
            let bent = (at(4.25).yaw - at(3.75).yaw).abs();
            // Half a second of an even bend or brake: the chord is nearly the tangent.
            if !(0.3..=6.0).contains(&bent) {
                assert!(moved.distance(state.velocity) < 0.6 + 0.1 * moved.length(), "{moved} {state:?}");
            }
            if moved.length() > 1.0 && bent < 0.1 {
                let ahead = DVec2::new(libm::cos(state.yaw), libm::sin(state.yaw));
                assert!(ahead.dot(moved.normalize()) > 0.95, "moves sideways: {state:?} {moved}");
                n_moving += 1;
            }
        }
    }
    assert!(n_moving > 100, "only {n_moving} things moved");
}

#[test]
fn attributes_follow_category_and_motion() {
    let mut seen = BTreeSet::new();
    for drive in drives() {
        for (idx, thing) in drive.things().iter().enumerate() {
            let state = drive.state(idx, 2.0);
            let speed = state.velocity.length();
            seen.extend(state.attribute);
            match thing.category {
                Category::Bicycle | Category::Motorcycle => {
                    let expected = if thing.has_rider {
                        Attribute::CycleWithRider
                    } else {
                        Attribute::CycleWithoutRider
                    };
                    assert_eq!(state.attribute, Some(expected));
                }
                Category::Barrier | Category::Cone => assert_eq!(state.attribute, None),
                Category::Adult | Category::Child | Category::Worker => {
                    assert_eq!(
                        state.attribute == Some(Attribute::PedestrianMoving),
                        speed > 0.2,
                        "{state:?}"
                    );
                }
                _ => assert_eq!(state.attribute == Some(Attribute::VehicleMoving), speed > 0.2, "{state:?}"),
            }
        }
    }
    assert!(seen.len() >= 6, "only {seen:?}");
}

/// Share of `n` things that overlap another by more than a hand's breadth.
fn overlaps(drive: &Drive, time_s: f64) -> (usize, usize) {
    let boxes: Vec<_> = drive
        .things()
        .iter()
        .enumerate()
        .map(|(idx, thing)| {
            let state = drive.state(idx, time_s);
            let along = DVec2::new(libm::cos(state.yaw), libm::sin(state.yaw));
            (state.center.truncate(), along, thing.size_lwh.truncate().as_dvec2() * 0.5 - 0.15)
        })
        .collect();
    let meets = |a: &(DVec2, DVec2, DVec2), b: &(DVec2, DVec2, DVec2)| {
        [a.1, a.1.perp(), b.1, b.1.perp()].iter().all(|axis| {
            let extent = |(_, along, half): &(DVec2, DVec2, DVec2)| {
                half.x * along.dot(*axis).abs() + half.y * along.perp().dot(*axis).abs()
            };
            (a.0 - b.0).dot(*axis).abs() < extent(a) + extent(b)
        })
    };
    let n_bad = (0..boxes.len())
        .filter(|i| {
            (0..boxes.len())
                .any(|j| j != *i && boxes[*i].0.distance(boxes[j].0) < 14.0 && meets(&boxes[*i], &boxes[j]))
        })
        .count();
    (n_bad, boxes.len())
}

#[test]
fn things_hardly_ever_stand_in_each_other() {
    let (mut n_bad, mut n_all) = (0, 0);
    for drive in drives() {
        for time_s in [0.5, 4.0, 7.5] {
            let (bad, all) = overlaps(&drive, time_s);
            n_bad += bad;
            n_all += all;
        }
    }
    // People walk through each other now and then, and a turning lorry may cut a corner.
    assert!(n_all > 1000 && n_bad * 25 < n_all, "{n_bad} of {n_all} overlap");
}

#[test]
fn drives_of_all_classes_have_them_near_the_way() {
    let options = DriveOptions { all_classes: true, ..options(6.0) };
    for scene_idx in 0..6 {
        let drive = Drive::build(9, scene_idx, &options);
        let begin = drive.ego(0.0).translation.truncate();
        let near: BTreeSet<Category> = (0..drive.things().len())
            .filter(|idx| drive.state(*idx, 1.0).center.truncate().distance(begin) < 75.0)
            .map(|idx| drive.things()[idx].category)
            .collect();
        for category in [
            Category::Car,
            Category::Truck,
            Category::Bus,
            Category::Trailer,
            Category::ConstructionVehicle,
            Category::Motorcycle,
            Category::Bicycle,
            Category::Adult,
            Category::Barrier,
            Category::Cone,
        ] {
            assert!(near.contains(&category), "drive {scene_idx} has no {category:?}: {near:?}");
        }
    }
}

#[test]
fn drives_and_sweeps_are_functions_of_their_arguments() {
    let sensor = Sensor::load("hdl32e").unwrap();
    let sweep = |seed: u64, scene_idx: u64, time_s: f64| {
        Drive::build(seed, scene_idx, &options(2.0)).sweep(&sensor, time_s)
    };
    let first = sweep(1, 0, 1.0);
    assert!(first == sweep(1, 0, 1.0));
    assert!(first.points != sweep(2, 0, 1.0).points);
    assert!(first.points != sweep(1, 1, 1.0).points);
    assert!(first.points != sweep(1, 0, 1.05).points);
}

#[test]
fn static_things_stay_sharp_over_sweeps_unless_the_scanners_motion_is_left_in() {
    // The spread of the returns of standing things across their boxes' faces, over sweeps of a driving scanner.
    let sensor = Sensor::load("hdl32e").unwrap();
    let outside = |distortion: Distortion| {
        let (mut n_out, mut n_all) = (0, 0);
        for scene_idx in 0..4 {
            let drive = Drive::build(5, scene_idx, &DriveOptions { distortion, ..options(4.0) });
            for step in 0..6 {
                let time_s = 1.0 + 0.05 * f64::from(step);
                let sweep = drive.sweep(&sensor, time_s);
                let ego = drive.ego(time_s);
                let mounting = sensor.mounting();
                for point in &sweep.points {
                    let Some(idx) = point.actor.map(|idx| idx as usize) else { continue };
                    let state = drive.state(idx, time_s);
                    if state.velocity.length() > 0.0 || drive.things()[idx].category != Category::Car {
                        continue;
                    }
                    let in_car = mounting.rotation * point.position.as_dvec3() + mounting.translation;
                    let world = ego.rotation * in_car + ego.translation;
                    let d = world - state.center;
                    let (sin, cos) = (libm::sin(state.yaw), libm::cos(state.yaw));
                    let size = drive.things()[idx].size_lwh.as_dvec3() * 0.5;
                    let far = (cos * d.x + sin * d.y).abs() > size.x + 0.08
                        || (cos * d.y - sin * d.x).abs() > size.y + 0.25;
                    n_all += 1;
                    n_out += usize::from(far);
                }
            }
        }
        assert!(n_all > 1_000, "only {n_all} returns");
        f64::from(n_out as u32) / f64::from(n_all as u32)
    };
    let (compensated, raw) = (outside(Distortion::Compensated), outside(Distortion::Raw));
    assert!(compensated < 0.03, "{compensated} of the returns lie outside");
    assert!(raw > 2.0 * compensated + 0.01, "raw {raw}, compensated {compensated}");
}
