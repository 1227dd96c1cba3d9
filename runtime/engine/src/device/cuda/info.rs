//! Info: what a device says of itself, and whether the kernels run on it.

use super::driver::Driver;
use super::fault::DeviceFault;
use crate::error::{BuildError, BuildErrorKind};
use cudarc::driver::{result, sys};
use std::ffi::CStr;

/// The least compute capability: what the kernels' PTX is made for.
pub const MIN_COMPUTE: (u32, u32) = (8, 9);

/// How the name of an emulated device starts.
const EMULATED: &str = "Emulated";

/// A device, as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its number with the driver.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Compute capability, such as (8, 9).
    pub compute: (u32, u32),
    /// Its memory.
    pub memory_bytes: u64,
    /// Streaming multiprocessors.
    pub n_multiprocessors: u32,
    /// Its L2 cache.
    pub l2_bytes: u64,
    /// Highest clock of the multiprocessors.
    pub clock_khz: u32,
    /// Highest clock of the memory.
    pub memory_clock_khz: u32,
    /// Width of the bus to its memory.
    pub memory_bus_bits: u32,
    /// Where it is plugged in; `None` where the driver does not tell.
    pub pci_bus_id: Option<String>,
    /// Whether it is an emulator of the tests and no card.
    pub is_emulated: bool,
}

impl DeviceInfo {
    /// Asks a driver.
    ///
    /// **Errors**: [`BuildErrorKind::Device`] for a number that is not there, or a driver that
    /// does not answer.
    pub fn of(driver: &Driver, ordinal: u32) -> Result<Self, BuildError> {
        let fault = |f: DeviceFault| f.while_building(format_args!("describe device {ordinal}"));
        if ordinal >= driver.n_devices() {
            let n = driver.n_devices();
            let text = format!("there is no CUDA device {ordinal}: the driver has {n}");
            return Err(BuildError::new(BuildErrorKind::Device, text));
        }
        let info = Self::ask(driver, ordinal).map_err(fault)?;
        if info.is_emulated != driver.is_emulator() {
            let text = if info.is_emulated {
                format!(
                    "`{}` is an emulator, and none was asked for: remove it from the library path",
                    info.name
                )
            } else {
                format!("an emulator was asked for, but `{}` is a card", info.name)
            };
            return Err(BuildError::new(BuildErrorKind::Device, text));
        }
        Ok(info)
    }

    /// Whether the kernels run on it.
    ///
    /// **Errors**: [`BuildErrorKind::Device`] with both compute capabilities.
    pub fn check_usable(&self) -> Result<(), BuildError> {
        if self.compute >= MIN_COMPUTE {
            return Ok(());
        }
        let ((major, minor), (need_major, need_minor)) = (self.compute, MIN_COMPUTE);
        Err(BuildError::new(
            BuildErrorKind::Device,
            format!(
                "`{}` has compute capability {major}.{minor}, the kernels need {need_major}.{need_minor} or later: use a newer card, or --device cpu",
                self.name
            ),
        ))
    }

    /// Bytes a second that its memory can move, as computed from clock and width.
    pub fn memory_bytes_per_s(&self) -> u64 {
        // Two transfers a clock: what the driver gives is half of the data rate.
        2 * u64::from(self.memory_clock_khz) * 1000 * u64::from(self.memory_bus_bits) / 8
    }

    fn ask(driver: &Driver, ordinal: u32) -> Result<Self, DeviceFault> {
        use sys::CUdevice_attribute as A;
        let device = handle(ordinal)?;
        let mut name = [0_u8; 256];
        // SAFETY: a device of this driver, and a buffer of the length said -> `handle`, above; the
        // answer ends in a zero byte, which the buffer holds -> the driver's manual; the last byte
        // is never written -> cuda_device: the_device_is_described.
        unsafe { sys::cuDeviceGetName(name.as_mut_ptr().cast(), 255, device).result()? };
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default().to_string_lossy().into_owned();
        // SAFETY: a device of this driver -> `handle` -> the same.
        let memory_bytes = unsafe { result::device::total_mem(device)? } as u64;
        let attribute = |attribute| {
            // SAFETY: a device of this driver -> `handle` -> the same.
            let value = unsafe { result::device::get_attribute(device, attribute)? };
            Ok::<u32, DeviceFault>(u32::try_from(value).unwrap_or(0))
        };
        Ok(Self {
            ordinal,
            compute: (
                attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            memory_bytes,
            n_multiprocessors: attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            l2_bytes: u64::from(attribute(A::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?),
            clock_khz: attribute(A::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?,
            memory_clock_khz: attribute(A::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?,
            memory_bus_bits: attribute(A::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?,
            pci_bus_id: pci_bus_id(driver, device),
            is_emulated: name.starts_with(EMULATED),
            name,
        })
    }
}

/// The driver's handle of a device.
pub(super) fn handle(ordinal: u32) -> Result<sys::CUdevice, DeviceFault> {
    let ordinal = i32::try_from(ordinal).map_err(|_| DeviceFault::INVALID_VALUE)?;
    Ok(result::device::get(ordinal)?)
}

fn pci_bus_id(driver: &Driver, device: sys::CUdevice) -> Option<String> {
    if !driver.has("cuDeviceGetPCIBusId") {
        return None;
    }
    let mut text = [0_u8; 64];
    // SAFETY: a device of this driver, and a buffer of the length said; the symbol was found, so
    // that cudarc does not panic -> `handle`, above -> cuda_device: the_device_is_described.
    unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr().cast(), 63, device).result().ok()? };
    let text = CStr::from_bytes_until_nul(&text).ok()?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(compute: (u32, u32)) -> DeviceInfo {
        DeviceInfo {
            ordinal: 0,
            name: "A card".into(),
            compute,
            memory_bytes: 8 << 30,
            n_multiprocessors: 36,
            l2_bytes: 32 << 20,
            clock_khz: 2_000_000,
            memory_clock_khz: 8_001_000,
            memory_bus_bits: 128,
            pci_bus_id: None,
            is_emulated: false,
        }
    }

    #[test]
    fn cards_before_the_kernels_target_are_refused_with_both_numbers() {
        for compute in [(8, 9), (8, 10), (9, 0), (12, 0)] {
            assert!(info(compute).check_usable().is_ok(), "{compute:?}");
        }
        for compute in [(8, 6), (7, 5), (0, 0)] {
            let error = info(compute).check_usable().unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Device);
            let text = error.to_string();
            assert!(text.contains(&format!("{}.{}", compute.0, compute.1)) && text.contains("8.9"), "{text}");
        }
    }

    #[test]
    fn the_least_compute_capability_is_that_of_the_ptx() {
        assert!(!pilotis_kernels::MODULES.is_empty());
        for module in pilotis_kernels::MODULES {
            let target = format!(".target sm_{}{}", MIN_COMPUTE.0, MIN_COMPUTE.1);
            assert!(module.ptx.lines().any(|l| l == target), "{}", module.name);
        }
    }

    #[test]
    fn bandwidth_is_that_of_the_data_sheet() {
        assert_eq!(info((8, 9)).memory_bytes_per_s(), 256_032_000_000);
    }
}
