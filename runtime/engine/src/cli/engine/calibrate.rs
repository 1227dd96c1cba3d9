//! `pilotis engine calibrate`: the ranges of a network's tensors over clouds.

use super::super::output::{Output, complain};
use super::super::{Outcome, input, model, with_exit_codes};
use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use pilotis_runtime::head::tensorrt::{RangeMeter, calibration};
use pilotis_spec::PointLayout;
use std::path::{Path, PathBuf};

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis engine calibrate --out calibration.toml velodyne
  pilotis engine calibrate --model models/default --threads 2 --out c.toml 000001.bin 000002.bin"
);

/// Measure the ranges that fp8 and int8 scale by, on clouds like those of the vehicle.
///
/// Runs the model in fp32 on the processor and notes the largest magnitude of every tensor. A few dozen varied
/// clouds do; all of them must be of the sensor that the model is for.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Cloud files; a folder stands for its .bin and .pcd files.
    #[arg(required = true, value_name = "FILE|DIR")]
    clouds: Vec<PathBuf>,
    /// The model package; else PILOTIS_MODEL, else the one that ships.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Where the ranges go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Layout of headerless files: kitti, nuscenes, nuscenes-sweeps-f16 or SCALAR:COLUMNS.
    #[arg(long, value_parser = super::super::parse_layout)]
    layout: Option<PointLayout>,
    /// Threads of the network.
    #[arg(long, default_value = "1", value_parser = super::super::parse_threads)]
    threads: usize,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let package = model::load(arguments.model.as_deref())?;
    let clouds = input::expand(&arguments.clouds)?;
    let mut meter = RangeMeter::build(&package, arguments.threads)?;
    let progress = ProgressBar::new(clouds.len() as u64);
    let mut some_failed = false;
    for path in &clouds {
        if let Err(error) =
            add(&mut meter, path, arguments.layout.as_ref(), &package.manifest().points.layout)
        {
            some_failed = true;
            progress.suspend(|| complain(&format!("error: {}", input::describe(&error))));
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let n_frames = meter.n_frames();
    if n_frames == 0 {
        bail!("no cloud could be used");
    }
    let calibration = meter.finish()?;
    let text = calibration::to_toml(&calibration, "largest magnitude", n_frames)?;
    std::fs::write(&arguments.out, text)
        .with_context(|| format!("cannot write `{}`", arguments.out.display()))?;
    let mut output = Output::open(None)?;
    let n_tensors = calibration.amax.len();
    output.line(&format!(
        "{}: ranges of {n_tensors} tensors over {n_frames} clouds",
        arguments.out.display()
    ))?;
    output.flush()?;
    Ok(Outcome::of(some_failed))
}

fn add(meter: &mut RangeMeter, path: &Path, asked: Option<&PointLayout>, model: &PointLayout) -> Result<()> {
    let cloud = input::open(path, asked, Some(model))?;
    let added = meter.add(&cloud.view());
    added.map_err(|e| anyhow::anyhow!("`{}`: {e}", path.display()))
}
