//! Context: a network that is ready to run, in memory that was given to it.

use super::engine::{Engine, TensorInfo};
use super::library::Library;
use super::raw::{ErrorText, OK, RawCache, RawContext};
use crate::device::cuda::{Device, DeviceFault, Span, Stream};
use crate::error::{BuildError, BuildErrorKind};
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// A context that does not know yet where its tensors lie.
#[derive(Debug)]
pub struct Context {
    parts: Parts,
}

/// Where a network's tensors lie, and the memory that it works in.
#[derive(Debug)]
pub struct Memory {
    /// What it works in; `None` where it needs nothing.
    pub workspace: Option<Span>,
    /// Every tensor by its name.
    pub tensors: Vec<(CString, Span)>,
}

/// A context that runs.
#[derive(Debug)]
pub struct BoundContext {
    parts: Parts,
    /// What the network reads and writes stays until it is gone.
    _memory: Memory,
}

/// A context with what it needs to outlive: fields drop in this order.
#[derive(Debug)]
struct Parts {
    context: RawHandle<RawContext>,
    cache: Option<RawHandle<RawCache>>,
    engine: Engine,
}

/// An object of the C++ side, freed by its own function.
#[derive(Debug)]
struct RawHandle<T> {
    raw: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
    device: Arc<Device>,
}

// SAFETY: contexts and caches may be used from every thread, one at a time -> NvInferRuntime.h; they are not
// `Sync` -> doc tests of the module.
unsafe impl<T> Send for RawHandle<T> {}

impl<T> RawHandle<T> {
    /// What a call that answered with `code` has made.
    fn of(
        raw: *mut T,
        code: c_int,
        free: unsafe extern "C" fn(*mut T),
        device: &Arc<Device>,
    ) -> Option<Self> {
        let raw = NonNull::new(raw).filter(|_| code == OK)?;
        Some(Self { raw, free, device: Arc::clone(device) })
    }
}

impl<T> Drop for RawHandle<T> {
    fn drop(&mut self) {
        // SAFETY: an object that the C++ side has made, ours, freed here only, and before the engine that it
        // is of; the device is idle or lost -> `of`; the order of fields of `Parts`; `free_foreign`
        // -> trt (tests/cuda): a_network_of_tensorrt_is_one_graph_with_the_stages.
        self.device.free_foreign(|| unsafe { (self.free)(self.raw.as_ptr()) });
    }
}

impl Engine {
    /// Makes the network ready; the library compiles its kernels for the card, or takes them from `saved`, what
    /// [`Context::compiled_kernels`] gave an earlier process. Kernels of another card, driver or version are
    /// left out by the library.
    ///
    /// **Errors**: those of the library. **Allocation**: the library's; seconds, where nothing was saved.
    pub fn into_context(self, saved: &[u8]) -> Result<Context, BuildError> {
        let library = self.library;
        let functions = &library.functions;
        let mut error = ErrorText::new();
        let engine = self.raw.as_ptr();
        let _ = library.log.take_errors();
        let made = self.device.call(|| {
            let mut raw = ptr::null_mut();
            // SAFETY: a live engine, as many bytes as said, a writable out -> `self` -> `cargo xtask gpu-check`.
            let code = unsafe {
                (functions.cache_new)(
                    engine,
                    saved.as_ptr().cast(),
                    saved.len(),
                    &raw mut raw,
                    error.as_raw(),
                )
            };
            if code != OK {
                return Ok(Err(code));
            }
            let cache = RawHandle::of(raw, code, functions.cache_free, &self.device);
            let cache_ptr = cache.as_ref().map_or(ptr::null(), |c| c.raw.as_ptr().cast_const());
            let mut raw = ptr::null_mut();
            // SAFETY: a live engine, a live cache of it or null, a writable out -> above.
            let code = unsafe { (functions.context_new)(engine, cache_ptr, &raw mut raw, error.as_raw()) };
            let context = RawHandle::of(raw, code, functions.context_free, &self.device);
            Ok(context.ok_or(code).map(|context| (context, cache)))
        });
        let made = made.map_err(|f: DeviceFault| f.while_building("make a network ready"))?;
        let (context, cache) = made.map_err(|code| library.refuse("make a network ready", code, &error))?;
        Ok(Context { parts: Parts { context, cache, engine: self } })
    }
}

impl Context {
    /// The tensors at its border.
    pub fn tensors(&self) -> &[TensorInfo] {
        self.parts.engine.tensors()
    }

    /// Bytes of device memory that it works in.
    pub fn workspace_bytes(&self) -> u64 {
        self.parts.engine.workspace_bytes()
    }

    /// The kernels that the library has compiled for the card; `None` where the flavour keeps none.
    pub fn compiled_kernels(&self) -> Result<Option<Vec<u8>>, BuildError> {
        let Some(cache) = &self.parts.cache else { return Ok(None) };
        let library = self.parts.engine.library;
        let (mut raw, mut error) = (ptr::null_mut(), ErrorText::new());
        // SAFETY: a live cache, a writable out -> `self` -> `cargo xtask gpu-check`.
        let code =
            unsafe { (library.functions.cache_bytes)(cache.raw.as_ptr(), &raw mut raw, error.as_raw()) };
        match library.plan_of(raw) {
            Some(bytes) if code == OK => Ok(Some(bytes.bytes().to_vec())),
            _ => Err(library.refuse("save compiled kernels", code, &error)),
        }
    }

    /// Says where the tensors lie.
    ///
    /// **Errors**: [`BuildErrorKind::Mismatch`] for a tensor that is not given, or has less room than it takes.
    pub fn bind(self, memory: Memory) -> Result<BoundContext, BuildError> {
        let mismatch = |text: String| BuildError::new(BuildErrorKind::Mismatch, text);
        for info in self.tensors() {
            let Some((name, span)) = memory.tensors.iter().find(|(name, _)| *name == info.name) else {
                return Err(mismatch(format!("tensor {:?} of the plan has no place in memory", info.name)));
            };
            let (room, needed) = (span.n_bytes() as u64, info.size_bytes);
            if room < needed {
                return Err(mismatch(format!("tensor {name:?} takes {needed} bytes, and {room} are there")));
            }
            self.bind_tensor(name, span.address())?;
        }
        let workspace = memory.workspace.as_ref();
        self.bind_workspace(workspace.map_or(0, Span::address), workspace.map_or(0, |w| w.n_bytes() as u64))?;
        Ok(BoundContext { parts: self.parts, _memory: memory })
    }

    fn bind_tensor(&self, name: &CStr, address: u64) -> Result<(), BuildError> {
        let library = self.parts.engine.library;
        let mut error = ErrorText::new();
        // SAFETY: a live context, a C string; the memory has the room that the tensor takes, and stays while the
        // context does -> `bind` -> `cargo xtask gpu-check`.
        let code = unsafe {
            let (context, address) = (self.parts.context.raw.as_ptr(), address as *mut c_void);
            (library.functions.context_bind_tensor)(context, name.as_ptr(), address, error.as_raw())
        };
        if code == OK { Ok(()) } else { Err(library.refuse("bind a tensor", code, &error)) }
    }

    fn bind_workspace(&self, address: u64, n_bytes: u64) -> Result<(), BuildError> {
        let library = self.parts.engine.library;
        let mut error = ErrorText::new();
        let n_bytes = i64::try_from(n_bytes).unwrap_or(i64::MAX);
        // SAFETY: a live context; memory of that many bytes, which the C++ side compares with what is needed,
        // and which stays while the context does -> `bind` -> `cargo xtask gpu-check`.
        let code = unsafe {
            let (context, address) = (self.parts.context.raw.as_ptr(), address as *mut c_void);
            (library.functions.context_bind_workspace)(context, address, n_bytes, error.as_raw())
        };
        if code == OK { Ok(()) } else { Err(library.refuse("take its workspace", code, &error)) }
    }
}

impl BoundContext {
    /// Name and version of the library.
    pub fn library(&self) -> &'static Library {
        self.parts.engine.library
    }

    /// Whether what it enqueues on a stream can be captured into a graph.
    pub fn is_capturable(&self, stream: &Stream) -> bool {
        let functions = &self.parts.engine.library.functions;
        // SAFETY: a live context and a live stream of the same device -> `self`; `Stream`.
        unsafe {
            (functions.context_is_capturable)(self.parts.context.raw.as_ptr(), stream.raw().cast()) != 0
        }
    }

    /// Enqueues the network; in a stream that is being captured as well.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for a stream of another device; the device's own;
    /// [`DeviceFault::NETWORK`] where the library says no more than that it failed. **Allocation and
    /// synchronisation**: none of ours; the library's first run may allocate.
    pub fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let engine = &self.parts.engine;
        if !Arc::ptr_eq(&engine.device, stream.device()) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let (context, functions) = (self.parts.context.raw.as_ptr(), &engine.library.functions);
        stream.enqueue_foreign(|stream| {
            // SAFETY: a live context, bound, used by one thread; a live stream of its device, which is current;
            // memory that stays -> `bind`; `&mut self`; `enqueue_foreign` -> `cargo xtask gpu-check`.
            let code = unsafe { (functions.context_enqueue)(context, stream) };
            if code == OK { Ok(()) } else { Err(DeviceFault::NETWORK) }
        })
    }
}
