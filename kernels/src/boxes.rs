//! Boxes: from raw tensors to the boxes of a frame.

use crate::layout::{DevicePtr, device_struct};
use pilotis_spec::{Box3d, Detection};
use std::mem::offset_of;

/// Values of a plane that one block of `boxes_sweep` looks at.
pub const SWEEP_VALUES: u32 = 2048;
/// Threads of the block that selects and sorts the candidates of a scope.
pub const SELECT_BLOCK: u32 = 1024;
/// Threads of a block of `boxes_overlap`: rows and columns of a tile, bits of a word.
pub const OVERLAP_BLOCK: u32 = 64;
/// Threads of the block that reduces a scope: a thread a word of [`OVERLAP_BLOCK`] candidates.
pub const REDUCE_BLOCK: u32 = 256;

const _: () = assert!(REDUCE_BLOCK * OVERLAP_BLOCK >= pilotis_spec::boxes::MAX_CANDIDATES);

device_struct! {
    /// One channel of scores that a scope sweeps.
    pub struct BoxPlane {
        /// The tensor, by index.
        pub tensor_idx: u32,
        /// The channel.
        pub channel: u32,
        /// Flat index at the first location.
        pub first_flat_idx: u32,
        /// Flat indices from a location to the next.
        pub flat_step: u32,
        /// First channel that stands for the same anchor.
        pub first_rival: u32,
        /// End of those channels; equal to the first where every channel counts.
        pub end_rival: u32,
        /// The scope.
        pub scope_idx: u32,
    }
}

device_struct! {
    /// Candidates that compete in one suppression.
    pub struct BoxScope {
        /// Where its list starts in `found`.
        pub first_found: u32,
        /// Its class within the group, [`crate::frame::NONE`] where it has several.
        pub class_in_group: u32,
    }
}

device_struct! {
    /// A group of anchors or a task of centres.
    pub struct BoxGroup {
        /// Flat indices of the group.
        pub n_flat: u32,
        /// Its first tensor, by index.
        pub first_tensor: u32,
        /// Its first class in the table of classes.
        pub first_class: u32,
        /// Its classes.
        pub n_classes: u32,
    }
}

device_struct! {
    /// A class of a group, and its anchor; centres leave all but the class at 0.
    pub struct BoxClass {
        /// Length, width, height in metres.
        pub size: [f32; 3],
        /// Height of the centre in metres.
        pub centre_z: f32,
        /// The diagonal seen from above, in metres.
        pub diagonal: f32,
        /// Index into the manifest's classes.
        pub class_idx: u32,
    }
}

device_struct! {
    /// A [`Detection`], field by field.
    pub struct BoxDetection {
        /// Centre.
        pub center: [f32; 3],
        /// Length, width, height.
        pub size: [f32; 3],
        /// Heading.
        pub yaw: f32,
        /// Velocity along x and y.
        pub velocity: [f32; 2],
        /// Sigmoid of the logit.
        pub score: f32,
        /// Index into the manifest's classes.
        pub class_idx: u32,
    }
}

const _: () = assert!(
    size_of::<BoxDetection>() == size_of::<Detection>()
        && offset_of!(BoxDetection, center) == offset_of!(Detection, bbox) + offset_of!(Box3d, center)
        && offset_of!(BoxDetection, size) == offset_of!(Detection, bbox) + offset_of!(Box3d, size)
        && offset_of!(BoxDetection, yaw) == offset_of!(Detection, bbox) + offset_of!(Box3d, yaw)
        && offset_of!(BoxDetection, velocity) == offset_of!(Detection, velocity)
        && offset_of!(BoxDetection, score) == offset_of!(Detection, score)
        && offset_of!(BoxDetection, class_idx) == offset_of!(Detection, class_idx)
);

device_struct! {
    /// A footprint on the device, prepared for comparisons.
    pub struct Rect {
        /// Centre in metres.
        pub center: [f64; 2],
        /// Half length and half width.
        pub half: [f64; 2],
        /// Cosine of the heading.
        pub cos: f64,
        /// Sine of the heading.
        pub sin: f64,
        /// Area.
        pub area: f64,
        /// Lower corner of the axis-aligned box around it.
        pub min: [f64; 2],
        /// Upper corner.
        pub max: [f64; 2],
    }
}

device_struct! {
    /// Parameters of every kernel of the stage.
    pub struct BoxesParams {
        /// `FrameState`.
        pub state: DevicePtr,
        /// `DevicePtr[n_tensors]`: the network's outputs, `f32[channels][n_cells]` each.
        pub tensors: DevicePtr,
        /// `BoxPlane[n_planes]`.
        pub planes: DevicePtr,
        /// `BoxScope[n_scopes]`.
        pub scopes: DevicePtr,
        /// `BoxGroup[n_groups]`.
        pub groups: DevicePtr,
        /// `BoxClass[n_classes]`, group by group.
        pub classes: DevicePtr,
        /// `u32[n_scopes]`: lengths of the lists in `found`; zero between frames.
        pub n_found: DevicePtr,
        /// `u64[]`: ranks of the candidates of every scope, in any order.
        pub found: DevicePtr,
        /// `u32[n_scopes]`: candidates of every scope, the most at most.
        pub n_best: DevicePtr,
        /// `u64[n_scopes][max_sorted]`: their ranks, best first.
        pub best: DevicePtr,
        /// `BoxDetection[n_scopes][max_candidates]`; of those alive.
        pub decoded: DevicePtr,
        /// `Rect[n_scopes][max_candidates]`; of those alive.
        pub rects: DevicePtr,
        /// `float4[n_scopes][max_candidates]`: lower and upper corner.
        pub bounds: DevicePtr,
        /// `u32[n_scopes][2 n_words]`: a bit a candidate that is a box.
        pub alive: DevicePtr,
        /// `u64[n_scopes][64 n_words][n_words]`: a row a candidate, a bit another that it would suppress;
        /// words left of the diagonal are not written.
        pub overlaps: DevicePtr,
        /// `u32[n_scopes]`: kept boxes.
        pub n_kept: DevicePtr,
        /// `u32[n_scopes][max_boxes]`: which they are, best first.
        pub kept: DevicePtr,
        /// `BoxDetection[n_scopes * max_boxes]`: the boxes of the frame.
        pub detections: DevicePtr,
        /// Scopes.
        pub n_scopes: u32,
        /// Groups or tasks.
        pub n_groups: u32,
        /// Cells of the map.
        pub n_cells: u32,
        /// Cells of the map along x.
        pub n_cols: u32,
        /// Most candidates of a scope.
        pub max_candidates: u32,
        /// The power of two that is not less.
        pub max_sorted: u32,
        /// Most boxes of a scope.
        pub max_boxes: u32,
        /// Words of 64 candidates.
        pub n_words: u32,
        /// Least logit.
        pub threshold: f32,
        /// Boxes above this overlap are suppressed.
        pub iou: f32,
        /// Whether boxes stand at peaks of heat maps.
        pub is_centers: u32,
        /// Whether boxes carry a velocity.
        pub has_velocity: u32,
        /// Whether headings have direction bins.
        pub has_bins: u32,
        /// Values of the code of an anchor.
        pub code_size: u32,
        /// Lower edge of the first direction bin in radians.
        pub direction_offset: f32,
        /// The two anchor headings in radians.
        pub rotations: [f32; 2],
        /// Their sines.
        pub rotation_sin: [f32; 2],
        /// Their cosines.
        pub rotation_cos: [f32; 2],
        /// Lower corner of the range in metres.
        pub min: [f32; 2],
        /// Metres from an anchor, or a cell of the map, to the next.
        pub step: [f32; 2],
        /// Centres outside are no boxes: lower corner in metres, inclusive.
        pub center_min: [f32; 3],
        /// Upper corner in metres, inclusive.
        pub center_max: [f32; 3],
    }
}
