//! Encoder: the pillar feature network as `encoder.safetensors`.

use anyhow::{Context, ensure};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// A linear map of the pillar feature network with its BatchNorm folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct PfnWeights {
    /// `[out, in]` in row-major order.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
    /// Values in.
    pub n_in: usize,
    /// Values out.
    pub n_out: usize,
}

/// The bytes of `encoder.safetensors`: `pfn.{i}.weight [out, in]` and `pfn.{i}.bias [out]`.
///
/// **Determinism**: equal layers give equal bytes.
///
/// **Errors**: no layers, sizes that contradict each other, or values that are not finite.
pub fn to_safetensors(layers: &[PfnWeights]) -> anyhow::Result<Vec<u8>> {
    ensure!(!layers.is_empty(), "the encoder has no layers");
    let mut tensors = Vec::with_capacity(2 * layers.len());
    for (i, layer) in layers.iter().enumerate() {
        for (name, values, shape) in [
            ("weight", &layer.weight, vec![layer.n_out, layer.n_in]),
            ("bias", &layer.bias, vec![layer.n_out]),
        ] {
            let n: usize = shape.iter().product();
            ensure!(
                n > 0 && values.len() == n,
                "pfn.{i}.{name} of shape {shape:?} has {} values",
                values.len()
            );
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                anyhow::bail!("pfn.{i}.{name} has {} at {at}: the training diverged", values[at]);
            }
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((format!("pfn.{i}.{name}"), shape, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .context("encoder weights")?;
    safetensors::serialize(views, None).context("encoder weights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    fn layer(n_in: usize, n_out: usize) -> PfnWeights {
        let weight = (0..n_in * n_out).map(|i| i as f32 * 0.5).collect();
        PfnWeights { weight, bias: vec![-1.0; n_out], n_in, n_out }
    }

    #[test]
    fn layers_stand_under_their_names_with_their_bits() {
        let layers = [layer(11, 32), layer(64, 48)];
        let bytes = to_safetensors(&layers).unwrap();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.len(), 4);
        for (i, layer) in layers.iter().enumerate() {
            let weight = read.tensor(&format!("pfn.{i}.weight")).unwrap();
            assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, [layer.n_out, layer.n_in].as_slice()));
            let values: Vec<u8> = layer.weight.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(weight.data(), values);
            let bias = read.tensor(&format!("pfn.{i}.bias")).unwrap();
            assert_eq!(bias.shape(), [layer.n_out]);
        }
        assert_eq!(bytes, to_safetensors(&layers).unwrap());
    }

    #[test]
    fn layers_that_are_no_layers_are_refused() {
        let cases: [(Vec<PfnWeights>, &str); 4] = [
            (vec![], "no layers"),
            (vec![PfnWeights { n_in: 10, ..layer(9, 16) }], "pfn.0.weight of shape [16, 10] has 144"),
            (vec![layer(9, 16), PfnWeights { bias: vec![0.0; 15], ..layer(32, 16) }], "pfn.1.bias"),
            (vec![PfnWeights { bias: vec![f32::NAN; 16], ..layer(9, 16) }], "NaN at 0"),
        ];
        for (layers, said) in cases {
            let error = to_safetensors(&layers).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
