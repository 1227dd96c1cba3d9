//! TensorRT: plans built from ONNX ahead of time, and networks run from them on a stream of ours.
//!
//! Two flavours of one API: TensorRT for RTX, which builds plans for any RTX card on a machine without one,
//! and full TensorRT, of which the lean runtime library runs plans that an SDK has built. Neither is linked,
//! and no header is needed to build this crate: a C++ side of our own (`shim/`), compiled by
//! `cargo xtask setup`, is opened at run time and opens the library.
//!
//! The objects hold what they were made from: a [`BoundContext`] its [`Engine`], an engine its [`Library`], and
//! the memory that it works in. What cannot be done is not there to be called:
//!
//! A context that was told where its tensors lie runs, and one that was not has no way to:
//!
//! ```no_run
//! # use pilotis_runtime::device::{cuda, trt};
//! # fn f(context: trt::Context, memory: trt::Memory, stream: &mut cuda::Stream) -> Result<(), Box<dyn std::error::Error>> {
//! let mut context = context.bind(memory)?;
//! context.enqueue(stream)?;
//! # Ok(()) }
//! ```
//!
//! ```compile_fail,E0599
//! # use pilotis_runtime::device::{cuda, trt};
//! # fn f(mut context: trt::Context, memory: trt::Memory, stream: &mut cuda::Stream) -> Result<(), Box<dyn std::error::Error>> {
//! context.enqueue(stream)?;
//! # Ok(()) }
//! ```
//!
//! A context is one thread's at a time:
//!
//! ```
//! # use pilotis_runtime::device::trt;
//! fn goes_to_another_thread<T: Send>() {}
//! goes_to_another_thread::<trt::BoundContext>();
//! ```
//!
//! ```compile_fail,E0277
//! # use pilotis_runtime::device::trt;
//! fn is_shared_by_threads<T: Sync>() {}
//! is_shared_by_threads::<trt::BoundContext>();
//! ```
//!
//! Bytes of a plan, and words of an inspector, are gone with what they are of:
//!
//! ```no_run
//! # use pilotis_runtime::device::trt;
//! # fn f(plan: trt::Plan) -> usize {
//! let bytes = plan.bytes();
//! bytes.len()
//! # }
//! ```
//!
//! ```compile_fail,E0505
//! # use pilotis_runtime::device::trt;
//! # fn f(plan: trt::Plan) -> usize {
//! let bytes = plan.bytes();
//! drop(plan);
//! bytes.len()
//! # }
//! ```
//!
//! ```no_run
//! # use pilotis_runtime::device::trt;
//! # fn f(mut engine: trt::Engine) -> Result<(), Box<dyn std::error::Error>> {
//! let layers = engine.inspect()?.to_owned();
//! drop(engine);
//! println!("{layers}");
//! # Ok(()) }
//! ```
//!
//! ```compile_fail,E0505
//! # use pilotis_runtime::device::trt;
//! # fn f(mut engine: trt::Engine) -> Result<(), Box<dyn std::error::Error>> {
//! let layers = engine.inspect()?;
//! drop(engine);
//! println!("{layers}");
//! # Ok(()) }
//! ```

#![allow(unsafe_code, reason = "a C API: every call and every address handed to it is unsafe")]

mod builder;
mod context;
mod engine;
mod library;
mod log;
mod raw;

pub use builder::{BuildOptions, InputFormat, Plan};
pub use context::{BoundContext, Context, Memory};
pub use engine::{Element, Engine, TensorInfo};
pub use library::{Flavour, Library};
