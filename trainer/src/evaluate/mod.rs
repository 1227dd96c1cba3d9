//! Evaluation: how good a model's boxes are.

pub mod cars;
mod cars_picture;
pub mod compare;
pub mod deployed;
pub mod exit;
pub mod frames;
pub mod gate;
pub mod kitti;
pub mod nuscenes;
pub mod official;
pub mod report;
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
    /// Files of results by KITTI's average precision: image, ground, 3D, orientation
    Kitti(kitti::KittiArgs),
    /// Two runs on the same frames: which differences are real, and which chance may have made
    Compare(compare::CompareArgs),
    /// Whether a run is good enough to go on; says so by its exit code
    Gate(gate::GateArgs),
    /// A run as one file of HTML
    Report(report::ReportArgs),
    /// Waymo's detection metric on files of `metrics.Objects`: AP and APH by type, range and level
    Waymo(waymo::WaymoArgs),
    /// The nuScenes detection benchmark on a results file: the official devkit's figures
    Nuscenes(nuscenes::NuscenesArgs),
}

/// Runs `pilotis-trainer evaluate`.
pub fn run(command: &EvaluateCommand) -> anyhow::Result<()> {
    match command {
        EvaluateCommand::Package(args) => deployed::run(args),
        EvaluateCommand::Cars(args) => cars::run(args),
        EvaluateCommand::Kitti(args) => kitti::run(args),
        EvaluateCommand::Compare(args) => compare::run(args),
        EvaluateCommand::Gate(args) => gate::run(args),
        EvaluateCommand::Report(args) => report::run(args),
        EvaluateCommand::Waymo(args) => waymo::run(args),
        EvaluateCommand::Nuscenes(args) => nuscenes::run(args),
    }
}
