//! A folder of one labelled sweep: nuScenes' `*.pcd.bin`, and its boxes in `boxes.json`.
//!
//! What is in `boxes.json` stands in `boxes_file`.
//!
//! nuScenes' LiDAR has x to the right and y ahead, and intensities of 0..255. A model may be trained
//! on other axes and another scale: [`Moved`](crate::Moved) brings points and boxes to those.
//!
//! **Source**: nuscenes-devkit, `docs/schema_nuscenes.md`; the info files of MMDetection3D.

#[cfg(test)]
#[path = "frame_folder_tests.rs"]
mod tests;

pub use super::boxes_file::BOXES_FILE;

use super::boxes_file::{BoxesFile, cloud_name};
use super::nuscenes::RECORD_BYTES;
use super::{Dataset, DatasetError, GroundTruth, Sample, points_in_box, read_points};
use pilotis_spec::Box3d;
use pilotis_spec::codec::normalize_yaw;
use std::collections::BTreeMap;
use std::f32::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

/// The turn about z that brings nuScenes' axes, x to the right, to x ahead.
pub const TO_X_AHEAD_RAD: f32 = -FRAC_PI_2;

/// Name of the objects whose category has none.
const OTHER: &str = "other";

/// One labelled sweep in a folder of its own.
#[derive(Clone, Debug)]
pub struct FrameFolder {
    root: PathBuf,
    name: String,
    rename: BTreeMap<String, String>,
}

impl FrameFolder {
    /// Whether a folder is one of this kind.
    pub fn is_at(root: &Path) -> bool {
        root.join(BOXES_FILE).is_file()
    }

    /// Opens a folder; `rename` goes from names as [`class_name`] gives them to others.
    ///
    /// **Errors**: boxes that cannot be read, no file of points or several of which none is named.
    pub fn open(root: &Path, rename: BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let name = cloud_name(&BoxesFile::read(root)?.cloud(root)?);
        Ok(Self { root: root.to_owned(), name, rename })
    }

    /// The file of its points.
    ///
    /// **Errors**: boxes that cannot be read.
    pub fn cloud_path(&self) -> Result<PathBuf, DatasetError> {
        BoxesFile::read(&self.root)?.cloud(&self.root)
    }

    fn read(&self) -> Result<Sample, DatasetError> {
        let file = BoxesFile::read(&self.root)?;
        let points = read_points::<RECORD_BYTES>(&file.cloud(&self.root)?)?;
        let objects = file.instances.iter().map(|instance| {
            let bbox = instance.bbox();
            GroundTruth {
                class_name: self.class_name(file.category(instance)),
                n_points: instance.num_lidar_pts.unwrap_or_else(|| points_in_box(&points, &bbox)),
                bbox: Box3d { yaw: normalize_yaw(bbox.yaw), ..bbox },
                velocity: instance.velocity(),
                ..GroundTruth::default()
            }
        });
        let objects = objects.collect();
        Ok(Sample { name: self.name.clone(), points, objects })
    }

    fn class_name(&self, category: Option<&str>) -> String {
        let name = category.map_or_else(|| OTHER.to_owned(), class_name);
        self.rename.get(&name).cloned().unwrap_or(name)
    }
}

/// What a nuScenes category is called here: `vehicle.car` and `car` are `car`.
///
/// Pedestrians of all kinds are `pedestrian`, a bicycle is a `cyclist` and the kinds of bus are
/// `bus`; any other category keeps the last part of its name.
pub fn class_name(category: &str) -> String {
    let lower = category.to_lowercase();
    let mut parts = lower.split('.');
    let name = match (parts.next(), parts.next()) {
        (Some("human"), Some(kind)) => kind,
        (Some("vehicle"), Some("construction")) => "construction_vehicle",
        (Some("vehicle"), Some(kind)) => kind,
        _ => lower.rsplit('.').next().unwrap_or(&lower),
    };
    if name == "bicycle" { "cyclist".to_owned() } else { name.to_owned() }
}

impl Dataset for FrameFolder {
    fn n_samples(&self) -> usize {
        1
    }

    fn name(&self, idx: usize) -> &str {
        if idx == 0 { &self.name } else { "" }
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        if idx > 0 {
            return Err(DatasetError::NoSample { idx, n_samples: 1 }.into());
        }
        Ok(self.read()?)
    }
}
