//! Labelled samples of a split, as training and evaluation read them.

use super::cache::CachePlace;
use super::sweeps::{SweepCloud, Sweeps};
use super::table::Id;
use super::{ReadOptions, Sensors, Tables, schema, version_folder};
use crate::{Dataset, DatasetError, Sample};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A split of a nuScenes dataset: its key frames with the sweeps before them, and its boxes.
///
/// **Units and frame**: the key sweep's sensor frame: x to the right, y ahead, z up. Velocities are relative to the
/// ground, along that frame's x and y.
#[derive(Clone, Debug)]
pub struct NuscenesDataset {
    tables: Arc<Tables>,
    samples: Vec<Id<schema::Sample>>,
    names: Vec<String>,
    sweeps: Sweeps,
    rename: BTreeMap<String, String>,
}

impl NuscenesDataset {
    /// Opens a split of a dataset's folder; `rename` goes from classes of the detection benchmark to others.
    ///
    /// `version` is the folder of tables; it may be left out where there is but one. `split` is a built-in split or
    /// one of the tables' `splits.json`; without it, all scenes.
    ///
    /// **Errors**: tables that are not what they should be; a split that is not there or has no sample.
    pub fn open(
        root: &Path,
        version: Option<&str>,
        split: Option<&str>,
        sweeps: Sweeps,
        rename: BTreeMap<String, String>,
        cache: CachePlace,
    ) -> Result<Self, DatasetError> {
        let folder = match version {
            Some(version) => root.join(version),
            None => version_folder(root)?,
        };
        let (tables, _) = Tables::open_folder(&folder, &ReadOptions { sensors: Sensors::Lidar, cache })?;
        Self::of_tables(Arc::new(tables), split, sweeps, rename)
    }

    /// The same from tables that are there already.
    ///
    /// **Errors**: a split that is not there or has no sample.
    pub fn of_tables(
        tables: Arc<Tables>,
        split: Option<&str>,
        sweeps: Sweeps,
        rename: BTreeMap<String, String>,
    ) -> Result<Self, DatasetError> {
        let samples = tables.samples_of_split(split)?;
        let names = samples.iter().map(|id| tables.samples[*id].token.to_string()).collect();
        Ok(Self { tables, samples, names, sweeps, rename })
    }

    /// The tables.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// The samples, in order.
    pub fn samples(&self) -> &[Id<schema::Sample>] {
        &self.samples
    }

    /// Reads the cloud of a sample, with what was left out of it.
    ///
    /// **Errors**: as [`Dataset::load`].
    pub fn cloud(&self, idx: usize) -> Result<SweepCloud, DatasetError> {
        self.tables.read_sweeps(self.sample(idx)?, &self.sweeps)
    }

    fn sample(&self, idx: usize) -> Result<Id<schema::Sample>, DatasetError> {
        let n_samples = self.samples.len();
        self.samples.get(idx).copied().ok_or(DatasetError::NoSample { idx, n_samples })
    }
}

impl Dataset for NuscenesDataset {
    fn n_samples(&self) -> usize {
        self.samples.len()
    }

    fn name(&self, idx: usize) -> &str {
        self.names.get(idx).map_or("", String::as_str)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        let SweepCloud { points, .. } = self.cloud(idx)?;
        let mut objects = self.tables.objects_of(self.sample(idx)?)?;
        for object in &mut objects {
            if let Some(name) = self.rename.get(&object.class_name) {
                object.class_name.clone_from(name);
            }
        }
        Ok(Sample { name: self.name(idx).to_owned(), points, objects })
    }

    fn drive(&self, idx: usize) -> Option<String> {
        let sample = *self.samples.get(idx)?;
        Some(self.tables.scenes[self.tables.samples[sample].scene].name.clone())
    }
}
