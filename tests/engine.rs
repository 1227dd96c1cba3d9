//! The engine with the model that ships, on the sweeps that ship.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_runtime::golden::Answers;
use pilotis_runtime::{CloudFile, CloudView, Engine, EngineBuilder, OnMismatch, Package, golden};
use pilotis_spec::{Box3d, FrameErrorCode, FrameFlags, FrameReport, Point, Stage, StageTimes};
use pilotis_tests::{open_kitti, repository, shipped_model, shipped_sweeps, why_no_network};

fn engine(package: &Package, n_threads: usize) -> Engine {
    EngineBuilder::new().threads(n_threads).build(package).unwrap()
}

/// Returns from the test, saying why, where the network cannot run.
macro_rules! need_network {
    () => {
        if let Some(reason) = why_no_network() {
            println!("{reason}");
            return;
        }
    };
}

/// Everything of a frame but when and how fast.
fn timeless(mut answers: Answers) -> Answers {
    answers.report.times = StageTimes::default();
    answers.report.frame_idx = 0;
    answers
}

#[test]
fn the_shipped_model_answers_its_golden() {
    need_network!();
    let package = shipped_model().unwrap();
    let matched = golden::check(&package, &mut engine(&package, 2)).unwrap();
    assert!(matched.n_samples >= 3 * 64, "{matched:?}");
}

#[test]
fn results_are_the_same_for_any_threads_and_any_history() {
    need_network!();
    let package = shipped_model().unwrap();
    let sweeps: Vec<CloudFile> = shipped_sweeps().iter().map(|p| open_kitti(p).unwrap()).collect();
    assert!(sweeps.len() >= 3);
    let mut one = engine(&package, 1);
    let alone: Vec<Answers> =
        sweeps.iter().map(|s| timeless(Answers::of(&mut one, &s.view()).unwrap())).collect();
    assert!(alone.iter().all(|a| !a.detections.is_empty()), "a sweep without boxes proves little");
    let mut two = engine(&package, 2);
    // Forwards, backwards, and with an empty cloud between.
    for _ in 0..2 {
        for (sweep, want) in sweeps.iter().zip(&alone).rev() {
            assert_eq!(&timeless(Answers::of(&mut two, &sweep.view()).unwrap()), want);
            two.infer(&CloudView::from_points(&[])).unwrap();
        }
        for (sweep, want) in sweeps.iter().zip(&alone) {
            assert_eq!(&timeless(Answers::of(&mut two, &sweep.view()).unwrap()), want);
        }
    }
}

#[test]
fn most_labelled_cars_are_found_where_they_are() {
    need_network!();
    let package = shipped_model().unwrap();
    let mut engine = engine(&package, 2);
    let (min, max) = (package.manifest().grid.min(), package.manifest().grid.max());
    let car = package.manifest().class_idx("car").unwrap() as u32;
    let (mut n_cars, mut n_found) = (0, 0);
    for path in shipped_sweeps() {
        let file = open_kitti(&path).unwrap();
        let detections = engine.infer(&file.view()).unwrap().detections.to_vec();
        let labels = repository("tests/data/simulated/labels");
        let labels = labels.join(path.with_extension("txt").file_name().unwrap());
        for line in std::fs::read_to_string(labels).unwrap().lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |i: usize| fields[i].parse::<f32>().unwrap();
            let (x, y) = (number(1), number(2));
            let inside = x >= min[0] && x < max[0].min(40.0) && y >= min[1] && y < max[1];
            if fields[0] == "Car" && inside && number(8) >= 20.0 {
                n_cars += 1;
                let near = |b: &Box3d| (b.center[0] - x).hypot(b.center[1] - y) < 1.0;
                let is_it =
                    |d: &pilotis_spec::Detection| d.class_idx == car && d.score > 0.3 && near(&d.bbox);
                n_found += usize::from(detections.iter().any(is_it));
            }
        }
    }
    // A floor far below what the model card measures on 200 frames: this is about the pipeline.
    assert!(n_cars >= 10 && 2 * n_found >= n_cars, "{n_found} of {n_cars}");
}

#[test]
fn every_point_is_accounted_for() {
    need_network!();
    let package = shipped_model().unwrap();
    let mut engine = EngineBuilder::new().on_mismatch(OnMismatch::Flag).build(&package).unwrap();
    let sums = |r: &FrameReport| {
        r.n_points_kept
            + r.dropped_nan
            + r.dropped_out_of_range
            + r.dropped_near_sensor
            + r.dropped_over_capacity
            + r.dropped_pillar_full
            + r.dropped_no_pillar
    };
    for path in shipped_sweeps() {
        let file = open_kitti(&path).unwrap();
        let report = engine.infer(&file.view()).unwrap().report;
        assert_eq!(report.n_points as usize, file.n_points());
        assert_eq!(sums(&report), report.n_points, "{report:?}");
    }
    let broken = [Point { x: f32::INFINITY, ..Point::default() }, Point { z: 99.0, ..Point::default() }];
    let report = engine.infer(&CloudView::from_points(&broken)).unwrap().report;
    assert_eq!((report.dropped_nan, report.dropped_out_of_range), (1, 1));
    assert!(report.flags.contains(FrameFlags::NOTHING_IN_RANGE));
    assert_eq!(sums(&report), 2);
}

#[test]
fn another_intensity_scale_is_refused_and_the_engine_goes_on() {
    need_network!();
    let package = shipped_model().unwrap();
    let mut engine = engine(&package, 1);
    let file = open_kitti(&shipped_sweeps()[0]).unwrap();
    let boxes = engine.infer(&file.view()).unwrap().detections.to_vec();
    let scaled: Vec<Point> = engine
        .last_frame()
        .unwrap()
        .points
        .iter()
        .map(|p| Point { intensity: p.intensity * 255.0, ..*p })
        .collect();
    let error = engine.infer(&CloudView::from_points(&scaled)).unwrap_err();
    assert_eq!((error.stage, error.code), (Stage::Points, FrameErrorCode::IntensityMismatch));
    assert_eq!(engine.infer(&file.view()).unwrap().detections, boxes);
}
