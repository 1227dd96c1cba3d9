use super::super::BoxesStage;
use super::super::cpu::tests::{silence, small};
use pilotis_spec::codec::{CenterCode, normalize_yaw};
use pilotis_spec::{Box3d, CenterHead, CenterTask, FrameReport, HeadLayout, Manifest, NmsScope, ScoreRule};

const CELLS: usize = 120;

fn manifest(scope: NmsScope, velocity: bool) -> Manifest {
    let mut manifest = small(scope);
    let task = |names: &[&str]| CenterTask { classes: names.iter().map(|n| (*n).to_string()).collect() };
    manifest.boxes.score_rule = ScoreRule::Above;
    manifest.boxes.nms_iou = 0.2;
    manifest.head = HeadLayout::Centers(CenterHead {
        stride: 2,
        velocity,
        center_min_m: [0.0, -9.6, -3.0],
        center_max_m: [16.0, 9.6, 1.0],
        tasks: vec![task(&["pedestrian"]), task(&["cyclist", "car"])],
    });
    manifest
}

/// Writes what a perfect network would say of a box; yields its cell.
fn teach(
    m: &Manifest,
    tensors: &mut [Vec<f32>],
    task: usize,
    class: usize,
    b: &Box3d,
    v: [f32; 2],
    logit: f32,
) -> usize {
    let ([row, col], code) = CenterCode::encode(&m.grid, 2, b, v).unwrap();
    let cell = row * 10 + col;
    let first = task * if m.head.has_velocity() { 6 } else { 5 };
    tensors[first][class * CELLS + cell] = logit;
    let mut put = |k: usize, values: &[f32]| {
        for (channel, v) in values.iter().enumerate() {
            tensors[first + k][channel * CELLS + cell] = *v;
        }
    };
    put(1, &code.offset);
    put(2, &[code.z]);
    put(3, &code.log_size);
    put(4, &code.rot);
    if m.head.has_velocity() {
        put(5, &code.velocity);
    }
    cell
}

#[test]
fn what_was_encoded_is_decoded() {
    for velocity in [false, true] {
        for scope in [NmsScope::PerGroup, NmsScope::PerClass] {
            let m = manifest(scope, velocity);
            let mut tensors = silence(&m);
            // (task, class, index in the manifest)
            let truths = [(1, 1, 0), (0, 0, 1), (1, 0, 2)].map(|(task, class, class_idx)| {
                let i = class_idx as f32;
                let bbox = Box3d {
                    center: [2.1 + 4.0 * i, 2.0 - i, -0.8],
                    size: [3.5 - i, 1.5, 1.6],
                    yaw: 3.1 - 2.7 * i,
                };
                let vel = if velocity { [3.0 - i, 0.5] } else { [0.0; 2] };
                teach(&m, &mut tensors, task, class, &bbox, vel, 3.0 - i);
                (class_idx, bbox, vel)
            });
            let mut stage = BoxesStage::build(&m).unwrap();
            assert_eq!(stage.n_scopes(), if scope == NmsScope::PerGroup { 2 } else { 3 });
            let boxes = stage.run(&tensors[..], &mut FrameReport::default()).unwrap();
            assert_eq!(boxes.len(), 3);
            for (got, (class_idx, bbox, vel)) in boxes.iter().zip(&truths) {
                assert_eq!((got.class_idx, got.velocity), (*class_idx as u32, *vel));
                for k in 0..3 {
                    // A few roundings of coordinates below 20 m.
                    assert!((got.bbox.center[k] - bbox.center[k]).abs() < 1e-5, "{got:?}");
                    assert!((got.bbox.size[k] - bbox.size[k]).abs() < 1e-5, "{got:?}");
                }
                assert!(normalize_yaw(got.bbox.yaw - bbox.yaw).abs() < 2e-6, "{got:?}");
            }
        }
    }
}

#[test]
fn classes_of_a_task_compete_and_tasks_do_not() {
    let bbox = Box3d { center: [5.0, 1.0, -0.5], size: [2.0, 1.0, 1.5], yaw: 0.4 };
    for (scope, n) in [(NmsScope::PerGroup, 2), (NmsScope::PerClass, 3)] {
        let m = manifest(scope, false);
        let mut tensors = silence(&m);
        for (task, class, logit) in [(0, 0, 1.0), (1, 0, 2.0), (1, 1, 3.0)] {
            teach(&m, &mut tensors, task, class, &bbox, [0.0; 2], logit);
        }
        let mut stage = BoxesStage::build(&m).unwrap();
        let mut report = FrameReport::default();
        let boxes = stage.run(&tensors[..], &mut report).unwrap();
        assert_eq!(boxes.len(), n, "{scope:?}");
        assert_eq!((boxes[0].class_idx, boxes[n - 1].class_idx), (0, 1));
        assert_eq!((report.n_candidates, report.n_suppressed), (3, 3 - n as u32));
    }
}

#[test]
fn centres_out_of_range_are_no_boxes() {
    let mut m = manifest(NmsScope::PerGroup, false);
    let bbox = Box3d { center: [5.0, 1.0, -0.5], size: [2.0, 1.0, 1.5], yaw: 0.4 };
    let mut tensors = silence(&m);
    let cell = teach(&m, &mut tensors, 0, 0, &bbox, [0.0; 2], 2.0);
    for (z, n) in [(1.0, 1), (1.0_f32.next_up(), 0), (-3.0, 1), (-3.1, 0)] {
        tensors[2][cell] = z;
        let mut report = FrameReport::default();
        let mut stage = BoxesStage::build(&m).unwrap();
        assert_eq!(stage.run(&tensors[..], &mut report).unwrap().len(), n, "{z}");
        assert_eq!((report.n_candidates, report.flags.0), (1, 0));
    }
    if let HeadLayout::Centers(head) = &mut m.head {
        head.center_max_m[0] = 4.9;
    }
    tensors[2][cell] = 0.0;
    assert!(
        BoxesStage::build(&m).unwrap().run(&tensors[..], &mut FrameReport::default()).unwrap().is_empty()
    );
}
