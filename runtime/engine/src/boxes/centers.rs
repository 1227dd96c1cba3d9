//! Centres: from a flat index to a box, by the maps at its cell.

use super::{Decoded, RawTensors, class_indices, value};
use crate::error::BuildError;
use pilotis_spec::codec::CenterCode;
use pilotis_spec::{Box3d, CenterHead, Grid, Manifest};

/// Tensors of a task: heat map, centre, height, size, heading and, if it has one, velocity.
pub fn tensors_per_task(head: &CenterHead) -> usize {
    5 + usize::from(head.velocity)
}

/// Turns candidates of a centre head into boxes.
#[derive(Clone, Debug)]
pub struct CenterDecoder {
    head: CenterHead,
    grid: Grid,
    map: [usize; 2],
    class_idx: Vec<Vec<u32>>,
}

impl CenterDecoder {
    /// A decoder of a manifest's head.
    ///
    /// **Errors**: a class that the manifest does not list.
    pub fn build(manifest: &Manifest, head: &CenterHead) -> Result<Self, BuildError> {
        let map = manifest.head.map_shape(&manifest.grid);
        let class_idx = class_indices(manifest)?;
        Ok(Self { head: head.clone(), grid: manifest.grid.clone(), map, class_idx })
    }

    /// Whether a centre lies in the head's range, bounds included.
    pub fn in_range(&self, bbox: &Box3d) -> bool {
        let (min, max) = (&self.head.center_min_m, &self.head.center_max_m);
        bbox.center.iter().zip(min).zip(max).all(|((v, min), max)| v >= min && v <= max)
    }

    /// The box of a candidate; `None` for an index that no cell has. Numbers that are not finite
    /// pass through.
    pub fn decode<T: RawTensors + ?Sized>(&self, tensors: &T, flat_idx: u32) -> Option<Decoded> {
        let n_cells = self.map[0] * self.map[1];
        let mut at = flat_idx as usize;
        for (t, classes) in self.class_idx.iter().enumerate() {
            if at >= classes.len() * n_cells {
                at -= classes.len() * n_cells;
                continue;
            }
            let (class, cell) = (at / n_cells, at % n_cells);
            let first = t * tensors_per_task(&self.head);
            let v = |k: usize, channel: usize| value(tensors.tensor(first + k), n_cells, channel, cell);
            let velocity = if self.head.velocity { [v(5, 0), v(5, 1)] } else { [0.0; 2] };
            let code = CenterCode {
                offset: [v(1, 0), v(1, 1)],
                z: v(2, 0),
                log_size: [v(3, 0), v(3, 1), v(3, 2)],
                rot: [v(4, 0), v(4, 1)],
                velocity,
            };
            let location = [cell / self.map[1], cell % self.map[1]];
            let bbox = code.decode(&self.grid, self.head.stride as usize, location);
            return Some(Decoded { bbox, velocity, class_idx: *classes.get(class)? });
        }
        None
    }
}

#[cfg(test)]
#[path = "centers_tests.rs"]
mod tests;
