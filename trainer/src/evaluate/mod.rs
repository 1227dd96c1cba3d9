//! Evaluation: how good a model's boxes are.

pub mod center_distance;
pub mod deployed;

pub use center_distance::{CenterDistanceReport, ClassResult, EvaluateError, Filter, FrameResult, evaluate};

/// Commands of `pilotis-trainer evaluate`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum EvaluateCommand {
    /// The deployed pipeline of a model package on a dataset: accuracy and latency
    Package(deployed::PackageArgs),
}

/// Runs `pilotis-trainer evaluate`.
pub fn run(command: &EvaluateCommand) -> anyhow::Result<()> {
    match command {
        EvaluateCommand::Package(args) => deployed::run(args),
    }
}
