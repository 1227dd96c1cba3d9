//! Version 1: a TFRecord file a segment, a `Frame` a record.

use super::frame::{LabelNumbers, RawFrame, RawLaser, rigid};
use super::image::{Calibration, MAX_IMAGE_VALUES, PixelPoses, RangeImage, TOP, check_poses};
use super::tfrecord::{self, RecordPlace};
use super::{files_in, proto, segment_name};
use crate::DatasetError;
use flate2::read::ZlibDecoder;
use prost::Message;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that an image may have once it is inflated: its numbers, and something for their framing.
const MAX_INFLATED_BYTES: u64 = 4 * MAX_IMAGE_VALUES as u64 + 1024;

struct Segment {
    path: PathBuf,
    records: Vec<RecordPlace>,
}

/// The segments of a split.
pub(super) struct Segments {
    segments: Vec<Segment>,
}

impl Segments {
    pub(super) fn open(folder: &Path) -> Result<Self, DatasetError> {
        let mut segments = Vec::new();
        for path in files_in(folder, "tfrecord")? {
            let records = tfrecord::index(&path)?;
            segments.push(Segment { path, records });
        }
        Ok(Self { segments })
    }

    /// Of every frame, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |s: &Segment| {
            let segment = segment_name(&s.path);
            (0..s.records.len()).map(move |k| format!("{segment}/{k:03}"))
        };
        self.segments.iter().flat_map(name).collect()
    }

    pub(super) fn load(&self, mut idx: usize) -> Result<RawFrame, DatasetError> {
        let n_samples = self.segments.iter().map(|s| s.records.len()).sum();
        let no_sample = DatasetError::NoSample { idx, n_samples };
        for segment in &self.segments {
            let Some(place) = segment.records.get(idx) else {
                idx -= segment.records.len();
                continue;
            };
            let record = idx + 1;
            let bytes = tfrecord::read(&segment.path, record, *place)?;
            return parse(&bytes).map_err(|reason| DatasetError::Record {
                path: segment.path.clone(),
                record,
                reason,
            });
        }
        Err(no_sample)
    }
}

/// A frame from the bytes of its record.
pub(super) fn parse(bytes: &[u8]) -> Result<RawFrame, String> {
    let frame = proto::Frame::decode(bytes).map_err(|e| format!("is no frame: {e}"))?;
    let context = frame.context.as_ref().ok_or("has no context")?;
    let pose = frame.pose.as_ref().ok_or("has no pose")?;
    let mut lasers = Vec::new();
    for laser in &frame.lasers {
        let name = laser.name.unwrap_or(0);
        let in_laser = |reason: String| format!("laser {name} {reason}");
        let calibration = context.laser_calibrations.iter().find(|c| c.name == laser.name);
        let calibration = calibration.ok_or_else(|| in_laser("has no calibration".to_owned()))?;
        lasers.extend(laser_of(laser, calibration).map_err(in_laser)?);
    }
    let mut labels = Vec::new();
    for (idx, label) in frame.laser_labels.iter().enumerate() {
        labels.push(numbers_of(label).ok_or_else(|| format!("label {idx} lacks a number"))?.checked(idx)?);
    }
    Ok(RawFrame {
        context_name: context.name.clone().unwrap_or_default(),
        timestamp_micros: frame.timestamp_micros.ok_or("has no time")?,
        pose: rigid(&pose.transform, "its pose")?,
        lasers,
        labels,
    })
}

/// `None` for a laser without a first return.
fn laser_of(laser: &proto::Laser, calibration: &proto::LaserCalibration) -> Result<Option<RawLaser>, String> {
    let compressed = |of: &Option<proto::RangeImage>| {
        of.as_ref().and_then(|r| r.range_image_compressed.clone()).filter(|bytes| !bytes.is_empty())
    };
    let Some(first) = compressed(&laser.ri_return1) else {
        return Ok(None);
    };
    let (shape, values) = inflate(&first)?;
    let first = RangeImage::new(&shape, values).map_err(|e| format!("its first return {e}"))?;
    let extrinsic = calibration.extrinsic.as_ref().ok_or("has no extrinsic")?;
    let calibration = Calibration {
        extrinsic: rigid(&extrinsic.transform, "its extrinsic")?,
        beam_inclinations: calibration.beam_inclinations.clone(),
        inclination_range: [calibration.beam_inclination_min(), calibration.beam_inclination_max()],
    };
    calibration.check(&first)?;
    let name = laser.name.unwrap_or(0);
    let poses = if name == TOP {
        let bytes = laser.ri_return1.as_ref().and_then(|r| r.range_image_pose_compressed.as_ref());
        let (shape, values) = inflate(bytes.ok_or("has no poses")?)?;
        let poses = PixelPoses::new(&shape, values).map_err(|e| format!("its pose image {e}"))?;
        check_poses(&poses, &first)?;
        Some(poses)
    } else {
        None
    };
    let mut returns = vec![first];
    if let Some(second) = compressed(&laser.ri_return2) {
        let (shape, values) = inflate(&second)?;
        let second = RangeImage::new(&shape, values).map_err(|e| format!("its second return {e}"))?;
        calibration.check(&second)?;
        if let Some(poses) = &poses {
            check_poses(poses, &second)?;
        }
        returns.push(second);
    }
    Ok(Some(RawLaser { name, calibration, returns, poses }))
}

/// Shape and values of a compressed `MatrixFloat`.
fn inflate(bytes: &[u8]) -> Result<(Vec<i32>, Vec<f32>), String> {
    let mut inflated = Vec::new();
    let mut decoder = ZlibDecoder::new(bytes).take(MAX_INFLATED_BYTES + 1);
    decoder.read_to_end(&mut inflated).map_err(|e| format!("holds an image that cannot be inflated: {e}"))?;
    if inflated.len() as u64 > MAX_INFLATED_BYTES {
        return Err(format!("holds an image of more than {MAX_INFLATED_BYTES} bytes"));
    }
    let matrix = proto::MatrixFloat::decode(inflated.as_slice())
        .map_err(|e| format!("holds an image that is no matrix: {e}"))?;
    Ok((matrix.shape.unwrap_or_default().dims, matrix.data))
}

fn numbers_of(label: &proto::Label) -> Option<LabelNumbers> {
    let b = label.bbox.as_ref()?;
    let speed = label.metadata.as_ref().and_then(|m| Some([m.speed_x?, m.speed_y?, m.speed_z()]));
    Some(LabelNumbers {
        type_number: i64::from(label.object_type()),
        bbox: [b.center_x?, b.center_y?, b.center_z?, b.length?, b.width?, b.height?, b.heading?],
        speed,
        n_points: i64::from(label.num_lidar_points_in_box()),
        difficulty: i64::from(label.detection_difficulty_level()),
    })
}
