//! Builder: the cold path. Everything that allocates, loads, checks and warms up.

use crate::bev::{BevStage, CanvasFormat, LayerWeights};
use crate::boxes::BoxesStage;
use crate::device::{DeviceChoice, Resolved};
use crate::engine::cpu::CpuStages;
use crate::engine::cuda::CudaStages;
use crate::engine::{Engine, Stages};
use crate::error::{BuildError, BuildErrorKind};
use crate::head::{Head, onnxruntime::OnnxRuntimeHead, replay::ReplayHead};
use crate::package::Package;
use crate::pillars::PillarsStage;
use crate::points::{CloudView, OnMismatch, PointsStage};
use pilotis_spec::{Point, Stage};

/// Frames run before an engine is handed out, so that lazy initialization is over.
const WARM_UP_FRAMES: usize = 2;

/// What runs the network.
#[derive(Clone, Debug, Default)]
pub enum HeadChoice {
    /// ONNX Runtime on the CPU.
    #[default]
    OnnxRuntime,
    /// Recorded tensors, in the order of [`pilotis_spec::HeadLayout::tensors`]; for tests.
    Replay(Vec<Vec<f32>>),
}

/// Options of an engine.
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    n_threads: usize,
    precision: String,
    on_mismatch: OnMismatch,
    head: HeadChoice,
    device: DeviceChoice,
    canvas: CanvasFormat,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl EngineBuilder {
    /// ONNX Runtime in `fp32` on one thread, our stages on the CPU; clouds unlike the training data
    /// are refused.
    pub fn new() -> Self {
        Self {
            n_threads: 1,
            precision: "fp32".to_owned(),
            on_mismatch: OnMismatch::Refuse,
            head: HeadChoice::OnnxRuntime,
            device: DeviceChoice::Cpu,
            canvas: CanvasFormat::default(),
        }
    }

    /// What runs our stages. The network stays where [`EngineBuilder::head`] says.
    #[must_use]
    pub fn device(mut self, device: DeviceChoice) -> Self {
        self.device = device;
        self
    }

    /// How the canvas lies in the memory of a card. A network on the host reads planes of `f32`, the
    /// default, and so do the stages on the CPU, which take no other.
    #[must_use]
    pub fn canvas(mut self, format: CanvasFormat) -> Self {
        self.canvas = format;
        self
    }

    /// Threads of the network, at least 1. Results do not depend on it.
    #[must_use]
    pub fn threads(mut self, n_threads: usize) -> Self {
        self.n_threads = n_threads.max(1);
        self
    }

    /// Which of the package's networks runs.
    #[must_use]
    pub fn precision(mut self, precision: &str) -> Self {
        precision.clone_into(&mut self.precision);
        self
    }

    /// What to do with clouds unlike the training data.
    #[must_use]
    pub fn on_mismatch(mut self, policy: OnMismatch) -> Self {
        self.on_mismatch = policy;
        self
    }

    /// What runs the network.
    #[must_use]
    pub fn head(mut self, head: HeadChoice) -> Self {
        self.head = head;
        self
    }

    /// Builds and warms up an engine.
    ///
    /// **Errors**: a package whose parts do not fit, a network that is not the manifest's, a
    /// native library that is missing. **Allocation**: all of the engine's, here.
    pub fn build(self, package: &Package) -> Result<Engine, BuildError> {
        let manifest = package.manifest().clone();
        let head: Box<dyn Head> = match self.head {
            HeadChoice::OnnxRuntime => {
                let onnx = package.network(&self.precision)?;
                Box::new(OnnxRuntimeHead::build(onnx, &manifest, self.n_threads)?)
            }
            HeadChoice::Replay(tensors) => Box::new(ReplayHead::build(&manifest, tensors)?),
        };
        let layers = package.encoder().layers.iter();
        let layers: Vec<LayerWeights> = layers.map(LayerWeights::from).collect();
        let stages = match self.device.resolve()? {
            Resolved::Cuda(device) => {
                let stages = CudaStages::build(&device, &manifest, &layers, self.canvas, head.as_ref())?;
                Stages::Cuda(Box::new(stages))
            }
            Resolved::Cpu { .. } if self.canvas != CanvasFormat::default() => {
                let text = format!("the CPU draws planes of f32, and {:?} was asked for", self.canvas);
                return Err(BuildError::new(BuildErrorKind::Mismatch, text).at(Stage::Bev));
            }
            Resolved::Cpu { .. } => Stages::Cpu(Box::new(CpuStages {
                points: PointsStage::build(manifest.points.max_points as usize),
                pillars: PillarsStage::build(&manifest.pillars, &manifest.grid, manifest.points.max_points),
                bev: BevStage::build(&manifest.bev, &manifest.pillars, &layers)?,
                boxes: BoxesStage::build(&manifest)?,
            })),
        };
        let mut engine = Engine { on_mismatch: self.on_mismatch, stages, head, manifest, n_frames: 0 };
        warm_up(&mut engine)?;
        Ok(engine)
    }
}

/// Runs a few frames of one point, which touch every stage.
fn warm_up(engine: &mut Engine) -> Result<(), BuildError> {
    let [x, y, z] = engine.manifest.grid.centre_of(0);
    let cloud = [Point { x, y, z, intensity: 0.0, time_lag: 0.0 }];
    for _ in 0..WARM_UP_FRAMES {
        if let Err(e) = engine.infer(&CloudView::from_points(&cloud)) {
            let said = engine.last_head_error().to_owned();
            return Err(BuildError::new(BuildErrorKind::Native, format!("warm-up failed: {e}; {said}"))
                .at(Stage::Head)
                .caused_by(e));
        }
    }
    engine.n_frames = 0;
    Ok(())
}
