//! Measure: the ranges of a network's tensors over representative clouds, by the runtime's own stages.

use crate::bev::{BevStage, LayerWeights};
use crate::boxes::BoxesStage;
use crate::device::native_parts::Places;
use crate::device::onnxruntime::{Library, Rewriting, Session, TensorShape};
use crate::engine::Context;
use crate::engine::cpu::CpuStages;
use crate::error::{BuildError, BuildErrorKind};
use crate::head::Head;
use crate::package::Package;
use crate::pillars::PillarsStage;
use crate::points::{CloudView, OnMismatch, PointsStage};
use pilotis_network::Calibration;
use pilotis_network::onnx::{OnnxMeta, to_onnx};
use pilotis_spec::{FrameError, FrameErrorCode, FrameReport, Stage};

/// Measures ranges, one cloud after the other.
///
/// The range of a tensor is the largest magnitude that it took: no value of the clouds seen saturates.
/// **Allocation**: all tensors of the network, some hundred megabytes for a large one.
pub struct RangeMeter {
    package: Package,
    stages: CpuStages,
    head: RangeHead,
    n_frames: u64,
}

impl RangeMeter {
    /// A meter for a package.
    ///
    /// **Errors**: those of [`super::read_network`], and of ONNX Runtime.
    pub fn build(package: &Package, n_threads: usize) -> Result<Self, BuildError> {
        let mut network = super::read_network(package)?;
        let border = std::mem::replace(
            &mut network.outputs,
            network.nodes.iter().map(|node| node.output.clone()).collect(),
        );
        let onnx = to_onnx(&network, &OnnxMeta::default()).map_err(|e| super::refuse(package, &e))?;
        let shapes = network.shapes().map_err(|e| super::refuse(package, &e.into()))?;
        let shape = |name: &String| TensorShape {
            name: name.clone(),
            dims: [&[1], shapes.get(name.as_str()).copied().unwrap_or_default().as_slice()].concat(),
        };
        let outputs: Vec<TensorShape> = network.outputs.iter().map(shape).collect();
        let library = Library::load(&Places::from_env().onnxruntime()?)?;
        let inputs = [shape(&network.input)];
        let session = Session::build(library, &onnx, n_threads, Rewriting::All, &inputs, &outputs)?;
        let names: Vec<String> =
            std::iter::once(network.input.clone()).chain(network.outputs.clone()).collect();
        let border =
            border.iter().map(|b| network.outputs.iter().position(|o| o == b).unwrap_or(0)).collect();
        let manifest = package.manifest();
        let layers: Vec<LayerWeights> = package.encoder().layers.iter().map(LayerWeights::from).collect();
        let stages = CpuStages {
            points: PointsStage::build(manifest.points.max_points as usize),
            pillars: PillarsStage::build(&manifest.pillars, &manifest.grid, manifest.points.max_points),
            bev: BevStage::build(&manifest.bev, &manifest.pillars, &layers)?,
            boxes: BoxesStage::build(manifest)?,
        };
        let amax = vec![0.0; names.len()];
        let head = RangeHead { session, names, amax, border };
        Ok(Self { package: package.clone(), stages, head, n_frames: 0 })
    }

    /// Takes a cloud into account.
    ///
    /// **Errors**: those of a frame.
    pub fn add(&mut self, cloud: &CloudView<'_>) -> Result<(), FrameError> {
        let context = Context { manifest: self.package.manifest(), on_mismatch: OnMismatch::Flag };
        self.stages.run(cloud, &context, &mut self.head, &mut FrameReport::default())?;
        self.n_frames += 1;
        Ok(())
    }

    /// Clouds taken into account.
    pub fn n_frames(&self) -> u64 {
        self.n_frames
    }

    /// What was measured.
    ///
    /// **Errors**: no cloud was added, or a tensor that overflowed.
    pub fn finish(self) -> Result<Calibration, BuildError> {
        let refuse = |text: String| Err(BuildError::new(BuildErrorKind::Mismatch, text));
        if self.n_frames == 0 {
            return refuse("a calibration needs at least one cloud".to_owned());
        }
        let ranges = || self.head.names.iter().zip(&self.head.amax);
        if let Some((name, amax)) = ranges().find(|(_, amax)| !amax.is_finite()) {
            return refuse(format!("tensor `{name}` took the value {amax}: the model cannot be calibrated"));
        }
        Ok(Calibration { amax: ranges().map(|(name, amax)| (name.clone(), *amax)).collect() })
    }
}

/// A network that puts out every tensor, and remembers how large each one became.
struct RangeHead {
    session: Session,
    /// The canvas, then every output.
    names: Vec<String>,
    amax: Vec<f32>,
    /// Which outputs are those of the model.
    border: Vec<usize>,
}

impl Head for RangeHead {
    fn canvas(&mut self) -> &mut [f32] {
        self.session.input_mut(0)
    }

    fn run(&mut self) -> Result<(), FrameError> {
        let failed = FrameError { stage: Stage::Head, code: FrameErrorCode::HeadFailed, got: 0, limit: 0 };
        self.session.run().map_err(|_| failed)?;
        for (idx, amax) in self.amax.iter_mut().enumerate() {
            let values = match idx {
                0 => self.session.input_mut(0),
                _ => self.session.output(idx - 1),
            };
            // NaN is larger than any number here, so that it is seen at the end.
            let larger = |a: f32, v: &f32| if v.abs() <= a { a } else { v.abs() };
            *amax = values.iter().fold(*amax, larger);
        }
        Ok(())
    }

    fn tensor(&self, idx: usize) -> &[f32] {
        self.border.get(idx).map_or(&[], |at| self.session.output(*at))
    }

    fn last_error(&self) -> &str {
        self.session.last_error()
    }

    fn describe(&self) -> String {
        self.session.describe()
    }
}
