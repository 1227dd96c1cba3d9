//! Golden: an input that travels with a package, and what every stage must answer to it.

use crate::boxes::Detection;
use serde::{Deserialize, Serialize};

/// File of the answers inside a package.
pub const GOLDEN_FILE: &str = "golden/golden.toml";

/// What every stage answers to the golden cloud.
///
/// The first three stages are bit-exact everywhere, so digests stand for them; the network's
/// numbers depend on library and processor, so samples with a tolerance do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The cloud, in the manifest's layout, relative to the package.
    pub input: String,
    /// Points of the cloud.
    pub n_points: u32,
    /// Points that reached the encoder.
    pub n_points_kept: u32,
    /// Pillars encoded.
    pub n_pillars: u32,
    /// SHA-256 of, pillar by pillar, cell, number of points, and the points' indices (`u32` LE).
    pub pillars_sha256: String,
    /// SHA-256 of, by ascending cell, the cell (`u32` LE) and its canvas channels (`f32` LE).
    pub canvas_sha256: String,
    /// Largest difference allowed between a tensor sample and the runtime's value.
    pub head_tolerance: f32,
    /// Samples of every output tensor.
    pub tensors: Vec<GoldenTensor>,
    /// The best boxes, at most 50.
    #[serde(default)]
    pub boxes: Vec<Detection>,
}

/// Samples of one raw tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenTensor {
    /// Name of the tensor.
    pub name: String,
    /// Flat indices of the samples.
    pub idx: Vec<u32>,
    /// Values there, as Burn computed them.
    pub values: Vec<f32>,
}
