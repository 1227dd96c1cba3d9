//! Deployed: a package on a dataset, through the very pipeline that runs in a vehicle.

use super::{CenterDistanceReport, Filter, FrameResult, evaluate};
use crate::datasets::frame_folder::{FrameFolder, TO_X_AHEAD_RAD};
use crate::datasets::kitti::KittiDataset;
use crate::datasets::{Dataset, Sample};
use crate::train::validate::ground_truths;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_runtime::{CloudView, Engine, EngineBuilder, Frame, OnMismatch, Package};
use pilotis_spec::FrameReport;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Which package runs on which frames, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployArgs {
    /// The model package
    #[arg(long)]
    pub model: PathBuf,
    /// Folder of a dataset in KITTI's layout, or of one nuScenes frame with `boxes.json`
    #[arg(long)]
    pub data: PathBuf,
    /// Turn of a nuScenes frame about z; the default brings its axes, x to the right, to x ahead
    #[arg(long, default_value_t = TO_X_AHEAD_RAD, allow_negative_numbers = true)]
    pub turn_rad: f32,
    /// Threads of the network
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Go on where a cloud is unlike the training data
    #[arg(long)]
    pub allow_mismatch: bool,
}

/// An engine built from a package, and the frames that it shall run on.
pub(super) struct Deployed {
    pub package: Package,
    pub dataset: Box<dyn Dataset>,
    engine: Engine,
}

impl Deployed {
    /// Loads the package and opens the frames; a folder of one frame has no splits.
    ///
    /// Intensities of nuScenes' frames are brought to the full scale that the package states.
    pub(super) fn open(args: &DeployArgs, split: &str) -> anyhow::Result<Self> {
        let package = Package::load(&args.model)?;
        let policy = if args.allow_mismatch { OnMismatch::Flag } else { OnMismatch::Refuse };
        let engine = EngineBuilder::new().threads(args.threads).on_mismatch(policy).build(&package)?;
        let dataset: Box<dyn Dataset> = if FrameFolder::is_at(&args.data) {
            let folder = FrameFolder::open(&args.data, BTreeMap::new())?;
            let full_scale = package.manifest().points.intensity_full_scale;
            Box::new(folder.turned(args.turn_rad).scaled(full_scale))
        } else {
            Box::new(KittiDataset::open(&args.data, split, BTreeMap::new())?)
        };
        Ok(Self { package, dataset, engine })
    }

    /// Runs every frame, in order.
    pub(super) fn run(&mut self, mut each: impl FnMut(Sample, &Frame<'_>)) -> anyhow::Result<()> {
        let n_samples = self.dataset.n_samples();
        let progress = ProgressBar::new(n_samples as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} [{elapsed}<{eta}]")?);
        for idx in 0..n_samples {
            let sample = self.dataset.load(idx)?;
            let frame = self
                .engine
                .infer(&CloudView::from_points(&sample.points))
                .with_context(|| format!("sample `{}`", sample.name))?;
            each(sample, &frame);
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
    }
}

/// Options of `pilotis-trainer evaluate package`.
#[derive(Clone, Debug, clap::Args)]
pub struct PackageArgs {
    /// Package and frames
    #[command(flatten)]
    pub deploy: DeployArgs,
    /// Split of the dataset
    #[arg(long, default_value = "val")]
    pub split: String,
    /// Objects with fewer points are ignored
    #[arg(long, default_value_t = 5)]
    pub min_points: u32,
    /// Score at which recall, precision and errors are taken
    #[arg(long, default_value_t = 0.3)]
    pub score: f64,
    /// Also write the figures here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Runs `pilotis-trainer evaluate package`.
pub fn run(args: &PackageArgs) -> anyhow::Result<()> {
    let mut deployed = Deployed::open(&args.deploy, &args.split)?;
    let classes = deployed.package.manifest().classes.clone();
    let (mut frames, mut reports) = (Vec::new(), Vec::new());
    deployed.run(|sample, frame| {
        frames.push(FrameResult {
            ground_truths: ground_truths(&sample, &classes),
            detections: frame.detections.to_vec(),
        });
        reports.push(frame.report);
    })?;
    let package = &deployed.package;
    let names: Vec<&str> = classes.iter().map(String::as_str).collect();
    let filter = Filter::on_grid(&package.manifest().grid, args.min_points);
    let result = evaluate(&frames, &names, &filter, args.score)?;
    let latency = Latency::of(&reports);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} ({})\n{result}\n{latency}", package.manifest().name, package.digest())?;
    if let Some(path) = &args.json {
        write_json(path, &to_json(package, &result, &latency))?;
    }
    Ok(())
}

/// Writes figures as indented JSON.
pub(super) fn write_json(path: &Path, figures: &serde_json::Value) -> anyhow::Result<()> {
    std::fs::write(path, format!("{figures:#}\n"))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Frame times of an evaluation, in milliseconds.
struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
    without_head_p50: f64,
}

impl Latency {
    fn of(reports: &[FrameReport]) -> Self {
        let sorted = |time: fn(&FrameReport) -> u64| {
            let mut times: Vec<u64> = reports.iter().map(time).collect();
            times.sort_unstable();
            times
        };
        let frame = sorted(|r| r.times.frame_ns);
        let ours = sorted(|r| r.times.frame_ns - r.times.head_ns);
        // The least value that at least this share of the frames does not exceed.
        let at = |times: &[u64], share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.max(1) - 1).map_or(0.0, |ns| *ns as f64 / 1e6)
        };
        Self {
            p50: at(&frame, 0.5),
            p99: at(&frame, 0.99),
            max: at(&frame, 1.0),
            without_head_p50: at(&ours, 0.5),
        }
    }
}

impl std::fmt::Display for Latency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "frame p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; without the network p50 {:.2} ms",
            self.p50, self.p99, self.max, self.without_head_p50
        )
    }
}

fn to_json(package: &Package, result: &CenterDistanceReport, latency: &Latency) -> serde_json::Value {
    let class = |c: &super::ClassResult| {
        json!({
            "class": c.name,
            "n_ground_truths": c.n_ground_truths,
            "average_precision": c.average_precision,
            "mean_average_precision": c.mean_average_precision(),
            "recall": c.operating.recall,
            "precision": c.operating.precision,
        })
    };
    json!({
        "model": package.manifest().name,
        "package_sha256": package.digest(),
        "n_frames": result.n_frames,
        "mean_average_precision": result.mean_average_precision(),
        "classes": result.classes.iter().map(class).collect::<Vec<_>>(),
        "frame_ms": { "p50": latency.p50, "p99": latency.p99, "max": latency.max },
        "without_network_p50_ms": latency.without_head_p50,
    })
}
