//! The figures of the official devkit on a small generated data set, digit for digit.
//!
//! Data, results and figures are made by `cargo xtask nuscenes-eval --goldens`.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_datasets::nuscenes::{Sensors, Tables};
use pilotis_evaluate::nuscenes::{Config, GroundTruth, Report, Results, TpError, evaluate};
use serde_json::Value;
use std::path::{Path, PathBuf};

const TOLERANCE: f64 = 1e-9;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("nuscenes_golden")
}

fn report(name: &str, split: &str) -> Report {
    let tables = Tables::read(&folder(), "v1.0-mini", Sensors::Lidar).unwrap();
    let ground_truth = GroundTruth::from_tables(&tables, split).unwrap();
    let results = Results::read(&folder().join(format!("{name}.json"))).unwrap();
    evaluate(&ground_truth, &results, &Config::default()).unwrap()
}

/// `null` stands for no figure.
fn assert_figure(what: &str, ours: f64, expected: &Value) {
    let expected = if expected.is_null() { f64::NAN } else { expected.as_f64().unwrap() };
    let is_same = (ours - expected).abs() <= TOLERANCE || ours.is_nan() && expected.is_nan();
    assert!(is_same, "{what}: {ours} instead of {expected}");
}

#[test]
fn every_figure_is_that_of_the_devkit() {
    let text = std::fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), 3);
    for (name, expected) in &expected {
        let report = report(name, expected["split"].as_str().unwrap());
        assert_figure(&format!("{name}: mAP"), report.mean_average_precision(), &expected["mean_ap"]);
        assert_figure(&format!("{name}: NDS"), report.detection_score(), &expected["nd_score"]);
        for error in TpError::ALL {
            let key = error.name();
            assert_figure(&format!("{name}: {key}"), report.mean_error(error), &expected["tp_errors"][key]);
            assert_figure(
                &format!("{name}: score of {key}"),
                report.error_score(error),
                &expected["tp_scores"][key],
            );
        }
        for class in &report.classes {
            let key = class.class.name();
            for (threshold, ap) in ["0.5", "1.0", "2.0", "4.0"].iter().zip(&class.average_precisions) {
                assert_figure(
                    &format!("{name}: {key} at {threshold} m"),
                    *ap,
                    &expected["label_aps"][key][threshold],
                );
            }
            for error in TpError::ALL {
                let figure = &expected["label_tp_errors"][key][error.name()];
                assert_figure(&format!("{name}: {key}, {error}"), class.errors[error.idx()], figure);
            }
        }
    }
}
