//! nuScenes data beside the official devkit: it reads generated drives as we read them, point by point.

use crate::nuscenes_devkit::DEVKIT;
use crate::python_env::{PythonTool, run_check};
use crate::run::{Build, Scratch, example};
use crate::setup;
use crate::test::Counts;
use anyhow::{Result, bail};
use std::path::Path;

const DATA: PythonTool = PythonTool {
    check: concat!(
        include_str!("../say.py"),
        include_str!("../nuscenes-devkit/generate.py"),
        include_str!("../nuscenes-devkit/sweeps.py")
    ),
    ..DEVKIT
};

/// Of three data sets one sweep, ten, the velocities and the boxes; and the splits.
const N_CHECKS: u64 = 13;

/// Runs `cargo xtask nuscenes-data`.
pub(crate) fn run() -> Result<()> {
    let counts = check(&setup::ensure()?, Build::Alone)?;
    println!("{counts}");
    if counts.failed > 0 || counts.skipped > 0 {
        bail!("{} checks failed, {} were not made", counts.failed, counts.skipped);
    }
    Ok(())
}

/// Generates drives, and compares what the devkit and ours read of them.
pub(crate) fn check(cache: &Path, build: Build) -> Result<Counts> {
    let mut check = match DATA.command(cache) {
        Ok(check) => check,
        Err(why) => {
            println!("skipped: no {}: {why:#}", DATA.title);
            return Ok(Counts { skipped: 1, ..Counts::default() });
        }
    };
    let program = example("pilotis-datasets", "nuscenes_sweeps", build)?;
    let scratch = Scratch::new(cache, "nuscenes-data");
    DATA.all_of(run_check(check.arg(program).arg(&scratch.0))?, N_CHECKS)
}
