//! Files of `metrics.Objects`: ground truths and predictions, read and written.

use super::proto;
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What can be wrong with files of objects.
#[derive(Debug, thiserror::Error)]
pub enum WaymoError {
    /// A file cannot be read or written.
    #[error("cannot access `{}`", .path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A record is not what `metrics.proto` says.
    #[error("`{}` object {record}: {reason}", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        record: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to evaluate against.
    #[error("the ground truths hold no object")]
    NoGroundTruths,
}

/// The types that the benchmark counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectType {
    /// Cars, trucks, buses, motorcycles.
    Vehicle,
    /// People on foot.
    Pedestrian,
    /// Traffic signs.
    Sign,
    /// Bicycles with their riders.
    Cyclist,
}

impl ObjectType {
    /// All of them, in the benchmark's order.
    pub const ALL: [Self; 4] = [Self::Vehicle, Self::Pedestrian, Self::Sign, Self::Cyclist];

    /// In lower case, as classes are named in Pilotis.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicle",
            Self::Pedestrian => "pedestrian",
            Self::Sign => "sign",
            Self::Cyclist => "cyclist",
        }
    }

    /// The type with this name in lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Its number in `label.proto`, which counts from 1.
    fn number(self) -> i32 {
        self as i32 + 1
    }
}

/// How hard a ground truth is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Counts at both levels.
    One,
    /// Counts at level 2 alone.
    Two,
}

/// A box in the vehicle's frame: metres, radians counter-clockwise from +x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelBox {
    /// Geometric centre.
    pub center: [f64; 3],
    /// Length, width, height.
    pub size: [f64; 3],
    /// Where its front points.
    pub heading: f64,
}

/// Which frame of which segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameKey {
    /// The segment's name.
    pub context_name: String,
    /// The frame's time.
    pub timestamp_micros: i64,
}

/// One ground truth or prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaymoObject {
    /// Index of its frame in [`WaymoObjects::frames`].
    pub frame_idx: u32,
    /// `None` is the dataset's `TYPE_UNKNOWN`.
    pub object_type: Option<ObjectType>,
    /// Where it is.
    pub bbox: LabelBox,
    /// Of a prediction; 1 where a file has none.
    pub score: f32,
    /// Whether a prediction lies in a no-label zone.
    pub overlaps_no_label_zone: bool,
    /// Of a ground truth, where it has one.
    pub level: Option<Level>,
    /// LiDAR points in the box of a ground truth, where they are known.
    pub n_points: Option<u32>,
}

/// Objects of many frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WaymoObjects {
    frames: Vec<FrameKey>,
    by_key: BTreeMap<FrameKey, u32>,
    /// The objects, in the order of the file.
    pub objects: Vec<WaymoObject>,
}

impl WaymoObjects {
    /// The frames that were named, in order of first occurrence.
    pub fn frames(&self) -> &[FrameKey] {
        &self.frames
    }

    /// The index of a frame, which is added if it is new.
    pub fn frame_idx(&mut self, key: &FrameKey) -> u32 {
        if let Some(idx) = self.by_key.get(key) {
            return *idx;
        }
        let idx = self.frames.len() as u32;
        self.frames.push(key.clone());
        self.by_key.insert(key.clone(), idx);
        idx
    }

    pub(super) fn frame_of(&self, object: &WaymoObject) -> &FrameKey {
        &self.frames[object.frame_idx as usize]
    }

    /// Reads a file of `metrics.Objects`.
    ///
    /// **Errors**: a file that cannot be read, or a record that is cut short, names no frame, or has a box or a score
    /// that is not finite or a type that does not exist; each names file and record.
    pub fn read(path: &Path) -> Result<Self, WaymoError> {
        let bytes =
            std::fs::read(path).map_err(|source| WaymoError::Access { path: path.to_owned(), source })?;
        Self::decode(&bytes).map_err(|(record, reason)| WaymoError::Record {
            path: path.to_owned(),
            record,
            reason,
        })
    }

    /// The same from bytes; an error is the record, counted from 1, and what is wrong with it.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, (usize, String)> {
        let mut all = Self::default();
        let mut record = 1;
        while !bytes.is_empty() {
            let at = |reason: String| (record, reason);
            let (tag, wire_type) = decode_key(&mut bytes).map_err(|e| at(e.to_string()))?;
            if tag != proto::OBJECTS_TAG || wire_type != WireType::LengthDelimited {
                skip_field(wire_type, tag, &mut bytes, DecodeContext::default())
                    .map_err(|e| at(e.to_string()))?;
                continue;
            }
            let length = decode_varint(&mut bytes).map_err(|e| at(e.to_string()))?;
            let taken = usize::try_from(length).ok().and_then(|n| bytes.split_at_checked(n));
            let Some((message, rest)) = taken else {
                return Err(at(format!("states {length} bytes, but {} are left", bytes.len())));
            };
            bytes = rest;
            let message = proto::Object::decode(message).map_err(|e| at(e.to_string()))?;
            let object = all.checked(&message).map_err(at)?;
            all.objects.push(object);
            record += 1;
        }
        Ok(all)
    }

    /// Writes the objects as `metrics.Objects`, in their order.
    ///
    /// **Errors**: what the file system says; the file is then incomplete.
    pub fn write(&self, path: &Path) -> Result<(), WaymoError> {
        let access = |source| WaymoError::Access { path: path.to_owned(), source };
        let mut file = io::BufWriter::new(std::fs::File::create(path).map_err(access)?);
        let mut bytes = Vec::new();
        for object in &self.objects {
            bytes.clear();
            self.encode_one(object, &mut bytes);
            file.write_all(&bytes).map_err(access)?;
        }
        file.flush().map_err(access)
    }

    /// The same as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for object in &self.objects {
            self.encode_one(object, &mut bytes);
        }
        bytes
    }

    fn encode_one(&self, object: &WaymoObject, bytes: &mut Vec<u8>) {
        let key = self.frame_of(object);
        let bbox = proto::LabelBox::new(object.bbox.center, object.bbox.size, object.bbox.heading);
        let message = proto::Object {
            object: Some(proto::Label {
                bbox: Some(bbox),
                metadata: None,
                object_type: Some(object.object_type.map_or(0, ObjectType::number)),
                id: None,
                detection_difficulty_level: object.level.map(|l| l as i32 + 1),
                num_lidar_points_in_box: object.n_points.map(|n| i32::try_from(n).unwrap_or(i32::MAX)),
            }),
            score: Some(object.score),
            overlap_with_nlz: object.overlaps_no_label_zone.then_some(true),
            context_name: Some(key.context_name.clone()),
            frame_timestamp_micros: Some(key.timestamp_micros),
        };
        encode_key(proto::OBJECTS_TAG, WireType::LengthDelimited, bytes);
        encode_varint(message.encoded_len() as u64, bytes);
        message.encode_raw(bytes);
    }

    fn checked(&mut self, message: &proto::Object) -> Result<WaymoObject, String> {
        let label = message.object.as_ref().ok_or("has no label")?;
        let bbox = label.bbox.as_ref().and_then(whole_box).ok_or("its box lacks a number")?;
        let numbers = [bbox.center, bbox.size, [bbox.heading, 0.0, 0.0]];
        if let Some(number) = numbers.as_flattened().iter().find(|v| !v.is_finite()) {
            return Err(format!("its box holds {number}"));
        }
        let score = message.score();
        if !score.is_finite() {
            return Err(format!("its score is {score}"));
        }
        let object_type = match label.object_type() {
            0 => None,
            n @ 1..=4 => Some(ObjectType::ALL[n as usize - 1]),
            n => return Err(format!("its type is {n}, but types are 0 to 4")),
        };
        let level = match label.detection_difficulty_level() {
            0 => None,
            1 => Some(Level::One),
            2 => Some(Level::Two),
            n => return Err(format!("its difficulty is {n}, but levels are 1 and 2")),
        };
        let (Some(context_name), Some(timestamp_micros)) =
            (message.context_name.as_ref(), message.frame_timestamp_micros)
        else {
            return Err("names no frame: it needs `context_name` and `frame_timestamp_micros`".to_owned());
        };
        let key = FrameKey { context_name: context_name.clone(), timestamp_micros };
        Ok(WaymoObject {
            frame_idx: self.frame_idx(&key),
            object_type,
            bbox,
            score,
            overlaps_no_label_zone: message.overlap_with_nlz(),
            level,
            // A negative count says as much as none at all.
            n_points: label.num_lidar_points_in_box.map(|n| u32::try_from(n).unwrap_or(0)),
        })
    }
}

fn whole_box(b: &proto::LabelBox) -> Option<LabelBox> {
    Some(LabelBox {
        center: [b.center_x?, b.center_y?, b.center_z?],
        size: [b.length?, b.width?, b.height?],
        heading: b.heading?,
    })
}
