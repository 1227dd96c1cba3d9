//! `pilotis-trainer`: simulates, trains, evaluates and exports.

mod memory;

use clap::{Parser, Subcommand};
use pilotis_trainer::{datasets, download, evaluate, export, simulate, train};
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
    /// Make labelled LiDAR drives through simulated streets, in KITTI's or nuScenes' layout
    Simulate(simulate::SimulateArgs),
    /// Fetch a public dataset, and go on where an earlier run was cut off
    Download(download::DownloadArgs),
    /// Look at datasets
    #[command(subcommand)]
    Dataset(datasets::DatasetCommand),
    /// Train a detector
    Train(train::TrainArgs),
    /// Write a model package of a training run
    Export(export::ExportArgs),
    /// Measure how good boxes are
    #[command(subcommand)]
    Evaluate(evaluate::EvaluateCommand),
}

fn main() -> ExitCode {
    memory::keep_freed();
    let filter = EnvFilter::try_from_env("PILOTIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Cli::parse().command {
        Command::Simulate(args) => simulate::run(&args),
        Command::Download(args) => download::run(&args),
        Command::Dataset(command) => datasets::run(&command),
        Command::Train(args) => train::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Evaluate(command) => evaluate::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e:#}");
            // Some errors say by their code what they are.
            e.downcast_ref::<evaluate::exit::ExitWith>().map_or(ExitCode::FAILURE, |e| ExitCode::from(e.code))
        }
    }
}
