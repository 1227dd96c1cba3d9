//! What a format has to show of itself beyond its samples.

use crate::cache::CachedDataset;
use crate::cloud_folder::CloudFolder;
use crate::frame_folder::FrameFolder;
use crate::kitti::KittiDataset;
use crate::nuscenes::{CachePlace, DETECTION_CLASSES, NuscenesDataset, SweepStyle, Sweeps};
use crate::{Convention, Dataset, DatasetError, Kind, Sample};
use pilotis_runtime::CloudFile;
use pilotis_spec::{Point, PointLayout};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A dataset that can be looked at closely.
pub trait Inspect: Dataset {
    /// Its format.
    fn kind(&self) -> Kind;

    /// Every point of a sample's file, those that are not finite included.
    ///
    /// **Errors**: the file, and what is wrong with it.
    fn stored_points(&self, idx: usize) -> Result<Vec<Point>, DatasetError>;

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

/// Opens a dataset to be looked at: all samples of it, or those of a split; `layout` is that of headerless files in
/// a plain folder.
///
/// **Errors**: a folder of an unknown kind, no samples, and those of the format.
pub fn open(
    root: &Path,
    kind: Option<Kind>,
    split: Option<&str>,
    layout: Option<&PointLayout>,
) -> Result<Box<dyn Inspect>, DatasetError> {
    let kind = match kind {
        Some(kind) => kind,
        None => Kind::of(root)?,
    };
    let no_splits = |setting| {
        let reason = format!("{kind} has no splits; leave it out");
        if split.is_some() { Err(DatasetError::Unsupported { setting, reason }) } else { Ok(()) }
    };
    match kind {
        Kind::Kitti => {
            let frames = match split {
                Some(split) => KittiDataset::open(root, split, BTreeMap::new())?,
                None => KittiDataset::open_all(root, BTreeMap::new())?,
            };
            Ok(Box::new(Kitti { root: root.to_owned(), frames }))
        }
        Kind::Nuscenes => {
            // The devkit leaves out what is near the sensor; here every point counts.
            let one = Sweeps { n_sweeps: 1, style: SweepStyle::Mmdet3d };
            // Looked at closely: what lies in the tables, not what an index once held.
            let nowhere = CachePlace::Nowhere;
            let frames = NuscenesDataset::open(root, None, split, one, BTreeMap::new(), nowhere)?;
            Ok(Box::new(Nuscenes(frames)))
        }
        Kind::Cache => {
            no_splits("split")?;
            Ok(Box::new(CachedDataset::open(root)?))
        }
        Kind::Frame => {
            no_splits("split")?;
            Ok(Box::new(FrameFolder::open(root, BTreeMap::new())?))
        }
        Kind::Folder => {
            no_splits("split")?;
            Ok(Box::new(CloudFolder::open(root, layout.cloned())?))
        }
    }
}

/// Every point of a headerless file.
fn read_stored(path: &Path, layout: &PointLayout) -> Result<Vec<Point>, DatasetError> {
    let failed = |reason: String| DatasetError::File { path: path.to_owned(), reason };
    let file = CloudFile::open(path, Some(layout)).map_err(|e| failed(e.to_string()))?;
    file.read_points().map_err(|e| failed(e.to_string()))
}

/// KITTI's frames with the splits that name them.
struct Kitti {
    root: PathBuf,
    frames: KittiDataset,
}

impl Dataset for Kitti {
    fn n_samples(&self) -> usize {
        self.frames.n_samples()
    }

    fn name(&self, idx: usize) -> &str {
        self.frames.name(idx)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        self.frames.load(idx)
    }
}

impl Inspect for Kitti {
    fn kind(&self) -> Kind {
        Kind::Kitti
    }

    fn stored_points(&self, idx: usize) -> Result<Vec<Point>, DatasetError> {
        let n_samples = self.n_samples();
        let path = self.frames.cloud_path(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        read_stored(&path, &PointLayout::kitti())
    }

    fn known_classes(&self) -> &'static [&'static str] {
        // In lower case, as the reader gives them.
        &["car", "van", "truck", "pedestrian", "person_sitting", "cyclist", "tram", "misc"]
    }

    /// Splits that name frames which are not there.
    fn faults(&self) -> Vec<String> {
        let Ok(all) = KittiDataset::open_all(&self.root, BTreeMap::new()) else { return Vec::new() };
        let known: BTreeSet<&str> = (0..all.n_samples()).map(|idx| all.name(idx)).collect();
        let sets = self.root.join("ImageSets");
        let entries = std::fs::read_dir(&sets).into_iter().flatten().flatten();
        let mut paths: Vec<_> =
            entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
        paths.sort();
        let mut faults = Vec::new();
        for path in paths {
            // Frames for testing have no labels and lie elsewhere.
            if path.file_stem().is_some_and(|stem| stem == "test") {
                continue;
            }
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(e) => {
                    faults.push(format!("`{}`: {e}", path.display()));
                    continue;
                }
            };
            let names = text.lines().map(str::trim).enumerate().filter(|(_, name)| !name.is_empty());
            for (line, name) in names.filter(|(_, name)| !known.contains(name)) {
                faults.push(format!("`{}` line {}: there is no frame `{name}`", path.display(), line + 1));
            }
        }
        faults
    }
}

/// nuScenes' key frames.
struct Nuscenes(NuscenesDataset);

/// Bytes of a point of nuScenes.
const NUSCENES_POINT_BYTES: u64 = 20;

impl Dataset for Nuscenes {
    fn n_samples(&self) -> usize {
        self.0.n_samples()
    }

    fn name(&self, idx: usize) -> &str {
        self.0.name(idx)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        self.0.load(idx)
    }
}

impl Inspect for Nuscenes {
    fn kind(&self) -> Kind {
        Kind::Nuscenes
    }

    fn stored_points(&self, idx: usize) -> Result<Vec<Point>, DatasetError> {
        let (tables, n_samples) = (self.0.tables(), self.n_samples());
        let sample = self.0.samples().get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        // A sample without a sweep says so where it is read.
        let Some(key) = tables.key_lidar(*sample) else { return Ok(Vec::new()) };
        read_stored(&tables.path_of(&tables.sample_data[key].filename), &PointLayout::nuscenes())
    }

    fn known_classes(&self) -> &'static [&'static str] {
        &DETECTION_CLASSES
    }

    fn left_out(&self) -> BTreeMap<String, u64> {
        let tables = self.0.tables();
        let mut left_out = BTreeMap::new();
        for id in self.0.samples().iter().flat_map(|sample| tables.annotations_of(*sample)) {
            if tables.class_of(*id).is_none() {
                *left_out.entry(tables.category_name(*id).to_owned()).or_default() += 1;
            }
        }
        left_out
    }

    /// Sweeps between the key frames that are missing or cut; key frames are samples, and speak for themselves.
    fn faults(&self) -> Vec<String> {
        let tables = self.0.tables();
        let files: Vec<&str> = tables
            .sample_data
            .rows()
            .iter()
            .filter(|row| !row.is_key_frame && row.filename.ends_with(".bin"))
            .map(|row| row.filename.as_str())
            .collect();
        let fault = |name: &&str| {
            let path = tables.path_of(name);
            match std::fs::metadata(&path) {
                Err(e) => Some(format!("`{}`: {e}", path.display())),
                Ok(m) if m.len() % NUSCENES_POINT_BYTES != 0 => {
                    let n = m.len();
                    Some(format!("`{}`: {n} bytes are no whole number of points", path.display()))
                }
                Ok(_) => None,
            }
        };
        files.par_iter().filter_map(fault).collect()
    }
}

impl Inspect for FrameFolder {
    fn kind(&self) -> Kind {
        Kind::Frame
    }

    fn stored_points(&self, idx: usize) -> Result<Vec<Point>, DatasetError> {
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

    fn stored_points(&self, idx: usize) -> Result<Vec<Point>, DatasetError> {
        self.read(idx)
    }
}
