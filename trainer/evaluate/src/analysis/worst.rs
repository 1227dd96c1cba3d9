//! The frames in which most goes wrong.

use super::breakdown::{OPERATING_IDX, at_score};
use super::frame::FrameSet;
use super::matching::{Fate, match_class, standing};
use super::rules::Rules;
use crate::center_distance::THRESHOLDS_M;

/// A frame, and what became of everything in it at the rules' score, within 2 m.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameFates {
    /// Which one of the set.
    pub frame_idx: usize,
    /// For each object, whether it was found; `None` for those that do not count.
    pub objects: Vec<Option<bool>>,
    /// For each detection, whether it is right; `None` for those that do not count.
    pub detections: Vec<Option<bool>>,
}

impl FrameFates {
    /// Objects that count and were not found.
    pub fn n_missed(&self) -> usize {
        self.objects.iter().filter(|o| **o == Some(false)).count()
    }

    /// Detections that count and are wrong.
    pub fn n_wrong(&self) -> usize {
        self.detections.iter().filter(|d| **d == Some(false)).count()
    }
}

/// The frames with most objects missed and boxes wrong, the worst first and of equals the first by
/// name; frames without either are left out.
///
/// **Errors**: none; rules are those of an analysis.
pub fn worst(set: &FrameSet, rules: &Rules, max_frames: usize) -> Vec<FrameFates> {
    let frames = set.frames();
    let mut fates: Vec<FrameFates> = frames
        .iter()
        .enumerate()
        .map(|(frame_idx, frame)| FrameFates {
            frame_idx,
            objects: vec![None; frame.objects.len()],
            detections: vec![None; frame.detections.len()],
        })
        .collect();
    for class_idx in 0..set.classes().len() {
        for (fates, frame) in fates.iter_mut().zip(frames) {
            for (fate, object) in fates.objects.iter_mut().zip(&frame.objects) {
                if standing(object, class_idx, rules) == Some(true) {
                    *fate = Some(false);
                }
            }
        }
        let matches = match_class(frames, class_idx, rules, THRESHOLDS_M[OPERATING_IDX]);
        for call in at_score(&matches, rules) {
            let fates = &mut fates[call.frame_idx];
            match call.fate {
                Fate::Neutral => {}
                Fate::Wrong => fates.detections[call.detection_idx] = Some(false),
                Fate::Right { object_idx, .. } => {
                    fates.detections[call.detection_idx] = Some(true);
                    fates.objects[object_idx] = Some(true);
                }
            }
        }
    }
    let n_bad = |f: &FrameFates| f.n_missed() + f.n_wrong();
    fates.retain(|f| n_bad(f) > 0);
    fates.sort_by_key(|f| std::cmp::Reverse(n_bad(f)));
    fates.truncate(max_frames);
    fates
}
