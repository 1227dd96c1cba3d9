//! Deployed: a package on a dataset, through the very pipeline that runs in a vehicle.

use super::{CenterDistanceReport, Filter, FrameResult, evaluate};
use crate::config::{DatasetConfig, DatasetKind};
use crate::datasets;
use crate::train::validate::ground_truths;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_runtime::{CloudView, EngineBuilder, OnMismatch, Package};
use pilotis_spec::FrameReport;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Options of `pilotis-trainer evaluate package`.
#[derive(Clone, Debug, clap::Args)]
pub struct PackageArgs {
    /// The model package
    #[arg(long)]
    pub model: PathBuf,
    /// Folder of a dataset in KITTI's layout
    #[arg(long)]
    pub data: PathBuf,
    /// Split of it
    #[arg(long, default_value = "val")]
    pub split: String,
    /// Objects with fewer points are ignored
    #[arg(long, default_value_t = 5)]
    pub min_points: u32,
    /// Score at which recall, precision and errors are taken
    #[arg(long, default_value_t = 0.3)]
    pub score: f64,
    /// Threads of the network
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Go on where a cloud is unlike the training data
    #[arg(long)]
    pub allow_mismatch: bool,
    /// Also write the figures here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Runs `pilotis-trainer evaluate package`.
pub fn run(args: &PackageArgs) -> anyhow::Result<()> {
    let package = Package::load(&args.model)?;
    let policy = if args.allow_mismatch { OnMismatch::Flag } else { OnMismatch::Refuse };
    let mut engine = EngineBuilder::new().threads(args.threads).on_mismatch(policy).build(&package)?;
    let config = DatasetConfig {
        kind: DatasetKind::Kitti,
        root: args.data.clone(),
        rename: BTreeMap::new(),
        min_points: args.min_points,
        n_sweeps: 1,
    };
    let dataset = datasets::open(&config, None, &args.split)?;
    let progress = ProgressBar::new(dataset.n_samples() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} [{elapsed}<{eta}]")?);
    let classes = &package.manifest().classes;
    let mut frames = Vec::with_capacity(dataset.n_samples());
    let mut reports = Vec::with_capacity(dataset.n_samples());
    for idx in 0..dataset.n_samples() {
        let sample = dataset.load(idx)?;
        let frame = engine
            .infer(&CloudView::from_points(&sample.points))
            .with_context(|| format!("sample `{}`", sample.name))?;
        frames.push(FrameResult {
            ground_truths: ground_truths(&sample, classes),
            detections: frame.detections.to_vec(),
        });
        reports.push(frame.report);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let names: Vec<&str> = classes.iter().map(String::as_str).collect();
    let filter = Filter::on_grid(&package.manifest().grid, args.min_points);
    let result = evaluate(&frames, &names, &filter, args.score)?;
    let latency = Latency::of(&reports);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} ({})\n{result}\n{latency}", package.manifest().name, package.digest())?;
    if let Some(path) = &args.json {
        let figures = to_json(&package, &result, &latency);
        std::fs::write(path, format!("{figures:#}\n"))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
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
