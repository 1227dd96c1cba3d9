//! Which format a folder is of.

use crate::cache::CachedDataset;
use crate::{DatasetError, cloud_folder, frame_folder, nuscenes, waymo};
use std::fmt;
use std::path::Path;

/// A format of datasets on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// KITTI's object layout.
    Kitti,
    /// nuScenes' tables.
    Nuscenes,
    /// The Waymo Open Dataset, version 1 or 2.
    Waymo,
    /// One labelled sweep.
    Frame,
    /// Clouds without labels.
    Folder,
    /// The internal cache.
    Cache,
}

/// Axes, origin and scale of the points of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Convention {
    /// Whether x is ahead and y to the left, as in KITTI; else x is to the right and y ahead, as in nuScenes.
    pub is_x_ahead: bool,
    /// Whether the origin lies on the ground; else it is the sensor on the roof.
    #[serde(default)]
    pub is_origin_on_ground: bool,
    /// The largest intensity. Waymo's has no bound; 1 is what its reflectors exceed.
    pub intensity_full_scale: f32,
}

/// How high the sensor sits where an origin on the ground becomes one at the sensor: KITTI's, in metres. nuScenes'
/// sits 0.11 m higher.
pub const SENSOR_HEIGHT_M: f32 = 1.73;

impl Convention {
    /// KITTI's.
    pub const KITTI: Self = Self { is_x_ahead: true, is_origin_on_ground: false, intensity_full_scale: 1.0 };
    /// nuScenes'.
    pub const NUSCENES: Self =
        Self { is_x_ahead: false, is_origin_on_ground: false, intensity_full_scale: 255.0 };
    /// Waymo's.
    pub const WAYMO: Self = Self { is_x_ahead: true, is_origin_on_ground: true, intensity_full_scale: 1.0 };

    /// What brings heights of this convention to another one's, in metres.
    pub fn raise_m(self, to: Self) -> f32 {
        match (self.is_origin_on_ground, to.is_origin_on_ground) {
            (true, false) => -SENSOR_HEIGHT_M,
            (false, true) => SENSOR_HEIGHT_M,
            _ => 0.0,
        }
    }
}

impl Kind {
    /// Axes, origin and scale that the format has; none where it says nothing of them.
    pub fn convention(self) -> Option<Convention> {
        match self {
            Self::Kitti => Some(Convention::KITTI),
            Self::Nuscenes | Self::Frame => Some(Convention::NUSCENES),
            Self::Waymo => Some(Convention::WAYMO),
            Self::Folder | Self::Cache => None,
        }
    }

    /// What a folder looks like.
    ///
    /// **Errors**: like nothing that is known, or like several things.
    pub fn of(root: &Path) -> Result<Self, DatasetError> {
        let refuse = |reason: String| Err(DatasetError::File { path: root.to_owned(), reason });
        if !root.is_dir() {
            return refuse("is no folder".to_owned());
        }
        // A split of Waymo's may be called `training` too.
        let training = root.join("training");
        let is_kitti = root.join("ImageSets").is_dir() || training.is_dir() && !waymo::is_split(&training);
        let is_nuscenes = !nuscenes::version_folders(root).is_empty();
        let is_frame = frame_folder::FrameFolder::is_at(root);
        let is_cache = CachedDataset::is_at(root);
        let looks = [
            (is_kitti, Self::Kitti),
            (is_nuscenes, Self::Nuscenes),
            (!waymo::splits(root).is_empty(), Self::Waymo),
            (is_frame, Self::Frame),
            (is_cache, Self::Cache),
        ];
        let found: Vec<Self> = looks.into_iter().filter_map(|(is_it, kind)| is_it.then_some(kind)).collect();
        match *found.as_slice() {
            [kind] => Ok(kind),
            [] if !cloud_folder::clouds_in(root).is_empty() => Ok(Self::Folder),
            [] => refuse(
                "is of no known layout: neither KITTI's (`training`), nor nuScenes' tables (`v1.0-...`), nor Waymo's \
                 splits (`*.tfrecord`, `vehicle_pose`), nor clouds"
                    .to_owned(),
            ),
            ref several => {
                let names: Vec<String> = several.iter().map(Self::to_string).collect();
                refuse(format!("looks like {}; say which it is (--kind)", names.join(" and ")))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kitti => "kitti",
            Self::Nuscenes => "nuscenes",
            Self::Waymo => "waymo",
            Self::Frame => "frame",
            Self::Folder => "folder",
            Self::Cache => "cache",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_are_known_by_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(Kind::of(root).unwrap_err().to_string().contains("no known layout"));
        fs::write(root.join("a.pcd"), b"").unwrap();
        assert_eq!(Kind::of(root).unwrap(), Kind::Folder);
        fs::write(root.join("boxes.json"), b"{}").unwrap();
        assert_eq!(Kind::of(root).unwrap(), Kind::Frame);
        fs::remove_file(root.join("boxes.json")).unwrap();
        fs::create_dir(root.join("training")).unwrap();
        assert_eq!(Kind::of(root).unwrap(), Kind::Kitti);
        fs::create_dir(root.join("v1.0-mini")).unwrap();
        fs::write(root.join("v1.0-mini/sample.json"), b"[]").unwrap();
        let error = Kind::of(root).unwrap_err().to_string();
        assert!(error.contains("kitti and nuscenes") && error.contains("--kind"), "{error}");
        assert!(Kind::of(&root.join("a.pcd")).unwrap_err().to_string().contains("no folder"));
    }

    #[test]
    fn a_split_of_waymo_may_be_called_as_a_folder_of_kitti() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("training")).unwrap();
        fs::write(root.join("training/segment-1.tfrecord"), b"").unwrap();
        assert_eq!(Kind::of(root).unwrap(), Kind::Waymo);
        fs::create_dir_all(root.join("validation/vehicle_pose")).unwrap();
        fs::create_dir_all(root.join("notes")).unwrap();
        assert_eq!(waymo::splits(root), ["training", "validation"]);
        fs::create_dir(root.join("ImageSets")).unwrap();
        let error = Kind::of(root).unwrap_err().to_string();
        assert!(error.contains("kitti and waymo"), "{error}");
    }

    #[test]
    fn an_origin_on_the_ground_is_one_at_the_sensor_lowered() {
        let is = |from: Convention, to: Convention, expected_m: f32| {
            assert_eq!(from.raise_m(to).to_bits(), expected_m.to_bits());
        };
        is(Convention::WAYMO, Convention::KITTI, -1.73);
        is(Convention::NUSCENES, Convention::WAYMO, 1.73);
        is(Convention::KITTI, Convention::NUSCENES, 0.0);
        is(Convention::WAYMO, Convention::WAYMO, 0.0);
        // As caches of before have it.
        let before = r#"{"is_x_ahead":true,"intensity_full_scale":1.0}"#;
        assert_eq!(serde_json::from_str::<Convention>(before).unwrap(), Convention::KITTI);
    }
}
