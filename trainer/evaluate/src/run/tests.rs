//! From drawn frames to every file that a run leaves, and back.

use super::*;
use crate::analysis::samples::{Model as Eye, about, classes, frames, run_of, set};
use crate::analysis::{Frame, TellsVelocity};
use crate::compare::{Options, Verdict, compare};
use crate::gate::{self, Gate};
use crate::report::Report;
use pilotis_datasets::{GroundTruth, Sample};
use pilotis_spec::{Box3d, Detection};
use proptest::prelude::*;

/// Points on the outlines of a frame's objects.
fn cloud_of(frame: &Frame) -> Vec<Point> {
    let mut points = Vec::new();
    for object in &frame.objects {
        let b = &object.bbox;
        for k in 0..40_u8 {
            let turn = f32::from(k) / 40.0 * std::f32::consts::TAU;
            let (along, across) = (b.size[0] / 2.0 * libm::cosf(turn), b.size[1] / 2.0 * libm::sinf(turn));
            let (sin, cos) = (libm::sinf(b.yaw), libm::cosf(b.yaw));
            let (x, y) = (b.center[0] + along * cos - across * sin, b.center[1] + along * sin + across * cos);
            points.push(Point { x, y, z: b.center[2], intensity: 0.5, time_lag: 0.0 });
        }
    }
    points
}

fn write(run: &Run, dir: &Path) {
    let cloud = |name: &str| {
        let frame = run.set().frames().iter().find(|f| f.name == name)?;
        Some(cloud_of(frame))
    };
    run.write(dir, &cloud).unwrap();
}

#[test]
fn drawn_frames_become_a_run_a_report_a_comparison_and_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let rules = Rules { min_points: 2, ..Rules::default() };
    let make = |name: &str, eye: &Eye| {
        Run::new(about(name), set(1, 120, eye), &rules).unwrap().with_figure("nuscenes.nds", 0.61)
    };
    write(&make("before", &Eye::default()), &before);
    write(&make("after", &Eye { seed: 2, found: 0.97, off_m: 0.4, max_false: 2 }), &after);
    for dir in [&before, &after] {
        for file in [RUN_FILE, FRAMES_FILE, REPORT_FILE] {
            assert!(dir.join(file).metadata().unwrap().len() > 1000, "{file}");
        }
    }

    let (a, b) = (Run::read(&before).unwrap(), Run::read(&after).unwrap());
    assert_eq!(b, make("after", &Eye { seed: 2, found: 0.97, off_m: 0.4, max_false: 2 }));

    let comparison = compare(&a, &b, &Options { n_resamples: 640, ..Options::default() }).unwrap();
    assert_eq!(comparison.rows[0].verdict, Verdict::RealGain, "{comparison}");

    let gate = Gate::parse(&format!(
        "schema_version = 1\n[dataset]\nsha256 = \"{}\"\nmin_frames = 120\n[rules]\nmin_points = 2\nscore = 0.3\n\
         [latency]\np99_ms = 40.0\nmachine = \"bench-1\"\ndevice = \"cpu, 2 threads\"\nprecision = \"fp32\"\n\
         {}[reference]\npackage_sha256 = \"{}\"\n",
        a.set().dataset_sha256(),
        ["car", "pedestrian", "cyclist"]
            .map(|c| format!(
                "[classes.{c}]\nmin_objects = 100\nmin = {{ mean_average_precision = 0.3 }}\n\
                 max_loss = {{ recall = 0.0 }}\n"
            ))
            .concat(),
        "ab".repeat(32),
    ))
    .unwrap();
    let passed = gate::judge(&gate, &b, Some(&a));
    assert!(passed.passed(), "{passed}");
    let failed = gate::judge(&gate, &a, Some(&b));
    assert!(!failed.passed());

    let report = Report { run: &b, comparison: Some(&comparison), verdict: Some(&passed) };
    let html = report.html(&|_| None);
    assert!(html.contains("Gate: passed") && html.contains("real: better"));
    // A folder of one's own choice keeps what the browser is to be shown.
    if let Some(dir) = std::env::var_os("PILOTIS_KEEP_REPORTS") {
        let dir = PathBuf::from(dir);
        fs::write(dir.join("report.html"), fs::read(after.join(REPORT_FILE)).unwrap()).unwrap();
        fs::write(dir.join("compared.html"), html).unwrap();
    }
}

#[test]
fn what_is_written_does_not_depend_on_the_order_of_frames() {
    let mut turned = frames(3, 12, &Eye::default());
    turned.reverse();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    write(&run_of(set(3, 12, &Eye::default())), &one);
    write(&run_of(FrameSet::new(classes(), turned).unwrap()), &two);
    for file in [RUN_FILE, FRAMES_FILE, REPORT_FILE] {
        assert_eq!(fs::read(one.join(file)).unwrap(), fs::read(two.join(file)).unwrap(), "{file}");
    }
}

#[test]
fn runs_without_a_name_or_a_digest_are_refused() {
    let change: [fn(&mut About); 6] = [
        |a| a.model.name.clear(),
        |a| a.model.package_sha256.pop().map_or((), drop),
        |a| a.model.package_sha256.make_ascii_uppercase(),
        |a| a.platform.machine = " ".to_owned(),
        |a| a.platform.precision.clear(),
        |a| a.dataset.clear(),
    ];
    for change in change {
        let mut about = about("x");
        change(&mut about);
        let error = Run::new(about, set(1, 2, &Eye::default()), &Rules::default()).unwrap_err();
        assert!(matches!(error, RunError::About { .. }), "{error}");
    }
}

#[test]
fn folders_that_are_no_runs_say_what_is_wrong_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(matches!(Run::read(dir), Err(RunError::Read { .. })));
    let run_path = dir.join(RUN_FILE);
    let error = |text: &str| {
        fs::write(&run_path, text).unwrap();
        Run::read(dir).unwrap_err().to_string()
    };
    assert!(error("{}").contains("there is no `schema_version`"));
    assert!(error("{\"schema_version\": 2}").contains("has schema 2, this version reads 1"));
    assert!(error("{\"schema_version\": 1,\n \"modle\": 3}").contains("line 2: unknown field `modle`"));
    assert!(error("").contains("line 1"));

    write(&run_of(set(1, 3, &Eye::default())), dir);
    let frames_path = dir.join(FRAMES_FILE);
    let good = fs::read_to_string(&frames_path).unwrap();
    let error = |text: &str| {
        fs::write(&frames_path, text).unwrap();
        Run::read(dir).unwrap_err().to_string()
    };
    assert!(error("").contains("line 1: the file is empty"));
    assert!(error(&good[..good.len() / 2]).contains("frames.jsonl` line "));
    assert!(
        error(&good.replacen("\"schema_version\":1", "\"schema_version\":7", 1)).contains("has schema 7")
    );
    assert!(error(&good.replacen("\"objects\":[[", "\"objects\":[[9", 2)).contains("there are 3"));
    assert!(error(&good.replace("000002", "000001")).contains("`000001` is there twice"));
    let header = good.lines().next().unwrap();
    assert!(error(&format!("{header}\n")).contains("no frames"));
    fs::remove_file(&frames_path).unwrap();
    assert!(Run::read(dir).unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn a_run_that_was_not_finished_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_of(set(1, 3, &Eye::default()));
    write(&run, folder.path());
    // The report cannot be written, so the old summary must not stand beside new frames.
    fs::remove_file(folder.path().join(REPORT_FILE)).unwrap();
    fs::create_dir(folder.path().join(REPORT_FILE)).unwrap();
    assert!(matches!(run.write(folder.path(), &|_| None), Err(RunError::Write { .. })));
    assert!(!folder.path().join(RUN_FILE).exists());
}

#[test]
fn a_sample_of_a_dataset_and_detections_of_the_runtime_make_a_frame() {
    let bbox = Box3d { center: [1.0, 2.0, 0.0], size: [4.0, 2.0, 1.5], yaw: 0.1 };
    let object = |name: &str| GroundTruth {
        class_name: name.to_owned(),
        bbox,
        velocity: [3.0, 4.0],
        n_points: 7,
        occlusion: 2,
        difficult: false,
    };
    let inside = Point { x: 1.0, y: 2.0, z: 0.0, intensity: 0.0, time_lag: 0.0 };
    let points = vec![inside, Point { x: 30.0, ..inside }, inside];
    let sample = Sample { name: "7".to_owned(), points, objects: vec![object("van"), object("car")] };
    let detection = Detection { bbox, velocity: [1.0, 0.0], score: 0.5, class_idx: 0 };
    let names = ["car".to_owned()];
    let none = Frame::from_sample(&sample, &[detection], &names, TellsVelocity::default());
    assert_eq!((none.objects.len(), none.objects[0].velocity, none.detections[0].velocity), (1, None, None));
    let tells = TellsVelocity { dataset: true, model: true };
    let frame = Frame::from_sample(&sample, &[detection], &names, tells).with_points_counted(&sample.points);
    let object = frame.objects[0];
    assert_eq!((object.class_idx, object.n_points, object.occlusion), (0, 7, Some(2)));
    assert_eq!((object.velocity, frame.detections[0].velocity), (Some([3.0, 4.0]), Some([1.0, 0.0])));
    assert_eq!((frame.detections[0].n_points, none.detections[0].n_points), (Some(2), None));
}

proptest! {
    #[test]
    fn every_number_comes_back_to_the_bit(
        seed: u64, values in prop::collection::vec(any::<f32>(), 9), n_points: u32, occlusion: Option<u8>, name in "[^\u{0}]{1,12}",
    ) {
        let mut drawn = frames(seed, 2, &Eye::default());
        let finite = |v: f32| if v.is_finite() { v } else { 0.5 };
        let v: Vec<f32> = values.iter().copied().map(finite).collect();
        name.clone_into(&mut drawn[0].name);
        let object = &mut drawn[0].objects[0];
        object.bbox.center = [v[0], v[1], v[2]];
        object.bbox.size = [v[3], v[4], v[5]].map(|s| if s.abs() > 0.0 { s.abs() } else { 1.0 });
        object.bbox.yaw = v[6];
        object.velocity = Some([v[7], v[8]]);
        object.n_points = n_points;
        object.occlusion = occlusion;
        drawn[1].times = None;
        prop_assume!(drawn[0].name != drawn[1].name);
        let set = FrameSet::new(classes(), drawn).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FRAMES_FILE);
        let sha256 = frames_file::write(&path, &set).unwrap();
        let (frames, again) = frames_file::read(&path).unwrap();
        let back = FrameSet::new(classes(), frames).unwrap();
        prop_assert_eq!(back.dataset_sha256(), set.dataset_sha256());
        prop_assert_eq!(back, set);
        prop_assert_eq!(again, sha256);
    }
}
