//! Waymo: its detection metric on files of ground truths and predictions.

use super::deployed::write_json;
use anyhow::Context;
use pilotis_evaluate::waymo::{Settings, WaymoObjects, evaluate};
use std::io::Write;
use std::path::PathBuf;

/// Options of `pilotis-trainer evaluate waymo`.
#[derive(Clone, Debug, clap::Args)]
pub struct WaymoArgs {
    /// Ground truths: a file of `metrics.Objects`
    #[arg(long)]
    pub gt: PathBuf,
    /// Predictions: a file of `metrics.Objects`
    #[arg(long)]
    pub pred: PathBuf,
    /// Folder for `metrics_summary.json` and `metrics_details.json`; made if it is not there
    #[arg(long)]
    pub out: PathBuf,
}

/// Runs `pilotis-trainer evaluate waymo`.
pub fn run(args: &WaymoArgs) -> anyhow::Result<()> {
    let ground_truths = WaymoObjects::read(&args.gt)?;
    let predictions = WaymoObjects::read(&args.pred)?;
    let report = evaluate(&ground_truths, &predictions, &Settings::default())
        .with_context(|| format!("`{}`", args.gt.display()))?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder `{}`", args.out.display()))?;
    write_json(&args.out.join("metrics_summary.json"), &report.summary_json())?;
    write_json(&args.out.join("metrics_details.json"), &report.details_json())?;
    write!(std::io::stdout().lock(), "{report}")?;
    Ok(())
}
