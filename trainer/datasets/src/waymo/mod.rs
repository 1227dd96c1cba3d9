//! The Waymo Open Dataset's perception frames: version 1 (TFRecords) and version 2 (Parquet).
//!
//! A split is a folder. Of version 1 it holds a file a segment, `segment-NAME_with_camera_labels.tfrecord`, a record
//! a frame; of version 2 it holds a folder a component (`lidar`, `lidar_pose`, `lidar_calibration`, `vehicle_pose`,
//! `lidar_box`), in each a file a segment, `NAME.parquet`. Both give the same points, bit for bit, for the same data.
//!
//! **Units and frame**: metres, in the frame of the vehicle at the frame's own time: x ahead, y to the left, z up.
//! Intensities are as recorded, without an upper bound. Velocities are turned from the world's axes to the vehicle's.
//!
//! **Source**: `dataset.proto`, `label.proto`, the columns of version 2, and the official conversion of range images.

#[cfg(any(test, feature = "fixtures"))]
pub mod fixture;
mod frame;
mod image;
pub mod label;
mod parquet_file;
mod proto;
#[cfg(test)]
mod tests;
mod tfrecord;
mod v1;
mod v2;

pub use frame::{WaymoFrame, WaymoLabel};
pub use image::{Calibration, PixelPoses, RangeImage};

use super::{Dataset, DatasetError, GroundTruth, Sample};
use pilotis_spec::Box3d;
use pilotis_spec::codec::normalize_yaw;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of the types 0 to 4.
pub const TYPE_NAMES: [&str; 5] = ["unknown", "vehicle", "pedestrian", "sign", "cyclist"];

/// Which points of a frame are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaymoSettings {
    /// Also the second return of every beam, after all first ones of its LiDAR.
    pub second_returns: bool,
    /// Leaves out points in no-label zones, where objects are not labelled.
    pub drop_no_label_zones: bool,
}

enum Source {
    V1(v1::Segments),
    V2(v2::Segments),
}

/// A split of the dataset, of either version.
pub struct WaymoDataset {
    source: Source,
    names: Vec<String>,
    rename: BTreeMap<String, String>,
    settings: WaymoSettings,
}

impl WaymoDataset {
    /// Opens `root/SPLIT`; class names of `rename` are in lower case.
    ///
    /// Files are read as far as is needed to count their frames.
    ///
    /// **Errors**: a split that is not there, or holds neither version or no frame; a file whose frames cannot be
    /// counted.
    pub fn open(
        root: &Path,
        split: &str,
        rename: BTreeMap<String, String>,
        settings: WaymoSettings,
    ) -> Result<Self, DatasetError> {
        let is_name = split.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if split.is_empty() || !is_name {
            let reason = format!("`{split}` is no name of a split");
            return Err(DatasetError::File { path: root.to_owned(), reason });
        }
        let folder = root.join(split);
        let (source, names) = if is_version_2(&folder) {
            let segments = v2::Segments::open(&folder)?;
            let names = segments.names();
            (Source::V2(segments), names)
        } else {
            let segments = v1::Segments::open(&folder)?;
            let names = segments.names();
            (Source::V1(segments), names)
        };
        if names.is_empty() {
            return Err(DatasetError::File { path: folder, reason: "holds no frame".to_owned() });
        }
        Ok(Self { source, names, rename, settings })
    }

    /// Reads one frame with all that evaluation needs.
    ///
    /// **Errors**: as of [`Dataset::load`].
    pub fn load_frame(&self, idx: usize) -> Result<WaymoFrame, DatasetError> {
        let raw = match &self.source {
            _ if idx >= self.names.len() => Err(DatasetError::NoSample { idx, n_samples: self.names.len() }),
            Source::V1(segments) => segments.load(idx),
            Source::V2(segments) => segments.load(idx, self.settings.second_returns),
        }?;
        Ok(raw.into_frame(&self.settings))
    }

    /// The sample that a frame is.
    pub fn sample_of(&self, idx: usize, frame: &WaymoFrame) -> Sample {
        let objects = frame.labels.iter().map(|label| self.ground_truth(label)).collect();
        Sample { name: self.name(idx).to_owned(), points: frame.points.clone(), objects }
    }

    fn ground_truth(&self, label: &WaymoLabel) -> GroundTruth {
        let name = label.class_name();
        GroundTruth {
            class_name: self.rename.get(name).map_or(name, String::as_str).to_owned(),
            bbox: Box3d {
                center: label.center.map(|v| v as f32),
                size: label.size.map(|v| v as f32),
                yaw: normalize_yaw(label.heading as f32),
            },
            velocity: label.velocity.map(|v| v as f32),
            n_points: label.n_points,
            ..GroundTruth::default()
        }
    }
}

impl Dataset for WaymoDataset {
    fn n_samples(&self) -> usize {
        self.names.len()
    }

    fn name(&self, idx: usize) -> &str {
        self.names.get(idx).map_or("", String::as_str)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        Ok(self.sample_of(idx, &self.load_frame(idx)?))
    }

    fn drive(&self, idx: usize) -> Option<String> {
        let (segment, _) = self.names.get(idx)?.split_once('/')?;
        Some(segment.to_owned())
    }
}

/// Names of the folders below `root` that are splits of either version.
pub fn splits(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| is_split(&entry.path()));
    let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Whether a folder looks like a split of either version.
pub fn is_split(folder: &Path) -> bool {
    is_version_2(folder) || files_in(folder, "tfrecord").is_ok_and(|files| !files.is_empty())
}

fn is_version_2(folder: &Path) -> bool {
    folder.join(v2::VEHICLE_POSE).is_dir()
}

/// Files of a folder with this ending, by name.
fn files_in(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let read = |source| DatasetError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|e| e == ending) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The segment that a file holds: its name without what version 1 puts around it.
fn segment_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_prefix("segment-").unwrap_or(&stem);
    stem.strip_suffix("_with_camera_labels").unwrap_or(stem).to_owned()
}
