//! PFN: the pillar feature network in training form.

use super::PillarBatch;
use crate::head::layers::{Init, norm, norm_values, values};
use burn::module::Module;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, activation::relu};
use pilotis_spec::EncoderSpec;

/// BatchNorm of the encoder, **Source**: OpenPCDet `PFNLayer`.
const EPSILON: f64 = 1e-3;
const MOMENTUM: f64 = 0.01;

/// The weights of one layer with BatchNorm folded in, as the runtime reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct PfnWeights {
    /// `[n_out, n_in]` in row-major order.
    pub weight: Vec<f32>,
    /// One per output.
    pub bias: Vec<f32>,
    /// Inputs.
    pub n_in: usize,
    /// Outputs.
    pub n_out: usize,
}

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
            let max = spread(max(y.clone(), batch), batch);
            x = Tensor::cat(vec![y, max], 1);
        }
        // ReLU is monotonic: after the max it has fewer values to look at.
        relu(max(last.forward(x, &batch.weights), batch))
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
fn max(y: Tensor<2>, batch: &PillarBatch) -> Tensor<2> {
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
fn spread(x: Tensor<2>, batch: &PillarBatch) -> Tensor<2> {
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
