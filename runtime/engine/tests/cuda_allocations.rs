//! The launch layer allocates nothing in a frame: not in copies, fills, launches, events and
//! waiting, nor where they are refused.
//!
//! What counts is Rust's allocator. Prints `skipped: ...` where there is neither an emulator nor a
//! card.

#![allow(unsafe_code, reason = "a counting allocator")]

use pilotis_kernels::pillars::PillarsParams;
use pilotis_runtime::device::cuda::{
    Arena, Device, DeviceFault, Driver, Kernel, Modules, Pinned, Plan, Stream,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static N_ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came -> `System` -> the test below.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        N_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn n_allocations(work: impl FnOnce()) -> u64 {
    let before = N_ALLOCATIONS.load(Ordering::SeqCst);
    work();
    N_ALLOCATIONS.load(Ordering::SeqCst) - before
}

// One test only: the counter is the process's, and a neighbour would be counted too.
#[test]
fn a_frame_of_the_launch_layer_allocates_nothing() {
    let counted = n_allocations(|| {
        let mut grown: Vec<u64> = black_box(Vec::with_capacity(1));
        grown.extend(black_box([1; 100]));
        black_box(vec![0_u8; black_box(1000)]);
    });
    assert_eq!(counted, 3, "the counting allocator does not count");

    let device = match Device::open_first() {
        Ok(device) => device,
        Err(e) if Driver::is_emulator_asked_for() => panic!("{e}"),
        Err(e) => {
            println!("skipped: a_frame_of_the_launch_layer_allocates_nothing: {e}");
            return;
        }
    };
    let modules = Modules::load(&device).unwrap();
    let kernel: Kernel<PillarsParams> = modules.kernel("pillars_forget").unwrap();
    let mut plan = Plan::new(&["frame"]);
    let (state, numbers) = (plan.keep::<u32>("state", 32), plan.keep::<u32>("numbers", 1000));
    let arena = Arena::allocate(&device, &plan).unwrap();
    let mut stream = Stream::new(&device).unwrap();
    let mut host: Pinned<u32> = Pinned::zeroed(&stream, 1000).unwrap();
    let (mut start, mut end) = (stream.event().unwrap(), stream.event().unwrap());
    let graph = stream.capture(&modules, &arena, |s| s.fill(&arena, numbers, 0..1000, 1)).unwrap();
    // A state of zeros claims no cell: all that is written is the number of the last frame's.
    let params = PillarsParams {
        state: arena.address(state),
        n_last: arena.address(numbers),
        ..PillarsParams::default()
    };
    let mut frame = |stream: &mut Stream| -> Result<(), DeviceFault> {
        stream.record(&mut start)?;
        host.as_mut_slice()?.fill(5);
        stream.upload(&mut host, 0..1000, &arena, numbers, 0)?;
        stream.launch(&kernel, 1, &params)?;
        stream.launch(&kernel, 0, &params)?;
        stream.fill(&arena, numbers, 1..10, 3)?;
        stream.launch_graph(&graph, &mut [])?;
        stream.download(&arena, numbers, 0..1000, &mut host, 0)?;
        stream.record(&mut end)?;
        end.wait()?;
        stream.synchronize()?;
        black_box(end.elapsed_ns(&start)?);
        assert_eq!(host.as_slice()?[..2], [1, 1]);
        assert_eq!(stream.fill(&arena, numbers, 0..1001, 0), Err(DeviceFault::INVALID_VALUE));
        assert_eq!(stream.upload(&mut host, 0..1001, &arena, numbers, 0), Err(DeviceFault::INVALID_VALUE));
        Ok(())
    };
    // The first calls look up functions of the driver.
    frame(&mut stream).unwrap();
    let counted = n_allocations(|| {
        for _ in 0..100 {
            frame(&mut stream).unwrap();
        }
    });
    assert_eq!(counted, 0, "100 frames");
}
