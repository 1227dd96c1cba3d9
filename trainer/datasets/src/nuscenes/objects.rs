//! Boxes: what they are called, how they move, where they are from the sensor.

use super::Tables;
use super::error::TablesError;
use super::pose::{Pose, SensorPose};
use super::schema::{Annotation, Sample};
use super::table::Id;
use crate::GroundTruth;
use glam::DVec3;
use pilotis_spec::Box3d;
use pilotis_spec::codec::normalize_yaw;

/// The ten classes of the detection benchmark, in its order.
pub const DETECTION_CLASSES: [&str; 10] = [
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
];

/// Categories that have a class; the benchmark leaves all others out.
const CLASS_OF_CATEGORY: [(&str, &str); 14] = [
    ("movable_object.barrier", "barrier"),
    ("vehicle.bicycle", "bicycle"),
    ("vehicle.bus.bendy", "bus"),
    ("vehicle.bus.rigid", "bus"),
    ("vehicle.car", "car"),
    ("vehicle.construction", "construction_vehicle"),
    ("vehicle.motorcycle", "motorcycle"),
    ("human.pedestrian.adult", "pedestrian"),
    ("human.pedestrian.child", "pedestrian"),
    ("human.pedestrian.construction_worker", "pedestrian"),
    ("human.pedestrian.police_officer", "pedestrian"),
    ("movable_object.trafficcone", "traffic_cone"),
    ("vehicle.trailer", "trailer"),
    ("vehicle.truck", "truck"),
];

/// Boxes further apart in time than this say nothing of a velocity; twice that for one before and one after.
const MAX_STEP_S: f64 = 1.5;

/// The class of the detection benchmark that a category is taken for.
pub fn detection_class(category: &str) -> Option<&'static str> {
    CLASS_OF_CATEGORY.iter().find(|(name, _)| *name == category).map(|(_, class)| *class)
}

impl Tables {
    /// Velocity of an annotated object in the world; NaN where it is not known.
    ///
    /// From the box before to the box after or, where one of them is missing, to or from its own; unknown without
    /// either, or if they are more than 1.5 s a step apart.
    ///
    /// **Units and frame**: m/s along the world's x, y, z.
    ///
    /// **Source**: `NuScenes.box_velocity`.
    pub fn box_velocity(&self, annotation: Id<Annotation>) -> [f64; 3] {
        let row = &self.annotations[annotation];
        if row.prev.is_none() && row.next.is_none() {
            return [f64::NAN; 3];
        }
        let is_centred = row.prev.is_some() && row.next.is_some();
        let first = &self.annotations[row.prev.unwrap_or(annotation)];
        let last = &self.annotations[row.next.unwrap_or(annotation)];
        // Each time is rounded to a double before the difference, which shows in the last digits.
        let time_s = |row: &Annotation| 1e-6 * self.samples[row.sample].timestamp_us as f64;
        let step_s = time_s(last) - time_s(first);
        let max_step_s = if is_centred { 2.0 * MAX_STEP_S } else { MAX_STEP_S };
        if step_s > max_step_s {
            return [f64::NAN; 3];
        }
        std::array::from_fn(|axis| (last.translation[axis] - first.translation[axis]) / step_s)
    }

    /// The class of the detection benchmark that an annotation has.
    pub fn class_of(&self, annotation: Id<Annotation>) -> Option<&'static str> {
        detection_class(self.category_name(annotation))
    }

    /// The labelled objects of a sample in the frame of its LiDAR's key frame, in the order of the table.
    ///
    /// Only those of [`DETECTION_CLASSES`]. Boxes stand upright: pitch and roll are left out. A velocity that is not
    /// known is zero, and so is every one along z before it is turned into the sensor's frame, as in MMDetection3D.
    ///
    /// A sample without a key frame of the LiDAR has none.
    ///
    /// **Errors**: the annotation whose box is not finite or has no size.
    pub fn objects_of(&self, sample: Id<Sample>) -> Result<Vec<GroundTruth>, TablesError> {
        let Some(lidar) = self.key_lidar(sample) else { return Ok(Vec::new()) };
        let pose = self.pose_of(lidar);
        let mut objects = Vec::new();
        for id in self.annotations_of(sample) {
            let Some(class_name) = self.class_of(*id) else { continue };
            let row = &self.annotations[*id];
            let bbox = box_into(&pose, row).map_err(|reason| TablesError::Box {
                path: self.folder().join("sample_annotation.json"),
                annotation: row.token.clone(),
                reason,
            })?;
            let [vx, vy, _] = self.box_velocity(*id);
            let velocity = pose.direction_into(DVec3::new(vx, vy, 0.0));
            let is_known = vx.is_finite() && vy.is_finite();
            objects.push(GroundTruth {
                class_name: class_name.to_owned(),
                bbox,
                velocity: if is_known { [velocity.x as f32, velocity.y as f32] } else { [0.0; 2] },
                n_points: row.n_lidar_points,
                occlusion: self.occlusion_of(*id),
                difficult: false,
            });
        }
        Ok(objects)
    }

    /// KITTI's word for how much of an object the cameras do not see.
    fn occlusion_of(&self, annotation: Id<Annotation>) -> u8 {
        let visibility = self.annotations[annotation].visibility;
        match visibility.map(|id| self.visibilities[id].level.as_str()) {
            Some("v80-100") => 0,
            Some("v60-80" | "v40-60") => 1,
            Some("v0-40") => 2,
            _ => 3,
        }
    }
}

/// A box of the world in the sensor's frame, upright there.
fn box_into(pose: &SensorPose, row: &Annotation) -> Result<Box3d, String> {
    let placed = Pose::new(row.translation, row.rotation);
    let center = pose.point_into(placed.translation);
    let heading = pose.direction_into(placed.rotation * DVec3::X);
    let yaw = libm::atan2(heading.y, heading.x);
    let [w, l, h] = row.size_wlh;
    if !center.is_finite() || !yaw.is_finite() {
        return Err(format!("a box at {center:?}, yaw {yaw}"));
    }
    if ![l, w, h].iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(format!("a box of {l} x {w} x {h} metres"));
    }
    Ok(Box3d {
        center: center.to_array().map(|v| v as f32),
        size: [l, w, h].map(|v| v as f32),
        yaw: normalize_yaw(yaw as f32),
    })
}
