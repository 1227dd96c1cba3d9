//! Found cars: which share of the labelled cars a model finds, and how many boxes it makes up.
//!
//! A figure for recorded frames, at one score. Distances are horizontal; the range of an object or
//! a box is that of its centre from the sensor. In each frame:
//!
//! 1. Boxes of cars with at least the score go by falling score, of equal scores the lower index
//!    first. Each takes the nearest labelled car that none has taken, of those within `center_m`
//!    whose length, width and height are each within `side_factor` of the box's; of equally near
//!    ones the lower index.
//! 2. Labelled cars nearer than `max_range_m` with at least `min_points` points **count**: they are
//!    found where a box took them, else missed. A box that took any other labelled car is neither
//!    right nor wrong.
//! 3. Then, in the same order, each box that took none and is nearer than `max_range_m` takes the
//!    nearest labelled vehicle within `near_vehicle_m` that none has taken, cars included. That
//!    finds nothing, but the box is no false one: it saw a vehicle and misjudged it. A box without
//!    such a vehicle is **false**.
//!
//! The second pass starts after the first has ended, so that a box on a vehicle that another box
//! finds is false however high its score. Nothing is known of what was not labelled: frames must
//! be cropped to the field that was, as the reader of KITTI's layout crops them.

mod report;
mod sweep;
#[cfg(test)]
mod tests;

pub use report::{Bands, Near, near_box};
pub use sweep::{SweepPoint, best_score, sweep};

use super::center_distance::{EvaluateError, center_distance, is_sound};
use pilotis_datasets::GroundTruth;
use pilotis_spec::{Box3d, Detection};
use serde::Serialize;

/// Name of the class that is looked for, in labels and in models.
pub const CAR: &str = "car";

/// Labelled classes near which a box of a car is no false one: those of four wheels and more.
pub const VEHICLES: [&str; 7] = [CAR, "van", "truck", "bus", "trailer", "construction_vehicle", "tram"];

/// What is labelled in a frame, and what a model says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelledFrame {
    /// The frame's name.
    pub name: String,
    /// Labelled objects of every class.
    pub objects: Vec<GroundTruth>,
    /// Boxes of every class.
    pub detections: Vec<Detection>,
}

/// Which cars count, and what finds them.
///
/// **Units and frame**: metres, horizontally.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Cars and boxes at this range or further do not count.
    pub max_range_m: f64,
    /// Cars with fewer points do not count.
    pub min_points: u32,
    /// A box finds a car up to this distance of their centres.
    pub center_m: f64,
    /// Each side of the box is at most this many times that of the car, and the other way round.
    pub side_factor: f64,
    /// A box up to this far from a free vehicle is no false one.
    pub near_vehicle_m: f64,
    /// Boxes below do not take part.
    pub min_score: f32,
    /// Names of the labelled classes that are vehicles.
    pub vehicles: &'static [&'static str],
}

impl Settings {
    /// The usual rules, at a score.
    pub fn at(min_score: f32) -> Self {
        Self {
            max_range_m: 40.0,
            min_points: 20,
            center_m: 1.0,
            side_factor: 1.5,
            near_vehicle_m: 2.0,
            min_score,
            vehicles: &VEHICLES,
        }
    }

    /// Whether an object is a car that must be found.
    pub fn counts(&self, object: &GroundTruth) -> bool {
        object.class_name == CAR && object.n_points >= self.min_points && self.in_range(&object.bbox)
    }

    fn in_range(&self, bbox: &Box3d) -> bool {
        range_m(bbox) < self.max_range_m
    }
}

/// What became of a labelled object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFate {
    /// A car that counts and that a box took.
    Found,
    /// A car that counts and that no box took.
    Missed,
    /// Any other object.
    NotCounted,
}

/// What became of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxFate {
    /// Took a car that counts: this object of the frame.
    Finds(usize),
    /// Took a car that does not count, or stands near a free vehicle, or is too far away.
    Neutral,
    /// Stands where no vehicle is labelled.
    False,
    /// Of another class, or below the score.
    LeftOut,
}

/// What became of everything in a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameFate {
    /// One for each labelled object, in their order.
    pub objects: Vec<ObjectFate>,
    /// One for each box, in their order.
    pub boxes: Vec<BoxFate>,
}

impl FrameFate {
    /// Objects that were missed.
    pub fn missed(&self) -> impl Iterator<Item = usize> {
        indices(&self.objects, ObjectFate::Missed)
    }

    /// Boxes that are false.
    pub fn false_boxes(&self) -> impl Iterator<Item = usize> {
        indices(&self.boxes, BoxFate::False)
    }

    fn n_found(&self) -> usize {
        indices(&self.objects, ObjectFate::Found).count()
    }
}

fn indices<T: PartialEq + Copy>(of: &[T], wanted: T) -> impl Iterator<Item = usize> {
    of.iter().enumerate().filter(move |(_, v)| **v == wanted).map(|(idx, _)| idx)
}

/// The figures of all frames.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundCars {
    /// By which rules.
    pub settings: Settings,
    /// Labelled cars that count.
    pub n_cars: usize,
    /// Those of them that were found.
    pub n_found: usize,
    /// False boxes.
    pub n_false: usize,
    /// Cars and false boxes by range.
    pub by_range: Bands,
    /// Cars by number of points.
    pub by_points: Bands,
    /// One for each frame, in their order.
    pub frames: Vec<FrameFate>,
}

impl FoundCars {
    /// Share of the cars that were found; 0 without any.
    pub fn share(&self) -> f64 {
        share(self.n_found, self.n_cars)
    }

    /// False boxes a frame.
    pub fn false_per_frame(&self) -> f64 {
        share(self.n_false, self.frames.len())
    }
}

fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// Evaluates frames by the rules above; `car_idx` is the model's class `car`.
///
/// **Errors**: no frames, or a box or score that is not sound.
pub fn evaluate(
    frames: &[LabelledFrame],
    car_idx: usize,
    settings: &Settings,
) -> Result<FoundCars, EvaluateError> {
    check(frames)?;
    let fates: Vec<FrameFate> = frames.iter().map(|frame| fate_of(frame, car_idx, settings)).collect();
    let (by_range, by_points) = report::bands(frames, &fates, settings);
    Ok(FoundCars {
        settings: *settings,
        n_cars: frames.iter().flat_map(|f| &f.objects).filter(|o| settings.counts(o)).count(),
        n_found: fates.iter().map(FrameFate::n_found).sum(),
        n_false: fates.iter().map(|fate| fate.false_boxes().count()).sum(),
        by_range,
        by_points,
        frames: fates,
    })
}

fn check(frames: &[LabelledFrame]) -> Result<(), EvaluateError> {
    if frames.is_empty() {
        return Err(EvaluateError::NoFrames);
    }
    for (frame_idx, frame) in frames.iter().enumerate() {
        if let Some(idx) = frame.objects.iter().position(|o| !is_sound(&o.bbox, 0.0)) {
            return Err(EvaluateError::Unsound { frame_idx, kind: "ground truth", idx });
        }
        if let Some(idx) = frame.detections.iter().position(|d| !is_sound(&d.bbox, d.score)) {
            return Err(EvaluateError::Unsound { frame_idx, kind: "detection", idx });
        }
    }
    Ok(())
}

fn fate_of(frame: &LabelledFrame, car_idx: usize, settings: &Settings) -> FrameFate {
    let (objects, detections) = (&frame.objects, &frame.detections);
    let mut order: Vec<usize> = indices_of_cars(detections, car_idx, settings.min_score).collect();
    // A stable sort: of equal scores the lower index stays first.
    order.sort_by(|a, b| detections[*b].score.total_cmp(&detections[*a].score));
    let mut taken = vec![false; objects.len()];
    let mut fate = FrameFate {
        objects: vec![ObjectFate::NotCounted; objects.len()],
        boxes: vec![BoxFate::LeftOut; detections.len()],
    };
    let mut left = Vec::new();
    for idx in order {
        let bbox = &detections[idx].bbox;
        let fits =
            |o: &GroundTruth| o.class_name == CAR && side_factor(&o.bbox, bbox) <= settings.side_factor;
        match take_nearest(objects, &mut taken, bbox, settings.center_m, fits) {
            Some(object_idx) if settings.counts(&objects[object_idx]) => {
                fate.boxes[idx] = BoxFate::Finds(object_idx);
            }
            Some(_) => fate.boxes[idx] = BoxFate::Neutral,
            None => left.push(idx),
        }
    }
    for (object, (fate, taken)) in objects.iter().zip(fate.objects.iter_mut().zip(&taken)) {
        if settings.counts(object) {
            *fate = if *taken { ObjectFate::Found } else { ObjectFate::Missed };
        }
    }
    for idx in left {
        let bbox = &detections[idx].bbox;
        let is_vehicle = |o: &GroundTruth| settings.vehicles.contains(&o.class_name.as_str());
        let is_neutral = !settings.in_range(bbox)
            || take_nearest(objects, &mut taken, bbox, settings.near_vehicle_m, is_vehicle).is_some();
        fate.boxes[idx] = if is_neutral { BoxFate::Neutral } else { BoxFate::False };
    }
    fate
}

fn indices_of_cars(detections: &[Detection], car_idx: usize, min_score: f32) -> impl Iterator<Item = usize> {
    let all = detections.iter().enumerate();
    all.filter(move |(_, d)| d.class_idx as usize == car_idx && d.score >= min_score).map(|(idx, _)| idx)
}

/// Takes the nearest free object up to this far away that is fit for it, the first of equally near ones.
fn take_nearest(
    objects: &[GroundTruth],
    taken: &mut [bool],
    bbox: &Box3d,
    within_m: f64,
    is_fit: impl Fn(&GroundTruth) -> bool,
) -> Option<usize> {
    let mut nearest: Option<(f64, usize)> = None;
    for (idx, object) in objects.iter().enumerate() {
        let distance = center_distance(&object.bbox, bbox);
        let is_nearer = distance <= within_m && nearest.is_none_or(|(least, _)| distance < least);
        if is_nearer && !taken[idx] && is_fit(object) {
            nearest = Some((distance, idx));
        }
    }
    let (_, idx) = nearest?;
    taken[idx] = true;
    Some(idx)
}

/// Horizontal distance of a centre from the sensor, in metres.
pub fn range_m(bbox: &Box3d) -> f64 {
    libm::hypot(f64::from(bbox.center[0]), f64::from(bbox.center[1]))
}

/// How many times the larger of two sides is the smaller: the worst of length, width and height.
pub fn side_factor(a: &Box3d, b: &Box3d) -> f64 {
    let one = |k: usize| f64::from(a.size[k].max(b.size[k])) / f64::from(a.size[k].min(b.size[k]));
    (0..3).map(one).fold(1.0, f64::max)
}
