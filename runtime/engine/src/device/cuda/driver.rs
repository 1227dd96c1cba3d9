//! Driver: the library that talks to the devices, opened at run time.
//!
//! `cudarc` panics where the library or a function of it is missing. So the library is looked for
//! first, and every function that this layer calls as well.

use super::fault::DeviceFault;
use crate::device::loader::{Opened, Scope};
use crate::error::{BuildError, BuildErrorKind};
use cudarc::driver::{result, sys};
use std::ffi::{OsString, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Names a library that stands in for the driver; for tests.
pub const EMULATOR_VARIABLE: &str = "PILOTIS_CUDA_EMULATOR";

/// The least version of CUDA that the driver supports: it reads PTX 8.0.
pub const MIN_VERSION: (u32, u32) = (12, 0);

/// The first driver with that version, for people.
const MIN_DRIVER: &str = "525.60";

/// What is needed to ask for the version.
const FIRST_SYMBOLS: &[&str] = &["cuInit", "cuDriverGetVersion"];

/// Everything else that this layer calls.
const SYMBOLS: &[&str] = &[
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRelease_v2",
    "cuDevicePrimaryCtxRetain",
    "cuDeviceTotalMem_v2",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventElapsedTime",
    "cuEventRecord",
    "cuEventRecordWithFlags",
    "cuEventSynchronize",
    "cuFuncGetAttribute",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuGraphInstantiateWithFlags",
    "cuGraphLaunch",
    "cuLaunchKernel",
    "cuMemAlloc_v2",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD32Async",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadDataEx",
    "cuModuleUnload",
    "cuStreamBeginCapture_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamEndCapture",
    "cuStreamSynchronize",
];

/// A driver, opened for the rest of the process.
#[derive(Debug)]
pub struct Driver {
    version: (u32, u32),
    n_devices: u32,
    emulator: Option<PathBuf>,
}

static DRIVER: Mutex<Option<&'static Driver>> = Mutex::new(None);

impl Driver {
    /// The driver of this machine, or the emulator that [`EMULATOR_VARIABLE`] names.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] without a library,
    /// [`BuildErrorKind::Native`] for a library that is not a driver,
    /// [`BuildErrorKind::Device`] for a driver that is too old, has no device or does not start.
    /// An emulator that cannot be opened is an error as well; the driver never takes its place.
    pub fn open() -> Result<&'static Self, BuildError> {
        // A poisoned cell is whole: it is only ever written in one step.
        let mut opened = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = *opened {
            return Ok(driver);
        }
        let driver: &'static Self = Box::leak(Box::new(Self::start(emulator_asked_for())?));
        *opened = Some(driver);
        Ok(driver)
    }

    /// Whether [`EMULATOR_VARIABLE`] names an emulator.
    pub fn is_emulator_asked_for() -> bool {
        emulator_asked_for().is_some()
    }

    /// The version of CUDA that it supports: major and minor.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Devices that it has, at least 1.
    pub fn n_devices(&self) -> u32 {
        self.n_devices
    }

    /// Whether it is the emulator that was asked for.
    pub fn is_emulator(&self) -> bool {
        self.emulator.is_some()
    }

    /// Whether the library has a function.
    pub(super) fn has(&self, name: &str) -> bool {
        address_of(name).is_some()
    }

    fn start(emulator: Option<OsString>) -> Result<Self, BuildError> {
        let emulator = emulator.map(PathBuf::from);
        match &emulator {
            Some(path) => open_emulator(path)?,
            None => find_driver()?,
        }
        let what = match &emulator {
            Some(path) => format!("the emulator `{}`", path.display()),
            None => "the NVIDIA driver".to_owned(),
        };
        check_symbols(&what, FIRST_SYMBOLS)?;
        let version = version().map_err(|f| f.while_building("tell its version"))?;
        check_version(version)?;
        check_symbols(&what, SYMBOLS)?;
        result::init().map_err(|e| cannot_start(e.into()))?;
        let n = result::device::get_count().map_err(|e| cannot_start(e.into()))?;
        let n_devices = u32::try_from(n).unwrap_or(0);
        if n_devices == 0 {
            return Err(cannot_start(DeviceFault { code: 100 }));
        }
        Ok(Self { version, n_devices, emulator })
    }
}

fn emulator_asked_for() -> Option<OsString> {
    std::env::var_os(EMULATOR_VARIABLE).filter(|v| !v.is_empty())
}

/// Makes the emulator the library that cudarc finds.
fn open_emulator(path: &Path) -> Result<(), BuildError> {
    let refuse = |why: String| {
        let text = format!("{EMULATOR_VARIABLE} names `{}`, which cannot be used: {why}", path.display());
        BuildError::new(BuildErrorKind::Native, text)
    };
    // SAFETY: what the library's constructors do is sound -> whoever set the variable
    // -> an_emulator_that_cannot_be_opened_is_an_error_and_not_a_fallback.
    let opened = unsafe { Opened::open(path, Scope::Global) }.map_err(refuse)?;
    // cudarc asks for `libcuda.so` first and for `libcuda.so.1` last. A library that is loaded under
    // such a name answers, unless a driver is found under a name before it: then it is not used.
    let ours = opened.symbol(c"cuInit").ok_or_else(|| refuse("it has no `cuInit`".into()))?;
    if !is_library_found() || address_of("cuInit") != Some(ours.as_ptr()) {
        let why = "the driver is not looked for under its name: link it with the SONAME `libcuda.so`";
        return Err(refuse(why.into()));
    }
    Ok(())
}

fn find_driver() -> Result<(), BuildError> {
    if is_library_found() {
        return Ok(());
    }
    Err(BuildError::new(
        BuildErrorKind::NativePartMissing,
        format!(
            "there is no NVIDIA driver on this machine (no libcuda.so.1): install version {MIN_DRIVER} or later, or use --device cpu"
        ),
    ))
}

fn is_library_found() -> bool {
    // SAFETY: constructors of a library called libcuda are sound -> who installed it -> every test
    // of the layer.
    unsafe { sys::is_culib_present() }
}

/// The address of a function of the library that cudarc uses, once one was found.
fn address_of(name: &str) -> Option<*mut c_void> {
    // SAFETY: the library is there, so that cudarc does not panic, and it is never closed; the
    // symbol is read as an address and not called -> `is_library_found`, asked before by every
    // caller -> cuda_device: without_a_driver_every_way_in_is_a_typed_error.
    unsafe { sys::culib().get::<*mut c_void>(name.as_bytes()).ok().map(|symbol| *symbol) }
}

fn check_symbols(library: &str, names: &[&str]) -> Result<(), BuildError> {
    match names.iter().find(|name| address_of(name).is_none()) {
        None => Ok(()),
        Some(name) => {
            Err(BuildError::new(BuildErrorKind::Native, format!("{library} has no function `{name}`")))
        }
    }
}

fn version() -> Result<(u32, u32), DeviceFault> {
    let mut version = 0;
    // SAFETY: a writable number; the function was found -> `check_symbols` -> every test of the layer.
    unsafe { sys::cuDriverGetVersion(&raw mut version).result()? };
    let version = u32::try_from(version).unwrap_or(0);
    Ok((version / 1000, version % 1000 / 10))
}

fn check_version(version: (u32, u32)) -> Result<(), BuildError> {
    if version >= MIN_VERSION {
        return Ok(());
    }
    let ((major, minor), (need_major, need_minor)) = (version, MIN_VERSION);
    Err(BuildError::new(
        BuildErrorKind::Device,
        format!(
            "the NVIDIA driver supports CUDA {major}.{minor}, the kernels need {need_major}.{need_minor} or later: install driver {MIN_DRIVER} or later, or use --device cpu"
        ),
    ))
}

fn cannot_start(fault: DeviceFault) -> BuildError {
    let text = match fault.code {
        100 => "the NVIDIA driver is here, but it has no device: check the card, CUDA_VISIBLE_DEVICES, and in a container that it is passed in".to_owned(),
        34 => "the library libcuda is the stub of a toolkit and no driver: install the NVIDIA driver, or remove the stub from the library path".to_owned(),
        803 => format!("the NVIDIA driver does not start: {fault}; restart the machine after an update of the driver"),
        _ => format!("the NVIDIA driver does not start: {fault}"),
    };
    BuildError::new(BuildErrorKind::Device, text).caused_by(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_cannot_read_the_ptx_are_refused_with_both_numbers() {
        for good in [(12, 0), (12, 8), (13, 0)] {
            assert!(check_version(good).is_ok(), "{good:?}");
        }
        for bad in [(11, 8), (0, 0)] {
            let error = check_version(bad).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Device);
            let text = error.to_string();
            assert!(text.contains(&format!("{}.{}", bad.0, bad.1)) && text.contains("12.0"), "{text}");
        }
    }

    #[test]
    fn the_least_version_is_that_of_the_ptx() {
        // PTX 8.0 came with CUDA 12.0.
        for module in pilotis_kernels::MODULES {
            assert!(module.ptx.lines().any(|l| l == ".version 8.0"), "{}", module.name);
        }
        assert_eq!(MIN_VERSION, (12, 0));
    }

    #[test]
    fn an_emulator_that_cannot_be_opened_is_an_error_and_not_a_fallback() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = folder.path().join("libcuda.so.1");
        let text_file = folder.path().join("text.so");
        std::fs::write(&text_file, "no library").unwrap();
        for path in [&nothing, &text_file] {
            let error = Driver::start(Some(path.into())).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Native);
            let text = error.to_string();
            assert!(text.contains(EMULATOR_VARIABLE) && text.contains(path.to_str().unwrap()), "{text}");
        }
        let error = Driver::start(Some("a\0b".into())).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Native);
    }

    #[test]
    fn a_driver_that_does_not_start_says_what_to_do() {
        for code in [34, 100, 803, 999] {
            let error = cannot_start(DeviceFault { code });
            assert_eq!(error.kind(), BuildErrorKind::Device);
            assert!(std::error::Error::source(&error).is_some());
        }
        assert!(cannot_start(DeviceFault { code: 100 }).to_string().contains("CUDA_VISIBLE_DEVICES"));
    }
}
