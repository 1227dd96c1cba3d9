//! Reading: an ONNX file of the kind that [`to_onnx`](super::to_onnx) writes, as a [`Network`].

use super::proto::{AttributeProto, FLOAT, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::{MAX_MODEL_BYTES, OnnxError};
use crate::{Conv, Network, Node, Op, Weight};
use prost::Message;
use std::collections::BTreeMap;

/// The network of an ONNX file.
///
/// Understood are `Conv` (square stride, equal padding on all sides, no dilation, one group),
/// `ConvTranspose` (kernel equal to stride), `Relu` right after one of them, and `Concat` of channels; weights
/// are initializers of `f32` inside of the file; one input of batch one. That is what the trainer exports.
///
/// **Errors**: bytes that are no ONNX file; the first node that is not understood, by name and operator, with
/// what is expected; a network that does not [validate](Network::validate). **Allocation**: bounded by the
/// bytes given.
pub fn from_onnx(bytes: &[u8]) -> Result<Network, OnnxError> {
    if bytes.len() > MAX_MODEL_BYTES {
        return Err(OnnxError::TooLarge { n_bytes: bytes.len() });
    }
    let model = ModelProto::decode(bytes).map_err(|e| OnnxError::Malformed { reason: e.to_string() })?;
    let problem = |text: &str| OnnxError::Graph { problem: text.to_owned() };
    let graph = model.graph.ok_or_else(|| problem("is missing"))?;
    let weights: BTreeMap<&str, &TensorProto> =
        graph.initializer.iter().filter_map(|t| Some((t.name.as_deref()?, t))).collect();
    let inputs: Vec<&ValueInfoProto> = graph
        .input
        .iter()
        .filter(|i| i.name.as_deref().is_none_or(|name| !weights.contains_key(name)))
        .collect();
    let [input] = inputs.as_slice() else {
        return Err(problem(&format!("has {} inputs, and one is expected: the canvas", inputs.len())));
    };
    let input_shape = shape_of(input).ok_or_else(|| problem("has an input that is not f32 [1, C, H, W]"))?;
    let mut reader = Reader { weights, n_readers: readers(&graph), nodes: Vec::new() };
    for node in &graph.node {
        reader.push(node)?;
    }
    let network = Network {
        input: input.name.clone().unwrap_or_default(),
        input_shape,
        nodes: reader.nodes,
        outputs: graph.output.iter().filter_map(|o| o.name.clone()).collect(),
    };
    network.validate()?;
    Ok(network)
}

/// How many nodes, and outputs of the graph, read each tensor.
fn readers(graph: &GraphProto) -> BTreeMap<String, usize> {
    let mut n_readers = BTreeMap::new();
    let inputs = graph.node.iter().flat_map(|n| &n.input);
    for name in inputs.chain(graph.output.iter().filter_map(|o| o.name.as_ref())) {
        *n_readers.entry(name.clone()).or_default() += 1;
    }
    n_readers
}

struct Reader<'a> {
    weights: BTreeMap<&'a str, &'a TensorProto>,
    n_readers: BTreeMap<String, usize>,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    fn push(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let name = node.name.clone().unwrap_or_default();
        let op_type = node.op_type.clone().unwrap_or_default();
        let refuse = |problem: String| OnnxError::Node { node: name.clone(), op: op_type.clone(), problem };
        let [output] = node.output.as_slice() else {
            return Err(refuse(format!("it has {} outputs, and one is expected", node.output.len())));
        };
        let op = match op_type.as_str() {
            "Conv" => Op::Conv(self.conv(node, 0).map_err(refuse)?),
            "ConvTranspose" => Op::ConvTranspose(self.conv(node, 1).map_err(refuse)?),
            "Concat" => match attribute(node, "axis").and_then(|a| a.i) {
                Some(1) => Op::Concat,
                axis => return Err(refuse(format!("its axis is {axis:?}, and channels are axis 1"))),
            },
            "Relu" => return self.relu(node, output).map_err(refuse),
            _ => {
                let problem = "a detector's network is made of Conv, ConvTranspose, Relu and Concat";
                return Err(refuse(problem.to_owned()));
            }
        };
        // A convolution reads its weights as well; the network has them inside.
        let n_inputs = if matches!(op, Op::Concat) { node.input.len() } else { 1 };
        let inputs = node.input.iter().take(n_inputs).cloned().collect();
        self.nodes.push(Node { name, op, inputs, output: output.clone() });
        Ok(())
    }

    /// A ReLU is part of the convolution before it, whose output nobody else reads.
    fn relu(&mut self, node: &NodeProto, output: &str) -> Result<(), String> {
        let [input] = node.input.as_slice() else {
            return Err(format!("it has {} inputs, and one is expected", node.input.len()));
        };
        let before = self.nodes.iter_mut().find(|n| n.output == *input);
        let Some(Node { op: Op::Conv(conv) | Op::ConvTranspose(conv), output: written, .. }) = before else {
            return Err(format!("its input `{input}` is not put out by a convolution"));
        };
        if conv.relu || self.n_readers.get(input) != Some(&1) {
            return Err(format!("its input `{input}` is read by others as well"));
        }
        conv.relu = true;
        output.clone_into(written);
        Ok(())
    }

    /// The parameters of a convolution whose output channels are dimension `out_axis` of its weight.
    fn conv(&self, node: &NodeProto, out_axis: usize) -> Result<Conv, String> {
        let [_, weight, bias @ ..] = node.input.as_slice() else {
            return Err("it has no weight".to_owned());
        };
        let (shape, values) = self.tensor(weight)?;
        let shape: [usize; 4] =
            shape.try_into().map_err(|s: Vec<usize>| format!("its weight has the shape {s:?}"))?;
        let bias = match bias {
            [] => vec![0.0; shape[out_axis]],
            [bias] => self.tensor(bias)?.1,
            _ => return Err("it has more than a weight and a bias".to_owned()),
        };
        let all = |name: &str, n: usize, default: i64| match attribute(node, name) {
            None => Ok(default),
            Some(a) if a.ints.len() == n && a.ints.iter().all(|v| *v == a.ints[0]) => Ok(a.ints[0]),
            Some(a) => Err(format!("its `{name}` is {:?}, and {n} equal numbers are expected", a.ints)),
        };
        let [_, _, kh, kw] = shape;
        if attribute(node, "kernel_shape").is_some_and(|a| a.ints != [kh as i64, kw as i64]) {
            return Err("its `kernel_shape` is not that of its weight".to_owned());
        }
        for (name, n, expected) in [("dilations", 2, 1), ("output_padding", 2, 0)] {
            if all(name, n, expected)? != expected {
                return Err(format!("its `{name}` is not {expected}"));
            }
        }
        if attribute(node, "group").and_then(|a| a.i).is_some_and(|g| g != 1) {
            return Err("it has more than one group".to_owned());
        }
        for name in ["auto_pad", "output_shape"] {
            if attribute(node, name).is_some_and(|a| a.s.as_deref() != Some(b"NOTSET")) {
                return Err(format!("it has `{name}`, and explicit `pads` are expected"));
            }
        }
        let count = |name: &str, value: i64| {
            usize::try_from(value).map_err(|_| format!("its `{name}` is {value}, a negative number"))
        };
        Ok(Conv {
            weight: Weight { shape, values },
            bias,
            stride: count("strides", all("strides", 2, 1)?)?,
            padding: count("pads", all("pads", 4, 0)?)?,
            relu: false,
        })
    }

    /// Shape and values of an initializer.
    fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
        let tensor = self.weights.get(name).ok_or_else(|| format!("`{name}` is no initializer"))?;
        if tensor.data_type != Some(FLOAT) {
            return Err(format!("`{name}` is not of f32"));
        }
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let shape = shape.ok_or_else(|| format!("`{name}` has a negative dimension"))?;
        let values: Vec<f32> = match &tensor.raw_data {
            Some(bytes) => {
                let (values, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(format!("`{name}` has {} bytes, which are no f32", bytes.len()));
                }
                values.iter().map(|v| f32::from_le_bytes(*v)).collect()
            }
            None => tensor.float_data.clone(),
        };
        let n = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if n != Some(values.len()) {
            return Err(format!("`{name}` has {} values for the shape {shape:?}", values.len()));
        }
        Ok((shape, values))
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name.as_deref() == Some(name))
}

fn shape_of(info: &ValueInfoProto) -> Option<[usize; 3]> {
    let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    if tensor.elem_type != Some(FLOAT) {
        return None;
    }
    let dims = tensor.shape.as_ref()?.dim.iter();
    let dims: Option<Vec<usize>> = dims.map(|d| usize::try_from(d.dim_value?).ok()).collect();
    match dims?.as_slice() {
        [1, c, h, w] => Some([*c, *h, *w]),
        _ => None,
    }
}
