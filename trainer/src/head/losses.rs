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
#[allow(clippy::large_enum_variant, reason = "there is one of it a batch")]
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::head::layers::values;

    /// The gradient of a loss by central differences, and the one that Burn gives.
    pub(crate) fn gradients(
        at: &[f32],
        shape: [usize; 4],
        step: f32,
        loss: impl Fn(Tensor<4>) -> Tensor<1>,
    ) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let tensor = |v: &[f32]| Tensor::<4>::from_data(TensorData::new(v.to_vec(), shape), &device);
        let value = |v: &[f32]| values(loss(tensor(v)))[0];
        let numeric = (0..at.len()).map(|i| {
            let (mut up, mut down) = (at.to_vec(), at.to_vec());
            up[i] += step;
            down[i] -= step;
            (value(&up) - value(&down)) / (up[i] - down[i])
        });
        let x = tensor(at).require_grad();
        let grads = loss(x.clone()).backward();
        (numeric.collect(), values(x.grad(&grads).unwrap()))
    }

    pub(crate) fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < tolerance, "{a} {b}");
        }
    }

    fn constant(v: &[f32], shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(v.to_vec(), shape), &Device::flex().autodiff())
    }

    #[test]
    fn the_focal_loss_is_its_formula_and_its_gradient_the_derivative() {
        let shape = [1, 1, 2, 3];
        let logits = [-2.0, -0.5, 0.0, 0.7, 3.0, 1.0];
        let signs = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        let weights = [1.0, 0.5, 2.0, 1.5, 1.0, 0.0];
        for gamma in [2.0, 1.5] {
            let loss = |x| focal(x, constant(&signs, shape), constant(&weights, shape), gamma);
            let expected: f64 = (0..6)
                .map(|i| {
                    let p = 1.0 / (1.0 + (-f64::from(signs[i] * logits[i])).exp());
                    -f64::from(weights[i]) * (1.0 - p).powf(gamma) * p.ln()
                })
                .sum();
            let got = values(loss(constant(&logits, shape)))[0];
            assert!((f64::from(got) - expected).abs() < 1e-5, "{got} {expected}");
            let (numeric, analytic) = gradients(&logits, shape, 1e-2, loss);
            assert_close(&numeric, &analytic, 5e-4);
        }
    }

    #[test]
    fn the_focal_loss_stays_finite_at_absurd_logits() {
        let shape = [1, 1, 1, 4];
        let loss = |x| focal(x, constant(&[1.0, -1.0, 1.0, -1.0], shape), constant(&[1.0; 4], shape), 2.0);
        let logits = [-200.0, -200.0, 200.0, 200.0];
        let got = values(loss(constant(&logits, shape)))[0];
        assert!((got - 400.0).abs() < 1e-3, "{got}");
        let (_, analytic) = gradients(&logits, shape, 1.0, loss);
        assert_close(&analytic, &[-1.0, 0.0, 0.0, 1.0], 1e-6);
    }

    #[test]
    fn smooth_l1_is_quadratic_then_linear() {
        let beta = 1.0 / 9.0;
        let d = [0.0_f32, 0.05, -0.05, 0.2, -1.0];
        let got = values(smooth_l1(constant(&d, [1, 1, 1, 5]), beta));
        let expected = [0.0, 0.011_25, 0.011_25, 0.2 - 0.5 / 9.0, 1.0 - 0.5 / 9.0];
        assert_close(&got, &expected, 1e-6);
        let (numeric, analytic) = gradients(&d, [1, 1, 1, 5], 1e-3, |x| smooth_l1(x, beta).sum());
        assert_close(&numeric, &analytic, 1e-3);
    }
}
