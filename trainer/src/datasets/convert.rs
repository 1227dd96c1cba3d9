//! `pilotis-trainer dataset convert`. What it does is in `pilotis_datasets::convert`.

use super::{KindName, bar};
use pilotis_datasets::check::open;
use pilotis_datasets::convert::{Target, convert};
use pilotis_spec::PointLayout;
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
    /// Format of the dataset, if the folder does not show it
    #[arg(long, value_enum, default_value_t = KindName::Auto)]
    pub kind: KindName,
    /// Only the samples of this split
    #[arg(long)]
    pub split: Option<String>,
    /// Records of the headerless files of a plain folder: kitti, nuscenes, or such as f32:x,y,z,intensity
    #[arg(long)]
    pub layout: Option<PointLayout>,
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
    let dataset = open(&args.from, args.kind.kind(), args.split.as_deref(), args.layout.as_ref())?;
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
