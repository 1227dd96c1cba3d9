//! Train: the loop from samples to a detector, with checkpoints on the way.

pub mod checkpoint;
pub mod samples;
pub mod schedule;
pub mod validate;

use crate::bev::PillarBatch;
use crate::config::TrainConfig;
use crate::datasets::{self, Dataset};
use crate::detector::Detector;
use crate::device::training_device;
use crate::head::anchors::AnchorTargets;
use crate::head::centers::CenterTargets;
use crate::head::losses::Targets;
use anyhow::{Context, bail, ensure};
use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use checkpoint::{Checkpoints, RunState, load_detector, save_detector};
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_spec::HeadLayout;
use samples::{Labels, Prepared};
use schedule::OneCycle;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// File of the best detector in a run's folder.
pub const BEST_FILE: &str = "best.bpk";
/// File of the last detector in a run's folder.
pub const LAST_FILE: &str = "last.bpk";
/// Copy of the configuration in a run's folder.
pub const CONFIG_FILE: &str = "config.toml";
/// Losses and figures, a line each, in a run's folder.
pub const LOG_FILE: &str = "log.jsonl";

/// Batches between two lines of the log.
const LOG_EVERY: usize = 20;
/// Batches in a row whose loss is not finite before a run gives up.
const MAX_BAD_BATCHES: usize = 20;

/// Options of `pilotis-trainer train`.
#[derive(Clone, Debug, clap::Args)]
pub struct TrainArgs {
    /// Configuration of the run
    #[arg(long)]
    pub config: PathBuf,
    /// Folder of the dataset, instead of the configuration's
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Folder of the run: checkpoints, log, best detector
    #[arg(long)]
    pub out: PathBuf,
    /// Go on from the run's last checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Begin with the weights of another run's detector, of the same network, instead of random ones
    #[arg(long, conflicts_with = "resume", value_name = "RUN")]
    pub init_from: Option<PathBuf>,
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Threads of the CPU backend; 0 takes all
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Split to train on, instead of the configuration's
    #[arg(long)]
    pub split: Option<String>,
    /// Split to validate on after each epoch, instead of the configuration's
    #[arg(long)]
    pub val_split: Option<String>,
    /// Most validation frames an epoch; 0 takes all
    #[arg(long, default_value_t = 0)]
    pub val_frames: usize,
    /// Stop after this many batches, with a checkpoint to go on from
    #[arg(long)]
    pub stop_after: Option<usize>,
    /// Minutes between checkpoints within an epoch
    #[arg(long, default_value_t = 5)]
    pub checkpoint_minutes: u64,
}

/// One line of the log.
#[derive(Serialize)]
struct LogLine {
    epoch: usize,
    batch: usize,
    step: usize,
    seconds: f64,
    learning_rate: f64,
    loss: f32,
    class: f32,
    boxes: f32,
    direction: f32,
}

/// Runs `pilotis-trainer train`.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let config = Arc::new(TrainConfig::load(&args.config)?);
    if args.threads > 0 {
        // Only the first call of a process decides; a second run in it keeps the first's threads.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global();
    }
    let device = training_device(&args.device)?;
    let open = |split: &str| datasets::open(&config.dataset, args.data.as_deref(), split);
    let train: Arc<dyn Dataset> =
        Arc::from(open(args.split.as_ref().unwrap_or(&config.dataset.train_split))?);
    let val = open(args.val_split.as_ref().unwrap_or(&config.dataset.val_split))?;
    prepare_folder(args)?;
    let mut session = Session::start(args, config, device)?;
    tracing::info!(
        samples = train.n_samples(),
        validation = val.n_samples(),
        epoch = session.state.epoch,
        batch = session.state.batch,
        "training"
    );
    while session.state.epoch < session.config.train.epochs {
        session.epoch(&train)?;
        if session.is_over() {
            tracing::info!(batch = session.state.batch, "stopped as asked; --resume goes on from here");
            return session.save();
        }
        session.validate(val.as_ref())?;
        session.state.epoch += 1;
        session.state.batch = 0;
        session.save()?;
    }
    save_detector(&session.detector, &args.out.join(LAST_FILE))
}

fn prepare_folder(args: &TrainArgs) -> anyhow::Result<()> {
    let copy = args.out.join(CONFIG_FILE);
    ensure!(
        args.resume || !copy.exists(),
        "`{}` holds a run already: pass --resume to go on with it, or another --out",
        args.out.display()
    );
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create `{}`", args.out.display()))?;
    let text = fs::read_to_string(&args.config)?;
    if args.resume && copy.exists() {
        let before = fs::read_to_string(&copy)?;
        ensure!(
            before == text,
            "the configuration is not the one that `{}` began with: a run goes on with its own only",
            args.out.display()
        );
    }
    fs::write(copy, text)?;
    Ok(())
}

/// A run in progress.
struct Session<'a> {
    args: &'a TrainArgs,
    config: Arc<TrainConfig>,
    device: Device,
    detector: Detector,
    optimizer: ModuleOptimizer,
    checkpoints: Checkpoints,
    state: RunState,
    log: fs::File,
    began: Instant,
    /// Batches of this session, not of the run.
    n_batches: usize,
}

impl<'a> Session<'a> {
    fn start(args: &'a TrainArgs, config: Arc<TrainConfig>, device: Device) -> anyhow::Result<Self> {
        let mut detector = Detector::init(&config, &device.clone().autodiff());
        if let Some(run) = &args.init_from {
            detector = load_detector(detector, &detector_file(run)?)?;
        }
        let optimizer = AdamWConfig::new()
            .with_beta_1(0.9)
            .with_beta_2(0.99)
            .with_weight_decay(config.train.weight_decay as f32)
            .with_grad_clipping(Some(GradientClippingConfig::Norm(config.train.clip_norm)))
            .init();
        let checkpoints = Checkpoints::new(&args.out);
        let (detector, optimizer, state) = checkpoints.resume(detector, optimizer)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(args.out.join(LOG_FILE))?;
        let state = state.unwrap_or_default();
        Ok(Self {
            args,
            config,
            device,
            detector,
            optimizer,
            checkpoints,
            state,
            log,
            began: Instant::now(),
            n_batches: 0,
        })
    }

    /// Trains the rest of the epoch in progress.
    fn epoch(&mut self, dataset: &Arc<dyn Dataset>) -> anyhow::Result<()> {
        let config = Arc::clone(&self.config);
        let n_batches = samples::n_batches(&config, dataset.as_ref())?;
        let schedule =
            OneCycle::new(&config.train, (config.train.epochs * n_batches).div_ceil(config.train.accumulate));
        let progress = progress_bar(n_batches, self.state.batch, self.state.epoch, config.train.epochs)?;
        let mut accumulator = GradientsAccumulator::new();
        let mut n_accumulated = 0;
        let mut n_bad = 0;
        let mut saved = Instant::now();
        for batch in samples::batches(&config, dataset, self.state.epoch, self.state.batch)? {
            let batch = batch?;
            let (pillars, targets) = to_device(&config, &batch, &self.device.clone().autodiff())?;
            let losses = targets.losses(&self.detector.forward(&pillars), &config.loss);
            let loss = scalar(&losses.total)?;
            if loss.is_finite() {
                n_bad = 0;
                let scaled = losses.total.clone() / config.train.accumulate as f64;
                let gradients = GradientsParams::from_grads(scaled.backward(), &self.detector);
                accumulator.accumulate(&self.detector, gradients);
                n_accumulated += 1;
            } else {
                n_bad += 1;
                tracing::warn!(
                    epoch = self.state.epoch,
                    batch = self.state.batch,
                    "loss is not finite, batch skipped"
                );
                ensure!(n_bad < MAX_BAD_BATCHES, "{n_bad} batches in a row had a loss that is not finite");
            }
            let rate = schedule.rate(self.state.step);
            self.state.batch += 1;
            if n_accumulated == config.train.accumulate {
                n_accumulated = 0;
                let detector = self.detector.clone();
                self.detector = self.optimizer.step(rate, detector, accumulator.grads());
                self.state.step += 1;
            }
            if self.state.batch.is_multiple_of(LOG_EVERY) {
                let line = LogLine {
                    epoch: self.state.epoch,
                    batch: self.state.batch,
                    step: self.state.step,
                    seconds: self.seconds(),
                    learning_rate: rate,
                    loss,
                    class: scalar(&losses.class)?,
                    boxes: scalar(&losses.boxes)?,
                    direction: scalar(&losses.direction)?,
                };
                writeln!(self.log, "{}", serde_json::to_string(&line)?)?;
            }
            progress.set_message(format!("loss {loss:.3} lr {rate:.1e}"));
            progress.inc(1);
            self.n_batches += 1;
            if self.is_over() && n_accumulated == 0 {
                break;
            }
            let due = saved.elapsed() >= Duration::from_secs(60 * self.args.checkpoint_minutes);
            if due && n_accumulated == 0 {
                self.save()?;
                saved = Instant::now();
            }
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// Whether this session has done the batches it was asked for.
    fn is_over(&self) -> bool {
        self.args.stop_after.is_some_and(|n| self.n_batches >= n)
    }

    fn validate(&mut self, dataset: &dyn Dataset) -> anyhow::Result<()> {
        let result =
            validate::validate(&self.config, &self.detector, dataset, self.args.val_frames, &self.device)?;
        let mean = result.mean_average_precision();
        let by_class = result.classes.iter().map(|c| (c.name.clone(), c.mean_average_precision()));
        let by_class: std::collections::BTreeMap<_, _> = by_class.collect();
        tracing::info!(epoch = self.state.epoch + 1, mean_ap = mean, "validation\n{result}");
        let line = serde_json::json!({
            "epoch": self.state.epoch,
            "step": self.state.step,
            "seconds": self.seconds(),
            "validation": by_class,
        });
        writeln!(self.log, "{line}")?;
        if mean >= self.state.best_ap {
            self.state.best_ap = mean;
            save_detector(&self.detector, &self.args.out.join(BEST_FILE))?;
        }
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<()> {
        self.state.seconds = self.seconds();
        self.began = Instant::now();
        self.log.flush()?;
        self.checkpoints.save(&self.detector, &self.optimizer, &self.state)
    }

    fn seconds(&self) -> f64 {
        self.state.seconds + self.began.elapsed().as_secs_f64()
    }
}

/// A batch and what it trains, on a device.
pub fn to_device(
    config: &TrainConfig,
    batch: &[Prepared],
    device: &Device,
) -> anyhow::Result<(PillarBatch, Targets)> {
    let pillars: Vec<_> = batch.iter().map(|s| s.pillars.clone()).collect();
    let map = [config.grid.ny(), config.grid.nx()];
    let pillars = PillarBatch::new(&pillars, &config.pillars, config.bev.recipe.n_features(), map, device);
    let shape = config.head.map_shape(&config.grid);
    let targets = match &config.head {
        HeadLayout::Anchors(head) => {
            let labels = batch.iter().filter_map(|s| match &s.labels {
                Labels::Anchors(labels) => Some(labels.clone()),
                Labels::Centers(_) => None,
            });
            Targets::Anchors(AnchorTargets::new(&labels.collect::<Vec<_>>(), head, shape, device))
        }
        HeadLayout::Centers(head) => {
            let labels = batch.iter().filter_map(|s| match &s.labels {
                Labels::Centers(labels) => Some(labels.clone()),
                Labels::Anchors(_) => None,
            });
            let weights: Vec<_> = head.tasks.iter().map(|task| config.weights_of(&task.classes)).collect();
            Targets::Centers(CenterTargets::new(&labels.collect::<Vec<_>>(), head, &weights, shape, device))
        }
    };
    if batch.is_empty() {
        bail!("a batch without samples");
    }
    Ok((pillars, targets))
}

fn scalar(tensor: &burn::tensor::Tensor<1>) -> anyhow::Result<f32> {
    let data = tensor.clone().detach().into_data();
    data.iter::<f32>().next().context("a loss without a value")
}

fn progress_bar(n_batches: usize, done: usize, epoch: usize, n_epochs: usize) -> anyhow::Result<ProgressBar> {
    let style = "{prefix} {bar:30} {pos}/{len} {msg} [{elapsed}<{eta}]";
    let bar = ProgressBar::new(n_batches as u64).with_style(ProgressStyle::with_template(style)?);
    bar.set_prefix(format!("epoch {}/{n_epochs}", epoch + 1));
    bar.set_position(done as u64);
    bar.reset_eta();
    Ok(bar)
}

/// The detector that a run's folder holds: its best, or its last where none was validated.
pub fn load_run(run: &Path, device: &Device) -> anyhow::Result<(TrainConfig, Detector)> {
    let config = TrainConfig::load(&run.join(CONFIG_FILE))?;
    let detector = load_detector(Detector::init(&config, device), &detector_file(run)?)?;
    Ok((config, detector))
}

/// The best detector of a run's folder; else its last, else that of its last checkpoint.
fn detector_file(run: &Path) -> anyhow::Result<PathBuf> {
    let finished = [BEST_FILE, LAST_FILE].map(|name| run.join(name)).into_iter().find(|path| path.is_file());
    match finished {
        Some(path) => Ok(path),
        None => Checkpoints::new(run)
            .last_detector()?
            .with_context(|| format!("`{}` holds no detector: train there first", run.display())),
    }
}
