//! ONNX: a [`Network`] as the bytes of a model file.
//!
//! The few protobuf messages that a graph of convolutions needs stand in `proto`, as structs.
//!
//! **Source**: `onnx.proto` (proto2) of ONNX 1.12, IR version 8; operators of opset 17.

mod proto;
#[cfg(test)]
mod tests;

use crate::export::network::{Conv, Network, Node, Op, Shape};
use anyhow::{Context, ensure};
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
