//! Each rule by itself, on frames small enough to be worked out by hand.

use super::*;

/// A car that every level counts; 80 px high.
fn car(x: f64) -> LabelLine {
    let line = format!("Car 0 0 0.5 {} 100 {} 180 1.5 2.0 4.0 {x} 1.7 20 0", 10.0 * x, 10.0 * x + 100.0);
    LabelLine::parse(&line).unwrap()
}

fn named(class_name: &str, mut line: LabelLine) -> LabelLine {
    class_name.clone_into(&mut line.class_name);
    line
}

fn scored(line: LabelLine, score: f64) -> LabelLine {
    LabelLine { score: Some(score), ..line }
}

/// The same box of pixels with another height.
fn high(line: LabelLine, height_px: f64) -> LabelLine {
    let [left, top, right, _] = line.image_box;
    LabelLine { image_box: [left, top, right, top + height_px], ..line }
}

fn frame(labels: Vec<LabelLine>, detections: Vec<LabelLine>) -> FrameLines {
    FrameLines { name: "000000".to_owned(), labels, detections }
}

/// Counts of labels and detections at the lowest threshold there is.
#[derive(Debug, PartialEq)]
struct Outcome {
    n_thresholds: usize,
    recall: f64,
    precision: f64,
}

fn report(labels: Vec<LabelLine>, detections: Vec<LabelLine>, rules: Rules) -> KittiReport {
    evaluate(&[frame(labels, detections)], rules).unwrap()
}

fn outcome_at(report: &KittiReport, metric: Metric, difficulty: Difficulty) -> Outcome {
    let curve = report.classes[0].curve(metric, Table::Strict, difficulty).unwrap();
    let last = curve.n_thresholds.max(1) - 1;
    Outcome { n_thresholds: curve.n_thresholds, recall: curve.recall[last], precision: curve.precision[last] }
}

fn outcome(labels: Vec<LabelLine>, detections: Vec<LabelLine>) -> Outcome {
    outcome_at(&report(labels, detections, Rules::Ports), Metric::Image, Difficulty::Easy)
}

fn is(found: &Outcome, n_thresholds: usize, recall: f64, precision: f64) -> bool {
    found.n_thresholds == n_thresholds
        && (found.recall - recall).abs() < 1e-12
        && (found.precision - precision).abs() < 1e-12
}

#[test]
fn a_found_car_is_found_everywhere() {
    let report = report(vec![car(0.0)], vec![scored(car(0.0), 0.5)], Rules::Ports);
    for metric in [Metric::Image, Metric::Ground, Metric::Space] {
        for difficulty in Difficulty::ALL {
            assert!(is(&outcome_at(&report, metric, difficulty), 1, 1.0, 1.0));
        }
    }
    // One object: one step of recall, which R40 does not count.
    let ap = |average: fn(&ClassReport, Metric, Table, Difficulty) -> Option<f64>| {
        average(&report.classes[0], Metric::Space, Table::Strict, Difficulty::Easy).unwrap()
    };
    assert!((ap(ClassReport::ap_r11) - 100.0 / 11.0).abs() < 1e-12);
    assert!(ap(ClassReport::ap_r40).abs() < 1e-12);
    assert_eq!(report.classes[0].n_ground_truths, [1; 3]);
    assert_eq!((report.classes[0].n_detections, report.n_frames), (1, 1));
}

#[test]
fn averages_take_every_fourth_step_or_all_but_the_first() {
    let curve: [f64; N_STEPS] = std::array::from_fn(|k| if k <= 20 { 1.0 } else { 0.0 });
    assert!((ap_r11(&curve) - 600.0 / 11.0).abs() < 1e-12);
    assert!((ap_r40(&curve) - 50.0).abs() < 1e-12);
    let last: [f64; N_STEPS] = std::array::from_fn(|k| if k == 40 { 1.0 } else { 0.0 });
    assert!((ap_r11(&last) - 100.0 / 11.0).abs() < 1e-12 && (ap_r40(&last) - 2.5).abs() < 1e-12);
}

#[test]
fn the_overlap_must_be_exceeded() {
    // Shifted so that 70 of 100 columns are shared by a box of 70: exactly 0.7.
    let narrow = |right: f64| LabelLine { image_box: [0.0, 100.0, right, 180.0], ..car(0.0) };
    let labels = || vec![narrow(100.0)];
    assert!(is(&outcome(labels(), vec![scored(narrow(70.0), 0.5)]), 0, 0.0, 0.0));
    assert!(is(&outcome(labels(), vec![scored(narrow(70.1), 0.5)]), 1, 1.0, 1.0));
}

#[test]
fn heights_decide_as_each_rule_has_it() {
    let counts = |height: f64, rules: Rules, difficulty: Difficulty| {
        let report = report(vec![high(car(0.0), height)], Vec::new(), rules);
        report.classes[0].n_ground_truths[difficulty as usize] == 1
    };
    assert!(!counts(40.0, Rules::Ports, Difficulty::Easy) && counts(40.01, Rules::Ports, Difficulty::Easy));
    assert!(
        !counts(25.0, Rules::Ports, Difficulty::Hard) && counts(25.01, Rules::Ports, Difficulty::Moderate)
    );
    assert!(counts(40.0, Rules::StrictCpp, Difficulty::Easy));
    assert!(!counts(39.99, Rules::StrictCpp, Difficulty::Easy));
    // A detection of 40 px counts; one of 39.9 is ignored and finds nothing. C++ sees whole pixels,
    // which makes a difference only at limits that are none.
    let label = || vec![high(car(0.0), 42.0)];
    for rules in [Rules::Ports, Rules::StrictCpp] {
        let found = |height: f64| {
            let report = report(label(), vec![scored(high(car(0.0), height), 0.5)], rules);
            outcome_at(&report, Metric::Image, Difficulty::Easy).n_thresholds
        };
        assert_eq!((found(40.0), found(39.9)), (1, 0), "{rules:?}");
    }
}

#[test]
fn hidden_and_cut_off_labels_are_ignored_from_their_level_on() {
    let counted = |occlusion: i32, truncation: f64| {
        let label = LabelLine { occlusion, truncation, ..car(0.0) };
        report(vec![label], Vec::new(), Rules::Ports).classes[0].n_ground_truths
    };
    assert_eq!((counted(0, 0.15), counted(0, 0.16)), ([1, 1, 1], [0, 1, 1]));
    assert_eq!((counted(1, 0.3), counted(0, 0.31)), ([0, 1, 1], [0, 0, 1]));
    assert_eq!((counted(2, 0.5), counted(2, 0.51), counted(3, 0.0)), ([0, 0, 1], [0; 3], [0; 3]));
}

#[test]
fn a_neighbour_is_neither_to_be_found_nor_a_mistake() {
    let labels = || vec![car(0.0), named("Van", car(30.0)), named("Truck", car(60.0))];
    let detections = vec![scored(car(0.0), 0.5), scored(car(30.0), 0.9)];
    assert!(is(&outcome(labels(), detections.clone()), 1, 1.0, 1.0));
    // A truck is none.
    let more = [detections, vec![scored(car(60.0), 0.9)]].concat();
    assert!(is(&outcome(labels(), more), 1, 1.0, 0.5));
    // Nor are neighbours detections of the class, whatever the letters' case.
    let vans = vec![scored(named("Van", car(0.0)), 0.5), scored(named("cAR", car(0.0)), 0.4)];
    assert!(is(&outcome(labels(), vans), 1, 1.0, 1.0));
    let people = |label: &str| {
        let labels = vec![named("Pedestrian", car(0.0)), named(label, car(30.0))];
        let person = |x: f64| scored(named("Pedestrian", car(x)), 0.5);
        let report = report(labels, vec![person(0.0), person(30.0)], Rules::Ports);
        report.classes[1].curve(Metric::Image, Table::Strict, Difficulty::Easy).unwrap().precision[0]
    };
    assert!((people("Person_sitting") - 1.0).abs() < 1e-12 && (people("Misc") - 0.5).abs() < 1e-12);
}

#[test]
fn a_low_detection_of_any_class_takes_a_label_that_no_other_takes() {
    let label = || vec![high(car(0.0), 50.0)];
    let low = |class: &str| scored(named(class, high(car(0.0), 39.0)), 0.9);
    // It takes the label: neither found nor missed. 39 of 50 px overlap by 0.78.
    let report = report(label(), vec![low("Pedestrian"), scored(car(80.0), 0.95)], Rules::Ports);
    let curve = report.classes[0].curve(Metric::Image, Table::Strict, Difficulty::Easy).unwrap();
    assert_eq!(curve.n_thresholds, 0);
    // One that counts is preferred at a threshold, in either order of the file.
    let counted = scored(high(car(0.0), 45.0), 0.5);
    for detections in [vec![low("Car"), counted.clone()], vec![counted, low("Car")]] {
        let mut labels = label();
        labels.push(car(30.0));
        let detections = [detections, vec![scored(car(30.0), 0.1)]].concat();
        // First the low one has the higher score, so the threshold is that of the second label.
        assert!(is(&outcome(labels, detections), 1, 1.0, 1.0));
    }
}

#[test]
fn a_label_that_only_low_detections_take_is_not_missed() {
    let low = |height: f64, score: f64| scored(high(car(0.0), height), score);
    let labels = || vec![high(car(0.0), 50.0), car(30.0)];
    // The low one takes the first label, so that one of one is found.
    assert!(is(&outcome(labels(), vec![low(39.0, 0.9), scored(car(30.0), 0.5)]), 1, 1.0, 1.0));
    assert!(is(&outcome(labels(), vec![scored(car(30.0), 0.5)]), 1, 0.5, 1.0));
    // The first of two takes it, and leaves the second to a label that the first does not reach.
    let second = LabelLine { image_box: [0.0, 108.0, 100.0, 156.0], ..car(0.0) };
    let both =
        vec![low(38.0, 0.9), scored(LabelLine { image_box: [0.0, 110.0, 100.0, 149.0], ..car(0.0) }, 0.8)];
    let labels = vec![high(car(0.0), 50.0), second, car(30.0)];
    let found = outcome(labels, [both, vec![scored(car(30.0), 0.5)]].concat());
    assert!(is(&found, 1, 1.0, 1.0), "{found:?}");
}

#[test]
fn a_label_takes_the_best_score_first_and_the_largest_overlap_then() {
    let near = |right: f64, score: f64| {
        scored(LabelLine { image_box: [0.0, 100.0, right, 180.0], ..car(0.0) }, score)
    };
    // Thresholds come of 0.9; at 0.9 the other one is cut off.
    let found = outcome(vec![car(0.0)], vec![near(99.0, 0.2), near(80.0, 0.9)]);
    assert!(is(&found, 1, 1.0, 1.0), "{found:?}");
    // Two labels, so that the lower score is a threshold too: now one of the two is false.
    let found =
        outcome(vec![car(0.0), car(30.0)], vec![near(99.0, 0.2), near(80.0, 0.9), scored(car(30.0), 0.1)]);
    assert!(is(&found, 2, 1.0, 2.0 / 3.0), "{found:?}");
    // By overlap the first label takes the wider box, which the angle shows.
    let turned = |line: LabelLine, alpha_rad: f64| LabelLine { alpha_rad, ..line };
    let detections = vec![turned(near(80.0, 0.9), 0.5), turned(near(99.0, 0.9), 0.5 + std::f64::consts::PI)];
    let report = report(vec![car(0.0)], detections, Rules::Ports);
    let curve = report.classes[0].curve(Metric::Orientation, Table::Strict, Difficulty::Easy).unwrap();
    assert!(curve.orientation[0].abs() < 1e-12 && (curve.precision[0] - 0.5).abs() < 1e-12);
}

#[test]
fn what_lies_in_a_region_is_not_false() {
    let region = |right: f64| {
        let line = format!("DontCare -1 -1 -10 500 100 {right} 180 -1 -1 -1 -1000 -1000 -1000 -10");
        LabelLine::parse(&line).unwrap()
    };
    let detections = || vec![scored(car(0.0), 0.5), scored(car(50.0), 0.9)];
    let precision = |right: f64| outcome(vec![car(0.0), region(right)], detections()).precision;
    // The share is of the detection: 71 and 70 of its 100 columns, and a region many times its size.
    assert!((precision(571.0) - 1.0).abs() < 1e-12 && (precision(570.0) - 0.5).abs() < 1e-12);
    assert!((precision(1900.0) - 1.0).abs() < 1e-12);
    // Two regions over one detection forgive one mistake.
    let doubled = vec![car(0.0), region(600.0), region(600.0)];
    let more = [detections(), vec![scored(car(20.0), 0.9)]].concat();
    assert!((outcome(doubled, more).precision - 0.5).abs() < 1e-12);
    // On the ground it is false, there is no region.
    let report = report(vec![car(0.0), region(1900.0)], detections(), Rules::Ports);
    assert!((outcome_at(&report, Metric::Ground, Difficulty::Easy).precision - 0.5).abs() < 1e-12);
}

#[test]
fn regions_in_space_count_in_cpp_alone() {
    let labels = vec![car(0.0), named("dontCARE", LabelLine { truncation: -1.0, ..car(50.0) })];
    let detections = vec![scored(car(0.0), 0.5), scored(car(50.0), 0.9)];
    for (rules, expected) in [(Rules::Ports, 0.5), (Rules::StrictCpp, 1.0)] {
        let report = report(labels.clone(), detections.clone(), rules);
        for metric in [Metric::Image, Metric::Ground, Metric::Space] {
            let found = outcome_at(&report, metric, Difficulty::Easy).precision;
            assert!((found - expected).abs() < 1e-12, "{rules:?} {metric:?}");
        }
    }
}

#[test]
fn orientation_weighs_each_object_found_by_its_angle() {
    let orientation = |alpha_rad: f64| {
        let detection = LabelLine { alpha_rad, ..scored(car(0.0), 0.5) };
        let report = report(vec![car(0.0)], vec![detection, scored(car(40.0), 0.6)], Rules::Ports);
        report.classes[0].curve(Metric::Orientation, Table::Strict, Difficulty::Easy).unwrap().orientation[0]
    };
    let pi = std::f64::consts::PI;
    // The second detection is false, so half remains.
    for (off, weight) in
        [(0.0, 1.0), (pi / 2.0, 0.5), (-pi / 2.0, 0.5), (pi, 0.0), (1.0, (1.0 + 1.0_f64.cos()) / 2.0)]
    {
        assert!((orientation(0.5 + off) - weight / 2.0).abs() < 1e-12, "{off}");
    }
}

#[test]
fn thresholds_come_nearest_to_the_steps_of_recall() {
    // As many as are found where they are few, the last in any case.
    assert_eq!(thresholds(vec![0.2, 0.9, 0.5], 3).len(), 3);
    let n = 400;
    let scores: Vec<f64> = (0..n).map(|k| f64::from(n - k)).collect();
    let taken = thresholds(scores.clone(), 400);
    assert_eq!(taken.len(), N_STEPS);
    let found: Vec<f64> = taken.iter().map(|score| f64::from(n) + 1.0 - score).collect();
    // Recall k/400: the first score, then every tenth, and the one before where both are as near.
    assert!((found[0] - 1.0).abs() < 1e-12 && (found[40] - 400.0).abs() < 1e-12);
    for (step, k) in found.iter().enumerate().skip(1) {
        assert!((k - 10.0 * step as f64).abs() <= 1.0, "step {step}: {k} found");
    }
    // Half of the objects are found: steps end there.
    assert_eq!(thresholds(scores, 800).len(), 21);
    assert!(thresholds(Vec::new(), 0).is_empty());
}

#[test]
fn precision_is_the_best_at_this_recall_or_a_higher_one() {
    let at =
        |n_found: usize, n_false: usize| Counts { n_found, n_false, n_missed: 4 - n_found, similarity: 0.0 };
    let curve = Curve::of(&[0.9, 0.8, 0.7], &[at(1, 3), at(3, 1), at(4, 4)]);
    let expected = [0.75, 0.75, 0.5, 0.0];
    assert!(
        curve.precision.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-12),
        "{:?}",
        curve.precision
    );
    assert!((curve.recall[1] - 0.75).abs() < 1e-12 && (curve.score[2] - 0.7).abs() < 1e-12);
    // Nothing counted at a threshold is no precision, and no NaN.
    let nothing = Curve::of(&[0.5], &[Counts::default()]);
    assert!(nothing.precision[0].abs() < 1e-12 && nothing.recall[0].abs() < 1e-12);
}

#[test]
fn what_detections_do_not_state_is_not_available_rather_than_zero() {
    let flat = |line: LabelLine| LabelLine { image_box: [-1.0; 4], ..line };
    let labels = || vec![car(0.0)];
    let lidar_only = report(labels(), vec![scored(flat(car(0.0)), 0.5)], Rules::Ports);
    for class in &lidar_only.classes {
        assert!(class.not_available(Metric::Image).is_some_and(|why| why.contains("image box")));
        assert!(class.not_available(Metric::Orientation).is_some());
        assert!(class.curve(Metric::Image, Table::Strict, Difficulty::Easy).is_none());
    }
    assert!(is(&outcome_at(&lidar_only, Metric::Space, Difficulty::Easy), 1, 1.0, 1.0));
    assert_eq!(lidar_only.classes[0].n_without_image_box, 1);
    let summary = lidar_only.summary();
    assert!(summary["figures"]["KITTI/Car_2D_AP40_easy_strict"].is_null());
    assert!(summary["figures"]["KITTI/Overall_2D_AP11_hard"].is_null());
    assert!(summary["figures"]["KITTI/Car_3D_AP11_easy_strict"].is_f64());
    assert!(lidar_only.to_string().contains("Car 2D: not available"), "{lidar_only}");
    // C++ ignores it everywhere, and evaluates no class without detections.
    let cpp = report(labels(), vec![scored(flat(car(0.0)), 0.5)], Rules::StrictCpp);
    assert_eq!(outcome_at(&cpp, Metric::Space, Difficulty::Easy).n_thresholds, 0);
    assert!(cpp.classes[1].not_available(Metric::Space).is_some_and(|why| why.contains("no detection")));
    // A detector of images alone.
    let nowhere = LabelLine { location: [-1000.0; 3], size_hwl: [-1.0; 3], ..scored(car(0.0), 0.5) };
    let image_only = report(labels(), vec![nowhere], Rules::Ports);
    assert!(image_only.classes[0].not_available(Metric::Image).is_none());
    assert!(image_only.classes[0].not_available(Metric::Ground).is_some());
    assert!(image_only.classes[0].not_available(Metric::Space).is_some());
    // No boxes at all: everything is 0, and nothing says how they are turned.
    let nothing = report(labels(), Vec::new(), Rules::Ports);
    assert!(is(&outcome_at(&nothing, Metric::Image, Difficulty::Easy), 0, 0.0, 0.0));
    assert!(nothing.classes[0].not_available(Metric::Orientation).is_some());
}

#[test]
fn orientation_needs_one_angle_in_ports_and_all_of_them_in_cpp() {
    let without = |line: LabelLine| LabelLine { alpha_rad: -10.0, ..line };
    let available = |labels: Vec<LabelLine>, detections: Vec<LabelLine>, rules| {
        report(labels, detections, rules).classes[0].not_available(Metric::Orientation).is_none()
    };
    let (one, none) = (scored(car(0.0), 0.5), scored(without(car(30.0)), 0.4));
    let labels = || vec![car(0.0)];
    assert!(available(labels(), vec![one.clone(), none.clone()], Rules::Ports));
    assert!(!available(labels(), vec![none.clone()], Rules::Ports));
    assert!(!available(labels(), vec![one.clone(), none], Rules::StrictCpp));
    assert!(available(labels(), vec![one.clone()], Rules::StrictCpp));
    // Ports look at the first label.
    assert!(!available(vec![without(car(0.0)), car(30.0)], vec![one.clone()], Rules::Ports));
    assert!(available(vec![without(car(0.0)), car(30.0)], vec![one], Rules::StrictCpp));
}

#[test]
fn loose_overlaps_are_of_the_ground_and_of_space() {
    // 1.8 m further along a car of 4 m: 2.2 / 5.8 on the ground and in 3D.
    let shifted = LabelLine { location: [1.8, 1.7, 20.0], ..car(0.0) };
    let detections = |by: f64| vec![scored(LabelLine { location: [by, 1.7, 20.0], ..shifted.clone() }, 0.5)];
    let found = |by: f64, metric: Metric, table: Table| {
        let report = report(vec![car(0.0)], detections(by), Rules::Ports);
        report.classes[0].curve(metric, table, Difficulty::Easy).unwrap().n_thresholds == 1
    };
    // 3 / 5 at 1 m, 2.2 / 5.8 at 1.8 m.
    for metric in [Metric::Ground, Metric::Space] {
        assert!(found(1.0, metric, Table::Loose) && !found(1.0, metric, Table::Strict));
        assert!(!found(1.8, metric, Table::Loose));
        assert!(found(0.5, metric, Table::Strict));
    }
    assert!(found(1.8, Metric::Image, Table::Loose) && found(1.8, Metric::Image, Table::Strict));
    // A metre lower, half a metre of 1.5 and 1.5 is shared.
    let lower = LabelLine { location: [0.0, 2.7, 20.0], ..car(0.0) };
    let report = report(vec![car(0.0)], vec![scored(lower, 0.5)], Rules::Ports);
    assert_eq!(outcome_at(&report, Metric::Ground, Difficulty::Easy).n_thresholds, 1);
    assert_eq!(outcome_at(&report, Metric::Space, Difficulty::Easy).n_thresholds, 0);
}

#[test]
fn a_report_has_the_keys_it_is_known_by() {
    let report = report(vec![car(0.0)], vec![scored(car(0.0), 0.5)], Rules::Ports);
    let figures = report.figures();
    // 3 classes x 3 levels x 2 tables x 4 metrics x 2 averages, and the means.
    assert_eq!(figures.len(), 3 * 3 * 2 * 4 * 2 + 3 * 4 * 2);
    for key in [
        "KITTI/Car_3D_AP40_moderate_strict",
        "KITTI/Cyclist_AOS_AP11_hard_loose",
        "KITTI/Overall_BEV_AP40_easy",
    ] {
        assert!(figures.contains_key(key), "no {key}");
    }
    let summary = report.summary();
    assert_eq!((&summary["rules"], &summary["n_frames"]), (&"ports".into(), &1.into()));
    assert_eq!(summary["classes"]["Car"]["n_ground_truths"]["hard"], 1);
    let details = report.details();
    assert_eq!(details["curves"]["Car_2D_easy_strict"]["precision"].as_array().unwrap().len(), N_STEPS);
    assert!(details["curves"]["Car_2D_easy_strict"]["orientation"].is_array());
    assert!(details["curves"]["Car_BEV_easy_loose"]["orientation"].is_null());
    for (curve, overlap) in [("2D_easy_loose", 0.7), ("BEV_easy_loose", 0.5), ("3D_easy_strict", 0.7)] {
        let found = details["curves"][format!("Car_{curve}")]["min_overlap"].as_f64().unwrap();
        assert!((found - overlap).abs() < 1e-12, "{curve}: {found}");
    }
    let mean = figures["KITTI/Overall_3D_AP11_easy"].as_f64().unwrap();
    assert!((mean - 100.0 / 11.0 / 3.0).abs() < 1e-12, "the classes without labels are in it");
}

#[test]
fn frames_that_cannot_be_evaluated_are_refused() {
    assert!(matches!(evaluate(&[], Rules::Ports), Err(KittiError::NoFrames { .. })));
    let twice = [frame(Vec::new(), Vec::new()), frame(Vec::new(), Vec::new())];
    assert!(evaluate(&twice, Rules::Ports).unwrap_err().to_string().contains("`000000` is named twice"));
    let refused = |labels: Vec<LabelLine>, detections: Vec<LabelLine>| {
        evaluate(&[frame(labels, detections)], Rules::Ports).unwrap_err().to_string()
    };
    let broken = LabelLine { rotation_y: f64::NAN, ..car(0.0) };
    assert!(refused(vec![car(0.0), broken], Vec::new()).contains("label 1 has a number"));
    assert!(refused(Vec::new(), vec![car(0.0)]).contains("detection 0 has no score"));
    assert!(refused(Vec::new(), vec![scored(car(0.0), f64::INFINITY)]).contains("detection 0 has a number"));
    assert!(evaluate(&[frame(Vec::new(), Vec::new())], Rules::Ports).is_ok());
}
