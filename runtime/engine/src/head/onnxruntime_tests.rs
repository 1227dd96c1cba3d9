use super::*;
use crate::head::external_data::{Message, Refused, visit};
use onnx_bytes::{DOUBLE, FLOAT, Graph, INT64};

#[allow(dead_code, unreachable_pub, reason = "shared with the integration tests")]
mod onnx_bytes {
    include!("../../tests/support/onnx_bytes.rs");
}

/// The KITTI manifest on a grid of 8 x 8 cells with 16 channels: a map of 4 x 4.
fn tiny_manifest() -> Manifest {
    let text = include_str!("../../../spec/tests/kitti_manifest.toml")
        .replace("[0.0, -39.68, -3.0]", "[0.0, -0.64, -3.0]")
        .replace("[69.12, 39.68, 1.0]", "[1.28, 0.64, 1.0]")
        .replace("max_pillars = 40000", "max_pillars = 64")
        .replace("channels = [64]", "channels = [16]");
    Manifest::from_toml(&text).unwrap()
}

fn tiny_graph(manifest: &Manifest) -> Graph {
    let tensors: Vec<_> =
        manifest.head.tensors(&manifest.grid).into_iter().map(|t| (t.name, t.shape)).collect();
    onnx_bytes::conv_head([16, 8, 8], 2, &tensors)
}

/// The library, or `None` after saying why not.
fn library() -> Option<&'static Library> {
    match Places::from_env().onnxruntime() {
        Ok(path) => Some(Library::load(&path).unwrap()),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Whole numbers, so that every sum is exact.
fn fill(canvas: &mut [f32]) {
    for (i, v) in canvas.iter_mut().enumerate() {
        *v = (i * 13 % 11) as f32 - 5.0;
    }
}

fn refusal(library: &'static Library, onnx: &[u8], manifest: &Manifest) -> BuildError {
    match OnnxRuntimeHead::build_with(library, onnx, manifest, 1, Rewriting::All) {
        Ok(_) => panic!("it was accepted"),
        Err(e) => e,
    }
}

#[test]
fn outputs_are_those_computed_by_hand() {
    let Some(_) = library() else { return };
    let manifest = tiny_manifest();
    let onnx = tiny_graph(&manifest).model();
    let mut head = OnnxRuntimeHead::build(&onnx, &manifest, 1).unwrap();
    assert_eq!(head.canvas().len(), 16 * 8 * 8);
    assert!(head.canvas().iter().all(|v| v.to_bits() == 0), "the canvas does not start at zero");
    fill(head.canvas());
    let canvas = head.canvas().to_vec();
    head.run().unwrap();
    for (idx, tensor) in manifest.head.tensors(&manifest.grid).iter().enumerate() {
        let [k, h, w] = tensor.shape;
        let mut expected = Vec::new();
        for (o, y, x) in (0..k).flat_map(|o| (0..h).flat_map(move |y| (0..w).map(move |x| (o, y, x)))) {
            let mut sum = o as f32;
            for (c, dy, dx) in
                (0..16).flat_map(|c| (0..2).flat_map(move |dy| (0..2).map(move |dx| (c, dy, dx))))
            {
                let weight = onnx_bytes::weight(((o * 16 + c) * 2 + dy) * 2 + dx);
                sum += weight * canvas[(c * 8 + 2 * y + dy) * 8 + 2 * x + dx];
            }
            expected.push(sum);
        }
        assert_eq!(head.tensor(idx), expected, "{}", tensor.name);
    }
    assert!(head.tensor(3).is_empty());
    assert_eq!(head.last_error(), "");
    assert!(head.describe().starts_with("onnxruntime 1."), "{}", head.describe());
}

#[test]
fn every_run_and_every_thread_count_gives_the_same_bytes() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let onnx = tiny_graph(&manifest).model();
    let mut seen: Option<Vec<Vec<u32>>> = None;
    for n_threads in [1, 2, 3] {
        let mut head =
            OnnxRuntimeHead::build_with(library, &onnx, &manifest, n_threads, Rewriting::All).unwrap();
        for (i, v) in head.canvas().iter_mut().enumerate() {
            *v = ((i as f32) * 0.731).sin();
        }
        for _ in 0..50 {
            head.run().unwrap();
            let now: Vec<_> = (0..3).map(|idx| bits(head.tensor(idx))).collect();
            assert_eq!(seen.get_or_insert_with(|| now.clone()), &now, "{n_threads} threads");
        }
    }
}

#[test]
fn a_border_that_does_not_fit_is_refused() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let good = tiny_graph(&manifest);
    let tensors: Vec<_> =
        manifest.head.tensors(&manifest.grid).into_iter().map(|t| (t.name, t.shape)).collect();

    let mut wide = tensors.clone();
    wide[1].1[0] = 43;
    let mut renamed = tensors.clone();
    renamed[2].0 = "direction".to_owned();
    let mut more = tensors.clone();
    more.push(("extra".to_owned(), [2, 4, 4]));
    let fewer = tensors[..2].to_vec();
    let head = |t: &[(String, [usize; 3])]| onnx_bytes::conv_head([16, 8, 8], 2, t);
    let other_canvas = onnx_bytes::conv_head([32, 8, 8], 2, &tensors);
    let mut doubles =
        Graph { inputs: vec![onnx_bytes::value_info("canvas", DOUBLE, &[1, 16, 8, 8])], ..Graph::default() };
    doubles.nodes.push(onnx_bytes::node("Identity", &["canvas"], &["cls_0"], &[]));
    doubles.outputs.push(onnx_bytes::value_info("cls_0", DOUBLE, &[1, 16, 8, 8]));
    let mut whole_numbers = good.clone();
    let cast = onnx_bytes::attribute_int("to", INT64);
    whole_numbers.nodes.push(onnx_bytes::node("Cast", &["dir_0"], &["extra"], &[cast]));
    whole_numbers.outputs.push(onnx_bytes::value_info("extra", INT64, &[1, 12, 4, 4]));

    let cases: [(&str, Graph, &[&str]); 7] = [
        ("channels", head(&wide), &["box_0", "[1, 43, 4, 4]", "[1, 42, 4, 4]"]),
        ("name", head(&renamed), &["dir_0", "direction", "[1, 12, 4, 4]"]),
        ("one too many", head(&more), &["extra", "[1, 2, 4, 4]"]),
        ("one too few", head(&fewer), &["dir_0"]),
        ("canvas", other_canvas, &["canvas", "[1, 32, 8, 8]", "[1, 16, 8, 8]"]),
        ("doubles", doubles, &["canvas", "f32", "11"]),
        ("one too many, of another kind", whole_numbers, &["extra"]),
    ];
    for (what, graph, words) in cases {
        let error = refusal(library, &graph.model(), &manifest);
        assert_eq!(error.kind(), BuildErrorKind::Mismatch, "{what}: {error}");
        for word in words {
            assert!(error.to_string().contains(word), "{what}: `{word}` is not in: {error}");
        }
    }
    assert!(OnnxRuntimeHead::build_with(library, &good.model(), &manifest, 1, Rewriting::All).is_ok());
}

#[test]
fn a_network_of_changing_shape_is_refused() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let mut graph = tiny_graph(&manifest);
    // `dim_param` in place of the batch's `dim_value`.
    let dims = [onnx_bytes::bytes(2, b"batch"), onnx_bytes::number(1, 16)];
    let dims = dims.into_iter().chain([8, 8].map(|d| onnx_bytes::number(1, d)));
    let shape: Vec<u8> = dims.flat_map(|d| onnx_bytes::bytes(1, &d)).collect();
    let tensor = [onnx_bytes::number(1, FLOAT), onnx_bytes::bytes(2, &shape)].concat();
    let kind = onnx_bytes::bytes(1, &tensor);
    graph.inputs = vec![[onnx_bytes::bytes(1, b"canvas"), onnx_bytes::bytes(2, &kind)].concat()];
    let error = refusal(library, &graph.model(), &manifest);
    assert_eq!(error.kind(), BuildErrorKind::Mismatch);
    assert!(error.to_string().contains("[?, 16, 8, 8]"), "{error}");
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let onnx = tiny_graph(&manifest).model();
    let text = b"this is no network, but a text of some length".as_slice();
    for bytes in [b"".as_slice(), text, &[0xff; 64], &onnx[..onnx.len() / 2], &onnx[..onnx.len() - 1]] {
        let error = refusal(library, bytes, &manifest);
        assert_eq!(error.kind(), BuildErrorKind::Package, "{error}");
    }
    // Good wire format, and yet no network: the library's own words come through.
    let mut no_operator = tiny_graph(&manifest);
    no_operator.nodes[0] = onnx_bytes::node("NoSuchOperator", &["canvas"], &["cls_0"], &[]);
    for bytes in [onnx_bytes::number(1, 8), no_operator.model()] {
        let error = refusal(library, &bytes, &manifest);
        assert_eq!(error.kind(), BuildErrorKind::Native, "{error}");
    }
    let words = refusal(library, &no_operator.model(), &manifest).to_string();
    assert!(words.contains("NoSuchOperator"), "{words}");
}

#[test]
fn every_cut_of_a_network_is_refused_without_panic() {
    let onnx = tiny_graph(&tiny_manifest()).model();
    assert_eq!(visit(&onnx, Message::Model, 0), Ok(()));
    let refused = (1..onnx.len()).filter(|n| visit(&onnx[..*n], Message::Model, 0).is_err()).count();
    // A cut between the fields of the model itself is still wire format.
    assert!(refused >= onnx.len() - 4, "{refused} of {}", onnx.len());
    for at in 0..onnx.len().min(4000) {
        let mut changed = onnx.clone();
        changed[at] ^= 0xff;
        let _ = visit(&changed, Message::Model, 0);
    }
}

#[test]
fn weights_in_another_file_are_refused() {
    let manifest = tiny_manifest();
    let mut graph = tiny_graph(&manifest);
    graph.initializers[0] = onnx_bytes::external_initializer("cls_0.weight", &[18, 16, 2, 2], "w.bin");
    let error = refuse_other_files(&graph.model()).unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::Package);
    assert!(error.to_string().contains("another file"), "{error}");

    // The same tensor as a constant's attribute, in a branch of a node, and in a function.
    let tensor = onnx_bytes::external_initializer("w", &[1], "w.bin");
    let constant = onnx_bytes::node("Constant", &[], &["w"], &[onnx_bytes::bytes(5, &tensor)]);
    let in_node = Graph { nodes: vec![constant.clone()], ..Graph::default() };
    let branch = onnx_bytes::bytes(6, &onnx_bytes::bytes(1, &constant));
    let in_branch =
        Graph { nodes: vec![onnx_bytes::node("If", &["c"], &["w"], &[branch])], ..Graph::default() };
    let in_function = onnx_bytes::bytes(25, &onnx_bytes::bytes(7, &constant));
    for model in [in_node.model(), in_branch.model(), in_function] {
        assert_eq!(visit(&model, Message::Model, 0), Err(Refused::OtherFile));
    }
    assert_eq!(visit(&tiny_graph(&manifest).model(), Message::Model, 0), Ok(()));
}

#[test]
fn graphs_nested_without_end_are_refused() {
    let mut graph = Vec::new();
    for _ in 0..100 {
        let attribute = onnx_bytes::bytes(6, &graph);
        graph = onnx_bytes::bytes(1, &onnx_bytes::bytes(5, &attribute));
    }
    assert_eq!(visit(&onnx_bytes::bytes(7, &graph), Message::Model, 0), Err(Refused::TooDeep));
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Library::load(&folder.path().join("libonnxruntime.so")).unwrap_err();
    assert_eq!(missing.kind(), BuildErrorKind::NativePartMissing);
    assert!(missing.to_string().contains("cargo xtask setup"), "{missing}");

    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    for path in [text.as_path(), folder.path()] {
        let error = Library::load(path).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Native, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    // A library, but another one.
    let known = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
    match known.map(std::path::Path::new).iter().find(|p| p.is_file()) {
        Some(libm) => {
            let error = Library::load(libm).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Native);
            assert!(error.to_string().contains("not ONNX Runtime"), "{error}");
        }
        None => println!("skipped: no libm.so.6 at a known place"),
    }
}

#[test]
fn two_threads_load_one_library() {
    let Some(first) = library() else { return };
    let path = Places::from_env().onnxruntime().unwrap();
    let second = std::thread::scope(|s| s.spawn(|| Library::load(&path).unwrap()).join().unwrap());
    assert!(std::ptr::eq(first, second));
    assert!(first.version().starts_with("1."));
}

#[test]
fn sessions_come_and_go() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let onnx = tiny_graph(&manifest).model();
    for round in 0..20 {
        let mut a =
            OnnxRuntimeHead::build_with(library, &onnx, &manifest, 1 + round % 2, Rewriting::All).unwrap();
        let mut b = OnnxRuntimeHead::build_with(library, &onnx, &manifest, 1, Rewriting::All).unwrap();
        fill(a.canvas());
        fill(b.canvas());
        a.run().unwrap();
        b.run().unwrap();
        assert_eq!(bits(a.tensor(1)), bits(b.tensor(1)));
    }
}

#[test]
fn the_model_bytes_may_go_after_build() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let mut onnx = tiny_graph(&manifest).model();
    let mut first = OnnxRuntimeHead::build_with(library, &onnx, &manifest, 1, Rewriting::All).unwrap();
    let mut second = OnnxRuntimeHead::build_with(library, &onnx, &manifest, 1, Rewriting::All).unwrap();
    onnx.fill(0xff);
    drop(onnx);
    for head in [&mut first, &mut second] {
        fill(head.canvas());
        head.run().unwrap();
    }
    assert_eq!(bits(first.tensor(0)), bits(second.tensor(0)));
    assert!(first.tensor(0).iter().any(|v| v.abs() > 17.0));
}

#[test]
fn a_head_runs_on_another_thread() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let onnx = tiny_graph(&manifest).model();
    let mut head = OnnxRuntimeHead::build_with(library, &onnx, &manifest, 2, Rewriting::All).unwrap();
    fill(head.canvas());
    head.run().unwrap();
    let here = bits(head.tensor(0));
    let there = std::thread::spawn(move || {
        head.run().unwrap();
        bits(head.tensor(0))
    });
    assert_eq!(there.join().unwrap(), here);
}

#[test]
fn thread_counts_that_make_no_sense_are_refused() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let onnx = tiny_graph(&manifest).model();
    for n_threads in [0, 257, usize::MAX] {
        let error =
            OnnxRuntimeHead::build_with(library, &onnx, &manifest, n_threads, Rewriting::All).err().unwrap();
        assert_eq!(error.kind(), BuildErrorKind::Mismatch, "{error}");
    }
}

#[test]
fn a_failed_run_is_an_error_and_the_next_one_works() {
    let Some(library) = library() else { return };
    let manifest = tiny_manifest();
    let mut graph = tiny_graph(&manifest);
    // cls_0 = conv(canvas) + table[max(canvas)], and the table has four entries.
    let conv = ["canvas", "cls_0.weight", "cls_0.bias"];
    let steps =
        [onnx_bytes::attribute_ints("kernel_shape", &[2, 2]), onnx_bytes::attribute_ints("strides", &[2, 2])];
    graph.nodes[0] = onnx_bytes::node("Conv", &conv, &["conv"], &steps);
    let keep = onnx_bytes::attribute_int("keepdims", 0);
    graph.nodes.push(onnx_bytes::node("ReduceMax", &["canvas"], &["max"], &[keep]));
    let to = onnx_bytes::attribute_int("to", INT64);
    graph.nodes.push(onnx_bytes::node("Cast", &["max"], &["idx"], &[to]));
    graph.nodes.push(onnx_bytes::node("Gather", &["table", "idx"], &["entry"], &[]));
    graph.nodes.push(onnx_bytes::node("Add", &["conv", "entry"], &["cls_0"], &[]));
    graph.initializers.push(onnx_bytes::initializer("table", &[4], &[10.0, 20.0, 30.0, 40.0]));
    let mut head =
        OnnxRuntimeHead::build_with(library, &graph.model(), &manifest, 1, Rewriting::All).unwrap();
    assert_eq!(bits(&head.tensor(0)[..1]), [10.0_f32.to_bits()]);

    head.canvas()[0] = 100.0;
    let error = head.run().unwrap_err();
    assert_eq!((error.stage, error.code), (Stage::Head, FrameErrorCode::HeadFailed));
    assert!(head.last_error().contains("Gather"), "{}", head.last_error());

    head.canvas()[0] = 0.0;
    head.run().unwrap();
    assert_eq!(bits(&head.tensor(0)[..1]), [10.0_f32.to_bits()]);
}
