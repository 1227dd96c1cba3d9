//! Validate: a detector on a split, decoded by the runtime's own boxes stage.

use super::samples::Preparer;
use crate::bev::PillarBatch;
use crate::config::TrainConfig;
use crate::datasets::{Dataset, Sample};
use crate::detector::Detector;
use crate::evaluate::{CenterDistanceReport, Filter, FrameResult, evaluate};
use anyhow::anyhow;
use burn::tensor::Device;
use pilotis_runtime::boxes::BoxesStage;
use pilotis_spec::{Box3d, FrameReport, InputStatistics};
use std::sync::Arc;

/// Average precision of a detector on the first `max_frames` samples of a split (0: all).
pub fn validate(
    config: &Arc<TrainConfig>,
    detector: &Detector,
    dataset: &dyn Dataset,
    max_frames: usize,
    device: &Device,
) -> anyhow::Result<CenterDistanceReport> {
    let manifest = config.manifest_draft(InputStatistics::default());
    let mut boxes = BoxesStage::build(&manifest)?;
    let mut preparer = Preparer::build(Arc::clone(config), None)?;
    let n_frames = if max_frames == 0 { dataset.n_samples() } else { max_frames.min(dataset.n_samples()) };
    let map = [config.grid.ny(), config.grid.nx()];
    let mut frames = Vec::with_capacity(n_frames);
    for idx in 0..n_frames {
        let sample = dataset.load(idx)?;
        let prepared = preparer.prepare(&sample)?;
        let n_features = config.bev.recipe.n_features();
        let batch = PillarBatch::new(&[prepared.pillars], &config.pillars, n_features, map, device);
        let tensors = detector
            .infer(&batch)
            .into_iter()
            .map(|t| t.into_data().try_into_vec::<f32>().map_err(|e| anyhow!("raw tensor: {e:?}")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let detections = boxes.run(tensors.as_slice() as &[Vec<f32>], &mut FrameReport::default())?;
        frames.push(FrameResult {
            ground_truths: ground_truths(&sample, &config.classes),
            detections: detections.to_vec(),
        });
    }
    let classes: Vec<&str> = config.classes.iter().map(String::as_str).collect();
    let filter = Filter::on_grid(&config.grid, config.dataset.min_points);
    // Validation has no threshold of its own to stand by; the field reports recall at 0.3.
    Ok(evaluate(&frames, &classes, &filter, 0.3)?)
}

/// Objects of the model's classes, as the evaluation takes them.
pub fn ground_truths(sample: &Sample, classes: &[String]) -> Vec<(usize, Box3d, u32)> {
    let objects = sample.objects.iter();
    objects
        .filter_map(|o| Some((classes.iter().position(|c| *c == o.class_name)?, o.bbox, o.n_points)))
        .collect()
}
