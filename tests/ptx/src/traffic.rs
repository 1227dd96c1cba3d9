//! Traffic: what kernels move between memory and multiprocessors, in sectors of 32 bytes.

use crate::LaunchReport;
use std::collections::HashSet;

/// Bytes of a sector: the least that is moved.
pub const SECTOR_BYTES: u64 = 32;

/// What a launch moved so far.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Sectors of the instruction of a warp that runs now.
    now_read: HashSet<u64>,
    now_written: HashSet<u64>,
    n_read: u64,
    n_written: u64,
    n_atomic: u64,
    read: HashSet<u64>,
    written: HashSet<u64>,
}

impl Traffic {
    pub(crate) fn begin(&mut self) {
        self.now_read.clear();
        self.now_written.clear();
    }

    pub(crate) fn note(&mut self, at: u64, n_bytes: usize, writes: bool, is_atomic: bool) {
        for sector in at / SECTOR_BYTES..(at + n_bytes as u64).div_ceil(SECTOR_BYTES) {
            if is_atomic {
                // Atomics of a warp on one sector are one by one.
                self.n_atomic += 1;
            } else if writes {
                self.now_written.insert(sector);
            } else {
                self.now_read.insert(sector);
            }
        }
    }

    pub(crate) fn end(&mut self) {
        self.n_read += self.now_read.len() as u64;
        self.n_written += self.now_written.len() as u64;
        self.read.extend(self.now_read.iter());
        self.written.extend(self.now_written.iter());
    }

    pub(crate) fn report(&self, n_instructions: u64) -> LaunchReport {
        LaunchReport {
            n_instructions,
            sectors_read: self.n_read,
            sectors_written: self.n_written,
            atomics: self.n_atomic,
            distinct_sectors_read: self.read.len() as u64,
            distinct_sectors_written: self.written.len() as u64,
        }
    }
}
