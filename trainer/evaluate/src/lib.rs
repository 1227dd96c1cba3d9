//! Evaluation: how good boxes are, by the official definitions and by our own.

pub mod center_distance;
pub mod found_cars;
pub mod waymo;

pub use center_distance::{CenterDistanceReport, ClassResult, EvaluateError, Filter, FrameResult, evaluate};
