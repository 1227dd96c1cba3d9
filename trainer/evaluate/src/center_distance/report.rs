//! The figures, and their table.

use super::{OPERATING_THRESHOLD_M, THRESHOLDS_M};
use std::fmt;

/// Figures at one score threshold, at [`OPERATING_THRESHOLD_M`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OperatingPoint {
    /// Least score of a detection that counts here.
    pub score_threshold: f64,
    /// Detections that are right.
    pub n_true_positives: usize,
    /// Detections that are wrong.
    pub n_false_positives: usize,
    /// Counted objects that no detection took.
    pub n_missed: usize,
    /// Share of the counted objects found; 0 without any.
    pub recall: f64,
    /// Share of the detections that are right; 0 without any.
    pub precision: f64,
    /// Mean distance of centres of right detections; `None` without any, as below.
    pub translation_error_m: Option<f64>,
    /// Mean of 1 - IoU after aligning centres and headings.
    pub scale_error: Option<f64>,
    /// Mean difference of headings, at most pi (for a `barrier`, which has no front, pi/2).
    pub orientation_error_rad: Option<f64>,
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassResult {
    /// Name of the class.
    pub name: String,
    /// Objects that count.
    pub n_ground_truths: usize,
    /// Objects in range with too few points.
    pub n_ignored: usize,
    /// Detections in range.
    pub n_detections: usize,
    /// Average precision at each of [`THRESHOLDS_M`]; 0 where nothing is right.
    pub average_precision: [f64; 4],
    /// At the score threshold asked for.
    pub operating: OperatingPoint,
}

impl ClassResult {
    /// Mean over the thresholds.
    pub fn mean_average_precision(&self) -> f64 {
        self.average_precision.iter().sum::<f64>() / THRESHOLDS_M.len() as f64
    }
}

/// Figures of all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct CenterDistanceReport {
    /// One per class name, in that order.
    pub classes: Vec<ClassResult>,
    /// Frames evaluated.
    pub n_frames: usize,
}

impl CenterDistanceReport {
    /// Mean over classes and thresholds; a class without objects stays in it with 0.
    pub fn mean_average_precision(&self) -> f64 {
        let sum: f64 = self.classes.iter().map(ClassResult::mean_average_precision).sum();
        if self.classes.is_empty() { 0.0 } else { sum / self.classes.len() as f64 }
    }
}

impl fmt::Display for CenterDistanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.classes.iter().map(|c| c.name.len()).max().unwrap_or(0).max("class".len());
        let score = self.classes.first().map_or(0.0, |c| c.operating.score_threshold);
        writeln!(f, "Average precision by centre distance, {} frames", self.n_frames)?;
        writeln!(f, "(recall, precision and errors: score >= {score}, within {OPERATING_THRESHOLD_M} m)")?;
        write!(f, "{:<width$} {:>7} {:>7} {:>7}", "class", "objects", "ignored", "boxes")?;
        for threshold in THRESHOLDS_M {
            write!(f, " {:>8}", format!("AP {threshold} m"))?;
        }
        let columns = ["mean AP", "recall", "precision", "trans m", "scale", "yaw rad"];
        writeln!(
            f,
            " {:>7} {:>7} {:>9} {:>7} {:>7} {:>7}",
            columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]
        )?;
        let error = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        for class in &self.classes {
            write!(
                f,
                "{:<width$} {:>7} {:>7} {:>7}",
                class.name, class.n_ground_truths, class.n_ignored, class.n_detections
            )?;
            for ap in class.average_precision {
                write!(f, " {ap:>8.4}")?;
            }
            let o = &class.operating;
            writeln!(
                f,
                " {:>7.4} {:>7.4} {:>9.4} {:>7} {:>7} {:>7}",
                class.mean_average_precision(),
                o.recall,
                o.precision,
                error(o.translation_error_m),
                error(o.scale_error),
                error(o.orientation_error_rad)
            )?;
        }
        write!(f, "mean AP {:.4}", self.mean_average_precision())
    }
}
