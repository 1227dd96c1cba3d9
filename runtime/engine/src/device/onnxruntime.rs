//! ONNX Runtime through its C API: a library, a session, and runs that allocate nothing of ours.
//!
//! The types are those of `ort::sys`. Its safe layer is left out for two reasons: its `run`
//! allocates on every call, and its loader panics on a library that answers wrongly. Here all
//! names, pointers and tensors are laid out once, over buffers of our own, and a run is one call.
//!
//! **Determinism**: the order of additions inside a convolution is the library's. See
//! [`Session::build`] for what is fixed, and the tests of the head for what is promised.

#![allow(unsafe_code, reason = "a C API: every call and every buffer handed to it is unsafe")]

use crate::device::native_parts::SETUP_COMMAND;
use crate::error::{BuildError, BuildErrorKind};
use ort::sys;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// Bytes of the engine's last words that are kept; a longer text is cut.
const MAX_ERROR_BYTES: usize = 1024;
/// More threads than any layer can use are a slip of the caller's.
const MAX_THREADS: usize = 256;
/// `ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT`; as a number, because a library may answer with a kind
/// that the enum of `ort::sys` does not know.
const ELEMENT_F32: c_int = 1;

/// Name and shape of a tensor at the border of a network; values are `f32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name in the ONNX graph.
    pub name: String,
    /// All dimensions, the batch included.
    pub dims: Vec<usize>,
}

/// An ONNX Runtime library, opened for the rest of the process, with its environment.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    version: String,
    api: &'static sys::OrtApi,
    env: NonNull<sys::OrtEnv>,
}

// SAFETY: the environment may be used from every thread, and the table of functions is constant
// -> ONNX Runtime's C API ("OrtEnv is thread safe") -> head: two_threads_load_one_library.
unsafe impl Send for Library {}
// SAFETY: as for `Send`.
unsafe impl Sync for Library {}

/// Set, official builds since 1.29 send no telemetry, start no thread for it and write no device
/// identifier. Once the environment exists it is too late to say so.
const DISABLE_TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

static LIBRARIES: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

impl Library {
    /// The library at a path; the second call for the same file answers with the first one's.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] without a file,
    /// [`BuildErrorKind::Native`] when it is no library, not ONNX Runtime, or too old.
    pub fn load(path: &Path) -> Result<&'static Self, BuildError> {
        let path = path.canonicalize().map_err(|e| {
            let text = format!("no ONNX Runtime library at `{}`: run `{SETUP_COMMAND}`", path.display());
            BuildError::new(BuildErrorKind::NativePartMissing, text).caused_by(e)
        })?;
        // A poisoned list is whole: it is only ever pushed to.
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = libraries.iter().find(|l| l.path == path) {
            return Ok(library);
        }
        let library: &'static Self = Box::leak(Box::new(Self::open(path)?));
        libraries.push(library);
        Ok(library)
    }

    /// The library's version, such as `1.32.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn open(path: PathBuf) -> Result<Self, BuildError> {
        let refuse = |why: String| {
            BuildError::new(BuildErrorKind::Native, format!("cannot use `{}`: {why}", path.display()))
        };
        if std::env::var_os(DISABLE_TELEMETRY_VARIABLE).is_none() {
            // A detector in a vehicle calls nobody. Who wants otherwise sets the variable to 0.
            // SAFETY: no other thread reads the environment past std's lock meanwhile -> loading is
            // the cold path, once a process; a host whose C code reads it in other threads sets
            // the variable itself before it starts them, and then this is not reached
            // -> ort_allocations: a_run_of_the_network_allocates_nothing_of_ours.
            unsafe { std::env::set_var(DISABLE_TELEMETRY_VARIABLE, "1") };
        }
        let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|e| refuse(e.to_string()))?;
        // SAFETY: the path is a C string, and what the library's constructors do is sound -> CString;
        // whoever put the file there (setup checks its digest) -> head: what_is_no_library_is_refused.
        let handle = unsafe { libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: dlerror answers with null or a C string that lasts until this thread's next
            // call of the dl family -> POSIX; it is copied at once -> what_is_no_library_is_refused.
            let why = unsafe {
                let text = libc::dlerror();
                if text.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                }
            };
            return Err(refuse(why));
        }
        // SAFETY: an open handle and a C string -> above; the handle is never closed, so what it
        // gives out lasts -> head: what_is_no_library_is_refused.
        let symbol = unsafe { libc::dlsym(handle, c"OrtGetApiBase".as_ptr()) };
        if symbol.is_null() {
            return Err(refuse("it is not ONNX Runtime (no `OrtGetApiBase`)".into()));
        }
        // SAFETY: the symbol of this name has this signature in every version -> onnxruntime_c_api.h
        // -> every test of the head.
        let base = unsafe {
            let get =
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const sys::OrtApiBase>(symbol);
            get().as_ref()
        };
        let base = base.ok_or_else(|| refuse("`OrtGetApiBase` answered with nothing".into()))?;
        // SAFETY: the base's two functions are there in every version, and the version is null or
        // a C string that lasts as long as the library -> onnxruntime_c_api.h -> as above.
        let version = unsafe {
            let text = (base.GetVersionString)();
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        check_version(&version).map_err(refuse)?;
        // SAFETY: any number may be asked for; the table lasts as long as the library, and that of
        // a version has all the functions `ort::sys` declares for it -> onnxruntime_c_api.h.
        let api = unsafe { (base.GetApi)(sys::ORT_API_VERSION).as_ref() };
        let api = api.ok_or_else(|| refuse(format!("it has no API of version {}", sys::ORT_API_VERSION)))?;
        let mut env = ptr::null_mut();
        // Errors come back as values: what the library would also write to stderr is turned off.
        // SAFETY: the level is valid, the name a C string, `env` writable; the status is the
        // call's own -> this function -> every test of the head.
        unsafe {
            let level = sys::OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL;
            check(api, "start", (api.CreateEnv)(level, c"pilotis".as_ptr(), &raw mut env))?;
            // For builds that do not know the variable.
            check(api, "turn telemetry off", (api.DisableTelemetryEvents)(env))?;
        }
        let env = NonNull::new(env).ok_or_else(|| refuse("it made no environment".into()))?;
        Ok(Self { path, version, api, env })
    }
}

/// Whether the functions we call are there: 1.`ORT_API_VERSION` or later.
fn check_version(version: &str) -> Result<(), String> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(minor))) if minor >= sys::ORT_API_VERSION => Ok(()),
        _ => Err(format!("its version is `{version}`, which is not 1.{} or later", sys::ORT_API_VERSION)),
    }
}

/// Turns a status into a result, and frees it.
///
/// # Safety
/// `status` is null, or a status of this library that nobody else frees.
unsafe fn check(api: &sys::OrtApi, doing: &str, status: sys::OrtStatusPtr) -> Result<(), BuildError> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null has a C string of a message, valid until it is released,
    // and is released once -> the caller's promise -> head: bytes_that_are_no_model_are_refused.
    let text = unsafe {
        let text = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
        (api.ReleaseStatus)(status.0);
        text
    };
    Err(BuildError::new(BuildErrorKind::Native, format!("ONNX Runtime cannot {doing}: {text}")))
}

/// An object of the library's, freed by its own function.
struct Owned<T> {
    ptr: NonNull<T>,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes over an object that a call has just made.
    ///
    /// # Safety
    /// `ptr` is null, or an object that nobody else frees and that `release` is the function for.
    unsafe fn new(ptr: *mut T, release: unsafe extern "system" fn(*mut T)) -> Result<Self, BuildError> {
        let none =
            || BuildError::new(BuildErrorKind::Native, "ONNX Runtime made nothing and called it success");
        Ok(Self { ptr: NonNull::new(ptr).ok_or_else(none)?, release })
    }

    fn as_ptr(&self) -> *mut T {
        self.ptr.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the object is live, ours, and freed here only -> `Owned::new`'s promise; the
        // library is never closed -> head: sessions_come_and_go.
        unsafe { (self.release)(self.ptr.as_ptr()) }
    }
}

/// Values at an address that never moves, aligned for every vector unit, zero at first.
struct Buffer {
    ptr: NonNull<f32>,
    len: usize,
    layout: Layout,
}

impl Buffer {
    /// From here on a buffer is worth huge pages.
    const LARGE_BYTES: usize = 4 << 20;
    const HUGE_PAGE_BYTES: usize = 2 << 20;
    const ALIGN_BYTES: usize = 64;

    fn zeroed(len: usize) -> Result<Self, BuildError> {
        let too_large =
            || BuildError::new(BuildErrorKind::Native, format!("no memory for a tensor of {len} values"));
        let bytes = len.max(1).checked_mul(size_of::<f32>()).ok_or_else(too_large)?;
        let is_large = bytes >= Self::LARGE_BYTES;
        let align = if is_large { Self::HUGE_PAGE_BYTES } else { Self::ALIGN_BYTES };
        let layout = Layout::from_size_align(bytes, align).map_err(|_| too_large())?;
        // SAFETY: the layout's size is not 0 -> `max(1)` above -> head: a_buffer_is_aligned_and_zero.
        let ptr = unsafe { alloc_zeroed(layout) };
        let ptr = NonNull::new(ptr.cast::<f32>()).ok_or_else(too_large)?;
        if is_large {
            // A canvas is swept end to end each frame: fewer, larger pages miss the TLB less. It
            // is advice; where the kernel refuses, nothing is lost.
            // SAFETY: the range is whole pages inside the allocation, and the advice keeps its
            // contents -> alignment and rounding down -> head: a_buffer_is_aligned_and_zero.
            #[cfg(target_os = "linux")]
            unsafe {
                let whole = bytes / Self::HUGE_PAGE_BYTES * Self::HUGE_PAGE_BYTES;
                libc::madvise(ptr.as_ptr().cast(), whole, libc::MADV_HUGEPAGE);
            }
        }
        let mut buffer = Self { ptr, len, layout };
        // Touches every page now, so that no frame is the first to.
        buffer.as_mut_slice().fill(0.0);
        Ok(buffer)
    }

    fn as_slice(&self) -> &[f32] {
        // SAFETY: `len` initialised values, borrowed with the buffer; the library writes them only
        // inside `Session::run`, which borrows it mutably -> `zeroed` -> every test of the head.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`, and the borrow is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated by `zeroed` with this layout, freed here only -> head: sessions_come_and_go.
        unsafe { dealloc(self.ptr.as_ptr().cast(), self.layout) }
    }
}

/// A run that the library refused; [`Session::last_error`] has its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFailed;

/// A network, ready to run: its inputs and outputs lie in buffers that never move.
///
/// Fields drop in the order they stand: tensors, then the session, then the memory under them.
pub struct Session {
    // The pointers that a run hands over, in the order of the names.
    input_values: Vec<*const sys::OrtValue>,
    output_values: Vec<*mut sys::OrtValue>,
    input_names: Vec<*const c_char>,
    output_names: Vec<*const c_char>,
    // What owns what those point to.
    _values: Vec<Owned<sys::OrtValue>>,
    session: Owned<sys::OrtSession>,
    _names: Vec<CString>,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    library: &'static Library,
    n_threads: usize,
    last_error: String,
}

// SAFETY: a session may be used from any one thread at a time, and all else is plain memory that
// the session owns -> ONNX Runtime's C API; `run` takes `&mut self` -> head: a_head_runs_on_another_thread.
unsafe impl Send for Session {}

impl Session {
    /// A session over the bytes of an ONNX file, whose border must be exactly `inputs` and
    /// `outputs`: names, `f32`, fixed shapes.
    ///
    /// **Determinism**: one operator at a time, a fixed number of threads, deterministic kernels.
    ///
    /// **Allocation and synchronisation**: everything happens here. Threads spin between the
    /// operators of a run, where a wake-up would cost more than the wait, and stop at its end, so
    /// that the other stages of the frame have the cores to themselves.
    ///
    /// **Errors**: [`BuildErrorKind::Native`] with the library's words,
    /// [`BuildErrorKind::Mismatch`] with the tensor and both shapes.
    pub fn build(
        library: &'static Library,
        onnx: &[u8],
        n_threads: usize,
        inputs: &[TensorShape],
        outputs: &[TensorShape],
    ) -> Result<Self, BuildError> {
        let options = session_options(library, n_threads)?;
        let api = library.api;
        let mut session = ptr::null_mut();
        // SAFETY: environment and options are live, the bytes readable for their length (an ONNX
        // model is parsed into the library's own memory, so they may go afterwards), `session`
        // writable -> the borrows here -> head: the_model_bytes_may_go_after_build.
        let session = unsafe {
            let (env, bytes) = (library.env.as_ptr(), onnx.as_ptr().cast());
            let status =
                (api.CreateSessionFromArray)(env, bytes, onnx.len(), options.as_ptr(), &raw mut session);
            check(api, "load the network", status)?;
            Owned::new(session, api.ReleaseSession)?
        };
        check_border(&Border { api, session: &session, is_input: true }, inputs)?;
        check_border(&Border { api, session: &session, is_input: false }, outputs)?;

        let names = inputs.iter().chain(outputs).map(|t| CString::new(t.name.as_str()));
        let names: Vec<CString> = names.collect::<Result<_, _>>().map_err(|e| {
            BuildError::new(BuildErrorKind::Mismatch, "a tensor's name holds a zero byte").caused_by(e)
        })?;
        let buffers = |tensors: &[TensorShape]| -> Result<Vec<Buffer>, BuildError> {
            tensors.iter().map(|t| Buffer::zeroed(t.dims.iter().product())).collect()
        };
        let (inputs_memory, outputs_memory) = (buffers(inputs)?, buffers(outputs)?);
        let memory = inputs_memory.iter().chain(&outputs_memory);
        let values: Vec<Owned<sys::OrtValue>> = inputs
            .iter()
            .chain(outputs)
            .zip(memory)
            .map(|(tensor, buffer)| tensor_over(api, tensor, buffer))
            .collect::<Result<_, _>>()?;

        let pointers = |n: &CString| n.as_ptr();
        let (n_inputs, n_outputs) = (inputs.len(), outputs.len());
        Ok(Self {
            input_values: values.iter().take(n_inputs).map(|v| v.as_ptr().cast_const()).collect(),
            output_values: values.iter().skip(n_inputs).take(n_outputs).map(Owned::as_ptr).collect(),
            input_names: names.iter().take(n_inputs).map(pointers).collect(),
            output_names: names.iter().skip(n_inputs).take(n_outputs).map(pointers).collect(),
            _values: values,
            session,
            _names: names,
            inputs: inputs_memory,
            outputs: outputs_memory,
            library,
            n_threads,
            last_error: String::with_capacity(MAX_ERROR_BYTES),
        })
    }

    /// Values of an input; empty past the last one.
    pub fn input_mut(&mut self, idx: usize) -> &mut [f32] {
        self.inputs.get_mut(idx).map_or(&mut [], Buffer::as_mut_slice)
    }

    /// Values of an output; empty past the last one.
    pub fn output(&self, idx: usize) -> &[f32] {
        self.outputs.get(idx).map_or(&[], Buffer::as_slice)
    }

    /// Runs the network from the inputs into the outputs.
    ///
    /// **Allocation and synchronisation**: none of ours, a failure included; returns when all
    /// outputs are written.
    pub fn run(&mut self) -> Result<(), RunFailed> {
        let api = self.library.api;
        // SAFETY: session, names and values are live and as many as said; each value lies over a
        // buffer of its size that nothing borrows while `self` is borrowed mutably; an output
        // that is set is written in place and stays set; no run options are the default ones
        // -> `build`, field order -> head: outputs_are_those_computed_by_hand.
        let status = unsafe {
            (api.Run)(
                self.session.as_ptr(),
                ptr::null(),
                self.input_names.as_ptr(),
                self.input_values.as_ptr(),
                self.input_values.len(),
                self.output_names.as_ptr(),
                self.output_names.len(),
                self.output_values.as_mut_ptr(),
            )
        };
        if status.0.is_null() {
            return Ok(());
        }
        self.last_error.clear();
        // SAFETY: as in `check`; the text is copied before its status goes, into memory that is
        // already there -> ONNX Runtime's C API -> head: a_failed_run_is_an_error_and_the_next_one_works.
        unsafe {
            let text = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_bytes();
            keep(&mut self.last_error, text);
            (api.ReleaseStatus)(status.0);
        }
        Err(RunFailed)
    }

    /// The library's words on the last run that failed.
    pub fn last_error(&self) -> &str {
        &self.last_error
    }

    /// Name and version of the library, and the threads of this session.
    pub fn describe(&self) -> String {
        let threads = if self.n_threads == 1 { "thread" } else { "threads" };
        format!("onnxruntime {}, {} {threads}", self.library.version, self.n_threads)
    }
}

/// Appends as much of a text as fits into memory that is already there.
fn keep(kept: &mut String, text: &[u8]) {
    for c in text.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        if kept.len() + c.len_utf8() > kept.capacity() {
            return;
        }
        kept.push(c);
    }
}

fn session_options(library: &Library, n_threads: usize) -> Result<Owned<sys::OrtSessionOptions>, BuildError> {
    let n = c_int::try_from(n_threads).ok().filter(|_| (1..=MAX_THREADS).contains(&n_threads));
    let n = n.ok_or_else(|| {
        let text = format!("{n_threads} threads for the network; 1..={MAX_THREADS} are possible");
        BuildError::new(BuildErrorKind::Mismatch, text)
    })?;
    let api = library.api;
    let mut options = ptr::null_mut();
    // SAFETY: `options` is writable and taken over once; after that it is live, every other
    // argument is a valid number or C string, and each status is its call's own -> this block
    // -> every test of the head.
    unsafe {
        check(api, "make options", (api.CreateSessionOptions)(&raw mut options))?;
        let owned = Owned::new(options, api.ReleaseSessionOptions)?;
        let all = sys::GraphOptimizationLevel::ORT_ENABLE_ALL;
        let sequential = sys::ExecutionMode::ORT_SEQUENTIAL;
        check(api, "set its threads", (api.SetIntraOpNumThreads)(options, n))?;
        check(api, "set its threads", (api.SetInterOpNumThreads)(options, 1))?;
        check(api, "run in sequence", (api.SetSessionExecutionMode)(options, sequential))?;
        check(api, "set its optimisation", (api.SetSessionGraphOptimizationLevel)(options, all))?;
        check(api, "be deterministic", (api.SetDeterministicCompute)(options, true))?;
        // Shapes are fixed: one block for all that lies between the layers, kept from run to run.
        check(api, "keep its memory", (api.EnableCpuMemArena)(options))?;
        check(api, "plan its memory", (api.EnableMemPattern)(options))?;
        for (key, value) in [
            (c"session.load_model_format", c"ONNX"),
            (c"session.intra_op.allow_spinning", c"1"),
            (c"session.force_spinning_stop", c"1"),
        ] {
            let status = (api.AddSessionConfigEntry)(options, key.as_ptr(), value.as_ptr());
            check(api, "be configured", status)?;
        }
        Ok(owned)
    }
}

/// A tensor that lies over a buffer.
fn tensor_over(
    api: &sys::OrtApi,
    tensor: &TensorShape,
    buffer: &Buffer,
) -> Result<Owned<sys::OrtValue>, BuildError> {
    let dims: Vec<i64> = tensor.dims.iter().map(|d| i64::try_from(*d).unwrap_or(i64::MAX)).collect();
    let (mut info, mut value) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the outs are writable and taken over once; the buffer holds as many values as its
    // size says and outlives the value (field order of `Session`); the library checks the shape
    // against that size -> `Session::build` -> head: sessions_come_and_go.
    unsafe {
        let kind = sys::OrtAllocatorType::OrtDeviceAllocator;
        let status = (api.CreateCpuMemoryInfo)(kind, sys::OrtMemType::OrtMemTypeDefault, &raw mut info);
        check(api, "name its memory", status)?;
        let info = Owned::new(info, api.ReleaseMemoryInfo)?;
        let status = (api.CreateTensorWithDataAsOrtValue)(
            info.as_ptr(),
            buffer.ptr.as_ptr().cast(),
            size_of_val(buffer.as_slice()),
            dims.as_ptr(),
            dims.len(),
            sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &raw mut value,
        );
        check(api, "make a tensor", status)?;
        Owned::new(value, api.ReleaseValue)
    }
}

/// One side of a session's border.
struct Border<'a> {
    api: &'a sys::OrtApi,
    session: &'a Owned<sys::OrtSession>,
    is_input: bool,
}

/// A tensor as the model declares it.
struct Declared {
    name: String,
    element: c_int,
    /// A dimension without a fixed size is negative.
    dims: Vec<i64>,
}

impl Border<'_> {
    fn side(&self) -> &'static str {
        if self.is_input { "input" } else { "output" }
    }

    fn declared(&self) -> Result<Vec<Declared>, BuildError> {
        let api = self.api;
        let (session, mut n) = (self.session.as_ptr().cast_const(), 0);
        let count = if self.is_input { api.SessionGetInputCount } else { api.SessionGetOutputCount };
        // SAFETY: the session is live, the out writable, the status the call's own -> `self`
        // -> head: a_border_that_does_not_fit_is_refused.
        unsafe { check(api, "count its tensors", count(session, &raw mut n))? };
        (0..n).map(|idx| Ok(Declared { name: self.name(idx)?, ..self.kind(idx)? })).collect()
    }

    fn name(&self, idx: usize) -> Result<String, BuildError> {
        let api = self.api;
        let get = if self.is_input { api.SessionGetInputName } else { api.SessionGetOutputName };
        let (mut allocator, mut name) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the session is live and has that many tensors, the outs are writable; the name
        // is a C string of the default allocator, copied and then freed by it; that allocator
        // is the library's and never freed -> `declared` -> a_border_that_does_not_fit_is_refused.
        unsafe {
            check(api, "find its allocator", (api.GetAllocatorWithDefaultOptions)(&raw mut allocator))?;
            check(api, "name a tensor", get(self.session.as_ptr(), idx, allocator, &raw mut name))?;
            if name.is_null() {
                return Ok(String::new());
            }
            let text = CStr::from_ptr(name).to_string_lossy().into_owned();
            check(api, "free a name", (api.AllocatorFree)(allocator, name.cast()))?;
            Ok(text)
        }
    }

    fn kind(&self, idx: usize) -> Result<Declared, BuildError> {
        let api = self.api;
        let get = if self.is_input { api.SessionGetInputTypeInfo } else { api.SessionGetOutputTypeInfo };
        let (mut info, mut tensor) = (ptr::null_mut(), ptr::null());
        let (mut element, mut n_dims): (c_int, usize) = (0, 0);
        let mut dims = Vec::new();
        // SAFETY: the session is live and has that many tensors; outs are writable, the element's
        // as the number its enum is (a newer library may know more of them than the enum does);
        // what `tensor` points to lives in `info`, and is null for what is no tensor; `dims` has
        // the length that is passed -> here -> a_border_that_does_not_fit_is_refused.
        unsafe {
            check(api, "describe a tensor", get(self.session.as_ptr(), idx, &raw mut info))?;
            let info = Owned::new(info, api.ReleaseTypeInfo)?;
            check(api, "describe a tensor", (api.CastTypeInfoToTensorInfo)(info.as_ptr(), &raw mut tensor))?;
            if !tensor.is_null() {
                let status = (api.GetTensorElementType)(tensor, (&raw mut element).cast());
                check(api, "describe a tensor", status)?;
                check(api, "describe a tensor", (api.GetDimensionsCount)(tensor, &raw mut n_dims))?;
                dims.resize(n_dims, -1);
                check(api, "describe a tensor", (api.GetDimensions)(tensor, dims.as_mut_ptr(), n_dims))?;
            }
        }
        Ok(Declared { name: String::new(), element, dims })
    }
}

/// Checks that one side of the border is exactly what is expected, in any order.
fn check_border(border: &Border<'_>, expected: &[TensorShape]) -> Result<(), BuildError> {
    let side = border.side();
    let mismatch = |text: String| Err(BuildError::new(BuildErrorKind::Mismatch, text));
    let declared = border.declared()?;
    for tensor in expected {
        let Some(found) = declared.iter().find(|d| d.name == tensor.name) else {
            let names: Vec<&str> = declared.iter().map(|d| d.name.as_str()).collect();
            return mismatch(format!(
                "the network has no {side} `{}` {:?}; it has `{}`",
                tensor.name,
                tensor.dims,
                names.join("`, `")
            ));
        };
        if found.element != ELEMENT_F32 {
            return mismatch(format!(
                "{side} `{}` of the network is not f32 (its ONNX element type is {})",
                tensor.name, found.element
            ));
        }
        if !found.dims.iter().map(|d| usize::try_from(*d).ok()).eq(tensor.dims.iter().map(|d| Some(*d))) {
            return mismatch(format!(
                "{side} `{}` of the network is {}, and the manifest makes it {:?}",
                tensor.name,
                shape_text(&found.dims),
                tensor.dims
            ));
        }
    }
    match declared.iter().find(|d| expected.iter().all(|t| t.name != d.name)) {
        Some(extra) => mismatch(format!(
            "the network has an {side} `{}` {} that the manifest does not know",
            extra.name,
            shape_text(&extra.dims)
        )),
        None => Ok(()),
    }
}

fn shape_text(dims: &[i64]) -> String {
    let dim = |d: &i64| if *d < 0 { "?".to_owned() } else { d.to_string() };
    format!("[{}]", dims.iter().map(dim).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_zero() {
        for (len, align) in [(1, 64), (1000, 64), (3 << 20, 2 << 20)] {
            let mut buffer = Buffer::zeroed(len).unwrap();
            assert_eq!(buffer.ptr.as_ptr().addr() % align, 0, "{len}");
            assert!(buffer.as_slice().iter().all(|v| v.to_bits() == 0));
            buffer.as_mut_slice()[len - 1] = 1.0;
            assert_eq!(buffer.as_slice()[len - 1].to_bits(), 1.0_f32.to_bits());
        }
        assert_eq!(Buffer::zeroed(usize::MAX).err().unwrap().kind(), BuildErrorKind::Native);
        assert_eq!(Buffer::zeroed(usize::MAX / 8).err().unwrap().kind(), BuildErrorKind::Native);
    }

    #[test]
    fn versions_before_ours_are_refused() {
        for good in ["1.24.0", "1.32.0", "1.100.1", "1.24"] {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for bad in ["1.23.2", "2.30.0", "0.32.0", "", "x", "1.", "1.x.0", "24"] {
            assert!(check_version(bad).unwrap_err().contains("1.24"), "{bad}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut kept = String::with_capacity(8);
        let capacity = kept.capacity();
        keep(&mut kept, "äöüßäöüßäöüßäöüßäöüßäöüß".as_bytes());
        assert_eq!(kept.capacity(), capacity);
        assert!(kept.len() > capacity - 2 && "äöüßäöüßäöüßäöüßäöüßäöüß".starts_with(&kept));
        kept.clear();
        keep(&mut kept, b"a\xffb");
        assert_eq!(kept, "ab");
    }
}
