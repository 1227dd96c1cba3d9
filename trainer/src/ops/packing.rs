//! Packing: maps with their borders, laid out for reading one row of all channels at a time.

use rayon::prelude::*;

/// Pixels that a tile has side by side.
pub(crate) const TILE: usize = 16;

/// A padded copy of a map: `[sample][row][channel][column]`.
///
/// Rows lie outermost, so that the rows under a kernel are a few blocks of memory and not one place
/// per channel. Around the map and right of it, up to a whole tile, stand zeros.
#[derive(Debug)]
pub(crate) struct Packed {
    values: Vec<f32>,
    /// Rows of a sample, borders included.
    pub(crate) n_rows: usize,
    /// Channels.
    pub(crate) n_channels: usize,
    /// Values from one row of all channels to the next.
    pub(crate) row_stride: usize,
    /// Columns of a row of one channel, all its phases together.
    pub(crate) row_len: usize,
    /// Distance of the odd columns from the even ones where they are stored apart, else 0.
    pub(crate) phase: usize,
}

impl Packed {
    /// Packs `map [B, C, h, w]` with a border of one, for tiles over `n_columns` of them.
    ///
    /// With `stride` 2 the even and the odd columns of the padded row are stored one after the
    /// other, so that every tap of a tile is a run of neighbours.
    pub(crate) fn new(
        map: &[f32],
        [batch, n_channels, h, w]: [usize; 4],
        n_columns: usize,
        stride: usize,
    ) -> Self {
        let n_rows = h + 2;
        // A tile reaches two columns further with stride 1, one of each phase with stride 2.
        let (phase, row_len) = match stride {
            1 => (0, n_columns.next_multiple_of(TILE).max(w) + 2),
            _ => {
                let phase = n_columns.next_multiple_of(TILE).max(w.div_ceil(2)) + 1;
                (phase, 2 * phase)
            }
        };
        let row_stride = n_channels * row_len;
        let mut values = vec![0.0; batch * n_rows * row_stride];
        values.par_chunks_exact_mut(row_stride.max(1)).enumerate().for_each(|(i, rows)| {
            let (sample, row) = (i / n_rows, i % n_rows);
            if row == 0 || row > h {
                return;
            }
            for (c, out) in rows.chunks_exact_mut(row_len).enumerate() {
                let from = ((sample * n_channels + c) * h + row - 1) * w;
                let line = &map[from..from + w];
                if phase == 0 {
                    out[1..=w].copy_from_slice(line);
                } else {
                    // Padded column 2k is map column 2k - 1.
                    let (even, odd) = out.split_at_mut(phase);
                    for (pair, (e, o)) in line.chunks(2).zip(even[1..].iter_mut().zip(odd)) {
                        *o = pair[0];
                        if let Some(v) = pair.get(1) {
                            *e = *v;
                        }
                    }
                }
            }
        });
        Self { values, n_rows, n_channels, row_stride, row_len, phase }
    }

    /// All values.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Where a padded row of a sample begins.
    pub(crate) fn row(&self, sample: usize, row: usize) -> usize {
        (sample * self.n_rows + row) * self.row_stride
    }

    /// Distance of a kernel's tap from its first, for the output column that the tile begins with.
    pub(crate) fn tap(&self, [ky, kx]: [usize; 2]) -> usize {
        let column = if self.phase == 0 { kx } else { (kx % 2) * self.phase + kx / 2 };
        ky * self.row_stride + column
    }
}
