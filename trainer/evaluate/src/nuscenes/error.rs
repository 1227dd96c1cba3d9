//! Why an evaluation has no figures.

use super::config::ConfigError;
use super::names::DetectionClass;
use super::results::{BoxField, BoxProblem};

/// Results that do not go with the ground truth, or that the benchmark gives no figure for.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The settings mean nothing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A sample of the split is not in the results; one without boxes has an empty list.
    #[error("sample `{sample}` of the split is not in the results, nor are {n_more} more")]
    MissingSample {
        /// The first one, in the order of the dataset.
        sample: String,
        /// How many besides it.
        n_more: usize,
    },
    /// A sample of the results is not in the split.
    #[error("sample `{sample}` of the results is not in the split, nor are {n_more} more")]
    UnknownSample {
        /// The first one, in the order of the results.
        sample: String,
        /// How many besides it.
        n_more: usize,
    },
    /// A sample is there twice.
    #[error("sample `{sample}` is twice in the results")]
    DuplicateSample {
        /// Its token.
        sample: String,
    },
    /// A sample has too many boxes.
    #[error("sample `{sample}` has {n_boxes} boxes, and may have {max_boxes}")]
    TooManyBoxes {
        /// Its token.
        sample: String,
        /// Boxes that it has.
        n_boxes: usize,
        /// The most that it may have.
        max_boxes: usize,
    },
    /// A field of a box is not what it may be.
    #[error("sample `{sample}`, box {box_idx}: `{field}` {problem}")]
    Box {
        /// The token of the sample.
        sample: String,
        /// Which of its boxes, counted from 0.
        box_idx: usize,
        /// Which field.
        field: BoxField,
        /// What is wrong with it.
        problem: BoxProblem,
    },
    /// A found object has no volume.
    #[error("sample `{sample}`: a size of object {object_idx}, which a box has found, is not above 0")]
    FlatObject {
        /// The token of the sample.
        sample: String,
        /// Which of its objects, counted from 0.
        object_idx: usize,
    },
    /// Scores below 0: where not all objects are found, the score at the recalls that are not reached is 0, and so
    /// would rise.
    #[error(
        "sample `{sample}`, box {box_idx}: `detection_score` is {score}; at {threshold_m} m the scores of class \
         `{class}` rise along recall, for which there is no figure: make all scores 0 or more"
    )]
    ScoresRise {
        /// The class.
        class: DetectionClass,
        /// The distance of centres.
        threshold_m: f64,
        /// The token of the sample of the box of the lowest score.
        sample: String,
        /// Which of its boxes, counted from 0.
        box_idx: usize,
        /// Its score.
        score: f64,
    },
}
