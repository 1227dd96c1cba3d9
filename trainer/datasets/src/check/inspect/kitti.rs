//! KITTI's layout, looked at.

use super::{Inspect, read_stored};
use crate::kitti::KittiDataset;
use crate::{Dataset, DatasetError, Kind, Sample};
use pilotis_spec::{Point, PointLayout};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// KITTI's frames with the splits that name them.
pub(super) struct Kitti {
    root: PathBuf,
    frames: KittiDataset,
}

impl Kitti {
    pub(super) fn new(root: &Path, frames: KittiDataset) -> Self {
        Self { root: root.to_owned(), frames }
    }
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

    fn drive(&self, idx: usize) -> Option<String> {
        self.frames.drive(idx)
    }
}

impl Inspect for Kitti {
    fn kind(&self) -> Kind {
        Kind::Kitti
    }

    fn stored_points(&self, idx: usize) -> Result<Option<Vec<Point>>, DatasetError> {
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
