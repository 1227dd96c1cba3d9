//! Simulated sweeps: streets, vehicles, people and clutter seen by a 64-beam scanner, in KITTI's layout.
//!
//! A frame is a pure function of a seed and an index. Beams are cast against convex shapes and a height field, so
//! that occlusion, self-occlusion and the thinning of points with distance come out of the geometry; losses, range
//! noise and intensity are modelled on KITTI's recordings.
//!
//! **Frame**: sensor frame, x forward, y left, z up, metres; the ground below the sensor is at -1.73 m. Yaw is
//! counter-clockwise from +x, radians.
//!
//! **Determinism**: the output is the same for any number of threads and on every platform: random numbers come
//! from a ChaCha stream per frame and transcendental functions from `libm`.

mod camera;
mod draw;
mod geometry;
mod ground;
mod kitti;
mod layout;
mod people;
mod response;
mod scene;
mod sensor;
mod surroundings;
#[cfg(test)]
mod tests;
mod vehicles;

pub use camera::{Calibration, IMAGE_SIZE};
pub use kitti::{label_line, write_frame};

use anyhow::{Context, bail};
use draw::Draw;
use glam::Vec3;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use std::path::PathBuf;

/// A labelled object of a simulated frame with at least one return.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedObject {
    /// KITTI's class name: Car, Van, Truck, Pedestrian or Cyclist.
    pub class_name: &'static str,
    /// Geometric centre of the box, sensor frame, metres.
    pub center: [f32; 3],
    /// Length, width, height, metres.
    pub size_lwh: [f32; 3],
    /// Heading, counter-clockwise from +x, radians in [-pi, pi).
    pub yaw: f32,
    /// Returns that came from this object.
    pub n_points: u32,
    /// KITTI's occlusion level: 0 free, 1 partly, 2 largely, 3 almost fully hidden.
    pub occlusion: u8,
    /// Share of the image box beyond the image's edges, 0..1; 0 where there is no image box.
    pub truncation: f32,
    /// Image box in camera 2 (left, top, right, bottom, pixels), where at least one return is in the image.
    pub bbox: Option<[f32; 4]>,
}

/// One turn of the scanner and what it saw.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedFrame {
    /// x, y, z in the sensor frame, metres, and intensity 0..0.99; ring by ring from the highest beam, each ring
    /// counter-clockwise from straight ahead.
    pub points: Vec<[f32; 4]>,
    /// Everything labelled with at least one return, out to 80 m.
    pub objects: Vec<SimulatedObject>,
}

/// Yields frame `frame_idx` of the world of `seed`.
///
/// **Determinism**: a pure function of its arguments.
pub fn simulate_frame(seed: u64, frame_idx: u64) -> SimulatedFrame {
    // The layout and the sensor draw from streams of their own: a change of one leaves the other alone.
    let scene = layout::build_scene(&mut Draw::new(seed, frame_idx * 2));
    let sweep = sensor::scan(&scene, &mut Draw::new(seed, frame_idx * 2 + 1));
    observe(&scene, &sweep)
}

/// The frame a sweep of a scene gives: points, and the actors that answered.
fn observe(scene: &scene::Scene, sweep: &sensor::Sweep) -> SimulatedFrame {
    let calibration = Calibration::new();
    let mut n_points = vec![0u32; scene.actors.len()];
    let mut in_image = vec![false; scene.actors.len()];
    for a_return in &sweep.returns {
        let Some(idx) = a_return.object else { continue };
        let [x, y, z, _] = a_return.point;
        if let (Some(n), Some(seen)) = (n_points.get_mut(idx), in_image.get_mut(idx)) {
            *n += 1;
            *seen = *seen || calibration.sees(Vec3::new(x, y, z));
        }
    }
    let counts = n_points.iter().zip(&in_image).zip(sweep.n_met.iter().zip(&sweep.n_free));
    let objects = scene
        .actors
        .iter()
        .zip(counts)
        .filter(|(_, ((n_points, _), _))| **n_points > 0)
        .map(|(actor, ((n_points, in_image), (n_met, n_free)))| {
            let image = calibration.image_box(actor.center, actor.size_lwh, actor.yaw).filter(|_| *in_image);
            SimulatedObject {
                class_name: actor.class_name,
                center: actor.center.to_array(),
                size_lwh: actor.size_lwh.to_array(),
                yaw: wrap(actor.yaw),
                n_points: *n_points,
                occlusion: occlusion(*n_met as f32 / (*n_free).max(1) as f32),
                truncation: image.map_or(0.0, |(_, truncation)| truncation),
                bbox: image.map(|(bbox, _)| bbox),
            }
        })
        .collect();
    SimulatedFrame { points: sweep.returns.iter().map(|a_return| a_return.point).collect(), objects }
}

/// KITTI's occlusion level for the share of an object's beams that reach it.
fn occlusion(visible: f32) -> u8 {
    match visible {
        v if v >= 0.75 => 0,
        v if v >= 0.40 => 1,
        v if v >= 0.10 => 2,
        _ => 3,
    }
}

/// An angle in [-pi, pi).
fn wrap(angle: f32) -> f32 {
    use std::f32::consts::{PI, TAU};
    let turned = (angle + PI).rem_euclid(TAU) - PI;
    if turned >= PI { -PI } else { turned }
}

/// Options of `pilotis-trainer simulate`.
#[derive(clap::Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Folder to write; created where it is missing, refused where it holds anything
    #[arg(long)]
    pub out: PathBuf,
    /// Number of frames
    #[arg(long)]
    pub frames: u64,
    /// Seed of the world: the same seed gives the same bytes
    #[arg(long)]
    pub seed: u64,
    /// Index of the first frame
    #[arg(long, default_value_t = 0)]
    pub start: u64,
    /// Threads to use; 0 uses all cores. The output does not depend on it
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Continue in a folder of the same seed: frames that are complete are kept
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Write into a folder that is not empty, replacing frames of the same number
    #[arg(long)]
    pub force: bool,
}

/// Writes simulated frames in KITTI's layout.
///
/// **Errors**: no frames asked for, a folder that is not empty (without `--resume` or `--force`), a folder of
/// another seed (with `--resume`), and whatever the file system answers.
///
/// **Determinism**: the files are the same for any number of threads. Each is written beside its place and renamed,
/// so that an interrupted run leaves no half-written file under a final name.
pub fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    if args.frames == 0 {
        bail!("--frames 0: nothing to simulate");
    }
    let end = args.start.checked_add(args.frames).filter(|end| *end <= 1_000_000);
    let Some(end) = end else {
        bail!("frame numbers have six digits: --start plus --frames must not exceed 1000000")
    };
    kitti::prepare_folder(&args.out, args.seed, args.resume, args.force)?;
    let calibration = Calibration::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build()
        .context("cannot start the worker threads")?;
    let bar = ProgressBar::new(args.frames);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} frames, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    pool.install(|| {
        (args.start..end).into_par_iter().try_for_each(|frame_idx| {
            if !(args.resume && kitti::is_complete(&args.out, frame_idx)) {
                let frame = simulate_frame(args.seed, frame_idx);
                write_frame(&args.out, frame_idx, &frame, &calibration)?;
            }
            bar.inc(1);
            anyhow::Ok(())
        })
    })?;
    bar.finish();
    kitti::write_image_sets(&args.out)?;
    tracing::info!(frames = args.frames, seed = args.seed, out = %args.out.display(), "simulated");
    Ok(())
}
