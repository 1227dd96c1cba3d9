//! Modules: the kernels, loaded once, each found by its name.

use super::context::Device;
use super::fault::DeviceFault;
use crate::error::{BuildError, BuildErrorKind};
use cudarc::driver::{result, sys};
use pilotis_kernels::layout::DeviceStruct;
use pilotis_kernels::{Entry, MODULES, Module};
use std::ffi::{CString, c_void};
use std::marker::PhantomData;
use std::sync::Arc;

/// Bytes of the driver's words on PTX that it refuses.
const LOG_BYTES: usize = 4096;

/// All kernels on a device.
#[derive(Clone, Debug)]
pub struct Modules {
    loaded: Arc<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    device: Arc<Device>,
    modules: Vec<sys::CUmodule>,
    functions: Vec<(&'static Entry, sys::CUfunction)>,
}

// SAFETY: handles of the driver, which every thread may use with their context current; they are
// not changed after loading -> the driver's manual -> cuda_device: one_device_serves_two_threads.
unsafe impl Send for Loaded {}
// SAFETY: as for `Send`.
unsafe impl Sync for Loaded {}

impl Modules {
    /// Loads all kernels; the driver compiles them for the device.
    ///
    /// **Errors**: what the driver says of a module, with the names; a block that the device
    /// cannot hold, with both numbers. **Allocation**: yes, and time: up to a second without the
    /// driver's cache.
    pub fn load(device: &Arc<Device>) -> Result<Self, BuildError> {
        // Whatever fails, what was loaded before it is unloaded.
        let mut loaded = Loaded { device: Arc::clone(device), modules: Vec::new(), functions: Vec::new() };
        for module in MODULES {
            loaded.load(module)?;
        }
        Ok(Self { loaded: Arc::new(loaded) })
    }

    /// A kernel by its name, with the struct that it takes.
    ///
    /// **Errors**: [`BuildErrorKind::Mismatch`] for a name that is not there, or a struct of
    /// another size, with both sizes.
    pub fn kernel<P: DeviceStruct>(&self, name: &str) -> Result<Kernel<P>, BuildError> {
        let refuse =
            |why: String| BuildError::new(BuildErrorKind::Mismatch, format!("kernel `{name}`: {why}"));
        let found = self.loaded.functions.iter().find(|(entry, _)| entry.name == name);
        let (entry, function) = *found.ok_or_else(|| refuse("there is none of this name".into()))?;
        let (has, needs) = (size_of::<P>(), entry.params_bytes);
        if has != needs {
            return Err(refuse(format!("it takes {needs} bytes, and `{}` has {has}", P::NAME)));
        }
        Ok(Kernel { function, entry, loaded: Arc::clone(&self.loaded), params: PhantomData })
    }

    /// Whether they are loaded on this device.
    pub(super) fn is_of(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.loaded.device, device)
    }
}

impl Loaded {
    fn load(&mut self, module: &'static Module) -> Result<(), BuildError> {
        let name = module.name;
        let handle = load_ptx(&self.device, name, module.ptx)?;
        self.modules.push(handle);
        for entry in module.entries {
            let fault = |f: DeviceFault| {
                f.while_building(format_args!("find kernel `{}` in module `{name}`", entry.name))
            };
            let c_name = CString::new(entry.name).map_err(|_| fault(DeviceFault::INVALID_VALUE))?;
            // SAFETY: the module was just loaded and is unloaded in `drop` only -> above -> cuda_device:
            // every_kernel_is_found.
            let function = self.device.call(|| unsafe { result::module::get_function(handle, c_name) });
            let function = function.map_err(fault)?;
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK;
            // SAFETY: a function of a loaded module -> above -> the same test.
            let max =
                self.device.call(|| unsafe { result::function::get_function_attribute(function, attribute) });
            let max = max.map_err(fault)?;
            if i64::from(max) < i64::from(entry.block) {
                return Err(BuildError::new(
                    BuildErrorKind::Device,
                    format!(
                        "kernel `{}` has blocks of {} threads, the device takes {max} of it",
                        entry.name, entry.block
                    ),
                ));
            }
            self.functions.push((entry, function));
        }
        Ok(())
    }
}

fn load_ptx(device: &Device, name: &str, ptx: &str) -> Result<sys::CUmodule, BuildError> {
    let text = CString::new(ptx)
        .map_err(|e| BuildError::new(BuildErrorKind::Package, format!("the PTX of module `{name}`: {e}")))?;
    let mut log = vec![0_u8; LOG_BYTES];
    let mut module = std::ptr::null_mut();
    let mut options =
        [sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    // The driver takes numbers in the place of addresses; one byte is left for the end of the text.
    let mut values = [log.as_mut_ptr().cast::<c_void>(), std::ptr::without_provenance_mut(LOG_BYTES - 1)];
    // SAFETY: PTX that ends in a zero byte; as many options as values, of the kinds that the driver
    // wants; the log lives longer than the call -> this function -> cuda_device: every_kernel_is_found.
    let loaded = device.call(|| unsafe {
        sys::cuModuleLoadDataEx(
            &raw mut module,
            text.as_ptr().cast(),
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
        .result()
    });
    loaded.map(|()| module).map_err(|fault| {
        let said = log.split(|b| *b == 0).next().unwrap_or_default();
        let said = String::from_utf8_lossy(said);
        let said = said.trim().replace('\n', "; ");
        let colon = if said.is_empty() { "" } else { ": " };
        fault.while_building(format_args!("load the kernels of module `{name}`{colon}{said}"))
    })
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.device.settle();
        for module in self.modules.drain(..) {
            // SAFETY: loaded by `load`, unloaded here only, and none of its kernels runs or is held
            // -> `settle`; a `Kernel` holds an `Arc` of this -> cuda_device: devices_come_and_go.
            self.device.give_back(|| unsafe { result::module::unload(module) });
        }
    }
}

/// A kernel that takes one `P`.
#[derive(Debug)]
pub struct Kernel<P> {
    function: sys::CUfunction,
    entry: &'static Entry,
    loaded: Arc<Loaded>,
    params: PhantomData<fn(P)>,
}

// SAFETY: as for `Loaded`, of which the function is.
unsafe impl<P> Send for Kernel<P> {}
// SAFETY: as for `Send`.
unsafe impl<P> Sync for Kernel<P> {}

impl<P> Kernel<P> {
    /// What the table of kernels says of it.
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    pub(super) fn function(&self) -> sys::CUfunction {
        self.function
    }

    /// Whether it is loaded on this device.
    pub(super) fn is_of(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.loaded.device, device)
    }
}

impl<P> Clone for Kernel<P> {
    fn clone(&self) -> Self {
        let loaded = Arc::clone(&self.loaded);
        Self { function: self.function, entry: self.entry, loaded, params: PhantomData }
    }
}
