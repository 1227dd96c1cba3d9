//! Device: everything that talks to the machine in ways the compiler cannot check.
//!
//! [`mapped`] files, raw [`onnxruntime`] calls, and where [`native_parts`] lie.

pub mod mapped;
pub mod native_parts;
pub mod onnxruntime;
