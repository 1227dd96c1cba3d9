//! BEV: pillars become rows of features, rows become the canvas that the network sees.
//!
//! [`cpu`] is the definition that every other backend must match bit for bit; [`dense`] is its
//! arithmetic.

pub mod cpu;
pub(crate) mod cuda;
pub mod dense;

pub use cpu::{BevStage, LayerWeights};
pub use cuda::CanvasFormat;

use crate::pillars::Pillars;
use pilotis_spec::bev::MAX_FEATURES;
use pilotis_spec::{FeatureRecipe, Grid, Point};

/// What a pillar's rows are relative to: the mean of its points and the centre of its cell.
///
/// **Determinism**: the mean is the `f32` sum in input order, divided by the number of points.
#[derive(Clone, Copy, Debug)]
pub struct PillarFrame<'a> {
    points: &'a [Point],
    members: &'a [u32],
    mean: [f32; 3],
    centre: [f32; 3],
}

impl<'a> PillarFrame<'a> {
    /// The frame of one pillar.
    #[inline]
    pub fn of(points: &'a [Point], pillars: &Pillars<'a>, pillar_idx: usize, grid: &Grid) -> Self {
        let members = pillars.points_of(pillar_idx);
        let mut sum = [0.0_f32; 3];
        for p in members.iter().filter_map(|i| points.get(*i as usize)) {
            sum = [sum[0] + p.x, sum[1] + p.y, sum[2] + p.z];
        }
        let n = members.len() as f32;
        let cell = pillars.cells().get(pillar_idx).copied().unwrap_or(0);
        Self { points, members, mean: sum.map(|s| s / n), centre: grid.centre_of(cell) }
    }

    /// Features of the pillar's points from its `first` on, as [`FeatureRecipe::row`] defines
    /// them, packed; returns how many rows were written: as many as the pillar has left and
    /// `rows` has room for.
    ///
    /// The trainer feeds its network with this very function. **Allocation**: none.
    #[inline]
    pub fn decorate(&self, first: usize, recipe: FeatureRecipe, rows: &mut [f32]) -> usize {
        let members = self.members.get(first..).unwrap_or(&[]);
        let mut n_rows = 0;
        for (slot, i) in rows.chunks_exact_mut(recipe.n_features()).zip(members) {
            let Some(point) = self.points.get(*i as usize) else { continue };
            let row: [f32; MAX_FEATURES] = recipe.row(point, self.mean, self.centre);
            for (s, v) in slot.iter_mut().zip(row) {
                *s = v;
            }
            n_rows += 1;
        }
        n_rows
    }
}
