//! Frames as graphs: in any order through one of them, several engines side by side, without a graph
//! where none can be captured, and without the card where it is lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use pilotis_cuda_tests::counting::{Counting, n_allocations};
use pilotis_cuda_tests::{Answers, cases, engine, engine_whole, why_no_device};
use pilotis_runtime::device::cuda::{DeviceFault, Stream};
use pilotis_runtime::head::device::{DeviceHead, DeviceReplay, DeviceTensors};
use pilotis_runtime::{
    BuildError, CanvasFormat, CloudView, DeviceChoice, DeviceHeadSource, Engine, EngineBuilder, HeadChoice,
    OnDeviceLost, OnMismatch, Package,
};
use pilotis_spec::{FrameErrorCode, FrameFlags, Point};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FAULT: &str = "PILOTIS_EMULATOR_FAULT";
const EMULATOR: &str = "PILOTIS_CUDA_EMULATOR";
/// Where the emulator writes what was called.
const COUNTS: &str = "PILOTIS_EMULATOR_COUNTS";

macro_rules! need_device {
    () => {
        if let Some(reason) = why_no_device() {
            println!("{reason}");
            return;
        }
    };
}

/// What a process of its own came to.
struct Ran {
    said: String,
    counts: BTreeMap<String, u64>,
}

impl Ran {
    fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

/// Runs a test of this file in a process of its own, where the emulator counts, and meets a fault where one
/// is given. `None` where there is no emulator.
fn run_alone(test: &str, fault: Option<&str>) -> Option<Ran> {
    if std::env::var_os(EMULATOR).is_none() {
        println!("skipped: {test}: only an emulator counts, and fails when it is told to");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counts");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(COUNTS, &file);
    if let Some(fault) = fault {
        command.env(FAULT, fault);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{fault:?}: {said}");
    let counts = std::fs::read_to_string(&file).unwrap();
    let count = |line: &str| line.split_once(' ').map(|(what, n)| (what.to_owned(), n.parse().unwrap()));
    Some(Ran { said: said.into_owned(), counts: counts.lines().filter_map(count).collect() })
}

fn package(seed: u64) -> (Package, Vec<Vec<f32>>) {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = cases::manifest(seed);
    manifest.points.max_points = 3000;
    let package = cases::package(manifest, seed, folder.path());
    let tensors = cases::tensors(package.manifest(), seed);
    (package, tensors)
}

/// Clouds of every kind, one larger than a chunk among them.
fn clouds(package: &Package, seed: u64) -> Vec<Vec<Point>> {
    let mut clouds: Vec<_> = (0..7).map(|kind| cases::cloud(package.manifest(), kind, seed)).collect();
    let ordinary = (0..100).map(|s| cases::cloud(package.manifest(), 6, s)).find(|c| c.len() > 500).unwrap();
    clouds.push(ordinary.iter().cycle().take(20_000).copied().collect());
    clouds.push(Vec::new());
    clouds
}

fn of_frame(answers: &Answers) -> Answers {
    let mut same = answers.clone();
    same.report.frame_idx = 0;
    same
}

#[test]
fn frames_in_any_order_through_one_graph_leave_no_trace() {
    need_device!();
    for seed in [40, 41, 42] {
        let (package, tensors) = package(seed);
        let clouds = clouds(&package, seed);
        let mut graph = engine_whole(&package, &tensors, CanvasFormat::default(), true);
        let mut plain = engine_whole(&package, &tensors, CanvasFormat::default(), false);
        assert!(plain.describe_stages().contains("plain launches"), "{}", plain.describe_stages());
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        let want: Vec<Answers> =
            clouds.iter().map(|c| of_frame(&Answers::of(&mut cpu, &CloudView::from_points(c)))).collect();
        // Strides that meet every cloud after different ones.
        for stride in [1, 2, 4, 5, 7, 8] {
            for i in 0..clouds.len() {
                let idx = i * stride % clouds.len();
                let cloud = CloudView::from_points(&clouds[idx]);
                assert_eq!(
                    of_frame(&Answers::of(&mut graph, &cloud)),
                    want[idx],
                    "model {seed}, cloud {idx}"
                );
                assert_eq!(
                    of_frame(&Answers::of(&mut plain, &cloud)),
                    want[idx],
                    "model {seed}, cloud {idx}"
                );
            }
        }
    }
}

#[test]
fn a_frame_as_a_graph_allocates_nothing() {
    need_device!();
    assert_eq!(n_allocations(|| drop(std::hint::black_box(vec![1_u8; 3]))), 1, "the allocator counts");
    for seed in [43, 44] {
        let (package, tensors) = package(seed);
        let mut graph = engine_whole(&package, &tensors, CanvasFormat::default(), true);
        for cloud in clouds(&package, seed) {
            let n = n_allocations(|| assert!(graph.infer(&CloudView::from_points(&cloud)).is_ok()));
            assert_eq!(n, 0, "model {seed}, {} points", cloud.len());
        }
    }
}

#[test]
fn engines_side_by_side_answer_as_they_do_alone() {
    need_device!();
    const N_ENGINES: u64 = 4;
    let run = |seed: u64, between: &dyn Fn()| -> Vec<Answers> {
        let (package, tensors) = package(50 + seed);
        let clouds = clouds(&package, seed);
        let mut graph = engine_whole(&package, &tensors, CanvasFormat::default(), true);
        let mut answers = Vec::new();
        for _ in 0..2 {
            for cloud in &clouds {
                between();
                answers.push(Answers::of(&mut graph, &CloudView::from_points(cloud)));
            }
        }
        answers
    };
    let alone: Vec<_> = (0..N_ENGINES).map(|seed| run(seed, &|| {})).collect();
    // Frame by frame in step, so that their work is interleaved.
    let barrier = std::sync::Barrier::new(N_ENGINES as usize);
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..N_ENGINES)
            .map(|seed| {
                scope.spawn({
                    let (run, barrier) = (&run, &barrier);
                    move || {
                        run(seed, &|| {
                            barrier.wait();
                        })
                    }
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(alone == together, "an engine answers otherwise beside others");
}

#[test]
fn where_no_graph_can_be_captured_frames_are_plain_launches_and_it_is_said() {
    need_device!();
    const TEST: &str = "where_no_graph_can_be_captured_frames_are_plain_launches_and_it_is_said";
    const WARNING: &str = "no graph can be captured";
    if std::env::var_os(FAULT).is_none() {
        for (fault, n_begun) in [
            ("cuStreamBeginCapture:900", 0),
            ("cuStreamEndCapture:900", 1),
            ("cuStreamEndCapture:901", 1),
            ("cuStreamEndCapture:2", 1),
            ("cuGraphInstantiate:801", 1),
            ("cuGraphInstantiate:2", 1),
        ] {
            let Some(ran) = run_alone(TEST, Some(fault)) else { return };
            // No capture is left open, and none is tried again.
            let captures = [ran.count("captures_begun"), ran.count("captures_ended")];
            assert_eq!(captures, [n_begun, n_begun], "{fault}");
            assert_eq!(ran.count("cuGraphLaunch"), 0, "{fault}");
            // What was captured before it failed was given back.
            assert_eq!(ran.count("graphs_made"), ran.count("cuGraphDestroy"), "{fault}");
            let n_warnings = ran.said.lines().filter(|l| l.contains("WARN") && l.contains(WARNING)).count();
            assert_eq!(n_warnings, 1, "{fault}: {}", ran.said);
        }
        return;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let (package, tensors) = package(45);
    let mut card = engine_whole(&package, &tensors, CanvasFormat::default(), true);
    assert!(card.describe_stages().contains(WARNING), "{}", card.describe_stages());
    let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
    for cloud in clouds(&package, 45) {
        let cloud = CloudView::from_points(&cloud);
        assert_eq!(Answers::of(&mut card, &cloud), Answers::of(&mut cpu, &cloud));
    }
}

#[test]
fn a_frame_is_captured_once_and_launched_ever_after() {
    need_device!();
    const TEST: &str = "a_frame_is_captured_once_and_launched_ever_after";
    const N_FRAMES: u64 = 20;
    if std::env::var_os(COUNTS).is_none() {
        let Some(ran) = run_alone(TEST, None) else { return };
        let once = ["captures_begun", "captures_ended", "cuGraphInstantiate", "cuGraphDestroy"];
        assert_eq!(once.map(|what| ran.count(what)), [1; 4]);
        // Two frames warm the graph up.
        assert_eq!(ran.count("cuGraphLaunch"), N_FRAMES + 2);
        // Two plain frames and the capture launch every kernel; a frame of the graph none.
        let (n_kernels, n_encoded) = (ran.count("cuLaunchKernel"), ran.count("launches_of_boxes_sweep"));
        assert_eq!((n_encoded, n_kernels % 3), (3, 0), "{:?}", ran.counts);
        // A frame waits once, whatever else was waited for while the engine was built.
        let n_waits = ran.count("cuStreamSynchronize");
        assert!((N_FRAMES..N_FRAMES + 40).contains(&n_waits), "{n_waits} waits");
        return;
    }
    let (package, tensors) = package(47);
    let mut card = engine_whole(&package, &tensors, CanvasFormat::default(), true);
    let clouds = clouds(&package, 47);
    for i in 0..N_FRAMES {
        card.infer(&CloudView::from_points(&clouds[i as usize % clouds.len()])).unwrap();
    }
}

/// Recorded tensors from a network that no graph can hold.
struct Uncapturable {
    replay: DeviceReplay,
    /// Whether it says so when it is asked, or only answers with a fault.
    says_so: bool,
    /// Times that it was enqueued on a stream that captures.
    n_in_capture: Arc<AtomicU32>,
}

impl DeviceHead for Uncapturable {
    fn describe(&self) -> String {
        self.replay.describe()
    }

    fn canvas_format(&self) -> CanvasFormat {
        self.replay.canvas_format()
    }

    fn workspace_bytes(&self) -> usize {
        self.replay.workspace_bytes()
    }

    fn bind(&mut self, stream: &Stream, memory: DeviceTensors<'_>) -> Result<(), BuildError> {
        self.replay.bind(stream, memory)
    }

    fn is_capturable(&self, _stream: &Stream) -> bool {
        !self.says_so
    }

    fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        // Waiting is what a capture refuses.
        stream.synchronize().inspect_err(|_| {
            self.n_in_capture.fetch_add(1, Ordering::Relaxed);
        })?;
        self.replay.enqueue(stream)
    }
}

#[test]
fn a_network_that_cannot_be_captured_runs_by_plain_launches() {
    need_device!();
    for (says_so, n_expected) in [(true, 0), (false, 1)] {
        let (package, tensors) = package(48);
        let n_in_capture = Arc::new(AtomicU32::new(0));
        let (counted, recorded) = (Arc::clone(&n_in_capture), tensors.clone());
        let source = DeviceHeadSource::new(move |device, package| {
            let (manifest, format) = (package.manifest(), CanvasFormat::default());
            let replay = DeviceReplay::build(device, manifest, &recorded, format)?;
            Ok(Box::new(Uncapturable { replay, says_so, n_in_capture: Arc::clone(&counted) }))
        });
        let builder = EngineBuilder::new().head(HeadChoice::Device(source)).on_mismatch(OnMismatch::Flag);
        let mut card = builder.device(DeviceChoice::Cuda).build(&package).unwrap();
        assert!(card.describe_stages().contains("no graph can be captured"), "{}", card.describe_stages());
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        for cloud in clouds(&package, 48).iter().take(3) {
            let cloud = CloudView::from_points(cloud);
            assert_eq!(Answers::of(&mut card, &cloud), Answers::of(&mut cpu, &cloud));
        }
        assert_eq!(n_in_capture.load(Ordering::Relaxed), n_expected, "it says so: {says_so}");
    }
}

/// Recorded tensors from a network that takes its time while it is enqueued.
struct Slow(DeviceReplay);

const PAUSE: Duration = Duration::from_millis(40);

impl DeviceHead for Slow {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn canvas_format(&self) -> CanvasFormat {
        self.0.canvas_format()
    }

    fn workspace_bytes(&self) -> usize {
        self.0.workspace_bytes()
    }

    fn bind(&mut self, stream: &Stream, memory: DeviceTensors<'_>) -> Result<(), BuildError> {
        self.0.bind(stream, memory)
    }

    fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        // The stages before have been done by then, on a card too.
        std::thread::sleep(PAUSE);
        self.0.enqueue(stream)
    }
}

#[test]
fn the_time_of_a_network_is_the_networks() {
    need_device!();
    let (package, tensors) = package(51);
    let source = DeviceHeadSource::new(move |device, package| {
        let replay = DeviceReplay::build(device, package.manifest(), &tensors, CanvasFormat::default())?;
        Ok(Box::new(Slow(replay)))
    });
    let builder = EngineBuilder::new().head(HeadChoice::Device(source)).on_mismatch(OnMismatch::Flag);
    let mut card = builder.device(DeviceChoice::Cuda).graph(false).build(&package).unwrap();
    let pause_ns = PAUSE.as_nanos() as u64;
    let cloud = cases::cloud(package.manifest(), 6, 51);
    let times = card.infer(&CloudView::from_points(&cloud)).unwrap().report.times;
    assert!(times.head_ns >= pause_ns / 10 * 9, "{times:?}");
    assert!(times.frame_ns >= times.head_ns, "{times:?}");
    // Whoever else had the pause in its time would have it on top of its own: the frame has it once.
    let all = [times.points_ns, times.pillars_ns, times.bev_ns, times.head_ns, times.boxes_ns];
    assert!(all.iter().all(|ns| *ns > 0), "{times:?}");
    assert!(all.iter().sum::<u64>() <= times.frame_ns + pause_ns / 2, "{times:?}");
    // Six launches; two marks side by side are less than that apart, on the emulator and on a card.
    assert!(times.boxes_ns > 3_000, "{times:?}");
}

#[test]
fn raw_tensors_on_the_card_can_be_looked_at() {
    need_device!();
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for seed in [49, 50] {
        let (package, tensors) = package(seed);
        let mut graph = engine_whole(&package, &tensors, CanvasFormat::default(), true);
        let mut host = engine(&package, &tensors, DeviceChoice::Cuda, CanvasFormat::default());
        let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
        for cloud in clouds(&package, seed) {
            for (engine, is_on_card) in [(&mut graph, true), (&mut host, false), (&mut cpu, false)] {
                engine.infer(&CloudView::from_points(&cloud)).unwrap();
                for (idx, tensor) in tensors.iter().enumerate() {
                    assert_eq!(bits(&engine.copy_tensor(idx).unwrap()), bits(tensor), "{seed}, {idx}");
                    assert_eq!(engine.last_tensor(idx).is_empty(), is_on_card && !tensor.is_empty());
                }
                assert!(engine.copy_tensor(tensors.len()).unwrap().is_empty());
            }
        }
    }
}

/// Frames until the card is lost, and three after; by policy.
fn lose_the_card(head: impl Fn(Vec<Vec<f32>>) -> HeadChoice, policy: OnDeviceLost) {
    let (package, tensors) = package(46);
    let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
    let builder = EngineBuilder::new().head(head(tensors)).on_mismatch(OnMismatch::Flag);
    let mut card: Engine = builder.device(DeviceChoice::Cuda).on_device_lost(policy).build(&package).unwrap();
    let clouds = clouds(&package, 46);
    let (mut n_on_card, mut n_on_cpu) = (0, 0);
    for i in 0..60 {
        let cloud = CloudView::from_points(&clouds[i % clouds.len()]);
        let want = Answers::of(&mut cpu, &cloud);
        let mut lost = None;
        let n = n_allocations(|| lost = Some(card.infer(&cloud).map(|f| (f.report, f.detections.len()))));
        assert_eq!(n, 0, "frame {i}");
        match (lost.unwrap(), policy) {
            (Ok((report, n_boxes)), _) => {
                let is_on_cpu = report.flags.contains(FrameFlags::DEVICE_LOST);
                assert!(is_on_cpu || n_on_cpu == 0, "the card does not come back");
                if is_on_cpu {
                    n_on_cpu += 1;
                } else {
                    n_on_card += 1;
                }
                assert_eq!((report.n_pillars, n_boxes), (want.report.n_pillars, want.boxes.len()));
                assert_eq!(report.frame_idx, i as u64);
                if is_on_cpu {
                    let mut got = Answers::of(&mut card, &cloud);
                    got.report.flags = want.report.flags;
                    assert_eq!(of_frame(&got), of_frame(&want), "frame {i} on the CPU");
                    assert!(
                        card.describe_stages().starts_with("CPU") && card.describe_stages().contains("700")
                    );
                    break;
                }
            }
            (Err(error), OnDeviceLost::Fail) => {
                assert_eq!((error.code, error.got), (FrameErrorCode::DeviceFault, 700));
                n_on_cpu += 1;
            }
            (Err(error), OnDeviceLost::UseCpu) => panic!("{error}"),
        }
    }
    assert!(n_on_card > 2 && n_on_cpu > 0, "{n_on_card} {n_on_cpu}");
}

#[test]
fn a_lost_card_fails_every_frame_unless_the_cpu_may_take_over() {
    need_device!();
    const TEST: &str = "a_lost_card_fails_every_frame_unless_the_cpu_may_take_over";
    const POLICY: &str = "PILOTIS_TEST_POLICY";
    match std::env::var(POLICY).ok().as_deref() {
        Some("fail") => lose_the_card(HeadChoice::DeviceReplay, OnDeviceLost::Fail),
        Some("cpu") => lose_the_card(HeadChoice::DeviceReplay, OnDeviceLost::UseCpu),
        Some(_) => lose_the_card(HeadChoice::Replay, OnDeviceLost::UseCpu),
        None => {
            for policy in ["fail", "cpu", "cpu around a network on the host"] {
                let Some(emulator) = std::env::var_os(EMULATOR) else {
                    println!("skipped: {TEST}: only an emulator loses its device when it is told to");
                    return;
                };
                let mut command = Command::new(std::env::current_exe().unwrap());
                let command = command.args([TEST, "--exact", "--nocapture"]).env(EMULATOR, emulator);
                let output = command.env(POLICY, policy).env(FAULT, "cuStreamSynchronize:700:70").output();
                let output = output.unwrap();
                let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && said.contains("1 passed"), "{policy}: {said}");
            }
        }
    }
}
