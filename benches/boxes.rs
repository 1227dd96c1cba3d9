//! The boxes stage: sweep and decoding of a KITTI-size head, and suppression at its extremes.

#![allow(clippy::expect_used, reason = "a bench without its input is to stop")]

use criterion::{Criterion, criterion_group, criterion_main};
use pilotis_benches::{ONE_IN_FRAME, kitti, noise, tensors};
use pilotis_runtime::boxes::{BoxesStage, Nms};
use pilotis_spec::{Box3d, FrameReport};
use std::hint::black_box;
use std::time::Duration;

fn stage(c: &mut Criterion) {
    let manifest = kitti();
    let mut stage = BoxesStage::build(&manifest).expect("the manifest is buildable");
    // Logits pass one by one; about 300, 4,096 and all of the anchors are candidates.
    for (name, one_in) in [("none", 1e12), ("300", ONE_IN_FRAME), ("4096", 233.0), ("all", 1.0)] {
        let tensors = tensors(&manifest, one_in);
        c.bench_function(&format!("boxes/decode_kitti/{name}"), |b| {
            b.iter(|| stage.decode_scope(0, black_box(&tensors[..]), &mut FrameReport::default()).len());
        });
        c.bench_function(&format!("boxes/run_kitti/{name}"), |b| {
            b.iter(|| stage.run(black_box(&tensors[..]), &mut FrameReport::default()).map_or(0, <[_]>::len));
        });
    }
}

fn flat(x: f32, y: f32, length: f32, width: f32, yaw: f32) -> Box3d {
    Box3d { center: [x, y, 0.0], size: [length, width, 1.6], yaw }
}

fn nms(c: &mut Criterion) {
    let n = 4096;
    let mut r = noise(9);
    // (name, most boxes, threshold, boxes)
    let sets: [(&str, usize, f32, Vec<Box3d>); 6] = [
        (
            "disjoint",
            n,
            0.01,
            (0..n)
                .map(|i| flat((i % 64) as f32 * 1.1, (i / 64) as f32 * 1.2 - 39.0, 0.8, 0.6, r()))
                .collect(),
        ),
        ("identical", n, 0.01, vec![flat(30.0, 0.0, 4.0, 2.0, 0.3); n]),
        ("huge", n, 0.7, (0..n).map(|_| flat(r() * 1e6, r() * 1e6, 1e6, 1e6, r() * 6.3)).collect()),
        // Needles through one point: every pair overlaps, none enough. The cap bounds it.
        ("star_500", 500, 0.7, (0..n).map(|i| flat(35.0, 0.0, 60.0, 0.05, i as f32 * 7e-4)).collect()),
        ("star_4096", n, 0.7, (0..n).map(|i| flat(35.0, 0.0, 60.0, 0.05, i as f32 * 7e-4)).collect()),
        ("crowd", n, 0.7, (0..n).map(|_| flat(35.0 + r(), r(), 60.0, 30.0 * r(), r() * 6.3)).collect()),
    ];
    for (name, max_boxes, iou, boxes) in sets {
        let mut nms = Nms::build([0.0, -39.68], [69.12, 39.68], max_boxes, iou);
        c.bench_function(&format!("boxes/nms_4096/{name}"), |b| b.iter(|| nms.run(black_box(&boxes))));
    }
}

fn config() -> Criterion {
    let criterion = Criterion::default().sample_size(20);
    criterion.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1))
}

criterion_group!(name = benches; config = config(); targets = stage, nms);
criterion_main!(benches);
