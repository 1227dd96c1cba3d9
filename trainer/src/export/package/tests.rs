use super::*;
use crate::export::golden::golden_tensor;
use pilotis_network::{Conv, Node, Op, Weight};
use tempfile::TempDir;

const KITTI: &str = include_str!("../../../../runtime/spec/tests/kitti_manifest.toml");

fn manifest() -> Manifest {
    Manifest::from_toml(KITTI).unwrap()
}

fn layers() -> Vec<PfnWeights> {
    let weight = (0..640).map(|i| i as f32).collect();
    vec![PfnWeights { weight, bias: vec![0.25; 64], n_in: 10, n_out: 64 }]
}

fn network() -> Network {
    let conv = |inputs: &str, output: &str, n_in: usize, n_out: usize, stride: usize| Node {
        name: format!("{output}.conv"),
        op: Op::Conv(Conv {
            weight: Weight {
                shape: [n_out, n_in, stride, stride],
                values: vec![0.5; n_out * n_in * stride * stride],
            },
            bias: vec![0.0; n_out],
            stride,
            padding: 0,
            relu: false,
        }),
        inputs: vec![inputs.to_owned()],
        output: output.to_owned(),
    };
    Network {
        input: "canvas".to_owned(),
        input_shape: [64, 496, 432],
        nodes: vec![
            conv("canvas", "maps", 64, 4, 2),
            conv("maps", "cls_0", 4, 18, 1),
            conv("maps", "box_0", 4, 42, 1),
            conv("maps", "dir_0", 4, 12, 1),
        ],
        outputs: ["cls_0", "box_0", "dir_0"].map(str::to_owned).to_vec(),
    }
}

fn golden() -> (Golden, Vec<u8>) {
    let tensors = ["cls_0", "box_0", "dir_0"].map(|name| golden_tensor(name, &[0.1, -2.0, 3.0], 3)).to_vec();
    let golden = Golden {
        input: String::new(),
        n_points: 2,
        n_points_kept: 2,
        n_pillars: 1,
        pillars_sha256: "a".repeat(64),
        canvas_sha256: "b".repeat(64),
        head_tolerance: 1e-3,
        tensors,
        boxes: vec![],
    };
    (golden, vec![0; 32])
}

fn writer() -> PackageWriter {
    let (golden, cloud) = golden();
    PackageWriter::new(manifest())
        .encoder(&layers())
        .unwrap()
        .network("fp32", &network())
        .unwrap()
        .golden(golden, cloud)
        .unwrap()
        .card("# Tiny\n")
}

/// Names in a folder: nothing staged or set aside may stay.
fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_written_is_what_the_runtime_reads() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("models/tiny");
    let package = writer().write(&dir, Replace::Packages).unwrap();
    assert_eq!(package.dir(), dir);
    assert_eq!(package.encoder().layers[0].weight[1..3], [10.0, 20.0], "input 0 of outputs 1 and 2");
    assert_eq!(package.network("fp32").unwrap(), fs::read(dir.join("head.fp32.onnx")).unwrap());
    let read = package.golden().unwrap();
    assert_eq!((read.input.as_str(), read.tensors.len()), (GOLDEN_INPUT_FILE, 3));
    assert_eq!(read.tensors[0].values, [0.1, -2.0, 3.0]);
    assert_eq!(package.golden_input().unwrap(), [0; 32]);
    let listed: Vec<_> = package.manifest().files.keys().map(String::as_str).collect();
    assert_eq!(listed, [ENCODER_FILE, GOLDEN_FILE, GOLDEN_INPUT_FILE, "head.fp32.onnx"]);
    let text = fs::read_to_string(dir.join(DIGESTS_FILE)).unwrap();
    let paths: Vec<_> = text.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(paths, [ENCODER_FILE, GOLDEN_FILE, GOLDEN_INPUT_FILE, "head.fp32.onnx", MANIFEST_FILE]);
    assert_eq!(fs::read_to_string(dir.join(CARD_FILE)).unwrap(), "# Tiny\n");
}

#[test]
fn equal_parts_give_an_equal_package_and_replace_it() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tiny");
    let first = writer().write(&dir, Replace::Packages).unwrap();
    let second = writer().write(&dir, Replace::Packages).unwrap();
    assert_eq!(first.digest(), second.digest());
    let third = writer().file("calibration.toml", b"x = 1\n".to_vec()).unwrap();
    let third = third.write(&dir, Replace::Packages).unwrap();
    assert_ne!(first.digest(), third.digest());
    assert_eq!(third.file("calibration.toml"), Some(b"x = 1\n".as_slice()));
    // A damaged package is one too.
    fs::write(dir.join("head.fp32.onnx"), "damaged").unwrap();
    writer().write(&dir, Replace::Packages).unwrap();
    assert!(!dir.join("calibration.toml").exists());
    assert_eq!(names(&home), ["tiny"]);
}

#[test]
fn folders_that_are_no_package_stay_unless_forced_and_even_then_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("work");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("thesis.tex"), "years").unwrap();
    let error = writer().write(&dir, Replace::Packages).unwrap_err();
    assert!(error.to_string().contains("no package"), "{error:#}");
    assert_eq!(names(&home), ["work"]);
    writer().write(&dir, Replace::Anything).unwrap();
    assert_eq!(names(&home), ["work", "work.replaced-1"]);
    assert_eq!(fs::read_to_string(home.path().join("work.replaced-1/thesis.tex")).unwrap(), "years");
    // A package with a stranger in it is no package either.
    fs::create_dir(dir.join("notes")).unwrap();
    fs::write(dir.join("notes/a.txt"), "mine").unwrap();
    let error = writer().write(&dir, Replace::Packages).unwrap_err();
    assert!(error.to_string().contains("`notes/a.txt`"), "{error:#}");
    assert_eq!(fs::read_to_string(dir.join("notes/a.txt")).unwrap(), "mine");
}

#[test]
fn an_empty_folder_is_taken_and_a_file_never() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tiny");
    fs::create_dir(&dir).unwrap();
    writer().write(&dir, Replace::Packages).unwrap();
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(writer().write(&file, Replace::Anything).is_err());
    assert!(writer().write(Path::new("/"), Replace::Anything).is_err());
    assert_eq!(names(&home), ["file", "tiny"]);
}

#[test]
fn a_package_that_the_runtime_refuses_leaves_the_old_one_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tiny");
    let old = writer().write(&dir, Replace::Packages).unwrap();
    let (mut golden, cloud) = golden();
    golden.n_points = 3;
    let refused = PackageWriter::new(manifest()).encoder(&layers()).unwrap();
    let refused = refused.network("fp32", &network()).unwrap().golden(golden, cloud).unwrap();
    let error = format!("{:#}", refused.write(&dir, Replace::Packages).unwrap_err());
    assert!(error.contains("the runtime refuses") && error.contains("3 points"), "{error}");
    let headless = PackageWriter::new(manifest()).encoder(&layers()).unwrap();
    let error = format!("{:#}", headless.write(&dir, Replace::Packages).unwrap_err());
    assert!(error.contains("names no network"), "{error}");
    assert_eq!(Package::load(&dir).unwrap().digest(), old.digest());
    assert_eq!(names(&home), ["tiny"]);
}

#[test]
fn parts_that_do_not_fit_the_manifest_are_refused() {
    let new = || PackageWriter::new(manifest());
    let say = |result: anyhow::Result<PackageWriter>| format!("{:#}", result.unwrap_err());
    let narrow = PfnWeights { weight: vec![0.0; 576], n_in: 9, ..layers()[0].clone() };
    assert!(say(new().encoder(&[narrow])).contains("(9, 64)"));
    let mut canvas = network();
    canvas.input_shape = [64, 248, 432];
    assert!(say(new().network("fp32", &canvas)).contains("[64, 248, 432]"));
    let mut order = network();
    order.outputs.swap(0, 1);
    assert!(say(new().network("fp32", &order)).contains("puts out box_0 [42, 248, 216], cls_0"));
    let (golden, _) = golden();
    assert!(say(new().golden(golden, vec![0; MAX_GOLDEN_BYTES])).contains("smaller cloud"));
    for path in ["../x", "/x", "", MANIFEST_FILE, DIGESTS_FILE, CARD_FILE] {
        assert!(new().file(path, vec![]).is_err(), "{path}");
    }
    assert!(say(writer().file(ENCODER_FILE, vec![])).contains("already"));
}
