//! Graphs of the launch layer: what they copy, measure and keep, and what they refuse.
//!
//! Prints `skipped: ...` where there is neither an emulator nor a card.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests as well"
)]

use pilotis_runtime::device::cuda::{
    Arena, Device, DeviceFault, Driver, Modules, Pinned, Plan, Slot, Stream,
};
use std::sync::Arc;

#[track_caller]
fn device(test: &str) -> Option<Arc<Device>> {
    match Device::open_first() {
        Ok(device) => Some(device),
        Err(e) if Driver::is_emulator_asked_for() => panic!("{e}"),
        Err(e) => {
            println!("skipped: {test}: {e}");
            None
        }
    }
}

/// A stream, its kernels, and an arena of two buffers of eight numbers.
fn two_buffers(device: &Arc<Device>) -> (Stream, Modules, Arena, Slot<u32>, Slot<u32>) {
    let mut plan = Plan::new(&["frame"]);
    let (a, b) = (plan.keep("a", 8), plan.keep("b", 8));
    (
        Stream::new(device).unwrap(),
        Modules::load(device).unwrap(),
        Arena::allocate(device, &plan).unwrap(),
        a,
        b,
    )
}

#[test]
fn host_memory_of_a_graph_must_be_lent() {
    let Some(device) = device("host_memory_of_a_graph_must_be_lent") else { return };
    let (mut stream, modules, arena, a, _) = two_buffers(&device);
    let mut up: Pinned<u32> = Pinned::zeroed(&stream, 8).unwrap();
    let mut down: Pinned<u32> = Pinned::zeroed(&stream, 8).unwrap();
    let graph = stream
        .capture(&modules, &arena, |stream| {
            stream.upload(&mut up, 0..8, &arena, a, 0)?;
            stream.fill(&arena, a, 6..8, 7)?;
            stream.download(&arena, a, 0..8, &mut down, 0)
        })
        .unwrap();
    assert!(up.as_slice().is_ok() && down.as_slice().is_ok(), "nothing runs");
    for lent in [&mut [][..], &mut [up.lend()], &mut [down.lend()]] {
        assert_eq!(stream.launch_graph(&graph, lent), Err(DeviceFault::INVALID_HANDLE));
    }
    for value in [3, 4] {
        up.as_mut_slice().unwrap().fill(value);
        stream.launch_graph(&graph, &mut [up.lend(), down.lend()]).unwrap();
        assert_eq!(up.as_slice().unwrap_err(), DeviceFault::NOT_READY);
        assert_eq!(down.as_slice().unwrap_err(), DeviceFault::NOT_READY);
        stream.synchronize().unwrap();
        assert_eq!(down.as_slice().unwrap(), [value, value, value, value, value, value, 7, 7]);
    }
}

#[test]
fn spans_are_copied_within_the_device() {
    let Some(device) = device("spans_are_copied_within_the_device") else { return };
    let (mut stream, modules, arena, a, b) = two_buffers(&device);
    let (from, to) = (arena.span(a, 2..6).unwrap(), arena.span(b, 4..8).unwrap());
    assert_eq!((from.n_bytes(), to.address()), (16, arena.address(b) + 16));
    assert!(arena.span(a, 2..9).is_none());
    stream.fill(&arena, a, 0..8, 5).unwrap();
    let short = arena.span(b, 0..3).unwrap();
    assert_eq!(stream.copy(&from, &short), Err(DeviceFault::INVALID_VALUE));
    let (_, _, other, c, _) = two_buffers(&Device::open(device.info().ordinal).unwrap());
    assert_eq!(stream.copy(&from, &other.span(c, 0..4).unwrap()), Err(DeviceFault::INVALID_HANDLE));
    let mut down: Pinned<u32> = Pinned::zeroed(&stream, 8).unwrap();
    // A graph keeps the memory of its spans, whoever else lets go of it.
    let mut plan = Plan::new(&["frame"]);
    let slot = plan.keep::<u32>("gone", 4);
    let gone = Arena::allocate(&device, &plan).unwrap();
    stream.fill(&gone, slot, 0..4, 9).unwrap();
    let graph = stream.capture(&modules, &arena, |stream| {
        stream.copy(&from, &to)?;
        stream.copy(&gone.span(slot, 0..2).unwrap(), &arena.span(b, 0..2).unwrap())?;
        stream.download(&arena, b, 0..8, &mut down, 0)
    });
    drop(gone);
    stream.launch_graph(&graph.unwrap(), &mut [down.lend()]).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(down.as_slice().unwrap(), [9, 9, 0, 0, 5, 5, 5, 5]);
}

#[test]
fn events_in_a_graph_measure_each_launch() {
    let Some(device) = device("events_in_a_graph_measure_each_launch") else { return };
    let (mut stream, modules, arena, a, _) = two_buffers(&device);
    let (mut before, mut start, mut end) =
        (stream.event().unwrap(), stream.event().unwrap(), stream.event().unwrap());
    let graph = stream
        .capture(&modules, &arena, |stream| {
            stream.record(&mut start)?;
            stream.fill(&arena, a, 0..8, 1)?;
            stream.record(&mut end)
        })
        .unwrap();
    assert!(end.elapsed_ns(&start).is_err(), "captured is not reached");
    let mut last = 0;
    stream.record(&mut before).unwrap();
    for _ in 0..3 {
        stream.launch_graph(&graph, &mut []).unwrap();
        stream.synchronize().unwrap();
        let since = end.elapsed_ns(&before).unwrap();
        assert!(since > last, "each launch is later than the one before");
        assert!(end.elapsed_ns(&start).unwrap() < since);
        last = since;
    }
}

#[test]
fn what_a_capture_does_not_survive_leaves_the_stream_usable() {
    let Some(device) = device("what_a_capture_does_not_survive_leaves_the_stream_usable") else { return };
    let (mut stream, modules, arena, a, _) = two_buffers(&device);
    // An allocation while it captures: the driver answers, and the capture is lost.
    let refused = stream.capture(&modules, &arena, |stream| {
        let mut plan = Plan::new(&["frame"]);
        plan.keep::<u32>("more", 8);
        assert!(Arena::allocate(&device, &plan).is_err());
        stream.fill(&arena, a, 0..8, 1)
    });
    let code = refused.unwrap_err().code;
    assert!(code == 900 || code == 901, "{code}");
    let foreign = stream.enqueue_foreign(|handle| {
        assert!(!handle.is_null());
        Err(DeviceFault::NOT_SUPPORTED)
    });
    assert_eq!(foreign, Err(DeviceFault::NOT_SUPPORTED));
    let graph = stream.capture(&modules, &arena, |stream| stream.fill(&arena, a, 0..8, 2)).unwrap();
    stream.launch_graph(&graph, &mut []).unwrap();
    stream.synchronize().unwrap();
}
