//! Placement: what runs the stages and the network, as the commands that run frames take it.

use anyhow::{Context, Result};
use clap::ValueEnum;
use pilotis_runtime::device::trt::{Flavour, Library};
use pilotis_runtime::device::{OnDeviceLost, Resolved};
use pilotis_runtime::head::tensorrt::{Precision, calibration, tensorrt};
use pilotis_runtime::{DeviceChoice, Engine, EngineBuilder, HeadChoice, OnMismatch, Package};
use std::path::PathBuf;

/// What runs the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Network {
    /// TensorRT where a card runs the stages and the library is there, else ONNX Runtime.
    Auto,
    /// ONNX Runtime, on the processor.
    Onnxruntime,
    /// TensorRT, on the card.
    Tensorrt,
}

/// Where frames run.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Placement {
    /// Threads of the network on the processor; results do not depend on it.
    #[arg(long, value_name = "N", default_value = "1", value_parser = super::parse_threads)]
    pub(super) threads: usize,
    /// What runs the stages: cpu, cuda, or auto for cuda where it can be used.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(super) device: DeviceChoice,
    /// What runs the network. TensorRT takes a card; its plan is built, or found where plans are kept.
    #[arg(long, value_enum, default_value = "auto")]
    network: Network,
    /// What TensorRT computes in: fp32, fp16, fp8 or int8. ONNX Runtime computes in fp32.
    #[arg(long, default_value_t = Precision::Fp16)]
    precision: Precision,
    /// Ranges for fp8 and int8, where the package has none: see `pilotis engine calibrate`.
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Once the card is lost: fail every frame, or go on on the cpu, whose memory is then taken at once.
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    on_device_lost: OnDeviceLost,
}

impl Placement {
    /// Everything on the processor.
    pub(super) fn on_cpu(threads: usize) -> Self {
        Self {
            threads,
            device: DeviceChoice::Cpu,
            network: Network::Onnxruntime,
            precision: Precision::Fp32,
            calibration: None,
            on_device_lost: OnDeviceLost::Fail,
        }
    }

    /// Builds the engine of a package.
    pub(super) fn build(&self, package: &Package, on_mismatch: OnMismatch) -> Result<Engine> {
        let builder = EngineBuilder::new()
            .threads(self.threads)
            .on_mismatch(on_mismatch)
            .device(self.device)
            .on_device_lost(self.on_device_lost)
            .head(self.head()?);
        let of = || format!("no engine can be made of the model `{}`", package.dir().display());
        builder.build(package).with_context(of)
    }

    fn head(&self) -> Result<HeadChoice> {
        let uses_tensorrt = match self.network {
            Network::Onnxruntime => false,
            Network::Tensorrt => true,
            Network::Auto => self.can_use_tensorrt()?,
        };
        if !uses_tensorrt {
            return Ok(HeadChoice::OnnxRuntime);
        }
        let given = self.calibration.as_deref().map(calibration::read).transpose()?;
        Ok(tensorrt(self.precision, given))
    }

    /// Whether there is a card, and a library for it. The emulator runs no library's kernels.
    fn can_use_tensorrt(&self) -> Result<bool> {
        if self.device == DeviceChoice::Cpu {
            return Ok(false);
        }
        match self.device.resolve()? {
            Resolved::Cpu { .. } => Ok(false),
            Resolved::Cuda(device) if device.info().is_emulated => Ok(false),
            Resolved::Cuda(_) => {
                let library = Library::open(Flavour::Rtx);
                if let Err(e) = &library {
                    tracing::warn!("the network runs on the processor: {e}");
                }
                Ok(library.is_ok())
            }
        }
    }
}
