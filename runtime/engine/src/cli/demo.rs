//! `pilotis demo`: the shipped model on shipped clouds, with pictures.

use super::output::{Output, PictureNames, complain, make_dir};
use super::placement::Placement;
use super::run::{draw, frame_of};
use super::{Outcome, input, model, table, with_exit_codes};
use anyhow::{Result, anyhow};
use pilotis_runtime::OnMismatch;
use pilotis_runtime::report::latency::Latency;
use std::path::PathBuf;

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis demo
  pilotis demo --out pictures --threads 2
  pilotis demo --frames my-clouds --model my-model

The last line says where the pictures are: `pictures: DIR`."
);

/// Sample clouds of the source tree.
const SAMPLES: &str = "tests/data/simulated";
/// Runs of every cloud; the first one is shown, all of them are timed.
const N_RUNS: usize = 10;
/// Boxes below this score are left out, for the reader's sake; `pilotis run` shows them all.
const MIN_SCORE: f32 = 0.3;

/// Run the shipped model on shipped simulated clouds, and draw what it finds.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Folder for the pictures [default: pilotis-demo in the system's folder for temporary files].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads of the network.
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::parse_threads)]
    threads: usize,
    /// Clouds to run: a folder in place of the shipped ones.
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// Folder of the model package [default: PILOTIS_MODEL, else models/default].
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let package = model::load(arguments.model.as_deref())?;
    let samples = || {
        let places = model::places_of(SAMPLES);
        places.into_iter().find(|p| p.is_dir()).ok_or_else(|| {
            anyhow!("the sample clouds of {SAMPLES} are not here: name others with --frames DIR")
        })
    };
    let folder = arguments.frames.clone().map_or_else(samples, Ok)?;
    let files = input::expand(&[folder])?;
    let out = arguments.out.clone().unwrap_or_else(|| std::env::temp_dir().join("pilotis-demo"));
    make_dir(&out)?;
    let mut engine = Placement::on_cpu(arguments.threads).build(&package, OnMismatch::Refuse)?;
    let mut output = Output::open(None)?;
    let manifest = package.manifest();
    output.line(&format!(
        "model {}: {}; {}, {} thread(s); boxes that score at least {MIN_SCORE}\n",
        manifest.name,
        manifest.classes.join(", "),
        engine.describe_head(),
        arguments.threads
    ))?;

    let mut latency = Latency::new();
    let mut names = PictureNames::default();
    let mut some_failed = false;
    for path in &files {
        for i in 0..N_RUNS {
            match frame_of(&mut engine, manifest, path, None, MIN_SCORE) {
                Ok(done) if i == 0 => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    draw(&mut engine, &done, &name, &names.of(&out, path))?;
                    output.line(&table::frame(&done.json, &done.report))?;
                }
                // The first run reads the file from disk and touches fresh memory: not timed.
                Ok(done) => latency.record(&done.report.times),
                Err(error) => {
                    some_failed = true;
                    complain(&format!("{}: {}", path.display(), input::describe(&error)));
                    break;
                }
            }
        }
    }
    output.line(&format!("times of {} frames", latency.n_frames()))?;
    output.line(&table::latency(&latency.stages(), &latency.frame()))?;
    output.line(&format!("pictures: {}", out.display()))?;
    output.flush()?;
    Ok(Outcome::of(some_failed))
}
