//! Which objects and boxes count, class by class.

use super::config::{Config, TieOrder};
use super::error::EvaluateError;
use super::geometry::{Region, distance, ground};
use super::ground_truth::{GroundTruth, GroundTruthBox, GroundTruthSample, SplitKind};
use super::names::{DetectionClass, N_CLASSES};
use super::results::{PredictedBox, Results, SampleResults};
use rayon::prelude::*;
use std::cmp::Ordering;

/// A sample of nowhere: nothing is there to be found.
const NOWHERE: u32 = u32::MAX;

/// Objects of one class that count.
pub(super) struct Objects<'a> {
    /// Sample by sample, with the number that each has there.
    boxes: Vec<(u32, &'a GroundTruthBox)>,
    /// Where a sample's objects begin.
    starts: Vec<u32>,
}

impl<'a> Objects<'a> {
    /// Number of objects.
    pub(super) fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Objects of a sample, and the place of the first among all.
    pub(super) fn of(&self, sample: u32) -> (usize, &[(u32, &'a GroundTruthBox)]) {
        let ends = self.starts.get(sample as usize).zip(self.starts.get(sample as usize + 1));
        match ends {
            Some((start, end)) => (*start as usize, &self.boxes[*start as usize..*end as usize]),
            None => (0, &[]),
        }
    }
}

/// A box that counts, with what is needed at every step.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) score: f64,
    pub(super) center: [f64; 2],
    /// Which of the results' samples it is filed under.
    pub(super) results_idx: u32,
    /// Which of that sample's boxes it is.
    pub(super) box_idx: u32,
    /// The sample whose objects it may find.
    pub(super) target: u32,
    /// Where the sample that it is filed under stands in the order of the evaluation.
    rank: u32,
}

/// What counts of one class.
pub(super) struct Selection<'a> {
    pub(super) class: DetectionClass,
    pub(super) objects: Objects<'a>,
    /// Best first.
    pub(super) candidates: Vec<Candidate>,
    /// Neighbours of the same score in different samples.
    pub(super) n_ties_across_samples: usize,
}

/// What keeps a box of a sample from counting.
struct Sieve<'a> {
    sample: &'a GroundTruthSample,
    racks: Vec<Region>,
    config: &'a Config,
}

impl<'a> Sieve<'a> {
    fn new(sample: &'a GroundTruthSample, config: &'a Config) -> Self {
        Self { sample, racks: sample.racks.iter().map(super::BicycleRack::region).collect(), config }
    }

    fn keeps(&self, class: DetectionClass, center_m: [f64; 3], has_points: bool) -> bool {
        let range_m = distance(ground(center_m), ground(self.sample.ego_translation_m));
        range_m < self.config.class_range_m[class.idx()]
            && has_points
            && !(class.is_cycle() && self.racks.iter().any(|rack| rack.holds(center_m)))
    }
}

/// What counts of every class, in the order of [`DetectionClass::ALL`].
pub(super) fn select<'a>(
    ground_truth: &'a GroundTruth,
    results: &Results,
    config: &Config,
) -> Result<Vec<Selection<'a>>, EvaluateError> {
    let order = order_of_samples(ground_truth, results, config)?;
    let objects = select_objects(ground_truth, config);
    let mut candidates = select_candidates(ground_truth, results, &order, config);
    let selections = objects.into_iter().zip(&mut candidates).zip(DetectionClass::ALL);
    let sorted = selections.map(|((objects, candidates), class)| {
        let mut candidates = std::mem::take(candidates);
        sort(&mut candidates, results, config.tie_order);
        let is_tie = |pair: &&[Candidate]| {
            pair[0].score.partial_cmp(&pair[1].score) == Some(Ordering::Equal)
                && pair[0].results_idx != pair[1].results_idx
        };
        let n_ties_across_samples = candidates.windows(2).filter(is_tie).count();
        Selection { class, objects, candidates, n_ties_across_samples }
    });
    Ok(sorted.collect())
}

/// Pairs of a sample of the results and one of the ground truth, in the order of the evaluation.
fn order_of_samples(
    ground_truth: &GroundTruth,
    results: &Results,
    config: &Config,
) -> Result<Vec<(u32, u32)>, EvaluateError> {
    let mut results_of = vec![None; ground_truth.samples().len()];
    let mut order = Vec::with_capacity(results.samples.len());
    let mut unknown = results.samples.iter().filter(|s| ground_truth.idx_of(&s.token).is_none());
    if ground_truth.kind() == SplitKind::Predefined
        && let Some(first) = unknown.next()
    {
        return Err(EvaluateError::UnknownSample { sample: first.token.clone(), n_more: unknown.count() });
    }
    for (results_idx, sample) in (0_u32..).zip(&results.samples) {
        let Some(idx) = ground_truth.idx_of(&sample.token) else { continue };
        if results_of[idx].replace(results_idx).is_some() {
            return Err(EvaluateError::DuplicateSample { sample: sample.token.clone() });
        }
        check_number(sample, config.max_boxes_per_sample)?;
        order.push((results_idx, idx as u32));
    }
    let mut missing = ground_truth.samples().iter().zip(&results_of).filter(|(_, found)| found.is_none());
    if let Some((sample, _)) = missing.next() {
        return Err(EvaluateError::MissingSample { sample: sample.token.clone(), n_more: missing.count() });
    }
    if ground_truth.kind() == SplitKind::Custom || config.tie_order == TieOrder::Canonical {
        order.sort_unstable_by_key(|(_, idx)| *idx);
    }
    Ok(order)
}

fn check_number(sample: &SampleResults, max_boxes: usize) -> Result<(), EvaluateError> {
    if sample.boxes.len() > max_boxes {
        let n_boxes = sample.boxes.len();
        return Err(EvaluateError::TooManyBoxes { sample: sample.token.clone(), n_boxes, max_boxes });
    }
    Ok(())
}

fn select_objects<'a>(ground_truth: &'a GroundTruth, config: &Config) -> Vec<Objects<'a>> {
    let kept = ground_truth.samples().par_iter().map(|sample| {
        let sieve = Sieve::new(sample, config);
        let counts =
            |object: &GroundTruthBox| sieve.keeps(object.class, object.translation_m, object.n_points > 0);
        (0_u32..).zip(&sample.boxes).filter(|(_, object)| counts(object)).collect::<Vec<_>>()
    });
    let kept: Vec<Vec<(u32, &GroundTruthBox)>> = kept.collect();
    let of_class = |class: DetectionClass| {
        let mut objects = Objects { boxes: Vec::new(), starts: Vec::with_capacity(kept.len() + 1) };
        objects.starts.push(0);
        for sample in &kept {
            objects.boxes.extend(sample.iter().filter(|(_, object)| object.class == class));
            objects.starts.push(objects.boxes.len() as u32);
        }
        objects
    };
    DetectionClass::ALL.into_iter().map(of_class).collect()
}

/// In the order of the evaluation, not of the scores.
fn select_candidates(
    ground_truth: &GroundTruth,
    results: &Results,
    order: &[(u32, u32)],
    config: &Config,
) -> Vec<Vec<Candidate>> {
    let of_sample = |(rank, (results_idx, idx)): (usize, &(u32, u32))| {
        let sieve = Sieve::new(&ground_truth.samples()[*idx as usize], config);
        let boxes = &results.samples[*results_idx as usize].boxes;
        let kept = (0_u32..).zip(boxes).filter(|(_, b)| sieve.keeps(b.class, b.translation_m, !b.is_empty));
        let candidate = |(box_idx, bbox): (u32, &PredictedBox)| {
            let other = bbox.other_sample.as_deref();
            let target = other.map_or(*idx, |t| ground_truth.idx_of(t).map_or(NOWHERE, |idx| idx as u32));
            let center = ground(bbox.translation_m);
            let (results_idx, rank) = (*results_idx, rank as u32);
            (bbox.class, Candidate { score: bbox.score, center, results_idx, box_idx, target, rank })
        };
        kept.map(candidate).collect::<Vec<_>>()
    };
    let mut of_class: Vec<Vec<Candidate>> = vec![Vec::new(); N_CLASSES];
    // Some samples at a time: the lists of all of them would be the boxes over again.
    for some in order.chunks(512).enumerate() {
        let first = some.0 * 512;
        let ranked = some.1.par_iter().enumerate().map(|(n, pair)| of_sample((first + n, pair)));
        for (class, candidate) in ranked.collect::<Vec<_>>().into_iter().flatten() {
            of_class[class.idx()].push(candidate);
        }
    }
    of_class
}

/// Best first; of equals the one that the order of ties puts first.
fn sort(candidates: &mut [Candidate], results: &Results, order: TieOrder) {
    // Scores are no NaN, and -0 equals 0.
    let by_score = |a: &Candidate, b: &Candidate| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal);
    match order {
        TieOrder::File => candidates.par_sort_unstable_by(|a, b| {
            by_score(a, b).then_with(|| (b.rank, b.box_idx).cmp(&(a.rank, a.box_idx)))
        }),
        TieOrder::Canonical => candidates.par_sort_by(|a, b| {
            let of = |c: &Candidate| &results.samples[c.results_idx as usize].boxes[c.box_idx as usize];
            let content = || by_content(of(b), of(a)).then_with(|| b.target.cmp(&a.target));
            by_score(a, b).then_with(|| b.rank.cmp(&a.rank)).then_with(content)
        }),
    }
}

/// Equal only where the boxes are the same in all that is evaluated.
fn by_content(a: &PredictedBox, b: &PredictedBox) -> Ordering {
    let numbers = |of: &PredictedBox| {
        let [tx, ty, tz] = of.translation_m;
        let [w, l, h] = of.size_m;
        let [q0, q1, q2, q3] = of.rotation;
        let [vx, vy] = of.velocity_mps;
        [tx, ty, tz, w, l, h, q0, q1, q2, q3, vx, vy]
    };
    let pairs = numbers(a).into_iter().zip(numbers(b));
    let different = pairs.map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne());
    different.unwrap_or(Ordering::Equal).then_with(|| a.attribute.cmp(&b.attribute))
}
