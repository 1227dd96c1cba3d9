//! Report: what happened to a frame, in numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The stages of a frame, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the module of the same name says it")]
pub enum Stage {
    Points,
    Pillars,
    Bev,
    Head,
    Boxes,
}

impl Stage {
    /// All stages in the order they run.
    pub const ALL: [Self; 5] = [Self::Points, Self::Pillars, Self::Bev, Self::Head, Self::Boxes];

    /// The noun that names the stage everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Pillars => "pillars",
            Self::Bev => "bev",
            Self::Head => "head",
            Self::Boxes => "boxes",
        }
    }
}

/// Wall-clock nanoseconds of each stage, and of the whole frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Bytes to validated points.
    pub points_ns: u64,
    /// Points to pillars.
    pub pillars_ns: u64,
    /// Pillars to canvas.
    pub bev_ns: u64,
    /// Canvas to raw tensors.
    pub head_ns: u64,
    /// Raw tensors to boxes.
    pub boxes_ns: u64,
    /// The whole frame, bookkeeping included.
    pub frame_ns: u64,
}

impl StageTimes {
    /// Nanoseconds of one stage.
    pub fn of(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Points => self.points_ns,
            Stage::Pillars => self.pillars_ns,
            Stage::Bev => self.bev_ns,
            Stage::Head => self.head_ns,
            Stage::Boxes => self.boxes_ns,
        }
    }
}

/// Conditions of a frame that a consumer should know of; bits of [`FrameReport::flags`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrameFlags(pub u32);

impl FrameFlags {
    /// The cloud had no points at all.
    pub const EMPTY_CLOUD: Self = Self(1);
    /// No point lay in the model's range.
    pub const NOTHING_IN_RANGE: Self = Self(1 << 1);
    /// A cap of the frame was exceeded: points, pillars, candidates or boxes. Points beyond the cap of
    /// one pillar are counted only; they are what hard pillars are.
    pub const OVER_CAPACITY: Self = Self(1 << 2);
    /// The intensity is of another scale than the training data's.
    pub const INTENSITY_UNLIKE_TRAINING: Self = Self(1 << 3);
    /// The mean height differs by more than a metre from the training data's.
    pub const HEIGHT_UNLIKE_TRAINING: Self = Self(1 << 4);
    /// The network put out numbers that are not finite; they were dropped.
    pub const HEAD_NOT_FINITE: Self = Self(1 << 5);

    /// The device is lost, and the frame ran on the CPU in its place.
    pub const DEVICE_LOST: Self = Self(1 << 6);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::EMPTY_CLOUD, "empty_cloud"),
        (Self::NOTHING_IN_RANGE, "nothing_in_range"),
        (Self::OVER_CAPACITY, "over_capacity"),
        (Self::INTENSITY_UNLIKE_TRAINING, "intensity_unlike_training"),
        (Self::HEIGHT_UNLIKE_TRAINING, "height_unlike_training"),
        (Self::HEAD_NOT_FINITE, "head_not_finite"),
        (Self::DEVICE_LOST, "device_lost"),
    ];

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The names of the set flags.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(f, _)| self.contains(*f)).map(|(_, n)| n)
    }
}

/// Everything counted about one frame.
///
/// Every input point is accounted for: `n_points` = `n_points_kept` + all `dropped_*` counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameReport {
    /// Frames this engine saw before.
    pub frame_idx: u64,
    /// Points of the cloud.
    pub n_points: u32,
    /// Points that reached the encoder.
    pub n_points_kept: u32,
    /// Points with a value that is NaN or infinite.
    pub dropped_nan: u32,
    /// Points outside of the grid's range.
    pub dropped_out_of_range: u32,
    /// Points nearer to their sensor than their sweep allows.
    pub dropped_near_sensor: u32,
    /// Points beyond the most points of a frame.
    pub dropped_over_capacity: u32,
    /// Points beyond the most points of their pillar.
    pub dropped_pillar_full: u32,
    /// Points whose pillar no longer fitted the table.
    pub dropped_no_pillar: u32,
    /// Pillars encoded.
    pub n_pillars: u32,
    /// Candidates that passed the score rule.
    pub n_candidates: u32,
    /// Candidates beyond the most of their scope.
    pub dropped_candidates: u32,
    /// Candidates that a better box suppressed.
    pub n_suppressed: u32,
    /// Boxes beyond the most of their scope.
    pub dropped_boxes: u32,
    /// Boxes put out.
    pub n_boxes: u32,
    /// Conditions worth knowing.
    pub flags: FrameFlags,
    /// Where the time went.
    pub times: StageTimes,
}

/// Why a frame failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum FrameErrorCode {
    /// The cloud's bytes are not a whole number of points.
    TruncatedCloud = 1,
    /// The file shrank while it was read.
    CloudVanished = 2,
    /// The cloud lacks a field that the model needs.
    MissingField = 3,
    /// The intensity is of another scale than the model's.
    IntensityMismatch = 4,
    /// The network engine reported an error; its text is with the engine.
    HeadFailed = 5,
    /// The recorded tensors do not fit the frame.
    ReplayMismatch = 6,
    /// The device or its driver failed; `got` is the driver's error number.
    DeviceFault = 7,
}

/// A frame that failed: where, why, and the two numbers that did not fit. Never allocates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// The stage that refused.
    pub stage: Stage,
    /// Why.
    pub code: FrameErrorCode,
    /// The number found.
    pub got: u64,
    /// The number it had to meet.
    pub limit: u64,
}

impl FrameErrorCode {
    /// What went wrong and what to do, as one static line.
    pub fn message(self) -> &'static str {
        match self {
            Self::TruncatedCloud => {
                "the cloud's bytes are not a whole number of points: truncated file, or wrong --layout"
            }
            Self::CloudVanished => {
                "the file became shorter while it was read: write clouds aside and rename them"
            }
            Self::MissingField => "the cloud lacks a field that the model needs: choose a layout that has it",
            Self::IntensityMismatch => {
                "the intensity scale is not the model's (0..1 against 0..255): use a model of this sensor, or rescale"
            }
            Self::HeadFailed => "the network engine failed: its own message is with the engine",
            Self::ReplayMismatch => "the recorded tensors are not of this model",
            Self::DeviceFault => {
                "the CUDA device failed, with the driver's error number: where every frame fails so, build the engine anew or restart the process"
            }
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} stage: {} (got {}, limit {})",
            self.stage.name(),
            self.code.message(),
            self.got,
            self.limit
        )
    }
}

impl std::error::Error for FrameError {}
