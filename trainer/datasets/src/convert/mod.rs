//! From one layout to another.
//!
//! Samples are read as [`Dataset`](crate::Dataset) gives them, turned to the target's axes, origin and scale, and
//! written into a folder beside the target, which gets its name when everything is there.
//!
//! Points inside of boxes are counted anew: sources count by rules of their own (by who reflected a beam, in boxes
//! that are tilted), and a reader of the result should find what it says.
//!
//! Names of samples are numbered anew; `names.txt` of the result lists what each was. What the target has no class
//! for is left out and counted.

mod kitti;
mod nuscenes;
#[cfg(test)]
mod tests;

use crate::check::Inspect;
use crate::{Convention, DatasetError, GroundTruth, Sample, points_in_box};
use pilotis_spec::codec::normalize_yaw;
use std::collections::BTreeMap;
use std::f32::consts::FRAC_PI_2;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Layouts that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// KITTI's object layout, with labels all around beside those of the camera's view.
    Kitti,
    /// nuScenes' tables, each sample a scene of its own.
    Nuscenes,
    /// The internal cache.
    Cache,
}

/// What became of a dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Samples that were written.
    pub n_samples: u64,
    /// Objects that were written.
    pub n_objects: u64,
    /// Objects that were left out, by class.
    pub left_out: BTreeMap<String, u64>,
}

/// Each fifth sample is for validation.
const VALIDATION_EVERY: usize = 5;
/// What each sample was called before.
const NAMES_FILE: &str = "names.txt";

/// Writes a dataset in another layout into a new folder; `step` is called once a sample.
///
/// **Errors**: a folder that is there and not empty, a dataset whose axes and scale nobody knows (to KITTI's and
/// nuScenes' layout), a sample that cannot be read, what the file system answers. The folder is not there then.
///
/// **Determinism**: the same files for any number of threads.
pub fn convert(
    from: &dyn Inspect,
    to: &Path,
    target: Target,
    step: &(dyn Fn() + Sync),
) -> anyhow::Result<Converted> {
    if target == Target::Cache {
        return crate::cache::write_cache(from, to, crate::cache::TARGET_SHARD_BYTES, step);
    }
    let Some(convention) = from.convention() else {
        let reason = format!(
            "axes, origin and intensity of a `{}` are not known; only a cache can be made of it",
            from.kind()
        );
        return Err(DatasetError::Unsupported { setting: "kind", reason }.into());
    };
    let staging = Staging::begin(to)?;
    let converted = match target {
        Target::Nuscenes => nuscenes::write(from, convention, staging.path(), step)?,
        Target::Kitti | Target::Cache => kitti::write(from, convention, staging.path(), step)?,
    };
    let names: String =
        (0..from.n_samples()).map(|idx| format!("{} {}\n", number(idx), from.name(idx))).collect();
    write_file(&staging.path().join(NAMES_FILE), names.as_bytes())?;
    staging.finish()?;
    Ok(converted)
}

/// The name of a sample in the result.
fn number(idx: usize) -> String {
    format!("{idx:06}")
}

fn is_for_validation(idx: usize) -> bool {
    idx % VALIDATION_EVERY == VALIDATION_EVERY - 1
}

/// Brings a sample to other axes, another origin and another scale, and counts the points in its boxes.
///
/// Axes differ by quarter turns, so that nothing is rounded but yaw, and heights where the origin moves. Intensities
/// above the full scale, which only Waymo has, become the full scale.
fn to_convention(sample: &mut Sample, from: Convention, to: Convention) {
    let factor = to.intensity_full_scale / from.intensity_full_scale;
    let raise_m = from.raise_m(to);
    let same_axes = from.is_x_ahead == to.is_x_ahead;
    let turn = |[x, y]: [f32; 2]| match (same_axes, to.is_x_ahead) {
        (true, _) => [x, y],
        (false, true) => [y, -x],
        (false, false) => [-y, x],
    };
    let turn_rad = match (same_axes, to.is_x_ahead) {
        (true, _) => 0.0,
        (false, true) => -FRAC_PI_2,
        (false, false) => FRAC_PI_2,
    };
    for point in &mut sample.points {
        [point.x, point.y] = turn([point.x, point.y]);
        point.z += raise_m;
        point.intensity = (point.intensity * factor).min(to.intensity_full_scale);
    }
    for GroundTruth { bbox, velocity, n_points, .. } in &mut sample.objects {
        [bbox.center[0], bbox.center[1]] = turn([bbox.center[0], bbox.center[1]]);
        bbox.center[2] += raise_m;
        *velocity = turn(*velocity);
        if !same_axes {
            bbox.yaw = normalize_yaw(bbox.yaw + turn_rad);
        }
        *n_points = points_in_box(&sample.points, bbox);
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DatasetError> {
    fs::write(path, bytes).map_err(|source| DatasetError::Write { path: path.to_owned(), source })
}

fn make_folders(root: &Path, folders: &[&str]) -> Result<(), DatasetError> {
    for folder in folders {
        let path = root.join(folder);
        fs::create_dir_all(&path).map_err(|source| DatasetError::Write { path, source })?;
    }
    Ok(())
}

/// A folder beside the one that is wanted, gone at the end unless it is finished.
pub(crate) struct Staging {
    path: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// **Errors**: a target that is there and not an empty folder.
    pub(crate) fn begin(target: &Path) -> Result<Self, DatasetError> {
        let is_free = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_none(),
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        };
        if !is_free {
            let reason = "is not an empty folder; name one that is missing or empty".to_owned();
            return Err(DatasetError::File { path: target.to_owned(), reason });
        }
        let mut path = target.as_os_str().to_owned();
        path.push(".converting");
        let path = PathBuf::from(path);
        let cleared = match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => fs::create_dir_all(&path),
        };
        cleared.map_err(|source| DatasetError::Write { path: path.clone(), source })?;
        Ok(Self { path, target: target.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, once its files are on the disk.
    pub(crate) fn finish(self) -> Result<(), DatasetError> {
        let synced = fs::File::open(&self.path).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
        let finished = synced.and_then(|()| fs::rename(&self.path, &self.target));
        finished.map_err(|source| DatasetError::Write { path: self.target.clone(), source })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
