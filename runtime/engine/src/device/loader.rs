//! Loader: libraries that are opened at run time, for the rest of the process.

#![allow(unsafe_code, reason = "the dynamic loader's C API")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// Who else sees the symbols of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nobody.
    Local,
    /// Every library that is opened after it.
    Global,
}

/// An opened library; it is never closed, so what it gives out lasts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened(NonNull<c_void>);

impl Opened {
    /// Opens a library.
    ///
    /// **Errors**: the loader's words.
    ///
    /// # Safety
    /// What the library's constructors do is sound: the caller says who put the file there.
    pub(super) unsafe fn open(path: &Path, scope: Scope) -> Result<Self, String> {
        let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
        let flags: c_int = match scope {
            Scope::Local => libc::RTLD_NOW | libc::RTLD_LOCAL,
            Scope::Global => libc::RTLD_NOW | libc::RTLD_GLOBAL,
        };
        // SAFETY: a C string -> CString; sound constructors -> the caller
        // -> head: what_is_no_library_is_refused; trt: what_is_no_shim_is_refused.
        let handle = unsafe { libc::dlopen(c_path.as_ptr(), flags) };
        NonNull::new(handle).map(Self).ok_or_else(|| {
            // SAFETY: dlerror answers with null or a C string that lasts until this thread's next call of the
            // dl family -> POSIX; it is copied at once -> the same tests.
            unsafe {
                let text = libc::dlerror();
                if text.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                }
            }
        })
    }

    /// The address of a symbol, where there is one.
    pub(super) fn symbol(self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: an open handle that is never closed, and a C string -> `open`; `CStr` -> the same tests.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}
