//! Boxes: raw tensors in, the boxes of a frame out.
//!
//! `sweep` the score planes of a scope ([`candidates`]) -> decode the best ([`anchors`],
//! [`centers`]) -> suppress overlaps ([`nms`], by [`iou`]) -> merge the scopes ([`cpu`]). [`plan`] is
//! what the same needs on a GPU.

pub mod anchors;
pub mod candidates;
pub mod centers;
pub mod cpu;
pub(crate) mod cuda;
pub mod iou;
pub mod nms;
pub mod plan;

pub use cpu::BoxesStage;
pub use iou::{iou_3d, iou_bev};
pub use nms::{Nms, NmsCounts};
pub use plan::BoxesPlan;

use crate::error::{BuildError, BuildErrorKind};
use pilotis_spec::boxes::MAX_CANDIDATES;
use pilotis_spec::{Box3d, HeadLayout, Manifest, NmsScope, Stage};

/// The outputs of a network, by their index in [`HeadLayout::tensors`].
pub trait RawTensors {
    /// Values of a tensor `[channels, H, W]`; empty past the last one.
    fn tensor(&self, idx: usize) -> &[f32];
}

impl RawTensors for [Vec<f32>] {
    fn tensor(&self, idx: usize) -> &[f32] {
        self.get(idx).map_or(&[], Vec::as_slice)
    }
}

/// A candidate in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoded {
    /// Where it is.
    pub bbox: Box3d,
    /// Velocity along x and y in m/s.
    pub velocity: [f32; 2],
    /// Index into the manifest's classes.
    pub class_idx: u32,
}

/// One channel of scores that a scope sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScorePlane {
    /// The tensor, by index.
    pub tensor_idx: usize,
    /// The channel.
    pub channel: usize,
    /// Flat index at the first location.
    pub first_flat_idx: u32,
    /// Flat indices from a location to the next.
    pub flat_step: u32,
    /// Channels `[from, to)` that stand for the same anchor; it is a candidate by the best of
    /// them only. Empty where every channel counts.
    pub rivals: [usize; 2],
}

/// Candidates that compete in one suppression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What it sweeps.
    pub planes: Vec<ScorePlane>,
    /// Its class within the group, where it has only one.
    pub class_in_group: Option<usize>,
}

/// The map `[H, W]` of a manifest whose head and caps fit the stage.
///
/// **Errors**: a map, thresholds or caps that no validated manifest has.
fn checked_map(manifest: &Manifest) -> Result<[usize; 2], BuildError> {
    let refuse = |message: String| BuildError::new(BuildErrorKind::Package, message).at(Stage::Boxes);
    let spec = &manifest.boxes;
    let [h, w] = manifest.head.map_shape(&manifest.grid);
    if h < 2 || w < 2 {
        return Err(refuse(format!("a map of {w} x {h} has no spacing of anchors")));
    }
    let score_ok = spec.score_threshold > 0.0 && spec.score_threshold < 1.0;
    if !score_ok || !(0.0..=1.0).contains(&spec.nms_iou) {
        return Err(refuse(format!("score {} or IoU {} is not one", spec.score_threshold, spec.nms_iou)));
    }
    if !(1..=MAX_CANDIDATES).contains(&spec.max_candidates)
        || !(1..=spec.max_candidates).contains(&spec.max_boxes)
    {
        return Err(refuse(format!(
            "{} candidates and {} boxes a scope; 1 <= boxes <= candidates <= {MAX_CANDIDATES} fit",
            spec.max_candidates, spec.max_boxes
        )));
    }
    Ok([h, w])
}

/// Every scope of a manifest, in the order of groups (tasks), then classes.
///
/// Flat indices are those of [`pilotis_spec::head`] without their class part for anchors, where
/// a scope holds an anchor once: the order is the same, and 32 bits hold it for every grid.
///
/// **Errors**: an index that does not fit 32 bits.
pub fn scopes(manifest: &Manifest) -> Result<Vec<Scope>, BuildError> {
    let [h, w] = manifest.head.map_shape(&manifest.grid);
    let n_cells = h * w;
    let by = manifest.boxes.nms_scope;
    let (n_tensors, per_location) = match &manifest.head {
        HeadLayout::Anchors(head) => (anchors::tensors_per_group(head), true),
        HeadLayout::Centers(head) => (centers::tensors_per_task(head), false),
    };
    let mut scopes: Vec<Scope> = Vec::new();
    let mut offset = 0_usize;
    for (g, classes) in manifest.head.groups().iter().enumerate() {
        let n = classes.len();
        // (channel, class, flat index of location 0, step, rivals)
        let n_anchors = if per_location { 2 * n } else { n };
        let mut planes = Vec::with_capacity(n_anchors * n);
        let end = offset + n_anchors * n_cells;
        if u32::try_from(end).is_err() {
            let message = format!("{end} candidates of a map {w} x {h} do not fit a 32-bit index");
            return Err(BuildError::new(BuildErrorKind::Package, message).at(Stage::Boxes));
        }
        for a in 0..n_anchors {
            let (channels, first, step) = if per_location {
                (a * n..a * n + n, offset + a, n_anchors)
            } else {
                (a..a + 1, offset + a * n_cells, 1)
            };
            let best_only = by != NmsScope::PerClass && channels.len() > 1;
            let rivals = if best_only { [channels.start, channels.end] } else { [0, 0] };
            for channel in channels.clone() {
                let class = if per_location { channel - channels.start } else { channel };
                let plane = ScorePlane {
                    tensor_idx: g * n_tensors,
                    channel,
                    first_flat_idx: first as u32,
                    flat_step: step as u32,
                    rivals,
                };
                planes.push((class, plane));
            }
        }
        match by {
            NmsScope::PerClass => scopes.extend((0..n).map(|class| Scope {
                planes: planes.iter().filter(|(c, _)| *c == class).map(|(_, p)| *p).collect(),
                class_in_group: Some(class),
            })),
            NmsScope::Agnostic if !scopes.is_empty() => {
                if let Some(scope) = scopes.first_mut() {
                    scope.planes.extend(planes.iter().map(|(_, p)| *p));
                }
            }
            _ => {
                scopes.push(Scope { planes: planes.iter().map(|(_, p)| *p).collect(), class_in_group: None });
            }
        }
        offset = end;
    }
    Ok(scopes)
}

/// The manifest's index of every class of every group.
pub(crate) fn class_indices(manifest: &Manifest) -> Result<Vec<Vec<u32>>, BuildError> {
    let find = |name: &&str| {
        manifest.class_idx(name).map(|i| i as u32).ok_or_else(|| {
            let message = format!("class `{name}` of the head is not among the manifest's classes");
            BuildError::new(BuildErrorKind::Package, message).at(Stage::Boxes)
        })
    };
    manifest.head.groups().iter().map(|group| group.iter().map(find).collect()).collect()
}

/// One value of a tensor of planes; NaN outside of it, so that a box of it is dropped.
#[inline]
pub(crate) fn value(tensor: &[f32], n_cells: usize, channel: usize, cell: usize) -> f32 {
    tensor.get(channel * n_cells + cell).copied().unwrap_or(f32::NAN)
}
