//! What all stages share: the state of a frame, and markers.

use crate::layout::device_struct;

/// Marks a cell without a pillar, a point without a cell, a column that is not there.
pub const NONE: u32 = u32::MAX;

/// Threads of a block of every kernel that walks points, cells or candidates.
pub const BLOCK: u32 = 256;

/// Threads of the one block of a kernel that sums up over blocks.
pub const SCAN_BLOCK: u32 = 1024;

/// Intensities and heights are summed in units of `1 / SUM_SCALE`: integers add up to the same
/// sum in any order.
pub const SUM_SCALE: f32 = 1_048_576.0;

/// Values beyond are summed as this, so that no frame overflows a sum.
pub const SUM_LIMIT: f32 = 65_536.0;

device_struct! {
    /// Everything that a frame counts on the device. Zero at its start; copied back at its end.
    pub struct FrameState {
        /// Sum of the kept points' intensities in units of 1 / [`SUM_SCALE`].
        pub intensity_sum: i64,
        /// Sum of the kept points' heights in units of 1 / [`SUM_SCALE`] metres.
        pub z_sum: i64,
        /// Bits of the largest intensity, ordered as an integer; 0 before the first.
        pub intensity_max_ordered: u32,
        /// Points that are finite and in range, those beyond the capacity included.
        pub n_in_range: u32,
        /// Points kept: at most the capacity.
        pub n_points: u32,
        /// Points with a value that is not finite.
        pub dropped_nan: u32,
        /// Points outside of the grid's range, those included whose cell rounds out of it.
        pub dropped_out_of_range: u32,
        /// Points nearer to their sensor than their sweep allows.
        pub dropped_near_sensor: u32,
        /// Points beyond the cap of their pillar.
        pub dropped_pillar_full: u32,
        /// Points whose pillar did not fit the table.
        pub dropped_no_pillar: u32,
        /// Cells with a point, those whose pillar did not fit included.
        pub n_claimed: u32,
        /// Pillars.
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
        /// Not 0 where the network put out numbers that are not finite.
        pub head_not_finite: u32,
    }
}

/// The float of an integer that sorts like it; 0 for the one that stands for no value.
pub fn from_ordered(ordered: u32) -> f32 {
    match ordered {
        0 => 0.0,
        _ if ordered >> 31 == 1 => f32::from_bits(ordered & 0x7fff_ffff),
        _ => f32::from_bits(!ordered),
    }
}
