//! Export: from a trained network to a model package.
//!
//! The detector becomes plain data ([`pilotis_network`], BatchNorm folded in by [`batch_norm`]); the network's
//! ONNX file and [`encoder`] are its files, [`golden`] what it must answer, [`package`] the folder. An export fails unless the runtime, reading that
//! folder back, agrees with Burn ([`parity`]).

pub mod batch_norm;
pub mod card;
pub mod encoder;
pub mod golden;
pub mod package;
pub mod parity;

use crate::config::TrainConfig;
use crate::datasets;
use crate::detector::Detector;
use crate::device::training_device;
use crate::simulate::example_cloud;
use crate::train::load_run;
use anyhow::{Context, bail, ensure};
use golden::golden_tensor;
use package::{PackageWriter, Replace};
use parity::PARITY_TOLERANCE;
use pilotis_runtime::golden::{Answers, check};
use pilotis_runtime::points::{CloudView, PointsStage};
use pilotis_runtime::{Engine, EngineBuilder, OnMismatch, Package};
use pilotis_spec::{FieldName, FrameReport, Golden, InputStatistics, Manifest, Point};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Points of the golden cloud, so that a package stays small.
const GOLDEN_POINTS: usize = 12_000;
/// Samples of every raw tensor in the golden.
const GOLDEN_SAMPLES: usize = 64;
/// Boxes in the golden.
const GOLDEN_BOXES: usize = 50;
/// Training samples that the input statistics are taken of.
const STATISTICS_SAMPLES: usize = 100;
/// Options of `pilotis-trainer export`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// Folder of a training run; its best detector is exported
    #[arg(long, conflicts_with_all = ["config", "random_weights"])]
    pub run: Option<PathBuf>,
    /// Configuration of a model without a run; needs --random-weights
    #[arg(long, requires = "random_weights")]
    pub config: Option<PathBuf>,
    /// Random weights: a package of the right size and shape that detects nothing
    #[arg(long, requires = "config")]
    pub random_weights: bool,
    /// Seed of random weights and of the golden cloud
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Folder of the training data, for the input statistics; without it the runtime compares nothing
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Folder of the package
    #[arg(long)]
    pub out: PathBuf,
    /// Replace whatever stands at --out (it is kept beside, unless it is a package)
    #[arg(long)]
    pub force: bool,
}

/// Runs `pilotis-trainer export`.
pub fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let device = training_device("cpu")?;
    let (config, detector) = match (&args.run, &args.config) {
        (Some(run), None) => load_run(run, &device)?,
        (None, Some(path)) => {
            let mut config = TrainConfig::load(path)?;
            config.train.seed = args.seed;
            let detector = Detector::init(&config, &device);
            (config, detector)
        }
        _ => bail!("give --run DIR, or --config FILE with --random-weights"),
    };
    let statistics = match &args.data {
        Some(root) => input_statistics(&config, root)?,
        None => InputStatistics::default(),
    };
    let card = card::card(&config, &statistics, args);
    let replace = if args.force { Replace::Anything } else { Replace::Packages };
    let exported = export(&config, &detector, statistics, card, args.seed, &args.out, replace)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {} ({} files)\nONNX Runtime and Burn differ by at most {:.1e} over {} values (allowed: {PARITY_TOLERANCE:.0e})",
        args.out.display(),
        exported.package.digest(),
        exported.package.manifest().files.len(),
        exported.largest_difference,
        exported.n_values,
    )?;
    Ok(())
}

/// A written package, and how well it agrees with Burn.
#[derive(Debug)]
pub struct Exported {
    /// As the runtime reads it.
    pub package: Package,
    /// Largest difference of any raw tensor value on the golden cloud.
    pub largest_difference: f32,
    /// Values compared.
    pub n_values: usize,
}

/// Writes a package, after the runtime has answered the golden cloud as Burn does.
///
/// **Errors**: ONNX Runtime is missing, or differs from Burn by more than
/// [`PARITY_TOLERANCE`]; nothing is left at `out` then.
pub fn export(
    config: &TrainConfig,
    detector: &Detector,
    statistics: InputStatistics,
    card: String,
    seed: u64,
    out: &Path,
    replace: Replace,
) -> anyhow::Result<Exported> {
    let manifest = config.manifest_draft(statistics);
    let network = detector.to_network(config);
    let writer = || -> anyhow::Result<PackageWriter> {
        PackageWriter::new(manifest.clone()).encoder(&detector.encoder_weights())?.network("fp32", &network)
    };
    let cloud = golden_cloud(&manifest, seed)?;

    // A draft without answers gives the engine that makes them.
    let draft = Draft::beside(out)?;
    let package = writer()?.write(&draft.0, Replace::Packages)?;
    let mut engine = build_engine(&package)?;
    let view = CloudView::from_bytes(&cloud, &manifest.points.layout)?;
    let answers = Answers::of(&mut engine, &view)?;
    let burn = parity::burn_answers(config, detector, &view)?;
    let (largest_difference, n_values) = parity::compare(&manifest, &engine, &burn)?;

    let names = manifest.head.tensors(&manifest.grid);
    let tensors = names.iter().zip(&burn).map(|(t, values)| golden_tensor(&t.name, values, GOLDEN_SAMPLES));
    let golden = Golden {
        input: String::new(),
        n_points: answers.report.n_points,
        n_points_kept: answers.report.n_points_kept,
        n_pillars: answers.report.n_pillars,
        pillars_sha256: answers.pillars_sha256,
        canvas_sha256: answers.canvas_sha256,
        head_tolerance: PARITY_TOLERANCE,
        tensors: tensors.collect(),
        boxes: answers.detections.into_iter().take(GOLDEN_BOXES).collect(),
    };
    // The last word is the runtime's, on what it reads, before anything gets the name asked for.
    let package = writer()?.golden(golden.clone(), cloud.clone())?.write(&draft.0, Replace::Packages)?;
    check(&package, &mut build_engine(&package)?)?;
    let package = writer()?.golden(golden, cloud)?.card(card).write(out, replace)?;
    Ok(Exported { package, largest_difference, n_values })
}

/// A folder that is gone when the export is over, whatever becomes of it.
struct Draft(PathBuf);

impl Draft {
    fn beside(out: &Path) -> anyhow::Result<Self> {
        let name = out.file_name().context("--out does not end in a folder's name")?;
        let name = format!(".{}.draft-{}", name.to_string_lossy(), std::process::id());
        Ok(Self(out.with_file_name(name)))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A leftover draft is harmless; the export's own error matters more.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn build_engine(package: &Package) -> anyhow::Result<Engine> {
    // The golden cloud is simulated; a model of another sensor must still answer it.
    Ok(EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(package)?)
}

/// A simulated sweep in the model's layout, thinned out to [`GOLDEN_POINTS`].
fn golden_cloud(manifest: &Manifest, seed: u64) -> anyhow::Result<Vec<u8>> {
    let cloud = example_cloud(seed)?;
    let in_range = |p: &&[f32; 4]| manifest.grid.contains(p[0], p[1], p[2]);
    let n_in_range = cloud.iter().filter(in_range).count();
    ensure!(n_in_range > 0, "no simulated point lies in the model's range");
    let layout = &manifest.points.layout;
    let scale = manifest.points.intensity_full_scale;
    let mut bytes = Vec::new();
    let kept = cloud.iter().filter(in_range).step_by(n_in_range.div_ceil(GOLDEN_POINTS));
    for (i, [x, y, z, intensity]) in kept.enumerate() {
        // Lags of ten sweeps at 20 Hz, for layouts that have them.
        let time_lag = if layout.has(FieldName::TimeLag) { (i % 10) as f32 * 0.05 } else { 0.0 };
        layout.write(&Point { x: *x, y: *y, z: *z, intensity: intensity * scale, time_lag }, &mut bytes);
    }
    // Overload and broken points belong to what every stage must answer to.
    let [x, y, z] = manifest.grid.max();
    layout.write(&Point { x, y, z, ..Point::default() }, &mut bytes);
    layout.write(&Point { x: f32::NAN, ..Point::default() }, &mut bytes);
    Ok(bytes)
}

/// Statistics of the points in range of the first samples of the training split.
fn input_statistics(config: &TrainConfig, root: &Path) -> anyhow::Result<InputStatistics> {
    let dataset = datasets::open(&config.dataset, Some(root), &config.dataset.train_split)?;
    let mut stage = PointsStage::build(config.points.max_points as usize);
    let needs_time_lag = config.bev.recipe.needs_time_lag();
    let n_frames = dataset.n_samples().min(STATISTICS_SAMPLES);
    let (mut n_points, mut intensity, mut z) = (0.0, 0.0, 0.0);
    let mut statistics = InputStatistics { n_frames: n_frames as u32, ..InputStatistics::default() };
    for idx in 0..n_frames {
        let sample = dataset.load(idx)?;
        let cloud = CloudView::from_points(&sample.points);
        stage.run(&cloud, &config.grid, needs_time_lag, &mut FrameReport::default())?;
        let summary = stage.summary();
        let n = f64::from(summary.n_points);
        n_points += n;
        intensity += summary.intensity_mean * n;
        z += summary.z_mean_m * n;
        statistics.intensity_max = statistics.intensity_max.max(summary.intensity_max);
        let lags = stage.points().iter().map(|p| p.time_lag);
        statistics.time_lag_max_s = lags.fold(statistics.time_lag_max_s, f32::max);
    }
    ensure!(n_points > 0.0, "no point of the training split lies in the model's range");
    statistics.points_per_frame = (n_points / n_frames as f64) as f32;
    statistics.intensity_mean = (intensity / n_points) as f32;
    statistics.z_mean_m = (z / n_points) as f32;
    Ok(statistics)
}
