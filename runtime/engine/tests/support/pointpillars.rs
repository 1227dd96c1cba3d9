// Networks of the tests: one as PointPillars has it, and the smallest with every kind of convolution. Weights are
// drawn, and scaled so that maps keep their size from layer to layer. Included where needed.

use pilotis_network::{Conv, Network, Node, Op, Weight};

/// Numbers between -1 and 1 from a seed, the same everywhere.
pub(crate) fn drawn(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// A convolution of `[out, in, k, k]`, or transposed of `[in, out, k, k]`.
pub(crate) fn conv(
    nodes: &mut Vec<Node>,
    name: &str,
    input: &str,
    shape: [usize; 4],
    stride: usize,
    relu: bool,
) {
    let is_up = name.contains("up");
    let (n_out, n_in) = if is_up { (shape[1], shape[0]) } else { (shape[0], shape[1]) };
    let n: usize = shape.iter().product();
    // Uniform numbers up to b have the variance b^2 / 3; a ReLU halves what it lets through.
    let terms = if is_up { n_in } else { n_in * shape[2] * shape[3] };
    let bound = (6.0 / terms as f32).sqrt();
    let seed = nodes.len() as u64 + 1;
    let weight = Weight { shape, values: drawn(seed, n).into_iter().map(|v| v * bound).collect() };
    let bias = drawn(seed + 1000, n_out).into_iter().map(|v| v * 0.1).collect();
    let padding = if is_up { 0 } else { shape[2] / 2 };
    let conv = Conv { weight, bias, stride, padding, relu };
    let op = if is_up { Op::ConvTranspose(conv) } else { Op::Conv(conv) };
    nodes.push(Node { name: name.into(), op, inputs: vec![input.into()], output: format!("{name}.out") });
}

/// Three blocks of 4, 6 and 6 convolutions, brought to one size, and an anchor head of three classes: the layers of
/// the published KITTI model on a map of `h` by `w` cells.
pub(crate) fn pointpillars(h: usize, w: usize) -> Network {
    let mut nodes = Vec::new();
    let mut input = "canvas".to_owned();
    let mut n_in = 64;
    let mut ups = Vec::new();
    for (block, (n, n_convs, up)) in [(64, 4, 1), (128, 6, 2), (256, 6, 4)].into_iter().enumerate() {
        for i in 0..n_convs {
            let name = format!("block{block}.{i}");
            conv(&mut nodes, &name, &input, [n, n_in, 3, 3], if i == 0 { 2 } else { 1 }, true);
            (input, n_in) = (format!("{name}.out"), n);
        }
        let name = format!("up{block}");
        conv(&mut nodes, &name, &input, [n, 128, up, up], up, true);
        ups.push(format!("{name}.out"));
    }
    nodes.push(Node { name: "maps".into(), op: Op::Concat, inputs: ups, output: "maps.out".into() });
    for (name, n) in [("cls", 18), ("box", 42), ("dir", 12)] {
        conv(&mut nodes, name, "maps.out", [n, 384, 1, 1], 1, false);
    }
    let outputs = ["cls.out", "box.out", "dir.out"].map(str::to_owned).to_vec();
    Network { input: "canvas".into(), input_shape: [64, h, w], nodes, outputs }
}
