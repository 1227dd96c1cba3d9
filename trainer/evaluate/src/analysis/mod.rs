//! Analysis: where a model is good and where it is not, on frames of any dataset.
//!
//! A [`FrameSet`] is what is labelled and what was found, checked and brought into one order;
//! [`Analysis::of`] is everything that a report shows of it. Detections are matched as nuScenes does, by
//! the distance of centres ([`crate::center_distance`]), with two differences: objects below the rules'
//! number of points are ignored rather than gone, and ties go by contents, not by the order of files.

mod breakdown;
mod confusion;
mod curve;
mod errors;
mod frame;
mod latency;
pub(crate) mod matching;
mod reliability;
mod rules;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod worst;

pub use breakdown::{Attribute, Breakdown, FEW_OBJECTS, Part, WrongOnes};
pub use confusion::Confusion;
pub use curve::Curve;
pub use errors::Errors;
pub use frame::{Found, Frame, FrameError, FrameSet, MAX_CLASSES, Object, TellsVelocity};
pub use latency::{Latency, Percentiles};
pub use reliability::{Bin, N_BINS, Recommended, Reliability};
pub use rules::{Rules, RulesError};
pub use worst::{FrameFates, worst};

pub(crate) use breakdown::{OPERATING_IDX, at_score};
pub(crate) use curve::Walk;
pub(crate) use errors::ErrorSums;
pub(crate) use frame::hex;

use crate::center_distance::THRESHOLDS_M;
use matching::{Fate, match_all};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Everything that is said of a set of frames.
///
/// **Determinism**: the same to the last bit for any order of frames, objects and detections and for
/// any number of threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// By which rules.
    pub rules: Rules,
    /// One for each class, in their order.
    pub classes: Vec<ClassAnalysis>,
    /// What was taken for what.
    pub confusion: Confusion,
    /// How long frames took, if any was timed.
    pub latency: Option<Latency>,
}

/// What is said of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassAnalysis {
    /// The figures that a comparison and a gate look at.
    pub figures: ClassFigures,
    /// Precision over recall at each of [`THRESHOLDS_M`].
    pub curves: Vec<Curve>,
    /// The parts of the class, for each attribute that its objects have.
    pub breakdowns: Vec<Breakdown>,
    /// Whether scores are probabilities, if they can be.
    pub reliability: Option<Reliability>,
}

/// The figures of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassFigures {
    /// Name of the class.
    pub name: String,
    /// Objects that count.
    pub n_objects: usize,
    /// Objects in range that are ignored.
    pub n_ignored: usize,
    /// Detections of any score.
    pub n_detections: usize,
    /// At each of [`THRESHOLDS_M`].
    pub average_precision: [f64; THRESHOLDS_M.len()],
    /// The mean of these.
    pub mean_average_precision: f64,
    /// Right detections at the rules' score, within 2 m.
    pub n_right: usize,
    /// Wrong ones.
    pub n_wrong: usize,
    /// Share of the objects found; 0 without any.
    pub recall: f64,
    /// Share of the detections that are right; 0 without any.
    pub precision: f64,
    /// Of right detections.
    pub errors: Errors,
    /// Expected calibration error; `None` where scores are no probabilities.
    pub calibration_error: Option<f64>,
    /// The score that recall and precision recommend.
    pub recommended: Option<Recommended>,
}

impl Analysis {
    /// Analyses frames.
    ///
    /// **Errors**: rules that mean nothing.
    pub fn of(set: &FrameSet, rules: &Rules) -> Result<Self, RulesError> {
        rules.check()?;
        let frames = set.frames();
        let classes = set
            .classes()
            .par_iter()
            .enumerate()
            .map(|(class_idx, name)| ClassAnalysis::of(frames, class_idx, name, rules))
            .collect();
        Ok(Self {
            rules: *rules,
            classes,
            confusion: Confusion::of(frames, set.classes().len(), rules),
            latency: Latency::of(frames),
        })
    }

    /// The mean over all classes, those without objects included, as nuScenes takes it.
    pub fn mean_average_precision(&self) -> f64 {
        let sum: f64 = self.classes.iter().map(|c| c.figures.mean_average_precision).sum();
        sum / self.classes.len() as f64
    }
}

impl ClassAnalysis {
    fn of(frames: &[Frame], class_idx: usize, name: &str, rules: &Rules) -> Self {
        let matches = match_all(frames, class_idx, rules);
        let mut walk = Walk::default();
        let (mut average_precision, mut curves) = ([0.0; THRESHOLDS_M.len()], Vec::new());
        for (k, matches) in matches.iter().enumerate() {
            walk.begin(matches.n_objects as f64);
            for call in &matches.calls {
                match call.fate {
                    Fate::Right { .. } => walk.step(1.0, 0.0),
                    Fate::Wrong => walk.step(0.0, 1.0),
                    Fate::Neutral => {}
                }
            }
            average_precision[k] = walk.average_precision();
            curves.push(walk.curve(THRESHOLDS_M[k]));
        }
        let operating = &matches[OPERATING_IDX];
        let (mut errors, mut n_wrong) = (ErrorSums::default(), 0);
        for call in at_score(operating, rules) {
            let frame = &frames[call.frame_idx];
            match call.fate {
                Fate::Neutral => {}
                Fate::Wrong => n_wrong += 1,
                Fate::Right { object_idx, distance_m } => {
                    let (object, found) = (&frame.objects[object_idx], &frame.detections[call.detection_idx]);
                    errors.add(&ErrorSums::of(name, object, found, distance_m), 1.0);
                }
            }
        }
        let n_right = errors.n as usize;
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let reliability = Reliability::of(operating);
        let breakdowns = Attribute::ALL
            .into_iter()
            .filter_map(|a| breakdown::divide(a, frames, class_idx, name, &matches, rules));
        let figures = ClassFigures {
            name: name.to_owned(),
            n_objects: operating.n_objects,
            n_ignored: operating.n_ignored,
            n_detections: operating.calls.len(),
            average_precision,
            mean_average_precision: average_precision.iter().sum::<f64>() / THRESHOLDS_M.len() as f64,
            n_right,
            n_wrong,
            recall: share(n_right, operating.n_objects),
            precision: share(n_right, n_right + n_wrong),
            errors: errors.means(),
            calibration_error: reliability.as_ref().map(|r| r.expected_error),
            recommended: Recommended::of(operating),
        };
        Self { figures, curves, breakdowns: breakdowns.collect(), reliability }
    }
}
