//! Raw: the functions of `shim/shim.h`, found by name in the opened C++ side.

use crate::device::loader::Opened;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;

/// `PILOTIS_TRT_ABI` of the header that the declarations below were written after.
pub(super) const ABI: c_int = 1;
/// `PT_OK`.
pub(super) const OK: c_int = 0;

/// A code of `pt_code` that is not `PT_OK`, by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Library,
    Version,
    Unsupported,
    Parse,
    Build,
    Plan,
    Argument,
    Run,
    Internal,
}

impl Refused {
    pub(super) fn of(code: c_int) -> Self {
        match code {
            1 => Self::Library,
            2 => Self::Version,
            3 => Self::Unsupported,
            4 => Self::Parse,
            5 => Self::Build,
            6 => Self::Plan,
            7 => Self::Argument,
            8 => Self::Run,
            _ => Self::Internal,
        }
    }
}

/// Something of the C++ side that is only ever seen through a pointer.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[derive(Debug)]
        #[repr(C)]
        pub(super) struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque!(RawLibrary, RawPlan, RawRuntime, RawEngine, RawContext, RawCache);

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RawError {
    text: *mut c_char,
    capacity: usize,
}

pub(super) type LogFunction = unsafe extern "C" fn(*mut c_void, i32, *const c_char);

#[repr(C)]
pub(super) struct About {
    pub(super) flavour: *const c_char,
    pub(super) abi: i32,
    pub(super) version: i32,
    pub(super) build: i32,
}

#[repr(C)]
pub(super) struct RawBuildOptions {
    pub(super) compute_capabilities: *const i32,
    pub(super) n_compute_capabilities: i32,
    pub(super) allow_tf32: i32,
    pub(super) input_format: i32,
    pub(super) max_workspace_bytes: i64,
}

#[repr(C)]
pub(super) struct RawTensor {
    pub(super) name: *const c_char,
    pub(super) is_input: i32,
    pub(super) element: i32,
    pub(super) n_dims: i32,
    pub(super) dims: [i64; 8],
    pub(super) bytes: i64,
    pub(super) format: i32,
}

/// Declares the table of functions, and how it is filled.
macro_rules! functions {
    ($($name:ident: fn($($type:ty),*) $(-> $out:ty)?;)*) => {
        /// The functions of the C++ side, by their names without `pt_`.
        #[derive(Clone, Copy)]
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($type),*) $(-> $out)?,)*
        }

        impl Functions {
            /// Looks every function up in an opened library.
            ///
            /// # Safety
            /// The library's functions of these names have the types declared here: it was made of `shim.h` with
            /// this [`ABI`].
            pub(super) unsafe fn find(library: Opened) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        const NAME: &str = concat!("pt_", stringify!($name), "\0");
                        let name = CStr::from_bytes_with_nul(NAME.as_bytes()).unwrap_or_default();
                        let symbol = library.symbol(name).ok_or_else(|| format!("it has no {name:?}"))?;
                        // SAFETY: a function of this type -> the caller -> every test of the layer.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) $(-> $out)?>(symbol.as_ptr()) }
                    },)*
                })
            }
        }
    };
}

functions! {
    library_open: fn(*const c_char, *const c_char, LogFunction, *mut c_void, *mut *mut RawLibrary, RawError) -> c_int;
    library_version: fn(*const RawLibrary) -> i32;
    build: fn(*const RawLibrary, *const c_void, usize, *const RawBuildOptions, *mut *mut RawPlan, RawError) -> c_int;
    plan_bytes: fn(*const RawPlan, *mut usize) -> *const c_void;
    plan_free: fn(*mut RawPlan);
    runtime_new: fn(*const RawLibrary, *mut *mut RawRuntime, RawError) -> c_int;
    runtime_free: fn(*mut RawRuntime);
    engine_load: fn(*mut RawRuntime, *const c_void, usize, *mut *mut RawEngine, RawError) -> c_int;
    engine_free: fn(*mut RawEngine);
    engine_workspace_bytes: fn(*const RawEngine) -> i64;
    engine_n_tensors: fn(*const RawEngine) -> i32;
    engine_tensor: fn(*const RawEngine, i32, *mut RawTensor, RawError) -> c_int;
    engine_inspect: fn(*mut RawEngine, *mut *const c_char, RawError) -> c_int;
    cache_new: fn(*mut RawEngine, *const c_void, usize, *mut *mut RawCache, RawError) -> c_int;
    cache_bytes: fn(*const RawCache, *mut *mut RawPlan, RawError) -> c_int;
    cache_free: fn(*mut RawCache);
    context_new: fn(*mut RawEngine, *const RawCache, *mut *mut RawContext, RawError) -> c_int;
    context_bind_workspace: fn(*mut RawContext, *mut c_void, i64, RawError) -> c_int;
    context_bind_tensor: fn(*mut RawContext, *const c_char, *mut c_void, RawError) -> c_int;
    context_is_capturable: fn(*const RawContext, *mut c_void) -> i32;
    context_enqueue: fn(*mut RawContext, *mut c_void) -> c_int;
    context_free: fn(*mut RawContext);
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Functions")
    }
}

/// Room for the words of a failure.
pub(super) struct ErrorText([u8; 4096]);

impl ErrorText {
    pub(super) fn new() -> Self {
        Self([0; 4096])
    }

    /// As the C++ side takes it; it writes at most so many bytes, the last of them zero.
    pub(super) fn as_raw(&mut self) -> RawError {
        RawError { text: self.0.as_mut_ptr().cast(), capacity: self.0.len() }
    }

    pub(super) fn text(&self) -> String {
        let text = CStr::from_bytes_until_nul(&self.0).unwrap_or_default();
        text.to_string_lossy().into_owned()
    }
}
