//! nuScenes' folder layout: sweeps of drives, and the thirteen tables that the official devkit loads.
//!
//! | file | what it does |
//! |---|---|
//! | `clock` | when sweeps end, and which are key frames |
//! | `scene` | a drive: its sweeps, and its rows |
//! | `inside` | which points lie in a box, by the devkit's test |
//! | `vocabulary` | categories, attributes, visibility |
//! | `files` | rows to tables, splits, map |

mod clock;
mod files;
mod inside;
mod scene;
#[cfg(test)]
mod tests;
mod vocabulary;

use super::drive::Drive;
use super::folder::{self, README_FILE, write_atomically};
use super::sensor::Sensor;
use anyhow::{Context, Result, bail};
use clock::Clock;
use files::{is_complete, make_folders, remove_tables, write_tables};
use indicatif::ProgressBar;
use pilotis_datasets::nuscenes::rows as tables;
use scene::Scene;
use std::ops::Range;
use std::path::Path;

/// What to write, and where.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Request<'a> {
    /// The folder; made where it is missing.
    pub(in crate::simulate) out: &'a Path,
    /// The world's seed.
    pub(in crate::simulate) seed: u64,
    /// Numbers of the scenes.
    pub(in crate::simulate) scenes: Range<u64>,
    /// The scanner of every scene.
    pub(in crate::simulate) sensor: &'a Sensor,
    /// What decides about the content, one line each, as the README says it.
    pub(in crate::simulate) world: &'a str,
    /// Keep the scenes that are complete.
    pub(in crate::simulate) resume: bool,
    /// Write into a folder that is not empty, replacing its simulated tables.
    pub(in crate::simulate) force: bool,
}

/// Writes drives as nuScenes scenes: sweeps scene by scene, then the tables over all complete scenes of the folder.
///
/// The bar counts sweeps. Sweeps of a scene are made in parallel, on the thread pool of the caller.
///
/// **Errors**: no scene, a folder that is not empty (without `resume` or `force`) or of other settings (with
/// `resume`), a scanner without a sweep at every half second, a drive too short for a key frame, and whatever the
/// file system answers.
///
/// **Determinism**: the files are the same for any number of threads, and however often the run was interrupted and
/// resumed. Each is written beside its place and renamed, so that no half-written file has a final name.
pub(in crate::simulate) fn write(
    request: &Request<'_>,
    build: impl Fn(u64) -> Drive,
    bar: &ProgressBar,
) -> Result<()> {
    if request.scenes.is_empty() {
        bail!("no scene to simulate");
    }
    let duration_s = build(request.scenes.start).duration_s();
    let clock = Clock::new(request.sensor.rate_hz(), duration_s)?;
    prepare_folder(request)?;
    bar.set_length((request.scenes.end - request.scenes.start) * clock.n_sweeps());
    for scene_idx in request.scenes.clone() {
        if request.resume && is_complete(request.out, scene_idx) {
            bar.inc(clock.n_sweeps());
            continue;
        }
        let drive = build(scene_idx);
        let Request { out, seed, sensor, .. } = *request;
        let scene = Scene { out, seed, scene_idx, drive: &drive, sensor, clock };
        let rows = scene.write(bar).with_context(|| format!("cannot write scene {scene_idx}"))?;
        rows.keep(out, scene_idx)?;
    }
    write_tables(request.out, request.seed)
}

/// Makes the folders and the README, or refuses the folder.
fn prepare_folder(request: &Request<'_>) -> Result<()> {
    let Request { out, world, resume, force, .. } = *request;
    folder::prepare(out, world, resume, force)?;
    if force {
        remove_tables(out)?;
    }
    write_atomically(&out.join(README_FILE), readme_text(world).as_bytes())?;
    make_folders(out)
}

fn readme_text(world: &str) -> String {
    format!(
        "# Simulated LiDAR drives\n\n\
         Made by `pilotis-trainer simulate`. No part of this folder was measured: streets, vehicles, people and the\n\
         scanner are simulated. The layout is that of nuScenes; the official devkit loads it as version `v1.0-sim`.\n\n\
         {}\n\n\
         | path | content |\n|---|---|\n\
         | `v1.0-sim/*.json` | nuScenes' 13 tables |\n\
         | `v1.0-sim/splits.json` | `sim_train` and `sim_val` (each fifth scene), which the devkit reads; `train` and \
         `val` are the same |\n\
         | `v1.0-sim/scenes` | the rows of each complete scene, from which `--resume` makes the tables |\n\
         | `samples/LIDAR_TOP` | key frames, two a second; f32 LE x, y, z (metres; x right, y ahead, z up), intensity \
         0..255, ring (0 is the lowest beam), in the order of firing |\n\
         | `sweeps/LIDAR_TOP` | the sweeps between key frames, and those before the first |\n\
         | `maps` | an empty map |\n\n\
         - A time is that of the end of a turn. Points are moved to where the scanner was then.\n\
         - A thing is annotated at a key frame at which it is within 80 m of the car, and which has a return from it \
         or is next to one that has.\n\
         - `num_lidar_pts` counts the stored points inside the box, as the devkit does. There is no radar.\n\
         - Visibility is the share of the beams that could meet a thing if it were alone and do meet it.\n",
        world.trim_end()
    )
}
