//! Boxes between the camera's frame, in which labels are written, and the LiDAR's.

use super::{Calibration, LabelLine};
use pilotis_spec::Box3d;
use pilotis_spec::codec::normalize_yaw;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// A box in the LiDAR frame in double precision, so that nothing is lost on the way and back.
///
/// **Units and frame**: metres; `center` is the geometric centre, `size` length, width, height;
/// yaw in radians, counter-clockwise from +x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LidarBox {
    /// Geometric centre.
    pub center: [f64; 3],
    /// Length, width, height.
    pub size: [f64; 3],
    /// Heading.
    pub yaw: f64,
}

impl LidarBox {
    /// The box of a label: `yaw = -rotation_y - pi/2`, the bottom raised by half the height.
    ///
    /// As everywhere in the field, the small tilt between the two frames turns the centre only: a
    /// box stands upright in both.
    pub fn of(label: &LabelLine, calibration: &Calibration) -> Self {
        let [h, w, l] = label.size_hwl;
        let [x, y, bottom] = calibration.camera_to_lidar(label.location);
        Self {
            center: [x, y, bottom + h / 2.0],
            size: [l, w, h],
            yaw: wrapped(-label.rotation_y - FRAC_PI_2),
        }
    }

    /// In the single precision of the runtime.
    pub fn rounded(&self) -> Box3d {
        Box3d {
            center: self.center.map(|v| v as f32),
            size: self.size.map(|v| v as f32),
            yaw: normalize_yaw(self.yaw as f32),
        }
    }

    /// Where a label has the box: centre of the bottom face in the rectified camera frame.
    pub fn location(&self, calibration: &Calibration) -> [f64; 3] {
        let [x, y, z] = self.center;
        calibration.lidar_to_camera([x, y, z - self.size[2] / 2.0])
    }

    /// Heading about the camera's y axis, in (-pi, pi].
    pub fn rotation_y(&self) -> f64 {
        wrapped(-self.yaw - FRAC_PI_2)
    }

    /// Heading relative to the line of sight, as a label has it, in (-pi, pi].
    pub fn alpha_rad(&self, calibration: &Calibration) -> f64 {
        let [x, _, z] = self.location(calibration);
        wrapped(self.rotation_y() - libm::atan2(x, z))
    }
}

impl From<&Box3d> for LidarBox {
    fn from(bbox: &Box3d) -> Self {
        Self { center: bbox.center.map(f64::from), size: bbox.size.map(f64::from), yaw: f64::from(bbox.yaw) }
    }
}

/// An angle in (-pi, pi].
fn wrapped(angle: f64) -> f64 {
    let turned = angle - TAU * libm::floor((angle + PI) / TAU);
    if turned <= -PI { turned + TAU } else { turned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_end_in_one_turn() {
        for (angle, expected) in [(0.5, 0.5), (PI, PI), (-PI, PI), (1.5 * PI, -0.5 * PI), (-9.0 * PI, PI)] {
            assert!((wrapped(angle) - expected).abs() < 1e-12, "{angle} became {}", wrapped(angle));
        }
    }
}
