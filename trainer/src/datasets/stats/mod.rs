//! Statistics: how two datasets differ, so that the realism of simulated sweeps is a figure.
//!
//! `pilotis-trainer dataset stats DIR --against DIR --out FOLDER` reads frames of both, counts ([`collect`]),
//! compares ([`compare`]) and writes `report.md`, `stats.json` and plots. It understands ([`source`]) KITTI's
//! layout, nuScenes' tables and single frames. What cannot be told from the frames at hand is marked, not guessed.
//!
//! **Like with like**: where one side is only what a camera sees, the other is cropped to that as well. Returns
//! of the own car are left out, as nuScenes' devkit leaves them out. Points per box are counted here for every
//! source, whatever its labels state.
//!
//! **Determinism**: the same files for any number of threads.

pub mod collect;
pub mod compare;
mod plots;
mod report;
pub mod rings;
pub mod source;
pub mod summary;
#[cfg(test)]
mod tests;

use anyhow::{Context, bail, ensure};
use collect::collect;
use compare::Comparison;
use rings::Sensor;
use source::{Kind, Source, View};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Options of `pilotis-trainer dataset stats`.
#[derive(Clone, Debug, clap::Args)]
pub struct StatsArgs {
    /// Folder of the dataset: KITTI's layout, nuScenes' tables, or a `*.pcd.bin` with a `boxes.json`
    pub dataset: PathBuf,
    /// Folder of the dataset to compare with, usually the real one
    #[arg(long)]
    pub against: Option<PathBuf>,
    /// Split: a file of `ImageSets` (KITTI; `all` if not given), a key of `splits.json` (nuScenes; every scene)
    #[arg(long)]
    pub split: Option<String>,
    /// Split of the dataset to compare with
    #[arg(long)]
    pub against_split: Option<String>,
    /// Frames to read of each, evenly spread; all if not given
    #[arg(long)]
    pub frames: Option<usize>,
    /// How much of a turn to look at
    #[arg(long, value_enum, default_value_t = ViewChoice::Auto)]
    pub view: ViewChoice,
    /// Layout of the dataset, if the folder does not show it
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Layout of the dataset to compare with
    #[arg(long, value_enum)]
    pub against_kind: Option<Kind>,
    /// Scanner of both; `hdl64e` for KITTI and `hdl32e` for nuScenes if not given
    #[arg(long, value_enum)]
    pub sensor: Option<Sensor>,
    /// Folder for `report.md`, `stats.json` and the plots
    #[arg(long)]
    pub out: PathBuf,
    /// Also write the figures here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// How the view is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ViewChoice {
    /// Full turns where both sides have them, labelled all around; else what the camera sees
    Auto,
    /// Full turns; frames without one are left out
    Whole,
    /// What KITTI's camera 2 sees
    Camera,
}

/// Runs `pilotis-trainer dataset stats`.
pub fn run(args: &StatsArgs) -> anyhow::Result<()> {
    let comparison = compare(args)?;
    fs::create_dir_all(&args.out).with_context(|| format!("cannot create `{}`", args.out.display()))?;
    let json = format!("{}\n", serde_json::to_string_pretty(&comparison)?);
    write(&args.out.join("stats.json"), &json)?;
    if let Some(path) = &args.json {
        write(path, &json)?;
    }
    let plots = plots::draw(&comparison);
    for plot in &plots {
        write(&args.out.join(&plot.file), &plot.svg)?;
    }
    write(&args.out.join("report.md"), &report::markdown(&comparison, &plots))?;
    writeln!(std::io::stdout().lock(), "{}", report::text(&comparison))?;
    tracing::info!(out = %args.out.display(), "report.md, stats.json and {} plots written", plots.len());
    Ok(())
}

/// Opens, counts and compares what the options say.
///
/// **Errors**: no frames asked for, and those of the sources.
pub fn compare(args: &StatsArgs) -> anyhow::Result<Comparison> {
    ensure!(args.frames != Some(0), "--frames 0: there is nothing to count");
    if args.against.is_none() && (args.against_split.is_some() || args.against_kind.is_some()) {
        bail!("`--against-split` and `--against-kind` need `--against`");
    }
    let mut first = Source::open(&args.dataset, args.kind, args.split.as_deref(), args.sensor)?;
    let mut second = match &args.against {
        None => None,
        Some(folder) => {
            Some(Source::open(folder, args.against_kind, args.against_split.as_deref(), args.sensor)?)
        }
    };
    if let Some(second) = &mut second
        && second.name == first.name
    {
        first.name.push_str(" (1)");
        second.name.push_str(" (2)");
    }
    let mut notes = Vec::new();
    let view = choose_view(args.view, &mut first, second.as_mut(), &mut notes)?;
    let camera = match (view, &second) {
        (View::Whole, _) => None,
        (View::Camera, None) => first.camera()?,
        (View::Camera, Some(second)) => first.camera()?.map_or_else(|| second.camera(), |c| Ok(Some(c)))?,
    };
    if view == View::Camera && camera.is_none() {
        bail!("`--view camera` needs a dataset in KITTI's layout, whose camera it is");
    }
    let n_frames = args.frames.unwrap_or(usize::MAX);
    let of_first = collect(&first, view, camera.as_ref(), n_frames)?;
    let of_second = match &second {
        None => None,
        Some(second) => Some(collect(second, view, camera.as_ref(), n_frames)?),
    };
    for stats in [Some(&of_first), of_second.as_ref()].into_iter().flatten() {
        let unknown = stats.frames.iter().filter(|f| f.rings.is_none()).count();
        if unknown > 0 {
            notes.push(format!("{}: rings of {unknown} frames are unknown and left out.", stats.name));
        }
    }
    Ok(Comparison::of(view, notes, &of_first, of_second.as_ref()))
}

/// The view for both, and what has to be said about it.
fn choose_view(
    choice: ViewChoice,
    first: &mut Source,
    second: Option<&mut Source>,
    notes: &mut Vec<String>,
) -> anyhow::Result<View> {
    let all_whole = first.is_whole() && second.as_ref().is_none_or(|s| s.is_whole());
    match choice {
        ViewChoice::Camera => {}
        ViewChoice::Auto if !all_whole => {
            notes.push(
                "Not every frame is a full turn with labels all around, so all are what the camera sees."
                    .to_owned(),
            );
        }
        ViewChoice::Auto => return Ok(View::Whole),
        ViewChoice::Whole => {
            for source in [Some(first), second].into_iter().flatten() {
                if !source.is_whole() {
                    notes.push(format!(
                        "{}: objects are labelled where the camera sees them, not all around.",
                        source.name
                    ));
                }
                let n_left_out = source.keep_whole()?;
                if n_left_out > 0 {
                    notes.push(format!("{}: {n_left_out} frames without a full turn left out.", source.name));
                }
            }
            return Ok(View::Whole);
        }
    }
    Ok(View::Camera)
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}
