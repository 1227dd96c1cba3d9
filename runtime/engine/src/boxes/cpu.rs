//! The boxes stage on the CPU.

use super::anchors::AnchorDecoder;
use super::candidates::{Rank, TopCandidates, sweep};
use super::centers::CenterDecoder;
use super::nms::Nms;
use super::{Decoded, RawTensors, Scope, ScorePlane, checked_map, scopes};
use crate::error::BuildError;
use pilotis_spec::codec::{logit_threshold, normalize_yaw, sigmoid};
use pilotis_spec::{
    Box3d, Detection, FrameError, FrameErrorCode, FrameFlags, FrameReport, HeadLayout, Manifest, ScoreRule,
    Stage,
};
use std::f32::consts::{PI, TAU};

/// What turns flat indices into boxes.
#[derive(Debug)]
enum Decoder {
    Anchors(AnchorDecoder),
    Centers(CenterDecoder),
}

/// What stays of a decoded candidate beside its box.
#[derive(Clone, Copy, Debug)]
struct Rest {
    velocity: [f32; 2],
    class_idx: u32,
    rank: Rank,
}

/// Raw tensors to the boxes of a frame.
///
/// **Allocation**: in [`BoxesStage::build`] only. **Determinism**: one thread, a defined order
/// everywhere; the same tensors give the same bits.
#[derive(Debug)]
pub struct BoxesStage {
    scopes: Vec<Scope>,
    /// Values that every tensor must have.
    n_values: Vec<usize>,
    n_cells: usize,
    threshold: f32,
    decoder: Decoder,
    top: TopCandidates,
    nms: Nms,
    /// The decoded candidates of a scope, best first.
    boxes: Vec<Box3d>,
    rests: Vec<Rest>,
    /// What all scopes kept, and the keys that order it.
    merged: Vec<Detection>,
    keys: Vec<u128>,
    detections: Vec<Detection>,
}

impl BoxesStage {
    /// The stage of a manifest, with room for its caps.
    ///
    /// **Errors**: a head or caps that no validated manifest has.
    pub fn build(manifest: &Manifest) -> Result<Self, BuildError> {
        let (spec, grid) = (&manifest.boxes, &manifest.grid);
        let [h, w] = checked_map(manifest)?;
        let decoder = match &manifest.head {
            HeadLayout::Anchors(head) => Decoder::Anchors(AnchorDecoder::build(manifest, head)?),
            HeadLayout::Centers(head) => Decoder::Centers(CenterDecoder::build(manifest, head)?),
        };
        let scopes = scopes(manifest)?;
        let (max_candidates, max_boxes) = (spec.max_candidates as usize, spec.max_boxes as usize);
        let (min, max) = (grid.min(), grid.max());
        let most = max_boxes * scopes.len();
        Ok(Self {
            n_values: manifest.head.tensors(grid).iter().map(|t| t.n_values()).collect(),
            n_cells: h * w,
            threshold: logit_threshold(spec.score_threshold, spec.score_rule == ScoreRule::Above),
            decoder,
            top: TopCandidates::build(max_candidates),
            nms: Nms::build([min[0], min[1]], [max[0], max[1]], max_boxes, spec.nms_iou),
            boxes: Vec::with_capacity(max_candidates),
            rests: Vec::with_capacity(max_candidates),
            merged: Vec::with_capacity(most),
            keys: Vec::with_capacity(most),
            detections: Vec::with_capacity(most),
            scopes,
        })
    }

    /// The most boxes of a frame, over all scopes.
    pub fn max_detections(&self) -> usize {
        self.detections.capacity()
    }

    /// The boxes of the last frame, best first.
    pub fn detections(&self) -> &[Detection] {
        &self.detections
    }

    /// Suppressions of a frame.
    pub fn n_scopes(&self) -> usize {
        self.scopes.len()
    }

    /// The boxes of a frame, best first: by logit, then scope, then flat index; headings in
    /// (-pi, pi].
    ///
    /// Sets the report's box counters and adds its flags. Every candidate is accounted for:
    /// `n_candidates` = `dropped_candidates` + `n_suppressed` + `dropped_boxes` + `n_boxes` +
    /// decoded boxes that are not finite (flagged) or whose centre is out of the centre range.
    ///
    /// **At capacity**: `dropped_candidates` are those beyond the best `max_candidates` of a
    /// scope; `dropped_boxes` those that no kept box of a full scope suppresses (among
    /// themselves they are not compared). Either raises `OVER_CAPACITY`.
    /// **Errors**: `HeadFailed` for a tensor with fewer values than the layout has; nothing is
    /// put out then. **Allocation**: none.
    pub fn run<T: RawTensors + ?Sized>(
        &mut self,
        tensors: &T,
        report: &mut FrameReport,
    ) -> Result<&[Detection], FrameError> {
        self.merged.clear();
        self.keys.clear();
        self.detections.clear();
        report.n_candidates = 0;
        report.dropped_candidates = 0;
        report.n_suppressed = 0;
        report.dropped_boxes = 0;
        report.n_boxes = 0;
        self.check(tensors)?;
        for scope_idx in 0..self.scopes.len() {
            self.decode_scope(scope_idx, tensors, report);
            let counts = self.nms.run(&self.boxes);
            report.n_suppressed += counts.n_suppressed;
            report.dropped_boxes += counts.dropped_boxes;
            for kept in self.nms.kept() {
                let at = *kept as usize;
                let (Some(bbox), Some(rest)) = (self.boxes.get(at), self.rests.get(at)) else { continue };
                self.keys.push(key(rest.rank, scope_idx, self.merged.len()));
                self.merged.push(Detection {
                    bbox: *bbox,
                    velocity: rest.velocity,
                    score: sigmoid(rest.rank.logit()),
                    class_idx: rest.class_idx,
                });
            }
        }
        self.keys.sort_unstable();
        let merged = &self.merged;
        // The last 32 bits say where the box stands.
        self.detections.extend(self.keys.iter().filter_map(|key| merged.get(*key as u32 as usize)));
        report.n_boxes = self.detections.len() as u32;
        if report.dropped_candidates > 0 || report.dropped_boxes > 0 {
            report.flags.insert(FrameFlags::OVER_CAPACITY);
        }
        Ok(&self.detections)
    }

    /// Candidates of one scope, decoded, best first: the first half of [`BoxesStage::run`], for
    /// measurements. Adds to the report's candidate counters and flags; empty past the last scope.
    pub fn decode_scope<T: RawTensors + ?Sized>(
        &mut self,
        scope_idx: usize,
        tensors: &T,
        report: &mut FrameReport,
    ) -> &[Box3d] {
        self.boxes.clear();
        self.rests.clear();
        let Some(scope) = self.scopes.get(scope_idx) else { return &self.boxes };
        self.top.clear();
        let mut finite = true;
        for plane in &scope.planes {
            let tensor = tensors.tensor(plane.tensor_idx);
            finite &= offer_plane(plane, tensor, self.n_cells, self.threshold, &mut self.top);
        }
        report.n_candidates = report.n_candidates.saturating_add(self.top.n_seen());
        report.dropped_candidates = report.dropped_candidates.saturating_add(self.top.n_dropped());
        for rank in self.top.finish() {
            let decoded = match &self.decoder {
                Decoder::Anchors(decoder) => decoder.decode(tensors, rank.flat_idx(), scope.class_in_group),
                Decoder::Centers(decoder) => decoder.decode(tensors, rank.flat_idx()),
            };
            let Some(mut decoded) = decoded.filter(is_finite) else {
                finite = false;
                continue;
            };
            if let Decoder::Centers(decoder) = &self.decoder
                && !decoder.in_range(&decoded.bbox)
            {
                continue;
            }
            decoded.bbox.yaw = heading(decoded.bbox.yaw);
            self.boxes.push(decoded.bbox);
            self.rests.push(Rest { velocity: decoded.velocity, class_idx: decoded.class_idx, rank: *rank });
        }
        if !finite {
            report.flags.insert(FrameFlags::HEAD_NOT_FINITE);
        }
        &self.boxes
    }

    fn check<T: RawTensors + ?Sized>(&self, tensors: &T) -> Result<(), FrameError> {
        for (idx, n_values) in self.n_values.iter().enumerate() {
            let got = tensors.tensor(idx).len();
            if got < *n_values {
                return Err(FrameError {
                    stage: Stage::Boxes,
                    code: FrameErrorCode::HeadFailed,
                    got: got as u64,
                    limit: *n_values as u64,
                });
            }
        }
        Ok(())
    }
}

/// Offers the passing logits of a plane; yields whether all of its values are finite.
fn offer_plane(
    plane: &ScorePlane,
    tensor: &[f32],
    n_cells: usize,
    threshold: f32,
    top: &mut TopCandidates,
) -> bool {
    let Some(values) = tensor.get(plane.channel * n_cells..(plane.channel + 1) * n_cells) else {
        return false;
    };
    let rank =
        |location: usize, logit| Rank::new(logit, plane.first_flat_idx + location as u32 * plane.flat_step);
    let [from, to] = plane.rivals;
    if from == to {
        return sweep(values, threshold, |location, logit| top.offer(rank(location, logit)));
    }
    sweep(values, threshold, |location, logit| {
        // An anchor is offered by the channel that is its best: greater than all before, not
        // less than any after. NaN and infinity beat nobody.
        let own = Rank::new(logit, plane.channel as u32);
        let beaten = (from..to).any(|rival| {
            let other = super::value(tensor, n_cells, rival, location);
            other.is_finite() && Rank::new(other, rival as u32) > own
        });
        if !beaten {
            top.offer(rank(location, logit));
        }
    })
}

/// Sorts ascending by: greater logit, lower scope, lower flat index; ends with the position.
fn key(rank: Rank, scope_idx: usize, at: usize) -> u128 {
    u128::from(!rank.ordered_logit()) << 96
        | u128::from(scope_idx as u32) << 64
        | u128::from(rank.flat_idx()) << 32
        | u128::from(at as u32)
}

fn is_finite(decoded: &Decoded) -> bool {
    let Box3d { center, size, yaw } = &decoded.bbox;
    center.iter().chain(size).chain(&decoded.velocity).chain([yaw]).all(|v| v.is_finite())
}

/// A heading in (-pi, pi], whatever finite number it was.
fn heading(yaw: f32) -> f32 {
    // Beyond a few turns `normalize_yaw` gives up; the remainder is exact.
    normalize_yaw(if yaw.abs() > 2.0 * PI { yaw % TAU } else { yaw })
}

#[cfg(test)]
#[path = "cpu_tests.rs"]
pub(super) mod tests;
