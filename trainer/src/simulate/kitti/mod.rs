//! KITTI's folder layout: sweeps, labels, calibration and splits, of drives cut into frames.

mod camera;
mod frame;
#[cfg(test)]
mod tests;

use super::drive::{Drive, DriveOptions};
use super::folder::{self, README_FILE, write_atomically};
use super::sensor::Sensor;
use anyhow::{Context, Result};
use camera::Calibration;
use frame::{SimulatedFrame, SimulatedObject, observe, wrap};
use glam::Vec3;
use pilotis_datasets::kitti::{MAPPING_FILE, ORDER_FILE};
use rayon::prelude::*;
use std::f32::consts::FRAC_PI_2;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const FOLDERS: [&str; 7] = [
    "training/velodyne",
    "training/velodyne_reduced",
    "training/label_2",
    "training/calib",
    "training/label_velo",
    "ImageSets",
    "mapping",
];

/// Each fifth drive is for validation: frames of one drive are alike.
const VALIDATION_EVERY: u64 = 5;

/// How drives become frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Time between two frames of a drive, seconds.
    pub(super) every_s: f64,
    /// Frames of one drive.
    pub(super) n_frames: u64,
}

impl Cut {
    /// Frames every `every_s` seconds of a drive.
    pub(super) fn new(duration_s: f64, every_s: f64) -> Self {
        Self { every_s, n_frames: (duration_s / every_s + 1e-6).floor().max(1.0) as u64 }
    }
}

/// The points of a drive's sweep at a time, in the order of KITTI's files.
pub(super) fn points(drive: &Drive, sensor: &Sensor, time_s: f64) -> Vec<[f32; 4]> {
    frame::in_file_order(&drive.sweep(sensor, time_s))
}

/// Simulates one drive and writes its frames; with `resume`, a drive whose frames are all there is left alone.
///
/// **Determinism**: the files are the same for any number of threads.
pub(super) fn write_drive(
    out: &Path,
    seed: u64,
    scene_idx: u64,
    options: &DriveOptions,
    sensor: &Sensor,
    cut: Cut,
    resume: bool,
) -> Result<()> {
    let first = scene_idx * cut.n_frames;
    if resume && (first..first + cut.n_frames).all(|idx| is_complete(out, idx)) {
        return Ok(());
    }
    let calibration = Calibration::new();
    let drive = Drive::build(seed, scene_idx, options);
    (0..cut.n_frames).into_par_iter().try_for_each(|k| {
        let frame = observe(&drive, sensor, (k as f64 + 0.5) * cut.every_s, &calibration);
        write_frame(out, first + k, &frame, &calibration)
    })
}

/// Creates the folders and the README.
pub(super) fn prepare_folder(out: &Path, world: &str, resume: bool, force: bool) -> Result<()> {
    folder::prepare(out, world, resume, force)?;
    folder::make_all(out, &FOLDERS)?;
    write_atomically(&out.join(README_FILE), readme_text(world).as_bytes())
}

fn readme_text(world: &str) -> String {
    format!(
        "# Simulated LiDAR sweeps\n\n\
         Made by `pilotis-trainer simulate`. No part of this folder was measured: streets, vehicles, people and the\n\
         scanner are simulated. The layout is that of the KITTI object benchmark.\n\n\
         {world}\n\n\
         | path | content |\n|---|---|\n\
         | `training/velodyne` | full turns; f32 LE x, y, z (metres; x forward, y left, z up), intensity 0..0.99 |\n\
         | `training/velodyne_reduced` | the points of the same turn that fall into camera 2's image |\n\
         | `training/label_2` | KITTI label lines of the objects in the image, camera frame |\n\
         | `training/calib` | calibration, one for all frames |\n\
         | `training/label_velo` | every object with a return: `type x y z l w h yaw n_points`; geometric centre in the \
         LiDAR frame, metres, yaw in radians counter-clockwise from +x |\n\
         | `ImageSets` | `train.txt`, `val.txt` (the frames of each fifth drive), `all.txt` |\n\
         | `mapping` | as in KITTI's development kit: which drive each frame is of |\n"
    )
}

/// True where a frame was written to its end: the LiDAR labels are its last file.
fn is_complete(out: &Path, frame_idx: u64) -> bool {
    out.join(format!("training/label_velo/{frame_idx:06}.txt")).exists()
}

/// Writes the five files of a frame below `out/training`.
///
/// **Errors**: what the file system answers, with the path.
fn write_frame(out: &Path, frame_idx: u64, frame: &SimulatedFrame, calibration: &Calibration) -> Result<()> {
    let training = out.join("training");
    let bytes = |keep: &dyn Fn(&[f32; 4]) -> bool| -> Vec<u8> {
        frame.points.iter().filter(|p| keep(p)).flatten().flat_map(|value| value.to_le_bytes()).collect()
    };
    let full = bytes(&|_| true);
    let reduced = bytes(&|p| calibration.sees(Vec3::new(p[0], p[1], p[2])));
    let mut camera_labels = String::new();
    let mut lidar_labels = String::new();
    for object in &frame.objects {
        if let Some(line) = label_line(object, calibration) {
            camera_labels.push_str(&line);
            camera_labels.push('\n');
        }
        let ([x, y, z], [l, w, h]) = (object.center, object.size_lwh);
        writeln!(
            lidar_labels,
            "{} {x:.3} {y:.3} {z:.3} {l:.3} {w:.3} {h:.3} {:.4} {}",
            object.class_name, object.yaw, object.n_points
        )?;
    }
    for (folder, extension, content) in [
        ("velodyne", "bin", full.as_slice()),
        ("velodyne_reduced", "bin", reduced.as_slice()),
        ("label_2", "txt", camera_labels.as_bytes()),
        ("calib", "txt", calibration.to_kitti().as_bytes()),
        ("label_velo", "txt", lidar_labels.as_bytes()),
    ] {
        write_atomically(&training.join(folder).join(format!("{frame_idx:06}.{extension}")), content)?;
    }
    Ok(())
}

/// The KITTI label line of an object; `None` where camera 2 does not see it.
///
/// **Units and frame**: rectified camera frame (x right, y down, z ahead), metres; the location is the centre of
/// the box's bottom, `ry = -yaw - pi/2`, `alpha` the heading relative to the line of sight.
fn label_line(object: &SimulatedObject, calibration: &Calibration) -> Option<String> {
    let [left, top, right, bottom] = object.bbox?;
    let [l, w, h] = object.size_lwh;
    let foot = Vec3::from_array(object.center) - Vec3::Z * (h * 0.5);
    let location = calibration.lidar_to_camera(foot);
    let rotation_y = wrap(-object.yaw - FRAC_PI_2);
    let alpha = wrap(rotation_y - libm::atan2f(location.x, location.z));
    Some(format!(
        "{} {:.2} {} {alpha:.2} {left:.2} {top:.2} {right:.2} {bottom:.2} {h:.2} {w:.2} {l:.2} {:.2} {:.2} {:.2} \
         {rotation_y:.2}",
        object.class_name, object.truncation, object.occlusion, location.x, location.y, location.z
    ))
}

/// Lists the complete frames of a folder in `ImageSets`, and the drives of all up to the last one in `mapping`.
pub(super) fn write_lists(out: &Path, cut: Cut) -> Result<()> {
    let folder = out.join("training/label_velo");
    let mut frames: Vec<u64> = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".txt"));
        frames.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    frames.sort_unstable();
    let list = |keep: &dyn Fn(u64) -> bool| -> String {
        frames.iter().filter(|idx| keep(**idx)).map(|idx| format!("{idx:06}\n")).collect()
    };
    let validates = |idx: u64| (idx / cut.n_frames) % VALIDATION_EVERY == VALIDATION_EVERY - 1;
    for (name, text) in [
        ("all.txt", list(&|_| true)),
        ("train.txt", list(&|idx| !validates(idx))),
        ("val.txt", list(&validates)),
    ] {
        write_atomically(&out.join("ImageSets").join(name), text.as_bytes())?;
    }
    let n_frames = frames.last().map_or(0, |last| last + 1);
    let mut lines = String::new();
    for idx in 0..n_frames {
        let (drive, frame) = (idx / cut.n_frames, idx % cut.n_frames);
        writeln!(lines, "simulated simulated_drive_{drive:04} {frame:010}")?;
    }
    let order: Vec<String> = (1..=n_frames).map(|number| number.to_string()).collect();
    let folder = out.join("mapping");
    write_atomically(&folder.join(MAPPING_FILE), lines.as_bytes())?;
    write_atomically(&folder.join(ORDER_FILE), order.join(",").as_bytes())
}
