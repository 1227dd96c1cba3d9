//! What a model says is there: the results file of a submission.
//!
//! ```json
//! {"meta": {"use_lidar": true, ...},
//!  "results": {"<sample token>": [{"sample_token": "...", "translation": [x, y, z], "size": [w, l, h],
//!    "rotation": [w, x, y, z], "velocity": [vx, vy], "detection_name": "car", "detection_score": 0.9,
//!    "attribute_name": "vehicle.moving"}, ...], ...}}
//! ```
//!
//! The text is JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` are numbers.

mod cut;
mod parse;
mod problem;
#[cfg(test)]
mod tests;

pub use problem::{BoxField, BoxProblem, ResultsError};

use super::names::{Attribute, DetectionClass};
use cut::{Batches, Ends, Place};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A box that a model puts out.
///
/// **Units and frame**: metres in the world's frame; `size` is width, length, height; `rotation` is `w, x, y, z`, of
/// any length.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedBox {
    /// Its centre.
    pub translation_m: [f64; 3],
    /// Width, length, height.
    pub size_m: [f64; 3],
    /// Its heading, a quaternion.
    pub rotation: [f64; 4],
    /// Velocity in the ground plane, in metres per second; may be NaN or infinite.
    pub velocity_mps: [f64; 2],
    /// How sure the model is; any number but NaN.
    pub score: f64,
    /// What it is.
    pub class: DetectionClass,
    /// What is true of it.
    pub attribute: Option<Attribute>,
    /// It says of itself that no point lies in it (`num_pts` of 0), for which the devkit drops it.
    pub is_empty: bool,
    /// The sample that it names, where that is not the one that it is filed under: the objects are those of the
    /// sample named, the vehicle's place that of the one it is filed under.
    pub other_sample: Option<Box<str>>,
}

/// Boxes of a sample, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleResults {
    /// The token that they are filed under.
    pub token: String,
    /// The boxes.
    pub boxes: Vec<PredictedBox>,
}

/// Boxes of all samples, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// What the file says of itself, kept as it is and in its order.
    pub meta: Vec<(String, Value)>,
    /// Samples with their boxes.
    pub samples: Vec<SampleResults>,
}

impl Results {
    /// Results from a file.
    ///
    /// Fields of a box that the benchmark does not know, and sections of the file besides `meta` and `results`, are
    /// passed over. Numbers are the nearest doubles; one too large is infinite.
    ///
    /// **Errors**: a file that cannot be read or is no JSON; a section, field or name that is missing, there twice,
    /// of another type or length or unknown; NaN anywhere but in a velocity; a sample that is there twice. Of several
    /// errors the first in the file.
    ///
    /// **Allocation**: 128 bytes a box, and a few blocks of text: never the whole file.
    ///
    /// **Determinism**: the same for any number of threads.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let unreadable = |source| ResultsError::Read { path: path.to_owned(), source };
        let read = |ends: Ends| {
            let file = File::open(path).map_err(unreadable)?;
            Self::parse(file, ends).map_err(|error| match error {
                ResultsError::Stream(source) => unreadable(source),
                other => other,
            })
        };
        // Ends that were guessed wrongly make errors of their own, those of the file are found by counting.
        read(Ends::Guessed).or_else(|_| read(Ends::Counted))
    }

    /// The same from a stream; it need not be buffered.
    pub fn from_reader(stream: impl Read + Send) -> Result<Self, ResultsError> {
        Self::parse(stream, Ends::Counted)
    }

    fn parse(stream: impl Read + Send, ends: Ends) -> Result<Self, ResultsError> {
        let mut batches = Batches::new(stream, ends);
        let mut collected = Collected::default();
        let mut current = batches.next()?;
        while let Some(batch) = current {
            // While the samples of a block are parsed, the next block is read.
            let (parsed, next) = rayon::join(|| parse_samples(&batch), || batches.next());
            collected.add(&batch, parsed)?;
            batches.recycle(batch);
            current = next?;
        }
        collected.finish()
    }

    /// Number of boxes of all samples.
    pub fn n_boxes(&self) -> usize {
        self.samples.iter().map(|sample| sample.boxes.len()).sum()
    }
}

/// One for every sample of the batch, in its order.
fn parse_samples(batch: &cut::Batch) -> Vec<Result<SampleResults, ResultsError>> {
    let samples = batch.members.par_iter().filter(|member| member.place == Place::Sample);
    samples.map(|member| parse::sample(batch, member)).collect()
}

#[derive(Default)]
struct Collected {
    meta: Option<Vec<(String, Value)>>,
    has_results: bool,
    samples: Vec<SampleResults>,
    tokens: HashSet<String>,
}

impl Collected {
    fn add(
        &mut self,
        batch: &cut::Batch,
        parsed: Vec<Result<SampleResults, ResultsError>>,
    ) -> Result<(), ResultsError> {
        let mut parsed = parsed.into_iter();
        for member in &batch.members {
            match member.place {
                Place::Sample => {
                    let Some(sample) = parsed.next() else { break };
                    let sample = sample?;
                    if !self.tokens.insert(sample.token.clone()) {
                        return Err(ResultsError::DuplicateSample { sample: sample.token });
                    }
                    self.samples.push(sample);
                }
                Place::Results => {
                    if std::mem::replace(&mut self.has_results, true) {
                        return Err(ResultsError::DuplicateSection { section: "results" });
                    }
                }
                Place::Section => {
                    if let Some(meta) = parse::section(batch, member)?
                        && self.meta.replace(meta).is_some()
                    {
                        return Err(ResultsError::DuplicateSection { section: "meta" });
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Results, ResultsError> {
        if !self.has_results {
            return Err(ResultsError::MissingSection { section: "results" });
        }
        let meta = self.meta.ok_or(ResultsError::MissingSection { section: "meta" })?;
        Ok(Results { meta, samples: self.samples })
    }
}
