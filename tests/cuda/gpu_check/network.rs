//! The network: TensorRT on the card against ONNX Runtime on the processor.

use crate::Subject;
use crate::report::Section;
use pilotis_runtime::head::tensorrt::{Precision, RangeMeter, tensorrt};
use pilotis_runtime::{BuildError, DeviceChoice, Engine, EngineBuilder, HeadChoice, OnMismatch};
use pilotis_spec::Detection;

/// What is checked; the eight-bit ones are calibrated on the clouds of the check.
pub(crate) const PRECISIONS: [Precision; 4] =
    [Precision::Fp32, Precision::Fp16, Precision::Int8, Precision::Fp8];

/// An engine on the card. On the emulator ONNX Runtime stands in for TensorRT.
pub(crate) fn engine(
    subject: &Subject,
    precision: Precision,
    uses_graph: bool,
) -> Result<Engine, BuildError> {
    let head = if subject.is_emulated { HeadChoice::OnnxRuntime } else { tensorrt_head(subject, precision)? };
    EngineBuilder::new()
        .device(DeviceChoice::Cuda)
        .on_mismatch(OnMismatch::Flag)
        .head(head)
        .graph(uses_graph)
        .build(&subject.package)
}

fn tensorrt_head(subject: &Subject, precision: Precision) -> Result<HeadChoice, BuildError> {
    if !precision.needs_calibration() {
        return Ok(tensorrt(precision, None));
    }
    let mut meter = RangeMeter::build(&subject.package, 1)?;
    for cloud in &subject.clouds {
        let _ = meter.add(&cloud.view());
    }
    Ok(tensorrt(precision, Some(meter.finish()?)))
}

/// How far boxes may be from those of ONNX Runtime in `fp32`: metres between centres, and score.
///
/// `f32` differs by the order of sums. `f16` has ten bits: 0.2 % of a tensor deviated on ONNX Runtime
/// (`lowered_networks_compute_what_the_network_computes`), which is centimetres. Eight bits deviate by a few
/// percent, so that boxes near the threshold come and go; they are told, and only a rout is a failure.
fn tolerance(precision: Precision) -> (f32, f32, f64) {
    match precision {
        Precision::Fp32 => (0.01, 0.002, 1.0),
        Precision::Fp16 => (0.05, 0.02, 0.98),
        Precision::Int8 | Precision::Fp8 => (0.3, 0.15, 0.8),
    }
}

pub(crate) fn agrees_with_onnxruntime(subject: &Subject, precision: Precision) -> Section {
    let mut section = Section::new(format!("Boxes of {precision} against ONNX Runtime in fp32"));
    let mut run = || -> Result<(), BuildError> {
        let mut expected = EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(&subject.package)?;
        let mut found = engine(subject, precision, true)?;
        section.say(format!("{} on {}", found.describe_head(), found.describe_stages()));
        let (max_m, max_score, min_share) = tolerance(precision);
        let (mut n, mut n_matched, mut worst_m, mut worst_score) = (0, 0, 0.0_f32, 0.0_f32);
        for cloud in &subject.clouds {
            let expected = boxes(&mut expected, cloud);
            let found = boxes(&mut found, cloud);
            n += expected.len().max(found.len());
            for e in &expected {
                let near = found.iter().filter(|f| f.class_idx == e.class_idx);
                let Some(f) = near.min_by(|a, b| distance(a, e).total_cmp(&distance(b, e))) else { continue };
                let (metres, score) = (distance(f, e), (f.score - e.score).abs());
                if metres <= max_m && score <= max_score {
                    n_matched += 1;
                    (worst_m, worst_score) = (worst_m.max(metres), worst_score.max(score));
                }
            }
        }
        let share = if n > 0 { f64::from(n_matched) / n as f64 } else { 0.0 };
        section.require(n > 0, format!("{n} boxes in {} clouds", subject.clouds.len()));
        section.require(
            share >= min_share,
            format!(
                "{n_matched} of {n} agree within {max_m} m and {max_score} of score ({:.1} %, asked {:.0} %)",
                share * 1e2,
                min_share * 1e2
            ),
        );
        section.say(format!("of those, at most {worst_m:.4} m and {worst_score:.4} of score apart"));
        Ok(())
    };
    match run() {
        Ok(()) if subject.is_emulated => {
            section.skipped("on the emulator ONNX Runtime stands in for TensorRT")
        }
        Ok(()) => section,
        Err(e) => section.failed(e),
    }
}

fn boxes(engine: &mut Engine, cloud: &pilotis_runtime::CloudFile) -> Vec<Detection> {
    engine.infer(&cloud.view()).map(|frame| frame.detections.to_vec()).unwrap_or_default()
}

fn distance(a: &Detection, b: &Detection) -> f32 {
    let [dx, dy, dz] = [0, 1, 2].map(|i| a.bbox.center[i] - b.bbox.center[i]);
    (dx * dx + dy * dy + dz * dz).sqrt()
}
