#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use crate::points::PointsStage;
use pilotis_spec::{FrameReport, Grid, PointLayout};
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
    for bad in [-0.1, f32::NAN, f32::INFINITY] {
        assert!(matches!(
            Sweep::new(cloud, None, bad, 0.0),
            Err(SweepError::OutOfRange { name: "time_lag_s", .. })
        ));
        assert!(matches!(Sweep::new(cloud, None, 0.0, bad), Err(SweepError::OutOfRange { .. })));
    }
    let inner = [Sweep::new(cloud, None, 0.0, 0.0).unwrap()];
    let nested = Sweep::new(CloudView::from_sweeps(&inner), None, 0.0, 0.0);
    assert_eq!(nested.unwrap_err(), SweepError::Nested);
    let bent = Pose { rotation: [1.0, 1.0, 0.0, 0.0], translation: [0.0; 3] };
    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    assert_eq!(to_key(&bent, &still, &still, &still), Err(SweepError::NotRigid));
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
