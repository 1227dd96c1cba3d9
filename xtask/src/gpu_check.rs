//! The check of a card: the suites of the CUDA backend on it, then what only a card can show; one report.

use crate::emulator::{self, EMULATOR_VARIABLE};
use crate::parts::NATIVE_DIR_VARIABLE;
use crate::run::{cargo, run as run_command};
use crate::setup;
use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the report goes.
    #[arg(long, default_value = "gpu-report.md", value_name = "FILE")]
    out: PathBuf,
    /// Rehearse on the emulator: the same steps without a card, and times that mean nothing.
    #[arg(long)]
    emulator: bool,
}

/// The binary that checks; `--probe` only looks for a card.
const CHECK: [&str; 7] = ["run", "--release", "-p", "pilotis-cuda-tests", "--bin", "gpu_check", "--"];
/// `cargo xtask test` runs them on the emulator.
const SUITES: [&str; 7] =
    ["test", "--release", "-p", "pilotis-cuda-tests", "-p", "pilotis-runtime", "--no-fail-fast"];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    let emulator = arguments.emulator.then(emulator::ensure).transpose()?;
    let out = std::path::absolute(&arguments.out)?;
    let run = |mut step: Command| {
        step.env(NATIVE_DIR_VARIABLE, &cache).env_remove(EMULATOR_VARIABLE);
        if let Some(emulator) = &emulator {
            step.env(EMULATOR_VARIABLE, emulator);
        }
        run_command(&mut step)
    };
    let mut failures = Vec::new();
    if !arguments.emulator {
        // The driver itself is asked: where it keeps its files differs, as under WSL. Without a card every suite
        // would skip, and say that it passed.
        let mut probe = cargo(CHECK);
        probe.arg("--probe");
        run(probe).context("no card can be used here; --emulator rehearses the check without one")?;
        failures.extend(run(cargo(SUITES)).err());
    }
    // A report of an earlier run is not taken for this one's.
    match std::fs::remove_file(&out) {
        Err(e) if e.kind() != ErrorKind::NotFound => bail!("cannot replace `{}`: {e}", out.display()),
        _ => {}
    }
    let mut check = cargo(CHECK);
    check.arg(&out);
    failures.extend(run(check).err());
    if out.is_file() {
        println!("send the report back, whatever it says: {}", out.display());
    }
    if failures.is_empty() {
        return Ok(());
    }
    let failures: Vec<String> = failures.iter().map(|e| format!("{e:#}")).collect();
    bail!("{}", failures.join("; "))
}
