use super::*;
use proptest::prelude::*;

const MOMENTS: [&str; 5] = ["points", "pillars", "bev", "head", "boxes"];

#[test]
fn the_plan_prints_as_a_table() {
    let mut plan = Plan::new(&MOMENTS);
    plan.keep::<u32>("cells", 1000);
    plan.reserve::<u8>("raw", 4096, 0..=0);
    plan.reserve::<[f32; 4]>("points", 100, 0..=2);
    plan.reserve::<u32>("order", 300, 1..=1);
    plan.reserve::<half::f16>("canvas", 2000, 2..=3);
    plan.reserve::<pilotis_kernels::frame::FrameState>("state", 1, 0..=4);
    plan.reserve::<u32>("nothing", 0, 4..=4);
    let golden = "\
buffer   type        length  bytes  offset  alive
cells    u32           1000   4000    4096  kept
raw      u8            4096   4096       0  points
points   [f32; 4]       100   1600    8192  points..bev
order    u32            300   1200       0  pillars
canvas   f16           2000   4000       0  bev..head
state    FrameState       1     80    9984  points..boxes
nothing  u32              0      0    8192  boxes
10240 bytes in all; 15616 if no two buffers shared memory";
    assert_eq!(plan.lay_out().to_string(), golden);
}

#[test]
fn buffers_whose_lives_do_not_overlap_share_memory() {
    let mut plan = Plan::new(&MOMENTS);
    let a = plan.reserve::<u32>("a", 1024, 0..=1);
    let b = plan.reserve::<u32>("b", 1024, 2..=3);
    let c = plan.reserve::<u32>("c", 1024, 1..=2);
    let layout = plan.lay_out();
    assert_eq!(layout.offset_of(a, 0, 1024), layout.offset_of(b, 0, 1024));
    assert_ne!(layout.offset_of(a, 0, 1024), layout.offset_of(c, 0, 1024));
    assert_eq!((layout.total_bytes(), layout.unshared_bytes()), (8192, 12288));
}

#[test]
fn the_smallest_gap_that_fits_is_taken() {
    // Alive in the same moments as what is asked for: gaps of 1024 and 512 bytes, then the end.
    let taken = [(0, 256), (1280, 1536), (2048, 2304)].map(|(offset, end)| Place { offset, end });
    assert_eq!(best_gap(&taken, 100), 1536);
    assert_eq!(best_gap(&taken, 512), 1536);
    assert_eq!(best_gap(&taken, 513), 256);
    assert_eq!(best_gap(&taken, 1025), 2304);
    assert_eq!(best_gap(&[], 5), 0);
}

#[test]
fn ranges_past_an_end_and_slots_of_another_plan_have_no_place() {
    let mut plan = Plan::new(&MOMENTS);
    let slot = plan.keep::<u32>("a", 10);
    let layout = plan.lay_out();
    assert_eq!(layout.offset_of(slot, 3, 7), Some(12));
    assert_eq!(layout.offset_of(slot, 10, 0), Some(40));
    assert_eq!(layout.offset_of(slot, 3, 8), None);
    assert_eq!(layout.offset_of(slot, usize::MAX, 2), None);
    let mut other = Plan::new(&MOMENTS);
    let longer = other.keep::<u32>("a", 11);
    let second = other.keep::<u32>("b", 10);
    assert_eq!(layout.offset_of(longer, 0, 1), None);
    assert_eq!(layout.offset_of(second, 0, 1), None);
}

#[test]
fn sizes_beyond_all_memory_are_the_largest_number_and_no_overflow() {
    let mut plan = Plan::new(&MOMENTS);
    plan.keep::<u64>("a", usize::MAX);
    plan.keep::<u64>("b", usize::MAX / 8);
    let layout = plan.lay_out();
    assert_eq!(layout.total_bytes(), u64::MAX);
    assert_eq!(layout.unshared_bytes(), u64::MAX);
}

#[test]
fn moments_that_are_not_there_are_cut_to_those_that_are() {
    let mut plan = Plan::new(&MOMENTS);
    plan.reserve::<u8>("late", 1, 7..=9);
    #[allow(clippy::reversed_empty_ranges, reason = "what is tested")]
    plan.reserve::<u8>("reversed", 1, 3..=1);
    let text = plan.lay_out().to_string();
    assert!(text.lines().nth(1).unwrap().ends_with("boxes"), "{text}");
    assert!(text.lines().nth(2).unwrap().ends_with("kept"), "{text}");
    let mut empty = Plan::new(&[]);
    empty.reserve::<u8>("a", 1, 0..=0);
    assert_eq!(empty.lay_out().total_bytes(), 256);
    assert_eq!(Plan::new(&[]).lay_out().total_bytes(), 0);
}

proptest! {
    #[test]
    fn buffers_that_are_alive_at_once_never_overlap(
        requests in prop::collection::vec((0_usize..5000, 0_usize..8, 0_usize..8, any::<bool>()), 0..40)
    ) {
        let mut plan = Plan::new(&["0", "1", "2", "3", "4", "5", "6", "7"]);
        for &(len, a, b, is_kept) in &requests {
            if is_kept {
                plan.keep::<u8>("x", len);
            } else {
                plan.reserve::<u8>("x", len, a.min(b)..=a.max(b));
            }
        }
        let layout = plan.lay_out();
        let mut most_at_once = 0;
        for (i, a) in plan.requests.iter().enumerate() {
            let place = layout.places[i];
            prop_assert_eq!(place.offset % ALIGN_BYTES, 0);
            prop_assert!(place.offset + a.n_bytes <= place.end && place.end <= layout.total_bytes);
            for (j, b) in plan.requests.iter().enumerate().skip(i + 1) {
                let apart = (a.n_bytes == 0 || b.n_bytes == 0)
                    || place.offset + a.n_bytes <= layout.places[j].offset
                    || layout.places[j].offset + b.n_bytes <= place.offset;
                let at_once = (0..8).any(|m| (a.first..=a.last).contains(&m) && (b.first..=b.last).contains(&m));
                prop_assert!(apart || !at_once, "{} and {}\n{}", i, j, layout);
            }
        }
        for moment in 0..8 {
            let alive = plan.requests.iter().filter(|r| (r.first..=r.last).contains(&moment));
            most_at_once = alive.map(|r| align(r.n_bytes)).sum::<u64>().max(most_at_once);
        }
        prop_assert!(most_at_once <= layout.total_bytes && layout.total_bytes <= layout.unshared_bytes());
    }
}
