//! Comparison of two runs on the same frames: which differences are real, and which chance may have made.
//!
//! Units (whole drives where frames name theirs, else frames) are drawn with replacement, the same ones
//! for both runs, and every metric is worked out again; how its difference scatters says how far it can
//! be trusted. Matching is within a frame, so it is done once. Many metrics are looked at, and some would
//! differ by chance: a difference is called real only if it stands after Holm's correction for all of them.
//!
//! **Source**: Efron, Tibshirani, An Introduction to the Bootstrap, 1993 (percentile and BCa intervals);
//! Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

mod bootstrap;
mod interval;
mod report;
#[cfg(test)]
mod tests;

use crate::analysis::Rules;
use crate::run::Run;
use bootstrap::Paired;
use interval::{Scatter, holm};
use serde::Serialize;

/// How runs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Resamples drawn.
    pub n_resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Share of chance that is put up with: 0.05 gives intervals of 95 %.
    pub level: f64,
    /// How intervals are made of the resamples.
    pub interval: Interval,
    /// Metrics of a class that stands in fewer units are not judged.
    pub min_units: usize,
    /// Metrics of a class of fewer objects are not judged.
    pub min_objects: usize,
}

/// How an interval is made of resamples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// The percentiles themselves.
    Percentile,
    /// Percentiles corrected for bias and for skewness (BCa).
    BiasCorrected,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            n_resamples: 5000,
            seed: 1,
            level: 0.05,
            interval: Interval::BiasCorrected,
            min_units: 20,
            min_objects: 30,
        }
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Average precision, the mean over all thresholds, and over all classes where none is named.
    MeanAveragePrecision,
    /// Share of the objects found at the rules' score.
    Recall,
    /// Share of the detections that are right there.
    Precision,
    /// Mean distance of the centres of right detections.
    TranslationM,
    /// Mean difference of their headings.
    OrientationRad,
}

impl Metric {
    /// What is compared for each class, in order.
    pub const OF_A_CLASS: [Self; 5] =
        [Self::MeanAveragePrecision, Self::Recall, Self::Precision, Self::TranslationM, Self::OrientationRad];

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::MeanAveragePrecision => "mean AP",
            Self::Recall => "recall",
            Self::Precision => "precision",
            Self::TranslationM => "translation, m",
            Self::OrientationRad => "orientation, rad",
        }
    }

    /// Whether more of it is better.
    pub fn is_gain(self) -> bool {
        !matches!(self, Self::TranslationM | Self::OrientationRad)
    }
}

/// What can be said of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Run B is better, and chance does not explain it.
    RealGain,
    /// Run B is worse, and chance does not explain it.
    RealLoss,
    /// Chance may have made it. That is not to say that the runs are equal.
    NotShown,
    /// Too few objects or units, or a metric that many resamples lack.
    TooFew,
}

/// One metric of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The class; `None` for all together.
    pub class: Option<String>,
    /// The metric.
    pub metric: Metric,
    /// Of run A; `None` where there is nothing to take it of.
    pub a: Option<f64>,
    /// Of run B.
    pub b: Option<f64>,
    /// B - A.
    pub difference: Option<f64>,
    /// The interval of the difference, uncorrected; `None` if it is not judged.
    pub between: Option<[f64; 2]>,
    /// Chance of a difference at least as large if there were none, uncorrected.
    pub p: Option<f64>,
    /// The same after correction for all metrics judged.
    pub p_corrected: Option<f64>,
    /// What can be said.
    pub verdict: Verdict,
}

/// Two runs, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Names of the models, A first.
    pub models: [String; 2],
    /// Digests of their packages.
    pub package_sha256: [String; 2],
    /// What both ran on.
    pub dataset_sha256: String,
    /// How.
    pub options: Options,
    /// Frames.
    pub n_frames: usize,
    /// What was drawn.
    pub unit: Unit,
    /// How many of them there are.
    pub n_units: usize,
    /// Metrics judged, which is what p is corrected for.
    pub n_judged: usize,
    /// All together, then the classes in order.
    pub rows: Vec<Row>,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Single frames: right only if they were recorded independently.
    Frame,
    /// Whole drives or scenes.
    Group,
}

/// Runs that do not compare.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// One run has a frame that the other lacks.
    #[error("frame `{frame}` is in run {there} alone: both must be evaluated on the same frames")]
    Frames {
        /// The frame.
        frame: String,
        /// `A` or `B`.
        there: char,
    },
    /// Labels differ.
    #[error(
        "the runs were measured against different labels (dataset {a} and {b}): evaluate both on one dataset"
    )]
    Dataset {
        /// Digest of run A's labels.
        a: String,
        /// Digest of run B's labels.
        b: String,
    },
    /// Frames belong to other drives.
    #[error("frame `{frame}` is of another drive in run B: what is drawn would not be the same")]
    Groups {
        /// The first such frame.
        frame: String,
    },
    /// Rules differ.
    #[error("the runs count by different rules ({a:?} and {b:?}): evaluate both by the same")]
    Rules {
        /// Of run A.
        a: Rules,
        /// Of run B.
        b: Rules,
    },
    /// An option means nothing.
    #[error("{option}: {reason}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// So few resamples could never show anything after correction.
    #[error(
        "{n_resamples} resamples cannot show a difference among {n_judged} metrics: take at least {needed}"
    )]
    TooFewResamples {
        /// Asked for.
        n_resamples: usize,
        /// Metrics judged.
        n_judged: usize,
        /// The least number that can.
        needed: usize,
    },
}

/// Resamples that lack a metric, as a share, from which on it is not judged.
const MAX_LACKING: f64 = 0.01;

/// Compares run B with run A.
///
/// **Errors**: runs on different frames, labels or rules; options that mean nothing.
///
/// **Determinism**: resample `k` draws from a ChaCha8 stream of its own, keyed by seed and `k`: the same
/// result for any number of threads and on every platform.
pub fn compare(a: &Run, b: &Run, options: &Options) -> Result<Comparison, CompareError> {
    check_options(options)?;
    check_runs(a, b)?;
    let paired = Paired::new(a, b);
    let scatters = paired.scatter(options);
    let mut rows: Vec<Row> = paired
        .metrics()
        .into_iter()
        .zip(scatters)
        .map(|(metric, scatter)| row(a, metric, scatter.as_ref(), &paired, options))
        .collect();
    let n_judged = judge(&mut rows, options)?;
    Ok(Comparison {
        models: [a, b].map(|r| r.about().model.name.clone()),
        package_sha256: [a, b].map(|r| r.about().model.package_sha256.clone()),
        dataset_sha256: a.set().dataset_sha256().to_owned(),
        options: *options,
        n_frames: a.set().frames().len(),
        unit: paired.unit(),
        n_units: paired.n_units(),
        n_judged,
        rows,
    })
}

fn check_options(options: &Options) -> Result<(), CompareError> {
    let wrong = |option, reason: String| Err(CompareError::Option { option, reason });
    if options.n_resamples < 100 {
        return wrong(
            "n_resamples",
            format!("{} are too few for an interval: 100 are the least", options.n_resamples),
        );
    }
    if !(options.level > 0.0 && options.level < 1.0) {
        return wrong("level", format!("{} is not between 0 and 1", options.level));
    }
    if options.min_units < 2 {
        return wrong("min_units", format!("{} units have no scatter: 2 are the least", options.min_units));
    }
    Ok(())
}

fn check_runs(a: &Run, b: &Run) -> Result<(), CompareError> {
    let (ours, theirs) = (a.set().frames(), b.set().frames());
    let lone = |of: &[crate::analysis::Frame], other: &[crate::analysis::Frame]| {
        let has = |name: &str| other.binary_search_by(|f| f.name.as_str().cmp(name)).is_ok();
        of.iter().find(|f| !has(&f.name)).map(|f| f.name.clone())
    };
    if let Some(frame) = lone(ours, theirs) {
        return Err(CompareError::Frames { frame, there: 'A' });
    }
    if let Some(frame) = lone(theirs, ours) {
        return Err(CompareError::Frames { frame, there: 'B' });
    }
    let [sha_a, sha_b] = [a, b].map(|r| r.set().dataset_sha256());
    if sha_a != sha_b {
        return Err(CompareError::Dataset { a: sha_a.to_owned(), b: sha_b.to_owned() });
    }
    if let Some((frame, _)) = ours.iter().zip(theirs).find(|(a, b)| a.group != b.group) {
        return Err(CompareError::Groups { frame: frame.name.clone() });
    }
    let [rules_a, rules_b] = [a, b].map(|r| r.analysis().rules);
    if rules_a != rules_b {
        return Err(CompareError::Rules { a: rules_a, b: rules_b });
    }
    Ok(())
}

/// A row without its verdict.
fn row(
    a: &Run,
    (class_idx, metric): (Option<usize>, Metric),
    scatter: Option<&Scatter>,
    paired: &Paired,
    options: &Options,
) -> Row {
    let [value_a, value_b] = paired.values(class_idx, metric);
    let enough = paired.n_units_with(class_idx) >= options.min_units
        && paired.n_objects(class_idx) >= options.min_objects;
    let scatter = scatter.filter(|s| enough && s.lacking <= MAX_LACKING);
    Row {
        class: class_idx.map(|idx| a.set().classes()[idx].clone()),
        metric,
        a: value_a,
        b: value_b,
        difference: value_a.zip(value_b).map(|(a, b)| b - a),
        between: scatter.map(|s| s.interval(options.level, options.interval)),
        p: scatter.map(|s| s.p(options.interval)),
        p_corrected: None,
        verdict: Verdict::TooFew,
    }
}

/// Gives every row its verdict; answers with the number of metrics judged.
fn judge(rows: &mut [Row], options: &Options) -> Result<usize, CompareError> {
    let judged: Vec<usize> = (0..rows.len()).filter(|idx| rows[*idx].p.is_some()).collect();
    let n_judged = judged.len();
    // The least p that so many resamples can tell is 2 in one more than their number.
    let needed = libm::ceil(2.0 * n_judged as f64 / options.level) as usize;
    if options.n_resamples < needed {
        return Err(CompareError::TooFewResamples { n_resamples: options.n_resamples, n_judged, needed });
    }
    let p: Vec<f64> = judged.iter().filter_map(|idx| rows[*idx].p).collect();
    for (idx, p_corrected) in judged.into_iter().zip(holm(&p)) {
        let row = &mut rows[idx];
        row.p_corrected = Some(p_corrected);
        let excludes_0 = row.between.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
        row.verdict = match row.difference {
            Some(difference) if excludes_0 && p_corrected < options.level => {
                let is_gain = (difference > 0.0) == row.metric.is_gain();
                if is_gain { Verdict::RealGain } else { Verdict::RealLoss }
            }
            _ => Verdict::NotShown,
        };
    }
    Ok(n_judged)
}
