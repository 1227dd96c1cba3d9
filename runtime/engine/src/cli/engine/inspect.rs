//! `pilotis engine inspect`: what a plan computes, in what types, and what it moves.

use super::super::output::Output;
use super::super::{Outcome, with_exit_codes};
use super::build::What;
use anyhow::{Context, Result, bail};
use pilotis_runtime::device::cuda::Device;
use pilotis_runtime::device::trt::{Engine, Flavour, Library};
use pilotis_runtime::head::tensorrt::roofline::{self, Bound, CARDS, Card, LAUNCH_GAP_US};
use pilotis_runtime::head::tensorrt::text::{Layer, Operand};
use pilotis_runtime::head::tensorrt::{PlanCache, PlanFile, PlanHeader, PlanText};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis engine inspect street.plan
  pilotis engine inspect --precision fp16 --target sm_89
  pilotis engine inspect --roofline street.plan
  pilotis engine inspect --on-card street.plan
  pilotis engine inspect --json - street.plan"
);

/// Tell what a plan computes: kernels, types, fusions, weights and memory. No card is needed.
///
/// A plan is named by its file, or by what it is of and for where `engine build` has kept it. What is told is
/// read in the plan's own text; which kernels the library chooses for a card, --on-card tells on a machine with one.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The plan; else the kept one of --model, --precision and --target.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    what: What,
    /// What an RTX 4070 cannot do faster, kernel by kernel: computed from the plan, not measured.
    #[arg(long)]
    roofline: bool,
    /// Load the plan onto the card of this machine, and print what the library's own inspector says.
    #[arg(long)]
    on_card: bool,
    /// One line of JSON: to a file, or with - to stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Inspection<'a> {
    #[serde(flatten)]
    header: &'a PlanHeader,
    #[serde(flatten)]
    text: &'a PlanText,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let file = match &arguments.file {
        Some(path) => PlanFile::read(path)?,
        None => {
            let (lowered, _) = arguments.what.lowered()?;
            let Some(file) = PlanCache::from_env()?.get(&lowered.key) else {
                bail!("there is no such plan; `pilotis engine build` with the same options makes it");
            };
            file
        }
    };
    if arguments.on_card {
        let mut output = Output::open(None)?;
        output.line(&inspector(&file.plan)?)?;
        output.flush()?;
        return Ok(Outcome::AllDone);
    }
    let text = PlanText::of(&file.plan).context("the plan cannot be read without a card")?;
    let mut output = Output::open(arguments.json.as_deref())?;
    output.json(&Inspection { header: &file.header, text: &text })?;
    output.text(&for_people(&file.header, &text))?;
    if arguments.roofline {
        for card in &CARDS {
            output.text(&bounds_for_people(card, &roofline::bounds(&text, card)))?;
        }
    }
    output.flush()?;
    Ok(Outcome::AllDone)
}

/// What the library's inspector says, as JSON: the kernels that it chose for the card.
fn inspector(plan: &[u8]) -> Result<String> {
    let device = Device::open_first()?;
    let mut engine = Engine::load(Library::open(Flavour::Rtx)?, &device, plan)?;
    Ok(engine.inspect()?.to_owned())
}

fn for_people(header: &PlanHeader, text: &PlanText) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "{} of `{}` for {}, by {}\n  plan {:.1} MiB ({}), weights {:.1} MiB, works in {:.1} MiB; {} streams, {}",
        header.key.precision,
        header.model,
        text.cards.join(", "),
        header.key.library,
        mib(header.plan_bytes),
        &header.plan_sha256[..12],
        mib(text.weights_bytes),
        mib(text.workspace_bytes),
        text.n_streams,
        if text.is_capturable { "can be captured into a graph" } else { "cannot be captured into a graph" },
    );
    let _ = writeln!(out, "  {:4} {:40} {:>10}  operands", "", "kernel", "moves MiB");
    for (idx, layer) in text.layers.iter().enumerate() {
        let _ = writeln!(
            out,
            "  {idx:4} {:40} {:>10.2}  {}",
            title(layer),
            mib(layer.traffic_bytes()),
            operands(layer)
        );
    }
    let total: u64 = text.layers.iter().map(Layer::traffic_bytes).sum();
    let _ = writeln!(out, "  {:4} {:40} {:>10.2}", "", "all", mib(total));
    let higher = fallbacks(&header.key.precision, text);
    if higher.is_empty() {
        let _ = writeln!(out, "  every convolution computes in {}", header.key.precision);
    } else {
        let _ = writeln!(out, "  in a higher precision than {}: {}", header.key.precision, higher.join(", "));
    }
    out
}

/// The longest kernels, and the whole.
fn bounds_for_people(card: &Card, bounds: &[Bound]) -> String {
    const N_SHOWN: usize = 8;
    let mut out = format!(
        "computed bound on {}: {} multiprocessors at {} GHz, {} GB/s; sums of f32 (i32 in int8), {LAUNCH_GAP_US} us between kernels\n",
        card.name, card.n_multiprocessors, card.clock_ghz, card.memory_gb_per_s
    );
    let mut longest: Vec<&Bound> = bounds.iter().collect();
    longest.sort_by(|a, b| b.us().total_cmp(&a.us()));
    for bound in longest.iter().take(N_SHOWN) {
        let _ = writeln!(
            out,
            "  {:60} {:>8.1} us ({:.1} memory, {:.1} multiplications)",
            bound.kernel,
            bound.us(),
            bound.memory_us,
            bound.compute_us
        );
    }
    let ms = roofline::total_us(bounds) / 1e3;
    let _ = writeln!(out, "  at least {ms:.3} ms for the network, in {} kernels; not measured", bounds.len());
    out
}

/// What a kernel is, and what is fused into it.
fn title(layer: &Layer) -> String {
    let mut title = layer.name.clone();
    if layer.has_bias {
        title.push_str(" +bias");
    }
    if layer.has_relu {
        title.push_str(" +relu");
    }
    title
}

fn operands(layer: &Layer) -> String {
    let list =
        |operands: &mut dyn Iterator<Item = &Operand>| operands.map(operand).collect::<Vec<_>>().join(" ");
    let reads = list(&mut layer.inputs.iter().filter(|o| !o.is_constant));
    format!("{reads} -> {}", list(&mut layer.outputs.iter()))
}

fn operand(operand: &Operand) -> String {
    let dims: Vec<String> = operand.dims.iter().map(u64::to_string).collect();
    format!("{}[{}]", operand.element, dims.join("x"))
}

/// Convolutions that compute in something wider than was asked for.
fn fallbacks(precision: &str, text: &PlanText) -> Vec<String> {
    let asked = match precision {
        "fp32" => "float",
        "fp16" => "half",
        "fp8" => "fp8_e4m3",
        other => other,
    };
    let wider = text.layers.iter().filter_map(|layer| {
        let element = layer.computes_in().filter(|e| *e != asked)?;
        Some(format!("{} ({element})", layer.name))
    });
    wider.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_in_a_higher_precision_are_listed() {
        let layer = |kind: &str, name: &str, element: &str| {
            let operand = Operand { element: element.to_owned(), ..Operand::default() };
            Layer { kind: kind.to_owned(), name: name.to_owned(), inputs: vec![operand], ..Layer::default() }
        };
        let text = PlanText {
            layers: vec![
                layer("convolution", "first", "half"),
                layer("convolution", "low", "int8"),
                layer("deconvolution", "up", "half"),
                layer("function", "cast", "float"),
            ],
            ..PlanText::default()
        };
        assert_eq!(fallbacks("int8", &text), ["first (half)", "up (half)"]);
        assert_eq!(fallbacks("fp16", &text), ["low (int8)"]);
        assert_eq!(fallbacks("fp8", &text).len(), 3);
        let uniform = PlanText { layers: vec![layer("convolution", "a", "float")], ..PlanText::default() };
        assert!(fallbacks("fp32", &uniform).is_empty());
    }
}
