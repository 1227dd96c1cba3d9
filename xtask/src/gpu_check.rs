//! The check of a card: the suites of the CUDA backend on it, then what only a card can show; one report.

use crate::emulator::{self, EMULATOR_VARIABLE};
use crate::parts::NATIVE_DIR_VARIABLE;
use crate::run::{cargo, run as run_command};
use crate::setup;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the report goes.
    #[arg(long, default_value = "gpu-report.md", value_name = "FILE")]
    out: PathBuf,
    /// Rehearse on the emulator: the same steps without a card, and times that mean nothing.
    #[arg(long)]
    emulator: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    if !arguments.emulator && !Path::new("/proc/driver/nvidia/version").exists() {
        bail!("this machine has no NVIDIA driver; --emulator rehearses the check without one");
    }
    let emulator = arguments.emulator.then(emulator::ensure).transpose()?;
    let mut failures = Vec::new();
    let suites = ["test", "--release", "-p", "pilotis-cuda-tests", "-p", "pilotis-runtime", "--no-fail-fast"];
    let check = ["run", "--release", "-p", "pilotis-cuda-tests", "--bin", "gpu_check", "--"];
    for mut step in [cargo(suites), cargo(check)] {
        let is_check = step.get_args().any(|a| a == "gpu_check");
        if is_check {
            step.arg(std::path::absolute(&arguments.out)?);
        } else if arguments.emulator {
            // `cargo xtask test` runs them there.
            continue;
        }
        step.env(NATIVE_DIR_VARIABLE, &cache).env_remove(EMULATOR_VARIABLE);
        if let Some(emulator) = &emulator {
            step.env(EMULATOR_VARIABLE, emulator);
        }
        if let Err(error) = run_command(&mut step) {
            failures.push(format!("{error:#}"));
        }
    }
    if failures.is_empty() {
        println!("send the report back: {}", arguments.out.display());
        return Ok(());
    }
    bail!("{}; the report says more: {}", failures.join("; "), arguments.out.display())
}
