//! Plans of TensorRT for every model that ships and every configuration that is trained, against goldens: which
//! kernels there are, what is fused into them, in what types they compute, and the plan's digest.
//!
//! `PILOTIS_UPDATE_GOLDENS=1 cargo test -p pilotis-tests --test plans` writes them anew; look at the difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use pilotis_network::{Calibration, Network, Precision};
use pilotis_runtime::device::trt::{Flavour, Library};
use pilotis_runtime::head::tensorrt::text::Operand;
use pilotis_runtime::head::tensorrt::{Lowered, PlanFile, PlanText, read_network, roofline};
use pilotis_runtime::{BuildErrorKind, device_memory};
use pilotis_spec::InputStatistics;
use pilotis_tests::{repository, shipped_model};
use pilotis_trainer::config::TrainConfig;
use pilotis_trainer::detector::Detector;
use pilotis_trainer::device::training_device;
use std::fmt::Write;

/// An RTX 4070.
const TARGET: i32 = 89;

fn library() -> Option<&'static Library> {
    match Library::open(Flavour::Rtx) {
        Ok(library) => Some(library),
        Err(e) if e.kind() == BuildErrorKind::NativePartMissing => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn config_of(file: &str) -> TrainConfig {
    let mut config = TrainConfig::load(&repository("configs/train").join(file)).unwrap();
    config.train.seed = 7;
    config
}

/// The network of a configuration with its seed's initial weights.
fn network_of(file: &str) -> Network {
    let config = config_of(file);
    Detector::init(&config, &training_device("cpu").unwrap()).to_network(&config)
}

/// Ranges that stand for measured ones: the plan's kernels do not depend on them, its bytes do.
fn ranges(network: &Network) -> Calibration {
    let tensors = std::iter::once(&network.input).chain(network.nodes.iter().map(|n| &n.output));
    Calibration { amax: tensors.enumerate().map(|(i, t)| (t.clone(), 4.0 + (i % 7) as f32)).collect() }
}

/// A plan as a golden has it; the bounds are computed, not measured.
fn describe(network: &Network, file: &PlanFile, text: &PlanText) -> String {
    let mut out = String::new();
    let gmac = network.n_macs().unwrap() as f64 / 1e9;
    writeln!(out, "{:.1} GMAC, {}, {}", gmac, file.header.key.precision, file.header.key.library).unwrap();
    writeln!(out, "plan {} bytes, sha256 {}", file.header.plan_bytes, file.header.plan_sha256).unwrap();
    writeln!(
        out,
        "weights {} bytes, workspace {} bytes, {} streams, {}",
        text.weights_bytes,
        text.workspace_bytes,
        text.n_streams,
        if text.is_capturable { "capturable" } else { "not capturable" }
    )
    .unwrap();
    for card in &roofline::CARDS {
        let ms = roofline::total_us(&roofline::bounds(text, card)) / 1e3;
        writeln!(out, "computed bound on {}: {ms:.3} ms", card.name).unwrap();
    }
    for layer in &text.layers {
        let fused = [(layer.has_bias, "+bias"), (layer.has_relu, "+relu")];
        let fused: Vec<&str> = fused.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
        let reads = layer.inputs.iter().filter(|o| !o.is_constant).map(operand).collect::<Vec<_>>().join(" ");
        let writes = layer.outputs.iter().map(operand).collect::<Vec<_>>().join(" ");
        writeln!(out, "{} {} [{}] {reads} -> {writes}", layer.kind, layer.name, fused.join(" ")).unwrap();
    }
    out
}

fn operand(operand: &Operand) -> String {
    let dims: Vec<String> = operand.dims.iter().map(u64::to_string).collect();
    let layout = if operand.is_channels_last { " last" } else { "" };
    format!("{}[{}{layout}]", operand.element, dims.join("x"))
}

/// Builds a plan and compares it with its golden; yields what is wrong.
fn check(library: &'static Library, name: &str, network: &Network, precision: Precision) -> Option<String> {
    let ranges = ranges(network);
    let lowered = Lowered::of_network(network, name, precision, &[TARGET], Some(&ranges), library).unwrap();
    let file = lowered.build(library).unwrap();
    let text = PlanText::of(&file.plan).unwrap();
    let found = describe(network, &file, &text);
    eprintln!(
        "{name} {precision}: {} bytes in {} ms, {} kernels, works in {} bytes",
        file.header.plan_bytes,
        file.header.build_ms,
        text.layers.len(),
        text.workspace_bytes
    );
    let path = repository("tests/goldens/plans").join(format!("{name}.{precision}.txt"));
    if std::env::var_os("PILOTIS_UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &found).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let different = found.lines().zip(expected.lines()).find(|(f, e)| f != e);
    (found != expected).then(|| format!("{}: found and expected differ: {different:#?}", path.display()))
}

fn check_all(name: &str, network: &Network) {
    let Some(library) = library() else { return };
    let wrong: Vec<String> =
        Precision::ALL.into_iter().filter_map(|p| check(library, name, network, p)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn plans_of_the_shipped_model_are_the_goldens() {
    check_all("shipped", &read_network(&shipped_model().unwrap()).unwrap());
}

#[test]
fn plans_of_a_full_nuscenes_pointpillars_are_the_goldens() {
    check_all("pointpillars_nuscenes", &network_of("pointpillars_nuscenes_8gb.toml"));
}

#[test]
fn plans_of_a_centerpoint_pillar_are_the_goldens() {
    check_all("centerpoint_nuscenes", &network_of("centerpoint_nuscenes_8gb.toml"));
}

#[test]
fn plans_of_a_kitti_pointpillars_are_the_goldens() {
    check_all("pointpillars_kitti", &network_of("pointpillars_kitti.toml"));
}

#[test]
fn a_full_nuscenes_engine_takes_less_than_a_gibibyte_of_the_card() {
    let Some(library) = library() else { return };
    for file in ["pointpillars_nuscenes_8gb.toml", "centerpoint_nuscenes_8gb.toml"] {
        let (config, network) = (config_of(file), network_of(file));
        let lowered = Lowered::of_network(&network, file, Precision::Fp16, &[TARGET], None, library).unwrap();
        let plan = lowered.build(library).unwrap().plan;
        let text = PlanText::of(&plan).unwrap();
        let manifest = config.manifest_draft(InputStatistics::default());
        let workspace_bytes = usize::try_from(text.workspace_bytes).unwrap();
        let arena = device_memory(&manifest, lowered.canvas, workspace_bytes).unwrap().total_bytes();
        // The library keeps the weights, and may keep the plan as it is beside them.
        let total = arena + text.weights_bytes + plan.len() as u64;
        eprintln!(
            "{file}: arena {arena} bytes, weights {}, plan {}, together {total}",
            text.weights_bytes,
            plan.len()
        );
        assert!(arena > text.workspace_bytes && total <= 1 << 30, "{file}: {total} bytes");
    }
}
