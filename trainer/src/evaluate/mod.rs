//! Evaluation: how good a model's boxes are.

pub mod center_distance;

pub use center_distance::{CenterDistanceReport, ClassResult, EvaluateError, Filter, FrameResult, evaluate};
