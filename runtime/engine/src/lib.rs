//! Pilotis' runtime: LiDAR point clouds to 3D boxes.
//!
//! The modules are the six nouns of the flow, `points -> pillars -> bev -> head -> boxes ->
//! report`, between [`builder`], the cold path that allocates everything, and [`engine`], the hot
//! path that allocates nothing. [`device`] holds what is unsafe.

#[cfg(test)]
extern crate self as pilotis_runtime; // test cases that other suites share name this crate so

pub mod bev;
pub mod boxes;
pub mod builder;
pub mod device;
pub mod engine;
pub mod error;
pub mod golden;
pub mod head;
pub mod package;
pub mod pillars;
pub mod points;
pub mod report;

pub use bev::CanvasFormat;
pub use builder::{DeviceHeadSource, EngineBuilder, HeadChoice};
pub use device::{DeviceChoice, OnDeviceLost};
pub use engine::{Engine, Frame, LastFrame, device_memory};
pub use error::{BuildError, BuildErrorKind};
pub use package::Package;
pub use points::{CloudFile, CloudView, OnMismatch};
