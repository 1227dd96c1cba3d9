//! The encoder's weights: read from safetensors, checked against the specification.

use pilotis_spec::EncoderSpec;
use pilotis_spec::manifest::ENCODER_FILE;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeSet;

/// The weights of the pillar feature network, laid out for the kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderWeights {
    /// One linear map a layer, first to last.
    pub layers: Vec<LinearWeights>,
}

/// A linear map with its BatchNorm folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearWeights {
    /// Values in.
    pub n_in: usize,
    /// Values out.
    pub n_out: usize,
    /// `[in, out]`, so that the outputs of one input lie side by side.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl EncoderWeights {
    /// Reads weights and checks them against the specification.
    ///
    /// **Errors**: a text without the place of the file: names, shapes or types that are not
    /// those of [`EncoderSpec`], or values that are not finite.
    pub(super) fn from_safetensors(bytes: &[u8], spec: &EncoderSpec) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| format!("{ENCODER_FILE} is no safetensors file: {e}"))?;
        let shapes = spec.linear_shapes();
        let expected: BTreeSet<String> =
            (0..shapes.len()).flat_map(|i| [format!("pfn.{i}.weight"), format!("pfn.{i}.bias")]).collect();
        if let Some(extra) = tensors.names().into_iter().find(|name| !expected.contains(*name)) {
            return Err(format!(
                "{ENCODER_FILE} holds `{extra}`, which the {} layers of bev.channels do not have",
                shapes.len()
            ));
        }
        let mut layers = Vec::with_capacity(shapes.len());
        for (i, (n_in, n_out)) in shapes.into_iter().enumerate() {
            let rows = read_f32(&tensors, &format!("pfn.{i}.weight"), &[n_out, n_in])?;
            let bias = read_f32(&tensors, &format!("pfn.{i}.bias"), &[n_out])?;
            let mut weight = Vec::with_capacity(rows.len());
            for input in 0..n_in {
                weight.extend(rows.iter().skip(input).step_by(n_in));
            }
            layers.push(LinearWeights { n_in, n_out, weight, bias });
        }
        Ok(Self { layers })
    }
}

fn read_f32(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|e| format!("{ENCODER_FILE}: `{name}`: {e}"))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("{ENCODER_FILE}: `{name}` is {:?}, not F32", tensor.dtype()));
    }
    if tensor.shape() != shape {
        return Err(format!(
            "{ENCODER_FILE}: `{name}` is {:?}, the manifest's bev wants {shape:?}",
            tensor.shape()
        ));
    }
    let (chunks, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("{ENCODER_FILE}: `{name}` has {} at {i}; the training diverged", values[i])),
        None => Ok(values),
    }
}
