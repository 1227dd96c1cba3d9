// A minimal writer of ONNX files for tests: the few messages of onnx.proto that a graph of
// convolutions takes, by field number. Plain functions over bytes, included where needed.

/// `TensorProto.DataType.FLOAT`.
pub const FLOAT: u64 = 1;
/// `TensorProto.DataType.INT64`.
pub const INT64: u64 = 7;
/// `TensorProto.DataType.DOUBLE`.
pub const DOUBLE: u64 = 11;

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that holds a number.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that holds bytes: a text, a message, packed values.
pub fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

pub fn initializer(name: &str, dims: &[usize], values: &[f32]) -> Vec<u8> {
    let mut tensor: Vec<u8> = dims.iter().flat_map(|d| number(1, *d as u64)).collect();
    tensor.extend(number(2, FLOAT));
    tensor.extend(bytes(8, name.as_bytes()));
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor.extend(bytes(9, &raw));
    tensor
}

/// An initializer whose values lie in another file.
pub fn external_initializer(name: &str, dims: &[usize], file: &str) -> Vec<u8> {
    let mut tensor: Vec<u8> = dims.iter().flat_map(|d| number(1, *d as u64)).collect();
    tensor.extend(number(2, FLOAT));
    tensor.extend(bytes(8, name.as_bytes()));
    tensor.extend(bytes(13, &[bytes(1, b"location"), bytes(2, file.as_bytes())].concat()));
    tensor.extend(number(14, 1));
    tensor
}

pub fn value_info(name: &str, element: u64, dims: &[usize]) -> Vec<u8> {
    let shape: Vec<u8> = dims.iter().flat_map(|d| bytes(1, &number(1, *d as u64))).collect();
    let tensor = [number(1, element), bytes(2, &shape)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

pub fn attribute_ints(name: &str, values: &[u64]) -> Vec<u8> {
    let ints: Vec<u8> = values.iter().flat_map(|v| number(8, *v)).collect();
    [bytes(1, name.as_bytes()), ints, number(20, 7)].concat()
}

pub fn attribute_int(name: &str, value: u64) -> Vec<u8> {
    [bytes(1, name.as_bytes()), number(3, value), number(20, 2)].concat()
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut node: Vec<u8> = inputs.iter().flat_map(|n| bytes(1, n.as_bytes())).collect();
    node.extend(outputs.iter().flat_map(|n| bytes(2, n.as_bytes())));
    node.extend(bytes(4, op.as_bytes()));
    node.extend(attributes.iter().flat_map(|a| bytes(5, a)));
    node
}

/// The parts of a graph, each already in bytes.
#[derive(Clone, Default)]
pub struct Graph {
    pub nodes: Vec<Vec<u8>>,
    pub initializers: Vec<Vec<u8>>,
    pub inputs: Vec<Vec<u8>>,
    pub outputs: Vec<Vec<u8>>,
}

impl Graph {
    /// The whole file: IR version 8, operator set 13.
    pub fn model(&self) -> Vec<u8> {
        let mut graph: Vec<u8> = self.nodes.iter().flat_map(|n| bytes(1, n)).collect();
        graph.extend(bytes(2, b"graph"));
        graph.extend(self.initializers.iter().flat_map(|i| bytes(5, i)));
        graph.extend(self.inputs.iter().flat_map(|i| bytes(11, i)));
        graph.extend(self.outputs.iter().flat_map(|o| bytes(12, o)));
        let opset = bytes(8, &[bytes(1, b""), number(2, 13)].concat());
        [number(1, 8), bytes(7, &graph), opset].concat()
    }
}

/// A small whole number, so that sums of products are exact in any order.
pub fn weight(i: usize) -> f32 {
    (i * 7 % 5) as f32 - 2.0
}

/// A head of one convolution a tensor, without overlap: a kernel of `stride x stride` steps by
/// `stride`; weights are `weight(flat index)` and biases the channel's number.
pub fn conv_head(canvas: [usize; 3], stride: usize, tensors: &[(String, [usize; 3])]) -> Graph {
    let [c, ny, nx] = canvas;
    let mut graph = Graph { inputs: vec![value_info("canvas", FLOAT, &[1, c, ny, nx])], ..Graph::default() };
    for (name, [k, h, w]) in tensors {
        let values: Vec<f32> = (0..k * c * stride * stride).map(weight).collect();
        let bias: Vec<f32> = (0..*k).map(|i| i as f32).collect();
        let (weights, biases) = (format!("{name}.weight"), format!("{name}.bias"));
        graph.initializers.push(initializer(&weights, &[*k, c, stride, stride], &values));
        graph.initializers.push(initializer(&biases, &[*k], &bias));
        let step = stride as u64;
        let attributes =
            [attribute_ints("kernel_shape", &[step, step]), attribute_ints("strides", &[step, step])];
        graph.nodes.push(node("Conv", &["canvas", &weights, &biases], &[name], &attributes));
        graph.outputs.push(value_info(name, FLOAT, &[1, *k, *h, *w]));
    }
    graph
}
