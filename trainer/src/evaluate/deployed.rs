//! Deployed: a package on a dataset, through the very pipeline that runs in a vehicle.

use super::frames::{DataKind, Frames, Source};
use super::official::{AttributeRule, KittiResults, NuscenesResults, Official, WaymoResults};
use super::{CenterDistanceReport, Filter, FrameResult, evaluate};
use crate::datasets::{Dataset, Sample};
use crate::train::validate::ground_truths;
use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_datasets::nuscenes::SweepStyle;
use pilotis_evaluate::analysis::{Frame as AnalysedFrame, FrameSet, Rules, TellsVelocity};
use pilotis_evaluate::run::{About, Model, Platform, REPORT_FILE, RUN_FILE, Run};
use pilotis_runtime::device::Resolved;
use pilotis_runtime::device::trt::{Flavour, Library};
use pilotis_runtime::head::tensorrt::{Precision, tensorrt};
use pilotis_runtime::{
    CloudView, DeviceChoice, Engine, EngineBuilder, Frame, HeadChoice, OnMismatch, Package,
};
use pilotis_spec::FrameReport;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which package runs on which frames, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployArgs {
    /// The model package
    #[arg(long)]
    pub model: PathBuf,
    /// Folder of a dataset in KITTI's layout, of nuScenes' tables, of Waymo's splits, or of one nuScenes frame with
    /// `boxes.json`
    #[arg(long)]
    pub data: PathBuf,
    /// Format of the data
    #[arg(long, value_enum, default_value_t)]
    pub kind: DataKind,
    /// Folder of nuScenes' tables, where there are several
    #[arg(long)]
    pub version: Option<String>,
    /// nuScenes' sweeps in one cloud, as the model was trained
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub sweeps: u32,
    /// Whose way of putting nuScenes' sweeps together is followed, as the model was trained: devkit or mmdet3d
    #[arg(long, default_value_t)]
    pub sweep_style: SweepStyle,
    /// Turn of nuScenes' and Waymo's frames about z [default: brings nuScenes' axes, x to the right, to x ahead]
    #[arg(long, allow_negative_numbers = true)]
    pub turn_rad: Option<f32>,
    /// Added to heights of Waymo's frames, whose origin is on the ground; -1.73 for a model of a sensor's frame
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub raise_m: f32,
    /// What runs the stages: cpu, cuda or auto
    #[arg(long, default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// What the network computes in: fp32, fp16, fp8 or int8; all but fp32 take TensorRT and a card
    #[arg(long, default_value_t = Precision::Fp32)]
    pub precision: Precision,
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
    frames: Frames,
    /// What runs the engine, in words.
    device: String,
    engine: Engine,
}

impl Deployed {
    /// Loads the package and opens the frames.
    pub(super) fn open(args: &DeployArgs, split: &str) -> anyhow::Result<Self> {
        let package = Package::load(&args.model)?;
        let policy = if args.allow_mismatch { OnMismatch::Flag } else { OnMismatch::Refuse };
        let (head, device) = placed(args)?;
        let builder = EngineBuilder::new().threads(args.threads).on_mismatch(policy);
        let engine = builder.device(args.device).head(head).build(&package)?;
        let frames = Frames::open(args, split, &package)?;
        Ok(Self { package, frames, device, engine })
    }

    /// The frames, as the model takes them.
    pub(super) fn dataset(&self) -> &dyn Dataset {
        self.frames.dataset.as_ref()
    }

    /// Runs every frame, in order of its index.
    pub(super) fn run(
        &mut self,
        mut each: impl FnMut(usize, Sample, &Frame<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let n_samples = self.frames.dataset.n_samples();
        let progress = ProgressBar::new(n_samples as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} [{elapsed}<{eta}]")?);
        for idx in 0..n_samples {
            let sample = self.frames.dataset.load(idx)?;
            let frame = self
                .engine
                .infer(&CloudView::from_points(&sample.points))
                .with_context(|| format!("sample `{}`", sample.name))?;
            each(idx, sample, &frame)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// What takes the boxes for the dataset's own benchmark.
    fn official(&self, args: &PackageArgs, out: &Path) -> anyhow::Result<Official> {
        let manifest = self.package.manifest();
        let (classes, motion) = (&manifest.classes, self.frames.motion);
        Ok(match &self.frames.source {
            Source::Kitti => {
                Official::Kitti(KittiResults::start(&args.deploy.data, &args.split, classes, out)?)
            }
            Source::Nuscenes(frames) => {
                let rule = AttributeRule { has_velocity: manifest.head.has_velocity() };
                let frames = Arc::clone(frames);
                let results = NuscenesResults::start(frames, &args.split, classes, rule, motion.turn_rad)?;
                Official::Nuscenes(Box::new(results))
            }
            Source::Waymo(frames) => {
                Official::Waymo(WaymoResults::start(Arc::clone(frames), classes, motion)?)
            }
            Source::Frame => Official::Absent,
        })
    }
}

/// What runs the network, and what runs the whole, in words.
///
/// **Errors**: a card that cannot be used; a precision that takes TensorRT where there is none.
fn placed(args: &DeployArgs) -> anyhow::Result<(HeadChoice, String)> {
    let threads = if args.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", args.threads) };
    let resolved = args.device.resolve()?;
    let is_card = matches!(&resolved, Resolved::Cuda(device) if !device.info().is_emulated);
    let library = is_card.then(|| Library::open(Flavour::Rtx));
    if let Some(Ok(_)) = &library {
        return Ok((tensorrt(args.precision, None), format!("{resolved}, TensorRT")));
    }
    let why = match &library {
        Some(Err(e)) => e.to_string(),
        _ => format!("the stages run on {resolved}"),
    };
    ensure!(args.precision == Precision::Fp32, "`{}` takes TensorRT and a card: {why}", args.precision);
    let words = match resolved {
        Resolved::Cpu { .. } => format!("cpu, {threads}"),
        Resolved::Cuda(_) => format!("{resolved}, network on the cpu, {threads}"),
    };
    Ok((HeadChoice::OnnxRuntime, words))
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
    /// Also leave a run here: official results and figures, `run.json` for compare and gate, `report.html`
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Name of the machine in the run [default: its host name]
    #[arg(long)]
    pub machine: Option<String>,
}

/// Runs `pilotis-trainer evaluate package`.
pub fn run(args: &PackageArgs) -> anyhow::Result<()> {
    let mut deployed = Deployed::open(&args.deploy, &args.split)?;
    let classes = deployed.package.manifest().classes.clone();
    let mut official = match &args.out {
        Some(out) => {
            std::fs::create_dir_all(out).with_context(|| format!("cannot make `{}`", out.display()))?;
            deployed.official(args, out)?
        }
        None => Official::Absent,
    };
    let tells = TellsVelocity {
        dataset: matches!(deployed.frames.source, Source::Nuscenes(_) | Source::Waymo(_)),
        model: deployed.package.manifest().head.has_velocity(),
    };
    let (mut frames, mut reports, mut analysed) = (Vec::new(), Vec::new(), Vec::new());
    deployed.run(|idx, sample, frame| {
        official.add(idx, &sample.name, frame.detections)?;
        frames.push(FrameResult {
            ground_truths: ground_truths(&sample, &classes),
            detections: frame.detections.to_vec(),
        });
        reports.push(frame.report);
        if args.out.is_some() {
            let seen = AnalysedFrame::from_sample(&sample, frame.detections, &classes, tells);
            analysed.push(seen.with_points_counted(&sample.points).timed(frame.report.times));
        }
        Ok(())
    })?;
    let package = &deployed.package;
    let names: Vec<&str> = classes.iter().map(String::as_str).collect();
    let filter = Filter::on_grid(&package.manifest().grid, args.min_points);
    let result = evaluate(&frames, &names, &filter, args.score)?;
    let latency = Latency::of(&reports);
    let mut said = std::io::stdout().lock();
    writeln!(said, "{} ({})\n{result}\n{latency}", package.manifest().name, package.digest())?;
    if let Some(path) = &args.json {
        write_json(path, &to_json(package, &result, &latency))?;
    }
    if let Some(out) = &args.out {
        write_run(args, out, &deployed, analysed, official, &mut said)?;
    }
    Ok(())
}

/// Leaves a run: the benchmark's figures, everything that comparison and gate read, and the report.
fn write_run(
    args: &PackageArgs,
    out: &Path,
    deployed: &Deployed,
    mut frames: Vec<AnalysedFrame>,
    official: Official,
    said: &mut dyn Write,
) -> anyhow::Result<()> {
    let manifest = deployed.package.manifest();
    let mut idx_of = BTreeMap::new();
    for (idx, frame) in frames.iter_mut().enumerate() {
        idx_of.insert(frame.name.clone(), idx);
        frame.group = deployed.dataset().drive(idx);
    }
    let about = About {
        model: Model { name: manifest.name.clone(), package_sha256: deployed.package.digest().to_string() },
        platform: Platform {
            machine: args.machine.clone().unwrap_or_else(host_name),
            device: deployed.device.clone(),
            precision: args.deploy.precision.to_string(),
        },
        dataset: data_name(&args.deploy.data)?,
        split: args.split.clone(),
    };
    let set = FrameSet::new(manifest.classes.clone(), frames)?;
    let rules = Rules::on_grid(&manifest.grid, args.min_points, args.score);
    let mut run = Run::new(about, set, &rules)?;
    if let Some((figures, words)) = official.finish(out)? {
        writeln!(said, "{words}")?;
        for (name, value) in figures {
            run = run.with_figure(name, value);
        }
    }
    let cloud = |name: &str| {
        let loaded = deployed.dataset().load(*idx_of.get(name)?);
        loaded.ok().map(|sample| sample.points)
    };
    run.write(out, &cloud)?;
    writeln!(said, "`{}`, `{}`", out.join(RUN_FILE).display(), out.join(REPORT_FILE).display())?;
    Ok(())
}

/// The last part of the folder's path.
fn data_name(root: &Path) -> anyhow::Result<String> {
    let whole = root.canonicalize().with_context(|| format!("cannot read `{}`", root.display()))?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    ensure!(name.is_some(), "`{}` has no name to be known by", root.display());
    Ok(name.unwrap_or_default())
}

/// What this machine is called.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "a machine without a name".to_owned() } else { name.to_owned() }
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
