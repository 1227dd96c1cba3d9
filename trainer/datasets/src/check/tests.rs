use super::*;
use crate::Kind;
use crate::nuscenes::fixture::Fixture;
use pilotis_spec::PointLayout;
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
    check(open(root, None, None, None).unwrap().as_ref(), &|| {})
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
    let dataset = open(folder.path(), None, None, None).unwrap();
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
    let dataset = open(folder.path(), Some(Kind::Kitti), Some("train"), None).unwrap();
    let report = check(dataset.as_ref(), &|| {});
    assert_eq!((report.n_samples, report.is_sound()), (1, true));
    assert!(report.to_string().ends_with("sound"), "{report}");
    assert!(open(folder.path(), None, Some("nothing"), None).is_err());
}

#[test]
fn plain_folders_and_single_frames_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "a.bin", records(&[[1.0, 2.0, 3.0, f32::NAN]]));
    put(root, "b.pcd", b"VERSION .7\nFIELDS x\n");
    let error = open(root, None, None, None).err().unwrap().to_string();
    assert!(error.contains("no layout is stated"), "{error}");
    let layout = PointLayout::kitti();
    let report = check(open(root, None, None, Some(&layout)).unwrap().as_ref(), &|| {});
    assert_eq!((report.format.as_str(), report.n_points_not_finite), ("folder", 1));
    assert!(
        matches!(&report.faults[..], [Fault { what, .. }] if what.contains("b.pcd")),
        "{:?}",
        report.faults
    );
    assert!(open(root, Some(Kind::Folder), Some("train"), Some(&layout)).is_err());
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
    assert!(open(fixture.root(), None, None, None).err().unwrap().to_string().contains("sample"), "no error");
}
