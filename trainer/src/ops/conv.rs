//! Conv: the 3 x 3 convolution as a differentiable operation of Burn's.

use super::slices::{self, ConvShape};
use super::{Training, lanes, tensor, values};
use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor};

/// The convolution of `x [B, in, H, W]` with `weight [out, in, 3, 3]`, with a border of one.
///
/// `None` where Burn's own has to do: on another device, in another type than `f32`, with another
/// stride than 1 or 2, or on a processor without fused multiply-adds.
///
/// **Determinism**: the same bits for any number of threads.
pub(crate) fn conv3x3(x: &Tensor<4>, weight: &Tensor<4>, stride: usize) -> Option<Tensor<4>> {
    let [batch, n_in, h, w] = x.dims();
    let [n_out, n_in_of_weight, 3, 3] = weight.dims() else { return None };
    let is_f32 = x.dtype() == DType::F32 && weight.dtype() == DType::F32;
    let is_sized = batch * n_in * h * w * n_out > 0 && n_in == n_in_of_weight;
    if !is_f32 || !is_sized || !matches!(stride, 1 | 2) || !lanes::is_fast() {
        return None;
    }
    let shape = ConvShape { batch, n_in, n_out, input: [h, w], stride };
    if x.is_autodiff() {
        return differentiable(shape, x, weight);
    }
    let x = x.clone().try_into_primitive::<Flex>().ok()?;
    let weight = weight.clone().try_into_primitive::<Flex>().ok()?;
    Some(Tensor::from_primitive::<Flex>(forward(&shape, &x, &weight)?))
}

fn differentiable(shape: ConvShape, x: &Tensor<4>, weight: &Tensor<4>) -> Option<Tensor<4>> {
    let x = x.clone().try_into_primitive::<Training>().ok()?;
    let weight = weight.clone().try_into_primitive::<Training>().ok()?;
    let y = forward(&shape, x.primitive(), weight.primitive())?;
    let prepared = Conv3x3.prepare::<NoCheckpointing>([x.node(), weight.node()]).compute_bound().stateful();
    let y = match prepared {
        OpsKind::Tracked(prepared) => {
            let state = State { shape, x: x.into_primitive(), weight: weight.into_primitive() };
            prepared.finish(state, y)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    };
    Some(Tensor::from_primitive::<Training>(y))
}

#[derive(Debug)]
struct Conv3x3;

#[derive(Clone, Debug)]
struct State {
    shape: ConvShape,
    x: FlexTensor,
    weight: FlexTensor,
}

impl Backward<Flex, 2> for Conv3x3 {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [of_x, of_weight] = ops.parents;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let State { shape, x, weight } = ops.state;
        let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
        let (Some(grad), Some(x), Some(weight)) = (values(&grad), values(&x), values(&weight)) else {
            return;
        };
        let packed = shape.pack_gradient(grad);
        let ConvShape { batch, n_in, n_out, input: [h, w], .. } = shape;
        if let Some(node) = of_x {
            let grad = slices::input_gradient(&shape, &packed, weight);
            grads.register::<Flex>(node.id, tensor(grad, [batch, n_in, h, w]));
        }
        if let Some(node) = of_weight {
            let grad = slices::weight_gradient(&shape, &shape.pack_input(x), &packed);
            grads.register::<Flex>(node.id, tensor(grad, [n_out, n_in, 3, 3]));
        }
    }
}

fn forward(shape: &ConvShape, x: &FlexTensor, weight: &FlexTensor) -> Option<FlexTensor> {
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let y = slices::forward(shape, &shape.pack_input(values(&x)?), values(&weight)?);
    let [h, w] = shape.output();
    Some(tensor(y, [shape.batch, shape.n_out, h, w]))
}
