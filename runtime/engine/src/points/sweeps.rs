//! Sweeps: several clouds of one sensor, moved into the frame of the last of them.
//!
//! What a point goes through is defined here and in `kernels/cu/points.cu`, in the same order: is
//! it finite; is it too near to its sensor; where is it in the key frame; how long before the key
//! sweep; is it in range.

use super::view::{CloudView, Source};
use glam::{DMat4, DQuat, DVec3};
use pilotis_kernels::points::SweepPart;
use pilotis_spec::Point;
use thiserror::Error;

/// How far a matrix may be from a rotation: poses of data sets are given to about 1e-9, and their
/// products are rounded to `f32`.
const RIGID_TOLERANCE: f32 = 1e-4;

/// Why a sweep cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum SweepError {
    /// A matrix that does more than turn and shift, or has a number that is not finite.
    #[error("`to_key` is no rigid motion: check that rotations are unit quaternions, and poses in metres")]
    NotRigid,
    /// A lag or a distance that is negative or not finite.
    #[error("{name} is {value}: it must be finite and not negative")]
    OutOfRange {
        /// Which of them.
        name: &'static str,
        /// What it is.
        value: f32,
    },
    /// A sweep of several sweeps.
    #[error("a sweep cannot be made of sweeps: list them all side by side")]
    Nested,
}

/// One sweep of a cloud of several.
///
/// **Units and frame**: the points are in the frame of their own sensor at their own time; `to_key`
/// is `[3][4]`, rotation and translation in metres, into the frame of the key sweep.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    cloud: CloudView<'a>,
    to_key: Option<[[f32; 4]; 3]>,
    time_lag_s: f32,
    min_distance_m: f32,
}

impl<'a> Sweep<'a> {
    /// A sweep.
    ///
    /// Without `to_key` the points stay where they are, to the bit; that is the key sweep. The lag,
    /// in seconds before the key sweep, is added to the points' own. Points with `|x|` and `|y|`
    /// below `min_distance_m`, in the frame of their sensor, are dropped and counted: they are of
    /// the vehicle itself.
    ///
    /// **Errors**: see [`SweepError`].
    /// **Source**: nuScenes devkit, `LidarPointCloud.from_file_multisweep`, with its minimal distance
    /// of 1 m; there the matrices are applied in `f64`, here they are rounded to `f32` once.
    pub fn new(
        cloud: CloudView<'a>,
        to_key: Option<[[f32; 4]; 3]>,
        time_lag_s: f32,
        min_distance_m: f32,
    ) -> Result<Self, SweepError> {
        if matches!(cloud.source, Source::Sweeps(_)) {
            return Err(SweepError::Nested);
        }
        for (name, value) in [("time_lag_s", time_lag_s), ("min_distance_m", min_distance_m)] {
            let is_allowed = value >= 0.0 && value.is_finite();
            if !is_allowed {
                return Err(SweepError::OutOfRange { name, value });
            }
        }
        if to_key.is_some_and(|m| !is_rigid(&m)) {
            return Err(SweepError::NotRigid);
        }
        Ok(Self { cloud, to_key, time_lag_s, min_distance_m })
    }

    /// Its points, in the frame of their sensor.
    pub fn cloud(&self) -> &CloudView<'a> {
        &self.cloud
    }

    /// What a device is told of it.
    pub(super) fn part(&self) -> SweepPart {
        let mut to_key = [0.0; 12];
        for (to, from) in to_key.iter_mut().zip(self.to_key.unwrap_or_default().as_flattened()) {
            *to = *from;
        }
        SweepPart {
            first_point: 0,
            is_moved: u32::from(self.to_key.is_some()),
            to_key,
            time_lag_s: self.time_lag_s,
            min_distance_m: self.min_distance_m,
        }
    }

    /// Whether a point is too near to its sensor.
    #[inline(always)]
    pub(super) fn is_near(&self, point: &Point) -> bool {
        point.x.abs() < self.min_distance_m && point.y.abs() < self.min_distance_m
    }

    /// A point in the key frame.
    #[inline(always)]
    pub(super) fn moved(&self, point: Point, needs_time_lag: bool) -> Point {
        let mut moved = point;
        if let Some([a, b, c]) = &self.to_key {
            let row = |m: &[f32; 4]| m[0] * point.x + m[1] * point.y + m[2] * point.z + m[3];
            moved = Point { x: row(a), y: row(b), z: row(c), ..point };
        }
        // Adding zero would lose the sign of a zero.
        if needs_time_lag && self.time_lag_s != 0.0 {
            moved.time_lag += self.time_lag_s;
        }
        moved
    }
}

/// Where a frame is in another: a rotation, then a translation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Unit quaternion `[w, x, y, z]`, as nuScenes writes it.
    pub rotation: [f64; 4],
    /// Metres.
    pub translation: [f64; 3],
}

impl Pose {
    fn matrix(&self) -> DMat4 {
        let [w, x, y, z] = self.rotation;
        DMat4::from_rotation_translation(DQuat::from_xyzw(x, y, z, w), DVec3::from(self.translation))
    }
}

/// The motion from the sensor at the time of a sweep into the sensor at the time of the key sweep.
///
/// Composed in `f64` in the order of nuScenes' devkit, sensor -> ego -> global -> key ego -> key
/// sensor, and rounded to `f32` once.
///
/// **Errors**: [`SweepError::NotRigid`] for a pose that is not finite or not of a unit quaternion.
pub fn to_key(
    sensor_in_ego: &Pose,
    ego_in_global: &Pose,
    key_ego_in_global: &Pose,
    key_sensor_in_ego: &Pose,
) -> Result<[[f32; 4]; 3], SweepError> {
    let key = key_ego_in_global.matrix() * key_sensor_in_ego.matrix();
    let motion = key.inverse() * ego_in_global.matrix() * sensor_in_ego.matrix();
    let rows = motion.transpose().to_cols_array_2d();
    let rows = [rows[0], rows[1], rows[2]].map(|row| row.map(|v| v as f32));
    if is_rigid(&rows) { Ok(rows) } else { Err(SweepError::NotRigid) }
}

/// Whether the rows of the rotation are of length 1, at right angles, and right-handed.
fn is_rigid(m: &[[f32; 4]; 3]) -> bool {
    let [a, b, c] = [0, 1, 2].map(|r| glam::Vec3::new(m[r][0], m[r][1], m[r][2]));
    let off = [a.length() - 1.0, b.length() - 1.0, a.dot(b), (a.cross(b) - c).length()];
    // Written so that NaN fails.
    m.as_flattened().iter().all(|v| v.is_finite()) && off.iter().all(|v| v.abs() <= RIGID_TOLERANCE)
}

#[cfg(test)]
#[path = "sweeps_tests.rs"]
mod tests;
