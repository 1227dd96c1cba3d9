//! Poses as the devkit computes with them.

use super::Tables;
use super::schema::SampleData;
use super::table::Id;
use glam::{DAffine3, DMat3, DVec3};

/// A quaternion whose squared length is this close to 1 is used as it is; so does pyquaternion.
const UNIT_TOLERANCE: f64 = 1e-14;

/// The rotation of a quaternion `w, x, y, z` of any length.
///
/// The zero quaternion gives the zero matrix, as in pyquaternion.
pub fn rotation_matrix(wxyz: [f64; 4]) -> DMat3 {
    let squared: f64 = wxyz.iter().map(|v| v * v).sum();
    let is_unit = (1.0 - squared).abs() < UNIT_TOLERANCE;
    let length = if is_unit || squared == 0.0 { 1.0 } else { squared.sqrt() };
    let [w, x, y, z] = wxyz.map(|v| if is_unit { v } else { v / length });
    DMat3::from_cols_array_2d(&[
        [x * x + w * w - z * z - y * y, x * y + w * z + z * w + y * x, x * z - w * y + z * x - y * w],
        [y * x - z * w - w * z + x * y, y * y - z * z + w * w - x * x, y * z + z * y + w * x + x * w],
        [z * x + y * w + x * z + w * y, z * y + y * z - x * w - w * x, z * z - y * y - x * x + w * w],
    ])
}

/// Where a frame lies in another: `p_outer = rotation p + translation`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// How it is turned.
    pub rotation: DMat3,
    /// Where its origin is.
    pub translation: DVec3,
}

impl Pose {
    /// A pose as tables write it.
    pub fn new(translation: [f64; 3], wxyz: [f64; 4]) -> Self {
        Self { rotation: rotation_matrix(wxyz), translation: DVec3::from_array(translation) }
    }

    /// From the frame to the one around it.
    pub fn outward(&self) -> DAffine3 {
        DAffine3 { matrix3: self.rotation, translation: self.translation }
    }

    /// From the frame around to this one.
    pub fn inward(&self) -> DAffine3 {
        let back = self.rotation.transpose();
        DAffine3 { matrix3: back, translation: back * -self.translation }
    }

    /// A point of the frame around, in this one.
    pub fn point_into(&self, point: DVec3) -> DVec3 {
        self.rotation.transpose() * (point - self.translation)
    }

    /// A direction of the frame around, in this one.
    pub fn direction_into(&self, direction: DVec3) -> DVec3 {
        self.rotation.transpose() * direction
    }
}

/// Where a sensor was when it recorded: the vehicle in the world, the sensor on the vehicle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SensorPose {
    /// The vehicle in the world.
    pub ego: Pose,
    /// The sensor on the vehicle.
    pub sensor: Pose,
}

impl SensorPose {
    /// A point of the world in the sensor's frame.
    pub fn point_into(&self, point: DVec3) -> DVec3 {
        self.sensor.point_into(self.ego.point_into(point))
    }

    /// A direction of the world in the sensor's frame.
    pub fn direction_into(&self, direction: DVec3) -> DVec3 {
        self.sensor.direction_into(self.ego.direction_into(direction))
    }
}

impl Tables {
    /// Where a sensor was when it recorded this.
    pub fn pose_of(&self, recorded: Id<SampleData>) -> SensorPose {
        let row = &self.sample_data[recorded];
        let ego = &self.ego_poses[row.ego_pose];
        let mounting = &self.calibrated_sensors[row.calibrated_sensor];
        SensorPose {
            ego: Pose::new(ego.translation, ego.rotation),
            sensor: Pose::new(mounting.translation, mounting.rotation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DQuat;

    #[test]
    fn quaternions_of_any_length_turn_as_unit_ones() {
        let unit = DQuat::from_xyzw(0.1, -0.7, 0.3, 0.6).normalize();
        for length in [1.0, 0.02, 30.0] {
            let [x, y, z, w] = unit.to_array().map(|v| v * length);
            let matrix = rotation_matrix([w, x, y, z]);
            assert!(matrix.abs_diff_eq(DMat3::from_quat(unit), 1e-14), "{matrix}");
        }
        assert_eq!(rotation_matrix([0.0; 4]), DMat3::ZERO);
    }

    #[test]
    fn inward_undoes_outward() {
        let pose = Pose::new([3.0, -4.0, 5.0], [0.5, 0.5, -0.5, 0.5]);
        let p = DVec3::new(1.0, 2.0, 3.0);
        let out = pose.outward().transform_point3(p);
        assert!(pose.inward().transform_point3(out).abs_diff_eq(p, 1e-12));
        assert!(pose.point_into(out).abs_diff_eq(p, 1e-12));
        assert!(pose.direction_into(out - pose.translation).abs_diff_eq(p, 1e-12));
    }
}
