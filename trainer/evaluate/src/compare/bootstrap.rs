//! Both runs, taken apart by frame, and put together again from units drawn.

use super::interval::Scatter;
use super::{Metric, Options, Unit};
use crate::analysis::matching::{Fate, match_all, standing};
use crate::analysis::{ErrorSums, Frame, OPERATING_IDX, Rules, Walk, at_score};
use crate::center_distance::THRESHOLDS_M;
use crate::run::Run;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Blocks of units that the jackknife leaves out one after the other, at most: enough for a skewness.
const MAX_BLOCKS: usize = 200;

/// One class of one run: what every frame adds to its metrics.
struct Side {
    /// Frame of every detection, best first, and at which thresholds it is right or wrong, as bits.
    calls: Vec<(u32, u8, u8)>,
    /// At the rules' score: errors of right detections (and so their number), and wrong detections.
    at_score: Vec<(ErrorSums, f64)>,
}

/// One class of both runs.
struct Class {
    /// Objects of each frame that count.
    n_objects: Vec<u32>,
    sides: [Side; 2],
}

/// Two runs on the same frames.
pub(super) struct Paired {
    classes: Vec<Class>,
    /// The unit that each frame belongs to.
    unit_of: Vec<u32>,
    unit: Unit,
    n_units: usize,
    /// Metrics of both runs over all frames.
    whole: Vec<[Option<f64>; 2]>,
}

impl Paired {
    /// Both runs have the same frames, labels and rules.
    pub(super) fn new(a: &Run, b: &Run) -> Self {
        let frames = a.set().frames();
        let rules = a.analysis().rules;
        let classes = a.set().classes().par_iter().enumerate();
        let classes = classes
            .map(|(class_idx, name)| Class {
                n_objects: count_objects(frames, class_idx, &rules),
                sides: [a, b].map(|run| Side::of(run.set().frames(), class_idx, name, &rules)),
            })
            .collect();
        let (unit_of, unit, n_units) = units(frames);
        let mut paired = Self { classes, unit_of, unit, n_units, whole: Vec::new() };
        paired.whole = paired.metrics_of(&vec![1; frames.len()], &mut Walk::default());
        paired
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    pub(super) fn n_units(&self) -> usize {
        self.n_units
    }

    /// Every metric: for all together, then class after class.
    pub(super) fn metrics(&self) -> Vec<(Option<usize>, Metric)> {
        let of_class = |idx| Metric::OF_A_CLASS.map(|metric| (Some(idx), metric));
        let all = [(None, Metric::MeanAveragePrecision)];
        all.into_iter().chain((0..self.classes.len()).flat_map(of_class)).collect()
    }

    /// A metric of both runs over all frames.
    pub(super) fn values(&self, class_idx: Option<usize>, metric: Metric) -> [Option<f64>; 2] {
        let place = self.metrics().iter().position(|m| *m == (class_idx, metric));
        place.map_or([None; 2], |place| self.whole[place])
    }

    /// Objects of a class, or of all.
    pub(super) fn n_objects(&self, class_idx: Option<usize>) -> usize {
        let of = |c: &Class| c.n_objects.iter().map(|n| *n as usize).sum::<usize>();
        match class_idx {
            Some(idx) => of(&self.classes[idx]),
            None => self.classes.iter().map(of).sum(),
        }
    }

    /// Units in which an object of a class stands, or one of any.
    pub(super) fn n_units_with(&self, class_idx: Option<usize>) -> usize {
        let mut has = vec![false; self.n_units];
        for (idx, class) in self.classes.iter().enumerate() {
            if class_idx.is_none_or(|wanted| wanted == idx) {
                for (n_objects, unit) in class.n_objects.iter().zip(&self.unit_of) {
                    has[*unit as usize] |= *n_objects > 0;
                }
            }
        }
        has.into_iter().filter(|has| *has).count()
    }

    /// How the difference of every metric scatters; `None` where the runs themselves lack it.
    pub(super) fn scatter(&self, options: &Options) -> Vec<Option<Scatter>> {
        let n_units = self.n_units as u32;
        let resamples: Vec<Vec<Option<f64>>> = (0..options.n_resamples)
            .into_par_iter()
            .map_init(Walk::default, |walk, k| {
                let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
                rng.set_stream(k as u64);
                let mut weights = vec![0_u32; self.n_units];
                for _ in 0..n_units {
                    weights[rng.random_range(0..n_units) as usize] += 1;
                }
                self.differences(&weights, walk)
            })
            .collect();
        let n_blocks = self.n_units.min(MAX_BLOCKS);
        let jackknife: Vec<Vec<Option<f64>>> = (0..n_blocks)
            .into_par_iter()
            .map_init(Walk::default, |walk, block| {
                let weights: Vec<u32> = (0..self.n_units).map(|u| u32::from(u % n_blocks != block)).collect();
                self.differences(&weights, walk)
            })
            .collect();
        (0..self.whole.len())
            .map(|place| {
                let [a, b] = self.whole[place];
                let column =
                    |of: &[Vec<Option<f64>>]| of.iter().filter_map(|d| d[place]).collect::<Vec<f64>>();
                a.zip(b).map(|(a, b)| {
                    Scatter::new(b - a, column(&resamples), options.n_resamples, &column(&jackknife))
                })
            })
            .collect()
    }

    /// B - A of every metric, with every unit so many times.
    fn differences(&self, weights: &[u32], walk: &mut Walk) -> Vec<Option<f64>> {
        let of_frames: Vec<u32> = self.unit_of.iter().map(|unit| weights[*unit as usize]).collect();
        let both = self.metrics_of(&of_frames, walk);
        both.into_iter().map(|[a, b]| a.zip(b).map(|(a, b)| b - a)).collect()
    }

    /// Every metric of both runs, with every frame so many times; in the order of [`Self::metrics`].
    fn metrics_of(&self, weights: &[u32], walk: &mut Walk) -> Vec<[Option<f64>; 2]> {
        let mut metrics = vec![[None; 2]];
        let mut mean = [0.0; 2];
        for class in &self.classes {
            let of_frames = class.n_objects.iter().zip(weights);
            let n_objects = of_frames.map(|(n, w)| f64::from(*n) * f64::from(*w)).sum::<f64>();
            let sides = class.sides.each_ref().map(|side| side.metrics(n_objects, weights, walk));
            for (mean, side) in mean.iter_mut().zip(&sides) {
                *mean += side[0].unwrap_or(0.0) / self.classes.len() as f64;
            }
            metrics.extend((0..Metric::OF_A_CLASS.len()).map(|m| sides.map(|side| side[m])));
        }
        metrics[0] = mean.map(Some);
        metrics
    }
}

fn count_objects(frames: &[Frame], class_idx: usize, rules: &Rules) -> Vec<u32> {
    let counts = |f: &Frame| f.objects.iter().filter(|o| standing(o, class_idx, rules) == Some(true)).count();
    frames.iter().map(|f| counts(f) as u32).collect()
}

fn units(frames: &[Frame]) -> (Vec<u32>, Unit, usize) {
    let mut groups: Vec<&str> = frames.iter().filter_map(|f| f.group.as_deref()).collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.is_empty() {
        return ((0..frames.len() as u32).collect(), Unit::Frame, frames.len());
    }
    let unit_of = frames.iter().map(|f| {
        let group = f.group.as_deref().unwrap_or_default();
        groups.binary_search(&group).unwrap_or_default() as u32
    });
    (unit_of.collect(), Unit::Group, groups.len())
}

impl Side {
    fn of(frames: &[Frame], class_idx: usize, class: &str, rules: &Rules) -> Self {
        let matches = match_all(frames, class_idx, rules);
        // All thresholds have the same detections in the same order.
        let mut calls: Vec<(u32, u8, u8)> =
            matches[0].calls.iter().map(|call| (call.frame_idx as u32, 0, 0)).collect();
        for (k, matches) in matches.iter().enumerate() {
            for ((_, right, wrong), call) in calls.iter_mut().zip(&matches.calls) {
                match call.fate {
                    Fate::Right { .. } => *right |= 1 << k,
                    Fate::Wrong => *wrong |= 1 << k,
                    Fate::Neutral => {}
                }
            }
        }
        let mut sums = vec![(ErrorSums::default(), 0.0); frames.len()];
        for call in at_score(&matches[OPERATING_IDX], rules) {
            let frame = &frames[call.frame_idx];
            let (errors, n_wrong) = &mut sums[call.frame_idx];
            match call.fate {
                Fate::Neutral => {}
                Fate::Wrong => *n_wrong += 1.0,
                Fate::Right { object_idx, distance_m } => {
                    let (object, found) = (&frame.objects[object_idx], &frame.detections[call.detection_idx]);
                    errors.add(&ErrorSums::of(class, object, found, distance_m), 1.0);
                }
            }
        }
        Self { calls, at_score: sums }
    }

    /// The metrics of a class, in their order.
    fn metrics(&self, n_objects: f64, weights: &[u32], walk: &mut Walk) -> [Option<f64>; 5] {
        if n_objects <= 0.0 {
            return [None; 5];
        }
        let mut average_precision = 0.0;
        for k in 0..THRESHOLDS_M.len() {
            walk.begin(n_objects);
            for (frame_idx, right, wrong) in &self.calls {
                let (right, wrong) = (right >> k & 1, wrong >> k & 1);
                if right | wrong != 0 {
                    // A frame that was drawn twice has the detection twice.
                    for _ in 0..weights[*frame_idx as usize] {
                        walk.step(f64::from(right), f64::from(wrong));
                    }
                }
            }
            average_precision += walk.average_precision() / THRESHOLDS_M.len() as f64;
        }
        let (mut errors, mut n_wrong) = (ErrorSums::default(), 0.0);
        for ((of_frame, wrong), weight) in self.at_score.iter().zip(weights) {
            errors.add(of_frame, f64::from(*weight));
            n_wrong += f64::from(*weight) * wrong;
        }
        let n_found = errors.n + n_wrong;
        let means = errors.means();
        [
            Some(average_precision),
            Some(errors.n / n_objects),
            // Without a detection there is no precision, in a difference least of all.
            (n_found > 0.0).then(|| errors.n / n_found),
            means.translation_m,
            means.orientation_rad,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::FrameSet;
    use crate::analysis::samples::{Model, classes, frames, run_of};

    #[test]
    fn a_frame_drawn_twice_counts_as_if_it_were_there_twice() {
        let model = Model::default();
        let other = Model { seed: 5, ..model };
        let weights = [2_u32, 0, 1, 3, 1, 1, 0, 2];
        let repeated = |model: &Model| {
            let mut all = Vec::new();
            for (frame, times) in frames(3, 8, model).into_iter().zip(weights) {
                for k in 0..times {
                    let mut again = frame.clone();
                    again.name = format!("{}-{k}", frame.name);
                    all.push(again);
                }
            }
            run_of(FrameSet::new(classes(), all).unwrap())
        };
        let plain = |model: &Model| run_of(FrameSet::new(classes(), frames(3, 8, model)).unwrap());
        let weighted = Paired::new(&plain(&model), &plain(&other)).metrics_of(&weights, &mut Walk::default());
        let explicit = Paired::new(&repeated(&model), &repeated(&other)).whole;
        for (weighted, explicit) in weighted.iter().zip(&explicit) {
            for side in 0..2 {
                let (w, e) = (weighted[side].unwrap(), explicit[side].unwrap());
                assert!((w - e).abs() < 1e-12, "{w} is not {e}");
            }
        }
    }

    #[test]
    fn metrics_over_all_frames_are_those_of_the_analysis() {
        let runs = [1, 2].map(|seed| {
            run_of(FrameSet::new(classes(), frames(4, 30, &Model { seed, ..Model::default() })).unwrap())
        });
        let paired = Paired::new(&runs[0], &runs[1]);
        for (side, run) in runs.iter().enumerate() {
            let analysis = run.analysis();
            let close = |class_idx, metric, wanted: f64| {
                let got = paired.values(class_idx, metric)[side].unwrap();
                assert!((got - wanted).abs() < 1e-12, "{metric:?}: {got} is not {wanted}");
            };
            close(None, Metric::MeanAveragePrecision, analysis.mean_average_precision());
            for (idx, class) in analysis.classes.iter().enumerate() {
                let f = &class.figures;
                close(Some(idx), Metric::MeanAveragePrecision, f.mean_average_precision);
                close(Some(idx), Metric::Recall, f.recall);
                close(Some(idx), Metric::Precision, f.precision);
                close(Some(idx), Metric::TranslationM, f.errors.translation_m.unwrap());
                close(Some(idx), Metric::OrientationRad, f.errors.orientation_rad.unwrap());
            }
        }
    }
}
