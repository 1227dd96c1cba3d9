//! `pilotis run`: boxes of cloud files.

use super::output::{Output, PictureNames, complain, make_dir};
use super::placement::Placement;
use super::{Outcome, input, model, table, with_exit_codes};
use anyhow::{Context, Result, anyhow};
use pilotis_runtime::report::picture::{Picture, Scene};
use pilotis_runtime::report::{FailureJson, FrameJson, ms};
use pilotis_runtime::{Engine, OnMismatch};
use pilotis_spec::{Detection, FrameReport, Manifest, PointLayout};
use std::path::{Path, PathBuf};

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis run 000001.bin 000002.bin
  pilotis run --model models/default --json boxes.jsonl --image pictures *.bin
  pilotis run --json - --min-score 0.5 sweep.pcd | jq .boxes
  pilotis run --layout f32:x,y,z,intensity,_ sweep.bin

JSON Lines:
  One object an input, in the order given:
  {\"file\": .., \"boxes\": [{\"class\", \"score\", \"center\": [x,y,z], \"size\": [l,w,h], \"yaw\"}],
  \"report\": {..}}, with \"velocity\": [vx,vy] where the model has it.
  An input that failed has {\"file\": .., \"error\": ..} in its place."
);

/// Detect the objects of cloud files, one frame a file.
///
/// Prints a table a frame. Headerless files are read in the model's layout, .pcd.bin files in
/// nuScenes', unless --layout says otherwise; .pcd files say themselves what they hold.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Cloud files, in the order of the results.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder of the model package [default: PILOTIS_MODEL, else models/default].
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Layout of headerless files: kitti, nuscenes, nuscenes-sweeps-f16 or SCALAR:COLUMNS.
    #[arg(long, value_parser = super::parse_layout)]
    layout: Option<PointLayout>,
    #[command(flatten)]
    placement: Placement,
    /// Write JSON Lines into a file, or with - to stdout in place of the tables.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Write a bird's-eye picture of every frame into a folder, which is made if need be.
    #[arg(long, value_name = "DIR")]
    image: Option<PathBuf>,
    /// Go on with clouds whose intensity is of another scale than the model's; a flag says so.
    #[arg(long)]
    allow_mismatch: bool,
    /// Leave out boxes with a lower score; the model's own threshold applies before.
    #[arg(long, value_name = "S", default_value = "0", value_parser = super::parse_score)]
    min_score: f32,
}

/// One frame that was done.
pub(super) struct Done {
    pub(super) json: FrameJson,
    pub(super) report: FrameReport,
    pub(super) detections: Vec<Detection>,
}

/// Runs one file.
///
/// **Errors**: for people, with what to do.
pub(super) fn frame_of(
    engine: &mut Engine,
    manifest: &Manifest,
    path: &Path,
    layout: Option<&PointLayout>,
    min_score: f32,
) -> Result<Done> {
    let cloud = input::open(path, layout, Some(&manifest.points.layout))?;
    let result = engine.infer(&cloud.view()).map(|frame| Done {
        json: FrameJson::of(&path.to_string_lossy(), &frame, manifest, min_score),
        report: frame.report,
        detections: frame.detections.iter().filter(|d| d.score >= min_score).copied().collect(),
    });
    result.map_err(|e| anyhow!(input::explain(e, engine)))
}

/// Draws the last frame of an engine into a file.
///
/// **Errors**: a file that cannot be written.
pub(super) fn draw(engine: &mut Engine, done: &Done, name: &str, to: &Path) -> Result<()> {
    let manifest = engine.manifest().clone();
    let last = engine.last_frame().map_err(|e| anyhow!("{e}"))?;
    let picture = Picture::of(&Scene {
        name,
        grid: &manifest.grid,
        points: last.points,
        classes: &manifest.classes,
        detections: &done.detections,
        frame_ms: Some(ms(done.report.times.frame_ns)),
    });
    let png = picture.to_png().context("cannot encode a picture")?;
    std::fs::write(to, png).with_context(|| format!("cannot write `{}`", to.display()))
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let package = model::load(arguments.model.as_deref())?;
    let policy = if arguments.allow_mismatch { OnMismatch::Flag } else { OnMismatch::Refuse };
    let mut engine = arguments.placement.build(&package, policy)?;
    let mut output = Output::open(arguments.json.as_deref())?;
    if let Some(dir) = &arguments.image {
        make_dir(dir)?;
    }
    let mut names = PictureNames::default();
    let mut some_failed = false;
    for path in &arguments.files {
        match frame_of(&mut engine, package.manifest(), path, arguments.layout.as_ref(), arguments.min_score)
        {
            Ok(done) => {
                output.json(&done.json)?;
                output.text(&table::frame(&done.json, &done.report))?;
                if let Some(dir) = &arguments.image {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    draw(&mut engine, &done, &name, &names.of(dir, path))?;
                }
            }
            Err(error) => {
                some_failed = true;
                let (file, error) = (path.to_string_lossy().into_owned(), input::describe(&error));
                complain(&format!("{file}: {error}"));
                output.json(&FailureJson { file, error })?;
            }
        }
        output.flush()?;
    }
    Ok(Outcome::of(some_failed))
}
