//! Evaluation: how good boxes are, by the official definitions and by our own.

pub mod analysis;
pub mod center_distance;
pub mod compare;
mod convex;
pub mod found_cars;
pub mod gate;
pub mod kitti;
pub mod nuscenes;
pub mod plot;
pub mod report;
pub mod run;
pub mod waymo;

pub use center_distance::{CenterDistanceReport, ClassResult, EvaluateError, Filter, FrameResult, evaluate};
