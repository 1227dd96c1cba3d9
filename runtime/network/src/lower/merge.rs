//! Merge: the last convolutions of a network as few, large ones.

use crate::{Conv, Network, Node, Op, Weight};

/// Channels between the convolutions of a merged branch, at most: the zeros grow with their square.
const MAX_HIDDEN: usize = 384;

/// Outputs that are computed together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    /// The outputs whose channels lie side by side in `tensor`, in this order.
    pub(super) outputs: Vec<String>,
    /// What the last of the nodes puts out.
    pub(super) tensor: String,
    /// What computes it, in order; nothing, where others read the tensor as well.
    pub(super) nodes: Vec<Node>,
    /// Names of the network's nodes that these stand for.
    pub(super) replaces: Vec<String>,
}

/// A convolution that only makes an output, with the one before it where nobody else reads that.
#[derive(Clone, Copy)]
struct Branch<'a> {
    hidden: Option<(&'a Node, &'a Conv)>,
    last: (&'a Node, &'a Conv),
}

/// The ends of a network: every output stands in one of them, in the order of the first of each.
pub(super) fn ends(network: &Network) -> Vec<End> {
    let mut groups: Vec<Vec<Branch<'_>>> = Vec::new();
    let mut as_they_are = Vec::new();
    for output in &network.outputs {
        match branch(network, output) {
            None => as_they_are.push(End {
                outputs: vec![output.clone()],
                tensor: output.clone(),
                nodes: Vec::new(),
                replaces: Vec::new(),
            }),
            Some(branch) => match groups.iter_mut().find(|group| fits(group, branch)) {
                Some(group) => group.push(branch),
                None => groups.push(vec![branch]),
            },
        }
    }
    groups.iter().map(|group| end(group)).chain(as_they_are).collect()
}

/// The branch that makes an output, unless other nodes read that output.
fn branch<'a>(network: &'a Network, output: &str) -> Option<Branch<'a>> {
    let reads = |tensor: &str| network.nodes.iter().filter(|n| n.inputs.iter().any(|i| i == tensor)).count();
    let conv = |tensor: &str| {
        let node = network.nodes.iter().find(|n| n.output == tensor)?;
        if let Op::Conv(conv) = &node.op { Some((node, conv)) } else { None }
    };
    if reads(output) > 0 {
        return None;
    }
    let last = conv(output)?;
    let input = last.0.inputs.first()?;
    let is_its_own = reads(input) == 1 && !network.outputs.contains(input);
    Some(Branch { hidden: conv(input).filter(|_| is_its_own), last })
}

/// Whether a branch can be computed with others.
fn fits(group: &[Branch<'_>], branch: Branch<'_>) -> bool {
    let Some(first) = group.first() else { return false };
    let alike = |a: &Conv, b: &Conv| {
        (a.weight.shape[2..] == b.weight.shape[2..])
            && (a.stride, a.padding, a.relu) == (b.stride, b.padding, b.relu)
    };
    let n_hidden = |b: &Branch<'_>| b.hidden.map_or(0, |(_, conv)| conv.weight.shape[0]);
    alike(first.last.1, branch.last.1)
        && match (first.hidden, branch.hidden) {
            (None, None) => first.last.0.inputs == branch.last.0.inputs,
            (Some((a, a_conv)), Some((b, b_conv))) => {
                let n: usize = group.iter().map(n_hidden).sum();
                a.inputs == b.inputs && alike(a_conv, b_conv) && n + n_hidden(&branch) <= MAX_HIDDEN
            }
            _ => false,
        }
}

fn end(group: &[Branch<'_>]) -> End {
    let outputs: Vec<String> = group.iter().map(|b| b.last.0.output.clone()).collect();
    let tensor = format!("{}.raw", outputs[0]);
    if let [Branch { last: (node, _), .. }] = group {
        let replaces = vec![node.name.clone()];
        let node = Node { output: tensor.clone(), ..(*node).clone() };
        return End { outputs, tensor, nodes: vec![node], replaces };
    }
    let (mut nodes, mut replaces) = (Vec::new(), Vec::new());
    let lasts: Vec<(&Node, &Conv)> = group.iter().map(|b| b.last).collect();
    let hiddens: Vec<(&Node, &Conv)> = group.iter().filter_map(|b| b.hidden).collect();
    let mut last = match hiddens.first() {
        None => together(&lasts, &lasts[0].0.inputs, side_by_side(&lasts)),
        Some((first, _)) => {
            let mut hidden = together(&hiddens, &first.inputs, side_by_side(&hiddens));
            hidden.output = format!("{}.hidden", outputs[0]);
            let inputs = [hidden.output.clone()];
            nodes.push(hidden);
            together(&lasts, &inputs, with_zeros_between(&lasts))
        }
    };
    last.output.clone_from(&tensor);
    nodes.push(last);
    replaces.extend(hiddens.iter().chain(&lasts).map(|(node, _)| node.name.clone()));
    End { outputs, tensor, nodes, replaces }
}

/// One node for several, over the same input.
fn together(nodes: &[(&Node, &Conv)], inputs: &[String], weight: Weight) -> Node {
    let (_, first) = nodes[0];
    let names: Vec<&str> = nodes.iter().map(|(node, _)| node.name.as_str()).collect();
    let bias = nodes.iter().flat_map(|(_, conv)| conv.bias.iter().copied()).collect();
    let op = Op::Conv(Conv { weight, bias, stride: first.stride, padding: first.padding, relu: first.relu });
    Node { name: names.join("+"), op, inputs: inputs.to_vec(), output: String::new() }
}

/// Weights of convolutions of one tensor, their output channels one after the other.
fn side_by_side(nodes: &[(&Node, &Conv)]) -> Weight {
    let [_, n_in, kh, kw] = nodes[0].1.weight.shape;
    let n_out = nodes.iter().map(|(_, conv)| conv.weight.shape[0]).sum();
    let values = nodes.iter().flat_map(|(_, conv)| conv.weight.values.iter().copied()).collect();
    Weight { shape: [n_out, n_in, kh, kw], values }
}

/// Weights of convolutions of tensors of their own, which lie side by side: zero where one meets another's.
fn with_zeros_between(nodes: &[(&Node, &Conv)]) -> Weight {
    let [_, _, kh, kw] = nodes[0].1.weight.shape;
    let n_out: usize = nodes.iter().map(|(_, conv)| conv.weight.shape[0]).sum();
    let n_in: usize = nodes.iter().map(|(_, conv)| conv.weight.shape[1]).sum();
    let mut values = vec![0.0; n_out * n_in * kh * kw];
    let (mut out_at, mut in_at) = (0, 0);
    for (_, conv) in nodes {
        let [own_out, own_in, ..] = conv.weight.shape;
        for (row, weights) in conv.weight.values.chunks_exact(own_in * kh * kw).enumerate() {
            let at = ((out_at + row) * n_in + in_at) * kh * kw;
            values[at..at + weights.len()].copy_from_slice(weights);
        }
        (out_at, in_at) = (out_at + own_out, in_at + own_in);
    }
    Weight { shape: [n_out, n_in, kh, kw], values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, shape: [usize; 4], input: &str, first: f32) -> Node {
        let n: usize = shape.iter().product();
        let weight = Weight { shape, values: (0..n).map(|i| first + i as f32).collect() };
        let conv =
            Conv { weight, bias: vec![first; shape[0]], stride: 1, padding: shape[2] / 2, relu: false };
        Node {
            name: name.into(),
            op: Op::Conv(conv),
            inputs: vec![input.into()],
            output: format!("{name}.out"),
        }
    }

    fn network(nodes: Vec<Node>, outputs: &[&str]) -> Network {
        let outputs = outputs.iter().map(|o| format!("{o}.out")).collect();
        Network { input: "canvas".into(), input_shape: [2, 4, 4], nodes, outputs }
    }

    fn conv(node: &Node) -> &Conv {
        match &node.op {
            Op::Conv(conv) => conv,
            _ => unreachable!("a convolution"),
        }
    }

    #[test]
    fn branches_over_one_tensor_become_one_with_zeros_between() {
        let network = network(
            vec![
                node("shared", [2, 2, 3, 3], "canvas", 0.0),
                node("a.hidden", [2, 2, 1, 1], "shared.out", 10.0),
                node("b.hidden", [1, 2, 1, 1], "shared.out", 20.0),
                node("a", [1, 2, 1, 1], "a.hidden.out", 30.0),
                node("b", [2, 1, 1, 1], "b.hidden.out", 40.0),
            ],
            &["a", "b"],
        );
        network.validate().unwrap();
        let ends = ends(&network);
        let [end] = ends.as_slice() else { panic!("{ends:?}") };
        assert_eq!(end.outputs, ["a.out", "b.out"]);
        assert_eq!(end.replaces, ["a.hidden", "b.hidden", "a", "b"]);
        let [hidden, last] = end.nodes.as_slice() else { panic!("{end:?}") };
        assert_eq!((hidden.inputs[0].as_str(), last.inputs[0].as_str()), ("shared.out", "a.out.hidden"));
        assert_eq!(conv(hidden).weight.shape, [3, 2, 1, 1]);
        assert_eq!(conv(hidden).weight.values, [10.0, 11.0, 12.0, 13.0, 20.0, 21.0]);
        assert_eq!(conv(last).weight.shape, [3, 3, 1, 1]);
        assert_eq!(conv(last).weight.values, [30.0, 31.0, 0.0, 0.0, 0.0, 40.0, 0.0, 0.0, 41.0]);
        assert_eq!(conv(last).bias, [30.0, 40.0, 40.0]);
    }

    #[test]
    fn merged_branches_stay_below_their_width() {
        let mut nodes = vec![node("shared", [2, 2, 3, 3], "canvas", 0.0)];
        let names: Vec<String> = (0..8).map(|i| format!("n{i}")).collect();
        for name in &names {
            nodes.push(node(&format!("{name}.hidden"), [64, 2, 3, 3], "shared.out", 0.0));
            nodes.push(node(name, [1, 64, 3, 3], &format!("{name}.hidden.out"), 0.0));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ends = ends(&network(nodes, &names));
        assert_eq!(ends.iter().map(|e| e.outputs.len()).collect::<Vec<_>>(), [6, 2]);
    }

    #[test]
    fn what_others_read_or_another_geometry_is_left_apart() {
        let network = network(
            vec![
                node("shared", [2, 2, 3, 3], "canvas", 0.0),
                node("a", [1, 2, 1, 1], "shared.out", 0.0),
                node("b", [1, 2, 3, 3], "shared.out", 0.0),
                node("c", [1, 2, 1, 1], "shared.out", 0.0),
                node("d", [1, 1, 1, 1], "c.out", 0.0),
            ],
            &["a", "b", "c", "d"],
        );
        network.validate().unwrap();
        let ends = ends(&network);
        let outputs: Vec<_> = ends.iter().map(|e| (e.outputs.join(" "), e.nodes.len())).collect();
        // `c` is an output that `d` reads: it is computed where it stands.
        let expected = [("a.out", 1), ("b.out", 1), ("d.out", 1), ("c.out", 0)];
        assert_eq!(outputs, expected.map(|(o, n)| (o.to_owned(), n)));
    }
}
