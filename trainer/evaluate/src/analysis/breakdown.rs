//! The figures in parts: by distance, points in the box, occlusion and speed.
//!
//! Matching is done once over everything of a class; a breakdown only divides its result. A right
//! detection belongs where its object belongs. A wrong one belongs where it says itself that it is, if
//! every detection of the class says so; else each part bears a share of it that is the part's share of
//! the objects, so that a part drawn at random has the average precision of the whole.
//!
//! **Source** of the shares: Hoiem, Chodpathumwan, Dai, Diagnosing Error in Object Detectors, 2012
//! (normalised precision).

use super::curve::Walk;
use super::errors::{ErrorSums, Errors};
use super::frame::{Found, Frame, Object};
use super::matching::{Fate, Matches, is_asked, standing};
use super::rules::Rules;
use crate::center_distance::{OPERATING_THRESHOLD_M, THRESHOLDS_M};
use serde::Serialize;

/// Parts with fewer objects say that they are too few to tell.
pub const FEW_OBJECTS: usize = 30;

/// What a breakdown goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// Horizontal distance of the centre from the origin.
    Distance,
    /// Points in the box.
    Points,
    /// The dataset's degree of occlusion.
    Occlusion,
    /// Horizontal speed.
    Speed,
}

/// Where wrong detections belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WrongOnes {
    /// Where they say themselves that they are.
    InTheirOwnPart,
    /// To every part, by its share of the objects.
    ByShare,
}

/// One class, divided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breakdown {
    /// By what.
    pub attribute: Attribute,
    /// Where wrong detections were counted.
    pub wrong_ones: WrongOnes,
    /// The parts, in order; at least one.
    pub parts: Vec<Part>,
}

/// The figures of one part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What lies in it.
    pub label: String,
    /// Objects that count.
    pub n_objects: usize,
    /// Fewer than [`FEW_OBJECTS`]: the figures say little.
    pub is_few: bool,
    /// Average precision, the mean over all thresholds; `None` without objects.
    pub average_precision: Option<f64>,
    /// Share of the objects found at the rules' score, within 2 m; `None` without objects.
    pub recall: Option<f64>,
    /// Wrong detections at the rules' score, a fraction where they are shared.
    pub n_wrong: f64,
    /// Of right detections at the rules' score.
    pub errors: Errors,
}

impl Attribute {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 4] = [Self::Distance, Self::Points, Self::Occlusion, Self::Speed];

    /// Its name and unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::Distance => "distance, m",
            Self::Points => "points in the box",
            Self::Occlusion => "occlusion, degree",
            Self::Speed => "speed, m/s",
        }
    }

    /// Where parts end, each exclusively; the last one has no end.
    fn ends(self) -> &'static [f64] {
        match self {
            Self::Distance => &[10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0],
            Self::Points => &[1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0],
            // Degrees are few and small in every dataset; the last part holds what is beyond.
            Self::Occlusion => &[1.0, 2.0, 3.0, 4.0],
            // The bounds of Waymo's breakdown: stationary, slow, medium, fast, very fast.
            Self::Speed => &[0.2, 1.0, 3.0, 10.0],
        }
    }

    /// What its parts are called, in order.
    pub fn labels(self) -> Vec<String> {
        (0..self.ends().len() + 2).map(|place| self.label(place)).collect()
    }

    fn of_object(self, object: &Object) -> Option<f64> {
        match self {
            Self::Distance => Some(distance_m(object.bbox.center)),
            Self::Points => Some(f64::from(object.n_points)),
            Self::Occlusion => object.occlusion.map(f64::from),
            Self::Speed => object.velocity.map(speed),
        }
    }

    fn of_found(self, found: &Found) -> Option<f64> {
        match self {
            Self::Distance => Some(distance_m(found.bbox.center)),
            Self::Points => found.n_points.map(f64::from),
            Self::Occlusion => None,
            Self::Speed => found.velocity.map(speed),
        }
    }

    /// Which part a value lies in; objects without one make a last part of their own.
    fn place(self, value: Option<f64>) -> usize {
        let ends = self.ends();
        value.map_or(ends.len() + 1, |v| ends.partition_point(|end| *end <= v))
    }

    fn label(self, place: usize) -> String {
        let ends = self.ends();
        if place > ends.len() {
            return "unknown".to_owned();
        }
        let from = if place == 0 { 0.0 } else { ends[place - 1] };
        let whole = matches!(self, Self::Points | Self::Occlusion);
        match ends.get(place) {
            None => format!("{from}+"),
            Some(to) if whole && (to - from - 1.0).abs() < 0.5 => format!("{from}"),
            Some(to) if whole => format!("{from}-{}", to - 1.0),
            Some(to) => format!("{from}-{to}"),
        }
    }
}

fn distance_m(center: [f32; 3]) -> f64 {
    libm::hypot(f64::from(center[0]), f64::from(center[1]))
}

fn speed(velocity: [f32; 2]) -> f64 {
    libm::hypot(f64::from(velocity[0]), f64::from(velocity[1]))
}

/// Divides one class; `None` if no object of it has the attribute.
///
/// `matches` are those of [`THRESHOLDS_M`], in their order.
pub(crate) fn divide(
    attribute: Attribute,
    frames: &[Frame],
    class_idx: usize,
    class: &str,
    matches: &[Matches; THRESHOLDS_M.len()],
    rules: &Rules,
) -> Option<Breakdown> {
    let n_places = attribute.ends().len() + 2;
    let mut n_objects = vec![0_usize; n_places];
    for object in frames.iter().flat_map(|f| &f.objects) {
        if standing(object, class_idx, rules) == Some(true) {
            n_objects[attribute.place(attribute.of_object(object))] += 1;
        }
    }
    if n_objects[..n_places - 1].iter().all(|n| *n == 0) {
        return None;
    }
    let all_say = frames
        .iter()
        .flat_map(|f| &f.detections)
        .filter(|d| is_asked(d, class_idx, rules))
        .all(|d| attribute.of_found(d).is_some());
    let wrong_ones = if all_say { WrongOnes::InTheirOwnPart } else { WrongOnes::ByShare };
    let n_all = n_objects.iter().sum::<usize>() as f64;
    let share = |place: usize| n_objects[place] as f64 / n_all;

    let mut sums = vec![0.0; n_places];
    let mut walks = vec![Walk::default(); n_places];
    for matches in matches {
        walks.iter_mut().zip(&n_objects).for_each(|(walk, n)| walk.begin(*n as f64));
        for call in &matches.calls {
            let frame = &frames[call.frame_idx];
            match call.fate {
                Fate::Neutral => {}
                Fate::Right { object_idx, .. } => {
                    let place = attribute.place(attribute.of_object(&frame.objects[object_idx]));
                    walks[place].step(1.0, 0.0);
                }
                Fate::Wrong if all_say => {
                    let found = &frame.detections[call.detection_idx];
                    walks[attribute.place(attribute.of_found(found))].step(0.0, 1.0);
                }
                Fate::Wrong => {
                    walks.iter_mut().enumerate().for_each(|(place, walk)| walk.step(0.0, share(place)));
                }
            }
        }
        sums.iter_mut().zip(&walks).for_each(|(sum, walk)| *sum += walk.average_precision());
    }

    let mut n_wrong = vec![0.0; n_places];
    let mut errors = vec![ErrorSums::default(); n_places];
    for call in at_score(&matches[OPERATING_IDX], rules) {
        let frame = &frames[call.frame_idx];
        let found = &frame.detections[call.detection_idx];
        match call.fate {
            Fate::Neutral => {}
            Fate::Right { object_idx, distance_m } => {
                let object = &frame.objects[object_idx];
                let place = attribute.place(attribute.of_object(object));
                errors[place].add(&ErrorSums::of(class, object, found, distance_m), 1.0);
            }
            Fate::Wrong if all_say => n_wrong[attribute.place(attribute.of_found(found))] += 1.0,
            Fate::Wrong => n_wrong.iter_mut().enumerate().for_each(|(place, n)| *n += share(place)),
        }
    }

    let parts = (0..n_places).map(|place| {
        let n = n_objects[place];
        Part {
            label: attribute.label(place),
            n_objects: n,
            is_few: n < FEW_OBJECTS,
            average_precision: (n > 0).then(|| sums[place] / THRESHOLDS_M.len() as f64),
            recall: (n > 0).then(|| errors[place].n / n as f64),
            n_wrong: n_wrong[place],
            errors: errors[place].means(),
        }
    });
    let parts = parts.filter(|part| part.n_objects > 0 || part.n_wrong > 0.0).collect();
    Some(Breakdown { attribute, wrong_ones, parts })
}

/// Which of [`THRESHOLDS_M`] recall, precision and errors are taken at.
pub(crate) const OPERATING_IDX: usize = 2;
const _: () = assert!(THRESHOLDS_M[OPERATING_IDX] == OPERATING_THRESHOLD_M);

/// Calls that the rules' score lets through.
pub(crate) fn at_score<'a>(
    matches: &'a Matches,
    rules: &Rules,
) -> impl Iterator<Item = &'a super::matching::Call> {
    let least = rules.score;
    matches.calls.iter().filter(move |call| f64::from(call.score) >= least)
}
