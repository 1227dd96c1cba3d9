//! Card: clocks, power and memory of the card while frames are measured.

use pilotis_runtime::device::cuda::{Device, DeviceInfo, nvml};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the card is asked; NVML's own readings are no newer.
const PERIOD: Duration = Duration::from_millis(100);

/// Least, mean and most of a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Range {
    min: f64,
    mean: f64,
    max: f64,
}

/// What the card did meanwhile; what NVML does not say is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct CardUse {
    pub(super) name: String,
    pub(super) driver: Option<String>,
    pub(super) n_readings: usize,
    pub(super) clock_mhz: Option<Range>,
    pub(super) memory_clock_mhz: Option<Range>,
    pub(super) power_w: Option<Range>,
    pub(super) temperature_c: Option<Range>,
    pub(super) memory_used_mib: Option<Range>,
}

/// A thread that reads, until it is asked for what it read.
pub(super) struct Watch {
    info: DeviceInfo,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<nvml::Readings>>>,
}

impl Watch {
    /// Begins to read; nothing where frames run on no card.
    pub(super) fn start() -> Option<Self> {
        let info = Device::open_first().ok()?.info().clone();
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, device) = (Arc::clone(&stop), info.clone());
        let thread = std::thread::spawn(move || {
            let mut readings = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                readings.push(nvml::read(&device));
                std::thread::sleep(PERIOD);
            }
            readings
        });
        Some(Self { info, stop, thread: Some(thread) })
    }

    /// Ends, with what was read.
    pub(super) fn finish(mut self) -> CardUse {
        self.stop.store(true, Ordering::Relaxed);
        let readings = self.thread.take().and_then(|t| t.join().ok()).unwrap_or_default();
        summary(&self.info.name, &readings)
    }
}

fn summary(name: &str, readings: &[nvml::Readings]) -> CardUse {
    let of = |read: &dyn Fn(&nvml::Readings) -> Option<f64>| range(readings.iter().filter_map(read));
    CardUse {
        name: name.to_owned(),
        driver: readings.iter().find_map(|r| r.driver_version.clone()),
        n_readings: readings.len(),
        clock_mhz: of(&|r| r.clock_mhz.map(f64::from)),
        memory_clock_mhz: of(&|r| r.memory_clock_mhz.map(f64::from)),
        power_w: of(&|r| r.power_mw.map(|mw| f64::from(mw) / 1e3)),
        temperature_c: of(&|r| r.temperature_c.map(f64::from)),
        memory_used_mib: of(&|r| {
            let used = r.memory_total_bytes?.checked_sub(r.memory_free_bytes?)?;
            Some(used as f64 / f64::from(1 << 20))
        }),
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<Range> {
    let (mut n, mut sum, mut min, mut max) = (0_u32, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        (n, sum, min, max) = (n + 1, sum + value, min.min(value), max.max(value));
    }
    (n > 0).then(|| Range { min, mean: sum / f64::from(n), max })
}

impl CardUse {
    /// Lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let driver = self.driver.as_deref().unwrap_or("unknown");
        let mut lines = vec![format!("  card: {}, driver {driver}, {} readings", self.name, self.n_readings)];
        for (what, unit, range) in [
            ("clock", "MHz", self.clock_mhz),
            ("memory clock", "MHz", self.memory_clock_mhz),
            ("power", "W", self.power_w),
            ("temperature", "C", self.temperature_c),
            ("memory used by all", "MiB", self.memory_used_mib),
        ] {
            lines.push(match range {
                Some(r) => format!("    {what}: {:.0} to {:.0}, mean {:.1} {unit}", r.min, r.max, r.mean),
                None => format!("    {what}: unknown"),
            });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_become_ranges_and_what_is_not_read_stays_unknown() {
        let reading = |clock, power| nvml::Readings {
            clock_mhz: Some(clock),
            power_mw: power,
            memory_free_bytes: Some(3 << 20),
            memory_total_bytes: Some(8 << 20),
            ..nvml::Readings::default()
        };
        let used = summary("card", &[reading(1000, None), reading(2000, Some(50_000)), reading(1500, None)]);
        assert_eq!(used.clock_mhz, Some(Range { min: 1000.0, mean: 1500.0, max: 2000.0 }));
        assert_eq!(used.power_w, Some(Range { min: 50.0, mean: 50.0, max: 50.0 }));
        assert_eq!(used.memory_used_mib, Some(Range { min: 5.0, mean: 5.0, max: 5.0 }));
        assert_eq!((used.temperature_c, used.n_readings), (None, 3));
        assert!(used.lines().iter().any(|l| l.contains("temperature: unknown")));
        assert_eq!(summary("card", &[]).clock_mhz, None);
    }
}
