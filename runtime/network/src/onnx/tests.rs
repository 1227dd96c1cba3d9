use super::*;
use crate::Weight;
use proto::dims;

fn conv(shape: [usize; 4], n_out: usize, stride: usize, padding: usize, relu: bool) -> Conv {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
    let bias = (0..n_out).map(|i| i as f32 * 0.1 - 0.2).collect();
    Conv { weight: Weight { shape, values }, bias, stride, padding, relu }
}

fn node(name: &str, op: Op, inputs: &[&str], output: &str) -> Node {
    let inputs = inputs.iter().map(|i| (*i).to_owned()).collect();
    Node { name: name.to_owned(), op, inputs, output: output.to_owned() }
}

fn network() -> Network {
    Network {
        input: "canvas".to_owned(),
        input_shape: [3, 6, 8],
        nodes: vec![
            node("block0", Op::Conv(conv([4, 3, 3, 3], 4, 1, 1, true)), &["canvas"], "b0"),
            node("block1", Op::Conv(conv([5, 4, 3, 3], 5, 2, 1, true)), &["b0"], "b1"),
            node("up1", Op::ConvTranspose(conv([5, 2, 2, 2], 2, 2, 0, true)), &["b1"], "u1"),
            node("concat", Op::Concat, &["b0", "u1"], "maps"),
            node("cls", Op::Conv(conv([7, 6, 1, 1], 7, 1, 0, false)), &["maps"], "cls_0"),
            node("box", Op::Conv(conv([3, 6, 1, 1], 3, 1, 0, false)), &["maps"], "box_0"),
        ],
        outputs: vec!["cls_0".to_owned(), "box_0".to_owned()],
    }
}

fn meta() -> OnnxMeta {
    OnnxMeta {
        producer: "pilotis-trainer".to_owned(),
        graph: "tiny".to_owned(),
        doc: "A test.".to_owned(),
        properties: vec![("key".to_owned(), "value".to_owned())],
    }
}

fn decoded() -> ModelProto {
    ModelProto::decode(to_onnx(&network(), &meta()).unwrap().as_slice()).unwrap()
}

fn shape_of(info: &ValueInfoProto) -> (&str, Vec<i64>) {
    let tensor = info.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
    assert_eq!(tensor.elem_type, Some(1));
    let dim = &tensor.shape.as_ref().unwrap().dim;
    (info.name.as_deref().unwrap(), dim.iter().map(|d| d.dim_value.unwrap()).collect())
}

#[test]
fn the_header_says_who_wrote_what() {
    let model = decoded();
    assert_eq!((model.ir_version, model.opset_import[0].version), (Some(8), Some(17)));
    assert_eq!(model.opset_import[0].domain.as_deref(), Some(""));
    assert_eq!(model.producer_name.as_deref(), Some("pilotis-trainer"));
    assert_eq!(model.producer_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(model.metadata_props[0].key.as_deref(), Some("key"));
    assert_eq!(model.graph.unwrap().name.as_deref(), Some("tiny"));
}

#[test]
fn a_relu_is_a_node_of_its_own() {
    let graph = decoded().graph.unwrap();
    let nodes: Vec<_> = graph
        .node
        .iter()
        .map(|n| (n.op_type.as_deref().unwrap(), n.name.as_deref().unwrap(), n.output[0].as_str()))
        .collect();
    assert_eq!(
        nodes,
        [
            ("Conv", "block0", "b0.conv"),
            ("Relu", "block0.relu", "b0"),
            ("Conv", "block1", "b1.conv"),
            ("Relu", "block1.relu", "b1"),
            ("ConvTranspose", "up1", "u1.conv"),
            ("Relu", "up1.relu", "u1"),
            ("Concat", "concat", "maps"),
            ("Conv", "cls", "cls_0"),
            ("Conv", "box", "box_0"),
        ]
    );
    assert_eq!(graph.node[2].input, ["b0", "block1.weight", "block1.bias"]);
    assert_eq!(graph.node[3].input, ["b1.conv"]);
    assert_eq!(graph.node[6].input, ["b0", "u1"]);
}

#[test]
fn every_tensor_has_its_static_shape() {
    let graph = decoded().graph.unwrap();
    assert_eq!(graph.input.iter().map(shape_of).collect::<Vec<_>>(), [("canvas", vec![1, 3, 6, 8])]);
    assert_eq!(
        graph.output.iter().map(shape_of).collect::<Vec<_>>(),
        [("cls_0", vec![1, 7, 6, 8]), ("box_0", vec![1, 3, 6, 8])]
    );
    assert_eq!(
        graph.value_info.iter().map(shape_of).collect::<Vec<_>>(),
        [
            ("b0.conv", vec![1, 4, 6, 8]),
            ("b0", vec![1, 4, 6, 8]),
            ("b1.conv", vec![1, 5, 3, 4]),
            ("b1", vec![1, 5, 3, 4]),
            ("u1.conv", vec![1, 2, 6, 8]),
            ("u1", vec![1, 2, 6, 8]),
            ("maps", vec![1, 6, 6, 8]),
        ]
    );
}

#[test]
fn attributes_are_complete_and_typed() {
    let graph = decoded().graph.unwrap();
    let of = |i: usize| -> Vec<_> {
        let attributes = graph.node[i].attribute.iter();
        attributes.map(|a| (a.name.as_deref().unwrap(), a.i, a.ints.as_slice(), a.r#type)).collect()
    };
    type Attribute<'a> = (&'a str, Option<i64>, &'a [i64], Option<i32>);
    let expected: [Attribute<'_>; 5] = [
        ("dilations", None, &[1, 1], Some(7)),
        ("group", Some(1), &[], Some(2)),
        ("kernel_shape", None, &[3, 3], Some(7)),
        ("pads", None, &[1, 1, 1, 1], Some(7)),
        ("strides", None, &[2, 2], Some(7)),
    ];
    assert_eq!(of(2), expected);
    assert_eq!(
        of(4)[2..],
        [
            ("kernel_shape", None, [2, 2].as_slice(), Some(7)),
            ("pads", None, &[0, 0, 0, 0], Some(7)),
            ("strides", None, &[2, 2], Some(7)),
        ]
    );
    assert_eq!(of(6), [("axis", Some(1), [].as_slice(), Some(2))]);
    assert!(of(1).is_empty());
}

#[test]
fn initializers_are_the_weights_in_little_endian() {
    let network = network();
    let graph = decoded().graph.unwrap();
    let mut n = 0;
    for node in &network.nodes {
        let (Op::Conv(conv) | Op::ConvTranspose(conv)) = &node.op else { continue };
        for (suffix, shape, values) in [
            ("weight", conv.weight.shape.as_slice(), &conv.weight.values),
            ("bias", &[conv.bias.len()], &conv.bias),
        ] {
            let name = format!("{}.{suffix}", node.name);
            let tensor = graph.initializer.iter().find(|t| t.name.as_ref() == Some(&name)).unwrap();
            assert_eq!(tensor.dims, dims(shape));
            assert_eq!(tensor.data_type, Some(1));
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(tensor.raw_data.as_ref(), Some(&bytes));
            n += 1;
        }
    }
    assert_eq!((n, graph.initializer.len()), (10, 10));
}

#[test]
fn the_wire_format_is_proto2s() {
    // Decoding with our own structs cannot see a wrong field number: these bytes were taken
    // from the official onnx package, which writes this attribute and this shape so.
    assert_eq!(
        AttributeProto::ints("pads", &[1, 2]).encode_to_vec(),
        [0x0a, 4, b'p', b'a', b'd', b's', 0x40, 1, 0x40, 2, 0xa0, 1, 7]
    );
    assert_eq!(
        AttributeProto::int("axis", 1).encode_to_vec(),
        [0x0a, 4, b'a', b'x', b'i', b's', 0x18, 1, 0xa0, 1, 2]
    );
    assert_eq!(
        TensorProto::new("b", &[1], &[1.0]).encode_to_vec(),
        [0x08, 1, 0x10, 1, 0x42, 1, b'b', 0x4a, 4, 0, 0, 0x80, 0x3f]
    );
    assert_eq!(
        ValueInfoProto::new("x", [2, 3, 4]).encode_to_vec(),
        [
            0x0a, 1, b'x', 0x12, 22, 0x0a, 20, 0x08, 1, 0x12, 16, 0x0a, 2, 0x08, 1, 0x0a, 2, 0x08, 2, 0x0a,
            2, 0x08, 3, 0x0a, 2, 0x08, 4
        ]
    );
}

#[test]
fn equal_networks_give_equal_bytes() {
    assert_eq!(to_onnx(&network(), &meta()).unwrap(), to_onnx(&network(), &meta()).unwrap());
}

#[test]
fn misfits_and_colliding_names_are_refused() {
    let mut wrong = network();
    wrong.input_shape[0] = 2;
    let error = format!("{:#}", to_onnx(&wrong, &meta()).unwrap_err());
    assert!(error.contains("node `block0`") && error.contains("2 channels"), "{error}");
    let mut collides = network();
    collides.nodes[3].output = "b1.conv".to_owned();
    for head in [4, 5] {
        collides.nodes[head].inputs = vec!["b1.conv".to_owned()];
    }
    let error = format!("{:#}", to_onnx(&collides, &meta()).unwrap_err());
    assert!(error.contains("two tensors") && error.contains("`b1.conv`"), "{error}");
    let mut collides = network();
    collides.nodes[3].name = "up1.relu".to_owned();
    let error = format!("{:#}", to_onnx(&collides, &meta()).unwrap_err());
    assert!(error.contains("two nodes") && error.contains("`up1.relu`"), "{error}");
}

#[test]
fn what_was_written_is_read_back() {
    assert_eq!(from_onnx(&to_onnx(&network(), &meta()).unwrap()).unwrap(), network());
}

/// The tiny network with a change to its graph, read back.
fn read_with(change: impl Fn(&mut GraphProto)) -> Result<Network, OnnxError> {
    let mut model = decoded();
    change(model.graph.as_mut().unwrap());
    from_onnx(&model.encode_to_vec())
}

#[test]
fn what_is_not_understood_is_named() {
    type Change<'a> = (&'a str, &'a dyn Fn(&mut GraphProto));
    let cases: [Change<'_>; 10] = [
        ("`block1.relu` (Sigmoid)", &|g| g.node[3].op_type = Some("Sigmoid".to_owned())),
        ("(Conv) of the ONNX graph: its `dilations` is not 1", &|g| g.node[0].attribute[0].ints = vec![2, 2]),
        ("(Conv) of the ONNX graph: it has more than one group", &|g| g.node[0].attribute[1].i = Some(2)),
        ("`pads` is [1, 1, 0, 0]", &|g| g.node[0].attribute[3].ints = vec![1, 1, 0, 0]),
        ("`strides` is -1", &|g| g.node[0].attribute[4].ints = vec![-1, -1]),
        ("(Concat) of the ONNX graph: its axis is Some(2)", &|g| g.node[6].attribute[0].i = Some(2)),
        ("`block0.weight` is not of f32", &|g| g.initializer[0].data_type = Some(10)),
        ("`block0.weight` has 4 values", &|g| g.initializer[0].raw_data = Some(vec![0; 16])),
        ("`nothing` is no initializer", &|g| g.node[0].input[1] = "nothing".to_owned()),
        ("is read by others as well", &|g| g.node[2].input[0] = "b0.conv".to_owned()),
    ];
    for (expected, change) in cases {
        let said = read_with(change).unwrap_err().to_string();
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let two = read_with(|g| g.input.push(ValueInfoProto::new("more", [1, 2, 3]))).unwrap_err();
    assert!(two.to_string().contains("2 inputs"), "{two}");
    assert!(from_onnx(b"not a model").is_err());
    assert!(matches!(from_onnx(&[]), Err(OnnxError::Graph { .. })));
}

#[test]
fn values_may_stand_in_float_data() {
    let network = read_with(|g| {
        let bytes = g.initializer[1].raw_data.take().unwrap();
        g.initializer[1].float_data =
            bytes.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
    });
    assert_eq!(network.unwrap(), self::network());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic_the_reader(at in 0usize..4000, byte: u8, cut in 0usize..4000) {
        let mut bytes = to_onnx(&network(), &meta()).unwrap();
        let n = bytes.len();
        bytes[at % n] = byte;
        let _ = from_onnx(&bytes);
        let _ = from_onnx(&bytes[..cut % n]);
    }
}
