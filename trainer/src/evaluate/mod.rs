//! Evaluation: how good a model's boxes are.

pub mod cars;
mod cars_picture;
pub mod deployed;
pub mod nuscenes;

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
    /// The nuScenes detection benchmark on a results file: the official devkit's figures
    Nuscenes(nuscenes::NuscenesArgs),
}

/// Runs `pilotis-trainer evaluate`.
pub fn run(command: &EvaluateCommand) -> anyhow::Result<()> {
    match command {
        EvaluateCommand::Package(args) => deployed::run(args),
        EvaluateCommand::Cars(args) => cars::run(args),
        EvaluateCommand::Nuscenes(args) => nuscenes::run(args),
    }
}
