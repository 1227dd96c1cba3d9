//! Export: from a trained network to a model package.
//!
//! [`network`] is the trained network as plain data; [`onnx`] and [`encoder`] write its two
//! halves, [`golden`] samples what they must answer, and [`package`] puts the folder together.

pub mod encoder;
pub mod golden;
pub mod network;
pub mod onnx;
pub mod package;
