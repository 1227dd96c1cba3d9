//! Gate: whether a run is good enough to go on.

use super::deployed::write_json;
use super::exit::ExitWith;
use pilotis_evaluate::gate::{Gate, Verdict, judge};
use pilotis_evaluate::run::Run;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Options of `pilotis-trainer evaluate gate`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  0  every check passed\n  1  a check failed\n  \
                        2  there was nothing to judge: an unusable gate or run, or wrong usage")]
pub struct GateArgs {
    /// What a run must come to
    #[arg(long, default_value = "configs/evaluate/gate.toml")]
    pub config: PathBuf,
    /// Folder of the run
    #[arg(long)]
    pub run: PathBuf,
    /// Folder of the run that losses are taken against
    #[arg(long)]
    pub reference: Option<PathBuf>,
    /// Also write the verdict here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Runs `pilotis-trainer evaluate gate`.
pub fn run(args: &GateArgs) -> anyhow::Result<()> {
    let gate = Gate::load(&args.config)
        .map_err(|e| ExitWith::new(Verdict::UNUSABLE, chain(&format!("`{}`", args.config.display()), &e)))?;
    let run = usable(&args.run)?;
    let reference = args.reference.as_deref().map(usable).transpose()?;
    let verdict = judge(&gate, &run, reference.as_ref());
    writeln!(std::io::stdout().lock(), "{verdict}")?;
    if let Some(path) = &args.json {
        write_json(path, &serde_json::to_value(&verdict)?)?;
    }
    if verdict.passed() {
        return Ok(());
    }
    let n_failed = verdict.failed().count();
    Err(ExitWith::new(verdict.exit_code(), format!("the gate stays shut: {n_failed} checks failed")).into())
}

/// Reads a run; one that cannot be read has an exit code of its own.
fn usable(dir: &Path) -> anyhow::Result<Run> {
    Ok(Run::read(dir).map_err(|e| ExitWith::new(Verdict::UNUSABLE, chain("unusable run", &e)))?)
}

/// An error and what caused it, on one line.
fn chain(what: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
