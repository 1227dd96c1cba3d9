//! What the kernels take, and the bound that their traffic sets. Computed, not measured.

use super::occupancy;
use super::ptxas::Usage;
use anyhow::{Context, Result};
use pilotis_kernels::MODULES;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Registers, shared memory and occupancy of every kernel.
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
    Ok(text)
}
