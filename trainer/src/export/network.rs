//! Network: the 2D convolutions of a detector as plain data, between Burn and ONNX.
//!
//! BatchNorm is folded already, weights are `f32` in row-major order, and every tensor has a
//! name, so writers (ONNX now; quantized forms later) need to know nothing of Burn.

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

/// The statistics and affine map of a BatchNorm, per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Scale.
    pub gamma: Vec<f32>,
    /// Shift.
    pub beta: Vec<f32>,
    /// Running mean.
    pub mean: Vec<f32>,
    /// Running variance.
    pub var: Vec<f32>,
    /// Added to the variance.
    pub eps: f64,
}

impl BatchNorm {
    /// The affine map `(scale, shift)` that the BatchNorm is at inference, computed in `f64`.
    pub fn affine(&self) -> Vec<(f64, f64)> {
        let channels = self.gamma.iter().zip(&self.beta).zip(self.mean.iter().zip(&self.var));
        channels
            .map(|((gamma, beta), (mean, var))| {
                let scale = f64::from(*gamma) / (f64::from(*var) + self.eps).sqrt();
                (scale, f64::from(*beta) - f64::from(*mean) * scale)
            })
            .collect()
    }

    /// Folds itself into weights that have no bias: their output channel is dimension `axis` of
    /// `shape` (0 for Linear `[out, in]` and Conv, 1 for ConvTranspose). Returns the bias.
    pub fn fold(&self, shape: &[usize], values: &mut [f32], axis: usize) -> Vec<f32> {
        let affine = self.affine();
        let inner: usize = shape[axis + 1..].iter().product();
        let n = shape[axis];
        for (i, v) in values.iter_mut().enumerate() {
            let (scale, _) = affine[i / inner % n];
            *v = (f64::from(*v) * scale) as f32;
        }
        affine.iter().map(|(_, shift)| *shift as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm() -> BatchNorm {
        BatchNorm {
            gamma: vec![2.0, -1.0],
            beta: vec![0.5, 0.0],
            mean: vec![1.0, 3.0],
            var: vec![3.0, 0.0],
            eps: 1.0,
        }
    }

    #[test]
    fn folding_scales_the_output_axis() {
        // Conv [2 out, 1 in, 1, 2]: rows are output channels.
        let mut conv = vec![1.0, 2.0, 3.0, 4.0];
        let bias = norm().fold(&[2, 1, 1, 2], &mut conv, 0);
        assert_eq!(conv, vec![1.0, 2.0, -3.0, -4.0]);
        assert_eq!(bias, vec![-0.5, 3.0]);
        // ConvTranspose [1 in, 2 out, 1, 2]: the second axis is.
        let mut transposed = vec![1.0, 2.0, 3.0, 4.0];
        let bias = norm().fold(&[1, 2, 1, 2], &mut transposed, 1);
        assert_eq!(transposed, vec![1.0, 2.0, -3.0, -4.0]);
        assert_eq!(bias, vec![-0.5, 3.0]);
        // [2 in, 2 out]: alternating.
        let mut square = vec![1.0, 1.0, 1.0, 1.0];
        norm().fold(&[2, 2], &mut square, 1);
        assert_eq!(square, vec![1.0, -1.0, 1.0, -1.0]);
    }

    fn conv(shape: [usize; 4], n_out: usize, stride: usize, padding: usize) -> Conv {
        let values = vec![0.5; shape.iter().product()];
        Conv { weight: Weight { shape, values }, bias: vec![0.0; n_out], stride, padding, relu: true }
    }

    fn node(name: &str, op: Op, inputs: &[&str]) -> Node {
        let inputs = inputs.iter().map(|i| (*i).to_owned()).collect();
        Node { name: name.to_owned(), op, inputs, output: format!("{name}.out") }
    }

    /// Two scales of a map of 6 x 10, brought together at the first.
    fn network() -> Network {
        Network {
            input: "canvas".to_owned(),
            input_shape: [4, 6, 10],
            nodes: vec![
                node("a", Op::Conv(conv([8, 4, 3, 3], 8, 1, 1)), &["canvas"]),
                node("b", Op::Conv(conv([6, 8, 3, 3], 6, 2, 1)), &["a.out"]),
                node("up", Op::ConvTranspose(conv([6, 5, 2, 2], 5, 2, 0)), &["b.out"]),
                node("both", Op::Concat, &["a.out", "up.out"]),
            ],
            outputs: vec!["both.out".to_owned()],
        }
    }

    #[test]
    fn shapes_follow_the_definitions() {
        let network = network();
        let shapes = network.shapes().unwrap();
        assert_eq!(shapes["canvas"], [4, 6, 10]);
        assert_eq!(shapes["a.out"], [8, 6, 10]);
        assert_eq!(shapes["b.out"], [6, 3, 5]);
        assert_eq!(shapes["up.out"], [5, 6, 10]);
        assert_eq!(shapes["both.out"], [13, 6, 10]);
        // An odd map halves upwards: (7 + 2 - 3) / 2 + 1.
        let mut odd = network.clone();
        odd.input_shape = [4, 7, 10];
        odd.nodes.truncate(2);
        odd.outputs = vec!["b.out".to_owned()];
        assert_eq!(odd.shapes().unwrap()["b.out"], [6, 4, 5]);
    }

    #[test]
    fn every_misfit_is_refused_at_its_node() {
        fn conv_of(network: &mut Network, i: usize) -> &mut Conv {
            match &mut network.nodes[i].op {
                Op::Conv(conv) | Op::ConvTranspose(conv) => conv,
                Op::Concat => unreachable!(),
            }
        }
        type Edit = fn(&mut Network);
        let cases: [(Edit, &str); 21] = [
            (|n| n.nodes.clear(), "no nodes"),
            (|n| n.outputs.clear(), "no outputs"),
            (|n| n.input_shape[1] = 0, "no input"),
            (|n| n.nodes[1].name = "a".to_owned(), "node `a`: the name `a` is empty or taken"),
            (|n| n.nodes[1].name.clear(), "node ``"),
            (|n| n.nodes[1].output = "a.out".to_owned(), "node `b`: the name `a.out` is empty or taken"),
            (|n| n.nodes[1].output = "canvas".to_owned(), "node `b`: the name `canvas`"),
            (|n| n.nodes.swap(0, 1), "node `b`: its input `a.out` is not put out before it"),
            (|n| n.nodes[1].inputs.clear(), "node `b` has 0 inputs, it needs 1"),
            (|n| n.nodes[3].inputs.clear(), "node `both` has 0 inputs, it needs at least 1"),
            (|n| n.input_shape[0] = 5, "node `a`: its input `canvas` has 5 channels, its weight takes 4"),
            (|n| conv_of(n, 1).weight.values.truncate(431), "node `b`: its weight has 431 values"),
            (|n| conv_of(n, 2).bias.push(0.0), "node `up`: its bias has 6 values, its shape 5"),
            (|n| conv_of(n, 1).bias[0] = f32::NAN, "node `b`: its bias has a value that is not finite"),
            (|n| conv_of(n, 0).weight.values[9] = f32::INFINITY, "node `a`: its weight has a value"),
            (|n| conv_of(n, 0).stride = 0, "node `a`: weight"),
            (|n| conv_of(n, 2).stride = 3, "node `up`: a transposed convolution"),
            (|n| conv_of(n, 2).padding = 1, "node `up`: a transposed convolution"),
            (
                |n| n.input_shape[2] = 9,
                "node `both`: its input `up.out` is a map of [6, 10], the first of [6, 9]",
            ),
            (|n| n.outputs[0] = "canvas".to_owned(), "output `canvas`"),
            (|n| n.outputs[0] = "up.out".to_owned(), "node `both`: its output `both.out` is neither"),
        ];
        for (edit, said) in cases {
            let mut edited = network();
            edit(&mut edited);
            let error = edited.validate().unwrap_err().to_string();
            assert!(error.contains(said), "`{said}` is not in: {error}");
        }
        let mut small = network();
        small.input_shape = [4, 1, 10];
        conv_of(&mut small, 0).padding = 0;
        assert!(small.validate().unwrap_err().to_string().contains("larger than its padded input of 1 x 10"));
        let mut twice = network();
        twice.outputs.push("both.out".to_owned());
        assert!(twice.validate().is_err());
    }
}
