//! The one source of randomness of a simulated frame.
//!
//! Everything is built from 24-bit fractions of a ChaCha stream and basic arithmetic, so that a seed
//! gives the same bytes on every platform and with every number of threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A seeded stream of random numbers, one per frame and purpose.
pub(in crate::simulate) struct Draw(ChaCha8Rng);

/// One step of 24-bit fractions.
const FRACTION: f32 = 1.0 / 16_777_216.0;

impl Draw {
    /// The stream `stream` of `seed`; streams of one seed are independent.
    pub(in crate::simulate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number in `[0, 1)`.
    pub(in crate::simulate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * FRACTION
    }

    /// A number in `[low, high)`.
    pub(in crate::simulate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True with probability `p`.
    pub(in crate::simulate) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// A bell-shaped number of mean 0 and deviation 1, within +-3.5.
    ///
    /// The sum of four uniform numbers: no logarithm, no cosine, and tails that end.
    pub(in crate::simulate) fn bell(&mut self) -> f32 {
        const SCALE: f32 = 1.732_050_8 / 65_536.0;
        let bits = self.0.next_u64();
        let sum = (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
        (sum as f32 - 131_070.0) * SCALE
    }

    /// A bell-shaped number clamped to `[low, high]`.
    pub(in crate::simulate) fn bell_within(&mut self, mean: f32, sigma: f32, low: f32, high: f32) -> f32 {
        (mean + sigma * self.bell()).clamp(low, high)
    }

    /// An index in `0..n`; 0 where `n` is 0.
    pub(in crate::simulate) fn index(&mut self, n: usize) -> usize {
        ((self.unit() * n as f32) as usize).min(n.saturating_sub(1))
    }

    /// One of `items` in proportion to its weight.
    pub(in crate::simulate) fn weighted<T: Copy>(&mut self, items: &[(f32, T)], default: T) -> T {
        let total: f32 = items.iter().map(|item| item.0).sum();
        let mut left = self.unit() * total;
        for (weight, item) in items {
            if left < *weight {
                return *item;
            }
            left -= weight;
        }
        default
    }

    /// -1 or 1.
    pub(in crate::simulate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// A length drawn from an exponential distribution of mean `mean`.
    pub(in crate::simulate) fn exponential(&mut self, mean: f32) -> f32 {
        -mean * libm::logf(1.0 - self.unit())
    }
}
