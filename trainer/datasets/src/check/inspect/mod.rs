//! What a format has to show of itself beyond its samples.

mod kitti;
mod nuscenes;
mod waymo;

use crate::cache::CachedDataset;
use crate::cloud_folder::CloudFolder;
use crate::frame_folder::FrameFolder;
use crate::kitti::KittiDataset;
use crate::nuscenes::{CachePlace, NuscenesDataset, SweepStyle, Sweeps};
use crate::{Convention, Dataset, DatasetError, Kind};
use kitti::Kitti;
use nuscenes::Nuscenes;
use pilotis_runtime::CloudFile;
use pilotis_spec::{Point, PointLayout};
use std::collections::BTreeMap;
use std::path::Path;
use waymo::Waymo;

/// A dataset that can be looked at closely.
pub trait Inspect: Dataset {
    /// Its format.
    fn kind(&self) -> Kind;

    /// Every point of a sample's file, those that are not finite included; `None` where reading the sample leaves
    /// none out.
    ///
    /// **Errors**: the file, and what is wrong with it.
    fn stored_points(&self, _idx: usize) -> Result<Option<Vec<Point>>, DatasetError> {
        Ok(None)
    }

    /// Axes and scale of its points, where they are known.
    fn convention(&self) -> Option<Convention> {
        self.kind().convention()
    }

    /// Classes that the format knows, in lower case; none where it knows any.
    fn known_classes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Labelled objects that the reader leaves out, by what they are called.
    fn left_out(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    /// What is wrong with the dataset as a whole.
    fn faults(&self) -> Vec<String> {
        Vec::new()
    }
}

/// How a dataset is opened to be looked at.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Its format; `None` is what the folder looks like.
    pub kind: Option<Kind>,
    /// The split; `None` is all samples.
    pub split: Option<String>,
    /// The layout of headerless files in a plain folder.
    pub layout: Option<PointLayout>,
    /// The folder of nuScenes' tables, where there are several.
    pub version: Option<String>,
    /// How nuScenes' sweeps are put together; `None` is the key sweep alone, every point of it.
    pub sweeps: Option<Sweeps>,
}

impl OpenOptions {
    /// Settings that the format has no use for are mistakes.
    fn check(&self, kind: Kind) -> Result<(), DatasetError> {
        let is_nuscenes = kind == Kind::Nuscenes;
        let has_splits = matches!(kind, Kind::Kitti | Kind::Nuscenes | Kind::Waymo);
        let unused = [
            ("split", self.split.is_some() && !has_splits),
            ("version", self.version.is_some() && !is_nuscenes),
            ("sweeps", self.sweeps.is_some() && !is_nuscenes),
        ];
        match unused.into_iter().find(|(_, is_unused)| *is_unused) {
            None => Ok(()),
            Some((setting, _)) => {
                let reason = format!("{kind} has no {setting} to choose; leave it out");
                Err(DatasetError::Unsupported { setting, reason })
            }
        }
    }
}

/// Opens a dataset to be looked at.
///
/// **Errors**: a folder of an unknown kind, an option that its format has no use for, no samples, and those of the
/// format.
pub fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Inspect>, DatasetError> {
    let kind = match options.kind {
        Some(kind) => kind,
        None => Kind::of(root)?,
    };
    options.check(kind)?;
    let split = options.split.as_deref();
    match kind {
        Kind::Kitti => {
            let frames = match split {
                Some(split) => KittiDataset::open(root, split, BTreeMap::new())?,
                None => KittiDataset::open_all(root, BTreeMap::new())?,
            };
            Ok(Box::new(Kitti::new(root, frames)))
        }
        Kind::Nuscenes => {
            // The devkit leaves out what is near the sensor; here every point counts.
            let one = Sweeps { n_sweeps: 1, style: SweepStyle::Mmdet3d };
            let sweeps = options.sweeps.unwrap_or(one);
            // Looked at closely: what lies in the tables, not what an index once held.
            let nowhere = CachePlace::Nowhere;
            let version = options.version.as_deref();
            let frames = NuscenesDataset::open(root, version, split, sweeps, BTreeMap::new(), nowhere)?;
            Ok(Box::new(Nuscenes(frames)))
        }
        Kind::Waymo => Ok(Box::new(Waymo::open(root, split)?)),
        Kind::Cache => Ok(Box::new(CachedDataset::open(root)?)),
        Kind::Frame => Ok(Box::new(FrameFolder::open(root, BTreeMap::new())?)),
        Kind::Folder => Ok(Box::new(CloudFolder::open(root, options.layout.clone())?)),
    }
}

/// Every point of a headerless file.
fn read_stored(path: &Path, layout: &PointLayout) -> Result<Option<Vec<Point>>, DatasetError> {
    let failed = |reason: String| DatasetError::File { path: path.to_owned(), reason };
    let file = CloudFile::open(path, Some(layout)).map_err(|e| failed(e.to_string()))?;
    file.read_points().map(Some).map_err(|e| failed(e.to_string()))
}

impl Inspect for FrameFolder {
    fn kind(&self) -> Kind {
        Kind::Frame
    }

    fn stored_points(&self, idx: usize) -> Result<Option<Vec<Point>>, DatasetError> {
        if idx > 0 {
            return Err(DatasetError::NoSample { idx, n_samples: 1 });
        }
        read_stored(&self.cloud_path()?, &PointLayout::nuscenes())
    }
}

impl Inspect for CloudFolder {
    fn kind(&self) -> Kind {
        Kind::Folder
    }

    fn stored_points(&self, idx: usize) -> Result<Option<Vec<Point>>, DatasetError> {
        self.read(idx).map(Some)
    }
}
