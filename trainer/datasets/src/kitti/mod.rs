//! KITTI's object layout: sweeps, labels and calibration of `training/`, splits of `ImageSets/`.
//!
//! A frame whose `training/label_velo/NAME.txt` exists, as the simulator writes it, is read whole:
//! the full sweep of `velodyne`, and every object around the sensor. Any other frame is what
//! camera 2 sees: labels of `label_2`, brought into the LiDAR frame by `calib`, and the points of
//! `velodyne_reduced`, or those of `velodyne` that fall into the image. [`View`] changes that.
//!
//! The size of an image is that of `image_2/NAME.png`, or where there is none, that which usually
//! goes with the calibration ([`Calibration::usual_image_size_px`]).
//!
//! Drives of frames are those of the development kit's `mapping`, where it is there.
//!
//! **Source**: KITTI object development kit, `readme.txt`; cropping as OpenPCDet's `get_fov_flag`.

mod calibration;
mod difficulty;
mod drives;
mod labels;
mod lidar_box;
mod results;
#[cfg(test)]
mod tests;

pub use calibration::{Calibration, Camera, read_calibration};
pub use difficulty::Difficulty;
use drives::Drives;
pub use drives::{MAPPING_FILE, ORDER_FILE};
pub use labels::{DONT_CARE, LabelLine, LidarLabelLine, read_labels, read_lidar_labels};
pub use lidar_box::LidarBox;
pub(crate) use results::seen_in_image;
pub use results::{ResultLines, class_name, result_lines, write_results};

use super::{Dataset, DatasetError, GroundTruth, Sample, points_in_box, read_bytes, read_text, read_xyzi};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Width and height of most of KITTI's images.
pub const IMAGE_SIZE_PX: [f64; 2] = [1242.0, 375.0];

/// Reads every line of a text file that is not blank with `parse`.
fn read_lines<T>(path: &Path, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, DatasetError> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(idx, line)| {
            parse(line).map_err(|reason| DatasetError::Line { path: path.to_owned(), line: idx + 1, reason })
        })
        .collect()
}

fn number(field: &str, position: usize) -> Result<f64, String> {
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("field {position}, `{field}`, is not finite")),
        Err(_) => Err(format!("field {position}, `{field}`, is not a number")),
    }
}

/// Width and height that a PNG file states.
pub fn image_size(path: &Path) -> Result<[f64; 2], DatasetError> {
    let bytes = read_bytes(path)?;
    let header = bytes.first_chunk::<24>().filter(|h| h.starts_with(b"\x89PNG\r\n\x1a\n"));
    let Some(header) = header else {
        return Err(DatasetError::File { path: path.to_owned(), reason: "is no PNG image".to_owned() });
    };
    let size = |k: usize| u32::from_be_bytes([header[k], header[k + 1], header[k + 2], header[k + 3]]);
    Ok([f64::from(size(16)), f64::from(size(20))])
}

/// Which part of a frame is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// Whole where the frame has labels all around the sensor, else what camera 2 sees.
    #[default]
    AsLabelled,
    /// What camera 2 sees, with the labels of `label_2`, whatever other labels there are.
    Camera,
    /// The full sweep of `velodyne`. Where labels are of `label_2` alone, what stands beside and
    /// behind the camera's view is not labelled.
    Whole,
}

/// A frame with all that its files say.
#[derive(Clone, Debug, PartialEq)]
pub struct KittiFrame {
    /// Points and objects.
    pub sample: Sample,
    /// Calibration, where labels are of `label_2`.
    pub calibration: Option<Calibration>,
    /// Width and height of camera 2's image.
    pub image_size_px: [f64; 2],
    /// The lines of `label_2` that the sample's objects are made of, in the same order: with image
    /// boxes, truncation, occlusion and angle. Empty where labels are of `label_velo`.
    pub labels: Vec<LabelLine>,
    /// Image boxes (left, top, right, bottom, pixels) of regions in which nothing was labelled.
    pub dont_care: Vec<[f64; 4]>,
}

/// A split of a folder in KITTI's object layout.
#[derive(Clone, Debug)]
pub struct KittiDataset {
    training: PathBuf,
    names: Vec<String>,
    rename: BTreeMap<String, String>,
    view: View,
    drives: Option<Drives>,
}

impl KittiDataset {
    /// Opens `root/ImageSets/SPLIT.txt`; class names of `rename` are in lower case.
    ///
    /// **Errors**: a split that is not there, is empty, or names no frame in a line; a `mapping` of drives that leads
    /// nowhere or lacks a frame.
    pub fn open(root: &Path, split: &str, rename: BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let sets = root.join("ImageSets");
        if !is_name(split) {
            return Err(DatasetError::File {
                path: sets,
                reason: format!("`{split}` is no name of a split"),
            });
        }
        let path = sets.join(format!("{split}.txt"));
        let names = read_lines(&path, |line| {
            let name = line.trim();
            if is_name(name) { Ok(name.to_owned()) } else { Err(format!("`{name}` is no name of a frame")) }
        })?;
        if names.is_empty() {
            return Err(DatasetError::File { path, reason: "names no frame".to_owned() });
        }
        Self::of_names(root, names, rename)
    }

    /// Opens every frame of `root/training` that has a cloud or labels, whatever the splits name.
    ///
    /// **Errors**: none is there; a `mapping` of drives as for [`open`](Self::open).
    pub fn open_all(root: &Path, rename: BTreeMap<String, String>) -> Result<Self, DatasetError> {
        let training = root.join("training");
        let mut names = BTreeSet::new();
        for (folder, extension) in
            [("velodyne", "bin"), ("velodyne_reduced", "bin"), ("label_2", "txt"), ("label_velo", "txt")]
        {
            let entries = std::fs::read_dir(training.join(folder)).into_iter().flatten().flatten();
            let paths =
                entries.map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == extension));
            names.extend(paths.filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned())));
        }
        let names: Vec<String> = names.into_iter().filter(|name| is_name(name)).collect();
        if names.is_empty() {
            return Err(DatasetError::File { path: training, reason: "holds no frame".to_owned() });
        }
        Self::of_names(root, names, rename)
    }

    fn of_names(
        root: &Path,
        names: Vec<String>,
        rename: BTreeMap<String, String>,
    ) -> Result<Self, DatasetError> {
        let drives = Drives::of(root)?;
        if let Some(drives) = &drives {
            drives.check(&names)?;
        }
        Ok(Self { training: root.join("training"), names, rename, view: View::default(), drives })
    }

    /// The file that the points of a frame are read from; `None` past the end.
    pub fn cloud_path(&self, idx: usize) -> Option<PathBuf> {
        let name = self.names.get(idx)?;
        let reduced = self.path("velodyne_reduced", name, "bin");
        let is_whole = match self.view {
            View::AsLabelled => self.path("label_velo", name, "txt").exists(),
            View::Camera => false,
            View::Whole => true,
        };
        let is_reduced = !is_whole && reduced.exists();
        Some(if is_reduced { reduced } else { self.path("velodyne", name, "bin") })
    }

    /// The same split with another part of its frames.
    #[must_use]
    pub fn viewed(self, view: View) -> Self {
        Self { view, ..self }
    }

    fn path(&self, folder: &str, name: &str, extension: &str) -> PathBuf {
        self.training.join(folder).join(format!("{name}.{extension}"))
    }

    fn class_name(&self, written: &str) -> String {
        let lower = written.to_lowercase();
        self.rename.get(&lower).cloned().unwrap_or(lower)
    }

    /// Reads a frame with all that its files say.
    ///
    /// **Errors**: an index past the end; the file, the line, and what is wrong with it.
    pub fn load_frame(&self, idx: usize) -> Result<KittiFrame, DatasetError> {
        let n_samples = self.names.len();
        let name = self.names.get(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        let around = self.path("label_velo", name, "txt");
        if self.view != View::Camera && around.exists() {
            return self.load_around(name, &around);
        }
        let calibration = read_calibration(&self.path("calib", name, "txt"))?;
        let labels = read_labels(&self.path("label_2", name, "txt"))?;
        let image_size_px = self.image_size_px(name, &calibration)?;
        let reduced = self.path("velodyne_reduced", name, "bin");
        let points = match self.view {
            View::AsLabelled | View::Camera if reduced.exists() => read_xyzi(&reduced)?,
            view => {
                let mut points = read_xyzi(&self.path("velodyne", name, "bin"))?;
                points.retain(|p| view == View::Whole || calibration.sees(p, image_size_px));
                points
            }
        };
        let (regions, labels): (Vec<_>, Vec<_>) = labels.into_iter().partition(LabelLine::is_dont_care);
        let object = |label: &LabelLine| {
            let bbox = label.to_lidar(&calibration);
            GroundTruth {
                class_name: self.class_name(&label.class_name),
                bbox,
                velocity: [0.0; 2],
                n_points: points_in_box(&points, &bbox),
                occlusion: u8::try_from(label.occlusion).unwrap_or(3),
                difficult: label.is_difficult(),
            }
        };
        let objects = labels.iter().map(object).collect();
        Ok(KittiFrame {
            sample: Sample { name: name.clone(), points, objects },
            calibration: Some(calibration),
            image_size_px,
            labels,
            dont_care: regions.iter().map(|region| region.image_box).collect(),
        })
    }

    fn image_size_px(&self, name: &str, calibration: &Calibration) -> Result<[f64; 2], DatasetError> {
        let image = self.path("image_2", name, "png");
        if image.exists() { image_size(&image) } else { Ok(calibration.usual_image_size_px()) }
    }

    /// The full sweep, and every object around the sensor.
    fn load_around(&self, name: &str, labels: &Path) -> Result<KittiFrame, DatasetError> {
        let points = read_xyzi(&self.path("velodyne", name, "bin"))?;
        let objects = read_lidar_labels(labels)?.into_iter().map(|label| GroundTruth {
            class_name: self.class_name(&label.class_name),
            bbox: label.bbox,
            n_points: label.n_points,
            ..GroundTruth::default()
        });
        Ok(KittiFrame {
            sample: Sample { name: name.to_owned(), points, objects: objects.collect() },
            calibration: None,
            image_size_px: IMAGE_SIZE_PX,
            labels: Vec::new(),
            dont_care: Vec::new(),
        })
    }
}

/// Letters, digits, `_` and `-`: a name that cannot leave its folder.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl Dataset for KittiDataset {
    fn n_samples(&self) -> usize {
        self.names.len()
    }

    fn name(&self, idx: usize) -> &str {
        self.names.get(idx).map_or("", String::as_str)
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        Ok(self.load_frame(idx)?.sample)
    }

    fn drive(&self, idx: usize) -> Option<String> {
        self.drives.as_ref()?.of_name(self.name(idx)).map(str::to_owned)
    }
}
