//! Points of a range image against trigonometry by hand.

use super::super::image::{FramePoints, append_points};
use super::super::{Calibration, PixelPoses, RangeImage};
use super::synthetic::motion;
use glam::DMat4;
use pilotis_spec::Point;
use std::f64::consts::PI;

const HEIGHT: usize = 5;
const WIDTH: usize = 36;
const WALL_X_M: f64 = 20.0;
const MOUNTED: [f64; 3] = [1.5, -0.4, 2.1];

fn matrix(values: [f64; 16]) -> DMat4 {
    DMat4::from_cols_array(&values).transpose()
}

/// The direction of a column as seen from above, in the vehicle's frame: from behind over the left to the front.
fn azimuth(column: usize) -> f64 {
    PI - (column as f64 + 0.5) * 2.0 * PI / WIDTH as f64
}

/// Ranges to a wall across the way ahead; beams that do not meet it have none.
fn wall(rows: &[f64; HEIGHT]) -> RangeImage {
    let mut values = Vec::new();
    for inclination in rows {
        for column in 0..WIDTH {
            let ahead = azimuth(column).cos() * inclination.cos();
            let range = if azimuth(column).cos() > 0.1 { (WALL_X_M - MOUNTED[0]) / ahead } else { -1.0 };
            values.extend([range as f32, column as f32, 0.0, 0.0]);
        }
    }
    RangeImage::new(&[HEIGHT as i32, WIDTH as i32, 4], values).unwrap()
}

fn points(
    calibration: &Calibration,
    rows: &[f64; HEIGHT],
    poses: Option<(&PixelPoses, &DMat4)>,
) -> Vec<Point> {
    let mut points = FramePoints::default();
    append_points(&wall(rows), calibration, poses, false, &mut points);
    points.given
}

/// Where the beams of the first row meet the wall, and so on.
fn expected(rows: &[f64; HEIGHT]) -> Vec<[f64; 3]> {
    let mut all = Vec::new();
    for inclination in rows {
        for column in (0..WIDTH).filter(|c| azimuth(*c).cos() > 0.1) {
            let distance = WALL_X_M - MOUNTED[0];
            let y = MOUNTED[1] + distance * azimuth(column).tan();
            let z = MOUNTED[2] + distance * inclination.tan() / azimuth(column).cos();
            all.push([WALL_X_M, y, z]);
        }
    }
    all
}

fn assert_close(points: &[Point], expected: &[[f64; 3]]) {
    assert_eq!(points.len(), expected.len());
    assert!(!points.is_empty());
    for (p, e) in points.iter().zip(expected) {
        let off = [f64::from(p.x) - e[0], f64::from(p.y) - e[1], f64::from(p.z) - e[2]];
        // Ranges are rounded to f32 twice, up to 200 m away.
        assert!(off.iter().all(|v| v.abs() < 1e-4), "{p:?} {e:?}");
    }
}

#[test]
fn a_wall_is_flat_however_the_sensor_is_turned() {
    let rows = [0.1, 0.05, -0.01, -0.1, -0.25];
    let mut lowest_first = rows.to_vec();
    lowest_first.reverse();
    for turn in [0.0, 0.7, 2.6, -3.0] {
        let calibration = Calibration {
            extrinsic: matrix(motion(turn, MOUNTED)),
            beam_inclinations: lowest_first.clone(),
            inclination_range: [0.0; 2],
        };
        assert_close(&points(&calibration, &rows, None), &expected(&rows));
    }
}

#[test]
fn beams_without_a_table_lie_in_the_middle_of_even_parts() {
    // -0.3..0.2 in five parts of 0.1, the highest first.
    let rows = [0.15, 0.05, -0.05, -0.15, -0.25];
    let calibration = Calibration {
        extrinsic: matrix(motion(1.0, MOUNTED)),
        beam_inclinations: vec![],
        inclination_range: [-0.3, 0.2],
    };
    assert_close(&points(&calibration, &rows, None), &expected(&rows));
}

#[test]
fn every_pixel_has_the_pose_of_its_own_time() {
    let rows = [0.1, 0.05, -0.01, -0.1, -0.25];
    let mut lowest_first = rows.to_vec();
    lowest_first.reverse();
    let calibration = Calibration {
        extrinsic: matrix(motion(2.6, MOUNTED)),
        beam_inclinations: lowest_first,
        inclination_range: [0.0; 2],
    };
    // Column by column the vehicle drives on and turns; the frame is that of its last place.
    let pose_of = |column: usize| (0.5 + 0.001 * column as f64, [7.0 + 0.05 * column as f64, -3.0, 1.0]);
    let (last_yaw, last) = pose_of(WIDTH - 1);
    let mut values = Vec::new();
    for pixel in 0..HEIGHT * WIDTH {
        let (yaw, [x, y, z]) = pose_of(pixel % WIDTH);
        values.extend([0.0, 0.0, yaw, x, y, z].map(|v| v as f32));
    }
    let poses = PixelPoses::new(&[HEIGHT as i32, WIDTH as i32, 6], values).unwrap();
    let vehicle_of_world = matrix(motion(last_yaw, last)).inverse();
    let found = points(&calibration, &rows, Some((&poses, &vehicle_of_world)));
    let columns = (0..HEIGHT).flat_map(|_| (0..WIDTH).filter(|c| azimuth(*c).cos() > 0.1));
    let moved: Vec<[f64; 3]> = expected(&rows)
        .into_iter()
        .zip(columns)
        .map(|([x, y, z], column)| {
            let (yaw, [px, py, pz]) = pose_of(column);
            let world = [px + x * yaw.cos() - y * yaw.sin(), py + x * yaw.sin() + y * yaw.cos(), pz + z];
            let (dx, dy) = (world[0] - last[0], world[1] - last[1]);
            let (s, c) = last_yaw.sin_cos();
            [dx * c + dy * s, dy * c - dx * s, world[2] - last[2]]
        })
        .collect();
    assert_close(&found, &moved);
}

#[test]
fn roll_pitch_and_yaw_turn_about_x_then_y_then_z() {
    // What lies ahead: rolling keeps it, pitching brings it below, yawing to the left; the order shows in two at once.
    let angle = (PI / 2.0) as f32;
    let pose = |roll: f32, pitch: f32, yaw: f32| {
        let poses = PixelPoses::new(&[1, 1, 6], vec![roll, pitch, yaw, 0.0, 0.0, 0.0]).unwrap();
        let calibration = Calibration {
            extrinsic: DMat4::IDENTITY,
            beam_inclinations: vec![0.0],
            inclination_range: [0.0; 2],
        };
        // The only column looks along azimuth 0.
        let image = RangeImage::new(&[1, 1, 4], vec![2.0, 0.0, 0.0, 0.0]).unwrap();
        let mut points = FramePoints::default();
        append_points(&image, &calibration, Some((&poses, &DMat4::IDENTITY)), false, &mut points);
        [points.given[0].x, points.given[0].y, points.given[0].z]
    };
    let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(pose(angle, 0.0, 0.0), [2.0, 0.0, 0.0]));
    assert!(close(pose(0.0, angle, 0.0), [0.0, 0.0, -2.0]));
    assert!(close(pose(0.0, 0.0, angle), [0.0, 2.0, 0.0]));
    assert!(close(pose(0.0, angle, angle), [0.0, 0.0, -2.0]));
    assert!(close(pose(angle, 0.0, angle), [0.0, 2.0, 0.0]));
    assert!(close(pose(angle, angle, 0.0), [0.0, 0.0, -2.0]));
}
