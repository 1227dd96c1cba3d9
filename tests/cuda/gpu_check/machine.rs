//! The machine: what the figures of the report were measured on.

use crate::Subject;
use crate::report::Section;
use pilotis_runtime::device::cuda::nvml;
use pilotis_runtime::device::trt::{Flavour, Library};

pub(crate) fn describe(subject: &Subject) -> Section {
    let mut section = Section::new("Machine");
    let info = subject.device.info();
    let mib = |bytes: u64| bytes >> 20;
    section.say(format!(
        "{}: compute capability {}.{}, {} multiprocessors, {} MiB, L2 {} KiB, {} MHz, memory {} MHz on {} bits",
        info.name,
        info.compute.0,
        info.compute.1,
        info.n_multiprocessors,
        mib(info.memory_bytes),
        info.l2_bytes >> 10,
        info.clock_khz / 1000,
        info.memory_clock_khz / 1000,
        info.memory_bus_bits
    ));
    if subject.is_emulated {
        section.say("**the emulator**: a rehearsal; nothing here ran on a GPU, and times mean nothing");
    }
    let readings = nvml::read(info);
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    section.say(format!("driver {}", known(readings.driver_version.clone())));
    section.say(format!(
        "before the run: {} MHz, {} W, {} C",
        known(readings.clock_mhz.map(|v| v.to_string())),
        known(readings.power_mw.map(|v| format!("{:.1}", f64::from(v) / 1e3))),
        known(readings.temperature_c.map(|v| v.to_string()))
    ));
    for flavour in Flavour::ALL {
        section.say(match Library::open(flavour) {
            Ok(library) => library.describe(),
            Err(e) => format!("no {}: {e}", flavour.title()),
        });
    }
    let n_threads = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map(|(_, m)| m.to_owned());
    section.say(format!("{}, {n_threads} threads", known(model)));
    section
}
