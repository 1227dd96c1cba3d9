//! `pilotis-trainer dataset check`. What it does is in `pilotis_datasets::check`.

use super::{SourceArgs, bar};
use anyhow::{Context, bail};
use pilotis_datasets::check::{check, open};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Options of `pilotis-trainer dataset check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Folder of the dataset
    #[arg(long)]
    pub data: PathBuf,
    /// How it is opened
    #[command(flatten)]
    pub source: SourceArgs,
    /// Also write the report here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Runs `pilotis-trainer dataset check`.
///
/// **Errors**: a dataset that cannot be opened, or in which something is broken.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let dataset = open(&args.data, &args.source.options())?;
    let bar = bar(dataset.n_samples());
    let report = check(dataset.as_ref(), &|| bar.inc(1));
    bar.finish_and_clear();
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    writeln!(std::io::stdout().lock(), "{report}")?;
    if !report.is_sound() {
        bail!("`{}` has {} faults", args.data.display(), report.faults.len());
    }
    Ok(())
}
