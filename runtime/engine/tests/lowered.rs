//! Lowered networks in numbers: ONNX Runtime stands in for TensorRT, which takes a card. It runs the very files
//! that TensorRT gets (but for a canvas of `f32`), and so shows what the types and the merging do to the tensors;
//! what TensorRT's own kernels add to that, only a card shows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "support/pointpillars.rs"]
mod pointpillars;

use pilotis_network::onnx::{OnnxMeta, to_onnx};
use pilotis_network::{Calibration, Conv, Lowering, Network, Op, Precision, lower};
use pilotis_runtime::device::native_parts::Places;
use pilotis_runtime::device::onnxruntime::{Library, Rewriting, Session, TensorShape};
use pilotis_runtime::device::trt;
use pilotis_runtime::head::Head;
use pilotis_runtime::head::onnxruntime::OnnxRuntimeHead;
use pilotis_runtime::head::tensorrt::{Lowered, RangeMeter, read_network};
use pilotis_runtime::points::CloudView;
use pilotis_runtime::{EngineBuilder, OnMismatch, Package};
use pilotis_spec::Manifest;
use pointpillars::{conv, drawn, pointpillars};
use std::collections::BTreeMap;
use std::path::Path;

fn package() -> Option<Package> {
    if let Err(e) = Places::from_env().onnxruntime() {
        eprintln!("skipped: {e}");
        return None;
    }
    Some(Package::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/default")).unwrap())
}

fn golden_cloud(package: &Package) -> CloudView<'_> {
    CloudView::from_bytes(package.golden_input().unwrap(), &package.manifest().points.layout).unwrap()
}

/// The canvas of the golden cloud, as planes.
fn canvas_of(package: &Package) -> Vec<f32> {
    let mut engine = EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(package).unwrap();
    engine.infer(&golden_cloud(package)).unwrap();
    let Manifest { bev, grid, .. } = package.manifest();
    let (n_channels, n_cells) = (bev.n_channels(), grid.n_cells());
    let frame = engine.last_frame().unwrap();
    let mut canvas = vec![0.0; n_channels * n_cells];
    for (cell, channels) in frame.cells.iter().zip(frame.channels.chunks_exact(n_channels)) {
        for (channel, value) in channels.iter().enumerate() {
            canvas[channel * n_cells + *cell as usize] = *value;
        }
    }
    assert!(canvas.iter().any(|v| *v > 0.1), "the golden cloud draws nothing");
    canvas
}

/// A network on ONNX Runtime. The library's rewriting spoils FP8, so that there nothing is rewritten.
fn head_of(onnx: &[u8], package: &Package, precision: Precision) -> OnnxRuntimeHead {
    let manifest = package.manifest();
    match precision {
        Precision::Fp8 => OnnxRuntimeHead::build_as_written(onnx, manifest, 1).unwrap(),
        _ => OnnxRuntimeHead::build(onnx, manifest, 1).unwrap(),
    }
}

/// All raw tensors, one after the other.
fn run(onnx: &[u8], package: &Package, canvas: &[f32]) -> Vec<Vec<f32>> {
    run_head(&mut head_of(onnx, package, Precision::Fp32), package, canvas)
}

fn run_head(head: &mut OnnxRuntimeHead, package: &Package, canvas: &[f32]) -> Vec<Vec<f32>> {
    let manifest = package.manifest();
    head.canvas().copy_from_slice(canvas);
    head.run().unwrap();
    (0..manifest.head.tensors(&manifest.grid).len()).map(|idx| head.tensor(idx).to_vec()).collect()
}

/// The library, or `None` with a reason to skip.
fn library() -> Option<&'static Library> {
    match Places::from_env().onnxruntime() {
        Ok(path) => Some(Library::load(&path).unwrap()),
        Err(e) => {
            eprintln!("skipped: {e}");
            None
        }
    }
}

/// The outputs of a network that is of no package.
fn run_session(
    library: &'static Library,
    onnx: &[u8],
    network: &Network,
    rewriting: Rewriting,
    canvas: &[f32],
) -> Vec<Vec<f32>> {
    let shapes = network.shapes().unwrap();
    let shape = |name: &String| TensorShape {
        name: name.clone(),
        dims: [&[1], shapes[name.as_str()].as_slice()].concat(),
    };
    let outputs: Vec<_> = network.outputs.iter().map(shape).collect();
    let mut session =
        Session::build(library, onnx, 1, rewriting, &[shape(&network.input)], &outputs).unwrap();
    session.input_mut(0).copy_from_slice(canvas);
    session.run().unwrap();
    (0..outputs.len()).map(|idx| session.output(idx).to_vec()).collect()
}

/// A canvas of which every seventh cell is drawn, as a sweep leaves it.
fn sparse_canvas(network: &Network) -> Vec<f32> {
    let [n_channels, h, w] = network.input_shape;
    let values = drawn(77, n_channels * h * w);
    let is_drawn = |i: usize| (i % (h * w)).is_multiple_of(7);
    values.iter().enumerate().map(|(i, v)| if is_drawn(i) { v.abs() } else { 0.0 }).collect()
}

fn calibration(package: &Package) -> Calibration {
    let mut meter = RangeMeter::build(package, 1).unwrap();
    meter.add(&golden_cloud(package)).unwrap();
    meter.finish().unwrap()
}

/// Root mean square of what differs, over that of the values themselves; the worst tensor's.
fn deviation(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let of = |(found, expected): (&Vec<f32>, &Vec<f32>)| {
        assert_eq!(found.len(), expected.len());
        let squares =
            |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let differs = squares(&mut found.iter().zip(expected).map(|(f, e)| f - e));
        (differs / squares(&mut expected.iter().copied())).sqrt()
    };
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

/// Whether a deviation is within its bound, and one that rounds is seen to round.
#[track_caller]
fn assert_within(what: &str, precision: Precision, deviation: f64, bound: f64) {
    eprintln!("{what}, {precision}: {deviation:.2e}");
    assert!(
        deviation < bound,
        "{what}, {precision}: tensors deviate by {deviation:.2e}, {bound:.0e} is allowed"
    );
    assert!(precision == Precision::Fp32 || deviation > bound / 20.0, "{what}, {precision}: {deviation:.2e}");
}

#[test]
fn lowered_networks_compute_what_the_network_computes() {
    let Some(package) = package() else { return };
    let canvas = canvas_of(&package);
    let expected = run(package.network("fp32").unwrap(), &package, &canvas);
    let network = read_network(&package).unwrap();
    let calibration = calibration(&package);
    // Of the shipped model on its golden cloud, measured 0, 2.2e-3, 0.19 and 0.049; the bounds are wider by half, so
    // that another processor's rounding passes and a scale that is off does not.
    for (precision, bound) in
        [(Precision::Fp32, 1e-6), (Precision::Fp16, 4e-3), (Precision::Int8, 0.3), (Precision::Fp8, 0.075)]
    {
        let lowering = Lowering { precision, calibration: Some(&calibration), on_host: true };
        let onnx = lower(&network, &lowering, &OnnxMeta::default()).unwrap();
        let found = run_head(&mut head_of(&onnx, &package, precision), &package, &canvas);
        assert_within("shipped", precision, deviation(&found, &expected), bound);
        let mut as_written = OnnxRuntimeHead::build_as_written(&onnx, package.manifest(), 1).unwrap();
        let written = run_head(&mut as_written, &package, &canvas);
        let rounded: Vec<f32> = canvas.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect();
        let of_rounded = run_head(&mut as_written, &package, &rounded);
        eprintln!(
            "shipped, {precision}: {:.1e} between rewritten and as written, {:.1e} by a canvas of f16",
            deviation(&found, &written),
            deviation(&of_rounded, &written)
        );
    }
}

/// The value of E4M3 bits, by the definition.
fn e4m3_value(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    match exponent {
        0 => mantissa / 8.0 * (-6.0_f32).exp2(),
        e => (1.0 + mantissa / 8.0) * ((e - 7) as f32).exp2(),
    }
}

/// The nearest E4M3 number; of two, the one of the even bits. Looked for among all of them.
fn to_e4m3(value: f32) -> f32 {
    let apart = |bits: &u8| (e4m3_value(*bits) - value.abs()).abs();
    let nearest = (0..=0x7e_u8).min_by(|a, b| apart(a).total_cmp(&apart(b)).then((a % 2).cmp(&(b % 2))));
    e4m3_value(nearest.unwrap()).copysign(value)
}

/// A convolution by its definition, in `f64`.
fn convolve(conv: &Conv, input: &[f32], [n_in, h, w]: [usize; 3]) -> Vec<f32> {
    let [n_out, _, kh, kw] = conv.weight.shape;
    let mut out = Vec::new();
    for (o, y, x) in (0..n_out).flat_map(|o| (0..h).flat_map(move |y| (0..w).map(move |x| (o, y, x)))) {
        let mut sum = f64::from(conv.bias[o]);
        for (i, ky, kx) in (0..n_in).flat_map(|i| (0..kh).flat_map(move |a| (0..kw).map(move |b| (i, a, b))))
        {
            let (iy, ix) = ((y + ky).wrapping_sub(conv.padding), (x + kx).wrapping_sub(conv.padding));
            if iy < h && ix < w {
                let weight = conv.weight.values[((o * n_in + i) * kh + ky) * kw + kx];
                sum += f64::from(weight) * f64::from(input[(i * h + iy) * w + ix]);
            }
        }
        out.push(if conv.relu { sum.max(0.0) } else { sum } as f32);
    }
    out
}

#[test]
fn onnxruntime_computes_eight_bit_floats_as_they_are_defined() {
    let Some(library) = library() else { return };
    let shape = [8, 9, 11];
    let mut nodes = Vec::new();
    conv(&mut nodes, "first", "canvas", [8, 8, 3, 3], 1, true);
    conv(&mut nodes, "low", "first.out", [8, 8, 3, 3], 1, true);
    conv(&mut nodes, "end", "low.out", [4, 8, 1, 1], 1, false);
    // Numbers whose sums are exact in any order, so that both sides round the same map.
    if let Op::Conv(first) = &mut nodes[0].op {
        let all = first.weight.values.iter_mut().chain(&mut first.bias);
        all.for_each(|v| *v = (*v * 16.0).round() / 16.0);
    }
    let outputs = vec!["end.out".to_owned()];
    let network = Network { input: "canvas".into(), input_shape: shape, nodes, outputs };
    let canvas: Vec<f32> = drawn(5, 8 * 9 * 11).iter().map(|v| (v * 8.0).round() / 8.0).collect();
    let [first, low, end] = [0, 1, 2].map(|i| match &network.nodes[i].op {
        Op::Conv(conv) => conv,
        _ => panic!("a convolution"),
    });

    let map = convolve(first, &canvas, shape);
    let amax = |values: &[f32]| values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
    let scale = |amax: f32| f32::from(half::f16::from_f32(amax / 448.0));
    // A range that the map exceeds: what is larger saturates.
    let range = amax(&map) * 0.8;
    let round =
        |values: &[f32], scale: f32| values.iter().map(|v| to_e4m3(v / scale) * scale).collect::<Vec<_>>();
    let mut rounded = low.clone();
    rounded.weight.values = round(&low.weight.values, scale(amax(&low.weight.values)));
    let expected = convolve(end, &convolve(&rounded, &round(&map, scale(range)), shape), shape);
    let unrounded = convolve(end, &convolve(low, &map, shape), shape);

    let calibration = Calibration { amax: BTreeMap::from([("first.out".to_owned(), range)]) };
    let lowering = Lowering { precision: Precision::Fp8, calibration: Some(&calibration), on_host: true };
    let onnx = lower(&network, &lowering, &OnnxMeta::default()).unwrap();
    let of = |rewriting| {
        let found = run_session(library, &onnx, &network, rewriting, &canvas);
        deviation(&found, std::slice::from_ref(&expected))
    };
    let (as_written, rewritten) = (of(Rewriting::Nothing), of(Rewriting::All));
    let rounding = deviation(&[unrounded], std::slice::from_ref(&expected));
    eprintln!(
        "from the definition: {as_written:.1e}, rewritten {rewritten:.1e}, rounding itself {rounding:.1e}"
    );
    // Sums of 72 products in f32 against f64; the rounding that is looked for is a thousand times that.
    assert!(as_written < 1e-5, "{as_written:.1e} from the definition");
    assert!(rounding > 1e-2, "{rounding:.1e}: there is little to see");
}

#[test]
fn a_pointpillars_computes_the_same_in_every_precision() {
    let Some(library) = library() else { return };
    let network = pointpillars(128, 112);
    let canvas = sparse_canvas(&network);
    // Every map is put out once, for its range.
    let mut all = network.clone();
    all.outputs = all.nodes.iter().map(|n| n.output.clone()).collect();
    let onnx = to_onnx(&all, &OnnxMeta::default()).unwrap();
    let maps = run_session(library, &onnx, &all, Rewriting::All, &canvas);
    let amax = |values: &[f32]| values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
    let mut ranges: BTreeMap<_, _> = all.outputs.iter().cloned().zip(maps.iter().map(|m| amax(m))).collect();
    ranges.insert("canvas".into(), amax(&canvas));
    let calibration = Calibration { amax: ranges };
    let onnx = to_onnx(&network, &OnnxMeta::default()).unwrap();
    let expected = run_session(library, &onnx, &network, Rewriting::All, &canvas);
    // Measured 6.8e-7, 6.8e-4, 0.028 and 0.091; wider by half, as above. Drawn weights have no outliers, which is
    // where the steps of INT8, all of one size, do better than those of FP8.
    for (precision, bound) in
        [(Precision::Fp32, 1e-6), (Precision::Fp16, 1e-3), (Precision::Int8, 0.042), (Precision::Fp8, 0.14)]
    {
        let lowering = Lowering { precision, calibration: Some(&calibration), on_host: true };
        let onnx = lower(&network, &lowering, &OnnxMeta::default()).unwrap();
        let found = run_session(library, &onnx, &network, Rewriting::Nothing, &canvas);
        assert_within("PointPillars", precision, deviation(&found, &expected), bound);
    }
}

#[test]
fn ranges_are_the_largest_values_of_all_clouds() {
    let Some(package) = package() else { return };
    let once = calibration(&package);
    let canvas = canvas_of(&package);
    let largest = canvas.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
    assert_eq!(once.amax["canvas"].to_bits(), largest.to_bits());
    let network = read_network(&package).unwrap();
    assert_eq!(once.amax.len(), network.nodes.len() + 1);
    assert!(once.amax.values().all(|v| v.is_finite() && *v > 0.0));
    // A cloud without points changes nothing that was larger.
    let mut meter = RangeMeter::build(&package, 1).unwrap();
    meter.add(&golden_cloud(&package)).unwrap();
    meter.add(&CloudView::from_points(&[])).unwrap();
    assert_eq!(meter.n_frames(), 2);
    let twice = meter.finish().unwrap();
    assert!(twice.amax.iter().all(|(name, amax)| *amax >= once.amax[name]));
    assert!(RangeMeter::build(&package, 1).unwrap().finish().is_err(), "no cloud is no calibration");
}

#[test]
fn the_calibration_that_is_given_is_the_one_that_scales() {
    let Some(package) = package() else { return };
    let library = match trt::Library::open(trt::Flavour::Rtx) {
        Ok(library) => library,
        Err(e) => {
            eprintln!("skipped: {e}");
            return;
        }
    };
    let lower_with =
        |given: Option<&Calibration>| Lowered::of(&package, Precision::Int8, &[89], given, library);
    let measured = calibration(&package);
    let doubled = Calibration { amax: measured.amax.iter().map(|(n, a)| (n.clone(), a * 2.0)).collect() };
    let of = |given| lower_with(Some(given)).unwrap().key.onnx_sha256;
    assert!(of(&measured) == of(&measured) && of(&measured) != of(&doubled));
    let missing = lower_with(None).unwrap_err().to_string();
    assert!(missing.contains("calibration.toml"), "the shipped package has none: {missing}");
    let other = Calibration { amax: BTreeMap::from([("canvas".to_owned(), 1.0)]) };
    let said = lower_with(Some(&other)).unwrap_err().to_string();
    assert!(said.contains("another network"), "{said}");
}
