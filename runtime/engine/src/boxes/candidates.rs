//! Candidates: the few logits of a frame that pass, and of those the best.

/// Values looked at together; a run without a passing logit is left after one comparison.
const RUN: usize = 128;
/// Independent maxima, so that the loop becomes vector instructions on every target.
const LANES: usize = 16;

/// Calls `pass(location, logit)` for every finite logit of a plane that is at least `threshold`,
/// in order; yields whether all values were finite.
///
/// **Allocation**: none. **Determinism**: comparisons only.
pub fn sweep(plane: &[f32], threshold: f32, mut pass: impl FnMut(usize, f32)) -> bool {
    // `v * 0` is 0 for finite values and NaN for all others, and stays NaN in a sum.
    let mut spoiled = [0.0_f32; LANES];
    let (runs, rest) = plane.as_chunks::<RUN>();
    for (r, run) in runs.iter().enumerate() {
        let mut best = [f32::NEG_INFINITY; LANES];
        for values in run.as_chunks::<LANES>().0 {
            for ((best, spoiled), v) in best.iter_mut().zip(&mut spoiled).zip(values) {
                // NaN is never greater.
                *best = if *v > *best { *v } else { *best };
                *spoiled += *v * 0.0;
            }
        }
        if best.iter().any(|v| *v >= threshold) {
            pick(run, r * RUN, threshold, &mut pass);
        }
    }
    pick(rest, runs.len() * RUN, threshold, &mut pass);
    spoiled.iter().all(|v| *v == 0.0) && rest.iter().all(|v| v.is_finite())
}

#[inline]
fn pick(values: &[f32], first: usize, threshold: f32, pass: &mut impl FnMut(usize, f32)) {
    for (i, v) in values.iter().enumerate() {
        if *v >= threshold && v.is_finite() {
            pass(first + i, *v);
        }
    }
}

/// Where a candidate stands: greater is better. Logit first, then the **lower** flat index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u64);

impl Rank {
    /// The rank of a finite logit at a flat index.
    #[inline]
    pub fn new(logit: f32, flat_idx: u32) -> Self {
        // Adding zero makes -0 and 0 the tie that they are.
        let bits = (logit + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(ordered) << 32 | u64::from(!flat_idx))
    }

    /// The logit.
    #[inline]
    pub fn logit(self) -> f32 {
        let ordered = self.ordered_logit();
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }

    /// An integer that sorts like the logit.
    #[inline]
    pub fn ordered_logit(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The flat index.
    #[inline]
    pub fn flat_idx(self) -> u32 {
        !(self.0 as u32)
    }
}

/// The best of any number of candidates, exactly, in a buffer allocated once.
///
/// **Allocation**: in [`TopCandidates::build`] only. **Determinism**: ranks are distinct, so the
/// best ones are one set, in one order, however they arrive.
#[derive(Debug)]
pub struct TopCandidates {
    ranks: Vec<Rank>,
    max: usize,
    /// The worst rank that is still among the best; what is below was seen for nothing.
    floor: Rank,
    n_seen: u32,
}

impl TopCandidates {
    /// A buffer for the best `max`; at least one.
    pub fn build(max: usize) -> Self {
        let max = max.max(1);
        // Twice the room: a selection costs its length and frees half of it, so a candidate
        // costs a constant on average.
        Self { ranks: Vec::with_capacity(2 * max), max, floor: Rank::default(), n_seen: 0 }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ranks.clear();
        self.floor = Rank::default();
        self.n_seen = 0;
    }

    /// Takes a candidate in.
    #[inline]
    pub fn offer(&mut self, rank: Rank) {
        self.n_seen = self.n_seen.saturating_add(1);
        if rank < self.floor {
            return;
        }
        if self.ranks.len() >= 2 * self.max {
            self.prune();
        }
        self.ranks.push(rank);
    }

    fn prune(&mut self) {
        if self.ranks.len() > self.max {
            let (_, floor, _) = self.ranks.select_nth_unstable_by(self.max - 1, |a, b| b.cmp(a));
            self.floor = *floor;
            self.ranks.truncate(self.max);
        }
    }

    /// The best candidates, best first.
    pub fn finish(&mut self) -> &[Rank] {
        self.prune();
        self.ranks.sort_unstable_by(|a, b| b.cmp(a));
        &self.ranks
    }

    /// Candidates taken in since the last [`TopCandidates::clear`].
    pub fn n_seen(&self) -> u32 {
        self.n_seen
    }

    /// Candidates that are not among the best.
    pub fn n_dropped(&self) -> u32 {
        self.n_seen.saturating_sub(self.max as u32)
    }
}

#[cfg(test)]
#[path = "candidates_tests.rs"]
mod tests;
