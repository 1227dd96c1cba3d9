//! Head: from features to the tensors of the contract, and what they are trained towards.

pub mod anchors;
pub mod backbone;
pub mod centers;
pub(crate) mod layers;
pub mod losses;

use crate::config::BackboneConfig;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use layers::{ConvNorm, Init, conv_values, run_conv, run_convs};
use pilotis_network::{Node, Op};
use pilotis_spec::HeadLayout;

/// The raw tensors of a head, `[B, K, H, W]` each, in the order of [`HeadLayout::tensors`].
pub type HeadOutput = Vec<Tensor<4>>;

/// The network after the backbone: one branch for every tensor of the contract.
///
/// Anchor heads are 1 x 1 convolutions alone; centre heads begin with a shared convolution, and
/// each of their branches has a hidden one of its own unless the configuration leaves it out.
#[derive(Module, Debug)]
pub struct Head {
    shared: Option<ConvNorm>,
    branches: Vec<Branch>,
    is_bf16: bool,
}

#[derive(Module, Debug)]
pub(crate) struct Branch {
    hidden: Option<ConvNorm>,
    out: Conv2d,
}

impl Branch {
    /// One convolution with a border and a bias, as all others of its head are then.
    fn is_plain(&self) -> bool {
        self.hidden.is_none() && self.out.bias.is_some() && self.out.weight.dims()[2] == 3
    }
}

impl Head {
    pub(crate) fn init(
        layout: &HeadLayout,
        backbone: &BackboneConfig,
        is_bf16: bool,
        init: &mut Init,
    ) -> Self {
        let n_in = backbone.upsample_channels.iter().sum();
        let (shared, branches) = match layout {
            HeadLayout::Anchors(head) => (None, anchors::branches(head, n_in, init)),
            HeadLayout::Centers(head) => {
                let (shared, branches) = centers::branches(head, n_in, backbone, init);
                (Some(shared), branches)
            }
        };
        Self { shared, branches, is_bf16 }
    }

    /// Features `[B, K, H, W]` to the raw tensors.
    pub fn forward(&self, features: Tensor<4>) -> HeadOutput {
        let x = match &self.shared {
            Some(shared) => shared.forward(features, self.is_bf16),
            None => features,
        };
        if self.branches.len() > 1 && self.branches.iter().all(Branch::is_plain) {
            let convs: Vec<&Conv2d> = self.branches.iter().map(|branch| &branch.out).collect();
            return run_convs(&convs, x, self.is_bf16);
        }
        let branches = self.branches.iter().map(|branch| {
            let x = match &branch.hidden {
                Some(hidden) => hidden.forward(x.clone(), self.is_bf16),
                None => x.clone(),
            };
            run_conv(&branch.out, x, self.is_bf16)
        });
        branches.collect()
    }

    /// The nodes as plain data, given the name of each output.
    pub(crate) fn nodes(&self, input: String, outputs: &[String], nodes: &mut Vec<Node>) {
        let mut at = input;
        if let Some(shared) = &self.shared {
            let shared = shared.node("head.shared".to_owned(), at);
            at = shared.output.clone();
            nodes.push(shared);
        }
        for (branch, output) in self.branches.iter().zip(outputs) {
            let mut from = at.clone();
            if let Some(hidden) = &branch.hidden {
                let hidden = hidden.node(format!("head.{output}.hidden"), from);
                from = hidden.output.clone();
                nodes.push(hidden);
            }
            nodes.push(Node {
                name: format!("head.{output}"),
                op: Op::Conv(conv_values(&branch.out, false)),
                inputs: vec![from],
                output: output.clone(),
            });
        }
    }
}
