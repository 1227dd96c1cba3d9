//! The committed PTX gives the bits of the stages on the CPU, and no two of its threads race.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests are tests as well")]

use pilotis_cuda_tests::frame_of_ptx::FrameOfPtx;
use pilotis_cuda_tests::{Answers, cases, engine};
use pilotis_ptx::{Fault, FaultKind};
use pilotis_runtime::bev::LayerWeights;
use pilotis_runtime::{CanvasFormat, CloudView, DeviceChoice, Package};
use pilotis_spec::Manifest;

/// A drawn model that is small enough for an interpreter.
fn package(seed: u64) -> Package {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = cases::manifest(seed);
    manifest.points.max_points = manifest.points.max_points.min(3000);
    manifest.boxes.max_candidates = manifest.boxes.max_candidates.min(200);
    manifest.boxes.max_boxes = manifest.boxes.max_boxes.min(manifest.boxes.max_candidates);
    cases::package(manifest, seed, folder.path())
}

fn layers(package: &Package) -> Vec<LayerWeights> {
    package.encoder().layers.iter().map(LayerWeights::from).collect()
}

#[test]
fn drawn_models_give_the_bits_of_the_cpu_without_a_race() {
    let (mut n_pillars, mut n_boxes) = (0, 0);
    for seed in 0..8 {
        let package = package(seed);
        let manifest = package.manifest();
        let tensors = cases::tensors(manifest, seed);
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        let half_and_last = seed % 2 == 1;
        let mut ptx =
            FrameOfPtx::build(manifest, &layers(&package), &tensors, half_and_last, |_, ptx| ptx.to_owned());
        for kind in 0..5 {
            // Orders of blocks and warps change with every frame.
            ptx.options.seed = seed * 10 + kind;
            let cloud = cases::cloud(manifest, kind, seed);
            let want = Answers::of(&mut cpu, &CloudView::from_points(&cloud));
            let state = ptx.run(&cloud).unwrap_or_else(|fault| panic!("model {seed}, cloud {kind}: {fault}"));
            let place = format!("model {seed}, cloud {kind}");
            assert_eq!(ptx.pillars(&state), want.pillars, "{place}");
            assert_eq!(canvas_of(&want, manifest, half_and_last), ptx.canvas(), "{place}");
            assert_eq!(ptx.boxes(&state), want.boxes, "{place}");
            let r = &want.report;
            assert_eq!(
                (state.n_candidates, state.n_suppressed, state.dropped_boxes, state.dropped_candidates),
                (r.n_candidates, r.n_suppressed, r.dropped_boxes, r.dropped_candidates),
                "{place}"
            );
            assert_eq!(
                (
                    state.dropped_nan,
                    state.dropped_out_of_range,
                    state.dropped_pillar_full,
                    state.dropped_no_pillar
                ),
                (r.dropped_nan, r.dropped_out_of_range, r.dropped_pillar_full, r.dropped_no_pillar),
                "{place}"
            );
            n_pillars += want.pillars.len();
            n_boxes += want.boxes.len();
        }
    }
    assert!(n_pillars > 500 && n_boxes > 50, "{n_pillars} pillars and {n_boxes} boxes prove little");
}

/// The canvas that these answers make, byte by byte.
fn canvas_of(answers: &Answers, manifest: &Manifest, half_and_last: bool) -> Vec<u8> {
    let (n_cells, n_channels) = (manifest.grid.n_cells(), manifest.bev.n_channels());
    let mut canvas = vec![0; n_cells * n_channels * if half_and_last { 2 } else { 4 }];
    for (cell, channels) in answers.cells.iter().zip(answers.channels.chunks(n_channels)) {
        for (channel, bits) in channels.iter().enumerate() {
            let value = f32::from_bits(*bits);
            if half_and_last {
                let at = 2 * (*cell as usize * n_channels + channel);
                canvas[at..at + 2].copy_from_slice(&half::f16::from_f32(value).to_le_bytes());
            } else {
                let at = 4 * (channel * n_cells + *cell as usize);
                canvas[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    canvas
}

/// A change of the PTX's own text: module, what is found from a kernel on, what stands there instead.
type Change = (&'static str, &'static str, &'static str, &'static str);

/// Runs frames with a changed PTX until one is caught: by a fault, or by other pillars, canvas or boxes.
fn first_difference(change: Change) -> Option<Result<(), Fault>> {
    let (module, kernel, find, replace) = change;
    let edit = |name: &'static str, ptx: &'static str| {
        if name != module {
            return ptx.to_owned();
        }
        let start = ptx.find(&format!(".entry {kernel}(")).unwrap();
        let at = start
            + ptx[start..]
                .split(".visible")
                .next()
                .unwrap()
                .find(find)
                .unwrap_or_else(|| panic!("no `{find}` in `{kernel}`"));
        [&ptx[..at], replace, &ptx[at + find.len()..]].concat()
    };
    for seed in 0..8 {
        let package = package(seed);
        let manifest = package.manifest();
        let tensors = cases::tensors(manifest, seed);
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        let mut ptx = FrameOfPtx::build(manifest, &layers(&package), &tensors, false, edit);
        for kind in 0..5 {
            let cloud = cases::cloud(manifest, kind, seed);
            let want = Answers::of(&mut cpu, &CloudView::from_points(&cloud));
            match ptx.run(&cloud) {
                Err(fault) => return Some(Err(fault)),
                Ok(state) => {
                    let is_same = ptx.pillars(&state) == want.pillars
                        && ptx.canvas() == canvas_of(&want, manifest, false)
                        && ptx.boxes(&state) == want.boxes;
                    if !is_same {
                        return Some(Ok(()));
                    }
                }
            }
        }
    }
    None
}

#[test]
fn faults_planted_in_the_ptx_are_caught_for_what_they_are() {
    // What a removed barrier or a lost atomic makes is seen as a race, whatever the result.
    let races: &[Change] = &[
        ("points", "points_count", "bar.sync \t0;", ""),
        ("pillars", "pillars_sort", "bar.sync \t0;", ""),
        ("boxes", "boxes_reduce", "bar.sync \t0;", ""),
        ("bev", "bev_encode_one", "bar.warp.sync \t-1;", ""),
    ];
    for change in races {
        let caught = first_difference(*change);
        let is_race =
            matches!(&caught, Some(Err(f)) if matches!(f.kind, FaultKind::Race | FaultKind::Unwritten));
        assert!(is_race, "{change:?}: {caught:?}");
    }
    // Bounds and arithmetic.
    let others: &[Change] = &[
        ("points", "points_keep", "div.rn.f32", "mul.rn.f32"),
        ("points", "points_keep", "atom.global.min.u32", "atom.global.max.u32"),
        ("pillars", "pillars_fill", "atom.global.add.u32", "atom.global.max.u32"),
        ("bev", "bev_encode_one", "fma.rn.f32", "mad.lo.s32"),
        ("boxes", "boxes_sweep", "setp.gtu.f32", "setp.geu.f32"),
    ];
    for change in others {
        assert!(first_difference(*change).is_some(), "{change:?} was not caught");
    }
}
