//! No stage of ours allocates once an engine is built, on any input.

#![allow(unsafe_code, reason = "a counting allocator must implement an unsafe trait")]

use pilotis_runtime::points::{Pose, Sweep, to_key};
use pilotis_runtime::{CloudView, EngineBuilder, HeadChoice, OnMismatch};
use pilotis_spec::{FrameFlags, Point};
use pilotis_tests::{open_kitti, shipped_model, shipped_sweeps, why_no_network};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static N_ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts what the calling thread asks of the system's allocator.
struct Counting;

// SAFETY: every call goes to `System` unchanged; counting touches a const-initialized
// thread-local without a destructor, which allocates nothing -> `the_allocator_counts`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.set(N_ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        N_ALLOCATIONS.set(N_ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn n_allocations_of(f: impl FnOnce()) -> u64 {
    let before = N_ALLOCATIONS.get();
    f();
    N_ALLOCATIONS.get() - before
}

#[test]
fn the_allocator_counts() {
    let n = n_allocations_of(|| {
        let mut grown = Vec::with_capacity(4);
        grown.extend(std::hint::black_box([1, 2, 3, 4, 5]));
        std::hint::black_box(grown);
    });
    assert_eq!(n, 2, "one allocation and one growth");
}

/// Clouds of every kind that a frame can be: ordinary, empty, broken, too large, in one pillar.
fn clouds() -> Vec<Vec<Point>> {
    let spread = |n: usize| -> Vec<Point> {
        (0..n)
            .map(|i| Point {
                x: (i * 7919 % 5120) as f32 / 100.0,
                y: (i * 104_729 % 5120) as f32 / 100.0 - 25.6,
                z: (i % 40) as f32 / 10.0 - 3.0,
                intensity: 0.3,
                time_lag: 0.0,
            })
            .collect()
    };
    let one_pillar = vec![Point { x: 10.0, y: 1.0, z: -1.0, intensity: 0.2, time_lag: 0.0 }; 5000];
    let broken = vec![Point { x: f32::NAN, ..Point::default() }; 1000];
    vec![spread(100_000), Vec::new(), broken, spread(400_000), one_pillar, spread(1), spread(50_000)]
}

#[test]
fn a_replayed_frame_allocates_nothing() {
    let package = shipped_model().unwrap();
    let manifest = package.manifest();
    // Every logit far above the threshold: the candidate caps are reached too.
    let tensors = manifest.head.tensors(&manifest.grid);
    let replay =
        tensors.iter().map(|t| vec![if t.name.starts_with("cls") { 2.0 } else { 0.1 }; t.n_values()]);
    let mut engine = EngineBuilder::new()
        .head(HeadChoice::Replay(replay.collect()))
        .on_mismatch(OnMismatch::Flag)
        .build(&package)
        .unwrap();
    let mut reached_caps = false;
    for cloud in clouds() {
        let mut report = None;
        let n = n_allocations_of(|| {
            report = engine.infer(&CloudView::from_points(&cloud)).ok().map(|f| f.report);
        });
        assert_eq!(n, 0, "{} points", cloud.len());
        let report = report.unwrap();
        reached_caps |= report.dropped_over_capacity > 0 && report.dropped_candidates > 0;
        assert!(report.dropped_candidates == 0 || report.flags.contains(FrameFlags::OVER_CAPACITY));
    }
    assert!(reached_caps, "no cloud reached the caps, so the test missed a path");

    // All of them as sweeps of one cloud, the last ones moved.
    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    let then = Pose { translation: [-1.0, 0.1, 0.0], ..still };
    let motion = to_key(&still, &then, &still, &still).unwrap();
    let clouds = clouds();
    let sweeps: Vec<Sweep<'_>> = clouds
        .iter()
        .enumerate()
        .map(|(i, cloud)| {
            let motion = (i > 2).then_some(motion);
            Sweep::new(CloudView::from_points(cloud), motion, 0.05 * i as f32, 1.0).unwrap()
        })
        .collect();
    let mut report = None;
    let n = n_allocations_of(|| {
        report = engine.infer(&CloudView::from_sweeps(&sweeps)).ok().map(|f| f.report);
    });
    assert_eq!(n, 0, "{} sweeps", sweeps.len());
    let report = report.unwrap();
    assert_eq!(report.n_points as usize, clouds.concat().len());
    assert!(report.dropped_near_sensor > 0 && report.dropped_over_capacity > 0, "{report:?}");
}

#[test]
fn a_frame_through_the_network_allocates_nothing_of_ours() {
    if let Some(reason) = why_no_network() {
        println!("{reason}");
        return;
    }
    let package = shipped_model().unwrap();
    let mut engine = EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(&package).unwrap();
    for path in shipped_sweeps() {
        let file = open_kitti(&path).unwrap();
        let n = n_allocations_of(|| {
            for _ in 0..3 {
                let n_boxes = engine.infer(&file.view()).map(|f| f.detections.len());
                assert!(n_boxes.is_ok());
            }
        });
        assert_eq!(n, 0, "{}", path.display());
    }
}
