//! The CUDA kernels of Pilotis: their text, their parameters, and the table of their entries.
//!
//! `cu/` holds the sources, one file a stage; `ptx/` what the pinned compiler makes of them, committed,
//! so that nobody needs a toolkit. This crate launches nothing and has no unsafe code: a driver that
//! it never sees loads [`Module::ptx`] and launches what [`MODULES`] lists.
//!
//! The structs of [`frame`], [`points`], [`pillars`], [`bev`] and [`boxes`] cross the border by value.
//! [`layout::layout_asserts`] makes every compiler of the sources check them field by field.

#![forbid(unsafe_code)]

pub mod bev;
pub mod boxes;
pub mod cards;
pub mod frame;
pub mod layout;
pub mod pillars;
pub mod points;

use layout::layout_asserts;

/// A kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the PTX.
    pub name: &'static str,
    /// Bytes of its one parameter.
    pub params_bytes: usize,
    /// Threads of a block.
    pub block: u32,
}

/// The kernels of one stage.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The stage; the name of the files.
    pub name: &'static str,
    /// The source.
    pub cuda: &'static str,
    /// What the pinned compiler makes of it.
    pub ptx: &'static str,
    /// Its kernels, in the order they run.
    pub entries: &'static [Entry],
    asserts: fn() -> String,
}

impl Module {
    /// The source with checks of its structs' layout behind it: what a compiler is given.
    pub fn checked_source(&self) -> String {
        format!("{}\n{}", self.cuda, (self.asserts)())
    }
}

/// Headers that the sources include, by name.
pub const HEADERS: &[(&str, &str)] = &[
    ("common.cuh", include_str!("../cu/common.cuh")),
    ("math.cuh", include_str!("../cu/math.cuh")),
    ("overlap.cuh", include_str!("../cu/overlap.cuh")),
];

/// All modules, in the order of the stages.
pub const MODULES: &[Module] = &[
    Module {
        name: "points",
        cuda: include_str!("../cu/points.cu"),
        ptx: include_str!("../ptx/points.ptx"),
        entries: &[
            entry::<points::PointsParams>("points_count", frame::BLOCK),
            entry::<points::PointsParams>("points_offsets", frame::SCAN_BLOCK),
            entry::<points::PointsParams>("points_keep", frame::BLOCK),
        ],
        asserts: || {
            layout_asserts::<frame::FrameState>()
                + &layout_asserts::<points::Column>()
                + &layout_asserts::<points::SweepPart>()
                + &layout_asserts::<points::PointsChunk>()
                + &layout_asserts::<points::PointsParams>()
        },
    },
    Module {
        name: "pillars",
        cuda: include_str!("../cu/pillars.cu"),
        ptx: include_str!("../ptx/pillars.ptx"),
        entries: &[
            entry::<pillars::PillarsParams>("pillars_count", frame::BLOCK),
            entry::<pillars::PillarsParams>("pillars_offsets", frame::SCAN_BLOCK),
            entry::<pillars::PillarsParams>("pillars_number", frame::BLOCK),
            entry::<pillars::PillarsParams>("pillars_fill", frame::BLOCK),
            entry::<pillars::PillarsParams>("pillars_sort", frame::BLOCK),
            entry::<pillars::PillarsParams>("pillars_forget", frame::BLOCK),
        ],
        asserts: || layout_asserts::<frame::FrameState>() + &layout_asserts::<pillars::PillarsParams>(),
    },
    Module {
        name: "bev",
        cuda: include_str!("../cu/bev.cu"),
        ptx: include_str!("../ptx/bev.ptx"),
        entries: &[
            entry::<bev::BevParams>("bev_clear", frame::BLOCK),
            entry::<bev::BevParams>("bev_encode_one", bev::ENCODE_BLOCK),
            entry::<bev::BevParams>("bev_encode_two", bev::ENCODE_BLOCK),
        ],
        asserts: || layout_asserts::<frame::FrameState>() + &layout_asserts::<bev::BevParams>(),
    },
    Module {
        name: "boxes",
        cuda: include_str!("../cu/boxes.cu"),
        ptx: include_str!("../ptx/boxes.ptx"),
        entries: &[
            entry::<boxes::BoxesParams>("boxes_sweep", frame::BLOCK),
            entry::<boxes::BoxesParams>("boxes_select", boxes::SELECT_BLOCK),
            entry::<boxes::BoxesParams>("boxes_decode", frame::BLOCK),
            entry::<boxes::BoxesParams>("boxes_overlap", boxes::OVERLAP_BLOCK),
            entry::<boxes::BoxesParams>("boxes_reduce", boxes::REDUCE_BLOCK),
            entry::<boxes::BoxesParams>("boxes_merge", frame::BLOCK),
        ],
        asserts: || {
            layout_asserts::<frame::FrameState>()
                + &layout_asserts::<boxes::BoxPlane>()
                + &layout_asserts::<boxes::BoxScope>()
                + &layout_asserts::<boxes::BoxGroup>()
                + &layout_asserts::<boxes::BoxClass>()
                + &layout_asserts::<boxes::BoxDetection>()
                + &layout_asserts::<boxes::Rect>()
                + &layout_asserts::<boxes::BoxesParams>()
        },
    },
];

const fn entry<T>(name: &'static str, block: u32) -> Entry {
    Entry { name, params_bytes: size_of::<T>(), block }
}
