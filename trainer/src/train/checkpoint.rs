//! Checkpoint: everything that a run needs to go on as if it had never stopped.

use crate::detector::Detector;
use anyhow::{Context, ensure};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

const MODEL_FILE: &str = "detector.bpk";
const OPTIMIZER_FILE: &str = "optimizer.bpk";
const STATE_FILE: &str = "state.toml";

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Epoch in progress, counted from 0.
    pub epoch: usize,
    /// Batches of it that are done.
    pub batch: usize,
    /// Optimizer steps done.
    pub step: usize,
    /// Best mean AP on the validation split so far.
    pub best_ap: f64,
    /// Seconds of training so far, over all sessions.
    pub seconds: f64,
}

/// The checkpoints of one run: the last two, each a folder that is complete or not there.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// The checkpoints below a run's folder.
    pub fn new(run: &Path) -> Self {
        Self { folder: run.join("checkpoints") }
    }

    /// Writes a checkpoint and removes all but the last two.
    pub fn save(
        &self,
        detector: &Detector,
        optimizer: &ModuleOptimizer,
        state: &RunState,
    ) -> anyhow::Result<()> {
        let path = self.folder.join(format!("step-{:08}", state.step));
        let partial = self.folder.join("partial");
        remove_if_there(&partial)?;
        fs::create_dir_all(&partial).with_context(|| format!("cannot create `{}`", partial.display()))?;
        save_detector(detector, &partial.join(MODEL_FILE))?;
        optimizer.save(partial.join(OPTIMIZER_FILE)).map_err(|e| anyhow::anyhow!("optimizer: {e}"))?;
        fs::write(partial.join(STATE_FILE), toml::to_string(state)?)?;
        remove_if_there(&path)?;
        fs::rename(&partial, &path)?;
        let all = self.list()?;
        for old in all.iter().rev().skip(2) {
            remove_if_there(old)?;
        }
        Ok(())
    }

    /// Goes on from the last checkpoint, where there is one.
    pub fn resume(
        &self,
        detector: Detector,
        optimizer: ModuleOptimizer,
    ) -> anyhow::Result<(Detector, ModuleOptimizer, Option<RunState>)> {
        let Some(last) = self.list()?.pop() else { return Ok((detector, optimizer, None)) };
        let text = fs::read_to_string(last.join(STATE_FILE))?;
        let state: RunState = toml::from_str(&text).with_context(|| format!("`{}`", last.display()))?;
        let detector = load_detector(detector, &last.join(MODEL_FILE))?;
        let optimizer = optimizer
            .load(last.join(OPTIMIZER_FILE))
            .map_err(|e| anyhow::anyhow!("optimizer of `{}`: {e}", last.display()))?;
        Ok((detector, optimizer, Some(state)))
    }

    /// The detector of the last checkpoint, where there is one.
    pub fn last_detector(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(self.list()?.pop().map(|last| last.join(MODEL_FILE)))
    }

    /// Complete checkpoints, oldest first.
    fn list(&self) -> anyhow::Result<Vec<PathBuf>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_step = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("step-"));
            if is_step && path.join(STATE_FILE).is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Writes a detector's weights and statistics.
pub fn save_detector(detector: &Detector, path: &Path) -> anyhow::Result<()> {
    // A training form keeps the last batch's BatchNorm statistics apart until the next one; the
    // evaluation form has them, and the same parameters under the same names.
    let record = detector.valid().into_record();
    record.save(path).map_err(|e| anyhow::anyhow!("cannot write `{}`: {e}", path.display()))
}

/// Reads a detector's weights and statistics into one of the same configuration.
pub fn load_detector(detector: Detector, path: &Path) -> anyhow::Result<Detector> {
    ensure!(path.is_file(), "there is no `{}`", path.display());
    let record =
        ModuleRecord::load(path).map_err(|e| anyhow::anyhow!("cannot read `{}`: {e}", path.display()))?;
    detector
        .try_load_record(record)
        .map_err(|e| anyhow::anyhow!("`{}` is not of this configuration: {e}", path.display()))
}

fn remove_if_there(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
