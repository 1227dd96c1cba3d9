//! One scene: the files of its sweeps, and its rows of the tables.

use super::super::folder::write_atomically;
use super::clock::Clock;
use super::files::{Fragment, LIDAR_SAMPLES, LIDAR_SWEEPS};
use super::inside::StoredBox;
use super::tables::{
    CalibratedSensorRow, EgoPoseRow, InstanceRow, LogRow, SampleAnnotationRow, SampleDataRow, SampleRow,
    SceneRow, token,
};
use super::vocabulary::{CHANNEL, attribute_token, category_token, sensor_token, visibility_token};
use crate::simulate::drive::{ActorState, Drive, Pose3, Seen, Sweep};
use crate::simulate::sensor::Sensor;
use anyhow::Result;
use glam::DQuat;
use indicatif::ProgressBar;
use rayon::prelude::*;
use std::path::Path;

/// Things farther from the car are not annotated, metres in the ground plane.
const MAX_DISTANCE_M: f64 = 80.0;

/// A drive on its way to the disk.
pub(super) struct Scene<'a> {
    pub(super) out: &'a Path,
    pub(super) seed: u64,
    pub(super) scene_idx: u64,
    pub(super) drive: &'a Drive,
    pub(super) sensor: &'a Sensor,
    pub(super) clock: Clock,
}

/// A thing at a key frame.
struct Glimpse {
    state: ActorState,
    stored: StoredBox,
    seen: Seen,
    is_near: bool,
    n_inside: u64,
}

/// The name of a scene.
pub(super) fn name(scene_idx: u64) -> String {
    format!("scene-{scene_idx:04}")
}

/// The token of a scene's log.
pub(super) fn log_token(seed: u64, scene_idx: u64) -> String {
    token(seed, "log", &[scene_idx])
}

/// A quaternion as the tables have it: w, x, y, z.
fn wxyz(q: DQuat) -> [f64; 4] {
    [q.w, q.x, q.y, q.z]
}

/// The points of a sweep as the files have them: x, y, z, intensity 0..255, ring.
///
/// In the order of firing, the beams of one moment from the lowest up: a consumer that keeps the first points of a
/// cell keeps those that it would keep of a recorded file.
pub(super) fn stored_points(sweep: &Sweep) -> Vec<[f32; 5]> {
    let mut points: Vec<_> = sweep.points.iter().collect();
    points.sort_by(|a, b| a.time_offset_s.total_cmp(&b.time_offset_s).then(a.ring.cmp(&b.ring)));
    let stored = points.iter().map(|point| {
        let [x, y, z] = point.position.to_array();
        let intensity = (point.intensity.clamp(0.0, 1.0) * 255.0).round();
        [x, y, z, intensity, f32::from(point.ring)]
    });
    stored.collect()
}

impl Scene<'_> {
    /// Writes the sweeps and yields the rows.
    ///
    /// **Determinism**: sweeps are written in parallel; each depends on nothing but its number, and the rows are
    /// made from them in order.
    pub(super) fn write(&self, bar: &ProgressBar) -> Result<Fragment> {
        let key_frames = (1..=self.clock.n_sweeps())
            .into_par_iter()
            .map(|k| {
                let glimpses = self.write_sweep(k);
                bar.inc(1);
                glimpses
            })
            .collect::<Result<Vec<_>>>()?;
        let key_frames: Vec<Vec<Glimpse>> = key_frames.into_iter().flatten().collect();
        let mut rows = Fragment::default();
        self.add_scene(&mut rows)?;
        self.add_sweeps(&mut rows)?;
        for thing_idx in 0..self.drive.things().len() {
            self.add_instance(thing_idx, &key_frames, &mut rows)?;
        }
        Ok(rows)
    }

    /// The token of a row of this scene.
    fn token(&self, table: &str, indices: &[u64]) -> String {
        token(self.seed, table, &[&[self.scene_idx], indices].concat())
    }

    /// The token of key frame `key_frame`; empty where there is none.
    fn sample_token(&self, key_frame: Option<u64>) -> String {
        let key_frame = key_frame.filter(|idx| *idx < self.clock.n_key_frames());
        key_frame.map_or_else(String::new, |idx| self.token("sample", &[idx]))
    }

    /// The token of sweep `k`; empty where there is none.
    fn sample_data_token(&self, k: u64) -> String {
        let exists = (1..=self.clock.n_sweeps()).contains(&k);
        if exists { self.token("sample_data", &[k]) } else { String::new() }
    }

    /// Where the file of sweep `k` lies below the output folder.
    fn file_of(&self, k: u64) -> String {
        let folder = if self.clock.is_key_frame(k) { LIDAR_SAMPLES } else { LIDAR_SWEEPS };
        let timestamp = self.clock.timestamp_us(self.scene_idx, k);
        format!("{folder}/{}__{CHANNEL}__{timestamp}.pcd.bin", name(self.scene_idx))
    }

    /// Writes sweep `k`; of a key frame, yields what it saw of each thing.
    fn write_sweep(&self, k: u64) -> Result<Option<Vec<Glimpse>>> {
        let time_s = self.clock.time_s(k);
        let sweep = self.drive.sweep(self.sensor, time_s);
        let points = stored_points(&sweep);
        let bytes: Vec<u8> = points.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        write_atomically(&self.out.join(self.file_of(k)), &bytes)?;
        if !self.clock.is_key_frame(k) {
            return Ok(None);
        }
        let (ego, mounting) = (self.drive.ego(time_s), self.sensor.mounting());
        let things = self.drive.things().iter().zip(&sweep.seen).enumerate();
        let glimpses = things.map(|(thing_idx, (thing, seen))| {
            let state = self.drive.state(thing_idx, time_s);
            let stored = StoredBox::of(thing, &state);
            let is_near = is_near(&ego, &state);
            let n_inside = if is_near { stored.count(&points, &ego, &mounting) } else { 0 };
            Glimpse { state, stored, seen: *seen, is_near, n_inside }
        });
        Ok(Some(glimpses.collect()))
    }

    /// Adds what there is once in a scene: itself, its log and the scanner's place.
    fn add_scene(&self, rows: &mut Fragment) -> Result<()> {
        let log_token = log_token(self.seed, self.scene_idx);
        rows.add(&LogRow {
            token: log_token.clone(),
            logfile: format!("simulated-{}-{:04}", self.seed, self.scene_idx),
            vehicle: self.sensor.name().to_owned(),
            date_captured: "2023-11-14".to_owned(),
            location: "simulated".to_owned(),
        })?;
        rows.add(&SceneRow {
            token: self.token("scene", &[]),
            log_token,
            nbr_samples: self.clock.n_key_frames(),
            first_sample_token: self.sample_token(Some(0)),
            last_sample_token: self.sample_token(self.clock.n_key_frames().checked_sub(1)),
            name: name(self.scene_idx),
            description: self.drive.description().to_owned(),
        })?;
        let mounting = self.sensor.mounting();
        rows.add(&CalibratedSensorRow {
            token: self.token("calibrated_sensor", &[]),
            sensor_token: sensor_token(self.seed),
            translation: mounting.translation.to_array(),
            rotation: wxyz(mounting.rotation),
            camera_intrinsic: Vec::new(),
        })
    }

    /// Adds the key frames, and of every sweep the file and where the car was.
    fn add_sweeps(&self, rows: &mut Fragment) -> Result<()> {
        for key_frame in 0..self.clock.n_key_frames() {
            rows.add(&SampleRow {
                token: self.sample_token(Some(key_frame)),
                timestamp: self.clock.timestamp_us(self.scene_idx, self.clock.sweep_of(key_frame)),
                prev: self.sample_token(key_frame.checked_sub(1)),
                next: self.sample_token(Some(key_frame + 1)),
                scene_token: self.token("scene", &[]),
            })?;
        }
        for k in 1..=self.clock.n_sweeps() {
            let timestamp = self.clock.timestamp_us(self.scene_idx, k);
            let ego = self.drive.ego(self.clock.time_s(k));
            let ego_pose_token = self.token("ego_pose", &[k]);
            rows.add(&EgoPoseRow {
                token: ego_pose_token.clone(),
                timestamp,
                rotation: wxyz(ego.rotation),
                translation: ego.translation.to_array(),
            })?;
            rows.add(&SampleDataRow {
                token: self.sample_data_token(k),
                sample_token: self.sample_token(Some(self.clock.key_frame_of(k))),
                ego_pose_token,
                calibrated_sensor_token: self.token("calibrated_sensor", &[]),
                timestamp,
                fileformat: "pcd".to_owned(),
                is_key_frame: self.clock.is_key_frame(k),
                height: 0,
                width: 0,
                filename: self.file_of(k),
                prev: self.sample_data_token(k - 1),
                next: self.sample_data_token(k + 1),
            })?;
        }
        Ok(())
    }

    /// Adds a thing and its boxes; nothing where it has none.
    fn add_instance(&self, thing_idx: usize, key_frames: &[Vec<Glimpse>], rows: &mut Fragment) -> Result<()> {
        let Some(thing) = self.drive.things().get(thing_idx) else { return Ok(()) };
        let glimpses: Vec<&Glimpse> = key_frames.iter().filter_map(|all| all.get(thing_idx)).collect();
        let annotated = annotated(&glimpses);
        let thing_number = thing_idx as u64;
        let token_at = |at: Option<usize>| {
            let key_frame = at.and_then(|at| annotated.get(at));
            key_frame.map_or_else(String::new, |(key_frame, _)| {
                self.token("sample_annotation", &[thing_number, *key_frame])
            })
        };
        let Some(last) = annotated.len().checked_sub(1) else { return Ok(()) };
        let instance_token = self.token("instance", &[thing_number]);
        rows.add(&InstanceRow {
            token: instance_token.clone(),
            category_token: category_token(self.seed, thing.category),
            nbr_annotations: annotated.len() as u64,
            first_annotation_token: token_at(Some(0)),
            last_annotation_token: token_at(Some(last)),
        })?;
        for (at, (key_frame, glimpse)) in annotated.iter().enumerate() {
            let attribute = glimpse.state.attribute;
            rows.add(&SampleAnnotationRow {
                token: token_at(Some(at)),
                sample_token: self.sample_token(Some(*key_frame)),
                instance_token: instance_token.clone(),
                visibility_token: visibility_token(glimpse.seen),
                attribute_tokens: attribute.iter().map(|a| attribute_token(self.seed, *a)).collect(),
                translation: glimpse.stored.translation,
                size: glimpse.stored.size,
                rotation: glimpse.stored.rotation,
                prev: token_at(at.checked_sub(1)),
                next: token_at(Some(at + 1)),
                num_lidar_pts: glimpse.n_inside,
                num_radar_pts: 0,
            })?;
        }
        Ok(())
    }
}

fn is_near(ego: &Pose3, state: &ActorState) -> bool {
    (state.center - ego.translation).truncate().length() <= MAX_DISTANCE_M
}

/// The key frames at which a thing is annotated.
///
/// As in recorded data, labels follow a thing a little beyond what was seen of it: a near thing is annotated where
/// this key frame or one beside it has a return from it.
fn annotated<'a>(glimpses: &[&'a Glimpse]) -> Vec<(u64, &'a Glimpse)> {
    let answered =
        |idx: Option<usize>| idx.and_then(|idx| glimpses.get(idx)).is_some_and(|g| g.seen.n_points > 0);
    let is_annotated = |idx: usize| [idx.checked_sub(1), Some(idx), Some(idx + 1)].into_iter().any(answered);
    let numbered = glimpses.iter().enumerate().filter(|(idx, glimpse)| glimpse.is_near && is_annotated(*idx));
    numbered.map(|(idx, glimpse)| (idx as u64, *glimpse)).collect()
}
