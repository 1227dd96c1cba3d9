//! `metrics_summary.json` and `metrics_details.json`, in the devkit's form.
//!
//! Like the devkit's, the files are JSON as Python writes it: a figure that there is not is `NaN`.

use super::config::Config;
use super::curves::{Curves, N_RECALLS, recalls};
use super::names::{DetectionClass, TpError};
use super::report::{ClassReport, Report};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// The file of the figures.
pub const SUMMARY_FILE: &str = "metrics_summary.json";
/// The file of the curves.
pub const DETAILS_FILE: &str = "metrics_details.json";

impl Report {
    /// Writes [`SUMMARY_FILE`] and [`DETAILS_FILE`] into a folder, which is made if it is not there.
    ///
    /// **Errors**: the folder cannot be made, or a file not be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(SUMMARY_FILE), self.summary_json())?;
        fs::write(folder.join(DETAILS_FILE), self.details_json())
    }

    /// The text of [`SUMMARY_FILE`].
    pub fn summary_json(&self) -> String {
        let of_class = |value: &dyn Fn(&ClassReport) -> Json| {
            Json::Object(self.classes.iter().map(|c| (c.class.name().to_owned(), value(c))).collect())
        };
        let of_error = |value: &dyn Fn(TpError) -> f64| errors(value);
        let thresholds = &self.config.distance_thresholds_m;
        let summary = object([
            (
                "label_aps",
                of_class(&|c| {
                    let pairs = thresholds.iter().zip(&c.average_precisions);
                    Json::Object(pairs.map(|(t, ap)| (number(*t), Json::Number(*ap))).collect())
                }),
            ),
            ("mean_dist_aps", of_class(&|c| Json::Number(c.mean_average_precision()))),
            ("mean_ap", Json::Number(self.mean_average_precision())),
            ("label_tp_errors", of_class(&|c| errors(&|error| c.errors[error.idx()]))),
            ("tp_errors", of_error(&|error| self.mean_error(error))),
            ("tp_scores", of_error(&|error| self.error_score(error))),
            ("nd_score", Json::Number(self.detection_score())),
            ("eval_time", Json::Number(self.eval_time_s)),
            ("cfg", config(&self.config)),
            (
                "meta",
                Json::Object(self.meta.iter().map(|(k, v)| (k.clone(), Json::Any(v.clone()))).collect()),
            ),
        ]);
        summary.to_text()
    }

    /// The text of [`DETAILS_FILE`].
    pub fn details_json(&self) -> String {
        let thresholds = &self.config.distance_thresholds_m;
        let all = self
            .classes
            .iter()
            .flat_map(|c| thresholds.iter().zip(&c.curves).map(move |(t, curves)| (c, t, curves)));
        let members = all.map(|(c, threshold_m, curves)| {
            (format!("{}:{}", c.class, number(*threshold_m)), details(curves))
        });
        Json::Object(members.collect()).to_text()
    }
}

fn details(curves: &Curves) -> Json {
    let list = |values: &[f64]| Json::Array(values.iter().map(|v| Json::Number(*v)).collect());
    let recall: Vec<f64> = recalls().take(N_RECALLS).collect();
    let error = |error: TpError| list(&curves.errors[error.idx()]);
    object([
        ("recall", list(&recall)),
        ("precision", list(&curves.precision)),
        ("confidence", list(&curves.confidence)),
        ("trans_err", error(TpError::Translation)),
        ("vel_err", error(TpError::Velocity)),
        ("scale_err", error(TpError::Scale)),
        ("orient_err", error(TpError::Orientation)),
        ("attr_err", error(TpError::Attribute)),
    ])
}

fn errors(value: &dyn Fn(TpError) -> f64) -> Json {
    Json::Object(TpError::ALL.into_iter().map(|e| (e.name().to_owned(), Json::Number(value(e)))).collect())
}

fn config(config: &Config) -> Json {
    let ranges = DetectionClass::ALL.into_iter().zip(config.class_range_m);
    let thresholds = config.distance_thresholds_m.iter().map(|t| Json::Number(*t));
    object([
        ("class_range", Json::Object(ranges.map(|(c, r)| (c.name().to_owned(), Json::Whole(r))).collect())),
        ("dist_fcn", Json::Any(Value::from("center_distance"))),
        ("dist_ths", Json::Array(thresholds.collect())),
        ("dist_th_tp", Json::Number(config.error_threshold_m)),
        ("min_recall", Json::Number(config.min_recall)),
        ("min_precision", Json::Number(config.min_precision)),
        ("max_boxes_per_sample", Json::Whole(config.max_boxes_per_sample as f64)),
        ("mean_ap_weight", Json::Whole(config.mean_ap_weight)),
    ])
}

/// A value that may be NaN, which `serde_json` has no way to write.
enum Json {
    Number(f64),
    /// Without a point where it is whole.
    Whole(f64),
    Array(Vec<Json>),
    /// Members in this order.
    Object(Vec<(String, Json)>),
    Any(Value),
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The shortest text that is this double again.
fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "NaN".to_owned(),
        v if v.is_infinite() => if v > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        v => format!("{v:?}"),
    }
}

impl Json {
    fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Number(value) => text.push_str(&number(*value)),
            Self::Whole(value) if value.fract() == 0.0 => {
                let _ = write!(text, "{value:.0}");
            }
            Self::Whole(value) => text.push_str(&number(*value)),
            Self::Any(value) => {
                let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
                text.push_str(&pretty.replace('\n', &new_line(depth)));
            }
            Self::Array(values) => {
                list(text, depth, ['[', ']'], values, |text, value| value.write(text, depth + 1));
            }
            Self::Object(members) => list(text, depth, ['{', '}'], members, |text, (key, value)| {
                let _ = write!(text, "{}: ", Value::from(key.as_str()));
                value.write(text, depth + 1);
            }),
        }
    }
}

fn new_line(depth: usize) -> String {
    format!("\n{}", "  ".repeat(depth))
}

fn list<T>(
    text: &mut String,
    depth: usize,
    brackets: [char; 2],
    items: &[T],
    write: impl Fn(&mut String, &T),
) {
    text.push(brackets[0]);
    for (idx, item) in items.iter().enumerate() {
        text.push_str(if idx == 0 { "" } else { "," });
        text.push_str(&new_line(depth + 1));
        write(text, item);
    }
    if !items.is_empty() {
        text.push_str(&new_line(depth));
    }
    text.push(brackets[1]);
}
