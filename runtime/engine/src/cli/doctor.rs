//! `pilotis doctor`: what this machine has, what Pilotis would use of it, and what is missing.

use super::Outcome;
use super::output::Output;
use super::survey::{Card, Survey};
use super::with_exit_codes;
use anyhow::Result;
use std::fmt::{Display, Write};
use std::path::PathBuf;

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis doctor
  pilotis doctor --json - | jq .missing

Code 1 says that no frame can be run on this machine: the network library is missing, or an
emulator was asked for that cannot be used. A card is not needed."
);

const GIB: f64 = (1_u64 << 30) as f64;
const MIB: f64 = (1_u64 << 20) as f64;

/// Tell what this machine has, what Pilotis would use, and what is missing.
///
/// Looks at the processor, the NVIDIA driver and its cards, and the libraries that run networks.
/// Changes nothing and fetches nothing.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Write the findings as JSON into a file, or with - to stdout in place of the text.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let mut output = Output::open(arguments.json.as_deref())?;
    let survey = Survey::of_this_machine();
    output.text(&text_of(&survey))?;
    output.json(&survey)?;
    output.flush()?;
    Ok(Outcome::of(!survey.can_run))
}

/// Lines of names and what is to say of them, under headings.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, heading: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "{heading}");
    }

    fn say(&mut self, name: &str, what: impl Display) {
        let _ = writeln!(self.0, "  {name:14} {what}");
    }
}

fn text_of(survey: &Survey) -> String {
    let mut text = Text::default();
    text.head("This machine has");
    let machine = &survey.machine;
    let cpu = machine.cpu.as_deref().unwrap_or("unknown");
    text.say("processor", format_args!("{cpu}, {} cores, {}", machine.n_cores, machine.architecture));
    text.say("instructions", format_args!("{} for the encoder of pillars", survey.encoder_isa));
    say_cuda(survey, &mut text);
    match (&survey.onnxruntime.path, &survey.onnxruntime.version) {
        (Some(path), Some(version)) => text.say("ONNX Runtime", format_args!("{version}, {path}")),
        (Some(path), None) => text.say("ONNX Runtime", format_args!("{path}, which cannot be used")),
        (None, _) => text.say("ONNX Runtime", "none"),
    }
    match survey.tensorrt.split_first() {
        None => text.say("TensorRT", "none; this version does not use it"),
        Some((first, others)) => {
            text.say("TensorRT", format_args!("{first}; this version does not use it"));
            for other in others {
                text.say("", other);
            }
        }
    }

    text.head("Pilotis would use");
    text.say("--device auto", survey.uses.device.as_deref().unwrap_or("nothing, see below"));
    text.say("network", survey.uses.network.as_deref().unwrap_or("nothing, see below"));

    text.head(if survey.missing.is_empty() { "Nothing is missing" } else { "What is missing" });
    for missing in &survey.missing {
        let need = if missing.is_needed { "needed" } else { "optional" };
        text.say(need, format_args!("{}: {}", missing.what, missing.what_to_do));
    }
    let verdict = if survey.can_run {
        "Frames can be run on this machine."
    } else {
        "No frame can be run on this machine."
    };
    text.head(verdict);
    text.0
}

fn say_cuda(survey: &Survey, text: &mut Text) {
    let cuda = &survey.cuda;
    let Some(version) = &cuda.version else {
        text.say("NVIDIA driver", "none that can be used");
        return;
    };
    if cuda.is_emulated {
        text.say("CUDA emulator", format_args!("CUDA {version}; for tests, its times mean nothing"));
    } else {
        let driver = cuda.driver.as_deref().unwrap_or("of unknown version");
        let needs = &cuda.needs_version;
        text.say("NVIDIA driver", format_args!("{driver}, CUDA {version} (needed: {needs} or later)"));
        text.say("NVML", if cuda.has_nvml { "there" } else { "none" });
    }
    for card in &cuda.devices {
        say_card(card, &cuda.needs_compute, text);
    }
}

fn say_card(card: &Card, needs_compute: &str, text: &mut Text) {
    let name = format!("device {}", card.ordinal);
    text.say(&name, &card.name);
    text.say("", format_args!("compute capability {} (needed: {needs_compute} or later)", card.compute));
    let total = card.memory_bytes as f64 / GIB;
    let free = card.free_bytes.map_or("unknown".to_owned(), |n| format!("{:.1} GiB", n as f64 / GIB));
    let rate = card.memory_bytes_per_s as f64 / 1e9;
    text.say("", format_args!("memory {total:.1} GiB, {free} free, {rate:.0} GB/s by its clock"));
    let l2 = card.l2_bytes as f64 / MIB;
    text.say("", format_args!("{} multiprocessors, {l2:.0} MiB of L2 cache", card.n_multiprocessors));
    if let (Some(clock), Some(power), Some(heat)) = (card.clock_mhz, card.power_w, card.temperature_c) {
        text.say("", format_args!("now at {clock} MHz, {power:.0} W, {heat} C"));
    }
    if let Some(problem) = &card.problem {
        text.say("", format_args!("cannot be used: {problem}"));
    }
}
