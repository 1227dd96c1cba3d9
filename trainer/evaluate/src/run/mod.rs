//! A run: one model on one set of frames, kept in a folder that comparison, gate and report read.
//!
//! The folder holds `run.json` ([`Summary`]: every figure in a form for machines), `frames.jsonl` (every
//! object and every box) and `report.html`. The frames are the evidence: [`Run::read`] works all figures
//! out again and refuses a folder whose summary says anything else.

mod frames_file;
mod summary;
#[cfg(test)]
mod tests;

pub use summary::{DatasetSummary, RUN_SCHEMA_VERSION, Summary};

use crate::analysis::{Analysis, FrameError, FrameSet, Rules, RulesError};
use crate::report;
use pilotis_spec::Point;
use pilotis_spec::manifest::is_sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The file of figures.
pub const RUN_FILE: &str = "run.json";
/// The file of frames, one a line.
pub const FRAMES_FILE: &str = "frames.jsonl";
/// The report for people.
pub const REPORT_FILE: &str = "report.html";

/// The model that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What it is called.
    pub name: String,
    /// SHA-256 of its package.
    pub package_sha256: String,
}

/// What it ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The machine, by the name that its owner gives it. Times of two machines do not compare.
    pub machine: String,
    /// The device and the number of threads, such as `cpu, 2 threads` or a card's name.
    pub device: String,
    /// Precision of the network, such as `fp32`.
    pub precision: String,
}

/// Which run this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The model.
    pub model: Model,
    /// What it ran on.
    pub platform: Platform,
    /// The dataset's name, and the split of it.
    pub dataset: String,
    /// The split.
    pub split: String,
}

/// Runs that cannot be made, written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what its format says.
    #[error("`{}` line {line}: {reason}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The folder was written by another version.
    #[error("`{}` has schema {found}, this version reads {RUN_SCHEMA_VERSION}: evaluate again", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The schema found.
        found: u64,
    },
    /// The summary does not follow from the frames.
    #[error("`{}`: `{what}` does not follow from the frames beside it: evaluate again", .path.display())]
    Differs {
        /// The summary.
        path: PathBuf,
        /// Which part of it.
        what: &'static str,
    },
    /// What a run must say of itself is missing.
    #[error("{what} is `{found}`: {wanted}")]
    About {
        /// Which statement.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The frames are not sound.
    #[error(transparent)]
    Frames(#[from] FrameError),
    /// The rules are not sound.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// One model on one set of frames, and everything that is said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    about: About,
    set: FrameSet,
    analysis: Analysis,
    figures: BTreeMap<String, Option<f64>>,
}

impl Run {
    /// Analyses a run.
    ///
    /// **Errors**: rules that mean nothing, a digest that is none, a model, machine, device, precision
    /// or dataset without a name.
    pub fn new(about: About, set: FrameSet, rules: &Rules) -> Result<Self, RunError> {
        about.check()?;
        let analysis = Analysis::of(&set, rules)?;
        Ok(Self { about, set, analysis, figures: BTreeMap::new() })
    }

    /// The same run with a figure of an official evaluation, such as `nuscenes.nds`.
    ///
    /// A figure that is not finite is kept as one that is not known; a gate takes it for failed.
    #[must_use]
    pub fn with_figure(mut self, name: impl Into<String>, value: f64) -> Self {
        self.figures.insert(name.into(), value.is_finite().then_some(value));
        self
    }

    /// Which run it is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Its frames.
    pub fn set(&self) -> &FrameSet {
        &self.set
    }

    /// What is said of them.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Figures of official evaluations.
    pub fn figures(&self) -> &BTreeMap<String, Option<f64>> {
        &self.figures
    }

    /// Writes a folder with summary, frames and report.
    ///
    /// `cloud` answers with the points of a frame, by its name, in the frame of its boxes; it is asked
    /// only for the few frames that are drawn. `run.json` is written last, so a folder that was not
    /// finished is no run.
    ///
    /// **Errors**: a file that cannot be written.
    pub fn write(&self, dir: &Path, cloud: &dyn Fn(&str) -> Option<Vec<Point>>) -> Result<(), RunError> {
        let run_path = dir.join(RUN_FILE);
        fs::create_dir_all(dir).map_err(|source| RunError::Write { path: dir.to_owned(), source })?;
        if let Err(source) = fs::remove_file(&run_path)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(RunError::Write { path: run_path, source });
        }
        let frames_sha256 = frames_file::write(&dir.join(FRAMES_FILE), &self.set)?;
        write_file(&dir.join(REPORT_FILE), report::html(self, cloud).as_bytes())?;
        let summary = Summary::of(self, frames_sha256);
        let mut text = serde_json::to_vec_pretty(&summary)
            .map_err(|e| RunError::Write { path: run_path.clone(), source: e.into() })?;
        text.push(b'\n');
        write_file(&run_path, &text)
    }

    /// Reads a folder and works its figures out again.
    ///
    /// **Errors**: files that are missing or not as they should be, each with its line; a summary that
    /// does not follow from the frames.
    pub fn read(dir: &Path) -> Result<Self, RunError> {
        let path = dir.join(RUN_FILE);
        let summary = Summary::read(&path)?;
        let classes = summary.classes.iter().map(|c| c.name.clone()).collect();
        let (frames, frames_sha256) = frames_file::read(&dir.join(FRAMES_FILE))?;
        let about = About {
            model: summary.model.clone(),
            platform: summary.platform.clone(),
            dataset: summary.dataset.name.clone(),
            split: summary.dataset.split.clone(),
        };
        let mut run = Self::new(about, FrameSet::new(classes, frames)?, &summary.rules)?;
        run.figures.clone_from(&summary.figures);
        match summary.differs(&Summary::of(&run, frames_sha256)) {
            Some(what) => Err(RunError::Differs { path, what }),
            None => Ok(run),
        }
    }
}

impl About {
    fn check(&self) -> Result<(), RunError> {
        let digest = &self.model.package_sha256;
        if !is_sha256(digest) {
            let wanted = "64 lower-case hexadecimal digits are needed";
            return Err(RunError::About { what: "model.package_sha256", found: digest.clone(), wanted });
        }
        for (what, text) in [
            ("model.name", &self.model.name),
            ("platform.machine", &self.platform.machine),
            ("platform.device", &self.platform.device),
            ("platform.precision", &self.platform.precision),
            ("dataset.name", &self.dataset),
        ] {
            if text.trim().is_empty() {
                return Err(RunError::About { what, found: text.clone(), wanted: "it needs a name" });
            }
        }
        Ok(())
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    fs::write(path, bytes).map_err(|source| RunError::Write { path: path.to_owned(), source })
}
