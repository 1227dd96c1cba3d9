//! Device: everything that talks to the machine in ways the compiler cannot check.
//!
//! [`mapped`] files, raw [`onnxruntime`] calls, [`cuda`], TensorRT ([`trt`]), where [`native_parts`] lie, and the
//! [`choice`] of what runs the stages. [`lost`] is what happens without the card that ran them.

pub mod choice;
pub mod cuda;
mod loader;
pub mod lost;
pub mod mapped;
pub mod native_parts;
pub mod onnxruntime;
pub mod trt;

pub use choice::{DeviceChoice, Resolved};
pub use lost::OnDeviceLost;
