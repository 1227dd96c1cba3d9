//! Samples: from a dataset to what one training step needs, ahead of the step.

use crate::bev::PillarSample;
use crate::boxes::{AnchorAssigner, CenterAssigner, select};
use crate::config::TrainConfig;
use crate::datasets::{Dataset, Sample, augment};
use crate::head::anchors::{AnchorLabels, PositiveAnchor};
use crate::head::centers::{CenterLabels, CenterObject};
use anyhow::{Context, anyhow};
use pilotis_datasets::{Loader, generator, shuffled_order};
use pilotis_runtime::bev::PillarFrame;
use pilotis_runtime::pillars::PillarsStage;
use pilotis_runtime::points::{CloudView, PointsStage};
use pilotis_spec::{FrameReport, HeadLayout, PillarsSpec};
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

/// What sets augmentation apart from other uses of one seed; the loader's order is purpose 1.
const AUGMENT: u64 = 2;
/// Samples that each reading thread stays ahead.
const N_AHEAD: usize = 2;

/// The batches of an epoch from `first_batch` on, made by threads that run a few ahead.
///
/// **Determinism**: a batch depends on configuration, epoch and index alone, so a run that
/// resumes sees what it would have seen. **Errors**: of the system when it starts a thread; others travel in the
/// batch's place, and the first one ends the epoch.
pub fn batches(
    config: &Arc<TrainConfig>,
    dataset: &Arc<dyn Dataset>,
    epoch: usize,
    first_batch: usize,
) -> anyhow::Result<Receiver<anyhow::Result<Vec<Prepared>>>> {
    let size = config.train.batch_size;
    let mut order = shuffled_order(config.train.seed, epoch, dataset.n_samples());
    // A last, smaller batch would weigh its samples more than the others.
    order.truncate(order.len() / size * size);
    let order = order.split_off((first_batch * size).min(order.len()));
    let loader = Loader::start(dataset, order.clone(), config.dataset.reading_threads, N_AHEAD)?;
    let mut preparer = Preparer::build(Arc::clone(config), config.train.max_pillars)?;
    let config = Arc::clone(config);
    // Two batches ahead hide the preparation; more would only hold memory.
    let (sender, receiver) = sync_channel(2);
    let prepare = move || {
        let mut samples = loader.zip(order).map(|(sample, idx)| {
            let mut sample = sample?;
            let mut rng = generator(config.train.seed, AUGMENT, epoch, idx);
            augment(&mut sample, &config.augment, &mut rng);
            preparer.prepare(&sample)
        });
        loop {
            let batch: anyhow::Result<Vec<Prepared>> = samples.by_ref().take(size).collect();
            if batch.as_ref().is_ok_and(Vec::is_empty) {
                return;
            }
            let failed = batch.is_err();
            // The receiver is gone only if training ended; nobody is left to tell.
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    };
    std::thread::Builder::new().name("batches".to_owned()).spawn(prepare)?;
    Ok(receiver)
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

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::{Box3d, Point};

    const CONFIG: &str = include_str!("../../tests/tiny.toml");

    /// Samples of one car each, at different places; one cannot be read.
    struct Cars {
        n_samples: usize,
        broken: usize,
    }

    impl Dataset for Cars {
        fn n_samples(&self) -> usize {
            self.n_samples
        }

        fn name(&self, _: usize) -> &str {
            "car"
        }

        fn load(&self, idx: usize) -> anyhow::Result<Sample> {
            anyhow::ensure!(idx != self.broken, "sample {idx} is broken");
            let x = 10.0 + idx as f32;
            let point = |k: usize| Point { x: x + 0.1 * k as f32, z: -1.0, ..Point::default() };
            let object = crate::datasets::GroundTruth {
                class_name: "car".to_owned(),
                bbox: Box3d { center: [x, 0.0, -1.0], size: [4.0, 1.8, 1.5], yaw: 0.2 },
                n_points: 20,
                ..Default::default()
            };
            Ok(Sample { name: "car".to_owned(), points: (0..20).map(point).collect(), objects: vec![object] })
        }
    }

    /// Pillars of every batch in words, or what went wrong.
    fn told(n_threads: usize, size: usize, first_batch: usize, broken: usize) -> Vec<String> {
        let mut config = TrainConfig::from_toml(CONFIG).unwrap();
        (config.dataset.reading_threads, config.train.batch_size) = (n_threads, size);
        let dataset: Arc<dyn Dataset> = Arc::new(Cars { n_samples: 11, broken });
        let batches = batches(&Arc::new(config), &dataset, 3, first_batch).unwrap();
        let words = |batch: anyhow::Result<Vec<Prepared>>| match batch {
            Ok(batch) => batch.iter().map(|p| format!("{:?};", p.pillars.features)).collect(),
            Err(error) => error.to_string(),
        };
        batches.into_iter().map(words).collect()
    }

    #[test]
    fn batches_are_the_same_for_any_number_of_readers_and_wherever_an_epoch_goes_on() {
        let all = told(1, 3, 0, usize::MAX);
        assert_eq!(all.len(), 3, "two samples are no batch");
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        for n_threads in [2, 5] {
            assert_eq!(told(n_threads, 3, 0, usize::MAX), all);
            assert_eq!(told(n_threads, 3, 2, usize::MAX), all[2..]);
        }
        assert!(told(2, 3, 3, usize::MAX).is_empty());
    }

    #[test]
    fn a_sample_that_cannot_be_read_ends_the_epoch_in_its_place() {
        let broken = shuffled_order(TrainConfig::from_toml(CONFIG).unwrap().train.seed, 3, 11)[5];
        let sound = told(1, 2, 0, usize::MAX);
        let told = told(3, 2, 0, broken);
        assert_eq!(told[..2], sound[..2]);
        assert_eq!(told[2..], [format!("sample {broken} is broken")]);
    }
}
