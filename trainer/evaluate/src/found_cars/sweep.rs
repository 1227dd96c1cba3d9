//! The figures over the score, to choose a threshold by.

use super::{EvaluateError, FoundCars, LabelledFrame, Settings, evaluate, indices_of_cars};
use serde::Serialize;

/// The figures at one score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SweepPoint {
    /// Boxes below did not take part.
    pub min_score: f32,
    /// Cars that were found.
    pub n_found: usize,
    /// False boxes.
    pub n_false: usize,
    /// Share of the cars that were found.
    pub share: f64,
    /// False boxes a frame.
    pub false_per_frame: f64,
}

impl SweepPoint {
    fn of(found: &FoundCars) -> Self {
        Self {
            min_score: found.settings.min_score,
            n_found: found.n_found,
            n_false: found.n_false,
            share: found.share(),
            false_per_frame: found.false_per_frame(),
        }
    }
}

/// The figures at each of these scores; that of the settings is not used.
///
/// **Errors**: those of [`evaluate`].
pub fn sweep(
    frames: &[LabelledFrame],
    car_idx: usize,
    settings: &Settings,
    scores: &[f32],
) -> Result<Vec<SweepPoint>, EvaluateError> {
    scores
        .iter()
        .map(|min_score| {
            let settings = Settings { min_score: *min_score, ..*settings };
            Ok(SweepPoint::of(&evaluate(frames, car_idx, &settings)?))
        })
        .collect()
}

/// The score that finds most cars with at most this many false boxes a frame, the highest such.
///
/// Scores of boxes from that of the settings up are tried; `None` where none will do.
///
/// **Errors**: those of [`evaluate`].
pub fn best_score(
    frames: &[LabelledFrame],
    car_idx: usize,
    settings: &Settings,
    max_false_per_frame: f64,
) -> Result<Option<SweepPoint>, EvaluateError> {
    let of_frame = |f: &LabelledFrame| -> Vec<f32> {
        indices_of_cars(&f.detections, car_idx, settings.min_score).map(|i| f.detections[i].score).collect()
    };
    let mut scores: Vec<f32> = frames.iter().flat_map(of_frame).collect();
    scores.sort_by(f32::total_cmp);
    scores.dedup();
    let at = |min_score: f32| -> Result<SweepPoint, EvaluateError> {
        let settings = Settings { min_score, ..*settings };
        Ok(SweepPoint::of(&evaluate(frames, car_idx, &settings)?))
    };
    // Lower scores add boxes behind the others, so that neither found cars nor false boxes get fewer:
    // both edges can be searched by halves.
    let first = first_index(&scores, |score| Ok(at(score)?.false_per_frame <= max_false_per_frame))?;
    let Some(lowest) = scores.get(first) else { return Ok(None) };
    let best = at(*lowest)?;
    let end = first_index(&scores, |score| Ok(at(score)?.n_found < best.n_found))?;
    scores.get(end.saturating_sub(1)).map(|score| at(*score)).transpose()
}

/// The first index from which on the test holds; the length where it never does.
fn first_index(
    scores: &[f32],
    holds: impl Fn(f32) -> Result<bool, EvaluateError>,
) -> Result<usize, EvaluateError> {
    let (mut low, mut high) = (0, scores.len());
    while low < high {
        let middle = low.midpoint(high);
        if holds(scores[middle])? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
