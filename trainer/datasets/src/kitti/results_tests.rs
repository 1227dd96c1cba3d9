use super::super::tests::{CALIBRATION, real};
use super::super::{Camera, IMAGE_SIZE_PX, KittiDataset, View, read_calibration, read_labels};
use super::*;
use crate::{Dataset, read_xyzi};
use pilotis_spec::Box3d;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// KITTI's calibration of a day with 1224 x 370 pixels, rounded: every matrix differs from the identity.
const TILTED: &str = "P0: 707.0493 0 604.0814 0 0 707.0493 180.5066 0 0 0 1 0\n\
    P2: 707.0493 0 604.0814 45.75831 0 707.0493 180.5066 -0.3454157 0 0 1 0.004981016\n\
    R0_rect: 0.9999128 0.01009263 -0.008511932 -0.01012729 0.9999406 -0.004037671 0.008470675 0.004123522 0.9999556\n\
    Tr_velo_to_cam: 0.006927964 -0.9999722 -0.002757829 -0.02457729 -0.001162982 0.002749836 -0.9999955 -0.06127237 0.9999753 0.006931141 -0.001143899 -0.3321029\n";

fn tilted() -> Calibration {
    Calibration::parse(TILTED).unwrap()
}

fn classes() -> Vec<String> {
    ["car", "pedestrian", "person_sitting"].map(String::from).to_vec()
}

fn difference_of_angles(a: f64, b: f64) -> f64 {
    let turned = (a - b).rem_euclid(TAU);
    turned.min(TAU - turned)
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The label that a box of a label makes.
fn back(label: &LabelLine, calibration: &Calibration) -> LabelLine {
    let bbox = LidarBox::of(label, calibration);
    let [l, w, h] = bbox.size;
    LabelLine {
        alpha_rad: bbox.alpha_rad(calibration),
        size_hwl: [h, w, l],
        location: bbox.location(calibration),
        rotation_y: bbox.rotation_y(),
        ..label.clone()
    }
}

#[test]
fn a_label_becomes_a_box_and_the_same_label_again() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let calibration = tilted();
    for _ in 0..2000 {
        let mut draw = |low: f64, high: f64| rng.random_range(low..high);
        let label = LabelLine {
            class_name: "Car".into(),
            truncation: 0.0,
            occlusion: 0,
            alpha_rad: 0.0,
            image_box: [1.0, 2.0, 3.0, 4.0],
            size_hwl: [draw(0.5, 4.0), draw(0.4, 3.0), draw(0.4, 12.0)],
            location: [draw(-40.0, 40.0), draw(-1.0, 4.0), draw(0.5, 80.0)],
            rotation_y: draw(-PI, PI),
            score: None,
        };
        let again = back(&label, &calibration);
        assert!(largest(&label.location, &again.location) < 1e-6, "{label:?} became {again:?}");
        assert!(largest(&label.size_hwl, &again.size_hwl) < 1e-6);
        assert!(difference_of_angles(label.rotation_y, again.rotation_y) < 1e-6);
        let sight = libm::atan2(label.location[0], label.location[2]);
        assert!(difference_of_angles(again.alpha_rad, label.rotation_y - sight) < 1e-6);
        // Through the text, to the last digit that it keeps.
        let read = LabelLine::parse(&label.to_string()).unwrap();
        assert!(largest(&label.location, &read.location) <= 5.1e-7 && read.score.is_none());
        // Through the runtime's single precision, at 90 m: four steps of 7.6e-6 m.
        let single = LidarBox::from(&LidarBox::of(&label, &calibration).rounded());
        assert!(largest(&single.location(&calibration), &label.location) < 3.1e-5);
    }
}

#[test]
fn a_line_has_sixteen_fields_and_reads_as_what_it_was() {
    let calibration = Calibration::parse(CALIBRATION).unwrap();
    // 20.3 m ahead of the LiDAR is 20 m ahead of the camera; the front faces away from it.
    let bbox = Box3d { center: [20.3, 0.0, -0.85], size: [4.0, 2.0, 1.5], yaw: 0.0 };
    let score = 0.123_456_79_f32;
    let detection = Detection { bbox, score, class_idx: 0, ..Detection::default() };
    let written = result_lines(&[detection], &classes(), &calibration, IMAGE_SIZE_PX);
    let [line] = written.lines.as_slice() else { panic!("{written:?}") };
    let text = line.to_string();
    assert_eq!(text.split(' ').count(), 16, "{text}");
    assert!(text.starts_with("Car -1 -1 -1.570796 "), "{text}");
    let read = LabelLine::parse(&text).unwrap();
    assert!(read.score.is_some_and(|s| (s as f32).to_bits() == score.to_bits()), "{text}");
    assert_eq!((read.occlusion, read.class_name.as_str()), (-1, "Car"));
    assert!(largest(&read.location, &[0.0, 1.5, 20.0]) < 2e-6, "{read:?}");
    assert!(largest(&read.size_hwl, &[1.5, 2.0, 4.0]) < 1e-6);
    assert!((read.rotation_y + FRAC_PI_2).abs() < 1e-6);
    // The near face, 18 m ahead: one metre to each side, from 0 to 1.5 m below the axis.
    let expected = [600.0 - 700.0 / 18.0, 180.0, 600.0 + 700.0 / 18.0, 180.0 + 700.0 * 1.5 / 18.0];
    assert!(largest(&read.image_box, &expected) < 1e-4, "{:?} is not {expected:?}", read.image_box);
}

#[test]
fn boxes_are_cut_to_the_image_and_those_outside_are_counted() {
    let calibration = Calibration::parse(CALIBRATION).unwrap();
    let at = |x: f32, y: f32, class_idx: u32| Detection {
        bbox: Box3d { center: [x, y, -0.85], size: [4.0, 2.0, 1.5], yaw: 0.0 },
        class_idx,
        ..Detection::default()
    };
    let detections = [
        at(10.0, 8.0, 0),  // over the left edge
        at(1.0, -1.5, 2),  // beside the camera, its rear behind it
        at(-20.0, 0.0, 0), // behind
        at(10.0, 30.0, 0), // far to the left
        at(20.0, 0.0, 9),  // of no class
        at(f32::NAN, 0.0, 0),
    ];
    let written = result_lines(&detections, &classes(), &calibration, IMAGE_SIZE_PX);
    assert_eq!((written.lines.len(), written.n_outside, written.n_nameless), (2, 3, 1));
    let [left, beside] = written.lines.as_slice() else { panic!() };
    assert!(left.image_box[0].abs() < 1e-9 && left.image_box[2] > 50.0, "{left:?}");
    // Ahead 0.7 m, its right and near ends run out of the image to the right and below.
    assert_eq!(beside.class_name, "Person_sitting");
    assert!((beside.image_box[2] - 1241.0).abs() < 1e-9 && (beside.image_box[3] - 374.0).abs() < 1e-9);
    // The left far edge: x = 0.5, z = 2.7 of the camera.
    assert!((beside.image_box[0] - (600.0 + 700.0 * 0.5 / 2.7)).abs() < 1e-3, "{beside:?}");
}

#[test]
fn a_frame_without_boxes_has_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("000003.txt");
    let write = |path: &Path, detections: &[Detection]| {
        write_results(path, detections, &classes(), &tilted(), IMAGE_SIZE_PX)
    };
    write(&path, &[]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"");
    let bbox = Box3d { center: [20.0, 0.0, -0.8], size: [4.0, 2.0, 1.5], yaw: 1.0 };
    let detection = |score| Detection { bbox, score, ..Detection::default() };
    let written = write(&path, &[detection(0.5), detection(0.25)]).unwrap();
    let read = read_labels(&path).unwrap();
    assert_eq!(read.len(), 2);
    for (read, written) in read.iter().zip(&written.lines) {
        assert_eq!(read.to_string(), written.to_string());
    }
    let error = write(&folder.path().join("nowhere/000003.txt"), &[]).unwrap_err();
    assert!(error.to_string().contains("cannot write") && error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn real_labels_come_back_and_their_boxes_lie_where_they_were_drawn() {
    let Some(root) = real() else { return };
    let dataset = KittiDataset::open(&root, "all", BTreeMap::new()).unwrap();
    let (mut n_labels, mut n_regions, mut overlaps) = (0, 0, Vec::new());
    for idx in 0..dataset.n_samples() {
        let frame = dataset.load_frame(idx).unwrap();
        let calibration = frame.calibration.as_ref().unwrap();
        n_regions += frame.dont_care.len();
        assert!(!frame.labels.iter().any(LabelLine::is_dont_care));
        assert_eq!(frame.labels.len(), frame.sample.objects.len());
        for label in &frame.labels {
            n_labels += 1;
            let again = back(label, calibration);
            assert!(largest(&label.location, &again.location) < 1e-6, "{label:?}");
            assert!(difference_of_angles(label.rotation_y, again.rotation_y) < 1e-6);
            // Labels have two decimals each of an angle, another angle and a place.
            let difference = difference_of_angles(label.alpha_rad, again.alpha_rad);
            assert!(difference < 0.03, "{label:?}: {difference}");
            let bbox = LidarBox::of(label, calibration);
            let drawn = image_box(&bbox, calibration, frame.image_size_px).unwrap();
            overlaps.push(overlap(&drawn, &label.image_box));
        }
    }
    assert_eq!((n_labels, n_regions), (75, 25));
    overlaps.sort_by(f64::total_cmp);
    let median = overlaps[overlaps.len() / 2];
    println!(
        "{n_labels} labels; drawn by hand and projected overlap by {median:.3} (least {:.3})",
        overlaps[0]
    );
    assert!(median > 0.85 && overlaps[0] > 0.3, "{overlaps:?}");
}

fn overlap(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let area = |v: &[f64; 4]| (v[2] - v[0]) * (v[3] - v[1]);
    let (w, h) = (a[2].min(b[2]) - a[0].max(b[0]), a[3].min(b[3]) - a[1].max(b[1]));
    let shared = w.max(0.0) * h.max(0.0);
    shared / (area(a) + area(b) - shared)
}

#[test]
fn cropped_real_sweeps_are_the_reduced_ones() {
    let Some(root) = real() else { return };
    let dataset = KittiDataset::open(&root, "all", BTreeMap::new()).unwrap();
    let whole = dataset.clone().viewed(View::Whole);
    let sizes = [[1224.0, 370.0], [1242.0, 375.0], [1242.0, 375.0]];
    for (idx, size) in sizes.iter().enumerate() {
        let mut frame = whole.load_frame(idx).unwrap();
        assert!(frame.sample.points.len() > 110_000, "{} is not whole", frame.sample.name);
        assert!(largest(&frame.image_size_px, size) < 0.5, "{:?}", frame.image_size_px);
        let calibration = frame.calibration.clone().unwrap();
        frame.sample.points.retain(|p| calibration.sees(p, frame.image_size_px));
        let name = &frame.sample.name;
        let reduced = read_xyzi(&root.join(format!("training/velodyne_reduced/{name}.bin"))).unwrap();
        assert_eq!(frame.sample.points.len(), reduced.len(), "{name}");
        assert_eq!(frame.sample.points, reduced, "{name}");
    }
    // Every calibration at hand is of a known day.
    for idx in 0..dataset.n_samples() {
        let path = root.join(format!("training/calib/{}.txt", dataset.name(idx)));
        let calibration = read_calibration(&path).unwrap();
        for camera in [Camera::Gray0, Camera::Gray1, Camera::Color2, Camera::Color3] {
            assert!(calibration.projection(camera).is_some_and(|p| (p[2][2] - 1.0).abs() < 1e-9));
        }
    }
}
