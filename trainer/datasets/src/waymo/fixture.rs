//! Frames of version 1, written, for tests.
//!
//! The top LiDAR's pixels each have a pose of the vehicle, so points can stand anywhere: every pixel has the range 1,
//! and a pose that brings its end to the point.

use super::label;
use super::tfrecord::masked_crc;
use super::{WaymoFrame, WaymoLabel, image::TOP, proto};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pilotis_spec::Point;
use prost::Message;
use std::f64::consts::PI;
use std::io::Write;
use std::path::Path;

/// Pixels of a row; there is one row.
const MAX_PIXELS: usize = 1 << 20;

/// A matrix that changes nothing.
const IDENTITY: [f64; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// Writes a segment, `SPLIT/segment-NAME.tfrecord`, of these frames; the vehicle stands at the world's origin.
///
/// Points come back within 1e-5 m, those of no-label zones after the others.
///
/// **Errors**: what the file system says; more points than a row may have.
pub fn write_segment(split: &Path, name: &str, frames: &[WaymoFrame]) -> std::io::Result<()> {
    std::fs::create_dir_all(split)?;
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.extend(record(&message_of(frame)?.encode_to_vec()));
    }
    std::fs::write(split.join(format!("segment-{name}.tfrecord")), bytes)
}

fn message_of(frame: &WaymoFrame) -> std::io::Result<proto::Frame> {
    let in_zone = &frame.points_in_no_label_zones;
    let outside = frame.points.iter().filter(|p| !in_zone.contains(p));
    let points: Vec<(&Point, f32)> =
        outside.map(|p| (p, 0.0)).chain(in_zone.iter().map(|p| (p, 1.0))).collect();
    // An image has a pixel at least; this one has no return.
    let width = points.len().max(1);
    if width > MAX_PIXELS {
        return Err(std::io::Error::other(format!("{width} points are more than a row may have")));
    }
    let (mut image, mut poses) = (vec![0.0_f32; 4 * width], vec![0.0_f32; 6 * width]);
    for (column, (point, zone)) in points.iter().enumerate() {
        let azimuth = PI - (column as f64 + 0.5) * 2.0 * PI / width as f64;
        let end = [libm::cos(azimuth), libm::sin(azimuth), 0.0];
        image[4 * column..][..4].copy_from_slice(&[1.0, point.intensity, 0.0, *zone]);
        let place = [point.x, point.y, point.z].map(f64::from);
        for axis in 0..3 {
            poses[6 * column + 3 + axis] = (place[axis] - end[axis]) as f32;
        }
    }
    let transform = || Some(proto::Transform { transform: IDENTITY.to_vec() });
    let calibration = proto::LaserCalibration {
        name: Some(TOP),
        beam_inclinations: vec![0.0],
        beam_inclination_min: Some(0.0),
        beam_inclination_max: Some(0.0),
        extrinsic: transform(),
    };
    let first = proto::RangeImage {
        range_image_compressed: Some(matrix([1, width as i32, 4], &image)?),
        range_image_pose_compressed: Some(matrix([1, width as i32, 6], &poses)?),
    };
    Ok(proto::Frame {
        context: Some(proto::Context {
            name: Some(frame.context_name.clone()),
            laser_calibrations: vec![calibration],
        }),
        timestamp_micros: Some(frame.timestamp_micros),
        pose: transform(),
        lasers: vec![proto::Laser { name: Some(TOP), ri_return1: Some(first), ri_return2: None }],
        laser_labels: frame.labels.iter().map(label_of).collect(),
    })
}

/// A compressed `MatrixFloat`.
pub(super) fn matrix(shape: [i32; 3], values: &[f32]) -> std::io::Result<Vec<u8>> {
    let shape = Some(proto::MatrixShape { dims: shape.to_vec() });
    deflate(&proto::MatrixFloat { data: values.to_vec(), shape }.encode_to_vec())
}

pub(super) fn deflate(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// One record of a TFRecord file.
pub(super) fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let (length_crc, crc) = (masked_crc(&length).to_le_bytes(), masked_crc(data).to_le_bytes());
    [&length[..], &length_crc[..], data, &crc[..]].concat()
}

fn label_of(l: &WaymoLabel) -> label::Label {
    label::Label {
        id: None,
        bbox: Some(label::LabelBox::new(l.center, l.size, l.heading)),
        metadata: Some(label::Metadata {
            speed_x: Some(l.velocity[0]),
            speed_y: Some(l.velocity[1]),
            speed_z: Some(0.0),
        }),
        object_type: Some(i32::from(l.type_idx)),
        detection_difficulty_level: (l.difficulty > 0).then_some(i32::from(l.difficulty)),
        num_lidar_points_in_box: Some(i32::try_from(l.n_points).unwrap_or(i32::MAX)),
    }
}
