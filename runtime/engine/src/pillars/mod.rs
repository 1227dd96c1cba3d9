//! Pillars: points grouped by the cell they stand on.
//!
//! [`cpu`] is the definition that `cuda` matches bit for bit.

pub mod cpu;
pub(crate) mod cuda;

pub use cpu::PillarsStage;

/// The pillars of one frame, in order of first occurrence in the input.
#[derive(Clone, Copy, Debug)]
pub struct Pillars<'a> {
    cells: &'a [u32],
    starts: &'a [u32],
    point_idx: &'a [u32],
    by_cell: &'a [u32],
}

impl<'a> Pillars<'a> {
    /// Pillars whose parts another memory holds.
    pub(crate) fn of(cells: &'a [u32], starts: &'a [u32], point_idx: &'a [u32], by_cell: &'a [u32]) -> Self {
        Self { cells, starts, point_idx, by_cell }
    }

    /// Number of pillars.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Flat cell index of every pillar.
    pub fn cells(&self) -> &'a [u32] {
        self.cells
    }

    /// Indices of a pillar's points, in input order; empty past the last pillar.
    #[inline]
    pub fn points_of(&self, pillar_idx: usize) -> &'a [u32] {
        match (self.starts.get(pillar_idx), self.starts.get(pillar_idx + 1)) {
            (Some(start), Some(end)) => self.point_idx.get(*start as usize..*end as usize).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// The pillars sorted by cell, for stages that want to walk memory forwards.
    pub fn by_cell(&self) -> &'a [u32] {
        self.by_cell
    }
}
