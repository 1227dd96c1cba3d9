//! Emulator: the CUDA driver without a device that the tests of the kernels run on.

use crate::run::repository;
use anyhow::Result;
use pilotis_emulator::{Options, build};
use std::path::PathBuf;

/// Names the emulator to the runtime.
pub(crate) const EMULATOR_VARIABLE: &str = "PILOTIS_CUDA_EMULATOR";

/// The emulator's path; built if the sources of the kernels or its own have changed.
pub(crate) fn ensure() -> Result<PathBuf> {
    build(&repository().join("target").join("emulator"), &Options::default())
}

pub(crate) fn run() -> Result<()> {
    println!("{}", ensure()?.display());
    Ok(())
}
