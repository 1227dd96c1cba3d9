//! Device: everything that talks to the machine in ways the compiler cannot check.
//!
//! [`mapped`] files, raw [`onnxruntime`] calls, [`cuda`], TensorRT ([`trt`]), where [`native_parts`] lie, and the
//! [`choice`] of what runs the stages.

pub mod choice;
pub mod cuda;
pub mod mapped;
pub mod native_parts;
pub mod onnxruntime;
pub mod trt;

pub use choice::{DeviceChoice, Resolved};
