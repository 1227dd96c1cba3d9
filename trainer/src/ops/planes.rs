//! Planes: BatchNorm followed by ReLU over the planes of a map `[B, C, h, w]`, on plain slices.
//!
//! **Determinism**: a channel's sums run plane after plane in a fixed order, one channel never
//! split: the same bits for any number of threads.

use super::lanes::{self, Kernel};
use rayon::prelude::*;

/// Values that are worked on side by side.
const WIDE: usize = 32;

/// What BatchNorm does to a channel: `relu((x - mean) * scale + shift)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Channel {
    /// Mean of the batch.
    pub(crate) mean: f32,
    /// Biased variance of the batch.
    pub(crate) variance: f32,
    /// One over the root of variance and epsilon.
    pub(crate) inverse: f32,
    /// `gamma` times `inverse`.
    pub(crate) scale: f32,
    /// `beta`.
    pub(crate) shift: f32,
}

/// Sizes of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MapShape {
    /// Channels.
    pub(crate) n_channels: usize,
    /// Values of a plane.
    pub(crate) plane: usize,
}

impl MapShape {
    /// The planes of a channel, one a sample.
    fn planes<'a>(&self, map: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> {
        map.chunks_exact(self.plane.max(1)).skip(channel).step_by(self.n_channels.max(1))
    }
}

/// The statistics of every channel, and what follows from them.
pub(crate) fn statistics(
    shape: MapShape,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
) -> Vec<Channel> {
    let n = (x.len() / shape.n_channels.max(1)) as f64;
    let channel = |c: usize| {
        let sum = |mean: f32, squared: bool| -> f64 {
            shape.planes(x, c).map(|plane| lanes::run(Sum { plane, mean, squared })).sum()
        };
        let mean = (sum(0.0, false) / n) as f32;
        let variance = sum(mean, true) / n;
        let inverse = (1.0 / (variance + epsilon).sqrt()) as f32;
        Channel { mean, variance: variance as f32, inverse, scale: gamma[c] * inverse, shift: beta[c] }
    };
    (0..shape.n_channels).into_par_iter().map(channel).collect()
}

/// `relu((x - mean) * scale + shift)`.
pub(crate) fn forward(shape: MapShape, x: &[f32], channels: &[Channel]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let planes = y.par_chunks_mut(shape.plane.max(1)).zip(x.par_chunks(shape.plane.max(1)));
    planes.enumerate().for_each(|(i, (out, plane))| {
        lanes::run(Apply { plane, channel: channels[i % shape.n_channels], out });
    });
    y
}

/// Gradients of [`forward`]'s input, statistics included, and of `gamma` and `beta`.
pub(crate) fn backward(
    shape: MapShape,
    x: &[f32],
    grad: &[f32],
    channels: &[Channel],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let n = (x.len() / shape.n_channels.max(1)) as f64;
    let sums = channels.par_iter().enumerate().map(|(c, channel)| {
        let planes = shape.planes(x, c).zip(shape.planes(grad, c));
        planes.fold([0.0; 2], |total: [f64; 2], (plane, grad)| {
            let sums = lanes::run(GradSums { plane, grad, channel: *channel });
            [total[0] + sums[0], total[1] + sums[1]]
        })
    });
    let sums: Vec<[f64; 2]> = sums.collect();
    let mut out = vec![0.0; x.len()];
    let planes = x.par_chunks(shape.plane.max(1)).zip(grad.par_chunks(shape.plane.max(1)));
    out.par_chunks_mut(shape.plane.max(1)).zip(planes).enumerate().for_each(|(i, (out, (plane, grad)))| {
        let channel = channels[i % shape.n_channels];
        let [sum, along] = sums[i % shape.n_channels].map(|s| s / n);
        let along = (along * f64::from(channel.inverse).powi(2)) as f32;
        lanes::run(GradApply { plane, grad, channel, mean: sum as f32, along, out });
    });
    let gamma = sums.iter().zip(channels).map(|(s, c)| (s[1] * f64::from(c.inverse)) as f32);
    (out, gamma.collect(), sums.iter().map(|s| s[0] as f32).collect())
}

/// Sum of `x`, or of `(x - mean)^2`.
struct Sum<'a> {
    plane: &'a [f32],
    mean: f32,
    squared: bool,
}

impl Kernel for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let mut acc = [0.0_f32; WIDE];
        let (wide, rest) = self.plane.as_chunks::<WIDE>();
        if self.squared {
            wide.iter().for_each(|x| add_squares(&mut acc, x, self.mean));
            add_squares(&mut acc, rest, self.mean);
        } else {
            wide.iter().for_each(|x| add(&mut acc, x));
            add(&mut acc, rest);
        }
        total(&acc)
    }
}

#[inline(always)]
fn add(acc: &mut [f32; WIDE], x: &[f32]) {
    acc.iter_mut().zip(x).for_each(|(a, x)| *a += x);
}

#[inline(always)]
fn add_squares(acc: &mut [f32; WIDE], x: &[f32], mean: f32) {
    acc.iter_mut().zip(x).for_each(|(a, x)| *a = (x - mean).mul_add(x - mean, *a));
}

#[inline(always)]
fn total(acc: &[f32; WIDE]) -> f64 {
    acc.iter().map(|a| f64::from(*a)).sum()
}

/// Before ReLU. One formula, so that the backward pass finds the same values positive.
#[inline(always)]
fn value(x: f32, c: &Channel) -> f32 {
    (x - c.mean).mul_add(c.scale, c.shift)
}

struct Apply<'a> {
    plane: &'a [f32],
    channel: Channel,
    out: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (out, x) in self.out.iter_mut().zip(self.plane) {
            let v = value(*x, &self.channel);
            *out = if v > 0.0 { v } else { 0.0 };
        }
    }
}

/// Sums of the gradient behind ReLU, and of its product with `x - mean`.
struct GradSums<'a> {
    plane: &'a [f32],
    grad: &'a [f32],
    channel: Channel,
}

impl Kernel for GradSums<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run(self) -> [f64; 2] {
        let (mut sum, mut along) = ([0.0_f32; WIDE], [0.0_f32; WIDE]);
        let (x, x_rest) = self.plane.as_chunks::<WIDE>();
        let (g, g_rest) = self.grad.as_chunks::<WIDE>();
        for (x, g) in x.iter().zip(g) {
            add_grads(&mut sum, &mut along, x, g, &self.channel);
        }
        add_grads(&mut sum, &mut along, x_rest, g_rest, &self.channel);
        [total(&sum), total(&along)]
    }
}

#[inline(always)]
fn add_grads(sum: &mut [f32; WIDE], along: &mut [f32; WIDE], x: &[f32], g: &[f32], c: &Channel) {
    for ((sum, along), (x, g)) in sum.iter_mut().zip(along).zip(x.iter().zip(g)) {
        let g = if value(*x, c) > 0.0 { *g } else { 0.0 };
        *sum += g;
        *along = (x - c.mean).mul_add(g, *along);
    }
}

/// The gradient of the input: what is left of it along neither the mean nor the deviation.
struct GradApply<'a> {
    plane: &'a [f32],
    grad: &'a [f32],
    channel: Channel,
    mean: f32,
    along: f32,
    out: &'a mut [f32],
}

impl Kernel for GradApply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { plane, grad, channel: c, mean, along, out } = self;
        for (out, (x, g)) in out.iter_mut().zip(plane.iter().zip(grad)) {
            let g = if value(*x, &c) > 0.0 { *g } else { 0.0 };
            *out = (c.mean - x).mul_add(along, g - mean) * c.scale;
        }
    }
}
