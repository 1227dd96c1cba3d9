//! Layers: convolutions with BatchNorm, how they start, and what they are as plain data.

use crate::export::batch_norm;
use crate::ops::{conv3x3, norm_relu};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use pilotis_network::{Conv, Node, Op, Weight};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The source of all initial weights: a seed gives the same ones on every device.
pub(crate) struct Init {
    rng: ChaCha8Rng,
    device: Device,
}

impl Init {
    pub(crate) fn new(seed: u64, device: &Device) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device: device.clone() }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// A number in `[-1, 1)` in steps of 2^-23.
    fn symmetric(&mut self) -> f32 {
        (self.rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0
    }

    /// Uniform in `[-bound, bound)`.
    fn uniform<const D: usize>(&mut self, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| self.symmetric() * bound as f32).collect();
        Param::from_data(TensorData::new(values, shape), &self.device)
    }

    fn constant(&self, n: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_data(TensorData::new(vec![value; n], [n]), &self.device)
    }

    /// A linear map without bias, uniform within `1 / sqrt(n_in)` as PyTorch's.
    pub(crate) fn linear(&mut self, n_in: usize, n_out: usize) -> Linear {
        let mut linear = LinearConfig::new(n_in, n_out).with_bias(false).init(&self.device);
        linear.weight = self.uniform([n_in, n_out], 1.0 / (n_in as f64).sqrt());
        linear
    }

    /// A square convolution, uniform within `1 / sqrt(fan in)` as PyTorch's.
    pub(crate) fn conv(
        &mut self,
        [n_in, n_out]: [usize; 2],
        kernel: usize,
        stride: usize,
        bias: Option<f32>,
    ) -> Conv2d {
        // 3 x 3 keeps the size; the others (1 x 1, or kernel = stride) have nothing to add.
        let pad = if kernel == 3 { 1 } else { 0 };
        let mut conv = Conv2dConfig::new([n_in, n_out], [kernel; 2])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(bias.is_some())
            .init(&self.device);
        let fan_in = (n_in * kernel * kernel) as f64;
        conv.weight = self.uniform([n_out, n_in, kernel, kernel], 1.0 / fan_in.sqrt());
        conv.bias = bias.map(|b| self.constant(n_out, b));
        conv
    }

    /// A transposed convolution with kernel = stride and no bias.
    pub(crate) fn conv_transpose(&mut self, [n_in, n_out]: [usize; 2], stride: usize) -> ConvTranspose2d {
        let mut conv = ConvTranspose2dConfig::new([n_in, n_out], [stride; 2])
            .with_stride([stride; 2])
            .with_bias(false)
            .init(&self.device);
        // PyTorch takes dimension 1 of the weight as its fan in, here the outputs.
        let fan_in = (n_out * stride * stride) as f64;
        conv.weight = self.uniform([n_in, n_out, stride, stride], 1.0 / fan_in.sqrt());
        conv
    }
}

/// A BatchNorm in its initial state.
pub(crate) fn norm(n: usize, epsilon: f64, momentum: f64, device: &Device) -> BatchNorm {
    BatchNormConfig::new(n).with_epsilon(epsilon).with_momentum(momentum).init(device)
}

/// The values of a tensor in row-major order.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// A BatchNorm as plain data, running statistics included.
pub(crate) fn norm_values(norm: &BatchNorm) -> batch_norm::BatchNorm {
    batch_norm::BatchNorm {
        gamma: values(norm.gamma.val()),
        beta: values(norm.beta.val()),
        mean: values(norm.running_mean.value_sync()),
        var: values(norm.running_var.value_sync()),
        eps: norm.epsilon,
    }
}

/// A convolution; in bfloat16 where asked for and training. Weights stay `f32`.
pub(crate) fn run_conv(conv: &Conv2d, x: Tensor<4>, is_bf16: bool) -> Tensor<4> {
    let y = convolve(conv, conv.weight.val(), x, is_bf16);
    match &conv.bias {
        Some(bias) => {
            let n_out = y.dims()[1];
            y + bias.val().reshape([1, n_out, 1, 1])
        }
        None => y,
    }
}

/// The convolution of another weight with the kernel and stride of `conv`, without bias.
fn convolve(conv: &Conv2d, weight: Tensor<4>, x: Tensor<4>, is_bf16: bool) -> Tensor<4> {
    let [n_out, n_in, kernel, _] = weight.dims();
    let is_bf16 = is_bf16 && x.is_autodiff();
    if kernel == 1 && conv.stride == [1, 1] {
        return per_cell(weight.reshape([1, n_out, n_in]), x, is_bf16);
    }
    let pad = usize::from(kernel == 3);
    let options = ConvOptions::new(conv.stride, [pad; 2], conv.dilation, conv.groups);
    if is_bf16 {
        let weight = weight.cast(FloatDType::BF16);
        return conv2d(x.cast(FloatDType::BF16), weight, None, options).cast(FloatDType::F32);
    }
    match conv3x3(&x, &weight, conv.stride[0]) {
        Some(y) => y,
        None => conv2d(x, weight, None, options),
    }
}

/// Convolutions of one map, each as [`run_conv`] has it: their outputs side by side are one
/// convolution. They must have a bias, and the same kernel and stride.
pub(crate) fn run_convs(convs: &[&Conv2d], x: Tensor<4>, is_bf16: bool) -> Vec<Tensor<4>> {
    let Some(first) = convs.first() else { return Vec::new() };
    let weights = convs.iter().map(|conv| conv.weight.val()).collect();
    let y = convolve(first, Tensor::cat(weights, 0), x, is_bf16);
    let biases = convs.iter().filter_map(|conv| conv.bias.as_ref().map(Param::val)).collect();
    let n_out = y.dims()[1];
    let y = y + Tensor::cat(biases, 0).reshape([1, n_out, 1, 1]);
    let mut at = 0;
    let parts = convs.iter().map(|conv| {
        let n = conv.weight.dims()[0];
        at += n;
        y.clone().narrow(1, at - n, n)
    });
    parts.collect()
}

/// A transposed convolution of kernel = stride: every value becomes a square by itself, so it is
/// a matrix product too.
fn run_conv_transpose(conv: &ConvTranspose2d, x: Tensor<4>, is_bf16: bool) -> Tensor<4> {
    let [n_in, n_out, u, _] = conv.weight.dims();
    let [b, _, h, w] = x.dims();
    let is_bf16 = is_bf16 && x.is_autodiff();
    let weight = conv.weight.val().reshape([1, n_in, n_out * u * u]).swap_dims(1, 2);
    let y = per_cell(weight, x, is_bf16);
    if u == 1 {
        return y;
    }
    y.reshape([b, n_out, u, u, h, w]).permute([0, 1, 4, 2, 5, 3]).reshape([b, n_out, h * u, w * u])
}

/// `weight [1, out, in]` times the channels of every cell. Burn's gradient of a 1 x 1 convolution
/// is a convolution with the whole map for a kernel; that of a matrix product is two of them.
fn per_cell(weight: Tensor<3>, x: Tensor<4>, is_bf16: bool) -> Tensor<4> {
    let [b, n_in, h, w] = x.dims();
    let n_out = weight.dims()[1];
    let x = x.reshape([b, n_in, h * w]);
    let y = if is_bf16 {
        weight.cast(FloatDType::BF16).matmul(x.cast(FloatDType::BF16)).cast(FloatDType::F32)
    } else {
        weight.matmul(x)
    };
    y.reshape([b, n_out, h, w])
}

/// Convolution, BatchNorm, ReLU.
#[derive(Module, Debug)]
pub(crate) struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    pub(crate) fn init(
        channels: [usize; 2],
        stride: usize,
        epsilon: f64,
        momentum: f64,
        init: &mut Init,
    ) -> Self {
        let conv = init.conv(channels, 3, stride, None);
        Self { conv, norm: norm(channels[1], epsilon, momentum, init.device()) }
    }

    pub(crate) fn forward(&self, x: Tensor<4>, is_bf16: bool) -> Tensor<4> {
        norm_relu(&self.norm, run_conv(&self.conv, x, is_bf16))
    }

    pub(crate) fn node(&self, name: String, input: String) -> Node {
        let mut conv = conv_values(&self.conv, true);
        conv.bias = norm_values(&self.norm).fold(&conv.weight.shape, &mut conv.weight.values, 0);
        node(name, Op::Conv(conv), vec![input])
    }
}

/// A change of resolution, BatchNorm, ReLU.
#[derive(Module, Debug)]
pub(crate) struct Resample {
    map: ResampleMap,
    norm: BatchNorm,
}

/// A transposed convolution up, or a convolution down, of kernel = stride.
#[derive(Module, Debug)]
pub(crate) enum ResampleMap {
    /// Each value becomes a square.
    Up(ConvTranspose2d),
    /// Each square becomes a value.
    Down(Conv2d),
}

impl Resample {
    /// `factor` 2 doubles the map, 0.5 halves it.
    pub(crate) fn init(
        channels: [usize; 2],
        factor: f64,
        epsilon: f64,
        momentum: f64,
        init: &mut Init,
    ) -> Self {
        let map = if factor >= 1.0 {
            ResampleMap::Up(init.conv_transpose(channels, factor.round() as usize))
        } else {
            let stride = (1.0 / factor).round() as usize;
            ResampleMap::Down(init.conv(channels, stride, stride, None))
        };
        Self { map, norm: norm(channels[1], epsilon, momentum, init.device()) }
    }

    pub(crate) fn forward(&self, x: Tensor<4>, is_bf16: bool) -> Tensor<4> {
        let y = match &self.map {
            ResampleMap::Up(conv) => run_conv_transpose(conv, x, is_bf16),
            ResampleMap::Down(conv) => run_conv(conv, x, is_bf16),
        };
        norm_relu(&self.norm, y)
    }

    pub(crate) fn node(&self, name: String, input: String) -> Node {
        let norm = norm_values(&self.norm);
        let op = match &self.map {
            ResampleMap::Up(conv) => {
                let mut weight = weight_values(conv.weight.val());
                let bias = norm.fold(&weight.shape, &mut weight.values, 1);
                Op::ConvTranspose(Conv { weight, bias, stride: conv.stride[0], padding: 0, relu: true })
            }
            ResampleMap::Down(conv) => {
                let mut conv = conv_values(conv, true);
                conv.bias = norm.fold(&conv.weight.shape, &mut conv.weight.values, 0);
                Op::Conv(conv)
            }
        };
        node(name, op, vec![input])
    }
}

/// A node whose output bears its name.
pub(crate) fn node(name: String, op: Op, inputs: Vec<String>) -> Node {
    Node { output: name.clone(), name, op, inputs }
}

fn weight_values(weight: Tensor<4>) -> Weight {
    Weight { shape: weight.dims(), values: values(weight) }
}

/// A convolution as plain data; without bias, its bias is empty.
pub(crate) fn conv_values(conv: &Conv2d, relu: bool) -> Conv {
    let weight = weight_values(conv.weight.val());
    let bias = conv.bias.as_ref().map_or_else(Vec::new, |b| values(b.val()));
    let padding = usize::from(weight.shape[2] == 3);
    Conv { weight, bias, stride: conv.stride[0], padding, relu }
}
