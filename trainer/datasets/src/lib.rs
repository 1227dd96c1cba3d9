//! Labelled LiDAR datasets on disk, read one sample at a time.
//!
//! A format is a module: where its files lie, how they are read, and what they mean. Nothing here
//! knows of networks or of training; the trainer and the evaluation both stand on it.

mod boxes_file;
pub mod cache;
pub mod check;
pub mod cloud_folder;
pub mod convert;
pub mod download;
pub mod frame_folder;
mod geometry;
mod kind;
pub mod kitti;
mod loader;
mod motion;
pub mod nuscenes;
pub mod nuscenes_frames;
pub mod waymo;

pub use geometry::{BoxTest, points_in_box};
pub use kind::{Convention, Kind, SENSOR_HEIGHT_M};
pub use loader::{Loader, generator, shuffled_order};
pub use motion::{Motion, Moved};

use pilotis_spec::{Box3d, Point};
use std::io;
use std::path::{Component, Path, PathBuf};

/// One labelled sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Name of the frame within its dataset.
    pub name: String,
    /// Finite points in file order.
    pub points: Vec<Point>,
    /// Labelled objects of every class of the dataset.
    pub objects: Vec<GroundTruth>,
}

/// One labelled object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroundTruth {
    /// Lower case; already renamed as the configuration says.
    pub class_name: String,
    /// Where it is, in the LiDAR frame.
    pub bbox: Box3d,
    /// Velocity along x and y in m/s; zero where the dataset has none.
    pub velocity: [f32; 2],
    /// Points inside the box: the source's own count, else counted among the sample's points.
    pub n_points: u32,
    /// The source's degree of occlusion: in KITTI 0 visible, 1 partly, 2 largely, 3 unknown.
    pub occlusion: u8,
    /// Harder than what the dataset's own benchmark counts at its hardest level.
    pub difficult: bool,
}

/// A split of a dataset on disk.
pub trait Dataset: Send + Sync {
    /// Samples in the split; at least one.
    fn n_samples(&self) -> usize;

    /// Name of a sample; empty past the end.
    fn name(&self, idx: usize) -> &str;

    /// Reads one sample.
    ///
    /// **Errors**: a [`DatasetError`] that names the file, and its line where it is a text.
    fn load(&self, idx: usize) -> anyhow::Result<Sample>;

    /// The drive that a sample is of, where the dataset says it: samples of one drive are alike.
    fn drive(&self, _idx: usize) -> Option<String> {
        None
    }
}

/// What can be wrong with a dataset on disk.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line of a text file is not what its format says.
    #[error("`{}` line {line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file as a whole is not what its format says.
    #[error("`{}`: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A record or row of a binary file is not what its format says.
    #[error("`{}` record {record}: {reason}", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        record: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such sample.
    #[error("there is no sample {idx}: the split has {n_samples}")]
    NoSample {
        /// The index asked for.
        idx: usize,
        /// Samples in the split.
        n_samples: usize,
    },
    /// The tables of a nuScenes dataset.
    #[error(transparent)]
    Tables(#[from] nuscenes::TablesError),
    /// A kind of dataset, or a setting of one, that this version cannot read.
    #[error("dataset.{setting}: {reason}")]
    Unsupported {
        /// Which setting of the configuration.
        setting: &'static str,
        /// Why, and what is supported.
        reason: String,
    },
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, DatasetError> {
    std::fs::read(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })
}

fn read_text(path: &Path) -> Result<String, DatasetError> {
    std::fs::read_to_string(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })
}

/// The path of a file that a dataset names, if it lies in the dataset's folder.
pub(crate) fn path_below(root: &Path, name: &str) -> Option<PathBuf> {
    let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    (is_below && !name.is_empty()).then(|| root.join(name))
}

/// Points of a headerless file of little-endian `f32` records `x, y, z, intensity`.
///
/// Points that are not finite are left out, as the runtime leaves them out.
///
/// **Errors**: a length that is no multiple of 16 bytes.
pub fn read_xyzi(path: &Path) -> Result<Vec<Point>, DatasetError> {
    read_points::<16>(path)
}

/// The same from records of `N` bytes, at least 16, that begin so.
fn read_points<const N: usize>(path: &Path) -> Result<Vec<Point>, DatasetError> {
    let bytes = read_bytes(path)?;
    let (records, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        let reason = format!("{} bytes are no whole number of {N}-byte points", bytes.len());
        return Err(DatasetError::File { path: path.to_owned(), reason });
    }
    let value = |r: &[u8; N], k: usize| f32::from_le_bytes([r[k], r[k + 1], r[k + 2], r[k + 3]]);
    let points = records.iter().map(|r| Point {
        x: value(r, 0),
        y: value(r, 4),
        z: value(r, 8),
        intensity: value(r, 12),
        time_lag: 0.0,
    });
    Ok(points.filter(Point::is_finite).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_off_point_files_are_refused_and_broken_points_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.bin");
        let values: [f32; 12] = [1.0, 2.0, 3.0, 0.5, 1.0, f32::NAN, 0.0, 0.0, 4.0, 5.0, 6.0, 0.25];
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let points = read_xyzi(&path).unwrap();
        assert_eq!(
            points,
            [
                Point { x: 1.0, y: 2.0, z: 3.0, intensity: 0.5, time_lag: 0.0 },
                Point { x: 4.0, y: 5.0, z: 6.0, intensity: 0.25, time_lag: 0.0 },
            ]
        );
        std::fs::write(&path, &bytes[..41]).unwrap();
        let error = read_xyzi(&path).unwrap_err();
        assert!(error.to_string().contains("41 bytes") && error.to_string().contains("cloud.bin"), "{error}");
    }
}
