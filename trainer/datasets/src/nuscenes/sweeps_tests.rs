//! Tests of sweeps.

use super::*;
use crate::nuscenes::fixture::{AHEAD, Fixture, LEFT};
use crate::nuscenes::{Sensors, Token};
use glam::{DQuat, DVec3};
use proptest::prelude::*;

const TEN: Sweeps = Sweeps { n_sweeps: 10, style: SweepStyle::Devkit };
const TEN_OF_MMDET3D: Sweeps = Sweeps { n_sweeps: 10, style: SweepStyle::Mmdet3d };

fn cloud(fixture: &Fixture, sample: &str, sweeps: &Sweeps) -> Result<SweepCloud, DatasetError> {
    let tables = Tables::read(fixture.root(), "v1.0-test", Sensors::Lidar)?;
    tables.read_sweeps(tables.samples.find(&Token::from(sample)).unwrap(), sweeps)
}

fn assert_points(got: &[Point], expected: &[[f32; 5]]) {
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (p, [x, y, z, intensity, lag]) in got.iter().zip(expected) {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
        assert!(near(p.x, *x) && near(p.y, *y) && near(p.z, *z), "{p:?} is not {x}, {y}, {z}");
        assert!(near(p.intensity, *intensity) && near(p.time_lag, *lag), "{p:?}");
    }
}

#[test]
fn sweeps_are_moved_into_the_frame_of_the_key_sweep() {
    let fixture = Fixture::new();
    // Between the samples the car was 10 m further back; at the first it was 20 m back and looked along x.
    fixture.set("ego_pose", "ed1b", "translation", vec![100.0, 40.0, 0.0]);
    fixture.set("ego_pose", "ed1", "translation", vec![100.0, 30.0, 0.0]);
    fixture.set("ego_pose", "ed1", "rotation", AHEAD.to_vec());
    let got = cloud(&fixture, "s2", &TEN).unwrap();
    // The first sample's point is 1 m to the right of the LiDAR and 2 m ahead of it, so 3 m ahead of the middle of
    // the car, along the world's x: at (103, 29). The LiDAR of the key sweep is at (100, 51) and looks along y.
    assert_points(
        &got.points,
        &[[-3.0, 4.0, -1.0, 100.0, 0.0], [5.0, -4.0, 7.0, 8.0, 0.25], [3.0, -22.0, 3.0, 40.0, 0.5]],
    );
    assert_eq!((got.n_sweeps, got.n_close, got.n_not_finite), (3, 1, 1));
    let two = cloud(&fixture, "s2", &Sweeps { n_sweeps: 2, ..TEN }).unwrap();
    assert_eq!((two.n_sweeps, &two.points[..]), (2, &got.points[..2]));
    // None is taken for one.
    let one = cloud(&fixture, "s2", &Sweeps { n_sweeps: 0, ..TEN }).unwrap();
    assert_eq!((one.n_sweeps, one.points.len()), (1, 1));
    // Nothing comes before the first.
    assert_eq!(cloud(&fixture, "s1", &TEN).unwrap().n_sweeps, 1);
}

#[test]
fn near_points_are_dropped_in_the_frame_of_their_own_sensor() {
    let fixture = Fixture::new();
    fixture.set("ego_pose", "ed1b", "translation", vec![100.0, 40.0, 0.0]);
    // On the key sweep's sensor after the move, and on its own; at one metre along one axis a point stays.
    fixture.write_points(
        "sweeps/1b.pcd.bin",
        &[[0.0, 10.0, 0.0, 1.0, 0.0], [0.9, -0.9, 9.0, 2.0, 0.0], [1.0, 0.0, 0.0, 3.0, 0.0]],
    );
    let sweeps = Sweeps { n_sweeps: 2, ..TEN };
    let got = cloud(&fixture, "s2", &sweeps).unwrap();
    let intensities: Vec<f32> = got.points.iter().map(|p| p.intensity).collect();
    assert_eq!(
        intensities.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
        [100.0_f32, 1.0, 3.0].map(f32::to_bits)
    );
    assert_eq!(got.n_close, 1);
    // The key sweep's own points too; MMDetection3D leaves it as it is.
    fixture.write_points("samples/2.pcd.bin", &[[0.5, 0.5, 0.0, 1.0, 0.0]]);
    assert_eq!(cloud(&fixture, "s2", &sweeps).unwrap().n_close, 2);
    let got = cloud(&fixture, "s2", &Sweeps { n_sweeps: 2, ..TEN_OF_MMDET3D }).unwrap();
    assert_eq!((got.n_close, got.points.len()), (1, 3));
}

#[test]
fn mmdetection3d_turns_translations_back_and_repeats_lone_key_sweeps() {
    let fixture = Fixture::new();
    let turn = DQuat::from_rotation_z(0.2);
    let turned = turn * DQuat::from_rotation_z(std::f64::consts::FRAC_PI_2);
    fixture.set("ego_pose", "ed1b", "translation", vec![99.0, 45.0, 0.0]);
    fixture.set("ego_pose", "ed1b", "rotation", vec![turned.w, turned.x, turned.y, turned.z]);
    // The LiDAR is 1 m ahead of the middle of the car.
    let there = DVec3::new(99.0, 45.0, 2.0) + turned * DVec3::X;
    let key = DVec3::new(100.0, 51.0, 2.0);
    let to_key = |p: DVec3| {
        // What is to the right is along the world's x, what is ahead along its y: the axes are the same.
        (turn * p, there - key)
    };
    let (rotated, shift) = to_key(DVec3::new(5.0, 6.0, 7.0));
    let right = (rotated + shift).as_vec3();
    let published = (rotated + turn.inverse() * shift).as_vec3();
    let two = |style| Sweeps { n_sweeps: 2, style };
    let devkit = cloud(&fixture, "s2", &two(SweepStyle::Devkit)).unwrap();
    assert_points(&devkit.points[1..], &[[right.x, right.y, right.z, 8.0, 0.25]]);
    let mmdet3d = cloud(&fixture, "s2", &two(SweepStyle::Mmdet3d)).unwrap();
    assert_points(&mmdet3d.points[1..], &[[published.x, published.y, published.z, 8.0, 0.25]]);
    assert!(right.distance(published) > 0.5, "{right} and {published}");

    fixture.write_points("samples/1.pcd.bin", &[[0.5, 0.5, 0.0, 1.0, 0.0], [9.0, 8.0, 7.0, 6.0, 0.0]]);
    let alone = cloud(&fixture, "s1", &Sweeps { n_sweeps: 3, ..TEN_OF_MMDET3D }).unwrap();
    let point = [9.0, 8.0, 7.0, 6.0, 0.0];
    assert_points(&alone.points, &[[0.5, 0.5, 0.0, 1.0, 0.0], point, point, point]);
    assert_eq!((alone.n_sweeps, alone.n_close), (3, 2));
    // One that has some is not filled up.
    assert_eq!(cloud(&fixture, "s2", &TEN_OF_MMDET3D).unwrap().n_sweeps, 3);
}

#[test]
fn missing_and_cut_off_files_are_named() {
    let fixture = Fixture::new();
    fixture.write("sweeps/1b.pcd.bin", [0; 39]);
    let said = cloud(&fixture, "s2", &TEN).unwrap_err().to_string();
    assert!(said.contains("1b.pcd.bin") && said.contains("39 bytes"), "{said}");
    fixture.remove("sweeps/1b.pcd.bin");
    let error = cloud(&fixture, "s2", &TEN).unwrap_err();
    assert!(
        matches!(&error, DatasetError::Read { path, .. } if path.ends_with("sweeps/1b.pcd.bin")),
        "{error}"
    );
    // It is not needed for one sweep.
    assert!(cloud(&fixture, "s2", &Sweeps { n_sweeps: 1, ..TEN }).is_ok());
    fixture.set("sample_data", "d2", "is_key_frame", false);
    let said = cloud(&fixture, "s2", &TEN).unwrap_err().to_string();
    assert!(said.contains("no key frame of LIDAR_TOP of the sample `s2`"), "{said}");
}

#[test]
fn a_pose_beyond_all_numbers_loses_points_and_says_how_many() {
    let fixture = Fixture::new();
    fixture.set("ego_pose", "ed1b", "translation", vec![1e300, 0.0, 0.0]);
    let got = cloud(&fixture, "s2", &TEN).unwrap();
    assert_eq!((got.points.len(), got.n_close, got.n_not_finite), (2, 1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_is_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let fixture = Fixture::new();
        fixture.write("sweeps/1b.pcd.bin", &bytes);
        fixture.set("ego_pose", "ed1b", "rotation", LEFT.to_vec());
        match cloud(&fixture, "s2", &Sweeps { n_sweeps: 2, ..TEN }) {
            Ok(got) => {
                prop_assert_eq!(bytes.len() % RECORD_BYTES, 0);
                let n_records = 1 + bytes.len() / RECORD_BYTES;
                prop_assert_eq!(got.points.len() + got.n_close + got.n_not_finite, n_records);
                prop_assert!(got.points.iter().all(Point::is_finite));
            }
            Err(error) => {
                prop_assert_ne!(bytes.len() % RECORD_BYTES, 0);
                prop_assert!(error.to_string().contains("1b.pcd.bin"));
            }
        }
    }
}

#[test]
fn lags_are_from_the_key_sweep_or_as_mmdetection3d_has_them_from_the_sample() {
    let fixture = Fixture::new();
    // Real tables give both the same time.
    fixture.set("sample", "s2", "timestamp", 1_503_000);
    let lags = |sweeps: &Sweeps| -> Vec<f32> {
        cloud(&fixture, "s2", sweeps).unwrap().points.iter().map(|p| p.time_lag).collect()
    };
    let is = |lags: Vec<f32>, expected: [f32; 3]| {
        assert!(lags.len() == 3 && lags.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{lags:?}");
    };
    is(lags(&TEN), [0.0, 0.25, 0.5]);
    is(lags(&TEN_OF_MMDET3D), [0.0, 0.253, 0.503]);
}

#[test]
fn every_sweep_has_the_mounting_that_it_was_recorded_with() {
    let fixture = Fixture::new();
    let mut again = fixture.table("calibrated_sensor")[0].clone();
    again["token"] = "k2".into();
    again["translation"] = vec![1.0, 0.0, 3.0].into();
    again["rotation"] = AHEAD.to_vec().into();
    fixture.add("calibrated_sensor", again);
    fixture.set("sample_data", "d1b", "calibrated_sensor_token", "k2");
    // Looking ahead from (1, 0, 3) on the car, so at (6, 6, 10); the car is at (100, 50) and looks along y, so at
    // (94, 56, 10). The LiDAR of the key sweep is at (100, 51, 2), its axes those of the world.
    let got = cloud(&fixture, "s2", &Sweeps { n_sweeps: 2, ..TEN }).unwrap();
    assert_points(&got.points, &[[-3.0, 4.0, -1.0, 100.0, 0.0], [-6.0, 5.0, 8.0, 8.0, 0.25]]);
}
