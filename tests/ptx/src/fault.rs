//! Faults: what a kernel did that no device permits, and where.

use thiserror::Error;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// An access beyond a buffer, shared memory or the parameters.
    OutOfBounds,
    /// An address that is no multiple of the size of what is there.
    Misaligned,
    /// A read of what nobody has written.
    Unwritten,
    /// Two threads that nothing orders use the same memory, and one writes.
    Race,
    /// Lanes that wait for lanes that never come, or a barrier that not all threads reach.
    Divergence,
    /// An operation without a result, such as a division by zero.
    Arithmetic,
    /// More instructions than a launch may take.
    Endless,
    /// A launch that does not fit the kernel.
    Launch,
}

/// A fault of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind:?} in `{kernel}`, line {line}, block {block}, thread {thread}: {text}")]
pub struct Fault {
    /// What was done.
    pub kind: FaultKind,
    /// The kernel.
    pub kernel: String,
    /// Line of the PTX text.
    pub line: usize,
    /// Block of the grid.
    pub block: u32,
    /// Thread of the block.
    pub thread: u32,
    /// The rest, for people.
    pub text: String,
}

impl FaultKind {
    pub(crate) fn with(self, text: String) -> Fault {
        Fault { kind: self, kernel: String::new(), line: 0, block: 0, thread: 0, text }
    }

    pub(crate) fn at(self, address: u64, buffer: &str) -> Fault {
        self.with(format!("address {address:#x}, near `{buffer}`"))
    }
}
