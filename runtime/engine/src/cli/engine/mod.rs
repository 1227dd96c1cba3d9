//! `pilotis engine`: plans of TensorRT, built and looked at without a card.

mod build;
mod calibrate;
mod inspect;

use super::{Outcome, with_exit_codes};
use anyhow::Result;
use clap::Subcommand;

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis engine build --precision fp16 --target sm_89
  pilotis engine inspect --precision fp16
  pilotis engine calibrate --out calibration.toml velodyne/*.bin
  pilotis engine build --precision int8 --calibration calibration.toml --out street.plan
  pilotis engine inspect street.plan

Environment:
  PILOTIS_PLAN_DIR      where plans are kept; else pilotis/plans in the user's cache
  PILOTIS_TENSORRT_LIB  the TensorRT library itself
  PILOTIS_NATIVE_DIR    folder of the native libraries"
);

/// Build networks for RTX cards with TensorRT, and look at what was built.
///
/// No card and no driver are needed: plans are made ahead of time for the cards that are named. A plan is kept
/// in a folder of the user's, by everything that it depends on; engines find it there.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(build::Arguments),
    Inspect(inspect::Arguments),
    Calibrate(calibrate::Arguments),
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    match &arguments.command {
        Command::Build(arguments) => build::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Calibrate(arguments) => calibrate::run(arguments),
    }
}
