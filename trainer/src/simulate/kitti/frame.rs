//! A frame as KITTI has it: the points of one turn, and what of the drive answered.

use super::super::drive::{Drive, Sweep, SweepPoint};
use super::super::sensor::Sensor;
use super::camera::Calibration;
use glam::Vec3;
use std::f32::consts::TAU;

/// A labelled object of a simulated frame with at least one return.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SimulatedObject {
    /// KITTI's class name.
    pub(super) class_name: &'static str,
    /// Geometric centre of the box, sensor frame, metres.
    pub(super) center: [f32; 3],
    /// Length, width, height, metres.
    pub(super) size_lwh: [f32; 3],
    /// Heading, counter-clockwise from +x, radians in [-pi, pi).
    pub(super) yaw: f32,
    /// Returns that came from this object.
    pub(super) n_points: u32,
    /// KITTI's occlusion level: 0 free, 1 partly, 2 largely, 3 almost fully hidden.
    pub(super) occlusion: u8,
    /// Share of the image box beyond the image's edges, 0..1; 0 where there is no image box.
    pub(super) truncation: f32,
    /// Image box in camera 2 (left, top, right, bottom, pixels), where at least one return is in the image.
    pub(super) bbox: Option<[f32; 4]>,
}

/// One turn of the scanner and what it saw.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SimulatedFrame {
    /// x, y, z in the sensor frame, metres, and intensity 0..0.99; ring by ring from the highest beam, each ring
    /// counter-clockwise from straight ahead.
    pub(super) points: Vec<[f32; 4]>,
    /// Everything labelled with at least one return, out to 80 m.
    pub(super) objects: Vec<SimulatedObject>,
}

/// The frame of a drive at a time: points, and the things that answered.
pub(super) fn observe(
    drive: &Drive,
    sensor: &Sensor,
    time_s: f64,
    calibration: &Calibration,
) -> SimulatedFrame {
    let sweep = drive.sweep(sensor, time_s);
    let mut in_image = vec![false; drive.things().len()];
    for point in &sweep.points {
        if let Some(seen) = point.actor.and_then(|idx| in_image.get_mut(idx as usize)) {
            *seen = *seen || calibration.sees(point.position);
        }
    }
    let mut objects = Vec::new();
    for (idx, ((thing, seen), in_image)) in drive.things().iter().zip(&sweep.seen).zip(&in_image).enumerate()
    {
        let Some(class_name) = thing.kitti().filter(|_| seen.n_points > 0) else { continue };
        let at = drive.sensor_box(sensor, idx, time_s);
        let image = calibration.image_box(at.center, thing.size_lwh, at.yaw).filter(|_| *in_image);
        objects.push(SimulatedObject {
            class_name,
            center: at.center.to_array(),
            size_lwh: thing.size_lwh.to_array(),
            yaw: wrap(at.yaw),
            n_points: seen.n_points,
            occlusion: occlusion(seen.n_met as f32 / seen.n_free.max(1) as f32),
            truncation: image.map_or(0.0, |(_, truncation)| truncation),
            bbox: image.map(|(bbox, _)| bbox),
        });
    }
    SimulatedFrame { points: in_file_order(&sweep), objects }
}

/// The points of a sweep as KITTI has them: ring by ring from the highest beam, each counter-clockwise from straight ahead.
pub(super) fn in_file_order(sweep: &Sweep) -> Vec<[f32; 4]> {
    let mut points: Vec<&SweepPoint> = sweep.points.iter().filter(|p| p.position != Vec3::ZERO).collect();
    let turned = |p: Vec3| libm::atan2f(p.y, p.x).rem_euclid(TAU);
    points.sort_by_cached_key(|p| (u8::MAX - p.ring, turned(p.position).to_bits()));
    points.iter().map(|p| [p.position.x, p.position.y, p.position.z, p.intensity]).collect()
}

/// KITTI's occlusion level for the share of an object's beams that reach it.
fn occlusion(visible: f32) -> u8 {
    match visible {
        v if v >= 0.75 => 0,
        v if v >= 0.40 => 1,
        v if v >= 0.10 => 2,
        _ => 3,
    }
}

/// An angle in [-pi, pi).
pub(super) fn wrap(angle: f32) -> f32 {
    use std::f32::consts::PI;
    let turned = (angle + PI).rem_euclid(TAU) - PI;
    if turned >= PI { -PI } else { turned }
}
