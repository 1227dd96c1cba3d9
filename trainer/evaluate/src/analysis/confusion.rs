//! What was taken for what.

use super::frame::Frame;
use super::rules::Rules;
use crate::center_distance::{OPERATING_THRESHOLD_M, center_distance};
use serde::Serialize;

/// Counts of labelled classes against found ones, at the rules' score.
///
/// Detections go by falling score, whatever their class; each takes the nearest free object of any
/// class within 2 m.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Row: the labelled class, and as the last one nothing at all. Column: the class that it was
    /// taken for, and as the last one missed. Objects that do not count are in no cell.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// How many of a labelled class there are.
    pub fn n_of_row(&self, row: usize) -> usize {
        self.counts[row].iter().sum()
    }

    pub(crate) fn of(frames: &[Frame], n_classes: usize, rules: &Rules) -> Self {
        let mut counts = vec![vec![0_usize; n_classes + 1]; n_classes + 1];
        for frame in frames {
            let mut objects: Vec<_> = frame.objects.iter().filter(|o| rules.holds(&o.bbox)).collect();
            let does_count = |o: &super::frame::Object| !o.ignored && o.n_points >= rules.min_points;
            let asked =
                frame.detections.iter().filter(|d| f64::from(d.score) >= rules.score && rules.holds(&d.bbox));
            for detection in asked {
                let mut taken = None;
                for wanted in [true, false] {
                    let mut nearest: Option<(f64, usize)> = None;
                    for (place, object) in objects.iter().enumerate() {
                        let distance = center_distance(&object.bbox, &detection.bbox);
                        let is_nearer = nearest.is_none_or(|(least, _)| distance < least);
                        if does_count(object) == wanted && distance < OPERATING_THRESHOLD_M && is_nearer {
                            nearest = Some((distance, place));
                        }
                    }
                    taken = nearest.map(|(_, place)| objects.remove(place));
                    if taken.is_some() {
                        break;
                    }
                }
                let column = detection.class_idx as usize;
                match taken {
                    Some(object) if does_count(object) => counts[object.class_idx as usize][column] += 1,
                    Some(_) => {}
                    None => counts[n_classes][column] += 1,
                }
            }
            for missed in objects.into_iter().filter(|o| does_count(o)) {
                counts[missed.class_idx as usize][n_classes] += 1;
            }
        }
        Self { counts }
    }
}
