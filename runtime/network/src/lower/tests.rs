use super::*;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use half::f16;
use prost::Message;

fn conv(shape: [usize; 4], n_out: usize, stride: usize, padding: usize, relu: bool) -> Op {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
    let bias = (0..n_out).map(|i| i as f32 * 0.125 - 0.25).collect();
    Op::Conv(Conv { weight: Weight { shape, values }, bias, stride, padding, relu })
}

fn node(name: &str, op: Op, inputs: &[&str], output: &str) -> Node {
    let inputs = inputs.iter().map(|i| (*i).to_owned()).collect();
    Node { name: name.to_owned(), op, inputs, output: output.to_owned() }
}

/// Two blocks, both brought to one size, and three outputs of which two read the same map.
fn network() -> Network {
    let up = match conv([8, 4, 2, 2], 4, 2, 0, true) {
        Op::Conv(conv) => Op::ConvTranspose(conv),
        other => other,
    };
    Network {
        input: "canvas".to_owned(),
        input_shape: [8, 8, 12],
        nodes: vec![
            node("first", conv([8, 8, 3, 3], 8, 1, 1, true), &["canvas"], "a"),
            node("second", conv([8, 8, 3, 3], 8, 2, 1, true), &["a"], "b"),
            node("up", up, &["b"], "u"),
            node("both", Op::Concat, &["a", "u"], "maps"),
            node("shared", conv([8, 12, 3, 3], 8, 1, 1, true), &["maps"], "s"),
            node("cls", conv([3, 12, 1, 1], 3, 1, 0, false), &["maps"], "cls_0"),
            node("far", conv([2, 8, 3, 3], 2, 1, 1, false), &["s"], "far_0"),
            node("box", conv([7, 12, 1, 1], 7, 1, 0, false), &["maps"], "box_0"),
        ],
        outputs: vec!["cls_0".to_owned(), "far_0".to_owned(), "box_0".to_owned()],
    }
}

fn calibration() -> Calibration {
    let tensors = ["canvas", "a", "b", "u", "maps", "s"];
    Calibration { amax: tensors.iter().enumerate().map(|(i, t)| ((*t).to_owned(), 1.0 + i as f32)).collect() }
}

fn graph_of(network: &Network, precision: Precision, calibration: Option<&Calibration>) -> GraphProto {
    let lowering = Lowering { precision, calibration, on_host: false };
    let bytes = lower(network, &lowering, &OnnxMeta::default()).unwrap();
    ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap()
}

fn ops(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(|n| n.op_type.as_deref().unwrap()).collect()
}

fn find<'a>(graph: &'a GraphProto, name: &str) -> &'a NodeProto {
    graph.node.iter().find(|n| n.name.as_deref() == Some(name)).unwrap()
}

fn initializer<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph.initializer.iter().find(|t| t.name.as_deref() == Some(name)).unwrap()
}

#[test]
fn ends_that_read_one_tensor_become_one_convolution_and_one_split() {
    let network = network();
    let graph = graph_of(&network, Precision::Fp16, None);
    assert_eq!(
        ops(&graph),
        [
            "Conv",
            "Relu",
            "Conv",
            "Relu",
            "ConvTranspose",
            "Relu",
            "Concat",
            "Conv",
            "Relu",
            "Conv",
            "Conv",
            "Concat",
            "Cast",
            "Split"
        ]
    );
    let merged = find(&graph, "cls+box");
    assert_eq!(merged.input, ["maps", "cls+box.weight", "cls+box.bias"]);
    let weight = initializer(&graph, "cls+box.weight");
    assert_eq!(
        (weight.dims.as_slice(), weight.data_type),
        ([10, 12, 1, 1].as_slice(), Some(element::FLOAT16))
    );
    // The second part's first value stands behind all of the first part's.
    let bytes = weight.raw_data.as_ref().unwrap();
    let Op::Conv(boxes) = &network.nodes[7].op else { unreachable!("a convolution") };
    assert_eq!(bytes[3 * 12 * 2..][..2], f16::from_f32(boxes.weight.values[0]).to_le_bytes());
    // Channels go back to the outputs that they came from.
    assert_eq!(graph.node.last().unwrap().output, ["cls_0", "box_0", "far_0"]);
    let sizes = initializer(&graph, "outputs.sizes").raw_data.as_ref().unwrap();
    assert_eq!(sizes.as_chunks::<8>().0, [3_i64.to_le_bytes(), 7_i64.to_le_bytes(), 2_i64.to_le_bytes()]);
    let outputs: Vec<_> = graph.output.iter().map(|o| o.name.as_deref().unwrap()).collect();
    assert_eq!(outputs, ["cls_0", "far_0", "box_0"]);
    assert!(
        graph
            .output
            .iter()
            .all(|o| o.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().elem_type == Some(1))
    );
}

#[test]
fn a_hidden_map_that_two_ends_read_is_computed_once() {
    let mut network = network();
    network.nodes.push(node("near", conv([4, 8, 3, 3], 4, 1, 1, false), &["s"], "near_0"));
    network.outputs.push("near_0".to_owned());
    let graph = graph_of(&network, Precision::Fp16, None);
    // Both read the map of `shared`, so they are one convolution of it, and it is no part of their branch.
    assert_eq!(find(&graph, "far+near").input[0], "s");
    assert_eq!(find(&graph, "shared").input[0], "maps");
    assert_eq!(initializer(&graph, "far+near.weight").dims, [6, 8, 3, 3]);
}

#[test]
fn a_network_of_f32_has_no_casts() {
    let graph = graph_of(&network(), Precision::Fp32, None);
    assert!(!ops(&graph).contains(&"Cast"));
    assert!(
        graph.initializer.iter().all(|t| [Some(element::FLOAT), Some(element::INT64)].contains(&t.data_type))
    );
}

#[test]
fn a_on_host_is_cast_once() {
    let lowering = Lowering { precision: Precision::Fp16, calibration: None, on_host: true };
    let bytes = lower(&network(), &lowering, &OnnxMeta::default()).unwrap();
    let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
    assert_eq!(find(&graph, "canvas.cast.cast").input, ["canvas"]);
    assert_eq!(find(&graph, "first").input[0], "canvas.cast");
    let declared = graph.input[0].r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().elem_type;
    assert_eq!(declared, Some(element::FLOAT));
}

#[test]
fn eight_bits_are_for_convolutions_with_neighbours_between_first_and_last() {
    for (precision, element) in [(Precision::Int8, element::INT8), (Precision::Fp8, element::FLOAT8E4M3FN)] {
        let graph = graph_of(&network(), precision, Some(&calibration()));
        let low: Vec<_> = graph
            .initializer
            .iter()
            .filter(|t| t.data_type == Some(element) && !t.dims.is_empty())
            .map(|t| t.name.as_deref().unwrap())
            .collect();
        assert_eq!(low, ["second.weight", "shared.weight"], "{precision}");
        assert_eq!(find(&graph, "second").input[..2], ["a.dequantized", "second.weight.dequantized"]);
        // Others read the same tensor as it was.
        assert_eq!(find(&graph, "both").input, ["a", "u"]);
        let scale = initializer(&graph, "maps.scale");
        let max = if precision == Precision::Int8 { 127.0 } else { 448.0 };
        assert_eq!(scale.raw_data.as_ref().unwrap().as_slice(), f16::from_f32(5.0 / max).to_le_bytes());
        assert_eq!((scale.data_type, scale.dims.len()), (Some(element::FLOAT16), 0));
    }
}

#[test]
fn a_tensor_is_quantized_once_however_many_read_it() {
    let mut network = network();
    network.nodes.insert(5, node("other", conv([3, 12, 3, 3], 3, 1, 1, false), &["maps"], "o"));
    network.nodes.insert(6, node("end", conv([2, 3, 1, 1], 2, 1, 0, false), &["o"], "end_0"));
    network.outputs.push("end_0".to_owned());
    let graph = graph_of(&network, Precision::Int8, Some(&calibration()));
    let n = graph.node.iter().filter(|n| n.name.as_deref() == Some("maps.quantize")).count();
    assert_eq!(n, 1);
    assert_eq!(find(&graph, "other").input[0], "maps.dequantized");
}

#[test]
fn weights_are_rounded_by_the_scale_that_the_engine_has() {
    let network = network();
    let Op::Conv(conv) = &network.nodes[1].op else { unreachable!("a convolution") };
    for precision in [Precision::Int8, Precision::Fp8] {
        let graph = graph_of(&network, precision, Some(&calibration()));
        let scale = initializer(&graph, "second.weight.scale").raw_data.as_ref().unwrap();
        let scale = f32::from(f16::from_le_bytes([scale[0], scale[1]]));
        let weights = initializer(&graph, "second.weight").raw_data.as_ref().unwrap();
        for (weight, low) in conv.weight.values.iter().zip(weights) {
            // A step of INT8 is the scale; one of E4M3 is an eighth of the number, or of the least normal one.
            let (back, step) = match precision {
                Precision::Int8 => (f32::from(*low as i8) * scale, scale),
                _ => (value(*low) * scale, scale * (value(*low).abs() / 8.0).max(2.0_f32.powi(-9))),
            };
            assert!(
                (back - weight).abs() <= step * 0.51,
                "{precision}: {weight} became {back}, steps of {step}"
            );
        }
    }
}

#[test]
fn on_the_host_eight_bits_are_scaled_in_f32_by_the_same_scales() {
    let calibration = calibration();
    let lowering = Lowering { precision: Precision::Int8, calibration: Some(&calibration), on_host: true };
    let bytes = lower(&network(), &lowering, &OnnxMeta::default()).unwrap();
    let host = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
    let card = graph_of(&network(), Precision::Int8, Some(&calibration));
    let bytes = |graph| initializer(graph, "maps.scale").raw_data.clone().unwrap();
    let (host_scale, card_scale) = (bytes(&host), bytes(&card));
    let wide = f32::from(f16::from_le_bytes([card_scale[0], card_scale[1]]));
    assert_eq!(host_scale, wide.to_le_bytes());
    assert_eq!(initializer(&host, "second.weight").raw_data, initializer(&card, "second.weight").raw_data);
    assert!(host.initializer.iter().all(|t| t.data_type != Some(element::FLOAT16)));
}

#[test]
fn what_is_missing_for_eight_bits_is_named() {
    let lower_with = |calibration: Option<&Calibration>| {
        let lowering = Lowering { precision: Precision::Int8, calibration, on_host: false };
        lower(&network(), &lowering, &OnnxMeta::default()).unwrap_err().to_string()
    };
    assert!(lower_with(None).contains("needs a calibration"));
    let mut other = calibration();
    other.amax.remove("maps");
    let said = lower_with(Some(&other));
    assert!(said.contains("`maps`") && said.contains("another network"), "{said}");
    other.amax.insert("maps".to_owned(), f32::NAN);
    assert!(lower_with(Some(&other)).contains("NaN"));
}

#[test]
fn weights_beyond_f16_are_refused_by_name() {
    let mut network = network();
    if let Op::Conv(conv) = &mut network.nodes[0].op {
        conv.weight.values[5] = 70_000.0;
    }
    let lowering = Lowering { precision: Precision::Fp16, calibration: None, on_host: false };
    let said = lower(&network, &lowering, &OnnxMeta::default()).unwrap_err().to_string();
    assert!(said.contains("`first`") && said.contains("70000") && said.contains("fp32"), "{said}");
    assert!(
        lower(&network, &Lowering { precision: Precision::Fp32, ..lowering }, &OnnxMeta::default()).is_ok()
    );
}

#[test]
fn a_single_output_is_not_split() {
    let mut network = network();
    network.nodes.truncate(2);
    network.outputs = vec!["b".to_owned()];
    let graph = graph_of(&network, Precision::Fp16, None);
    assert_eq!(ops(&graph), ["Conv", "Relu", "Conv", "Relu", "Cast", "Identity"]);
    assert_eq!(graph.node.last().unwrap().output, ["b"]);
}

/// The value of E4M3 bits, by the definition.
fn value(bits: u8) -> f32 {
    let (sign, exponent, mantissa) = (bits >> 7, i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let magnitude = match exponent {
        0 => mantissa / 8.0 * (-6.0_f32).exp2(),
        e => (1.0 + mantissa / 8.0) * ((e - 7) as f32).exp2(),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

#[test]
fn eight_bit_floats_are_the_nearest_and_ties_go_to_even() {
    let finite = || (0..=0x7e_u8).chain(0x80..=0xfe);
    for bits in finite() {
        assert_eq!(e4m3(value(bits)), bits, "{bits:#x}");
    }
    for bits in 0..0x7e_u8 {
        let middle = f32::midpoint(value(bits), value(bits + 1));
        assert_eq!(e4m3(middle), bits + bits % 2, "between {bits:#x} and the next");
        assert_eq!(e4m3(middle.next_down()), bits);
        assert_eq!(e4m3(-middle.next_up()), 0x80 | (bits + 1));
    }
    assert_eq!([e4m3(1e9), e4m3(-449.0), e4m3(0.0)], [0x7e, 0xfe, 0]);
}

#[test]
fn precisions_are_read_as_they_are_written() {
    for precision in Precision::ALL {
        assert_eq!(precision.to_string().parse(), Ok(precision));
    }
    assert!("fp64".parse::<Precision>().unwrap_err().contains("int8"));
}
