//! Both versions of one segment.

use super::super::{WaymoDataset, WaymoSettings};
use super::synthetic::{SEGMENT, segment, write_v1, write_v2};
use crate::Dataset;
use std::collections::BTreeMap;
use std::path::Path;

fn open(root: &Path, split: &str, settings: WaymoSettings) -> WaymoDataset {
    WaymoDataset::open(root, split, BTreeMap::new(), settings).unwrap()
}

#[test]
fn both_versions_give_the_same_points_and_objects() {
    let folder = tempfile::tempdir().unwrap();
    let frames = segment();
    write_v1(&folder.path().join("v1"), &frames);
    for rows_per_group in [1, 2, 100] {
        let split = format!("v2_{rows_per_group}");
        write_v2(&folder.path().join(&split), &frames, rows_per_group);
        for second_returns in [false, true] {
            for drop_no_label_zones in [false, true] {
                let settings = WaymoSettings { second_returns, drop_no_label_zones };
                let [v1, v2] = ["v1", &split].map(|split| open(folder.path(), split, settings));
                assert_eq!((v1.n_samples(), v2.n_samples()), (2, 2));
                for idx in 0..2 {
                    let (a, b) = (v1.load(idx).unwrap(), v2.load(idx).unwrap());
                    assert_eq!(a, b);
                    assert_eq!(v1.load_frame(idx).unwrap(), v2.load_frame(idx).unwrap());
                    assert_eq!(
                        (a.name.as_str(), v1.name(idx)),
                        (format!("{SEGMENT}/00{idx}").as_str(), v2.name(idx))
                    );
                }
                let error = v2.load(2).unwrap_err().to_string();
                assert_eq!(error, v1.load(2).unwrap_err().to_string());
                assert!(error.contains("no sample 2") && v1.name(2).is_empty(), "{error}");
            }
        }
    }
}

#[test]
fn returns_and_no_label_zones_are_taken_as_set() {
    let folder = tempfile::tempdir().unwrap();
    write_v1(&folder.path().join("train"), &segment());
    let n_points = |second_returns: bool, drop_no_label_zones: bool| {
        let settings = WaymoSettings { second_returns, drop_no_label_zones };
        open(folder.path(), "train", settings).load(0).unwrap().points.len()
    };
    let count = |n: usize, kept: &dyn Fn(usize) -> bool| (0..n).filter(|p| kept(*p)).count();
    // Of the top's 40 pixels every fourth has no first return and every third no second one, of the side's 18 every
    // fifth none; every fifth pixel lies in a no-label zone.
    let (top, second) = (count(40, &|p| p % 4 > 0), count(40, &|p| p % 3 > 0));
    let side = count(18, &|p| p % 5 > 0);
    assert_eq!(n_points(false, false), top + side);
    assert_eq!(n_points(true, false), top + side + second);
    let (top, second) = (count(40, &|p| p % 4 > 0 && p % 5 > 0), count(40, &|p| p % 3 > 0 && p % 5 > 0));
    assert_eq!(n_points(false, true), top + side);
    assert_eq!(n_points(true, true), top + side + second);
}

#[test]
fn points_of_no_label_zones_are_known_whether_they_are_given_or_not() {
    let folder = tempfile::tempdir().unwrap();
    write_v1(&folder.path().join("train"), &segment());
    let of = |drop_no_label_zones: bool| {
        let settings = WaymoSettings { second_returns: false, drop_no_label_zones };
        open(folder.path(), "train", settings).load_frame(0).unwrap()
    };
    let (all, dropped) = (of(false), of(true));
    assert_eq!(all.points_in_no_label_zones, dropped.points_in_no_label_zones);
    let in_zones = &all.points_in_no_label_zones;
    assert_eq!(all.points.len(), dropped.points.len() + in_zones.len());
    assert!(in_zones.iter().all(|p| all.points.contains(p) && !dropped.points.contains(p)));
}

#[test]
fn objects_have_names_levels_and_velocities_along_the_vehicle() {
    let folder = tempfile::tempdir().unwrap();
    write_v1(&folder.path().join("train"), &segment());
    let rename = BTreeMap::from([("vehicle".to_owned(), "car".to_owned())]);
    let dataset = WaymoDataset::open(folder.path(), "train", rename, WaymoSettings::default()).unwrap();
    let frame = dataset.load_frame(1).unwrap();
    assert_eq!((frame.context_name.as_str(), frame.timestamp_micros), (SEGMENT, 1_557_325_000_100_000));
    let levels: Vec<u8> = frame.labels.iter().map(|l| l.difficulty).collect();
    assert_eq!(levels, [0, 2, 1]);
    let objects = dataset.load(1).unwrap().objects;
    let names: Vec<&str> = objects.iter().map(|o| o.class_name.as_str()).collect();
    assert_eq!(names, ["car", "pedestrian", "cyclist"]);
    let counts: Vec<u32> = objects.iter().map(|o| o.n_points).collect();
    assert_eq!(counts, [7, 14, 28]);
    let close = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-5;
    let car = &objects[0];
    assert!(close(car.bbox.center[0], 11.0) && close(car.bbox.center[1], -1.0) && close(car.bbox.yaw, 3.0));
    assert!(close(car.bbox.size[0], 4.5) && close(car.bbox.size[1], 1.9) && close(car.bbox.size[2], 1.6));
    // The vehicle is turned by 0.3, so that what moves along (3, 4) in the world moves so along the vehicle's axes.
    let (s, c) = 0.3_f64.sin_cos();
    assert!(close(car.velocity[0], 3.0 * c + 4.0 * s) && close(car.velocity[1], 4.0 * c - 3.0 * s));
    assert!(objects[1].velocity.iter().all(|v| close(*v, 0.0)));
}

#[test]
fn frames_of_version_2_stand_in_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut frames = segment();
    frames.reverse();
    write_v2(&folder.path().join("train"), &frames, 2);
    let dataset = open(folder.path(), "train", WaymoSettings::default());
    let times = [0, 1].map(|idx| dataset.load_frame(idx).unwrap().timestamp_micros);
    assert!(times[0] < times[1], "{times:?}");
}
