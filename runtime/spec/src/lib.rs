//! The contract that trainer and runtime share: what a grid, a point, a pillar, a head
//! tensor, a box and a model package *are*.
//!
//! The modules carry the nouns of the flow `points -> pillars -> bev -> head -> boxes ->
//! report`, in that order, between the [`grid`] they all stand on and the [`manifest`] that
//! writes them down. Nothing here reads a file, starts a thread or knows a device, so every
//! definition can be evaluated anywhere and must give the same bits everywhere: arithmetic is
//! IEEE `f32` in a stated order, and transcendental functions come from [`math`], not from the
//! platform.

#![forbid(unsafe_code)]

pub mod bev;
pub mod boxes;
pub mod codec;
pub mod error;
pub mod golden;
pub mod grid;
pub mod head;
pub mod manifest;
pub mod math;
pub mod pillars;
pub mod points;
pub mod report;

pub use bev::{EncoderSpec, FeatureRecipe};
pub use boxes::{Box3d, BoxesSpec, Detection, NmsScope, ScoreRule};
pub use error::{SpecError, SpecErrorKind};
pub use golden::Golden;
pub use grid::Grid;
pub use head::{AnchorClass, AnchorGroup, AnchorHead, CenterHead, CenterTask, HeadLayout, YawCode};
pub use manifest::Manifest;
pub use pillars::{OverflowPolicy, PillarMode, PillarsSpec};
pub use points::{FieldName, InputStatistics, Point, PointLayout, PointsSpec, ScalarType};
pub use report::{FrameError, FrameErrorCode, FrameFlags, FrameReport, Stage, StageTimes};
