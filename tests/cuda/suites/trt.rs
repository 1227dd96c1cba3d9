//! TensorRT's layer on the emulator, over a double of its C++ side (`trt/double.cpp`): from a package to boxes by
//! plan, engine, context and graph. The double computes nothing, it watches; what TensorRT does with the same calls,
//! only a card shows.
//!
//! Each test runs in a process of its own, since the C++ side is opened once a process.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use pilotis_cuda_tests::counting::{Counting, n_allocations};
use pilotis_cuda_tests::{Answers, cases, engine};
use pilotis_network::onnx::{OnnxMeta, to_onnx};
use pilotis_network::{Conv, Network, Node, Op, Precision, Weight};
use pilotis_runtime::device::cuda::{Arena, Device, DeviceFault, Plan, Slot, Stream};
use pilotis_runtime::device::native_parts::{NATIVE_DIR_VARIABLE, Places, TENSORRT_VARIABLE};
use pilotis_runtime::device::trt::{Engine as TrtEngine, Flavour, Library, Memory};
use pilotis_runtime::head::device::DeviceHead;
use pilotis_runtime::head::tensorrt::{
    Calibration, Lowered, PLAN_DIR_VARIABLE, PlanCache, RangeMeter, TensorRtHead, tensorrt,
};
use pilotis_runtime::{
    BuildError, BuildErrorKind, CanvasFormat, CloudView, DeviceChoice, Engine, EngineBuilder, OnDeviceLost,
    OnMismatch, Package,
};
use pilotis_spec::{FrameErrorCode, Manifest, Point};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EMULATOR: &str = "PILOTIS_CUDA_EMULATOR";
/// The folder of a test's own process.
const FOLDER: &str = "PILOTIS_TEST_FOLDER";
const SEED: u64 = 60;

/// A manifest whose canvas TensorRT reads in eights, and that finds boxes.
fn manifest() -> Manifest {
    let mut manifest = cases::manifest(SEED);
    manifest.points.max_points = 3000;
    manifest
}

/// A network of one convolution a tensor: what is lowered, and what the double is told to be.
fn network(manifest: &Manifest) -> Network {
    let (n_channels, grid) = (manifest.bev.n_channels(), &manifest.grid);
    let conv = |t: pilotis_spec::head::TensorSpec| {
        let stride = grid.ny() / t.shape[1];
        let shape = [t.shape[0], n_channels, stride, stride];
        let weight = Weight { shape, values: vec![0.125; shape.iter().product()] };
        let conv = Conv { weight, bias: vec![0.5; t.shape[0]], stride, padding: 0, relu: false };
        let inputs = vec!["canvas".to_owned()];
        Node { name: format!("to.{}", t.name), op: Op::Conv(conv), inputs, output: t.name }
    };
    let tensors = manifest.head.tensors(grid);
    Network {
        input: "canvas".to_owned(),
        input_shape: [n_channels, grid.ny(), grid.nx()],
        outputs: tensors.iter().map(|t| t.name.clone()).collect(),
        nodes: tensors.into_iter().map(conv).collect(),
    }
}

/// What a test's own process works on.
struct Stage {
    folder: PathBuf,
    package: Package,
    tensors: Vec<Vec<f32>>,
}

impl Stage {
    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn count(&self, function: &str) -> usize {
        self.log().iter().filter(|l| l.split(' ').next() == Some(function)).count()
    }

    fn builder() -> EngineBuilder {
        let builder = EngineBuilder::new().on_mismatch(OnMismatch::Flag).device(DeviceChoice::Cuda);
        builder.head(tensorrt(Precision::Fp16, None))
    }

    fn clouds(&self) -> Vec<Vec<Point>> {
        (0..7).map(|kind| cases::cloud(self.package.manifest(), kind, SEED)).collect()
    }

    /// What the CPU says with the same tensors, but for a canvas of `f16`.
    fn assert_boxes_of_the_cpu(&self, card: &mut Engine) {
        let mut cpu = engine(&self.package, &self.tensors, DeviceChoice::Cpu, CanvasFormat::default());
        let mut n_boxes = 0;
        for cloud in self.clouds() {
            let cloud = CloudView::from_points(&cloud);
            let (found, expected) = (Answers::of(card, &cloud), Answers::of(&mut cpu, &cloud));
            assert_eq!(
                (found.cells, found.boxes, found.n_left_over),
                (expected.cells, expected.boxes.clone(), 0)
            );
            n_boxes += expected.boxes.len();
        }
        assert!(n_boxes > 0, "no boxes were compared");
    }
}

/// Runs `test` in a process of its own with the double in TensorRT's place; `None` in the process that starts it, and
/// where there is no emulator.
fn alone(test: &str, variables: &[(&str, &str)]) -> Option<Stage> {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let (folder, manifest) = (PathBuf::from(folder), manifest());
        let onnx = to_onnx(&network(&manifest), &OnnxMeta::default()).unwrap();
        let package = cases::package_of(manifest, SEED, &onnx, &folder.join("package"));
        let tensors = cases::tensors(package.manifest(), SEED);
        return Some(Stage { folder, package, tensors });
    }
    if std::env::var_os(EMULATOR).is_none() {
        println!("skipped: {test}: the double works in the emulator's memory only");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("package")).unwrap();
    write_border(folder.path());
    let double = double();
    // Where the library looks for its C++ side, and what it takes for TensorRT: the double opens nothing.
    let shim =
        Places { native_dir: Some(at("native").into()), ..Places::default() }.trt_shim("rtx").unwrap_err();
    let shim = shim.to_string();
    let shim = PathBuf::from(shim.split('`').nth(1).unwrap());
    std::fs::create_dir_all(shim.parent().unwrap()).unwrap();
    std::fs::copy(double, &shim).unwrap();
    std::fs::write(at("libtensorrt_rtx.so.1"), "the double opens nothing").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(FOLDER, folder.path());
    command.env(NATIVE_DIR_VARIABLE, at("native")).env(TENSORRT_VARIABLE, at("libtensorrt_rtx.so.1"));
    for (name, file) in [("BORDER", "border"), ("VALUES", "values"), ("LOG", "log"), ("SEEN", "seen")] {
        command.env(format!("PILOTIS_DOUBLE_{name}"), at(file));
    }
    command.env(PLAN_DIR_VARIABLE, at("plans")).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{test}, {variables:?}: {said}");
    None
}

/// The border of the plan that the double has, and the tensors that it answers with.
fn write_border(folder: &Path) {
    let manifest = manifest();
    let grid = &manifest.grid;
    // `nvinfer1::DataType`: 0 is `f32`, 1 is `f16`.
    let mut border = format!("in canvas 1 1 {} {} {}\n", manifest.bev.n_channels(), grid.ny(), grid.nx());
    for tensor in manifest.head.tensors(grid) {
        let [c, h, w] = tensor.shape;
        border += &format!("out {} 0 1 {c} {h} {w}\n", tensor.name);
    }
    std::fs::write(folder.join("border"), border).unwrap();
    let values = cases::tensors(&manifest, SEED);
    let bytes: Vec<u8> = values.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("values"), bytes).unwrap();
}

/// The double, compiled against the header of the real C++ side.
fn double() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let (root, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")));
        std::fs::create_dir_all(folder).unwrap();
        let library = folder.join(format!("double-{}.so", std::process::id()));
        let mut command = Command::new(pilotis_emulator::compiler().unwrap());
        command.args(["-std=c++20", "-shared", "-fPIC", "-I"]);
        command.arg(root.join("../../runtime/engine/src/device/trt/shim"));
        command.arg(root.join("trt/double.cpp")).arg("-o").arg(&library).arg("-ldl");
        assert!(command.status().unwrap().success(), "the double does not compile");
        // Its name is the same for every run, so that builds do not pile up.
        let kept = folder.join("double.so");
        std::fs::rename(&library, &kept).unwrap();
        kept
    })
}

#[test]
fn a_network_of_tensorrt_is_one_graph_with_the_stages() {
    let Some(stage) = alone("a_network_of_tensorrt_is_one_graph_with_the_stages", &[]) else { return };
    let mut card = Stage::builder().build(&stage.package).unwrap();
    assert!(card.describe_stages().ends_with("one graph a frame"), "{}", card.describe_stages());
    assert_eq!(card.describe_head(), "TensorRT for RTX 1.7.1.7, fp16");
    // Two frames to warm up, and one that is captured.
    assert_eq!(stage.count("enqueue"), 3);
    stage.assert_boxes_of_the_cpu(&mut card);
    for cloud in stage.clouds() {
        let n = n_allocations(|| assert!(card.infer(&CloudView::from_points(&cloud)).is_ok()));
        assert_eq!(n, 0, "a frame allocates");
    }
    assert_eq!(stage.count("enqueue"), 3, "the graph is all that a frame launches");
    for (idx, tensor) in stage.tensors.iter().enumerate() {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&card.copy_tensor(idx).unwrap()), bits(tensor), "tensor {idx}");
    }
    // The canvas that the network saw is that of the frame, channels last.
    let manifest = stage.package.manifest();
    let n_channels = manifest.bev.n_channels();
    let last = card.last_frame().unwrap();
    let mut expected = vec![0_u16; n_channels * manifest.grid.n_cells()];
    for (cell, channels) in last.cells.iter().zip(last.channels.chunks_exact(n_channels)) {
        for (to, value) in expected[*cell as usize * n_channels..].iter_mut().zip(channels) {
            *to = half::f16::from_f32(*value).to_bits();
        }
    }
    // In a thread that has never seen the device.
    std::thread::spawn(move || drop(card)).join().unwrap();
    let seen = std::fs::read(stage.folder.join("seen")).unwrap();
    let seen: Vec<u16> = seen.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
    assert!(seen == expected && seen.iter().any(|v| *v != 0), "the network saw another canvas");
    // All that was made is freed, in an order that the double has watched.
    for (made, freed) in [
        ("context_new", "context_free"),
        ("cache_new", "cache_free"),
        ("engine_load", "engine_free"),
        ("runtime_new", "runtime_free"),
    ] {
        assert_eq!(stage.count(made), stage.count(freed), "{made}");
    }
    let freed: Vec<String> = stage.log().into_iter().filter(|l| l.ends_with("_free")).collect();
    assert_eq!(freed, ["context_free", "cache_free", "engine_free", "runtime_free"]);
}

#[test]
fn a_plan_and_its_kernels_are_made_once_and_kept_by_key() {
    let Some(stage) = alone("a_plan_and_its_kernels_are_made_once_and_kept_by_key", &[]) else { return };
    let (device, cache) = (Device::open_first().unwrap(), PlanCache::from_env().unwrap());
    let build = |precision| TensorRtHead::build(&device, &stage.package, precision, None, &cache);
    let head = build(Precision::Fp16).unwrap();
    assert_eq!((stage.count("build"), stage.count("cache_bytes")), (1, 1));
    assert_eq!(head.canvas_format(), CanvasFormat { channels_last: true, half: true });
    assert_eq!(head.workspace_bytes(), 256_000);
    // In a thread where no device was ever current.
    std::thread::spawn(move || drop(head)).join().unwrap();
    drop(build(Precision::Fp16).unwrap());
    assert_eq!((stage.count("build"), stage.count("engine_load")), (1, 2), "the plan is kept");
    // What the library compiled for the card is offered the second time.
    let offered: Vec<String> = stage.log().into_iter().filter(|l| l.starts_with("cache_new")).collect();
    assert_eq!(offered, ["cache_new 0", "cache_new 16"]);
    assert!(stage.log().iter().all(|l| !l.starts_with("context_new") || l.ends_with("with a cache")));
    // The plan is for this card, of the network as it was lowered, with the canvas in eights.
    let library = Library::open(Flavour::Rtx).unwrap();
    let of = |precision| Lowered::of(&stage.package, precision, &[89], None, library).unwrap().key;
    let plan = cache.get(&of(Precision::Fp16)).unwrap().plan;
    let text = String::from_utf8(plan).unwrap();
    assert!(text.starts_with("PLAN OF A DOUBLE format 2 tf32 0") && text.ends_with("for 89"), "{text}");
    // The border of the double is that of f16.
    let error = build(Precision::Fp32).err().unwrap().to_string();
    assert!(error.contains("canvas") && error.contains("F32"), "{error}");
    assert_eq!(stage.count("build"), 2, "another precision is another plan");
    assert!(cache.get(&of(Precision::Fp32)).unwrap().plan != cache.get(&of(Precision::Fp16)).unwrap().plan);
    let freed = ["engine", "runtime"].map(|what| stage.count(&format!("{what}_free")));
    assert_eq!(freed, [3, 3], "also what was refused");
}

#[test]
fn a_network_that_says_it_cannot_be_captured_is_not_tried() {
    let test = "a_network_that_says_it_cannot_be_captured_is_not_tried";
    let Some(stage) = alone(test, &[("PILOTIS_DOUBLE_PLAIN", "1")]) else { return };
    let mut card = Stage::builder().build(&stage.package).unwrap();
    assert!(card.describe_stages().contains("no graph can be captured"), "{}", card.describe_stages());
    assert_eq!(stage.count("enqueue"), 2, "nothing but what warms up");
    stage.assert_boxes_of_the_cpu(&mut card);
    assert_eq!(stage.count("enqueue"), 2 + stage.clouds().len());
}

#[test]
fn a_network_that_fails_while_it_is_captured_runs_without_a_graph() {
    let test = "a_network_that_fails_while_it_is_captured_runs_without_a_graph";
    // The third run is the captured one; this one fails ever after.
    let Some(stage) = alone(test, &[("PILOTIS_DOUBLE_FAULT", "enqueue:3")]) else { return };
    let mut card = Stage::builder().build(&stage.package).unwrap();
    assert!(card.describe_stages().contains("no graph can be captured"), "{}", card.describe_stages());
    let cloud = cases::cloud(stage.package.manifest(), 6, SEED);
    for _ in 0..3 {
        let error = card.infer(&CloudView::from_points(&cloud)).unwrap_err();
        assert_eq!((error.code, error.stage), (FrameErrorCode::DeviceFault, pilotis_spec::Stage::Head));
    }
    assert_eq!(stage.count("enqueue"), 6, "a frame that fails is tried again with the next");
    // A run that was not enqueued has not lost the card.
    assert!(Device::open_first().unwrap().check().is_ok());
}

#[test]
fn whatever_the_library_refuses_is_an_error_and_leaves_nothing() {
    const TEST: &str = "whatever_the_library_refuses_is_an_error_and_leaves_nothing";
    const WORDS: &str = "PILOTIS_TEST_WORDS";
    let faults = [
        "build",
        "runtime_new",
        "engine_load",
        "cache_new",
        "cache_bytes",
        "context_new",
        "bind_tensor",
        "bind_workspace",
    ];
    if std::env::var_os(FOLDER).is_none() {
        for fault in faults {
            let told = format!("{fault}:1");
            alone(TEST, &[("PILOTIS_DOUBLE_FAULT", told.as_str()), (WORDS, fault)]);
        }
        return;
    }
    let stage = alone(TEST, &[]).unwrap();
    let error = Stage::builder().build(&stage.package).err().unwrap();
    let fault = std::env::var(WORDS).unwrap();
    assert!(error.to_string().contains(&format!("told to fail in {fault}")), "{fault}: {error}");
    assert_eq!(error.stage(), Some(pilotis_spec::Stage::Head), "{fault}");
    for (made, freed, refused) in [
        ("context_new", "context_free", "context_new"),
        ("cache_new", "cache_free", "cache_new"),
        ("engine_load", "engine_free", "engine_load"),
        ("runtime_new", "runtime_free", "runtime_new"),
    ] {
        let n_made = stage.count(made) - usize::from(fault == refused);
        assert_eq!(n_made, stage.count(freed), "{fault}: {made}");
    }
}

/// The same with a network on the processor to take over, and a fault of the driver; `None` without that, too.
fn alone_with_stand_in(test: &str, fault: &str) -> Option<Stage> {
    let onnxruntime = match Places::from_env().onnxruntime() {
        Ok(library) => library,
        Err(missing) => {
            println!("skipped: {missing}");
            return None;
        }
    };
    alone(test, &[("PILOTIS_EMULATOR_FAULT", fault), ("ORT_DYLIB_PATH", onnxruntime.to_str().unwrap())])
}

#[test]
fn the_cpu_takes_over_from_tensorrt_when_the_card_is_lost() {
    let test = "the_cpu_takes_over_from_tensorrt_when_the_card_is_lost";
    let Some(stage) = alone_with_stand_in(test, "cuGraphLaunch:700:6") else { return };
    let mut card = Stage::builder().on_device_lost(OnDeviceLost::UseCpu).build(&stage.package).unwrap();
    let mut cpu = EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(&stage.package).unwrap();
    let mut n_lost = 0;
    for cloud in stage.clouds() {
        let cloud = CloudView::from_points(&cloud);
        let frame = card.infer(&cloud).unwrap();
        let (report, n_boxes) = (frame.report, frame.detections.len());
        if report.flags.contains(pilotis_spec::FrameFlags::DEVICE_LOST) {
            n_lost += 1;
            let on_cpu = cpu.infer(&cloud).unwrap();
            // ONNX Runtime computes the package's network, which the double only recorded something for.
            assert_eq!((report.n_pillars, n_boxes), (on_cpu.report.n_pillars, on_cpu.detections.len()));
            assert!(card.describe_head().contains("onnxruntime"), "{}", card.describe_head());
            for idx in 0..stage.tensors.len() {
                assert!(card.copy_tensor(idx).unwrap() == cpu.last_tensor(idx), "tensor {idx}");
            }
        } else {
            assert_eq!(n_lost, 0, "the card does not come back");
            assert!(card.describe_head().contains("TensorRT"), "{}", card.describe_head());
        }
    }
    assert!((1..7).contains(&n_lost), "{n_lost} of 7 frames ran on the CPU");
}

#[test]
fn what_a_lost_card_has_drawn_is_not_what_the_cpu_looks_at() {
    let test = "what_a_lost_card_has_drawn_is_not_what_the_cpu_looks_at";
    // Building waits a few times, and a frame around a network on the host twice.
    let Some(stage) = alone_with_stand_in(test, "cuStreamSynchronize:700:30") else { return };
    let builder = || EngineBuilder::new().on_mismatch(OnMismatch::Flag);
    let on_card = builder().device(DeviceChoice::Cuda).on_device_lost(OnDeviceLost::UseCpu);
    let (mut card, mut cpu) =
        (on_card.build(&stage.package).unwrap(), builder().build(&stage.package).unwrap());
    let (mut n_on_card, mut n_lost) = (0, 0);
    for cloud in stage.clouds().iter().cycle().take(21) {
        let cloud = CloudView::from_points(cloud);
        let (found, expected) = (card.infer(&cloud).unwrap().report, cpu.infer(&cloud).unwrap().report);
        let is_lost = found.flags.contains(pilotis_spec::FrameFlags::DEVICE_LOST);
        (n_lost, n_on_card) = (n_lost + usize::from(is_lost), n_on_card + usize::from(!is_lost));
        assert_eq!((found.n_pillars, found.n_boxes), (expected.n_pillars, expected.n_boxes));
        assert_eq!(card.last_frame().map_or(0, |f| f.n_left_over), 0, "frame {n_lost} on the CPU");
        for idx in 0..stage.tensors.len() {
            assert!(card.copy_tensor(idx).unwrap() == cpu.last_tensor(idx), "tensor {idx}, lost: {is_lost}");
        }
    }
    assert!(n_on_card > 0 && n_lost > 1, "{n_on_card} {n_lost}");
}

#[test]
fn a_plan_of_anything_else_is_refused_with_the_librarys_words() {
    let test = "a_plan_of_anything_else_is_refused_with_the_librarys_words";
    let Some(stage) = alone(test, &[]) else { return };
    let (device, library) = (Device::open_first().unwrap(), Library::open(Flavour::Rtx).unwrap());
    let error = TrtEngine::load(library, &device, b"something else").unwrap_err();
    assert!(error.to_string().contains("no plan of a double"), "{error}");
    assert_eq!((stage.count("runtime_new"), stage.count("runtime_free")), (1, 1));
    let mut engine = TrtEngine::load(library, &device, b"PLAN OF A DOUBLE").unwrap();
    assert!(engine.inspect().unwrap().contains("layers"));
    assert_eq!(engine.tensors().len(), 1 + stage.tensors.len());
}

#[test]
fn memory_and_streams_are_checked_before_the_library_sees_them() {
    let test = "memory_and_streams_are_checked_before_the_library_sees_them";
    if alone(test, &[]).is_none() {
        return;
    }
    let (device, library) = (Device::open_first().unwrap(), Library::open(Flavour::Rtx).unwrap());
    let context = || {
        let engine = TrtEngine::load(library, &device, b"PLAN OF A DOUBLE").unwrap();
        engine.into_context(&[]).unwrap()
    };
    let infos = context().tensors().to_vec();
    let mut plan = Plan::new(&["frame"]);
    let slots: Vec<Slot<u8>> =
        infos.iter().map(|t| plan.keep("tensor", usize::try_from(t.size_bytes).unwrap())).collect();
    let workspace: Slot<u8> = plan.keep("workspace", 256_000);
    let arena = Arena::allocate(&device, &plan).unwrap();
    let whole = |slot: Slot<u8>| arena.span(slot, 0..slot.len()).unwrap();
    let memory = || Memory {
        workspace: Some(whole(workspace)),
        tensors: infos.iter().map(|t| t.name.clone()).zip(slots.iter().map(|s| whole(*s))).collect(),
    };
    let refuse = |change: &dyn Fn(&mut Memory)| {
        let mut changed = memory();
        change(&mut changed);
        let error = context().bind(changed).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Mismatch);
        error.to_string()
    };
    for idx in 0..infos.len() {
        let name = infos[idx].name.to_str().unwrap();
        let said = refuse(&|m| drop(m.tensors.remove(idx)));
        assert!(said.contains(name) && said.contains("no place"), "{said}");
        let one_less = arena.span(slots[idx], 0..slots[idx].len() - 1).unwrap();
        let said = refuse(&|m| m.tensors[idx].1 = one_less.clone());
        assert!(said.contains(name) && said.contains("are there"), "{said}");
    }
    let said = refuse(&|m| m.workspace = None);
    assert!(said.contains("too little to work in"), "{said}");
    let said = refuse(&|m| m.workspace = arena.span(workspace, 0..255_999));
    assert!(said.contains("too little to work in"), "{said}");

    let mut bound = context().bind(memory()).unwrap();
    let other = Device::open(device.info().ordinal).unwrap();
    let mut elsewhere = Stream::new(&other).unwrap();
    assert_eq!(bound.enqueue(&mut elsewhere), Err(DeviceFault::INVALID_HANDLE));
    let mut stream = Stream::new(&device).unwrap();
    bound.enqueue(&mut stream).unwrap();
    stream.synchronize().unwrap();
}

/// The ranges of a network of one convolution a tensor with these numbers.
fn ranges(weight: f32, bias: f32) -> Result<Calibration, BuildError> {
    let manifest = manifest();
    let mut network = network(&manifest);
    for node in &mut network.nodes {
        if let Op::Conv(conv) = &mut node.op {
            conv.weight.values.fill(weight);
            conv.bias.fill(bias);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let onnx = to_onnx(&network, &OnnxMeta::default()).unwrap();
    let package = cases::package_of(manifest, SEED, &onnx, folder.path());
    let mut meter = RangeMeter::build(&package, 1)?;
    for kind in 0..7 {
        meter.add(&CloudView::from_points(&cases::cloud(package.manifest(), kind, SEED))).unwrap();
    }
    meter.finish()
}

#[test]
fn ranges_are_magnitudes_and_what_overflows_is_refused() {
    if let Err(missing) = Places::from_env().onnxruntime() {
        println!("skipped: {missing}");
        return;
    }
    let measured = ranges(0.0, -0.75).unwrap();
    let of_outputs = measured.amax.iter().filter(|(name, _)| *name != "canvas");
    assert!(of_outputs.clone().count() > 0);
    assert!(of_outputs.clone().all(|(_, amax)| amax.to_bits() == 0.75_f32.to_bits()), "{measured:?}");
    assert!(measured.amax["canvas"] > 0.0);
    let said = ranges(3e38, f32::MAX).unwrap_err().to_string();
    assert!(said.contains("cannot be calibrated") && said.contains("inf"), "{said}");
}
