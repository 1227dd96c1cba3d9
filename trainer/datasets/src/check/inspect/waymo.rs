//! Waymo's splits, looked at.

use super::Inspect;
use crate::waymo::{TYPE_NAMES, WaymoDataset, WaymoSettings, splits};
use crate::{Dataset, DatasetError, Kind, Sample};
use std::collections::BTreeMap;
use std::path::Path;

/// One split or all of them, one after another.
pub(super) struct Waymo {
    splits: Vec<WaymoDataset>,
}

impl Waymo {
    /// **Errors**: no split at all, and those of [`WaymoDataset::open`].
    pub(super) fn open(root: &Path, split: Option<&str>) -> Result<Self, DatasetError> {
        let names = split.map_or_else(|| splits(root), |split| vec![split.to_owned()]);
        if names.is_empty() {
            let reason = "has no folder with `*.tfrecord` or `vehicle_pose`".to_owned();
            return Err(DatasetError::File { path: root.to_owned(), reason });
        }
        let open = |name: &String| WaymoDataset::open(root, name, BTreeMap::new(), WaymoSettings::default());
        Ok(Self { splits: names.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The split of a sample, and its index there.
    fn place(&self, mut idx: usize) -> Result<(&WaymoDataset, usize), DatasetError> {
        let no_sample = DatasetError::NoSample { idx, n_samples: self.n_samples() };
        for split in &self.splits {
            if idx < split.n_samples() {
                return Ok((split, idx));
            }
            idx -= split.n_samples();
        }
        Err(no_sample)
    }
}

impl Dataset for Waymo {
    fn n_samples(&self) -> usize {
        self.splits.iter().map(WaymoDataset::n_samples).sum()
    }

    fn name(&self, idx: usize) -> &str {
        self.place(idx).map_or("", |(split, idx)| split.name(idx))
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        let (split, idx) = self.place(idx)?;
        split.load(idx)
    }

    fn drive(&self, idx: usize) -> Option<String> {
        let (split, idx) = self.place(idx).ok()?;
        split.drive(idx)
    }
}

impl Inspect for Waymo {
    fn kind(&self) -> Kind {
        Kind::Waymo
    }

    fn known_classes(&self) -> &'static [&'static str] {
        &TYPE_NAMES
    }
}
