//! Rows of version 2 that do not stand as one would like: scattered, null, nested, in single precision.

use super::super::parquet_file::ParquetFile;
use super::super::v2::runs_of;
use super::super::{WaymoDataset, WaymoFrame, WaymoSettings};
use super::parquet_writer::{Column, write_parquet};
use super::synthetic::{Frame, components, segment, write_component, write_v1, write_v2};
use crate::DatasetError;
use std::collections::BTreeMap;
use std::path::Path;

fn frames_of(root: &Path) -> Result<Vec<WaymoFrame>, DatasetError> {
    let dataset = WaymoDataset::open(root, "train", BTreeMap::new(), WaymoSettings::default())?;
    (0..2).map(|idx| dataset.load_frame(idx)).collect()
}

/// What is read of the segment after a change of a component's columns.
fn changed(component: &str, change: impl Fn(&mut Vec<Column>)) -> Result<Vec<WaymoFrame>, DatasetError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, mut columns) in components(&segment()) {
        if name == component {
            change(&mut columns);
        }
        write_component(&folder.path().join("train"), name, &columns, 2);
    }
    frames_of(folder.path())
}

fn file(columns: &[Column], rows_per_group: usize) -> ParquetFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    write_parquet(&path, columns, rows_per_group);
    // Once open, it needs its name no longer.
    ParquetFile::open(&path).unwrap()
}

#[test]
fn rows_of_a_frame_are_found_wherever_they_stand() {
    let times = [1, 2, 2, 1, 1, 1].map(Some).to_vec();
    let file = file(&[Column::Int64("key.frame_timestamp_micros".to_owned(), times)], 2);
    let found = |time: i64| -> Vec<[usize; 3]> {
        runs_of(&file, time).unwrap().iter().map(|run| [run.group, run.first, run.n]).collect()
    };
    // Neighbours are of one group: the last row of the first and the second one of the next are none.
    assert_eq!(found(1), [[0, 0, 1], [1, 1, 1], [2, 0, 2]]);
    assert_eq!(found(2), [[0, 1, 1], [1, 0, 1]]);
    assert!(found(3).is_empty());
}

#[test]
fn a_null_where_a_number_must_be_is_an_error_of_its_row() {
    let says = |component: &str, column: &str, part: &str| {
        let change = |columns: &mut Vec<Column>| {
            for c in columns {
                match c {
                    Column::Double(name, values) if name.ends_with(column) => values[4] = None,
                    Column::Int32(name, values) if name.ends_with(column) => values[3] = None,
                    _ => {}
                }
            }
        };
        let error = changed(component, change).unwrap_err().to_string();
        assert!(error.contains(component) && error.contains(part), "{error}");
    };
    // Two rows a group, counted through the file.
    says("lidar_box", "box.center.z", "record 5: has no `box.center.z`");
    says("lidar", "key.laser_name", "record 4: has no `key.laser_name`");
}

#[test]
fn lists_with_nulls_and_lists_of_lists_are_no_lists_of_numbers() {
    let rows = vec![vec![Some(1.0), Some(2.0)], vec![Some(3.0), None, Some(4.0)]];
    let columns = [Column::FloatsOrNulls("a".to_owned(), rows), Column::Nested("b".to_owned(), 2)];
    let file = file(&columns, 1);
    let groups = file.groups();
    assert_eq!(file.floats("a", groups[0]).unwrap(), [Some(vec![1.0, 2.0])]);
    let error = file.floats("a", groups[1]).unwrap_err().to_string();
    assert!(error.contains("record 2") && error.contains("a null in it"), "{error}");
    let error = file.floats("b", groups[0]).unwrap_err().to_string();
    assert!(error.contains("lists of lists"), "{error}");
}

#[test]
fn transforms_in_single_precision_are_transforms() {
    let expected = changed("none", |_| {}).unwrap();
    let change = |columns: &mut Vec<Column>| {
        for column in columns {
            if let Column::Doubles(name, rows) = column {
                let single = |row: &Vec<f64>| row.iter().map(|v| *v as f32).collect();
                let rows = rows.iter().map(|row| row.as_ref().map(single)).collect();
                *column = Column::Floats(name.clone(), rows);
            }
        }
    };
    let found = changed("vehicle_pose", change).unwrap();
    for (found, expected) in found[0].labels.iter().zip(&expected[0].labels) {
        let off = [0, 1].map(|axis| (found.velocity[axis] - expected.velocity[axis]).abs());
        assert!(off.iter().all(|v| *v < 1e-6), "{found:?} {expected:?}");
    }
    assert_ne!(found, expected);
}

#[test]
fn poses_of_another_lidar_are_not_those_of_the_top_one() {
    let change = |columns: &mut Vec<Column>| {
        for column in columns {
            match column {
                Column::Int64(_, rows) => rows.insert(0, rows[0]),
                Column::Int32(_, rows) => rows.insert(0, Some(3)),
                Column::Ints(_, rows) => rows.insert(0, rows[0].clone()),
                Column::Floats(_, rows) => rows.insert(0, Some(vec![0.5; 4 * 10 * 6])),
                _ => {}
            }
        }
    };
    assert_eq!(changed("lidar_pose", change).unwrap(), changed("none", |_| {}).unwrap());
}

#[test]
fn a_count_below_zero_is_none() {
    let mut frames: Vec<Frame> = segment();
    frames[0].labels[0].n_points = -1;
    for write in [write_v1, |split: &Path, frames: &[Frame]| write_v2(split, frames, 2)] {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("train"), &frames);
        let counts: Vec<u32> =
            frames_of(folder.path()).unwrap()[0].labels.iter().map(|l| l.n_points).collect();
        assert_eq!(counts, [0, 14, 28]);
    }
}
