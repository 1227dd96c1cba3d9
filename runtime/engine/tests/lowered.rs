//! Lowered networks in numbers: ONNX Runtime stands in for TensorRT, which takes a card. It runs the very files
//! that TensorRT gets (but for a canvas of `f32`), and so shows what the types and the merging do to the tensors;
//! what TensorRT's own kernels add to that, only a card shows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use pilotis_network::onnx::OnnxMeta;
use pilotis_network::{Calibration, Lowering, Precision, lower};
use pilotis_runtime::device::native_parts::Places;
use pilotis_runtime::head::Head;
use pilotis_runtime::head::onnxruntime::OnnxRuntimeHead;
use pilotis_runtime::head::tensorrt::{RangeMeter, read_network};
use pilotis_runtime::points::CloudView;
use pilotis_runtime::{EngineBuilder, OnMismatch, Package};
use pilotis_spec::Manifest;
use std::path::Path;

fn package() -> Option<Package> {
    if let Err(e) = Places::from_env().onnxruntime() {
        eprintln!("skipped: {e}");
        return None;
    }
    Some(Package::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/default")).unwrap())
}

fn golden_cloud(package: &Package) -> CloudView<'_> {
    CloudView::from_bytes(package.golden_input().unwrap(), &package.manifest().points.layout).unwrap()
}

/// The canvas of the golden cloud, as planes.
fn canvas_of(package: &Package) -> Vec<f32> {
    let mut engine = EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(package).unwrap();
    engine.infer(&golden_cloud(package)).unwrap();
    let Manifest { bev, grid, .. } = package.manifest();
    let (n_channels, n_cells) = (bev.n_channels(), grid.n_cells());
    let frame = engine.last_frame().unwrap();
    let mut canvas = vec![0.0; n_channels * n_cells];
    for (cell, channels) in frame.cells.iter().zip(frame.channels.chunks_exact(n_channels)) {
        for (channel, value) in channels.iter().enumerate() {
            canvas[channel * n_cells + *cell as usize] = *value;
        }
    }
    assert!(canvas.iter().any(|v| *v > 0.1), "the golden cloud draws nothing");
    canvas
}

/// All raw tensors, one after the other.
fn run(onnx: &[u8], package: &Package, canvas: &[f32]) -> Vec<Vec<f32>> {
    let manifest = package.manifest();
    let mut head = OnnxRuntimeHead::build(onnx, manifest, 1).unwrap();
    head.canvas().copy_from_slice(canvas);
    head.run().unwrap();
    (0..manifest.head.tensors(&manifest.grid).len()).map(|idx| head.tensor(idx).to_vec()).collect()
}

fn calibration(package: &Package) -> Calibration {
    let mut meter = RangeMeter::build(package, 1).unwrap();
    meter.add(&golden_cloud(package)).unwrap();
    meter.finish().unwrap()
}

/// Root mean square of what differs, over that of the values themselves; the worst tensor's.
fn deviation(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let of = |(found, expected): (&Vec<f32>, &Vec<f32>)| {
        assert_eq!(found.len(), expected.len());
        let squares =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let differs = squares(&mut found.iter().zip(expected).map(|(f, e)| f - e));
        (differs / squares(&mut expected.iter().copied())).sqrt()
    };
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

#[test]
fn lowered_networks_compute_what_the_network_computes() {
    let Some(package) = package() else { return };
    let canvas = canvas_of(&package);
    let expected = run(package.network("fp32").unwrap(), &package, &canvas);
    let network = read_network(&package).unwrap();
    let calibration = calibration(&package);
    // Of the shipped model on its golden cloud, measured 0, 2.2e-3 and 0.19; the bounds are wider by half, so that
    // another processor's rounding passes and a scale that is off does not. FP8 is left out: the optimizer of
    // ONNX Runtime 1.32 computes such networks wrongly (0.46 on a part that deviates by 0.047 without it).
    for (precision, bound) in [(Precision::Fp32, 1e-6), (Precision::Fp16, 4e-3), (Precision::Int8, 0.3)] {
        let lowering = Lowering { precision, calibration: Some(&calibration), on_host: true };
        let onnx = lower(&network, &lowering, &OnnxMeta::default()).unwrap();
        let deviation = deviation(&run(&onnx, &package, &canvas), &expected);
        eprintln!("{precision}: {deviation:.2e}");
        assert!(deviation < bound, "{precision}: tensors deviate by {deviation:.2e}, {bound:.0e} is allowed");
        // What rounds must be seen to round.
        assert!(precision == Precision::Fp32 || deviation > bound / 20.0, "{precision}: {deviation:.2e}");
    }
}

#[test]
fn ranges_are_the_largest_values_of_all_clouds() {
    let Some(package) = package() else { return };
    let once = calibration(&package);
    let canvas = canvas_of(&package);
    let largest = canvas.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
    assert_eq!(once.amax["canvas"].to_bits(), largest.to_bits());
    let network = read_network(&package).unwrap();
    assert_eq!(once.amax.len(), network.nodes.len() + 1);
    assert!(once.amax.values().all(|v| v.is_finite() && *v > 0.0));
    // A cloud without points changes nothing that was larger.
    let mut meter = RangeMeter::build(&package, 1).unwrap();
    meter.add(&golden_cloud(&package)).unwrap();
    meter.add(&CloudView::from_points(&[])).unwrap();
    assert_eq!(meter.n_frames(), 2);
    let twice = meter.finish().unwrap();
    assert!(twice.amax.iter().all(|(name, amax)| *amax >= once.amax[name]));
    assert!(RangeMeter::build(&package, 1).unwrap().finish().is_err(), "no cloud is no calibration");
}
