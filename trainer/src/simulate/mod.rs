//! Simulated drives: a car with a scanner on its way through streets in which others move, labelled, in KITTI's or
//! nuScenes' layout.
//!
//! A drive is a pure function of a seed, its number and its options. `world` is what does not move, `things` are
//! what carries a label, `drive` is who moves how, `sensor` is what the scanner makes of it.
//!
//! **Determinism**: the output is the same for any number of threads and on every platform: random numbers come
//! from ChaCha streams of their own per drive and sweep, and transcendental functions from `libm`.

mod draw;
mod drive;
mod folder;
mod geometry;
mod kitti;
mod nuscenes;
mod parts;
mod scenery;
mod sensor;
#[cfg(test)]
mod tests;
mod things;
mod world;

use anyhow::{Context, bail, ensure};
pub use drive::Distortion;
pub use sensor::Weather;

use drive::{Drive, DriveOptions};
use indicatif::{ProgressBar, ProgressStyle};
use kitti::Cut;
use rayon::prelude::*;
use sensor::Sensor;
use std::path::PathBuf;

/// Layouts on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// KITTI's object benchmark: frames, labels in the camera's view, and labels all around beside them.
    Kitti,
    /// nuScenes: tables, key frames and sweeps, version `v1.0-sim`.
    Nuscenes,
}

/// The points of one simulated sweep of the 64-beam scanner: x, y, z in the sensor's frame, metres, and intensity
/// 0..1; an example of a cloud for whoever has none.
///
/// **Determinism**: a pure function of the seed.
pub fn example_cloud(seed: u64) -> anyhow::Result<Vec<[f32; 4]>> {
    let sensor = Sensor::load("hdl64e")?;
    let options = DriveOptions {
        duration_s: 2.0,
        region: sensor.region(),
        all_classes: true,
        crowd: 1.0,
        weather: Weather::Clear,
        distortion: Distortion::Compensated,
    };
    let drive = Drive::build(seed, 0, &options);
    Ok(kitti::points(&drive, &sensor, 1.0))
}

/// Options of `pilotis-trainer simulate`.
#[derive(clap::Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Layout to write
    #[arg(long, value_enum, default_value_t = Format::Kitti)]
    pub format: Format,
    /// Folder to write; created where it is missing, refused where it holds anything
    #[arg(long)]
    pub out: PathBuf,
    /// Number of drives
    #[arg(long)]
    pub scenes: u64,
    /// Seed of the worlds: the same seed gives the same bytes
    #[arg(long)]
    pub seed: u64,
    /// Number of the first drive
    #[arg(long, default_value_t = 0)]
    pub start: u64,
    /// Scanner: hdl64e, hdl32e, or a TOML file; by default that of the layout's recordings
    #[arg(long)]
    pub sensor: Option<String>,
    /// Length of a drive, seconds
    #[arg(long, default_value_t = 20.0)]
    pub duration_s: f64,
    /// Time between two frames of a drive in KITTI's layout, seconds
    #[arg(long, default_value_t = 0.5)]
    pub every_s: f64,
    /// How many more people and cyclists than usual there are, as a factor: to learn rare things from fewer frames
    #[arg(long, default_value_t = 1.0)]
    pub crowd: f32,
    /// What the air is like
    #[arg(long, value_enum, default_value_t = Weather::Clear)]
    pub weather: Weather,
    /// Where points are said to be while the scanner moves
    #[arg(long, value_enum, default_value_t = Distortion::Compensated)]
    pub distortion: Distortion,
    /// Threads to use; 0 uses all cores. The output does not depend on it
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Continue in a folder of the same options: drives that are complete are kept
    #[arg(long, conflicts_with = "force")]
    pub resume: bool,
    /// Write into a folder that is not empty, replacing what has the same name
    #[arg(long)]
    pub force: bool,
}

impl SimulateArgs {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.scenes > 0, "--scenes 0: nothing to simulate");
        ensure!(
            (1.0..=120.0).contains(&self.duration_s),
            "--duration-s {}: a drive lasts from 1 to 120 seconds",
            self.duration_s
        );
        ensure!(
            self.every_s >= 0.05 && self.every_s <= self.duration_s,
            "--every-s {}: frames lie from 0.05 s up to a drive's length apart",
            self.every_s
        );
        ensure!((0.0..=20.0).contains(&self.crowd), "--crowd {}: a factor from 0 to 20", self.crowd);
        if self.start.checked_add(self.scenes).is_none_or(|end| end > 100_000) {
            bail!("--start plus --scenes must not exceed 100000");
        }
        Ok(())
    }

    /// What decides about the content of a folder, as its README says it.
    fn world(&self, sensor: &Sensor) -> String {
        let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        format!(
            "- seed: {}\n- scanner: {}\n- seconds a drive: {}\n- crowd: {}\n- weather: {}\n- distortion: {}\n",
            self.seed,
            sensor.name(),
            self.duration_s,
            self.crowd,
            word(&self.weather),
            word(&self.distortion)
        )
    }
}

/// Writes simulated drives.
///
/// **Errors**: options that cannot be, a scanner that cannot be understood, a folder that is not empty (without
/// `--resume` or `--force`), a folder of other options (with `--resume`), and whatever the file system answers.
///
/// **Determinism**: the files are the same for any number of threads. Each is written beside its place and renamed,
/// so that an interrupted run leaves no half-written file under a final name.
pub fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    args.check()?;
    let usual = match args.format {
        Format::Kitti => "hdl64e",
        Format::Nuscenes => "hdl32e",
    };
    let sensor = Sensor::load(args.sensor.as_deref().unwrap_or(usual))?;
    let options = DriveOptions {
        duration_s: args.duration_s,
        region: sensor.region(),
        all_classes: args.format == Format::Nuscenes,
        crowd: args.crowd,
        weather: args.weather,
        distortion: args.distortion,
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build()
        .context("cannot start the worker threads")?;
    let bar = ProgressBar::new(args.scenes);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} drives, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    pool.install(|| match args.format {
        Format::Kitti => write_kitti(args, &sensor, &options, &bar),
        Format::Nuscenes => write_nuscenes(args, &sensor, &options, &bar),
    })?;
    bar.finish();
    tracing::info!(drives = args.scenes, seed = args.seed, out = %args.out.display(), "simulated");
    Ok(())
}

fn write_kitti(
    args: &SimulateArgs,
    sensor: &Sensor,
    options: &DriveOptions,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let cut = Cut::new(args.duration_s, args.every_s);
    let world = format!("{}- seconds between frames: {}\n", args.world(sensor), args.every_s);
    kitti::prepare_folder(&args.out, &world, args.resume, args.force)?;
    (args.start..args.start + args.scenes).into_par_iter().try_for_each(|scene_idx| {
        kitti::write_drive(&args.out, args.seed, scene_idx, options, sensor, cut, args.resume)?;
        bar.inc(1);
        anyhow::Ok(())
    })?;
    kitti::write_lists(&args.out, cut)
}

fn write_nuscenes(
    args: &SimulateArgs,
    sensor: &Sensor,
    options: &DriveOptions,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let request = nuscenes::Request {
        out: &args.out,
        seed: args.seed,
        scenes: args.start..args.start + args.scenes,
        sensor,
        world: &args.world(sensor),
        resume: args.resume,
        force: args.force,
    };
    nuscenes::write(&request, |scene_idx| Drive::build(args.seed, scene_idx, options), bar)
}
