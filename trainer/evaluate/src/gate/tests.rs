//! One test for each way to cheat.

use super::*;
use crate::analysis::samples::{CLASSES, Model, about, classes, frames};
use crate::analysis::{Frame, FrameSet, Rules};
use crate::run::{About, FRAMES_FILE, RUN_FILE, RunError};
use std::fs;

const N_FRAMES: usize = 60;

fn rules() -> Rules {
    Rules { min_points: 2, ..Rules::default() }
}

fn drawn() -> Vec<Frame> {
    frames(1, N_FRAMES, &Model::default())
}

fn run_with(about: About, frames: Vec<Frame>, rules: &Rules) -> Run {
    Run::new(about, FrameSet::new(classes(), frames).unwrap(), rules)
        .unwrap()
        .with_figure("nuscenes.nds", 0.6)
}

fn run_of(frames: Vec<Frame>) -> Run {
    run_with(about("candidate"), frames, &rules())
}

/// A gate that the drawn run passes.
fn text() -> String {
    let sha256 = run_of(drawn()).set().dataset_sha256().to_owned();
    let class = |name: &str| {
        format!(
            "[classes.{name}]\nmin_objects = 50\nmin = {{ mean_average_precision = 0.15, recall = 0.3 }}\n\
             max = {{ translation_m = 1.0 }}\nmax_loss = {{ mean_average_precision = 0.02, translation_m = 0.05 }}\n"
        )
    };
    format!(
        "schema_version = 1\n[dataset]\nsha256 = \"{sha256}\"\nmin_frames = {N_FRAMES}\n\
         [rules]\nmin_points = 2\nscore = 0.3\n\
         [latency]\np99_ms = 40.0\nmachine = \"bench-1\"\ndevice = \"cpu, 2 threads\"\nprecision = \"fp32\"\n\
         [overall]\nmin = {{ mean_average_precision = 0.2 }}\nmax_loss = {{ mean_average_precision = 0.01 }}\n\
         {}\
         [figures.\"nuscenes.nds\"]\nmin = 0.5\nmax_loss = 0.01\n\
         [reference]\npackage_sha256 = \"{}\"\n",
        CLASSES.map(class).concat(),
        "ab".repeat(32)
    )
}

fn gate() -> Gate {
    Gate::parse(&text()).unwrap()
}

/// Names of the checks that fail.
fn failures(run: &Run) -> Vec<String> {
    failures_of(&gate(), run)
}

fn failures_of(gate: &Gate, run: &Run) -> Vec<String> {
    let verdict = judge(gate, run, Some(&run_of(drawn())));
    assert_eq!(verdict.passed(), verdict.failed().count() == 0);
    verdict.failed().map(|c| c.what.clone()).collect()
}

#[track_caller]
fn assert_fails(run: &Run, what: &str) {
    let failures = failures(run);
    assert!(failures.iter().any(|f| f == what), "`{what}` is not among {failures:?}");
}

#[test]
fn a_good_run_passes_and_says_so() {
    let verdict = judge(&gate(), &run_of(drawn()), Some(&run_of(drawn())));
    assert!(verdict.passed(), "{verdict}");
    assert_eq!(verdict.exit_code(), 0);
    assert!(verdict.to_string().ends_with(&format!("gate passed: {} checks", verdict.checks.len())));
    assert!(verdict.checks.len() > 30);
}

#[test]
fn a_verdict_on_nothing_is_no_pass() {
    assert_eq!(Verdict { checks: vec![] }.exit_code(), 1);
}

#[test]
fn a_bad_run_fails_with_a_readable_table() {
    let bad = run_of(frames(1, N_FRAMES, &Model { found: 0.15, off_m: 1.9, ..Model::default() }));
    let verdict = judge(&gate(), &bad, Some(&run_of(drawn())));
    assert_eq!(verdict.exit_code(), 1);
    let text = verdict.to_string();
    let line = text.lines().find(|l| l.starts_with("car, recall")).unwrap();
    assert!(line.contains(">= 0.3") && line.ends_with("FAILED"), "{text}");
    assert!(text.lines().any(|l| l.starts_with("all, loss of mean AP") && l.ends_with("FAILED")), "{text}");
    assert!(text.lines().any(|l| l.starts_with("car, loss of translation, m") && l.ends_with("FAILED")));
    assert!(text.contains("gate FAILED: "), "{text}");
}

#[test]
fn nan_cannot_pass_as_a_figure_that_no_floor_catches() {
    let mut frames = drawn();
    frames[0].detections[0].score = f32::NAN;
    assert!(FrameSet::new(classes(), frames).is_err());
    let unknown = run_of(drawn()).with_figure("nuscenes.nds", f64::NAN);
    assert_fails(&unknown, "nuscenes.nds");
    assert_fails(&unknown, "loss of nuscenes.nds");
}

#[test]
fn nan_cannot_be_written_into_a_run() {
    for (file, from, to) in [
        (RUN_FILE, "\"mean_average_precision\": ", "\"mean_average_precision\": NaN, \"x\": "),
        (RUN_FILE, "\"recall\": ", "\"recall\": null, \"x\": "),
        (FRAMES_FILE, "[[0,0.", "[[0,NaN,0."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        run_of(drawn()).write(folder.path(), &|_| None).unwrap();
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Run::read(folder.path()).unwrap_err();
        assert!(matches!(error, RunError::Line { .. }), "{file}: {error}");
    }
}

#[test]
fn a_missing_class_fails_even_if_the_labels_are_meant() {
    let mut without: Vec<Frame> = drawn();
    for frame in &mut without {
        frame.objects.retain(|o| o.class_idx != 2);
        frame.detections.retain(|d| d.class_idx != 2);
    }
    let set = FrameSet::new(classes()[..2].to_vec(), without).unwrap();
    let run = Run::new(about("two classes"), set, &rules()).unwrap();
    let mut gate = gate();
    run.set().dataset_sha256().clone_into(&mut gate.dataset.sha256);
    assert!(failures_of(&gate, &run).contains(&"cyclist, in the run".to_owned()));
}

#[test]
fn a_class_that_the_gate_does_not_know_fails() {
    let mut gate = gate();
    gate.classes.remove("pedestrian");
    assert_eq!(failures_of(&gate, &run_of(drawn())), ["pedestrian, in the gate"]);
}

#[test]
fn fewer_samples_fail_whether_dropped_from_the_end_or_picked() {
    let mut fewer = drawn();
    fewer.pop();
    assert_fails(&run_of(fewer.clone()), "frames");
    assert_fails(&run_of(fewer), "dataset");
    // The frames in which the model does best, under the names of others.
    let mut picked = drawn();
    let best = picked[0].clone();
    picked[1] = Frame { name: picked[1].name.clone(), ..best };
    assert_eq!(failures(&run_of(picked)), ["dataset"]);
}

#[test]
fn fewer_objects_of_a_class_fail() {
    let mut gate = gate();
    let n_cars = figures_of(&run_of(drawn()), "car").unwrap().n_objects;
    gate.classes.get_mut("car").unwrap().min_objects = n_cars + 1;
    assert_eq!(failures_of(&gate, &run_of(drawn())), ["car, objects"]);
}

#[test]
fn another_datasets_hash_fails_though_every_figure_is_good() {
    let easy = Model { found: 1.0, off_m: 0.1, max_false: 0, ..Model::default() };
    assert_eq!(failures(&run_of(frames(2, N_FRAMES, &easy))), ["dataset"]);
}

#[test]
fn a_hash_that_was_copied_into_the_summary_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let easy = run_of(frames(2, N_FRAMES, &Model { found: 1.0, ..Model::default() }));
    easy.write(folder.path(), &|_| None).unwrap();
    let path = folder.path().join(RUN_FILE);
    let text = fs::read_to_string(&path).unwrap();
    let forged = text.replace(easy.set().dataset_sha256(), &gate().dataset.sha256);
    assert_ne!(text, forged);
    fs::write(&path, forged).unwrap();
    assert!(matches!(Run::read(folder.path()), Err(RunError::Differs { what: "dataset", .. })));
}

#[test]
fn figures_and_frames_that_were_edited_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_of(drawn());
    run.write(folder.path(), &|_| None).unwrap();
    let summary = fs::read_to_string(folder.path().join(RUN_FILE)).unwrap();
    let recall = format!("\"recall\": {}", run.analysis().classes[0].figures.recall);
    assert!(summary.contains(&recall));
    fs::write(folder.path().join(RUN_FILE), summary.replace(&recall, "\"recall\": 0.99")).unwrap();
    assert!(matches!(Run::read(folder.path()), Err(RunError::Differs { what: "classes", .. })));
    fs::write(folder.path().join(RUN_FILE), &summary).unwrap();
    assert!(Run::read(folder.path()).is_ok());
    let frames = fs::read_to_string(folder.path().join(FRAMES_FILE)).unwrap();
    fs::write(folder.path().join(FRAMES_FILE), frames.replacen("[[0,0.", "[[0,0.9", 1)).unwrap();
    assert!(matches!(Run::read(folder.path()), Err(RunError::Differs { what: "frames_sha256", .. })));
}

#[test]
fn a_frame_that_is_there_twice_is_no_run() {
    let folder = tempfile::tempdir().unwrap();
    run_of(drawn()).write(folder.path(), &|_| None).unwrap();
    let path = folder.path().join(FRAMES_FILE);
    let mut text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap().to_owned();
    text.push_str(&last);
    text.push('\n');
    fs::write(&path, text).unwrap();
    let error = Run::read(folder.path()).unwrap_err().to_string();
    assert_eq!(error, "frame `000059` is there twice");
}

#[test]
fn missing_or_partial_or_empty_times_fail() {
    let mut frames = drawn();
    frames.iter_mut().for_each(|f| f.times = None);
    assert_fails(&run_of(frames), "frame p99, ms");
    let mut frames = drawn();
    frames[7].times = None;
    assert_eq!(failures(&run_of(frames)), ["frames timed"]);
    let mut frames = drawn();
    frames.iter_mut().filter_map(|f| f.times.as_mut()).for_each(|t| t.frame_ns = 0);
    assert_eq!(failures(&run_of(frames)), ["frame p99, ms"]);
    let mut frames = drawn();
    frames[3].times.as_mut().unwrap().frame_ns = 41_000_000;
    assert_eq!(failures(&run_of(frames)), ["frame p99, ms"]);
}

#[test]
fn times_of_another_machine_device_or_precision_fail() {
    type Change = fn(&mut About);
    let change: [(&str, Change); 3] = [
        ("machine", |a| a.platform.machine = "bench-2".to_owned()),
        ("device", |a| a.platform.device = "NVIDIA H100".to_owned()),
        ("precision", |a| a.platform.precision = "int8".to_owned()),
    ];
    for (what, change) in change {
        let mut about = about("candidate");
        change(&mut about);
        assert_eq!(failures(&run_with(about, drawn(), &rules())), [what]);
    }
}

#[test]
fn empty_results_fail_in_every_class() {
    let mut frames = drawn();
    frames.iter_mut().for_each(|f| f.detections.clear());
    let failures = failures(&run_of(frames));
    for name in CLASSES {
        for what in ["boxes", "mean AP", "recall", "translation, m"] {
            assert!(failures.contains(&format!("{name}, {what}")), "{name}, {what}: {failures:?}");
        }
    }
}

#[test]
fn easier_rules_fail() {
    for easier in [
        Rules { min_points: 100, ..rules() },
        Rules { max_distance_m: Some(20.0), ..rules() },
        Rules { score: 0.1, ..rules() },
        Rules { region_m: Some([0.0, -5.0, 20.0, 5.0]), ..rules() },
    ] {
        assert_fails(&run_with(about("candidate"), drawn(), &easier), "rules");
    }
}

#[test]
fn a_reference_that_is_missing_weak_or_of_other_data_fails() {
    let fails = |reference: Option<&Run>, what: &str| {
        let verdict = judge(&gate(), &run_of(drawn()), reference);
        assert!(verdict.failed().any(|c| c.what == what), "{what}: {verdict}");
    };
    fails(None, "reference");
    let mut other = about("weak");
    other.model.package_sha256 = "cd".repeat(32);
    fails(Some(&run_with(other, drawn(), &rules())), "reference, model");
    fails(Some(&run_of(frames(2, N_FRAMES, &Model::default()))), "reference, dataset");
    fails(Some(&run_with(about("r"), drawn(), &Rules::default())), "reference, rules");
}

#[test]
fn gates_that_bar_nothing_are_none() {
    let good = text();
    for (from, to, says) in [
        ("score = 0.3", "score = nan", "rules.score"),
        ("p99_ms = 40.0", "p99_ms = inf", "latency.p99_ms"),
        ("p99_ms = 40.0", "p99_ms = -1.0", "latency.p99_ms"),
        ("mean_average_precision = 0.15, recall", "mean_average_precision = nan, recall", "classes.car.min"),
        ("mean_average_precision = 0.15, recall", "mean_average_precision = 0.0, recall", "classes.car.min"),
        ("mean_average_precision = 0.15, recall = 0.3", "", "classes.car.min"),
        ("mean_average_precision = 0.15, recall", "translation_m = 0.4, recall", "is an error"),
        ("translation_m = 1.0", "recall = 1.0", "is a gain"),
        ("translation_m = 1.0", "translation_m = inf", "classes.car.max"),
        ("mean_average_precision = 0.01", "mean_average_precision = nan", "overall.max_loss"),
        ("mean_average_precision = 0.01", "mean_average_precision = 1.0", "overall.max_loss"),
        ("min_objects = 50", "min_objects = 0", "classes.car.min_objects"),
        ("min_frames = 60", "min_frames = 0", "dataset.min_frames"),
        ("machine = \"bench-1\"", "machine = \" \"", "latency.machine"),
        ("schema_version = 1", "schema_version = 2", "schema_version"),
        ("min = 0.5\n", "min = nan\n", "figures.nuscenes.nds"),
        ("min = 0.5\nmax_loss = 0.01\n", "", "figures.nuscenes.nds"),
        ("recall", "reccall", "reccall"),
        ("[overall]", "[overal]", "overal"),
        ("min_points = 2", "min_points = 2\nmin_pionts = 9", "min_pionts"),
        ("p99_ms = 40.0\n", "", "p99_ms"),
        ("abab", "xbab", "reference.package_sha256"),
        ("[reference]", "[[reference]]", ""),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Gate::parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(says), "`{to}`: {error}");
    }
    let (before, _) = good.split_once("[reference]").unwrap();
    let error = Gate::parse(before).unwrap_err().to_string();
    assert!(error.contains("needs the package of a reference"), "{error}");
    let no_class: String =
        good.split("[classes").next().unwrap().replace("max_loss = { mean_average_precision = 0.01 }\n", "");
    let error = Gate::parse(&format!("{no_class}[classes]\n")).unwrap_err().to_string();
    assert!(error.contains("without a class"), "{error}");
}
