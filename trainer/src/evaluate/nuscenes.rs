//! The nuScenes detection benchmark on a results file.

use anyhow::Context;
use pilotis_datasets::nuscenes::{Sensors, Tables};
use pilotis_evaluate::nuscenes::{Config, GroundTruth, Results, TieOrder, evaluate};
use std::io::Write;
use std::path::PathBuf;

/// Options of `pilotis-trainer evaluate nuscenes`.
#[derive(Clone, Debug, clap::Args)]
pub struct NuscenesArgs {
    /// Folder of the dataset
    #[arg(long)]
    pub data: PathBuf,
    /// Version of its tables, which is the name of their folder
    #[arg(long, default_value = "v1.0-trainval")]
    pub version: String,
    /// Split: one of the benchmark's, or one of the splits.json beside the tables
    #[arg(long, default_value = "val")]
    pub split: String,
    /// Results in the form of a submission
    #[arg(long)]
    pub results: PathBuf,
    /// Folder for metrics_summary.json and metrics_details.json
    #[arg(long)]
    pub out: PathBuf,
    /// Settings in the devkit's form [default: those of the benchmark]
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Of equal scores, which box goes first
    #[arg(long, value_enum, default_value_t = Ties::File)]
    pub ties: Ties,
}

/// Of equal scores, which box goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ties {
    /// The later one in the file, as in the devkit
    File,
    /// By sample and box, so that the order in the file plays no part
    Canonical,
}

/// Runs `pilotis-trainer evaluate nuscenes`.
pub fn run(args: &NuscenesArgs) -> anyhow::Result<()> {
    let mut config = args.config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    config.tie_order = match args.ties {
        Ties::File => TieOrder::File,
        Ties::Canonical => TieOrder::Canonical,
    };
    let tables = Tables::read(&args.data, &args.version, Sensors::Lidar)?;
    let ground_truth = GroundTruth::from_tables(&tables, &args.split)?;
    // The results may need the room.
    drop(tables);
    let in_results = || format!("in `{}`", args.results.display());
    let results = Results::read(&args.results).with_context(in_results)?;
    let report = evaluate(&ground_truth, &results, &config).with_context(in_results)?;
    report.write(&args.out).with_context(|| format!("cannot write into `{}`", args.out.display()))?;
    Ok(writeln!(std::io::stdout().lock(), "{report}")?)
}
