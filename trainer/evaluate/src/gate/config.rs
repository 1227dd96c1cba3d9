//! `gate.toml`: what a run must come to.

use crate::analysis::{ClassFigures, Rules, RulesError};
use pilotis_spec::manifest::is_sha256;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of gates that this version reads.
pub const GATE_SCHEMA_VERSION: u32 = 1;

/// What a run must come to. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// [`GATE_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The labels.
    pub dataset: DatasetGate,
    /// How objects and boxes are counted.
    pub rules: Rules,
    /// The budget of time.
    pub latency: LatencyGate,
    /// All classes together.
    #[serde(default)]
    pub overall: OverallGate,
    /// Every class of the run, no fewer and no more.
    pub classes: BTreeMap<String, ClassGate>,
    /// Figures of official evaluations, by name.
    #[serde(default)]
    pub figures: BTreeMap<String, FigureGate>,
    /// The run that losses are taken against.
    pub reference: Option<ReferenceGate>,
}

/// The labels that a run must have been measured against.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetGate {
    /// Their SHA-256, as `run.json` has it.
    pub sha256: String,
    /// Frames.
    pub min_frames: usize,
}

/// The budget of time, and what it is for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyGate {
    /// 99 of 100 frames take no longer.
    pub p99_ms: f64,
    /// On this machine,
    pub machine: String,
    /// this device,
    pub device: String,
    /// and in this precision.
    pub precision: String,
}

/// Bounds of all classes together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverallGate {
    /// Floors.
    #[serde(default)]
    pub min: BTreeMap<OverallMetric, f64>,
    /// The most that may be lost against the reference.
    #[serde(default)]
    pub max_loss: BTreeMap<OverallMetric, f64>,
}

/// Bounds of one class.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassGate {
    /// Objects that count, at least.
    pub min_objects: usize,
    /// Floors; at least one.
    pub min: BTreeMap<ClassMetric, f64>,
    /// Ceilings of errors.
    #[serde(default)]
    pub max: BTreeMap<ClassMetric, f64>,
    /// The most that may be lost against the reference: gains that fall, errors that rise.
    #[serde(default)]
    pub max_loss: BTreeMap<ClassMetric, f64>,
}

/// Bounds of a figure of an official evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureGate {
    /// Its floor.
    pub min: Option<f64>,
    /// Its ceiling.
    pub max: Option<f64>,
    /// How far it may fall below the reference's.
    pub max_loss: Option<f64>,
}

/// The run that losses are taken against.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceGate {
    /// SHA-256 of its model package, lest a weak model be put in its place.
    pub package_sha256: String,
}

/// What is asked of all classes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverallMetric {
    /// Average precision, the mean over classes and thresholds.
    MeanAveragePrecision,
}

/// What is asked of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassMetric {
    /// Average precision, the mean over thresholds.
    MeanAveragePrecision,
    /// Average precision within 0.5 m.
    #[serde(rename = "average_precision_0.5m")]
    AveragePrecision05,
    /// Within 1 m.
    #[serde(rename = "average_precision_1m")]
    AveragePrecision1,
    /// Within 2 m.
    #[serde(rename = "average_precision_2m")]
    AveragePrecision2,
    /// Within 4 m.
    #[serde(rename = "average_precision_4m")]
    AveragePrecision4,
    /// Share of the objects found at the rules' score.
    Recall,
    /// Share of the detections that are right there.
    Precision,
    /// Mean distance of the centres of right detections.
    TranslationM,
    /// Mean of 1 - IoU, aligned.
    Scale,
    /// Mean difference of headings.
    OrientationRad,
    /// Mean difference of velocities.
    #[serde(rename = "velocity_m_s")]
    VelocityMS,
    /// Expected calibration error of the scores.
    CalibrationError,
}

impl OverallMetric {
    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::MeanAveragePrecision => "mean AP",
        }
    }
}

impl ClassMetric {
    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::MeanAveragePrecision => "mean AP",
            Self::AveragePrecision05 => "AP 0.5 m",
            Self::AveragePrecision1 => "AP 1 m",
            Self::AveragePrecision2 => "AP 2 m",
            Self::AveragePrecision4 => "AP 4 m",
            Self::Recall => "recall",
            Self::Precision => "precision",
            Self::TranslationM => "translation, m",
            Self::Scale => "scale",
            Self::OrientationRad => "orientation, rad",
            Self::VelocityMS => "velocity, m/s",
            Self::CalibrationError => "calibration error",
        }
    }

    /// Whether more of it is better.
    pub fn is_gain(self) -> bool {
        !matches!(
            self,
            Self::TranslationM
                | Self::Scale
                | Self::OrientationRad
                | Self::VelocityMS
                | Self::CalibrationError
        )
    }

    /// Its value; `None` where there is none.
    pub fn of(self, figures: &ClassFigures) -> Option<f64> {
        let [ap_05, ap_1, ap_2, ap_4] = figures.average_precision;
        match self {
            Self::MeanAveragePrecision => Some(figures.mean_average_precision),
            Self::AveragePrecision05 => Some(ap_05),
            Self::AveragePrecision1 => Some(ap_1),
            Self::AveragePrecision2 => Some(ap_2),
            Self::AveragePrecision4 => Some(ap_4),
            Self::Recall => Some(figures.recall),
            Self::Precision => Some(figures.precision),
            Self::TranslationM => figures.errors.translation_m,
            Self::Scale => figures.errors.scale,
            Self::OrientationRad => figures.errors.orientation_rad,
            Self::VelocityMS => figures.errors.velocity_m_s,
            Self::CalibrationError => figures.calibration_error,
        }
    }
}

/// Gates that are none.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML, or has keys that no gate has.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A value by which something passes that should not.
    #[error("{key}: {reason}")]
    Value {
        /// Which one.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The rules are not sound.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

impl Gate {
    /// Reads a file.
    ///
    /// **Errors**: as [`Self::parse`].
    pub fn load(path: &Path) -> Result<Self, GateError> {
        let text =
            fs::read_to_string(path).map_err(|source| GateError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads a gate and checks that it bars something.
    ///
    /// **Errors**: unknown keys; numbers that are not finite; floors that anything passes; losses without
    /// a reference, and the other way round; no class.
    pub fn parse(text: &str) -> Result<Self, GateError> {
        let gate: Self = toml::from_str(text)?;
        gate.check()?;
        Ok(gate)
    }

    fn check(&self) -> Result<(), GateError> {
        if self.schema_version != GATE_SCHEMA_VERSION {
            let reason = format!("{}: this version reads {GATE_SCHEMA_VERSION}", self.schema_version);
            return Err(wrong("schema_version", reason));
        }
        digest("dataset.sha256", &self.dataset.sha256)?;
        if self.dataset.min_frames == 0 {
            return Err(wrong("dataset.min_frames", "0 frames show nothing".to_owned()));
        }
        self.rules.check()?;
        positive("latency.p99_ms", self.latency.p99_ms)?;
        for (key, text) in [
            ("latency.machine", &self.latency.machine),
            ("latency.device", &self.latency.device),
            ("latency.precision", &self.latency.precision),
        ] {
            if text.trim().is_empty() {
                return Err(wrong(key, "it needs a name".to_owned()));
            }
        }
        if self.classes.is_empty() {
            return Err(wrong("classes", "a gate without a class bars nothing".to_owned()));
        }
        for value in self.overall.min.values() {
            floor("overall.min", *value)?;
        }
        for value in self.overall.max_loss.values() {
            loss("overall.max_loss", *value)?;
        }
        for (name, class) in &self.classes {
            class.check(name)?;
        }
        for (name, figure) in &self.figures {
            figure.check(name)?;
        }
        self.check_reference()
    }

    fn check_reference(&self) -> Result<(), GateError> {
        let compares = !self.overall.max_loss.is_empty()
            || self.classes.values().any(|c| !c.max_loss.is_empty())
            || self.figures.values().any(|f| f.max_loss.is_some());
        match &self.reference {
            Some(reference) if compares => digest("reference.package_sha256", &reference.package_sha256),
            Some(_) => Err(wrong("reference", "no `max_loss` is taken against it".to_owned())),
            None if compares => {
                Err(wrong("reference", "`max_loss` needs the package of a reference".to_owned()))
            }
            None => Ok(()),
        }
    }
}

impl ClassGate {
    fn check(&self, name: &str) -> Result<(), GateError> {
        let key = |part: &str| format!("classes.{name}.{part}");
        if self.min_objects == 0 {
            return Err(wrong(key("min_objects"), "0 objects show nothing".to_owned()));
        }
        if self.min.is_empty() {
            return Err(wrong(key("min"), "a class without a floor is not gated".to_owned()));
        }
        for (metric, value) in &self.min {
            if !metric.is_gain() {
                let reason = format!("{} is an error, it needs a ceiling under `max`", metric.title());
                return Err(wrong(key("min"), reason));
            }
            floor(key("min"), *value)?;
        }
        for (metric, value) in &self.max {
            if metric.is_gain() {
                let reason = format!("{} is a gain, it needs a floor under `min`", metric.title());
                return Err(wrong(key("max"), reason));
            }
            positive(key("max"), *value)?;
        }
        self.max_loss.values().try_for_each(|value| loss(key("max_loss"), *value))
    }
}

impl FigureGate {
    fn check(&self, name: &str) -> Result<(), GateError> {
        let key = format!("figures.{name}");
        let values = [self.min, self.max, self.max_loss];
        if values.iter().all(Option::is_none) {
            return Err(wrong(key, "it has no bound".to_owned()));
        }
        match values.into_iter().flatten().find(|v| !v.is_finite()) {
            Some(value) => Err(wrong(key, format!("{value} is no number"))),
            None => self.max_loss.map_or(Ok(()), |value| loss(key, value)),
        }
    }
}

fn wrong(key: impl Into<String>, reason: String) -> GateError {
    GateError::Value { key: key.into(), reason }
}

fn digest(key: &str, text: &str) -> Result<(), GateError> {
    if is_sha256(text) {
        return Ok(());
    }
    Err(wrong(key, format!("`{text}` is no SHA-256 of 64 lower-case hexadecimal digits")))
}

fn floor(key: impl Into<String>, value: f64) -> Result<(), GateError> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    Err(wrong(key, format!("{value} is not above 0 and at most 1: a floor that all or none pass")))
}

fn positive(key: impl Into<String>, value: f64) -> Result<(), GateError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(wrong(key, format!("{value} is no positive number")))
}

fn loss(key: impl Into<String>, value: f64) -> Result<(), GateError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(wrong(key, format!("{value} is not in 0..1: the most that may be lost")))
}
