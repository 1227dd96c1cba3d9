//! Frames: graphs against plain launches, memory, and the long run.

use crate::network::{Stopped, Subject, canvas_format};
use crate::report::Section;
use pilotis_runtime::device::cuda::nvml;
use pilotis_runtime::head::tensorrt::Precision;
use pilotis_runtime::report::latency::{Latency, Percentiles};
use pilotis_runtime::{CloudFile, Engine, device_memory};
use pilotis_spec::{Detection, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// Frames that are compared between a graph and plain launches.
const N_COMPARED: usize = 200;
/// A step of the clock and power readings.
const READING_STEP: usize = 250;

/// Everything of a frame's boxes, in bits.
fn bits(detections: &[Detection]) -> Vec<u32> {
    let of = |d: &Detection| {
        let b = &d.bbox;
        let numbers = [b.center.as_slice(), &b.size, &d.velocity, &[b.yaw, d.score]].concat();
        numbers.into_iter().map(f32::to_bits).chain([d.class_idx]).collect::<Vec<_>>()
    };
    detections.iter().flat_map(of).collect()
}

fn answer(engine: &mut Engine, cloud: &CloudFile) -> Result<Vec<u32>, Stopped> {
    Ok(engine.infer(&cloud.view()).map(|frame| bits(frame.detections)).map_err(|e| e.to_string())?)
}

pub(crate) fn graph_equals_plain(subject: &Subject, section: &mut Section) -> Result<(), Stopped> {
    let n = if subject.is_emulated() { subject.n_frames() } else { N_COMPARED };
    let mut graph = subject.on_card(Precision::Fp16, true, 0)?;
    let mut plain = subject.on_card(Precision::Fp16, false, 0)?;
    // Plain launches against plain launches would show nothing.
    let said = graph.describe_stages();
    section.require(said.ends_with("one graph a frame"), format!("one engine: {said}"));
    let said = plain.describe_stages();
    section.require(said.ends_with("plain launches, as asked for"), format!("the other: {said}"));
    let (mut n_equal, mut n_boxes) = (0, 0);
    for i in 0..n {
        // Not in turn: what an earlier frame left would show.
        let cloud = &subject.clouds[i * i % subject.clouds.len()];
        let (of_graph, of_plain) = (answer(&mut graph, cloud)?, answer(&mut plain, cloud)?);
        n_equal += usize::from(of_graph == of_plain);
        n_boxes += usize::from(!of_graph.is_empty());
    }
    section.require(n_equal == n, format!("{n_equal} of {n} frames have equal bits"));
    section.require(n_boxes > 0, format!("{n_boxes} of them have boxes"));
    Ok(())
}

pub(crate) fn memory(subject: &Subject, section: &mut Section) -> Result<(), Stopped> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let planned = device_memory(subject.package.manifest(), canvas_format(Precision::Fp16), 0)?;
    section.say(format!("around the network {:.1} MiB are planned", mib(planned.total_bytes())));
    // What NVML says of this process alone is better than what all processes have left, and is not always told.
    let own = || nvml::surroundings(subject.device.info()).own_memory_bytes;
    let free = || subject.device.memory().map(|m| m.free_bytes);
    let (free_before, own_before) = (free()?, own());
    let engine = subject.on_card(Precision::Fp16, true, 0)?;
    let (free_after, own_after) = (free()?, own());
    drop(engine);
    if subject.is_emulated() {
        section.skip("the emulator's free memory is always the same");
        return Ok(());
    }
    let (taken, by) = match (own_before, own_after) {
        (Some(before), Some(after)) if after > 0 => (after.saturating_sub(before), "of this process by NVML"),
        _ => (
            free_before.saturating_sub(free_after),
            "of the card's free memory, in which other processes stir",
        ),
    };
    let taken_mib = mib(taken);
    section.say(format!("the engine takes {taken_mib:.1} MiB {by}, the library's own included"));
    section.require(taken > 0, "memory that was taken was seen to be taken");
    section.require(taken <= 1 << 30, format!("{taken_mib:.1} MiB are at most 1024"));
    Ok(())
}

pub(crate) fn long_run(
    subject: &Subject,
    precision: Precision,
    section: &mut Section,
) -> Result<(), Stopped> {
    let mut engine = subject.on_card(precision, true, 0)?;
    section.say(format!("{} on {}", engine.describe_head(), engine.describe_stages()));
    let mut first: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let (mut latency, mut n_failed, mut n_different) = (Latency::new(), 0, 0);
    let (mut readings, mut held_down_by) = (Vec::new(), BTreeSet::new());
    for i in 0..subject.n_frames() {
        let idx = i % subject.clouds.len();
        match engine.infer(&subject.clouds[idx].view()) {
            Ok(frame) => {
                latency.record(&frame.report.times);
                let bits = bits(frame.detections);
                n_different += usize::from(*first.entry(idx).or_insert_with(|| bits.clone()) != bits);
            }
            Err(e) => {
                n_failed += 1;
                if n_failed == 1 {
                    section
                        .say(format!("the first failure, in frame {i}: {e}; {}", engine.last_head_error()));
                }
            }
        }
        if i % READING_STEP == 0 {
            readings.push(nvml::read(subject.device.info()));
            held_down_by.extend(nvml::surroundings(subject.device.info()).held_down_by);
        }
    }
    section.require(n_failed == 0, format!("{n_failed} frames failed"));
    section
        .require(n_different == 0, format!("{n_different} frames differ from the first one of their cloud"));
    section.require(
        first.values().any(|boxes| !boxes.is_empty()),
        format!("{} clouds, some of them with boxes", first.len()),
    );
    for stage in Stage::ALL {
        section.say(line(stage.name(), latency.stages().of(stage)));
    }
    section.say(line("frame", &latency.frame()));
    let range = |what: &str, read: &dyn Fn(&nvml::Readings) -> Option<u32>| {
        let values = || readings.iter().filter_map(read);
        match (values().min(), values().max()) {
            (Some(min), Some(max)) => format!("{what}: {min} to {max}"),
            _ => format!("{what}: not told"),
        }
    };
    section.say(range("clock, MHz", &|r| r.clock_mhz));
    section.say(range("memory clock, MHz", &|r| r.memory_clock_mhz));
    section.say(range("power, mW", &|r| r.power_mw));
    section.say(range("temperature, C", &|r| r.temperature_c));
    let reasons: Vec<String> = held_down_by.into_iter().filter(|r| !r.is_empty()).collect();
    section.say(format!(
        "clocks held down by: {}",
        if reasons.is_empty() { "nothing told".into() } else { reasons.join("; ") }
    ));
    Ok(())
}

fn line(name: &str, p: &Percentiles) -> String {
    format!(
        "{name}: min {:.3}, p50 {:.3}, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3} ms",
        p.min_ms, p.p50_ms, p.p90_ms, p.p99_ms, p.p99_9_ms, p.max_ms
    )
}
