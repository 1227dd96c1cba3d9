#![allow(clippy::float_cmp, reason = "exact answers are meant")]
#![allow(clippy::approx_constant, reason = "the published models write 0.78539")]

use super::*;
use pilotis_spec::{AnchorClass, AnchorGroup, YawCode};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn grid() -> Grid {
    Grid::new([0.0, -12.8, -3.0], [25.6, 12.8, 1.0], [0.2, 0.2]).unwrap()
}

fn head(yaw_code: YawCode) -> AnchorHead {
    let class = |name: &str, size_m: [f32; 3]| AnchorClass { name: name.into(), size_m, bottom_m: -1.73 };
    AnchorHead {
        stride: 2,
        yaw_code,
        velocity: yaw_code == YawCode::SinCos,
        direction_offset_rad: 0.78539,
        rotations_rad: [0.0, 1.57],
        groups: vec![
            AnchorGroup { classes: vec![class("cyclist", [1.76, 0.6, 1.73])] },
            AnchorGroup {
                classes: vec![class("car", [3.9, 1.6, 1.56]), class("pedestrian", [0.8, 0.6, 1.73])],
            },
        ],
    }
}

fn thresholds() -> BTreeMap<String, AnchorTargetConfig> {
    let low = AnchorTargetConfig { positive_iou: 0.5, negative_iou: 0.35 };
    let high = AnchorTargetConfig { positive_iou: 0.6, negative_iou: 0.45 };
    ["car", "cyclist", "pedestrian"].map(|n| (n.to_owned(), if n == "car" { high } else { low })).into()
}

fn assigner() -> AnchorAssigner {
    AnchorAssigner::build(&head(YawCode::DirectionBins), &grid(), 1, &thresholds()).unwrap()
}

/// The definition, every anchor against every object, as OpenPCDet's matrices.
fn dense(assigner: &AnchorAssigner, objects: &[Object], ignored: &[Ignored]) -> GroupTargets {
    let [rows, cols] = assigner.map;
    let per_location = assigner.n_anchors_per_location();
    let n = rows * cols * per_location;
    let mut targets = GroupTargets { class: vec![0; n], code: Vec::new() };
    for (class_idx, threshold) in assigner.thresholds.iter().enumerate() {
        let mine: Vec<&Object> = objects.iter().filter(|o| o.0 == class_idx).collect();
        let anchors: Vec<u32> =
            (0..n as u32).filter(|i| *i as usize % per_location / 2 == class_idx).collect();
        let iou = |i: u32, o: &Object| nearest_bev_iou(&assigner.anchor(i), &o.1);
        let best_of_object: Vec<f32> = mine
            .iter()
            .map(|o| anchors.iter().map(|i| iou(*i, o)).fold(0.0, f32::max))
            .map(|best| if best == 0.0 { -1.0 } else { best })
            .collect();
        for i in anchors {
            let ious: Vec<f32> = mine.iter().map(|o| iou(i, o)).collect();
            let best = ious.iter().copied().fold(0.0, f32::max);
            let forced = ious.iter().zip(&best_of_object).any(|(a, b)| a == b);
            let label = &mut targets.class[i as usize];
            if !mine.is_empty() && (forced || best >= threshold.positive_iou) {
                *label = class_idx as i32 + 1;
                let (_, bbox, velocity) = mine[ious.iter().position(|v| *v == best).unwrap()];
                let code = assigner.head.encode(&assigner.anchor(i), bbox, *velocity);
                targets.code.push((i, code, assigner.head.direction_bin(bbox.yaw)));
            } else if best >= threshold.negative_iou {
                *label = -1;
            } else {
                let to_ignored = ignored.iter().filter(|(k, _)| k.is_none_or(|k| k == class_idx));
                let near = |b: &Box3d| nearest_bev_iou(&assigner.anchor(i), b) >= threshold.negative_iou;
                *label = -i32::from(to_ignored.map(|(_, b)| b).any(near));
            }
        }
    }
    targets.code.sort_by_key(|(i, ..)| *i);
    targets
}

/// Boxes about as large as their anchors, some off the grid, some twice, some on anchors.
fn random_scene(seed: u64) -> (Vec<Object>, Vec<Ignored>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let assigner = assigner();
    let mut one = |k: usize| -> Object {
        let class_idx = rng.random_range(0..2_usize);
        let size = head(YawCode::DirectionBins).groups[1].classes[class_idx].size_m;
        let mut bbox = Box3d {
            center: [rng.random_range(-3.0..28.0), rng.random_range(-15.0..15.0), -1.0],
            size: size.map(|v| v * rng.random_range(0.6..1.6_f32)),
            yaw: rng.random_range(-7.0..7.0),
        };
        match k % 4 {
            0 => bbox = assigner.anchor(rng.random_range(0..assigner.map[0] as u32 * 256)),
            // Between two anchors, so that both are best.
            1 => {
                let anchor = assigner.anchor(rng.random_range(0..assigner.map[0] as u32 * 256));
                bbox = Box3d { size: bbox.size, ..anchor };
                bbox.center[0] += 0.1;
            }
            _ => {}
        }
        (class_idx, bbox, [0.0; 2])
    };
    let mut objects: Vec<Object> = (0..8).map(&mut one).collect();
    let mut twice = objects[2];
    twice.1.center[0] += 0.3;
    objects.push(twice);
    objects.push(objects[1]);
    let ignored = (0..3).map(&mut one).map(|(k, b, _)| ((b.center[1] > 0.0).then_some(k), b)).collect();
    (objects, ignored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn visiting_near_anchors_gives_what_visiting_all_gives(seed in any::<u64>(), n in 0_usize..=10) {
        let assigner = assigner();
        let (objects, ignored) = random_scene(seed);
        let expected = dense(&assigner, &objects[..n], &ignored);
        prop_assert!(n == 0 || !expected.code.is_empty());
        prop_assert_eq!(assigner.assign(&objects[..n], &ignored), expected);
    }

    #[test]
    fn every_positive_decodes_to_an_object_of_its_class(seed in any::<u64>(), sin_cos in any::<bool>()) {
        let yaw_code = if sin_cos { YawCode::SinCos } else { YawCode::DirectionBins };
        let assigner = AnchorAssigner::build(&head(yaw_code), &grid(), 1, &thresholds()).unwrap();
        let (objects, _) = random_scene(seed);
        for (flat_idx, code, bin) in assigner.assign(&objects, &[]).code {
            let class_idx = (flat_idx % 4 / 2) as usize;
            let (bbox, _) = assigner.head.decode(&assigner.anchor(flat_idx), &code, bin);
            let found = objects.iter().any(|o| {
                // Rounding of coordinates near 30 m, and of yaw codes up to 2.5 turns.
                let near = (0..3).all(|k| (o.1.center[k] - bbox.center[k]).abs() < 1e-4);
                let same_way = libm::cosf(o.1.yaw - bbox.yaw) > 0.999;
                o.0 == class_idx && near && same_way
            });
            prop_assert!(found, "{:?}", bbox);
        }
    }
}

#[test]
fn the_iou_of_turned_boxes_is_that_of_their_nearest_rectangles() {
    let bbox =
        |x: f32, y: f32, l: f32, w: f32, yaw: f32| Box3d { center: [x, y, 0.0], size: [l, w, 1.0], yaw };
    // 4 x 2 against the same moved by 2 along: common 2 x 2 of 8 + 8 - 4.
    for (yaw, expected) in [(0.0, 1.0 / 3.0), (0.7, 1.0 / 3.0), (-0.7, 1.0 / 3.0), (3.1, 1.0 / 3.0)] {
        let iou = nearest_bev_iou(&bbox(0.0, 0.0, 4.0, 2.0, 0.0), &bbox(2.0, 0.0, 4.0, 2.0, yaw));
        assert!((iou - expected).abs() < 1e-6, "{yaw} {iou}");
    }
    // Turned across, its width lies along x: it begins 1 m from its centre, common 1 x 2.
    for yaw in [1.57, -1.57, 0.8, -0.8, 4.7] {
        let iou = nearest_bev_iou(&bbox(0.0, 0.0, 4.0, 2.0, 0.0), &bbox(2.0, 0.0, 4.0, 2.0, yaw));
        assert!((iou - 2.0 / 14.0).abs() < 1e-6, "{yaw} {iou}");
    }
    let apart = nearest_bev_iou(&bbox(0.0, 0.0, 4.0, 2.0, 0.0), &bbox(4.0, 0.0, 4.0, 2.0, 0.0));
    assert_eq!(apart, 0.0);
    let none = bbox(0.0, 0.0, 0.0, 0.0, 0.0);
    assert_eq!(nearest_bev_iou(&none, &none), 0.0);
}

#[test]
fn an_object_on_an_anchor_trains_it_and_its_rival_rotation_not() {
    let assigner = assigner();
    // Row 10, column 20, car at rotation 0.
    let flat_idx = (10 * 64 + 20) * 4;
    let anchor = assigner.anchor(flat_idx);
    let targets = assigner.assign(&[(0, anchor, [0.0; 2])], &[]);
    assert_eq!(targets.class.len(), 64 * 64 * 4);
    assert_eq!(targets.class[flat_idx as usize], 1);
    // Across, the common part is 1.6 x 1.6 of 2 x 6.24 - 2.56: 0.26.
    assert_eq!(targets.class[flat_idx as usize + 1], 0);
    assert!((2..4).all(|k| targets.class[flat_idx as usize + k] == 0), "pedestrian anchors");
    let (_, code, bin) = targets.code.iter().find(|(i, ..)| *i == flat_idx).unwrap();
    assert_eq!((*code, *bin), ([0.0; MAX_CODE], 1));
    // Moved by n columns of 25.6 / 63 m: IoU (3.9 - d) / (3.9 + d) = .81, .66, .52, .41.
    let along: Vec<i32> = (0..5).map(|n| targets.class[flat_idx as usize + 4 * n]).collect();
    assert_eq!(along, [1, 1, 1, -1, 0]);
}

#[test]
fn an_object_that_suits_no_anchor_still_trains_its_best_ones() {
    let assigner = assigner();
    // A lorry: IoU with a car's anchor is at most 3.9 x 1.6 / (12 x 2.6) = 0.2.
    let lorry = Box3d { center: [12.0, 0.1, -1.0], size: [12.0, 2.6, 3.0], yaw: 0.0 };
    let targets = assigner.assign(&[(0, lorry, [0.0; 2])], &[]);
    assert!(!targets.code.is_empty());
    assert!(targets.class.iter().all(|c| *c == 0 || *c == 1));
    let iou = |i: u32| nearest_bev_iou(&assigner.anchor(i), &lorry);
    let best = iou(targets.code[0].0);
    assert!((best - 0.2).abs() < 1e-5);
    assert!(targets.code.iter().all(|(i, ..)| iou(*i) == best));
    let ties = (0..targets.class.len() as u32).filter(|i| i % 4 < 2 && iou(*i) == best).count();
    assert_eq!(targets.code.len(), ties);
}

#[test]
fn ignored_boxes_take_background_and_never_objects() {
    let assigner = assigner();
    let anchor = assigner.anchor((10 * 64 + 20) * 4);
    let car: Object = (0, anchor, [0.0; 2]);
    let only_car = assigner.assign(&[car], &[]);
    assert_eq!(assigner.assign(&[car], &[(Some(0), anchor)]), only_car);
    let sparse = assigner.assign(&[], &[(Some(0), anchor)]);
    assert!(sparse.code.is_empty());
    for (class, as_object) in sparse.class.iter().zip(&only_car.class) {
        assert_eq!(*class, if *as_object == 0 { 0 } else { -1 });
    }
    let person = Box3d { size: [0.8, 0.6, 1.73], ..anchor };
    let n_ignored =
        |of: Option<usize>| assigner.assign(&[], &[(of, person)]).class.iter().filter(|c| **c == -1).count();
    assert_eq!(n_ignored(Some(0)), 0);
    assert!(n_ignored(Some(1)) > 0);
    assert_eq!(n_ignored(None), n_ignored(Some(1)));
}

#[test]
fn unsound_boxes_train_nothing() {
    let assigner = assigner();
    let sound = Box3d { center: [10.0, 0.0, -1.0], size: [4.0, 1.6, 1.5], yaw: 0.0 };
    let nothing = assigner.assign(&[], &[]);
    assert!(nothing.class.iter().all(|c| *c == 0) && nothing.code.is_empty());
    let unsound = [
        (0, Box3d { yaw: f32::NAN, ..sound }, [0.0; 2]),
        (0, Box3d { size: [4.0, 0.0, 1.5], ..sound }, [0.0; 2]),
        (0, Box3d { center: [f32::INFINITY, 0.0, 0.0], ..sound }, [0.0; 2]),
        (2, sound, [0.0; 2]),
    ];
    assert_eq!(assigner.assign(&unsound, &[(Some(5), sound), (None, unsound[0].1)]), nothing);
}

#[test]
fn missing_groups_and_thresholds_are_errors() {
    let head = head(YawCode::DirectionBins);
    let build = |group: usize, t: &BTreeMap<_, _>| AnchorAssigner::build(&head, &grid(), group, t);
    assert!(build(2, &thresholds()).unwrap_err().to_string().contains("no group 2"));
    let mut some = thresholds();
    some.remove("pedestrian");
    assert!(build(1, &some).unwrap_err().to_string().contains("targets.pedestrian"));
    assert!(build(0, &some).is_ok());
}
