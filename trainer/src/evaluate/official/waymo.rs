//! Waymo: files of objects, ground truths and predictions, and the metric's figures of them.

use super::Figures;
use crate::datasets::points_in_box;
use crate::datasets::waymo::{WaymoFrame, WaymoLabel};
use crate::evaluate::deployed::write_json;
use crate::evaluate::frames::WaymoFrames;
use anyhow::ensure;
use pilotis_datasets::Motion;
use pilotis_evaluate::waymo::{
    FrameKey, LabelBox, Level, ObjectType, Settings, WaymoObject, WaymoObjects, evaluate,
};
use pilotis_spec::Detection;
use std::path::Path;
use std::sync::Arc;

/// Ground truths as `metrics.Objects`, below the folder of the run.
pub const WAYMO_GROUND_TRUTHS_FILE: &str = "waymo_ground_truths.bin";
/// Predictions as `metrics.Objects`, beside them.
pub const WAYMO_PREDICTIONS_FILE: &str = "waymo_predictions.bin";

/// The type of the benchmark that a model's class counts as; a motorcycle with its rider is a vehicle there.
fn object_type(name: &str) -> Option<ObjectType> {
    match name {
        "car" | "van" | "truck" | "bus" | "tram" | "trailer" | "construction_vehicle" | "motorcycle" => {
            Some(ObjectType::Vehicle)
        }
        "bicycle" => Some(ObjectType::Cyclist),
        _ => ObjectType::from_name(name),
    }
}

/// Collects the labels and the boxes of Waymo's frames.
pub struct WaymoResults {
    frames: Arc<WaymoFrames>,
    classes: Vec<Option<ObjectType>>,
    /// What brought the frames to the model's axes.
    motion: Motion,
    ground_truths: WaymoObjects,
    predictions: WaymoObjects,
    n_nameless: usize,
}

impl WaymoResults {
    /// Results of these frames; `classes` are the model's.
    ///
    /// **Errors**: a model none of whose classes the benchmark has.
    pub fn start(frames: Arc<WaymoFrames>, classes: &[String], motion: Motion) -> anyhow::Result<Self> {
        let types: Vec<_> = classes.iter().map(|name| object_type(name)).collect();
        let listed = classes.join(", ");
        ensure!(types.iter().any(Option::is_some), "Waymo has none of the model's classes: {listed}");
        Ok(Self {
            frames,
            classes: types,
            motion,
            ground_truths: WaymoObjects::default(),
            predictions: WaymoObjects::default(),
            n_nameless: 0,
        })
    }

    /// Takes the boxes of a frame.
    ///
    /// A box in which a point of a no-label zone lies overlaps with that zone: it counts neither for nor against.
    ///
    /// **Errors**: a frame that cannot be read.
    pub fn add(&mut self, idx: usize, detections: &[Detection]) -> anyhow::Result<()> {
        let frame = self.frames.frame(idx)?;
        let key =
            FrameKey { context_name: frame.context_name.clone(), timestamp_micros: frame.timestamp_micros };
        let frame_idx = self.ground_truths.frame_idx(&key);
        self.ground_truths.objects.extend(frame.labels.iter().map(|label| ground_truth(frame_idx, label)));
        let frame_idx = self.predictions.frame_idx(&key);
        for detection in detections {
            match self.classes.get(detection.class_idx as usize).copied().flatten() {
                Some(object_type) => {
                    let prediction = prediction(frame_idx, detection, object_type, self.motion, &frame);
                    self.predictions.objects.push(prediction);
                }
                None => self.n_nameless += 1,
            }
        }
        Ok(())
    }

    /// Writes both files, evaluates them as they were written, and leaves the figures beside them.
    ///
    /// **Errors**: as of `evaluate waymo`.
    pub fn finish(self, out: &Path) -> anyhow::Result<(Figures, String)> {
        let paths = [WAYMO_GROUND_TRUTHS_FILE, WAYMO_PREDICTIONS_FILE].map(|name| out.join(name));
        self.ground_truths.write(&paths[0])?;
        self.predictions.write(&paths[1])?;
        let read = |path: &Path| WaymoObjects::read(path);
        let report = evaluate(&read(&paths[0])?, &read(&paths[1])?, &Settings::default())?;
        write_json(&out.join("waymo_summary.json"), &report.summary_json())?;
        write_json(&out.join("waymo_details.json"), &report.details_json())?;
        // Types that the model does not know have no figures.
        let known = report.figures.iter().filter(|f| self.classes.contains(&Some(f.breakdown.object_type)));
        let figures = known.flat_map(|f| {
            [
                (format!("waymo.{}.ap", f.breakdown), f.average_precision),
                (format!("waymo.{}.aph", f.breakdown), f.average_precision_heading),
            ]
        });
        let said = format!(
            "{report}\n{} boxes in `{}`; left out: {} of classes that Waymo does not have",
            self.predictions.objects.len(),
            paths[1].display(),
            self.n_nameless
        );
        Ok((figures.collect(), said))
    }
}

fn ground_truth(frame_idx: u32, label: &WaymoLabel) -> WaymoObject {
    WaymoObject {
        frame_idx,
        object_type: ObjectType::from_name(label.class_name()),
        bbox: LabelBox { center: label.center, size: label.size, heading: label.heading },
        score: 1.0,
        overlaps_no_label_zone: false,
        level: match label.difficulty {
            1 => Some(Level::One),
            2 => Some(Level::Two),
            _ => None,
        },
        n_points: Some(label.n_points),
    }
}

/// A box back in the vehicle's frame.
fn prediction(
    frame_idx: u32,
    detection: &Detection,
    object_type: ObjectType,
    motion: Motion,
    frame: &WaymoFrame,
) -> WaymoObject {
    let bbox = motion.undo(&detection.bbox);
    WaymoObject {
        frame_idx,
        object_type: Some(object_type),
        bbox: LabelBox {
            center: bbox.center.map(f64::from),
            size: bbox.size.map(f64::from),
            heading: f64::from(bbox.yaw),
        },
        score: detection.score,
        overlaps_no_label_zone: points_in_box(&frame.points_in_no_label_zones, &bbox) > 0,
        level: None,
        n_points: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::{Box3d, Point};

    fn frame(zone: &[[f32; 3]]) -> WaymoFrame {
        let point = |[x, y, z]: &[f32; 3]| Point { x: *x, y: *y, z: *z, ..Point::default() };
        WaymoFrame {
            context_name: "segment".to_owned(),
            timestamp_micros: 5,
            points: Vec::new(),
            points_in_no_label_zones: zone.iter().map(point).collect(),
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_box_comes_back_into_the_frame_of_the_vehicle() {
        // The model has x to the left of the vehicle, and its origin 1.73 m above the ground.
        let motion = Motion { turn_rad: -std::f32::consts::FRAC_PI_2, raise_m: -1.73, ..Motion::default() };
        let bbox = Box3d { center: [2.0, -10.0, -0.73], size: [4.0, 2.0, 1.5], yaw: 0.25 };
        let detection = Detection { bbox, score: 0.5, ..Detection::default() };
        let of = |zone: &[[f32; 3]]| prediction(3, &detection, ObjectType::Vehicle, motion, &frame(zone));
        let object = of(&[]);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        let [x, y, z] = object.bbox.center;
        assert!(near(x, 10.0) && near(y, 2.0) && near(z, 1.0), "{object:?}");
        assert!(near(object.bbox.heading, 0.25 + std::f64::consts::FRAC_PI_2), "{object:?}");
        assert_eq!((object.frame_idx, object.score, object.overlaps_no_label_zone), (3, 0.5, false));
        // In the vehicle's frame, and not in that of the model.
        assert!(of(&[[10.0, 2.0, 1.0]]).overlaps_no_label_zone);
        assert!(!of(&[[2.0, -10.0, -0.73], [20.0, 2.0, 1.0]]).overlaps_no_label_zone);
    }

    #[test]
    fn classes_count_as_the_types_that_hold_them() {
        let types = ["car", "bus", "motorcycle", "cyclist", "bicycle", "pedestrian", "sign", "barrier"];
        let expected = [
            Some(ObjectType::Vehicle),
            Some(ObjectType::Vehicle),
            Some(ObjectType::Vehicle),
            Some(ObjectType::Cyclist),
            Some(ObjectType::Cyclist),
            Some(ObjectType::Pedestrian),
            Some(ObjectType::Sign),
            None,
        ];
        assert_eq!(types.map(object_type), expected);
        assert_eq!(object_type("vehicle"), Some(ObjectType::Vehicle));
    }
}
