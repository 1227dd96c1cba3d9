//! Key frames of LIDAR_TOP in nuScenes' format: the points with their rings, and the boxes in the sensor frame.
//!
//! Two forms are read. A dataset's folder holds a folder of tables (`v1.0-mini`, `v1.0-sim`, ...) beside its
//! `samples`; a single frame is one `*.pcd.bin` with a `boxes.json`, its boxes already in the sensor frame.
//!
//! **Units and frame**: metres; the sensor frame has x to the right, y ahead, z up; yaw is counter-clockwise
//! from +x; intensity 0..255.
//!
//! **Source**: nuScenes schema and devkit (`LidarPointCloud.from_file`, `get_sample_data`).

#[cfg(test)]
mod tests;

use super::boxes_file::{BOXES_FILE, BoxesFile, clouds_in};
use super::nuscenes::{ReadOptions, Tables, read_records, version_folder, version_folders};
use super::{DatasetError, GroundTruth};
use pilotis_spec::Point;
use pilotis_spec::codec::normalize_yaw;
use std::path::{Path, PathBuf};

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
    /// Opens a dataset's folder, or its folder of tables; a split is a built-in one or of the tables' `splits.json`.
    ///
    /// **Errors**: no folder of tables or several, tables that are not what they should be, an unknown split or one
    /// of other scenes, no key frame, a box that is none.
    pub fn open(root: &Path, split: Option<&str>) -> Result<Self, DatasetError> {
        let folder = version_folder(root)?;
        let (tables, _) = Tables::open_folder(&folder, &ReadOptions::default())?;
        let mut frames = Vec::new();
        for sample in tables.samples_of_split(split)? {
            let Some(lidar) = tables.key_lidar(sample) else { continue };
            frames.push(Frame {
                name: tables.samples[sample].token.to_string(),
                cloud: tables.path_of(&tables.sample_data[lidar].filename),
                objects: tables.objects_of(sample)?,
            });
        }
        if frames.is_empty() {
            let reason = "has no key frame of LIDAR_TOP in the scenes asked for".to_owned();
            return Err(DatasetError::File { path: folder, reason });
        }
        Ok(Self { frames })
    }

    /// Opens a folder of one `*.pcd.bin` and its `boxes.json`.
    ///
    /// **Errors**: no cloud or several of which `lidar_path` names none; boxes that are not what they should be.
    pub fn open_single(folder: &Path) -> Result<Self, DatasetError> {
        let boxes = BoxesFile::read(folder)?;
        let objects = boxes.instances.iter().filter_map(|instance| {
            let mut bbox = instance.bbox();
            bbox.yaw = normalize_yaw(bbox.yaw);
            Some(GroundTruth {
                class_name: boxes.category(instance)?.to_owned(),
                bbox,
                velocity: instance.velocity(),
                n_points: instance.num_lidar_pts.unwrap_or(0),
                ..GroundTruth::default()
            })
        });
        let objects = objects.collect();
        let cloud = boxes.cloud(folder)?;
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
    !version_folders(root).is_empty()
}

/// Whether this is a folder of a single frame.
pub fn has_single_frame(folder: &Path) -> bool {
    folder.join(BOXES_FILE).is_file() && !clouds_in(folder).is_empty()
}

/// The points and rings of a headerless file of `x, y, z, intensity, ring`.
fn read_ring_points(path: &Path) -> Result<RingSweep, DatasetError> {
    let mut bytes = Vec::new();
    let mut sweep = RingSweep::default();
    for (idx, r) in read_records(path, &mut bytes)?.iter().enumerate() {
        let value = |k: usize| f32::from_le_bytes([r[k], r[k + 1], r[k + 2], r[k + 3]]);
        let point = Point { x: value(0), y: value(4), z: value(8), intensity: value(12), time_lag: 0.0 };
        let ring = value(16);
        if !point.is_finite() || !ring.is_finite() {
            sweep.n_not_finite += 1;
            continue;
        }
        if ring.fract() != 0.0 || !(0.0..=255.0).contains(&ring) {
            let reason = format!("point {idx} is of ring {ring}; rings are 0, 1, ... 255");
            return Err(DatasetError::File { path: path.to_owned(), reason });
        }
        sweep.points.push(point);
        sweep.rings.push(ring as u8);
    }
    Ok(sweep)
}
