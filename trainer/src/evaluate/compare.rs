//! Compare: which differences of two runs are real.

use super::deployed::write_json;
use pilotis_evaluate::compare::{Comparison, Interval, Options, compare};
use pilotis_evaluate::run::Run;
use std::io::Write;
use std::path::PathBuf;

/// Options of `pilotis-trainer evaluate compare`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  0  the runs were compared, whatever came out\n  \
                        1  they do not compare: other frames, labels or rules, or an unusable run\n  \
                        2  wrong usage")]
pub struct CompareArgs {
    /// Folder of the run to start from
    #[arg(long)]
    pub a: PathBuf,
    /// Folder of the run to compare with it
    #[arg(long)]
    pub b: PathBuf,
    /// How intervals are drawn
    #[command(flatten)]
    pub draw: DrawArgs,
    /// Also write the comparison here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// How intervals are drawn.
#[derive(Clone, Debug, clap::Args)]
pub struct DrawArgs {
    /// Resamples
    #[arg(long, default_value_t = 5000)]
    pub resamples: usize,
    /// Seed of the draws
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Share of chance that is put up with; 0.05 gives intervals of 95 %
    #[arg(long, default_value_t = 0.05)]
    pub level: f64,
    /// Plain percentiles instead of intervals corrected for bias and skewness (BCa)
    #[arg(long)]
    pub percentile: bool,
}

impl DrawArgs {
    /// Compares run B with run A.
    pub(super) fn compare(&self, a: &Run, b: &Run) -> anyhow::Result<Comparison> {
        let interval = if self.percentile { Interval::Percentile } else { Interval::BiasCorrected };
        let Self { resamples: n_resamples, seed, level, .. } = *self;
        Ok(compare(a, b, &Options { n_resamples, seed, level, interval, ..Options::default() })?)
    }
}

/// Runs `pilotis-trainer evaluate compare`.
pub fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let (a, b) = (Run::read(&args.a)?, Run::read(&args.b)?);
    let comparison = args.draw.compare(&a, &b)?;
    writeln!(std::io::stdout().lock(), "{comparison}")?;
    match &args.json {
        Some(path) => write_json(path, &serde_json::to_value(&comparison)?),
        None => Ok(()),
    }
}
