use super::*;
use crate::check::{OpenOptions, check, open};
use crate::kitti::KittiDataset;
use crate::nuscenes::{CachePlace, NuscenesDataset, SweepStyle, Sweeps};
use crate::waymo::{WaymoFrame, WaymoLabel, fixture};
use crate::{Dataset, Kind};
use pilotis_spec::{Box3d, Point, PointLayout};
use std::collections::BTreeMap;

fn put(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Six frames in KITTI's layout, labelled all around.
fn kitti() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for idx in 0..6 {
        let shift = idx as f32;
        let points = [[10.0 + shift, 1.0, 0.0, 0.5], [11.0, 1.25, -0.5, 0.25], [-30.0, 4.0, 1.0, 0.75]];
        let bytes: Vec<u8> = points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        put(folder.path(), &format!("training/velodyne/{idx}0.bin"), bytes);
        let labels = format!(
            "Car {} 1 0 4 2 1.5 0.25 2\nVan -30 4 1 5 2 2 3 1\nPerson_sitting 5 0 0 0.5 0.5 1 0 0\n\
             Cyclist 20 0 0 2 1 1.5 -3 0\nMoose 1 1 1 1 1 1 0 0\n",
            10.0 + shift
        );
        put(folder.path(), &format!("training/label_velo/{idx}0.txt"), labels);
    }
    folder
}

fn converted(from: &Path, to: &Path, target: Target) -> Converted {
    convert(open(from, &OpenOptions::default()).unwrap().as_ref(), to, target, &|| {}).unwrap()
}

fn assert_near(a: &Sample, b: &Sample, tolerance: f32) {
    assert_eq!(a.points.len(), b.points.len());
    for (p, q) in a.points.iter().zip(&b.points) {
        let difference = [p.x - q.x, p.y - q.y, p.z - q.z, p.intensity - q.intensity];
        assert!(difference.iter().all(|d| d.abs() <= tolerance), "{p:?} {q:?}");
    }
    assert_eq!(a.objects.len(), b.objects.len());
    for (o, p) in a.objects.iter().zip(&b.objects) {
        let values =
            |b: &Box3d| [b.center[0], b.center[1], b.center[2], b.size[0], b.size[1], b.size[2], b.yaw];
        let difference = values(&o.bbox).into_iter().zip(values(&p.bbox)).map(|(v, w)| (v - w).abs());
        assert!(difference.fold(0.0, f32::max) <= tolerance, "{o:?} {p:?}");
        assert_eq!(o.n_points, p.n_points);
    }
}

fn nuscenes(root: &Path, split: Option<&str>) -> NuscenesDataset {
    let one = Sweeps { n_sweeps: 1, style: SweepStyle::Devkit };
    NuscenesDataset::open(root, None, split, one, BTreeMap::new(), CachePlace::Nowhere).unwrap()
}

#[test]
fn kitti_becomes_nuscenes_and_back_again() {
    let from = kitti();
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("nuscenes"), folder.path().join("kitti"));
    let report = converted(from.path(), &there, Target::Nuscenes);
    assert_eq!((report.n_samples, report.n_objects), (6, 24));
    assert_eq!(report.left_out, BTreeMap::from([("moose".to_owned(), 6)]));
    // A point ahead is along y there, one to the left along -x, and intensities go to 255.
    let sample = nuscenes(&there, None).load(0).unwrap();
    assert_eq!(sample.points[0], Point { x: -1.0, y: 10.0, z: 0.0, intensity: 127.5, time_lag: 0.0 });
    let classes: Vec<&str> = sample.objects.iter().map(|o| o.class_name.as_str()).collect();
    assert_eq!(classes, ["car", "car", "pedestrian", "bicycle"]);
    let report = converted(&there, &back, Target::Kitti);
    assert_eq!((report.n_samples, report.n_objects), (6, 24));
    let (before, after) = (
        KittiDataset::open_all(from.path(), BTreeMap::new()).unwrap(),
        KittiDataset::open_all(&back, BTreeMap::new()).unwrap(),
    );
    for idx in 0..6 {
        let mut expected = before.load(idx).unwrap();
        expected.objects.pop();
        for object in &mut expected.objects {
            object.n_points = points_in_box(&expected.points, &object.bbox);
        }
        assert_near(&expected, &after.load(idx).unwrap(), 1e-5);
    }
    // Labels say 2; in the last frame the car has moved away from one of them.
    assert_eq!([0, 5].map(|idx| after.load(idx).unwrap().objects[0].n_points), [2, 1]);
    for root in [&there, &back] {
        assert!(check(open(root, &OpenOptions::default()).unwrap().as_ref(), &|| {}).is_sound());
    }
    assert_eq!(fs::read_to_string(there.join("names.txt")).unwrap().lines().nth(2), Some("000002 20"));
}

#[test]
fn splits_have_each_fifth_sample_for_validation() {
    let from = kitti();
    let folder = tempfile::tempdir().unwrap();
    let (there, back) = (folder.path().join("nuscenes"), folder.path().join("kitti"));
    converted(from.path(), &there, Target::Nuscenes);
    converted(&there, &back, Target::Kitti);
    assert_eq!(nuscenes(&there, Some("converted_val")).n_samples(), 1);
    assert_eq!(nuscenes(&there, Some("converted_train")).n_samples(), 5);
    let n = |split: &str| KittiDataset::open(&back, split, BTreeMap::new()).unwrap().n_samples();
    assert_eq!([n("all"), n("train"), n("val")], [6, 5, 1]);
}

#[test]
fn labels_of_the_camera_say_the_same_as_those_all_around() {
    let from = kitti();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("kitti");
    // A cache has no camera of its own, but KITTI's axes.
    let cache = folder.path().join("cache");
    converted(from.path(), &cache, Target::Cache);
    converted(&cache, &to, Target::Kitti);
    let all = KittiDataset::open_all(&to, BTreeMap::new()).unwrap();
    let camera = all.clone().viewed(crate::kitti::View::Camera);
    let (around, seen) = (all.load(0).unwrap(), camera.load_frame(0).unwrap());
    // What is behind is not seen.
    let names: Vec<&str> = seen.sample.objects.iter().map(|o| o.class_name.as_str()).collect();
    assert_eq!(names, ["car", "person_sitting", "cyclist"]);
    assert_eq!(seen.sample.points.len(), 2);
    let expected: Vec<&GroundTruth> = around.objects.iter().filter(|o| o.class_name != "van").collect();
    for (seen, around) in seen.sample.objects.iter().zip(expected) {
        for (a, b) in seen.bbox.center.iter().zip(around.bbox.center) {
            assert!((a - b).abs() < 1e-5, "{seen:?} {around:?}");
        }
        assert!((seen.bbox.yaw - around.bbox.yaw).abs() < 1e-5, "{seen:?} {around:?}");
    }
}

#[test]
fn the_same_files_come_of_any_number_of_threads() {
    let from = kitti();
    let run = |n_threads: usize, target| {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("to");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| converted(from.path(), &to, target));
        let mut files = BTreeMap::new();
        let mut open = vec![to.clone()];
        while let Some(next) = open.pop() {
            for path in fs::read_dir(next).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    open.push(path);
                } else {
                    files.insert(path.strip_prefix(&to).unwrap().to_owned(), fs::read(&path).unwrap());
                }
            }
        }
        files
    };
    for target in [Target::Kitti, Target::Nuscenes, Target::Cache] {
        let one = run(1, target);
        assert!(one.len() > 1);
        assert_eq!(run(4, target), one);
    }
}

#[test]
fn a_plain_folder_becomes_a_cache_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "clouds/a.bin", [0; 32]);
    let (kind, layout) = (Some(Kind::Folder), Some(PointLayout::kitti()));
    let options = OpenOptions { kind, layout, ..OpenOptions::default() };
    let clouds = open(&folder.path().join("clouds"), &options).unwrap();
    let error = convert(clouds.as_ref(), &folder.path().join("kitti"), Target::Kitti, &|| {}).unwrap_err();
    assert!(error.to_string().contains("not known"), "{error}");
    assert!(!folder.path().join("kitti").exists());
    convert(clouds.as_ref(), &folder.path().join("cache"), Target::Cache, &|| {}).unwrap();
    let cache = open(&folder.path().join("cache"), &OpenOptions::default()).unwrap();
    assert_eq!(cache.load(0).unwrap().points.len(), 2);
}

#[test]
fn a_broken_sample_leaves_nothing_behind() {
    let from = kitti();
    put(from.path(), "training/velodyne/30.bin", [0; 15]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    for target in [Target::Kitti, Target::Nuscenes, Target::Cache] {
        let dataset = open(from.path(), &OpenOptions::default()).unwrap();
        let error = convert(dataset.as_ref(), &to, target, &|| {}).unwrap_err();
        assert!(error.to_string().contains("30.bin"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    fs::create_dir(&to).unwrap();
    put(&to, "precious", b"x");
    let dataset = open(from.path(), &OpenOptions::default()).unwrap();
    let error = convert(dataset.as_ref(), &to, Target::Kitti, &|| {}).unwrap_err().to_string();
    assert!(error.contains("is not an empty folder"), "{error}");
    assert!(to.join("precious").exists());
}

#[test]
fn waymo_becomes_kitti_with_the_origin_at_the_sensor() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("waymo"), folder.path().join("kitti"));
    let point = |x: f32, z: f32, intensity: f32| Point { x, y: 2.0, z, intensity, time_lag: 0.0 };
    let label = |type_idx: u8, x: f64| WaymoLabel {
        type_idx,
        center: [x, 2.0, 0.75],
        size: [4.0, 2.0, 1.5],
        heading: 0.5,
        velocity: [3.0, 0.0],
        n_points: 50,
        difficulty: 1,
    };
    let frame = WaymoFrame {
        context_name: "s".to_owned(),
        timestamp_micros: 1,
        points: vec![point(10.0, 0.75, 0.5), point(20.0, 0.0, 40.0)],
        points_in_no_label_zones: vec![point(20.0, 0.0, 40.0)],
        labels: vec![label(1, 10.0), label(3, 5.0), label(4, 20.0)],
    };
    fixture::write_segment(&from.join("training"), "a", &[frame]).unwrap();
    let report = converted(&from, &to, Target::Kitti);
    assert_eq!((report.n_samples, report.n_objects), (1, 2));
    assert_eq!(report.left_out, BTreeMap::from([("sign".to_owned(), 1)]));
    let sample = KittiDataset::open_all(&to, BTreeMap::new()).unwrap().load(0).unwrap();
    let near = |a: f32, b: f32| (a - b).abs() < 1e-4;
    let heights: Vec<f32> = sample.points.iter().map(|p| p.z).collect();
    assert!(near(heights[0], 0.75 - 1.73) && near(heights[1], -1.73), "{heights:?}");
    // What shines brighter than the full scale is as bright as that.
    assert_eq!([0, 1].map(|k: usize| sample.points[k].intensity.to_bits()), [0.5_f32, 1.0].map(f32::to_bits));
    let car = &sample.objects[0];
    assert_eq!((car.class_name.as_str(), car.n_points), ("car", 1));
    assert!(near(car.bbox.center[2], 0.75 - 1.73) && near(car.bbox.yaw, 0.5), "{car:?}");
    assert_eq!(sample.objects[1].class_name, "cyclist");
}
