//! nuScenes' tables, looked at.

use super::{Inspect, read_stored};
use crate::nuscenes::{DETECTION_CLASSES, NuscenesDataset};
use crate::{Dataset, DatasetError, Kind, Sample};
use pilotis_spec::{Point, PointLayout};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// nuScenes' key frames.
pub(super) struct Nuscenes(pub(super) NuscenesDataset);

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

    fn drive(&self, idx: usize) -> Option<String> {
        self.0.drive(idx)
    }
}

impl Inspect for Nuscenes {
    fn kind(&self) -> Kind {
        Kind::Nuscenes
    }

    fn stored_points(&self, idx: usize) -> Result<Option<Vec<Point>>, DatasetError> {
        let (tables, n_samples) = (self.0.tables(), self.n_samples());
        let sample = self.0.samples().get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        // A sample without a sweep says so where it is read.
        let Some(key) = tables.key_lidar(*sample) else { return Ok(Some(Vec::new())) };
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
