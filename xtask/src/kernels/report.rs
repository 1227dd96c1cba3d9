//! What the kernels take, and the bound that their traffic sets. Computed, not measured.

use super::occupancy;
use super::ptxas::Usage;
use crate::run::repository;
use anyhow::{Context, Result};
use pilotis_kernels::MODULES;
use pilotis_kernels::cards::{CARDS, LAUNCH_GAP_US};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// `kernels/traffic.toml`: counts of the interpreter of the PTX.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Traffic {
    n_points: u64,
    n_pillars: u64,
    sector_bytes: u64,
    launches: Vec<Launch>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Launch {
    kernel: String,
    channels_last: bool,
    sectors_read: u64,
    sectors_written: u64,
    distinct_read: u64,
    distinct_written: u64,
    atomics: u64,
}

/// Registers, shared memory and occupancy of every kernel; then the bound.
pub(super) fn text(usages: &BTreeMap<String, Usage>) -> Result<String> {
    let mut text =
        "Computed for compute capability 8.9 (RTX 4070) from the PTX by ptxas; nothing ran on a GPU.\n\n\
                    kernel            threads  registers  shared B  spill B  blocks/SM  occupancy\n"
            .to_owned();
    for entry in MODULES.iter().flat_map(|m| m.entries) {
        let usage =
            usages.get(entry.name).with_context(|| format!("ptxas said nothing of `{}`", entry.name))?;
        let (blocks, share) = occupancy::of(usage, entry.block);
        let _ = writeln!(
            text,
            "{:<17} {:>7}  {:>9}  {:>8}  {:>7}  {:>9}  {:>8.0} %",
            entry.name,
            entry.block,
            usage.registers,
            usage.shared_bytes,
            usage.spill_bytes,
            blocks,
            share * 100.0
        );
    }
    let path = repository().join("kernels").join("traffic.toml");
    let counted = std::fs::read_to_string(&path).context("there is no kernels/traffic.toml")?;
    text += &bound(&toml::from_str(&counted).context("kernels/traffic.toml")?);
    Ok(text)
}

fn bound(traffic: &Traffic) -> String {
    let mut text = format!(
        "\nA frame of {} points and {} pillars, f16 canvas of 64 channels (kernels/traffic.toml says more).\n\
         Bytes are those of different {}-byte sectors a kernel touches: what memory must move if the cache loses\n\
         nothing within a kernel and keeps nothing between kernels. Asked for: sectors warp by warp, most of them\n\
         answered by the caches. A gap of {LAUNCH_GAP_US} us a launch is assumed. All of it is computed.\n",
        traffic.n_points, traffic.n_pillars, traffic.sector_bytes
    );
    for channels_last in [true, false] {
        let launches: Vec<&Launch> =
            traffic.launches.iter().filter(|l| l.channels_last == channels_last).collect();
        let order = if channels_last { "channels last [ny, nx, C]" } else { "planes [C, ny, nx]" };
        let _ = writeln!(
            text,
            "\ncanvas in {order}\nkernel             read KB  written KB  asked for KB  atomics"
        );
        let kb = |sectors: u64| sectors as f64 * traffic.sector_bytes as f64 / 1e3;
        for l in &launches {
            let _ = writeln!(
                text,
                "{:<17} {:>8.0}  {:>10.0}  {:>12.0}  {:>7}",
                l.kernel,
                kb(l.distinct_read),
                kb(l.distinct_written),
                kb(l.sectors_read + l.sectors_written),
                l.atomics
            );
        }
        let bytes = total_bytes(&launches, traffic.sector_bytes);
        // A memset of the counters and the copy of the cloud are launches of their own.
        let gaps_us = (launches.len() + 2) as f64 * LAUNCH_GAP_US;
        let _ = writeln!(text, "{} launches, {:.1} MB", launches.len(), bytes / 1e6);
        for card in &CARDS {
            let us = bytes / card.memory_gb_per_s / 1e3;
            let _ = writeln!(
                text,
                "  at least {:.3} ms on {}, {} GB/s: {us:.0} us of memory and {gaps_us:.0} us between launches",
                (us + gaps_us) / 1e3,
                card.name,
                card.memory_gb_per_s
            );
        }
    }
    text
}

fn total_bytes(launches: &[&Launch], sector_bytes: u64) -> f64 {
    launches.iter().map(|l| (l.distinct_read + l.distinct_written) * sector_bytes).sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_bytes_over_bandwidth_and_gaps() {
        let launch = |channels_last, distinct_read| Launch {
            kernel: "points_count".to_owned(),
            channels_last,
            sectors_read: 9,
            sectors_written: 1,
            distinct_read,
            distinct_written: 0,
            atomics: 3,
        };
        // 8,000,000 sectors are 256 MB: a millisecond of the laptop's memory.
        let launches = vec![launch(true, 8_000_000), launch(false, 16_000_000)];
        let text = bound(&Traffic { n_points: 1, n_pillars: 1, sector_bytes: 32, launches });
        // One launch, the memset and the copy: three gaps.
        assert!(
            text.contains("at least 1.00") && text.contains("1000 us of memory and 4 us between"),
            "{text}"
        );
        assert!(text.contains("at least 2.00") && text.contains("2000 us of memory"), "{text}");
    }

    #[test]
    fn the_committed_counts_are_of_todays_kernels() {
        let text = std::fs::read_to_string(repository().join("kernels").join("traffic.toml")).unwrap();
        let traffic: Traffic = toml::from_str(&text).unwrap();
        let known: Vec<&str> = MODULES.iter().flat_map(|m| m.entries).map(|e| e.name).collect();
        assert!(traffic.launches.len() >= 20);
        assert!(traffic.launches.iter().all(|l| known.contains(&l.kernel.as_str())), "{traffic:?}");
    }
}
