//! Parity: what is exported computes what was trained.

use crate::bev::PillarBatch;
use crate::config::TrainConfig;
use crate::datasets;
use crate::detector::Detector;
use crate::train::samples::Preparer;
use anyhow::{anyhow, ensure};
use burn::tensor::Device;
use pilotis_runtime::Engine;
use pilotis_runtime::points::{CloudView, PointsStage};
use pilotis_spec::{FrameReport, Manifest};
use std::sync::Arc;

/// Largest difference between ONNX Runtime and Burn on the golden cloud: some thousand products
/// are added up in different orders in `f32`.
pub const PARITY_TOLERANCE: f32 = 1e-4;

/// Burn's raw tensors for a cloud, from the runtime's points and pillars.
pub fn burn_answers(
    config: &TrainConfig,
    detector: &Detector,
    cloud: &CloudView<'_>,
) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut points = PointsStage::build(config.points.max_points as usize);
    let needs_time_lag = config.bev.recipe.needs_time_lag();
    let points = points.run(cloud, &config.grid, needs_time_lag, &mut FrameReport::default())?;
    let sample = datasets::Sample { points: points.to_vec(), ..datasets::Sample::default() };
    let pillars = Preparer::build(Arc::new(config.clone()), None)?.prepare(&sample)?.pillars;
    let map = [config.grid.ny(), config.grid.nx()];
    let n_features = config.bev.recipe.n_features();
    let batch = PillarBatch::new(&[pillars], &config.pillars, n_features, map, &Device::flex());
    let tensors = detector.infer(&batch).into_iter();
    tensors.map(|t| t.into_data().try_into_vec::<f32>().map_err(|e| anyhow!("raw tensor: {e:?}"))).collect()
}

/// The largest difference between the engine's last tensors and Burn's, and how many values there
/// are.
///
/// **Errors**: a value that differs by more than [`PARITY_TOLERANCE`], or is not a number.
pub fn compare(manifest: &Manifest, engine: &Engine, burn: &[Vec<f32>]) -> anyhow::Result<(f32, usize)> {
    let mut largest = 0.0_f32;
    let mut n_values = 0;
    for (i, tensor) in manifest.head.tensors(&manifest.grid).iter().enumerate() {
        let (got, want) = (engine.last_tensor(i), burn.get(i).map_or(&[][..], Vec::as_slice));
        ensure!(
            got.len() == want.len(),
            "tensor `{}` has {} values, Burn {}",
            tensor.name,
            got.len(),
            want.len()
        );
        for (at, (g, w)) in got.iter().zip(want).enumerate() {
            let difference = (g - w).abs();
            // Written so that NaN fails.
            let within = difference <= PARITY_TOLERANCE;
            ensure!(
                within,
                "parity: tensor `{}` is {g} in ONNX Runtime and {w} in Burn at {at}; {PARITY_TOLERANCE:.0e} is allowed",
                tensor.name
            );
            largest = largest.max(difference);
        }
        n_values += got.len();
    }
    Ok((largest, n_values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::package::{PackageWriter, Replace};
    use pilotis_runtime::{EngineBuilder, HeadChoice};
    use pilotis_spec::InputStatistics;

    #[test]
    fn a_difference_past_the_tolerance_and_nan_fail() {
        let config = TrainConfig::from_toml(include_str!("../../tests/tiny.toml")).unwrap();
        let detector = Detector::init(&config, &Device::flex());
        let folder = tempfile::tempdir().unwrap();
        let package = PackageWriter::new(config.manifest_draft(InputStatistics::default()))
            .encoder(&detector.encoder_weights())
            .unwrap()
            .network("fp32", &detector.to_network(&config))
            .unwrap()
            .write(&folder.path().join("package"), Replace::Packages)
            .unwrap();
        let manifest = package.manifest().clone();
        let cloud = [[3.0, 1.0, -1.0, 0.5], [4.0, -2.0, -0.5, 0.1]];
        let view = CloudView::from_records(&cloud);
        let burn = burn_answers(&config, &detector, &view).unwrap();
        let mut engine = EngineBuilder::new().head(HeadChoice::Replay(burn.clone())).build(&package).unwrap();
        engine.infer(&view).unwrap();
        let n_values: usize = burn.iter().map(Vec::len).sum();
        assert_eq!(compare(&manifest, &engine, &burn).unwrap(), (0.0, n_values));

        for (by, said) in [(2e-4, "is allowed"), (f32::NAN, "is allowed")] {
            let mut off = burn.clone();
            off[1][5] += by;
            let error = compare(&manifest, &engine, &off).unwrap_err().to_string();
            assert!(error.contains("box_0") && error.contains(said), "{error}");
        }
        let mut short = burn;
        short[0].pop();
        assert!(compare(&manifest, &engine, &short).is_err());
    }
}
