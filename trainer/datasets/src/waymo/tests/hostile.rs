//! Broken files of both versions: typed errors that name the file and the record, and no panic.

use super::super::{WaymoDataset, WaymoSettings, v1};
use super::parquet_writer::{Column, write_parquet};
use super::synthetic::{Frame, SEGMENT, deflate, matrix, record, segment, to_proto, write_v1, write_v2};
use crate::{Dataset, DatasetError};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn open(root: &Path) -> Result<WaymoDataset, DatasetError> {
    let settings = WaymoSettings { second_returns: true, ..WaymoSettings::default() };
    WaymoDataset::open(root, "train", BTreeMap::new(), settings)
}

fn open_and_load(root: &Path) -> anyhow::Result<()> {
    let dataset = open(root)?;
    for idx in 0..dataset.n_samples() {
        dataset.load(idx)?;
    }
    Ok(())
}

fn v1_file(root: &Path) -> PathBuf {
    root.join("train").join(format!("segment-{SEGMENT}_with_camera_labels.tfrecord"))
}

/// What is said of a file of these bytes.
fn v1_error(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("train")).unwrap();
    fs::write(v1_file(folder.path()), bytes).unwrap();
    let error = open_and_load(folder.path()).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(DatasetError::Record { .. })), "{error}");
    assert!(error.to_string().contains(SEGMENT), "{error}");
    error.to_string()
}

fn whole() -> Vec<u8> {
    segment().iter().flat_map(|f| record(&to_proto(f).encode_to_vec())).collect()
}

/// What is said of the first frame after a change.
fn frame_error(change: impl Fn(&mut Frame)) -> String {
    let mut frame = segment().remove(0);
    change(&mut frame);
    v1_error(&record(&to_proto(&frame).encode_to_vec()))
}

#[test]
fn checksums_lengths_and_ends_are_checked() {
    let bytes = whole();
    let second = record(&to_proto(&segment()[0]).encode_to_vec()).len();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        v1_error(&bytes)
    };
    let says = |error: &str, parts: &[&str]| {
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    };
    says(&flipped(0), &["record 1", "checksum of its length"]);
    says(&flipped(second + 9), &["record 2", "checksum of its length"]);
    says(&flipped(second + 40), &["record 2", "checksum of its bytes"]);
    says(&flipped(bytes.len() - 1), &["record 2", "checksum of its bytes"]);
    says(&v1_error(&bytes[..second + 7]), &["record 2", "cut short"]);
    says(&v1_error(&bytes[..bytes.len() - 1]), &["record 2", "are left"]);
    for length in [u64::MAX, u64::MAX - 3, 1 << 40] {
        let length = length.to_le_bytes();
        let crc = super::super::tfrecord::masked_crc(&length).to_le_bytes();
        let bytes = [&length[..], &crc[..], &[0; 16]].concat();
        says(&v1_error(&bytes), &["record 1", "states", "16 are left"]);
    }
}

#[test]
fn a_known_checksum_is_as_published() {
    // CRC-32C of "123456789" is e3069283; TFRecord turns and shifts it.
    let turned = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
    assert_eq!(super::super::tfrecord::masked_crc(b"123456789"), turned);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let says = |change: &dyn Fn(&mut Frame), part: &str| {
        let error = frame_error(change);
        assert!(error.contains("record 1") && error.contains(part), "`{part}` is not in `{error}`");
    };
    // The top laser is listed second.
    says(&|f| f.lasers[1].shape = [4, 11, 4], "[4, 11, 4], but 160 values");
    says(&|f| f.lasers[1].shape = [4, -10, 4], "4 channels are expected");
    says(&|f| f.lasers[1].shape = [i32::MAX, i32::MAX, 4], "but 160 values");
    says(&|f| f.lasers[1].shape = [5, 8, 4], "4 beam inclinations for 5 rows");
    says(&|f| f.lasers[1].poses = None, "has no poses");
    says(&|f| f.lasers[1].poses = Some(vec![0.0; 24]), "pose image");
    let mut frame = to_proto(&segment()[0]);
    let poses = matrix([2, 20, 6], &[0.0; 240]);
    frame.lasers[1].ri_return1.as_mut().unwrap().range_image_pose_compressed = Some(poses);
    let error = v1_error(&record(&frame.encode_to_vec()));
    assert!(error.contains("has poses of 2 x 20 for a range image of 4 x 10"), "{error}");
    says(&|f| f.lasers[1].inclinations[2] = f64::NAN, "not finite");
    says(&|f| f.lasers[0].extrinsic = [0.0; 16], "laser 3 its extrinsic is no rigid motion");
    says(&|f| f.pose[3] = f64::INFINITY, "its pose is no rigid motion");
    says(&|f| f.labels[1].bbox[0] = f64::NAN, "label 1");
    says(&|f| f.labels[1].bbox[4] = -1.0, "label 1");
    says(&|f| f.labels[2].type_number = 9, "label 2 is of type 9");
    says(&|f| f.labels[0].difficulty = Some(3), "label 0 has level 3");
}

#[test]
fn images_that_inflate_without_end_or_not_at_all_are_errors() {
    let with_image = |image: Vec<u8>| {
        let mut frame = to_proto(&segment()[0]);
        frame.lasers[0].ri_return1.as_mut().unwrap().range_image_compressed = Some(image);
        v1_error(&record(&frame.encode_to_vec()))
    };
    // 80 MB of zeros in 80 kB.
    let bomb = deflate(&vec![0; 80 << 20]);
    assert!(bomb.len() < 1 << 20);
    assert!(with_image(bomb).contains("more than"));
    assert!(with_image(vec![1, 2, 3]).contains("cannot be inflated"));
    let mut cut = matrix([3, 6, 4], &[1.0; 72]);
    cut.truncate(cut.len() / 2);
    assert!(with_image(cut).contains("cannot be inflated"));
    assert!(with_image(deflate(&[0xff; 40])).contains("no matrix"));
    assert!(v1_error(&record(&[0xff; 40])).contains("no frame"));
    assert!(v1_error(&record(&[])).contains("has no context"));
}

#[test]
fn splits_without_frames_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path()), Err(DatasetError::Read { .. })));
    fs::create_dir(folder.path().join("train")).unwrap();
    assert!(open(folder.path()).err().unwrap().to_string().contains("holds no frame"));
    let open = |split| {
        WaymoDataset::open(folder.path(), split, BTreeMap::new(), WaymoSettings::default()).err().unwrap()
    };
    for split in ["", "..", "a/b"] {
        assert!(open(split).to_string().contains("no name of a split"), "{split}");
    }
}

/// A split of version 2 whose component of this name is replaced.
fn v2_error(component: &str, replace: impl Fn(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    write_v2(&folder.path().join("train"), &segment(), 100);
    let path = folder.path().join("train").join(component).join(format!("{SEGMENT}.parquet"));
    replace(&path);
    let error = open_and_load(folder.path()).unwrap_err().to_string();
    assert!(error.contains(component), "{error}");
    error
}

#[test]
fn broken_components_are_errors_that_name_them() {
    for component in ["vehicle_pose", "lidar", "lidar_pose", "lidar_calibration", "lidar_box"] {
        // Without its poses a segment is none of the split's.
        if component != "vehicle_pose" {
            v2_error(component, |path| fs::remove_file(path).unwrap());
        }
        v2_error(component, |path| fs::write(path, b"PAR1 no file PAR1").unwrap());
        v2_error(component, |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        });
    }
}

#[test]
fn rows_and_columns_that_do_not_fit_are_errors() {
    let timestamps = |n: usize| Column::Int64("key.frame_timestamp_micros".to_owned(), vec![Some(1); n]);
    let says = |component: &str, columns: Vec<Column>, part: &str| {
        let error = v2_error(component, |path| write_parquet(path, &columns, 100));
        assert!(error.contains(part), "`{part}` is not in `{error}`");
    };
    let pose = "[VehiclePoseComponent].world_from_vehicle.transform".to_owned();
    says("vehicle_pose", vec![timestamps(2)], "twice");
    says("vehicle_pose", vec![timestamps(1)], "has no column");
    says("vehicle_pose", vec![timestamps(1), Column::Doubles(pose.clone(), vec![None])], "record 1");
    says("vehicle_pose", vec![timestamps(1), Column::Ints(pose, vec![Some(vec![1])])], "not of DOUBLE");
    let no_time = Column::Int64("key.frame_timestamp_micros".to_owned(), vec![Some(1), None]);
    says("vehicle_pose", vec![no_time], "record 2: has no `key.frame_timestamp_micros`");
    let change = |change: &dyn Fn(&mut Frame)| {
        let folder = tempfile::tempdir().unwrap();
        let mut frames = segment();
        change(&mut frames[1]);
        write_v2(&folder.path().join("train"), &frames, 100);
        open_and_load(folder.path()).unwrap_err().to_string()
    };
    // Rows 3 and 4 are the second frame's: the side laser's and the top's.
    let error = change(&|f| f.lasers[1].shape = [4, 11, 4]);
    assert!(error.contains("record 4") && error.contains("but 160 values"), "{error}");
    let error = change(&|f| f.lasers[0].shape = [3, 7, 4]);
    assert!(error.contains("record 3") && error.contains("the first return of laser 3"), "{error}");
    let error = change(&|f| f.labels[2].type_number = 7);
    assert!(error.contains("record 6") && error.contains("type 7"), "{error}");
    let error = change(&|f| f.lasers[1].poses = Some(vec![0.5; 6]));
    assert!(error.contains("lidar_pose") && error.contains("pose image"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_of_a_frame_panic(changes in prop::collection::vec((0_usize..4000, any::<u8>()), 1..6)) {
        let mut bytes = to_proto(&segment()[0]).encode_to_vec();
        for (at, value) in changes {
            let n = bytes.len();
            bytes[at % n] = value;
        }
        if let Ok(raw) = v1::parse(&bytes) {
            let frame = raw.into_frame(&WaymoSettings { second_returns: true, ..WaymoSettings::default() });
            prop_assert!(frame.points.iter().all(|p| p.is_finite()));
        }
    }

    #[test]
    fn no_bytes_at_all_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = v1::parse(&bytes);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("train")).unwrap();
        fs::write(v1_file(folder.path()), &bytes).unwrap();
        let _ = open_and_load(folder.path());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_bytes_of_a_component_panic(
        component in 0_usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let component =
            ["vehicle_pose", "lidar", "lidar_pose", "lidar_calibration", "lidar_box"][component];
        let folder = tempfile::tempdir().unwrap();
        let split = folder.path().join("train");
        write_v2(&split, &segment(), 2);
        let path = split.join(component).join(format!("{SEGMENT}.parquet"));
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        fs::write(&path, bytes).unwrap();
        let _ = open_and_load(folder.path());
    }
}

#[test]
fn what_was_written_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    write_v1(&folder.path().join("train"), &segment());
    open_and_load(folder.path()).unwrap();
    fs::remove_file(v1_file(folder.path())).unwrap();
    write_v2(&folder.path().join("train"), &segment(), 3);
    open_and_load(folder.path()).unwrap();
}
