//! Detector: encoder, backbone and head, as they are trained and as they are exported.

use crate::bev::PillarBatch;
use crate::bev::pfn::Pfn;
use crate::bev::scatter::scatter;
use crate::config::{TrainConfig, TrainPrecision};
use crate::export::encoder::PfnWeights;
use crate::head::backbone::Backbone;
use crate::head::layers::Init;
use crate::head::{Head, HeadOutput};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use pilotis_network::Network;
use pilotis_spec::head::CANVAS_TENSOR;

/// A pillar detector with its trainable weights.
///
/// Its BatchNorm statistics are shared by `clone()`: a copy that must stay as it is goes through
/// a record, or through `valid()`, whose statistics are its own.
#[derive(Module, Debug)]
pub struct Detector {
    /// Rows to pillar vectors.
    pub pfn: Pfn,
    /// Canvas to features.
    pub backbone: Backbone,
    /// Features to raw tensors.
    pub head: Head,
}

impl Detector {
    /// A detector with random weights.
    ///
    /// **Determinism**: the weights are a function of the configuration's seed alone.
    pub fn init(config: &TrainConfig, device: &Device) -> Self {
        let mut init = Init::new(config.train.seed, device);
        let is_bf16 = config.train.precision == TrainPrecision::Bf16;
        Self {
            pfn: Pfn::init(&config.bev, &mut init),
            backbone: Backbone::init(&config.backbone, config.bev.n_channels(), is_bf16, &mut init),
            head: Head::init(&config.head, &config.backbone, is_bf16, &mut init),
        }
    }

    /// The raw tensors of a batch, in the order of [`pilotis_spec::HeadLayout::tensors`].
    ///
    /// On a device with autodiff this is a training pass: BatchNorm takes the batch's statistics
    /// and moves its running ones.
    pub fn forward(&self, batch: &PillarBatch) -> HeadOutput {
        self.head.forward(self.backbone.forward(self.canvas(batch)))
    }

    /// The same in evaluation form: no graph, and the running statistics used and left alone.
    pub fn infer(&self, batch: &PillarBatch) -> HeadOutput {
        self.valid().forward(&batch.without_autodiff())
    }

    /// The canvas `[B, C, ny, nx]` of a batch.
    pub fn canvas(&self, batch: &PillarBatch) -> Tensor<4> {
        scatter(self.pfn.forward(batch), batch.cells.clone(), batch.batch_size, batch.map)
    }

    /// Everything after the canvas as plain data, BatchNorm folded in.
    pub fn to_network(&self, config: &TrainConfig) -> Network {
        let outputs: Vec<String> = config.head.tensors(&config.grid).into_iter().map(|t| t.name).collect();
        let mut nodes = Vec::new();
        let features = self.backbone.nodes(CANVAS_TENSOR, &mut nodes);
        self.head.nodes(features, &outputs, &mut nodes);
        Network {
            input: CANVAS_TENSOR.to_owned(),
            input_shape: [config.bev.n_channels(), config.grid.ny(), config.grid.nx()],
            nodes,
            outputs,
        }
    }

    /// The encoder's layers as plain data, BatchNorm folded in.
    pub fn encoder_weights(&self) -> Vec<PfnWeights> {
        self.pfn.weights()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bev::PillarSample;
    use crate::head::anchors::{AnchorLabels, AnchorTargets, PositiveAnchor};
    use crate::head::centers::{CenterLabels, CenterObject, CenterTargets};
    use crate::head::layers::values;
    use crate::head::losses::Targets;
    use burn::optim::{AdamWConfig, GradientsParams};
    use burn::tensor::TensorData;
    use pilotis_network::{Conv, Op};
    use pilotis_spec::HeadLayout;
    use pilotis_spec::codec::{CenterCode, MAX_CODE};
    use std::collections::BTreeMap;
    use std::path::Path;

    /// A shipped configuration over a map of 16 x 16 cells.
    fn reduced(name: &str) -> TrainConfig {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/train");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let mut table: toml::Table = toml::from_str(&text).unwrap();
        let grid = table["grid"].as_table_mut().unwrap();
        let z = |key: &str, grid: &toml::Table| grid[key].as_array().unwrap()[2].clone();
        let (low, high) = (z("range_min_m", grid), z("range_max_m", grid));
        let cell = grid["cell_m"].as_array().unwrap()[0].as_float().unwrap();
        let edge = toml::Value::Float(8.0 * cell);
        let minus = toml::Value::Float(-8.0 * cell);
        grid["range_min_m"] = toml::Value::Array(vec![minus.clone(), minus, low]);
        grid["range_max_m"] = toml::Value::Array(vec![edge.clone(), edge, high]);
        table["pillars"]["max_pillars"] = toml::Value::Integer(200);
        TrainConfig::from_toml(&toml::to_string(&table).unwrap()).unwrap()
    }

    const SHIPPED: [&str; 5] = [
        "demo.toml",
        "street.toml",
        "pointpillars_kitti.toml",
        "pointpillars_nuscenes_8gb.toml",
        "centerpoint_nuscenes_8gb.toml",
    ];

    /// The demo with a backbone that a naive interpreter is done with at once.
    fn small(name: &str) -> TrainConfig {
        let mut config = reduced(name);
        config.backbone.layers = vec![1, 0, 1];
        config.backbone.channels = vec![8, 12, 16];
        config.backbone.upsample_channels = vec![8, 4, 8];
        config.backbone.shared_channels = 8;
        config
    }

    fn batch(config: &TrainConfig, n_samples: usize, device: &Device) -> PillarBatch {
        let f = config.bev.recipe.n_features();
        let samples: Vec<PillarSample> = (0..n_samples)
            .map(|s| {
                let n_points: Vec<u32> = (0..40).map(|p| 1 + (p * 7 + s as u32) % 9).collect();
                let n = n_points.iter().sum::<u32>() as usize * f;
                PillarSample {
                    features: (0..n).map(|i| ((i + 31 * s) as f32 * 0.37).sin()).collect(),
                    n_points,
                    cells: (0..40).map(|p| (p * 37 + s as u32) % 256).collect(),
                }
            })
            .collect();
        PillarBatch::new(&samples, &config.pillars, f, [16, 16], device)
    }

    #[test]
    fn every_shipped_configuration_puts_out_the_contracts_tensors() {
        let device = Device::flex();
        for name in SHIPPED {
            let config = reduced(name);
            let detector = Detector::init(&config, &device);
            let output = detector.infer(&batch(&config, 2, &device));
            let tensors = config.head.tensors(&config.grid);
            assert_eq!(output.len(), tensors.len());
            for (tensor, spec) in output.iter().zip(&tensors) {
                let [c, h, w] = spec.shape;
                assert_eq!(tensor.dims(), [2, c, h, w], "{name} {}", spec.name);
                let first = values(tensor.clone())[0];
                if spec.name.starts_with("cls") || spec.name.starts_with("hm") {
                    assert!(first < -1.0, "{name}: {} starts at {first}", spec.name);
                }
            }
            let network = detector.to_network(&config);
            let names: Vec<String> = tensors.into_iter().map(|t| t.name).collect();
            assert_eq!(network.outputs, names);
            let shapes: Vec<(usize, usize)> =
                detector.encoder_weights().iter().map(|w| (w.n_in, w.n_out)).collect();
            assert_eq!(shapes, config.bev.linear_shapes());
        }
    }

    #[test]
    fn a_seed_gives_the_same_weights() {
        let device = Device::flex();
        let mut config = small("demo.toml");
        let first = Detector::init(&config, &device).to_network(&config);
        assert_eq!(Detector::init(&config, &device).to_network(&config), first);
        config.train.seed += 1;
        assert_ne!(Detector::init(&config, &device).to_network(&config), first);
    }

    /// A tensor `[C, H, W]`.
    type Map = ([usize; 3], Vec<f64>);

    fn run_conv(conv: &Conv, (shape, x): &Map) -> Map {
        let ([n_out, n_in, k, _], [c, h, w]) = (conv.weight.shape, *shape);
        assert_eq!(n_in, c);
        let (s, pad) = (conv.stride, conv.padding);
        let (oh, ow) = ((h + 2 * pad - k) / s + 1, (w + 2 * pad - k) / s + 1);
        let mut y = Vec::new();
        for o in 0..n_out {
            for (r, q) in (0..oh).flat_map(|r| (0..ow).map(move |q| (r, q))) {
                let mut sum = f64::from(conv.bias[o]);
                for i in 0..c {
                    for (kr, kq) in (0..k).flat_map(|a| (0..k).map(move |b| (a, b))) {
                        let (row, col) = ((r * s + kr).wrapping_sub(pad), (q * s + kq).wrapping_sub(pad));
                        if row < h && col < w {
                            let weight = conv.weight.values[((o * c + i) * k + kr) * k + kq];
                            sum += f64::from(weight) * x[(i * h + row) * w + col];
                        }
                    }
                }
                y.push(if conv.relu { sum.max(0.0) } else { sum });
            }
        }
        ([n_out, oh, ow], y)
    }

    fn run_conv_transpose(conv: &Conv, (shape, x): &Map) -> Map {
        let ([n_in, n_out, u, _], [c, h, w]) = (conv.weight.shape, *shape);
        assert_eq!((n_in, u, conv.padding), (c, conv.stride, 0));
        let mut y = Vec::new();
        for o in 0..n_out {
            for (r, q) in (0..h * u).flat_map(|r| (0..w * u).map(move |q| (r, q))) {
                let mut sum = f64::from(conv.bias[o]);
                for i in 0..c {
                    let weight = conv.weight.values[((i * n_out + o) * u + r % u) * u + q % u];
                    sum += f64::from(weight) * x[(i * h + r / u) * w + q / u];
                }
                y.push(if conv.relu { sum.max(0.0) } else { sum });
            }
        }
        ([n_out, h * u, w * u], y)
    }

    fn interpret(network: &Network, canvas: Vec<f64>) -> Vec<Map> {
        let mut tensors = BTreeMap::from([(network.input.clone(), (network.input_shape, canvas))]);
        for node in &network.nodes {
            let inputs: Vec<&Map> = node.inputs.iter().map(|name| &tensors[name]).collect();
            let output = match &node.op {
                Op::Conv(conv) => run_conv(conv, inputs[0]),
                Op::ConvTranspose(conv) => run_conv_transpose(conv, inputs[0]),
                Op::Concat => {
                    let [_, h, w] = inputs[0].0;
                    let n = inputs.iter().map(|m| m.0[0]).sum();
                    ([n, h, w], inputs.iter().flat_map(|m| m.1.iter().copied()).collect())
                }
            };
            assert!(tensors.insert(node.output.clone(), output).is_none(), "`{}` twice", node.output);
        }
        network.outputs.iter().map(|name| tensors[name].clone()).collect()
    }

    #[test]
    fn the_exported_network_computes_what_burn_evaluates() {
        // Upsampling by 1, 2, 4 before anchors; by 0.5, 1, 2 before centres.
        for name in ["demo.toml", "centerpoint_nuscenes_8gb.toml"] {
            let config = small(name);
            let device = Device::flex().autodiff();
            let detector = Detector::init(&config, &device);
            // Training passes give every BatchNorm statistics of its own.
            let batch = batch(&config, 2, &device);
            for _ in 0..30 {
                detector.forward(&batch);
            }
            let output = detector.infer(&batch);
            let canvas = detector.valid().canvas(&batch.without_autodiff());
            let canvas = values(canvas.narrow(0, 1, 1)).into_iter().map(f64::from).collect();
            let network = detector.to_network(&config);
            for (got, (shape, expected)) in output.iter().zip(interpret(&network, canvas)) {
                let got = got.clone().narrow(0, 1, 1);
                assert_eq!(got.dims()[1..], shape);
                let mut spread = (f64::MAX, f64::MIN);
                for (got, expected) in values(got).into_iter().zip(expected) {
                    spread = (spread.0.min(expected), spread.1.max(expected));
                    assert!((f64::from(got) - expected).abs() < 1e-4, "{name}: {got} {expected}");
                }
                assert!(spread.1 - spread.0 > 1e-2, "{name}: a constant map proves nothing");
            }
        }
    }

    #[test]
    fn evaluation_leaves_the_statistics_alone() {
        let config = small("demo.toml");
        let device = Device::flex().autodiff();
        let detector = Detector::init(&config, &device);
        let batch = batch(&config, 1, &device);
        detector.forward(&batch);
        let before = detector.to_network(&config);
        let first: Vec<Vec<f32>> = detector.infer(&batch).into_iter().map(values).collect();
        let again: Vec<Vec<f32>> = detector.infer(&batch).into_iter().map(values).collect();
        assert_eq!(first, again);
        assert_eq!(detector.to_network(&config), before);
        detector.forward(&batch);
        assert_ne!(detector.to_network(&config), before);
    }

    fn some_targets(config: &TrainConfig, device: &Device) -> Targets {
        let [h, w] = config.head.map_shape(&config.grid);
        match &config.head {
            HeadLayout::Anchors(head) => {
                let labels = head.groups.iter().map(|group| {
                    let a = group.n_anchors();
                    let mut class = vec![0; a * h * w];
                    let anchors = [a * (w + 2), a * (2 * w + 1) + 1];
                    anchors.iter().for_each(|i| class[*i] = 1);
                    let positives = anchors.map(|i| PositiveAnchor {
                        anchor: i as u32,
                        code: [0.3; MAX_CODE],
                        direction: (i % 2) as u32,
                    });
                    AnchorLabels { class, positives: positives.to_vec() }
                });
                Targets::Anchors(AnchorTargets::new(&[labels.collect()], head, [h, w], device))
            }
            HeadLayout::Centers(head) => {
                let labels = head.tasks.iter().map(|task| {
                    let mut heatmap = vec![0.0; task.classes.len() * h * w];
                    heatmap[w + 1] = 1.0;
                    let code =
                        CenterCode { offset: [0.5; 2], z: 0.3, rot: [0.6, 0.8], ..CenterCode::default() };
                    CenterLabels { heatmap, objects: vec![CenterObject { class_idx: 0, cell: [1, 1], code }] }
                });
                let weights: Vec<_> =
                    head.tasks.iter().map(|task| config.weights_of(&task.classes)).collect();
                Targets::Centers(CenterTargets::new(&[labels.collect()], head, &weights, [h, w], device))
            }
        }
    }

    #[test]
    fn thirty_steps_halve_the_loss_of_one_sample() {
        for (name, precision) in [
            ("demo.toml", TrainPrecision::Fp32),
            ("demo.toml", TrainPrecision::Bf16),
            ("centerpoint_nuscenes_8gb.toml", TrainPrecision::Fp32),
        ] {
            let mut config = small(name);
            config.train.precision = precision;
            let device = Device::flex().autodiff();
            let mut detector = Detector::init(&config, &device);
            let batch = batch(&config, 1, &device);
            let targets = some_targets(&config, &device);
            let mut optimizer = AdamWConfig::new().init();
            let mut losses = Vec::new();
            for _ in 0..30 {
                let parts = targets.losses(&detector.forward(&batch), &config.loss);
                losses.push(parts.total.clone().into_scalar::<f32>());
                let gradients = GradientsParams::from_grads(parts.total.backward(), &detector);
                detector = optimizer.step(5e-3, detector, gradients);
            }
            assert!(losses[29] < 0.5 * losses[0], "{name} {precision:?}: {losses:?}");
        }
    }

    #[test]
    fn an_empty_canvas_is_evaluated_and_trained() {
        let config = small("demo.toml");
        let device = Device::flex().autodiff();
        let detector = Detector::init(&config, &device);
        let f = config.bev.recipe.n_features();
        let batch = PillarBatch::new(&[PillarSample::default()], &config.pillars, f, [16, 16], &device);
        let parts = some_targets(&config, &device).losses(&detector.forward(&batch), &config.loss);
        parts.total.backward();
        assert!(detector.infer(&batch).into_iter().flat_map(values).all(f32::is_finite));
        let zero = Tensor::<4>::from_data(TensorData::zeros::<f32, _>([1, 32, 16, 16]), &Device::flex());
        assert_eq!(values(detector.valid().canvas(&batch.without_autodiff())), values(zero));
    }
}
