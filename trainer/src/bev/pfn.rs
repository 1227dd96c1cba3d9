//! PFN: the pillar feature network in training form.

use super::PillarBatch;
use crate::export::encoder::PfnWeights;
use crate::head::layers::{Init, norm, norm_values, values};
use burn::module::Module;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, activation::relu};
use pilotis_spec::EncoderSpec;

/// BatchNorm of the encoder, **Source**: OpenPCDet `PFNLayer`.
const EPSILON: f64 = 1e-3;
const MOMENTUM: f64 = 0.01;

/// The pillar feature network: one or two linear layers with BatchNorm, ReLU and a max over the
/// pillar; every layer but the last puts out its values beside their max.
///
/// BatchNorm counts every row of the published `[P, M]` table, padding included, as OpenPCDet
/// does: that is what the field trains, and what the running statistics mean.
#[derive(Module, Debug)]
pub struct Pfn {
    layers: Vec<PfnLayer>,
}

#[derive(Module, Debug)]
struct PfnLayer {
    linear: Linear,
    norm: BatchNorm,
}

impl PfnLayer {
    /// Linear and BatchNorm of `x [R, in]`, whose rows count by `weights [1, R]`.
    ///
    /// The statistics of a linear map follow from those of its input: with the covariance
    /// `S [in, in]` of `x`, output `j` has variance `w_j' S w_j`. So BatchNorm is part of one
    /// matrix product, and no pass over `[R, out]` is needed for it, forward or backward.
    fn forward(&self, x: Tensor<2>, weights: &Tensor<2>) -> Tensor<2> {
        let weight = self.linear.weight.val();
        let [_, n_out] = weight.dims();
        let row = |t: Tensor<1>| t.reshape([1, n_out]);
        let (gamma, beta) = (row(self.norm.gamma.val()), row(self.norm.beta.val()));
        if !x.device().is_autodiff() {
            let scale = gamma / (row(self.norm.running_var.value()) + EPSILON).sqrt();
            let shift = beta - row(self.norm.running_mean.value()) * scale.clone();
            return x.matmul(weight * scale) + shift;
        }
        let mean = weights.clone().matmul(x.clone());
        let centred = x - mean.clone();
        let covariance = centred.clone().transpose().mul(weights.clone()).matmul(centred.clone());
        // Rounding may leave a variance of zero slightly below it.
        let variance = weight.clone().mul(covariance.matmul(weight.clone())).sum_dim(0).clamp_min(0.0);
        self.update_running(mean.matmul(weight.clone()), &variance);
        let scale = gamma / (variance + EPSILON).sqrt();
        centred.matmul(weight * scale) + beta
    }

    fn update_running(&self, mean: Tensor<2>, variance: &Tensor<2>) {
        let n_out = variance.dims()[1];
        let moved = |old: Tensor<1>, new: Tensor<2>| {
            (old * (1.0 - MOMENTUM) + new.reshape([n_out]).detach() * MOMENTUM).detach()
        };
        self.norm.running_mean.update(moved(self.norm.running_mean.value_sync(), mean));
        self.norm.running_var.update(moved(self.norm.running_var.value_sync(), variance.clone()));
    }
}

impl Pfn {
    pub(crate) fn init(spec: &EncoderSpec, init: &mut Init) -> Self {
        let layers = spec.linear_shapes().into_iter().map(|(n_in, n_out)| PfnLayer {
            linear: init.linear(n_in, n_out),
            norm: norm(n_out, EPSILON, MOMENTUM, init.device()),
        });
        Self { layers: layers.collect() }
    }

    /// One vector per pillar, in the order of [`PillarBatch`]'s cells: `[P, C]`.
    ///
    /// On a device with autodiff this is a training pass, which moves the running statistics.
    pub fn forward(&self, batch: &PillarBatch) -> Tensor<2> {
        let mut x = batch.rows.clone();
        let (Some(last), true) = (self.layers.last(), batch.n_pillars() > 0) else {
            let n_out = self.layers.last().map_or(0, |l| l.linear.weight.dims()[1]);
            return Tensor::zeros([0, n_out], &x.device());
        };
        for layer in &self.layers[..self.layers.len() - 1] {
            let y = relu(layer.forward(x, &batch.weights));
            let max = spread(&max(&y, batch), batch);
            x = Tensor::cat(vec![y, max], 1);
        }
        // ReLU is monotonic: after the max it has fewer values to look at.
        relu(max(&last.forward(x, &batch.weights), batch))
    }

    /// The layers with BatchNorm folded in, in evaluation form.
    pub fn weights(&self) -> Vec<PfnWeights> {
        let layers = self.layers.iter().map(|layer| {
            let [n_in, n_out] = layer.linear.weight.dims();
            let mut weight = values(layer.linear.weight.val().transpose());
            let bias = norm_values(&layer.norm).fold(&[n_out, n_in], &mut weight, 0);
            PfnWeights { weight, bias, n_in, n_out }
        });
        layers.collect()
    }
}

/// The largest row of every pillar: `[R, C] -> [P, C]`.
fn max(y: &Tensor<2>, batch: &PillarBatch) -> Tensor<2> {
    let [_, c] = y.dims();
    let mut first = 0;
    let parts = batch.runs.iter().map(|run| {
        let n = run.n_pillars * run.n_rows;
        let rows = y.clone().narrow(0, first, n);
        first += n;
        if run.n_rows == 1 {
            rows
        } else {
            rows.reshape([run.n_pillars, run.n_rows, c]).max_dim(1).reshape([run.n_pillars, c])
        }
    });
    Tensor::cat(parts.collect(), 0)
}

/// Every pillar's vector for every row of it: `[P, C] -> [R, C]`.
fn spread(x: &Tensor<2>, batch: &PillarBatch) -> Tensor<2> {
    let [_, c] = x.dims();
    let mut first = 0;
    let parts = batch.runs.iter().map(|run| {
        let pillars = x.clone().narrow(0, first, run.n_pillars);
        first += run.n_pillars;
        let wide = pillars.reshape([run.n_pillars, 1, c]).repeat_dim(1, run.n_rows);
        wide.reshape([run.n_pillars * run.n_rows, c])
    });
    Tensor::cat(parts.collect(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bev::PillarSample;
    use burn::tensor::Device;
    use pilotis_spec::{FeatureRecipe, OverflowPolicy, PillarMode, PillarsSpec};

    const F: usize = 10;

    fn spec(mode: PillarMode) -> PillarsSpec {
        let cap = if mode == PillarMode::Hard { 5 } else { 0 };
        PillarsSpec { mode, max_points_per_pillar: cap, max_pillars: 100, overflow: OverflowPolicy::First }
    }

    fn sample(counts: &[u32], seed: f32) -> PillarSample {
        let n: u32 = counts.iter().sum();
        let features = (0..n as usize * F).map(|i| ((i as f32 + seed) * 0.7).sin() * (1.0 + (i % F) as f32));
        PillarSample {
            features: features.collect(),
            n_points: counts.to_vec(),
            cells: (0..counts.len() as u32).map(|p| (p * 7) % 30).collect(),
        }
    }

    /// A network whose BatchNorm does something, on a plain device.
    fn network(channels: &[u32]) -> Pfn {
        let device = Device::flex();
        let encoder = EncoderSpec { recipe: FeatureRecipe::Pcdet10, channels: channels.to_vec() };
        let mut pfn = Pfn::init(&encoder, &mut Init::new(3, &device));
        for layer in &mut pfn.layers {
            let n = layer.linear.weight.dims()[1];
            let some = |f: fn(f32) -> f32| {
                Tensor::<1>::from_floats((0..n).map(|i| f(i as f32)).collect::<Vec<_>>().as_slice(), &device)
            };
            layer.norm.gamma = burn::module::Param::from_tensor(some(|i| 0.8 - 0.07 * i));
            layer.norm.beta = burn::module::Param::from_tensor(some(|i| 0.3 - 0.05 * i));
            layer.norm.running_mean.update(some(|i| 0.1 * i - 0.4));
            layer.norm.running_var.update(some(|i| 0.5 + 0.2 * i));
            layer.norm.running_mean.value_sync();
            layer.norm.running_var.value_sync();
        }
        pfn
    }

    /// Linear, BatchNorm, ReLU, max over the published table `[P, M, F]`, in `f64`. With
    /// `statistics`, BatchNorm takes those of the table. One vector per (sample, pillar).
    fn published(pfn: &Pfn, samples: &[PillarSample], cap: Option<usize>, statistics: bool) -> Vec<Vec<f64>> {
        let mut table: Vec<Vec<Vec<f64>>> = Vec::new();
        for sample in samples {
            let mut first = 0;
            for n in &sample.n_points {
                let n = *n as usize;
                let mut rows: Vec<Vec<f64>> = sample.features[first * F..(first + n) * F]
                    .chunks(F)
                    .map(|row| row.iter().map(|v| f64::from(*v)).collect())
                    .collect();
                rows.resize(cap.unwrap_or(n), vec![0.0; F]);
                table.push(rows);
                first += n;
            }
        }
        for (l, layer) in pfn.layers.iter().enumerate() {
            let [n_in, n_out] = layer.linear.weight.dims();
            let weight = values(layer.linear.weight.val());
            let bn = norm_values(&layer.norm);
            for row in table.iter_mut().flatten() {
                *row = (0..n_out)
                    .map(|o| (0..n_in).map(|i| row[i] * f64::from(weight[i * n_out + o])).sum())
                    .collect();
            }
            for o in 0..n_out {
                let column: Vec<f64> = table.iter().flatten().map(|row| row[o]).collect();
                let n = column.len() as f64;
                let (mut mean, mut var) = (f64::from(bn.mean[o]), f64::from(bn.var[o]));
                if statistics {
                    mean = column.iter().sum::<f64>() / n;
                    var = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
                }
                for row in table.iter_mut().flatten() {
                    let normal = (row[o] - mean) / (var + EPSILON).sqrt();
                    row[o] = (normal * f64::from(bn.gamma[o]) + f64::from(bn.beta[o])).max(0.0);
                }
            }
            for rows in &mut table {
                let max: Vec<f64> =
                    (0..n_out).map(|o| rows.iter().map(|row| row[o]).fold(0.0, f64::max)).collect();
                if l + 1 == pfn.layers.len() {
                    *rows = vec![max];
                } else {
                    rows.iter_mut().for_each(|row| row.extend_from_slice(&max));
                }
            }
        }
        table.into_iter().map(|rows| rows[0].clone()).collect()
    }

    /// `(cell, vector)` of every pillar, sorted by cell.
    fn by_cell(cells: impl Iterator<Item = i32>, vectors: Vec<Vec<f64>>) -> Vec<(i32, Vec<f64>)> {
        let mut all: Vec<_> = cells.zip(vectors).collect();
        all.sort_by_key(|(cell, _)| *cell);
        all
    }

    #[test]
    fn the_packed_batch_gives_the_published_tables_vectors() {
        // Heights below, at and around every run, and the cap itself.
        let samples = [sample(&[1, 5, 2, 4, 3, 5], 0.0), sample(&[3, 1, 1, 5], 100.0)];
        let map = [5, 6];
        for channels in [vec![16], vec![16, 32]] {
            for mode in [PillarMode::Hard, PillarMode::Dynamic] {
                for training in [false, true] {
                    let mut pfn = network(&channels);
                    let spec = spec(mode);
                    let cap = (mode == PillarMode::Hard).then_some(5);
                    let expected = published(&pfn, &samples, cap, training);
                    let cells = samples.iter().enumerate().flat_map(|(s, sample)| {
                        sample.cells.iter().map(move |c| (s * 30) as i32 + *c as i32)
                    });
                    let expected = by_cell(cells, expected);
                    let mut device = Device::flex();
                    if training {
                        device = device.autodiff();
                        pfn = pfn.train();
                    }
                    let batch = PillarBatch::new(&samples, &spec, F, map, &device);
                    let c = channels[channels.len() - 1] as usize;
                    let got: Vec<Vec<f64>> = values(pfn.forward(&batch))
                        .chunks(c)
                        .map(|v| v.iter().map(|v| f64::from(*v)).collect())
                        .collect();
                    let got = by_cell(batch.cells.clone().into_data().iter::<i32>(), got);
                    assert_eq!(got.len(), expected.len());
                    let mut seen = 0.0_f64;
                    for ((cell, v), (expected_cell, e)) in got.iter().zip(&expected) {
                        assert_eq!(cell, expected_cell);
                        for (v, e) in v.iter().zip(e) {
                            seen = seen.max(*e);
                            // f32 sums of up to 64 products of numbers near 10.
                            assert!((v - e).abs() < 2e-5, "{channels:?} {mode:?} {training}: {v} {e}");
                        }
                    }
                    assert!(seen > 0.5, "nothing but zeros");
                }
            }
        }
    }

    #[test]
    fn running_statistics_move_by_the_momentum_in_training_alone() {
        let samples = [sample(&[2, 5], 0.0)];
        let device = Device::flex().autodiff();
        let batch = PillarBatch::new(&samples, &spec(PillarMode::Hard), F, [5, 6], &device);
        let pfn = network(&[16]).train();
        let before = norm_values(&pfn.layers[0].norm);
        pfn.valid().forward(&batch.without_autodiff());
        assert_eq!(norm_values(&pfn.layers[0].norm), before);
        pfn.forward(&batch);
        let after = norm_values(&pfn.layers[0].norm);
        // The table has 10 rows, 3 of them padding.
        let weight = values(pfn.layers[0].linear.weight.val());
        for o in 0..16 {
            let outputs: Vec<f32> = samples[0]
                .features
                .chunks(F)
                .map(|row| row.iter().enumerate().map(|(i, v)| v * weight[i * 16 + o]).sum())
                .collect();
            let mean = outputs.iter().sum::<f32>() / 10.0;
            let var = (outputs.iter().map(|v| (v - mean).powi(2)).sum::<f32>() + 3.0 * mean * mean) / 10.0;
            assert!((after.mean[o] - (0.99 * before.mean[o] + 0.01 * mean)).abs() < 1e-6);
            assert!((after.var[o] - (0.99 * before.var[o] + 0.01 * var)).abs() < 1e-5);
        }
    }

    #[test]
    fn folded_weights_give_the_evaluated_vectors() {
        let samples = [sample(&[2, 5, 1], 0.0)];
        let device = Device::flex();
        let batch = PillarBatch::new(&samples, &spec(PillarMode::Dynamic), F, [5, 6], &device);
        let pfn = network(&[16]);
        let got = values(pfn.forward(&batch));
        let w = &pfn.weights()[0];
        assert_eq!((w.n_in, w.n_out), (F, 16));
        // Runs are sorted by height: pillars 2, 0, 1 of 1, 2, 5 points.
        for (p, rows) in [(0, 7..8), (1, 0..2), (2, 2..7)] {
            for o in 0..16 {
                let of = |row: &[f32]| (0..F).map(|i| row[i] * w.weight[o * F + i]).sum::<f32>() + w.bias[o];
                let max =
                    rows.clone().map(|r| of(&samples[0].features[r * F..(r + 1) * F])).fold(0.0, f32::max);
                assert!((got[p * 16 + o] - max).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn no_pillars_are_no_vectors() {
        let device = Device::flex().autodiff();
        let batch = PillarBatch::new(&[PillarSample::default()], &spec(PillarMode::Hard), F, [5, 6], &device);
        assert_eq!(network(&[16]).train().forward(&batch).dims(), [0, 16]);
    }
}
