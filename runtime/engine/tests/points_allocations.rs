//! The points stage allocates nothing, whatever the cloud is made of: several sweeps of memory and of
//! files, moved or not, broken, too many, none, or cut while they are read.

#![allow(unsafe_code, reason = "a counting allocator must implement an unsafe trait")]

use pilotis_runtime::points::{PointsStage, Pose, Sweep, to_key};
use pilotis_runtime::{CloudFile, CloudView};
use pilotis_spec::{FrameErrorCode, FrameReport, Grid, Point, PointLayout};
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

fn spread(n: usize) -> Vec<Point> {
    let point = |i: usize| Point {
        x: (i * 7919 % 9000) as f32 / 100.0 - 45.0,
        y: (i * 104_729 % 9000) as f32 / 100.0 - 45.0,
        z: (i % 40) as f32 / 10.0 - 2.0,
        intensity: 0.3,
        time_lag: 0.01,
    };
    (0..n).map(point).collect()
}

#[test]
fn clouds_of_several_sweeps_allocate_nothing() {
    let layout = PointLayout::kitti();
    let mut bytes = Vec::new();
    // More than one chunk of the stage.
    spread(40_000).iter().for_each(|p| layout.write(p, &mut bytes));
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.bin"), folder.path().join("cut.bin"));
    std::fs::write(&whole, &bytes).unwrap();
    std::fs::write(&cut, &bytes).unwrap();
    let (whole, short) =
        (CloudFile::open(&whole, Some(&layout)).unwrap(), CloudFile::open(&cut, Some(&layout)).unwrap());
    std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(16 * 20_000).unwrap();
    let (many, broken) = (spread(30_000), vec![Point { x: f32::NAN, ..Point::default() }; 500]);

    let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
    let then = Pose { rotation: [0.6, 0.0, 0.0, 0.8], translation: [1.0, 2.0, 0.1] };
    let motion = Some(to_key(&still, &then, &still, &still).unwrap());
    let clouds = [
        CloudView::from_points(&many),
        whole.view(),
        CloudView::from_bytes(&bytes, &layout).unwrap(),
        CloudView::from_points(&broken),
        CloudView::from_points(&[]),
    ];
    let sweeps: Vec<Sweep<'_>> = clouds
        .iter()
        .enumerate()
        .map(|(i, cloud)| Sweep::new(*cloud, motion.filter(|_| i > 0), 0.05 * i as f32, 1.0).unwrap())
        .collect();
    let with_a_cut_file = [sweeps[0], Sweep::new(short.view(), motion, 0.1, 1.0).unwrap(), sweeps[1]];

    let grid = Grid::new([-50.0, -50.0, -3.0], [50.0, 50.0, 3.0], [0.5, 0.5]).unwrap();
    let mut stage = PointsStage::build(60_000);
    for needs_time_lag in [true, false] {
        let mut run = |sweeps: &[Sweep<'_>]| {
            let mut report = FrameReport::default();
            let mut answer = None;
            let n = n_allocations_of(|| {
                let cloud = CloudView::from_sweeps(sweeps);
                answer = Some(stage.run(&cloud, &grid, needs_time_lag, &mut report).map(<[Point]>::len));
            });
            assert_eq!(n, 0, "{} sweeps", sweeps.len());
            (answer.unwrap(), report)
        };
        let (answer, report) = run(&sweeps);
        assert_eq!(answer, Ok(60_000));
        let causes = [
            report.dropped_nan,
            report.dropped_near_sensor,
            report.dropped_out_of_range,
            report.dropped_over_capacity,
        ];
        assert!(causes.iter().all(|n| *n > 0), "the sweeps miss a path: {report:?}");
        assert_eq!(report.n_points, 110_500);
        assert_eq!(report.n_points, report.n_points_kept + causes.iter().sum::<u32>());
        assert_eq!(run(&[]).0, Ok(0));
        assert_eq!(run(&with_a_cut_file).0.unwrap_err().code, FrameErrorCode::CloudVanished);
        assert!(run(&sweeps[..1]).0.unwrap() > 20_000, "the stage goes on after an error");
    }
}
