#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use crate::nuscenes::fixture::Fixture;
use crate::points_in_box;

fn open(fixture: &Fixture, split: Option<&str>) -> Result<NuscenesFrames, DatasetError> {
    NuscenesFrames::open(fixture.root(), split)
}

#[test]
fn key_frames_come_in_order_with_their_boxes_in_the_sensor_frame() {
    let folder = Fixture::new();
    let frames = open(&folder, None).unwrap();
    assert_eq!(frames.n_frames(), 3);
    let [first, second, third] = [0, 1, 2].map(|idx| frames.load(idx).unwrap());
    assert_eq!([&first, &second, &third].map(|f| f.name.as_str()), ["s1", "s2", "s3"]);
    assert_eq!((first.points.len(), first.rings.as_slice(), first.n_not_finite), (1, &[31][..], 1));
    assert_eq!(first.points[0].intensity, 40.0);
    // The animal is of no class of the benchmark.
    let [object] = first.objects.as_slice() else { panic!("{:?}", first.objects) };
    assert_eq!((object.class_name.as_str(), object.n_points, object.bbox.size), ("car", 7, [4.0, 2.0, 1.5]));
    // 11 m ahead of the car and 3 m to its left: 10 m ahead (y) and 3 m to the left (-x) of the sensor.
    for (got, expected) in object.bbox.center.iter().zip([-3.0, 10.0, 1.0]) {
        assert!((got - expected).abs() < 1e-5, "{:?}", object.bbox);
    }
    // It looks as the car does: along the sensor's y.
    assert!((object.bbox.yaw - std::f32::consts::FRAC_PI_2).abs() < 1e-6, "{:?}", object.bbox);
    // It drives ahead with 2 m/s.
    assert!(object.velocity[0].abs() < 1e-6 && (object.velocity[1] - 2.0).abs() < 1e-6, "{object:?}");
    assert_eq!((second.points.len(), second.objects.len()), (1, 1));
    assert!(third.points.is_empty() && third.objects.is_empty());
    assert!(matches!(frames.load(3), Err(DatasetError::NoSample { idx: 3, n_samples: 3 })));
    let tables = NuscenesFrames::open(&folder.root().join("v1.0-test"), None).unwrap();
    assert_eq!(tables.load(0).unwrap(), first);
}

#[test]
fn a_split_names_scenes() {
    let folder = Fixture::new();
    let missing = open(&folder, Some("ours")).unwrap_err().to_string();
    assert!(missing.contains("splits.json") && missing.contains("`ours`"), "{missing}");
    folder.write("v1.0-test/splits.json", r#"{"ours":["two"],"none":[]}"#);
    let frames = open(&folder, Some("ours")).unwrap();
    assert_eq!((frames.n_frames(), frames.load(0).unwrap().name.as_str()), (1, "s3"));
    let unknown = open(&folder, Some("theirs")).unwrap_err().to_string();
    assert!(unknown.contains("it has: none, ours"), "{unknown}");
    assert!(open(&folder, Some("none")).unwrap_err().to_string().contains("no sample"));
    // Samples without a key frame of the LiDAR have no frame.
    folder.set("sample_data", "d3", "is_key_frame", false);
    assert_eq!(open(&folder, None).unwrap().n_frames(), 2);
    let none = open(&folder, Some("ours")).unwrap_err().to_string();
    assert!(none.contains("no key frame"), "{none}");
}

#[test]
fn what_is_wrong_with_tables_and_clouds_is_said() {
    let folder = Fixture::new();
    folder.write("samples/1.pcd.bin", [0; 21]);
    let said = open(&folder, None).unwrap().load(0).unwrap_err().to_string();
    assert!(said.contains("1.pcd.bin") && said.contains("21 bytes"), "{said}");
    folder.write_points("samples/1.pcd.bin", &[[5.0, 0.0, 0.0, 1.0, 0.5]]);
    let said = open(&folder, None).unwrap().load(0).unwrap_err().to_string();
    assert!(said.contains("point 0 is of ring 0.5"), "{said}");
    folder.set("sample_annotation", "a", "size", vec![2.0, 0.0, 1.5]);
    let said = open(&folder, None).unwrap_err().to_string();
    assert!(said.contains("sample_annotation.json") && said.contains("`a` is a box of"), "{said}");
    folder.write("v1.0-test/ego_pose.json", "[]");
    let said = open(&folder, None).unwrap_err().to_string();
    assert!(said.contains("sample_data.json") && said.contains("no row of ego_pose"), "{said}");
    folder.write("v1.0-test/ego_pose.json", "[{}]");
    let said = open(&folder, None).unwrap_err().to_string();
    assert!(said.contains("ego_pose.json") && said.contains("record 0"), "{said}");
    folder.write("v1.0-more/sample.json", "[]");
    assert!(open(&folder, None).unwrap_err().to_string().contains("2 folders of tables"));
}

#[test]
fn a_single_frame_needs_one_cloud_and_sound_boxes() {
    let folder = Fixture::empty();
    let root = folder.root();
    assert!(!has_single_frame(root));
    let boxes = |size: f32, more: &str| {
        format!(
            r#"{{"categories":{{"car":0,"bus":3}},{more}"instances":[
                {{"bbox_3d":[1,2,3,4,{size},1.5,0.5],"bbox_label_3d":3,"num_lidar_pts":6}},
                {{"bbox_3d":[1,2,3,4,2,1.5,0.5],"bbox_label_3d":-1}}]}}"#
        )
    };
    folder.write("boxes.json", boxes(2.0, ""));
    assert!(NuscenesFrames::open_single(root).unwrap_err().to_string().contains("0 files"));
    folder.write_points("a.pcd.bin", &[[1.0, 2.0, 3.0, 4.0, 5.0]]);
    assert!(has_single_frame(root));
    let sweep = NuscenesFrames::open_single(root).unwrap().load(0).unwrap();
    let [object] = sweep.objects.as_slice() else { panic!("{:?}", sweep.objects) };
    assert_eq!((object.class_name.as_str(), object.n_points, object.bbox.yaw), ("bus", 6, 0.5));
    folder.write_points("b.pcd.bin", &[]);
    assert!(NuscenesFrames::open_single(root).unwrap_err().to_string().contains("2 files"));
    folder.write("boxes.json", boxes(2.0, r#""lidar_path":"b.pcd.bin","#));
    assert!(NuscenesFrames::open_single(root).unwrap().load(0).unwrap().points.is_empty());
    folder.write("boxes.json", boxes(0.0, r#""lidar_path":"b.pcd.bin","#));
    assert!(NuscenesFrames::open_single(root).unwrap_err().to_string().contains("instance 0: a box of"));
}

#[test]
fn a_real_frame_holds_the_points_that_it_is_known_to_hold() {
    let Some(data) = std::env::var_os("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return;
    };
    let frames = NuscenesFrames::open_single(&Path::new(&data).join("nuscenes_frame")).unwrap();
    let sweep = frames.load(0).unwrap();
    // One of the 69 boxes is of no category; its count is one of the 61 that a box test reproduces.
    assert_eq!((sweep.points.len(), sweep.n_not_finite, sweep.objects.len()), (34_688, 0, 68));
    let own_car = sweep.points.iter().filter(|p| p.x.hypot(p.y) < 1.0).count();
    assert_eq!(own_car, 8_220);
    // Every firing is stored: 1084 of each of 32 rings.
    assert!((0..32).all(|ring| sweep.rings.iter().filter(|r| **r == ring).count() == 1084));
    let exact = sweep.objects.iter().filter(|o| points_in_box(&sweep.points, &o.bbox) == o.n_points).count();
    assert_eq!(exact, 60);
}
