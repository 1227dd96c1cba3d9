#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::super::BoxesStage;
use super::super::cpu::tests::{silence, small};
use pilotis_spec::codec::normalize_yaw;
use pilotis_spec::{
    AnchorGroup, AnchorHead, Box3d, Detection, FrameReport, HeadLayout, Manifest, NmsScope, YawCode,
};

const MAP: [usize; 2] = [12, 10];
const CELLS: usize = 120;

fn head_of(manifest: &mut Manifest) -> &mut AnchorHead {
    match &mut manifest.head {
        HeadLayout::Anchors(head) => head,
        HeadLayout::Centers(_) => unreachable!("the sample has anchors"),
    }
}

/// Writes what a perfect network would say of a box.
fn teach(
    manifest: &mut Manifest,
    tensors: &mut [Vec<f32>],
    group: usize,
    truth: &Detection,
    class: usize,
    logit: f32,
) {
    let grid = manifest.grid.clone();
    let head = head_of(manifest).clone();
    let n_classes = head.groups[group].classes.len();
    let n_tensors = if head.yaw_code == YawCode::SinCos { 2 } else { 3 };
    let (row, col, rotation) = (5, 4, 1);
    let (cell, anchor_idx) = (row * MAP[1] + col, class * 2 + rotation);
    let anchor = head.anchor(&grid, MAP, &head.groups[group].classes[class], rotation, row, col);
    let code = head.encode(&anchor, &truth.bbox, truth.velocity);
    tensors[group * n_tensors][(anchor_idx * n_classes + class) * CELLS + cell] = logit;
    for k in 0..head.code_size() {
        tensors[group * n_tensors + 1][(anchor_idx * head.code_size() + k) * CELLS + cell] = code[k];
    }
    if n_tensors == 3 {
        let bin = head.direction_bin(truth.bbox.yaw) as usize;
        tensors[group * 3 + 2][(anchor_idx * 2 + bin) * CELLS + cell] = 1.0;
    }
}

#[test]
fn what_was_encoded_is_decoded() {
    for yaw_code in [YawCode::DirectionBins, YawCode::SinCos] {
        for velocity in [false, true] {
            for scope in [NmsScope::Agnostic, NmsScope::PerGroup, NmsScope::PerClass] {
                for n_groups in [1, 2, 3] {
                    let mut manifest = small(scope);
                    let head = head_of(&mut manifest);
                    (head.yaw_code, head.velocity) = (yaw_code, velocity);
                    let all = head.groups[0].classes.clone();
                    // One group of three, one and two, or three of one.
                    let cuts: &[usize] = [&[3][..], &[1, 2], &[1, 1, 1]][n_groups - 1];
                    let mut classes = all.into_iter();
                    head.groups = cuts
                        .iter()
                        .map(|n| AnchorGroup { classes: classes.by_ref().take(*n).collect() })
                        .collect();
                    let mut tensors = silence(&manifest);
                    let mut truths = Vec::new();
                    for class_idx in 0..3_u32 {
                        let i = class_idx as f32;
                        let truth = Detection {
                            bbox: Box3d {
                                center: [3.0 + 4.0 * i, 2.0 - i, -0.8],
                                size: [3.5 - i, 1.5, 1.6],
                                yaw: 2.9 - 2.7 * i,
                            },
                            velocity: if velocity { [3.0 - i, 0.5] } else { [0.0; 2] },
                            score: 0.0,
                            class_idx,
                        };
                        let (mut group, mut class) = (0, class_idx as usize);
                        while class >= cuts[group] {
                            class -= cuts[group];
                            group += 1;
                        }
                        teach(&mut manifest, &mut tensors, group, &truth, class, 3.0 - i);
                        truths.push(truth);
                    }
                    let mut stage = BoxesStage::build(&manifest).unwrap();
                    let mut report = FrameReport::default();
                    let boxes = stage.run(&tensors[..], &mut report).unwrap();
                    assert_eq!(boxes.len(), 3, "{yaw_code:?} {velocity} {scope:?} {n_groups}");
                    for (got, truth) in boxes.iter().zip(&truths) {
                        assert_eq!((got.class_idx, got.velocity), (truth.class_idx, truth.velocity));
                        for k in 0..3 {
                            // A few roundings of a code and of coordinates below 20 m.
                            assert!((got.bbox.center[k] - truth.bbox.center[k]).abs() < 2e-5, "{got:?}");
                            assert!((got.bbox.size[k] - truth.bbox.size[k]).abs() < 1e-5, "{got:?}");
                        }
                        assert!(normalize_yaw(got.bbox.yaw - truth.bbox.yaw).abs() < 4e-6, "{got:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn equal_direction_bins_are_the_first() {
    let manifest = small(NmsScope::Agnostic);
    let mut tensors = silence(&manifest);
    tensors[0][7] = 3.0;
    let mut stage = BoxesStage::build(&manifest).unwrap();
    let yaw = |stage: &mut BoxesStage, tensors: &[Vec<f32>]| {
        stage.run(tensors, &mut FrameReport::default()).unwrap()[0].bbox.yaw
    };
    let tie = yaw(&mut stage, &tensors);
    tensors[2][7] = 0.1;
    assert_eq!(yaw(&mut stage, &tensors), tie);
    tensors[2][CELLS + 7] = 0.2;
    assert!((normalize_yaw(yaw(&mut stage, &tensors) - tie).abs() - std::f32::consts::PI).abs() < 1e-6);
}
