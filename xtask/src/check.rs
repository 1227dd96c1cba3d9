//! Check: formatting and lints.

use crate::run::{cargo, run as run_command};
use anyhow::Result;
use std::process::Command;

pub(crate) fn formatting() -> Command {
    cargo(["fmt", "--all", "--check"])
}

pub(crate) fn lints() -> Command {
    cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

pub(crate) fn run() -> Result<()> {
    run_command(&mut formatting())?;
    run_command(&mut lints())
}
