use super::*;
use proptest::prelude::*;

fn swept(plane: &[f32], threshold: f32) -> (Vec<(usize, f32)>, bool) {
    let mut hits = Vec::new();
    let finite = sweep(plane, threshold, |i, v| hits.push((i, v)));
    (hits, finite)
}

#[test]
fn every_place_of_a_run_is_swept() {
    for n in [0, 1, 15, 16, 17, 127, 128, 129, 300] {
        for at in 0..n {
            let mut plane = vec![-5.0_f32; n];
            plane[at] = 1.0;
            assert_eq!(swept(&plane, 1.0), (vec![(at, 1.0)], true), "{n}");
            assert_eq!(swept(&plane, 1.0_f32.next_up()).0, vec![], "{n}");
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                plane[at] = bad;
                assert_eq!(swept(&plane, 1.0), (vec![], false), "{n} {bad}");
                // A broken neighbour hides nobody.
                plane[at ^ 1 & (n - 1)] = if (at ^ 1 & (n - 1)) == at { bad } else { 2.0 };
                assert_eq!(swept(&plane, 1.0).0.len(), usize::from((at ^ 1 & (n - 1)) != at));
                plane[at ^ 1 & (n - 1)] = -5.0;
            }
        }
    }
}

#[test]
fn equal_logits_rank_by_the_lower_index() {
    let mut top = TopCandidates::build(5);
    for idx in [9, 3, 12, 0, 7, 1, 20, 6, 2, 100, 5, 4] {
        top.offer(Rank::new(if idx % 2 == 0 { 0.0 } else { -0.0 }, idx));
    }
    let best: Vec<u32> = top.finish().iter().map(|r| r.flat_idx()).collect();
    assert_eq!(best, [0, 1, 2, 3, 4]);
    assert_eq!((top.n_seen(), top.n_dropped()), (12, 7));
}

#[test]
fn a_million_equal_candidates_fit_the_buffer() {
    let mut top = TopCandidates::build(100);
    let room = top.ranks.capacity();
    for idx in (0..1_000_000).rev() {
        top.offer(Rank::new(0.5, idx));
    }
    assert!(top.finish().iter().map(|r| r.flat_idx()).eq(0..100));
    assert_eq!(top.ranks.capacity(), room);
}

proptest! {
    #[test]
    fn the_best_are_those_of_a_full_sort(
        logits in prop::collection::vec(prop_oneof![-3_i8..3, -100_i8..100], 0..900),
        max in 1_usize..300,
    ) {
        let ranks: Vec<Rank> =
            logits.iter().enumerate().map(|(i, v)| Rank::new(f32::from(*v) / 7.0, (i as u32 * 7919) % 1009)).collect();
        let mut all: Vec<(f32, u32)> = ranks.iter().map(|r| (r.logit(), r.flat_idx())).collect();
        all.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        all.truncate(max);
        let mut top = TopCandidates::build(max);
        for _ in 0..2 {
            // A frame of better candidates before must not raise the bar of this one.
            (0..1000).for_each(|i| top.offer(Rank::new(1e3, i)));
            top.clear();
            ranks.iter().for_each(|r| top.offer(*r));
            let best: Vec<(f32, u32)> = top.finish().iter().map(|r| (r.logit(), r.flat_idx())).collect();
            prop_assert_eq!(&best, &all);
            prop_assert_eq!(top.n_dropped() as usize, ranks.len().saturating_sub(max));
        }
    }

    #[test]
    fn a_rank_gives_its_logit_back(logit in any::<f32>().prop_filter("finite", |v| v.is_finite()), idx in any::<u32>()) {
        let rank = Rank::new(logit, idx);
        prop_assert_eq!((rank.logit(), rank.flat_idx()), (logit, idx));
    }
}
