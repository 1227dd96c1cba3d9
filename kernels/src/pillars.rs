//! Pillars: points grouped by cell, in order of first occurrence.

use crate::layout::{DevicePtr, device_struct};

/// Pillars that one block of `pillars_sort` puts in order.
pub const PILLARS_PER_BLOCK: u32 = 8;

/// Points of a pillar that `pillars_sort` sorts in shared memory; larger pillars are collected
/// again from the points, which stand in order already.
pub const MAX_SORTED: u32 = 2048;

device_struct! {
    /// Parameters of every kernel of the stage.
    pub struct PillarsParams {
        /// `FrameState`.
        pub state: DevicePtr,
        /// `u32[max_points]`: cell of every kept point, `NONE` without one.
        pub cell_of: DevicePtr,
        /// `u32[n_cells]`: first kept point of every cell.
        pub first: DevicePtr,
        /// `u32[n_cells]`: kept points of every cell.
        pub count: DevicePtr,
        /// `u32[n_cells]`: pillar of every cell.
        pub pillar_at: DevicePtr,
        /// `uint2[n_blocks]`: first points, and points of their cells, of every block; then how many
        /// are before it.
        pub block_sums: DevicePtr,
        /// `u32[max_claimed]`: every cell with a point, in order of first occurrence.
        pub claimed: DevicePtr,
        /// `u32[max_pillars]`: points of every pillar, those beyond its cap included.
        pub counts: DevicePtr,
        /// `u32[max_pillars]`: where the points of every pillar start in `members`.
        pub starts: DevicePtr,
        /// `u32[max_pillars]`: points of every pillar filled in so far; zero between frames.
        pub filled: DevicePtr,
        /// `u32[max_points]`: points, pillar by pillar; the first `min(count, cap)` of each are its
        /// own, in input order.
        pub members: DevicePtr,
        /// `u32[max_pillars]`: cells of the pillars of the frame before.
        pub last_cells: DevicePtr,
        /// `u32`: how many they are.
        pub n_last: DevicePtr,
        /// Most pillars of a frame.
        pub max_pillars: u32,
        /// Most points of a pillar.
        pub point_cap: u32,
    }
}
