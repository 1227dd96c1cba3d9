//! The nuScenes detection benchmark: average precision by centre distance, five errors of true positives, and the
//! detection score (NDS) of both.
//!
//! Figures are the official devkit's. Where the devkit stops with an assertion or crashes there is a typed error, and
//! a figure where one has a meaning: results without a box have mAP 0 and NDS 0.
//!
//! | results | devkit | here |
//! |---|---|---|
//! | no box in any sample | crashes | mAP 0, NDS 0 |
//! | no object in any sample | crashes, or mAP 0 | [`GroundTruthError::NoBoxes`] |
//! | a sample is missing; one too many in a split of the benchmark | assertion | [`EvaluateError`] |
//! | a sample too many in a split of the dataset's own | left out | left out |
//! | more than 500 boxes | assertion | [`EvaluateError::TooManyBoxes`] |
//! | NaN in score, translation, size, rotation | assertion | [`ResultsError::Box`] |
//! | NaN or infinite velocity | NaN has no part in the mean; infinite makes it infinite | the same |
//! | scores above 1, whole numbers, -0, infinite | accepted | the same |
//! | no score | counts as -1 | the same |
//! | scores below 0 | crashes where recall does not reach 1, else accepted | [`EvaluateError::ScoresRise`] there |
//! | a size not above 0 | assertion where the box finds an object, else accepted | [`EvaluateError::Box`] there |
//! | a quaternion of any length; of length 0 | normalised; heading 0 | the same |
//! | an unknown class or attribute | assertion | [`ResultsError::Box`] |
//! | an attribute of another class | accepted, and wrong | the same |
//! | `num_pts` of 0 | the box is dropped | the same |
//! | a box that names another sample | finds that sample's objects, its range is that of the sample it is filed under | the same |
//! | numbers as texts, truth values as numbers | accepted here and there | [`ResultsError::Box`] |
//! | a key that is there twice | the last one counts | an error: nothing is lost in silence |
//!
//! **Order and ties.** Of equal scores the devkit takes the one later in the file first, so that its figures depend on
//! the order of samples in the file wherever two boxes of one class have the same score. [`TieOrder::File`], the
//! default, gives the devkit's figures for a given file; [`Report::n_ties_across_samples`] says whether the order had
//! any part in them. [`TieOrder::Canonical`] gives the same figures for any order of samples in the file and of boxes
//! in a sample. Both are the same for any number of threads, to the last bit.
//!
//! **Source**: nuscenes-devkit 1.2.0, `eval/detection` and `eval/common`.

mod config;
mod curves;
mod error;
mod from_tables;
mod geometry;
mod ground_truth;
mod matching;
mod names;
mod report;
mod report_files;
mod results;
mod select;
#[cfg(test)]
mod tests;

pub use config::{Config, ConfigError, TieOrder};
pub use curves::{Curves, N_RECALLS, recalls};
pub use error::EvaluateError;
pub use ground_truth::{
    BicycleRack, GroundTruth, GroundTruthBox, GroundTruthError, GroundTruthSample, SplitKind,
};
pub use names::{Attribute, DetectionClass, N_CLASSES, N_ERRORS, TpError};
pub use report::{ClassReport, Report};
pub use report_files::{DETAILS_FILE, SUMMARY_FILE};
pub use results::{BoxField, BoxProblem, PredictedBox, Results, ResultsError, SampleResults};

use rayon::prelude::*;
use std::time::Instant;

/// The figures of results.
///
/// **Errors**: settings that mean nothing; samples that do not go with the split; too many boxes; what the devkit
/// has no figure for, as in the table above. Of several errors in boxes the first by class and distance.
///
/// **Allocation**: 48 bytes a box that counts, and lists along the boxes of a class for each thread.
///
/// **Determinism**: the same for any number of threads, to the last bit; on order see the module.
pub fn evaluate(
    ground_truth: &GroundTruth,
    results: &Results,
    config: &Config,
) -> Result<Report, EvaluateError> {
    let start = Instant::now();
    config.check()?;
    let selections = select::select(ground_truth, results, config)?;
    let thresholds = &config.distance_thresholds_m;
    let tasks: Vec<_> = selections.iter().flat_map(|s| thresholds.iter().map(move |t| (s, *t))).collect();
    let curves: Vec<_> = tasks
        .into_par_iter()
        .map(|(selection, threshold_m)| matching::curves(selection, threshold_m, ground_truth, results))
        .collect();
    let mut curves = curves.into_iter();
    let mut classes = Vec::with_capacity(N_CLASSES);
    for selection in &selections {
        let of_class: Result<Vec<Curves>, _> = curves.by_ref().take(thresholds.len()).collect();
        classes.push(class_report(selection, of_class?, config));
    }
    Ok(Report {
        config: config.clone(),
        classes,
        meta: results.meta.clone(),
        n_samples: ground_truth.samples().len(),
        n_ties_across_samples: selections.iter().map(|s| s.n_ties_across_samples).sum(),
        eval_time_s: start.elapsed().as_secs_f64(),
    })
}

fn class_report(selection: &select::Selection<'_>, curves: Vec<Curves>, config: &Config) -> ClassReport {
    let first_bin = config.first_bin();
    let class = selection.class;
    let at_errors = &curves[config.error_threshold_idx()];
    ClassReport {
        class,
        average_precisions: curves
            .iter()
            .map(|c| c.average_precision(first_bin, config.min_precision))
            .collect(),
        errors: TpError::ALL.map(|error| {
            if class.has_error(error) { at_errors.mean_error(error, first_bin) } else { f64::NAN }
        }),
        n_objects: selection.objects.len(),
        n_boxes: selection.candidates.len(),
        curves,
    }
}
