//! Builder: the cold path. Everything that allocates, loads, checks and warms up.

use crate::bev::{BevStage, CanvasFormat, LayerWeights};
use crate::boxes::BoxesStage;
use crate::device::cuda::Device;
use crate::device::{DeviceChoice, OnDeviceLost, Resolved};
use crate::engine::cpu::CpuStages;
use crate::engine::cuda::{CudaStages, Network};
use crate::engine::{Context, Engine, Stages, StandIn};
use crate::error::{BuildError, BuildErrorKind};
use crate::head::device::{DeviceHead, DeviceReplay};
use crate::head::{Head, onnxruntime::OnnxRuntimeHead, replay::ReplayHead};
use crate::package::Package;
use crate::pillars::PillarsStage;
use crate::points::{CloudView, OnMismatch, PointsStage};
use pilotis_spec::{FrameError, FrameReport, Manifest, Point, Stage};
use std::fmt;
use std::sync::Arc;

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
    /// The same in the memory of the card; for tests. On the CPU as [`HeadChoice::Replay`].
    DeviceReplay(Vec<Vec<f32>>),
    /// A network on the card. Where the CPU runs the stages, ONNX Runtime runs the network.
    Device(DeviceHeadSource),
}

type BuildHead = dyn Fn(&Arc<Device>, &Package) -> Result<Box<dyn DeviceHead>, BuildError> + Send + Sync;

/// What makes the network of a package on a device.
#[derive(Clone)]
pub struct DeviceHeadSource(Arc<BuildHead>);

impl DeviceHeadSource {
    /// A source that calls a function.
    pub fn new(
        build: impl Fn(&Arc<Device>, &Package) -> Result<Box<dyn DeviceHead>, BuildError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(build))
    }
}

impl fmt::Debug for DeviceHeadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceHeadSource")
    }
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
    on_device_lost: OnDeviceLost,
    uses_graph: bool,
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
            on_device_lost: OnDeviceLost::Fail,
            uses_graph: true,
        }
    }

    /// What runs our stages. The network stays where [`EngineBuilder::head`] says.
    #[must_use]
    pub fn device(mut self, device: DeviceChoice) -> Self {
        self.device = device;
        self
    }

    /// How the canvas lies in the memory of a card. A network on the host reads planes of `f32`, the
    /// default, and so do the stages on the CPU, which take no other. A [`HeadChoice::Device`] chooses
    /// for itself.
    #[must_use]
    pub fn canvas(mut self, format: CanvasFormat) -> Self {
        self.canvas = format;
        self
    }

    /// What to do once the card is lost. [`OnDeviceLost::UseCpu`] takes, now, the memory of an engine on
    /// the CPU as well: stages, and a network where the card's is not on the host already.
    #[must_use]
    pub fn on_device_lost(mut self, policy: OnDeviceLost) -> Self {
        self.on_device_lost = policy;
        self
    }

    /// Whether frames with the network on the card are captured into a graph; they are unless this says
    /// otherwise. Results do not depend on it.
    #[must_use]
    pub fn graph(mut self, is_used: bool) -> Self {
        self.uses_graph = is_used;
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
        let layers = package.encoder().layers.iter();
        let layers: Vec<LayerWeights> = layers.map(LayerWeights::from).collect();
        let mut engine = match self.device.resolve()? {
            Resolved::Cuda(device) => self.on_card(&device, package, manifest, &layers)?,
            Resolved::Cpu { .. } if self.canvas != CanvasFormat::default() => {
                let text = format!("the CPU draws planes of f32, and {:?} was asked for", self.canvas);
                return Err(BuildError::new(BuildErrorKind::Mismatch, text).at(Stage::Bev));
            }
            Resolved::Cpu { .. } => {
                let head = Some(self.host_head(package)?);
                let stages = Stages::Cpu(Box::new(cpu_stages(&manifest, &layers)?));
                Engine { on_mismatch: self.on_mismatch, stages, head, manifest, stand_in: None, n_frames: 0 }
            }
        };
        warm_up(&mut engine)?;
        if self.uses_graph
            && let Stages::Cuda(stages) = &mut engine.stages
            && stages.capture()
        {
            warm_up(&mut engine)?;
        }
        Ok(engine)
    }

    fn on_card(
        &self,
        device: &Arc<Device>,
        package: &Package,
        manifest: Manifest,
        layers: &[LayerWeights],
    ) -> Result<Engine, BuildError> {
        let on_card: Option<Box<dyn DeviceHead>> = match &self.head {
            HeadChoice::OnnxRuntime | HeadChoice::Replay(_) => None,
            HeadChoice::DeviceReplay(tensors) => {
                Some(Box::new(DeviceReplay::build(device, &manifest, tensors, self.canvas)?))
            }
            HeadChoice::Device(source) => Some((source.0)(device, package)?),
        };
        let takes_over = self.on_device_lost == OnDeviceLost::UseCpu;
        let mut head = if on_card.is_none() || takes_over { Some(self.host_head(package)?) } else { None };
        let network = match (on_card, &head) {
            (Some(on_card), _) => Network::Device(on_card),
            (None, Some(head)) => Network::Host(head.as_ref(), self.canvas),
            (None, None) => return Err(BuildError::new(BuildErrorKind::Mismatch, "there is no network")),
        };
        let stages = Stages::Cuda(Box::new(CudaStages::build(device, &manifest, layers, network)?));
        let stand_in = match &mut head {
            Some(head) if takes_over => {
                let mut stages = cpu_stages(&manifest, layers)?;
                warm_up_stand_in(&mut stages, head.as_mut(), &manifest)?;
                Some(Box::new(StandIn { stages, is_in_use: false }))
            }
            _ => None,
        };
        Ok(Engine { on_mismatch: self.on_mismatch, stages, head, manifest, stand_in, n_frames: 0 })
    }

    /// The network on the CPU: that of the choice, or what stands in for one on a card.
    fn host_head(&self, package: &Package) -> Result<Box<dyn Head>, BuildError> {
        let manifest = package.manifest();
        match &self.head {
            HeadChoice::OnnxRuntime | HeadChoice::Device(_) => {
                let onnx = package.network(&self.precision)?;
                Ok(Box::new(OnnxRuntimeHead::build(onnx, manifest, self.n_threads)?))
            }
            HeadChoice::Replay(tensors) | HeadChoice::DeviceReplay(tensors) => {
                Ok(Box::new(ReplayHead::build(manifest, tensors.clone())?))
            }
        }
    }
}

fn cpu_stages(manifest: &Manifest, layers: &[LayerWeights]) -> Result<CpuStages, BuildError> {
    Ok(CpuStages {
        points: PointsStage::build(manifest.points.max_points as usize),
        pillars: PillarsStage::build(&manifest.pillars, &manifest.grid, manifest.points.max_points),
        bev: BevStage::build(&manifest.bev, &manifest.pillars, layers)?,
        boxes: BoxesStage::build(manifest)?,
    })
}

/// A point of every grid: what is warmed up with touches every stage.
fn one_point(manifest: &Manifest) -> [Point; 1] {
    let [x, y, z] = manifest.grid.centre_of(0);
    [Point { x, y, z, intensity: 0.0, time_lag: 0.0 }]
}

/// Runs a few frames of one point.
fn warm_up(engine: &mut Engine) -> Result<(), BuildError> {
    let cloud = one_point(&engine.manifest);
    for _ in 0..WARM_UP_FRAMES {
        let ran = engine.infer(&CloudView::from_points(&cloud)).map(drop);
        ran.map_err(|e| not_warm(e, engine.last_head_error()))?;
    }
    engine.n_frames = 0;
    Ok(())
}

/// The same for the stages that wait for the card to be lost.
fn warm_up_stand_in(
    stages: &mut CpuStages,
    head: &mut dyn Head,
    manifest: &Manifest,
) -> Result<(), BuildError> {
    let cloud = one_point(manifest);
    let context = Context { manifest, on_mismatch: OnMismatch::Flag };
    for _ in 0..WARM_UP_FRAMES {
        let ran = stages.run(&CloudView::from_points(&cloud), &context, head, &mut FrameReport::default());
        ran.map_err(|e| not_warm(e, head.last_error()))?;
    }
    Ok(())
}

fn not_warm(error: FrameError, said: &str) -> BuildError {
    BuildError::new(BuildErrorKind::Native, format!("warm-up failed: {error}; {said}"))
        .at(Stage::Head)
        .caused_by(error)
}
