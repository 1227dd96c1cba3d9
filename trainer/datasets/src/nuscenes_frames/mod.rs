//! Key frames of LIDAR_TOP in nuScenes' format: the points with their rings, and the boxes in the sensor frame.
//!
//! Two forms are read. A dataset's folder holds a folder of tables (`v1.0-mini`, `v1.0-sim`, ...) beside its
//! `samples`; a single frame is one `*.pcd.bin` with a `boxes.json`, its boxes already in the sensor frame.
//!
//! **Units and frame**: metres; the sensor frame has x to the right, y ahead, z up; yaw is counter-clockwise
//! from +x; intensity 0..255.
//!
//! **Source**: nuScenes schema and devkit (`LidarPointCloud.from_file`, `get_sample_data`).

mod tables;
#[cfg(test)]
mod tests;

use super::{DatasetError, GroundTruth, read_bytes, read_text};
use pilotis_spec::codec::normalize_yaw;
use pilotis_spec::{Box3d, Point};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of a record: x, y, z, intensity and ring as little-endian `f32`.
const RECORD_BYTES: usize = 20;
/// The channel that is read.
const LIDAR: &str = "LIDAR_TOP";

/// One key frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RingSweep {
    /// Token of the sample.
    pub name: String,
    /// Finite points in file order.
    pub points: Vec<Point>,
    /// The ring of each point, 0 the lowest.
    pub rings: Vec<u8>,
    /// Records that were left out because a value is not finite.
    pub n_not_finite: usize,
    /// Labelled objects; `n_points` is the source's own count.
    pub objects: Vec<GroundTruth>,
}

#[derive(Clone, Debug)]
struct Frame {
    name: String,
    cloud: PathBuf,
    objects: Vec<GroundTruth>,
}

/// Key frames of a folder, in the order of scenes and time.
#[derive(Clone, Debug)]
pub struct NuscenesFrames {
    frames: Vec<Frame>,
}

impl NuscenesFrames {
    /// Opens a dataset's folder, or its folder of tables; a split is a key of the tables' `splits.json`.
    ///
    /// **Errors**: no folder of tables or several, a table that is not there or refers to what is not there,
    /// an unknown split, no key frame.
    pub fn open(root: &Path, split: Option<&str>) -> Result<Self, DatasetError> {
        let tables = tables::find(root)?;
        let frames = tables::read(&tables, split)?;
        if frames.is_empty() {
            let reason = format!("has no key frame of {LIDAR} in the scenes asked for");
            return Err(DatasetError::File { path: tables, reason });
        }
        Ok(Self { frames })
    }

    /// Opens a folder of one `*.pcd.bin` and its `boxes.json`.
    ///
    /// **Errors**: no cloud or several of which `lidar_path` names none; boxes that are not what they should be.
    pub fn open_single(folder: &Path) -> Result<Self, DatasetError> {
        let path = folder.join("boxes.json");
        let boxes: BoxesFile = parse_json(&path)?;
        let cloud = match &boxes.lidar_path {
            Some(name) if folder.join(name).is_file() => folder.join(name),
            _ => the_only_cloud(folder)?,
        };
        let names: BTreeMap<i64, &str> =
            boxes.categories.iter().map(|(name, idx)| (*idx, name.as_str())).collect();
        let mut objects = Vec::with_capacity(boxes.instances.len());
        for (idx, instance) in boxes.instances.iter().enumerate() {
            let Some(class_name) = names.get(&instance.bbox_label_3d) else { continue };
            let [x, y, z, l, w, h, yaw] = instance.bbox_3d;
            let bbox = checked_box([x, y, z], [l, w, h], yaw)
                .map_err(|reason| in_file(&path, format!("instance {idx}: {reason}")))?;
            let n_points = instance.num_lidar_pts.unwrap_or(0);
            objects.push(GroundTruth {
                class_name: (*class_name).to_owned(),
                bbox,
                n_points,
                ..GroundTruth::default()
            });
        }
        let name = boxes.token.unwrap_or_else(|| "frame".to_owned());
        Ok(Self { frames: vec![Frame { name, cloud, objects }] })
    }

    /// Key frames; at least one.
    pub fn n_frames(&self) -> usize {
        self.frames.len()
    }

    /// Reads one key frame.
    ///
    /// **Errors**: the file, and what is wrong with it.
    pub fn load(&self, idx: usize) -> Result<RingSweep, DatasetError> {
        let n_samples = self.frames.len();
        let frame = self.frames.get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        let mut sweep = read_ring_points(&frame.cloud)?;
        sweep.name.clone_from(&frame.name);
        sweep.objects.clone_from(&frame.objects);
        Ok(sweep)
    }
}

/// Whether this is a folder of nuScenes' tables, or one that holds such a folder.
pub fn has_tables(root: &Path) -> bool {
    !tables::folders(root).is_empty()
}

/// Whether this is a folder of a single frame.
pub fn has_single_frame(folder: &Path) -> bool {
    folder.join("boxes.json").is_file() && !clouds_in(folder).is_empty()
}

/// The points and rings of a headerless file of `x, y, z, intensity, ring`.
fn read_ring_points(path: &Path) -> Result<RingSweep, DatasetError> {
    let bytes = read_bytes(path)?;
    let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
    if !rest.is_empty() {
        let reason = format!(
            "{} bytes are no whole number of {RECORD_BYTES}-byte points (x, y, z, intensity, ring)",
            bytes.len()
        );
        return Err(in_file(path, reason));
    }
    let mut sweep = RingSweep::default();
    for (idx, r) in records.iter().enumerate() {
        let value = |k: usize| f32::from_le_bytes([r[k], r[k + 1], r[k + 2], r[k + 3]]);
        let point = Point { x: value(0), y: value(4), z: value(8), intensity: value(12), time_lag: 0.0 };
        let ring = value(16);
        if !point.is_finite() || !ring.is_finite() {
            sweep.n_not_finite += 1;
            continue;
        }
        if ring.fract() != 0.0 || !(0.0..=255.0).contains(&ring) {
            return Err(in_file(path, format!("point {idx} is of ring {ring}; rings are 0, 1, ... 255")));
        }
        sweep.points.push(point);
        sweep.rings.push(ring as u8);
    }
    Ok(sweep)
}

fn in_file(path: &Path, reason: String) -> DatasetError {
    DatasetError::File { path: path.to_owned(), reason }
}

fn parse_json<T: DeserializeOwned>(path: &Path) -> Result<T, DatasetError> {
    serde_json::from_str(&read_text(path)?).map_err(|e| in_file(path, e.to_string()))
}

fn paths_in(folder: &Path, keep: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| keep(p)).collect();
    paths.sort();
    paths
}

fn clouds_in(folder: &Path) -> Vec<PathBuf> {
    paths_in(folder, |p| p.to_string_lossy().ends_with(".pcd.bin"))
}

fn the_only_cloud(folder: &Path) -> Result<PathBuf, DatasetError> {
    match clouds_in(folder).as_slice() {
        [cloud] => Ok(cloud.clone()),
        found => {
            let reason = format!(
                "holds {} files `*.pcd.bin`; one is needed, or `lidar_path` in `boxes.json`",
                found.len()
            );
            Err(in_file(folder, reason))
        }
    }
}

fn checked_box(center: [f64; 3], size_lwh: [f64; 3], yaw: f64) -> Result<Box3d, String> {
    if !center.iter().chain([&yaw]).all(|v| v.is_finite()) {
        return Err(format!("a box at {center:?}, yaw {yaw}"));
    }
    if !size_lwh.iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(format!("a box of {size_lwh:?} metres"));
    }
    Ok(Box3d {
        center: center.map(|v| v as f32),
        size: size_lwh.map(|v| v as f32),
        yaw: normalize_yaw(yaw as f32),
    })
}

#[derive(Deserialize)]
struct BoxesFile {
    categories: BTreeMap<String, i64>,
    token: Option<String>,
    lidar_path: Option<String>,
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    bbox_3d: [f64; 7],
    bbox_label_3d: i64,
    num_lidar_pts: Option<u32>,
}
