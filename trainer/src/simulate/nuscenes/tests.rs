#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::files::{LIDAR_SAMPLES, LIDAR_SWEEPS, VERSION};
use super::inside::StoredBox;
use super::tables::{
    AttributeRow, CalibratedSensorRow, CategoryRow, EgoPoseRow, InstanceRow, LogRow, MapRow, Row,
    SampleAnnotationRow, SampleDataRow, SampleRow, SceneRow, SensorRow, VisibilityRow,
};
use super::vocabulary::visibility_token;
use super::*;
use crate::simulate::drive::{DriveOptions, Pose3, Seen, Sweep, SweepPoint};
use crate::simulate::sensor::Sensor;
use crate::simulate::tests::options;
use glam::{DQuat, DVec3, Vec3};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

const SEED: u64 = 11;
const DURATION_S: f64 = 3.0;

fn sensor() -> Sensor {
    Sensor::load("hdl32e").unwrap()
}

fn drive(scene_idx: u64) -> Drive {
    Drive::build(SEED, scene_idx, &DriveOptions { all_classes: true, ..options(DURATION_S) })
}

fn write_scenes(out: &Path, scenes: Range<u64>, resume: bool) -> Result<()> {
    let world = format!("- seed: {SEED}\n");
    let request = Request { out, seed: SEED, scenes, sensor: &sensor(), world: &world, resume, force: false };
    write(&request, drive, &ProgressBar::hidden())
}

fn write_on_threads(out: &Path, scenes: Range<u64>, resume: bool, n_threads: usize) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    pool.install(|| write_scenes(out, scenes, resume))
}

/// Every file below a folder, by its path.
fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

/// The same two scenes for all tests that only read.
static TWO_SCENES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    write_on_threads(folder.path(), 0..2, false, 2).unwrap();
    folder
});

fn rows<R: Row + DeserializeOwned>() -> Vec<R> {
    let path = TWO_SCENES.path().join(VERSION).join(format!("{}.json", R::TABLE));
    let rows: Vec<R> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(!rows.is_empty(), "{} has no rows", R::TABLE);
    rows
}

fn by_token<R: Row + DeserializeOwned>(token: impl Fn(&R) -> &str) -> BTreeMap<String, R> {
    let rows = rows::<R>();
    let n_rows = rows.len();
    let map: BTreeMap<String, R> = rows.into_iter().map(|row| (token(&row).to_owned(), row)).collect();
    assert_eq!(map.len(), n_rows, "{} has a token twice", R::TABLE);
    map
}

/// The chains that `prev` and `next` make: their lengths, each walked both ways.
fn chains<'a>(rows: &BTreeMap<&'a str, (&'a str, &'a str)>) -> Vec<Vec<&'a str>> {
    let mut chains = Vec::new();
    for (token, _) in rows.iter().filter(|(_, (prev, _))| prev.is_empty()) {
        let mut chain = vec![*token];
        let mut here = *token;
        while !rows[here].1.is_empty() {
            let next = rows[here].1;
            assert_eq!(rows[next].0, here, "{next} does not lead back to {here}");
            chain.push(next);
            here = next;
        }
        chains.push(chain);
    }
    let n_walked: usize = chains.iter().map(Vec::len).sum();
    assert_eq!(n_walked, rows.len(), "rows outside of every chain");
    chains
}

#[test]
fn every_token_leads_to_a_row() {
    let attributes = by_token(|r: &AttributeRow| &r.token);
    let calibrated = by_token(|r: &CalibratedSensorRow| &r.token);
    let categories = by_token(|r: &CategoryRow| &r.token);
    let poses = by_token(|r: &EgoPoseRow| &r.token);
    let instances = by_token(|r: &InstanceRow| &r.token);
    let logs = by_token(|r: &LogRow| &r.token);
    let samples = by_token(|r: &SampleRow| &r.token);
    let sweeps = by_token(|r: &SampleDataRow| &r.token);
    let scenes = by_token(|r: &SceneRow| &r.token);
    let sensors = by_token(|r: &SensorRow| &r.token);
    let visibilities = by_token(|r: &VisibilityRow| &r.token);
    let annotations = by_token(|r: &SampleAnnotationRow| &r.token);
    assert_eq!((categories.len(), attributes.len(), visibilities.len()), (23, 8, 4));

    assert!(calibrated.values().all(|row| sensors.contains_key(&row.sensor_token)));
    assert!(scenes.values().all(|row| logs.contains_key(&row.log_token)));
    assert!(samples.values().all(|row| scenes.contains_key(&row.scene_token)));
    for row in sweeps.values() {
        assert_eq!(poses[&row.ego_pose_token].timestamp, row.timestamp);
        assert!(calibrated.contains_key(&row.calibrated_sensor_token));
        assert!(samples[&row.sample_token].timestamp >= row.timestamp);
        assert!(TWO_SCENES.path().join(&row.filename).is_file());
    }
    assert_eq!(poses.len(), sweeps.len());
    for row in annotations.values() {
        assert!(samples.contains_key(&row.sample_token));
        assert!(instances.contains_key(&row.instance_token));
        assert!(visibilities.contains_key(&row.visibility_token));
        assert!(row.attribute_tokens.len() <= 1);
        assert!(row.attribute_tokens.iter().all(|token| attributes.contains_key(token)));
    }
    assert!(instances.values().all(|row| categories.contains_key(&row.category_token)));
    let maps = rows::<MapRow>();
    let mapped: BTreeSet<&String> = maps.iter().flat_map(|row| &row.log_tokens).collect();
    assert_eq!(mapped, logs.keys().collect());
    assert!(maps.iter().all(|row| TWO_SCENES.path().join(&row.filename).is_file()));
}

#[test]
fn chains_hold_a_scene_or_an_instance_from_first_to_last() {
    let scenes = by_token(|r: &SceneRow| &r.token);
    let samples = by_token(|r: &SampleRow| &r.token);
    let links = samples.iter().map(|(t, r)| (t.as_str(), (r.prev.as_str(), r.next.as_str()))).collect();
    let sample_chains = chains(&links);
    assert_eq!(sample_chains.len(), scenes.len());
    for chain in sample_chains {
        let scene = &scenes[&samples[chain[0]].scene_token];
        assert_eq!(scene.nbr_samples, chain.len() as u64);
        assert_eq!(
            (&*scene.first_sample_token, &*scene.last_sample_token),
            (chain[0], chain[chain.len() - 1])
        );
        assert!(chain.windows(2).all(|pair| samples[pair[0]].scene_token == samples[pair[1]].scene_token));
    }

    let instances = by_token(|r: &InstanceRow| &r.token);
    let annotations = by_token(|r: &SampleAnnotationRow| &r.token);
    let links = annotations.iter().map(|(t, r)| (t.as_str(), (r.prev.as_str(), r.next.as_str()))).collect();
    let annotation_chains = chains(&links);
    assert_eq!(annotation_chains.len(), instances.len());
    for chain in annotation_chains {
        let instance = &instances[&annotations[chain[0]].instance_token];
        assert_eq!(instance.nbr_annotations, chain.len() as u64);
        assert_eq!(instance.first_annotation_token, chain[0]);
        assert_eq!(instance.last_annotation_token, chain[chain.len() - 1]);
        let time = |token: &str| samples[&annotations[token].sample_token].timestamp;
        assert!(chain.windows(2).all(|pair| time(pair[0]) < time(pair[1])));
    }
}

#[test]
fn key_frames_come_twice_a_second_and_sweeps_at_the_scanners_rate() {
    let samples = by_token(|r: &SampleRow| &r.token);
    let sweeps = by_token(|r: &SampleDataRow| &r.token);
    let links = sweeps.iter().map(|(t, r)| (t.as_str(), (r.prev.as_str(), r.next.as_str()))).collect();
    let sweep_chains = chains(&links);
    assert_eq!(sweep_chains.len(), 2);
    let key_every = (sensor().rate_hz() / 2.0).round() as usize;
    for chain in sweep_chains {
        assert_eq!(chain.len(), 6 * key_every);
        let period_us = (1e6 / sensor().rate_hz()).round() as u64;
        assert!(chain.windows(2).all(|p| sweeps[p[1]].timestamp - sweeps[p[0]].timestamp == period_us));
        for (idx, token) in chain.iter().enumerate() {
            let sweep = &sweeps[*token];
            assert_eq!(sweep.is_key_frame, idx % key_every == key_every - 1, "sweep {idx}");
            let folder = if sweep.is_key_frame { LIDAR_SAMPLES } else { LIDAR_SWEEPS };
            assert!(sweep.filename.starts_with(folder) && sweep.filename.ends_with(".pcd.bin"));
            let wait_us = samples[&sweep.sample_token].timestamp - sweep.timestamp;
            assert_eq!(wait_us == 0, sweep.is_key_frame);
            assert!(wait_us < 500_000, "the key frame that follows is not the next one");
        }
    }
    for sample in samples.values().filter(|sample| !sample.next.is_empty()) {
        assert_eq!(samples[&sample.next].timestamp - sample.timestamp, 500_000);
    }
}

/// Central differences of the annotations against the motion that the drive itself states.
#[test]
fn velocities_follow_the_motion() {
    let drive = drive(0);
    let samples = by_token(|r: &SampleRow| &r.token);
    let annotations = by_token(|r: &SampleAnnotationRow| &r.token);
    let start_us = Clock::new(sensor().rate_hz(), DURATION_S).unwrap().timestamp_us(0, 0);
    let (mut n_moving, mut worst) = (0, 0.0f64);
    for row in annotations.values() {
        let (Some(prev), Some(next)) = (annotations.get(&row.prev), annotations.get(&row.next)) else {
            continue;
        };
        let time_s = |row: &SampleAnnotationRow| {
            samples[&row.sample_token].timestamp.checked_sub(start_us).map(|us| us as f64 * 1e-6)
        };
        let (Some(from), Some(now), Some(to)) = (time_s(prev), time_s(row), time_s(next)) else { continue };
        if now > DURATION_S {
            continue; // The other scene.
        }
        let states = (0..drive.things().len()).map(|idx| drive.state(idx, now));
        let of_row = |center: DVec3| (center - DVec3::from_array(row.translation)).length();
        let state = states.min_by(|a, b| of_row(a.center).total_cmp(&of_row(b.center))).unwrap();
        assert!(of_row(state.center) < 1e-9, "an annotation that is no thing");
        let step = DVec3::from_array(next.translation) - DVec3::from_array(prev.translation);
        worst = worst.max((step.truncate() / (to - from) - state.velocity).length());
        n_moving += usize::from(state.velocity.length() > 1.0);
    }
    assert!(n_moving > 5, "{n_moving} moving annotations");
    // Half a second of braking to either side: 4 m/s2 over 0.5 s, halved.
    assert!(worst < 1.0, "{worst} m/s beside the motion");
}

#[test]
fn a_label_goes_one_key_frame_beyond_the_last_return_and_no_further() {
    let drive = drive(0);
    let clock = Clock::new(sensor().rate_hz(), DURATION_S).unwrap();
    let sample_times: BTreeMap<String, u64> =
        rows::<SampleRow>().into_iter().map(|row| (row.token, row.timestamp)).collect();
    let key_sweeps: Vec<u64> = (0..clock.n_key_frames()).map(|idx| clock.sweep_of(idx)).collect();
    let seen: Vec<Vec<Seen>> =
        key_sweeps.iter().map(|k| drive.sweep(&sensor(), clock.time_s(*k)).seen).collect();
    // To the micrometre: reading numbers back may cost them their last bit.
    let place = |center: DVec3| format!("{center:.6}");
    let annotations = rows::<SampleAnnotationRow>();
    for (idx, k) in key_sweeps.iter().enumerate() {
        let time_us = clock.timestamp_us(0, *k);
        let annotated: BTreeSet<String> = annotations
            .iter()
            .filter(|row| sample_times[&row.sample_token] == time_us)
            .map(|row| place(DVec3::from_array(row.translation)))
            .collect();
        let beside = idx.saturating_sub(1)..(idx + 2).min(seen.len());
        let expected: BTreeSet<String> = (0..drive.things().len())
            .filter(|thing| beside.clone().any(|key| seen[key][*thing].n_points > 0))
            .map(|thing| drive.state(thing, clock.time_s(*k)).center)
            .filter(|center| (*center - drive.ego(clock.time_s(*k)).translation).truncate().length() <= 80.0)
            .map(place)
            .collect();
        assert_eq!(annotated, expected, "key frame {idx}");
    }
}

#[test]
fn stored_point_counts_are_those_of_the_stored_points() {
    let annotations = rows::<SampleAnnotationRow>();
    let sweeps: BTreeMap<String, SampleDataRow> = rows::<SampleDataRow>()
        .into_iter()
        .filter(|row| row.is_key_frame)
        .map(|row| (row.sample_token.clone(), row))
        .collect();
    let poses = by_token(|r: &EgoPoseRow| &r.token);
    let calibrated = by_token(|r: &CalibratedSensorRow| &r.token);
    let pose = |translation: [f64; 3], [w, x, y, z]: [f64; 4]| Pose3 {
        translation: DVec3::from_array(translation),
        rotation: DQuat::from_xyzw(x, y, z, w),
    };
    let mut n_points = 0;
    for row in &annotations {
        let sweep = &sweeps[&row.sample_token];
        let bytes = fs::read(TWO_SCENES.path().join(&sweep.filename)).unwrap();
        assert_eq!(bytes.len() % 20, 0);
        let (ego, mount) = (&poses[&sweep.ego_pose_token], &calibrated[&sweep.calibrated_sensor_token]);
        let (ego, mount) = (pose(ego.translation, ego.rotation), pose(mount.translation, mount.rotation));
        // The other way round: points to the box, by the sensor's, the car's and the box's place.
        let to_box = DQuat::from_xyzw(0.0, 0.0, row.rotation[3], row.rotation[0]).inverse();
        let half = DVec3::new(row.size[1], row.size[0], row.size[2]) * 0.5;
        let inside = bytes.chunks_exact(20).filter(|record| {
            let value = |at: usize| f64::from(f32::from_le_bytes(record[at..at + 4].try_into().unwrap()));
            let point = mount.rotation * DVec3::new(value(0), value(4), value(8)) + mount.translation;
            let point = ego.rotation * point + ego.translation;
            (to_box * (point - DVec3::from_array(row.translation))).abs().cmple(half).all()
        });
        let n_inside = inside.count() as u64;
        assert_eq!(row.num_lidar_pts, n_inside, "{}", row.token);
        n_points += n_inside;
    }
    assert!(n_points > 1000, "{n_points} points in {} boxes", annotations.len());
}

#[test]
fn a_box_is_stored_as_width_length_height_and_a_turn_about_the_vertical() {
    let drive = drive(0);
    let (thing, mut state) = (&drive.things()[0], drive.state(0, 1.0));
    state.yaw = 1.0;
    let stored = StoredBox::of(thing, &state);
    let [length, width, height] = thing.size_lwh.to_array().map(f64::from);
    assert_eq!(stored.size, [width, length, height]);
    assert_eq!(stored.translation, state.center.to_array());
    assert_eq!(stored.rotation, [libm::cos(0.5), 0.0, 0.0, libm::sin(0.5)]);
}

#[test]
fn points_on_the_faces_of_a_box_are_inside() {
    let nowhere = Pose3 { translation: DVec3::ZERO, rotation: DQuat::IDENTITY };
    let stored =
        StoredBox { translation: [10.0, 0.0, 1.0], size: [2.0, 4.0, 2.0], rotation: [1.0, 0.0, 0.0, 0.0] };
    let count = |x: f32, y: f32, z: f32| stored.count(&[[x, y, z, 0.0, 0.0]], &nowhere, &nowhere);
    assert_eq!([count(12.0, 1.0, 2.0), count(8.0, -1.0, 0.0), count(10.0, 0.0, 1.0)], [1, 1, 1]);
    assert_eq!([count(12.01, 0.0, 1.0), count(10.0, 1.01, 1.0), count(10.0, 0.0, 2.01)], [0, 0, 0]);
}

#[test]
fn points_are_stored_in_the_order_of_firing() {
    let point = |ring: u8, time_offset_s: f32| SweepPoint {
        position: Vec3::new(f32::from(ring), time_offset_s, 0.0),
        intensity: 0.5,
        ring,
        time_offset_s,
        actor: None,
    };
    let points = vec![point(0, -0.02), point(0, -0.01), point(1, -0.02), point(1, -0.01)];
    let stored = scene::stored_points(&Sweep { time_s: 1.0, points, seen: Vec::new() });
    let record = |x, y| [x, y, 0.0, 128.0, x];
    assert_eq!(stored, [record(0.0, -0.02), record(1.0, -0.02), record(0.0, -0.01), record(1.0, -0.01)]);
}

#[test]
fn levels_of_visibility_begin_at_40_60_and_80_percent() {
    let token = |n_met, n_free| visibility_token(Seen { n_points: 0, n_met, n_free });
    let tokens =
        [token(0, 0), token(39, 100), token(40, 100), token(60, 100), token(79, 100), token(80, 100)];
    assert_eq!(tokens, ["1", "1", "2", "3", "3", "4"]);
    assert_eq!(token(100, 100), "4");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    write_on_threads(folder.path(), 0..2, false, 1).unwrap();
    assert_eq!(files_of(folder.path()), files_of(TWO_SCENES.path()));
}

#[test]
fn an_interrupted_run_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    write_scenes(folder.path(), 0..1, false).unwrap();
    // As an interruption within scene 1 leaves it: some of its sweeps, one of them half written, none of its rows.
    let sweep = files_of(TWO_SCENES.path())
        .into_iter()
        .find(|(name, _)| name.starts_with(LIDAR_SWEEPS) && name.contains("scene-0001"));
    let (name, bytes) = sweep.unwrap();
    fs::write(folder.path().join(format!("{name}.part")), &bytes[..100]).unwrap();
    // A complete scene is not made again.
    let kept = files_of(folder.path()).into_keys().find(|name| name.contains("scene-0000")).unwrap();
    fs::write(folder.path().join(&kept), b"kept").unwrap();
    write_scenes(folder.path(), 0..2, true).unwrap();
    let (mut resumed, whole) = (files_of(folder.path()), files_of(TWO_SCENES.path()));
    assert_eq!(resumed.get(&kept).map(Vec::as_slice), Some(b"kept".as_slice()));
    resumed.insert(kept.clone(), whole[&kept].clone());
    assert!(resumed == whole, "{:?} and {:?}", resumed.keys(), whole.keys());
}

#[test]
fn a_folder_of_other_settings_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("README.md"), "- seed: 12\n").unwrap();
    let error = write_scenes(folder.path(), 0..1, true).unwrap_err().to_string();
    assert!(error.contains("seed: 11"), "{error}");
    let error = write_scenes(folder.path(), 0..1, false).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
    assert!(!folder.path().join(VERSION).exists());
    assert!(write_scenes(folder.path(), 3..3, true).is_err());
}

#[test]
fn a_scanner_without_a_sweep_at_each_key_frame_is_refused() {
    assert!(Clock::new(15.0, 20.0).is_err());
    assert!(Clock::new(20.0, 0.4).is_err());
    let clock = Clock::new(20.0, 20.0).unwrap();
    assert_eq!((clock.n_key_frames(), clock.n_sweeps()), (40, 400));
    let clock = Clock::new(10.0, 20.0).unwrap();
    assert_eq!((clock.n_key_frames(), clock.n_sweeps()), (40, 200));
}

#[test]
fn each_fifth_scene_is_for_validation() {
    let folder = tempfile::tempdir().unwrap();
    make_folders(folder.path()).unwrap();
    for scene_idx in 0..11 {
        files::Fragment::default().keep(folder.path(), scene_idx).unwrap();
    }
    write_tables(folder.path(), SEED).unwrap();
    let text = fs::read(folder.path().join(VERSION).join("splits.json")).unwrap();
    let splits: BTreeMap<String, Vec<String>> = serde_json::from_slice(&text).unwrap();
    assert_eq!(splits["sim_val"], ["scene-0004", "scene-0009"]);
    assert_eq!(splits["sim_train"].len(), 9);
    assert_eq!((&splits["val"], &splits["train"]), (&splits["sim_val"], &splits["sim_train"]));
}
