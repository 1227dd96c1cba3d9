//! The commands of `pilotis`: one file a command, and what they share.

pub(crate) mod allocations;
mod bench;
mod demo;
mod doctor;
mod engine;
mod input;
mod inspect;
mod libraries;
mod machine;
mod model;
mod output;
mod placement;
mod run;
mod survey;
mod table;

use clap::{Parser, Subcommand};
use pilotis_spec::PointLayout;
use std::process::ExitCode;

/// A command's help text, with the exit codes that all commands share after it.
macro_rules! with_exit_codes {
    ($text:literal) => {
        concat!(
            $text,
            "

Exit codes:
  0  everything was done
  1  some input failed, or does not fit; the others were done
  2  wrong usage, an unusable model, or output that cannot be written"
        )
    };
}
use with_exit_codes;

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis run 000001.bin 000002.bin
  pilotis run --json - --image pictures sweep.pcd | head
  pilotis bench --frames velodyne --n 500 --threads 2
  pilotis inspect models/default
  pilotis demo
  pilotis doctor
  pilotis engine build --precision fp16 --target sm_89

Environment:
  PILOTIS_MODEL       the model package, where --model is not given
  PILOTIS_NATIVE_DIR  folder of the native libraries
  ORT_DYLIB_PATH      the ONNX Runtime library itself
  PILOTIS_LOG         what to log on stderr, such as info or debug"
);

/// LiDAR point clouds to 3D boxes.
///
/// Reads KITTI .bin, nuScenes .pcd.bin and PCD files. Boxes are in the sensor frame: metres,
/// geometric centres, length along the heading; yaw 0 points along +x and grows
/// counter-clockwise.
#[derive(Parser)]
#[command(name = "pilotis", version, after_help = HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Bench(bench::Arguments),
    Inspect(inspect::Arguments),
    Demo(demo::Arguments),
    Doctor(doctor::Arguments),
    Engine(engine::Arguments),
}

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    AllDone,
    SomeFailed,
}

impl Outcome {
    fn of(some_failed: bool) -> Self {
        if some_failed { Self::SomeFailed } else { Self::AllDone }
    }
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    start_log();
    // Wrong usage ends here, with code 2; help and version with 0.
    let result = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Engine(arguments) => engine::run(&arguments),
    };
    match result {
        Ok(Outcome::AllDone) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(1),
        // Who reads has read enough, as with `| head`.
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {}", input::describe(&error)));
            ExitCode::from(2)
        }
    }
}

fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("PILOTIS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // Fails only where a subscriber is set already, which then does the same.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Reads `--layout`.
fn parse_layout(text: &str) -> Result<PointLayout, String> {
    text.parse().map_err(|e: pilotis_spec::SpecError| e.to_string())
}

/// Reads `--threads`.
fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=256) => Ok(n),
        _ => Err("a number of threads in 1..=256 is needed".to_owned()),
    }
}

/// Reads `--min-score`.
fn parse_score(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(score) if (0.0..=1.0).contains(&score) => Ok(score),
        _ => Err("a score in 0..=1 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_help_has_the_exit_codes() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let codes = HELP.split("\n\n").last().unwrap();
        assert!(codes.starts_with("Exit codes:"));
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            assert!(help.contains(codes), "{help}");
            assert!(help.contains("Examples:"), "{help}");
        }
    }

    #[test]
    fn options_refuse_what_they_cannot_mean() {
        for bad in ["0", "-1", "257", "x", ""] {
            assert!(parse_threads(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_threads("16"), Ok(16));
        for bad in ["-0.1", "1.5", "NaN", "inf", ""] {
            assert!(parse_score(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_score("0.5"), Ok(0.5));
        assert!(parse_layout("kiti").unwrap_err().contains("kitti"));
        assert_eq!(parse_layout("kitti"), Ok(PointLayout::kitti()));
    }
}
