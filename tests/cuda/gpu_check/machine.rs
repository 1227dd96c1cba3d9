//! The machine: what the figures of the report were measured on, and what may disturb them.
//!
//! Nothing here is a failure: what cannot be read is told as such.

use crate::network::{Stopped, Subject};
use crate::report::Section;
use pilotis_runtime::device::cuda::{Driver, nvml};
use pilotis_runtime::device::trt::{Flavour, Library};
use std::path::Path;
use std::process::Command;

fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "not told".to_owned(), |v| v.to_string())
}

pub(crate) fn describe(subject: &Subject, root: &Path, section: &mut Section) -> Result<(), Stopped> {
    let info = subject.device.info();
    section.say(format!("sources: {}", known(commit(root))));
    section.say(format!(
        "{}: compute capability {}.{}, {} multiprocessors, {} MiB, L2 {} KiB, {} MHz, memory {} MHz on {} bits",
        info.name,
        info.compute.0,
        info.compute.1,
        info.n_multiprocessors,
        info.memory_bytes >> 20,
        info.l2_bytes >> 10,
        info.clock_khz / 1000,
        info.memory_clock_khz / 1000,
        info.memory_bus_bits
    ));
    let (readings, around) = (nvml::read(info), nvml::surroundings(info));
    let (major, minor) = Driver::open()?.version();
    section.say(format!("driver {}, of CUDA {major}.{minor}", known(readings.driver_version.clone())));
    let watts = |mw: Option<u32>| known(mw.map(|v| format!("{:.1}", f64::from(v) / 1e3)));
    section.say(format!(
        "before the run: clock {} MHz, power {} of {} W, temperature {} C, clocks held down by: {}",
        known(readings.clock_mhz),
        watts(readings.power_mw),
        watts(around.power_limit_mw),
        known(readings.temperature_c),
        known(around.held_down_by.map(|by| if by.is_empty() { "nothing".to_owned() } else { by }))
    ));
    section.say(format!(
        "draws a screen: {}; divided into instances: {}; other processes on it: {}",
        known(around.is_display_active),
        known(around.is_divided),
        known(around.n_other_processes)
    ));
    let memory = subject.device.memory()?;
    section.say(format!("{} of {} MiB are free", memory.free_bytes >> 20, memory.total_bytes >> 20));
    section.say(format!("power supply: {}", supply(Path::new("/sys/class/power_supply"))));
    for flavour in Flavour::ALL {
        section.say(match Library::open(flavour) {
            Ok(library) => library.describe(),
            Err(e) => format!("no {}: {e}", flavour.title()),
        });
    }
    let n_threads = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map(|(_, m)| m);
    section.say(format!("{}, {n_threads} threads", known(model)));
    let system = std::fs::read_to_string("/proc/version").unwrap_or_default();
    section.say(system.trim().to_owned());
    Ok(())
}

/// The commit that is checked, and whether something was changed since.
fn commit(root: &Path) -> Option<String> {
    let output =
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Whether a laptop runs on its battery, which holds a card's clocks down.
fn supply(folder: &Path) -> String {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut told: Vec<String> = entries
        .filter_map(|entry| {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            match read(&path.join("type")).as_str() {
                "Mains" | "USB" => match read(&path.join("online")).as_str() {
                    "1" => Some(format!("{name} is plugged in")),
                    "0" => Some(format!("{name} is NOT plugged in")),
                    _ => None,
                },
                "Battery" => Some(format!("{name} is {}", read(&path.join("status")).to_lowercase())),
                _ => None,
            }
        })
        .collect();
    told.sort();
    if told.is_empty() { "not told".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(supply(folder.path()), "not told");
        assert_eq!(supply(&folder.path().join("nowhere")), "not told");
        for (name, kind, file, value) in [
            ("AC", "Mains", "online", "0"),
            ("BAT0", "Battery", "status", "Discharging"),
            ("x", "Other", "a", "b"),
        ] {
            let at = folder.path().join(name);
            std::fs::create_dir(&at).unwrap();
            std::fs::write(at.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(at.join(file), format!("{value}\n")).unwrap();
        }
        assert_eq!(supply(folder.path()), "AC is NOT plugged in, BAT0 is discharging");
    }
}
