//! BatchNorm, folded into the weights before it.

/// The statistics and affine map of a BatchNorm, per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Scale.
    pub gamma: Vec<f32>,
    /// Shift.
    pub beta: Vec<f32>,
    /// Running mean.
    pub mean: Vec<f32>,
    /// Running variance.
    pub var: Vec<f32>,
    /// Added to the variance.
    pub eps: f64,
}

impl BatchNorm {
    /// The affine map `(scale, shift)` that the BatchNorm is at inference, computed in `f64`.
    pub fn affine(&self) -> Vec<(f64, f64)> {
        let channels = self.gamma.iter().zip(&self.beta).zip(self.mean.iter().zip(&self.var));
        channels
            .map(|((gamma, beta), (mean, var))| {
                let scale = f64::from(*gamma) / (f64::from(*var) + self.eps).sqrt();
                (scale, f64::from(*beta) - f64::from(*mean) * scale)
            })
            .collect()
    }

    /// Folds itself into weights that have no bias: their output channel is dimension `axis` of
    /// `shape` (0 for Linear `[out, in]` and Conv, 1 for ConvTranspose). Returns the bias.
    pub fn fold(&self, shape: &[usize], values: &mut [f32], axis: usize) -> Vec<f32> {
        let affine = self.affine();
        let inner: usize = shape[axis + 1..].iter().product();
        let n = shape[axis];
        for (i, v) in values.iter_mut().enumerate() {
            let (scale, _) = affine[i / inner % n];
            *v = (f64::from(*v) * scale) as f32;
        }
        affine.iter().map(|(_, shift)| *shift as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm() -> BatchNorm {
        BatchNorm {
            gamma: vec![2.0, -1.0],
            beta: vec![0.5, 0.0],
            mean: vec![1.0, 3.0],
            var: vec![3.0, 0.0],
            eps: 1.0,
        }
    }

    #[test]
    fn folding_scales_the_output_axis() {
        // Conv [2 out, 1 in, 1, 2]: rows are output channels.
        let mut conv = vec![1.0, 2.0, 3.0, 4.0];
        let bias = norm().fold(&[2, 1, 1, 2], &mut conv, 0);
        assert_eq!(conv, vec![1.0, 2.0, -3.0, -4.0]);
        assert_eq!(bias, vec![-0.5, 3.0]);
        // ConvTranspose [1 in, 2 out, 1, 2]: the second axis is.
        let mut transposed = vec![1.0, 2.0, 3.0, 4.0];
        let bias = norm().fold(&[1, 2, 1, 2], &mut transposed, 1);
        assert_eq!(transposed, vec![1.0, 2.0, -3.0, -4.0]);
        assert_eq!(bias, vec![-0.5, 3.0]);
        // [2 in, 2 out]: alternating.
        let mut square = vec![1.0, 1.0, 1.0, 1.0];
        norm().fold(&[2, 2], &mut square, 1);
        assert_eq!(square, vec![1.0, -1.0, 1.0, -1.0]);
    }
}
