//! Head: a network that TensorRT runs on the card.

use super::{Lowered, PlanCache, PlanOrigin};
use crate::bev::CanvasFormat;
use crate::builder::{DeviceHeadSource, HeadChoice};
use crate::device::cuda::{Device, DeviceFault, Stream};
use crate::device::trt::{BoundContext, Context, Element, Engine, Flavour, Library, Memory, TensorInfo};
use crate::error::{BuildError, BuildErrorKind};
use crate::head::device::{DeviceHead, DeviceTensors};
use crate::package::Package;
use pilotis_network::{Calibration, Precision};
use pilotis_spec::head::CANVAS_TENSOR;
use pilotis_spec::{Manifest, Stage};
use std::ffi::CString;
use std::sync::Arc;

/// A network on the card, by TensorRT for RTX.
///
/// **Allocation**: none of ours after it was bound. **Determinism**: the same bytes for the same plan, card and
/// version of the library, as far as the library promises it; not measured. **Built and emulated, not run on a
/// GPU**: no test here has loaded a plan.
pub struct TensorRtHead {
    context: Option<Context>,
    bound: Option<BoundContext>,
    outputs: Vec<CString>,
    canvas: CanvasFormat,
    workspace_bytes: usize,
    description: String,
}

/// TensorRT for RTX as what runs the network of an engine: plans are kept where the environment says.
///
/// Where the CPU runs the stages, ONNX Runtime runs the network.
pub fn tensorrt(precision: Precision, calibration: Option<Calibration>) -> HeadChoice {
    HeadChoice::Device(DeviceHeadSource::new(move |device, package| {
        let cache = PlanCache::from_env()?;
        Ok(Box::new(TensorRtHead::build(device, package, precision, calibration.as_ref(), &cache)?))
    }))
}

impl TensorRtHead {
    /// The network of a package in a precision, for the card.
    ///
    /// The plan comes from where plans are kept, or is built now; so do the kernels that the library compiles
    /// for the card.
    ///
    /// **Errors**: those of [`Lowered::of`], [`Lowered::plan`], [`Engine::load`] and [`Engine::into_context`];
    /// [`BuildErrorKind::Mismatch`] for a plan whose border is not the manifest's.
    pub fn build(
        device: &Arc<Device>,
        package: &Package,
        precision: Precision,
        calibration: Option<&Calibration>,
        cache: &PlanCache,
    ) -> Result<Self, BuildError> {
        let build = || -> Result<Self, BuildError> {
            let library = Library::open(Flavour::Rtx)?;
            let info = device.info();
            let (major, minor) = info.compute;
            let target = i32::try_from(major * 10 + minor).unwrap_or(i32::MAX);
            let lowered = Lowered::of(package, precision, &[target], calibration, library)?;
            let (file, origin) = lowered.plan(library, cache, false)?;
            if origin == PlanOrigin::Built {
                tracing::info!("built the plan of `{}` in {} ms", file.header.model, file.header.build_ms);
            }
            let engine = Engine::load(library, device, &file.plan)?;
            check_border(engine.tensors(), package.manifest(), lowered.canvas)?;
            let card = &info.name;
            let saved = cache.kernels(&lowered.key, card);
            let context = engine.into_context(&saved)?;
            if let Some(kernels) = context.compiled_kernels()?
                && kernels != saved
            {
                // Only the next start is slower without them.
                cache.put_kernels(&lowered.key, card, &kernels).unwrap_or_else(|e| tracing::warn!("{e}"));
            }
            Self::over(context, package.manifest(), lowered.canvas, precision, library)
        };
        build().map_err(|e| e.at(Stage::Head))
    }

    fn over(
        context: Context,
        manifest: &Manifest,
        canvas: CanvasFormat,
        precision: Precision,
        library: &Library,
    ) -> Result<Self, BuildError> {
        let names = manifest.head.tensors(&manifest.grid).into_iter().map(|t| CString::new(t.name));
        let outputs = names.collect::<Result<Vec<_>, _>>().map_err(|e| {
            BuildError::new(BuildErrorKind::Mismatch, "a tensor's name holds a zero byte").caused_by(e)
        })?;
        let workspace_bytes = usize::try_from(context.workspace_bytes()).map_err(|_| {
            BuildError::new(BuildErrorKind::Device, "the network needs more memory than an address has bits")
        })?;
        let description = format!("{}, {precision}", library.describe());
        Ok(Self { context: Some(context), bound: None, outputs, canvas, workspace_bytes, description })
    }
}

/// Whether a plan reads the canvas and writes exactly the tensors of the manifest.
fn check_border(tensors: &[TensorInfo], manifest: &Manifest, canvas: CanvasFormat) -> Result<(), BuildError> {
    let mismatch = |text: String| Err(BuildError::new(BuildErrorKind::Mismatch, text));
    let grid = &manifest.grid;
    let element = if canvas.half { Element::F16 } else { Element::F32 };
    let mut expected = vec![(
        CANVAS_TENSOR.to_owned(),
        true,
        element,
        vec![1, manifest.bev.n_channels(), grid.ny(), grid.nx()],
    )];
    for tensor in manifest.head.tensors(grid) {
        expected.push((tensor.name, false, Element::F32, [&[1], tensor.shape.as_slice()].concat()));
    }
    for (name, is_input, element, dims) in &expected {
        let Some(found) = tensors.iter().find(|t| t.name.to_bytes() == name.as_bytes()) else {
            return mismatch(format!("the plan has no tensor `{name}`"));
        };
        let is_shape = found.dims.iter().map(|d| usize::try_from(*d).ok()).eq(dims.iter().map(|d| Some(*d)));
        if (found.is_input, found.element) != (*is_input, *element) || !is_shape {
            return mismatch(format!(
                "tensor `{name}` of the plan is {:?} {:?}, and {element:?} {dims:?} is needed",
                found.element, found.dims
            ));
        }
    }
    if tensors.len() != expected.len() {
        return mismatch(format!("the plan has {} tensors, and the model {}", tensors.len(), expected.len()));
    }
    Ok(())
}

impl DeviceHead for TensorRtHead {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn canvas_format(&self) -> CanvasFormat {
        self.canvas
    }

    fn workspace_bytes(&self) -> usize {
        self.workspace_bytes
    }

    fn bind(&mut self, _stream: &Stream, memory: DeviceTensors<'_>) -> Result<(), BuildError> {
        let Some(context) = self.context.take() else {
            return Err(
                BuildError::new(BuildErrorKind::Native, "the network was bound before").at(Stage::Head)
            );
        };
        let canvas = CString::new(CANVAS_TENSOR).unwrap_or_default();
        let mut tensors = vec![(canvas, memory.canvas.clone())];
        tensors.extend(self.outputs.iter().cloned().zip(memory.tensors.iter().cloned()));
        let bound = context.bind(Memory { workspace: memory.workspace.cloned(), tensors });
        self.bound = Some(bound.map_err(|e| e.at(Stage::Head))?);
        Ok(())
    }

    fn is_capturable(&self, stream: &Stream) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.is_capturable(stream))
    }

    fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        self.bound.as_mut().map_or(Err(DeviceFault::INVALID_HANDLE), |bound| bound.enqueue(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::from_toml(include_str!("../../../../spec/tests/kitti_manifest.toml")).unwrap()
    }

    /// The border of a plan that fits.
    fn border(manifest: &Manifest) -> Vec<TensorInfo> {
        let tensor = |name: &str, is_input, element, dims: Vec<usize>| TensorInfo {
            name: CString::new(name).unwrap(),
            is_input,
            element,
            dims: dims.iter().map(|d| *d as i64).collect(),
            size_bytes: 0,
            format: 0,
        };
        let canvas = vec![1, manifest.bev.n_channels(), manifest.grid.ny(), manifest.grid.nx()];
        let outputs = manifest.head.tensors(&manifest.grid).into_iter();
        let outputs =
            outputs.map(|t| tensor(&t.name, false, Element::F32, [&[1], t.shape.as_slice()].concat()));
        std::iter::once(tensor("canvas", true, Element::F16, canvas)).chain(outputs).collect()
    }

    #[test]
    fn the_border_of_a_plan_must_be_the_manifests() {
        let manifest = manifest();
        let half = CanvasFormat { channels_last: true, half: true };
        let check = |change: &dyn Fn(&mut Vec<TensorInfo>)| {
            let mut tensors = border(&manifest);
            change(&mut tensors);
            check_border(&tensors, &manifest, half)
        };
        check(&|_| {}).unwrap();
        check(&|t| t.reverse()).unwrap();
        type Change<'a> = &'a dyn Fn(&mut Vec<TensorInfo>);
        let changes: [Change<'_>; 6] = [
            &|t| drop(t.pop()),
            &|t| t[0].element = Element::F32,
            &|t| t[1].dims[1] += 1,
            &|t| t[1].is_input = true,
            &|t| t[1].element = Element::F16,
            &|t| t.push(TensorInfo { name: CString::new("more").unwrap(), ..t[0].clone() }),
        ];
        for (idx, change) in changes.into_iter().enumerate() {
            assert_eq!(check(change).unwrap_err().kind(), BuildErrorKind::Mismatch, "change {idx}");
        }
        assert!(check_border(&border(&manifest), &manifest, CanvasFormat::default()).is_err());
    }
}
