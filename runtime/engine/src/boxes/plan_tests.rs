use super::*;
use crate::boxes::cpu::tests::small;
use pilotis_kernels::layout::DeviceStruct;
use pilotis_spec::NmsScope;
use std::collections::BTreeMap;

#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared with other suites")]
#[path = "../../../../tests/cases/boxes.rs"]
mod cases;
use cases::{Answer, Case};

fn room(plan: &BoxesPlan, name: &str) -> usize {
    plan.buffers().iter().find(|b| b.name == name).unwrap().n
}

#[test]
fn every_pointer_of_the_parameters_has_a_buffer() {
    let plan = BoxesPlan::build(&small(NmsScope::PerClass)).unwrap();
    let pointers: Vec<&str> = BoxesParams::FIELDS
        .iter()
        .filter(|f| f.size_bytes == 8 && f.offset_bytes < 18 * 8)
        .map(|f| f.name)
        .collect();
    let names: Vec<&str> = plan.buffers().iter().map(|b| b.name).collect();
    assert_eq!(pointers[0], "state");
    assert_eq!(pointers[1..], names);
    // Each to its own field: the addresses count up in the order of the fields.
    let addresses: BTreeMap<&str, u64> = names.iter().copied().zip(2..).collect();
    let p = plan.params(1, |name| addresses[name]);
    let set = [
        p.state,
        p.tensors,
        p.planes,
        p.scopes,
        p.groups,
        p.classes,
        p.n_found,
        p.found,
        p.n_best,
        p.best,
        p.decoded,
        p.rects,
        p.bounds,
        p.alive,
        p.overlaps,
        p.n_kept,
        p.kept,
        p.detections,
    ];
    assert!(set.into_iter().eq(1..=18));
}

#[test]
fn lists_have_room_for_all_that_can_pass() {
    for seed in 0..200 {
        let case = Case::new(seed, 12);
        let plan = BoxesPlan::build(&case.manifest).unwrap();
        let mut tensors = case.tensors.clone();
        for tensor_idx in plan.planes.iter().map(|p| p.tensor_idx as usize) {
            tensors[tensor_idx].fill(10.0);
        }
        let answer = Answer::of_cpu(&case.manifest, &tensors);
        assert_eq!(answer.n_candidates as usize, room(&plan, "found"), "seed {seed}");
        assert!(answer.detections.len() <= plan.max_detections());
    }
}

#[test]
fn launches_cover_the_caps() {
    for (max_candidates, n_words, max_sorted) in [(1, 1, 1), (64, 1, 64), (65, 2, 128), (4096, 64, 4096)] {
        let mut manifest = small(NmsScope::PerClass);
        manifest.boxes.max_candidates = max_candidates;
        manifest.boxes.max_boxes = 1;
        let plan = BoxesPlan::build(&manifest).unwrap();
        assert_eq!(room(&plan, "overlaps"), 3 * 64 * n_words * n_words);
        assert_eq!((room(&plan, "alive"), room(&plan, "best")), (3 * 2 * n_words, 3 * max_sorted));
        let blocks: Vec<u32> = plan.launches().iter().map(|l| l.n_blocks).collect();
        // 18 planes of 120 cells; three scopes.
        let n_decode = 3 * max_candidates.div_ceil(256);
        let n_tiles = (n_words * (n_words + 1) / 2).min(256) as u32;
        assert_eq!(blocks, [18, 3, n_decode, 3 * n_tiles, 3, 1]);
    }
}

#[test]
fn what_the_cpu_refuses_is_refused() {
    let mut manifest = small(NmsScope::Agnostic);
    manifest.boxes.max_candidates = 0;
    assert_eq!(BoxesPlan::build(&manifest).unwrap_err().stage(), Some(Stage::Boxes));
    let mut manifest = small(NmsScope::Agnostic);
    manifest.classes[0] = "tram".into();
    assert_eq!(BoxesPlan::build(&manifest).unwrap_err().stage(), Some(Stage::Boxes));
}

/// A suite over cases is worth what the cases reach.
#[test]
fn cases_reach_every_cap_and_every_cause() {
    let mut seen = BTreeMap::<&str, u32>::new();
    for seed in 0..150 {
        let case = Case::new(seed, 24);
        let answer = Answer::of_cpu(&case.manifest, &case.tensors);
        let n_suppressed_only = answer.n_suppressed > 0 && answer.dropped_boxes == 0;
        for (what, is_so) in [
            ("no candidate", answer.n_candidates == 0),
            ("dropped candidates", answer.dropped_candidates > 0),
            ("suppressed", n_suppressed_only),
            ("dropped boxes", answer.dropped_boxes > 0),
            ("not finite", answer.head_not_finite),
            ("many boxes", answer.detections.len() > 300),
            ("anchors", matches!(case.manifest.head, HeadLayout::Anchors(_))),
            ("centres", matches!(case.manifest.head, HeadLayout::Centers(_))),
        ] {
            *seen.entry(what).or_default() += u32::from(is_so);
        }
    }
    println!("{seen:?}");
    assert!(seen.values().all(|n| *n >= 5), "{seen:?}");
}
