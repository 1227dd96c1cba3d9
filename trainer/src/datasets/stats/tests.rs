#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::collect::{Axis, DatasetStats, FrameStats, MEASURES, Measure, count};
use super::compare::{Comparison, total_variation, wasserstein};
use super::source::Cloud;
use super::summary::Summary;
use super::*;
use crate::datasets::{DatasetError, GroundTruth};
use pilotis_spec::{Box3d, Point};
use std::f32::consts::TAU;

fn at(x: f32, y: f32, z: f32, intensity: f32) -> Point {
    Point { x, y, z, intensity, time_lag: 0.0 }
}

fn object(class_name: &str, center: [f32; 3], size: [f32; 3]) -> GroundTruth {
    let bbox = Box3d { center, size, yaw: 0.0 };
    GroundTruth { class_name: class_name.to_owned(), bbox, ..GroundTruth::default() }
}

fn bins_of(frame: &FrameStats, measure: Measure) -> Vec<(usize, u64)> {
    let idx = MEASURES.iter().position(|m| *m == measure).unwrap();
    frame.histograms[idx].iter().copied().enumerate().filter(|(_, n)| *n > 0).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Frames of full turns with labels all around: two near points and one in a car, the car further each frame.
    fn kitti(n_frames: usize) -> Self {
        let folder = Self::new();
        let mut names = String::new();
        for idx in 0..n_frames {
            let x = 10.0 + idx as f32;
            names.push_str(&format!("{idx:06}\n"));
            let points: [[f32; 4]; 4] =
                [[x, 0.0, -0.5, 0.5], [5.0, 5.0, -1.65, 0.0], [0.2, 0.3, 0.0, 0.9], [f32::NAN; 4]];
            let bytes: Vec<u8> = points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
            folder.write(&format!("training/velodyne/{idx:06}.bin"), bytes);
            let label = format!("Car {x} 0 -0.5 4 2 1.5 0 9\nVan -30 0 0 5 2 2 0 1\n");
            folder.write(&format!("training/label_velo/{idx:06}.txt"), label);
        }
        folder.write("ImageSets/all.txt", names);
        folder
    }

    fn args(&self) -> StatsArgs {
        StatsArgs {
            dataset: self.path().to_owned(),
            against: None,
            split: None,
            against_split: None,
            frames: None,
            view: ViewChoice::Auto,
            kind: None,
            against_kind: None,
            sensor: None,
            out: self.path().join("out"),
            json: None,
        }
    }
}

fn said(result: anyhow::Result<Comparison>) -> String {
    format!("{:#}", result.expect_err("it was accepted"))
}

#[test]
fn points_fall_into_the_bins_that_hand_and_eye_find() {
    let cloud = Cloud {
        points: vec![
            at(6.0, 8.0, 0.0, 51.0), // 10 m: bin 5; a fifth of full scale: bin 5; height 0: bin 20
            at(6.0, 8.0, -1.65, 255.0), // on the ground
            at(0.0, 300.0, 90.0, 0.0), // beyond both axes, dark
        ],
        objects: vec![
            object("car", [6.0, 8.0, 0.0], [4.0, 2.0, 1.0]),
            object("bus", [40.0, 30.0, 0.0], [9.0, 3.0, 3.0]),
        ],
        ..Cloud::default()
    };
    let frame = count(&cloud, 255.0, 32);
    assert_eq!(bins_of(&frame, Measure::Range), [(5, 2), (49, 1)]);
    assert_eq!(bins_of(&frame, Measure::Height), [(11, 1), (20, 1), (44, 1)]);
    assert_eq!(bins_of(&frame, Measure::Intensity), [(0, 1), (5, 1), (24, 1)]);
    assert_eq!(bins_of(&frame, Measure::IntensityGround), [(24, 1)]);
    assert_eq!(bins_of(&frame, Measure::IntensityAbove), [(5, 1)]);
    assert_eq!(bins_of(&frame, Measure::IntensityBoxes), [(5, 1)]);
    assert_eq!((frame.n_points, frame.n_dark, frame.n_in_boxes), (3, 1, 1));
    assert!((frame.sums[2] - 1.2).abs() < 1e-6, "{:?}", frame.sums);
    let boxes: Vec<_> =
        frame.boxes.iter().map(|b| (b.class_name.as_str(), b.distance_m, b.n_points)).collect();
    assert_eq!(boxes, [("car", 10.0, 1), ("bus", 50.0, 0)]);
}

#[test]
fn hundredths_begin_the_bin_that_they_name() {
    let axis = Measure::Intensity.axis();
    for hundredths in 0..100_u8 {
        let value = f64::from(f32::from(hundredths) / 100.0);
        assert_eq!(axis.bin(value), usize::from(hundredths / 4), "{hundredths}");
    }
    let axis = Axis { start: -1.0, width: 0.5, n_bins: 4 };
    assert_eq!([-9.0, -1.0, -0.51, 0.0, 0.99, 9.0].map(|v| axis.bin(v)), [0, 0, 0, 2, 3, 3]);
}

#[test]
fn distances_have_the_values_of_their_definitions() {
    let (a, b) = ([0.5, 0.5, 0.0], [0.0, 0.5, 0.5]);
    assert_eq!(total_variation(&a, &b), 0.5);
    // Half of the points move by two bins of 3.
    assert_eq!((wasserstein(&a, &b, 3.0), wasserstein(&b, &a, 3.0)), (3.0, 3.0));
    assert_eq!((total_variation(&a, &a), wasserstein(&a, &a, 3.0)), (0.0, 0.0));
    assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
}

/// Frames with one car each, of these points and lengths, 15 m away.
fn cars(name: &str, points: &[u32], lengths: &[f64]) -> DatasetStats {
    let frame = |(n_points, length): (&u32, &f64)| FrameStats {
        boxes: vec![collect::BoxStats {
            class_name: "car".to_owned(),
            distance_m: 15.0,
            n_points: *n_points,
            size_m: [*length, 2.0, 1.5],
        }],
        ..count(&Cloud::default(), 1.0, 64)
    };
    DatasetStats { name: name.to_owned(), frames: points.iter().zip(lengths).map(frame).collect() }
}

#[test]
fn points_per_box_and_sizes_compare_by_medians_and_sigmas() {
    let lengths: Vec<f64> = (0..10).map(|k| if k % 2 == 0 { 3.0 } else { 5.0 }).collect();
    let longer: Vec<f64> = lengths.iter().map(|l| l + 1.0).collect();
    let a = cars("a", &[0, 8, 8, 8, 8, 8, 8, 8, 8, 8], &longer);
    let b = cars("b", &[1, 2, 3, 4, 5, 5, 6, 7, 8, 900], &lengths);
    let enough = cars("a", &[8; 10], &longer);
    let ratio = |c: &Comparison| c.difference.as_ref().unwrap().classes[0].points_ratio[1];
    // A box without a point says nothing about points per box; nine are too few.
    assert_eq!(ratio(&Comparison::of(View::Whole, Vec::new(), &a, Some(&b))), None);
    let compared = Comparison::of(View::Whole, Vec::new(), &enough, Some(&b));
    assert_eq!(ratio(&compared), Some(8.0 / 5.0));
    // Lengths of 3 and 5 in equal number: a variance of 10 / 9, for both.
    let sigmas = compared.difference.unwrap().classes[0].size_sigmas;
    assert!((sigmas[0].unwrap() - 1.0 / (10.0_f64 / 9.0).sqrt()).abs() < 1e-12, "{sigmas:?}");
    assert_eq!(sigmas[1..], [None, None], "sizes that do not vary have no sigma");
    let band = Summary::of(&b).classes[0].points_per_box[1];
    assert_eq!((band.n_boxes, band.q25, band.median, band.q75, band.mean), (10, 3.25, 5.0, 6.75, 94.1));
    assert_eq!(Summary::of(&a).n_boxes_without_points, 1);
}

#[test]
fn too_few_points_are_marked_and_not_compared() {
    let few = DatasetStats { name: "few".to_owned(), frames: vec![count(&Cloud::default(), 1.0, 64); 4] };
    let compared = Comparison::of(View::Whole, Vec::new(), &few, Some(&few));
    assert!(compared.difference.as_ref().unwrap().histograms.iter().all(|h| h.distance.is_none()));
    assert!(report::text(&compared).contains("too few"));
}

/// A turn of a scanner, ring by ring, as KITTI stores it: cones, with lasers at the heights of the HDL-64E.
fn turn(n_columns: usize) -> (Vec<Point>, Vec<u8>) {
    let mut points = Vec::new();
    let mut rings = Vec::new();
    for ring in 0..64_u8 {
        let k = f32::from(ring);
        let (degrees, rise) =
            if ring < 32 { (1.9 - 0.342 * k, 0.2) } else { (-9.1 - 0.51 * (k - 32.0), 0.12) };
        for column in 0..n_columns {
            let azimuth = TAU * (column as f32 + 0.5) / n_columns as f32;
            let distance = 12.0 + 3.0 * (7.0 * azimuth).sin();
            let z = rise + distance * degrees.to_radians().tan();
            points.push(at(distance * azimuth.cos(), distance * azimuth.sin(), z, 0.0));
            rings.push(ring);
        }
    }
    (points, rings)
}

#[test]
fn rings_of_a_turn_and_of_a_crop_are_found() {
    let (points, expected) = turn(720);
    // Not `assert_eq`, which would print every point.
    assert!(rings::infer(&points, Sensor::Hdl64e).as_ref() == Some(&expected));
    assert_eq!(rings::columns(&points, &expected), Some(720));
    // What a camera ahead sees: 40 degrees to both sides, and not all rings.
    for visible in [0..46, 7..46, 20..64] {
        let seen = |(p, ring): &(&Point, &u8)| p.y.abs() < p.x * 0.84 && visible.contains(*ring);
        let (cropped, rings): (Vec<Point>, Vec<u8>) = points.iter().zip(&expected).filter(seen).unzip();
        assert!(rings::infer(&cropped, Sensor::Hdl64e) == Some(rings), "{visible:?}");
    }
    // Points in other orders have no rings: one that goes back slowly, over all rings, and one that jumps.
    for step in [7919, 7001] {
        let mixed: Vec<Point> = (0..points.len()).map(|k| points[k * step % points.len()]).collect();
        assert!(rings::infer(&mixed, Sensor::Hdl64e).is_none(), "{step}");
    }
    assert!(rings::infer(&[], Sensor::Hdl64e).is_none());
}

#[test]
fn a_folder_in_kittis_layout_is_counted() {
    let folder = Folder::kitti(3);
    let found = compare(&folder.args()).unwrap();
    assert_eq!(found.view, View::Whole);
    let s = found.first;
    assert_eq!((s.n_frames, s.points.min, s.points.median, s.points.max), (3, 2, 2.0, 2));
    // The record at 0.2, 0.3 is the own car's; that of NaN is counted aside.
    assert_eq!((s.n_not_finite, s.own_car_per_frame), (3, 1.0));
    assert_eq!((s.dark_share, s.in_box_share, s.histograms[2].mean), (0.5, 0.5, 0.25));
    assert_eq!((s.n_boxes, s.n_boxes_without_points, s.n_frames_without_boxes), (6, 3, 0));
    let car = &s.classes[0];
    assert_eq!((car.class_name.as_str(), car.per_frame, car.size_mean_m), ("car", 1.0, [4.0, 2.0, 1.5]));
    assert_eq!((car.points_per_box[1].n_boxes, car.points_per_box[1].median), (3, 1.0));
}

#[test]
fn a_turn_beside_a_crop_is_cropped_as_well() {
    let cropped = Folder::new();
    let calibration = "P2: 700 0 600 0 0 700 180 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\n\
        Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n";
    let points: Vec<u8> = [20.3_f32, -2.0, -1.0, 0.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let label =
        "Car 0 0 0 500 100 700 200 1.5 1.6 4 2 1.7 20 0.3\nDontCare -1 -1 0 1 1 2 2 -1 -1 -1 -9 -9 -9 0";
    cropped.write("ImageSets/all.txt", "7").write("training/calib/7.txt", calibration);
    cropped.write("training/label_2/7.txt", label).write("training/velodyne_reduced/7.bin", points);
    // Ahead is y here. One point and one box ahead, the others to the right and behind.
    let turn = Folder::new();
    let points: [[f32; 5]; 3] =
        [[0.0, 20.0, 0.0, 9.0, 31.0], [20.0, 0.0, 0.0, 9.0, 31.0], [0.0, -20.0, 0.0, 9.0, 0.0]];
    let boxes = r#"{"categories":{"car":0},"instances":[
        {"bbox_3d":[0,20,0,4,2,1.5,0],"bbox_label_3d":0},{"bbox_3d":[0,-20,0,4,2,1.5,0],"bbox_label_3d":0}]}"#;
    let bytes: Vec<u8> = points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    turn.write("a.pcd.bin", bytes).write("boxes.json", boxes);
    let args = StatsArgs { against: Some(cropped.path().to_owned()), ..turn.args() };
    let found = compare(&args).unwrap();
    assert_eq!(found.view, View::Camera);
    let second = found.second.unwrap();
    assert_eq!((found.first.points.max, found.first.n_boxes), (1, 1));
    assert_eq!((second.points.max, second.n_boxes, second.in_box_share), (1, 1, 1.0));
    let rings = found.first.rings.unwrap();
    assert_eq!((rings.points.len(), rings.points[0]), (32, 1.0), "ring 31 of the file is the highest");
    let alone = StatsArgs { view: ViewChoice::Camera, ..turn.args() };
    assert!(said(compare(&alone)).contains("needs a dataset in KITTI's layout"));
    assert_eq!(compare(&turn.args()).unwrap().first.points.max, 3);
}

#[test]
fn one_frame_of_many_is_the_first() {
    let folder = Folder::kitti(5);
    let found = compare(&StatsArgs { frames: Some(1), ..folder.args() }).unwrap();
    assert_eq!(found.first.n_frames, 1);
    assert_eq!(
        said(compare(&StatsArgs { frames: Some(0), ..folder.args() })),
        "--frames 0: there is nothing to count"
    );
}

#[test]
fn any_number_of_threads_gives_the_same_figures() {
    let folder = Folder::kitti(7);
    let args = StatsArgs { against: Some(folder.path().to_owned()), ..folder.args() };
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| serde_json::to_string(&compare(&args).unwrap()).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn the_report_its_figures_and_its_plots_are_written() {
    let folder = Folder::kitti(3);
    let json = folder.path().join("figures.json");
    let against = Some(folder.path().to_owned());
    run(&StatsArgs { against, json: Some(json.clone()), ..folder.args() }).unwrap();
    let out = folder.path().join("out");
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    for part in ["## Overview", "## Distances", "## Points per box", "## Class sizes", "too few", "range.svg"]
    {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    let figures: serde_json::Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(figures["first"]["n_frames"], 3);
    assert_eq!(figures["difference"]["classes"][0]["class_name"], "car");
    let range = fs::read_to_string(out.join("range.svg")).unwrap();
    assert!(range.starts_with("<svg") && range.trim_end().ends_with("</svg>"));
    assert_eq!(range.matches("<polyline").count(), 2, "one line a side");
    assert_eq!(range.matches('<').count(), range.matches('>').count());
}

#[test]
fn what_cannot_be_read_says_what_and_where() {
    let folder = Folder::kitti(1);
    let args = |path: &str| StatsArgs { dataset: folder.path().join(path), ..folder.args() };
    assert!(said(compare(&args("nowhere"))).contains("nowhere`: is no folder"));
    assert!(said(compare(&args("training"))).contains("is no dataset"));
    let split = StatsArgs { split: Some("val".to_owned()), ..folder.args() };
    assert!(said(compare(&split)).contains("val.txt`: is not there"), "{}", said(compare(&split)));
    folder.write("ImageSets/empty.txt", "\n");
    let split = StatsArgs { split: Some("empty".to_owned()), ..folder.args() };
    assert!(said(compare(&split)).contains("names no frame"));
    let unused = StatsArgs { against_split: Some("all".to_owned()), ..folder.args() };
    assert!(said(compare(&unused)).contains("need `--against`"));
    folder.write("training/velodyne/000000.bin", [0; 17]);
    let error = compare(&folder.args()).unwrap_err();
    assert!(error.downcast_ref::<DatasetError>().is_some());
    assert!(error.to_string().contains("000000.bin`: 17 bytes"), "{error}");
    folder.write("boxes.json", "{}").write("a.pcd.bin", "");
    assert!(said(compare(&folder.args())).contains("--kind"));
}

/// The test data, or why there is none.
fn real(folder: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return None;
    };
    Some(Path::new(&data).join(folder))
}

#[test]
fn real_kitti_frames_have_the_points_and_rings_they_are_known_to_have() {
    let Some(root) = real("kitti") else { return };
    let args = StatsArgs { dataset: root, ..Folder::new().args() };
    let camera = compare(&args).unwrap();
    assert_eq!(camera.view, View::Camera);
    let s = &camera.first;
    assert_eq!((s.n_frames, s.points.min, s.points.max, s.n_not_finite), (23, 17_199, 20_676, 0));
    // The image's lower edge cuts below ring 45 in every frame.
    let rings = s.rings.as_ref().unwrap();
    assert_eq!(rings.n_frames, 23);
    assert!(rings.points[..46].iter().all(|n| *n > 100.0) && rings.points[46..].iter().all(|n| *n == 0.0));
    let whole = compare(&StatsArgs { view: ViewChoice::Whole, ..args }).unwrap();
    let rings = whole.first.rings.unwrap();
    assert_eq!((whole.first.n_frames, rings.n_frames), (3, 3));
    assert!(rings.points.iter().all(|n| (1000.0..2200.0).contains(n)), "{:?}", rings.points);
}

#[test]
fn rings_of_a_cropped_real_frame_are_those_of_its_whole_turn() {
    let Some(root) = real("kitti") else { return };
    let read = |folder: &str, name: &str| {
        crate::datasets::read_xyzi(&root.join(format!("training/{folder}/{name}.bin"))).unwrap()
    };
    for name in ["000000", "000001", "000002"] {
        let (whole, cropped) = (read("velodyne", name), read("velodyne_reduced", name));
        let of_whole = rings::infer(&whole, Sensor::Hdl64e).unwrap();
        let of_cropped = rings::infer(&cropped, Sensor::Hdl64e).unwrap();
        // The crop keeps order, so its points are met one after the other.
        let mut remaining = whole.iter().zip(&of_whole);
        for (point, ring) in cropped.iter().zip(&of_cropped) {
            let found = remaining.find(|(p, _)| *p == point).unwrap();
            assert_eq!(found.1, ring, "{name}: {point:?}");
        }
    }
}
