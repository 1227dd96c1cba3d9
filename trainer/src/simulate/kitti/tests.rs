use super::camera::IMAGE_SIZE;
use super::frame::observe;
use super::{Calibration, label_line};
use crate::simulate::drive::{Drive, DriveOptions};
use crate::simulate::sensor::Sensor;
use crate::simulate::tests::options;
use glam::{Mat3, Vec3};
use std::collections::BTreeSet;
use std::f32::consts::{FRAC_PI_2, TAU};

#[test]
fn sweeps_are_finite_in_range_and_ordered_in_rings() {
    let sensor = Sensor::load("hdl64e").unwrap();
    for scene_idx in 0..3 {
        let drive = Drive::build(4, scene_idx, &options(2.0));
        let frame = observe(&drive, &sensor, 1.0, &Calibration::new());
        assert!((55_000..135_000).contains(&frame.points.len()), "{} returns", frame.points.len());
        let mut n_wraps = 0;
        let mut last = 0.0f32;
        for [x, y, z, intensity] in &frame.points {
            let range = Vec3::new(*x, *y, *z).length();
            assert!((0.9..80.5).contains(&range), "a return at {range} m");
            assert!((0.0..=0.99).contains(intensity));
            let hundredths = intensity * 100.0;
            assert!((hundredths - hundredths.round()).abs() < 1e-3, "intensity {intensity}");
            let azimuth = libm::atan2f(*y, *x).rem_euclid(TAU);
            n_wraps += usize::from(azimuth + 3.0 < last);
            last = azimuth;
        }
        assert!((60..=68).contains(&(n_wraps + 1)), "{} rings", n_wraps + 1);
        let ground = frame
            .points
            .iter()
            .filter(|p| (p[2] + 1.73).abs() < 0.3 && Vec3::new(p[0], p[1], 0.0).length() < 15.0);
        assert!(ground.count() > 10_000, "hardly any ground at 1.73 m below the sensor");
    }
}

#[test]
fn returns_of_a_thing_lie_in_its_box_and_the_count_is_that_of_the_box() {
    let sensor = Sensor::load("hdl64e").unwrap();
    let still = DriveOptions { distortion: crate::simulate::drive::Distortion::Frozen, ..options(2.0) };
    let (mut n_boxes, mut n_in, mut n_own) = (0, 0.0, 0.0);
    for scene_idx in 0..4 {
        let drive = Drive::build(8, scene_idx, &still);
        for object in observe(&drive, &sensor, 1.0, &Calibration::new()).objects {
            if object.n_points < 30 {
                continue;
            }
            let frame = observe(&drive, &sensor, 1.0, &Calibration::new());
            let (sin, cos) = (libm::sinf(object.yaw), libm::cosf(object.yaw));
            let inside = frame.points.iter().filter(|p| {
                let d = Vec3::new(p[0], p[1], p[2]) - Vec3::from_array(object.center);
                let local = Vec3::new(cos * d.x + sin * d.y, cos * d.y - sin * d.x, d.z);
                local.abs().cmple(Vec3::from_array(object.size_lwh) * 0.5 + 0.02).all()
            });
            n_boxes += 1;
            n_in += inside.count() as f32;
            n_own += object.n_points as f32;
            if n_boxes > 40 {
                break;
            }
        }
    }
    assert!(n_boxes > 20, "only {n_boxes} boxes to check");
    // Mirrors stand out of boxes, and noise carries some returns over an edge; feet of boxes hold some ground.
    assert!((0.9..1.15).contains(&(n_in / n_own)), "{n_in} points in boxes, {n_own} of their things");
}

/// The numbers of a line of a KITTI calibration file.
fn calibration_row(text: &str, name: &str) -> Vec<f32> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().map(|v| v.parse().unwrap()).collect()
}

#[test]
fn labels_return_to_the_lidar_frame_through_the_written_calibration() {
    let calibration = Calibration::new();
    let text = calibration.to_kitti();
    let rectify = Mat3::from_cols_slice(&calibration_row(&text, "R0_rect")).transpose();
    let tr = calibration_row(&text, "Tr_velo_to_cam");
    let rotation = Mat3::from_cols_array(&[tr[0], tr[4], tr[8], tr[1], tr[5], tr[9], tr[2], tr[6], tr[10]]);
    let translation = Vec3::new(tr[3], tr[7], tr[11]);
    let p2 = calibration_row(&text, "P2");
    let mut n_checked = 0;
    let sensor = Sensor::load("hdl64e").unwrap();
    for scene_idx in 0..4 {
        let drive = Drive::build(21, scene_idx, &options(3.0));
        for object in observe(&drive, &sensor, 1.5, &calibration).objects {
            let Some(line) = label_line(&object, &calibration) else { continue };
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(fields.len(), 15, "{line}");
            let v: Vec<f32> = fields[1..].iter().map(|field| field.parse().unwrap()).collect();
            let (h, location, rotation_y) = (v[7], Vec3::new(v[10], v[11], v[12]), v[13]);
            let rectified = rectify.inverse() * location;
            let mut center = rotation.inverse() * (rectified - translation);
            center.z += h * 0.5;
            assert!(center.distance(Vec3::from_array(object.center)) < 0.03, "{line} against {object:?}");
            let turn = (-rotation_y - FRAC_PI_2 - object.yaw).rem_euclid(TAU);
            assert!(turn.min(TAU - turn) < 0.01, "{line} against {object:?}");
            // The box in the image holds the projected middle of an object that is not cut off.
            let middle = location - Vec3::Y * (h * 0.5);
            let u = (p2[0] * middle.x + p2[2] * middle.z + p2[3]) / middle.z;
            if object.truncation < 0.01 {
                assert!(u > v[3] && u < v[5], "{line}: column {u}");
            }
            assert!(v[3] >= 0.0 && v[5] <= IMAGE_SIZE[0] && v[4] >= 0.0 && v[6] <= IMAGE_SIZE[1]);
            n_checked += 1;
        }
    }
    assert!(n_checked > 10, "only {n_checked} labels to check");
}

#[test]
fn a_box_across_the_edge_of_the_image_is_truncated() {
    let calibration = Calibration::new();
    let size = Vec3::new(4.0, 1.6, 1.5);
    let (whole, none_cut) = calibration.image_box(Vec3::new(20.0, 0.0, -1.0), size, 0.0).unwrap();
    assert!(none_cut < 0.01 && whole[0] > 500.0 && whole[2] < 740.0, "{whole:?} {none_cut}");
    let (cut, share) = calibration.image_box(Vec3::new(6.0, 5.0, -1.0), size, 0.0).unwrap();
    assert!(share > 0.2 && cut[0].abs() < 1e-3, "{cut:?} {share}");
    assert!(calibration.image_box(Vec3::new(-10.0, 0.0, -1.0), size, 0.0).is_none());
}

#[test]
fn classes_of_the_benchmark_appear() {
    let sensor = Sensor::load("hdl64e").unwrap();
    let seen: BTreeSet<&str> = (0..6)
        .flat_map(|scene_idx| {
            let drive = Drive::build(2, scene_idx, &options(2.0));
            observe(&drive, &sensor, 1.0, &Calibration::new()).objects.into_iter().map(|o| o.class_name)
        })
        .collect();
    for class_name in ["Car", "Van", "Truck", "Pedestrian", "Cyclist"] {
        assert!(seen.contains(class_name), "no {class_name} in {seen:?}");
    }
}
