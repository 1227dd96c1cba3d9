//! Races: who has used a piece of memory last, and whether anything orders the next user after it.
//!
//! Accesses of one thread are ordered; those of one block by a barrier of the block between them; those
//! of one warp by a warp-level operation between them; those of two blocks of a launch by nothing.
//! Atomics do not race with atomics. Writes of the same value are races as well.

use crate::fault::{Fault, FaultKind};
use std::collections::HashMap;

/// Memory is watched in pieces of this size, that of the smallest store.
const PIECE: u64 = 2;

/// Who accesses, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) block: u32,
    pub(crate) thread: u32,
    /// Barriers of the block before it.
    pub(crate) block_epoch: u32,
    /// Operations of the warp before it.
    pub(crate) warp_epoch: u32,
    pub(crate) line: usize,
    pub(crate) is_atomic: bool,
}

impl Access {
    fn is_before(&self, later: &Self) -> bool {
        if self.block != later.block {
            return false;
        }
        self.thread == later.thread
            || self.block_epoch < later.block_epoch
            || (self.thread / 32 == later.thread / 32 && self.warp_epoch < later.warp_epoch)
    }

    fn races_with(&self, later: &Self) -> bool {
        !(self.is_before(later) || self.is_atomic && later.is_atomic)
    }
}

/// The last write, and the reads since: one of each of two threads is enough to find any race.
#[derive(Clone, Copy, Debug, Default)]
struct Shadow {
    write: Option<Access>,
    reads: [Option<Access>; 2],
}

/// What happened to a space of memory in a launch.
#[derive(Debug, Default)]
pub(crate) struct Races {
    shadows: HashMap<u64, Shadow>,
}

impl Races {
    /// Notes an access; a fault where it races with an earlier one.
    pub(crate) fn note(
        &mut self,
        at: u64,
        n_bytes: usize,
        writes: bool,
        access: Access,
    ) -> Result<(), Fault> {
        for piece in at / PIECE..(at + n_bytes as u64).div_ceil(PIECE) {
            let shadow = self.shadows.entry(piece).or_default();
            let others =
                [shadow.write, shadow.reads[0].filter(|_| writes), shadow.reads[1].filter(|_| writes)];
            if let Some(other) = others.iter().flatten().find(|other| other.races_with(&access)) {
                return Err(FaultKind::Race.with(format!(
                    "address {:#x} was used by block {}, thread {}, line {}, and nothing is between",
                    piece * PIECE,
                    other.block,
                    other.thread,
                    other.line
                )));
            }
            if writes {
                *shadow = Shadow { write: Some(access), reads: [None; 2] };
            } else {
                // Its own place, one that is free, or that of a read which everything is ordered after.
                let is_mine = |r: &Access| r.block == access.block && r.thread == access.thread;
                let is_past = |r: &Access| r.block == access.block && r.block_epoch < access.block_epoch;
                let free =
                    shadow.reads.iter().position(|r| r.as_ref().is_none_or(|r| is_mine(r) || is_past(r)));
                shadow.reads[free.unwrap_or(1)] = Some(access);
            }
        }
        Ok(())
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.shadows.clear();
    }
}
