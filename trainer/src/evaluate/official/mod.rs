//! Official results: boxes in the formats of the benchmarks, and the benchmarks' own figures of them.

mod kitti;
mod nuscenes;
mod waymo;

pub use kitti::{KITTI_RESULTS_FOLDER, KittiResults};
pub use nuscenes::{AttributeRule, NUSCENES_RESULTS_FILE, NuscenesResults};
pub use waymo::{WAYMO_GROUND_TRUTHS_FILE, WAYMO_PREDICTIONS_FILE, WaymoResults};

use pilotis_spec::Detection;
use std::path::Path;

/// Figures of a benchmark, by name.
pub type Figures = Vec<(String, f64)>;

/// What collects the boxes of a dataset for its benchmark.
pub enum Official {
    /// The dataset has no benchmark.
    Absent,
    /// KITTI.
    Kitti(KittiResults),
    /// nuScenes.
    Nuscenes(Box<NuscenesResults>),
    /// Waymo.
    Waymo(WaymoResults),
}

impl Official {
    /// Takes the boxes of the sample of this index and name, in the frame of the model.
    ///
    /// **Errors**: a sample that the dataset does not have, files that cannot be read or written.
    pub fn add(&mut self, idx: usize, name: &str, detections: &[Detection]) -> anyhow::Result<()> {
        match self {
            Self::Absent => Ok(()),
            Self::Kitti(results) => results.add(name, detections),
            Self::Nuscenes(results) => results.add(idx, name, detections),
            Self::Waymo(results) => results.add(idx, detections),
        }
    }

    /// Writes what is still to be written below `out`, has the benchmark evaluate it from there, and says so.
    ///
    /// **Errors**: those of the benchmark.
    pub fn finish(self, out: &Path) -> anyhow::Result<Option<(Figures, String)>> {
        match self {
            Self::Absent => Ok(None),
            Self::Kitti(results) => results.finish(out).map(Some),
            Self::Nuscenes(results) => results.finish(out).map(Some),
            Self::Waymo(results) => results.finish(out).map(Some),
        }
    }
}
