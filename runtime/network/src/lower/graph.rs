//! Graph: the nodes of a lowered network, one call each.

use crate::onnx::conv_attributes;
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, element};
use crate::{Conv, Node, Shape};
use half::f16;

/// An ONNX graph that grows.
pub(super) struct Graph {
    pub(super) proto: GraphProto,
}

impl Graph {
    pub(super) fn new(name: &str) -> Self {
        Self { proto: GraphProto { name: Some(name.to_owned()), ..GraphProto::default() } }
    }

    pub(super) fn input(&mut self, name: &str, shape: Shape, element: i32) {
        self.proto.input.push(ValueInfoProto::of(name, shape, element));
    }

    pub(super) fn output(&mut self, name: &str, shape: Shape) {
        self.proto.output.push(ValueInfoProto::new(name, shape));
    }

    fn push(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[String],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.proto.node.push(NodeProto::new(op, name, inputs, output, attributes));
    }

    pub(super) fn cast(&mut self, from: &str, to: &str, element: i32) {
        let attributes = vec![AttributeProto::int("to", i64::from(element))];
        self.push("Cast", &format!("{to}.cast"), &[from.to_owned()], to, attributes);
    }

    pub(super) fn concat(&mut self, name: &str, inputs: &[String], output: &str) {
        self.push("Concat", name, inputs, output, vec![AttributeProto::int("axis", 1)]);
    }

    /// A convolution of either kind, with its ReLU.
    pub(super) fn conv(&mut self, op: &str, node: &Node, conv: &Conv, inputs: &[String; 3]) {
        if !conv.relu {
            return self.push(op, &node.name, inputs, &node.output, conv_attributes(conv));
        }
        let linear = format!("{}.conv", node.output);
        self.push(op, &node.name, inputs, &linear, conv_attributes(conv));
        self.push("Relu", &format!("{}.relu", node.name), &[linear], &node.output, vec![]);
    }

    /// Channels of a tensor as tensors of their own; a tensor that is only renamed gets an identity.
    pub(super) fn split(&mut self, tensor: &str, names: &[&str], n_channels: &[usize]) {
        if let [name] = names {
            return self.push("Identity", "outputs.identity", &[tensor.to_owned()], name, vec![]);
        }
        let sizes = "outputs.sizes".to_owned();
        let bytes = n_channels.iter().flat_map(|n| (*n as i64).to_le_bytes()).collect();
        self.proto.initializer.push(TensorProto::raw(&sizes, &[n_channels.len()], element::INT64, bytes));
        let inputs = [tensor.to_owned(), sizes];
        let mut node =
            NodeProto::new("Split", "outputs.split", &inputs, "", vec![AttributeProto::int("axis", 1)]);
        node.output = names.iter().map(|n| (*n).to_owned()).collect();
        self.proto.node.push(node);
    }

    /// Numbers of `f32` or `f16`.
    pub(super) fn values(&mut self, name: &str, shape: &[usize], values: &[f32], element: i32) {
        let bytes = if element == element::FLOAT16 {
            values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()
        } else {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        };
        self.proto.initializer.push(TensorProto::raw(name, shape, element, bytes));
    }

    /// Rounds a tensor to eight bits and back; yields what it is called then.
    pub(super) fn quantize(&mut self, tensor: &str, scale: (f32, i32), zero: (i32, u8)) -> String {
        let [scale, zero] = self.scale_of(tensor, scale, zero);
        let quantized = format!("{tensor}.quantized");
        let inputs = [tensor.to_owned(), scale.clone(), zero.clone()];
        self.push("QuantizeLinear", &format!("{tensor}.quantize"), &inputs, &quantized, vec![]);
        self.dequantize_with(tensor, &[quantized, scale, zero])
    }

    /// Numbers of eight bits as `f16`; yields what they are called then.
    pub(super) fn dequantize(&mut self, tensor: &str, scale: (f32, i32), zero: (i32, u8)) -> String {
        let [scale, zero] = self.scale_of(tensor, scale, zero);
        self.dequantize_with(tensor, &[tensor.to_owned(), scale, zero])
    }

    fn dequantize_with(&mut self, tensor: &str, inputs: &[String; 3]) -> String {
        let output = format!("{tensor}.dequantized");
        self.push("DequantizeLinear", &format!("{tensor}.dequantize"), inputs, &output, vec![]);
        output
    }

    fn scale_of(
        &mut self,
        tensor: &str,
        (scale, scale_element): (f32, i32),
        (element, byte): (i32, u8),
    ) -> [String; 2] {
        let names = [format!("{tensor}.scale"), format!("{tensor}.zero")];
        self.values(&names[0], &[], &[scale], scale_element);
        self.proto.initializer.push(TensorProto::raw(&names[1], &[], element, vec![byte]));
        names
    }
}
