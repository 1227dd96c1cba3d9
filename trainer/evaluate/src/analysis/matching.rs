//! Who found whom: nuScenes' greedy matching, once over everything of a class.

use super::frame::{Found, Frame, Object};
use super::rules::Rules;
use crate::center_distance::{THRESHOLDS_M, center_distance};

/// What became of a detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    /// Took this object of its frame, so far away.
    Right { object_idx: usize, distance_m: f64 },
    /// Took an object that does not count.
    Neutral,
    /// Took nothing.
    Wrong,
}

/// A detection of the class, and what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) frame_idx: usize,
    pub(crate) detection_idx: usize,
    pub(crate) score: f32,
    pub(crate) fate: Fate,
}

/// All detections of a class, best first, matched at one threshold.
#[derive(Clone, Debug)]
pub(crate) struct Matches {
    pub(crate) calls: Vec<Call>,
    /// Objects that count.
    pub(crate) n_objects: usize,
    /// Objects of the class in range that do not.
    pub(crate) n_ignored: usize,
}

/// Whether an object takes part, and whether it then counts.
pub(crate) fn standing(object: &Object, class_idx: usize, rules: &Rules) -> Option<bool> {
    let takes_part = object.class_idx as usize == class_idx && rules.holds(&object.bbox);
    takes_part.then_some(!object.ignored && object.n_points >= rules.min_points)
}

/// Whether a detection takes part.
pub(crate) fn is_asked(detection: &Found, class_idx: usize, rules: &Rules) -> bool {
    detection.class_idx as usize == class_idx && rules.holds(&detection.bbox)
}

/// Matches one class at one threshold.
///
/// **Determinism**: of equal scores the detection of the earlier frame goes first, then the one that
/// stands first in its frame; of equally near objects the first is taken. All three orders are those of
/// a [`super::FrameSet`].
pub(crate) fn match_class(frames: &[Frame], class_idx: usize, rules: &Rules, threshold_m: f64) -> Matches {
    let mut matches = Matches { calls: Vec::new(), n_objects: 0, n_ignored: 0 };
    for (frame_idx, frame) in frames.iter().enumerate() {
        let mut objects: Vec<(usize, &Object, bool)> = Vec::new();
        for (idx, object) in frame.objects.iter().enumerate() {
            if let Some(counts) = standing(object, class_idx, rules) {
                objects.push((idx, object, counts));
            }
        }
        let n_counted = objects.iter().filter(|(.., counts)| *counts).count();
        matches.n_objects += n_counted;
        matches.n_ignored += objects.len() - n_counted;
        // Frames do not meet, and within one the detections stand best first already.
        for (detection_idx, detection) in frame.detections.iter().enumerate() {
            if is_asked(detection, class_idx, rules) {
                let fate = take(&mut objects, detection, threshold_m);
                let score = detection.score;
                matches.calls.push(Call { frame_idx, detection_idx, score, fate });
            }
        }
    }
    matches.calls.sort_by(|a, b| b.score.total_cmp(&a.score));
    matches
}

/// Takes the nearest counted object within the threshold, else the nearest ignored one.
fn take(objects: &mut Vec<(usize, &Object, bool)>, detection: &Found, threshold_m: f64) -> Fate {
    for wanted in [true, false] {
        let mut nearest: Option<(f64, usize)> = None;
        for (place, (_, object, counts)) in objects.iter().enumerate() {
            let distance = center_distance(&object.bbox, &detection.bbox);
            if *counts == wanted && nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, place));
            }
        }
        if let Some((distance_m, place)) = nearest.filter(|(distance, _)| *distance < threshold_m) {
            let (object_idx, ..) = objects.remove(place);
            return if wanted { Fate::Right { object_idx, distance_m } } else { Fate::Neutral };
        }
    }
    Fate::Wrong
}

/// A class matched at every threshold of [`THRESHOLDS_M`].
pub(crate) fn match_all(frames: &[Frame], class_idx: usize, rules: &Rules) -> [Matches; THRESHOLDS_M.len()] {
    THRESHOLDS_M.map(|threshold_m| match_class(frames, class_idx, rules, threshold_m))
}
