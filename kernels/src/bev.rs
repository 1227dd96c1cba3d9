//! BEV: pillars to the canvas that the network reads.

use crate::layout::{DevicePtr, device_struct};

/// Threads of a block of the encoder: a warp a pillar.
pub const ENCODE_BLOCK: u32 = 128;
/// Pillars of a block of the encoder.
pub const PILLARS_PER_BLOCK: u32 = ENCODE_BLOCK / 32;
/// Most outputs of the first of two layers: half of the widest canvas.
pub const MAX_HIDDEN: u32 = 128;

device_struct! {
    /// Parameters of `bev_clear`, `bev_encode_one` and `bev_encode_two`.
    pub struct BevParams {
        /// `FrameState`.
        pub state: DevicePtr,
        /// `float4[max_points]`: x, y, z, intensity.
        pub points: DevicePtr,
        /// `f32[max_points]`.
        pub time_lags: DevicePtr,
        /// `u32[max_claimed]`: cells of the pillars.
        pub cells: DevicePtr,
        /// `u32[max_pillars]`: points of every pillar.
        pub counts: DevicePtr,
        /// `u32[max_pillars]`: where they start in `members`.
        pub starts: DevicePtr,
        /// `u32[max_points]`.
        pub members: DevicePtr,
        /// `u32[n_cells]`: pillar of every cell, `NONE` without one.
        pub pillar_at: DevicePtr,
        /// `u32[max_pillars]`: cells of the pillars of the frame before.
        pub last_cells: DevicePtr,
        /// `u32`: how many they are.
        pub n_last: DevicePtr,
        /// `f32[n_features][n_first]`, row-major.
        pub first_weights: DevicePtr,
        /// `f32[n_first]`.
        pub first_bias: DevicePtr,
        /// `f32[2 n_first][n_channels]`, row-major; null with one layer.
        pub second_weights: DevicePtr,
        /// `f32[n_channels]`; null with one layer.
        pub second_bias: DevicePtr,
        /// The canvas, `f32` or `f16`.
        pub canvas: DevicePtr,
        /// Values from a channel to the next: the number of cells, or 1 with channels last.
        pub channel_stride: u32,
        /// Values from a cell to the next: 1, or the number of channels with channels last.
        pub cell_stride: u32,
        /// Whether the canvas is `f16`.
        pub is_half: u32,
        /// Recipe of the features: 0 `Paper9`, 1 `Pcdet10`, 2 `Pcdet11`.
        pub recipe: u32,
        /// Features of a point.
        pub n_features: u32,
        /// Outputs of the first layer.
        pub n_first: u32,
        /// Channels of the canvas.
        pub n_channels: u32,
        /// Most points of a pillar.
        pub point_cap: u32,
        /// Whether a pillar with fewer is padded with zero rows.
        pub is_padded: u32,
        /// Cells along x.
        pub nx: u32,
        /// Lower corner of the range in metres, along x and y.
        pub min: [f32; 2],
        /// Cell size in metres.
        pub cell: [f32; 2],
        /// Height of the middle of the range in metres.
        pub centre_z: f32,
    }
}
