//! Tiles: the inner loops of a convolution and of its gradients.

use super::lanes::Kernel;
use super::packing::{Packed, TILE};

/// Output channels that a tile has.
pub(crate) const BLOCK: usize = 4;

/// Values of one vector.
pub(crate) const LANES: usize = 8;

type Tile = [[f32; LANES]; TILE / LANES];

/// Weights of a block of channels: `[input channel][row of taps][tap][channel of the block]`.
pub(crate) type BlockWeights<const R: usize, const C: usize> = Vec<[[[f32; BLOCK]; C]; R]>;

/// Where the outputs of some rows go, within the values of a channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Rows and columns of outputs.
    pub(crate) size: [usize; 2],
    /// Values from one row of outputs to the next.
    pub(crate) row: usize,
    /// Values from one column of outputs to the next.
    pub(crate) column: usize,
    /// Where the first output goes.
    pub(crate) first: usize,
}

/// Correlates some rows of a packed map with the weights of all output channels.
///
/// Each output is `x0 w0 + x1 w1 + ...` over input channels, and within one over taps, one fused
/// multiply-add after the other in that order.
pub(crate) struct Correlate<'a, 'b, const R: usize, const C: usize> {
    pub(crate) packed: &'a Packed,
    /// Where the first tap of the first output row lies.
    pub(crate) first: usize,
    /// Values from there to the first tap of the next row.
    pub(crate) row: usize,
    /// Distance of each tap from the first: rows of taps, taps of a row.
    pub(crate) taps: [[usize; C]; R],
    pub(crate) blocks: &'a [BlockWeights<R, C>],
    /// The rows of every output channel.
    pub(crate) out: &'a mut [&'b mut [f32]],
    pub(crate) target: Target,
}

impl<const R: usize, const C: usize> Kernel for Correlate<'_, '_, R, C> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { packed, first, row, taps, blocks, out, target } = self;
        let [height, width] = target.size;
        // The rows under the kernel stay in the second cache while all channels pass over them.
        for (weights, out) in blocks.iter().zip(out.chunks_mut(BLOCK)) {
            for y in 0..height {
                for x in (0..width).step_by(TILE) {
                    let acc = tile(packed, first + y * row + x, &taps, weights);
                    let place = target.first + y * target.row + x * target.column;
                    let n = TILE.min(width - x);
                    for (values, out) in acc.iter().zip(out.iter_mut()) {
                        store(&values.as_flattened()[..n], &mut out[place..], target.column);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn store(values: &[f32], out: &mut [f32], column: usize) {
    if column == 1 {
        out[..values.len()].copy_from_slice(values);
    } else {
        out.iter_mut().step_by(column).zip(values).for_each(|(place, v)| *place = *v);
    }
}

/// One tile: the accumulators stay in registers.
#[inline(always)]
fn tile<const R: usize, const C: usize>(
    packed: &Packed,
    first: usize,
    taps: &[[usize; C]; R],
    weights: &BlockWeights<R, C>,
) -> [Tile; BLOCK] {
    let values = packed.values();
    let mut acc = [[[0.0; LANES]; TILE / LANES]; BLOCK];
    let mut at = first;
    for channel in weights {
        for (taps, weights) in taps.iter().zip(channel) {
            // Constant and short, so that it is unrolled.
            for (tap, w) in taps.iter().zip(weights) {
                let x = values[at + tap..at + tap + TILE].as_chunks::<LANES>().0;
                acc = add_scaled(acc, [x[0], x[1]], *w);
            }
        }
        at += packed.row_len;
    }
    acc
}

/// By value and over constant bounds, so that the accumulators stay in registers.
#[allow(clippy::needless_range_loop, reason = "iterators here cost the vectorization")]
#[inline(always)]
fn add_scaled(acc: [Tile; BLOCK], x: Tile, w: [f32; BLOCK]) -> [Tile; BLOCK] {
    let mut next = acc;
    for c in 0..BLOCK {
        for k in 0..TILE / LANES {
            for l in 0..LANES {
                next[c][k][l] = x[k][l].mul_add(w[c], acc[c][k][l]);
            }
        }
    }
    next
}

/// Sums of one row of a kernel, for each channel of a block.
pub(crate) type RowSums = [[[f32; LANES]; 3]; BLOCK];
/// Values of a row of one channel that are gone through before the next input channel: about
/// what four channels of them leave of the first cache.
const CHUNK: usize = 512;

/// Blocks that share the input rows in the second cache.
pub(crate) const GROUP: usize = 4;

/// Sums the products of some output gradients with the input under each tap, over one sample.
///
/// The result is `[block][input channel][kernel row]`, lanes still apart.
#[derive(Debug)]
pub(crate) struct Products<'a> {
    /// The packed input of the convolution.
    pub(crate) input: &'a Packed,
    /// The packed gradient of its output, with a border of one.
    pub(crate) grad: &'a Packed,
    pub(crate) sample: usize,
    /// First channel of the group; those past the last repeat it.
    pub(crate) first: usize,
    pub(crate) stride: usize,
    /// Rows and columns of the output.
    pub(crate) size: [usize; 2],
}

impl Kernel for Products<'_> {
    type Output = Vec<RowSums>;

    #[inline(always)]
    fn run(self) -> Vec<RowSums> {
        let [height, width] = self.size;
        let n_blocks = (self.grad.n_channels - self.first).div_ceil(BLOCK).min(GROUP);
        let n_of_block = self.input.n_channels * 3;
        let mut sums = vec![[[[0.0; LANES]; 3]; BLOCK]; n_blocks * n_of_block];
        let n_chunk = (CHUNK / width.max(1)).max(1);
        for from in (0..height).step_by(n_chunk) {
            let rows = (from, (from + n_chunk).min(height));
            for (block, sums) in sums.chunks_exact_mut(n_of_block).enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = self.rows(*sum, self.first + block * BLOCK, rows, i / 3, i % 3);
                }
            }
        }
        sums
    }
}

impl Products<'_> {
    /// Adds the rows `from..to` for one input channel and kernel row.
    #[inline(always)]
    fn rows(
        &self,
        sums: RowSums,
        first: usize,
        (from, to): (usize, usize),
        channel: usize,
        ky: usize,
    ) -> RowSums {
        let (input, grad) = (self.input, self.grad);
        let taps = [0, 1, 2].map(|kx| input.tap([0, kx]));
        let last = grad.n_channels - 1;
        let channels: [usize; BLOCK] = std::array::from_fn(|c| (first + c).min(last) * grad.row_len);
        let n = self.size[1].next_multiple_of(LANES);
        let mut acc = sums;
        for y in from..to {
            let at = input.row(self.sample, y * self.stride + ky) + channel * input.row_len;
            let [x0, x1, x2] = taps.map(|tap| lanes(input.values(), at + tap, n));
            let at = grad.row(self.sample, y + 1) + 1;
            let [g0, g1, g2, g3] = channels.map(|c| lanes(grad.values(), at + c, n));
            let x = x0.iter().zip(x1).zip(x2);
            let g = g0.iter().zip(g1).zip(g2).zip(g3);
            for (((x0, x1), x2), (((g0, g1), g2), g3)) in x.zip(g) {
                acc = add_products(acc, [*x0, *x1, *x2], [*g0, *g1, *g2, *g3]);
            }
        }
        acc
    }
}

#[inline(always)]
fn lanes(values: &[f32], first: usize, n: usize) -> &[[f32; LANES]] {
    values.get(first..first + n).unwrap_or(&[]).as_chunks::<LANES>().0
}

#[allow(clippy::needless_range_loop, reason = "iterators here cost the vectorization")]
#[inline(always)]
fn add_products(acc: RowSums, x: [[f32; LANES]; 3], g: [[f32; LANES]; BLOCK]) -> RowSums {
    let mut next = acc;
    for c in 0..BLOCK {
        for k in 0..3 {
            for l in 0..LANES {
                next[c][k][l] = x[k][l].mul_add(g[c][l], acc[c][k][l]);
            }
        }
    }
    next
}
