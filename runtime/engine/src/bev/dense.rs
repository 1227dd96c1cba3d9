//! Dense layers over rows, and the instruction sets that run them.
//!
//! One body, compiled once per instruction set. Every output is `bias + x0 w0 + x1 w1 + ...`,
//! one fused multiply-add after the other in that order, so the bits do not depend on how wide
//! the vectors are.

#![allow(unsafe_code, reason = "calling functions compiled for an instruction set found at run time")]

/// Output channels that a vector register group holds; every layer has a multiple of them.
pub const LANES: usize = 16;
/// Most lane groups of one pass over the rows: 64 channels in registers.
const MAX_GROUPS: usize = 4;

type Lane = [f32; LANES];

/// A linear map `[n_in] -> [n_out]` with weights stored for walking: by blocks of up to 64
/// outputs, then by input, then by output.
#[derive(Clone, Debug)]
pub struct Dense {
    n_in: usize,
    n_out: usize,
    weights: Vec<Lane>,
    bias: Vec<Lane>,
}

impl Dense {
    /// Packs weights `[n_in][n_out]` (row-major) and a bias; `None` unless `n_out` is a positive
    /// multiple of [`LANES`] and the lengths fit.
    pub fn pack(weights: &[f32], bias: &[f32], n_in: usize) -> Option<Self> {
        let n_out = bias.len();
        if n_out == 0 || !n_out.is_multiple_of(LANES) || n_in == 0 || weights.len() != n_in * n_out {
            return None;
        }
        let lane = |values: &[f32]| {
            let mut lane = [0.0; LANES];
            lane.copy_from_slice(values);
            lane
        };
        let mut packed = Vec::with_capacity(weights.len() / LANES);
        for (first, n_groups) in blocks(n_out / LANES) {
            for row in weights.chunks_exact(n_out) {
                let columns = &row[first * LANES..(first + n_groups) * LANES];
                packed.extend(columns.chunks_exact(LANES).map(lane));
            }
        }
        let bias = bias.chunks_exact(LANES).map(lane).collect();
        Some(Self { n_in, n_out, weights: packed, bias })
    }

    /// Outputs.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Inputs.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// The bias, one value an output.
    pub fn bias(&self) -> &[f32] {
        self.bias.as_flattened()
    }
}

/// Splits lane groups into passes of 4, 2 and 1: `(first group, groups)`.
fn blocks(n_groups: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let n = match n_groups - first {
            0 => return None,
            1 => 1,
            2 | 3 => 2,
            _ => MAX_GROUPS,
        };
        first += n;
        Some((first - n, n))
    })
}

/// The instruction set that runs the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// What the target guarantees. On x86-64 without FMA this is right but slow.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The fastest that this processor has.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// All that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
            if Self::detect() == Self::Avx512 {
                all.push(Self::Avx512);
            }
        }
        all
    }

    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
        }
    }
}

/// What to do with the rows of one pillar.
#[derive(Debug)]
pub struct Pass<'a> {
    /// Input rows, packed by `layer.n_in()` (or fewer: only the first `n_used` weights count).
    pub rows: &'a [f32],
    /// Inputs of a row; weights past them are not used.
    pub n_used: usize,
    /// First weight row used.
    pub first_weight: usize,
    /// Accumulators start here instead of the bias, where given: `n_out` values.
    pub base: &'a [f32],
    /// ReLU of every row's outputs goes here, packed by `n_out`, unless empty.
    pub out_rows: &'a mut [f32],
    /// Elementwise maximum of what stands here and the rows' outputs (before ReLU): `n_out`.
    pub max: &'a mut [f32],
}

/// Runs rows through a layer.
///
/// **Allocation**: none. **Determinism**: the same bits for every [`Isa`].
pub fn run(isa: Isa, layer: &Dense, pass: Pass<'_>) {
    match isa {
        Isa::Portable => body(layer, pass),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: needs AVX2 and FMA -> `Isa::detect` and `Isa::available` are the only sources of
        // the variant in this crate and tested for both -> `every_isa_gives_the_same_bits`.
        Isa::Avx2 if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") => unsafe {
            body_avx2(layer, pass);
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: needs AVX-512 F and VL -> tested in this very guard (a cached flag) ->
        // `every_isa_gives_the_same_bits`.
        Isa::Avx512 if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") => unsafe {
            body_avx512(layer, pass);
        },
        #[cfg(target_arch = "x86_64")]
        // The variants are public: one that this processor lacks runs portably.
        _ => body(layer, pass),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn body_avx2(layer: &Dense, pass: Pass<'_>) {
    body(layer, pass);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn body_avx512(layer: &Dense, pass: Pass<'_>) {
    body(layer, pass);
}

#[inline(always)]
fn body(layer: &Dense, pass: Pass<'_>) {
    let Pass { rows, n_used, first_weight, base, out_rows, max } = pass;
    let base = if base.is_empty() { layer.bias.as_slice() } else { base.as_chunks::<LANES>().0 };
    let (max, _) = max.as_chunks_mut::<LANES>();
    let mut weights = layer.weights.as_slice();
    for (first, n_groups) in blocks(layer.n_out / LANES) {
        let Some((here, rest)) = weights.split_at_checked(layer.n_in * n_groups) else { return };
        weights = rest;
        let here = here.get(first_weight * n_groups..).unwrap_or(&[]);
        let (Some(base), Some(max)) =
            (base.get(first..first + n_groups), max.get_mut(first..first + n_groups))
        else {
            return;
        };
        let place = Place { n_used, n_out: layer.n_out, first: first * LANES };
        match n_groups {
            4 => block::<4>(rows, here, base, out_rows, max, place),
            2 => block::<2>(rows, here, base, out_rows, max, place),
            _ => block::<1>(rows, here, base, out_rows, max, place),
        }
    }
}

#[derive(Clone, Copy)]
struct Place {
    n_used: usize,
    n_out: usize,
    first: usize,
}

#[inline(always)]
fn block<const N: usize>(
    rows: &[f32],
    weights: &[Lane],
    base: &[Lane],
    out_rows: &mut [f32],
    max: &mut [Lane],
    place: Place,
) {
    let (weights, _) = weights.as_chunks::<N>();
    let (Some(base), Some(max)) = (base.first_chunk::<N>(), max.first_chunk_mut::<N>()) else { return };
    let weights = weights.get(..place.n_used).unwrap_or(weights);
    let mut best = *max;
    let mut slots = out_rows.chunks_exact_mut(place.n_out);
    for row in rows.chunks_exact(place.n_used) {
        let mut acc = *base;
        for (x, w) in row.iter().zip(weights) {
            acc = fma(acc, *x, w);
        }
        keep_larger(&mut best, &acc);
        if let Some(slot) = slots.next().and_then(|s| s.get_mut(place.first..place.first + N * LANES)) {
            for (o, a) in slot.iter_mut().zip(acc.as_flattened()) {
                *o = relu(*a);
            }
        }
    }
    *max = best;
}

/// By value and over constant bounds, so that the accumulators stay in registers.
#[allow(clippy::needless_range_loop, reason = "iterators here cost the vectorization")]
#[inline(always)]
fn fma<const N: usize>(acc: [Lane; N], x: f32, w: &[Lane; N]) -> [Lane; N] {
    let mut next = acc;
    for g in 0..N {
        for l in 0..LANES {
            next[g][l] = x.mul_add(w[g][l], acc[g][l]);
        }
    }
    next
}

/// One flat loop: over two dimensions the compiler gathers across the groups.
#[inline(always)]
fn keep_larger<const N: usize>(best: &mut [Lane; N], acc: &[Lane; N]) {
    for (b, a) in best.as_flattened_mut().iter_mut().zip(acc.as_flattened()) {
        *b = if *a > *b { *a } else { *b };
    }
}

/// `max(v, 0)`, with +0 for everything not positive, NaN included.
#[inline(always)]
pub fn relu(v: f32) -> f32 {
    if v > 0.0 { v } else { 0.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A repeatable sequence in -1..1.
    pub(in crate::bev) fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    fn naive(weights: &[f32], bias: &[f32], rows: &[f32], n_in: usize) -> (Vec<f32>, Vec<f32>) {
        let n_out = bias.len();
        let mut max = vec![f32::NEG_INFINITY; n_out];
        let mut out = Vec::new();
        for row in rows.chunks_exact(n_in) {
            for c in 0..n_out {
                let acc =
                    row.iter().enumerate().fold(bias[c], |a, (k, x)| x.mul_add(weights[k * n_out + c], a));
                max[c] = if acc > max[c] { acc } else { max[c] };
                out.push(relu(acc));
            }
        }
        (out, max)
    }

    proptest! {
        #[test]
        fn every_isa_gives_the_same_bits(
            n_in in 1_usize..70, groups in 1_usize..12, n_rows in 0_usize..40, seed in any::<u32>(),
        ) {
            let n_out = groups * LANES;
            let (weights, bias) = (noise(n_in * n_out, seed), noise(n_out, seed ^ 1));
            let rows = noise(n_rows * n_in, seed ^ 2);
            let (want_rows, want_max) = naive(&weights, &bias, &rows, n_in);
            let layer = Dense::pack(&weights, &bias, n_in).unwrap();
            for isa in Isa::available() {
                let (mut out, mut max) = (vec![0.0; n_rows * n_out], vec![f32::NEG_INFINITY; n_out]);
                let pass = Pass {
                    rows: &rows, n_used: n_in, first_weight: 0, base: &[], out_rows: &mut out, max: &mut max,
                };
                run(isa, &layer, pass);
                let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
                prop_assert!(same(&out, &want_rows), "rows on {}", isa.name());
                prop_assert!(same(&max, &want_max), "max on {}", isa.name());
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(Dense::pack(&[0.0; 160], &[0.0; 16], 10).is_some());
        assert!(Dense::pack(&[0.0; 161], &[0.0; 16], 10).is_none());
        assert!(Dense::pack(&[0.0; 150], &[0.0; 15], 10).is_none());
        assert!(Dense::pack(&[], &[], 10).is_none());
    }

    #[test]
    fn relu_of_nan_and_minus_zero_is_plus_zero() {
        for v in [f32::NAN, -0.0, -1.0, f32::NEG_INFINITY] {
            assert_eq!(relu(v).to_bits(), 0);
        }
    }
}
