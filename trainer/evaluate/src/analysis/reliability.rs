//! Whether a score means what it says, and which score to work at.

use super::matching::{Fate, Matches};
use serde::{Deserialize, Serialize};

/// Bins of a reliability diagram.
pub const N_BINS: usize = 10;

/// Shares of right detections (within 2 m) by score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// Bins of as equal counts as equal scores allow, lowest scores first; none is empty.
    pub bins: Vec<Bin>,
    /// Expected calibration error: mean over all detections of how far the mean score of a bin is
    /// from its share of right ones.
    pub expected_error: f64,
}

/// Detections of neighbouring scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Detections in it.
    pub n: usize,
    /// Their mean score.
    pub mean_score: f64,
    /// Share of them that is right.
    pub right: f64,
    /// 95 % interval of that share, by Wilson.
    pub between: [f64; 2],
}

/// The score at which recall and precision balance best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// Take detections of at least this score.
    pub score: f64,
    /// Share of the objects that are then found.
    pub recall: f64,
    /// Share of the detections that are then right.
    pub precision: f64,
    /// Harmonic mean of both, the highest there is.
    pub f1: f64,
}

impl Reliability {
    /// `None` without detections, or with scores outside 0..=1, which are no probabilities.
    pub(crate) fn of(matches: &Matches) -> Option<Self> {
        let mut told: Vec<(f64, bool)> = told(matches).collect();
        told.reverse();
        if told.is_empty() || told.iter().any(|(score, _)| !(0.0..=1.0).contains(score)) {
            return None;
        }
        let n_all = told.len();
        let mut bins = Vec::with_capacity(N_BINS);
        let mut start = 0;
        for bin in 1..=N_BINS {
            let mut end = (bin * n_all).div_ceil(N_BINS).max(start);
            // Equal scores stay together, or their order would decide what a bin holds.
            while end > 0 && end < n_all && told[end].0.total_cmp(&told[end - 1].0).is_eq() {
                end += 1;
            }
            if end > start {
                bins.push(Bin::of(&told[start..end]));
                start = end;
            }
        }
        let expected_error =
            bins.iter().map(|b| b.n as f64 / n_all as f64 * (b.mean_score - b.right).abs()).sum();
        Some(Self { bins, expected_error })
    }
}

impl Bin {
    fn of(told: &[(f64, bool)]) -> Self {
        let n = told.len() as f64;
        let right = told.iter().filter(|(_, right)| *right).count() as f64 / n;
        let mean_score = told.iter().map(|(score, _)| score).sum::<f64>() / n;
        Self { n: told.len(), mean_score, right, between: wilson(right, n) }
    }
}

/// Wilson's 95 % interval of a share.
fn wilson(share: f64, n: f64) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    let z2 = Z * Z;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * libm::sqrt(share * (1.0 - share) / n + z2 / (4.0 * n * n));
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

impl Recommended {
    /// The score of the highest F1, the higher one of equals; `None` without a right detection.
    pub(crate) fn of(matches: &Matches) -> Option<Self> {
        let told: Vec<(f64, bool)> = told(matches).collect();
        let (mut n_right, mut best) = (0_usize, Self::default());
        for (idx, (score, right)) in told.iter().enumerate() {
            n_right += usize::from(*right);
            // A threshold cannot part equal scores.
            if told.get(idx + 1).is_some_and(|(next, _)| next.total_cmp(score).is_eq()) || n_right == 0 {
                continue;
            }
            let recall = n_right as f64 / matches.n_objects as f64;
            let precision = n_right as f64 / (idx + 1) as f64;
            let f1 = 2.0 * recall * precision / (recall + precision);
            if f1 > best.f1 {
                best = Self { score: *score, recall, precision, f1 };
            }
        }
        (best.f1 > 0.0).then_some(best)
    }
}

/// Score and rightness of the detections that count, best first.
fn told(matches: &Matches) -> impl Iterator<Item = (f64, bool)> {
    matches.calls.iter().filter_map(|call| match call.fate {
        Fate::Neutral => None,
        fate => Some((f64::from(call.score), fate != Fate::Wrong)),
    })
}
