//! The settings of an evaluation.

use super::names::{DetectionClass, N_CLASSES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The one way of measuring that the benchmark has.
const CENTER_DISTANCE: &str = "center_distance";
/// Steps of recall between 0 and 1.
pub(super) const N_STEPS: usize = 100;

/// Which of two boxes of one class with the same score goes first.
///
/// Average precision depends on it: the first one takes the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TieOrder {
    /// As the devkit does: the one that is later in the file. The figures may then depend on the order of samples in
    /// the file, and do so only where [`Report::n_ties_across_samples`] is not 0.
    ///
    /// [`Report::n_ties_across_samples`]: super::Report::n_ties_across_samples
    #[default]
    File,
    /// By what the boxes are: the one whose sample is later in the dataset, then by the box's own numbers. The
    /// figures are the same for any order of samples in the file and of boxes in a sample.
    Canonical,
}

/// The settings of an evaluation; by default those of the benchmark, `detection_cvpr_2019`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Boxes whose centre is this far from the vehicle or farther do not count; by class.
    pub class_range_m: [f64; N_CLASSES],
    /// Distances of centres below which a box is right; an average precision for each.
    pub distance_thresholds_m: Vec<f64>,
    /// The one of them at which errors are taken.
    pub error_threshold_m: f64,
    /// Recalls up to this one do not count.
    pub min_recall: f64,
    /// Precisions up to this one count as none.
    pub min_precision: f64,
    /// Most boxes that a sample may have.
    pub max_boxes_per_sample: usize,
    /// Weight of the mean average precision in the detection score; the five errors weigh 1 each.
    pub mean_ap_weight: f64,
    /// What is done with equal scores; no part of the devkit's settings.
    pub tie_order: TieOrder,
}

impl Default for Config {
    fn default() -> Self {
        let mut class_range_m = [50.0; N_CLASSES];
        for class in [DetectionClass::Pedestrian, DetectionClass::Motorcycle, DetectionClass::Bicycle] {
            class_range_m[class.idx()] = 40.0;
        }
        for class in [DetectionClass::TrafficCone, DetectionClass::Barrier] {
            class_range_m[class.idx()] = 30.0;
        }
        Self {
            class_range_m,
            distance_thresholds_m: vec![0.5, 1.0, 2.0, 4.0],
            error_threshold_m: 2.0,
            min_recall: 0.1,
            min_precision: 0.1,
            max_boxes_per_sample: 500,
            mean_ap_weight: 5.0,
            tie_order: TieOrder::default(),
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not JSON, or lacks a setting, or has one that there is not.
    #[error("the settings are not those of an evaluation: {0}")]
    Format(#[from] serde_json::Error),
    /// A setting has a value that means nothing.
    #[error("setting `{setting}`: {reason}")]
    Value {
        /// Its name in the file.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The devkit's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    class_range: BTreeMap<String, f64>,
    dist_fcn: String,
    dist_ths: Vec<f64>,
    dist_th_tp: f64,
    min_recall: f64,
    min_precision: f64,
    max_boxes_per_sample: usize,
    mean_ap_weight: f64,
}

impl Config {
    /// Settings from a file in the devkit's form, ties as by default.
    ///
    /// **Errors**: a file that cannot be read, is not of this form or has a value that means nothing.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::from_json(&text)
    }

    /// The same from the text of such a file.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let file: File = serde_json::from_str(text)?;
        if file.dist_fcn != CENTER_DISTANCE {
            return Err(invalid("dist_fcn", format!("`{}` is not `{CENTER_DISTANCE}`", file.dist_fcn)));
        }
        let mut class_range_m = [f64::NAN; N_CLASSES];
        for (name, range_m) in &file.class_range {
            let class = DetectionClass::from_name(name);
            let class = class.ok_or_else(|| invalid("class_range", format!("no class `{name}`")))?;
            class_range_m[class.idx()] = *range_m;
        }
        let config = Self {
            class_range_m,
            distance_thresholds_m: file.dist_ths,
            error_threshold_m: file.dist_th_tp,
            min_recall: file.min_recall,
            min_precision: file.min_precision,
            max_boxes_per_sample: file.max_boxes_per_sample,
            mean_ap_weight: file.mean_ap_weight,
            tie_order: TieOrder::default(),
        };
        config.check()?;
        Ok(config)
    }

    /// Whether the settings mean something.
    ///
    /// **Errors**: the first one that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (class, range_m) in DetectionClass::ALL.iter().zip(self.class_range_m) {
            if !(range_m.is_finite() && range_m > 0.0) {
                return Err(invalid("class_range", format!("`{class}` needs a range above 0 m")));
            }
        }
        let thresholds = &self.distance_thresholds_m;
        if thresholds.is_empty() || !thresholds.iter().all(|t| t.is_finite() && *t > 0.0) {
            return Err(invalid("dist_ths", format!("{thresholds:?} are not distances above 0 m")));
        }
        let same = |a: &f64, b: &f64| a.total_cmp(b).is_eq();
        if let Some(twice) =
            (1..thresholds.len()).find(|i| thresholds[..*i].iter().any(|t| same(t, &thresholds[*i])))
        {
            return Err(invalid("dist_ths", format!("{} m is listed twice", thresholds[twice])));
        }
        if !thresholds.iter().any(|t| same(t, &self.error_threshold_m)) {
            return Err(invalid(
                "dist_th_tp",
                format!("{} is not one of `dist_ths`", self.error_threshold_m),
            ));
        }
        if !(0.0..=1.0).contains(&self.min_recall) || self.first_bin() > N_STEPS {
            return Err(invalid("min_recall", format!("{} leaves no recall up to 1", self.min_recall)));
        }
        if !(0.0..1.0).contains(&self.min_precision) {
            return Err(invalid("min_precision", format!("{} is not in 0..1", self.min_precision)));
        }
        if !(self.mean_ap_weight.is_finite() && self.mean_ap_weight >= 0.0) {
            return Err(invalid("mean_ap_weight", format!("{} is not a weight", self.mean_ap_weight)));
        }
        Ok(())
    }

    /// The first of the recalls 0, 0.01, ..., 1 that counts: the one after the least.
    pub(super) fn first_bin(&self) -> usize {
        (100.0 * self.min_recall).round_ties_even() as usize + 1
    }

    /// Which threshold errors are taken at.
    pub(super) fn error_threshold_idx(&self) -> usize {
        let mut thresholds = self.distance_thresholds_m.iter();
        thresholds.position(|t| t.total_cmp(&self.error_threshold_m).is_eq()).unwrap_or(0)
    }
}

fn invalid(setting: &'static str, reason: String) -> ConfigError {
    ConfigError::Value { setting, reason }
}
