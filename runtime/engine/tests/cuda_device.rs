//! The launch layer on a device: the emulator that `PILOTIS_CUDA_EMULATOR` names, or a card.
//!
//! Prints `skipped: ...` where there is neither.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests as well"
)]

use pilotis_kernels::frame::{BLOCK, FrameState, NONE};
use pilotis_kernels::pillars::PillarsParams;
use pilotis_kernels::points::PointsParams;
use pilotis_runtime::BuildErrorKind;
use pilotis_runtime::device::cuda::driver::EMULATOR_VARIABLE;
use pilotis_runtime::device::cuda::nvml;
use pilotis_runtime::device::cuda::{
    Arena, Device, DeviceFault, Driver, Kernel, Modules, Pinned, Plan, Slot, Stream,
};
use pilotis_runtime::device::{DeviceChoice, Resolved};
use std::process::Command;
use std::sync::Arc;

/// Set in a process that is to meet a fault of the device.
const CHILD_VARIABLE: &str = "PILOTIS_TEST_CHILD";

/// A device, or why there is none.
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

fn plan() -> Plan {
    Plan::new(&["points", "pillars"])
}

/// A stream, and an arena of one buffer of `len` numbers.
fn numbers(device: &Arc<Device>, len: usize) -> (Stream, Arena, Slot<u32>) {
    let mut plan = plan();
    let slot = plan.keep("numbers", len);
    (Stream::new(device).unwrap(), Arena::allocate(device, &plan).unwrap(), slot)
}

/// What stands in a buffer.
fn contents(stream: &mut Stream, arena: &Arena, slot: Slot<u32>) -> Vec<u32> {
    let mut host = Pinned::zeroed(stream, slot.len()).unwrap();
    stream.download(arena, slot, 0..slot.len(), &mut host, 0).unwrap();
    stream.synchronize().unwrap();
    host.as_slice().unwrap().to_vec()
}

#[test]
fn without_a_driver_every_way_in_is_a_typed_error() {
    let resolved = DeviceChoice::Auto.resolve();
    let error = match (Driver::open(), Device::open(0)) {
        (Ok(_), _) => {
            println!("skipped: without_a_driver_every_way_in_is_a_typed_error: there is a driver");
            return;
        }
        (Err(e), Err(again)) => {
            assert_eq!(e.to_string(), again.to_string());
            e
        }
        (Err(e), Ok(_)) => panic!("a device without a driver: {e}"),
    };
    assert!(
        matches!(
            error.kind(),
            BuildErrorKind::NativePartMissing | BuildErrorKind::Native | BuildErrorKind::Device
        ),
        "{error}"
    );
    if error.kind() == BuildErrorKind::NativePartMissing {
        assert!(error.to_string().contains("libcuda.so.1"), "{error}");
    }
    assert!(DeviceChoice::Cuda.resolve().is_err());
    if Driver::is_emulator_asked_for() {
        assert!(resolved.is_err(), "an emulator that was asked for is not passed over");
    } else {
        let Ok(Resolved::Cpu { why_not_cuda: Some(why) }) = resolved else { panic!("{resolved:?}") };
        assert_eq!(why, error.to_string());
    }
}

#[test]
fn the_device_is_described() {
    let Some(device) = device("the_device_is_described") else { return };
    let info = device.info();
    assert_eq!(info.is_emulated, Driver::is_emulator_asked_for());
    assert!(!info.name.is_empty() && info.compute >= (8, 9), "{info:?}");
    assert!(info.memory_bytes > 0 && info.n_multiprocessors > 0, "{info:?}");
    let memory = device.memory().unwrap();
    assert!(memory.free_bytes > 0 && memory.free_bytes <= memory.total_bytes, "{memory:?}");
    assert!(Driver::open().unwrap().version() >= (12, 0));
    if info.is_emulated {
        assert_eq!(nvml::read(info), nvml::Readings::default(), "an emulator has no readings");
    }
    let n = Driver::open().unwrap().n_devices();
    let error = Device::open(n).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Device);
    assert!(error.to_string().contains(&n.to_string()), "{error}");
    let resolved = DeviceChoice::Auto.resolve().unwrap();
    assert!(matches!(&resolved, Resolved::Cuda(found) if found.info() == info), "{resolved}");
    assert!(resolved.to_string().contains(&info.name), "{resolved}");
}

#[test]
fn every_kernel_is_found() {
    let Some(device) = device("every_kernel_is_found") else { return };
    let modules = Modules::load(&device).unwrap();
    let kernel: Kernel<PointsParams> = modules.kernel("points_count").unwrap();
    assert_eq!((kernel.entry().name, kernel.entry().block), ("points_count", BLOCK));
    let error = modules.kernel::<PointsParams>("points_guess").unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Mismatch);
    let error = modules.kernel::<PillarsParams>("points_count").unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), BuildErrorKind::Mismatch);
    assert!(text.contains(&size_of::<PillarsParams>().to_string()), "{text}");
    assert!(text.contains(&size_of::<PointsParams>().to_string()), "{text}");
}

#[test]
fn device_memory_is_zero_at_first() {
    let Some(device) = device("device_memory_is_zero_at_first") else { return };
    for _ in 0..2 {
        let (mut stream, arena, slot) = numbers(&device, 1000);
        assert_eq!(contents(&mut stream, &arena, slot), vec![0; 1000]);
        stream.fill(&arena, slot, 0..1000, 7).unwrap();
    }
}

#[test]
fn pinned_memory_is_zero_at_first() {
    let Some(device) = device("pinned_memory_is_zero_at_first") else { return };
    let stream = Stream::new(&device).unwrap();
    for len in [0, 1, 1000] {
        let mut host: Pinned<u64> = Pinned::zeroed(&stream, len).unwrap();
        assert_eq!((host.len(), host.is_empty()), (len, len == 0));
        assert!(host.as_slice().unwrap().iter().all(|v| *v == 0));
        host.as_mut_slice().unwrap().fill(u64::MAX);
        assert!(host.as_slice().unwrap().iter().all(|v| *v == u64::MAX));
    }
    let error = Pinned::<u64>::zeroed(&stream, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Device);
}

#[test]
fn copies_go_there_and_back() {
    let Some(device) = device("copies_go_there_and_back") else { return };
    let (mut stream, arena, slot) = numbers(&device, 100);
    let mut host = Pinned::zeroed(&stream, 10).unwrap();
    for (i, v) in host.as_mut_slice().unwrap().iter_mut().enumerate() {
        *v = 100 + i as u32;
    }
    stream.upload(&mut host, 2..6, &arena, slot, 50).unwrap();
    stream.synchronize().unwrap();
    host.as_mut_slice().unwrap().fill(9);
    stream.download(&arena, slot, 49..55, &mut host, 3).unwrap();
    stream.synchronize().unwrap();
    assert_eq!(host.as_slice().unwrap(), [9, 9, 9, 0, 102, 103, 104, 105, 0, 9]);
}

#[test]
fn copies_past_an_end_are_refused() {
    let Some(device) = device("copies_past_an_end_are_refused") else { return };
    let (mut stream, arena, slot) = numbers(&device, 100);
    let mut host: Pinned<u32> = Pinned::zeroed(&stream, 10).unwrap();
    let refused = Err(DeviceFault::INVALID_VALUE);
    #[allow(clippy::reversed_empty_ranges, reason = "what is tested")]
    for (range, at) in [(0..11, 0), (0..10, 91), (5..4, 0), (0..1, usize::MAX), (10..12, 0)] {
        assert_eq!(stream.upload(&mut host, range.clone(), &arena, slot, at), refused, "{range:?} {at}");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "what is tested")]
    for (range, at) in [(0..11, 0), (95..101, 0), (5..4, 0), (0..1, 10), (0..1, usize::MAX)] {
        assert_eq!(stream.download(&arena, slot, range.clone(), &mut host, at), refused, "{range:?} {at}");
    }
    assert_eq!(stream.fill(&arena, slot, 99..101, 0), refused);
    stream.upload(&mut host, 10..10, &arena, slot, 100).unwrap();
    stream.download(&arena, slot, 100..100, &mut host, 10).unwrap();
    stream.fill(&arena, slot, 100..100, 0).unwrap();
    assert!(host.as_slice().is_ok(), "a copy of nothing is never busy");
    let mut other = plan();
    other.keep::<u32>("first", 1);
    let foreign: Slot<u32> = other.keep("second", 100);
    assert_eq!(stream.fill(&arena, foreign, 0..1, 0), refused);
    assert_eq!(arena.address(foreign), 0);
    assert_ne!(arena.address(slot), 0);
    assert_eq!(arena.address(slot) % 256, 0);
}

#[test]
fn fills_write_their_range_only() {
    let Some(device) = device("fills_write_their_range_only") else { return };
    let mut plan = plan();
    let (before, slot, after) =
        (plan.keep::<u32>("a", 64), plan.keep::<u32>("b", 64), plan.keep::<u32>("c", 64));
    let bytes = plan.keep::<u8>("bytes", 10);
    let arena = Arena::allocate(&device, &plan).unwrap();
    let mut stream = Stream::new(&device).unwrap();
    stream.fill(&arena, slot, 0..64, 7).unwrap();
    stream.fill(&arena, slot, 10..20, NONE).unwrap();
    let want: Vec<u32> = (0..64).map(|i| if (10..20).contains(&i) { NONE } else { 7 }).collect();
    assert_eq!(contents(&mut stream, &arena, slot), want);
    for neighbour in [before, after] {
        assert_eq!(contents(&mut stream, &arena, neighbour), [0; 64]);
    }
    let refused = Err(DeviceFault::INVALID_VALUE);
    assert_eq!(stream.fill(&arena, bytes, 0..10, 0), refused, "no whole number of fours");
    assert_eq!(stream.fill(&arena, bytes, 2..6, 0), refused, "not at a multiple of four");
    stream.fill(&arena, bytes, 4..8, 0x0101_0101).unwrap();
}

#[test]
fn values_are_not_seen_while_they_are_copied() {
    let Some(device) = device("values_are_not_seen_while_they_are_copied") else { return };
    let (mut stream, arena, slot) = numbers(&device, 4);
    let mut host: Pinned<u32> = Pinned::zeroed(&stream, 4).unwrap();
    let busy = DeviceFault::NOT_READY;
    stream.download(&arena, slot, 0..4, &mut host, 0).unwrap();
    assert_eq!(host.as_slice().unwrap_err(), busy);
    stream.synchronize().unwrap();
    assert!(host.as_slice().is_ok());
    stream.upload(&mut host, 0..4, &arena, slot, 0).unwrap();
    assert_eq!(host.as_mut_slice().unwrap_err(), busy);
    stream.synchronize().unwrap();
    assert!(host.as_mut_slice().is_ok());
}

#[test]
fn an_event_lets_host_memory_go() {
    let Some(device) = device("an_event_lets_host_memory_go") else { return };
    let (mut stream, arena, slot) = numbers(&device, 4);
    let mut hosts: [Pinned<u32>; 2] = std::array::from_fn(|_| Pinned::zeroed(&stream, 4).unwrap());
    let mut event = stream.event().unwrap();
    event.wait().unwrap();
    stream.upload(&mut hosts[0], 0..4, &arena, slot, 0).unwrap();
    stream.record(&mut event).unwrap();
    stream.upload(&mut hosts[1], 0..4, &arena, slot, 0).unwrap();
    assert!(hosts[0].as_slice().is_err());
    event.wait().unwrap();
    assert!(hosts[0].as_slice().is_ok(), "before the event");
    assert!(hosts[1].as_slice().is_err(), "after the event");
}

#[test]
fn events_measure_what_is_between_them() {
    let Some(device) = device("events_measure_what_is_between_them") else { return };
    let (mut stream, arena, slot) = numbers(&device, 1 << 20);
    let (mut start, mut end) = (stream.event().unwrap(), stream.event().unwrap());
    stream.record(&mut start).unwrap();
    for value in 0..10 {
        stream.fill(&arena, slot, 0..slot.len(), value).unwrap();
    }
    stream.record(&mut end).unwrap();
    end.wait().unwrap();
    assert!(end.elapsed_ns(&start).unwrap() > 0);
    assert_eq!(start.elapsed_ns(&end).unwrap(), 0, "time does not run backwards");
    let other = Stream::new(&device).unwrap().event().unwrap();
    assert_eq!(end.elapsed_ns(&other), Err(DeviceFault::INVALID_HANDLE));
}

/// The buffers that `pillars_forget` works on, for a frame of three cells.
struct Forget {
    arena: Arena,
    state: Slot<FrameState>,
    claimed: Slot<u32>,
    first: Slot<u32>,
    n_last: Slot<u32>,
    last_cells: Slot<u32>,
    params: PillarsParams,
}

impl Forget {
    fn new(device: &Arc<Device>) -> Self {
        let mut plan = plan();
        let (state, claimed, first) = (plan.keep("state", 1), plan.keep("claimed", 8), plan.keep("first", 8));
        let (n_last, last_cells) = (plan.keep("n_last", 1), plan.keep("last_cells", 8));
        let (count, pillar_at, filled) =
            (plan.keep::<u32>("count", 8), plan.keep::<u32>("at", 8), plan.keep::<u32>("filled", 8));
        let arena = Arena::allocate(device, &plan).unwrap();
        let params = PillarsParams {
            state: arena.address(state),
            claimed: arena.address(claimed),
            first: arena.address(first),
            count: arena.address(count),
            pillar_at: arena.address(pillar_at),
            filled: arena.address(filled),
            last_cells: arena.address(last_cells),
            n_last: arena.address(n_last),
            max_pillars: 8,
            ..PillarsParams::default()
        };
        Self { arena, state, claimed, first, n_last, last_cells, params }
    }

    fn fill_in(&self, stream: &mut Stream) {
        let mut state = Pinned::zeroed(stream, 1).unwrap();
        state.as_mut_slice().unwrap()[0] = FrameState { n_claimed: 3, n_pillars: 2, ..FrameState::default() };
        stream.upload(&mut state, 0..1, &self.arena, self.state, 0).unwrap();
        let mut cells = Pinned::zeroed(stream, 3).unwrap();
        cells.as_mut_slice().unwrap().copy_from_slice(&[5, 1, 6]);
        stream.upload(&mut cells, 0..3, &self.arena, self.claimed, 0).unwrap();
        stream.fill(&self.arena, self.first, 0..8, 77).unwrap();
        stream.fill(&self.arena, self.n_last, 0..1, 77).unwrap();
        stream.synchronize().unwrap();
    }

    #[track_caller]
    fn assert_forgotten(&self, stream: &mut Stream) {
        assert_eq!(contents(stream, &self.arena, self.first), [77, NONE, 77, 77, 77, NONE, NONE, 77]);
        assert_eq!(contents(stream, &self.arena, self.n_last), [2]);
        assert_eq!(contents(stream, &self.arena, self.last_cells)[..3], [5, 1, 0]);
    }
}

#[test]
fn a_kernel_runs_with_its_parameters() {
    let Some(device) = device("a_kernel_runs_with_its_parameters") else { return };
    let kernel = Modules::load(&device).unwrap().kernel("pillars_forget").unwrap();
    let mut stream = Stream::new(&device).unwrap();
    let forget = Forget::new(&device);
    forget.fill_in(&mut stream);
    stream.launch(&kernel, 0, &forget.params).unwrap();
    assert_eq!(contents(&mut stream, &forget.arena, forget.first), [77; 8], "no blocks, no launch");
    stream.launch(&kernel, 2, &forget.params).unwrap();
    forget.assert_forgotten(&mut stream);
}

#[test]
fn a_graph_does_what_was_captured() {
    let Some(device) = device("a_graph_does_what_was_captured") else { return };
    let modules = Modules::load(&device).unwrap();
    let kernel = modules.kernel("pillars_forget").unwrap();
    let mut stream = Stream::new(&device).unwrap();
    let forget = Forget::new(&device);
    forget.fill_in(&mut stream);
    let graph = stream
        .capture(&modules, &forget.arena, |stream| {
            stream.fill(&forget.arena, forget.last_cells, 0..8, 0)?;
            stream.launch(&kernel, 1, &forget.params)
        })
        .unwrap();
    assert_eq!(contents(&mut stream, &forget.arena, forget.first), [77; 8], "captured, not run");
    for _ in 0..2 {
        forget.fill_in(&mut stream);
        stream.fill(&forget.arena, forget.last_cells, 0..8, 99).unwrap();
        stream.launch_graph(&graph, &mut []).unwrap();
        forget.assert_forgotten(&mut stream);
    }

    let refused = stream.capture(&modules, &forget.arena, |stream| {
        assert_eq!(stream.launch_graph(&graph, &mut []), Err(DeviceFault::CAPTURE_UNSUPPORTED));
        stream.synchronize()
    });
    assert_eq!(refused.unwrap_err(), DeviceFault::CAPTURE_UNSUPPORTED);
    stream.launch_graph(&graph, &mut []).unwrap();
    stream.synchronize().unwrap();
}

#[test]
fn memory_that_is_not_free_is_refused_with_both_numbers() {
    let Some(device) = device("memory_that_is_not_free_is_refused_with_both_numbers") else { return };
    let free_bytes = device.memory().unwrap().free_bytes;
    for len in [free_bytes as usize + (1 << 30), usize::MAX] {
        let mut plan = plan();
        plan.keep::<u8>("much", len);
        let needed = plan.lay_out().total_bytes();
        let error = Arena::allocate(&device, &plan).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Device);
        let text = error.to_string();
        assert!(text.contains(&format!("needs {needed} bytes")) && text.contains(" free"), "{text}");
    }
    let (mut stream, arena, slot) = numbers(&device, 1);
    stream.fill(&arena, slot, 0..1, 1).unwrap();
    assert_eq!(contents(&mut stream, &arena, slot), [1], "a refusal harms nothing");
}

#[test]
fn things_of_another_device_or_stream_are_refused() {
    let Some(device) = device("things_of_another_device_or_stream_are_refused") else { return };
    let again = Device::open(device.info().ordinal).unwrap();
    let (mut stream, arena, slot) = numbers(&device, 4);
    let (mut other, other_arena, _) = numbers(&again, 4);
    let modules = Modules::load(&again).unwrap();
    let kernel: Kernel<PillarsParams> = modules.kernel("pillars_forget").unwrap();
    let mut host: Pinned<u32> = Pinned::zeroed(&other, 4).unwrap();
    let mut event = other.event().unwrap();
    let refused = Err(DeviceFault::INVALID_HANDLE);
    assert_eq!(stream.fill(&other_arena, slot, 0..4, 0), refused);
    assert_eq!(stream.upload(&mut host, 0..4, &arena, slot, 0), refused);
    assert_eq!(stream.download(&arena, slot, 0..4, &mut host, 0), refused);
    assert_eq!(stream.record(&mut event), refused);
    assert_eq!(stream.launch(&kernel, 1, &PillarsParams::default()), refused);
    assert!(stream.capture(&modules, &arena, |_| Ok(())).is_err());
    let graph = other.capture(&modules, &other_arena, |_| Ok(())).unwrap();
    assert_eq!(stream.launch_graph(&graph, &mut []), refused);
}

#[test]
fn one_device_serves_two_threads() {
    let Some(device) = device("one_device_serves_two_threads") else { return };
    let modules = Modules::load(&device).unwrap();
    let work = |value: u32| {
        let kernel: Kernel<PillarsParams> = modules.kernel("pillars_forget").unwrap();
        let (mut stream, arena, slot) = numbers(&device, 100);
        let forget = Forget::new(&device);
        for _ in 0..5 {
            stream.fill(&arena, slot, 0..100, value).unwrap();
            assert_eq!(contents(&mut stream, &arena, slot), vec![value; 100]);
            forget.fill_in(&mut stream);
            stream.launch(&kernel, 1, &forget.params).unwrap();
            forget.assert_forgotten(&mut stream);
        }
        let host: Pinned<u32> = Pinned::zeroed(&stream, 4).unwrap();
        let event = stream.event().unwrap();
        (stream, arena, slot, host, event)
    };
    let made = std::thread::scope(|scope| {
        let threads = [1, 2].map(|value| scope.spawn(move || work(value)));
        threads.map(|thread| thread.join().unwrap())
    });
    for ((mut stream, arena, slot, host, event), value) in made.into_iter().zip([1, 2]) {
        assert_eq!(contents(&mut stream, &arena, slot), vec![value; 100], "made there, used here");
        assert!(host.as_slice().is_ok());
        event.wait().unwrap();
    }
}

#[test]
fn devices_come_and_go() {
    for _ in 0..3 {
        let Some(device) = device("devices_come_and_go") else { return };
        let modules = Modules::load(&device).unwrap();
        let kernel: Kernel<PillarsParams> = modules.kernel("pillars_forget").unwrap();
        let (mut stream, arena, slot) = numbers(&device, 4);
        let mut host: Pinned<u32> = Pinned::zeroed(&stream, 4).unwrap();
        let graph = stream.capture(&modules, &arena, |s| s.fill(&arena, slot, 0..4, 3)).unwrap();
        stream.download(&arena, slot, 0..4, &mut host, 0).unwrap();
        // The device first, then what was made of it, with a copy that nobody waited for.
        drop(device);
        drop(modules);
        drop(arena);
        drop(host);
        let event = stream.event().unwrap();
        stream.launch_graph(&graph, &mut []).unwrap();
        stream.synchronize().unwrap();
        drop(stream);
        event.wait().unwrap();
        drop((event, graph, kernel));
    }
}

#[test]
fn a_sticky_fault_poisons_the_device() {
    if std::env::var_os(CHILD_VARIABLE).is_some() {
        return meet_a_sticky_fault();
    }
    if !Driver::is_emulator_asked_for() {
        println!("skipped: a_sticky_fault_poisons_the_device: {EMULATOR_VARIABLE} is not set");
        return;
    }
    // A process of its own: the device is lost to the one that meets the fault.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_sticky_fault_poisons_the_device", "--nocapture"])
        .env(CHILD_VARIABLE, "1")
        .env("PILOTIS_EMULATOR_FAULT", "cuStreamSynchronize:700")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{text}");
    assert!(text.contains("the fault was met"), "{text}");
}

fn meet_a_sticky_fault() {
    let device = Device::open_first().unwrap();
    let modules = Modules::load(&device).unwrap();
    let kernel: Kernel<PillarsParams> = modules.kernel("pillars_forget").unwrap();
    let (mut stream, arena, slot) = numbers(&device, 4);
    let mut host: Pinned<u32> = Pinned::zeroed(&stream, 4).unwrap();
    let mut event = stream.event().unwrap();
    stream.download(&arena, slot, 0..4, &mut host, 0).unwrap();
    let fault = DeviceFault { code: 700 };
    assert_eq!(stream.synchronize(), Err(fault));
    assert!(fault.is_sticky());
    for _ in 0..2 {
        assert_eq!(device.check(), Err(fault));
        assert_eq!(stream.synchronize(), Err(fault));
        assert_eq!(stream.fill(&arena, slot, 0..4, 0), Err(fault));
        assert_eq!(stream.upload(&mut host, 0..4, &arena, slot, 0), Err(fault));
        assert_eq!(stream.launch(&kernel, 1, &PillarsParams::default()), Err(fault));
        assert_eq!(stream.launch(&kernel, 0, &PillarsParams::default()), Err(fault));
        assert_eq!(stream.record(&mut event), Err(fault));
        assert_eq!(event.wait(), Err(fault));
        assert_eq!(host.as_slice().unwrap_err(), fault);
        assert!(device.memory().is_err());
        assert!(stream.capture(&modules, &arena, |_| Ok(())).is_err());
    }
    drop((host, arena, event, stream, kernel, modules, device));
    println!("the fault was met");
}
