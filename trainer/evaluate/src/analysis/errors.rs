//! How far off right detections are.

use super::frame::{Found, Object};
use crate::center_distance::{aligned_iou, yaw_difference};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Mean errors of right detections; `None` where there is nothing to take a mean of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// Distance of the centres in the ground plane.
    pub translation_m: Option<f64>,
    /// 1 - IoU after aligning centres and headings.
    pub scale: Option<f64>,
    /// Difference of headings, at most pi (for a `barrier`, which has no front, pi/2).
    pub orientation_rad: Option<f64>,
    /// Difference of velocities, over the pairs of which both are known.
    pub velocity_m_s: Option<f64>,
}

/// Sums of errors, to be divided.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ErrorSums {
    pub(crate) translation: f64,
    pub(crate) scale: f64,
    pub(crate) orientation: f64,
    pub(crate) velocity: f64,
    pub(crate) n: f64,
    pub(crate) n_velocities: f64,
}

impl ErrorSums {
    /// The errors of one pair.
    pub(crate) fn of(class: &str, object: &Object, found: &Found, distance_m: f64) -> Self {
        let period = if class == "barrier" { PI } else { 2.0 * PI };
        let speeds = object.velocity.zip(found.velocity);
        let velocity = speeds.map(|(a, b)| {
            let [dx, dy] = [0, 1].map(|k| f64::from(a[k]) - f64::from(b[k]));
            libm::hypot(dx, dy)
        });
        Self {
            translation: distance_m,
            scale: 1.0 - aligned_iou(&object.bbox, &found.bbox),
            orientation: yaw_difference(object.bbox.yaw, found.bbox.yaw, period),
            velocity: velocity.unwrap_or(0.0),
            n: 1.0,
            n_velocities: if velocity.is_some() { 1.0 } else { 0.0 },
        }
    }

    /// Adds another's sums, so many times.
    pub(crate) fn add(&mut self, other: &Self, times: f64) {
        self.translation += times * other.translation;
        self.scale += times * other.scale;
        self.orientation += times * other.orientation;
        self.velocity += times * other.velocity;
        self.n += times * other.n;
        self.n_velocities += times * other.n_velocities;
    }

    pub(crate) fn means(&self) -> Errors {
        let mean = |sum: f64, n: f64| (n > 0.0).then(|| sum / n);
        Errors {
            translation_m: mean(self.translation, self.n),
            scale: mean(self.scale, self.n),
            orientation_rad: mean(self.orientation, self.n),
            velocity_m_s: mean(self.velocity, self.n_velocities),
        }
    }
}
