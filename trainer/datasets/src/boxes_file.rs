//! `boxes.json`: the boxes of one labelled sweep in a folder of its own.
//!
//! It holds `categories` (names with their numbers) and `instances`: `bbox_3d` is the geometric centre, length, width,
//! height and yaw in the frame of the points, `bbox_label_3d` a number of `categories` or -1 for any other class,
//! `num_lidar_pts` and `velocity` may be `null` where they are not known. `lidar_path` names the file of points, and
//! `token` the sample; either may be missing.

use super::{DatasetError, read_text};
use pilotis_spec::Box3d;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file of boxes, by which such a folder is known.
pub const BOXES_FILE: &str = "boxes.json";
/// How names of files of points end.
const CLOUD_SUFFIX: &str = ".pcd.bin";

/// What the file says, checked.
#[derive(Deserialize)]
pub(crate) struct BoxesFile {
    categories: BTreeMap<String, i64>,
    pub(crate) token: Option<String>,
    lidar_path: Option<String>,
    pub(crate) instances: Vec<Instance>,
}

/// One labelled object.
#[derive(Deserialize)]
pub(crate) struct Instance {
    bbox_3d: [f64; 7],
    bbox_label_3d: i64,
    pub(crate) num_lidar_pts: Option<u32>,
    velocity: Option<[Option<f64>; 2]>,
}

impl BoxesFile {
    /// Reads the file of a folder.
    ///
    /// **Errors**: a file that cannot be read, is not what is said above, or names a file outside of its folder; a box
    /// that is not finite or has no size.
    pub(crate) fn read(folder: &Path) -> Result<Self, DatasetError> {
        let path = folder.join(BOXES_FILE);
        let text = read_text(&path)?;
        let refuse = |reason: String| DatasetError::File { path: path.clone(), reason };
        let file: Self = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        if let Some(name) = &file.lidar_path
            && (name.is_empty() || name.contains(['/', '\\']))
        {
            return Err(refuse(format!("`{name}` is no name of a file in its folder")));
        }
        for (idx, instance) in file.instances.iter().enumerate() {
            let bbox = instance.bbox();
            let is_finite = instance.bbox_3d.iter().all(|v| (*v as f32).is_finite());
            if !is_finite || bbox.size.iter().any(|v| *v <= 0.0) {
                return Err(refuse(format!("instance {idx}: a box of {:?}", instance.bbox_3d)));
            }
        }
        Ok(file)
    }

    /// The file of points: the one that is named if it is there, else the only one in the folder.
    ///
    /// **Errors**: none, or several.
    pub(crate) fn cloud(&self, folder: &Path) -> Result<PathBuf, DatasetError> {
        let named = self.lidar_path.as_ref().map(|name| folder.join(name)).filter(|path| path.is_file());
        if let Some(path) = named {
            return Ok(path);
        }
        match clouds_in(folder).as_slice() {
            [cloud] => Ok(cloud.clone()),
            found => {
                let reason = format!(
                    "holds {} files `*{CLOUD_SUFFIX}`; one is needed, or `lidar_path` in `{BOXES_FILE}`",
                    found.len()
                );
                Err(DatasetError::File { path: folder.to_owned(), reason })
            }
        }
    }

    /// The category of an object; none for any other class.
    pub(crate) fn category(&self, instance: &Instance) -> Option<&str> {
        let known = self.categories.iter().find(|(_, number)| **number == instance.bbox_label_3d);
        known.map(|(name, _)| name.as_str())
    }
}

impl Instance {
    pub(crate) fn bbox(&self) -> Box3d {
        let [x, y, z, l, w, h, yaw] = self.bbox_3d.map(|v| v as f32);
        Box3d { center: [x, y, z], size: [l, w, h], yaw }
    }

    /// In m/s, zero where it is not known.
    pub(crate) fn velocity(&self) -> [f32; 2] {
        self.velocity.unwrap_or_default().map(|v| v.unwrap_or(0.0) as f32)
    }
}

/// Files of points in a folder, by name.
pub(crate) fn clouds_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut clouds: Vec<PathBuf> = paths.filter(|p| p.to_string_lossy().ends_with(CLOUD_SUFFIX)).collect();
    clouds.sort();
    clouds
}

/// The name of a cloud: that of its file, without what all such names end with.
pub(crate) fn cloud_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(CLOUD_SUFFIX).unwrap_or(&name).to_owned()
}
