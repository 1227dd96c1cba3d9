use super::*;

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

#[test]
fn multiplications_are_those_of_the_definition() {
    // 6 x 10 values of 8 channels out of 4 x 9; 3 x 5 of 6 out of 8 x 9; 3 x 5 of 6 into 5 x 4.
    assert_eq!(network().n_macs().unwrap(), 60 * 8 * 36 + 15 * 6 * 72 + 15 * 6 * 20);
}
