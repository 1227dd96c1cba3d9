//! Engine: a plan that the card has taken, and what it says of itself.

use super::library::Library;
use super::raw::{ErrorText, OK, RawEngine, RawRuntime, RawTensor};
use crate::device::cuda::{Device, DeviceFault};
use crate::error::{BuildError, BuildErrorKind};
use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Type of the values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Another one, by its number in `nvinfer1::DataType`.
    Other(i32),
}

/// A tensor at the border of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: CString,
    /// Whether the network reads it.
    pub is_input: bool,
    /// Type of its values.
    pub element: Element,
    /// All dimensions, the batch included.
    pub dims: Vec<i64>,
    /// Bytes that it takes.
    pub size_bytes: u64,
    /// `nvinfer1::TensorFormat`.
    pub format: i32,
}

/// A network on a card.
#[derive(Debug)]
pub struct Engine {
    pub(super) raw: NonNull<RawEngine>,
    /// Declared after what it made: fields drop in this order.
    _runtime: Runtime,
    pub(super) library: &'static Library,
    pub(super) device: Arc<Device>,
    tensors: Vec<TensorInfo>,
}

// SAFETY: an engine may be used from every thread, one at a time -> NvInferRuntime.h; nothing here is `Sync`
// -> the type system (doc tests of the module).
unsafe impl Send for Engine {}

#[derive(Debug)]
struct Runtime {
    raw: NonNull<RawRuntime>,
    library: &'static Library,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: ours, freed here only, and after its engine -> the order of fields of `Engine`.
        unsafe { (self.library.functions.runtime_free)(self.raw.as_ptr()) }
    }
}

impl Engine {
    /// Loads a plan onto a device.
    ///
    /// **Errors**: [`BuildErrorKind::Package`] for a plan of another version, another card, or that is damaged,
    /// with the library's reasons; without a driver as well. Plans are code: load only what Pilotis itself has
    /// built, which [`crate::head::tensorrt::PlanCache`] sees to.
    pub fn load(library: &'static Library, device: &Arc<Device>, plan: &[u8]) -> Result<Self, BuildError> {
        let _ = library.log.take_errors();
        let mut error = ErrorText::new();
        let mut loaded = || -> Result<(Runtime, NonNull<RawEngine>), std::ffi::c_int> {
            let (mut runtime, mut raw) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: an opened library, a writable out -> `Library` -> trt: a_plan_needs_a_driver.
            let code = unsafe {
                (library.functions.runtime_new)(library.raw.as_ptr(), &raw mut runtime, error.as_raw())
            };
            let runtime = NonNull::new(runtime).filter(|_| code == OK).ok_or(code)?;
            let runtime = Runtime { raw: runtime, library };
            // SAFETY: a live runtime, as many bytes as said, a writable out; the bytes are not kept
            // -> above; NvInferRuntime.h -> the same test.
            let code = unsafe {
                let (bytes, n) = (plan.as_ptr().cast(), plan.len());
                (library.functions.engine_load)(runtime.raw.as_ptr(), bytes, n, &raw mut raw, error.as_raw())
            };
            let raw = NonNull::new(raw).filter(|_| code == OK).ok_or(code)?;
            Ok((runtime, raw))
        };
        // The library works in the context that is current: make it this device's.
        let loaded =
            device.call(|| Ok(loaded())).map_err(|f: DeviceFault| f.while_building("load a plan"))?;
        let (runtime, raw) = loaded.map_err(|code| library.refuse("load a plan", code, &error))?;
        let mut engine =
            Self { raw, _runtime: runtime, library, device: Arc::clone(device), tensors: Vec::new() };
        engine.tensors = engine.read_tensors()?;
        Ok(engine)
    }

    fn read_tensors(&self) -> Result<Vec<TensorInfo>, BuildError> {
        let functions = &self.library.functions;
        // SAFETY: a live engine -> `self`.
        let n = unsafe { (functions.engine_n_tensors)(self.raw.as_ptr()) };
        (0..n).map(|idx| self.read_tensor(idx)).collect()
    }

    fn read_tensor(&self, idx: i32) -> Result<TensorInfo, BuildError> {
        let mut error = ErrorText::new();
        let mut raw = RawTensor {
            name: ptr::null(),
            is_input: 0,
            element: 0,
            n_dims: 0,
            dims: [0; 8],
            bytes: 0,
            format: 0,
        };
        // SAFETY: a live engine, a writable out; the name lives as long as the engine and is copied at once
        // -> `self`; shim.h -> `cargo xtask gpu-check` (no engine is loaded without a card).
        let (code, name) = unsafe {
            let code =
                (self.library.functions.engine_tensor)(self.raw.as_ptr(), idx, &raw mut raw, error.as_raw());
            (code, if raw.name.is_null() { CString::default() } else { CStr::from_ptr(raw.name).to_owned() })
        };
        if code != OK {
            return Err(self.library.refuse("describe a tensor", code, &error));
        }
        let element = match raw.element {
            0 => Element::F32,
            1 => Element::F16,
            other => Element::Other(other),
        };
        let size_bytes = u64::try_from(raw.bytes).map_err(|_| {
            let text = format!("tensor {name:?} has no fixed shape");
            BuildError::new(BuildErrorKind::Mismatch, text)
        })?;
        let n_dims = usize::try_from(raw.n_dims).unwrap_or(0).min(raw.dims.len());
        let dims = raw.dims[..n_dims].to_vec();
        Ok(TensorInfo { name, is_input: raw.is_input != 0, element, dims, size_bytes, format: raw.format })
    }

    /// The tensors at its border.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Bytes of device memory that a context works in.
    pub fn workspace_bytes(&self) -> u64 {
        // SAFETY: a live engine -> `self`.
        let bytes = unsafe { (self.library.functions.engine_workspace_bytes)(self.raw.as_ptr()) };
        u64::try_from(bytes).unwrap_or(0)
    }

    /// The inspector's JSON: every layer with its types and the kernel that was chosen.
    pub fn inspect(&mut self) -> Result<&str, BuildError> {
        let (mut text, mut error) = (ptr::null(), ErrorText::new());
        // SAFETY: a live engine, a writable out; the text lives until the next call, which takes `&mut self`
        // as well -> shim.h -> `cargo xtask gpu-check`.
        let (code, text) = unsafe {
            let code =
                (self.library.functions.engine_inspect)(self.raw.as_ptr(), &raw mut text, error.as_raw());
            (code, if text.is_null() { "" } else { CStr::from_ptr(text).to_str().unwrap_or_default() })
        };
        if code == OK { Ok(text) } else { Err(self.library.refuse("inspect an engine", code, &error)) }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: ours, freed here only, and always: after this the runtime goes -> the order of fields; contexts own
        // it and are gone; the device is idle or lost -> `context::Parts`; `free_foreign`
        // -> trt (tests/cuda): the_cpu_takes_over_from_tensorrt_when_the_card_is_lost.
        self.device.free_foreign(|| unsafe { (self.library.functions.engine_free)(self.raw.as_ptr()) });
    }
}
