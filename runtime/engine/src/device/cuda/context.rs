//! Context: one device, held open, and what it remembers of its faults.

use super::driver::Driver;
use super::fault::DeviceFault;
use super::info::{DeviceInfo, handle};
use super::nvml;
use crate::error::BuildError;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A device with its primary context, which it keeps for as long as anything of it lives.
#[derive(Debug)]
pub struct Device {
    info: DeviceInfo,
    handle: sys::CUdevice,
    context: sys::CUcontext,
    health: Health,
}

// SAFETY: a context may be made current in every thread, and the handle is a number -> the
// driver's manual -> cuda_device: one_device_serves_two_threads.
unsafe impl Send for Device {}
// SAFETY: as for `Send`.
unsafe impl Sync for Device {}

/// Memory of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What can be allocated: the lesser of what CUDA and NVML say.
    pub free_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

impl Device {
    /// A device of the driver.
    ///
    /// **Errors**: those of [`Driver::open`], [`DeviceInfo::of`] and
    /// [`DeviceInfo::check_usable`], and a context that cannot be made.
    pub fn open(ordinal: u32) -> Result<Arc<Self>, BuildError> {
        let info = DeviceInfo::of(Driver::open()?, ordinal)?;
        info.check_usable()?;
        let fault = |f: DeviceFault| f.while_building(format_args!("use `{}`", info.name));
        let handle = handle(ordinal).map_err(fault)?;
        // SAFETY: a device of the driver -> `handle` -> cuda_device: every test.
        let context = unsafe { result::primary_ctx::retain(handle) };
        let context = context.map_err(|e| fault(e.into()))?;
        Ok(Arc::new(Self { info, handle, context, health: Health::default() }))
    }

    /// The first device of the driver that the kernels run on.
    ///
    /// **Errors**: those of [`Driver::open`], and why its first device cannot be used.
    pub fn open_first() -> Result<Arc<Self>, BuildError> {
        let mut first_error = None;
        for ordinal in 0..Driver::open()?.n_devices() {
            match Self::open(ordinal) {
                Ok(device) => return Ok(device),
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        Err(first_error.unwrap_or_else(|| DeviceFault { code: 100 }.while_building("find a device")))
    }

    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// How much memory there is, and how much of it is free.
    ///
    /// **Errors**: a driver that does not tell.
    pub fn memory(&self) -> Result<Memory, BuildError> {
        let of_cuda = self.call(result::mem_get_info);
        let (free, total) = of_cuda.map_err(|f| f.while_building("tell how much memory is free"))?;
        let of_nvml = nvml::read(&self.info).memory_free_bytes;
        Ok(Memory {
            free_bytes: of_nvml.map_or(free as u64, |n| n.min(free as u64)),
            total_bytes: total as u64,
        })
    }

    /// The fault that the device did not survive, if there was one.
    ///
    /// **Errors**: that fault.
    pub fn check(&self) -> Result<(), DeviceFault> {
        self.health.check()
    }

    /// Makes the device current in the calling thread, for code that talks to CUDA by itself.
    ///
    /// **Errors**: the driver's, and the fault that the device did not survive.
    pub fn make_current(&self) -> Result<(), DeviceFault> {
        self.call(|| Ok(()))
    }

    /// Remembers a fault that other code met, where it is one that the device does not survive.
    pub(super) fn note(&self, fault: DeviceFault) -> DeviceFault {
        self.health.note(fault)
    }

    /// Calls the driver with this device current in the calling thread. A sticky fault is
    /// remembered, and from then on answers at once.
    pub(in crate::device) fn call<T>(
        &self,
        call: impl FnOnce() -> Result<T, DriverError>,
    ) -> Result<T, DeviceFault> {
        self.check()?;
        // Other libraries of the process make their own contexts current, so it is said each time;
        // the driver's part in that is a comparison.
        // SAFETY: the context is retained until `drop` -> `open` -> cuda_device: every test.
        let called = unsafe { result::ctx::set_current(self.context) }.and_then(|()| call());
        called.map_err(|e| self.health.note(e.into()))
    }

    /// Waits until the device has nothing to do, before memory is given back that it may still
    /// use. A device that failed does nothing any more.
    pub(in crate::device) fn settle(&self) {
        let _ = self.call(result::ctx::synchronize);
    }

    /// Frees what another library has made on this device: once the device is idle, with it current where it
    /// can be, and also where it is lost. What holds other things of the library must go before them all the same.
    pub(in crate::device) fn free_foreign(&self, free: impl FnOnce()) {
        self.settle();
        // SAFETY: as in `call`. A lost device is not made current, and the library frees what is on the host.
        let _ = unsafe { result::ctx::set_current(self.context) };
        free();
    }

    /// Calls the driver to give something back: also after a fault, and whatever it answers.
    pub(in crate::device) fn give_back(&self, call: impl FnOnce() -> Result<(), DriverError>) {
        // SAFETY: as in `call`. A driver that failed frees nothing, and there is nothing to do.
        let _ = unsafe { result::ctx::set_current(self.context) }.and_then(|()| call());
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: retained once by `open`, and released here only; whatever was made in the
        // context holds an `Arc` of the device and is gone -> the fields of those types
        // -> cuda_device: devices_come_and_go.
        let _ = unsafe { result::primary_ctx::release(self.handle) };
    }
}

/// What a device remembers of its faults.
#[derive(Debug, Default)]
struct Health {
    /// The first sticky fault; 0 without one.
    fault: AtomicU32,
}

impl Health {
    fn check(&self) -> Result<(), DeviceFault> {
        match self.fault.load(Ordering::Relaxed) {
            0 => Ok(()),
            code => Err(DeviceFault { code }),
        }
    }

    fn note(&self, fault: DeviceFault) -> DeviceFault {
        if fault.is_sticky() {
            // The first one is the cause; those after it are consequences.
            let _ = self.fault.compare_exchange(0, fault.code, Ordering::Relaxed, Ordering::Relaxed);
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sticky_fault_is_remembered_and_others_are_not() {
        let health = Health::default();
        for code in [1, 2, 600] {
            assert_eq!(health.note(DeviceFault { code }), DeviceFault { code });
            assert_eq!(health.check(), Ok(()));
        }
        health.note(DeviceFault { code: 700 });
        health.note(DeviceFault { code: 719 });
        health.note(DeviceFault::NOT_READY);
        assert_eq!(health.check(), Err(DeviceFault { code: 700 }));
    }
}
