//! `run.json`: every figure in a form for machines.

use super::{Model, Platform, Run, RunError};
use crate::analysis::{ClassFigures, Latency, Rules};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The version of `run.json` and `frames.jsonl` that this version writes and reads.
pub const RUN_SCHEMA_VERSION: u64 = 1;

/// Which frames these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSummary {
    /// The dataset's name.
    pub name: String,
    /// The split of it.
    pub split: String,
    /// SHA-256 of all labels, see [`crate::analysis::FrameSet::dataset_sha256`].
    pub sha256: String,
    /// Frames.
    pub n_frames: usize,
    /// Drives or scenes, where frames name theirs.
    pub n_groups: Option<usize>,
}

/// What stands in `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// [`RUN_SCHEMA_VERSION`].
    pub schema_version: u64,
    /// The model.
    pub model: Model,
    /// What it ran on.
    pub platform: Platform,
    /// The frames.
    pub dataset: DatasetSummary,
    /// By which rules.
    pub rules: Rules,
    /// The mean over all classes.
    pub mean_average_precision: f64,
    /// One for each class.
    pub classes: Vec<ClassFigures>,
    /// Frame times, if there are any.
    pub latency: Option<Latency>,
    /// Figures of official evaluations; `null` where one is not known.
    pub figures: BTreeMap<String, Option<f64>>,
    /// SHA-256 of the file of frames.
    pub frames_sha256: String,
}

impl Summary {
    pub(super) fn of(run: &Run, frames_sha256: String) -> Self {
        let (about, set) = (run.about(), run.set());
        Self {
            schema_version: RUN_SCHEMA_VERSION,
            model: about.model.clone(),
            platform: about.platform.clone(),
            dataset: DatasetSummary {
                name: about.dataset.clone(),
                split: about.split.clone(),
                sha256: set.dataset_sha256().to_owned(),
                n_frames: set.frames().len(),
                n_groups: set.n_groups(),
            },
            rules: run.analysis().rules,
            mean_average_precision: run.analysis().mean_average_precision(),
            classes: run.analysis().classes.iter().map(|c| c.figures.clone()).collect(),
            latency: run.analysis().latency,
            figures: run.figures().clone(),
            frames_sha256,
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self, RunError> {
        let text = fs::read(path).map_err(|source| RunError::Read { path: path.to_owned(), source })?;
        let wrong = |e: serde_json::Error| {
            let reason = e.to_string();
            RunError::Line { path: path.to_owned(), line: e.line().max(1), reason }
        };
        // The version first: other versions have other fields.
        let any: Value = serde_json::from_slice(&text).map_err(wrong)?;
        match any.get("schema_version").and_then(Value::as_u64) {
            Some(RUN_SCHEMA_VERSION) => serde_json::from_slice(&text).map_err(wrong),
            Some(found) => Err(RunError::Schema { path: path.to_owned(), found }),
            None => {
                let reason = "there is no `schema_version`: this is no run".to_owned();
                Err(RunError::Line { path: path.to_owned(), line: 1, reason })
            }
        }
    }

    /// The first part in which a summary differs from the one that was worked out again.
    pub(super) fn differs(&self, again: &Self) -> Option<&'static str> {
        let parts: [(&'static str, bool); 6] = [
            ("frames_sha256", self.frames_sha256 == again.frames_sha256),
            ("dataset", self.dataset == again.dataset),
            ("classes", alike(&json(&self.classes), &json(&again.classes))),
            ("mean_average_precision", close(self.mean_average_precision, again.mean_average_precision)),
            ("latency", alike(&json(&self.latency), &json(&again.latency))),
            ("rules", alike(&json(&self.rules), &json(&again.rules))),
        ];
        parts.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}

fn json<T: Serialize>(value: &T) -> Option<Value> {
    serde_json::to_value(value).ok()
}

/// Equal but for the last digits of numbers, which text does not always keep.
fn alike(a: &Option<Value>, b: &Option<Value>) -> bool {
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
            }
            (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => close(a, b),
                _ => false,
            },
            _ => a == b,
        }
    }
    matches!((a, b), (Some(a), Some(b)) if same(a, b))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}
