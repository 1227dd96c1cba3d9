//! Frames: graphs against plain launches, memory, and the long run.

use crate::Subject;
use crate::network::engine;
use crate::report::Section;
use pilotis_runtime::device::cuda::nvml;
use pilotis_runtime::head::tensorrt::Precision;
use pilotis_runtime::report::latency::{Latency, Percentiles};
use pilotis_runtime::{BuildError, CanvasFormat, CloudFile, Engine, device_memory};
use pilotis_spec::{Detection, Stage};
use std::collections::BTreeMap;

/// Frames that are compared between a graph and plain launches.
const N_COMPARED: usize = 200;
/// A step of the clock and power readings.
const READING_STEP: usize = 250;

/// Everything of a frame's boxes, in bits.
fn bits(detections: &[Detection]) -> Vec<u32> {
    let of = |d: &Detection| {
        let b = &d.bbox;
        let numbers = [b.center, b.size].concat();
        let numbers = numbers.into_iter().chain([b.yaw, d.score]).map(f32::to_bits);
        numbers.chain([d.class_idx]).collect::<Vec<_>>()
    };
    detections.iter().flat_map(of).collect()
}

fn answer(engine: &mut Engine, cloud: &CloudFile) -> Result<Vec<u32>, String> {
    engine.infer(&cloud.view()).map(|frame| bits(frame.detections)).map_err(|e| e.to_string())
}

pub(crate) fn graph_equals_plain_launches(subject: &Subject) -> Section {
    let mut section = Section::new("A captured graph against plain launches");
    let n = if subject.is_emulated { subject.n_frames } else { N_COMPARED };
    let mut run = || -> Result<usize, BuildError> {
        let mut graph = engine(subject, Precision::Fp16, true)?;
        let mut plain = engine(subject, Precision::Fp16, false)?;
        section.say(format!("{}; {}", graph.describe_stages(), plain.describe_stages()));
        let mut n_equal = 0;
        for i in 0..n {
            // Not in turn: what an earlier frame left would show.
            let cloud = &subject.clouds[i * i % subject.clouds.len()];
            n_equal += usize::from(answer(&mut graph, cloud) == answer(&mut plain, cloud));
        }
        Ok(n_equal)
    };
    match run() {
        Ok(n_equal) => {
            section.require(n_equal == n, format!("{n_equal} of {n} frames have equal bits"));
            section
        }
        Err(e) => section.failed(e),
    }
}

pub(crate) fn memory(subject: &Subject) -> Section {
    let mut section = Section::new("Device memory");
    let mut run = || -> Result<(), BuildError> {
        let free = || subject.device.memory().map(|m| m.free_bytes);
        let before = free()?;
        let engine = engine(subject, Precision::Fp16, true)?;
        let taken = before.saturating_sub(free()?);
        let canvas = CanvasFormat { channels_last: true, half: true };
        let planned = device_memory(subject.package.manifest(), canvas, 0)?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        section.say(format!("around the network {:.1} MiB are planned", mib(planned.total_bytes())));
        section.say(format!("the engine takes {:.1} MiB, the library's own included", mib(taken)));
        section.require(taken <= 1 << 30, format!("{:.1} MiB are at most 1024", mib(taken)));
        drop(engine);
        Ok(())
    };
    match run() {
        Ok(()) => section,
        Err(e) => section.failed(e),
    }
}

pub(crate) fn long_run(subject: &Subject, precision: Precision) -> Section {
    let mut section = Section::new(format!("{} frames in {precision}", subject.n_frames));
    let mut run = || -> Result<(), BuildError> {
        let mut engine = engine(subject, precision, true)?;
        section.say(format!("{} on {}", engine.describe_head(), engine.describe_stages()));
        let mut first: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let (mut latency, mut n_failed, mut n_different) = (Latency::new(), 0, 0);
        let mut readings = Vec::new();
        for i in 0..subject.n_frames {
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
                        section.say(format!("the first failure: {e}"));
                    }
                }
            }
            if i % READING_STEP == 0 {
                readings.push(nvml::read(subject.device.info()));
            }
        }
        section.require(n_failed == 0, format!("{n_failed} frames failed"));
        section.require(
            n_different == 0,
            format!("{n_different} frames differ from the first one of their cloud"),
        );
        let line = |name: &str, p: &Percentiles| {
            format!(
                "{name}: min {:.3}, p50 {:.3}, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3} ms",
                p.min_ms, p.p50_ms, p.p90_ms, p.p99_ms, p.p99_9_ms, p.max_ms
            )
        };
        for stage in Stage::ALL {
            section.say(line(stage.name(), latency.stages().of(stage)));
        }
        section.say(line("frame", &latency.frame()));
        let range = |what: &str, read: &dyn Fn(&nvml::Readings) -> Option<u32>| {
            let values = || readings.iter().filter_map(read);
            match (values().min(), values().max()) {
                (Some(min), Some(max)) => format!("{what}: {min} to {max}"),
                _ => format!("{what}: unknown"),
            }
        };
        section.say(range("clock, MHz", &|r| r.clock_mhz));
        section.say(range("power, mW", &|r| r.power_mw));
        section.say(range("temperature, C", &|r| r.temperature_c));
        Ok(())
    };
    match run() {
        Ok(()) => section,
        Err(e) => section.failed(e),
    }
}
