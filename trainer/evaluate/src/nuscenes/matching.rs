//! Which box finds which object.

use super::curves::{Curves, Outcome};
use super::error::EvaluateError;
use super::geometry::{aligned_iou, angle_difference, distance, ground, yaw};
use super::ground_truth::{GroundTruth, GroundTruthBox};
use super::names::{DetectionClass, N_ERRORS, TpError};
use super::results::{BoxField, BoxProblem, PredictedBox, Results};
use super::select::{Candidate, Selection};
use std::f64::consts::PI;

/// The curves of a class at one distance: each box, best first, takes the nearest object of its class in its sample
/// that none has taken, and is right if that is nearer than the distance.
pub(super) fn curves(
    selection: &Selection<'_>,
    threshold_m: f64,
    ground_truth: &GroundTruth,
    results: &Results,
) -> Result<Curves, EvaluateError> {
    let n_objects = selection.objects.len();
    if n_objects == 0 {
        return Ok(Curves::nothing());
    }
    let mut taken = vec![false; n_objects];
    let mut outcome = Outcome { boxes: Vec::with_capacity(selection.candidates.len()), errors: Vec::new() };
    for candidate in &selection.candidates {
        let (first, objects) = selection.objects.of(candidate.target);
        let mut nearest: Option<(f64, usize)> = None;
        for (n, (_, object)) in objects.iter().enumerate() {
            if taken[first + n] {
                continue;
            }
            let distance_m = distance(candidate.center, ground(object.translation_m));
            // The first of equally near ones stays.
            if nearest.is_none_or(|(least_m, _)| distance_m < least_m) {
                nearest = Some((distance_m, n));
            }
        }
        let found = nearest.filter(|(distance_m, _)| *distance_m < threshold_m);
        outcome.boxes.push((candidate.score, found.is_some()));
        if let Some((distance_m, n)) = found {
            taken[first + n] = true;
            let (object_idx, object) = objects[n];
            let bbox = box_of(candidate, results);
            check_sizes(candidate, object_idx, object, bbox, ground_truth, results)?;
            outcome.errors.push(errors(selection.class, distance_m, object, bbox));
        }
    }
    if outcome.errors.is_empty() {
        return Ok(Curves::nothing());
    }
    let curves = Curves::new(&outcome, n_objects);
    if !curves.scores_fall()
        && let Some(lowest) = selection.candidates.last()
    {
        return Err(EvaluateError::ScoresRise {
            class: selection.class,
            threshold_m,
            sample: results.samples[lowest.results_idx as usize].token.clone(),
            box_idx: lowest.box_idx as usize,
            score: lowest.score,
        });
    }
    Ok(curves)
}

fn box_of<'a>(candidate: &Candidate, results: &'a Results) -> &'a PredictedBox {
    &results.samples[candidate.results_idx as usize].boxes[candidate.box_idx as usize]
}

fn check_sizes(
    candidate: &Candidate,
    object_idx: u32,
    object: &GroundTruthBox,
    bbox: &PredictedBox,
    ground_truth: &GroundTruth,
    results: &Results,
) -> Result<(), EvaluateError> {
    let is_flat = |size: &[f64; 3]| size.iter().any(|side| *side <= 0.0);
    if is_flat(&object.size_m) {
        let sample = ground_truth.samples()[candidate.target as usize].token.clone();
        return Err(EvaluateError::FlatObject { sample, object_idx: object_idx as usize });
    }
    if is_flat(&bbox.size_m) {
        return Err(EvaluateError::Box {
            sample: results.samples[candidate.results_idx as usize].token.clone(),
            box_idx: candidate.box_idx as usize,
            field: BoxField::Size,
            problem: BoxProblem::NotPositive,
        });
    }
    Ok(())
}

/// In the order of [`TpError::ALL`].
fn errors(
    class: DetectionClass,
    distance_m: f64,
    object: &GroundTruthBox,
    bbox: &PredictedBox,
) -> [f64; N_ERRORS] {
    // A barrier looks the same from both sides.
    let period = if class == DetectionClass::Barrier { PI } else { 2.0 * PI };
    TpError::ALL.map(|error| match error {
        TpError::Translation => distance_m,
        TpError::Scale => 1.0 - aligned_iou(object.size_m, bbox.size_m),
        TpError::Orientation => angle_difference(yaw(object.rotation), yaw(bbox.rotation), period),
        TpError::Velocity => distance(bbox.velocity_mps, object.velocity_mps),
        TpError::Attribute => match object.attribute {
            None => f64::NAN,
            Some(attribute) => f64::from(u8::from(bbox.attribute != Some(attribute))),
        },
    })
}
