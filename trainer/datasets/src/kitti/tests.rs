#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use pilotis_spec::Box3d;
use std::fs;

/// Camera axes (right, down, ahead) straight over the LiDAR's, the image centre at 600, 180.
pub(super) const CALIBRATION: &str = "P2: 700 0 600 0 0 700 180 0 0 0 1 0\n\
    R0_rect: 1 0 0 0 1 0 0 0 1\n\
    Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n";
const CAR: &str = "Car 0.10 1 -1.5 500 100 700 200 1.5 1.6 4.0 2.0 1.7 20.0 0.3";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("ImageSets/train.txt", "\n000007\n");
        folder.write("training/calib/000007.txt", CALIBRATION);
        folder.write("training/label_2/000007.txt", CAR);
        folder
            .write_points("training/velodyne/000007.bin", &[[20.3, -2.0, -1.0, 0.5], [-20.0, 0.0, 0.0, 0.1]]);
        folder
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn write_points(&self, path: &str, points: &[[f32; 4]]) {
        let bytes: Vec<u8> = points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
        self.write(path, bytes);
    }

    fn load(&self) -> anyhow::Result<Sample> {
        let rename = BTreeMap::from([("van".to_owned(), "car".to_owned())]);
        KittiDataset::open(self.0.path(), "train", rename)?.load(0)
    }

    fn fails_with(&self, path: &str, content: impl AsRef<[u8]>, said: &str) {
        self.write(path, content);
        let error = self.load().expect_err(said);
        assert!(error.downcast_ref::<DatasetError>().is_some(), "{error}");
        let message = error.to_string();
        let file = path.rsplit('/').next().unwrap();
        assert!(message.contains(said) && message.contains(file), "`{said}` is not in `{message}`");
    }
}

#[test]
fn a_camera_label_becomes_a_box_of_the_lidar_frame() {
    let sample = Folder::new().load().unwrap();
    assert_eq!(sample.name, "000007");
    // The point behind the car is not in the image.
    assert_eq!(sample.points.len(), 1);
    let [object] = sample.objects.as_slice() else { panic!("{:?}", sample.objects) };
    assert_eq!((object.class_name.as_str(), object.occlusion, object.difficult), ("car", 1, false));
    // Bottom (2, 1.7, 20) in camera axes is ahead 20 + 0.3, left -2, up -1.7 - 0.1.
    for (got, expected) in object.bbox.center.iter().zip([20.3, -2.0, -1.8 + 0.75]) {
        assert!((got - expected).abs() < 1e-6, "{:?}", object.bbox);
    }
    assert_eq!(object.bbox.size, [4.0, 1.6, 1.5]);
    assert!((object.bbox.yaw - (-0.3 - std::f32::consts::FRAC_PI_2)).abs() < 1e-6);
    assert_eq!(object.n_points, 1);
}

#[test]
fn calibration_turns_by_rows() {
    let turned = CALIBRATION.replace("R0_rect: 1 0 0 0 1 0 0 0 1", "R0_rect: 0.8 0 0.6 0 1 0 -0.6 0 0.8");
    let calibration = Calibration::parse(&turned).unwrap();
    // (10, 0, 0) is (0, -0.1, 9.7) before rectification.
    let close = |a: [f64; 3], b: [f64; 3]| (0..3).all(|k| (a[k] - b[k]).abs() < 1e-12);
    let camera = calibration.lidar_to_camera([10.0, 0.0, 0.0]);
    assert!(close(camera, [5.82, -0.1, 7.76]), "{camera:?}");
    assert!(close(calibration.camera_to_lidar(camera), [10.0, 0.0, 0.0]));
    let pixel = calibration.project(camera).unwrap();
    assert!((pixel[0] - (700.0 * 5.82 / 7.76 + 600.0)).abs() < 1e-9, "{pixel:?}");
    assert_eq!(calibration.project([0.0, 0.0, -1.0]), None);
}

#[test]
fn what_the_hardest_level_leaves_out_is_difficult() {
    let difficult = |from: &str, to: &str| {
        assert!(CAR.contains(from));
        LabelLine::parse(&CAR.replace(from, to)).unwrap().is_difficult()
    };
    assert!(!difficult("Car 0.10 1", "Car 0.50 2"));
    assert!(difficult("Car 0.10 1", "Car 0.51 2"));
    assert!(difficult("Car 0.10 1", "Car 0.50 3"));
    assert!(!difficult("700 200", "700 125"));
    assert!(difficult("700 200", "700 124.9"));
}

#[test]
fn names_are_lower_case_and_renamed_and_regions_left_out() {
    let folder = Folder::new();
    let van = CAR.replace("Car", "Van").replace(" 1 -1.5", " 3 -1.5");
    let region = "DontCare -1 -1 -10 503 169 590 190 -1 -1 -1 -1000 -1000 -1000 -10";
    folder.write(
        "training/label_2/000007.txt",
        format!("{region}\n{van}\n\n{}\n", CAR.replace("Car", "Person_sitting")),
    );
    let objects = folder.load().unwrap().objects;
    let names: Vec<&str> = objects.iter().map(|o| o.class_name.as_str()).collect();
    assert_eq!(names, ["car", "person_sitting"]);
    assert!(objects[0].difficult && !objects[1].difficult);
    let lines = read_labels(&folder.0.path().join("training/label_2/000007.txt")).unwrap();
    assert!(lines[0].is_dont_care() && lines[0].class_name == "DontCare");
}

#[test]
fn lidar_labels_take_the_full_sweep() {
    let folder = Folder::new();
    folder.write_points("training/velodyne_reduced/000007.bin", &[[20.3, -2.0, -1.0, 0.5]]);
    assert_eq!(folder.load().unwrap().points.len(), 1);
    folder.write("training/label_velo/000007.txt", "Pedestrian -5 6.5 -0.8 0.8 0.6 1.75 -3 41\n");
    let sample = folder.load().unwrap();
    assert_eq!(sample.points.len(), 2);
    assert_eq!(sample.points[1].x, -20.0);
    let expected = GroundTruth {
        class_name: "pedestrian".into(),
        bbox: Box3d { center: [-5.0, 6.5, -0.8], size: [0.8, 0.6, 1.75], yaw: -3.0 },
        n_points: 41,
        ..GroundTruth::default()
    };
    assert_eq!(sample.objects, [expected]);
}

#[test]
fn an_image_states_its_own_size() {
    let folder = Folder::new();
    // Pixel of the point 20 m ahead and 2 m right: 600 + 70.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([0, 0, 2, 0x9e, 0, 0, 1, 0x77]);
    folder.write("training/image_2/000007.png", &png);
    assert_eq!(folder.load().unwrap().points.len(), 0, "670 is outside of 670 pixels");
    png[19] += 1;
    folder.write("training/image_2/000007.png", &png);
    assert_eq!(folder.load().unwrap().points.len(), 1);
    folder.fails_with("training/image_2/000007.png", "no image", "no PNG");
}

#[test]
fn broken_files_are_errors_that_name_file_and_line() {
    let label = "training/label_2/000007.txt";
    Folder::new().fails_with(label, format!("{CAR}\nCar 1 2 3"), "line 2: 4 fields");
    Folder::new().fails_with(label, CAR.replace("20.0", "far"), "line 1: field 14, `far`");
    Folder::new().fails_with(label, CAR.replace("20.0", "NaN"), "not finite");
    Folder::new().fails_with(label, CAR.replace(" 1 -1.5", " 1.5 -1.5"), "occlusion 1.5");
    Folder::new().fails_with(label, CAR.replace("4.0", "0"), "line 1: a box");
    Folder::new().fails_with(label, [0xff_u8, 0xfe], "cannot read");
    let calib = "training/calib/000007.txt";
    Folder::new().fails_with(calib, CALIBRATION.replace("700 0 600", "700 600"), "line 1: `P2` has 11");
    Folder::new().fails_with(calib, CALIBRATION.replace("R0_rect", "R1"), "no `R0_rect`");
    Folder::new().fails_with(calib, format!("{CALIBRATION}what"), "line 4");
    Folder::new().fails_with(calib, CALIBRATION.replace("0 -1 0 0 0", "0 0 0 0 0"), "inverted");
    Folder::new().fails_with("training/velodyne/000007.bin", [0_u8; 17], "17 bytes");
    let lidar = "training/label_velo/000007.txt";
    Folder::new().fails_with(lidar, "Car 1 2 3 4 5 6 7", "line 1: 8 fields");
    Folder::new().fails_with(lidar, "\nCar 1 2 3 4 5 6 7 -2", "line 2: `-2`");
    Folder::new().fails_with(lidar, "Car 1 2 3 4 -5 6 7 2", "line 1: a box");
    let split = "ImageSets/train.txt";
    Folder::new().fails_with(split, "000007\n../000008", "line 2: `../000008`");
    Folder::new().fails_with(split, "\n\n", "names no frame");
}

#[test]
fn missing_files_and_samples_are_errors() {
    let folder = Folder::new();
    let open = |split: &str| KittiDataset::open(folder.0.path(), split, BTreeMap::new());
    assert!(open("test").unwrap_err().to_string().contains("test.txt"));
    assert!(open("../train").unwrap_err().to_string().contains("no name"));
    let dataset = open("train").unwrap();
    assert_eq!((dataset.n_samples(), dataset.name(0), dataset.name(1)), (1, "000007", ""));
    assert!(dataset.load(1).unwrap_err().to_string().contains("no sample 1"));
    fs::remove_file(folder.0.path().join("training/velodyne/000007.bin")).unwrap();
    assert!(folder.load().unwrap_err().to_string().contains("velodyne/000007.bin"));
}

/// KITTI's folder in the test data; `None`, said aloud, where there is none.
pub(super) fn real() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return None;
    };
    Some(Path::new(&folder).join("kitti"))
}

#[test]
fn real_boxes_hold_the_points_that_they_are_known_to_hold() {
    let Some(root) = real() else { return };
    let dataset = KittiDataset::open(&root, "all", BTreeMap::new()).unwrap();
    assert_eq!(dataset.n_samples(), 23);
    let known: [(&str, &[(&str, u32)]); 3] = [
        ("000000", &[("pedestrian", 377)]),
        ("000001", &[("truck", 71), ("car", 9), ("cyclist", 18)]),
        ("000002", &[("misc", 1349), ("car", 67)]),
    ];
    for idx in 0..dataset.n_samples() {
        let sample = dataset.load(idx).unwrap();
        assert!((16_000..21_000).contains(&sample.points.len()), "{}", sample.name);
        let inside: Vec<_> = sample.objects.iter().map(|o| (o.class_name.as_str(), o.n_points)).collect();
        if let Some((_, expected)) = known.iter().find(|(name, _)| *name == sample.name) {
            assert_eq!(inside, *expected, "{}", sample.name);
        }
    }
}

#[test]
fn a_view_decides_which_part_is_read() {
    let folder = Folder::new();
    folder.write("training/label_velo/000007.txt", "Pedestrian -5 6.5 -0.8 0.8 0.6 1.75 -3 41\n");
    let region = "DontCare -1 -1 -10 503 169 590 190 -1 -1 -1 -1000 -1000 -1000 -10";
    folder.write("training/label_2/000007.txt", format!("{region}\n{CAR}\n"));
    let frame = |view: View| {
        let dataset = KittiDataset::open(folder.0.path(), "train", BTreeMap::new()).unwrap();
        dataset.viewed(view).load_frame(0).unwrap()
    };
    let count = |frame: &KittiFrame| {
        let class = frame.sample.objects[0].class_name.clone();
        (class, frame.sample.points.len(), frame.labels.len(), frame.dont_care.len())
    };
    assert_eq!(count(&frame(View::AsLabelled)), ("pedestrian".into(), 2, 0, 0));
    assert_eq!(count(&frame(View::Whole)), ("pedestrian".into(), 2, 0, 0));
    let camera = frame(View::Camera);
    assert_eq!(count(&camera), ("car".into(), 1, 1, 1));
    assert_eq!(camera.dont_care, [[503.0, 169.0, 590.0, 190.0]]);
    assert_eq!((camera.labels[0].truncation, camera.labels[0].occlusion), (0.1, 1));
    assert_eq!(camera.labels[0].image_box, [500.0, 100.0, 700.0, 200.0]);
    folder.write_points("training/velodyne_reduced/000007.bin", &[[1.0; 4], [2.0; 4], [3.0; 4]]);
    assert_eq!(frame(View::Camera).sample.points.len(), 3);
    fs::remove_file(folder.0.path().join("training/label_velo/000007.txt")).unwrap();
    assert_eq!(count(&frame(View::AsLabelled)).1, 3);
    assert_eq!(count(&frame(View::Whole)), ("car".into(), 2, 1, 1));
}

#[test]
fn a_level_counts_what_is_tall_and_visible_enough_for_it() {
    let level = |from: &str, to: &str| {
        assert!(CAR.contains(from));
        LabelLine::parse(&CAR.replace(from, to)).unwrap().difficulty()
    };
    use Difficulty::{Easy, Hard, Moderate};
    assert_eq!(level("Car 0.10 1", "Car 0.10 0"), Some(Easy));
    assert_eq!(level("Car 0.10 1", "Car 0.15 0"), Some(Easy));
    assert_eq!(level("Car 0.10 1", "Car 0.16 0"), Some(Moderate));
    assert_eq!(level("Car 0.10 1", "Car 0.30 1"), Some(Moderate));
    assert_eq!(level("Car 0.10 1", "Car 0.31 1"), Some(Hard));
    assert_eq!(level("Car 0.10 1", "Car 0.10 2"), Some(Hard));
    assert_eq!(level("Car 0.10 1", "Car 0.51 0"), None);
    let low = |height: &str| {
        let line = CAR.replace("Car 0.10 1", "Car 0 0").replace("700 200", &format!("700 {height}"));
        LabelLine::parse(&line).unwrap().difficulty()
    };
    assert_eq!(
        (low("140"), low("139.9"), low("125"), low("124.9")),
        (Some(Easy), Some(Moderate), Some(Moderate), None)
    );
    assert!(Easy < Moderate && Moderate < Hard);
}

#[test]
fn a_calibration_knows_its_cameras_and_the_size_of_its_image() {
    let calibration = Calibration::parse(CALIBRATION).unwrap();
    assert_eq!(calibration.usual_image_size_px(), IMAGE_SIZE_PX);
    assert_eq!(calibration.projection(Camera::Gray1), None);
    assert_eq!(calibration.projection(Camera::Color2).unwrap()[0], [700.0, 0.0, 600.0, 0.0]);
    let more = format!("{CALIBRATION}P3: 1 2 3 4 5 6 7 8 9 10 11 12\n");
    let calibration = Calibration::parse(&more.replace("P2: 700", "P2: 718.8561")).unwrap();
    assert_eq!(calibration.usual_image_size_px(), [1241.0, 376.0]);
    assert_eq!(calibration.projection(Camera::Color3).unwrap()[2], [9.0, 10.0, 11.0, 12.0]);
    let calib = "training/calib/000007.txt";
    Folder::new().fails_with(calib, more.replace("11 12", "11"), "line 4: `P3` has 11 numbers");
    Folder::new().fails_with(calib, format!("{CALIBRATION}P2: 1\n"), "line 4: `P2` is already in line 1");
}

#[test]
fn results_may_say_anything_of_occlusion_and_labels_may_not() {
    let result = format!("{} 0.5", CAR.replace(" 1 -1.5", " 0.25 -1.5"));
    assert_eq!(LabelLine::parse(&result).unwrap().score, Some(0.5));
    assert!(LabelLine::parse(&CAR.replace(" 1 -1.5", " 0.25 -1.5")).is_err());
    // Blanks at the end and tabs between are as good as single blanks.
    assert_eq!(LabelLine::parse(&format!("{}  \t\r", CAR.replace(' ', "\t"))), LabelLine::parse(CAR));
}

#[test]
fn a_frame_says_which_file_its_points_are_of() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "velodyne/0.bin",
        "velodyne/1.bin",
        "velodyne_reduced/1.bin",
        "velodyne/2.bin",
        "velodyne_reduced/2.bin",
        "label_velo/2.txt",
        "label_2/3.txt",
        "velodyne/no name.bin",
        "velodyne/4.txt",
    ] {
        let path = folder.path().join("training").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    let all = KittiDataset::open_all(folder.path(), BTreeMap::new()).unwrap();
    let files = |frames: &KittiDataset| -> Vec<String> {
        let paths = (0..5).filter_map(|idx| frames.cloud_path(idx));
        paths.map(|p| p.strip_prefix(folder.path().join("training")).unwrap().display().to_string()).collect()
    };
    assert_eq!(files(&all), ["velodyne/0.bin", "velodyne_reduced/1.bin", "velodyne/2.bin", "velodyne/3.bin"]);
    let (camera, whole) = (all.clone().viewed(View::Camera), all.viewed(View::Whole));
    assert_eq!(files(&camera)[2], "velodyne_reduced/2.bin");
    assert_eq!(files(&whole)[1], "velodyne/1.bin");
    assert!(KittiDataset::open_all(&folder.path().join("training"), BTreeMap::new()).is_err());
}

#[test]
fn frames_have_the_drives_of_the_mapping_and_a_mapping_without_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for folder in ["ImageSets", "mapping", "training/velodyne"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for name in ["000000", "000001"] {
        fs::write(root.join(format!("training/velodyne/{name}.bin")), [0; 16]).unwrap();
    }
    fs::write(root.join("ImageSets/train.txt"), "000001\n000000\n").unwrap();
    let open = || KittiDataset::open(root, "train", BTreeMap::new());
    assert_eq!(open().unwrap().drive(0), None);
    fs::write(root.join("mapping").join(MAPPING_FILE), "d first 1\nd second 1\n").unwrap();
    fs::write(root.join("mapping").join(ORDER_FILE), "1,2").unwrap();
    let dataset = open().unwrap();
    assert_eq!(
        [0, 1, 2].map(|idx| dataset.drive(idx)),
        [Some("second"), Some("first"), None].map(|d| d.map(str::to_owned))
    );
    fs::write(root.join("mapping").join(ORDER_FILE), "2").unwrap();
    let refused = [open().err(), KittiDataset::open_all(root, BTreeMap::new()).err()];
    assert!(
        refused.iter().flatten().all(|e| e.to_string().contains("000001"))
            && refused.iter().all(Option::is_some)
    );
}
