//! Samples: from a dataset to what one training step needs, ahead of the step.

use crate::bev::PillarSample;
use crate::boxes::{AnchorAssigner, CenterAssigner, select};
use crate::config::{AugmentConfig, TrainConfig};
use crate::datasets::{Dataset, Sample, augment};
use crate::head::anchors::{AnchorLabels, PositiveAnchor};
use crate::head::centers::{CenterLabels, CenterObject};
use anyhow::{Context, anyhow};
use pilotis_runtime::bev::PillarFrame;
use pilotis_runtime::pillars::PillarsStage;
use pilotis_runtime::points::{CloudView, PointsStage};
use pilotis_spec::{FrameReport, HeadLayout, PillarsSpec};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// What one sample trains.
#[derive(Clone, Debug)]
pub enum Labels {
    /// Group by group.
    Anchors(Vec<AnchorLabels>),
    /// Task by task.
    Centers(Vec<CenterLabels>),
}

/// A sample as the network takes it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its pillars, from the runtime's own stages.
    pub pillars: PillarSample,
    /// What to learn of it.
    pub labels: Labels,
    /// What the stages counted.
    pub report: FrameReport,
}

/// Turns samples into pillars and labels, with the runtime's own points and pillars stages.
pub struct Preparer {
    config: Arc<TrainConfig>,
    points: PointsStage,
    pillars: PillarsStage,
    assigners: Assigners,
}

enum Assigners {
    Anchors(Vec<AnchorAssigner>),
    Centers(Vec<CenterAssigner>),
}

impl Preparer {
    /// Allocates the stages; `max_pillars` replaces the contract's cap where given.
    pub fn build(config: Arc<TrainConfig>, max_pillars: Option<u32>) -> anyhow::Result<Self> {
        let max_pillars = max_pillars.unwrap_or(config.pillars.max_pillars);
        let pillars = PillarsSpec { max_pillars, ..config.pillars.clone() };
        let assigners = match &config.head {
            HeadLayout::Anchors(head) => {
                let build = |g| AnchorAssigner::build(head, &config.grid, g, &config.targets);
                Assigners::Anchors((0..head.groups.len()).map(build).collect::<Result<_, _>>()?)
            }
            HeadLayout::Centers(head) => {
                let build = |t| CenterAssigner::build(head, &config.grid, t);
                Assigners::Centers((0..head.tasks.len()).map(build).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self {
            points: PointsStage::build(config.points.max_points as usize),
            pillars: PillarsStage::build(&pillars, &config.grid, config.points.max_points),
            assigners,
            config,
        })
    }

    /// Pillars and labels of a sample.
    pub fn prepare(&mut self, sample: &Sample) -> anyhow::Result<Prepared> {
        let Self { config, points, pillars, assigners } = self;
        let recipe = config.bev.recipe;
        let mut report = FrameReport::default();
        let cloud = CloudView::from_points(&sample.points);
        let points = points
            .run(&cloud, &config.grid, recipe.needs_time_lag(), &mut report)
            .with_context(|| format!("sample `{}`", sample.name))?;
        let pillars = pillars.run(points, &config.grid, &mut report);
        let mut packed = PillarSample {
            features: vec![0.0; report.n_points_kept as usize * recipe.n_features()],
            n_points: Vec::with_capacity(pillars.len()),
            cells: pillars.cells().to_vec(),
        };
        let mut rest = packed.features.as_mut_slice();
        for p in 0..pillars.len() {
            let frame = PillarFrame::of(points, &pillars, p, &config.grid);
            let n = pillars.points_of(p).len();
            let (rows, after) = rest.split_at_mut(n * recipe.n_features());
            frame.decorate(0, recipe, rows);
            packed.n_points.push(n as u32);
            rest = after;
        }
        let labels = assigners.labels(config, sample);
        Ok(Prepared { pillars: packed, labels, report })
    }
}

impl Assigners {
    fn labels(&self, config: &TrainConfig, sample: &Sample) -> Labels {
        let groups = config.head.groups();
        let selections = groups
            .iter()
            .map(|classes| select(&sample.objects, classes, &config.grid, config.dataset.min_points));
        match self {
            Self::Anchors(assigners) => {
                let labels = assigners.iter().zip(selections).map(|(assigner, s)| {
                    let targets = assigner.assign(&s.objects, &s.ignored);
                    let positives = targets.code.into_iter();
                    let positive = |(anchor, code, direction)| PositiveAnchor { anchor, code, direction };
                    AnchorLabels { class: targets.class, positives: positives.map(positive).collect() }
                });
                Labels::Anchors(labels.collect())
            }
            Self::Centers(assigners) => {
                let labels = assigners.iter().zip(selections).map(|(assigner, s)| {
                    let targets = assigner.assign(&s.objects);
                    let objects = targets.objects.into_iter();
                    let object = |o: crate::boxes::centers::CenterTarget| CenterObject {
                        class_idx: o.class_idx,
                        cell: o.cell,
                        code: o.code,
                    };
                    CenterLabels { heatmap: targets.heat_map, objects: objects.map(object).collect() }
                });
                Labels::Centers(labels.collect())
            }
        }
    }
}

/// A generator for one purpose: every (seed, purpose, epoch, sample) has its own.
pub fn generator(seed: u64, purpose: u64, epoch: usize, idx: usize) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    for (k, v) in [seed, purpose, epoch as u64, idx as u64].into_iter().enumerate() {
        key[8 * k..8 * k + 8].copy_from_slice(&v.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

const SHUFFLE: u64 = 1;
const AUGMENT: u64 = 2;

/// The order in which an epoch sees the samples.
pub fn epoch_order(seed: u64, epoch: usize, n_samples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_samples).collect();
    order.shuffle(&mut generator(seed, SHUFFLE, epoch, 0));
    order
}

/// The batches of an epoch from `first_batch` on, made by a thread that runs a few ahead.
///
/// **Determinism**: a batch depends on configuration, epoch and index alone, so a run that
/// resumes sees what it would have seen. **Errors**: travel in the batch's place; the first one
/// ends the epoch.
pub fn batches(
    config: &Arc<TrainConfig>,
    dataset: &Arc<dyn Dataset>,
    epoch: usize,
    first_batch: usize,
) -> Receiver<anyhow::Result<Vec<Prepared>>> {
    // Two batches ahead hide the loading; more would only hold memory.
    let (sender, receiver) = sync_channel(2);
    let (config, dataset) = (Arc::clone(config), Arc::clone(dataset));
    std::thread::spawn(move || {
        let order = epoch_order(config.train.seed, epoch, dataset.n_samples());
        let augment_config: AugmentConfig = config.augment;
        let mut preparer = match Preparer::build(Arc::clone(&config), config.train.max_pillars) {
            Ok(preparer) => preparer,
            Err(e) => {
                // The receiver is gone only if training ended; nobody is left to tell.
                let _ = sender.send(Err(e));
                return;
            }
        };
        // A last, smaller batch would weigh its samples more than the others.
        for batch in order.chunks_exact(config.train.batch_size).skip(first_batch) {
            let prepared: anyhow::Result<Vec<Prepared>> = batch
                .iter()
                .map(|idx| {
                    let mut sample = dataset.load(*idx)?;
                    let mut rng = generator(config.train.seed, AUGMENT, epoch, *idx);
                    augment(&mut sample, &augment_config, &mut rng);
                    preparer.prepare(&sample)
                })
                .collect();
            let failed = prepared.is_err();
            if sender.send(prepared).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// Batches of an epoch.
pub fn n_batches(config: &TrainConfig, dataset: &dyn Dataset) -> anyhow::Result<usize> {
    match dataset.n_samples() / config.train.batch_size {
        0 => Err(anyhow!(
            "the training split has {} samples, fewer than one batch of {}",
            dataset.n_samples(),
            config.train.batch_size
        )),
        n => Ok(n),
    }
}
