//! Backbone: blocks of 3 x 3 convolutions, brought to one resolution.

use super::layers::{ConvNorm, Init, Resample, node};
use crate::config::BackboneConfig;
use burn::module::Module;
use burn::tensor::Tensor;
use pilotis_network::{Node, Op};

/// BatchNorm of the backbone, **Source**: OpenPCDet `BaseBEVBackbone`.
const EPSILON: f64 = 1e-3;
const MOMENTUM: f64 = 0.01;

/// The 2D network between canvas and head.
#[derive(Module, Debug)]
pub struct Backbone {
    blocks: Vec<Block>,
    is_bf16: bool,
}

#[derive(Module, Debug)]
struct Block {
    convs: Vec<ConvNorm>,
    up: Resample,
}

impl Backbone {
    pub(crate) fn init(config: &BackboneConfig, n_in: usize, is_bf16: bool, init: &mut Init) -> Self {
        let mut n_in = n_in;
        let mut blocks = Vec::with_capacity(config.layers.len());
        for (i, channels) in config.channels.iter().enumerate() {
            let mut convs =
                vec![ConvNorm::init([n_in, *channels], config.strides[i], EPSILON, MOMENTUM, init)];
            for _ in 0..config.layers[i] {
                convs.push(ConvNorm::init([*channels; 2], 1, EPSILON, MOMENTUM, init));
            }
            let up = [*channels, config.upsample_channels[i]];
            let up = Resample::init(up, config.upsample_strides[i], EPSILON, MOMENTUM, init);
            blocks.push(Block { convs, up });
            n_in = *channels;
        }
        Self { blocks, is_bf16 }
    }

    /// `canvas [B, C, ny, nx]` to features `[B, sum of upsampled channels, H, W]`.
    pub fn forward(&self, canvas: Tensor<4>) -> Tensor<4> {
        let mut x = canvas;
        let mut parts = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            for conv in &block.convs {
                x = conv.forward(x, self.is_bf16);
            }
            parts.push(block.up.forward(x.clone(), self.is_bf16));
        }
        Tensor::cat(parts, 1)
    }

    /// The nodes as plain data; returns the name of the last one's output.
    pub(crate) fn nodes(&self, input: &str, nodes: &mut Vec<Node>) -> String {
        let mut at = input.to_owned();
        let mut parts = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            for (j, conv) in block.convs.iter().enumerate() {
                let next = conv.node(format!("backbone.block{i}.conv{j}"), at);
                at = next.output.clone();
                nodes.push(next);
            }
            let up = block.up.node(format!("backbone.block{i}.up"), at.clone());
            parts.push(up.output.clone());
            nodes.push(up);
        }
        let concat = node("backbone.concat".to_owned(), Op::Concat, parts);
        let output = concat.output.clone();
        nodes.push(concat);
        output
    }
}
