//! Library: a TensorRT, opened once for the rest of the process.

use super::log::{Log, receive};
use super::raw::{ABI, About, ErrorText, Functions, OK, RawLibrary, Refused};
use crate::device::loader::{Opened, Scope};
use crate::device::native_parts::{Places, SETUP_COMMAND};
use crate::error::{BuildError, BuildErrorKind};
use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// Which TensorRT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// TensorRT for RTX: builds plans for any RTX card, on any machine.
    Rtx,
    /// Full TensorRT: runs plans by its lean library; builds them where an SDK is installed.
    Full,
}

impl Flavour {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rtx, Self::Full];

    /// Its name on the command line, in file names and to the C++ side.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtx => "rtx",
            Self::Full => "full",
        }
    }

    /// The libraries' files, for messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rtx => "TensorRT for RTX",
            Self::Full => "TensorRT",
        }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A TensorRT, opened for the rest of the process.
#[derive(Debug)]
pub struct Library {
    pub(super) functions: Functions,
    pub(super) raw: NonNull<RawLibrary>,
    pub(super) log: &'static Log,
    flavour: Flavour,
    paths: [std::path::PathBuf; 2],
    version: i32,
    build: i32,
}

// SAFETY: what is behind the pointer is read only after it was opened: handles of the loader, factories and
// a logger that may be called from every thread -> shim.cpp -> trt: two_threads_build_plans.
unsafe impl Send for Library {}
// SAFETY: as for `Send`.
unsafe impl Sync for Library {}

static LIBRARIES: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

impl Library {
    /// The library of a flavour, where native parts say that it is; opened by the first call.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] with the place looked at and the command that fetches
    /// what is missing; [`BuildErrorKind::Native`] for what is no TensorRT, or of another version than the C++
    /// side was compiled for.
    pub fn open(flavour: Flavour) -> Result<&'static Self, BuildError> {
        Self::open_at(flavour, &Places::from_env())
    }

    /// The same, looking in given places.
    pub fn open_at(flavour: Flavour, places: &Places) -> Result<&'static Self, BuildError> {
        let shim = places.trt_shim(flavour.name())?;
        let (library, parser) = places.tensorrt(flavour.name())?;
        Self::load(flavour, &shim, &library, parser.as_deref())
    }

    /// The library at a path, by the C++ side at another; the second call for the same files answers with the
    /// first one's.
    pub fn load(
        flavour: Flavour,
        shim: &Path,
        library: &Path,
        parser: Option<&Path>,
    ) -> Result<&'static Self, BuildError> {
        let paths = [shim.to_owned(), library.to_owned()];
        // A poisoned list is whole: it is only ever pushed to.
        let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = libraries.iter().find(|l| l.paths == paths) {
            return Ok(known);
        }
        let (build, functions) = open_shim(flavour, shim)?;
        let log: &'static Log = Box::leak(Box::default());
        let (library_text, parser_text) = (c_path(library)?, parser.map(c_path).transpose()?);
        let (mut raw, mut error) = (ptr::null_mut(), ErrorText::new());
        let user = ptr::from_ref(log).cast_mut().cast::<c_void>();
        let parser_ptr = parser_text.as_ref().map_or(ptr::null(), |p| p.as_ptr());
        // SAFETY: C strings, a function of the declared type with its never freed user data, a writable out;
        // what the libraries' constructors do is sound -> here; whoever put the files there (setup checks
        // their digests) -> trt: what_is_no_tensorrt_is_refused.
        let code = unsafe {
            (functions.library_open)(
                library_text.as_ptr(),
                parser_ptr,
                receive,
                user,
                &raw mut raw,
                error.as_raw(),
            )
        };
        let raw = NonNull::new(raw).filter(|_| code == OK).ok_or_else(|| {
            let hint = if Refused::of(code) == Refused::Version {
                format!("; run `{SETUP_COMMAND}` to fetch the version that fits")
            } else {
                String::new()
            };
            let text = format!("cannot use `{}`: {}{hint}", library.display(), error.text());
            BuildError::new(BuildErrorKind::Native, text)
        })?;
        // SAFETY: a library that was just opened -> above.
        let version = unsafe { (functions.library_version)(raw.as_ptr()) };
        let opened = Self { functions, raw, log, flavour, paths, version, build };
        let opened: &'static Self = Box::leak(Box::new(opened));
        libraries.push(opened);
        Ok(opened)
    }

    /// Which TensorRT it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Its version and the build that the C++ side was compiled for, such as `1.7.1.116`.
    pub fn version(&self) -> String {
        let v = self.version;
        format!("{}.{}.{}.{}", v / 10_000, v / 100 % 100, v % 100, self.build)
    }

    /// Name and version.
    pub fn describe(&self) -> String {
        format!("{} {}", self.flavour.title(), self.version())
    }

    /// An error of a call, with its own words and those of the log.
    pub(super) fn refuse(&self, doing: &str, code: c_int, error: &ErrorText) -> BuildError {
        let mut text = format!("{} cannot {doing}: {}", self.describe(), error.text());
        let logged = self.log.take_errors();
        if !logged.is_empty() {
            text += "\n";
            text += &logged;
        }
        let kind = match Refused::of(code) {
            Refused::Parse | Refused::Plan => BuildErrorKind::Package,
            Refused::Argument | Refused::Unsupported => BuildErrorKind::Mismatch,
            _ => BuildErrorKind::Native,
        };
        BuildError::new(kind, text)
    }
}

/// Opens the C++ side, and checks that it is the one that the declarations here are of.
fn open_shim(flavour: Flavour, path: &Path) -> Result<(i32, Functions), BuildError> {
    let refuse = |why: String| {
        let text = format!("cannot use `{}`: {why}; `{SETUP_COMMAND}` compiles it anew", path.display());
        BuildError::new(BuildErrorKind::Native, text)
    };
    // SAFETY: it has no constructors but those of the C++ library -> shim.cpp -> trt: what_is_no_shim_is_refused.
    let opened = unsafe { Opened::open(path, Scope::Local) }.map_err(refuse)?;
    let describe = opened.symbol(c"pt_describe");
    let describe =
        describe.ok_or_else(|| refuse("it is not the C++ side of TensorRT (no `pt_describe`)".into()))?;
    let mut about = About { flavour: ptr::null(), abi: 0, version: 0, build: 0 };
    // SAFETY: the function of this name has this type in every version, and only ever more fields behind
    // -> shim.h -> every test of the layer.
    let found = unsafe {
        let describe =
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut About)>(describe.as_ptr());
        describe(&raw mut about);
        if about.flavour.is_null() { None } else { CStr::from_ptr(about.flavour).to_str().ok() }
    };
    if about.abi != ABI || found != Some(flavour.name()) {
        let found = found.unwrap_or("no");
        return Err(refuse(format!(
            "it is of ABI {} and of the {found} flavour, and ABI {ABI} of {flavour} is needed",
            about.abi
        )));
    }
    // SAFETY: it says that it is of this ABI -> above.
    let functions = unsafe { Functions::find(opened) }.map_err(refuse)?;
    Ok((about.build, functions))
}

fn c_path(path: &Path) -> Result<CString, BuildError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|e| {
        BuildError::new(BuildErrorKind::Native, format!("`{}` is no path", path.display())).caused_by(e)
    })
}
