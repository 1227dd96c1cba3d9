//! NVML: what the driver's management library says of a card. Everything that it does not say, and
//! the library itself where it is not there, is unknown and never an error.

use super::info::DeviceInfo;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::{Device, Nvml};
use std::collections::BTreeMap;
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
    let Some(card) = card_of(nvml, device) else {
        return Readings { driver_version, ..Readings::default() };
    };
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

/// What else goes on at a card, by which figures may be disturbed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether it draws a screen.
    pub is_display_active: Option<bool>,
    /// Whether it is divided into instances, of which a process sees one.
    pub is_divided: Option<bool>,
    /// Power that it may draw.
    pub power_limit_mw: Option<u32>,
    /// What keeps its clocks down now, in the words of NVML; nothing where nothing does.
    pub held_down_by: Option<String>,
    /// Processes on it besides this one.
    pub n_other_processes: Option<usize>,
    /// Memory of the card that this process takes.
    pub own_memory_bytes: Option<u64>,
}

/// Asks for a device; as of [`read`].
///
/// **Allocation**: yes.
pub fn surroundings(device: &DeviceInfo) -> Surroundings {
    let card = library().filter(|_| !device.is_emulated).and_then(|nvml| card_of(nvml, device));
    let Some(card) = card else { return Surroundings::default() };
    let me = std::process::id();
    // A process that draws and computes is in both lists.
    let lists = [card.running_compute_processes(), card.running_graphics_processes()];
    let is_told = lists.iter().any(Result::is_ok);
    let processes: BTreeMap<u32, UsedGpuMemory> =
        lists.into_iter().flatten().flatten().map(|p| (p.pid, p.used_gpu_memory)).collect();
    Surroundings {
        is_display_active: card.is_display_active().ok(),
        is_divided: card.mig_mode().ok().map(|mode| mode.current != 0),
        power_limit_mw: card.enforced_power_limit().ok(),
        held_down_by: card.current_throttle_reasons().ok().map(|reasons| {
            let names: Vec<&str> = reasons.iter_names().map(|(name, _)| name).collect();
            names.join(", ").to_lowercase()
        }),
        n_other_processes: is_told.then(|| processes.keys().filter(|pid| **pid != me).count()),
        own_memory_bytes: processes.get(&me).and_then(|used| match used {
            UsedGpuMemory::Used(bytes) => Some(*bytes),
            UsedGpuMemory::Unavailable => None,
        }),
    }
}

/// The numbers of NVML are in another order than those of CUDA, so that nothing else than the place will do.
fn card_of<'a>(nvml: &'a Nvml, device: &DeviceInfo) -> Option<Device<'a>> {
    device.pci_bus_id.as_ref().and_then(|id| nvml.device_by_pci_bus_id(id.as_str()).ok())
}

/// Whether the library is there and answers.
pub fn is_present() -> bool {
    library().is_some()
}

fn library() -> Option<&'static Nvml> {
    static LIBRARY: OnceLock<Option<Nvml>> = OnceLock::new();
    LIBRARY.get_or_init(|| Nvml::init().ok()).as_ref()
}
