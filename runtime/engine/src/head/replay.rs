//! Replay: a head that answers with recorded tensors, so that the stages around the network run
//! without one.

use crate::error::{BuildError, BuildErrorKind};
use crate::head::Head;
use pilotis_spec::{FrameError, Manifest, Stage};

/// A head that answers every frame with the same recorded tensors, whatever the canvas holds.
#[derive(Clone, Debug)]
pub struct ReplayHead {
    canvas: Vec<f32>,
    tensors: Vec<Vec<f32>>,
}

impl ReplayHead {
    /// A head over recorded tensors.
    ///
    /// **Shapes**: one tensor for each of [`pilotis_spec::HeadLayout::tensors`], in that order,
    /// flat `[channels, H, W]`.
    ///
    /// **Errors**: [`BuildErrorKind::Mismatch`] with the tensor and both lengths.
    pub fn build(manifest: &Manifest, tensors: Vec<Vec<f32>>) -> Result<Self, BuildError> {
        check_shapes(manifest, &tensors)?;
        Ok(Self { canvas: vec![0.0; manifest.bev.n_channels() * manifest.grid.n_cells()], tensors })
    }
}

/// Whether recorded tensors are those of a manifest's head.
///
/// **Errors**: as of [`ReplayHead::build`].
pub(super) fn check_shapes(manifest: &Manifest, tensors: &[Vec<f32>]) -> Result<(), BuildError> {
    let mismatch = |text| Err(BuildError::new(BuildErrorKind::Mismatch, text).at(Stage::Head));
    let expected = manifest.head.tensors(&manifest.grid);
    if tensors.len() != expected.len() {
        return mismatch(format!(
            "{} tensors were recorded, and `{}` puts out {}",
            tensors.len(),
            manifest.name,
            expected.len()
        ));
    }
    for (tensor, recorded) in expected.iter().zip(tensors) {
        if recorded.len() != tensor.n_values() {
            return mismatch(format!(
                "tensor `{}` was recorded with {} values, and is {:?}: {} values",
                tensor.name,
                recorded.len(),
                tensor.shape,
                tensor.n_values()
            ));
        }
    }
    Ok(())
}

impl Head for ReplayHead {
    fn canvas(&mut self) -> &mut [f32] {
        &mut self.canvas
    }

    fn reads_canvas(&self) -> bool {
        false
    }

    fn run(&mut self) -> Result<(), FrameError> {
        Ok(())
    }

    fn tensor(&self, idx: usize) -> &[f32] {
        self.tensors.get(idx).map_or(&[], Vec::as_slice)
    }

    fn last_error(&self) -> &str {
        ""
    }

    fn describe(&self) -> String {
        "replay of recorded tensors".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::from_toml(include_str!("../../../spec/tests/kitti_manifest.toml")).unwrap()
    }

    fn recorded(manifest: &Manifest) -> Vec<Vec<f32>> {
        let tensors = manifest.head.tensors(&manifest.grid);
        tensors.iter().enumerate().map(|(i, t)| vec![i as f32 + 0.5; t.n_values()]).collect()
    }

    #[test]
    fn recorded_tensors_come_back_in_order() {
        let manifest = manifest();
        let tensors = recorded(&manifest);
        let mut head = ReplayHead::build(&manifest, tensors.clone()).unwrap();
        assert_eq!(head.canvas().len(), 64 * 496 * 432);
        assert!(head.canvas().iter().all(|v| v.to_bits() == 0));
        head.canvas()[7] = 1.0;
        head.run().unwrap();
        for (idx, tensor) in tensors.iter().enumerate() {
            assert_eq!(head.tensor(idx), tensor);
        }
        assert!(head.tensor(tensors.len()).is_empty());
    }

    #[test]
    fn tensors_of_another_model_are_refused() {
        let manifest = manifest();
        let mut tensors = recorded(&manifest);
        tensors[1].pop();
        let error = ReplayHead::build(&manifest, tensors.clone()).unwrap_err();
        assert_eq!((error.kind(), error.stage()), (BuildErrorKind::Mismatch, Some(Stage::Head)));
        assert!(error.to_string().contains("box_0"), "{error}");
        tensors.pop();
        assert_eq!(ReplayHead::build(&manifest, tensors).unwrap_err().kind(), BuildErrorKind::Mismatch);
    }
}
