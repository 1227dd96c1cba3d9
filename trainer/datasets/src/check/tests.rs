use super::*;
use crate::Kind;
use crate::nuscenes::fixture::Fixture;
use crate::nuscenes::{SweepStyle, Sweeps};
use crate::waymo::{WaymoFrame, WaymoLabel, fixture};
use pilotis_spec::{Point, PointLayout};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

fn put(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn records(points: &[[f32; 4]]) -> Vec<u8> {
    points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect()
}

/// Five frames with labels all around: two sound ones, and three that are not.
fn kitti() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let two = records(&[[10.0, 0.0, 0.0, 0.5], [10.5, 0.0, 0.0, 0.5], [30.0, 0.0, 0.0, 0.5]]);
    put(root, "training/velodyne/000000.bin", &two);
    put(root, "training/label_velo/000000.txt", "Car 10 0 0 4 2 1.5 0 99\nCar 50 0 0 5 1.8 1.7 1 0\n");
    put(
        root,
        "training/velodyne/000001.bin",
        records(&[[f32::NAN, 0.0, 0.0, 0.5], [1.0, 1.0, 1.0, f32::INFINITY]]),
    );
    put(root, "training/label_velo/000001.txt", "Moose 1 1 1 2 1 2 0 0\n");
    put(root, "training/velodyne/000002.bin", &two[..15]);
    put(root, "training/label_velo/000002.txt", "Car 10 0 0 4 2 1.5 0 2\n");
    put(root, "training/velodyne/000003.bin", b"");
    put(root, "training/label_velo/000003.txt", "Car 10 0 0 4 2 1.5 0 nonsense\n");
    put(root, "training/label_velo/000004.txt", "");
    put(root, "training/velodyne/000005.bin", b"");
    put(root, "training/label_velo/000005.txt", "");
    put(root, "ImageSets/train.txt", "000000\n000009\n");
    put(root, "ImageSets/test.txt", "000777\n");
    folder
}

fn checked(root: &Path) -> Report {
    check(open(root, &OpenOptions::default()).unwrap().as_ref(), &|| {})
}

#[test]
fn broken_samples_are_named_with_their_file_and_what_is_wrong() {
    let folder = kitti();
    let report = checked(folder.path());
    assert!(!report.is_sound());
    assert_eq!((report.n_samples, report.n_broken), (6, 3));
    let faults: Vec<(Option<&str>, &str)> =
        report.faults.iter().map(|f| (f.sample.as_deref(), f.what.as_str())).collect();
    let said = |sample: Option<&str>, words: &[&str]| {
        let is_it =
            |(s, what): &&(Option<&str>, &str)| *s == sample && words.iter().all(|w| what.contains(w));
        assert!(faults.iter().find(is_it).is_some(), "{sample:?} {words:?}: {faults:#?}");
    };
    said(None, &["train.txt", "line 2", "000009"]);
    said(Some("000002"), &["000002.bin", "15"]);
    said(Some("000003"), &["000003.txt", "line 1"]);
    said(Some("000004"), &["000004.bin"]);
    assert!(faults.iter().all(|(_, what)| !what.contains("000777")), "{faults:#?}");
    let text = report.to_string();
    assert!(text.contains("fault: 000003: ") && text.ends_with("3 of 6 samples broken"), "{text}");
}

#[test]
fn points_and_boxes_are_counted_by_class() {
    let folder = kitti();
    let report = checked(folder.path());
    assert_eq!((report.n_points, report.n_points_not_finite), (5, 2));
    assert_eq!(report.samples_with_points_not_finite, ["000001"]);
    assert_eq!(report.samples_without_points, ["000005"]);
    assert_eq!((report.n_objects, report.n_objects_without_points), (3, 2));
    let car = &report.classes["car"];
    assert_eq!((car.n_objects, car.n_without_points, car.is_known), (2, 1, true));
    // 4, 2, 1.5 and 5, 1.8, 1.7.
    for (mean, expected) in car.mean_size_lwh_m.iter().zip([4.5, 1.9, 1.6]) {
        assert!((mean - expected).abs() < 1e-6, "{car:?}");
    }
    for (found, expected) in [(car.min_size_lwh_m, [4.0f32, 1.8, 1.5]), (car.max_size_lwh_m, [5.0, 2.0, 1.7])]
    {
        assert_eq!(found.map(f32::to_bits), expected.map(f32::to_bits));
    }
    // Counted here: the label says 99.
    assert_eq!((car.points_per_box.min, car.points_per_box.max), (0, 2));
    assert!(!report.classes["moose"].is_known);
    assert!(report.to_string().contains("the format does not know"), "{report}");
}

#[test]
fn the_report_is_the_same_for_any_number_of_threads_and_every_sample_is_a_step() {
    let folder = kitti();
    let dataset = open(folder.path(), &OpenOptions::default()).unwrap();
    let steps = AtomicU64::new(0);
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            check(dataset.as_ref(), &|| {
                steps.fetch_add(1, Ordering::Relaxed);
            })
        })
    };
    let one = run(1);
    assert_eq!(run(3), one);
    assert_eq!(steps.into_inner(), 12);
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!(json["classes"]["car"]["points_per_box"]["max"], 2);
    assert_eq!(json["faults"][0]["sample"], serde_json::Value::Null);
}

#[test]
fn a_split_is_looked_at_alone() {
    let folder = kitti();
    put(folder.path(), "ImageSets/train.txt", "000000\n");
    let split =
        |kind, name: &str| OpenOptions { kind, split: Some(name.to_owned()), ..OpenOptions::default() };
    let dataset = open(folder.path(), &split(Some(Kind::Kitti), "train")).unwrap();
    let report = check(dataset.as_ref(), &|| {});
    assert_eq!((report.n_samples, report.is_sound()), (1, true));
    assert!(report.to_string().ends_with("sound"), "{report}");
    assert!(open(folder.path(), &split(None, "nothing")).is_err());
}

#[test]
fn plain_folders_and_single_frames_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "a.bin", records(&[[1.0, 2.0, 3.0, f32::NAN]]));
    put(root, "b.pcd", b"VERSION .7\nFIELDS x\n");
    let error = open(root, &OpenOptions::default()).err().unwrap().to_string();
    assert!(error.contains("no layout is stated"), "{error}");
    let laid_out = OpenOptions { layout: Some(PointLayout::kitti()), ..OpenOptions::default() };
    let report = check(open(root, &laid_out).unwrap().as_ref(), &|| {});
    assert_eq!((report.format.as_str(), report.n_points_not_finite), ("folder", 1));
    assert!(
        matches!(&report.faults[..], [Fault { what, .. }] if what.contains("b.pcd")),
        "{:?}",
        report.faults
    );
    let split = OpenOptions { kind: Some(Kind::Folder), split: Some("train".to_owned()), ..laid_out };
    assert!(open(root, &split).err().unwrap().to_string().contains("dataset.split"));
    put(root, "c.pcd.bin", [0; 20]);
    let boxes = r#"{"categories": {"car": 0}, "lidar_path": "c.pcd.bin", "instances":
        [{"bbox_3d": [0, 0, 0, 4, 2, 1, 0], "bbox_label_3d": 0, "num_lidar_pts": 1, "velocity": null}]}"#;
    put(root, "boxes.json", boxes);
    let report = checked(root);
    assert_eq!((report.format.as_str(), report.n_points, report.n_objects), ("frame", 1, 1));
    assert!(report.is_sound(), "{report}");
    put(root, "c.pcd.bin", [0; 19]);
    assert_eq!(checked(root).faults.len(), 2, "{:?}", checked(root).faults);
}

#[test]
fn nuscenes_tables_are_checked_with_the_sweeps_between_key_frames() {
    let fixture = Fixture::new();
    let report = checked(fixture.root());
    assert!(report.is_sound(), "{report}");
    assert_eq!((report.format.as_str(), report.n_samples), ("nuscenes", 3));
    assert_eq!((report.n_points, report.n_points_not_finite), (3, 1));
    assert_eq!(report.samples_with_points_not_finite, ["s1"]);
    assert_eq!(report.samples_without_points, ["s3"]);
    assert_eq!(report.left_out.iter().collect::<Vec<_>>(), [(&"animal".to_owned(), &1)]);
    assert!(report.classes["car"].is_known);
    fixture.write("sweeps/1b.pcd.bin", [0; 19]);
    fixture.remove("samples/2.pcd.bin");
    let report = checked(fixture.root());
    let whats: Vec<&str> = report.faults.iter().map(|f| f.what.as_str()).collect();
    assert!(whats[0].contains("1b.pcd.bin") && whats[0].contains("19 bytes"), "{whats:?}");
    assert!(whats[1..].iter().all(|what| what.contains("2.pcd.bin")), "{whats:?}");
    assert_eq!((report.faults[0].sample.as_deref(), report.faults[1].sample.as_deref()), (None, Some("s2")));
    assert_eq!(report.n_broken, 1);
    fixture.remove("sweeps/1b.pcd.bin");
    assert!(checked(fixture.root()).faults[0].what.contains("1b.pcd.bin"));
    // Tables that do not fit together are no dataset.
    fixture.set("sample", "s2", "scene_token", "nowhere");
    assert!(
        open(fixture.root(), &OpenOptions::default()).err().unwrap().to_string().contains("sample"),
        "no error"
    );
}

#[test]
fn splits_of_waymo_are_looked_at_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let frame = |k: i64, labels: Vec<WaymoLabel>| WaymoFrame {
        context_name: "s".to_owned(),
        timestamp_micros: k,
        points: (0..k).map(|i| Point { x: 10.0 + i as f32, z: 1.0, ..Point::default() }).collect(),
        points_in_no_label_zones: Vec::new(),
        labels,
    };
    let car = WaymoLabel {
        type_idx: 1,
        center: [10.5, 0.0, 1.0],
        size: [4.0, 2.0, 1.5],
        heading: 0.1,
        velocity: [0.0; 2],
        n_points: 9,
        difficulty: 0,
    };
    let flat = WaymoLabel { type_idx: 2, size: [1.0, 1.0, 0.0], ..car };
    fixture::write_segment(&root.join("training"), "a", &[frame(4, vec![car]), frame(2, vec![])]).unwrap();
    fixture::write_segment(&root.join("validation"), "b", &[frame(3, vec![flat])]).unwrap();
    let report = checked(root);
    assert_eq!((report.format.as_str(), report.n_samples, report.n_broken), ("waymo", 3, 1));
    assert_eq!((report.n_points, report.n_objects, report.classes["vehicle"].is_known), (9, 1, true));
    let fault = &report.faults[0];
    assert_eq!(fault.sample.as_deref(), Some("b/000"));
    assert!(fault.what.contains("pedestrian") && fault.what.contains("metres"), "{}", fault.what);
    let split = OpenOptions { split: Some("training".to_owned()), ..OpenOptions::default() };
    let training = open(root, &split).unwrap();
    assert_eq!((training.n_samples(), training.drive(1).as_deref()), (2, Some("a")));
    assert!(training.load(2).unwrap_err().to_string().contains("no sample 2"));
}

#[test]
fn options_that_a_format_has_no_use_for_are_refused() {
    let folder = kitti();
    let sweeps = Some(Sweeps { n_sweeps: 10, style: SweepStyle::Devkit });
    for (options, said) in [
        (OpenOptions { sweeps, ..OpenOptions::default() }, "sweeps"),
        (OpenOptions { version: Some("v1.0".to_owned()), ..OpenOptions::default() }, "version"),
    ] {
        let error = open(folder.path(), &options).err().unwrap().to_string();
        assert!(error.contains("kitti") && error.contains(said), "{error}");
    }
}
