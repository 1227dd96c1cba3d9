//! Golden: which values of a tensor travel with a package.

use pilotis_spec::golden::GoldenTensor;

/// Samples of a tensor: a quarter where it is largest in absolute value (a NaN counts as largest
/// of all, and has the package refused), the rest spread over it. Sorted, each place once, so
/// there may be fewer than `n_samples`.
///
/// **Determinism**: of the values alone; ties in size go to the lower index.
pub fn golden_tensor(name: &str, values: &[f32], n_samples: usize) -> GoldenTensor {
    let n_largest = n_samples.div_ceil(4).min(values.len());
    let larger = |a: &u32, b: &u32| {
        values[*b as usize].abs().total_cmp(&values[*a as usize].abs()).then_with(|| a.cmp(b))
    };
    let mut idx: Vec<u32> = (0..values.len()).map(|i| i as u32).collect();
    if n_largest > 0 && n_largest < idx.len() {
        idx.select_nth_unstable_by(n_largest - 1, larger);
    }
    idx.truncate(n_largest);
    // Multiples of the golden ratio lie evenly in 0..1 and do not beat with the width of a map,
    // as a regular step would.
    const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
    let spread = (1..=n_samples.saturating_sub(n_largest) as u64).map(|i| {
        let fraction = u128::from(i.wrapping_mul(GOLDEN_RATIO));
        ((fraction * values.len() as u128) >> 64) as u32
    });
    if !values.is_empty() {
        idx.extend(spread);
    }
    idx.sort_unstable();
    idx.dedup();
    let values = idx.iter().map(|i| values[*i as usize]).collect();
    GoldenTensor { name: name.to_owned(), idx, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_values_are_among_the_samples() {
        let mut values: Vec<f32> = (0..10_000).map(|i| (i % 7) as f32).collect();
        values[17] = -900.0;
        values[4321] = 800.0;
        let sample = golden_tensor("cls_0", &values, 64);
        assert_eq!(sample.name, "cls_0");
        assert!(sample.idx.contains(&17) && sample.idx.contains(&4321));
        // The other 14 of the largest 16 tie at 6; the lowest indices win.
        assert!(sample.idx.contains(&6) && sample.idx.contains(&13));
        assert!(sample.values.contains(&-900.0));
        assert_eq!(sample, golden_tensor("cls_0", &values, 64));
    }

    #[test]
    fn samples_reach_every_part_and_many_columns() {
        // A map 216 wide: no column pattern, every tenth of the tensor hit.
        let values = vec![0.0; 18 * 248 * 216];
        let sample = golden_tensor("x", &values, 256);
        let spread: Vec<_> = sample.idx.iter().filter(|i| **i >= 64).collect();
        assert!(spread.len() > 180, "{}", spread.len());
        for part in 0..10 {
            let n = spread.iter().filter(|i| ***i as usize * 10 / values.len() == part).count();
            assert!((15..25).contains(&n), "{n} samples in part {part}");
        }
        let columns: std::collections::BTreeSet<_> = spread.iter().map(|i| **i % 216).collect();
        assert!(columns.len() > 100, "{} columns", columns.len());
    }

    #[test]
    fn a_nan_is_always_sampled() {
        let mut values = vec![1.0; 1000];
        values[777] = f32::NAN;
        assert!(golden_tensor("x", &values, 4).values.iter().any(|v| v.is_nan()));
    }

    proptest! {
        #[test]
        fn samples_are_sorted_inside_and_true(n in 0_usize..300, n_samples in 0_usize..80) {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let sample = golden_tensor("x", &values, n_samples);
            prop_assert!(sample.idx.len() <= n_samples);
            prop_assert_eq!(sample.idx.is_empty(), n == 0 || n_samples == 0);
            prop_assert!(sample.idx.windows(2).all(|w| w[0] < w[1]));
            for (i, v) in sample.idx.iter().zip(&sample.values) {
                prop_assert_eq!(values[*i as usize].to_bits(), v.to_bits());
            }
        }
    }
}
