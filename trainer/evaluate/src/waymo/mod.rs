//! The Waymo Open Dataset's detection metric: AP and heading-weighted APH, levels 1 and 2, by type and range.
//!
//! - A frame's predictions and ground truths of one type are matched one to one so that the sum of their overlaps,
//!   in whole millionths, is largest; only pairs count whose 3-D overlap (IoU) reaches the type's least: 0.7 for
//!   vehicles, 0.5 for the others. This is done anew at every score cut-off (0, 0.01, .., 0.99, 1) with the
//!   predictions that reach it.
//! - A range's figures come from matching within the range: a prediction at 29.9 m is no match for a ground truth
//!   at 30.1 m. The range is the distance of a box's own centre from the vehicle's origin, height included.
//! - A matched pair is a true positive, whatever the level of its ground truth. An unmatched prediction is a false
//!   positive, unless it lies in a no-label zone. An unmatched ground truth is missed at level 2, and at level 1 if
//!   that is its own level. Recall is true positives of true positives and missed ones.
//! - A ground truth in which no LiDAR point lies is left out. One without a level has level 2 with up to 5 points and
//!   level 1 with more.
//! - APH weighs a true positive in precision, not in recall, by `1 - d / pi`, `d` its heading's error.
//! - How a curve becomes one number: [`curve`].
//!
//! **Determinism**: the order of frames and of objects in a file changes nothing. Where several matchings have the
//! same largest sum, the official code's choice depends on that order; here, predictions of higher score come first.
//!
//! **Source**: the published metric of the Waymo Open Dataset, cross-checked against its compiled operations.

pub mod curve;
mod frame;
mod matching;
mod objects;
mod overlap;
mod proto;
mod report;
#[cfg(test)]
mod tests;

pub use objects::{FrameKey, LabelBox, Level, ObjectType, WaymoError, WaymoObject, WaymoObjects};
pub use overlap::overlap_3d;
pub use report::{Breakdown, Figures, RangeBand, WaymoReport};

use frame::{FrameObjects, Tally};
use std::collections::BTreeMap;

/// Score cut-offs: hundredths from 0 to 1.
pub const N_CUTOFFS: usize = 101;

/// Up to as many points in its box make a ground truth without a level one of level 2.
pub const MAX_LEVEL_2_POINTS: u32 = 5;

/// The score cut-off of this index, as the `f32` that scores are compared with.
pub fn cutoff(idx: usize) -> f32 {
    (idx as f64 * 0.01) as f32
}

/// What the metric leaves open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Least overlap of a match, in the order of [`ObjectType::ALL`].
    pub min_overlap: [f32; 4],
}

impl Default for Settings {
    fn default() -> Self {
        Self { min_overlap: [0.7, 0.5, 0.5, 0.5] }
    }
}

/// Objects that take no part, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Ground truths in which no point lies.
    pub ground_truths_without_points: usize,
    /// Ground truths of no known type.
    pub ground_truths_of_unknown_type: usize,
    /// Predictions of no known type.
    pub predictions_of_unknown_type: usize,
}

/// Evaluates predictions against ground truths.
///
/// Frames are the union of both; where the ground truths have none of a frame, all its predictions are false.
///
/// **Errors**: no ground truth at all. **Determinism**: see the module.
pub fn evaluate(
    ground_truths: &WaymoObjects,
    predictions: &WaymoObjects,
    settings: &Settings,
) -> Result<WaymoReport, WaymoError> {
    if ground_truths.objects.is_empty() {
        return Err(WaymoError::NoGroundTruths);
    }
    let mut left_out = LeftOut::default();
    let mut frames: BTreeMap<&FrameKey, FrameObjects> = BTreeMap::new();
    for object in &ground_truths.objects {
        let frame = frames.entry(ground_truths.frame_of(object)).or_default();
        match object.object_type {
            _ if object.n_points == Some(0) => left_out.ground_truths_without_points += 1,
            None => left_out.ground_truths_of_unknown_type += 1,
            Some(object_type) => frame.add_ground_truth(object_type, object),
        }
    }
    for object in &predictions.objects {
        let frame = frames.entry(predictions.frame_of(object)).or_default();
        match object.object_type {
            None => left_out.predictions_of_unknown_type += 1,
            Some(object_type) => frame.add_prediction(object_type, object),
        }
    }
    let n_frames = frames.len();
    let mut tally = Tally::default();
    for frame in frames.into_values() {
        frame.tally(settings, &mut tally);
    }
    Ok(WaymoReport::new(n_frames, left_out, &tally))
}
