//! The network on the CPU, by ONNX Runtime.

use crate::device::native_parts::Places;
use crate::device::onnxruntime::{Library, Rewriting, Session, TensorShape};
use crate::error::{BuildError, BuildErrorKind};
use crate::head::Head;
use crate::head::external_data::refuse_other_files;
use pilotis_spec::head::CANVAS_TENSOR;
use pilotis_spec::{FrameError, FrameErrorCode, Manifest, Stage};

/// Runs before the first frame: the first plans the memory between the layers, the second takes it.
const N_WARM_UP_RUNS: usize = 2;

/// A network that ONNX Runtime runs on the CPU.
///
/// **Allocation**: nothing of ours after [`OnnxRuntimeHead::build`]; the library's own allocations
/// are its own, few and small, and measured by the benches.
///
/// **Determinism**: the same bytes out for the same bytes in, run after run and for any number of
/// threads, on one machine with one version of the library.
pub struct OnnxRuntimeHead {
    session: Session,
}

impl OnnxRuntimeHead {
    /// A head over the bytes of an ONNX file, warm, with a zero canvas.
    ///
    /// The network must be one file, read `canvas` and write exactly the tensors of the manifest's
    /// layout. Digests are the caller's: they are checked before a byte is parsed.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] without the library,
    /// [`BuildErrorKind::Package`] for bytes that are no ONNX file or refer to another file,
    /// [`BuildErrorKind::Mismatch`] with the tensor and both shapes, [`BuildErrorKind::Native`] with
    /// the library's words.
    pub fn build(onnx: &[u8], manifest: &Manifest, n_threads: usize) -> Result<Self, BuildError> {
        Self::open(onnx, manifest, n_threads, Rewriting::All)
    }

    /// The same, each node computed as it is written: a slow reference for other engines, and the only one for
    /// networks of FP8, which the library's rewriting spoils.
    ///
    /// **Errors**: as of [`OnnxRuntimeHead::build`].
    pub fn build_as_written(onnx: &[u8], manifest: &Manifest, n_threads: usize) -> Result<Self, BuildError> {
        Self::open(onnx, manifest, n_threads, Rewriting::Nothing)
    }

    fn open(
        onnx: &[u8],
        manifest: &Manifest,
        n_threads: usize,
        rewriting: Rewriting,
    ) -> Result<Self, BuildError> {
        let build = || {
            let library = Library::load(&Places::from_env().onnxruntime()?)?;
            Self::build_with(library, onnx, manifest, n_threads, rewriting)
        };
        build().map_err(|e| e.at(Stage::Head))
    }

    fn build_with(
        library: &'static Library,
        onnx: &[u8],
        manifest: &Manifest,
        n_threads: usize,
        rewriting: Rewriting,
    ) -> Result<Self, BuildError> {
        refuse_other_files(onnx)?;
        let grid = &manifest.grid;
        let canvas = TensorShape {
            name: CANVAS_TENSOR.to_owned(),
            dims: vec![1, manifest.bev.n_channels(), grid.ny(), grid.nx()],
        };
        let outputs: Vec<TensorShape> = manifest
            .head
            .tensors(grid)
            .into_iter()
            .map(|t| TensorShape { name: t.name, dims: [&[1], t.shape.as_slice()].concat() })
            .collect();
        let mut session = Session::build(library, onnx, n_threads, rewriting, &[canvas], &outputs)?;
        for _ in 0..N_WARM_UP_RUNS {
            session.run().map_err(|_| {
                let text = format!("the network fails on a canvas of zeros: {}", session.last_error());
                BuildError::new(BuildErrorKind::Native, text)
            })?;
        }
        Ok(Self { session })
    }
}

impl Head for OnnxRuntimeHead {
    fn canvas(&mut self) -> &mut [f32] {
        self.session.input_mut(0)
    }

    fn run(&mut self) -> Result<(), FrameError> {
        let failed = FrameError { stage: Stage::Head, code: FrameErrorCode::HeadFailed, got: 0, limit: 0 };
        self.session.run().map_err(|_| failed)
    }

    fn tensor(&self, idx: usize) -> &[f32] {
        self.session.output(idx)
    }

    fn last_error(&self) -> &str {
        self.session.last_error()
    }

    fn describe(&self) -> String {
        self.session.describe()
    }
}

#[cfg(test)]
#[path = "onnxruntime_tests.rs"]
mod tests;
