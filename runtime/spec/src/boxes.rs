//! Boxes: what a detection is, and how candidates become the boxes of a frame.

use crate::error::SpecError;
use serde::{Deserialize, Serialize};

/// An upright 3D box.
///
/// **Units and frame**: metres and radians in the sensor frame; `center` is the geometric
/// centre; `size` is length (along the heading), width, height; yaw 0 points along +x and grows
/// counter-clockwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Box3d {
    /// Geometric centre `[x, y, z]`.
    pub center: [f32; 3],
    /// `[length, width, height]`.
    pub size: [f32; 3],
    /// Heading.
    pub yaw: f32,
}

/// One detected object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Where it is.
    pub bbox: Box3d,
    /// Velocity along x and y in m/s; zero for models without velocity.
    pub velocity: [f32; 2],
    /// Sigmoid of the best logit, in 0..=1.
    pub score: f32,
    /// Index into the manifest's classes.
    pub class_idx: u32,
}

/// Whether a score equal to the threshold passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRule {
    /// `score >= threshold`, the anchor heads' rule in the field.
    AtLeast,
    /// `score > threshold`, the centre heads' rule.
    Above,
}

/// Which candidates compete in one suppression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NmsScope {
    /// All together; an anchor stands for its best class only.
    Agnostic,
    /// Each group (anchors) or task (centres) for itself; best class only within a group.
    PerGroup,
    /// Each class for itself; an anchor or cell is a candidate for each of its classes.
    PerClass,
}

/// How raw tensors become the boxes of a frame.
///
/// Candidates pass the score rule, the best `max_candidates` of each scope are decoded, and a
/// box goes when its rotated BEV IoU with a better one of its scope is above `nms_iou`.
///
/// **Determinism**: candidates rank by logit; ties by the lower flat index (see
/// [`crate::head::HeadLayout`]). **At capacity**: counted in the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxesSpec {
    /// Least score.
    pub score_threshold: f32,
    /// Whether equality passes.
    pub score_rule: ScoreRule,
    /// Which candidates compete.
    pub nms_scope: NmsScope,
    /// Suppress above this rotated BEV IoU.
    pub nms_iou: f32,
    /// Candidates of a scope that enter suppression.
    pub max_candidates: u32,
    /// Boxes of a scope that leave it.
    pub max_boxes: u32,
}

/// The most candidates one scope may have: `max_candidates` squared bits must stay small enough
/// to allocate once on every device.
pub const MAX_CANDIDATES: u32 = 16_384;

impl BoxesSpec {
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        if !(self.score_threshold > 0.0 && self.score_threshold < 1.0) {
            return Err(SpecError::out_of_range(
                "boxes.score_threshold",
                format!("{} is not between 0 and 1 (exclusive)", self.score_threshold),
            ));
        }
        if !(0.0..=1.0).contains(&self.nms_iou) {
            return Err(SpecError::out_of_range(
                "boxes.nms_iou",
                format!("{} is not in 0..=1", self.nms_iou),
            ));
        }
        if self.max_candidates == 0 || self.max_candidates > MAX_CANDIDATES {
            return Err(SpecError::out_of_range(
                "boxes.max_candidates",
                format!("{} is not in 1..={MAX_CANDIDATES}", self.max_candidates),
            ));
        }
        if self.max_boxes == 0 || self.max_boxes > self.max_candidates {
            return Err(SpecError::out_of_range(
                "boxes.max_boxes",
                format!("{} is not in 1..={} (max_candidates)", self.max_boxes, self.max_candidates),
            ));
        }
        Ok(())
    }
}
