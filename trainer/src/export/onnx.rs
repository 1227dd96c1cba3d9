//! ONNX: a [`Network`] as the bytes of a model file.
//!
//! The few protobuf messages that a graph of convolutions needs stand at the end, as structs.
//!
//! **Source**: `onnx.proto` (proto2) of ONNX 1.12, IR version 8; operators of opset 17.

use crate::export::network::{Conv, Network, Node, Op, Shape};
use anyhow::{Context, ensure};
use prost::Message;
use std::collections::BTreeSet;

/// Version of the file format.
pub const IR_VERSION: i64 = 8;
/// Version of the operators.
pub const OPSET: i64 = 17;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;
/// Protobuf lengths are 31 bits; past them no reader follows.
const MAX_MODEL_BYTES: usize = i32::MAX as usize;

/// What a model file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxMeta {
    /// Name of the graph: the model's.
    pub graph: String,
    /// A sentence for humans.
    pub doc: String,
    /// Further properties, in this order.
    pub properties: Vec<(String, String)>,
}

/// The bytes of an ONNX model that computes `network`.
///
/// **Shapes**: static, batch of one: `[1, C, H, W]` for the input, every output and every tensor
/// between. A tensor is called like the network's; what a convolution puts out before its ReLU is
/// `<output>.conv`, its parameters are `<node>.weight` and `<node>.bias`.
///
/// **Determinism**: equal networks and meta data give equal bytes.
///
/// **Errors**: a network that does not [validate](Network::validate), or names that collide.
pub fn to_onnx(network: &Network, meta: &OnnxMeta) -> anyhow::Result<Vec<u8>> {
    let shapes = network.shapes().context("the network cannot be written as ONNX")?;
    let mut graph = GraphProto { name: Some(meta.graph.clone()), ..GraphProto::default() };
    for node in &network.nodes {
        let shape = shapes.get(node.output.as_str()).copied().context("a node lost its shape")?;
        match &node.op {
            Op::Concat => {
                let axis = vec![AttributeProto::int("axis", 1)];
                graph.node.push(NodeProto::new("Concat", &node.name, &node.inputs, &node.output, axis));
            }
            Op::Conv(conv) => push_conv(&mut graph, node, "Conv", conv, shape),
            Op::ConvTranspose(conv) => push_conv(&mut graph, node, "ConvTranspose", conv, shape),
        }
        if !network.outputs.contains(&node.output) {
            graph.value_info.push(ValueInfoProto::new(&node.output, shape));
        }
    }
    graph.input.push(ValueInfoProto::new(&network.input, network.input_shape));
    for output in &network.outputs {
        let shape = shapes.get(output.as_str()).copied().context("an output lost its shape")?;
        graph.output.push(ValueInfoProto::new(output, shape));
    }
    check_names(&graph)?;
    let properties = meta.properties.iter();
    let model = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: Some("pilotis-trainer".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        doc_string: Some(meta.doc.clone()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: properties
            .map(|(key, value)| StringStringEntryProto { key: Some(key.clone()), value: Some(value.clone()) })
            .collect(),
    };
    let n_bytes = model.encoded_len();
    ensure!(n_bytes <= MAX_MODEL_BYTES, "the network takes {n_bytes} bytes, an ONNX file {MAX_MODEL_BYTES}");
    Ok(model.encode_to_vec())
}

fn push_conv(graph: &mut GraphProto, node: &Node, op_type: &str, conv: &Conv, shape: Shape) {
    let [_, _, kh, kw] = conv.weight.shape;
    let attributes = vec![
        AttributeProto::ints("dilations", &[1, 1]),
        AttributeProto::int("group", 1),
        AttributeProto::ints("kernel_shape", &[kh, kw]),
        AttributeProto::ints("pads", &[conv.padding; 4]),
        AttributeProto::ints("strides", &[conv.stride; 2]),
    ];
    let (weight, bias) = (format!("{}.weight", node.name), format!("{}.bias", node.name));
    graph.initializer.push(TensorProto::new(&weight, &conv.weight.shape, &conv.weight.values));
    graph.initializer.push(TensorProto::new(&bias, &[conv.bias.len()], &conv.bias));
    let inputs: Vec<_> = node.inputs.iter().cloned().chain([weight, bias]).collect();
    if conv.relu {
        let linear = format!("{}.conv", node.output);
        graph.node.push(NodeProto::new(op_type, &node.name, &inputs, &linear, attributes));
        graph.value_info.push(ValueInfoProto::new(&linear, shape));
        let name = format!("{}.relu", node.name);
        graph.node.push(NodeProto::new("Relu", &name, &[linear], &node.output, vec![]));
    } else {
        graph.node.push(NodeProto::new(op_type, &node.name, &inputs, &node.output, attributes));
    }
}

/// Names made here may collide with the network's own.
fn check_names(graph: &GraphProto) -> anyhow::Result<()> {
    let tensors = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str));
    let tensors = tensors.chain(graph.initializer.iter().filter_map(|t| t.name.as_deref()));
    let tensors = tensors.chain(graph.input.iter().filter_map(|v| v.name.as_deref()));
    let nodes = graph.node.iter().filter_map(|n| n.name.as_deref());
    for (what, names) in [("tensors", tensors.collect::<Vec<_>>()), ("nodes", nodes.collect())] {
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
            anyhow::bail!("two {what} of the ONNX graph are called `{twice}`; rename a node of the network");
        }
    }
    Ok(())
}

fn dims(values: &[usize]) -> Vec<i64> {
    values.iter().map(|v| *v as i64).collect()
}

impl NodeProto {
    fn new(
        op_type: &str,
        name: &str,
        inputs: &[String],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        Self {
            input: inputs.to_vec(),
            output: vec![output.to_owned()],
            name: Some(name.to_owned()),
            op_type: Some(op_type.to_owned()),
            attribute,
        }
    }
}

impl AttributeProto {
    const INT: i32 = 2;
    const INTS: i32 = 7;

    fn int(name: &str, value: i64) -> Self {
        Self { name: Some(name.to_owned()), i: Some(value), ints: vec![], r#type: Some(Self::INT) }
    }

    fn ints(name: &str, values: &[usize]) -> Self {
        Self { name: Some(name.to_owned()), i: None, ints: dims(values), r#type: Some(Self::INTS) }
    }
}

impl TensorProto {
    fn new(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self {
            dims: dims(shape),
            data_type: Some(FLOAT),
            name: Some(name.to_owned()),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        }
    }
}

impl ValueInfoProto {
    fn new(name: &str, [c, h, w]: Shape) -> Self {
        let dim = dims(&[1, c, h, w]).into_iter().map(|d| DimensionProto { dim_value: Some(d) }).collect();
        let tensor = TensorTypeProto { elem_type: Some(FLOAT), shape: Some(TensorShapeProto { dim }) };
        Self { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
    }
}

// Fields are ordered and numbered as in onnx.proto; what is not needed is left out. Proto2:
// scalars have presence and repeated ones are not packed.

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, optional, tag = "1")]
    ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    producer_version: Option<String>,
    #[prost(string, optional, tag = "6")]
    doc_string: Option<String>,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, optional, tag = "1")]
    domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    version: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, optional, tag = "1")]
    key: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "13")]
    value_info: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, optional, tag = "3")]
    name: Option<String>,
    #[prost(string, optional, tag = "4")]
    op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, optional, tag = "20")]
    r#type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    data_type: Option<i32>,
    #[prost(string, optional, tag = "8")]
    name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    raw_data: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, optional, tag = "1")]
    elem_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimensionProto>,
}

#[derive(Clone, PartialEq, Message)]
struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::network::Weight;

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
                0x0a, 1, b'x', 0x12, 22, 0x0a, 20, 0x08, 1, 0x12, 16, 0x0a, 2, 0x08, 1, 0x0a, 2, 0x08, 2,
                0x0a, 2, 0x08, 3, 0x0a, 2, 0x08, 4
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
}
