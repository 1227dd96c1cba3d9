//! The library: opened once, its version checked, its statuses turned into errors.

use crate::device::loader::{Opened, Scope};
use crate::device::native_parts::SETUP_COMMAND;
use crate::error::{BuildError, BuildErrorKind};
use ort::sys;
use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// An ONNX Runtime library, opened for the rest of the process, with its environment.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    pub(super) version: String,
    pub(super) api: &'static sys::OrtApi,
    pub(super) env: NonNull<sys::OrtEnv>,
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
        // SAFETY: what the library's constructors do is sound -> whoever put the file there (setup checks its
        // digest) -> head: what_is_no_library_is_refused.
        let opened = unsafe { Opened::open(&path, Scope::Local) }.map_err(refuse)?;
        let symbol = opened.symbol(c"OrtGetApiBase");
        let symbol = symbol.ok_or_else(|| refuse("it is not ONNX Runtime (no `OrtGetApiBase`)".into()))?;
        // SAFETY: the symbol of this name has this signature in every version -> onnxruntime_c_api.h
        // -> every test of the head.
        let base = unsafe {
            let get = std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const sys::OrtApiBase>(
                symbol.as_ptr(),
            );
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
pub(super) unsafe fn check(
    api: &sys::OrtApi,
    doing: &str,
    status: sys::OrtStatusPtr,
) -> Result<(), BuildError> {
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
pub(super) struct Owned<T> {
    ptr: NonNull<T>,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes over an object that a call has just made.
    ///
    /// # Safety
    /// `ptr` is null, or an object that nobody else frees and that `release` is the function for.
    pub(super) unsafe fn new(
        ptr: *mut T,
        release: unsafe extern "system" fn(*mut T),
    ) -> Result<Self, BuildError> {
        let none =
            || BuildError::new(BuildErrorKind::Native, "ONNX Runtime made nothing and called it success");
        Ok(Self { ptr: NonNull::new(ptr).ok_or_else(none)?, release })
    }

    pub(super) fn as_ptr(&self) -> *mut T {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_ours_are_refused() {
        for good in ["1.24.0", "1.32.0", "1.100.1", "1.24"] {
            assert_eq!(check_version(good), Ok(()), "{good}");
        }
        for bad in ["1.23.2", "2.30.0", "0.32.0", "", "x", "1.", "1.x.0", "24"] {
            assert!(check_version(bad).unwrap_err().contains("1.24"), "{bad}");
        }
    }
}
