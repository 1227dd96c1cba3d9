//! nuScenes: a submission of boxes in the world's frame, and the benchmark's figures of it.

#[cfg(test)]
mod tests;

use super::Figures;
use anyhow::{Context, ensure};
use glam::{DQuat, DVec3};
use pilotis_datasets::nuscenes::{NuscenesDataset, SensorPose};
use pilotis_evaluate::nuscenes::{Attribute, Config, DetectionClass, GroundTruth, Results, evaluate};
use pilotis_spec::Detection;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// The submission, below the folder of the run.
pub const NUSCENES_RESULTS_FILE: &str = "nuscenes_results.json";

/// What the benchmark takes a sample.
const MAX_BOXES: usize = 500;

/// From this speed on something moves.
const MOVING_M_S: f64 = 0.2;

/// Which attribute a box is given: the model tells none.
///
/// Of a model that tells velocities, what is faster than 0.2 m/s moves (cycles: has a rider); what is not is parked,
/// or for buses stopped, for people standing, for cycles without a rider. Of a model that does not, each class has the
/// attribute that most of its objects have: people and buses move, other vehicles are parked, cycles are without a rider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeRule {
    /// Whether the model tells velocities.
    pub has_velocity: bool,
}

impl AttributeRule {
    /// The attribute of a box of this class and speed; cones and barriers have none.
    pub fn of(self, class: DetectionClass, speed_m_s: f64) -> Option<Attribute> {
        use DetectionClass as Class;
        let moves = match class {
            _ if self.has_velocity => speed_m_s > MOVING_M_S,
            Class::Pedestrian | Class::Bus => true,
            _ => false,
        };
        Some(match (class, moves) {
            (Class::TrafficCone | Class::Barrier, _) => return None,
            (Class::Pedestrian, true) => Attribute::PedestrianMoving,
            (Class::Pedestrian, false) => Attribute::PedestrianStanding,
            (Class::Bicycle | Class::Motorcycle, true) => Attribute::CycleWithRider,
            (Class::Bicycle | Class::Motorcycle, false) => Attribute::CycleWithoutRider,
            (_, true) => Attribute::VehicleMoving,
            (Class::Bus, false) => Attribute::VehicleStopped,
            (_, false) => Attribute::VehicleParked,
        })
    }
}

/// The class of the benchmark that a model's class counts as.
///
/// A `cyclist` is a bicycle: the benchmark's boxes of bicycles hold their riders.
pub(super) fn detection_class(name: &str) -> Option<DetectionClass> {
    if name == "cyclist" { Some(DetectionClass::Bicycle) } else { DetectionClass::from_name(name) }
}

/// A box as submissions write it: metres in the world's frame, width, length, height, quaternion `w, x, y, z`.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SubmittedBox {
    sample_token: String,
    translation: [f64; 3],
    size: [f64; 3],
    rotation: [f64; 4],
    velocity: [f64; 2],
    detection_name: &'static str,
    detection_score: f64,
    attribute_name: &'static str,
}

/// Collects the boxes of nuScenes' samples.
pub struct NuscenesResults {
    dataset: Arc<NuscenesDataset>,
    split: String,
    classes: Vec<Option<DetectionClass>>,
    rule: AttributeRule,
    turn_rad: f64,
    boxes: BTreeMap<String, Vec<SubmittedBox>>,
    n_nameless: usize,
    n_above_cap: usize,
}

impl NuscenesResults {
    /// Results of the split of a dataset; `classes` are the model's.
    ///
    /// `turn_rad` is how far the frame of the model is turned against the sensor's, counter-clockwise.
    ///
    /// **Errors**: a model none of whose classes the benchmark has.
    pub fn start(
        dataset: Arc<NuscenesDataset>,
        split: &str,
        classes: &[String],
        rule: AttributeRule,
        turn_rad: f32,
    ) -> anyhow::Result<Self> {
        let names = classes.iter().map(|name| detection_class(name)).collect::<Vec<_>>();
        let listed = classes.join(", ");
        ensure!(names.iter().any(Option::is_some), "nuScenes has none of the model's classes: {listed}");
        Ok(Self {
            dataset,
            split: split.to_owned(),
            classes: names,
            rule,
            turn_rad: f64::from(turn_rad),
            boxes: BTreeMap::new(),
            n_nameless: 0,
            n_above_cap: 0,
        })
    }

    /// Takes the boxes of a sample.
    ///
    /// **At capacity**: the surest 500 are kept, the others are counted.
    ///
    /// **Errors**: a sample that the tables do not have, or one without a key sweep.
    pub fn add(&mut self, idx: usize, name: &str, detections: &[Detection]) -> anyhow::Result<()> {
        let tables = self.dataset.tables();
        let sample = *self.dataset.samples().get(idx).with_context(|| format!("there is no sample {idx}"))?;
        let key = tables.key_lidar(sample).with_context(|| format!("sample `{name}` has no key sweep"))?;
        let pose = tables.pose_of(key);
        let mut boxes = Vec::with_capacity(detections.len());
        for detection in detections {
            match self.classes.get(detection.class_idx as usize).copied().flatten() {
                Some(class) => boxes.push(submitted(name, detection, class, &pose, self.turn_rad, self.rule)),
                None => self.n_nameless += 1,
            }
        }
        // Stable: of equal scores, those that the runtime puts first.
        boxes.sort_by(|a, b| b.detection_score.total_cmp(&a.detection_score));
        self.n_above_cap += boxes.len().saturating_sub(MAX_BOXES);
        boxes.truncate(MAX_BOXES);
        self.boxes.insert(name.to_owned(), boxes);
        Ok(())
    }

    /// Writes the submission, evaluates that file, and leaves the figures beside it.
    ///
    /// **Errors**: as of `evaluate nuscenes`.
    pub fn finish(self, out: &Path) -> anyhow::Result<(Figures, String)> {
        let path = out.join(NUSCENES_RESULTS_FILE);
        let meta = json!({
            "use_camera": false, "use_lidar": true, "use_radar": false, "use_map": false, "use_external": false
        });
        let cannot = || format!("cannot write `{}`", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(cannot)?);
        serde_json::to_writer(&mut file, &json!({ "meta": meta, "results": self.boxes }))
            .with_context(cannot)?;
        file.flush().with_context(cannot)?;
        drop(file);
        let ground_truth = GroundTruth::from_tables(self.dataset.tables(), &self.split)?;
        let report = evaluate(&ground_truth, &Results::read(&path)?, &Config::default())?;
        report.write(out).with_context(|| format!("cannot write into `{}`", out.display()))?;
        let mut figures = vec![
            ("nuscenes.mean_ap".to_owned(), report.mean_average_precision()),
            ("nuscenes.nd_score".to_owned(), report.detection_score()),
        ];
        for class in self.classes.iter().flatten() {
            let precision = report.class(*class).mean_average_precision();
            figures.push((format!("nuscenes.{}.mean_ap", class.name()), precision));
        }
        let said = format!(
            "{report}\n{} boxes in `{}`; left out: {} of classes that nuScenes does not have, {} beyond {MAX_BOXES} a sample",
            self.boxes.values().map(Vec::len).sum::<usize>(),
            path.display(),
            self.n_nameless,
            self.n_above_cap
        );
        Ok((figures, said))
    }
}

/// A box in the world's frame.
fn submitted(
    token: &str,
    detection: &Detection,
    class: DetectionClass,
    pose: &SensorPose,
    turn_rad: f64,
    rule: AttributeRule,
) -> SubmittedBox {
    let back = DQuat::from_rotation_z(-turn_rad);
    let outward = pose.ego.outward() * pose.sensor.outward();
    let rotation = DQuat::from_mat3(&pose.ego.rotation) * DQuat::from_mat3(&pose.sensor.rotation) * back;
    let heading = (rotation * DQuat::from_rotation_z(f64::from(detection.bbox.yaw))).normalize();
    let center = DVec3::from_array(detection.bbox.center.map(f64::from));
    let [vx, vy] = detection.velocity.map(f64::from);
    let velocity = rotation * DVec3::new(vx, vy, 0.0);
    let [length, width, height] = detection.bbox.size.map(f64::from);
    let attribute = rule.of(class, vx.hypot(vy));
    SubmittedBox {
        sample_token: token.to_owned(),
        translation: outward.transform_point3(back * center).to_array(),
        size: [width, length, height],
        rotation: [heading.w, heading.x, heading.y, heading.z],
        velocity: [velocity.x, velocity.y],
        detection_name: class.name(),
        detection_score: f64::from(detection.score),
        attribute_name: attribute.map_or("", Attribute::name),
    }
}
