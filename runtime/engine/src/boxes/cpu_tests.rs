#![allow(clippy::approx_constant, reason = "the published models write 0.78539")]

use super::*;
use pilotis_spec::boxes::MAX_CANDIDATES;
use pilotis_spec::{NmsScope, YawCode};

const KITTI: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/tests/kitti_manifest.toml"));

/// The KITTI sample on a map of 12 x 10.
pub(in crate::boxes) fn small(scope: NmsScope) -> Manifest {
    let text = KITTI
        .replace("[0.0, -39.68, -3.0]", "[0.0, -9.6, -3.0]")
        .replace("[69.12, 39.68, 1.0]", "[16.0, 9.6, 1.0]")
        .replace("[0.16, 0.16]", "[0.8, 0.8]")
        .replace("max_pillars = 40000", "max_pillars = 400");
    let mut manifest = Manifest::from_toml(&text).unwrap();
    manifest.boxes.nms_scope = scope;
    manifest
}

/// Tensors with nothing in them: logits far below every threshold.
pub(in crate::boxes) fn silence(manifest: &Manifest) -> Vec<Vec<f32>> {
    let tensors = manifest.head.tensors(&manifest.grid);
    tensors
        .iter()
        .map(|t| {
            vec![if t.name.starts_with("cls") || t.name.starts_with("hm") { -9.0 } else { 0.0 }; t.n_values()]
        })
        .collect()
}

fn run(manifest: &Manifest, tensors: &[Vec<f32>]) -> (Vec<Detection>, FrameReport) {
    let mut stage = BoxesStage::build(manifest).unwrap();
    let mut report = FrameReport::default();
    let first = stage.run(tensors, &mut report).unwrap().to_vec();
    // The frame before leaves nothing behind, and the same frame gives the same bits.
    stage.run(&silence(manifest)[..], &mut FrameReport::default()).unwrap();
    let mut again = FrameReport::default();
    assert_eq!(stage.run(tensors, &mut again).unwrap(), first);
    assert_eq!(again, report);
    assert_eq!(report.n_boxes as usize, first.len());
    for d in &first {
        assert!(d.bbox.yaw > -PI && d.bbox.yaw <= PI && (0.0..=1.0).contains(&d.score), "{d:?}");
    }
    (first, report)
}

const CELLS: usize = 12 * 10;

#[test]
fn silence_has_no_boxes() {
    for scope in [NmsScope::Agnostic, NmsScope::PerGroup, NmsScope::PerClass] {
        let manifest = small(scope);
        assert_eq!(run(&manifest, &silence(&manifest)), (vec![], FrameReport::default()));
    }
}

#[test]
fn nothing_finite_is_no_box_and_a_flag() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let manifest = small(NmsScope::Agnostic);
        let tensors: Vec<Vec<f32>> = silence(&manifest).iter().map(|t| vec![bad; t.len()]).collect();
        let (boxes, report) = run(&manifest, &tensors);
        assert!(boxes.is_empty() && report.n_candidates == 0);
        assert_eq!(report.flags, FrameFlags::HEAD_NOT_FINITE);
        // A good logit over broken residuals is a candidate, but no box.
        for tensor_idx in [1, 2] {
            let mut tensors = silence(&manifest);
            tensors[0][7] = 3.0;
            tensors[tensor_idx].fill(bad);
            let (boxes, report) = run(&manifest, &tensors);
            assert!(boxes.is_empty() && report.n_candidates == 1, "{bad} {tensor_idx}");
            assert_eq!(report.flags, FrameFlags::HEAD_NOT_FINITE);
        }
    }
}

#[test]
fn sizes_beyond_f32_are_dropped_and_flagged() {
    let manifest = small(NmsScope::Agnostic);
    let mut tensors = silence(&manifest);
    tensors[0][7] = 3.0;
    tensors[1][3 * CELLS + 7] = 200.0;
    let (boxes, report) = run(&manifest, &tensors);
    assert!(boxes.is_empty() && report.flags == FrameFlags::HEAD_NOT_FINITE);
}

#[test]
fn a_tensor_that_is_too_short_is_a_frame_error() {
    let manifest = small(NmsScope::Agnostic);
    let mut stage = BoxesStage::build(&manifest).unwrap();
    for idx in 0..3 {
        let mut tensors = silence(&manifest);
        tensors[idx].pop();
        let error = stage.run(&tensors[..], &mut FrameReport::default()).unwrap_err();
        let n = tensors[idx].len() as u64;
        assert_eq!((error.code, error.got, error.limit), (FrameErrorCode::HeadFailed, n, n + 1));
    }
    assert!(stage.run(&[][..], &mut FrameReport::default()).is_err());
}

#[test]
fn an_anchor_stands_for_its_best_class_or_for_each() {
    // Anchor 3 at location 17: classes 0 and 2 tie, class 1 is lower, all pass.
    let set = |tensors: &mut [Vec<f32>]| {
        for (class, logit) in [2.0, 1.0, 2.0].iter().enumerate() {
            tensors[0][(3 * 3 + class) * CELLS + 17] = *logit;
        }
    };
    for (scope, classes) in
        [(NmsScope::Agnostic, vec![0]), (NmsScope::PerGroup, vec![0]), (NmsScope::PerClass, vec![0, 2, 1])]
    {
        let manifest = small(scope);
        let mut tensors = silence(&manifest);
        set(&mut tensors);
        let (boxes, report) = run(&manifest, &tensors);
        assert_eq!(boxes.iter().map(|d| d.class_idx).collect::<Vec<_>>(), classes);
        assert_eq!(report.n_candidates as usize, classes.len());
        // A broken class does not take the anchor's other classes with it.
        tensors[0][9 * CELLS + 17] = f32::NAN;
        let (boxes, report) = run(&manifest, &tensors);
        assert_eq!(boxes[0].class_idx, 2);
        assert!(report.flags.contains(FrameFlags::HEAD_NOT_FINITE));
    }
}

#[test]
fn equal_scores_come_out_by_scope_then_flat_index() {
    for (scope, expected) in [
        // Flat order: location first, then anchor.
        (NmsScope::Agnostic, vec![(0, 2), (1, 1), (0, 0)]),
        (NmsScope::PerClass, vec![(0, 0), (1, 1), (0, 2)]),
    ] {
        let mut manifest = small(scope);
        manifest.boxes.nms_iou = 1.0;
        let mut tensors = silence(&manifest);
        // (class, cell): anchor 0 class 0 at 90, anchor 2 class 1 at 50, anchor 4 class 2 at 0.
        for (anchor, class, cell) in [(0, 0, 90), (2, 1, 50), (4, 2, 0)] {
            tensors[0][(anchor * 3 + class) * CELLS + cell] = 1.5;
        }
        let (boxes, _) = run(&manifest, &tensors);
        let got: Vec<u32> = boxes.iter().map(|d| d.class_idx).collect();
        let want: Vec<u32> = expected.iter().map(|e| e.1).collect();
        assert_eq!(got, want, "{scope:?}");
    }
}

#[test]
fn every_cap_is_reached_and_counted() {
    for (scope, n_scopes, n_all) in [(NmsScope::Agnostic, 1, 6 * CELLS), (NmsScope::PerClass, 3, 18 * CELLS)]
    {
        let mut manifest = small(scope);
        manifest.boxes.max_candidates = 50;
        manifest.boxes.max_boxes = 9;
        manifest.boxes.nms_iou = 0.9;
        let mut tensors = silence(&manifest);
        tensors[0].fill(0.25);
        let (boxes, report) = run(&manifest, &tensors);
        assert_eq!(report.n_candidates as usize, n_all);
        assert_eq!(report.dropped_candidates as usize, n_all - 50 * n_scopes);
        assert_eq!(boxes.len(), 9 * n_scopes);
        assert!(report.dropped_boxes > 0);
        assert_eq!(
            report.n_candidates,
            report.dropped_candidates + report.n_suppressed + report.dropped_boxes + report.n_boxes
        );
        assert_eq!(report.flags, FrameFlags::OVER_CAPACITY);
    }
}

#[test]
fn the_score_rule_decides_about_equality() {
    for (rule, n) in [(ScoreRule::AtLeast, 1), (ScoreRule::Above, 0)] {
        let mut manifest = small(NmsScope::Agnostic);
        manifest.boxes.score_threshold = 0.5;
        manifest.boxes.score_rule = rule;
        let mut tensors = silence(&manifest);
        tensors[0][3] = 0.0;
        assert_eq!(run(&manifest, &tensors).0.len(), n);
    }
}

#[test]
fn headings_of_any_residual_come_out_in_range() {
    for residual in [0.0, 3.2, -3.2, 7.0, 40.0, -900.5, 1e9, -3e30] {
        for bin in [-1.0, 1.0] {
            let mut manifest = small(NmsScope::Agnostic);
            if let HeadLayout::Anchors(head) = &mut manifest.head {
                assert_eq!(head.yaw_code, YawCode::DirectionBins);
                head.direction_offset_rad = if bin > 0.0 { 0.78539 } else { 50.0 };
            }
            let mut tensors = silence(&manifest);
            tensors[0][7] = 3.0;
            tensors[1][6 * CELLS + 7] = residual;
            tensors[2][CELLS + 7] = bin;
            assert_eq!(run(&manifest, &tensors).0.len(), 1);
        }
    }
}

#[test]
fn caps_that_no_manifest_has_are_refused() {
    let spoil: [fn(&mut Manifest); 5] = [
        |m| m.boxes.max_candidates = 0,
        |m| m.boxes.max_candidates = MAX_CANDIDATES + 1,
        |m| m.boxes.max_boxes = m.boxes.max_candidates + 1,
        |m| m.boxes.nms_iou = f32::NAN,
        |m| m.classes[0] = "tram".into(),
    ];
    for spoil in spoil {
        let mut manifest = small(NmsScope::Agnostic);
        spoil(&mut manifest);
        assert_eq!(BoxesStage::build(&manifest).unwrap_err().stage(), Some(Stage::Boxes));
    }
}
