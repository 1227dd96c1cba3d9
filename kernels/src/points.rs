//! Points: from the bytes of a chunk of a cloud to points in range, in input order.

use crate::layout::{DevicePtr, device_struct};

device_struct! {
    /// Where the values of one field lie in a chunk: `offset_bytes + idx * stride_bytes`.
    pub struct Column {
        /// What they are: see [`scalar`]; [`crate::frame::NONE`] for a field that is not there.
        pub scalar: u32,
        /// Bytes before the first.
        pub offset_bytes: u32,
        /// Bytes from one to the next.
        pub stride_bytes: u32,
    }
}

/// Numbers of the scalar types, in the order of [`pilotis_spec::ScalarType`].
pub mod scalar {
    #![allow(missing_docs, reason = "the names say it")]
    pub const F16: u32 = 0;
    pub const F32: u32 = 1;
    pub const F64: u32 = 2;
    pub const U8: u32 = 3;
    pub const U16: u32 = 4;
    pub const U32: u32 = 5;
    pub const I8: u32 = 6;
    pub const I16: u32 = 7;
    pub const I32: u32 = 8;
}

device_struct! {
    /// Some points of a chunk that share a pose: those of one sweep.
    pub struct SweepPart {
        /// First point of the chunk that is of this part; it ends where the next one starts.
        pub first_point: u32,
        /// Whether the points are moved at all; 0 leaves their bits as they are.
        pub is_moved: u32,
        /// Row-major `[3][4]`: rotation and translation into the frame of the key sweep.
        pub to_key: [f32; 12],
        /// Seconds before the key sweep, added to the point's own lag.
        pub time_lag_s: f32,
        /// Points with `|x|` and `|y|` below this, in the frame of their own sensor, are dropped.
        pub min_distance_m: f32,
    }
}

/// Sweeps of a chunk at most.
pub const MAX_PARTS: usize = 32;

device_struct! {
    /// What stands in a chunk. It goes up with the chunk's bytes, so that what is launched is the same
    /// whatever it says.
    pub struct PointsChunk {
        /// Points of the chunk.
        pub n_points: u32,
        /// Sweeps, or parts of them, in the chunk; at most [`MAX_PARTS`].
        pub n_parts: u32,
        /// Where x lies.
        pub x: Column,
        /// Where y lies.
        pub y: Column,
        /// Where z lies.
        pub z: Column,
        /// Where the intensity lies.
        pub intensity: Column,
        /// Where the time lag lies.
        pub time_lag: Column,
        /// The parts, in order.
        pub parts: [SweepPart; MAX_PARTS],
    }
}

device_struct! {
    /// Parameters of `points_count`, `points_offsets` and `points_keep`.
    pub struct PointsParams {
        /// `FrameState`.
        pub state: DevicePtr,
        /// Bytes of the chunk.
        pub raw: DevicePtr,
        /// `PointsChunk`.
        pub chunk: DevicePtr,
        /// `u32[n_blocks]`: points in range of every block, then how many are before it.
        pub block_kept: DevicePtr,
        /// `float4[max_points]`: x, y, z, intensity of the kept points.
        pub points: DevicePtr,
        /// `f32[max_points]`: their time lags; not written where the model reads none.
        pub time_lags: DevicePtr,
        /// `u32[max_points]`: their cells.
        pub cell_of: DevicePtr,
        /// `u32[n_cells]`: the first kept point of every cell, `NONE` without one.
        pub first: DevicePtr,
        /// `u32[n_cells]`: kept points of every cell.
        pub count: DevicePtr,
        /// Most points of a frame.
        pub max_points: u32,
        /// Whether the model reads time lags.
        pub needs_time_lag: u32,
        /// Lower corner of the range in metres.
        pub min: [f32; 3],
        /// Upper corner of the range in metres.
        pub max: [f32; 3],
        /// Cell size in metres.
        pub cell: [f32; 2],
        /// Cells along x.
        pub nx: u32,
        /// Cells along y.
        pub ny: u32,
    }
}
