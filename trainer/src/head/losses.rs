//! Losses that both kinds of head are trained with.

use super::HeadOutput;
use super::anchors::AnchorTargets;
use super::centers::CenterTargets;
use crate::config::LossConfig;
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The losses of a batch, each one number.
#[derive(Clone, Debug)]
pub struct LossParts {
    /// Classes (anchors) or heat map (centres), without its weight.
    pub class: Tensor<1>,
    /// Boxes, without its weight.
    pub boxes: Tensor<1>,
    /// Directions, without its weight; zero where the head has none.
    pub direction: Tensor<1>,
    /// The weighted sum, for the backward pass.
    pub total: Tensor<1>,
}

impl LossParts {
    pub(crate) fn new(class: Tensor<1>, boxes: Tensor<1>, direction: Tensor<1>, config: &LossConfig) -> Self {
        let total = class.clone() * config.class_weight
            + boxes.clone() * config.box_weight
            + direction.clone() * config.direction_weight;
        Self { class, boxes, direction, total }
    }
}

/// What a batch is trained towards.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Of an anchor head.
    Anchors(AnchorTargets),
    /// Of a centre head.
    Centers(CenterTargets),
}

impl Targets {
    /// The losses of a head's raw tensors. On a plain device they have no gradient (validation).
    pub fn losses(&self, output: &HeadOutput, config: &LossConfig) -> LossParts {
        match self {
            Self::Anchors(targets) => targets.losses(output, config),
            Self::Centers(targets) => targets.losses(output, config),
        }
    }
}

/// The focal loss `sum(weight * -(1 - p)^gamma * ln p)`, with `p = sigmoid(sign * logit)`.
///
/// `sign` is 1 where the logit should be high and -1 where low. The gradient is given in closed
/// form, `weight * sign * (1 - p)^gamma * (gamma * p * ln p - (1 - p))`, so the graph holds one
/// product of the logits and not a dozen.
pub(crate) fn focal(logits: Tensor<4>, sign: Tensor<4>, weight: Tensor<4>, gamma: f64) -> Tensor<1> {
    let towards = logits.clone().detach() * sign.clone();
    let p = sigmoid(towards.clone());
    let ln_p = log_sigmoid(towards);
    let missing = p.clone().neg() + 1.0;
    let factor = if (gamma - 2.0).abs() < 1e-12 {
        missing.clone() * missing.clone()
    } else {
        missing.clone().powf_scalar(gamma)
    };
    let factor = factor * weight;
    let value = (factor.clone() * ln_p.clone()).sum().neg();
    let gradient = factor * sign * (p * ln_p * gamma - missing);
    with_gradient(logits, gradient, value)
}

/// A number of this `value` whose gradient with respect to `x` is `gradient`.
fn with_gradient(x: Tensor<4>, gradient: Tensor<4>, value: Tensor<1>) -> Tensor<1> {
    let tangent = (x * gradient.detach()).sum();
    tangent.clone() - tangent.detach() + value.detach()
}

/// Smooth L1 of differences, element by element: quadratic below `beta`, linear above.
pub(crate) fn smooth_l1<const D: usize>(difference: Tensor<D>, beta: f64) -> Tensor<D> {
    let size = difference.abs();
    let inner = size.clone().clamp_max(beta);
    inner.clone().powi_scalar(2) * (0.5 / beta) + (size - inner)
}

/// Values of a map `[B, A * k, H, W]` at chosen places, which must differ: `[Q, k]`.
pub(crate) fn gather_places(map: Tensor<4>, places: &Places) -> Tensor<2> {
    let n = map.shape().num_elements();
    let k = places.width;
    map.reshape([n]).gather_nd::<2, 1>(places.index.clone()).reshape([places.n, k])
}

/// Places of a map `[B, A * k, H, W]`: `k` successive channels of one cell each.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `[Q * k, 1]`, into the flat map.
    index: Tensor<2, Int>,
    pub(crate) n: usize,
    width: usize,
}

impl Places {
    /// From `(sample, first channel, flat cell)` of every place.
    pub(crate) fn new(
        places: &[(usize, usize, usize)],
        width: usize,
        n_channels: usize,
        n_cells: usize,
        device: &Device,
    ) -> Self {
        let mut index = Vec::with_capacity(places.len() * width);
        for (sample, channel, cell) in places {
            for k in 0..width {
                index.push(((sample * n_channels + channel + k) * n_cells + cell) as i32);
            }
        }
        let shape = [index.len(), 1];
        Self { index: Tensor::from_data(TensorData::new(index, shape), device), n: places.len(), width }
    }
}
