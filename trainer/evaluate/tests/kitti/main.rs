//! KITTI's average precision against a slow reference of our own and against an evaluator in use.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]
#![allow(clippy::float_cmp, reason = "marks of what is missing are exact")]
#![allow(clippy::print_stdout, reason = "skips and figures are said aloud")]

mod cases;
mod files;
mod reference;

use cases::{CASES, CaseSpec, Kind, frames};
use pilotis_evaluate::kitti::{FrameLines, KittiReport, Rules, Sources, evaluate, load};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// Percent: sums of the same numbers in another order.
const SAME: f64 = 1e-9;
/// Percent: the evaluator in use has overlaps in single precision.
const AGREES: f64 = 1e-3;

/// Compares every figure that is available, and says how many there were.
fn assert_same(report: &KittiReport, frames: &[FrameLines], case: &str) -> usize {
    let figures = report.figures();
    let expected = reference::figures(frames, report.rules == Rules::StrictCpp);
    let mut n_compared = 0;
    for (key, expected) in &expected {
        let found = figures.get(key).unwrap_or_else(|| panic!("{case}: no {key}"));
        if let Some(found) = found.as_f64() {
            let difference = (found - expected).abs();
            assert!(difference < SAME, "{case} {:?} {key}: {found}, expected {expected}", report.rules);
            n_compared += usize::from(*expected > 0.0);
        }
    }
    // Means are new keys, everything else is compared.
    assert_eq!(figures.keys().filter(|k| !k.contains("Overall")).count(), expected.len());
    n_compared
}

#[test]
fn figures_are_those_of_the_reference() {
    let mut n_compared = 0;
    for spec in &CASES {
        for rules in [Rules::Ports, Rules::StrictCpp] {
            let frames = frames(spec);
            n_compared += assert_same(&evaluate(&frames, rules).unwrap(), &frames, spec.name);
        }
    }
    assert!(n_compared > 600, "only {n_compared} figures are not 0");
}

#[test]
fn drawn_frames_have_the_figures_of_the_reference() {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let mut n_compared = 0;
    for seed in 100..160 {
        let kind = [Kind::Plain, Kind::Ties, Kind::NoAngles, Kind::EasyCars][seed as usize % 4];
        let (n_frames, max_labels) = (rng.random_range(1..12), rng.random_range(1..25));
        let mut frames = frames(&CaseSpec { name: "drawn", seed, n_frames, max_labels, kind });
        spoil(&mut frames, &mut rng);
        for rules in [Rules::Ports, Rules::StrictCpp] {
            n_compared += assert_same(&evaluate(&frames, rules).unwrap(), &frames, &format!("seed {seed}"));
        }
    }
    println!("{n_compared} figures that are not 0 agree");
    assert!(n_compared > 5000, "only {n_compared} figures are not 0");
}

/// What the kept cases do without, since the evaluator in use stumbles over some of it.
fn spoil(frames: &mut [FrameLines], rng: &mut ChaCha8Rng) {
    for frame in frames {
        match rng.random_range(0..8) {
            0 => frame.detections.clear(),
            1 => frame.labels.clear(),
            2 => frame.labels.retain(|l| l.class_name == "DontCare"),
            _ => {}
        }
        for detection in &mut frame.detections {
            match rng.random_range(0..20) {
                0 => detection.image_box = [-1.0; 4],
                1 => detection.image_box = [0.0; 4],
                2 => detection.size_hwl = [-1.0; 3],
                3 => detection.location = [-1000.0; 3],
                4 => detection.class_name = "Unheard_of".to_owned(),
                _ => {}
            }
        }
        for label in &mut frame.labels {
            if rng.random_bool(0.05) {
                // A region that has a box in space, so that the two rules differ.
                label.class_name = "dontcare".to_owned();
            }
        }
    }
}

/// The kept answers of mmdet3d's evaluator, `cargo xtask kitti-oracle` makes them.
fn kept_answers() -> Value {
    serde_json::from_str(include_str!("oracle.json")).unwrap()
}

#[test]
fn figures_are_those_of_the_evaluator_in_use() {
    let kept = kept_answers();
    assert_eq!(kept.as_object().unwrap().len(), CASES.len());
    let (mut n_compared, mut worst) = (0, 0.0_f64);
    for spec in &CASES {
        let report = evaluate(&frames(spec), Rules::Ports).unwrap();
        let figures = report.figures();
        let answers = kept[spec.name].as_object().unwrap();
        let available = figures.values().filter(|v| !v.is_null()).count();
        assert_eq!(available, answers.len(), "{}", spec.name);
        for (key, answer) in answers {
            let (found, answer) = (figures[key].as_f64().unwrap(), answer.as_f64().unwrap());
            let difference = (found - answer).abs();
            assert!(difference <= AGREES, "{} {key}: {found}, the evaluator says {answer}", spec.name);
            worst = worst.max(difference);
            n_compared += usize::from(answer > 0.0);
        }
    }
    println!("{n_compared} figures that are not 0 differ by at most {worst:.1e} percent");
    assert!(n_compared > 400, "only {n_compared} figures are not 0");
}

#[test]
fn neither_threads_nor_the_order_of_frames_change_a_bit() {
    let spec = CaseSpec { name: "drawn", seed: 7, n_frames: 40, max_labels: 12, kind: Kind::Plain };
    let mut frames = frames(&spec);
    let text = |frames: &[FrameLines]| {
        let report = evaluate(frames, Rules::Ports).unwrap();
        // The shortest text that tells a number from every other.
        format!("{}{}{report}", report.summary(), report.details())
    };
    let expected = text(&frames);
    for n_threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        frames.rotate_left(n_threads);
        frames.swap(0, 20);
        assert_eq!(pool.install(|| text(&frames)), expected, "{n_threads} threads");
    }
    frames.reverse();
    assert_eq!(text(&frames), expected);
}

#[test]
fn the_two_rules_differ_where_they_should() {
    let mut n_different = 0;
    for spec in &CASES {
        let frames = frames(spec);
        let figures = |rules| evaluate(&frames, rules).unwrap().figures();
        let (ports, cpp) = (figures(Rules::Ports), figures(Rules::StrictCpp));
        n_different += ports.iter().filter(|(key, value)| cpp[*key] != **value).count();
    }
    assert!(n_different > 50, "{n_different}");
}

/// Frames of the data at hand with the results of a real detector.
#[test]
fn results_of_a_real_detector_have_the_figures_of_the_reference() {
    let Some(folder) = std::env::var_os("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let split = tempfile::NamedTempFile::new().unwrap();
    let load_split = |names: &str| {
        std::fs::write(split.path(), names).unwrap();
        load(&Sources {
            labels: &folder.join("kitti/training/label_2"),
            results: &folder.join("kitti_detector_output"),
            split: Some(split.path()),
            missing_as_empty: false,
        })
    };
    // The first file is no result: it has no score.
    let error = load_split("000000\n000001\n000002\n").unwrap_err().to_string();
    assert!(error.contains("000000.txt` line 1") && error.contains("15 fields"), "{error}");
    let loaded = load_split("000001\n000002\n").unwrap();
    assert_eq!((loaded.frames.len(), loaded.n_missing, loaded.n_left_out), (2, 0, 1));
    for rules in [Rules::Ports, Rules::StrictCpp] {
        let report = evaluate(&loaded.frames, rules).unwrap();
        let n_compared = assert_same(&report, &loaded.frames, "real");
        println!("{n_compared} figures that are not 0 agree\n{report}");
        assert!(n_compared >= 6, "{n_compared}");
    }
}
