//! A frame as both versions have it, before and after its range images became points.

use super::image::{Calibration, FramePoints, PixelPoses, RangeImage, append_points};
use super::{TYPE_NAMES, WaymoSettings};
use glam::{DMat4, DVec3};
use pilotis_spec::Point;

/// One labelled object, in the vehicle's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WaymoLabel {
    /// 0 to 4, an index of [`TYPE_NAMES`].
    pub type_idx: u8,
    /// Geometric centre.
    pub center: [f64; 3],
    /// Length, width, height.
    pub size: [f64; 3],
    /// Counter-clockwise from +x, in radians.
    pub heading: f64,
    /// Along the vehicle's x and y, in m/s; zero where the dataset has none.
    pub velocity: [f64; 2],
    /// LiDAR points in the box, as the dataset counts them.
    pub n_points: u32,
    /// The detection level, 1 or 2; 0 where the dataset gives none.
    pub difficulty: u8,
}

impl WaymoLabel {
    /// The name of its type.
    pub fn class_name(&self) -> &'static str {
        TYPE_NAMES.get(usize::from(self.type_idx)).copied().unwrap_or(TYPE_NAMES[0])
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WaymoFrame {
    /// The segment's name, as results files have it.
    pub context_name: String,
    /// The frame's time.
    pub timestamp_micros: i64,
    /// By LiDAR (top, front, left, right, rear), then by return, then by row and column; finite ones.
    pub points: Vec<Point>,
    /// Those of no-label zones, whether [`points`](Self::points) has them or not: where objects are not labelled.
    pub points_in_no_label_zones: Vec<Point>,
    /// Labelled objects in the order of the file.
    pub labels: Vec<WaymoLabel>,
}

/// What a LiDAR saw.
pub(super) struct RawLaser {
    /// 1 to 5.
    pub(super) name: i32,
    pub(super) calibration: Calibration,
    pub(super) returns: Vec<RangeImage>,
    pub(super) poses: Option<PixelPoses>,
}

/// A frame as it was read: checked, but not yet points.
pub(super) struct RawFrame {
    pub(super) context_name: String,
    pub(super) timestamp_micros: i64,
    /// From the vehicle's frame to the world's.
    pub(super) pose: DMat4,
    pub(super) lasers: Vec<RawLaser>,
    /// Their velocities still along the world's axes, with z.
    pub(super) labels: Vec<(WaymoLabel, DVec3)>,
}

impl RawFrame {
    pub(super) fn into_frame(mut self, settings: &WaymoSettings) -> WaymoFrame {
        self.lasers.sort_by_key(|laser| laser.name);
        let vehicle_of_world = self.pose.inverse();
        let mut points = FramePoints::default();
        let n_returns = if settings.second_returns { 2 } else { 1 };
        for laser in &self.lasers {
            let poses = laser.poses.as_ref().map(|poses| (poses, &vehicle_of_world));
            for image in laser.returns.iter().take(n_returns) {
                append_points(image, &laser.calibration, poses, settings.drop_no_label_zones, &mut points);
            }
        }
        let labels = self.labels.into_iter().map(|(label, velocity)| {
            let velocity = vehicle_of_world.transform_vector3(velocity);
            WaymoLabel { velocity: [velocity.x, velocity.y], ..label }
        });
        WaymoFrame {
            context_name: self.context_name,
            timestamp_micros: self.timestamp_micros,
            points: points.given,
            points_in_no_label_zones: points.in_no_label_zones,
            labels: labels.collect(),
        }
    }
}

/// A matrix of 16 numbers, row by row, that moves a body without bending it.
pub(super) fn rigid(values: &[f64], what: &str) -> Result<DMat4, String> {
    let Ok(values) = <&[f64; 16]>::try_from(values) else {
        return Err(format!("{what} has {} numbers instead of 16", values.len()));
    };
    let matrix = DMat4::from_cols_array(values).transpose();
    let is_finite = values.iter().all(|v| v.is_finite());
    if !is_finite || (matrix.determinant() - 1.0).abs() > 1e-2 {
        return Err(format!("{what} is no rigid motion: {values:?}"));
    }
    Ok(matrix)
}

/// The numbers of a label, of either version.
pub(super) struct LabelNumbers {
    pub(super) type_number: i64,
    pub(super) bbox: [f64; 7],
    pub(super) speed: Option<[f64; 3]>,
    pub(super) n_points: i64,
    pub(super) difficulty: i64,
}

impl LabelNumbers {
    /// Checks them; `idx` counts labels of the frame from 0.
    pub(super) fn checked(&self, idx: usize) -> Result<(WaymoLabel, DVec3), String> {
        let speed = self.speed.unwrap_or_default();
        let [x, y, z, length, width, height, heading] = self.bbox;
        // What is finite in double precision may not be in single.
        let is_sound = self.bbox.iter().chain(&speed).all(|v| (*v as f32).is_finite());
        if !is_sound || [length, width, height].iter().any(|v| *v < 0.0) {
            return Err(format!("label {idx} is a box of {:?} with speed {speed:?}", self.bbox));
        }
        let type_idx = u8::try_from(self.type_number).ok().filter(|n| usize::from(*n) < TYPE_NAMES.len());
        let type_idx = type_idx.ok_or_else(|| format!("label {idx} is of type {}", self.type_number))?;
        let difficulty = u8::try_from(self.difficulty).ok().filter(|n| *n <= 2);
        let difficulty = difficulty.ok_or_else(|| format!("label {idx} has level {}", self.difficulty))?;
        let label = WaymoLabel {
            type_idx,
            center: [x, y, z],
            size: [length, width, height],
            heading,
            velocity: [0.0; 2],
            n_points: u32::try_from(self.n_points.max(0)).unwrap_or(u32::MAX),
            difficulty,
        };
        Ok((label, DVec3::from_array(speed)))
    }
}
