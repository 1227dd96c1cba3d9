//! ONNX: a [`Network`] as the bytes of a model file, and back.
//!
//! [`to_onnx`] writes what every engine reads, in `f32`; [`from_onnx`] reads it back. The few protobuf messages
//! that a graph of convolutions needs stand in `proto`, as structs.
//!
//! **Source**: `onnx.proto` (proto2) of ONNX 1.12, IR version 8; operators of opset 17.

mod error;
pub(crate) mod proto;
mod read;
#[cfg(test)]
mod tests;

pub use error::OnnxError;
pub use read::from_onnx;

use crate::{Conv, Network, Node, Op, Shape};
use prost::Message;
use proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, ValueInfoProto,
};
use std::collections::BTreeSet;

/// Version of the file format.
pub const IR_VERSION: i64 = 8;
/// Version of the operators.
pub const OPSET: i64 = 17;
/// Protobuf lengths are 31 bits; past them no reader follows.
pub(crate) const MAX_MODEL_BYTES: usize = i32::MAX as usize;

/// What a model file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxMeta {
    /// Who writes the file.
    pub producer: String,
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
pub fn to_onnx(network: &Network, meta: &OnnxMeta) -> Result<Vec<u8>, OnnxError> {
    let shapes = network.shapes()?;
    let mut graph = GraphProto { name: Some(meta.graph.clone()), ..GraphProto::default() };
    for node in &network.nodes {
        let shape = shapes.get(node.output.as_str()).copied().unwrap_or_default();
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
        let shape = shapes.get(output.as_str()).copied().unwrap_or_default();
        graph.output.push(ValueInfoProto::new(output, shape));
    }
    check_names(&graph)?;
    encode(graph, meta, OPSET, IR_VERSION)
}

/// The bytes of a model around a graph.
pub(crate) fn encode(
    graph: GraphProto,
    meta: &OnnxMeta,
    opset: i64,
    ir_version: i64,
) -> Result<Vec<u8>, OnnxError> {
    let properties = meta.properties.iter();
    let model = ModelProto {
        ir_version: Some(ir_version),
        producer_name: Some(meta.producer.clone()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        doc_string: Some(meta.doc.clone()),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) }],
        metadata_props: properties
            .map(|(key, value)| StringStringEntryProto { key: Some(key.clone()), value: Some(value.clone()) })
            .collect(),
    };
    let n_bytes = model.encoded_len();
    if n_bytes > MAX_MODEL_BYTES {
        return Err(OnnxError::TooLarge { n_bytes });
    }
    Ok(model.encode_to_vec())
}

/// Attributes of a convolution, transposed or not.
pub(crate) fn conv_attributes(conv: &Conv) -> Vec<AttributeProto> {
    let [_, _, kh, kw] = conv.weight.shape;
    vec![
        AttributeProto::ints("dilations", &[1, 1]),
        AttributeProto::int("group", 1),
        AttributeProto::ints("kernel_shape", &[kh, kw]),
        AttributeProto::ints("pads", &[conv.padding; 4]),
        AttributeProto::ints("strides", &[conv.stride; 2]),
    ]
}

fn push_conv(graph: &mut GraphProto, node: &Node, op_type: &str, conv: &Conv, shape: Shape) {
    let attributes = conv_attributes(conv);
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
pub(crate) fn check_names(graph: &GraphProto) -> Result<(), OnnxError> {
    let tensors = graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str));
    let tensors = tensors.chain(graph.initializer.iter().filter_map(|t| t.name.as_deref()));
    let tensors = tensors.chain(graph.input.iter().filter_map(|v| v.name.as_deref()));
    let nodes = graph.node.iter().filter_map(|n| n.name.as_deref());
    for (what, names) in [("tensors", tensors.collect::<Vec<_>>()), ("nodes", nodes.collect())] {
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
            return Err(OnnxError::NamedTwice { what, name: twice.to_owned() });
        }
    }
    Ok(())
}
