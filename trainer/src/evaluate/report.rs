//! Report: a run as one file of HTML, with what a gate and a comparison say of it.

use super::compare::DrawArgs;
use anyhow::Context;
use pilotis_evaluate::gate::{Gate, judge};
use pilotis_evaluate::report::Report;
use pilotis_evaluate::run::Run;
use std::path::PathBuf;

/// Options of `pilotis-trainer evaluate report`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Points are not kept in a run: here the worst frames are drawn without them. The\n\
                        report.html that an evaluation leaves in the run's folder has them.")]
pub struct ReportArgs {
    /// Folder of the run
    #[arg(long)]
    pub run: PathBuf,
    /// Folder of a run to compare it with
    #[arg(long)]
    pub reference: Option<PathBuf>,
    /// A gate whose verdict is to be shown
    #[arg(long)]
    pub gate: Option<PathBuf>,
    /// How intervals of the comparison are drawn
    #[command(flatten)]
    pub draw: DrawArgs,
    /// The file to write
    #[arg(long)]
    pub out: PathBuf,
}

/// Runs `pilotis-trainer evaluate report`.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let run = Run::read(&args.run)?;
    let reference = args.reference.as_deref().map(Run::read).transpose()?;
    let comparison = reference.as_ref().map(|a| args.draw.compare(a, &run)).transpose()?;
    let gate = args.gate.as_deref().map(Gate::load).transpose()?;
    let verdict = gate.as_ref().map(|gate| judge(gate, &run, reference.as_ref()));
    let report = Report { run: &run, comparison: comparison.as_ref(), verdict: verdict.as_ref() };
    std::fs::write(&args.out, report.html(&|_| None))
        .with_context(|| format!("cannot write `{}`", args.out.display()))
}
