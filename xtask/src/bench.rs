//! Bench: criterion, one file a stage.

use crate::parts::NATIVE_DIR_VARIABLE;
use crate::run::{cargo, run as run_command};
use crate::setup;
use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A stage (points, pillars, bev, boxes) or `frame`; all of them if left out.
    stage: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    let mut bench = cargo(["bench", "-p", "pilotis-benches"]);
    if let Some(stage) = &arguments.stage {
        bench.args(["--bench", stage]);
    }
    run_command(bench.env(NATIVE_DIR_VARIABLE, cache))
}
