//! Conv: 3 x 3 convolutions with a border of one, and their gradients, on plain slices.
//!
//! **Determinism**: work is split by sample and by blocks of channels, whatever the number of
//! threads, and no sum crosses a split: the same bits for any number of threads.

use super::lanes;
use super::packing::Packed;
use super::tiles::{BLOCK, BlockWeights, Correlate, GROUP, LANES, Products, RowSums, Target};
use rayon::prelude::*;

/// Weights of a kernel.
const TAPS: usize = 9;

/// A row or column of the kernel: which of its weights, and where over the packed map.
#[derive(Clone, Copy)]
struct Tap {
    weight: usize,
    place: usize,
}

type Taps<const N: usize> = [Tap; N];

const fn tap(weight: usize, place: usize) -> Tap {
    Tap { weight, place }
}

const FORWARD: Taps<3> = [tap(0, 0), tap(1, 1), tap(2, 2)];
/// Flipped, the kernel leads from the gradient back to the input.
const BACKWARD: Taps<3> = [tap(2, 0), tap(1, 1), tap(0, 2)];
/// With stride 2, even rows and columns of the input see the middle of the kernel only; odd ones
/// its last at the output before them and its first at the output after.
const EVEN: Taps<1> = [tap(1, 1)];
const ODD: Taps<2> = [tap(2, 1), tap(0, 2)];

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    /// Samples.
    pub(crate) batch: usize,
    /// Input channels.
    pub(crate) n_in: usize,
    /// Output channels.
    pub(crate) n_out: usize,
    /// Rows and columns of the input.
    pub(crate) input: [usize; 2],
    /// 1 or 2.
    pub(crate) stride: usize,
}

impl ConvShape {
    /// Rows and columns of the output.
    pub(crate) fn output(&self) -> [usize; 2] {
        self.input.map(|n| (n - 1) / self.stride + 1)
    }

    /// The input, packed for [`forward`] and [`weight_gradient`].
    pub(crate) fn pack_input(&self, x: &[f32]) -> Packed {
        let [h, w] = self.input;
        Packed::new(x, [self.batch, self.n_in, h, w], self.output()[1], self.stride)
    }

    /// The gradient of the output, packed for [`input_gradient`] and [`weight_gradient`].
    pub(crate) fn pack_gradient(&self, grad: &[f32]) -> Packed {
        let [h, w] = self.output();
        Packed::new(grad, [self.batch, self.n_out, h, w], w, 1)
    }
}

/// The convolution: `[B, out, h, w]` from the packed input and `weight [out, in, 3, 3]`.
pub(crate) fn forward(shape: &ConvShape, input: &Packed, weight: &[f32]) -> Vec<f32> {
    let [height, width] = shape.output();
    let weight =
        |out: usize, in_: usize, [ky, kx]: [usize; 2]| weight[(out * shape.n_in + in_) * TAPS + 3 * ky + kx];
    let part = Part::new([shape.n_out, shape.n_in], input, shape.stride, weight, (FORWARD, FORWARD));
    let mut y = vec![0.0; shape.batch * shape.n_out * height * width];
    for_each_rows(&mut y, shape.n_out, [height, width], rows_at_once(input), |sample, from, n, out| {
        let target = Target { size: [n, width], row: width, column: 1, first: 0 };
        part.run(input, sample, from, out, target);
    });
    y
}

/// The gradient of the input `[B, in, h, w]`.
pub(crate) fn input_gradient(shape: &ConvShape, grad: &Packed, weight: &[f32]) -> Vec<f32> {
    let [height, width] = shape.input;
    let sizes = [shape.n_in, shape.n_out];
    let weight =
        |in_: usize, out: usize, [ky, kx]: [usize; 2]| weight[(out * shape.n_in + in_) * TAPS + 3 * ky + kx];
    let mut x = vec![0.0; shape.batch * shape.n_in * height * width];
    if shape.stride == 1 {
        let part = Part::new(sizes, grad, 1, weight, (BACKWARD, BACKWARD));
        for_each_rows(&mut x, shape.n_in, [height, width], rows_at_once(grad), |sample, from, n, out| {
            let target = Target { size: [n, width], row: width, column: 1, first: 0 };
            part.run(grad, sample, from, out, target);
        });
        return x;
    }
    let even = Part::new(sizes, grad, 1, weight, (EVEN, EVEN));
    let odd_column = Part::new(sizes, grad, 1, weight, (EVEN, ODD));
    let odd_row = Part::new(sizes, grad, 1, weight, (ODD, EVEN));
    let odd = Part::new(sizes, grad, 1, weight, (ODD, ODD));
    for_each_rows(&mut x, shape.n_in, [height, width], 2 * rows_at_once(grad), |sample, from, n, out| {
        let target = |row: usize, column: usize| Target {
            size: [(n + 1 - row) / 2, (width + 1 - column) / 2],
            row: 2 * width,
            column: 2,
            first: row * width + column,
        };
        even.run(grad, sample, from / 2, out, target(0, 0));
        odd_column.run(grad, sample, from / 2, out, target(0, 1));
        odd_row.run(grad, sample, from / 2, out, target(1, 0));
        odd.run(grad, sample, from / 2, out, target(1, 1));
    });
    x
}

/// Taps, and the weights that they take: `R` rows of `C` taps.
struct Part<const R: usize, const C: usize> {
    blocks: Vec<BlockWeights<R, C>>,
    taps: [[usize; C]; R],
    stride: usize,
}

impl<const R: usize, const C: usize> Part<R, C> {
    /// From `n_from` channels of a packed map `n_to` of another, by `weight(to, from, [row, column])`.
    fn new(
        [n_to, n_from]: [usize; 2],
        packed: &Packed,
        stride: usize,
        weight: impl Fn(usize, usize, [usize; 2]) -> f32,
        (rows, columns): (Taps<R>, Taps<C>),
    ) -> Self {
        let value = |to: usize, from: usize, row: Tap, column: Tap| {
            if to < n_to { weight(to, from, [row.weight, column.weight]) } else { 0.0 }
        };
        let channel = |first: usize, from: usize| {
            rows.map(|row| columns.map(|column| std::array::from_fn(|c| value(first + c, from, row, column))))
        };
        let block = |first: usize| (0..n_from).map(|from| channel(first, from)).collect();
        let blocks = (0..n_to).step_by(BLOCK).map(block).collect();
        let taps = rows.map(|row| columns.map(|column| packed.tap([row.place, column.place])));
        Self { blocks, taps, stride }
    }

    /// Rows of outputs from row `from` of a sample on, as many as the target has.
    fn run(&self, packed: &Packed, sample: usize, from: usize, out: &mut [&mut [f32]], target: Target) {
        let first = packed.row(sample, from * self.stride);
        let row = self.stride * packed.row_stride;
        lanes::run(Correlate { packed, first, row, taps: self.taps, blocks: &self.blocks, out, target });
    }
}

/// Rows of outputs that are worked on at once: the rows under them should fit the second cache.
fn rows_at_once(packed: &Packed) -> usize {
    const VALUES: usize = 32 * 1024;
    (VALUES / packed.row_stride.max(1)).saturating_sub(2).max(1)
}

/// Calls `f(sample, first row, rows, values)` for every `n_rows` rows of `map [B, C, h, w]`, with the
/// values of each channel.
fn for_each_rows(
    map: &mut [f32],
    n_channels: usize,
    [height, width]: [usize; 2],
    n_rows: usize,
    f: impl Fn(usize, usize, usize, &mut [&mut [f32]]) + Sync,
) {
    let n_parts = height.div_ceil(n_rows);
    let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
    for sample in map.chunks_exact_mut((n_channels * height * width).max(1)) {
        let first = parts.len();
        parts.extend((0..n_parts).map(|_| Vec::with_capacity(n_channels)));
        for channel in sample.chunks_exact_mut(height * width) {
            let rows = channel.chunks_mut(n_rows * width);
            parts[first..].iter_mut().zip(rows).for_each(|(part, rows)| part.push(rows));
        }
    }
    parts.into_par_iter().enumerate().for_each(|(i, mut out)| {
        let (sample, from) = (i / n_parts, i % n_parts * n_rows);
        f(sample, from, n_rows.min(height - from), &mut out);
    });
}

/// The gradient of the weight `[out, in, 3, 3]`.
pub(crate) fn weight_gradient(shape: &ConvShape, input: &Packed, grad: &Packed) -> Vec<f32> {
    let n_groups = shape.n_out.div_ceil(BLOCK * GROUP);
    let part = |i: usize| {
        let (sample, first) = (i / n_groups, i % n_groups * BLOCK * GROUP);
        let (stride, size) = (shape.stride, shape.output());
        let sums = lanes::run(Products { input, grad, sample, first, stride, size });
        let channel = |c: usize| {
            let rows = &sums[c / BLOCK * shape.n_in * 3..][..shape.n_in * 3];
            rows.iter().flat_map(|row| total(row, c % BLOCK)).collect::<Vec<f32>>()
        };
        let n = (shape.n_out - first).min(BLOCK * GROUP);
        (0..n).flat_map(channel).collect::<Vec<f32>>()
    };
    let parts: Vec<Vec<f32>> = (0..shape.batch * n_groups).into_par_iter().map(part).collect();
    // One sample after the other.
    let mut weight = vec![0.0; shape.n_out * shape.n_in * TAPS];
    for parts in parts.chunks_exact(n_groups) {
        weight.iter_mut().zip(parts.iter().flatten()).for_each(|(sum, v)| *sum += v);
    }
    weight
}

fn total(sums: &RowSums, channel: usize) -> [f32; 3] {
    sums[channel].map(|lanes: [f32; LANES]| lanes.iter().sum())
}
