//! The head stage on ONNX Runtime allocates nothing of ours once it is built: not in a run, not in
//! a failed one.
//!
//! What counts is Rust's allocator. The library's own allocations go to the C allocator; they are
//! measured by the benches.

#![allow(unsafe_code, reason = "a counting allocator")]

use pilotis_runtime::error::BuildErrorKind;
use pilotis_runtime::head::Head;
use pilotis_runtime::head::onnxruntime::OnnxRuntimeHead;
use pilotis_spec::Manifest;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the head")]
mod onnx_bytes {
    include!("support/onnx_bytes.rs");
}

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

/// Threads of this process, where the system tells.
fn n_tasks() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// The KITTI manifest on a grid of 8 x 8 cells with 16 channels: a map of 4 x 4.
fn tiny_manifest() -> String {
    include_str!("../../spec/tests/kitti_manifest.toml")
        .replace("[0.0, -39.68, -3.0]", "[0.0, -0.64, -3.0]")
        .replace("[69.12, 39.68, 1.0]", "[1.28, 0.64, 1.0]")
        .replace("max_pillars = 40000", "max_pillars = 64")
        .replace("channels = [64]", "channels = [16]")
}

// One test only: the counter is the process's, and a neighbour would be counted too.
#[test]
fn a_run_of_the_network_allocates_nothing_of_ours() {
    let counted = n_allocations(|| {
        let mut grown: Vec<u64> = black_box(Vec::with_capacity(1));
        grown.extend(black_box([1; 100]));
        black_box(vec![0_u8; black_box(1000)]);
    });
    assert_eq!(counted, 3, "the counting allocator does not count");

    let manifest = Manifest::from_toml(&tiny_manifest()).unwrap();
    let tensors: Vec<_> =
        manifest.head.tensors(&manifest.grid).into_iter().map(|t| (t.name, t.shape)).collect();
    let mut graph = onnx_bytes::conv_head([16, 8, 8], 2, &tensors);
    // A canvas whose greatest value is past the four entries of a table fails the run.
    let steps =
        [onnx_bytes::attribute_ints("kernel_shape", &[2, 2]), onnx_bytes::attribute_ints("strides", &[2, 2])];
    graph.nodes[0] = onnx_bytes::node("Conv", &["canvas", "cls_0.weight", "cls_0.bias"], &["conv"], &steps);
    let keep = onnx_bytes::attribute_int("keepdims", 0);
    graph.nodes.push(onnx_bytes::node("ReduceMax", &["canvas"], &["max"], &[keep]));
    let to = onnx_bytes::attribute_int("to", onnx_bytes::INT64);
    graph.nodes.push(onnx_bytes::node("Cast", &["max"], &["idx"], &[to]));
    graph.nodes.push(onnx_bytes::node("Gather", &["table", "idx"], &["entry"], &[]));
    graph.nodes.push(onnx_bytes::node("Add", &["conv", "entry"], &["cls_0"], &[]));
    graph.initializers.push(onnx_bytes::initializer("table", &[4], &[10.0, 20.0, 30.0, 40.0]));
    let onnx = graph.model();

    let n_tasks_before = n_tasks();
    for n_threads in [1, 2] {
        let mut head = match OnnxRuntimeHead::build(&onnx, &manifest, n_threads) {
            Err(e) if e.kind() == BuildErrorKind::NativePartMissing => {
                println!("skipped: {e}");
                return;
            }
            built => built.unwrap_or_else(|e| panic!("{e}")),
        };
        if n_threads == 1 {
            // One thread is the caller's: any other would be the library's telemetry.
            assert_eq!(n_tasks(), n_tasks_before, "the library works behind our back");
        }
        let counted = n_allocations(|| {
            for frame in 0..100 {
                head.canvas()[frame] = 1.0;
                head.run().unwrap();
                assert!(head.tensor(0)[0] > 0.0);
                head.canvas()[frame] = 0.0;
            }
        });
        assert_eq!(counted, 0, "{n_threads} threads, 100 runs");

        head.canvas()[0] = 100.0;
        let counted = n_allocations(|| {
            for _ in 0..10 {
                assert!(head.run().is_err());
                assert!(head.last_error().contains("Gather"));
            }
        });
        assert_eq!(counted, 0, "{n_threads} threads, 10 failed runs");
    }
}
