//! `pilotis engine build`: a plan of a package's network, for cards that need not be there.

use super::super::output::Output;
use super::super::{Outcome, model, with_exit_codes};
use anyhow::{Context, Result};
use pilotis_network::Precision;
use pilotis_runtime::device::trt::{Flavour, Library};
use pilotis_runtime::head::tensorrt::{Lowered, PlanCache, PlanOrigin, PlanText, calibration};
use serde::Serialize;
use std::path::PathBuf;

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis engine build --precision fp16 --target sm_89
  pilotis engine build --model models/default --precision fp16 --target sm_89,sm_86 --rebuild
  pilotis engine build --precision int8 --calibration calibration.toml --out street.plan"
);

/// Build the plan of a model's network for RTX cards; neither a card nor a driver is needed.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) what: What,
    /// Write the plan here as well.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Build even where the plan is kept already.
    #[arg(long)]
    rebuild: bool,
    /// One line of JSON on what was built: to a file, or with - to stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a plan is of and for.
#[derive(clap::Args)]
pub(super) struct What {
    /// The model package; else PILOTIS_MODEL, else the one that ships.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// What convolutions compute in: fp32, fp16, fp8 or int8. The last two need a calibration.
    #[arg(long, default_value_t = Precision::Fp16)]
    precision: Precision,
    /// Cards by compute capability, such as sm_89 for an RTX 4070; several with commas.
    #[arg(long, value_delimiter = ',', value_parser = parse_target, default_value = "sm_89")]
    target: Vec<i32>,
    /// Ranges of the network's tensors, where the package has none or others are wanted.
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
}

impl What {
    /// The network, lowered for the library that is there.
    pub(super) fn lowered(&self) -> Result<(Lowered, &'static Library)> {
        let package = model::load(self.model.as_deref())?;
        let given = self.calibration.as_deref().map(calibration::read).transpose()?;
        let library = Library::open(Flavour::Rtx)?;
        let lowered = Lowered::of(&package, self.precision, &self.target, given.as_ref(), library)
            .with_context(|| format!("no {} network can be made of the model", self.precision))?;
        Ok((lowered, library))
    }
}

#[derive(Serialize)]
struct Built<'a> {
    path: String,
    library: &'a str,
    model: &'a str,
    precision: &'a str,
    targets: &'a [i32],
    is_new: bool,
    build_s: f64,
    plan_bytes: u64,
    plan_sha256: &'a str,
    weights_bytes: u64,
    workspace_bytes: u64,
    n_kernels: usize,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let (lowered, library) = arguments.what.lowered()?;
    let cache = PlanCache::from_env()?;
    let (file, origin) = lowered.plan(library, &cache, arguments.rebuild)?;
    let text = PlanText::of(&file.plan)?;
    if let Some(path) = &arguments.out {
        file.write(path)?;
    }
    let header = &file.header;
    let path = arguments.out.clone().unwrap_or_else(|| cache.path(&header.key));
    let built = Built {
        path: path.display().to_string(),
        library: &header.key.library,
        model: &header.model,
        precision: &header.key.precision,
        targets: &header.key.targets,
        is_new: origin == PlanOrigin::Built,
        build_s: header.build_ms as f64 / 1e3,
        plan_bytes: header.plan_bytes,
        plan_sha256: &header.plan_sha256,
        weights_bytes: text.weights_bytes,
        workspace_bytes: text.workspace_bytes,
        n_kernels: text.layers.len(),
    };
    let mut output = Output::open(arguments.json.as_deref())?;
    output.json(&built)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    output.line(&format!(
        "{}: {} of `{}` for {}, {}",
        built.path,
        built.precision,
        built.model,
        text.cards.join(", "),
        if built.is_new { format!("built in {:.2} s", built.build_s) } else { "kept from before".to_owned() },
    ))?;
    output.line(&format!(
        "  {:.1} MiB plan ({}), {} kernels, {:.1} MiB of weights, {:.1} MiB to work in",
        mib(built.plan_bytes),
        built.library,
        built.n_kernels,
        mib(built.weights_bytes),
        mib(built.workspace_bytes),
    ))?;
    output.line("  built, not run: only a card can load it")?;
    output.flush()?;
    Ok(Outcome::AllDone)
}

/// Reads `sm_89`, or `89`.
fn parse_target(text: &str) -> Result<i32, String> {
    let number = text.strip_prefix("sm_").unwrap_or(text);
    match number.parse() {
        Ok(n @ 50..=999) => Ok(n),
        _ => Err(format!("`{text}` is no compute capability: sm_75, sm_80, sm_86, sm_89, sm_120 or sm_121")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_compute_capabilities() {
        assert_eq!(parse_target("sm_89"), Ok(89));
        assert_eq!(parse_target("120"), Ok(120));
        for bad in ["", "sm_", "sm_8.9", "4070", "-89", "sm89x"] {
            assert!(parse_target(bad).unwrap_err().contains("sm_89"), "{bad}");
        }
    }
}
