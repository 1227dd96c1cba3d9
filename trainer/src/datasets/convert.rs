//! `pilotis-trainer dataset convert`. What it does is in `pilotis_datasets::convert`.

use super::{SourceArgs, bar};
use anyhow::ensure;
use pilotis_datasets::check::open;
use pilotis_datasets::convert::{Target, convert};
use std::path::PathBuf;

/// Options of `pilotis-trainer dataset convert`.
#[derive(Clone, Debug, clap::Args)]
pub struct ConvertArgs {
    /// Folder of the dataset
    #[arg(long)]
    pub from: PathBuf,
    /// Folder to write; missing or empty before
    #[arg(long)]
    pub to: PathBuf,
    /// Layout to write
    #[arg(long, value_enum)]
    pub format: TargetName,
    /// How it is opened
    #[command(flatten)]
    pub source: SourceArgs,
}

/// Layouts that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TargetName {
    /// KITTI's object layout, with labels all around beside those of a camera's view
    Kitti,
    /// nuScenes' tables, each sample a scene of its own
    Nuscenes,
    /// The internal cache: a few large files, digests of every sample
    Cache,
}

/// Runs `pilotis-trainer dataset convert`.
///
/// **Errors**: those of [`convert`].
pub fn run(args: &ConvertArgs) -> anyhow::Result<()> {
    let target = match args.format {
        TargetName::Kitti => Target::Kitti,
        TargetName::Nuscenes => Target::Nuscenes,
        TargetName::Cache => Target::Cache,
    };
    ensure!(
        target == Target::Cache || args.source.sweeps.is_none_or(|n| n == 1),
        "several sweeps in one cloud have time lags, which only a cache keeps: use --format cache"
    );
    let dataset = open(&args.from, &args.source.options())?;
    let bar = bar(dataset.n_samples());
    let converted = convert(dataset.as_ref(), &args.to, target, &|| bar.inc(1));
    bar.finish_and_clear();
    let converted = converted?;
    for (name, n) in &converted.left_out {
        tracing::warn!("{n} objects `{name}` left out: the layout has no class for them");
    }
    tracing::info!(to = %args.to.display(), samples = converted.n_samples, objects = converted.n_objects, "converted");
    Ok(())
}
