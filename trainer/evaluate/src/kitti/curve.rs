//! From scores to thresholds, from counts to a curve, from a curve to average precision.

/// Steps of recall: 0, 1/40, ..., 1.
pub const N_STEPS: usize = 41;

/// Scores at which the recall comes nearest to each step of recall.
///
/// A step takes the score before the one that would come nearer; the last score is always taken.
/// `true_positives` are the scores of the objects found when nothing is cut off. Fewer than 41 come
/// out where fewer objects are found, or where the recall ends early.
///
/// **Determinism**: sorts by value, so the order of `true_positives` has no say. The arithmetic is
/// that of the official code, operation by operation: whether a step is reached can hang on the
/// last bit.
/// **Source**: `getThresholds` of `evaluate_object.cpp`, `get_thresholds` of its ports.
pub(super) fn thresholds(mut true_positives: Vec<f64>, n_ground_truths: usize) -> Vec<f64> {
    true_positives.sort_by(|a, b| b.total_cmp(a));
    let recall_of = |n_found: usize| n_found as f64 / n_ground_truths as f64;
    let mut taken = Vec::with_capacity(N_STEPS);
    let mut step = 0.0;
    for (idx, score) in true_positives.iter().enumerate() {
        let is_last = idx + 1 == true_positives.len();
        let here = recall_of(idx + 1);
        let next = if is_last { here } else { recall_of(idx + 2) };
        if next - step < step - here && !is_last {
            continue;
        }
        taken.push(*score);
        step += 1.0 / (N_STEPS as f64 - 1.0);
    }
    taken
}

/// What came of the detections of all frames at one threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) n_found: usize,
    pub(super) n_false: usize,
    pub(super) n_missed: usize,
    /// Sum of `(1 + cos(difference of angles)) / 2` over the objects found.
    pub(super) similarity: f64,
}

/// Precision and orientation similarity over recall.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Steps that a threshold was found for; beyond, everything is 0.
    pub n_thresholds: usize,
    /// Score at each step.
    pub score: [f64; N_STEPS],
    /// Recall at each step, as counted.
    pub recall: [f64; N_STEPS],
    /// The best precision at this step or a later one.
    pub precision: [f64; N_STEPS],
    /// The best orientation similarity at this step or a later one.
    pub orientation: [f64; N_STEPS],
}

/// A part of a whole; 0 where there is no whole.
///
/// The official code divides 0 by 0 where every detection above a threshold is ignored, and its
/// average becomes NaN. A step at which nothing is found has no precision to speak of.
fn ratio(part: f64, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

/// Each value becomes the largest from there to the end.
fn raise(values: &mut [f64; N_STEPS]) {
    let mut best = 0.0_f64;
    for value in values.iter_mut().rev() {
        best = best.max(*value);
        *value = best;
    }
}

impl Curve {
    /// The curve of the counts at each threshold.
    pub(super) fn of(thresholds: &[f64], counts: &[Counts]) -> Self {
        let mut curve = Self {
            n_thresholds: thresholds.len().min(N_STEPS),
            score: [0.0; N_STEPS],
            recall: [0.0; N_STEPS],
            precision: [0.0; N_STEPS],
            orientation: [0.0; N_STEPS],
        };
        for (step, (threshold, at)) in thresholds.iter().zip(counts).take(N_STEPS).enumerate() {
            curve.score[step] = *threshold;
            curve.recall[step] = ratio(at.n_found as f64, at.n_found + at.n_missed);
            curve.precision[step] = ratio(at.n_found as f64, at.n_found + at.n_false);
            curve.orientation[step] = ratio(at.similarity, at.n_found + at.n_false);
        }
        raise(&mut curve.precision);
        raise(&mut curve.orientation);
        curve
    }
}

/// Average over the recalls 0, 0.1, ..., 1, in percent: the definition until 2019.
pub fn ap_r11(curve: &[f64; N_STEPS]) -> f64 {
    curve.iter().step_by(4).sum::<f64>() / 11.0 * 100.0
}

/// Average over the recalls 1/40, 2/40, ..., 1, in percent: the definition since.
pub fn ap_r40(curve: &[f64; N_STEPS]) -> f64 {
    curve.iter().skip(1).sum::<f64>() / 40.0 * 100.0
}
