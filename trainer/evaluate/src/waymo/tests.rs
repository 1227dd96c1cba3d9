//! Tests of the metric: hand-made cases, the published example, and hostile files.

use super::curve::average_precision;
use super::*;
use proptest::prelude::*;
use std::f64::consts::PI;
use std::path::Path;

/// A pedestrian's size; its least overlap is a half.
const SIZE: [f64; 3] = [2.0, 1.0, 1.0];

fn at(x: f64) -> LabelBox {
    LabelBox { center: [x, 0.0, 0.0], size: SIZE, heading: 0.0 }
}

#[derive(Default)]
struct Case {
    ground_truths: WaymoObjects,
    predictions: WaymoObjects,
}

impl Case {
    fn ground_truth(mut self, bbox: LabelBox, level: Level) -> Self {
        let frame_idx = self.ground_truths.frame_idx(&frame(0));
        self.ground_truths.objects.push(WaymoObject { level: Some(level), ..object(frame_idx, bbox, 1.0) });
        self
    }

    fn prediction(mut self, bbox: LabelBox, score: f32) -> Self {
        let frame_idx = self.predictions.frame_idx(&frame(0));
        self.predictions.objects.push(object(frame_idx, bbox, score));
        self
    }

    fn in_no_label_zone(mut self) -> Self {
        self.predictions.objects.last_mut().unwrap().overlaps_no_label_zone = true;
        self
    }

    fn report(&self) -> WaymoReport {
        evaluate(&self.ground_truths, &self.predictions, &Settings::default()).unwrap()
    }

    /// True positives, false positives and missed ones of pedestrians at a cut-off.
    fn counts(&self, band: RangeBand, level: Level, cutoff_idx: usize) -> [u64; 3] {
        let report = self.report();
        let point = report.of(ObjectType::Pedestrian, band, level).unwrap().curve[cutoff_idx];
        [point.true_positives, point.false_positives, point.missed]
    }
}

fn frame(k: i64) -> FrameKey {
    FrameKey { context_name: "segment".to_owned(), timestamp_micros: k }
}

fn object(frame_idx: u32, bbox: LabelBox, score: f32) -> WaymoObject {
    WaymoObject {
        frame_idx,
        object_type: Some(ObjectType::Pedestrian),
        bbox,
        score,
        overlaps_no_label_zone: false,
        level: None,
        n_points: Some(10),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn an_overlap_of_exactly_the_least_matches_and_less_does_not() {
    let half = LabelBox { size: [1.0, 1.0, 1.0], ..at(10.0) };
    let case = |b| Case::default().ground_truth(at(10.0), Level::One).prediction(b, 0.5);
    assert_eq!(case(half).counts(RangeBand::All, Level::One, 0), [1, 0, 0]);
    let less = LabelBox { size: [0.999, 1.0, 1.0], ..at(10.0) };
    assert_eq!(case(less).counts(RangeBand::All, Level::One, 0), [0, 1, 1]);
}

#[test]
fn the_sum_of_overlaps_decides_not_the_best_pair() {
    // The first prediction fits both and the first ground truth best; the second fits the first ground truth alone.
    let case = Case::default()
        .ground_truth(at(10.0), Level::One)
        .ground_truth(at(10.4), Level::One)
        .prediction(at(10.15), 0.9)
        .prediction(at(9.7), 0.8);
    assert_eq!(case.counts(RangeBand::All, Level::One, 0), [2, 0, 0]);
    // Alone, the first takes what fits it best.
    assert_eq!(case.counts(RangeBand::All, Level::One, 85), [1, 0, 1]);
}

#[test]
fn a_match_counts_at_both_levels_and_a_miss_at_its_own() {
    let case = Case::default()
        .ground_truth(at(10.0), Level::Two)
        .ground_truth(at(20.0), Level::Two)
        .ground_truth(at(25.0), Level::One)
        .prediction(at(10.0), 0.5);
    assert_eq!(case.counts(RangeBand::All, Level::One, 0), [1, 0, 1]);
    assert_eq!(case.counts(RangeBand::All, Level::Two, 0), [1, 0, 2]);
}

#[test]
fn ground_truths_have_levels_by_their_points_and_none_without_points() {
    let mut case = Case::default();
    let frame_idx = case.ground_truths.frame_idx(&frame(0));
    for (k, n_points) in [Some(0), Some(1), Some(5), Some(6), None].into_iter().enumerate() {
        let bbox = at(10.0 + 5.0 * k as f64);
        case.ground_truths.objects.push(WaymoObject { n_points, ..object(frame_idx, bbox, 1.0) });
    }
    assert_eq!(case.counts(RangeBand::All, Level::One, 0), [0, 0, 2]);
    assert_eq!(case.counts(RangeBand::All, Level::Two, 0), [0, 0, 4]);
    assert_eq!(case.report().left_out.ground_truths_without_points, 1);
}

#[test]
fn a_score_reaches_its_own_cutoff() {
    for (score, last) in [
        (0.29, Some(29)),
        (0.289_999, Some(28)),
        (1.0, Some(100)),
        (7.5, Some(100)),
        (0.0, Some(0)),
        (-0.1, None),
    ] {
        let case = Case::default().ground_truth(at(10.0), Level::One).prediction(at(10.0), score);
        let reached = (0..N_CUTOFFS).rfind(|idx| case.counts(RangeBand::All, Level::One, *idx)[0] == 1);
        assert_eq!(reached, last, "{score}");
    }
    assert_eq!([cutoff(0), cutoff(7), cutoff(100)].map(f32::to_bits), [0.0, 0.07_f32, 1.0].map(f32::to_bits));
}

#[test]
fn what_lies_in_a_no_label_zone_is_no_false_positive_but_may_match() {
    let far_off = Case::default().ground_truth(at(10.0), Level::One).prediction(at(20.0), 0.5);
    assert_eq!(far_off.counts(RangeBand::All, Level::One, 0), [0, 1, 1]);
    assert_eq!(far_off.in_no_label_zone().counts(RangeBand::All, Level::One, 0), [0, 0, 1]);
    let there = Case::default().ground_truth(at(10.0), Level::One).prediction(at(10.0), 0.5);
    assert_eq!(there.in_no_label_zone().counts(RangeBand::All, Level::One, 0), [1, 0, 0]);
    let second = Case::default()
        .ground_truth(at(10.0), Level::One)
        .prediction(at(10.0), 0.5)
        .prediction(at(10.1), 0.5)
        .in_no_label_zone();
    assert_eq!(second.counts(RangeBand::All, Level::One, 0), [1, 0, 0]);
}

#[test]
fn a_range_matches_within_itself_and_counts_height() {
    let case = Case::default().ground_truth(at(29.95), Level::One).prediction(at(30.05), 0.5);
    assert_eq!(case.counts(RangeBand::All, Level::One, 0), [1, 0, 0]);
    assert_eq!(case.counts(RangeBand::Near, Level::One, 0), [0, 0, 1]);
    assert_eq!(case.counts(RangeBand::Middle, Level::One, 0), [0, 1, 0]);
    for (center, band) in [
        ([30.0, 0.0, 0.0], RangeBand::Middle),
        ([30.0_f64.next_down(), 0.0, 0.0], RangeBand::Near),
        ([29.9, 0.0, 5.0], RangeBand::Middle),
        ([0.0, -50.0, 0.0], RangeBand::Far),
        ([0.0, 30.0, -40.0], RangeBand::Far),
    ] {
        let bbox = LabelBox { center, ..at(0.0) };
        let held: Vec<RangeBand> = RangeBand::ALL.into_iter().filter(|b| b.holds(&bbox)).collect();
        assert_eq!(held, [RangeBand::All, band], "{center:?}");
    }
}

#[test]
fn precision_is_weighed_by_heading_and_recall_is_not() {
    for (heading, weight) in [
        (0.3, 1.0 - 0.3 / PI),
        (PI, 0.0),
        (2.0 * PI, 1.0),
        (-0.3, 1.0 - 0.3 / PI),
        (4.0 * PI - 0.3, 1.0 - 0.3 / PI),
    ] {
        let turned = LabelBox { heading, size: [1.0, 1.0, 1.0], ..at(10.0) };
        let still = LabelBox { size: [1.0, 1.0, 1.0], ..at(10.0) };
        let case =
            Case::default().ground_truth(still, Level::One).prediction(turned, 0.5).prediction(at(20.0), 0.5);
        let report = case.report();
        let figures = report.of(ObjectType::Pedestrian, RangeBand::All, Level::One).unwrap();
        let point = figures.curve[0];
        assert!(close(point.precision, 0.5) && close(point.recall, 1.0));
        assert!(close(point.precision_heading, 0.5 * weight), "{heading} {}", point.precision_heading);
        assert!(close(figures.average_precision, 0.5));
        assert!(close(figures.average_precision_heading, 0.5 * weight));
    }
}

#[test]
fn frames_and_types_do_not_match_each_other() {
    let mut case = Case::default().ground_truth(at(10.0), Level::One).prediction(at(10.0), 0.5);
    case.predictions.objects[0].object_type = Some(ObjectType::Cyclist);
    assert_eq!(case.counts(RangeBand::All, Level::One, 0), [0, 0, 1]);
    let mut case = Case::default().ground_truth(at(10.0), Level::One);
    let other = case.predictions.frame_idx(&frame(1));
    case.predictions.objects.push(object(other, at(10.0), 0.5));
    assert_eq!(case.counts(RangeBand::All, Level::One, 0), [0, 1, 1]);
    assert_eq!(case.report().n_frames, 2);
}

#[test]
fn no_ground_truth_at_all_is_an_error() {
    let case = Case::default().prediction(at(10.0), 0.5);
    let result = evaluate(&case.ground_truths, &case.predictions, &Settings::default());
    assert!(matches!(result, Err(WaymoError::NoGroundTruths)));
}

#[test]
fn curves_become_numbers_as_the_official_operation_has_it() {
    // Precision, recall; the answers were read off the compiled official operation.
    for (points, expected) in [
        (vec![], 0.0),
        (vec![(0.8, 0.2)], 0.16),
        (vec![(0.8, 0.2), (0.4, 0.9)], 0.45),
        (vec![(0.8, 0.2), (0.4, 0.24)], 0.184),
        (vec![(0.4, 0.2), (0.8, 0.24)], 0.192),
        (vec![(0.8, 0.2), (0.4, 0.2)], 0.16),
        (vec![(1.0, 0.0), (0.8, 0.04)], 0.032),
        (vec![(0.8, 0.2), (0.4, 0.33)], 0.218),
        (vec![(0.8, 0.2), (0.4, 0.252)], 0.1812),
        (vec![(0.3, 0.1), (0.9, 0.2), (0.5, 0.31)], 0.237),
        (vec![(1.0, 0.05), (0.5, 0.15)], 0.1125),
        (vec![(0.5, 0.04), (1.0, 0.0)], 0.02),
    ] {
        let found = average_precision(&points);
        assert!((found - expected).abs() < 1e-6, "{points:?}: {found} instead of {expected}");
    }
}

#[test]
fn overlaps_are_those_of_geometry() {
    let vehicle =
        |x: f64, y: f64, heading: f64| LabelBox { center: [x, y, 0.5], size: [4.0, 2.0, 1.5], heading };
    let a = vehicle(1.0, 2.0, 0.3);
    for half_turns in [0.0, 1.0, -1.0, 2.0] {
        assert!(close(overlap_3d(&a, &vehicle(1.0, 2.0, 0.3 + half_turns * PI)), 1.0));
    }
    // A quarter turn leaves 2 x 2 of 4 x 2 in common: 4 of 12.
    assert!(close(overlap_3d(&a, &vehicle(1.0, 2.0, 0.3 + PI / 2.0)), 1.0 / 3.0));
    // Half of the length in common: 1 of 3. The same across and upwards.
    let (s, c) = 0.3_f64.sin_cos();
    assert!(close(overlap_3d(&a, &vehicle(1.0 + 2.0 * c, 2.0 + 2.0 * s, 0.3)), 1.0 / 3.0));
    assert!(close(overlap_3d(&a, &vehicle(1.0 - s, 2.0 + c, 0.3)), 1.0 / 3.0));
    let raised = LabelBox { center: [1.0, 2.0, 1.25], ..a };
    assert!(close(overlap_3d(&a, &raised), 1.0 / 3.0));
    // An octagon: two squares of side 2, one turned by an eighth.
    let square = |heading| LabelBox { center: [0.0; 3], size: [2.0, 2.0, 1.0], heading };
    let octagon = 8.0 * (2.0_f64.sqrt() - 1.0);
    assert!(close(overlap_3d(&square(0.0), &square(PI / 4.0)), octagon / (8.0 - octagon)));
    for apart in [vehicle(9.0, 2.0, 0.3), LabelBox { center: [1.0, 2.0, 2.0], ..a }] {
        assert!(overlap_3d(&a, &apart).abs() < 1e-12);
    }
    assert!(overlap_3d(&a, &LabelBox { size: [4.0, 0.0, 1.5], ..a }).abs() < 1e-12);
}

#[test]
fn what_is_written_is_read_again_and_order_changes_nothing() {
    let case = many();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("predictions.bin");
    case.predictions.write(&path).unwrap();
    assert_eq!(WaymoObjects::read(&path).unwrap(), case.predictions);
    assert_eq!(std::fs::read(&path).unwrap(), case.predictions.encode());
    let report = case.report();
    assert!(report.figures.iter().filter(|f| f.average_precision > 0.05).count() > 3, "{report}");
    let mut turned = many();
    turned.ground_truths.objects.reverse();
    turned.predictions.objects.reverse();
    assert_eq!(turned.report(), report);
}

/// Crowds in three frames, with ties in place and score.
fn many() -> Case {
    let mut case = Case::default();
    for k in 0..3 {
        let (of_truths, of_predictions) =
            (case.ground_truths.frame_idx(&frame(k)), case.predictions.frame_idx(&frame(k)));
        for n in 0..30_u32 {
            let spread = f64::from(n * 7 % 30);
            let bbox = LabelBox { center: [10.0 + 1.5 * spread, f64::from(n % 3), 0.0], ..at(0.0) };
            let level = if n % 2 == 0 { Level::One } else { Level::Two };
            case.ground_truths
                .objects
                .push(WaymoObject { level: Some(level), ..object(of_truths, bbox, 1.0) });
            for m in 0..3_u32 {
                let moved = LabelBox {
                    center: [bbox.center[0] + 0.3 * f64::from((n + m) % 4), bbox.center[1], 0.0],
                    heading: if m == 1 { PI } else { 0.0 },
                    ..bbox
                };
                let score = ((n * 13 + m * 5) % 20) as f32 / 20.0;
                case.predictions.objects.push(WaymoObject {
                    overlaps_no_label_zone: (n + m) % 9 == 0,
                    ..object(of_predictions, moved, score)
                });
            }
        }
    }
    case
}

#[test]
fn broken_records_are_errors_that_name_file_and_record() {
    let case = many();
    let bytes = case.predictions.encode();
    let one = bytes.len() / case.predictions.objects.len();
    let cut = WaymoObjects::decode(&bytes[..bytes.len() - 3]).unwrap_err();
    assert!(cut.0 == case.predictions.objects.len() && cut.1.contains("are left"), "{cut:?} {one}");
    // A record that states more bytes than any file has.
    let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(WaymoObjects::decode(&huge).unwrap_err().1.contains("are left"));
    let change = |change: &dyn Fn(&mut WaymoObject)| {
        let mut objects = case.predictions.clone();
        change(&mut objects.objects[1]);
        WaymoObjects::decode(&objects.encode()).unwrap_err()
    };
    for (error, part) in [
        (change(&|o| o.score = f32::NAN), "score"),
        (change(&|o| o.bbox.center[1] = f64::NAN), "box"),
        (change(&|o| o.bbox.size[0] = f64::INFINITY), "box"),
    ] {
        assert!(error.0 == 2 && error.1.contains(part), "{error:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("objects.bin");
    assert!(matches!(WaymoObjects::read(&path), Err(WaymoError::Access { .. })));
    // An object without a label; then one without a frame.
    std::fs::write(&path, [0x0a, 0x00]).unwrap();
    let error = WaymoObjects::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("objects.bin") && error.contains("object 1") && error.contains("no label"),
        "{error}"
    );
}

/// The table that is published with the official tool's example, level 1 and 2, AP and APH.
const PUBLISHED: [(ObjectType, RangeBand, [[f64; 2]; 2]); 10] = [
    (ObjectType::Vehicle, RangeBand::All, [[0.208277, 0.162823], [0.20542, 0.160523]]),
    (ObjectType::Pedestrian, RangeBand::All, [[0.129258, 0.0984962], [0.125136, 0.0953438]]),
    (ObjectType::Sign, RangeBand::All, [[0.0926278, 0.0635938], [0.067927, 0.0466355]]),
    (ObjectType::Cyclist, RangeBand::All, [[0.0, 0.0], [0.0, 0.0]]),
    (ObjectType::Vehicle, RangeBand::Near, [[0.154727, 0.129927], [0.154727, 0.129927]]),
    (ObjectType::Vehicle, RangeBand::Middle, [[0.27302, 0.230956], [0.270492, 0.228818]]),
    (ObjectType::Vehicle, RangeBand::Far, [[0.218596, 0.155501], [0.212188, 0.150963]]),
    (ObjectType::Pedestrian, RangeBand::Near, [[0.19352, 0.155428], [0.19352, 0.155428]]),
    (ObjectType::Pedestrian, RangeBand::Middle, [[0.144201, 0.103131], [0.134931, 0.0966024]]),
    (ObjectType::Pedestrian, RangeBand::Far, [[0.0985548, 0.0779858], [0.0960544, 0.075891]]),
];

/// Differences of a report to the table: type, band, level, AP or APH, ours, theirs.
fn differences(report: &WaymoReport) -> Vec<(ObjectType, RangeBand, Level, f64)> {
    let mut all = Vec::new();
    for (object_type, band, levels) in PUBLISHED {
        for (level, [ap, aph]) in [Level::One, Level::Two].into_iter().zip(levels) {
            let figures = report.of(object_type, band, level).unwrap();
            all.push((object_type, band, level, (figures.average_precision - ap).abs()));
            all.push((object_type, band, level, (figures.average_precision_heading - aph).abs()));
        }
    }
    all
}

/// The official tool computes an overlap of 0 for one pair of the example: the same vehicle turned by half a turn,
/// whose box is the same to the last bit but for its heading. Its figures hold that fault; with the pair pulled
/// apart they are reproduced, and without, the six that the pair takes part in differ.
#[test]
fn the_published_example_is_reproduced_but_for_one_overlap_that_the_official_tool_loses() {
    let Ok(data) = std::env::var("PILOTIS_DATA") else {
        println!("skipped: PILOTIS_DATA is not set");
        return;
    };
    let folder = Path::new(&data).join("waymo");
    let ground_truths = WaymoObjects::read(&folder.join("fake_ground_truths.bin")).unwrap();
    let mut predictions = WaymoObjects::read(&folder.join("fake_predictions.bin")).unwrap();
    assert_eq!((ground_truths.objects.len(), predictions.objects.len()), (1010, 2263));
    assert_eq!(ground_truths.frames().len(), 20);
    let report = evaluate(&ground_truths, &predictions, &Settings::default()).unwrap();
    for (object_type, band, level, difference) in differences(&report) {
        let is_touched =
            object_type == ObjectType::Vehicle && matches!(band, RangeBand::All | RangeBand::Middle);
        assert!(is_touched || difference < 1e-6, "{object_type:?} {band:?} {level:?} {difference}");
    }
    // These are the answers of the official compiled operation, which takes boxes in single precision and finds
    // the pair.
    for (band, level, ap, aph) in [
        (RangeBand::All, Level::One, 0.2096817046, 0.1635396630),
        (RangeBand::All, Level::Two, 0.2068094611, 0.1612301469),
        (RangeBand::Middle, Level::One, 0.2766360939, 0.2333263904),
        (RangeBand::Middle, Level::Two, 0.2740746140, 0.2311659306),
    ] {
        let figures = report.of(ObjectType::Vehicle, band, level).unwrap();
        assert!((figures.average_precision - ap).abs() < 1e-6, "{band:?} {level:?}");
        assert!((figures.average_precision_heading - aph).abs() < 1e-6, "{band:?} {level:?}");
    }
    let is_the_pair = |p: &&mut WaymoObject| {
        (p.bbox.center[0] - 34.404_766_785_432).abs() < 1e-9 && (p.score - 0.145_049_42).abs() < 1e-6
    };
    let mut lost: Vec<&mut WaymoObject> = predictions.objects.iter_mut().filter(is_the_pair).collect();
    assert_eq!(lost.len(), 1);
    let bits = |numbers: [f64; 3]| numbers.map(f64::to_bits);
    let twin = ground_truths
        .objects
        .iter()
        .filter(|g| bits(g.bbox.center) == bits(lost[0].bbox.center))
        .collect::<Vec<_>>();
    assert_eq!(twin.len(), 1);
    assert_eq!(bits(twin[0].bbox.size), bits(lost[0].bbox.size));
    assert!(close(twin[0].bbox.heading - lost[0].bbox.heading, PI));
    assert!(close(overlap_3d(&twin[0].bbox, &lost[0].bbox), 1.0));
    lost[0].bbox.center[2] += 5.0;
    let report = evaluate(&ground_truths, &predictions, &Settings::default()).unwrap();
    for (object_type, band, level, difference) in differences(&report) {
        assert!(difference < 1e-6, "{object_type:?} {band:?} {level:?} {difference}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let _ = WaymoObjects::decode(&bytes);
        let mut bytes = many().predictions.encode();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(objects) = WaymoObjects::decode(&bytes) {
            let report = evaluate(&many().ground_truths, &objects, &Settings::default()).unwrap();
            let in_bounds = |f: &Figures| {
                [f.average_precision, f.average_precision_heading].iter().all(|v| (-1e-9..=1.0 + 1e-9).contains(v))
            };
            prop_assert!(report.figures.iter().all(in_bounds));
        }
    }

    #[test]
    fn overlaps_are_symmetric_and_those_of_sampled_points(
        a in (-1.0..1.0_f64, -1.0..1.0_f64, -0.5..0.5_f64, 0.5..4.0_f64, 0.5..2.0_f64, 0.5..2.0_f64, -4.0..4.0_f64),
        b in (0.5..4.0_f64, 0.5..2.0_f64, 0.5..2.0_f64, -4.0..4.0_f64),
    ) {
        let a = LabelBox { center: [a.0, a.1, a.2], size: [a.3, a.4, a.5], heading: a.6 };
        let b = LabelBox { center: [0.0; 3], size: [b.0, b.1, b.2], heading: b.3 };
        let overlap = overlap_3d(&a, &b);
        prop_assert!((overlap - overlap_3d(&b, &a)).abs() < 1e-9);
        // Points of a grid over the first box, seen from above, that lie in the second.
        let n = 120;
        let mut inside = 0;
        for i in 0..n {
            for j in 0..n {
                let u = ((f64::from(i) + 0.5) / f64::from(n) - 0.5) * a.size[0];
                let v = ((f64::from(j) + 0.5) / f64::from(n) - 0.5) * a.size[1];
                let (s, c) = a.heading.sin_cos();
                let (x, y) = (a.center[0] + u * c - v * s, a.center[1] + u * s + v * c);
                let (s, c) = b.heading.sin_cos();
                let (along, across) = (x * c + y * s, y * c - x * s);
                inside += u64::from(along.abs() <= b.size[0] / 2.0 && across.abs() <= b.size[1] / 2.0);
            }
        }
        let area = a.size[0] * a.size[1] * inside as f64 / f64::from(n * n);
        let height = ((a.center[2] + a.size[2] / 2.0).min(b.size[2] / 2.0)
            - (a.center[2] - a.size[2] / 2.0).max(-b.size[2] / 2.0)).max(0.0);
        let volume = |l: &LabelBox| l.size[0] * l.size[1] * l.size[2];
        let expected = area * height / (volume(&a) + volume(&b) - area * height);
        prop_assert!((overlap - expected).abs() < 0.03, "{} {}", overlap, expected);
    }
}
