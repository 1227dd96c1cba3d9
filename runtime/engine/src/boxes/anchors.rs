//! Anchors: from a flat index to a box, by the residuals at its anchor.

use super::{Decoded, RawTensors, class_indices, value};
use crate::error::BuildError;
use pilotis_spec::codec::MAX_CODE;
use pilotis_spec::{AnchorHead, Grid, Manifest, YawCode};

/// Tensors of a group: scores, boxes and, with direction bins, directions.
pub fn tensors_per_group(head: &AnchorHead) -> usize {
    2 + usize::from(head.yaw_code == YawCode::DirectionBins)
}

/// Turns candidates of an anchor head into boxes.
#[derive(Clone, Debug)]
pub struct AnchorDecoder {
    head: AnchorHead,
    grid: Grid,
    map: [usize; 2],
    class_idx: Vec<Vec<u32>>,
}

impl AnchorDecoder {
    /// A decoder of a manifest's head.
    ///
    /// **Errors**: a class that the manifest does not list.
    pub fn build(manifest: &Manifest, head: &AnchorHead) -> Result<Self, BuildError> {
        let map = manifest.head.map_shape(&manifest.grid);
        let class_idx = class_indices(manifest)?;
        Ok(Self { head: head.clone(), grid: manifest.grid.clone(), map, class_idx })
    }

    /// The box of a candidate; `class` is its class within the group, or `None` for its best one
    /// (ties: the lower). `None` for an index that no anchor has.
    ///
    /// Of equal direction bins the first wins. Numbers that are not finite pass through.
    pub fn decode<T: RawTensors + ?Sized>(
        &self,
        tensors: &T,
        flat_idx: u32,
        class: Option<usize>,
    ) -> Option<Decoded> {
        let n_cells = self.map[0] * self.map[1];
        let mut at = flat_idx as usize;
        for (g, group) in self.head.groups.iter().enumerate() {
            let n_anchors = group.n_anchors();
            if at >= n_anchors * n_cells {
                at -= n_anchors * n_cells;
                continue;
            }
            let (cell, anchor_idx) = (at / n_anchors, at % n_anchors);
            let first = g * tensors_per_group(&self.head);
            let n_classes = group.classes.len();
            let scores = tensors.tensor(first);
            let class =
                class.unwrap_or_else(|| best_class(scores, n_cells, anchor_idx * n_classes, n_classes, cell));
            let anchor_class = group.classes.get(anchor_idx / 2)?;
            let anchor = self.head.anchor(
                &self.grid,
                self.map,
                anchor_class,
                anchor_idx % 2,
                cell / self.map[1],
                cell % self.map[1],
            );
            let residuals = tensors.tensor(first + 1);
            let code_size = self.head.code_size();
            let mut code = [0.0_f32; MAX_CODE];
            for (k, c) in code.iter_mut().take(code_size).enumerate() {
                *c = value(residuals, n_cells, anchor_idx * code_size + k, cell);
            }
            let mut direction = 0;
            if self.head.yaw_code == YawCode::DirectionBins {
                let bins = tensors.tensor(first + 2);
                let bin = |k: usize| value(bins, n_cells, anchor_idx * 2 + k, cell);
                direction = u32::from(bin(1) > bin(0));
                if !(bin(0) + bin(1)).is_finite() {
                    // A heading that nothing vouches for is no heading.
                    code[6] = f32::NAN;
                }
            }
            let (bbox, velocity) = self.head.decode(&anchor, &code, direction);
            let class_idx = *self.class_idx.get(g)?.get(class)?;
            return Some(Decoded { bbox, velocity, class_idx });
        }
        None
    }
}

/// The class of the greatest finite logit; the lower of equal ones.
fn best_class(scores: &[f32], n_cells: usize, first_channel: usize, n_classes: usize, cell: usize) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for class in 0..n_classes {
        let v = value(scores, n_cells, first_channel + class, cell);
        if v.is_finite() && v > best.1 {
            best = (class, v);
        }
    }
    best.0
}

#[cfg(test)]
#[path = "anchors_tests.rs"]
mod tests;
