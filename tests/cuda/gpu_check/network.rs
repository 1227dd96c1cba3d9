//! The networks that are compared: TensorRT on the card, and ONNX Runtime on the processor.
//!
//! On the emulator, recorded tensors stand in for TensorRT: those of ONNX Runtime, for the very canvas that the
//! card would hold.

use pilotis_network::onnx::OnnxMeta;
use pilotis_network::{Lowering, lower};
use pilotis_runtime::device::cuda::Device;
use pilotis_runtime::head::Head;
use pilotis_runtime::head::onnxruntime::OnnxRuntimeHead;
use pilotis_runtime::head::tensorrt::{Calibration, Precision, RangeMeter, read_network, tensorrt};
use pilotis_runtime::{
    BuildError, CanvasFormat, CloudFile, DeviceChoice, Engine, EngineBuilder, HeadChoice, OnMismatch, Package,
};
use pilotis_spec::{FrameError, Manifest};
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

/// What is checked; the eight-bit ones are calibrated on the clouds of the check.
pub(crate) const PRECISIONS: [Precision; 4] =
    [Precision::Fp32, Precision::Fp16, Precision::Int8, Precision::Fp8];

/// Frames of the long run on a card; the emulator takes a second for a few.
const N_FRAMES: usize = 10_000;
const N_FRAMES_EMULATED: usize = 4;

/// Why a step cannot go on.
#[derive(Debug)]
pub(crate) struct Stopped(String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<BuildError> for Stopped {
    fn from(error: BuildError) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

impl From<String> for Stopped {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What every step works on.
pub(crate) struct Subject {
    pub(crate) device: Arc<Device>,
    pub(crate) package: Package,
    pub(crate) clouds: Vec<CloudFile>,
    calibration: OnceCell<Calibration>,
}

/// How the network on the card has its canvas, in a precision.
pub(crate) fn canvas_format(precision: Precision) -> CanvasFormat {
    CanvasFormat { channels_last: true, half: precision.is_half() }
}

impl Subject {
    pub(crate) fn new(device: Arc<Device>, package: Package, clouds: Vec<CloudFile>) -> Self {
        Self { device, package, clouds, calibration: OnceCell::new() }
    }

    pub(crate) fn is_emulated(&self) -> bool {
        self.device.info().is_emulated
    }

    /// Frames of the long run.
    pub(crate) fn n_frames(&self) -> usize {
        if self.is_emulated() { N_FRAMES_EMULATED } else { N_FRAMES }
    }

    /// The whole on the processor, in `fp32`.
    pub(crate) fn on_processor(&self) -> Result<Engine, Stopped> {
        Ok(EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(&self.package)?)
    }

    /// The whole on the card. `cloud_idx` is what the emulator has tensors of.
    pub(crate) fn on_card(
        &self,
        precision: Precision,
        uses_graph: bool,
        cloud_idx: usize,
    ) -> Result<Engine, Stopped> {
        let head = if self.is_emulated() {
            HeadChoice::DeviceReplay(self.recorded(precision, cloud_idx)?)
        } else if precision.needs_calibration() {
            tensorrt(precision, Some(self.calibration()?.clone()))
        } else {
            tensorrt(precision, None)
        };
        let builder = EngineBuilder::new().device(DeviceChoice::Cuda).on_mismatch(OnMismatch::Flag);
        Ok(builder.head(head).canvas(canvas_format(precision)).graph(uses_graph).build(&self.package)?)
    }

    /// The network that TensorRT gets for a precision, as ONNX Runtime computes it: every node as it is written.
    pub(crate) fn same_network(&self, precision: Precision) -> Result<OnnxRuntimeHead, Stopped> {
        let calibration = if precision.needs_calibration() { Some(self.calibration()?) } else { None };
        let lowering = Lowering { precision, calibration, on_host: true };
        let network = read_network(&self.package)?;
        let onnx = lower(&network, &lowering, &OnnxMeta::default()).map_err(|e| e.to_string())?;
        Ok(OnnxRuntimeHead::build_as_written(&onnx, self.package.manifest(), 1)?)
    }

    /// The network of the package, as ONNX Runtime runs it in frames.
    pub(crate) fn package_network(&self) -> Result<OnnxRuntimeHead, Stopped> {
        Ok(OnnxRuntimeHead::build(self.package.network("fp32")?, self.package.manifest(), 1)?)
    }

    /// What the emulator replays: the same network's tensors for a cloud's canvas, which is drawn on the processor
    /// and rounded as the card's is.
    pub(crate) fn recorded(&self, precision: Precision, cloud_idx: usize) -> Result<Vec<Vec<f32>>, Stopped> {
        let mut processor = self.on_processor()?;
        let cloud = self.clouds.get(cloud_idx).ok_or_else(|| "there is no such cloud".to_owned())?;
        processor.infer(&cloud.view()).map_err(|e| e.to_string())?;
        let mut canvas = planes_of(&mut processor)?;
        if precision.is_half() {
            canvas.iter_mut().for_each(|v| *v = half::f16::from_f32(*v).to_f32());
        }
        run(&mut self.same_network(precision)?, &canvas, self.package.manifest())
    }

    fn calibration(&self) -> Result<&Calibration, Stopped> {
        if let Some(known) = self.calibration.get() {
            return Ok(known);
        }
        let mut meter = RangeMeter::build(&self.package, 1)?;
        for cloud in &self.clouds {
            meter.add(&cloud.view()).map_err(|e| e.to_string())?;
        }
        let measured = meter.finish()?;
        Ok(self.calibration.get_or_init(|| measured))
    }
}

/// The canvas of an engine's last frame, as planes.
pub(crate) fn planes_of(engine: &mut Engine) -> Result<Vec<f32>, Stopped> {
    let Manifest { bev, grid, .. } = engine.manifest();
    let (n_channels, n_cells) = (bev.n_channels(), grid.n_cells());
    let frame = engine.last_frame().map_err(|e| e.to_string())?;
    let mut canvas = vec![0.0; n_channels * n_cells];
    for (cell, channels) in frame.cells.iter().zip(frame.channels.chunks_exact(n_channels)) {
        for (channel, value) in channels.iter().enumerate() {
            canvas[channel * n_cells + *cell as usize] = *value;
        }
    }
    match frame.n_left_over {
        0 => Ok(canvas),
        n => Err(format!("the canvas holds {n} values of an earlier frame").into()),
    }
}

/// All raw tensors of a canvas.
pub(crate) fn run(
    head: &mut OnnxRuntimeHead,
    canvas: &[f32],
    manifest: &Manifest,
) -> Result<Vec<Vec<f32>>, Stopped> {
    head.canvas().copy_from_slice(canvas);
    let failed = |e: FrameError, said: &str| Stopped(format!("{e}; {said}"));
    head.run().map_err(|e| failed(e, head.last_error()))?;
    Ok((0..manifest.head.tensors(&manifest.grid).len()).map(|idx| head.tensor(idx).to_vec()).collect())
}
