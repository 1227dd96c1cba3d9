//! How many blocks of a kernel a multiprocessor of compute capability 8.9 holds at once.
//!
//! **Source**: CUDA C++ Programming Guide, "Compute Capabilities", and the occupancy calculator.

use super::ptxas::Usage;

const MAX_WARPS: u32 = 48;
const MAX_BLOCKS: u32 = 24;
const REGISTERS: u32 = 65_536;
/// Registers are given to a warp in pieces of this size.
const REGISTER_UNIT: u32 = 256;
const SHARED_BYTES: u32 = 100 * 1024;
/// Shared memory is given in pieces of this size, and a block takes this much beside its own.
const SHARED_UNIT: u32 = 128;
const SHARED_RESERVED: u32 = 1024;

/// Blocks that are resident, and the share of the warps that they fill.
pub(super) fn of(usage: &Usage, n_threads: u32) -> (u32, f64) {
    let warps = n_threads.div_ceil(32).max(1);
    let per_warp = (usage.registers * 32).next_multiple_of(REGISTER_UNIT).max(REGISTER_UNIT);
    let by_registers = REGISTERS / per_warp / warps;
    let by_shared = SHARED_BYTES / (usage.shared_bytes + SHARED_RESERVED).next_multiple_of(SHARED_UNIT);
    let blocks = MAX_BLOCKS.min(MAX_WARPS / warps).min(by_registers).min(by_shared);
    (blocks, f64::from(blocks * warps) / f64::from(MAX_WARPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_resource_decides() {
        let usage = |registers, shared_bytes| Usage { registers, shared_bytes, ..Usage::default() };
        // Threads: six blocks of 256 fill 48 warps.
        assert_eq!(of(&usage(32, 0), 256), (6, 1.0));
        // Registers: 64 x 32 = 2048 a warp, 32 warps, four blocks of eight.
        assert_eq!(of(&usage(64, 0), 256), (4, 32.0 / 48.0));
        // Shared memory: 24 KiB and one, four times in 100 KiB.
        assert_eq!(of(&usage(32, 24 * 1024), 128), (4, 16.0 / 48.0));
        // Blocks: 24 of one warp.
        assert_eq!(of(&usage(16, 0), 32), (24, 0.5));
        // A block of 1024 threads stands alone.
        assert_eq!(of(&usage(32, 0), 1024), (1, 32.0 / 48.0));
    }
}
