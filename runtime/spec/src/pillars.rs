//! Pillars: how points group into the columns that stand on the grid's cells.

use crate::error::SpecError;
use serde::{Deserialize, Serialize};

/// Which points of a pillar are kept.
///
/// **Source**: hard: PointPillars and OpenPCDet's voxel generator; dynamic: Zhou et al. 2020.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PillarMode {
    /// The first `max_points_per_pillar` in input order. A pillar with fewer is padded with zero
    /// rows **after** decoration, and those rows take part in the encoder's max.
    Hard,
    /// All points. No padding.
    Dynamic,
}

/// Which pillars are kept when the table is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverflowPolicy {
    /// The first to occur in input order; points of known pillars are still taken.
    #[default]
    First,
}

/// How points group into pillars.
///
/// **Determinism**: pillars stand in order of first occurrence in the input; no result depends
/// on threads. **At capacity**: further pillars, and further points of a full hard pillar, are
/// dropped and counted; the frame succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PillarsSpec {
    /// Hard or dynamic pillars.
    pub mode: PillarMode,
    /// Points a hard pillar keeps; must be absent or 0 for dynamic pillars.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_points_per_pillar: u32,
    /// Pillars a frame keeps.
    pub max_pillars: u32,
    /// What to keep beyond that.
    #[serde(default)]
    pub overflow: OverflowPolicy,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl PillarsSpec {
    /// The most points one pillar can hold, for a frame of at most `max_points`.
    pub fn point_cap(&self, max_points: u32) -> u32 {
        match self.mode {
            PillarMode::Hard => self.max_points_per_pillar,
            PillarMode::Dynamic => max_points,
        }
    }

    /// Whether a pillar of `n_points` is padded with zero rows.
    #[inline]
    pub fn is_padded(&self, n_points: u32) -> bool {
        self.mode == PillarMode::Hard && n_points < self.max_points_per_pillar
    }

    pub(crate) fn validate(&self, n_cells: usize) -> Result<(), SpecError> {
        match self.mode {
            PillarMode::Hard if !(1..=1024).contains(&self.max_points_per_pillar) => {
                return Err(SpecError::out_of_range(
                    "pillars.max_points_per_pillar",
                    format!("{} is not in 1..=1024", self.max_points_per_pillar),
                ));
            }
            PillarMode::Dynamic if self.max_points_per_pillar != 0 => {
                return Err(SpecError::mismatch(
                    "pillars.max_points_per_pillar",
                    "dynamic pillars keep all points; remove the cap or use hard pillars",
                ));
            }
            _ => {}
        }
        if self.max_pillars == 0 || self.max_pillars as usize > n_cells {
            return Err(SpecError::out_of_range(
                "pillars.max_pillars",
                format!("{} is not in 1..={n_cells} (the cells of the grid)", self.max_pillars),
            ));
        }
        Ok(())
    }
}
