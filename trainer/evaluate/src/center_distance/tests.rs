#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn at(x: f32) -> Box3d {
    Box3d { center: [x, 0.0, 0.0], size: [4.0, 2.0, 1.5], yaw: 0.0 }
}

fn found(x: f32, score: f32) -> Detection {
    Detection { bbox: at(x), score, ..Detection::default() }
}

fn frame(objects: &[f32], detections: &[(f32, f32)]) -> FrameResult {
    FrameResult {
        ground_truths: objects.iter().map(|x| (0, at(*x), 10)).collect(),
        detections: detections.iter().map(|(x, score)| found(*x, *score)).collect(),
    }
}

fn one_class(frames: &[FrameResult]) -> ClassResult {
    evaluate(frames, &["car"], &Filter::default(), 0.5).unwrap().classes.remove(0)
}

fn assert_ap(result: &ClassResult, expected: [f64; 4]) {
    for (got, expected) in result.average_precision.iter().zip(expected) {
        // 90 additions in doubles.
        assert!((got - expected).abs() < 1e-13, "{:?} is not {expected}", result.average_precision);
    }
}

#[test]
fn perfect_detections_have_a_precision_of_one() {
    let result = one_class(&[frame(&[0.0, 10.0], &[(0.0, 0.9), (10.0, 0.8)]), frame(&[5.0], &[(5.0, 0.3)])]);
    assert_ap(&result, [1.0; 4]);
    assert_eq!((result.n_ground_truths, result.n_ignored, result.n_detections), (3, 0, 3));
    let o = result.operating;
    assert_eq!((o.n_true_positives, o.n_false_positives, o.n_missed), (2, 0, 1));
    assert_eq!((o.recall, o.precision), (2.0 / 3.0, 1.0));
    assert_eq!((o.translation_error_m, o.scale_error), (Some(0.0), Some(0.0)));
    assert_eq!(o.orientation_error_rad, Some(0.0));
}

#[test]
fn missed_objects_wrong_boxes_and_empty_scenes_have_none() {
    assert_ap(&one_class(&[frame(&[0.0, 10.0], &[])]), [0.0; 4]);
    assert_ap(&one_class(&[frame(&[0.0], &[(50.0, 0.9)])]), [0.0; 4]);
    assert_ap(&one_class(&[frame(&[], &[(50.0, 0.9)])]), [0.0; 4]);
    let nothing = one_class(&[frame(&[], &[])]);
    assert_ap(&nothing, [0.0; 4]);
    assert_eq!(nothing.operating, OperatingPoint { score_threshold: 0.5, ..OperatingPoint::default() });
    // Objects and boxes of different frames do not meet.
    assert_ap(&one_class(&[frame(&[0.0], &[]), frame(&[], &[(0.0, 0.9)])]), [0.0; 4]);
}

#[test]
fn a_distance_equal_to_the_threshold_is_too_far() {
    assert_ap(&one_class(&[frame(&[0.0], &[(0.5, 0.9)])]), [0.0, 1.0, 1.0, 1.0]);
    assert_ap(&one_class(&[frame(&[0.0], &[(2.0, 0.9)])]), [0.0, 0.0, 0.0, 1.0]);
    assert_ap(&one_class(&[frame(&[0.0], &[(4.0, 0.9)])]), [0.0; 4]);
}

#[test]
fn a_wrong_box_before_the_right_one_halves_precision() {
    // Recall 0 then 1, precision 0 then 1/2: at recall r the line gives r / 2. Bins 11..=20 give
    // at most 0.1 and so nothing, the others (r / 2 - 0.1) / 0.9.
    let sum: f64 = (21..=100).map(|i| (f64::from(i) * 0.005 - 0.1).max(0.0)).sum();
    assert_ap(&one_class(&[frame(&[0.0], &[(50.0, 0.9), (0.0, 0.8)])]), [sum / 90.0 / 0.9; 4]);
}

#[test]
fn a_second_box_on_an_object_is_wrong() {
    // Recalls 1, 1; precisions 1, 1/2. Below recall 1 the first holds, at 1 the last.
    let expected = (89.0 * 0.9 + 0.4) / 90.0 / 0.9;
    let result = one_class(&[frame(&[0.0], &[(0.0, 0.9), (0.1, 0.8)])]);
    assert_ap(&result, [expected; 4]);
    assert_eq!((result.operating.n_true_positives, result.operating.n_false_positives), (1, 1));
}

#[test]
fn of_equal_scores_the_later_one_goes_first() {
    // The later one takes the object exactly, and the earlier one 0.3 m off is wrong.
    let later_is_right = one_class(&[frame(&[0.0], &[(0.3, 0.9), (0.0, 0.9)])]);
    assert_eq!(later_is_right.operating.translation_error_m, Some(0.0));
    let later_is_off = one_class(&[frame(&[0.0], &[(0.0, 0.9), (0.25, 0.9)])]);
    assert_eq!(later_is_off.operating.translation_error_m, Some(0.25));
    // Later frames count as later, too: the wrong box goes first.
    let sum: f64 = (21..=100).map(|i| (f64::from(i) * 0.005 - 0.1).max(0.0)).sum();
    let frames = [frame(&[0.0], &[(0.0, 0.9)]), frame(&[], &[(0.0, 0.9)])];
    assert_ap(&one_class(&frames), [sum / 90.0 / 0.9; 4]);
}

#[test]
fn recall_ends_where_the_last_box_is_and_hundredths_are_products() {
    // Half of the objects: bins 11..=50 have precision 1, and 50 * 0.01 is 0.5 exactly.
    let half = frame(&[0.0, 10.0], &[(0.0, 0.9)]);
    assert_ap(&one_class(&[half]), [40.0 / 90.0; 4]);
    // 7 of 10: 70 * 0.01 is above 7 / 10, so bin 70 is past the end: bins 11..=69.
    let objects: Vec<f32> = (0..10).map(|k| k as f32 * 10.0).collect();
    let boxes: Vec<(f32, f32)> = objects[..7].iter().map(|x| (*x, 0.9)).collect();
    assert_ap(&one_class(&[frame(&objects, &boxes)]), [59.0 / 90.0; 4]);
}

#[test]
fn a_taken_object_leaves_the_next_nearest() {
    // Both boxes are nearest to the object at 0; the second one takes that at 1.5.
    let result = one_class(&[frame(&[0.0, 1.5], &[(0.0, 0.9), (0.6, 0.8)])]);
    assert_ap(&result, [40.0 / 90.0 + second_is_wrong(), 1.0, 1.0, 1.0]);
    fn second_is_wrong() -> f64 {
        // At recall 0.5 itself the last precision, 1/2, holds instead of 1.
        (0.4 - 0.9) / 90.0 / 0.9
    }
}

#[test]
fn sparse_objects_are_neither_found_nor_missed() {
    let filter = Filter { min_points: 5, ..Filter::default() };
    let scene = |n_points: u32, boxes: &[(f32, f32)]| {
        let mut frame = frame(&[0.0, 1.0], boxes);
        frame.ground_truths[1].2 = n_points;
        evaluate(&[frame], &["car"], &filter, 0.0).unwrap().classes.remove(0)
    };
    let result = scene(4, &[(1.0, 0.9), (0.0, 0.8)]);
    assert_eq!((result.n_ground_truths, result.n_ignored), (1, 1));
    // The box on the sparse object, within 2 m of the counted one, takes the counted one there.
    assert_eq!(result.operating.n_true_positives, 1);
    // At 0.5 and 1 m it is only within reach of the sparse one, and goes uncounted.
    assert_ap(&result, [1.0; 4]);
    let o = result.operating;
    assert_eq!((o.n_true_positives, o.n_false_positives, o.n_missed), (1, 0, 0));
    // A sparse object excuses one box only.
    let o = scene(4, &[(0.0, 0.9), (1.0, 0.8), (1.1, 0.7)]).operating;
    assert_eq!((o.n_true_positives, o.n_false_positives), (1, 1));
    let dense = scene(5, &[(1.0, 0.9), (0.0, 0.8)]);
    assert_eq!((dense.n_ground_truths, dense.operating.n_true_positives), (2, 2));
}

#[test]
fn what_the_filter_leaves_out_neither_counts_nor_costs() {
    let grid = Grid::new([0.0, -10.0, -3.0], [20.0, 10.0, 1.0], [0.2, 0.2]).unwrap();
    let frames = [frame(&[0.0, 20.0, 19.9], &[(20.0, 0.9), (0.0, 0.8), (-0.01, 0.7), (19.9, 0.6)])];
    let on = |filter: &Filter| evaluate(&frames, &["car"], filter, 0.5).unwrap().classes.remove(0);
    let result = on(&Filter::on_grid(&grid, 0));
    assert_eq!((result.n_ground_truths, result.n_detections), (2, 2));
    assert_ap(&result, [1.0; 4]);
    let near = on(&Filter { max_distance_m: 19.0, ..Filter::default() });
    assert_eq!((near.n_ground_truths, near.n_detections), (1, 2));
    assert_eq!(on(&Filter::default()).n_ground_truths, 3);
}

#[test]
fn classes_do_not_meet_and_one_without_objects_stays_in_the_mean() {
    let mut scene = frame(&[0.0, 10.0], &[(0.0, 0.9), (10.0, 0.8)]);
    scene.ground_truths[1].0 = 1;
    let report = evaluate(&[scene], &["car", "cyclist", "tram"], &Filter::default(), 0.5).unwrap();
    // The second box has class 0 and stands on an object of class 1: wrong, after full recall.
    assert_ap(&report.classes[0], [(89.0 * 0.9 + 0.4) / 90.0 / 0.9; 4]);
    assert_ap(&report.classes[1], [0.0; 4]);
    let expected = report.classes[0].mean_average_precision() / 3.0;
    assert!((report.mean_average_precision() - expected).abs() < 1e-15);
    let table = report.to_string();
    assert_eq!(table.lines().count(), 7, "{table}");
    let lengths: Vec<usize> = table.lines().skip(2).take(4).map(str::len).collect();
    assert!(lengths.iter().all(|n| *n == lengths[0]), "{table}");
    assert!(
        table.contains("AP 0.5 m") && table.contains("tram") && table.ends_with("mean AP 0.3313"),
        "{table}"
    );
}

#[test]
fn errors_are_means_over_right_boxes() {
    let object = Box3d { center: [10.0, 5.0, 0.0], size: [4.0, 2.0, 1.5], yaw: 3.0 };
    let near = Box3d { center: [10.3, 5.4, 2.0], size: [2.0, 2.0, 3.0], yaw: -3.0 };
    let result = |name: &str, yaw: f32| {
        let near = Box3d { yaw, ..near };
        let detections = vec![
            Detection { bbox: near, score: 0.9, ..Detection::default() },
            Detection { bbox: at(50.0), score: 0.8, ..Detection::default() },
        ];
        let frame = FrameResult { ground_truths: vec![(0, object, 1)], detections };
        evaluate(&[frame], &[name], &Filter::default(), 0.5).unwrap().classes[0].operating
    };
    let o = result("car", -3.0);
    assert!((o.translation_error_m.unwrap() - 0.5).abs() < 1e-6);
    // Common 2 x 2 x 1.5 = 6 of 12 + 12 - 6.
    assert!((o.scale_error.unwrap() - 2.0 / 3.0).abs() < 1e-12);
    assert!((o.orientation_error_rad.unwrap() - (2.0 * PI - 6.0)).abs() < 1e-6);
    assert_eq!(o.precision, 0.5);
    assert!((yaw_difference(0.1, 0.1 + 3.0, PI) - (PI - 3.0)).abs() < 1e-6);
    assert!((yaw_difference(0.1, 0.1 + 3.0, 2.0 * PI) - 3.0).abs() < 1e-6);
    // Turned round: a car is wrong by nearly a half turn, a barrier has no front.
    let turned = |name: &str| result(name, -0.25).orientation_error_rad.unwrap();
    assert!((turned("car") - (2.0 * PI - 3.25)).abs() < 1e-6);
    assert!((turned("barrier") - (3.25 - PI)).abs() < 1e-6);
}

#[test]
fn unsound_results_are_errors() {
    let evaluate = |frame: FrameResult| evaluate(&[frame], &["car"], &Filter::default(), 0.5);
    let unsound = |kind| Err(EvaluateError::Unsound { frame_idx: 0, kind, idx: 0 });
    assert_eq!(evaluate(frame(&[], &[(0.0, f32::NAN)])), unsound("detection"));
    assert_eq!(evaluate(frame(&[], &[(f32::INFINITY, 0.5)])), unsound("detection"));
    assert_eq!(evaluate(frame(&[f32::NAN], &[])), unsound("ground truth"));
    let mut flat = frame(&[0.0], &[]);
    flat.ground_truths[0].1.size[2] = 0.0;
    assert_eq!(evaluate(flat), unsound("ground truth"));
    let mut foreign = frame(&[], &[(0.0, 0.5)]);
    foreign.detections[0].class_idx = 1;
    assert!(matches!(evaluate(foreign), Err(EvaluateError::UnknownClass { class_idx: 1, .. })));
    let none = super::evaluate(&[], &["car"], &Filter::default(), 0.5);
    assert_eq!(none, Err(EvaluateError::NoFrames));
}

/// The definition once more, as slowly and as plainly as can be: no sorting, no cumulative
/// sums, no search.
fn plainly(frames: &[FrameResult], class_idx: usize, threshold: f64, min_points: u32) -> f64 {
    let mut left: Vec<(usize, usize)> = Vec::new();
    for (f, frame) in frames.iter().enumerate() {
        for (d, detection) in frame.detections.iter().enumerate() {
            if detection.class_idx as usize == class_idx {
                left.push((f, d));
            }
        }
    }
    let mut free: Vec<(usize, usize)> = Vec::new();
    for (f, frame) in frames.iter().enumerate() {
        for (g, object) in frame.ground_truths.iter().enumerate() {
            if object.0 == class_idx {
                free.push((f, g));
            }
        }
    }
    let is_counted = |(f, g): &(usize, usize)| frames[*f].ground_truths[*g].2 >= min_points;
    let n = free.iter().filter(|k| is_counted(k)).count();
    let mut curve: Vec<(f64, f64)> = Vec::new();
    let (mut right, mut wrong) = (0.0, 0.0);
    while !left.is_empty() {
        let mut best = 0;
        for k in 1..left.len() {
            let score = |k: usize| frames[left[k].0].detections[left[k].1].score;
            if score(k) >= score(best) {
                best = k;
            }
        }
        let (f, d) = left.remove(best);
        let p = frames[f].detections[d].bbox.center;
        let nearest = |counted: bool| {
            let mut found = None;
            for key in &free {
                let q = frames[key.0].ground_truths[key.1].1.center;
                let squares = [0, 1].map(|k| (f64::from(p[k]) - f64::from(q[k])).powi(2));
                let distance = (squares[0] + squares[1]).sqrt();
                let is_nearer = found.is_none_or(|(least, _)| distance < least);
                if key.0 == f && is_counted(key) == counted && is_nearer {
                    found = Some((distance, *key));
                }
            }
            found.filter(|(distance, _)| *distance < threshold).map(|(_, key)| key)
        };
        if let Some(key) = nearest(true) {
            free.retain(|k| *k != key);
            right += 1.0;
        } else if let Some(key) = nearest(false) {
            free.retain(|k| *k != key);
            continue;
        } else {
            wrong += 1.0;
        }
        curve.push((right / n as f64, right / (right + wrong)));
    }
    if right == 0.0 {
        return 0.0;
    }
    let mut sum = 0.0;
    for i in 11..=100_u32 {
        let r = f64::from(i) * 0.01;
        // Left of the curve its first value, right of it nothing; on a point the last such point.
        let mut precision = if r < curve[0].0 { curve[0].1 } else { 0.0 };
        for k in 0..curve.len() {
            let (r0, p0) = curve[k];
            if r == r0 {
                precision = p0;
            } else if let Some((r1, p1)) = curve.get(k + 1)
                && r0 < r
                && r < *r1
            {
                precision = p0 + (r - r0) * (p1 - p0) / (r1 - r0);
            }
        }
        sum += if precision > 0.1 { precision - 0.1 } else { 0.0 };
    }
    sum / 90.0 / 0.9
}

#[test]
fn random_scenes_agree_with_the_plain_definition() {
    let mut n_between = 0;
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let n_frames = rng.random_range(1..5);
        // Coarse places and scores in every other scene, for ties in both.
        let coarse = seed % 2 == 0;
        let mut frames = Vec::new();
        for _ in 0..n_frames {
            let mut place = || {
                let v: f32 = rng.random_range(-6.0..6.0);
                if coarse { v.round() * 0.5 } else { v }
            };
            let mut boxes: Vec<Box3d> = Vec::new();
            for _ in 0..24 {
                boxes.push(Box3d { center: [place(), place(), 0.0], size: [4.0, 2.0, 1.5], yaw: 0.0 });
            }
            let n_objects = rng.random_range(0..12);
            let n_detections = rng.random_range(0..12);
            let ground_truths = boxes[..n_objects]
                .iter()
                .map(|b| (rng.random_range(0..2_usize), *b, rng.random_range(0..20)))
                .collect();
            let detections = boxes[12..12 + n_detections]
                .iter()
                .map(|b| {
                    let score: f32 = rng.random();
                    let score = if coarse { (score * 4.0).round() / 4.0 } else { score };
                    Detection { bbox: *b, score, class_idx: rng.random_range(0..2), velocity: [0.0; 2] }
                })
                .collect();
            frames.push(FrameResult { ground_truths, detections });
        }
        for min_points in [0, 8] {
            let filter = Filter { min_points, ..Filter::default() };
            let report = evaluate(&frames, &["car", "cyclist"], &filter, 0.0).unwrap();
            for (class_idx, class) in report.classes.iter().enumerate() {
                for (got, threshold) in class.average_precision.iter().zip(THRESHOLDS_M) {
                    let expected = plainly(&frames, class_idx, threshold, min_points);
                    assert!((got - expected).abs() <= 1e-12, "seed {seed}: {got} {expected}");
                    n_between += usize::from(*got > 0.0 && *got < 1.0);
                }
            }
        }
    }
    assert!(n_between > 2000, "only {n_between} figures are neither 0 nor 1");
}
