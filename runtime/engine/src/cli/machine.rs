//! Machine: what a measurement was made on. What the system does not tell is `None`.

use serde::Serialize;
use std::fs;

/// The machine, as JSON.
#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) cpu: Option<String>,
    pub(super) n_cores: usize,
    pub(super) kernel: Option<String>,
    pub(super) architecture: &'static str,
}

impl Machine {
    /// This machine.
    pub(super) fn this() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Self {
            cpu: value_of(&cpu_info, "model name").map(str::to_owned),
            n_cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.map(|k| k.trim().to_owned()),
            architecture: std::env::consts::ARCH,
        }
    }
}

/// The most memory that this process had, in bytes.
pub(super) fn peak_memory_bytes() -> Option<u64> {
    peak_of(&fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let kib = value_of(status, "VmHWM")?.strip_suffix("kB")?;
    kib.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The value of the first `name : value` line.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().filter_map(|l| l.split_once(':')).find(|(n, _)| n.trim() == name).map(|(_, v)| v.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_in_bytes() {
        assert_eq!(peak_of("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t   12345 kB\n"), Some(12345 * 1024));
        assert_eq!(peak_of("Name:\tx\n"), None);
        assert_eq!(peak_of("VmHWM:\tmuch\n"), None);
    }
}
