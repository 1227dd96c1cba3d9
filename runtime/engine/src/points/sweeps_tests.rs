#![allow(
    clippy::float_cmp,
    clippy::approx_constant,
    reason = "exact answers are meant, and numbers of a data set"
)]

use super::*;
use crate::points::PointsStage;
use pilotis_spec::{FieldName, FrameErrorCode, FrameFlags, FrameReport, Grid, PointLayout};
use proptest::prelude::*;

fn points_strategy() -> impl Strategy<Value = Vec<Point>> {
    let value = prop_oneof![8 => -60.0_f32..60.0, 1 => Just(f32::NAN), 1 => Just(-0.0)];
    let point = prop::array::uniform5(value).prop_map(|v| Point {
        x: v[0],
        y: v[1],
        z: v[2] / 10.0,
        intensity: v[3].abs(),
        time_lag: v[4].abs() / 100.0,
    });
    prop::collection::vec(point, 0..60)
}

fn motion(yaw: f64, shift: [f64; 3]) -> [[f32; 4]; 3] {
    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    let moved = Pose { rotation: [(yaw / 2.0).cos(), 0.0, 0.0, (yaw / 2.0).sin()], translation: shift };
    to_key(&still, &moved, &still, &still).unwrap()
}

fn run(cloud: &CloudView<'_>, max_points: usize) -> (Vec<Point>, FrameReport) {
    let grid = Grid::new([-50.0, -50.0, -3.0], [50.0, 50.0, 3.0], [0.5, 0.5]).unwrap();
    let mut report = FrameReport::default();
    let points = PointsStage::build(max_points).run(cloud, &grid, true, &mut report).unwrap().to_vec();
    (points, report)
}

fn bits(points: &[Point]) -> Vec<[u32; 5]> {
    points.iter().map(|p| [p.x, p.y, p.z, p.intensity, p.time_lag].map(f32::to_bits)).collect()
}

proptest! {
    #[test]
    fn sweeps_that_do_not_move_are_their_clouds_one_after_the_other(
        clouds in prop::collection::vec(points_strategy(), 0..5), max_points in 1_usize..200,
    ) {
        let sweeps: Vec<Sweep<'_>> =
            clouds.iter().map(|c| Sweep::new(CloudView::from_points(c), None, 0.0, 0.0).unwrap()).collect();
        let all = clouds.concat();
        let (got, report) = run(&CloudView::from_sweeps(&sweeps), max_points);
        let (want, expected) = run(&CloudView::from_points(&all), max_points);
        prop_assert_eq!(bits(&got), bits(&want));
        prop_assert_eq!(report, expected);
    }

    #[test]
    fn every_point_is_accounted_for_and_goes_where_its_sweep_says(
        clouds in prop::collection::vec(points_strategy(), 1..4), yaw in -3.0_f64..3.0,
        shift in prop::array::uniform3(-30.0_f64..30.0), near in 0.0_f32..20.0, lag in 0.0_f32..0.5,
    ) {
        let to_key = motion(yaw, shift);
        let sweeps: Vec<Sweep<'_>> = clouds
            .iter()
            .map(|c| Sweep::new(CloudView::from_points(c), Some(to_key), lag, near).unwrap())
            .collect();
        let (got, r) = run(&CloudView::from_sweeps(&sweeps), 1000);
        let dropped = r.dropped_nan + r.dropped_out_of_range + r.dropped_near_sensor + r.dropped_over_capacity;
        prop_assert_eq!(r.n_points, r.n_points_kept + dropped);
        prop_assert_eq!(r.n_points as usize, clouds.concat().len());
        let is_near = |p: &Point| p.x.abs() < near && p.y.abs() < near;
        let n_near = clouds.concat().iter().filter(|p| p.is_finite() && is_near(p)).count();
        prop_assert_eq!(r.dropped_near_sensor as usize, n_near);
        // The motion in f64, and the points in their order.
        let (sin, cos) = yaw.sin_cos();
        let mut kept = got.iter();
        let mut next = kept.next();
        for p in clouds.concat() {
            let (x, y) = (f64::from(p.x), f64::from(p.y));
            let want = [cos * x - sin * y + shift[0], sin * x + cos * y + shift[1], f64::from(p.z) + shift[2]];
            let is_it = |q: &Point| {
                // Three products below 100, rounded to 24 bits each.
                let off = (f64::from(q.x) - want[0]).abs() + (f64::from(q.y) - want[1]).abs();
                off < 1e-4 && q.intensity.to_bits() == p.intensity.to_bits()
                    && (q.time_lag - p.time_lag - lag).abs() < 1e-6
            };
            if p.is_finite() && !is_near(&p) && next.is_some_and(is_it) {
                next = kept.next();
            }
        }
        prop_assert!(next.is_none(), "a kept point is where no point of the input would be: {next:?}");
    }
}

#[test]
fn sweeps_of_files_and_of_memory_mix() {
    let layout = PointLayout::kitti();
    let points: Vec<Point> =
        (0..500).map(|i| Point { x: i as f32 / 20.0, y: 1.0, intensity: 0.5, ..Point::default() }).collect();
    let mut bytes = Vec::new();
    points.iter().for_each(|p| layout.write(p, &mut bytes));
    let file = tempfile::Builder::new().suffix(".bin").tempfile().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let file = crate::points::CloudFile::open(file.path(), Some(&layout)).unwrap();
    let clouds =
        [file.view(), CloudView::from_bytes(&bytes, &layout).unwrap(), CloudView::from_points(&points)];
    let sweeps = clouds.map(|c| Sweep::new(c, None, 0.25, 1.0).unwrap());
    let (got, report) = run(&CloudView::from_sweeps(&sweeps), 5000);
    // The first twenty of each are nearer than a metre ahead, but 1 m to the side is not below 1 m.
    assert_eq!((report.n_points, report.dropped_near_sensor, got.len()), (1500, 0, 1500));
    assert_eq!(bits(&got[..500]), bits(&got[500..1000]));
    assert_eq!(bits(&got[..500]), bits(&got[1000..]));
    assert!(got.iter().all(|p| p.time_lag == 0.25));
}

#[test]
fn what_is_no_sweep_is_refused() {
    let cloud = CloudView::from_points(&[]);
    let good = motion(0.3, [1.0, 2.0, 3.0]);
    assert!(Sweep::new(cloud, Some(good), 0.5, 1.0).is_ok());
    let mut scaled = good;
    scaled[0][0] *= 1.1;
    let mut mirrored = good;
    mirrored[2] = [0.0, 0.0, -1.0, 0.0];
    let mut endless = good;
    endless[1][3] = f32::INFINITY;
    for bad in [scaled, mirrored, endless, [[f32::NAN; 4]; 3]] {
        assert_eq!(Sweep::new(cloud, Some(bad), 0.0, 0.0).unwrap_err(), SweepError::NotRigid);
    }
    for bad in [-0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(matches!(
            Sweep::new(cloud, None, bad, 0.0),
            Err(SweepError::OutOfRange { name: "time_lag_s", .. })
        ));
        assert!(matches!(Sweep::new(cloud, None, 0.0, bad), Err(SweepError::OutOfRange { .. })));
    }
    // Microseconds, as nuScenes' time stamps are; and an hour.
    assert!(Sweep::new(cloud, None, 50_000.0, 0.0).is_err());
    assert!(Sweep::new(cloud, None, 3600.0, f32::MAX).is_ok());
    let inner = [Sweep::new(cloud, None, 0.0, 0.0).unwrap()];
    let nested = Sweep::new(CloudView::from_sweeps(&inner), None, 0.0, 0.0);
    assert_eq!(nested.unwrap_err(), SweepError::Nested);
}

#[test]
fn poses_that_are_no_rigid_motion_are_refused_wherever_they_stand() {
    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let long = Pose { rotation: [1.1 * half, 0.0, 0.0, 1.1 * half], ..still };
    let bad = [
        long,
        Pose { rotation: [0.0; 4], ..still },
        Pose { rotation: [f64::NAN, 0.0, 0.0, 0.0], ..still },
        Pose { rotation: [f64::INFINITY, 0.0, 0.0, 0.0], ..still },
        Pose { translation: [0.0, f64::NAN, 0.0], ..still },
        Pose { translation: [0.0, 0.0, f64::NEG_INFINITY], ..still },
    ];
    for pose in bad {
        for at in 0..4 {
            let mut poses = [still; 4];
            poses[at] = pose;
            let [sensor, then, now, key] = poses;
            assert_eq!(to_key(&sensor, &then, &now, &key), Err(SweepError::NotRigid), "{pose:?} at {at}");
        }
        // Twice the same: the product of the rotations is a rotation again.
        assert_eq!(to_key(&still, &pose, &pose, &still), Err(SweepError::NotRigid), "{pose:?}");
    }
    // Farther than an f32 can say; and far away together.
    let far = Pose { translation: [1e39, 0.0, 0.0], ..still };
    assert_eq!(to_key(&still, &far, &still, &still), Err(SweepError::NotRigid));
    assert_eq!(to_key(&still, &far, &far, &still), to_key(&still, &still, &still, &still));
}

#[test]
fn a_quaternion_of_few_digits_turns_and_does_not_stretch() {
    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    let rough = Pose { rotation: [0.9239, 0.0, 0.0, 0.3827], translation: [1.0, 2.0, 3.0] };
    let m = to_key(&still, &rough, &still, &still).unwrap();
    for row in m {
        let square = row[..3].iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        assert!((square - 1.0).abs() < 2e-7, "{m:?}");
    }
    assert_eq!(m.map(|row| row[3]), [1.0, 2.0, 3.0]);
}

#[test]
fn a_rotation_matrix_and_its_quaternion_are_one_pose() {
    // A third of a turn about the diagonal takes x to y, y to z and z to x.
    let matrix = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    let pose = Pose::from_matrix(matrix, [4.0, 5.0, 6.0]).unwrap();
    assert_eq!(pose, Pose { rotation: [0.5; 4], translation: [4.0, 5.0, 6.0] });
    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    let rows = matrix.map(|row| row.map(|v| v as f32));
    let m = to_key(&still, &pose, &still, &still).unwrap();
    assert_eq!(m.map(|[x, y, z, _]| [x, y, z]), rows);
    let mut mirrored = matrix;
    mirrored[2][1] = -1.0;
    let mut longer = matrix;
    longer[0][2] = 1.001;
    let mut skew = matrix;
    skew[0][0] = 0.01;
    for bad in [mirrored, longer, skew, [[f64::NAN; 3]; 3], [[0.0; 3]; 3]] {
        assert_eq!(Pose::from_matrix(bad, [0.0; 3]), Err(SweepError::NotRigid), "{bad:?}");
    }
}

#[test]
fn more_points_than_a_report_counts_are_refused_before_any_is_read() {
    let points = vec![Point::default(); 1 << 20];
    let sweeps = vec![Sweep::new(CloudView::from_points(&points), None, 0.0, 0.0).unwrap(); 4096];
    let grid = Grid::new([-50.0, -50.0, -3.0], [50.0, 50.0, 3.0], [0.5, 0.5]).unwrap();
    let mut report = FrameReport::default();
    let cloud = CloudView::from_sweeps(&sweeps);
    let error = PointsStage::build(10).run(&cloud, &grid, true, &mut report).unwrap_err();
    assert_eq!(
        (error.code, error.got, error.limit),
        (FrameErrorCode::TruncatedCloud, 1 << 32, (1 << 32) - 1)
    );
    assert_eq!(report, FrameReport::default());
}

#[test]
fn what_one_sweep_lacks_the_cloud_lacks_but_for_the_lag() {
    let layout: PointLayout = "f32:x,y,z".parse().unwrap();
    let whole = Sweep::new(CloudView::from_records(&[[1.0; 4]]), None, 0.0, 0.0).unwrap();
    let blind = Sweep::new(CloudView::from_bytes(&[0; 12], &layout).unwrap(), None, 0.0, 0.0).unwrap();
    let (good, bad) = ([whole, whole], [whole, blind]);
    for field in [FieldName::X, FieldName::Intensity, FieldName::TimeLag] {
        assert!(CloudView::from_sweeps(&good).has(field), "{field:?}");
    }
    assert!(!CloudView::from_sweeps(&good).has(FieldName::Other));
    let cloud = CloudView::from_sweeps(&bad);
    assert!(cloud.has(FieldName::TimeLag) && !cloud.has(FieldName::Intensity));
    let grid = Grid::new([-50.0, -50.0, -3.0], [50.0, 50.0, 3.0], [0.5, 0.5]).unwrap();
    let error = PointsStage::build(10).run(&cloud, &grid, true, &mut FrameReport::default()).unwrap_err();
    assert_eq!(error.code, FrameErrorCode::MissingField);
    // No sweeps at all are a cloud of no points.
    assert!(CloudView::from_sweeps(&[]).is_empty());
    assert_eq!(run(&CloudView::from_sweeps(&[]), 10).1.flags, FrameFlags::EMPTY_CLOUD);
}

#[test]
fn near_means_both_coordinates_below_the_distance_where_the_sensor_was() {
    let at = |x: f32, y: f32| Point { x, y, intensity: 0.5, ..Point::default() };
    let below = 1.0_f32.next_down();
    let points =
        [at(below, -below), at(1.0, 0.0), at(0.0, -1.0), at(-below, 0.0), at(1.0, 1.0), at(-10.0, 0.0)];
    // Ten metres on: the last point comes to where the key sensor is, and stays.
    let m = motion(0.0, [10.0, 0.0, 0.0]);
    let sweeps = [Sweep::new(CloudView::from_points(&points), Some(m), 0.0, 1.0).unwrap()];
    let (got, report) = run(&CloudView::from_sweeps(&sweeps), 10);
    assert_eq!(report.dropped_near_sensor, 2);
    assert_eq!(
        got.iter().map(|p| (p.x, p.y)).collect::<Vec<_>>(),
        [(11.0, 0.0), (10.0, -1.0), (11.0, 1.0), (0.0, 0.0)]
    );
}

#[test]
fn a_point_is_counted_under_the_first_cause_that_applies() {
    let near = Point { x: 0.5, intensity: 0.5, ..Point::default() };
    // Not finite and near; near and out of range; near and in range; out of range only by moving.
    let points = [
        Point { z: f32::NAN, ..near },
        Point { time_lag: f32::INFINITY, ..near },
        Point { z: 9.0, ..near },
        near,
        Point { x: 45.0, ..near },
        Point { x: 2.0, ..near },
        Point { x: 3.0, ..near },
    ];
    let m = motion(0.0, [10.0, 0.0, 0.0]);
    let sweeps = [Sweep::new(CloudView::from_points(&points), Some(m), 0.0, 1.0).unwrap()];
    let (_, r) = run(&CloudView::from_sweeps(&sweeps), 1);
    let dropped = [
        r.dropped_nan,
        r.dropped_near_sensor,
        r.dropped_out_of_range,
        r.dropped_over_capacity,
        r.n_points_kept,
    ];
    assert_eq!(dropped, [2, 2, 1, 1, 1]);
}

#[test]
fn motions_are_composed_in_the_order_of_the_devkit() {
    // The vehicle drove 10 m along +x between a sweep and the key sweep, with a sensor 2 m up that
    // looks to the left: what was 5 m ahead of the vehicle then is 5 m behind it now.
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let sensor = Pose { rotation: [half, 0.0, 0.0, half], translation: [1.0, 0.0, 2.0] };
    let then = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [100.0, 50.0, 0.0] };
    let now = Pose { translation: [110.0, 50.0, 0.0], ..then };
    let m = to_key(&sensor, &then, &now, &sensor).unwrap();
    // 4 m ahead of the sensor's place is at -y of a sensor that looks left.
    let sweep = [Point { x: 0.0, y: -4.0, z: -2.0, intensity: 0.5, time_lag: 0.0 }];
    let sweeps = [Sweep::new(CloudView::from_points(&sweep), Some(m), 0.05, 0.0).unwrap()];
    let (got, _) = run(&CloudView::from_sweeps(&sweeps), 10);
    let [p] = got[..] else { panic!("{got:?}") };
    assert!((p.x - 0.0).abs() < 1e-5 && (p.y - 6.0).abs() < 1e-5 && (p.z + 2.0).abs() < 1e-5, "{p:?}");
    assert_eq!(p.time_lag, 0.05);
}

#[test]
fn the_devkit_moves_the_same_points_to_the_same_place() {
    // Of a simulated drive, sensor and vehicle at the sweep and at the key sweep nine later, with what
    // `from_file_multisweep` of nuscenes-devkit 1.2.0 makes of them.
    let sensor = Pose {
        rotation: [0.707_106_781_186_547_6, 0.0, 0.0, -0.707_106_781_186_547_5],
        translation: [0.94, 0.0, 1.84],
    };
    let then = Pose {
        rotation: [
            0.797_445_194_796_610_9,
            0.005_216_303_808_808_708,
            0.011_609_162_636_093_698,
            -0.603_257_141_535_231_4,
        ],
        translation: [4.023_344_171_319_851, -21.663_344_536_372_048, 1.274_160_204_816_083_4],
    };
    let now = Pose {
        rotation: [
            0.798_024_106_905_796_8,
            0.005_153_197_120_917_385,
            0.011_719_290_872_952_676,
            -0.602_489_524_869_996_2,
        ],
        translation: [4.297_504_455_733_383_5, -22.640_850_315_223_105, 1.249_061_333_456_299],
    };
    let m = to_key(&sensor, &then, &now, &sensor).unwrap();
    assert_eq!(
        m,
        [
            [0.999_998_15, 0.001_920_127_2, 0.000_257_291_45, -0.001_704_505_4],
            [-0.001_920_103, 0.999_998_15, -9.431_728e-5, -1.015_702_5],
            [-0.000_257_472_07, 9.382_307e-5, 0.999_999_94, -9.046_968e-5],
        ]
    );
    let sweep = [
        [0.99, 0.5, 0.2, 1.0],
        [1.0, 0.5, -0.3, 2.0],
        [-12.34, 33.21, -1.7, 3.0],
        [40.1, -45.9, 2.9, 4.0],
        [0.0, 0.0, 0.0, 5.0],
        [-0.4, 1.3, -1.84, 6.0],
    ];
    let devkit = [
        [0.999_176_5, -0.517_595_2, -0.300_301_05, 2.0],
        [-12.278_352, 32.218_09, -1.693_797_3, 3.0],
        [40.010_83, -46.992_89, 2.885_278_5, 4.0],
        [-0.399_681, 0.285_236_66, -1.839_865_4, 6.0],
    ];
    let sweeps = [Sweep::new(CloudView::from_records(&sweep), Some(m), 0.45, 1.0).unwrap()];
    let (got, report) = run(&CloudView::from_sweeps(&sweeps), 10);
    assert_eq!((got.len(), report.dropped_near_sensor), (4, 2));
    for (p, want) in got.iter().zip(devkit) {
        // The devkit multiplies in f64: three roundings of numbers below 64 lie between.
        let off = [p.x - want[0], p.y - want[1], p.z - want[2]].map(f32::abs);
        assert!(off.iter().all(|v| *v < 1e-5), "{p:?} {want:?}");
        assert_eq!((p.intensity, p.time_lag), (want[3], 0.45));
    }
}

/// Any `f32`, most of them hostile.
fn any_value() -> impl Strategy<Value = f32> {
    prop_oneof![4 => any::<f32>(), 4 => -60.0_f32..60.0, 1 => Just(f32::MAX), 1 => Just(-0.0)]
}

proptest! {
    #[test]
    fn no_numbers_panic_and_what_is_kept_is_finite_and_in_range(
        points in prop::collection::vec(prop::array::uniform5(any_value()), 0..40), yaw in -4.0_f64..4.0,
        shift in prop::array::uniform3(any_value()), lag in any_value(), near in any_value(),
    ) {
        let mut to_key = motion(yaw, [0.0; 3]);
        for (row, v) in to_key.iter_mut().zip(shift) {
            row[3] = v;
        }
        let cloud = CloudView::from_records_with_time_lag(&points);
        let is_finite = shift.iter().all(|v| v.is_finite());
        let is_allowed = (0.0..=3600.0).contains(&lag) && near >= 0.0 && near.is_finite();
        prop_assert_eq!(Sweep::new(cloud, Some(to_key), lag, near).is_ok(), is_finite && is_allowed);
        // What was refused above goes on as what would have been allowed.
        let lag = if lag.is_finite() { lag.abs().min(3600.0) } else { 0.0 };
        let near = if near.is_finite() { near.abs() } else { 1.0 };
        let Ok(sweep) = Sweep::new(cloud, is_finite.then_some(to_key), lag, near) else {
            return Err(TestCaseError::fail("refused"));
        };
        let (got, r) = run(&CloudView::from_sweeps(&[sweep, sweep]), 50);
        let dropped = r.dropped_nan + r.dropped_near_sensor + r.dropped_out_of_range + r.dropped_over_capacity;
        prop_assert_eq!(r.n_points_kept + dropped, 2 * points.len() as u32);
        let grid = Grid::new([-50.0, -50.0, -3.0], [50.0, 50.0, 3.0], [0.5, 0.5]).unwrap();
        prop_assert!(got.iter().all(|p| p.is_finite() && grid.contains(p.x, p.y, p.z)));
    }

    #[test]
    fn the_order_of_sweeps_is_the_order_of_points(
        sizes in prop::collection::vec(0_usize..20, 0..8), max_points in 1_usize..100,
    ) {
        // The intensity says which sweep, the lag which point of it.
        let clouds: Vec<Vec<Point>> = sizes
            .iter()
            .enumerate()
            .map(|(s, n)| {
                let point = |i| Point { x: 5.0, y: 5.0, z: 0.0, intensity: s as f32, time_lag: i as f32 };
                (0..*n).map(point).collect()
            })
            .collect();
        let sweeps: Vec<Sweep<'_>> = clouds
            .iter()
            .map(|c| Sweep::new(CloudView::from_points(c), Some(motion(1.0, [1.0, 2.0, 0.0])), 0.5, 1.0).unwrap())
            .collect();
        let (got, _) = run(&CloudView::from_sweeps(&sweeps), max_points);
        let want: Vec<(f32, f32)> =
            clouds.concat().iter().take(max_points).map(|p| (p.intensity, p.time_lag + 0.5)).collect();
        prop_assert_eq!(got.iter().map(|p| (p.intensity, p.time_lag)).collect::<Vec<_>>(), want);
    }
}
