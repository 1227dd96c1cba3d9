//! Frames made by hand, one for each rule.

#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use BoxFate::{False, Finds, LeftOut, Neutral};
use ObjectFate::{Found, Missed, NotCounted};

const CAR_IDX: usize = 1;
const SIZE: [f32; 3] = [4.0, 2.0, 1.5];

fn at(x: f32, y: f32) -> Box3d {
    Box3d { center: [x, y, -1.0], size: SIZE, yaw: 0.0 }
}

fn labelled(class_name: &str, x: f32, n_points: u32) -> GroundTruth {
    GroundTruth { class_name: class_name.to_owned(), bbox: at(x, 0.0), n_points, ..GroundTruth::default() }
}

fn car(x: f32) -> GroundTruth {
    labelled(CAR, x, 100)
}

fn found(x: f32, score: f32) -> Detection {
    Detection { bbox: at(x, 0.0), score, class_idx: CAR_IDX as u32, ..Detection::default() }
}

fn frame(objects: Vec<GroundTruth>, detections: Vec<Detection>) -> LabelledFrame {
    LabelledFrame { name: "a".to_owned(), objects, detections }
}

fn figures(frames: &[LabelledFrame]) -> FoundCars {
    evaluate(frames, CAR_IDX, &Settings::at(0.5)).unwrap()
}

/// What becomes of one frame.
fn fates(objects: Vec<GroundTruth>, detections: Vec<Detection>) -> FrameFate {
    figures(&[frame(objects, detections)]).frames.remove(0)
}

#[test]
fn the_share_is_of_cars_that_count_and_false_boxes_are_a_frame() {
    let first = frame(vec![car(10.0), car(20.0), car(30.0)], vec![found(10.2, 0.9), found(15.0, 0.8)]);
    let second = frame(vec![car(5.0)], vec![found(5.0, 0.9)]);
    let third = frame(vec![], vec![]);
    let figures = figures(&[first, second, third]);
    assert_eq!((figures.n_cars, figures.n_found, figures.n_false), (4, 2, 1));
    assert_eq!((figures.share(), figures.false_per_frame()), (0.5, 1.0 / 3.0));
    assert_eq!(figures.frames[0].missed().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(figures.frames[0].false_boxes().collect::<Vec<_>>(), [1]);
    assert_eq!(figures.frames[2], FrameFate::default());
}

#[test]
fn only_boxes_of_cars_with_the_score_take_part() {
    let other = Detection { class_idx: 0, ..found(10.0, 0.9) };
    let fate = fates(vec![car(10.0)], vec![other, found(10.0, 0.499), found(30.0, 0.1)]);
    assert_eq!((fate.objects, fate.boxes), (vec![Missed], vec![LeftOut; 3]));
    // A score equal to the least takes part.
    assert_eq!(fates(vec![car(10.0)], vec![found(10.0, 0.5)]).boxes, [Finds(0)]);
    // Objects of other classes are not found, whatever stands on them.
    let fate = fates(vec![labelled("pedestrian", 10.0, 100)], vec![found(10.0, 0.9)]);
    assert_eq!((fate.objects, fate.boxes), (vec![NotCounted], vec![False]));
}

#[test]
fn a_centre_one_metre_off_finds_a_car_and_further_ones_do_not() {
    assert_eq!(fates(vec![car(10.0)], vec![found(11.0, 0.9)]).boxes, [Finds(0)]);
    let fate = fates(vec![car(10.0)], vec![found(11.0_f32.next_up(), 0.9)]);
    assert_eq!((fate.objects, fate.boxes), (vec![Missed], vec![Neutral]));
    // Distances are horizontal: a box may float.
    let mut high = found(10.0, 0.9);
    high.bbox.center[2] = 3.0;
    assert_eq!(fates(vec![car(10.0)], vec![high]).boxes, [Finds(0)]);
    // And in both directions of the plane.
    let mut beside = found(10.8, 0.9);
    beside.bbox.center[1] = 0.8;
    assert_eq!(fates(vec![car(10.0)], vec![beside]).objects, [Missed]);
}

#[test]
fn every_side_is_within_a_factor_of_one_and_a_half() {
    for k in 0..3 {
        for (factor, expected) in [(1.5, Found), (1.51, Missed), (1.0 / 1.49, Found), (1.0 / 1.51, Missed)] {
            let mut detection = found(10.0, 0.9);
            detection.bbox.size[k] *= factor;
            assert_eq!(
                fates(vec![car(10.0)], vec![detection]).objects,
                [expected],
                "side {k} times {factor}"
            );
        }
    }
    // Turned by a quarter a box is another one, but headings are not compared.
    let mut turned = found(10.0, 0.9);
    turned.bbox.yaw = 1.5;
    assert_eq!(fates(vec![car(10.0)], vec![turned]).objects, [Found]);
}

#[test]
fn one_box_finds_one_car_and_a_second_box_on_it_is_false() {
    let fate = fates(vec![car(10.0)], vec![found(10.0, 0.9), found(10.1, 0.8)]);
    assert_eq!(fate.boxes, [Finds(0), False]);
    // The better score goes first, wherever it stands in the list and however far off it is.
    assert_eq!(fates(vec![car(10.0)], vec![found(10.0, 0.8), found(10.9, 0.9)]).boxes, [False, Finds(0)]);
    // Of equal scores the first.
    assert_eq!(fates(vec![car(10.0)], vec![found(10.9, 0.8), found(10.0, 0.8)]).boxes, [Finds(0), False]);
    // A box between two cars finds one of them.
    assert_eq!(fates(vec![car(10.0), car(11.5)], vec![found(10.75, 0.9)]).objects, [Found, Missed]);
}

#[test]
fn a_box_takes_the_nearest_free_car_that_fits() {
    assert_eq!(fates(vec![car(10.0), car(11.0)], vec![found(10.7, 0.9)]).boxes, [Finds(1)]);
    // The first of equally near ones.
    assert_eq!(fates(vec![car(10.0), car(11.0)], vec![found(10.5, 0.9)]).boxes, [Finds(0)]);
    // The nearest is taken, so the other one is.
    let boxes = fates(vec![car(10.0), car(11.0)], vec![found(10.0, 0.9), found(10.2, 0.8)]).boxes;
    assert_eq!(boxes, [Finds(0), Finds(1)]);
    // The nearest does not fit.
    let mut long = car(10.0);
    long.bbox.size[0] = 7.0;
    assert_eq!(fates(vec![long, car(10.9)], vec![found(10.1, 0.9)]).boxes, [Finds(1)]);
}

#[test]
fn cars_count_below_the_range_and_from_the_least_points_on() {
    let counts = |object: GroundTruth| fates(vec![object], vec![]).objects[0] == Missed;
    assert!(counts(labelled(CAR, 40.0_f32.next_down(), 20)) && !counts(labelled(CAR, 40.0, 20)));
    assert!(!counts(labelled(CAR, 10.0, 19)) && !counts(labelled("van", 10.0, 100)));
    // The range is from the sensor, not along x.
    let mut aside = car(32.0);
    aside.bbox.center[1] = -24.0;
    assert!(!counts(aside.clone()));
    aside.bbox.center[1] = 23.9;
    assert!(counts(aside));
    let behind = car(-39.0);
    assert!(counts(behind));
}

#[test]
fn cars_that_do_not_count_take_a_box_without_finding_or_faulting() {
    let fate = fates(vec![labelled(CAR, 10.0, 19), car(40.2)], vec![found(10.0, 0.9), found(39.9, 0.9)]);
    assert_eq!((fate.objects, fate.boxes), (vec![NotCounted; 2], vec![Neutral; 2]));
    // Only one box each; the second one is false.
    let fate = fates(vec![labelled(CAR, 10.0, 3)], vec![found(10.0, 0.9), found(10.2, 0.8)]);
    assert_eq!(fate.boxes, [Neutral, False]);
    // A box beyond the range may find a car that is nearer.
    assert_eq!(fates(vec![car(39.9)], vec![found(40.5, 0.9)]).objects, [Found]);
}

#[test]
fn a_box_is_false_nearer_than_the_range_alone() {
    let boxes =
        fates(vec![], vec![found(40.0_f32.next_down(), 0.9), found(40.0, 0.9), found(-39.0, 0.9)]).boxes;
    assert_eq!(boxes, [False, Neutral, False]);
}

#[test]
fn a_box_near_a_free_vehicle_is_not_false() {
    for class in VEHICLES {
        assert_eq!(fates(vec![labelled(class, 10.0, 1)], vec![found(12.0, 0.9)]).boxes, [Neutral], "{class}");
    }
    let boxes = fates(vec![labelled("van", 10.0, 1)], vec![found(12.0_f32.next_up(), 0.9)]).boxes;
    assert_eq!(boxes, [False]);
    // A van is not found, even from its very centre, and excuses one box, the better.
    let fate = fates(vec![labelled("van", 10.0, 99)], vec![found(11.0, 0.6), found(11.5, 0.9)]);
    assert_eq!((fate.objects, fate.boxes), (vec![NotCounted], vec![False, Neutral]));
    // Two vehicles excuse two boxes, each the nearest that is left.
    let vans = vec![labelled("van", 10.0, 1), labelled("truck", 13.0, 1)];
    assert_eq!(fates(vans, vec![found(11.4, 0.9), found(11.9, 0.8)]).boxes, [Neutral, Neutral]);
    // A missed car excuses a box and stays missed.
    let fate = fates(vec![car(10.0)], vec![found(11.5, 0.9)]);
    assert_eq!((fate.objects, fate.boxes), (vec![Missed], vec![Neutral]));
}

#[test]
fn a_found_car_excuses_nobody_however_high_the_score() {
    let fate = fates(vec![car(10.0)], vec![found(11.5, 0.9), found(10.0, 0.6)]);
    assert_eq!((fate.objects, fate.boxes), (vec![Found], vec![False, Finds(0)]));
    // A box out of range does not use a vehicle up.
    let boxes = fates(vec![labelled("bus", 39.5, 9)], vec![found(40.5, 0.9), found(38.5, 0.6)]).boxes;
    assert_eq!(boxes, [Neutral, Neutral]);
}

#[test]
fn bands_hold_every_car_and_every_false_box() {
    let objects = vec![
        labelled(CAR, 9.9, 20),
        labelled(CAR, 19.0, 49),
        labelled(CAR, 20.0, 50),
        labelled(CAR, 39.9, 9_999),
        labelled(CAR, 5.0, 19),
    ];
    let detections = vec![found(9.9, 0.9), found(20.0, 0.9), found(33.0, 0.9), found(14.0, 0.9)];
    let figures = figures(&[frame(objects, detections)]);
    let of = |bands: &Bands| bands.iter().map(|b| (b.n_cars, b.n_found, b.n_false)).collect::<Vec<_>>();
    assert_eq!(of(&figures.by_range), [(1, 1, 0), (1, 0, 1), (1, 1, 0), (1, 0, 1)]);
    assert_eq!(of(&figures.by_points), [(2, 1, 0), (1, 1, 0), (0, 0, 0), (0, 0, 0), (1, 0, 0)]);
    assert_eq!((figures.by_range[3].from, figures.by_range[3].to), (30.0, 40.0));
    assert_eq!((figures.by_points[0].share(), figures.by_points[2].share()), (0.5, 0.0));
    let table = figures.to_string();
    for line in ["2 of 4 cars found, a share of 0.500", "2 false boxes, 2.00 a frame"] {
        assert!(table.lines().any(|l| l == line), "{table}");
    }
    assert!(table.contains("30-40") && table.contains("20-49") && table.ends_with("0.000"), "{table}");
    // Fewer points and a range of no whole bands.
    let settings = Settings { max_range_m: 25.0, min_points: 60, ..Settings::at(0.5) };
    let few = evaluate(&[frame(vec![labelled(CAR, 21.0, 60)], vec![])], CAR_IDX, &settings).unwrap();
    assert_eq!(of(&few.by_range), [(0, 0, 0), (0, 0, 0), (1, 0, 0)]);
    assert_eq!((few.by_range[2].to, few.by_points[0].from, few.by_points[0].to), (25.0, 60.0, 100.0));
}

#[test]
fn the_nearest_box_says_why_a_car_was_missed() {
    let mut wrong = found(10.5, 0.3);
    wrong.bbox.size[1] = 4.0;
    let frame = frame(vec![car(10.0), car(30.0)], vec![found(12.0, 0.9), wrong]);
    let near = near_box(&frame, 0, CAR_IDX).unwrap();
    assert_eq!((near.detection_idx, near.distance_m, near.side_factor), (1, 0.5, 2.0));
    assert_eq!(near_box(&frame, 1, CAR_IDX).unwrap().distance_m, 18.0);
    assert_eq!((near_box(&frame, 2, CAR_IDX), near_box(&frame, 0, 0)), (None, None));
}

#[test]
fn a_sweep_gives_the_figures_of_every_score() {
    let objects = vec![car(10.0), car(20.0)];
    let frames = [frame(objects, vec![found(10.0, 0.9), found(30.0, 0.7), found(20.0, 0.3)])];
    let settings = Settings::at(0.0);
    let points = sweep(&frames, CAR_IDX, &settings, &[0.2, 0.5, 0.8, 0.95]).unwrap();
    let of = points.iter().map(|p| (p.min_score, p.n_found, p.n_false)).collect::<Vec<_>>();
    assert_eq!(of, [(0.2, 2, 1), (0.5, 1, 1), (0.8, 1, 0), (0.95, 0, 0)]);
    assert_eq!((points[1].share, points[0].false_per_frame), (0.5, 1.0));
}

#[test]
fn the_best_score_finds_most_with_few_enough_false_boxes() {
    let objects = vec![car(10.0), car(20.0)];
    let detections = vec![
        found(10.0, 0.9),
        found(30.0, 0.7),
        found(20.0, 0.4),
        found(25.0, 0.35),
        found(5.0, 0.3),
        found(37.0, 0.2),
    ];
    let frames = [frame(objects, detections)];
    let best = |from: f32, max_false: f64| {
        let best = best_score(&frames, CAR_IDX, &Settings::at(from), max_false).unwrap();
        best.map(|p| (p.min_score, p.n_found, p.n_false))
    };
    // Lower scores would add false boxes and find nothing more.
    assert_eq!(best(0.0, 3.0), Some((0.4, 2, 1)));
    assert_eq!(best(0.0, 1.0), Some((0.4, 2, 1)));
    assert_eq!(best(0.0, 0.5), Some((0.9, 1, 0)));
    assert_eq!(best(0.5, 3.0), Some((0.9, 1, 0)));
    assert_eq!(best(0.95, 3.0), None);
}

#[test]
fn what_is_no_box_is_refused() {
    assert_eq!(evaluate(&[], CAR_IDX, &Settings::at(0.5)), Err(EvaluateError::NoFrames));
    let mut broken = car(10.0);
    broken.bbox.size[2] = 0.0;
    let frames = [frame(vec![], vec![]), frame(vec![car(1.0), broken], vec![found(10.0, f32::NAN)])];
    let unsound = |kind, idx| Err(EvaluateError::Unsound { frame_idx: 1, kind, idx });
    assert_eq!(evaluate(&frames, CAR_IDX, &Settings::at(0.5)), unsound("ground truth", 1));
    let frames = [frame(vec![], vec![]), frame(vec![], vec![found(10.0, f32::NAN)])];
    assert_eq!(evaluate(&frames, CAR_IDX, &Settings::at(0.5)), unsound("detection", 0));
}
