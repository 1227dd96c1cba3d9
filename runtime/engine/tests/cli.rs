//! The binary as its users see it: exit codes, what is on stdout and what on stderr.
//!
//! The model is a tiny one, written here: whatever it looks at, it sees a car.
//! What takes ONNX Runtime prints `skipped: ...` where the library is not installed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests as well"
)]

use pilotis_runtime::device::native_parts::Places;
use pilotis_runtime::package::sha256_hex;
use pilotis_spec::Manifest;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the head")]
mod onnx_bytes {
    include!("support/onnx_bytes.rs");
}

/// Points of the test clouds: enough to be compared with the training data.
const N_POINTS: usize = 400;

fn pilotis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotis"));
    command.args(arguments).env_remove("PILOTIS_MODEL").env_remove("PILOTIS_LOG");
    command
}

fn run(arguments: &[&str]) -> Output {
    pilotis(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whether ONNX Runtime is installed; says so where it is not.
fn has_network_library(test: &str) -> bool {
    match Places::from_env().onnxruntime() {
        Ok(_) => true,
        Err(e) => {
            println!("skipped: {test}: {e}");
            false
        }
    }
}

/// A folder with a model package and clouds.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        bench.write_package();
        bench
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A KITTI cloud within the model's range; `shift` makes clouds differ.
    fn cloud(&self, name: &str, shift: f32) -> String {
        self.write(name, &records(shift, 0.3, false))
    }

    /// The KITTI manifest on a grid of 8 x 8 cells with 16 channels: a map of 4 x 4.
    fn write_package(&self) {
        let encoder = encoder_file();
        let text = include_str!("../../spec/tests/kitti_manifest.toml")
            .replace("[0.0, -39.68, -3.0]", "[0.0, -0.64, -3.0]")
            .replace("[69.12, 39.68, 1.0]", "[1.28, 0.64, 1.0]")
            .replace("max_pillars = 40000", "max_pillars = 64")
            .replace("channels = [64]", "channels = [16]");
        let network = network_file(&Manifest::from_toml(&text).unwrap());
        let statistics = "[input_statistics]\nn_frames = 10\npoints_per_frame = 400.0\nintensity_mean = 0.3\n\
             intensity_max = 1.0\nz_mean_m = -1.0\ntime_lag_max_s = 0.0\n\n";
        let mut files = BTreeMap::from([("encoder.safetensors", encoder), ("head.fp32.onnx", network)]);
        let mut manifest = text.split("[files]").next().unwrap().to_owned() + statistics + "[files]\n";
        for (name, bytes) in &files {
            manifest += &format!("\"{name}\" = \"{}\"\n", sha256_hex(bytes));
        }
        files.insert("manifest.toml", manifest.into_bytes());
        let digests: String = files.iter().map(|(n, b)| format!("{}  {n}\n", sha256_hex(b))).collect();
        files.insert("package.sha256", digests.into_bytes());
        for (name, bytes) in files {
            self.write(&format!("model/{name}"), &bytes);
        }
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn records(shift: f32, intensity: f32, has_ring: bool) -> Vec<u8> {
    let mut values = Vec::new();
    for i in 0..N_POINTS {
        let (a, b) = ((i % 20) as f32, (i / 20) as f32);
        values.extend([a * 0.05 + shift, b * 0.05 - 0.5, -1.0, intensity]);
        values.extend(has_ring.then_some(b));
    }
    bytes_of(&values)
}

fn encoder_file() -> Vec<u8> {
    let (weight, bias) = (bytes_of(&[0.01; 160]), bytes_of(&[0.0; 16]));
    let view = |shape: &[usize], data| TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
    let tensors = [("pfn.0.weight", view(&[16, 10], &weight)), ("pfn.0.bias", view(&[16], &bias))];
    safetensors::serialize(tensors, None).unwrap()
}

/// Convolutions of zero weights, whose biases say: a car (score 0.88) along the first anchor.
fn network_file(manifest: &Manifest) -> Vec<u8> {
    use onnx_bytes::{FLOAT, Graph, attribute_ints, initializer, node, value_info};
    let (c, ny, nx) = (manifest.bev.n_channels(), manifest.grid.ny(), manifest.grid.nx());
    let mut graph = Graph { inputs: vec![value_info("canvas", FLOAT, &[1, c, ny, nx])], ..Graph::default() };
    for tensor in manifest.head.tensors(&manifest.grid) {
        let ([k, h, w], name) = (tensor.shape, tensor.name.as_str());
        let quiet = if name.starts_with("cls") { -6.0 } else { 0.0 };
        let mut biases = vec![quiet; k];
        if name.starts_with("cls") {
            biases[0] = 2.0;
        }
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        graph.initializers.push(initializer(&weight, &[k, c, 2, 2], &vec![0.0; k * c * 4]));
        graph.initializers.push(initializer(&bias, &[k], &biases));
        let attributes = [attribute_ints("kernel_shape", &[2, 2]), attribute_ints("strides", &[2, 2])];
        graph.nodes.push(node("Conv", &["canvas", &weight, &bias], &[name], &attributes));
        graph.outputs.push(value_info(name, FLOAT, &[1, k, h, w]));
    }
    graph.model()
}

/// No number of a JSON value is missing.
fn assert_no_null(value: &Value) {
    match value {
        Value::Null => panic!("a null, which is what JSON makes of NaN"),
        Value::Array(values) => values.iter().for_each(assert_no_null),
        Value::Object(fields) => fields.values().for_each(assert_no_null),
        _ => {}
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_so_on_stderr() {
    let cases: [&[&str]; 12] = [
        &[],
        &["walk"],
        &["run"],
        &["run", "--no-such-option", "a.bin"],
        &["run", "--threads", "0", "a.bin"],
        &["run", "--layout", "kiti", "a.bin"],
        &["run", "--min-score", "NaN", "a.bin"],
        &["bench"],
        &["bench", "--frames"],
        &["bench", "--frames", "a.bin", "--n", "0"],
        &["inspect"],
        &["demo", "a.bin"],
    ];
    for arguments in cases {
        let output = run(arguments);
        assert_code(&output, 2);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_complete_and_end_with_0() {
    for arguments in [&["--help"][..], &["run", "--help"], &["bench", "--help"], &["inspect", "--help"]] {
        let output = run(arguments);
        assert_code(&output, 0);
        for part in ["Exit codes:", "Examples:", "wrong usage"] {
            assert!(stdout(&output).contains(part), "{arguments:?} lacks {part}");
        }
    }
    let output = run(&["--version"]);
    assert_code(&output, 0);
    assert_eq!(stdout(&output), concat!("pilotis ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn an_unusable_model_ends_with_2_and_is_named() {
    let bench = Bench::new();
    let cloud = bench.cloud("a.bin", 0.0);
    let absent = bench.path("absent");
    for command in [&["run", &cloud][..], &["bench", "--frames", &cloud], &["inspect", &cloud]] {
        let output = run(&[command, &["--model", &absent]].concat());
        assert_code(&output, 2);
        assert!(stderr(&output).contains("absent"), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    let output = pilotis(&["run", &cloud]).env("PILOTIS_MODEL", &absent).output().unwrap();
    assert_code(&output, 2);
    assert!(stderr(&output).contains("absent"), "{}", stderr(&output));

    bench.write("model/encoder.safetensors", b"damaged");
    let output = run(&["run", "--model", &bench.path("model"), &cloud]);
    assert_code(&output, 2);
    assert!(stderr(&output).contains("was changed or damaged"), "{}", stderr(&output));
    assert_code(&run(&["inspect", &bench.path("model")]), 1);
}

#[test]
fn a_missing_network_library_is_named_with_the_command_that_fetches_it() {
    let bench = Bench::new();
    let (model, cloud) = (bench.path("model"), bench.cloud("a.bin", 0.0));
    let without = |arguments: &[&str]| {
        let mut command = pilotis(arguments);
        command.env("PILOTIS_NATIVE_DIR", bench.path("nowhere")).env_remove("ORT_DYLIB_PATH");
        command.output().unwrap()
    };
    let output = without(&["run", "--model", &model, &cloud]);
    assert_code(&output, 2);
    assert!(stderr(&output).contains("cargo xtask setup"), "{}", stderr(&output));
    // A package can be looked at all the same.
    let output = without(&["inspect", &model]);
    assert_code(&output, 0);
    for said in ["pointpillars-kitti", "car, pedestrian, cyclist", "cls_0 [1, 18, 4, 4]", "head.fp32.onnx"] {
        assert!(stdout(&output).contains(said), "{said}: {}", stdout(&output));
    }
    assert!(stdout(&output).contains("not checked"), "{}", stdout(&output));
}

#[test]
fn inspect_tells_in_words_whether_a_cloud_fits() {
    let bench = Bench::new();
    let (model, good) = (bench.path("model"), bench.cloud("good.bin", 0.0));
    let output = run(&["inspect", "--model", &model, &good]);
    assert_code(&output, 0);
    for said in
        ["layout kitti", "400", "they fit", "0 points", "0.300 on average", "x              0.00 to 0.95 m"]
    {
        assert!(stdout(&output).contains(said), "{said}: {}", stdout(&output));
    }
    let loud = bench.write("loud.pcd.bin", &records(0.0, 77.0, true));
    let high = bench.write("high.bin", &records(0.0, 0.3, false));
    let far = bench.write("far.bin", &records(100.0, 0.3, false));
    let empty = bench.write("empty.bin", &[]);
    let raised = fs::read(&high).unwrap();
    let raised: Vec<f32> =
        raised.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let raised: Vec<f32> =
        raised.iter().enumerate().map(|(i, v)| if i % 4 == 2 { 0.8 } else { *v }).collect();
    bench.write("high.bin", &bytes_of(&raised));
    for (cloud, said) in [
        (&loud, "intensity      DOES NOT FIT: 77.000"),
        (&high, "height         DOES NOT FIT: 0.80"),
        (&far, "range          DOES NOT FIT: only 0 points"),
        (&empty, "DOES NOT FIT: the cloud is empty"),
    ] {
        let output = run(&["inspect", "--model", &model, cloud]);
        assert_code(&output, 1);
        assert!(stdout(&output).contains(said), "{said}: {}", stdout(&output));
    }
    // Without a model there is nothing to fit, but headerless records need a layout.
    assert_code(&run(&["inspect", &loud]), 0);
    assert_code(&run(&["inspect", "--layout", "kitti", &far]), 0);
    let output = run(&["inspect", &far]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("layout"), "{}", stderr(&output));
}

#[test]
fn inputs_that_fail_keep_their_place_and_the_others_are_done() {
    if !has_network_library("inputs_that_fail_keep_their_place_and_the_others_are_done") {
        return;
    }
    let bench = Bench::new();
    let model = bench.path("model");
    let files = [
        bench.cloud("first.bin", 0.0),
        bench.path("missing.bin"),
        bench.write("cut.bin", &[0; 17]),
        bench.path("model"),
        bench.write("empty.bin", &[]),
        bench.write("broken.pcd", b"VERSION .7\nnonsense"),
        bench.cloud("last.bin", 0.1),
    ];
    let mut arguments = vec!["run", "--model", &model, "--json", "-"];
    arguments.extend(files.iter().map(String::as_str));
    let output = run(&arguments);
    assert_code(&output, 1);
    let lines = lines(&output);
    assert_eq!(lines.len(), files.len());
    let errors =
        [None, Some("No such file"), Some("--layout"), Some("pass the files"), None, Some("line"), None];
    for ((line, file), error) in lines.iter().zip(&files).zip(errors) {
        assert_eq!(line["file"], file.as_str());
        assert_no_null(line);
        match error {
            Some(words) => {
                let said = line["error"].as_str().unwrap();
                assert!(said.contains(words), "{said}");
                assert!(stderr(&output).contains(said), "{}", stderr(&output));
                assert_eq!(line.as_object().unwrap().len(), 2);
            }
            None => assert!(line.get("error").is_none(), "{line}"),
        }
    }
    assert_eq!(lines[4]["report"]["flags"], serde_json::json!(["empty_cloud"]));
    // What failed in between left nothing behind.
    let alone = run(&["run", "--model", &model, "--json", "-", &files[6]]);
    assert_code(&alone, 0);
    let alone: Value = serde_json::from_slice(&alone.stdout).unwrap();
    assert_eq!(alone["boxes"], lines[6]["boxes"]);
}

#[test]
fn a_line_of_json_has_boxes_and_a_report() {
    if !has_network_library("a_line_of_json_has_boxes_and_a_report") {
        return;
    }
    let bench = Bench::new();
    let (model, cloud) = (bench.path("model"), bench.cloud("a.bin", 0.0));
    let output = run(&["run", "--model", &model, "--json", "-", &cloud]);
    assert_code(&output, 0);
    let [line] = lines(&output).try_into().unwrap();
    assert_no_null(&line);
    let names = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&line), ["boxes", "file", "report"]);
    let boxes = line["boxes"].as_array().unwrap();
    assert!(!boxes.is_empty());
    for b in boxes {
        assert_eq!(names(b), ["center", "class", "score", "size", "yaw"]);
        assert_eq!(b["class"], "car");
        assert!((b["score"].as_f64().unwrap() - 0.8808).abs() < 1e-3);
        let size: Vec<f64> = b["size"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert!((size[0] - 3.9).abs() < 1e-5 && (size[1] - 1.6).abs() < 1e-5, "{size:?}");
    }
    let report = &line["report"];
    assert_eq!(report["n_points"], N_POINTS);
    assert_eq!(report["n_boxes"], boxes.len());
    assert_eq!(names(&report["times_ms"]), ["bev", "boxes", "frame", "head", "pillars", "points"]);
    assert!(report["times_ms"]["frame"].as_f64().unwrap() > 0.0);
    assert_eq!(report["flags"], serde_json::json!([]));

    let output = run(&["run", "--model", &model, "--json", "-", "--min-score", "0.9", &cloud]);
    assert_eq!(lines(&output)[0]["boxes"], serde_json::json!([]));
}

#[test]
fn people_get_tables_and_pictures() {
    if !has_network_library("people_get_tables_and_pictures") {
        return;
    }
    let bench = Bench::new();
    let model = bench.path("model");
    let clouds = [bench.cloud("one/a.bin", 0.0), bench.cloud("two/a.bin", 0.1)];
    let (json, pictures) = (bench.path("boxes.jsonl"), bench.path("new/pictures"));
    let [a, b] = [clouds[0].as_str(), &clouds[1]];
    let output = run(&["run", "--model", &model, "--json", &json, "--image", &pictures, a, b]);
    assert_code(&output, 0);
    for said in ["class", "score", "yaw", "car", "0.88", "3.90"] {
        assert!(stdout(&output).contains(said), "{said}: {}", stdout(&output));
    }
    assert_eq!(fs::read_to_string(json).unwrap().lines().count(), 2);
    for name in ["a.png", "a-2.png"] {
        let file = fs::File::open(Path::new(&pictures).join(name)).unwrap();
        let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        assert!(reader.next_frame(&mut pixels).unwrap().width >= 100);
        assert!(pixels.iter().any(|v| *v != pixels[0]), "an empty picture");
    }
}

#[test]
fn a_cloud_of_another_intensity_scale_is_refused_unless_allowed() {
    if !has_network_library("a_cloud_of_another_intensity_scale_is_refused_unless_allowed") {
        return;
    }
    let bench = Bench::new();
    let model = bench.path("model");
    let cloud = bench.write("n015__LIDAR_TOP.pcd.bin", &records(0.0, 77.0, true));
    let output = run(&["run", "--model", &model, "--json", "-", &cloud]);
    assert_code(&output, 1);
    let said = lines(&output)[0]["error"].as_str().unwrap().to_owned();
    for words in ["77.000", "0.300", "--allow-mismatch"] {
        assert!(said.contains(words), "{said}");
    }
    let output = run(&["run", "--model", &model, "--json", "-", "--allow-mismatch", &cloud]);
    assert_code(&output, 0);
    assert_eq!(lines(&output)[0]["report"]["flags"], serde_json::json!(["intensity_unlike_training"]));
    assert_eq!(lines(&output)[0]["report"]["n_points"], N_POINTS, "five values a point");
}

#[test]
fn bench_measures_and_counts_what_failed() {
    if !has_network_library("bench_measures_and_counts_what_failed") {
        return;
    }
    let bench = Bench::new();
    let model = bench.path("model");
    bench.cloud("clouds/b.bin", 0.0);
    bench.cloud("clouds/a.bin", 0.1);
    let clouds = bench.path("clouds");
    let arguments = ["bench", "--model", &model, "--n", "20", "--warm-up", "2", "--frames", &clouds];
    let output = run(&[&arguments[..], &["--json", "-"]].concat());
    assert_code(&output, 0);
    let [json] = lines(&output).try_into().unwrap();
    let keys = ["min_ms", "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms"];
    let all = ["points", "pillars", "bev", "head", "boxes"].map(|s| &json["stages"][s]);
    for percentiles in all.into_iter().chain([&json["frame"]]) {
        let values = keys.map(|k| percentiles[k].as_f64().unwrap());
        assert!(values.is_sorted(), "{percentiles}");
        let mean = percentiles["mean_ms"].as_f64().unwrap();
        assert!(values[0] <= mean && mean <= values[5], "{percentiles}");
    }
    assert_eq!(json["n_frames"], 20);
    assert_eq!(json["n_clouds"], 2);
    assert_eq!(json["points_per_frame"]["max"], N_POINTS);
    assert_eq!(json["allocations_per_frame"]["max"], 0, "a frame allocated");
    assert!(json["frames_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(json["model"]["digest"].as_str().unwrap().len(), 64);
    assert!(json["network_engine"].as_str().unwrap().starts_with("onnxruntime "), "{json}");
    assert_eq!(json["threads"], 1);

    // A file that cannot be opened is left out, a frame that fails is counted.
    bench.write("clouds/c.pcd.bin", &records(0.0, 77.0, true));
    bench.write("clouds/d.bin", &[0; 5]);
    let output = run(&[&arguments[..], &["--json", "-"]].concat());
    assert_code(&output, 1);
    let [json] = lines(&output).try_into().unwrap();
    assert_eq!([&json["n_clouds"], &json["n_failed_clouds"]], [3, 1]);
    assert_eq!([&json["n_frames"], &json["n_failed_frames"]], [14, 6]);
    let output = run(&arguments);
    assert_code(&output, 1);
    assert!(stdout(&output).contains("p99.9"), "{}", stdout(&output));
    assert!(stderr(&output).contains("6 of 20 frames failed"), "{}", stderr(&output));

    let nothing = bench.write("nothing/d.bin", &[0; 5]);
    assert_code(&run(&["bench", "--model", &model, "--frames", &nothing]), 2);
}

#[test]
fn the_demo_ends_with_the_place_of_its_pictures() {
    if !has_network_library("the_demo_ends_with_the_place_of_its_pictures") {
        return;
    }
    let bench = Bench::new();
    bench.cloud("clouds/a.bin", 0.0);
    let (model, clouds, out) = (bench.path("model"), bench.path("clouds"), bench.path("out"));
    let output = run(&["demo", "--model", &model, "--frames", &clouds, "--out", &out]);
    assert_code(&output, 0);
    assert_eq!(stdout(&output).lines().last().unwrap(), format!("pictures: {out}"));
    assert!(stdout(&output).contains("car") && stdout(&output).contains("p50"), "{}", stdout(&output));
    assert_eq!(fs::read_dir(out).unwrap().count(), 1);
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let bench = Bench::new();
    let cloud = bench.cloud("a.bin", 0.0);
    let names = vec![cloud.as_str(); 2000];
    let mut command = pilotis(&["inspect", "--layout", "kitti"]);
    command.args(names).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert_eq!(said, "");
}

#[test]
fn output_that_cannot_be_written_ends_with_2() {
    if !has_network_library("output_that_cannot_be_written_ends_with_2") {
        return;
    }
    let bench = Bench::new();
    let (model, cloud) = (bench.path("model"), bench.cloud("a.bin", 0.0));
    let nowhere = bench.path("no/such/folder/x.json");
    let output = run(&["run", "--model", &model, "--json", &nowhere, &cloud]);
    assert_code(&output, 2);
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    if PathBuf::from("/dev/full").exists() {
        let full = fs::File::create("/dev/full").unwrap();
        let output = pilotis(&["run", "--model", &model, &cloud]).stdout(full).output().unwrap();
        assert_code(&output, 2);
    }
}
