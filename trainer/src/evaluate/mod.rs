//! Evaluation: how good a model's boxes are.

pub mod cars;
mod cars_picture;
pub mod deployed;
pub mod waymo;

pub use pilotis_evaluate::{
    CenterDistanceReport, ClassResult, EvaluateError, Filter, FrameResult, evaluate, found_cars,
};

/// Commands of `pilotis-trainer evaluate`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum EvaluateCommand {
    /// The deployed pipeline of a model package on a dataset: accuracy and latency
    Package(deployed::PackageArgs),
    /// The same for cars alone: share found, false boxes a frame, the score to choose, pictures
    Cars(cars::CarsArgs),
    /// Waymo's detection metric on files of `metrics.Objects`: AP and APH by type, range and level
    Waymo(waymo::WaymoArgs),
}

/// Runs `pilotis-trainer evaluate`.
pub fn run(command: &EvaluateCommand) -> anyhow::Result<()> {
    match command {
        EvaluateCommand::Package(args) => deployed::run(args),
        EvaluateCommand::Cars(args) => cars::run(args),
        EvaluateCommand::Waymo(args) => waymo::run(args),
    }
}
