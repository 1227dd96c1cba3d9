//! Network: the 2D convolutions of a detector as plain data, between a trainer and the engines that run it.
//!
//! BatchNorm is folded already, weights are `f32` in row-major order, and every tensor has a
//! name. [`onnx`] writes it and reads it back; [`lower()`] writes it in the form and the types that TensorRT runs best.

#![forbid(unsafe_code)]

mod calibration;
mod lower;
pub mod onnx;

pub use calibration::Calibration;
pub use lower::{Lowering, Precision, lower};

use std::collections::BTreeMap;
use thiserror::Error;

/// A feed-forward graph of convolutions with one input, of batch size one.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name of the input tensor.
    pub input: String,
    /// `[C, H, W]` of the input.
    pub input_shape: [usize; 3],
    /// Nodes in an order in which each one's inputs come before it.
    pub nodes: Vec<Node>,
    /// Names of the outputs in binding order; each is some node's output.
    pub outputs: Vec<String>,
}

/// One operation and the names of its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Dotted place in the network, for instance `backbone.block0.conv1`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Names of its inputs.
    pub inputs: Vec<String>,
    /// Name of its output.
    pub output: String,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A convolution with zero padding on all sides.
    Conv(Conv),
    /// A transposed convolution whose kernel equals its stride (`weight [in, out, u, u]`).
    ConvTranspose(Conv),
    /// Channels of all inputs, one after the other.
    Concat,
}

/// A convolution with bias, and ReLU where asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// `[out, in, kh, kw]`; `[in, out, kh, kw]` when transposed.
    pub weight: Weight,
    /// One per output channel.
    pub bias: Vec<f32>,
    /// Step in both directions.
    pub stride: usize,
    /// Zeros added on each side; 0 when transposed.
    pub padding: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
}

/// A four-dimensional weight tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its dimensions.
    pub shape: [usize; 4],
    /// Its values.
    pub values: Vec<f32>,
}

/// `[C, H, W]` of a tensor.
pub type Shape = [usize; 3];

/// Why a graph is no network; each names the node at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// There is nothing to compute.
    #[error("the network has no {missing}")]
    Empty {
        /// Nodes, outputs or input values.
        missing: &'static str,
    },
    /// Two nodes or tensors of one name, or one without.
    #[error("node `{node}`: the name `{name}` is empty or taken")]
    Name {
        /// The later node.
        node: String,
        /// The name.
        name: String,
    },
    /// Too few or too many inputs.
    #[error("node `{node}` has {got} inputs, it needs {needed}")]
    InputCount {
        /// The node.
        node: String,
        /// Inputs it has.
        got: usize,
        /// Inputs it needs.
        needed: &'static str,
    },
    /// An input that nothing before puts out.
    #[error("node `{node}`: its input `{tensor}` is not put out before it")]
    UnknownInput {
        /// The node.
        node: String,
        /// The missing tensor.
        tensor: String,
    },
    /// Weights of another number of input channels.
    #[error("node `{node}`: its input `{tensor}` has {got} channels, its weight takes {needed}")]
    Channels {
        /// The node.
        node: String,
        /// Its input.
        tensor: String,
        /// Channels of the input.
        got: usize,
        /// Channels of the weight.
        needed: usize,
    },
    /// A parameter whose values do not fill its shape.
    #[error("node `{node}`: its {parameter} has {got} values, its shape {needed}")]
    ParameterSize {
        /// The node.
        node: String,
        /// `weight` or `bias`.
        parameter: &'static str,
        /// Values there are.
        got: usize,
        /// Values of the shape.
        needed: usize,
    },
    /// A parameter with NaN or infinity.
    #[error("node `{node}`: its {parameter} has a value that is not finite: the training diverged")]
    NotFinite {
        /// The node.
        node: String,
        /// `weight` or `bias`.
        parameter: &'static str,
    },
    /// A kernel, stride and padding that cannot be.
    #[error("node `{node}`: {problem}")]
    Geometry {
        /// The node.
        node: String,
        /// What cannot be.
        problem: String,
    },
    /// Maps of different sizes side by side.
    #[error("node `{node}`: its input `{tensor}` is a map of {got:?}, the first of {needed:?}")]
    MapSize {
        /// The node.
        node: String,
        /// The input at fault.
        tensor: String,
        /// Its `[H, W]`.
        got: [usize; 2],
        /// `[H, W]` of the first input.
        needed: [usize; 2],
    },
    /// An output that no node puts out, or that stands twice.
    #[error("output `{tensor}` is no node's output, or stands twice")]
    Output {
        /// The output.
        tensor: String,
    },
    /// A node whose output nobody reads.
    #[error("node `{node}`: its output `{tensor}` is neither read nor an output of the network")]
    Unread {
        /// The node.
        node: String,
        /// Its output.
        tensor: String,
    },
}

impl Network {
    /// Checks that every node fits its inputs, and every output exists.
    ///
    /// **Errors**: the first node, in order, that does not.
    pub fn validate(&self) -> Result<(), NetworkError> {
        self.shapes().map(|_| ())
    }

    /// Validates the graph and infers the shape of every tensor, the input's included.
    ///
    /// **Errors**: those of [`Network::validate`].
    pub fn shapes(&self) -> Result<BTreeMap<&str, Shape>, NetworkError> {
        for (is_empty, missing) in [
            (self.nodes.is_empty(), "nodes"),
            (self.outputs.is_empty(), "outputs"),
            (self.input.is_empty() || self.input_shape.contains(&0), "input"),
        ] {
            if is_empty {
                return Err(NetworkError::Empty { missing });
            }
        }
        let mut shapes = BTreeMap::from([(self.input.as_str(), self.input_shape)]);
        for (i, node) in self.nodes.iter().enumerate() {
            let name = || node.name.clone();
            let is_taken = self.nodes[..i].iter().any(|before| before.name == node.name);
            if node.name.is_empty() || is_taken {
                return Err(NetworkError::Name { node: name(), name: name() });
            }
            let mut inputs = Vec::with_capacity(node.inputs.len());
            for tensor in &node.inputs {
                let Some(shape) = shapes.get(tensor.as_str()) else {
                    return Err(NetworkError::UnknownInput { node: name(), tensor: tensor.clone() });
                };
                inputs.push((tensor.as_str(), *shape));
            }
            let shape = node.shape(&inputs)?;
            if node.output.is_empty() || shapes.insert(&node.output, shape).is_some() {
                return Err(NetworkError::Name { node: name(), name: node.output.clone() });
            }
        }
        for (i, tensor) in self.outputs.iter().enumerate() {
            let is_put_out = self.nodes.iter().any(|node| node.output == *tensor);
            if !is_put_out || self.outputs[..i].contains(tensor) {
                return Err(NetworkError::Output { tensor: tensor.clone() });
            }
        }
        for node in &self.nodes {
            let is_read = self.outputs.contains(&node.output)
                || self.nodes.iter().any(|reader| reader.inputs.contains(&node.output));
            if !is_read {
                return Err(NetworkError::Unread { node: node.name.clone(), tensor: node.output.clone() });
            }
        }
        Ok(shapes)
    }

    /// Multiply-accumulates of one run.
    ///
    /// **Errors**: those of [`Network::validate`].
    pub fn n_macs(&self) -> Result<u64, NetworkError> {
        let shapes = self.shapes()?;
        let macs = self.nodes.iter().map(|node| {
            // A transposed convolution has each input value meet its whole kernel, a plain one each output value.
            let (conv, [_, h, w]) = match &node.op {
                Op::Concat => return 0,
                Op::Conv(conv) => (conv, shapes.get(node.output.as_str()).copied().unwrap_or_default()),
                Op::ConvTranspose(conv) => {
                    let input = node.inputs.first().and_then(|i| shapes.get(i.as_str()));
                    (conv, input.copied().unwrap_or_default())
                }
            };
            conv.weight.shape.iter().product::<usize>() as u64 * (h * w) as u64
        });
        Ok(macs.sum())
    }
}

impl Node {
    fn shape(&self, inputs: &[(&str, Shape)]) -> Result<Shape, NetworkError> {
        let count = |needed| NetworkError::InputCount { node: self.name.clone(), got: inputs.len(), needed };
        match (&self.op, inputs) {
            (Op::Concat, [(_, first), ..]) => {
                let needed = [first[1], first[2]];
                for (tensor, [_, h, w]) in inputs {
                    if [*h, *w] != needed {
                        return Err(NetworkError::MapSize {
                            node: self.name.clone(),
                            tensor: (*tensor).to_owned(),
                            got: [*h, *w],
                            needed,
                        });
                    }
                }
                Ok([inputs.iter().map(|(_, shape)| shape[0]).sum(), needed[0], needed[1]])
            }
            (Op::Concat, []) => Err(count("at least 1")),
            (Op::Conv(conv), [(tensor, [c, h, w])]) => {
                let [n_out, n_in, kh, kw] = conv.weight.shape;
                self.check_parameters(conv, tensor, *c, n_in, n_out)?;
                let (h, w) = (h + 2 * conv.padding, w + 2 * conv.padding);
                if h < kh || w < kw {
                    return Err(self.geometry(format!(
                        "its kernel of {kh} x {kw} is larger than its padded input of {h} x {w}"
                    )));
                }
                Ok([n_out, (h - kh) / conv.stride + 1, (w - kw) / conv.stride + 1])
            }
            (Op::ConvTranspose(conv), [(tensor, [c, h, w])]) => {
                let [n_in, n_out, kh, kw] = conv.weight.shape;
                self.check_parameters(conv, tensor, *c, n_in, n_out)?;
                if kh != conv.stride || kw != conv.stride || conv.padding != 0 {
                    return Err(self.geometry(format!(
                        "a transposed convolution needs kernel = stride and no padding; \
                         this has kernel {kh} x {kw}, stride {}, padding {}",
                        conv.stride, conv.padding
                    )));
                }
                Ok([n_out, h * conv.stride, w * conv.stride])
            }
            (Op::Conv(_) | Op::ConvTranspose(_), _) => Err(count("1")),
        }
    }

    fn geometry(&self, problem: String) -> NetworkError {
        NetworkError::Geometry { node: self.name.clone(), problem }
    }

    fn check_parameters(
        &self,
        conv: &Conv,
        tensor: &str,
        got: usize,
        n_in: usize,
        n_out: usize,
    ) -> Result<(), NetworkError> {
        let node = || self.name.clone();
        if conv.weight.shape.contains(&0) || conv.stride == 0 {
            return Err(self.geometry(format!("weight {:?}, stride {}", conv.weight.shape, conv.stride)));
        }
        if got != n_in {
            return Err(NetworkError::Channels {
                node: node(),
                tensor: tensor.to_owned(),
                got,
                needed: n_in,
            });
        }
        let n_weights = conv.weight.shape.iter().product();
        for (parameter, values, needed) in
            [("weight", &conv.weight.values, n_weights), ("bias", &conv.bias, n_out)]
        {
            if values.len() != needed {
                return Err(NetworkError::ParameterSize {
                    node: node(),
                    parameter,
                    got: values.len(),
                    needed,
                });
            }
            if values.iter().any(|v| !v.is_finite()) {
                return Err(NetworkError::NotFinite { node: node(), parameter });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
