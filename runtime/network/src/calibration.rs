//! Calibration: the ranges of a network's tensors, which low precisions scale by.

use crate::onnx::OnnxError;
use std::collections::BTreeMap;

/// Largest magnitude of every tensor of a network over a set of representative frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// By the tensor's name; after the ReLU where one follows.
    pub amax: BTreeMap<String, f32>,
}

impl Calibration {
    /// The range of a tensor.
    ///
    /// **Errors**: there is none, or it is not a positive number. A tensor that was zero on every frame has the
    /// range 0; it is given the smallest range that has a scale, since it may not stay zero.
    pub fn amax_of(&self, tensor: &str) -> Result<f32, OnnxError> {
        let refuse = |problem: String| OnnxError::Calibration { tensor: tensor.to_owned(), problem };
        match self.amax.get(tensor) {
            None => Err(refuse("no range: it is of another network".to_owned())),
            Some(amax) if !amax.is_finite() || *amax < 0.0 => Err(refuse(format!("the range {amax}"))),
            Some(amax) => Ok(amax.max(MIN_AMAX)),
        }
    }
}

/// Below this, a scale of `f16` would lose its digits: 127 steps of the smallest normal number.
const MIN_AMAX: f32 = 127.0 * 6.103_515_6e-5;
