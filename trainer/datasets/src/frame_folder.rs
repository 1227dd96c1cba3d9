//! A folder of one labelled sweep: nuScenes' `*.pcd.bin`, and its boxes in `boxes.json`.
//!
//! `boxes.json` holds `categories` (names with their numbers), `lidar_path` (the file of points) and
//! `instances`: `bbox_3d` is the geometric centre, length, width, height and yaw in the frame of the
//! points, `bbox_label_3d` a number of `categories` or -1 for any other class, `num_lidar_pts` and
//! `velocity` may be `null` where they are not known.
//!
//! nuScenes' LiDAR has x to the right and y ahead, and intensities of 0..255. A model may be trained
//! on other axes and another scale: [`FrameFolder::turned`] and [`FrameFolder::scaled`] bring points and
//! boxes to those. Without them they are given as they were recorded.
//!
//! **Source**: nuscenes-devkit, `docs/schema_nuscenes.md`; the info files of MMDetection3D.

#[cfg(test)]
#[path = "frame_folder_tests.rs"]
mod tests;

use super::{Dataset, DatasetError, GroundTruth, Sample, points_in_box, read_points, read_text};
use pilotis_spec::codec::normalize_yaw;
use pilotis_spec::{Box3d, Point};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::f32::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

/// The file of boxes, by which such a folder is known.
pub const BOXES_FILE: &str = "boxes.json";

/// The turn about z that brings nuScenes' axes, x to the right, to x ahead.
pub const TO_X_AHEAD_RAD: f32 = -FRAC_PI_2;

/// Largest intensity of nuScenes' points.
pub const INTENSITY_FULL_SCALE: f32 = 255.0;

/// Bytes of a point: `f32` x, y, z, intensity, ring.
const POINT_BYTES: usize = 20;

/// Name of the objects whose category has none.
const OTHER: &str = "other";

#[derive(Deserialize)]
struct BoxesFile {
    categories: BTreeMap<String, i64>,
    lidar_path: String,
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    bbox_3d: [f64; 7],
    bbox_label_3d: i64,
    num_lidar_pts: Option<u32>,
    velocity: Option<[Option<f64>; 2]>,
}

/// One labelled sweep in a folder of its own.
#[derive(Clone, Debug)]
pub struct FrameFolder {
    root: PathBuf,
    name: String,
    rename: BTreeMap<String, String>,
    turn_rad: f32,
    intensity_factor: f32,
}

impl FrameFolder {
    /// Whether a folder is one of this kind.
    pub fn is_at(root: &Path) -> bool {
        root.join(BOXES_FILE).is_file()
    }

    /// Opens a folder; `rename` goes from names as [`class_name`] gives them to others.
    ///
    /// **Errors**: boxes that cannot be read.
    pub fn open(root: &Path, rename: BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let name = read_boxes(root)?.lidar_path;
        let name = name.strip_suffix(".pcd.bin").unwrap_or(&name).to_owned();
        Ok(Self { root: root.to_owned(), name, rename, turn_rad: 0.0, intensity_factor: 1.0 })
    }

    /// Turns points, boxes and velocities counter-clockwise about z.
    #[must_use]
    pub fn turned(mut self, turn_rad: f32) -> Self {
        self.turn_rad = turn_rad;
        self
    }

    /// Brings intensities of 0..255 to this full scale.
    #[must_use]
    pub fn scaled(mut self, intensity_full_scale: f32) -> Self {
        self.intensity_factor = intensity_full_scale / INTENSITY_FULL_SCALE;
        self
    }

    /// The file of its points.
    ///
    /// **Errors**: boxes that cannot be read.
    pub fn cloud_path(&self) -> Result<PathBuf, DatasetError> {
        Ok(self.root.join(read_boxes(&self.root)?.lidar_path))
    }

    fn read(&self) -> Result<Sample, DatasetError> {
        let file = read_boxes(&self.root)?;
        let (sin, cos) = (libm::sinf(self.turn_rad), libm::cosf(self.turn_rad));
        let turn = |x: f32, y: f32| [x * cos - y * sin, x * sin + y * cos];
        let recorded = read_points::<POINT_BYTES>(&self.root.join(&file.lidar_path))?;
        let points: Vec<Point> = recorded
            .iter()
            .map(|p| {
                let [x, y] = turn(p.x, p.y);
                Point { x, y, intensity: p.intensity * self.intensity_factor, ..*p }
            })
            .collect();
        let objects = file.instances.iter().map(|instance| {
            let recorded_box = instance.bbox();
            let [x, y] = turn(recorded_box.center[0], recorded_box.center[1]);
            let bbox = Box3d {
                center: [x, y, recorded_box.center[2]],
                size: recorded_box.size,
                yaw: normalize_yaw(recorded_box.yaw + self.turn_rad),
            };
            let [vx, vy] = instance.velocity.unwrap_or_default().map(|v| v.unwrap_or(0.0) as f32);
            GroundTruth {
                class_name: self.class_name(&file.categories, instance.bbox_label_3d),
                bbox,
                velocity: turn(vx, vy),
                n_points: instance.num_lidar_pts.unwrap_or_else(|| points_in_box(&recorded, &recorded_box)),
                ..GroundTruth::default()
            }
        });
        let objects = objects.collect();
        Ok(Sample { name: self.name.clone(), points, objects })
    }

    fn class_name(&self, categories: &BTreeMap<String, i64>, label: i64) -> String {
        let known = categories.iter().find(|(_, number)| **number == label);
        let name = known.map_or_else(|| OTHER.to_owned(), |(name, _)| class_name(name));
        self.rename.get(&name).cloned().unwrap_or(name)
    }
}

impl Instance {
    fn bbox(&self) -> Box3d {
        let [x, y, z, l, w, h, yaw] = self.bbox_3d.map(|v| v as f32);
        Box3d { center: [x, y, z], size: [l, w, h], yaw }
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

/// Reads the file of boxes and checks what it says.
fn read_boxes(root: &Path) -> Result<BoxesFile, DatasetError> {
    let path = root.join(BOXES_FILE);
    let text = read_text(&path)?;
    let refuse = |reason: String| DatasetError::File { path: path.clone(), reason };
    let file: BoxesFile = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    let is_plain = !file.lidar_path.is_empty() && !file.lidar_path.contains(['/', '\\']);
    if !is_plain {
        return Err(refuse(format!("`{}` is no name of a file in its folder", file.lidar_path)));
    }
    for (idx, instance) in file.instances.iter().enumerate() {
        let bbox = instance.bbox();
        let is_finite = instance.bbox_3d.iter().all(|v| (*v as f32).is_finite());
        if !is_finite || bbox.size.iter().any(|v| *v <= 0.0) {
            return Err(refuse(format!("instance {idx} is a box of {:?}", instance.bbox_3d)));
        }
    }
    Ok(file)
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
