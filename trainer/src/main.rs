//! `pilotis-trainer`: simulates, trains, evaluates and exports.

use clap::{Parser, Subcommand};
use pilotis_trainer::{simulate, train};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Trains LiDAR detectors for Pilotis, offline.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make labelled LiDAR frames of simulated streets, in KITTI's layout
    Simulate(simulate::SimulateArgs),
    /// Train a detector
    Train(train::TrainArgs),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("PILOTIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Cli::parse().command {
        Command::Simulate(args) => simulate::run(&args),
        Command::Train(args) => train::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}
