//! Version 2: a Parquet file a segment and component.

use super::frame::{LabelNumbers, RawFrame, RawLaser, WaymoLabel, rigid};
use super::image::{Calibration, PixelPoses, RangeImage, TOP, check_poses};
use super::parquet_file::{ParquetFile, Rows};
use super::{files_in, segment_name};
use crate::DatasetError;
use glam::DVec3;
use std::path::{Path, PathBuf};

/// The component by which a split of this version is known; it has a row a frame.
pub(super) const VEHICLE_POSE: &str = "vehicle_pose";

const TIMESTAMP: &str = "key.frame_timestamp_micros";
const LASER: &str = "key.laser_name";

struct Segment {
    name: String,
    /// Of its frames, rising.
    timestamps: Vec<i64>,
}

/// The segments of a split.
pub(super) struct Segments {
    folder: PathBuf,
    segments: Vec<Segment>,
}

impl Segments {
    pub(super) fn open(folder: &Path) -> Result<Self, DatasetError> {
        let mut segments = Vec::new();
        for path in files_in(&folder.join(VEHICLE_POSE), "parquet")? {
            let file = ParquetFile::open(&path)?;
            let mut timestamps = Vec::new();
            for rows in file.groups() {
                timestamps.extend(file.keys(TIMESTAMP, rows)?);
            }
            timestamps.sort_unstable();
            if let Some(twice) = timestamps.windows(2).find(|w| w[0] == w[1]) {
                let reason = format!("has the frame of {} twice", twice[0]);
                return Err(DatasetError::File { path, reason });
            }
            segments.push(Segment { name: segment_name(&path), timestamps });
        }
        Ok(Self { folder: folder.to_owned(), segments })
    }

    /// Of every frame, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |s: &Segment| {
            let segment = s.name.clone();
            (0..s.timestamps.len()).map(move |k| format!("{segment}/{k:03}"))
        };
        self.segments.iter().flat_map(name).collect()
    }

    pub(super) fn load(&self, mut idx: usize, second_returns: bool) -> Result<RawFrame, DatasetError> {
        let n_samples = self.segments.iter().map(|s| s.timestamps.len()).sum();
        let no_sample = DatasetError::NoSample { idx, n_samples };
        for segment in &self.segments {
            if let Some(timestamp) = segment.timestamps.get(idx) {
                return self.load_frame(&segment.name, *timestamp, second_returns);
            }
            idx -= segment.timestamps.len();
        }
        Err(no_sample)
    }

    fn component(&self, component: &str, segment: &str) -> Result<ParquetFile, DatasetError> {
        ParquetFile::open(&self.folder.join(component).join(format!("{segment}.parquet")))
    }

    fn load_frame(
        &self,
        segment: &str,
        timestamp: i64,
        second_returns: bool,
    ) -> Result<RawFrame, DatasetError> {
        let poses = self.component(VEHICLE_POSE, segment)?;
        let row = only_row(&poses, timestamp)?;
        let name = "[VehiclePoseComponent].world_from_vehicle.transform";
        let transform = poses.doubles(name, row)?.pop().flatten().unwrap_or_default();
        let pose = rigid(&transform, "its pose").map_err(|e| poses.refuse(row.group, row.first, e))?;
        Ok(RawFrame {
            context_name: segment.to_owned(),
            timestamp_micros: timestamp,
            pose,
            lasers: self.lasers(segment, timestamp, second_returns)?,
            labels: self.labels(segment, timestamp)?,
        })
    }

    fn lasers(
        &self,
        segment: &str,
        timestamp: i64,
        second_returns: bool,
    ) -> Result<Vec<RawLaser>, DatasetError> {
        let lidar = self.component("lidar", segment)?;
        let calibrations = self.component("lidar_calibration", segment)?;
        let pixel_poses = self.component("lidar_pose", segment)?;
        let mut lasers = Vec::new();
        for row in rows_of(&lidar, timestamp)? {
            let refuse = |reason: String| lidar.refuse(row.group, row.first, reason);
            let number = lidar.keys(LASER, row)?.pop().unwrap_or(0);
            let name = i32::try_from(number).map_err(|_| refuse(format!("is of laser {number}")))?;
            let Some((shape, values)) = image(&lidar, "[LiDARComponent].range_image_return1", row)? else {
                continue;
            };
            let first = RangeImage::new(&shape, values)
                .map_err(|e| refuse(format!("the first return of laser {name} {e}")))?;
            let calibration = calibration_of(&calibrations, name)?;
            calibration.check(&first).map_err(|e| refuse(format!("laser {name} {e}")))?;
            let poses = if name == TOP { Some(poses_of(&pixel_poses, timestamp, &first)?) } else { None };
            let mut returns = vec![first];
            if second_returns
                && let Some((shape, values)) = image(&lidar, "[LiDARComponent].range_image_return2", row)?
            {
                let second = RangeImage::new(&shape, values)
                    .and_then(|i| calibration.check(&i).map(|()| i))
                    .and_then(|i| poses.as_ref().map_or(Ok(()), |p| check_poses(p, &i)).map(|()| i))
                    .map_err(|e| refuse(format!("the second return of laser {name} {e}")))?;
                returns.push(second);
            }
            lasers.push(RawLaser { name, calibration, returns, poses });
        }
        Ok(lasers)
    }

    fn labels(&self, segment: &str, timestamp: i64) -> Result<Vec<(WaymoLabel, DVec3)>, DatasetError> {
        let file = self.component("lidar_box", segment)?;
        let mut labels = Vec::new();
        for run in runs_of(&file, timestamp)? {
            let name = |column: &str| format!("[LiDARBoxComponent].{column}");
            let numbers = |column: &str| file.numbers(&name(column), run);
            let integers = |column: &str| -> Result<Vec<i64>, DatasetError> {
                let lists = file.integers(&name(column), run)?;
                Ok(lists.iter().map(|l| l.as_ref().and_then(|l| l.first().copied()).unwrap_or(0)).collect())
            };
            let mut bbox = vec![[0.0; 7]; run.n];
            let columns = ["center.x", "center.y", "center.z", "size.x", "size.y", "size.z", "heading"];
            for (place, column) in columns.into_iter().enumerate() {
                for (row, number) in numbers(&format!("box.{column}"))?.into_iter().enumerate() {
                    bbox[row][place] = number.ok_or_else(|| {
                        file.refuse(run.group, run.first + row, format!("has no `box.{column}`"))
                    })?;
                }
            }
            let speeds = [numbers("speed.x")?, numbers("speed.y")?, numbers("speed.z")?];
            let (types, n_points) = (integers("type")?, integers("num_lidar_points_in_box")?);
            let difficulties = integers("difficulty_level.detection")?;
            for (row, bbox) in bbox.into_iter().enumerate() {
                let speed = speeds[0][row].zip(speeds[1][row]);
                let numbers = LabelNumbers {
                    type_number: types[row],
                    bbox,
                    speed: speed.map(|(x, y)| [x, y, speeds[2][row].unwrap_or(0.0)]),
                    n_points: n_points[row],
                    difficulty: difficulties[row],
                };
                let label = numbers.checked(labels.len());
                labels.push(label.map_err(|e| file.refuse(run.group, run.first + row, e))?);
            }
        }
        Ok(labels)
    }
}

/// The rows of a frame, as few runs of neighbours as there are.
pub(super) fn runs_of(file: &ParquetFile, timestamp: i64) -> Result<Vec<Rows>, DatasetError> {
    let mut runs: Vec<Rows> = Vec::new();
    for rows in file.groups() {
        let keys = file.keys(TIMESTAMP, rows)?;
        for (row, _) in keys.iter().enumerate().filter(|(_, key)| **key == timestamp) {
            match runs.last_mut() {
                Some(run) if run.group == rows.group && run.first + run.n == row => run.n += 1,
                _ => runs.push(Rows { group: rows.group, first: row, n: 1 }),
            }
        }
    }
    Ok(runs)
}

/// The rows of a frame, one by one.
fn rows_of(file: &ParquetFile, timestamp: i64) -> Result<Vec<Rows>, DatasetError> {
    let runs = runs_of(file, timestamp)?;
    Ok(runs.iter().flat_map(|run| (0..run.n).map(|k| Rows { first: run.first + k, n: 1, ..*run })).collect())
}

fn only_row(file: &ParquetFile, timestamp: i64) -> Result<Rows, DatasetError> {
    let rows = rows_of(file, timestamp)?;
    match rows.as_slice() {
        [row] => Ok(*row),
        rows => Err(DatasetError::File {
            path: file.path().to_owned(),
            reason: format!("has {} rows of the frame of {timestamp} instead of one", rows.len()),
        }),
    }
}

/// Shape and values of an image.
type ImageParts = (Vec<i32>, Vec<f32>);

/// The parts of an image; `None` where the row has none.
fn image(file: &ParquetFile, column: &str, row: Rows) -> Result<Option<ImageParts>, DatasetError> {
    let Some(values) = file.floats(&format!("{column}.values"), row)?.pop().flatten() else {
        return Ok(None);
    };
    let shape = file.integers(&format!("{column}.shape"), row)?.pop().flatten().unwrap_or_default();
    Ok(Some((shape.into_iter().map(|v| i32::try_from(v).unwrap_or(-1)).collect(), values)))
}

fn calibration_of(file: &ParquetFile, laser: i32) -> Result<Calibration, DatasetError> {
    for rows in file.groups() {
        let keys = file.keys(LASER, rows)?;
        let Some(first) = keys.iter().position(|key| *key == i64::from(laser)) else {
            continue;
        };
        let row = Rows { group: rows.group, first, n: 1 };
        let name = |column: &str| format!("[LiDARCalibrationComponent].{column}");
        let list = |column: &str| -> Result<Vec<f64>, DatasetError> {
            Ok(file.doubles(&name(column), row)?.pop().flatten().unwrap_or_default())
        };
        let extrinsic = rigid(&list("extrinsic.transform")?, "its extrinsic")
            .map_err(|e| file.refuse(row.group, row.first, e))?;
        let edge = |column: &str| -> Result<f64, DatasetError> {
            Ok(file.numbers(&name(column), row)?.pop().flatten().unwrap_or(0.0))
        };
        return Ok(Calibration {
            extrinsic,
            beam_inclinations: list("beam_inclination.values")?,
            inclination_range: [edge("beam_inclination.min")?, edge("beam_inclination.max")?],
        });
    }
    let reason = format!("has no calibration of laser {laser}");
    Err(DatasetError::File { path: file.path().to_owned(), reason })
}

fn poses_of(file: &ParquetFile, timestamp: i64, image_of: &RangeImage) -> Result<PixelPoses, DatasetError> {
    for row in rows_of(file, timestamp)? {
        if file.keys(LASER, row)? != [i64::from(TOP)] {
            continue;
        }
        let refuse = |reason: String| file.refuse(row.group, row.first, reason);
        let found = image(file, "[LiDARPoseComponent].range_image_return1", row)?;
        let (shape, values) = found.ok_or_else(|| refuse("has no poses".to_owned()))?;
        let poses = PixelPoses::new(&shape, values).map_err(|e| refuse(format!("its pose image {e}")))?;
        check_poses(&poses, image_of).map_err(|e| refuse(format!("laser {TOP} {e}")))?;
        return Ok(poses);
    }
    let reason = format!("has no poses of laser {TOP} in the frame of {timestamp}");
    Err(DatasetError::File { path: file.path().to_owned(), reason })
}
