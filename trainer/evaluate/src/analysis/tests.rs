#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::samples::{CLASSES, Model, classes, frames, set};
use super::*;
use crate::center_distance;
use pilotis_spec::{Box3d, Detection, StageTimes};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn at(x: f32, y: f32) -> Box3d {
    Box3d { center: [x, y, 0.0], size: [4.0, 2.0, 1.5], yaw: 0.0 }
}

fn object(class_idx: u32, x: f32) -> Object {
    Object { class_idx, bbox: at(x, 0.0), n_points: 50, ..Object::default() }
}

fn found(class_idx: u32, x: f32, score: f32) -> Found {
    Found { class_idx, bbox: at(x, 0.0), score, ..Found::default() }
}

fn named(name: &str, objects: Vec<Object>, detections: Vec<Found>) -> Frame {
    Frame { name: name.to_owned(), objects, detections, ..Frame::default() }
}

fn analysis(frames: Vec<Frame>, rules: &Rules) -> Analysis {
    Analysis::of(&FrameSet::new(classes(), frames).unwrap(), rules).unwrap()
}

/// The same frames as the other evaluation takes them.
fn plain(set: &FrameSet) -> Vec<center_distance::FrameResult> {
    let one = |f: &Frame| center_distance::FrameResult {
        ground_truths: f.objects.iter().map(|o| (o.class_idx as usize, o.bbox, o.n_points)).collect(),
        // It puts the later of equal scores first.
        detections: f
            .detections
            .iter()
            .rev()
            .map(|d| Detection {
                class_idx: d.class_idx,
                bbox: d.bbox,
                score: d.score,
                ..Detection::default()
            })
            .collect(),
    };
    set.frames().iter().rev().map(one).collect()
}

/// Coarse numbers, so that scores and distances tie.
fn coarse(seed: u64) -> FrameSet {
    let mut drawn = frames(seed, 20, &Model { seed, ..Model::default() });
    for d in drawn.iter_mut().flat_map(|f| &mut f.detections) {
        d.score = (d.score * 8.0).round() / 8.0;
    }
    FrameSet::new(classes(), drawn).unwrap()
}

#[test]
fn figures_equal_those_of_the_evaluation_by_centre_distance() {
    for seed in 0..20 {
        let set = coarse(seed);
        let rules = Rules { min_points: 10, score: 0.375, max_distance_m: Some(50.0), ..Rules::default() };
        let ours = Analysis::of(&set, &rules).unwrap();
        let filter = center_distance::Filter { max_distance_m: 50.0, min_points: 10, ..Default::default() };
        let theirs = center_distance::evaluate(&plain(&set), &CLASSES, &filter, 0.375).unwrap();
        for (ours, theirs) in ours.classes.iter().map(|c| &c.figures).zip(&theirs.classes) {
            let o = &theirs.operating;
            assert_eq!(ours.average_precision, theirs.average_precision, "seed {seed} {}", ours.name);
            assert_eq!(
                (ours.n_objects, ours.n_ignored, ours.n_detections),
                (theirs.n_ground_truths, theirs.n_ignored, theirs.n_detections)
            );
            assert_eq!((ours.n_right, ours.n_wrong), (o.n_true_positives, o.n_false_positives));
            assert_eq!((ours.recall, ours.precision), (o.recall, o.precision));
            for (ours, theirs) in [
                (ours.errors.translation_m, o.translation_error_m),
                (ours.errors.scale, o.scale_error),
                (ours.errors.orientation_rad, o.orientation_error_rad),
            ] {
                // Summed in another order.
                assert!((ours.unwrap() - theirs.unwrap()).abs() < 1e-12);
            }
        }
        assert_eq!(ours.mean_average_precision(), theirs.mean_average_precision());
    }
}

#[test]
fn neither_order_nor_threads_change_a_bit() {
    let rules = Rules { min_points: 5, ..Rules::default() };
    let set = coarse(3);
    let expected = Analysis::of(&set, &rules).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for n_threads in [1, 2, 5] {
        let mut shuffled = set.frames().to_vec();
        shuffled.shuffle(&mut rng);
        for frame in &mut shuffled {
            frame.objects.shuffle(&mut rng);
            frame.detections.shuffle(&mut rng);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let again = FrameSet::new(classes(), shuffled).unwrap();
        assert_eq!(again.dataset_sha256(), set.dataset_sha256());
        assert_eq!(pool.install(|| Analysis::of(&again, &rules)).unwrap(), expected, "{n_threads} threads");
    }
}

#[test]
fn parts_of_a_breakdown_add_up_to_the_whole() {
    let analysis = Analysis::of(&set(5, 60, &Model::default()), &Rules::default()).unwrap();
    for class in &analysis.classes {
        assert_eq!(class.breakdowns.len(), 4, "distance, points, occlusion, speed");
        for breakdown in &class.breakdowns {
            let shared = breakdown.attribute == Attribute::Occlusion;
            assert_eq!(breakdown.wrong_ones == WrongOnes::ByShare, shared, "{:?}", breakdown.attribute);
            let parts = &breakdown.parts;
            assert_eq!(parts.iter().map(|p| p.n_objects).sum::<usize>(), class.figures.n_objects);
            let n_wrong: f64 = parts.iter().map(|p| p.n_wrong).sum();
            assert!((n_wrong - class.figures.n_wrong as f64).abs() < 1e-9);
            let n_right: f64 = parts.iter().map(|p| p.recall.unwrap_or(0.0) * p.n_objects as f64).sum();
            assert!((n_right - class.figures.n_right as f64).abs() < 1e-9);
            assert!(parts.iter().all(|p| p.is_few == (p.n_objects < FEW_OBJECTS)));
            assert!(parts.iter().all(|p| p.average_precision.is_some() == (p.n_objects > 0)));
        }
    }
}

#[test]
fn an_object_lies_in_the_part_of_its_own_value() {
    let mut objects = vec![object(0, 9.99), object(0, 10.0), object(0, 100.0)];
    objects[0].n_points = 0;
    objects[1].n_points = 9;
    objects[2].n_points = 500;
    objects[1].occlusion = Some(2);
    objects[2].occlusion = Some(200);
    objects[0].velocity = Some([0.3, 0.4]);
    // One right detection, and a wrong one of another part.
    let detections = vec![found(0, 10.0, 0.9), found(0, 33.0, 0.8)];
    let a = analysis(vec![named("a", objects, detections)], &Rules::default());
    let parts = |attribute| {
        let breakdown = a.classes[0].breakdowns.iter().find(|b| b.attribute == attribute).unwrap();
        let part = |p: &Part| (p.label.clone(), p.n_objects, p.recall, p.n_wrong);
        (breakdown.wrong_ones, breakdown.parts.iter().map(part).collect::<Vec<_>>())
    };
    let part = |label: &str, n, recall, wrong| (label.to_owned(), n, recall, wrong);
    let third = 1.0 / 3.0;
    assert_eq!(
        parts(Attribute::Distance),
        (
            WrongOnes::InTheirOwnPart,
            vec![
                part("0-10", 1, Some(0.0), 0.0),
                part("10-20", 1, Some(1.0), 0.0),
                part("30-40", 0, None, 1.0),
                part("80+", 1, Some(0.0), 0.0)
            ]
        )
    );
    assert_eq!(
        parts(Attribute::Points),
        (
            WrongOnes::ByShare,
            vec![
                part("0", 1, Some(0.0), third),
                part("5-9", 1, Some(1.0), third),
                part("500+", 1, Some(0.0), third)
            ]
        )
    );
    assert_eq!(
        parts(Attribute::Occlusion).1,
        vec![
            part("2", 1, Some(1.0), third),
            part("4+", 1, Some(0.0), third),
            part("unknown", 1, Some(0.0), third)
        ]
    );
    assert_eq!(
        parts(Attribute::Speed).1,
        vec![part("0.2-1", 1, Some(0.0), third), part("unknown", 2, Some(0.5), 2.0 * third)]
    );
}

#[test]
fn a_part_drawn_at_random_has_the_average_precision_of_the_whole() {
    // Occlusion is drawn without regard to anything, so its parts differ by chance alone.
    let analysis = Analysis::of(&set(11, 600, &Model::default()), &Rules::default()).unwrap();
    for class in &analysis.classes {
        let by_occlusion = &class.breakdowns.iter().find(|b| b.attribute == Attribute::Occlusion).unwrap();
        for part in &by_occlusion.parts {
            let difference = part.average_precision.unwrap() - class.figures.mean_average_precision;
            // About 450 objects a part: a standard deviation near 0.02.
            assert!(difference.abs() < 0.07, "{} {}: {difference}", class.figures.name, part.label);
        }
    }
}

#[test]
fn what_was_taken_for_what_is_counted() {
    let objects = vec![object(0, 0.0), object(0, 20.0), object(1, 40.0), object(2, 60.0)];
    let mut ignored = object(0, 80.0);
    ignored.ignored = true;
    let detections = vec![
        found(0, 0.5, 0.9),
        // Nearer to the car at 20 than to anything of its own class.
        found(1, 20.5, 0.8),
        // The second one at that place finds nothing left.
        found(0, 20.4, 0.7),
        found(1, 40.0, 0.6),
        found(2, 80.1, 0.6),
        // Below the score.
        found(2, 60.0, 0.2),
    ];
    let frames = vec![named("a", [objects, vec![ignored]].concat(), detections)];
    let counts = analysis(frames, &Rules { score: 0.5, ..Rules::default() }).confusion.counts;
    assert_eq!(counts, [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]);
}

#[test]
fn every_object_and_box_is_in_one_cell_of_the_confusion() {
    for seed in 0..10 {
        let set = coarse(seed);
        let analysis = Analysis::of(&set, &Rules { min_points: 8, ..Rules::default() }).unwrap();
        let counts = &analysis.confusion.counts;
        for (row, class) in analysis.classes.iter().enumerate() {
            assert_eq!(analysis.confusion.n_of_row(row), class.figures.n_objects);
        }
        let n_boxes = set.frames().iter().flat_map(|f| &f.detections).filter(|d| d.score >= 0.3).count();
        let in_cells: usize = counts.iter().map(|row| row[..3].iter().sum::<usize>()).sum();
        assert!(in_cells <= n_boxes && in_cells > n_boxes / 2, "{in_cells} of {n_boxes}");
    }
}

#[test]
fn scores_that_tell_the_truth_have_no_calibration_error() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut drawn = Vec::new();
    for idx in 0..5000 {
        let score: f32 = rng.random();
        let is_right = rng.random::<f32>() < score;
        let x = if is_right { 10.0 } else { 50.0 };
        drawn.push(named(&format!("{idx}"), vec![object(0, 10.0)], vec![found(0, x, score)]));
    }
    let honest = analysis(drawn.clone(), &Rules::default()).classes.remove(0).reliability.unwrap();
    assert_eq!(honest.bins.iter().map(|b| b.n).collect::<Vec<_>>(), [500; N_BINS]);
    assert!(honest.expected_error < 0.02, "{}", honest.expected_error);
    assert!(honest.bins.iter().all(|b| b.between[0] <= b.right && b.right <= b.between[1]));
    let n_within =
        honest.bins.iter().filter(|b| b.between[0] <= b.mean_score && b.mean_score <= b.between[1]);
    assert!(n_within.count() >= 8);
    // The same boxes, all of them sure.
    for d in drawn.iter_mut().flat_map(|f| &mut f.detections) {
        d.score = 0.99;
    }
    let boasting = analysis(drawn, &Rules::default()).classes.remove(0).reliability.unwrap();
    assert_eq!(boasting.bins.len(), 1, "equal scores stay in one bin");
    assert!((boasting.expected_error - 0.49).abs() < 0.02, "{}", boasting.expected_error);
}

#[test]
fn the_error_of_two_bins_is_worked_out_by_hand() {
    // Nine at 0.2 of which three are right, one at 0.9 that is right.
    let mut frames: Vec<Frame> = (0..9)
        .map(|k| {
            let x = if k < 3 { 10.0 } else { 30.0 };
            named(&format!("{k}"), vec![object(0, 10.0)], vec![found(0, x, 0.25)])
        })
        .collect();
    frames.push(named("9", vec![object(0, 10.0)], vec![found(0, 10.0, 0.75)]));
    let class = analysis(frames, &Rules::default()).classes.remove(0);
    let reliability = class.reliability.unwrap();
    assert_eq!(reliability.bins.iter().map(|b| b.n).collect::<Vec<_>>(), [9, 1]);
    let by_hand = 0.9 * (1.0 / 3.0 - 0.25) + 0.1 * 0.25;
    assert!((reliability.expected_error - by_hand).abs() < 1e-12);
    // All ten: recall 0.4, precision 0.4. The best one alone: recall 0.1, precision 1.
    let best = class.figures.recommended.unwrap();
    assert_eq!((best.score, best.recall, best.precision), (0.25, 0.4, 0.4));
    assert!((best.f1 - 0.4).abs() < 1e-12);
}

#[test]
fn scores_beyond_one_are_no_probabilities_but_rank_all_the_same() {
    let class = analysis(
        vec![named("a", vec![object(0, 10.0)], vec![found(0, 10.0, 7.5), found(0, 30.0, -2.0)])],
        &Rules::default(),
    )
    .classes
    .remove(0);
    assert_eq!((class.reliability, class.figures.calibration_error), (None, None));
    // The wrong one shares the last recall, and of equal recalls nuScenes takes the last precision.
    assert!(class.figures.mean_average_precision > 0.99);
    assert_eq!(class.figures.recommended.unwrap().score, 7.5);
}

#[test]
fn percentiles_are_times_that_were_measured() {
    let timed = |k: u64| {
        let times = StageTimes { frame_ns: k * 1_000_000, head_ns: 500_000, ..StageTimes::default() };
        named(&format!("{k:03}"), vec![], vec![]).timed(times)
    };
    let latency = analysis((1..=200).rev().map(timed).collect(), &Rules::default()).latency.unwrap();
    let f = latency.frame;
    assert_eq!(
        (latency.n_frames, f.min_ms, f.p50_ms, f.p90_ms, f.p99_ms, f.max_ms),
        (200, 1.0, 100.0, 180.0, 198.0, 200.0)
    );
    assert_eq!((f.mean_ms, latency.head.p99_ms, latency.bev.max_ms), (100.5, 0.5, 0.0));
    assert_eq!(analysis(vec![named("a", vec![], vec![])], &Rules::default()).latency, None);
}

#[test]
fn frames_that_say_nothing_sound_are_refused_by_name() {
    let set = |frames| FrameSet::new(classes(), frames).unwrap_err().to_string();
    let one = |objects, detections| vec![named("the frame", objects, detections)];
    assert!(set(vec![]).contains("no frames"));
    assert!(set(vec![named("", vec![], vec![])]).contains("no name"));
    assert!(set([one(vec![], vec![]), one(vec![], vec![])].concat()).contains("`the frame` is there twice"));
    let grouped = named("b", vec![], vec![]).in_group("drive");
    assert!(set(vec![named("a", vec![], vec![]), grouped]).contains("`a` names no drive"));
    assert!(set(one(vec![object(3, 0.0)], vec![])).contains("object 0 has class 3, there are 3"));
    assert!(
        set(one(vec![], vec![found(0, 1.0, 0.5), found(7, 0.0, 0.5)])).contains("detection 1 has class 7")
    );
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(set(one(vec![], vec![found(0, 0.0, value)])).contains("`the frame`: detection 0"));
        assert!(set(one(vec![object(0, value)], vec![])).contains("`the frame`: object 0"));
        let moving = Found { velocity: Some([0.0, value]), ..found(0, 0.0, 0.5) };
        assert!(set(one(vec![], vec![moving])).contains("detection 0"));
    }
    let mut flat = object(0, 0.0);
    flat.bbox.size[2] = 0.0;
    assert!(set(one(vec![flat], vec![])).contains("positive size"));
    let named = |names: &[&str]| FrameSet::new(names.iter().map(|n| (*n).to_owned()).collect(), vec![]);
    assert!(named(&["car", "bus", "car"]).unwrap_err().to_string().contains("`car` is named twice"));
    assert!(named(&[]).unwrap_err().to_string().contains("0 classes"));
    assert!(named(&["car", ""]).unwrap_err().to_string().contains("without a name"));
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    let set = set(1, 2, &Model::default());
    for rules in [
        Rules { score: f64::NAN, ..Rules::default() },
        Rules { max_distance_m: Some(f64::NAN), ..Rules::default() },
        Rules { max_distance_m: Some(-1.0), ..Rules::default() },
        Rules { region_m: Some([0.0, 0.0, f32::INFINITY, 1.0]), ..Rules::default() },
        Rules { region_m: Some([5.0, 0.0, 4.0, 1.0]), ..Rules::default() },
    ] {
        assert!(Analysis::of(&set, &rules).is_err(), "{rules:?}");
    }
}

#[test]
fn the_digest_of_a_dataset_is_that_of_its_labels_alone() {
    let model = Model::default();
    let base = set(1, 4, &model);
    let other_model = set(1, 4, &Model { seed: 77, found: 0.2, ..model });
    assert_eq!(base.dataset_sha256(), other_model.dataset_sha256());
    type Change<'a> = &'a dyn Fn(&mut Vec<Frame>);
    let changed: [Change<'_>; 7] = [
        &|f| f[0].objects[0].bbox.center[0] += 0.01,
        &|f| f[0].objects[0].n_points += 1,
        &|f| f[0].objects[0].occlusion = None,
        &|f| f[0].objects[0].ignored = true,
        &|f| f[0].objects[0].velocity = None,
        &|f| f[1].name.push('x'),
        &|f| drop(f.pop()),
    ];
    for (idx, change) in changed.iter().enumerate() {
        let mut drawn = frames(1, 4, &model);
        change(&mut drawn);
        let set = FrameSet::new(classes(), drawn).unwrap();
        assert_ne!(set.dataset_sha256(), base.dataset_sha256(), "change {idx}");
    }
    let renamed = ["car", "pedestrian", "rider"].map(str::to_owned).to_vec();
    assert_ne!(FrameSet::new(renamed, frames(1, 4, &model)).unwrap().dataset_sha256(), base.dataset_sha256());
}

proptest! {
    #[test]
    fn no_frames_panic_and_all_figures_are_finite(seed: u64, n in 1_usize..6, found in 0.0_f32..1.0, min_points in 0_u32..400) {
        let model = Model { seed, found, max_false: (seed % 4) as usize, ..Model::default() };
        let analysis = Analysis::of(&set(seed, n, &model), &Rules { min_points, ..Rules::default() }).unwrap();
        for class in &analysis.classes {
            let f = &class.figures;
            prop_assert!(f.average_precision.iter().all(|ap| (0.0..=1.0 + 1e-12).contains(ap)), "{f:?}");
            prop_assert!((0.0..=1.0).contains(&f.recall) && (0.0..=1.0).contains(&f.precision));
            // A larger threshold finds no less at any score.
            prop_assert!(class.curves.windows(2).all(|c| c[0].last_recall <= c[1].last_recall + 1e-12));
            prop_assert!(class.curves.iter().all(|c| c.precision.iter().all(|p| p.is_finite())));
        }
    }
}
