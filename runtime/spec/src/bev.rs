//! BEV: the features of a point in its pillar, and the encoder that turns them into a canvas.

use crate::error::SpecError;
use crate::points::Point;
use serde::{Deserialize, Serialize};

/// The most features any recipe makes of a point.
pub const MAX_FEATURES: usize = 11;

/// How a point in its pillar becomes the encoder's input row.
///
/// Every value is one `f32` subtraction at most, of a point and of the pillar's mean or centre.
/// The mean is the `f32` sum of the retained points in input order, divided by their number.
///
/// **Source**: PointPillars section 2.1 (9); OpenPCDet `PillarVFE` (10, 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureRecipe {
    /// `x, y, z, i, xyz - mean, xy - centre`: the paper's nine.
    Paper9,
    /// `x, y, z, i, xyz - mean, xyz - centre`: OpenPCDet on KITTI.
    Pcdet10,
    /// `x, y, z, i, t, xyz - mean, xyz - centre`: OpenPCDet on nuScenes.
    Pcdet11,
}

impl FeatureRecipe {
    /// Values in an encoder row.
    pub fn n_features(self) -> usize {
        match self {
            Self::Paper9 => 9,
            Self::Pcdet10 => 10,
            Self::Pcdet11 => 11,
        }
    }

    /// Whether the recipe reads the time lag.
    pub fn needs_time_lag(self) -> bool {
        self == Self::Pcdet11
    }

    /// The row of a point; values past [`FeatureRecipe::n_features`] are zero.
    ///
    /// **Determinism**: the definition itself, the same bits on every backend.
    #[inline]
    pub fn row(self, p: &Point, mean: [f32; 3], centre: [f32; 3]) -> [f32; MAX_FEATURES] {
        let m = [p.x - mean[0], p.y - mean[1], p.z - mean[2]];
        let c = [p.x - centre[0], p.y - centre[1], p.z - centre[2]];
        match self {
            Self::Paper9 => [p.x, p.y, p.z, p.intensity, m[0], m[1], m[2], c[0], c[1], 0.0, 0.0],
            Self::Pcdet10 => [p.x, p.y, p.z, p.intensity, m[0], m[1], m[2], c[0], c[1], c[2], 0.0],
            Self::Pcdet11 => [p.x, p.y, p.z, p.intensity, p.time_lag, m[0], m[1], m[2], c[0], c[1], c[2]],
        }
    }
}

/// The pillar feature network: one or two linear layers with folded BatchNorm, ReLU and a max
/// over the pillar's rows; every layer but the last puts out its values beside their max.
///
/// Weights stand in `encoder.safetensors` as `pfn.{i}.weight [out, in]` and `pfn.{i}.bias [out]`,
/// both `f32`, where `out` of every layer but the last is half the layer's channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    /// The row that feeds the first layer.
    pub recipe: FeatureRecipe,
    /// Channels after each layer; the last is the canvas'.
    pub channels: Vec<u32>,
}

impl EncoderSpec {
    /// Channels of the canvas.
    pub fn n_channels(&self) -> usize {
        self.channels.last().map_or(0, |c| *c as usize)
    }

    /// `(inputs, outputs)` of the linear map of every layer.
    pub fn linear_shapes(&self) -> Vec<(usize, usize)> {
        let mut n_in = self.recipe.n_features();
        let mut shapes = Vec::with_capacity(self.channels.len());
        for (i, c) in self.channels.iter().enumerate() {
            let is_last = i + 1 == self.channels.len();
            shapes.push((n_in, if is_last { *c as usize } else { *c as usize / 2 }));
            n_in = *c as usize;
        }
        shapes
    }

    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        if !(1..=2).contains(&self.channels.len()) {
            return Err(SpecError::out_of_range(
                "bev.channels",
                format!("{} layers; this build runs 1 or 2", self.channels.len()),
            ));
        }
        // Kernels work on 8 channels at a time, halves included.
        if let Some(c) = self.channels.iter().find(|c| **c == 0 || **c > 256 || **c % 16 != 0) {
            return Err(SpecError::out_of_range(
                "bev.channels",
                format!("{c} is not a multiple of 16 in 16..=256"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact answers are meant")]

    use super::*;

    #[test]
    fn rows_are_the_published_recipes() {
        let p = Point { x: 10.0, y: 4.0, z: -1.0, intensity: 0.5, time_lag: 0.25 };
        let (mean, centre) = ([9.0, 3.5, -1.5], [10.5, 4.25, -1.0]);
        let row = FeatureRecipe::Paper9.row(&p, mean, centre);
        assert_eq!(row[..9], [10.0, 4.0, -1.0, 0.5, 1.0, 0.5, 0.5, -0.5, -0.25]);
        let row = FeatureRecipe::Pcdet10.row(&p, mean, centre);
        assert_eq!(row[..10], [10.0, 4.0, -1.0, 0.5, 1.0, 0.5, 0.5, -0.5, -0.25, 0.0]);
        let row = FeatureRecipe::Pcdet11.row(&p, mean, centre);
        assert_eq!(row, [10.0, 4.0, -1.0, 0.5, 0.25, 1.0, 0.5, 0.5, -0.5, -0.25, 0.0]);
    }

    #[test]
    fn two_layers_halve_and_concatenate() {
        let spec = EncoderSpec { recipe: FeatureRecipe::Pcdet11, channels: vec![64, 64] };
        assert_eq!(spec.linear_shapes(), vec![(11, 32), (64, 64)]);
        assert_eq!(spec.n_channels(), 64);
    }
}
