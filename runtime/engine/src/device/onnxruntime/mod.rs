//! ONNX Runtime through its C API: a library, a session, and runs that allocate nothing of ours.
//!
//! The types are those of `ort::sys`. Its safe layer is left out for two reasons: its `run`
//! allocates on every call, and its loader panics on a library that answers wrongly. Here all
//! names, pointers and tensors are laid out once, over buffers of our own, and a run is one call.
//!
//! **Determinism**: the order of additions inside a convolution is the library's. See
//! [`Session::build`] for what is fixed, and the tests of the head for what is promised.

#![allow(unsafe_code, reason = "a C API: every call and every buffer handed to it is unsafe")]

mod border;
mod buffer;
mod library;
mod session;

pub use library::Library;
pub use session::{Rewriting, RunFailed, Session};

/// Name and shape of a tensor at the border of a network; values are `f32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name in the ONNX graph.
    pub name: String,
    /// All dimensions, the batch included.
    pub dims: Vec<usize>,
}
