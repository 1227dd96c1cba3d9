//! TensorRT without a card: plans of small networks, and everything that can be wrong before one is run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use pilotis_network::onnx::{OnnxMeta, to_onnx};
use pilotis_network::{Conv, Network, Node, Op, Precision, Weight};
use pilotis_runtime::BuildErrorKind;
use pilotis_runtime::device::cuda::{Device, Driver};
use pilotis_runtime::device::native_parts::Places;
use pilotis_runtime::device::trt::{BuildOptions, Engine, Flavour, InputFormat, Library};
use pilotis_runtime::head::tensorrt::{Lowered, PlanCache, PlanOrigin, PlanText};
use std::path::PathBuf;

/// The library, or `None` with a reason to skip.
fn library(flavour: Flavour) -> Option<&'static Library> {
    match Library::open(flavour) {
        Ok(library) => Some(library),
        Err(e) if e.kind() == BuildErrorKind::NativePartMissing => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn conv(name: &str, shape: [usize; 4], stride: usize, relu: bool, input: &str) -> Node {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 400.0).collect();
    let weight = Weight { shape, values };
    let conv = Conv { weight, bias: vec![0.5; shape[0]], stride, padding: shape[2] / 2, relu };
    Node { name: name.into(), op: Op::Conv(conv), inputs: vec![input.into()], output: format!("{name}.out") }
}

fn network() -> Network {
    Network {
        input: "canvas".to_owned(),
        input_shape: [16, 32, 48],
        nodes: vec![
            conv("first", [16, 16, 3, 3], 2, true, "canvas"),
            conv("cls", [3, 16, 1, 1], 1, false, "first.out"),
            conv("box", [8, 16, 1, 1], 1, false, "first.out"),
        ],
        outputs: vec!["cls.out".to_owned(), "box.out".to_owned()],
    }
}

fn lowered(library: &'static Library, precision: Precision, targets: &[i32]) -> Lowered {
    Lowered::of_network(&network(), "small", precision, targets, None, library).unwrap()
}

fn options(targets: &[i32]) -> BuildOptions {
    BuildOptions {
        compute_capabilities: targets.to_vec(),
        input_format: InputFormat::Planes,
        allow_tf32: false,
    }
}

#[test]
fn plans_are_built_without_a_card() {
    let Some(library) = library(Flavour::Rtx) else { return };
    assert!(library.version().starts_with("1.7."), "{}", library.version());
    let file = lowered(library, Precision::Fp16, &[89]).build(library).unwrap();
    let text = PlanText::of(&file.plan).unwrap();
    assert_eq!(text.cards, ["sm89"]);
    assert!(text.is_capturable);
    let names: Vec<_> = text.layers.iter().map(|l| (l.name.as_str(), l.has_bias, l.has_relu)).collect();
    assert_eq!(names, [("first", true, true), ("cls+box", true, false), ("__myl_CastSpli", false, false)]);
    // Nothing is copied at the border: the first convolution reads the canvas itself, channels last.
    let canvas = &text.layers[0].inputs[0];
    assert_eq!((canvas.element.as_str(), canvas.dims.as_slice()), ("half", [1, 16, 32, 48].as_slice()));
    assert!(canvas.is_channels_last);
    let outputs: Vec<_> = text.layers[2].outputs.iter().map(|o| (o.element.as_str(), o.dims[1])).collect();
    assert_eq!(outputs, [("float", 3), ("float", 8)]);
}

#[test]
fn a_key_says_everything_that_a_plan_depends_on() {
    let Some(library) = library(Flavour::Rtx) else { return };
    for precision in [Precision::Fp32, Precision::Fp16] {
        let key = lowered(library, precision, &[86, 89]).key;
        assert_eq!((key.precision.as_str(), key.targets.as_slice()), (precision.name(), [86, 89].as_slice()));
        assert_eq!(key.library, library.describe());
        assert!(key.library.ends_with(&library.version()), "another version is another key: {}", key.library);
        let canvas = if precision == Precision::Fp16 { "channels_last_by_8" } else { "channels_last" };
        assert_eq!(key.canvas, canvas);
    }
}

#[test]
fn one_plan_can_be_for_several_cards() {
    let Some(library) = library(Flavour::Rtx) else { return };
    let file = lowered(library, Precision::Fp16, &[86, 89]).build(library).unwrap();
    assert_eq!(PlanText::of(&file.plan).unwrap().cards, ["sm86", "sm89"]);
}

#[test]
fn fp32_computes_in_f32_and_not_in_tf32() {
    let Some(library) = library(Flavour::Rtx) else { return };
    let file = lowered(library, Precision::Fp32, &[89]).build(library).unwrap();
    let text = PlanText::of(&file.plan).unwrap();
    assert!(text.layers.iter().filter_map(|l| l.computes_in()).all(|e| e == "float"));
    let has = |what: &[u8]| file.plan.windows(what.len()).any(|w| w == what);
    assert!(has(b"tf32=0\n") && !has(b"tf32=1\n"));
}

#[test]
fn two_threads_build_plans() {
    let Some(library) = library(Flavour::Rtx) else { return };
    let build = || lowered(library, Precision::Fp16, &[89]).build(library).unwrap().plan;
    let here = build();
    let there = std::thread::spawn(build);
    let beside = build();
    assert!(here == there.join().unwrap() && here == beside, "the same network gave two plans");
}

#[test]
fn a_plan_is_built_once_and_then_kept() {
    let Some(library) = library(Flavour::Rtx) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(folder.path().join("plans"));
    let lowered = lowered(library, Precision::Fp16, &[89]);
    let (first, origin) = lowered.plan(library, &cache, false).unwrap();
    assert_eq!(origin, PlanOrigin::Built);
    let (second, origin) = lowered.plan(library, &cache, false).unwrap();
    assert_eq!((origin, &second), (PlanOrigin::Kept, &first));
    let (third, origin) = lowered.plan(library, &cache, true).unwrap();
    assert_eq!((origin, &third.plan), (PlanOrigin::Built, &first.plan));
    // A plan that was changed on disk is not loaded but built anew.
    let path = cache.path(&lowered.key);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (fourth, origin) = lowered.plan(library, &cache, false).unwrap();
    assert_eq!((origin, &fourth.plan), (PlanOrigin::Built, &first.plan));
}

#[test]
fn a_refused_network_is_explained() {
    let Some(library) = library(Flavour::Rtx) else { return };
    let error = library.build_plan(b"no network", &options(&[89])).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Package);
    let mut onnx = to_onnx(&network(), &OnnxMeta::default()).unwrap();
    // Another operator's name of the same length, in the only ReLU.
    let at = onnx.windows(4).position(|w| w == b"Relu").unwrap();
    onnx[at..at + 4].copy_from_slice(b"Zelu");
    let said = library.build_plan(&onnx, &options(&[89])).unwrap_err().to_string();
    assert!(said.contains("`first.relu`") && said.contains("Zelu"), "{said}");
}

#[test]
fn a_card_that_nobody_knows_is_named() {
    let Some(library) = library(Flavour::Rtx) else { return };
    let onnx = to_onnx(&network(), &OnnxMeta::default()).unwrap();
    for target in [50, 88, 999] {
        let error = library.build_plan(&onnx, &options(&[target])).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Mismatch, "{error}");
        assert!(error.to_string().contains(&format!("sm_{target}")), "{error}");
    }
}

#[test]
fn the_lean_runtime_of_full_tensorrt_opens_and_builds_nothing() {
    let Some(library) = library(Flavour::Full) else { return };
    assert!(library.version().starts_with("11.4."), "{}", library.version());
    let onnx = to_onnx(&network(), &OnnxMeta::default()).unwrap();
    let error = library.build_plan(&onnx, &options(&[])).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Mismatch);
    assert!(error.to_string().contains("builds no plans"), "{error}");
}

#[test]
fn a_plan_that_the_library_cannot_load_is_an_error() {
    let Some(library) = library(Flavour::Rtx) else { return };
    if !Driver::is_emulator_asked_for() {
        eprintln!("skipped: without the emulator there is no device to load a plan onto");
        return;
    }
    let device = Device::open_first().unwrap();
    let plan = lowered(library, Precision::Fp16, &[89]).build(library).unwrap().plan;
    for bytes in [plan.as_slice(), b"no plan", b""] {
        let error = Engine::load(library, &device, bytes).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Package, "{error}");
    }
    // The device is as good as before.
    device.check().unwrap();
}

fn places_in(folder: &tempfile::TempDir) -> Places {
    Places { native_dir: Some(folder.path().into()), ..Places::default() }
}

#[test]
fn what_is_missing_is_named_with_the_command_that_fetches_it() {
    let folder = tempfile::tempdir().unwrap();
    for flavour in Flavour::ALL {
        let error = Library::open_at(flavour, &places_in(&folder)).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::NativePartMissing);
        assert!(error.to_string().contains("cargo xtask setup"), "{error}");
    }
    let named = Places { tensorrt_lib: Some("nowhere.so".into()), ..Places::from_env() };
    if let Err(error) = Library::open_at(Flavour::Rtx, &named) {
        assert_eq!(error.kind(), BuildErrorKind::NativePartMissing);
    } else {
        panic!("a library that is not there was opened");
    }
}

#[test]
fn what_is_no_shim_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("shim.so");
    std::fs::write(&text, b"no library").unwrap();
    let error = Library::load(Flavour::Rtx, &text, &text, None).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Native);
    assert!(error.to_string().contains("cargo xtask setup"), "{error}");
    let other = PathBuf::from("libm.so.6");
    let error = Library::load(Flavour::Rtx, &other, &other, None).unwrap_err().to_string();
    assert!(error.contains("pt_describe"), "{error}");
    let Ok(full) = Places::from_env().trt_shim("full") else {
        eprintln!("skipped: the C++ side of full TensorRT is not compiled");
        return;
    };
    let error = Library::load(Flavour::Rtx, &full, &other, None).unwrap_err().to_string();
    assert!(error.contains("full flavour"), "{error}");
}

#[test]
fn what_is_no_tensorrt_is_refused() {
    let Ok(shim) = Places::from_env().trt_shim("rtx") else {
        eprintln!("skipped: the C++ side of TensorRT is not compiled");
        return;
    };
    let error = Library::load(Flavour::Rtx, &shim, &PathBuf::from("libm.so.6"), None).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Native);
    assert!(error.to_string().contains("no TensorRT"), "{error}");
    let Ok(lean) = Places::from_env().file("tensorrt_lean", "libnvinfer_lean.so.11") else {
        eprintln!("skipped: the lean runtime is not there");
        return;
    };
    let error = Library::load(Flavour::Rtx, &shim, &lean, None).unwrap_err().to_string();
    assert!(error.contains("version") && error.contains("cargo xtask setup"), "{error}");
}
