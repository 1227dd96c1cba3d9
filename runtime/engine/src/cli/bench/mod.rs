//! `pilotis bench`: how long the stages take, on the user's machine and clouds.

mod card;
mod in_flight;

use super::machine::{Machine, peak_memory_bytes};
use super::output::{Output, complain};
use super::placement::Placement;
use super::{Outcome, allocations, input, model, table, with_exit_codes};
use anyhow::{Result, bail};
use card::{CardUse, Watch};
use in_flight::Throughput;
use indicatif::{ProgressBar, ProgressStyle};
use pilotis_runtime::report::latency::{Latency, Percentiles, StagePercentiles};
use pilotis_runtime::{CloudFile, DeviceChoice, OnMismatch};
use pilotis_spec::{PointLayout, StageTimes};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const HELP: &str = with_exit_codes!(
    "Examples:
  pilotis bench --frames 000001.bin
  pilotis bench --frames velodyne --n 500 --threads 2
  pilotis bench --frames velodyne --budget-ms 50
  pilotis bench --frames velodyne --device cuda --in-flight 3
  pilotis bench --frames velodyne --json - | jq .frame.p99_ms

What is measured:
  The clouds are opened before, and read from mapped files in the points stage. Percentiles are
  exact to three digits; least, most and mean are exact. Allocations are those of Rust in the
  thread that runs the frames; the network engine's own come from C and are not among them.
  On a card, stages are timed by events of the device; what is left of a frame's time is the host's
  part. Clocks, power and memory are NVML's, read ten times a second meanwhile."
);

/// Frames between two steps of the progress bar.
const PROGRESS_STEP: usize = 16;

/// Measure how long each stage takes.
///
/// Runs the clouds in turn and tells percentiles a stage and of whole frames, frames a second,
/// peak memory, and what it was measured on.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// Cloud files, or folders whose .bin and .pcd files are taken in order of name.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE|DIR")]
    frames: Vec<PathBuf>,
    /// Folder of the model package [default: PILOTIS_MODEL, else models/default].
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Frames to measure.
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// Frames to run before.
    #[arg(long, value_name = "N", default_value = "10")]
    warm_up: u32,
    #[command(flatten)]
    placement: Placement,
    /// Layout of headerless files: kitti, nuscenes, nuscenes-sweeps-f16 or SCALAR:COLUMNS.
    #[arg(long, value_parser = super::parse_layout)]
    layout: Option<PointLayout>,
    /// Count the frames that took longer than this.
    #[arg(long, value_name = "MS", value_parser = parse_budget)]
    budget_ms: Option<f64>,
    /// Measure throughput as well, with 1 to N engines side by side, each in a thread.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    in_flight: Option<u32>,
    /// Write the results as JSON into a file, or with - to stdout in place of the tables.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Go on with clouds whose intensity is of another scale than the model's.
    #[arg(long)]
    allow_mismatch: bool,
}

/// A count a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Count {
    mean: f64,
    max: u64,
    #[serde(skip)]
    sum: u64,
    #[serde(skip)]
    n: u64,
}

impl Count {
    fn add(&mut self, value: u64) {
        self.sum += value;
        self.n += 1;
        self.max = self.max.max(value);
        self.mean = self.sum as f64 / self.n as f64;
    }
}

/// Frames against a budget of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Deadline {
    budget_ms: f64,
    n_missed: u64,
    share_missed: f64,
}

/// The model, as JSON.
#[derive(Serialize)]
struct ModelJson<'a> {
    name: &'a str,
    digest: &'a str,
}

/// Everything measured, as JSON.
#[derive(Serialize)]
struct Results<'a> {
    stages: StagePercentiles,
    frame: Percentiles,
    host: Percentiles,
    frames_per_second: f64,
    deadline: Option<Deadline>,
    throughput: Vec<Throughput>,
    card: Option<CardUse>,
    n_frames: u64,
    n_failed_frames: u64,
    n_clouds: usize,
    n_failed_clouds: usize,
    points_per_frame: Count,
    points_kept_per_frame: Count,
    pillars_per_frame: Count,
    boxes_per_frame: Count,
    allocations_per_frame: Count,
    peak_memory_bytes: Option<u64>,
    threads: usize,
    model: ModelJson<'a>,
    pilotis: &'static str,
    network_engine: String,
    stages_on: String,
    machine: Machine,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<Outcome> {
    let package = model::load(arguments.model.as_deref())?;
    let policy = if arguments.allow_mismatch { OnMismatch::Flag } else { OnMismatch::Refuse };
    let files = input::expand(&arguments.frames)?;
    let mut clouds: Vec<CloudFile> = Vec::with_capacity(files.len());
    for file in &files {
        let layout = Some(&package.manifest().points.layout);
        match input::open(file, arguments.layout.as_ref(), layout) {
            Ok(cloud) => clouds.push(cloud),
            Err(error) => complain(&format!("{}: {}", file.display(), input::describe(&error))),
        }
    }
    if clouds.is_empty() {
        bail!("none of the {} clouds can be opened, so there is nothing to measure", files.len());
    }
    let mut engine = arguments.placement.build(&package, policy)?;
    let mut output = Output::open(arguments.json.as_deref())?;

    // A failed frame is no shorter frame: it is counted apart, and its first reason is told.
    for cloud in clouds.iter().cycle().take(arguments.warm_up as usize) {
        let _ = engine.infer(&cloud.view());
    }
    let progress = progress_bar(arguments.n);
    // Of two watches only the card's is a thread; it measures nothing that the frames wait for.
    let watch = if arguments.placement.device == DeviceChoice::Cpu { None } else { Watch::start() };
    let (mut latency, mut host, mut n_missed) = (Latency::new(), Latency::new(), 0);
    let mut points = Count::default();
    let (mut kept, mut pillars, mut boxes, mut allocated) = (points, points, points, points);
    let mut time = Duration::ZERO;
    let (mut n_failed, mut first_error) = (0, None);
    for (i, cloud) in clouds.iter().cycle().take(arguments.n as usize).enumerate() {
        let n_before = allocations::n_of_this_thread();
        let start = Instant::now();
        let result = engine.infer(&cloud.view());
        let took = start.elapsed();
        let n_allocations = allocations::n_of_this_thread() - n_before;
        match result {
            Ok(frame) => {
                let report = frame.report;
                time += took;
                latency.record(&report.times);
                host.record(&hosts_part(&report.times));
                n_missed += u64::from(arguments.budget_ms.is_some_and(|b| took.as_secs_f64() * 1e3 > b));
                allocated.add(n_allocations);
                points.add(u64::from(report.n_points));
                kept.add(u64::from(report.n_points_kept));
                pillars.add(u64::from(report.n_pillars));
                boxes.add(u64::from(report.n_boxes));
            }
            Err(error) => {
                n_failed += 1;
                first_error.get_or_insert_with(|| input::explain(error, &engine));
            }
        }
        if i % PROGRESS_STEP == 0 {
            progress.set_position(i as u64);
        }
    }
    progress.finish_and_clear();
    if let Some(error) = &first_error {
        complain(&format!("{n_failed} of {} frames failed; the first one: {error}", arguments.n));
    }
    let card = watch.map(Watch::finish);
    let mut throughput = Vec::new();
    let mut engines = vec![engine];
    for n in 1..=arguments.in_flight.unwrap_or(0) as usize {
        while engines.len() < n {
            engines.push(arguments.placement.build(&package, policy)?);
        }
        throughput.push(in_flight::measure(&mut engines, &clouds, arguments.n as usize)?);
    }
    let engine = &engines[0];
    let seconds = time.as_secs_f64();
    let n_frames = latency.n_frames();
    let results = Results {
        stages: latency.stages(),
        frame: latency.frame(),
        host: host.frame(),
        deadline: arguments.budget_ms.map(|budget_ms| Deadline {
            budget_ms,
            n_missed,
            share_missed: if n_frames > 0 { n_missed as f64 / n_frames as f64 } else { 0.0 },
        }),
        throughput,
        card,
        frames_per_second: if seconds > 0.0 { n_frames as f64 / seconds } else { 0.0 },
        n_frames,
        n_failed_frames: n_failed,
        n_clouds: clouds.len(),
        n_failed_clouds: files.len() - clouds.len(),
        points_per_frame: points,
        points_kept_per_frame: kept,
        pillars_per_frame: pillars,
        boxes_per_frame: boxes,
        allocations_per_frame: allocated,
        peak_memory_bytes: peak_memory_bytes(),
        threads: arguments.placement.threads,
        model: ModelJson { name: &package.manifest().name, digest: package.digest() },
        pilotis: env!("CARGO_PKG_VERSION"),
        network_engine: engine.describe_head(),
        stages_on: engine.describe_stages(),
        machine: Machine::this(),
    };
    output.json(&results)?;
    output.text(&table_of(&results))?;
    output.flush()?;
    Ok(Outcome::of(n_failed > 0 || results.n_failed_clouds > 0))
}

fn table_of(r: &Results<'_>) -> String {
    let unknown = || "unknown".to_owned();
    let mut lines = vec![
        format!("{} frames of {} clouds, {} thread(s) of the network", r.n_frames, r.n_clouds, r.threads),
        table::latency(&r.stages, &r.frame),
        format!(
            "  host's part of a frame: p50 {:.3}, p99 {:.3}, max {:.3} ms",
            r.host.p50_ms, r.host.p99_ms, r.host.max_ms
        ),
        format!("  {:.1} frames a second", r.frames_per_second),
    ];
    if let Some(d) = &r.deadline {
        let percent = d.share_missed * 1e2;
        lines.push(format!("  over the budget of {} ms: {} frames, {percent:.2} %", d.budget_ms, d.n_missed));
    }
    for t in &r.throughput {
        lines.push(format!(
            "  {} in flight: {:.1} frames a second ({} frames, {} failed)",
            t.n_in_flight, t.frames_per_second, t.n_frames, t.n_failed
        ));
    }
    lines.extend(r.card.iter().flat_map(CardUse::lines));
    for (what, count) in [
        ("points", &r.points_per_frame),
        ("points kept", &r.points_kept_per_frame),
        ("pillars", &r.pillars_per_frame),
        ("boxes", &r.boxes_per_frame),
        ("Rust allocations", &r.allocations_per_frame),
    ] {
        lines.push(format!("  {what} a frame: {:.1} on average, {} at most", count.mean, count.max));
    }
    let peak =
        r.peak_memory_bytes.map_or_else(unknown, |b| format!("{:.1} MiB", b as f64 / f64::from(1 << 20)));
    lines.push(format!("  peak memory: {peak}"));
    if r.n_failed_frames + r.n_failed_clouds as u64 > 0 {
        lines.push(format!("  failed: {} frames, {} clouds", r.n_failed_frames, r.n_failed_clouds));
    }
    lines.push(format!("  model: {}, {}", r.model.name, r.model.digest));
    lines.push(format!("  pilotis {}, {}, stages on {}", r.pilotis, r.network_engine, r.stages_on));
    let m = &r.machine;
    lines.push(format!(
        "  {}, {} cores, {}, kernel {}\n",
        m.cpu.clone().unwrap_or_else(unknown),
        m.n_cores,
        m.architecture,
        m.kernel.clone().unwrap_or_else(unknown)
    ));
    lines.join("\n")
}

/// What a frame took that no stage accounts for.
fn hosts_part(times: &StageTimes) -> StageTimes {
    let stages = [times.points_ns, times.pillars_ns, times.bev_ns, times.head_ns, times.boxes_ns];
    let frame_ns = times.frame_ns.saturating_sub(stages.iter().sum());
    StageTimes { frame_ns, ..StageTimes::default() }
}

/// Reads `--budget-ms`.
fn parse_budget(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ms) if ms > 0.0 && ms.is_finite() => Ok(ms),
        _ => Err("a number of milliseconds above 0 is needed".to_owned()),
    }
}

/// A bar on stderr, where that is a terminal.
fn progress_bar(n: u32) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(n));
    match ProgressStyle::with_template("measuring {bar:40} {pos}/{len} frames, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_mean_and_a_most_and_are_never_nan() {
        let mut count = Count::default();
        assert_eq!(serde_json::to_string(&count).unwrap(), r#"{"mean":0.0,"max":0}"#);
        for n in [1, 5, 3] {
            count.add(n);
        }
        assert_eq!(serde_json::to_string(&count).unwrap(), r#"{"mean":3.0,"max":5}"#);
    }
}
