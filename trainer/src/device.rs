//! Device: where tensors live and who computes.

use anyhow::{Context, bail};
use burn::tensor::Device;

/// The device that a command line names: `cpu`, `cuda` or `cuda:N`.
///
/// Nothing is chosen by default: a run says where it ran. The device is plain;
/// `.autodiff()` makes it one to train on.
///
/// **Errors**: an unknown name, or CUDA in a build without the feature `cuda`.
pub fn training_device(name: &str) -> anyhow::Result<Device> {
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let index: usize =
        index.parse().with_context(|| format!("device `{name}`: no number after the colon"))?;
    match kind {
        "cpu" if !name.contains(':') => Ok(Device::flex()),
        "cuda" => cuda(index),
        _ => bail!("device `{name}` is none of cpu, cuda, cuda:N"),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> anyhow::Result<Device> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> anyhow::Result<Device> {
    bail!(
        "device `cuda:{index}`: this build has no CUDA; build it with \
         `cargo build --release -p pilotis-trainer --features cuda`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_and_never_guessed() {
        assert_eq!(training_device("cpu").unwrap(), Device::flex());
        for wrong in ["", "gpu", "cuda:x", "cpu:0", "CPU"] {
            assert!(training_device(wrong).is_err(), "`{wrong}` was taken");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_how_to_get_it() {
        let error = training_device("cuda:1").unwrap_err().to_string();
        assert!(error.contains("cuda:1") && error.contains("--features cuda"), "{error}");
    }
}
