//! Lowering: a network in the form that TensorRT runs best, as an ONNX file whose types it takes literally.
//!
//! What is chosen here was chosen by looking at the plans that TensorRT for RTX 1.7 makes for sm_89:
//!
//! - **`f16` throughout, the border `f32` where boxes are decoded.** Bias and ReLU fuse into the convolution.
//! - **Output convolutions over one tensor become one**, and one kernel casts and splits all outputs. Eighteen
//!   1 x 1 convolutions of a multi-group anchor head are otherwise 36 kernels, each reading the same map.
//! - **Branches of two convolutions over one tensor become one branch**: their first convolutions side by side, their
//!   second ones as one with zeros between them. A centre head of six tasks is otherwise 72 small kernels. The
//!   zeros cost nothing that padding of one to three output channels to a tile would not cost anyway.
//! - **Transposed convolutions stay as they are, and stay `f16`.** They write straight into their part of the
//!   concatenation. As 1 x 1 convolution and DepthToSpace they could run in INT8, but a kernel then moves the
//!   whole map; given INT8 types as they are, they run in `f16` all the same and convert their weights at
//!   every inference.
//! - **Low precision has scales per tensor, in `f16`.** With scales per channel the convolution writes `f32`
//!   and another kernel adds the bias.
//! - **The first convolution and the outputs stay `f16`** in low precision: quantizing the canvas costs more
//!   memory traffic than it saves, and outputs are what is sensitive.

mod graph;
mod merge;
#[cfg(test)]
mod tests;

use crate::calibration::Calibration;
use crate::onnx::proto::{TensorProto, element};
use crate::onnx::{OnnxError, OnnxMeta, check_names, encode};
use crate::{Conv, Network, Node, Op, Shape, Weight};
use graph::Graph;
use merge::End;
use std::collections::{BTreeMap, BTreeSet};

/// Types of `f8` came with operators of opset 19, and those with version 9 of the format.
const OPSET: i64 = 19;
const IR_VERSION: i64 = 9;

/// What the convolutions of a network compute in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `f32`.
    Fp32,
    /// `f16`; sums inside of a convolution as the engine likes.
    Fp16,
    /// Eight-bit floats (E4M3) where that pays, `f16` elsewhere.
    Fp8,
    /// Eight-bit integers where that pays, `f16` elsewhere.
    Int8,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Fp16, Self::Fp8, Self::Int8];

    /// Its name on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
        }
    }

    /// Whether tensors have to be scaled, by ranges that a calibration measured.
    pub fn needs_calibration(self) -> bool {
        matches!(self, Self::Fp8 | Self::Int8)
    }

    /// Whether the canvas and the maps are `f16`.
    pub fn is_half(self) -> bool {
        self != Self::Fp32
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|p| p.name() == text);
        found.ok_or_else(|| format!("`{text}` is no precision: fp32, fp16, fp8 or int8"))
    }
}

/// How a network is lowered.
#[derive(Clone, Debug)]
pub struct Lowering<'a> {
    /// What convolutions compute in.
    pub precision: Precision,
    /// Ranges of the tensors, where the precision [needs](Precision::needs_calibration) them.
    pub calibration: Option<&'a Calibration>,
    /// Whether an engine on the host runs it: then the canvas comes as `f32`, and an eight-bit network has `f32`
    /// where the card has `f16`, with the same scales. (ONNX Runtime multiplies quantized numbers in `f16`
    /// before it scales them, which overflows.)
    pub on_host: bool,
}

/// The bytes of an ONNX model that computes `network` in a precision.
///
/// **Shapes**: those of [`to_onnx`](crate::onnx::to_onnx): the canvas `[1, C, H, W]`, and the network's outputs
/// under their names, always `f32`.
///
/// **Errors**: those of writing; a precision that needs a calibration without one, or with one that lacks a
/// tensor. **Determinism**: equal arguments give equal bytes.
pub fn lower(network: &Network, lowering: &Lowering<'_>, meta: &OnnxMeta) -> Result<Vec<u8>, OnnxError> {
    let shapes = network.shapes()?;
    let ends = merge::ends(network);
    let mut lower = Lower {
        graph: Graph::new(&meta.graph),
        lowering,
        shapes,
        ends: ends.iter().map(|end| end.tensor.clone()).collect(),
        quantized: BTreeMap::new(),
    };
    let input = lower.input(network);
    let is_of_an_end = |node: &Node| ends.iter().any(|end| end.replaces.contains(&node.name));
    for node in network.nodes.iter().filter(|node| !is_of_an_end(node)) {
        lower.node(network, node, &input)?;
    }
    lower.outputs(network, &ends, &input)?;
    check_names(&lower.graph.proto)?;
    encode(lower.graph.proto, meta, OPSET, IR_VERSION)
}

struct Lower<'a> {
    graph: Graph,
    lowering: &'a Lowering<'a>,
    shapes: BTreeMap<&'a str, Shape>,
    /// What the last convolutions write.
    ends: BTreeSet<String>,
    /// Tensors that were quantized, and what they are called since.
    quantized: BTreeMap<String, String>,
}

impl Lower<'_> {
    /// Element of maps, weights and biases.
    fn element(&self) -> i32 {
        let Lowering { precision, on_host, .. } = self.lowering;
        let is_half = precision.is_half() && !(*on_host && precision.needs_calibration());
        if is_half { element::FLOAT16 } else { element::FLOAT }
    }

    fn shape(&self, tensor: &str) -> Shape {
        self.shapes.get(tensor).copied().unwrap_or_default()
    }

    /// Declares the canvas; yields what it is called as a map.
    fn input(&mut self, network: &Network) -> String {
        let element = if self.lowering.on_host { element::FLOAT } else { self.element() };
        self.graph.input(&network.input, network.input_shape, element);
        if element == self.element() {
            return network.input.clone();
        }
        let cast = format!("{}.cast", network.input);
        self.graph.cast(&network.input, &cast, self.element());
        cast
    }

    /// A node that is not the end of the network.
    fn node(&mut self, network: &Network, node: &Node, input: &str) -> Result<(), OnnxError> {
        let inputs: Vec<String> = node.inputs.iter().map(|i| renamed(network, i, input)).collect();
        match &node.op {
            Op::Concat => self.graph.concat(&node.name, &inputs, &node.output),
            Op::ConvTranspose(conv) => self.plain(node, "ConvTranspose", conv, &inputs)?,
            Op::Conv(conv) if self.is_low(network, node, conv) => self.low(node, conv, &inputs)?,
            Op::Conv(conv) => self.plain(node, "Conv", conv, &inputs)?,
        }
        Ok(())
    }

    /// Whether a convolution runs in eight bits: one with neighbours, behind the first and before the last.
    fn is_low(&self, network: &Network, node: &Node, conv: &Conv) -> bool {
        let [_, _, kh, kw] = conv.weight.shape;
        let is_inside = !node.inputs.contains(&network.input) && !self.ends.contains(&node.output);
        self.lowering.precision.needs_calibration() && kh * kw > 1 && is_inside
    }

    /// A convolution in the element of the maps.
    fn plain(&mut self, node: &Node, op: &str, conv: &Conv, inputs: &[String]) -> Result<(), OnnxError> {
        let weight = self.parameter(node, "weight", &conv.weight.shape, &conv.weight.values)?;
        let bias = self.parameter(node, "bias", &[conv.bias.len()], &conv.bias)?;
        self.graph.conv(op, node, conv, &[inputs[0].clone(), weight, bias]);
        Ok(())
    }

    /// A convolution in eight bits: its input and its weight are quantized, its bias and output are `f16`.
    fn low(&mut self, node: &Node, conv: &Conv, inputs: &[String]) -> Result<(), OnnxError> {
        let input = self.quantize(&inputs[0])?;
        let weight = self.low_weight(node, &conv.weight);
        let bias = self.parameter(node, "bias", &[conv.bias.len()], &conv.bias)?;
        self.graph.conv("Conv", node, conv, &[input, weight, bias]);
        Ok(())
    }

    /// A tensor rounded to eight bits; once, however many read it.
    fn quantize(&mut self, tensor: &str) -> Result<String, OnnxError> {
        if let Some(quantized) = self.quantized.get(tensor) {
            return Ok(quantized.clone());
        }
        let missing = || OnnxError::Calibration {
            tensor: tensor.to_owned(),
            problem: format!("no range: {} needs a calibration", self.lowering.precision),
        };
        let amax = self.lowering.calibration.ok_or_else(missing)?.amax_of(tensor)?;
        let low = Low::of(self.lowering.precision);
        let quantized = self.graph.quantize(tensor, self.scale(low.scale(amax)), low.zero());
        self.quantized.insert(tensor.to_owned(), quantized.clone());
        Ok(quantized)
    }

    /// A scale as the card has it, and the element that it is written in.
    fn scale(&self, scale: f32) -> (f32, i32) {
        (f32::from(half::f16::from_f32(scale)), self.element())
    }

    fn low_weight(&mut self, node: &Node, weight: &Weight) -> String {
        let low = Low::of(self.lowering.precision);
        let amax = weight.values.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
        let scale = low.scale(amax.max(f32::MIN_POSITIVE));
        // Divided by the scale as the engine has it, which is rounded to f16.
        let divisor = f32::from(half::f16::from_f32(scale));
        let bytes = weight.values.iter().map(|v| low.encode(v / divisor)).collect();
        let name = format!("{}.weight", node.name);
        self.graph.proto.initializer.push(TensorProto::raw(&name, &weight.shape, low.element, bytes));
        self.graph.dequantize(&name, self.scale(scale), low.zero())
    }

    /// Parameters of a node in the element of the maps; in `f16` they must be within its range.
    fn parameter(
        &mut self,
        node: &Node,
        what: &str,
        shape: &[usize],
        values: &[f32],
    ) -> Result<String, OnnxError> {
        let element = self.element();
        let too_large = |v: &&f32| element == element::FLOAT16 && half::f16::from_f32(**v).is_infinite();
        if let Some(value) = values.iter().find(too_large) {
            let op = if matches!(node.op, Op::Conv(_)) { "Conv" } else { "ConvTranspose" };
            let problem = format!("its {what} has the value {value}, and f16 ends at 65504: use fp32");
            return Err(OnnxError::Node { node: node.name.clone(), op: op.to_owned(), problem });
        }
        let name = format!("{}.{what}", node.name);
        self.graph.values(&name, shape, values, element);
        Ok(name)
    }

    /// The ends of the network, cast and split together.
    fn outputs(&mut self, network: &Network, ends: &[End], input: &str) -> Result<(), OnnxError> {
        let mut parts = Vec::new();
        for end in ends {
            for node in &end.nodes {
                self.node(network, node, input)?;
            }
            parts.push(end.tensor.clone());
        }
        let mut all = match parts.as_slice() {
            [one] => one.clone(),
            several => {
                self.graph.concat("outputs.concat", several, "outputs");
                "outputs".to_owned()
            }
        };
        if self.element() != element::FLOAT {
            self.graph.cast(&all, "outputs.f32", element::FLOAT);
            "outputs.f32".clone_into(&mut all);
        }
        let order: Vec<&str> = ends.iter().flat_map(|end| end.outputs.iter().map(String::as_str)).collect();
        let n_channels: Vec<usize> = order.iter().map(|name| self.shape(name)[0]).collect();
        self.graph.split(&all, &order, &n_channels);
        for output in &network.outputs {
            self.graph.output(output, self.shape(output));
        }
        Ok(())
    }
}

/// The name of a tensor, given what the canvas is called.
fn renamed(network: &Network, tensor: &str, input: &str) -> String {
    if tensor == network.input { input.to_owned() } else { tensor.to_owned() }
}

/// A type of eight bits.
struct Low {
    element: i32,
    /// Its largest number.
    max: f32,
}

impl Low {
    fn of(precision: Precision) -> Self {
        match precision {
            Precision::Fp8 => Self { element: element::FLOAT8E4M3FN, max: 448.0 },
            _ => Self { element: element::INT8, max: 127.0 },
        }
    }

    /// What one step is worth, for a range.
    fn scale(&self, amax: f32) -> f32 {
        amax / self.max
    }

    /// Its zero, as a tensor without dimensions wants it.
    fn zero(&self) -> (i32, u8) {
        (self.element, 0)
    }

    fn encode(&self, value: f32) -> u8 {
        if self.element == element::INT8 {
            value.round_ties_even().clamp(-127.0, 127.0) as i8 as u8
        } else {
            e4m3(value)
        }
    }
}

/// The nearest E4M3 number, ties to even, as its bits; beyond the range the largest.
///
/// **Source**: FP8 formats for deep learning (2022), table 1.
fn e4m3(value: f32) -> u8 {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let magnitude = value.abs().min(448.0);
    // The exponent of the step: three bits of mantissa, and none below 2^-6.
    let exponent = (magnitude.to_bits() >> 23) as i32 - 127;
    let step_exponent = exponent.max(-6) - 3;
    let steps = (magnitude * (-step_exponent as f32).exp2()).round_ties_even() as u32;
    // 16 steps are the first of the next exponent: the carry goes where it belongs.
    let bits = ((step_exponent + 9) as u32 * 8 + steps).min(0x7e) as u8;
    sign | bits
}
