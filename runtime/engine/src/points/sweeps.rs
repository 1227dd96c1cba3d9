//! Sweeps: several clouds of one sensor, moved into the frame of the last of them.
//!
//! What a point goes through is defined here and in `kernels/cu/points.cu`, in the same order: is
//! it finite; is it too near to its sensor; where is it in the key frame; how long before the key
//! sweep; is it in range.

use super::view::{CloudView, Source};
use glam::{DMat3, DMat4, DQuat, DVec3, Vec3};
use pilotis_kernels::points::SweepPart;
use pilotis_spec::Point;
use thiserror::Error;

/// How far a matrix may be from a rotation. Calibrations are given to about 1e-7, quaternions of
/// data sets to 1e-9, and their products are rounded to `f32`.
const RIGID_TOLERANCE: f64 = 1e-4;

/// The longest lag in seconds. What is beyond was given in another unit; and no sum of a lag below
/// and the finite lag of a point is infinite.
const MAX_TIME_LAG_S: f32 = 3600.0;

/// Why a sweep cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum SweepError {
    /// A rotation that does more than turn, or a number of a pose that is not finite.
    #[error("a pose is no rigid motion: check that rotations are unit quaternions, and poses in metres")]
    NotRigid,
    /// A lag or a distance outside of its range.
    #[error("{name} is {value}: it must be finite, and in 0..={max}")]
    OutOfRange {
        /// Which of them.
        name: &'static str,
        /// What it is.
        value: f32,
        /// What it may be at most.
        max: f32,
    },
    /// A sweep of several sweeps.
    #[error("a sweep cannot be made of sweeps: list them all side by side")]
    Nested,
}

/// One sweep of a cloud of several.
///
/// ```
/// use pilotis_runtime::CloudView;
/// use pilotis_runtime::points::{PointsStage, Pose, Sweep, to_key};
/// use pilotis_spec::{FrameReport, Grid};
///
/// // The vehicle drove a metre ahead in the 50 ms between the two sweeps.
/// let sensor = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.9, 0.0, 1.8] };
/// let then = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [400.0, 1200.0, 0.0] };
/// let now = Pose { translation: [401.0, 1200.0, 0.0], ..then };
///
/// // A wall 8 m ahead, and a return from the own roof.
/// let key = [[8.0, 0.5, -1.0, 0.2], [0.3, 0.1, 0.0, 0.9]];
/// let previous = [[9.0, 0.5, -1.0, 0.2]];
/// let sweeps = [
///     Sweep::new(CloudView::from_records(&key), None, 0.0, 1.0)?,
///     Sweep::new(
///         CloudView::from_records(&previous),
///         Some(to_key(&sensor, &then, &now, &sensor)?),
///         0.05,
///         1.0,
///     )?,
/// ];
///
/// // This is what `Engine::infer` takes; here only its first stage.
/// let cloud = CloudView::from_sweeps(&sweeps);
/// let grid = Grid::new([-51.2, -51.2, -5.0], [51.2, 51.2, 3.0], [0.2, 0.2])?;
/// let mut report = FrameReport::default();
/// let mut stage = PointsStage::build(1000);
/// let points = stage.run(&cloud, &grid, true, &mut report)?;
/// assert_eq!((points[0].x, points[0].time_lag), (8.0, 0.0));
/// assert_eq!((points[1].x, points[1].time_lag), (8.0, 0.05));
/// assert_eq!((report.n_points, report.dropped_near_sensor), (3, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// **Units and frame**: the points are in the frame of their own sensor at their own time; `to_key`
/// is `[3][4]`, rotation and translation in metres, into the frame of the key sweep.
/// **Source**: nuScenes devkit 1.2, `LidarPointCloud.from_file_multisweep`. What agrees: points near
/// their sensor are dropped before they are moved, by a square of 2 `min_distance_m` to a side (1 m
/// there) and from the key sweep as well; lags are positive; sweeps follow each other from the key
/// sweep back. What differs: there the matrix is `f64` and a moved coordinate is rounded to `f32`,
/// here the matrix is rounded, once, and the arithmetic is `f32`, so that every device gives the
/// same bits: below 100 m they are some hundredths of a millimetre apart. There the key sweep goes
/// through a matrix that is the identity but for its last bits, here it is not moved; and there a
/// point that is not finite is kept. OpenPCDet drops no near points of the key sweep: for its models
/// that one's `min_distance_m` is 0.
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
    /// **Errors**: see [`SweepError`]. A lag is an hour at most.
    pub fn new(
        cloud: CloudView<'a>,
        to_key: Option<[[f32; 4]; 3]>,
        time_lag_s: f32,
        min_distance_m: f32,
    ) -> Result<Self, SweepError> {
        if matches!(cloud.source, Source::Sweeps(_)) {
            return Err(SweepError::Nested);
        }
        let numbers =
            [("time_lag_s", time_lag_s, MAX_TIME_LAG_S), ("min_distance_m", min_distance_m, f32::MAX)];
        for (name, value, max) in numbers {
            // NaN lies in no range.
            if !(0.0..=max).contains(&value) {
                return Err(SweepError::OutOfRange { name, value, max });
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
    /// The pose of a rotation matrix, given by its rows, as KITTI and Argoverse have it.
    ///
    /// **Errors**: [`SweepError::NotRigid`] for rows that are not of length 1 and at right angles to
    /// within 1e-4, and for a mirror.
    pub fn from_matrix(rotation: [[f64; 3]; 3], translation: [f64; 3]) -> Result<Self, SweepError> {
        let rows = rotation.map(DVec3::from);
        if !is_rotation(rows) {
            return Err(SweepError::NotRigid);
        }
        let turn = DQuat::from_mat3(&DMat3::from_cols_array_2d(&rotation).transpose()).normalize();
        Ok(Self { rotation: [turn.w, turn.x, turn.y, turn.z], translation })
    }

    /// Rotation and translation. The quaternion is normalized, as the devkit does; one that is
    /// far from it is refused here, since two errors can cancel out in a product.
    fn checked(&self) -> Result<(DMat3, DVec3), SweepError> {
        let [w, x, y, z] = self.rotation;
        let (turn, shift) = (DQuat::from_xyzw(x, y, z, w), DVec3::from(self.translation));
        // NaN is near to nothing.
        let is_unit = (turn.length() - 1.0).abs() <= RIGID_TOLERANCE;
        let is_usable = is_unit && shift.is_finite();
        is_usable.then(|| (DMat3::from_quat(turn.normalize()), shift)).ok_or(SweepError::NotRigid)
    }

    fn matrix(&self) -> Result<DMat4, SweepError> {
        let (turn, shift) = self.checked()?;
        Ok(DMat4::from_mat3_translation(turn, shift))
    }

    /// The way back: that of a rotation is its transpose.
    fn inverse(&self) -> Result<DMat4, SweepError> {
        let (turn, shift) = self.checked()?;
        let back = turn.transpose();
        Ok(DMat4::from_mat3_translation(back, back * -shift))
    }
}

/// The motion from the sensor at the time of a sweep into the sensor at the time of the key sweep.
///
/// Composed in `f64` in the order of nuScenes' devkit, sensor -> ego -> global -> key ego -> key
/// sensor, and rounded to `f32` once.
///
/// **Errors**: [`SweepError::NotRigid`] for a pose that is not finite or whose quaternion is not of
/// length 1 to within 1e-4, and for sweeps farther apart than an `f32` can say.
pub fn to_key(
    sensor_in_ego: &Pose,
    ego_in_global: &Pose,
    key_ego_in_global: &Pose,
    key_sensor_in_ego: &Pose,
) -> Result<[[f32; 4]; 3], SweepError> {
    let key_from_global = key_sensor_in_ego.inverse()? * key_ego_in_global.inverse()?;
    let motion = key_from_global * ego_in_global.matrix()? * sensor_in_ego.matrix()?;
    let rows = motion.transpose().to_cols_array_2d();
    let rows = [rows[0], rows[1], rows[2]].map(|row| row.map(|v| v as f32));
    if is_rigid(&rows) { Ok(rows) } else { Err(SweepError::NotRigid) }
}

/// Whether all numbers are finite and the rotation is one.
fn is_rigid(m: &[[f32; 4]; 3]) -> bool {
    let is_finite = m.as_flattened().iter().all(|v| v.is_finite());
    is_finite && is_rotation(m.map(|[x, y, z, _]| Vec3::new(x, y, z).as_dvec3()))
}

/// Whether the rows of a matrix are of length 1, at right angles, and right-handed.
fn is_rotation([a, b, c]: [DVec3; 3]) -> bool {
    let off = [a.length() - 1.0, b.length() - 1.0, a.dot(b), (a.cross(b) - c).length()];
    // NaN is below nothing.
    off.iter().all(|v| v.abs() <= RIGID_TOLERANCE)
}

#[cfg(test)]
#[path = "sweeps_tests.rs"]
mod tests;
