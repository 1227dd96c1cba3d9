//! Builder: a plan from the bytes of an ONNX file, without a card.

use super::library::Library;
use super::raw::{ErrorText, OK, RawBuildOptions, RawPlan};
use crate::error::BuildError;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// How the inputs of a network lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputFormat {
    /// `[C, H, W]`.
    Planes,
    /// `[H, W, C]`; channels in eights, so that loads are of 16 bytes. Only `f16`, and C a multiple of 8.
    ChannelsLastBy8,
    /// `[H, W, C]` with any number of channels.
    ChannelsLast,
}

impl InputFormat {
    /// A name for it, in keys of plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planes => "planes",
            Self::ChannelsLastBy8 => "channels_last_by_8",
            Self::ChannelsLast => "channels_last",
        }
    }

    /// `nvinfer1::TensorFormat`.
    pub(super) fn code(self) -> i32 {
        match self {
            Self::Planes => 0,
            Self::ChannelsLastBy8 => 2,
            Self::ChannelsLast => 8,
        }
    }
}

/// What a plan is built for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BuildOptions {
    /// Compute capabilities, such as 89 for an RTX 4070; none is the card in the machine.
    pub compute_capabilities: Vec<i32>,
    /// How the canvas lies in memory.
    pub input_format: InputFormat,
    /// Whether `f32` products may be rounded to TF32.
    pub allow_tf32: bool,
}

/// A network as TensorRT keeps it: for one version of the library, and for the cards that it was built for.
#[derive(Debug)]
pub struct Plan {
    raw: NonNull<RawPlan>,
    library: &'static Library,
}

// SAFETY: memory of the library that nobody writes to any more -> NvInferRuntime.h, IHostMemory
// -> trt: two_threads_build_plans.
unsafe impl Send for Plan {}
// SAFETY: as for `Send`.
unsafe impl Sync for Plan {}

impl Library {
    /// Builds a plan.
    ///
    /// **Errors**: [`crate::BuildErrorKind::Package`] with every error of the parser and the node that it is
    /// about; [`crate::BuildErrorKind::Mismatch`] for a card that the library cannot build for, or a library that
    /// builds nothing; [`crate::BuildErrorKind::Native`] with the library's reasons. **Determinism**: the same
    /// bytes for the same network, options and version of the library. **Allocation**: what the library takes;
    /// some hundred megabytes for a large network.
    pub fn build_plan(&'static self, onnx: &[u8], options: &BuildOptions) -> Result<Plan, BuildError> {
        let raw_options = RawBuildOptions {
            compute_capabilities: options.compute_capabilities.as_ptr(),
            n_compute_capabilities: i32::try_from(options.compute_capabilities.len()).unwrap_or(i32::MAX),
            allow_tf32: options.allow_tf32.into(),
            input_format: options.input_format.code(),
            max_workspace_bytes: 0,
        };
        // Two builds at once, for different cards, met in the library's own state: one at a time.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.log.take_errors();
        let (mut raw, mut error) = (ptr::null_mut(), ErrorText::new());
        // SAFETY: an opened library, `onnx` and the options with as many bytes and numbers as said, a writable
        // out; nothing of them is kept -> `self`; shim.cpp -> trt: plans_are_built_without_a_card.
        let code = unsafe {
            let (onnx, n) = (onnx.as_ptr().cast(), onnx.len());
            (self.functions.build)(
                self.raw.as_ptr(),
                onnx,
                n,
                &raw const raw_options,
                &raw mut raw,
                error.as_raw(),
            )
        };
        match NonNull::new(raw) {
            Some(raw) if code == OK => Ok(Plan { raw, library: self }),
            _ => Err(self.refuse("build a plan", code, &error)),
        }
    }

    /// Takes over bytes that the C++ side has made.
    pub(super) fn plan_of(&'static self, raw: *mut RawPlan) -> Option<Plan> {
        NonNull::new(raw).map(|raw| Plan { raw, library: self })
    }
}

impl Plan {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        let mut n = 0;
        // SAFETY: a live plan, whose memory stays where it is until it is freed, which takes `self`
        // -> shim.cpp -> trt: plans_are_built_without_a_card.
        unsafe {
            let bytes = (self.library.functions.plan_bytes)(self.raw.as_ptr(), &raw mut n);
            if bytes.is_null() { &[] } else { std::slice::from_raw_parts(bytes.cast(), n) }
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: ours, and freed here only -> `build_plan`.
        unsafe { (self.library.functions.plan_free)(self.raw.as_ptr()) }
    }
}
