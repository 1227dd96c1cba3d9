#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use geo::{Area, BooleanOps, Coord, LineString, Polygon};
use proptest::prelude::*;
use std::f32::consts::PI;

fn flat(x: f32, y: f32, l: f32, w: f32, yaw: f32) -> Box3d {
    Box3d { center: [x, y, 0.0], size: [l, w, 2.0], yaw }
}

fn polygon(b: &Box3d) -> Polygon<f64> {
    let (s, c) = f64::from(b.yaw).sin_cos();
    let (l, w) = (f64::from(b.size[0]) / 2.0, f64::from(b.size[1]) / 2.0);
    let corner = |i: f64, j: f64| Coord {
        x: f64::from(b.center[0]) + i * l * c - j * w * s,
        y: f64::from(b.center[1]) + i * l * s + j * w * c,
    };
    let ring = vec![corner(1.0, 1.0), corner(-1.0, 1.0), corner(-1.0, -1.0), corner(1.0, -1.0)];
    Polygon::new(LineString::new(ring), vec![])
}

fn iou_by_geo(a: &Box3d, b: &Box3d) -> f64 {
    let (a, b) = (polygon(a), polygon(b));
    let shared = a.intersection(&b).unsigned_area();
    shared / (a.unsigned_area() + b.unsigned_area() - shared)
}

fn any_box() -> impl Strategy<Value = Box3d> {
    ((-8.0_f32..8.0, -8.0_f32..8.0), (0.3_f32..15.0, 0.3_f32..4.0), -4.0_f32..4.0)
        .prop_map(|(c, s, yaw)| flat(c.0, c.1, s.0, s.1, yaw))
}

#[test]
fn analytic_overlaps_are_met() {
    // An `f32` quarter turn misses by 4e-8 rad, to first order in the area of an octagon.
    let square = flat(3.0, -2.0, 2.0, 2.0, 0.0);
    let octagon = 8.0 * (2.0_f64.sqrt() - 1.0);
    let expected = octagon / (8.0 - octagon);
    let turned = flat(3.0, -2.0, 2.0, 2.0, PI / 4.0);
    assert!((iou_bev(&square, &turned) - expected).abs() < 1e-7);
    // These numbers are exact in `f32`: a few roundings of `f64` remain.
    let cases = [
        (flat(0.0, 0.0, 4.0, 2.0, 0.0), flat(0.0, 0.0, 4.0, 2.0, 0.0), 1.0),
        (flat(0.0, 0.0, 4.0, 2.0, 1.1), flat(0.0, 0.0, 4.0, 2.0, 1.1), 1.0),
        (flat(0.0, 0.0, 4.0, 4.0, 0.0), flat(0.5, 0.5, 2.0, 1.0, 0.0), 2.0 / 16.0),
        (flat(0.0, 0.0, 4.0, 4.0, 0.3), flat(0.0, 0.0, 2.0, 1.0, 0.9), 2.0 / 16.0),
        (flat(0.0, 0.0, 2.0, 2.0, 0.0), flat(1.0, 1.0, 2.0, 2.0, 0.0), 1.0 / 7.0),
        (flat(0.0, 0.0, 2.0, 2.0, 0.0), flat(1.0, 0.0, 2.0, 2.0, 0.0), 2.0 / 6.0),
    ];
    for (a, b, expected) in cases {
        assert!((iou_bev(&a, &b) - expected).abs() < 1e-14, "{a:?} {b:?} {}", iou_bev(&a, &b));
    }
}

#[test]
fn touching_boxes_do_not_overlap_at_all() {
    let a = flat(0.0, 0.0, 2.0, 2.0, 0.0);
    for b in [flat(2.0, 0.0, 2.0, 2.0, 0.0), flat(0.0, -2.0, 2.0, 2.0, 0.0), flat(2.0, 2.0, 2.0, 2.0, 0.0)] {
        assert_eq!(iou_bev(&a, &b).to_bits(), 0, "{b:?}");
        assert_eq!(iou_bev(&b, &a).to_bits(), 0, "{b:?}");
    }
}

#[test]
fn empty_and_broken_boxes_overlap_nothing() {
    let good = flat(0.0, 0.0, 4.0, 2.0, 0.4);
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    let mut boxes =
        vec![flat(0.0, 0.0, 0.0, 2.0, 0.0), flat(0.0, 0.0, 0.0, 0.0, 0.0), flat(0.0, 0.0, -4.0, 2.0, 0.0)];
    for v in bad {
        boxes.extend([flat(v, 0.0, 4.0, 2.0, 0.0), flat(0.0, v, 4.0, 2.0, 0.0), flat(0.0, 0.0, v, 2.0, 0.0)]);
        boxes.extend([flat(0.0, 0.0, 4.0, v, 0.0), flat(0.0, 0.0, 4.0, 2.0, v)]);
    }
    for b in &boxes {
        for other in [&good, b] {
            assert_eq!(iou_bev(b, other), 0.0, "{b:?}");
            assert_eq!(iou_bev(other, b), 0.0, "{b:?}");
            assert_eq!(iou_3d(other, b), 0.0, "{b:?}");
        }
    }
    let nowhere = Box3d { center: [0.0, 0.0, f32::NAN], ..good };
    assert_eq!(iou_3d(&nowhere, &good), 0.0);
}

#[test]
fn giants_and_needles_keep_their_ratio() {
    // A million metres, and a metre within: 1 of 1e12 square metres.
    let giant = flat(0.0, 0.0, 1e6, 1e6, 0.7);
    assert!((iou_bev(&giant, &flat(5.0, 3.0, 1.0, 1.0, 0.1)) - 1e-12).abs() < 1e-15);
    assert!((iou_bev(&giant, &giant) - 1.0).abs() < 1e-14);
    // Needles crossing at a right angle share width squared; the bound is eps x length / width.
    let needle = flat(0.0, 0.0, 1e4, 0.01, 0.2);
    let across = Box3d { yaw: 0.2 + PI / 2.0, ..needle };
    let width = f64::from(0.01_f32);
    let shared = width * width;
    let expected = shared / (2.0 * 1e4 * width - shared);
    assert!((iou_bev(&needle, &across) - expected).abs() < 1e-9);
    assert!(iou_bev(&flat(0.0, 0.0, 3e38, 3e38, 0.5), &giant) < 1e-60);
}

#[test]
fn heights_decide_in_space() {
    let a = Box3d { center: [0.0, 0.0, 0.0], size: [4.0, 2.0, 2.0], yaw: 0.3 };
    let raised = Box3d { center: [0.0, 0.0, 1.0], ..a };
    assert!((iou_3d(&a, &raised) - 1.0 / 3.0).abs() < 1e-14);
    assert_eq!(iou_3d(&a, &Box3d { center: [0.0, 0.0, 2.0], ..a }), 0.0);
    assert!((iou_3d(&a, &a) - 1.0).abs() < 1e-14);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn overlap_is_that_of_the_polygons(a in any_box(), b in any_box(), snap in 0_u8..4) {
        // Right angles and shared edges are where clipping goes wrong.
        let (mut a, mut b) = (a, b);
        if snap & 1 == 1 { a.yaw = 0.0; b.yaw = PI / 2.0; }
        if snap & 2 == 2 { b.center = a.center; b.size = a.size; }
        // geo 0.33 snaps to an integer lattice of about 1e-8 of the extent; its areas are that
        // exact for perimeters up to 40 m over areas from 0.1 m2.
        prop_assert!((iou_bev(&a, &b) - iou_by_geo(&a, &b)).abs() < 2e-5, "{a:?} {b:?}");
    }

    #[test]
    fn overlap_is_symmetric_and_blind_to_half_turns_and_shifts(
        a in any_box(), b in any_box(), turns in 0_u8..4,
    ) {
        let iou = iou_bev(&a, &b);
        prop_assert!((0.0..=1.0).contains(&iou));
        // Sizes differ by 50 at most: eps x 50 x a few.
        prop_assert!((iou - iou_bev(&b, &a)).abs() < 1e-13);
        // Lengths and widths change places at a quarter turn; `f32` yaw is then off by 3e-7 rad.
        let mut c = b;
        for _ in 0..turns {
            c = Box3d { size: [c.size[1], c.size[0], c.size[2]], yaw: c.yaw + PI / 2.0, ..c };
        }
        prop_assert!((iou - iou_bev(&a, &c)).abs() < 2e-5);
        // Whole metres, so that the shift itself does not round.
        let quarter = |v: f32| (v * 4.0).round() / 4.0;
        let place = |v: &Box3d, d: f32| Box3d { center: [quarter(v.center[0]) + d, quarter(v.center[1]) - d, 0.0], ..*v };
        prop_assert_eq!(
            iou_bev(&place(&a, 0.0), &place(&b, 0.0)).to_bits(),
            iou_bev(&place(&a, 64.0), &place(&b, 64.0)).to_bits()
        );
    }

    #[test]
    fn early_exits_decide_as_the_whole(a in any_box(), b in any_box(), at in 0.0_f64..1.0) {
        let (ra, rb) = (Rect::new(&a), Rect::new(&b));
        let iou = ra.iou(&rb);
        for threshold in [0.0, 0.01, at, iou, iou.next_down().max(0.0), iou.next_up()] {
            prop_assert_eq!(ra.overlaps_above(&rb, threshold), iou > threshold);
        }
    }
}
