//! Tests of folders of one frame.

#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use crate::{Convention, Motion, Moved};
use pilotis_spec::Point;
use std::fs;
use std::sync::Arc;

const BOXES: &str = r#"{
    "categories": {"vehicle.car": 0, "human.pedestrian.adult": 1},
    "lidar_path": "sweep.pcd.bin",
    "num_pts_feats": 5,
    "instances": [
        {"bbox_3d": [2, 10, -1, 4, 2, 1.5, 1.5], "bbox_label_3d": 0, "num_lidar_pts": 7, "velocity": [0, 3]},
        {"bbox_3d": [2, 10, -1, 4, 2, 1.5, 1.5], "bbox_label_3d": 1, "num_lidar_pts": null, "velocity": [null, null]},
        {"bbox_3d": [50, 0, 0, 1, 1, 1, -3], "bbox_label_3d": -1, "num_lidar_pts": 0, "velocity": null}
    ]
}"#;

fn folder(boxes: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(BOXES_FILE), boxes).unwrap();
    let values: [f32; 10] = [2.0, 11.0, -1.0, 51.0, 7.0, -30.0, 4.0, 0.5, 255.0, 8.0];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(folder.path().join("sweep.pcd.bin"), bytes).unwrap();
    folder
}

fn open(folder: &tempfile::TempDir) -> FrameFolder {
    FrameFolder::open(folder.path(), BTreeMap::new()).unwrap()
}

#[test]
fn a_frame_is_given_as_it_was_recorded() {
    let folder = folder(BOXES);
    assert!(FrameFolder::is_at(folder.path()) && !FrameFolder::is_at(&folder.path().join("none")));
    let dataset = open(&folder);
    assert_eq!((dataset.n_samples(), dataset.name(0), dataset.name(1)), (1, "sweep", ""));
    let sample = dataset.load(0).unwrap();
    assert_eq!(sample.points[0], Point { x: 2.0, y: 11.0, z: -1.0, intensity: 51.0, time_lag: 0.0 });
    assert_eq!((sample.points.len(), sample.points[1].intensity), (2, 255.0));
    let names: Vec<&str> = sample.objects.iter().map(|o| o.class_name.as_str()).collect();
    assert_eq!(names, ["car", "pedestrian", "other"]);
    let car = &sample.objects[0];
    assert_eq!(car.bbox, Box3d { center: [2.0, 10.0, -1.0], size: [4.0, 2.0, 1.5], yaw: 1.5 });
    assert_eq!((car.velocity, car.n_points), ([0.0, 3.0], 7));
    // What is not known is counted, or zero.
    assert_eq!((sample.objects[1].n_points, sample.objects[1].velocity), (1, [0.0; 2]));
    assert!(dataset.load(1).unwrap_err().to_string().contains("no sample 1"));
}

/// With x ahead, and intensities up to 1.
fn ahead(folder: FrameFolder) -> Moved<FrameFolder> {
    let intensity_factor = 1.0 / Convention::NUSCENES.intensity_full_scale;
    let motion = Motion { turn_rad: TO_X_AHEAD_RAD, intensity_factor, ..Motion::default() };
    Moved { dataset: Arc::new(folder), motion }
}

#[test]
fn points_boxes_and_velocities_turn_together_and_intensities_are_scaled() {
    let folder = folder(BOXES);
    let sample = ahead(open(&folder)).load(0).unwrap();
    // What was 10 m ahead along y and 2 m to the right is ahead along x and at y = -2.
    let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
    let point = &sample.points[0];
    assert!(close(point.x, 11.0) && close(point.y, -2.0) && point.z == -1.0, "{point:?}");
    assert!(close(point.intensity, 0.2) && close(sample.points[1].intensity, 1.0));
    let car = &sample.objects[0];
    assert!(close(car.bbox.center[0], 10.0) && close(car.bbox.center[1], -2.0), "{car:?}");
    assert!(close(car.bbox.yaw, 1.5 - FRAC_PI_2) && car.bbox.size == [4.0, 2.0, 1.5]);
    assert!(close(car.velocity[0], 3.0) && close(car.velocity[1], 0.0));
    assert_eq!(sample.objects[1].n_points, 1);
    // -3 - pi/2 is past -pi.
    let yaw = sample.objects[2].bbox.yaw;
    assert!(close(yaw, 1.5 * std::f32::consts::PI - 3.0), "{yaw}");
}

#[test]
fn categories_have_the_names_of_classes() {
    for (category, name) in [
        ("car", "car"),
        ("vehicle.car", "car"),
        ("vehicle.bus.bendy", "bus"),
        ("vehicle.construction", "construction_vehicle"),
        ("vehicle.bicycle", "cyclist"),
        ("bicycle", "cyclist"),
        ("human.pedestrian.police_officer", "pedestrian"),
        ("movable_object.barrier", "barrier"),
        ("Traffic_Cone", "traffic_cone"),
    ] {
        assert_eq!(class_name(category), name, "{category}");
    }
    let folder = folder(BOXES);
    let rename = BTreeMap::from([("pedestrian".to_owned(), "person".to_owned())]);
    let sample = FrameFolder::open(folder.path(), rename).unwrap().load(0).unwrap();
    assert_eq!(sample.objects[1].class_name, "person");
}

#[test]
fn broken_folders_are_errors_that_name_the_file() {
    let fails = |boxes: &str, said: &str| {
        let folder = folder(boxes);
        let error = FrameFolder::open(folder.path(), BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains(BOXES_FILE) && error.contains(said), "`{said}` is not in `{error}`");
    };
    fails("{", "EOF");
    fails(&BOXES.replace("\"sweep", "\"../sweep"), "no name of a file");
    fails(&BOXES.replace("4, 2, 1.5, 1.5]", "4, 0, 1.5, 1.5]"), "instance 0");
    fails(&BOXES.replace("[50, 0, 0,", "[1e60, 0, 0,"), "instance 2");
    let folder = folder(BOXES);
    fs::write(folder.path().join("sweep.pcd.bin"), [0; 30]).unwrap();
    let error = open(&folder).load(0).unwrap_err().to_string();
    assert!(error.contains("30 bytes") && error.contains("20-byte"), "{error}");
}

#[test]
fn a_real_frame_has_the_points_that_its_source_counted() {
    let Some(data) = std::env::var_os("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return;
    };
    let dataset = FrameFolder::open(&Path::new(&data).join("nuscenes_frame"), BTreeMap::new()).unwrap();
    let sample = dataset.load(0).unwrap();
    assert_eq!((sample.points.len(), sample.objects.len()), (34_688, 69));
    let n_cars = sample.objects.iter().filter(|o| o.class_name == "car").count();
    assert_eq!(n_cars, 8);
    let is_exact = |o: &&GroundTruth| points_in_box(&sample.points, &o.bbox) == o.n_points;
    // Not all: the source knows pitch and roll, and its boxes were not rounded.
    assert_eq!(sample.objects.iter().filter(is_exact).count(), 61);
    // Turned, the boxes hold the same points; a few stand on a face.
    let turned = ahead(dataset).load(0).unwrap();
    for (a, b) in sample.objects.iter().zip(&turned.objects) {
        let [a, b] = [(&sample, a), (&turned, b)].map(|(s, o)| points_in_box(&s.points, &o.bbox));
        assert!(a.abs_diff(b) <= 1, "{a} and {b}");
    }
}
