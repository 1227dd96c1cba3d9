//! `pilotis inspect`: what a package or a cloud is, and whether the two fit each other.

use super::output::{Output, complain};
use super::{Outcome, input, model, with_exit_codes};
use anyhow::{Context, Result, anyhow};
use pilotis_runtime::points::{CloudFormat, Comparison, PointsStage};
use pilotis_runtime::{
    BuildErrorKind, CanvasFormat, CloudFile, EngineBuilder, Package, device_memory, golden, package,
};
use pilotis_spec::manifest::DIGESTS_FILE;
use pilotis_spec::{
    EncoderSpec, FieldName, FrameReport, Grid, HeadLayout, Manifest, PillarMode, PillarsSpec, Point,
    PointLayout,
};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis inspect models/default
  pilotis inspect --layout nuscenes sweep.bin
  pilotis inspect --model models/default sweep.pcd && pilotis run sweep.pcd"
);

/// Below this share of points in its range, a model sees next to nothing of a cloud.
const MIN_SHARE_IN_RANGE: f64 = 0.05;
/// An intensity this far beyond the full scale is of another scale.
const FULL_SCALE_SLACK: f32 = 1.05;
/// Coordinates beyond this are counted apart.
const EVERYTHING_M: f32 = 1e6;

/// Tell what a model package or a cloud is, and whether they fit.
///
/// Folders are model packages, files are clouds. A package's golden cloud is run where the
/// network library is installed. With --model, clouds are compared with what the model was
/// trained on; exit code 1 says that something does not fit.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Folders of model packages, and cloud files.
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Compare the clouds with this model package.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Layout of headerless files: kitti, nuscenes, nuscenes-sweeps-f16 or SCALAR:COLUMNS.
    #[arg(long, value_parser = super::parse_layout)]
    layout: Option<PointLayout>,
}

/// Text about one thing, and whether all is well with it.
struct Findings {
    text: String,
    is_well: bool,
}

impl Findings {
    fn new() -> Self {
        Self { text: String::new(), is_well: true }
    }

    /// One line of a name and what is to say of it.
    fn say(&mut self, name: &str, what: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "  {name:14} {what}");
    }

    /// One line on something that does not fit.
    fn object(&mut self, name: &str, what: impl std::fmt::Display) {
        self.is_well = false;
        self.say(name, format_args!("DOES NOT FIT: {what}"));
    }
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let model = arguments.model.as_deref().map(|dir| model::load(Some(dir))).transpose()?;
    let mut output = Output::open(None)?;
    let mut some_failed = false;
    for path in &arguments.paths {
        let findings = if path.is_dir() {
            of_package(path)
        } else {
            of_cloud(path, arguments.layout.as_ref(), model.as_ref().map(Package::manifest))
        };
        match findings {
            Ok(findings) => {
                some_failed |= !findings.is_well;
                output.line(&path.display().to_string())?;
                output.line(&findings.text)?;
            }
            Err(error) => {
                some_failed = true;
                complain(&format!("{}: {}", path.display(), input::describe(&error)));
            }
        }
        output.flush()?;
    }
    Ok(Outcome::of(some_failed))
}

fn of_package(dir: &Path) -> Result<Findings> {
    let package = Package::load(dir)?;
    let mut findings = Findings::new();
    of_manifest(package.manifest(), &mut findings);
    findings.say("package", package.digest());
    let list = package_files(dir)?;
    for (file, digest) in &list {
        let n_bytes = package.file(file).map_or(0, <[u8]>::len);
        findings.say("file", format_args!("{file}: {n_bytes} bytes, SHA-256 {digest}"));
    }
    say_device_memory(package.manifest(), &mut findings);
    check_golden(&package, &mut findings);
    Ok(findings)
}

/// The files that a package lists, which loading has checked.
fn package_files(dir: &Path) -> Result<Vec<(String, String)>> {
    let bytes = std::fs::read(dir.join(DIGESTS_FILE)).context("the package changed meanwhile")?;
    let digests = package::parse_digests(&bytes).map_err(|e| anyhow!(e))?;
    Ok(digests.into_iter().collect())
}

fn of_manifest(manifest: &Manifest, findings: &mut Findings) {
    let Manifest { points, grid, pillars, bev, head, boxes, input_statistics: trained, .. } = manifest;
    findings.say("model", format_args!("{}, schema {}", manifest.name, manifest.schema_version));
    findings.say("made by", &manifest.created_by);
    findings.say("classes", manifest.classes.join(", "));
    findings.say(
        "points",
        format_args!(
            "layout {}, at most {} a frame, intensity 0..{}",
            points.layout, points.max_points, points.intensity_full_scale
        ),
    );
    let ([x0, y0, z0], [x1, y1, z1], [cx, cy]) = (grid.min(), grid.max(), grid.cell());
    findings.say("range", format_args!("x [{x0}, {x1}), y [{y0}, {y1}), z [{z0}, {z1}) m"));
    findings.say("grid", format_args!("{} x {} cells of {cx} x {cy} m", grid.nx(), grid.ny()));
    let PillarsSpec { mode, max_points_per_pillar, max_pillars, .. } = pillars;
    let points_kept = match mode {
        PillarMode::Hard => format!("hard, the first {max_points_per_pillar} points of each"),
        PillarMode::Dynamic => "dynamic, all points of each".to_owned(),
    };
    findings.say("pillars", format_args!("{points_kept}, at most {max_pillars}"));
    let EncoderSpec { recipe, channels } = bev;
    findings.say(
        "encoder",
        format_args!("recipe {}, {} features, channels {channels:?}", name_of(recipe), recipe.n_features()),
    );
    let kind = match head {
        HeadLayout::Anchors(_) => "anchors",
        HeadLayout::Centers(_) => "centres",
    };
    let velocity = if head.has_velocity() { ", with velocity" } else { "" };
    findings.say("head", format_args!("{kind}, stride {}{velocity}", head.stride()));
    findings.say("tensor in", format_args!("canvas [1, {}, {}, {}]", bev.n_channels(), grid.ny(), grid.nx()));
    for tensor in head.tensors(grid) {
        let [k, h, w] = tensor.shape;
        findings.say("tensor out", format_args!("{} [1, {k}, {h}, {w}]", tensor.name));
    }
    findings.say(
        "boxes",
        format_args!(
            "score {} {}, suppression {} above IoU {}, at most {} candidates and {} boxes a scope",
            name_of(&boxes.score_rule),
            boxes.score_threshold,
            name_of(&boxes.nms_scope),
            boxes.nms_iou,
            boxes.max_candidates,
            boxes.max_boxes
        ),
    );
    for (precision, file) in &manifest.networks {
        findings.say("network", format_args!("{precision}: {file}"));
    }
    if trained.n_frames == 0 {
        findings.say("trained on", "unknown: clouds are not compared with the training data");
    } else {
        findings.say(
            "trained on",
            format_args!(
                "{} frames: {:.0} points in range a frame, intensity {:.3} on average and {:.3} at most, mean height {:.2} m, time lag at most {:.3} s",
                trained.n_frames,
                trained.points_per_frame,
                trained.intensity_mean,
                trained.intensity_max,
                trained.z_mean_m,
                trained.time_lag_max_s
            ),
        );
    }
}

/// The name that the manifest uses for a choice.
fn name_of(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().map_or_else(|| "unknown".to_owned(), str::to_owned)
}

/// What a card must hold; planned, not allocated.
fn say_device_memory(manifest: &Manifest, findings: &mut Findings) {
    match device_memory(manifest, CanvasFormat::default(), 0) {
        Ok(memory) => findings.say(
            "on a card",
            format_args!(
                "{:.1} MiB of device memory around the network",
                memory.total_bytes() as f64 / f64::from(1 << 20)
            ),
        ),
        Err(e) => findings.object("on a card", input::describe(&anyhow!(e))),
    }
}

fn check_golden(package: &Package, findings: &mut Findings) {
    let mut engine = match EngineBuilder::new().build(package) {
        Ok(engine) => engine,
        Err(e) if e.kind() == BuildErrorKind::NativePartMissing => {
            findings.say("golden", format_args!("not checked, the network library is missing: {e}"));
            return;
        }
        Err(e) => {
            findings.object("engine", input::describe(&anyhow!(e)));
            return;
        }
    };
    findings
        .say("engine", format_args!("{}; stages on {}", engine.describe_head(), engine.describe_stages()));
    if package.golden().is_none() {
        findings.say("golden", "the package has none, so nothing was compared");
        return;
    }
    match golden::check(package, &mut engine) {
        Ok(m) => findings.say(
            "golden",
            format_args!(
                "agrees: points, pillars and bev to the bit, {} samples of the head within {:.2e}",
                m.n_samples, m.largest_difference
            ),
        ),
        Err(e) => findings.object("golden", input::describe(&anyhow!(e))),
    }
}

fn of_cloud(path: &Path, asked: Option<&PointLayout>, model: Option<&Manifest>) -> Result<Findings> {
    let cloud = input::open(path, asked, model.map(|m| &m.points.layout))?;
    let mut findings = Findings::new();
    findings.say("format", cloud.format());
    findings.say("points", cloud.n_points());
    if let CloudFormat::Bin(layout) = cloud.format() {
        let n_skipped = layout.columns().iter().filter(|c| **c == FieldName::Other).count();
        if n_skipped > 0 {
            findings
                .say("skipped", format_args!("{n_skipped} column(s) that are not read, a ring for instance"));
        }
    }
    let has_lag = cloud.view().has(FieldName::TimeLag);
    if !cloud.view().has(FieldName::Intensity) {
        let text = "none: a PCD needs a field intensity, i or reflectivity, a layout a column intensity";
        match model {
            Some(_) => findings.object("intensity", text),
            None => findings.say("intensity", text),
        }
        return Ok(findings);
    }
    ranges_of(&cloud, has_lag, &mut findings)?;
    if let Some(manifest) = model {
        compare(&cloud, manifest, has_lag, &mut findings)?;
    }
    Ok(findings)
}

/// One value of a point.
type ValueOf = fn(&Point) -> f32;

/// Tells between what each value of a cloud's points lies.
fn ranges_of(cloud: &CloudFile, has_lag: bool, findings: &mut Findings) -> Result<()> {
    let far = EVERYTHING_M;
    let everywhere = Grid::new([-far; 3], [far; 3], [far; 2])?;
    let mut stage = PointsStage::build(cloud.n_points());
    let mut report = FrameReport::default();
    stage.run(&cloud.view(), &everywhere, true, &mut report)?;
    let points = stage.points();
    let between = |value: ValueOf| {
        points.iter().map(value).fold(None, |range: Option<(f32, f32)>, v| {
            Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
        })
    };
    let axes: [(&str, ValueOf); 3] = [("x", |p| p.x), ("y", |p| p.y), ("z", |p| p.z)];
    for (name, value) in axes {
        if let Some((low, high)) = between(value) {
            findings.say(name, format_args!("{low:.2} to {high:.2} m"));
        }
    }
    if let Some((low, high)) = between(|p| p.intensity) {
        let mean = stage.summary().intensity_mean;
        findings.say("intensity", format_args!("{low:.3} to {high:.3}, {mean:.3} on average"));
    }
    if let Some((low, high)) = between(|p| p.time_lag).filter(|_| has_lag) {
        findings.say("time lag", format_args!("{low:.3} to {high:.3} s"));
    }
    findings.say("not finite", format_args!("{} points", report.dropped_nan));
    if report.dropped_out_of_range > 0 {
        findings.say("far away", format_args!("{} points beyond 1000 km", report.dropped_out_of_range));
    }
    Ok(())
}

/// Tells whether a cloud is one for a model.
fn compare(cloud: &CloudFile, manifest: &Manifest, has_lag: bool, findings: &mut Findings) -> Result<()> {
    findings.say("model", &manifest.name);
    if let CloudFormat::Bin(layout) = cloud.format() {
        let wanted = &manifest.points.layout;
        if layout == wanted {
            findings.say("layout", format_args!("{layout}, the model's own"));
        } else {
            findings.say("layout", format_args!("{layout}; the model's files are {wanted}"));
        }
    }
    let mut stage = PointsStage::build(cloud.n_points());
    let mut report = FrameReport::default();
    stage.run(&cloud.view(), &manifest.grid, manifest.bev.recipe.needs_time_lag(), &mut report)?;
    let summary = *stage.summary();
    if report.n_points == 0 {
        findings.object("points", "the cloud is empty");
        return Ok(());
    }
    let share = f64::from(summary.n_points) / f64::from(report.n_points);
    let in_range = format!("{} points, {:.1} %, lie in the model's range", summary.n_points, share * 100.0);
    if share < MIN_SHARE_IN_RANGE {
        findings.object(
            "range",
            format_args!(
                "only {in_range}; is the layout right, are these metres, and does x point forward and z up?"
            ),
        );
    } else {
        findings.say("range", in_range);
    }
    if summary.n_points > manifest.points.max_points {
        let max = manifest.points.max_points;
        findings
            .say("capacity", format_args!("more points than the model's {max}: the last ones are dropped"));
    }
    if manifest.bev.recipe.needs_time_lag() && !has_lag {
        findings.say(
            "time lag",
            "the cloud has none and counts as a single sweep; the model was trained on several",
        );
    }
    let trained = &manifest.input_statistics;
    let comparison = Comparison::of(trained, &summary);
    let full_scale = manifest.points.intensity_full_scale;
    let (mean, trained_mean) = (summary.intensity_mean, trained.intensity_mean);
    if comparison.is_intensity_unlike {
        findings.object(
            "intensity",
            format_args!(
                "{mean:.3} on average, the model was trained on {trained_mean:.3} (full scale {full_scale}): use a model of this sensor, or rescale the cloud"
            ),
        );
    } else if summary.intensity_max > full_scale * FULL_SCALE_SLACK {
        findings.object(
            "intensity",
            format_args!(
                "up to {:.3}, beyond the model's full scale of {full_scale}: rescale the cloud",
                summary.intensity_max
            ),
        );
    } else if trained.n_frames == 0 {
        findings.say("intensity", "nothing to compare: the model does not say what it was trained on");
    } else {
        findings.say(
            "intensity",
            format_args!("{mean:.3} on average, the model was trained on {trained_mean:.3}"),
        );
    }
    let (z, trained_z) = (summary.z_mean_m, trained.z_mean_m);
    if comparison.is_height_unlike {
        findings.object(
            "height",
            format_args!(
                "{z:.2} m on average, the model was trained on {trained_z:.2} m: its sensor sat at another height; move the cloud along z"
            ),
        );
    } else if trained.n_frames > 0 {
        findings
            .say("height", format_args!("{z:.2} m on average, the model was trained on {trained_z:.2} m"));
    }
    let verdict = if findings.is_well { "they fit" } else { "they do not fit, as said above" };
    findings.say("verdict", verdict);
    Ok(())
}
