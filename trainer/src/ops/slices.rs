//! Conv: 3 x 3 convolutions with a border of one, and their gradients, on plain slices.
//!
//! **Determinism**: work is split by sample and by blocks of channels, whatever the number of
//! threads, and no sum crosses a split: the same bits for any number of threads.

use super::lanes;
use super::packing::Packed;
use super::tiles::{BLOCK, Correlate, LANES, Products, RowSums, Target};
use rayon::prelude::*;

/// Taps of the kernel.
const TAPS: usize = 9;

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
    let tap = |t: usize| [t / 3, t % 3];
    let weight = |out: usize, in_: usize, [ky, kx]: [usize; 2]| {
        weight[(out * shape.n_in + in_) * TAPS + 3 * ky + kx]
    };
    let part = Part::<TAPS>::new([shape.n_out, shape.n_in], input, shape.stride, weight, tap, tap);
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
    let weight = |in_: usize, out: usize, [ky, kx]: [usize; 2]| {
        weight[(out * shape.n_in + in_) * TAPS + 3 * ky + kx]
    };
    let mut x = vec![0.0; shape.batch * shape.n_in * height * width];
    if shape.stride == 1 {
        // Flipped, the kernel leads from the gradient back to the input.
        let part =
            Part::<TAPS>::new(sizes, grad, 1, weight, |t| [2 - t / 3, 2 - t % 3], |t| [t / 3, t % 3]);
        for_each_rows(&mut x, shape.n_in, [height, width], rows_at_once(grad), |sample, from, n, out| {
            let target = Target { size: [n, width], row: width, column: 1, first: 0 };
            part.run(grad, sample, from, out, target);
        });
        return x;
    }
    // Inputs of each parity of row and column see their own taps: even ones the middle of the
    // kernel, odd ones its last at the output before them and its first at the output after.
    let kernel = [2, 0];
    let place = |t: usize| 1 + t;
    let even = Part::<1>::new(sizes, grad, 1, weight, |_| [1, 1], |_| [1, 1]);
    let odd_column = Part::<2>::new(sizes, grad, 1, weight, |t| [1, kernel[t]], |t| [1, place(t)]);
    let odd_row = Part::<2>::new(sizes, grad, 1, weight, |t| [kernel[t], 1], |t| [place(t), 1]);
    let odd = Part::<4>::new(
        sizes,
        grad,
        1,
        weight,
        |t| [kernel[t / 2], kernel[t % 2]],
        |t| [place(t / 2), place(t % 2)],
    );
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

/// Taps, and the weights that they take.
struct Part<const T: usize> {
    blocks: Vec<Vec<[[f32; BLOCK]; T]>>,
    taps: [usize; T],
    stride: usize,
}

impl<const T: usize> Part<T> {
    /// From `n_from` channels of a packed map `n_to` of another. Tap `t` takes
    /// `weight(to, from, kernel(t))` and stands at `place(t)`, row and column.
    fn new(
        [n_to, n_from]: [usize; 2],
        packed: &Packed,
        stride: usize,
        weight: impl Fn(usize, usize, [usize; 2]) -> f32,
        kernel: impl Fn(usize) -> [usize; 2],
        place: impl Fn(usize) -> [usize; 2],
    ) -> Self {
        let value = |to, from, t| if to < n_to { weight(to, from, kernel(t)) } else { 0.0 };
        let block = |first: usize| {
            let channel =
                |from| std::array::from_fn(|t| std::array::from_fn(|c| value(first + c, from, t)));
            (0..n_from).map(channel).collect()
        };
        let blocks = (0..n_to).step_by(BLOCK).map(block).collect();
        Self { blocks, taps: std::array::from_fn(|t| packed.tap(place(t))), stride }
    }

    /// Rows of outputs from row `from` of a sample on, as many as the target has.
    fn run(&self, packed: &Packed, sample: usize, from: usize, out: &mut [&mut [f32]], target: Target) {
        let first = packed.row(sample, from * self.stride);
        let row = self.stride * packed.n_channels * packed.row_len;
        lanes::run(Correlate { packed, first, row, taps: self.taps, blocks: &self.blocks, out, target });
    }
}

/// Rows of outputs that are worked on at once: the rows under them should fit the second cache.
fn rows_at_once(packed: &Packed) -> usize {
    const VALUES: usize = 32 * 1024;
    (VALUES / (packed.n_channels * packed.row_len).max(1)).saturating_sub(2).max(1)
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
    let mut weight = vec![0.0; shape.n_out * shape.n_in * TAPS];
    let n_block = BLOCK * shape.n_in * TAPS;
    weight.par_chunks_mut(n_block.max(1)).enumerate().for_each(|(block, out)| {
        let (batch, stride, size) = (shape.batch, shape.stride, shape.output());
        let sums = lanes::run(Products { input, grad, batch, first: block * BLOCK, stride, size });
        for (c, out) in out.chunks_exact_mut(shape.n_in * TAPS).enumerate() {
            for (row, sums) in out.chunks_exact_mut(3).zip(&sums) {
                row.copy_from_slice(&total(sums, c));
            }
        }
    });
    weight
}

fn total(sums: &RowSums, channel: usize) -> [f32; 3] {
    sums[channel].map(|lanes: [f32; LANES]| lanes.iter().sum())
}

