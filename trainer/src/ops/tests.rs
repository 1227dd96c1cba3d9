use super::lanes::{self, Kernel};
use super::planes::{self, MapShape};
use super::slices::{self, ConvShape};
use super::tiles::{BLOCK, Correlate, Products, Target};
use super::{conv3x3, norm_relu};
use crate::head::layers::values;
use burn::module::Param;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use proptest::prelude::*;

/// A repeatable sequence in -1..1.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn random<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(noise(shape.iter().product(), seed), shape), device)
}

/// Within 2e-5 of the largest value: sums of up to some thousand terms, added in another order.
fn is_close<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> bool {
    let (a, b) = (values(a), values(b));
    let largest = b.iter().fold(1.0_f32, |m, v| m.max(v.abs()));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 2e-5 * largest)
}

fn burns(x: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    conv2d(x, weight, None, ConvOptions::new([stride; 2], [1; 2], [1; 2], 1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn convolution_and_gradients_are_burns(
        batch in 1_usize..4, n_in in 1_usize..11, n_out in 1_usize..11,
        h in 1_usize..40, w in 1_usize..40, stride in 1_usize..3, seed in any::<u32>(),
    ) {
        let device = Device::flex().autodiff();
        let run = |is_own: bool| {
            let x = random([batch, n_in, h, w], seed, &device).require_grad();
            let weight = random([n_out, n_in, 3, 3], seed ^ 1, &device).require_grad();
            let y = if is_own {
                conv3x3(&x, &weight, stride).unwrap()
            } else {
                burns(x.clone(), weight.clone(), stride)
            };
            let grads = (y.clone() * random(y.dims(), seed ^ 2, &device)).sum().backward();
            (y.inner(), x.grad(&grads).unwrap(), weight.grad(&grads).unwrap())
        };
        let (own, burns) = (run(true), run(false));
        prop_assert!(is_close(own.0, burns.0), "output");
        prop_assert!(is_close(own.1, burns.1), "gradient of the input");
        prop_assert!(is_close(own.2, burns.2), "gradient of the weight");
    }

    #[test]
    fn norm_and_gradients_are_burns(
        batch in 1_usize..4, c in 1_usize..9, h in 1_usize..20, w in 2_usize..20, seed in any::<u32>(),
    ) {
        let device = Device::flex().autodiff();
        let run = |is_own: bool| {
            let mut norm: BatchNorm = BatchNormConfig::new(c).with_epsilon(1e-3).init(&device);
            norm.gamma = Param::from_tensor(random([c], seed ^ 3, &device));
            norm.beta = Param::from_tensor(random([c], seed ^ 4, &device) * 0.3);
            let x = (random([batch, c, h, w], seed, &device) * 2.0 + 0.7).require_grad();
            let y = if is_own { norm_relu(&norm, x.clone()) } else { relu(norm.forward(x.clone())) };
            let grads = (y.clone() * random(y.dims(), seed ^ 2, &device)).sum().backward();
            let of_norm = [&norm.gamma, &norm.beta].map(|p| p.val().grad(&grads).unwrap());
            let running = [&norm.running_mean, &norm.running_var].map(|r| r.value_sync().inner());
            (y.inner(), x.grad(&grads).unwrap(), of_norm, running)
        };
        let (own, burns) = (run(true), run(false));
        prop_assert!(is_close(own.0, burns.0), "output");
        prop_assert!(is_close(own.1, burns.1), "gradient of the input");
        for (own, burns) in own.2.into_iter().zip(burns.2).chain(own.3.into_iter().zip(burns.3)) {
            prop_assert!(is_close(own.clone(), burns.clone()), "{own} is not {burns}");
        }
    }
}

/// Long sums, in blocks, rows and chunks that are not all whole.
const LARGE: [ConvShape; 2] = [
    ConvShape { batch: 2, n_in: 37, n_out: 18, input: [45, 67], stride: 1 },
    ConvShape { batch: 2, n_in: 18, n_out: 37, input: [70, 90], stride: 2 },
];

fn inputs(shape: &ConvShape) -> [Vec<f32>; 3] {
    let ([h, w], [oh, ow]) = (shape.input, shape.output());
    let ConvShape { batch, n_in, n_out, .. } = *shape;
    [noise(batch * n_in * h * w, 1), noise(n_out * n_in * 9, 2), noise(batch * n_out * oh * ow, 3)]
}

fn all_of(shape: &ConvShape) -> Vec<Vec<f32>> {
    let [x, weight, grad] = inputs(shape);
    let (input, packed) = (shape.pack_input(&x), shape.pack_gradient(&grad));
    let map = MapShape { n_channels: shape.n_in, plane: shape.input[0] * shape.input[1] };
    let channels = planes::statistics(map, &x, &noise(shape.n_in, 4), &noise(shape.n_in, 5), 1e-3);
    let (dx, dgamma, dbeta) = planes::backward(map, &x, &x, &channels);
    vec![
        slices::forward(shape, &input, &weight),
        slices::input_gradient(shape, &packed, &weight),
        slices::weight_gradient(shape, &input, &packed),
        planes::forward(map, &x, &channels),
        dx,
        dgamma,
        dbeta,
    ]
}

fn bits(values: &[Vec<f32>]) -> Vec<u32> {
    values.iter().flatten().map(|v| v.to_bits()).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for shape in LARGE {
        let with =
            |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(|| all_of(&shape));
        let one = bits(&with(1));
        for n in 2..=4 {
            assert!(bits(&with(n)) == one, "{n} threads changed something");
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let shape = ConvShape { batch: 1, n_in: 3, n_out: 4, input: [5, 19], stride: 1 };
    let [x, weight, grad] = inputs(&shape);
    let (input, packed) = (shape.pack_input(&x), shape.pack_gradient(&grad));
    let blocks = [(0..3)
        .map(|i| {
            std::array::from_fn(|r| {
                std::array::from_fn(|c| std::array::from_fn(|b| weight[i * 9 + 3 * r + c + b]))
            })
        })
        .collect()];
    let taps: [[usize; 3]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| input.tap([r, c])));
    let correlate = |is_fast: bool| {
        let mut values = vec![0.0; BLOCK * 5 * 19];
        let mut out: Vec<&mut [f32]> = values.chunks_mut(5 * 19).collect();
        let target = Target { size: [5, 19], row: 19, column: 1, first: 0 };
        let row = input.row_stride;
        let kernel =
            Correlate { packed: &input, first: 0, row, taps, blocks: &blocks, out: &mut out, target };
        if is_fast {
            lanes::run(kernel);
        } else {
            kernel.run();
        }
        values
    };
    assert_eq!(bits(&[correlate(true)]), bits(&[correlate(false)]));
    let products =
        || Products { input: &input, grad: &packed, sample: 0, first: 0, stride: 1, size: shape.output() };
    let flat = |sums: Vec<_>| -> Vec<f32> {
        let sums: Vec<[[[f32; 8]; 3]; BLOCK]> = sums;
        sums.into_iter().flatten().flatten().flatten().collect()
    };
    assert_eq!(bits(&[flat(lanes::run(products()))]), bits(&[flat(products().run())]));
}

#[test]
fn without_gradients_it_is_the_same_convolution() {
    let device = Device::flex();
    let (x, weight) = (random([2, 5, 12, 9], 1, &device), random([6, 5, 3, 3], 2, &device));
    // A map that does not lie in order.
    let x = x.permute([0, 1, 3, 2]);
    assert!(is_close(conv3x3(&x, &weight, 1).unwrap(), burns(x, weight, 1)));
}

#[test]
fn what_does_not_apply_is_left_to_burn() {
    let device = Device::flex().autodiff();
    let (x, weight) = (random([1, 2, 6, 6], 1, &device), random([3, 2, 3, 3], 2, &device));
    assert!(conv3x3(&x, &weight, 1).is_some());
    assert!(conv3x3(&x, &weight, 3).is_none());
    assert!(conv3x3(&x, &random([3, 2, 1, 1], 2, &device), 1).is_none());
    let (x, weight) = (x.cast(FloatDType::BF16), weight.cast(FloatDType::BF16));
    assert!(conv3x3(&x, &weight, 1).is_none());
    let checkpointing = Device::flex().autodiff().gradient_checkpointing();
    let (x, weight) = (random([1, 2, 6, 6], 1, &checkpointing), random([3, 2, 3, 3], 2, &checkpointing));
    assert!(conv3x3(&x, &weight, 1).is_none());
}

#[test]
fn a_frozen_norm_keeps_its_running_statistics() {
    use burn::module::Module;
    let device = Device::flex().autodiff();
    let norm = BatchNormConfig::new(3).init(&device).freeze();
    let x = random([2, 3, 4, 5], 1, &device);
    assert!(is_close(norm_relu(&norm, x.clone()).inner(), relu(norm.forward(x)).inner()));
    assert!(values(norm.running_mean.value_sync()).iter().all(|v| *v == 0.0));
}
