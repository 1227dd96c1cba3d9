//! Text: what a plan says of itself, read without a card.
//!
//! A plan of TensorRT for RTX holds its program as text: regions of memory, tensors with types and strides, and
//! one statement a kernel. That text is no interface of the library's; what is not understood here is passed
//! over, and the goldens of the plans say when a new version writes it otherwise. On a card, the library's own
//! inspector answers.

use crate::error::{BuildError, BuildErrorKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a plan does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanText {
    /// Cards it is for, such as `sm89`.
    pub cards: Vec<String>,
    /// Bytes of device memory that it works in: maps between layers, and scratch.
    pub workspace_bytes: u64,
    /// Bytes of its weights.
    pub weights_bytes: u64,
    /// Streams that it spreads its kernels over.
    pub n_streams: u64,
    /// Whether its run can be captured into a graph.
    pub is_capturable: bool,
    /// Kernels, in order.
    pub layers: Vec<Layer>,
}

/// One kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// `convolution`, `deconvolution`, or what the library calls it.
    pub kind: String,
    /// The library's name of it: a network's node, or what was fused, such as `__myl_CastSpli`.
    pub name: String,
    /// ONNX nodes that it computes.
    pub nodes: Vec<String>,
    /// What it reads: maps first, then weights, scales and bias.
    pub inputs: Vec<Operand>,
    /// What it writes.
    pub outputs: Vec<Operand>,
    /// Whether a bias is added in it.
    pub has_bias: bool,
    /// Whether a ReLU is applied in it.
    pub has_relu: bool,
}

/// A tensor as a kernel sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operand {
    /// `half`, `float`, `int8`, `fp8_e4m3`, ...
    pub element: String,
    /// Its dimensions.
    pub dims: Vec<u64>,
    /// Whether it lies with channels last.
    pub is_channels_last: bool,
    /// Whether it is a weight, a scale or a bias.
    pub is_constant: bool,
}

impl Operand {
    /// Bytes that its values take.
    pub fn size_bytes(&self) -> u64 {
        let width = match self.element.as_str() {
            "float" | "int32" => 4,
            "half" | "bf16" => 2,
            "int64" => 8,
            _ => 1,
        };
        self.dims.iter().product::<u64>() * width
    }
}

impl Layer {
    /// What its convolution computes in, `None` where it is none.
    pub fn computes_in(&self) -> Option<&str> {
        let is_convolution = matches!(self.kind.as_str(), "convolution" | "deconvolution");
        self.inputs.first().filter(|_| is_convolution).map(|map| map.element.as_str())
    }

    /// Bytes that it reads and writes at least.
    pub fn traffic_bytes(&self) -> u64 {
        self.inputs.iter().chain(&self.outputs).map(Operand::size_bytes).sum()
    }
}

impl PlanText {
    /// The text of a plan, understood.
    ///
    /// **Errors**: [`BuildErrorKind::Package`] for a plan without one (one of full TensorRT, or stripped).
    pub fn of(plan: &[u8]) -> Result<Self, BuildError> {
        let refuse = |what: &str| {
            let text =
                format!("the plan {what}: it is not of TensorRT for RTX 1.7, or was built without details");
            BuildError::new(BuildErrorKind::Package, text)
        };
        let program = find(plan, b"header {\n").ok_or_else(|| refuse("holds no program as text"))?;
        let text = printable(program);
        let mut parsed = Self::default();
        let mut operands: BTreeMap<&str, Operand> = BTreeMap::new();
        let header_end = text.find("\ndescriptors {").ok_or_else(|| refuse("has no descriptors"))?;
        let main_at = text.find("\nmain {").ok_or_else(|| refuse("has no main part"))?;
        let header = &text[..header_end];
        parsed.cards = words(field(header, "accelerators").unwrap_or_default());
        parsed.n_streams = field(header, "n_streams").and_then(|v| v.parse().ok()).unwrap_or(0);
        parsed.is_capturable = field(header, "stream_capturable") == Some("1");
        for (kind, body) in statements(header) {
            if kind == "region" && field(body, "name") == Some("devmem") {
                parsed.workspace_bytes = field(body, "size").and_then(|v| v.parse().ok()).unwrap_or(0);
            }
        }
        for (kind, body) in statements(&text[header_end..main_at]) {
            if !matches!(kind, "tensor" | "sub_tensor") {
                continue;
            }
            let Some(name) = field(body, "name") else { continue };
            let payload = field(body, "const_payload_size").and_then(|v| v.parse::<u64>().ok());
            parsed.weights_bytes += payload.unwrap_or(0);
            operands.insert(name, operand(body, payload.is_some()));
        }
        let named = |list: &str| {
            let names = quoted(list);
            names.filter_map(|name| operands.get(name).cloned()).collect::<Vec<_>>()
        };
        for (kind, body) in statements(&text[main_at..]) {
            if matches!(kind, "signal" | "wait" | "main") {
                continue;
            }
            let list = |a: &str, b: &str| field(body, a).or_else(|| field(body, b)).map_or(vec![], named);
            parsed.layers.push(Layer {
                kind: if kind == "corrltn" { "convolution" } else { kind }.to_owned(),
                name: field(body, "name").unwrap_or_default().to_owned(),
                nodes: field(body, "layers").map(nodes).unwrap_or_default(),
                inputs: list("input_args", "input"),
                outputs: list("output_args", "output"),
                has_bias: field(body, "bias") == Some("true"),
                has_relu: field(body, "relu") == Some("true"),
            });
        }
        if parsed.layers.is_empty() {
            return Err(refuse("names no kernel"));
        }
        Ok(parsed)
    }
}

fn operand(body: &str, is_constant: bool) -> Operand {
    let numbers = |key: &str| -> Vec<u64> {
        words(field(body, key).unwrap_or_default()).iter().filter_map(|w| w.parse().ok()).collect()
    };
    let (dims, strides) = (numbers("dims"), numbers("strides"));
    Operand {
        element: field(body, "type").unwrap_or_default().to_owned(),
        // [N, C, H, W] of which the next channel is the next value.
        is_channels_last: dims.len() == 4 && strides.get(1) == Some(&1) && dims[1] > 1,
        dims,
        is_constant,
    }
}

/// `[ONNX Layer: a][ONNX Layer: b]`, however divided, as names.
fn nodes(text: &str) -> Vec<String> {
    let names = text.split('[').filter_map(|part| part.split(']').next()?.strip_prefix("ONNX Layer: "));
    names.map(str::to_owned).collect()
}

fn find<'a>(bytes: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(what.len()).position(|window| window == what)?;
    Some(&bytes[at..])
}

/// The text that bytes begin with. Names of fused nodes are divided by the unit separator.
fn printable(bytes: &[u8]) -> &str {
    let is_text = |b: &u8| matches!(b, b'\n' | b'\t' | 0x1f | b' '..=b'~');
    let n = bytes.iter().position(|b| !is_text(b)).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..n]).unwrap_or_default()
}

/// Statements `kind={ ... }` and `kind = { ... }` at the beginnings of lines.
fn statements(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let line_end = rest.find('\n').unwrap_or(rest.len());
            let line = &rest[..line_end];
            let open = line.find('{');
            let kind = open.map(|at| line[..at].trim().trim_end_matches('=').trim());
            let is_statement = kind
                .is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            match (open, kind) {
                // `header {` and the like open a part and not a statement.
                (Some(at), Some(kind)) if is_statement && line.contains('=') => {
                    let body = &rest[at + 1..];
                    let length = closing(body);
                    rest = &body[length..];
                    return Some((kind, &body[..length]));
                }
                _ if rest.is_empty() => return None,
                _ => rest = rest.get(line_end + 1..).unwrap_or_default(),
            }
        }
    })
}

/// Where the brace closes that was open before `text`; its end, where none does.
fn closing(text: &str) -> usize {
    let (mut depth, mut is_quoted) = (1_u32, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'{' if !is_quoted => depth += 1,
            b'}' if !is_quoted => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// The value of ` key=value`: a word, what is in quotes, or what is in braces.
fn field<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    let mut from = 0;
    loop {
        let at = from + body.get(from..)?.find(key)?;
        from = at + key.len();
        let starts = at == 0 || matches!(body.as_bytes()[at - 1], b' ' | b'\n' | b'{');
        let Some(value) = body[from..].trim_start_matches(' ').strip_prefix('=') else { continue };
        if !starts {
            continue;
        }
        let value = value.trim_start_matches(' ');
        return match value.as_bytes().first() {
            Some(b'"') => value[1..].split('"').next(),
            Some(b'{') => Some(&value[1..][..closing(&value[1..])]),
            _ => value.split([' ', '\n', '}']).next(),
        };
    }
}

fn words(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

/// Names in quotes.
fn quoted(list: &str) -> impl Iterator<Item = &str> {
    list.split('"').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The separator of the two fused nodes is the byte 0x1f.
    const TEXT: &str = r#"header {
  version = 5
  n_streams = 2
  region = { name=devmem size=18563072 alignment=128 place=accelerator }
  region = { name=consts size=294921 constant=true }
  inputs={ "canvas.1" }
  stream_capturable=1
  accelerators={sm89 sm120 }
}
descriptors {
  tensor={ const_payload_size=20 dims={ 1 10 1 1 } name="w" region=c strides={ 10 1 10 10 } type=half }
  tensor={ dims={ 1 64 32 32 } name="canvas.1" region="" strides={ 65536 1 2048 64 } type=half }
  sub_tensor={ base="cat" dims={ 1 10 32 32 } name="out" strides={ 10240 1024 32 1 } type=float }
}
main {
 label bb1: 
  corrltn={ name="conv0" output={"out" } input={"canvas.1" "w" } stream=0 relu=true relu_high=7F bias=true layers="[ONNX Layer: conv0][ONNX Layer: relu}0]" }
  signal={ name="s" stream=1 }
  function={ name=__myl_Cast args={ "out" "out" } input_args={ "out" } output_args={ "out" } layers="[ONNX Layer: c]" swap_ab=false }
}
"#;

    fn plan(text: &str) -> Vec<u8> {
        [b"\x00\x01ptrt\x80".as_slice(), text.as_bytes(), b"\x00\x04header {\n"].concat()
    }

    #[test]
    fn a_program_is_read() {
        let parsed = PlanText::of(&plan(TEXT)).unwrap();
        assert_eq!(parsed.cards, ["sm89", "sm120"]);
        assert_eq!((parsed.workspace_bytes, parsed.weights_bytes), (18_563_072, 20));
        assert_eq!((parsed.n_streams, parsed.is_capturable), (2, true));
        let [conv, cast] = parsed.layers.as_slice() else { panic!("{:?}", parsed.layers) };
        assert_eq!((conv.kind.as_str(), conv.name.as_str()), ("convolution", "conv0"));
        assert_eq!(conv.nodes, ["conv0", "relu}0"]);
        assert_eq!(conv.computes_in(), Some("half"));
        assert!(conv.has_bias && conv.has_relu);
        assert!(conv.inputs[0].is_channels_last && !conv.inputs[0].is_constant);
        assert!(conv.inputs[1].is_constant);
        assert_eq!(conv.outputs[0].dims, [1, 10, 32, 32]);
        assert!(!conv.outputs[0].is_channels_last);
        assert_eq!(conv.traffic_bytes(), 64 * 32 * 32 * 2 + 20 + 10 * 32 * 32 * 4);
        assert_eq!((cast.name.as_str(), cast.computes_in()), ("__myl_Cast", None));
        assert_eq!((cast.has_bias, cast.has_relu, cast.inputs.len()), (false, false, 1));
    }

    #[test]
    fn what_holds_no_program_is_refused() {
        for bad in [b"".as_slice(), b"ptrt", b"header {\n", b"header {\n}\ndescriptors {\n}\nmain {\n}\n"] {
            let error = PlanText::of(bad).unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::Package);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_the_reader(at in 0usize..1600, byte: u8, cut in 0usize..1600) {
            let mut bytes = plan(TEXT);
            let n = bytes.len();
            bytes[at % n] = byte;
            let _ = PlanText::of(&bytes);
            let _ = PlanText::of(&bytes[..cut % n]);
        }
    }
}
