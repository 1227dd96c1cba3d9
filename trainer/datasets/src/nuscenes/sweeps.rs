//! Several sweeps as one cloud in the frame of the key sweep.
//!
//! Points stay `f32`; matrices are `f64`; what is moved is rounded as the code that it follows rounds it.
//!
//! **Source**: `LidarPointCloud.from_file_multisweep` of nuscenes-devkit 1.2.0; `LoadPointsFromMultiSweeps` and
//! `tools/dataset_converters` of MMDetection3D 1.4.0.

#[cfg(test)]
#[path = "sweeps_tests.rs"]
mod tests;

use super::Tables;
use super::error::TablesError;
use super::pose::SensorPose;
use super::schema::{Sample, SampleData};
use super::table::Id;
use crate::DatasetError;
use glam::{DAffine3, DMat3, DVec3};
use pilotis_spec::Point;
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

/// Bytes of a record: x, y, z, intensity and ring as little-endian `f32`.
pub(crate) const RECORD_BYTES: usize = 20;
/// Records that are moved at once.
const RECORDS_A_STEP: usize = 64;

/// A point nearer than this to its sensor, along x and along y, is of the vehicle itself.
const CLOSE_M: f32 = 1.0;

/// Whose way of putting sweeps together is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepStyle {
    /// nuscenes-devkit: points near the sensor are dropped from every sweep; a scene's first samples have fewer
    /// sweeps.
    #[default]
    Devkit,
    /// MMDetection3D, as its CenterPoint is configured (`remove_close`, `pad_empty_sweeps`) and in test mode (the
    /// nearest sweeps, not a random choice): the key sweep stays as it is; a sample without any sweep before it has
    /// its key sweep once more for each that is missing. Its translation of a sweep is turned by the inverse of the
    /// sweep's rotation: an error of centimetres where the vehicle turns, kept so that models meet what they were
    /// trained on.
    Mmdet3d,
}

impl fmt::Display for SweepStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Devkit => "devkit",
            Self::Mmdet3d => "mmdet3d",
        })
    }
}

impl FromStr for SweepStyle {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Devkit, Self::Mmdet3d].into_iter().find(|style| style.to_string() == text);
        known.ok_or_else(|| format!("`{text}` is neither `devkit` nor `mmdet3d`"))
    }
}

/// How many sweeps become one cloud, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweeps {
    /// With the key sweep; at least 1.
    pub n_sweeps: usize,
    /// Whose way.
    pub style: SweepStyle,
}

/// What happens to the points of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Move {
    /// They stay.
    Stay,
    /// Moved and rounded.
    Once(DAffine3),
    /// Turned, rounded, shifted, rounded.
    Twice { rotation: DMat3, shift: DVec3 },
}

/// One of the sweeps of a cloud.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sweep {
    /// What was recorded.
    pub recorded: Id<SampleData>,
    /// Seconds before the key sweep.
    pub time_lag_s: f64,
    drops_close: bool,
    moved: Move,
}

/// Several sweeps as one cloud.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepCloud {
    /// Finite points, the key sweep's first, each sweep in the order of its file.
    pub points: Vec<Point>,
    /// Sweeps in it.
    pub n_sweeps: usize,
    /// Records left out because they are near their sensor.
    pub n_close: usize,
    /// Records left out because a value is not finite.
    pub n_not_finite: usize,
}

impl Tables {
    /// The sweeps of a sample, its key sweep first, then back in time.
    ///
    /// **At capacity**: where a chain of sweeps begins, fewer than asked for.
    ///
    /// **Errors**: a sample without a key sweep of the LiDAR.
    pub fn sweeps_of(&self, sample: Id<Sample>, sweeps: &Sweeps) -> Result<Vec<Sweep>, TablesError> {
        let Some(key) = self.key_lidar(sample) else {
            return Err(TablesError::NoLidar {
                path: self.folder().join("sample_data.json"),
                sample: self.samples[sample].token.clone(),
            });
        };
        let key_pose = self.pose_of(key);
        let chain = std::iter::successors(Some(key), |id| self.sample_data[*id].prev);
        let chain = chain.take(sweeps.n_sweeps.max(1));
        let sweep = |recorded: Id<SampleData>| match sweeps.style {
            SweepStyle::Devkit => self.devkit_sweep(key, &key_pose, recorded),
            SweepStyle::Mmdet3d => self.mmdet3d_sweep(sample, key, &key_pose, recorded),
        };
        let mut found: Vec<Sweep> = chain.map(sweep).collect();
        if sweeps.style == SweepStyle::Mmdet3d && found.len() == 1 {
            let copy = Sweep { drops_close: true, ..found[0] };
            found.resize(sweeps.n_sweeps.max(1), copy);
        }
        Ok(found)
    }

    fn devkit_sweep(&self, key: Id<SampleData>, key_pose: &SensorPose, recorded: Id<SampleData>) -> Sweep {
        let pose = self.pose_of(recorded);
        let moved = key_pose.sensor.inward() * key_pose.ego.inward();
        let moved = moved * pose.ego.outward() * pose.sensor.outward();
        let time_s = |id| 1e-6 * self.sample_data[id].timestamp_us as f64;
        Sweep {
            recorded,
            time_lag_s: time_s(key) - time_s(recorded),
            drops_close: true,
            moved: Move::Once(moved),
        }
    }

    fn mmdet3d_sweep(
        &self,
        sample: Id<Sample>,
        key: Id<SampleData>,
        key_pose: &SensorPose,
        recorded: Id<SampleData>,
    ) -> Sweep {
        if recorded == key {
            return Sweep { recorded, time_lag_s: 0.0, drops_close: false, moved: Move::Stay };
        }
        let SensorPose { ego, sensor } = self.pose_of(recorded);
        // Rotation and translation that bring a point to the key sweep; then their inverse, stored as `f32`.
        let (to_ego, to_lidar) = (key_pose.ego.rotation.inverse(), key_pose.sensor.rotation.inverse());
        let rotation = to_lidar * to_ego * (ego.rotation * sensor.rotation);
        let to_key = to_lidar * to_ego;
        let translation = to_key * (ego.rotation * sensor.translation + ego.translation)
            - (to_key * key_pose.ego.translation + to_lidar * key_pose.sensor.translation);
        let inverse = -(rotation.transpose() * translation);
        let rounded = |v: DVec3| v.as_vec3().as_dvec3();
        let rotation =
            DMat3::from_cols(rounded(rotation.x_axis), rounded(rotation.y_axis), rounded(rotation.z_axis));
        let time_lag_s = self.samples[sample].timestamp_us as f64 / 1e6
            - self.sample_data[recorded].timestamp_us as f64 / 1e6;
        let moved = Move::Twice { rotation, shift: -rounded(inverse) };
        Sweep { recorded, time_lag_s, drops_close: true, moved }
    }

    /// Reads the sweeps of a sample as one cloud.
    ///
    /// **Units and frame**: the key sweep's sensor frame, metres; `time_lag` in seconds, not negative.
    ///
    /// **Errors**: a sample without a key sweep; a file that is not there or is no whole number of points.
    ///
    /// **Allocation**: the cloud, and a buffer for the bytes of a file.
    pub fn read_sweeps(&self, sample: Id<Sample>, sweeps: &Sweeps) -> Result<SweepCloud, DatasetError> {
        let sweeps = self.sweeps_of(sample, sweeps)?;
        let mut cloud = SweepCloud { n_sweeps: sweeps.len(), ..SweepCloud::default() };
        let mut bytes = Vec::new();
        let arch = Arch::new();
        for sweep in &sweeps {
            let path = self.path_of(&self.sample_data[sweep.recorded].filename);
            let records = read_records(&path, &mut bytes)?;
            if cloud.points.capacity() == 0 {
                // Sweeps are of nearly the same size.
                cloud.points.reserve(records.len() * sweeps.len() + records.len() / 8);
            }
            arch.dispatch(Append { cloud: &mut cloud, records, sweep, time_lag: sweep.time_lag_s as f32 });
        }
        Ok(cloud)
    }
}

/// Adds the records of a sweep to a cloud. The same operations in the same order on every processor, with as many
/// lanes as it has: what is inlined here is compiled for each kind of them.
struct Append<'a> {
    cloud: &'a mut SweepCloud,
    records: &'a [[u8; RECORD_BYTES]],
    sweep: &'a Sweep,
    time_lag: f32,
}

impl WithSimd for Append<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.sweep.moved {
            Move::Stay => self.append(|place| place),
            Move::Once(by) => self.append(
                #[inline(always)]
                |p| by.transform_point3(DVec3::from_array(p.map(f64::from))).to_array().map(|v| v as f32),
            ),
            Move::Twice { rotation, shift } => self.append(
                #[inline(always)]
                |p| {
                    let turned = (rotation * DVec3::from_array(p.map(f64::from))).as_vec3();
                    (turned.as_dvec3() + shift).to_array().map(|v| v as f32)
                },
            ),
        }
    }
}

impl Append<'_> {
    /// In steps without branches, so that several points are moved at once.
    #[inline(always)]
    fn append(self, moved: impl Fn([f32; 3]) -> [f32; 3]) {
        let Self { cloud, records, sweep: Sweep { drops_close, .. }, time_lag } = self;
        let (n_before, mut n_close) = (cloud.points.len(), 0);
        cloud.points.reserve(records.len());
        let mut places = [[0.0_f32; RECORDS_A_STEP]; 3];
        let mut intensities = [0.0_f32; RECORDS_A_STEP];
        // Numbers, since a mask of them is what instructions for several make.
        let (mut are_close, mut are_kept) = ([0_u32; RECORDS_A_STEP], [0_u32; RECORDS_A_STEP]);
        let mut kept = [Point::default(); RECORDS_A_STEP];
        for records in records.chunks(RECORDS_A_STEP) {
            for (k, record) in records.iter().enumerate() {
                [places[0][k], places[1][k], places[2][k], intensities[k]] = floats(record);
            }
            for k in 0..RECORDS_A_STEP {
                let [x, y, z] = [places[0][k], places[1][k], places[2][k]];
                let is_close = *drops_close & (x.abs() < CLOSE_M) & (y.abs() < CLOSE_M);
                let [x, y, z] = moved([x, y, z]);
                [places[0][k], places[1][k], places[2][k]] = [x, y, z];
                // Zero where all are finite, else NaN.
                let zero = x * 0.0 + y * 0.0 + z * 0.0 + intensities[k] * 0.0;
                are_close[k] = u32::from(is_close);
                are_kept[k] = u32::from((zero == 0.0) & !is_close);
            }
            let mut n_kept = 0;
            for k in 0..records.len() {
                let [x, y, z] = [places[0][k], places[1][k], places[2][k]];
                kept[n_kept] = Point { x, y, z, intensity: intensities[k], time_lag };
                n_kept += are_kept[k] as usize;
            }
            n_close += are_close[..records.len()].iter().sum::<u32>() as usize;
            cloud.points.extend_from_slice(&kept[..n_kept]);
        }
        cloud.n_close += n_close;
        cloud.n_not_finite += records.len() - n_close - (cloud.points.len() - n_before);
    }
}

/// The first four values of a record.
fn floats(record: &[u8; RECORD_BYTES]) -> [f32; 4] {
    let value = |k: usize| f32::from_le_bytes([record[k], record[k + 1], record[k + 2], record[k + 3]]);
    [value(0), value(4), value(8), value(12)]
}

/// The records of a file of points, in a buffer that is used again.
///
/// **Errors**: a file that cannot be read; a length that is no whole number of records.
pub(crate) fn read_records<'a>(
    path: &Path,
    bytes: &'a mut Vec<u8>,
) -> Result<&'a [[u8; RECORD_BYTES]], DatasetError> {
    bytes.clear();
    let read = File::open(path).and_then(|mut file| file.read_to_end(bytes));
    read.map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    let (records, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(records);
    }
    let reason = format!(
        "{} bytes are no whole number of {RECORD_BYTES}-byte points (x, y, z, intensity, ring)",
        bytes.len()
    );
    Err(DatasetError::File { path: path.to_owned(), reason })
}
