//! Precision over recall, and the average precision that it comes to.

use crate::center_distance::{FIRST_BIN, MIN_PRECISION, N_RECALLS, interpolate};
use serde::Serialize;

/// Precision at the recalls 0, 0.01, ..., 1 by which nuScenes takes averages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Distance of centres below which a detection is right.
    pub threshold_m: f64,
    /// Precision at each recall; 0 past the last recall reached.
    pub precision: Vec<f64>,
    /// The recall that all detections together reach.
    pub last_recall: f64,
}

/// Detections taken one after the other, best first.
///
/// **Allocation**: grows to the number of detections once and is used again after [`Walk::begin`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    recalls: Vec<f64>,
    precisions: Vec<f64>,
    n_objects: f64,
    n_right: f64,
    n_wrong: f64,
}

impl Walk {
    /// Forgets everything; `n_objects` are there to be found.
    pub(crate) fn begin(&mut self, n_objects: f64) {
        self.recalls.clear();
        self.precisions.clear();
        (self.n_objects, self.n_right, self.n_wrong) = (n_objects, 0.0, 0.0);
    }

    /// One detection, which is right or wrong or partly so.
    pub(crate) fn step(&mut self, right: f64, wrong: f64) {
        self.n_right += right;
        self.n_wrong += wrong;
        let n_all = self.n_right + self.n_wrong;
        if n_all > 0.0 {
            self.recalls.push(self.n_right / self.n_objects);
            self.precisions.push(self.n_right / n_all);
        }
    }

    fn is_empty(&self) -> bool {
        self.n_objects <= 0.0 || self.n_right <= 0.0
    }

    fn precision_at(&self, bin: usize) -> f64 {
        // bin * 0.01, not bin / 100, as in nuScenes: 70 * 0.01 is above 7 / 10 in doubles.
        interpolate(bin as f64 * 0.01, &self.recalls, &self.precisions)
    }

    /// nuScenes' average precision; 0 without objects, or without a detection that is right.
    pub(crate) fn average_precision(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let sum: f64 =
            (FIRST_BIN..N_RECALLS).map(|bin| (self.precision_at(bin) - MIN_PRECISION).max(0.0)).sum();
        sum / (N_RECALLS - FIRST_BIN) as f64 / (1.0 - MIN_PRECISION)
    }

    pub(crate) fn curve(&self, threshold_m: f64) -> Curve {
        let empty = self.is_empty();
        let precision = (0..N_RECALLS).map(|bin| if empty { 0.0 } else { self.precision_at(bin) });
        let last_recall = if empty { 0.0 } else { self.n_right / self.n_objects };
        Curve { threshold_m, precision: precision.collect(), last_recall }
    }
}
