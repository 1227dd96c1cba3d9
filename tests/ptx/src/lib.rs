//! An interpreter of PTX, so that what is tested is what ships.
//!
//! It knows the operations that the pinned compiler makes of the kernels, and refuses all others. Warps
//! run in lockstep; every access is checked for bounds, alignment and for reading what nobody has
//! written; and two threads that use the same memory with nothing to order them are a fault even where
//! the result would be right. What a launch moves is counted in sectors of 32 bytes.
//!
//! ```
//! use pilotis_kernels::MODULES;
//! use pilotis_ptx::{Memory, Module, Options};
//!
//! let module = Module::parse(MODULES[0].ptx)?;
//! assert_eq!(module.kernels().next(), Some("points_count"));
//! let mut memory = Memory::new();
//! let bytes = memory.buffer("raw", &[0; 64]);
//! assert_eq!(memory.bytes(bytes).len(), 64);
//! let _ = Options::default();
//! # Ok::<(), pilotis_ptx::ParseError>(())
//! ```

#![forbid(unsafe_code)]

mod arithmetic;
mod fault;
mod instruction;
mod memory;
mod parse;
mod race;
mod run;
mod traffic;

pub use fault::{Fault, FaultKind};
pub use memory::Memory;
pub use parse::ParseError;
pub use traffic::SECTOR_BYTES;

use instruction::Kernel;

/// How kernels are run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Order of blocks, and of warps between barriers; 0 is the natural one.
    pub seed: u64,
    /// Whether unordered uses of memory are faults.
    pub check_races: bool,
    /// More than this many instructions of warps in a launch are a fault.
    pub max_instructions: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, check_races: true, max_instructions: 1 << 32 }
    }
}

/// What a launch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaunchReport {
    /// Instructions of warps.
    pub n_instructions: u64,
    /// Sectors that warps asked for, instruction by instruction.
    pub sectors_read: u64,
    /// Sectors that warps wrote.
    pub sectors_written: u64,
    /// Atomics of single lanes.
    pub atomics: u64,
    /// Different sectors read: what a cache that loses nothing would fetch.
    pub distinct_sectors_read: u64,
    /// Different sectors written.
    pub distinct_sectors_written: u64,
}

/// The kernels of a PTX text.
#[derive(Clone, Debug)]
pub struct Module {
    kernels: Vec<Kernel>,
}

impl Module {
    /// Reads a text.
    ///
    /// **Errors**: anything that is not known, with its line.
    pub fn parse(ptx: &str) -> Result<Self, ParseError> {
        Ok(Self { kernels: parse::parse(ptx)? })
    }

    /// Names of the kernels.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.kernels.iter().map(|k| k.name.as_str())
    }

    /// Runs a kernel with `n_blocks` blocks of its own size.
    ///
    /// **Errors**: what no device permits; the memory is then as it was at that moment.
    /// **Determinism**: depends on the arguments alone.
    pub fn launch(
        &self,
        name: &str,
        n_blocks: u32,
        params: &[u8],
        memory: &mut Memory,
        options: &Options,
    ) -> Result<LaunchReport, Fault> {
        let kernel = self.kernels.iter().find(|k| k.name == name);
        let kernel = kernel.ok_or_else(|| FaultKind::Launch.with(format!("there is no kernel `{name}`")))?;
        if params.len() != kernel.params_bytes {
            let text = format!("`{name}` takes {} bytes, not {}", kernel.params_bytes, params.len());
            return Err(FaultKind::Launch.with(text));
        }
        run::Launch::new(kernel, n_blocks, params, memory, options).run()
    }
}
