//! The figures.

use super::config::Config;
use super::curves::Curves;
use super::names::{DetectionClass, N_CLASSES, N_ERRORS, TpError};
use serde_json::Value;
use std::fmt;

/// Figures of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// The class.
    pub class: DetectionClass,
    /// An average precision for each of [`Config::distance_thresholds_m`].
    pub average_precisions: Vec<f64>,
    /// Mean errors in the order of [`TpError::ALL`]; NaN where the class has no such error.
    pub errors: [f64; N_ERRORS],
    /// The curves of each of [`Config::distance_thresholds_m`].
    pub curves: Vec<Curves>,
    /// Objects that count.
    pub n_objects: usize,
    /// Boxes that count.
    pub n_boxes: usize,
}

impl ClassReport {
    /// Mean over the distances.
    pub fn mean_average_precision(&self) -> f64 {
        self.average_precisions.iter().sum::<f64>() / self.average_precisions.len() as f64
    }
}

/// Figures of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The settings that they were made with.
    pub config: Config,
    /// Every class, in the order of [`DetectionClass::ALL`].
    pub classes: Vec<ClassReport>,
    /// What the results say of themselves.
    pub meta: Vec<(String, Value)>,
    /// Samples of the split.
    pub n_samples: usize,
    /// Pairs of boxes, next to each other by score, of one class and the same score but of different samples: where
    /// there are none, the order of samples in the file has no part in the figures.
    pub n_ties_across_samples: usize,
    /// How long the evaluation took, without reading, in seconds.
    pub eval_time_s: f64,
}

impl Report {
    /// Figures of a class.
    pub fn class(&self, class: DetectionClass) -> &ClassReport {
        &self.classes[class.idx()]
    }

    /// mAP: the mean over all ten classes, those without objects too, which have 0.
    pub fn mean_average_precision(&self) -> f64 {
        self.classes.iter().map(ClassReport::mean_average_precision).sum::<f64>() / N_CLASSES as f64
    }

    /// The mean of an error over the classes that have it; NaN where none does.
    pub fn mean_error(&self, error: TpError) -> f64 {
        let known = self.classes.iter().map(|class| class.errors[error.idx()]).filter(|v| !v.is_nan());
        let (n, sum) = known.fold((0_usize, 0.0), |(n, sum), v| (n + 1, sum + v));
        if n == 0 { f64::NAN } else { sum / n as f64 }
    }

    /// 1 minus the mean error, and 0 where that is above 1 or not known.
    pub fn error_score(&self, error: TpError) -> f64 {
        (1.0 - self.mean_error(error)).max(0.0)
    }

    /// NDS: the weighted mean of mAP and the scores of the five errors.
    pub fn detection_score(&self) -> f64 {
        let weight = self.config.mean_ap_weight;
        let scores: f64 = TpError::ALL.into_iter().map(|error| self.error_score(error)).sum();
        (weight * self.mean_average_precision() + scores) / (weight + N_ERRORS as f64)
    }
}

impl fmt::Display for Report {
    /// The devkit's two tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mAP  {:.4}", self.mean_average_precision())?;
        let short = ["mATE", "mASE", "mAOE", "mAVE", "mAAE"];
        for (error, name) in TpError::ALL.into_iter().zip(short) {
            writeln!(f, "{name} {:.4}", self.mean_error(error))?;
        }
        writeln!(f, "NDS  {:.4}\n", self.detection_score())?;
        write!(f, "{:<20} {:>8} {:>9}", "class", "objects", "boxes")?;
        for name in ["AP", "ATE", "ASE", "AOE", "AVE", "AAE"] {
            write!(f, " {name:>6}")?;
        }
        for class in &self.classes {
            write!(f, "\n{:<20} {:>8} {:>9}", class.class.name(), class.n_objects, class.n_boxes)?;
            write!(f, " {:>6.3}", class.mean_average_precision())?;
            for error in class.errors {
                write!(f, " {error:>6.3}")?;
            }
        }
        if self.n_ties_across_samples > 0 && self.config.tie_order == super::TieOrder::File {
            write!(
                f,
                "\n{} boxes have the score of a box of another sample: figures may depend on the order of the file",
                self.n_ties_across_samples
            )?;
        }
        Ok(())
    }
}
