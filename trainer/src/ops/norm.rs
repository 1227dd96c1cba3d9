//! Norm: BatchNorm followed by ReLU as one differentiable operation of Burn's.

use super::planes::{self, Channel, MapShape};
use super::{Training, lanes, tensor, values};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::nn::BatchNorm;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Tensor, TensorData};

/// `relu(norm(x))`; a training pass moves the running statistics, as Burn's does.
///
/// **Determinism**: the same bits for any number of threads.
pub(crate) fn norm_relu(norm: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    match fused(norm, &x) {
        Some(y) => y,
        None => relu(norm.forward(x)),
    }
}

/// `None` where Burn's own has to do: outside of training, on another device, in another type.
fn fused(norm: &BatchNorm, x: &Tensor<4>) -> Option<Tensor<4>> {
    let [batch, n_channels, h, w] = x.dims();
    let is_training = x.is_autodiff() && norm.training.is_enabled();
    if !is_training || x.dtype() != DType::F32 || batch * n_channels * h * w == 0 || !lanes::is_fast() {
        return None;
    }
    let device = x.device();
    let shape = MapShape { n_channels, plane: h * w };
    let x = x.clone().try_into_primitive::<Training>().ok()?;
    let gamma = norm.gamma.val().try_into_primitive::<Training>().ok()?;
    let beta = norm.beta.val().try_into_primitive::<Training>().ok()?;
    let input = x.primitive().to_contiguous();
    let (gammas, betas) = (gamma.primitive().to_contiguous(), beta.primitive().to_contiguous());
    let channels =
        planes::statistics(shape, values(&input)?, values(&gammas)?, values(&betas)?, norm.epsilon);
    let y = tensor(planes::forward(shape, values(&input)?, &channels), [batch, n_channels, h, w]);

    let statistic = |f: fn(&Channel) -> f32| {
        let values: Vec<f32> = channels.iter().map(f).collect();
        Tensor::<1>::from_data(TensorData::new(values, [n_channels]), &device)
    };
    let moved = |old: Tensor<1>, new: Tensor<1>| (old * (1.0 - norm.momentum) + new * norm.momentum).detach();
    norm.running_mean.update(moved(norm.running_mean.value_sync(), statistic(|c| c.mean)));
    norm.running_var.update(moved(norm.running_var.value_sync(), statistic(|c| c.variance)));

    let nodes = [x.node(), gamma.node(), beta.node()];
    let y = match NormRelu.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(State { shape, input, channels }, y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    Some(Tensor::from_primitive::<Training>(y))
}

#[derive(Debug)]
struct NormRelu;

#[derive(Clone, Debug)]
struct State {
    shape: MapShape,
    input: FlexTensor,
    channels: Vec<Channel>,
}

impl Backward<Flex, 3> for NormRelu {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [of_x, of_gamma, of_beta] = ops.parents;
        let State { shape, input, channels } = ops.state;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let (Some(x), Some(grad)) = (values(&input), values(&grad)) else { return };
        let (x, gamma, beta) = planes::backward(shape, x, grad, &channels);
        if let Some(node) = of_x {
            grads.register::<Flex>(node.id, tensor(x, input.layout().shape().clone()));
        }
        for (node, grad) in [(of_gamma, gamma), (of_beta, beta)] {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(grad, [shape.n_channels]));
            }
        }
    }
}
