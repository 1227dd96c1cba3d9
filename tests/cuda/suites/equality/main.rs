//! The stages on a card give the bits of the stages on the CPU.
//!
//! `variants` runs these tests again, each time on another emulator: other orders of threads, lazy
//! streams, AddressSanitizer, and kernels with planted faults.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

mod variants;

use pilotis_cuda_tests::{Answers, cases, engine, engine_whole, why_no_device};
use pilotis_runtime::{CanvasFormat, CloudView, DeviceChoice};

macro_rules! need_device {
    () => {
        if let Some(reason) = why_no_device() {
            println!("{reason}");
            return;
        }
    };
}

/// Models that a run draws.
const N_MODELS: u64 = 24;
/// Frames of every model, one after the other through the same engines.
const N_FRAMES: u64 = 9;

#[test]
fn drawn_models_answer_hostile_clouds_with_the_bits_of_the_cpu() {
    need_device!();
    let (mut n_pillars, mut n_boxes, mut n_over) = (0, 0, 0);
    for seed in 0..N_MODELS {
        let folder = tempfile::tempdir().unwrap();
        let package = cases::package(cases::manifest(seed), seed, folder.path());
        let manifest = package.manifest().clone();
        let tensors = cases::tensors(&manifest, seed);
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        let mut card = engine(&package, &tensors, DeviceChoice::Cuda, CanvasFormat::default());
        // The network on the card as well: captured once, launched for every frame.
        let mut graph = engine_whole(&package, &tensors, CanvasFormat::default(), true);
        assert!(graph.describe_stages().ends_with("one graph a frame"), "{}", graph.describe_stages());
        for frame in 0..N_FRAMES {
            let cloud = cases::cloud(&manifest, frame, seed);
            let want = Answers::of(&mut cpu, &CloudView::from_points(&cloud));
            let got = Answers::of(&mut card, &CloudView::from_points(&cloud));
            n_pillars += want.pillars.len();
            n_boxes += want.boxes.len();
            n_over += u32::from(want.report.dropped_over_capacity > 0);
            assert_eq!(
                Answers::of(&mut graph, &CloudView::from_points(&cloud)),
                want,
                "graph, {seed}, {frame}"
            );
            let place = format!("model {seed}, frame {frame}: {manifest:?}");
            assert_eq!(got.report, want.report, "{place}");
            assert_eq!(got.points, want.points, "{place}");
            assert_eq!(got.pillars, want.pillars, "{place}");
            assert_eq!(got.cells, want.cells, "{place}");
            assert_eq!(got.channels, want.channels, "{place}");
            assert_eq!((got.n_left_over, want.n_left_over), (0, 0), "{place}");
            assert_eq!(got.boxes, want.boxes, "{place}");
        }
    }
    assert!(n_pillars > 1000 && n_boxes > 100 && n_over > 5, "{n_pillars} {n_boxes} {n_over}");
}

#[test]
fn a_half_canvas_holds_the_rounded_values_in_either_order_of_channels() {
    need_device!();
    for (seed, channels_last) in [(100, false), (101, true), (102, false), (103, true)] {
        let folder = tempfile::tempdir().unwrap();
        let package = cases::package(cases::manifest(seed), seed, folder.path());
        let tensors = cases::tensors(package.manifest(), seed);
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        for half in [true, false] {
            let format = CanvasFormat { channels_last, half };
            let mut card = engine(&package, &tensors, DeviceChoice::Cuda, format);
            for frame in 0..3 {
                let cloud = cases::cloud(package.manifest(), 4 + frame, seed);
                let want = Answers::of(&mut cpu, &CloudView::from_points(&cloud));
                let got = Answers::of(&mut card, &CloudView::from_points(&cloud));
                let rounded = |bits: &u32| {
                    let value = f32::from_bits(*bits);
                    if half { half::f16::from_f32(value).to_f32().to_bits() } else { *bits }
                };
                assert_eq!(got.channels, want.channels.iter().map(rounded).collect::<Vec<_>>(), "{format:?}");
                assert_eq!((got.cells, got.n_left_over, got.boxes), (want.cells, 0, want.boxes));
            }
        }
    }
}
