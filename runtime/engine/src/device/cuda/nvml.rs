//! NVML: what the driver's management library says of a card. Everything that it does not say, and
//! the library itself where it is not there, is unknown and never an error.

use super::info::DeviceInfo;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use std::sync::OnceLock;

/// What NVML says of a card now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Version of the driver, such as `535.104.05`.
    pub driver_version: Option<String>,
    /// Memory that nobody uses.
    pub memory_free_bytes: Option<u64>,
    /// All memory.
    pub memory_total_bytes: Option<u64>,
    /// Clock of the multiprocessors.
    pub clock_mhz: Option<u32>,
    /// Clock of the memory.
    pub memory_clock_mhz: Option<u32>,
    /// Power drawn.
    pub power_mw: Option<u32>,
    /// Temperature of the chip.
    pub temperature_c: Option<u32>,
}

/// Asks for a device, which is found by where it is plugged in. An emulated one has no readings.
///
/// **Allocation**: yes; for building and for people, not for frames.
pub fn read(device: &DeviceInfo) -> Readings {
    let (Some(nvml), false) = (library(), device.is_emulated) else { return Readings::default() };
    let driver_version = nvml.sys_driver_version().ok();
    // The numbers of NVML are in another order than those of CUDA, so that nothing else will do.
    let card = device.pci_bus_id.as_ref().and_then(|id| nvml.device_by_pci_bus_id(id.as_str()).ok());
    let Some(card) = card else { return Readings { driver_version, ..Readings::default() } };
    let memory = card.memory_info().ok();
    Readings {
        driver_version,
        memory_free_bytes: memory.as_ref().map(|m| m.free),
        memory_total_bytes: memory.as_ref().map(|m| m.total),
        clock_mhz: card.clock_info(Clock::Graphics).ok(),
        memory_clock_mhz: card.clock_info(Clock::Memory).ok(),
        power_mw: card.power_usage().ok(),
        temperature_c: card.temperature(TemperatureSensor::Gpu).ok(),
    }
}

/// Whether the library is there and answers.
pub fn is_present() -> bool {
    library().is_some()
}

fn library() -> Option<&'static Nvml> {
    static LIBRARY: OnceLock<Option<Nvml>> = OnceLock::new();
    LIBRARY.get_or_init(|| Nvml::init().ok()).as_ref()
}
