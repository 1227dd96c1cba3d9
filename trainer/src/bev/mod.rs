//! BEV: pillars of a batch, and the encoder that turns them into a canvas.

pub mod pfn;
pub mod scatter;

use burn::tensor::{Device, Int, Tensor, TensorData};
use pilotis_spec::{PillarMode, PillarsSpec};

/// The pillars of one sample, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PillarSample {
    /// Decorated rows of the retained points, pillar after pillar, without padding.
    pub features: Vec<f32>,
    /// Points of each pillar, at least one.
    pub n_points: Vec<u32>,
    /// Cell `iy * nx + ix` of each pillar, each at most once.
    pub cells: Vec<u32>,
}

/// Pillars of equal height, which stand one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) n_pillars: usize,
    pub(crate) n_rows: usize,
}

/// The pillars of a batch, packed.
///
/// The table `[P, M, F]` of the published encoders is mostly padding: `P x M` rows for a few
/// points a pillar. Every padded row of a pillar equals every other one, so one of them with the
/// right **weight** gives the same maximum and the same BatchNorm statistics. Pillars are
/// therefore sorted into runs of about their height:
///
/// - hard pillars hold their points and, where they are short of the cap, at least one zero row.
///   The first zero row weighs as much as all the padded rows of the published table;
/// - dynamic pillars have no padding: rows that fill up a run repeat the first and weigh nothing.
#[derive(Clone, Debug)]
pub struct PillarBatch {
    /// `[R, F]`, run after run, pillar after pillar.
    pub(crate) rows: Tensor<2>,
    /// `[1, R]`: share of each row in the BatchNorm statistics; sums to one.
    pub(crate) weights: Tensor<2>,
    pub(crate) runs: Vec<Run>,
    /// `[P, 1]`: `sample * ny * nx + iy * nx + ix`, unique.
    pub(crate) cells: Tensor<2, Int>,
    pub(crate) batch_size: usize,
    /// `[ny, nx]`.
    pub(crate) map: [usize; 2],
}

/// The smallest of 1, 2, 3, 4, 6, 8, 12, ... that holds `n` rows.
fn run_height(n: usize) -> usize {
    let power = n.next_power_of_two();
    let between = power / 4 * 3;
    if between >= n { between } else { power }
}

impl PillarBatch {
    /// Packs the pillars of one sample each.
    ///
    /// **Shapes**: rows have `n_features` values; the canvas will have `[ny, nx]` cells.
    /// **Determinism**: the order of pillars is a function of their order and heights alone.
    pub fn new(
        samples: &[PillarSample],
        spec: &PillarsSpec,
        n_features: usize,
        [ny, nx]: [usize; 2],
        device: &Device,
    ) -> Self {
        let cap = match spec.mode {
            PillarMode::Hard => Some(spec.max_points_per_pillar as usize),
            PillarMode::Dynamic => None,
        };
        // (height of its run, sample, pillar, first value)
        let mut order = Vec::new();
        for (s, sample) in samples.iter().enumerate() {
            let mut first = 0;
            for (p, n) in sample.n_points.iter().enumerate() {
                let n = *n as usize;
                debug_assert!(n > 0 && cap.is_none_or(|cap| n <= cap), "a pillar of {n} points");
                let height = match cap {
                    Some(cap) => run_height((n + 1).min(cap)).min(cap),
                    None => run_height(n),
                };
                order.push((height, s, p, first));
                first += n * n_features;
            }
            debug_assert_eq!(first, sample.features.len(), "features and n_points disagree");
        }
        order.sort_by_key(|(height, ..)| *height);

        let n_rows: usize = order.iter().map(|(height, ..)| height).sum();
        let mut rows = Vec::with_capacity(n_rows * n_features);
        let mut weights: Vec<f32> = Vec::with_capacity(n_rows);
        let mut cells = Vec::with_capacity(order.len());
        let mut runs: Vec<Run> = Vec::new();
        for (height, s, p, first) in &order {
            let sample = &samples[*s];
            let n = sample.n_points[*p] as usize;
            let values = &sample.features[*first..first + n * n_features];
            rows.extend_from_slice(values);
            weights.resize(weights.len() + n, 1.0);
            for i in n..*height {
                match cap {
                    Some(cap) => {
                        rows.resize(rows.len() + n_features, 0.0);
                        weights.push(if i == n { (cap - n) as f32 } else { 0.0 });
                    }
                    None => {
                        rows.extend_from_slice(&values[..n_features]);
                        weights.push(0.0);
                    }
                }
            }
            cells.push((s * ny * nx) as i32 + sample.cells[*p] as i32);
            match runs.last_mut() {
                Some(run) if run.n_rows == *height => run.n_pillars += 1,
                _ => runs.push(Run { n_pillars: 1, n_rows: *height }),
            }
        }
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        let share = (1.0 / total.max(1.0)) as f32;
        weights.iter_mut().for_each(|w| *w *= share);
        let n_pillars = cells.len();
        Self {
            rows: Tensor::from_data(TensorData::new(rows, [n_rows, n_features]), device),
            weights: Tensor::from_data(TensorData::new(weights, [1, n_rows]), device),
            runs,
            cells: Tensor::from_data(TensorData::new(cells, [n_pillars, 1]), device),
            batch_size: samples.len(),
            map: [ny, nx],
        }
    }

    /// Samples in the batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Pillars in the batch.
    pub fn n_pillars(&self) -> usize {
        self.runs.iter().map(|run| run.n_pillars).sum()
    }

    /// Rows that the encoder computes, padding included.
    pub fn n_rows(&self) -> usize {
        self.runs.iter().map(|run| run.n_pillars * run.n_rows).sum()
    }

    /// The same batch for inference.
    #[must_use]
    pub fn without_autodiff(&self) -> Self {
        Self {
            rows: self.rows.clone().without_autodiff(),
            weights: self.weights.clone().without_autodiff(),
            runs: self.runs.clone(),
            cells: self.cells.clone().without_autodiff(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_waste_less_than_half() {
        let mut last = 0;
        for n in 1..2000 {
            let h = run_height(n);
            assert!(h >= n && h >= last && 2 * h < 3 * n + 2, "{n} -> {h}");
            last = h;
        }
        assert_eq!([1, 2, 3, 4, 5, 7, 9, 33].map(run_height), [1, 2, 3, 4, 6, 8, 12, 48]);
    }
}
