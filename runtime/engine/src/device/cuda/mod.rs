//! CUDA through the driver API: a device, one arena of its memory, page-locked host memory, one
//! stream, and kernels that are launched without an allocation.
//!
//! The calls are those of `cudarc`'s `result` and `sys`; its safe layer is left out, since it
//! allocates at every launch. The driver is opened at run time: nothing here takes a toolkit.
//!
//! What is built here fails with a [`crate::BuildError`], what runs in a frame with a
//! [`DeviceFault`], which is `Copy`. A fault that the device does not survive is remembered, and
//! answers every later call.

#![allow(unsafe_code, reason = "a C API: every call and every address handed to it is unsafe")]

pub mod arena;
mod context;
pub mod driver;
pub mod event;
pub mod fault;
pub mod graph;
pub mod info;
pub mod module;
pub mod nvml;
pub mod pinned;
mod plain;
mod plan;
pub mod stream;

pub use arena::{Arena, Layout, Moment, Plan, Slot, Span};
pub use context::{Device, Memory};
pub use driver::Driver;
pub use event::Event;
pub use fault::DeviceFault;
pub use graph::Graph;
pub use info::DeviceInfo;
pub use module::{Kernel, Modules};
pub use pinned::{Lent, Pinned};
pub use plain::Plain;
pub use stream::Stream;
