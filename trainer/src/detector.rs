//! Detector: encoder, backbone and head, as they are trained and as they are exported.

use crate::bev::PillarBatch;
use crate::bev::pfn::{Pfn, PfnWeights};
use crate::bev::scatter::scatter;
use crate::config::{TrainConfig, TrainPrecision};
use crate::export::network::Network;
use crate::head::backbone::Backbone;
use crate::head::layers::Init;
use crate::head::{Head, HeadOutput};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
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
