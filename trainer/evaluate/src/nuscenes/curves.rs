//! Precision, score and errors along recall, and the figures taken from them.

use super::config::N_STEPS;
use super::names::{N_ERRORS, TpError};

/// Recalls 0, 0.01, ..., 1.
pub const N_RECALLS: usize = N_STEPS + 1;

/// What holds at each of the recalls 0, 0.01, ..., 1 for one class and distance.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Share of the boxes so far that are right; 0 past the last recall reached.
    pub precision: Vec<f64>,
    /// The score there; 0 past the last recall reached.
    pub confidence: Vec<f64>,
    /// Mean errors of the right boxes so far, in the order of [`TpError::ALL`].
    pub errors: [Vec<f64>; N_ERRORS],
}

/// The recalls that curves have values at.
pub fn recalls() -> impl Iterator<Item = f64> {
    // i * 0.01, not i / 100: 70 * 0.01 is above 7 / 10 in doubles, and so past a last recall of 0.7.
    (0..N_STEPS).map(|i| i as f64 * 0.01).chain([1.0])
}

/// What became of the boxes of a class, best first.
#[derive(Default)]
pub(super) struct Outcome {
    /// Score of every box, and whether it is right.
    pub(super) boxes: Vec<(f64, bool)>,
    /// Errors of the right ones.
    pub(super) errors: Vec<[f64; N_ERRORS]>,
}

impl Curves {
    /// Where nothing was found, or nothing is there.
    pub(super) fn nothing() -> Self {
        Self {
            precision: vec![0.0; N_RECALLS],
            confidence: vec![0.0; N_RECALLS],
            errors: std::array::from_fn(|_| vec![1.0; N_RECALLS]),
        }
    }

    /// The curves of an outcome with at least one right box.
    pub(super) fn new(outcome: &Outcome, n_objects: usize) -> Self {
        let n_boxes = outcome.boxes.len();
        let (mut recall, mut precision) = (Vec::with_capacity(n_boxes), Vec::with_capacity(n_boxes));
        let mut n_right = 0_usize;
        for (idx, (_, is_right)) in outcome.boxes.iter().enumerate() {
            n_right += usize::from(*is_right);
            recall.push(n_right as f64 / n_objects as f64);
            precision.push(n_right as f64 / (idx + 1) as f64);
        }
        let scores: Vec<f64> = outcome.boxes.iter().map(|(score, _)| *score).collect();
        let along_recall = |values: &[f64]| recalls().map(|r| interpolate(r, &recall, values, 0.0)).collect();
        let precision = along_recall(&precision);
        let confidence: Vec<f64> = along_recall(&scores);

        // Errors go by score, from the lowest on, since interpolation wants rising places.
        let right = outcome.boxes.iter().filter(|(_, is_right)| *is_right);
        let mut found_at: Vec<f64> = right.map(|(score, _)| *score).collect();
        found_at.reverse();
        let errors = std::array::from_fn(|kind| {
            let mut means = cumulative_mean(outcome.errors.iter().map(|errors| errors[kind]));
            means.reverse();
            let last = means.last().copied().unwrap_or(1.0);
            confidence.iter().map(|score| interpolate(*score, &found_at, &means, last)).collect()
        });
        Self { precision, confidence, errors }
    }

    /// Whether the scores nowhere rise along recall, which the benchmark asks for.
    pub(super) fn scores_fall(&self) -> bool {
        self.confidence.windows(2).all(|pair| pair[0] >= pair[1])
    }

    /// The mean of what precision exceeds the least one by, relative to the most that it can, from a bin on.
    pub(super) fn average_precision(&self, first_bin: usize, min_precision: f64) -> f64 {
        let counted = &self.precision[first_bin..];
        let sum: f64 = counted.iter().map(|precision| (precision - min_precision).max(0.0)).sum();
        sum / counted.len() as f64 / (1.0 - min_precision)
    }

    /// The mean error from a bin to the last with a score; 1 if that is not reached.
    pub(super) fn mean_error(&self, error: TpError, first_bin: usize) -> f64 {
        let last_bin = self.confidence.iter().rposition(|score| *score != 0.0).unwrap_or(0);
        if last_bin < first_bin {
            return 1.0;
        }
        let counted = &self.errors[error.idx()][first_bin..=last_bin];
        counted.iter().sum::<f64>() / counted.len() as f64
    }
}

/// `numpy.interp` at one place, for places `xs` that never fall: of equal ones the last holds, left of all the first
/// value does, right of all `right`.
fn interpolate(x: f64, xs: &[f64], ys: &[f64], right: f64) -> f64 {
    let n_not_above = xs.partition_point(|v| *v <= x);
    let Some(before) = n_not_above.checked_sub(1) else { return ys[0] };
    let (x0, y0) = (xs[before], ys[before]);
    let (Some(x1), Some(y1)) = (xs.get(n_not_above), ys.get(n_not_above)) else {
        return if x > x0 { right } else { y0 };
    };
    if x <= x0 {
        return y0;
    }
    let slope = (y1 - y0) / (x1 - x0);
    let value = slope * (x - x0) + y0;
    if !value.is_nan() {
        return value;
    }
    // Infinite values: numpy tries from the other end, and then whether it is the same everywhere.
    let value = slope * (x - x1) + y1;
    let is_flat = y0.partial_cmp(y1).is_some_and(std::cmp::Ordering::is_eq);
    if value.is_nan() && is_flat { y0 } else { value }
}

/// The mean up to each place of what is not NaN: 0 before the first such, 1 everywhere if there is none.
fn cumulative_mean(values: impl ExactSizeIterator<Item = f64> + Clone) -> Vec<f64> {
    if values.clone().all(f64::is_nan) {
        return vec![1.0; values.len()];
    }
    let (mut sum, mut n) = (0.0, 0_usize);
    let mean = |value: f64| {
        if !value.is_nan() {
            sum += value;
            n += 1;
        }
        if n == 0 { 0.0 } else { sum / n as f64 }
    };
    values.map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_is_that_of_numpy() {
        let (xs, ys) = ([0.2, 0.4, 0.4, 0.4, 0.8], [1.0, 5.0, 6.0, 7.0, 9.0]);
        let at = |x: f64| interpolate(x, &xs, &ys, -1.0);
        // Made with numpy.interp(x, xs, ys, right=-1).
        for (x, y) in [(0.0, 1.0), (0.2, 1.0), (0.3, 3.0), (0.4, 7.0), (0.6, 8.0), (0.8, 9.0), (0.81, -1.0)] {
            assert!((at(x) - y).abs() < 1e-12, "{x}: {}", at(x));
        }
        let infinite = |x: f64, ys: [f64; 2]| interpolate(x, &[0.0, 1.0], &ys, 0.0);
        assert!(infinite(0.5, [f64::INFINITY, f64::INFINITY]).is_infinite());
        assert!(infinite(0.5, [0.0, f64::INFINITY]).is_infinite());
        assert!(infinite(0.5, [f64::INFINITY, 0.0]) > 1e300);
        assert!(infinite(0.5, [f64::NAN, 0.0]).is_nan());
        assert!((infinite(1.0, [f64::INFINITY, 3.0]) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn means_pass_over_what_is_not_known() {
        let mean = |values: &[f64]| cumulative_mean(values.iter().copied());
        let nan = f64::NAN;
        assert_eq!(format!("{:?}", mean(&[nan, 2.0, nan, 4.0])), "[0.0, 2.0, 2.0, 3.0]");
        assert_eq!(format!("{:?}", mean(&[nan, nan])), "[1.0, 1.0]");
    }

    #[test]
    fn recalls_are_products_up_to_one() {
        let recalls: Vec<u64> = recalls().map(f64::to_bits).collect();
        assert_eq!(recalls.len(), N_RECALLS);
        // linspace(0, 1, 101)[70] of numpy, which is not 0.7.
        assert_eq!((recalls[70], recalls[100]), (0.700_000_000_000_000_1_f64.to_bits(), 1.0_f64.to_bits()));
    }
}
