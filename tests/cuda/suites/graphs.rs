//! Frames as graphs: in any order through one of them, several engines side by side, without a graph
//! where none can be captured, and without the card where it is lost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use pilotis_cuda_tests::counting::{Counting, n_allocations};
use pilotis_cuda_tests::{Answers, cases, engine, engine_whole, why_no_device};
use pilotis_runtime::{
    CanvasFormat, CloudView, DeviceChoice, Engine, EngineBuilder, HeadChoice, OnDeviceLost, OnMismatch,
    Package,
};
use pilotis_spec::{FrameErrorCode, FrameFlags, Point};
use std::process::Command;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FAULT: &str = "PILOTIS_EMULATOR_FAULT";
const EMULATOR: &str = "PILOTIS_CUDA_EMULATOR";

macro_rules! need_device {
    () => {
        if let Some(reason) = why_no_device() {
            println!("{reason}");
            return;
        }
    };
}

/// Runs a test of this file in a process of its own, where the emulator meets a fault. `None` in that
/// process, and where there is no emulator.
fn run_with_fault(test: &str, fault: &str) -> Option<String> {
    if std::env::var_os(EMULATOR).is_none() {
        println!("skipped: {test}: only an emulator fails when it is told to");
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([test, "--exact", "--nocapture"]).env(FAULT, fault).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{fault}: {said}");
    Some(said.into_owned())
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
    if std::env::var_os(FAULT).is_none() {
        // Not at the end of a capture: the emulator's fault would leave it open, which no driver does.
        for fault in ["cuStreamBeginCapture:900", "cuGraphInstantiate:801"] {
            run_with_fault(TEST, fault);
        }
        return;
    }
    let (package, tensors) = package(45);
    let mut card = engine_whole(&package, &tensors, CanvasFormat::default(), true);
    assert!(card.describe_stages().contains("no graph can be captured"), "{}", card.describe_stages());
    let mut cpu = engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default());
    for cloud in clouds(&package, 45) {
        let cloud = CloudView::from_points(&cloud);
        assert_eq!(Answers::of(&mut card, &cloud), Answers::of(&mut cpu, &cloud));
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
