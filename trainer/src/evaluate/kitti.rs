//! KITTI: the figures of files of results, as the benchmark counts.

use super::deployed::write_json;
use anyhow::Context;
use pilotis_evaluate::kitti::{Rules, Sources, evaluate, load};
use std::io::Write;
use std::path::PathBuf;

/// Options of `pilotis-trainer evaluate kitti`.
#[derive(Clone, Debug, clap::Args)]
pub struct KittiArgs {
    /// Folder of labels, `NAME.txt` a frame, as KITTI's `training/label_2`
    #[arg(long)]
    pub gt: PathBuf,
    /// Folder of results of the same names: 16 columns, the last the score
    #[arg(long)]
    pub pred: PathBuf,
    /// Folder for `kitti_summary.json` and `kitti_details.json`; made if it is not there
    #[arg(long)]
    pub out: PathBuf,
    /// File that names the frames to evaluate, one a line [default: all that have labels]
    #[arg(long)]
    pub split: Option<PathBuf>,
    /// Count as the official C++ evaluator does, where the Python ports differ
    #[arg(long)]
    pub strict_cpp: bool,
    /// Take a frame without a file of results for one without boxes, instead of refusing it
    #[arg(long)]
    pub missing_as_empty: bool,
}

/// Runs `pilotis-trainer evaluate kitti`.
pub fn run(args: &KittiArgs) -> anyhow::Result<()> {
    let loaded = load(&Sources {
        labels: &args.gt,
        results: &args.pred,
        split: args.split.as_deref(),
        missing_as_empty: args.missing_as_empty,
    })?;
    let rules = if args.strict_cpp { Rules::StrictCpp } else { Rules::Ports };
    let report = evaluate(&loaded.frames, rules)?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    write_json(&args.out.join("kitti_summary.json"), &report.summary_of(&loaded))?;
    write_json(&args.out.join("kitti_details.json"), &report.details())?;
    let mut out = std::io::stdout().lock();
    write!(out, "{report}")?;
    if loaded.n_missing > 0 {
        writeln!(out, "{} frames without a file of results count as empty", loaded.n_missing)?;
    }
    if loaded.n_left_out > 0 {
        writeln!(out, "{} files of results are not in the split", loaded.n_left_out)?;
    }
    Ok(())
}
