//! Demo: `pilotis demo` in release, with its native parts in place.

use crate::parts::NATIVE_DIR_VARIABLE;
use crate::run::{cargo, run as run_command};
use crate::setup;
use anyhow::Result;
use std::ffi::OsString;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed to `pilotis demo` as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    let mut demo = cargo(["run", "--release", "-p", "pilotis-runtime", "--bin", "pilotis", "--", "demo"]);
    // Paths among the arguments are the caller's, so the demo runs where the caller is.
    demo.current_dir(std::env::current_dir()?);
    run_command(demo.args(&arguments.rest).env(NATIVE_DIR_VARIABLE, cache))
}
