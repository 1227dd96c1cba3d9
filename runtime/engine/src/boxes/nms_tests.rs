use super::*;
use proptest::prelude::*;

fn flat(x: f32, y: f32, l: f32, w: f32, yaw: f32) -> Box3d {
    Box3d { center: [x, y, 0.0], size: [l, w, 2.0], yaw }
}

/// Every pair in full, no index, no early exit.
fn by_brute_force(boxes: &[Box3d], max_boxes: usize, iou: f32) -> (Vec<u32>, NmsCounts) {
    let (mut kept, mut counts) = (Vec::<u32>::new(), NmsCounts::default());
    for (i, b) in boxes.iter().enumerate() {
        let goes = |k: &u32| Rect::new(&boxes[*k as usize]).iou(&Rect::new(b)) > f64::from(iou);
        if kept.iter().any(goes) {
            counts.n_suppressed += 1;
        } else if kept.len() == max_boxes {
            counts.dropped_boxes += 1;
        } else {
            kept.push(i as u32);
        }
    }
    (kept, counts)
}

fn assert_same(boxes: &[Box3d], max_boxes: usize, iou: f32) {
    let mut nms = Nms::build([0.0, -40.0], [70.0, 40.0], max_boxes, iou);
    let (kept, counts) = by_brute_force(boxes, max_boxes, iou);
    // Twice: nothing of a frame may reach the next.
    for _ in 0..2 {
        assert_eq!(nms.run(boxes), counts);
        assert_eq!(nms.kept(), kept);
    }
    assert_eq!(kept.len() + (counts.n_suppressed + counts.dropped_boxes) as usize, boxes.len());
}

/// A repeatable sequence in 0..1.
fn noise(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 24) as f32
    }
}

#[test]
fn the_better_of_two_that_overlap_stays() {
    let boxes =
        [flat(10.0, 0.0, 4.0, 2.0, 0.1), flat(10.2, 0.1, 4.0, 2.0, 0.1), flat(20.0, 0.0, 4.0, 2.0, 0.0)];
    let mut nms = Nms::build([0.0, -40.0], [70.0, 40.0], 10, 0.5);
    let counts = nms.run(&boxes);
    assert_eq!((nms.kept(), counts), (&[0, 2][..], NmsCounts { n_suppressed: 1, dropped_boxes: 0 }));
}

#[test]
fn an_overlap_equal_to_the_threshold_stays() {
    // Half of each: 2 of 6 is 1/3; 1 of 2 x 1 with one of the halves inside: exactly 1/2.
    let boxes = [flat(10.0, 0.0, 4.0, 2.0, 0.0), flat(9.0, 0.0, 2.0, 2.0, 0.0)];
    for (iou, n) in [(0.5, 2), (0.499, 1), (1.0, 2), (0.0, 1)] {
        let mut nms = Nms::build([0.0, -40.0], [70.0, 40.0], 10, iou);
        nms.run(&boxes);
        assert_eq!(nms.kept().len(), n, "{iou}");
    }
}

#[test]
fn a_suppressed_box_suppresses_nobody() {
    let chain: Vec<Box3d> = (0..9).map(|i| flat(10.0 + i as f32, 0.0, 3.0, 2.0, 0.0)).collect();
    let mut nms = Nms::build([0.0, -40.0], [70.0, 40.0], 10, 0.4);
    nms.run(&chain);
    assert_eq!(nms.kept(), [0, 2, 4, 6, 8]);
}

#[test]
fn boxes_beyond_the_most_are_compared_with_the_kept_and_counted() {
    let mut boxes: Vec<Box3d> = (0..6).map(|i| flat(10.0 * i as f32, 0.0, 4.0, 2.0, 0.0)).collect();
    boxes.push(boxes[0]);
    boxes.push(boxes[5]);
    let mut nms = Nms::build([0.0, -40.0], [70.0, 40.0], 4, 0.1);
    let counts = nms.run(&boxes);
    assert_eq!(nms.kept(), [0, 1, 2, 3]);
    assert_eq!(counts, NmsCounts { n_suppressed: 1, dropped_boxes: 3 });
}

#[test]
fn hostile_sets_keep_what_brute_force_keeps() {
    let mut r = noise(7);
    let n = 700;
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::MAX, 0.0, -0.0, f32::MIN_POSITIVE];
    let sets: Vec<Vec<Box3d>> = vec![
        vec![],
        vec![flat(5.0, 5.0, 4.0, 2.0, 0.3); n],
        (0..n).map(|_| flat(r() * 1e6, r() * 1e6, 1e6, 1e6, r() * 6.0)).collect(),
        (0..n).map(|_| flat(r() * 70.0, r() * 80.0 - 40.0, 500.0, 0.01, r() * 6.0)).collect(),
        (0..n).map(|_| flat(35.0, 0.0, 60.0, 0.5, r() * 6.0)).collect(),
        (0..n).map(|_| flat(r() * 70.0, r() * 80.0 - 40.0, 0.0, r(), r())).collect(),
        (0..n).map(|_| flat(-1e4 - r() * 40.0, 1e5 + r() * 30.0, 4.0, 2.0, r() * 6.0)).collect(),
        (0..n).map(|i| flat(bad[i % 8], bad[i / 8 % 8], bad[i / 64 % 8], 2.0, bad[i / 512 % 8])).collect(),
        (0..n)
            .map(|i| {
                if i % 3 == 0 {
                    flat(r() * 70.0, r(), 18.0, 3.0, r())
                } else {
                    flat(r() * 70.0, r() * 9.0, 1.0, 1.0, r())
                }
            })
            .collect(),
        // Corner to corner on the edges of the index's cells.
        (0..n).map(|i| flat(2.5 * (i % 28) as f32, 2.5 * (i / 28) as f32 - 40.0, 2.5, 2.5, 0.0)).collect(),
        (0..n).map(|i| flat(1.25 * (i % 40) as f32, 2.0 * (i / 40) as f32, 2.5, 2.5, 1e-7)).collect(),
    ];
    for boxes in &sets {
        for (max_boxes, iou) in [(1, 0.1), (64, 0.01), (n, 0.0), (n, 0.2), (n, 0.7), (n, 1.0)] {
            assert_same(boxes, max_boxes, iou);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_sets_keep_what_brute_force_keeps(
        seed in any::<u32>(), n in 0_usize..400, spread in 1.0_f32..120.0, size in 0.2_f32..14.0,
        iou in 0.0_f32..1.0, max_boxes in 1_usize..400,
    ) {
        let mut r = noise(seed);
        let boxes: Vec<Box3d> = (0..n)
            .map(|_| flat(r() * spread, (r() - 0.5) * spread, r() * size, r() * size / 2.0, (r() - 0.5) * 7.0))
            .collect();
        assert_same(&boxes, max_boxes, iou);
        assert_same(&boxes, n.max(1), 0.05);
    }
}
