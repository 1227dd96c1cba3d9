//! What resamples say of a difference: intervals, and how likely chance is.

use super::Interval;
use std::f64::consts::{PI, SQRT_2};

/// A difference, and how it scatters.
#[derive(Clone, Debug)]
pub(super) struct Scatter {
    /// Of the resamples, rising.
    sorted: Vec<f64>,
    /// Share of the resamples that lack it.
    pub(super) lacking: f64,
    bias: f64,
    acceleration: f64,
}

impl Scatter {
    pub(super) fn new(
        difference: f64,
        mut resamples: Vec<f64>,
        n_resamples: usize,
        jackknife: &[f64],
    ) -> Self {
        resamples.sort_by(f64::total_cmp);
        let lacking = 1.0 - resamples.len() as f64 / n_resamples.max(1) as f64;
        let bias = quantile_of_normal(share_below(&resamples, difference));
        Self { sorted: resamples, lacking, bias, acceleration: acceleration(jackknife) }
    }

    /// Bias and acceleration that an interval of this kind corrects for.
    fn corrections(&self, kind: Interval) -> (f64, f64) {
        match kind {
            Interval::Percentile => (0.0, 0.0),
            Interval::BiasCorrected => (self.bias, self.acceleration),
        }
    }

    /// The interval that leaves out `level`, half of it on each side.
    pub(super) fn interval(&self, level: f64, kind: Interval) -> [f64; 2] {
        let (bias, acceleration) = self.corrections(kind);
        [level / 2.0, 1.0 - level / 2.0].map(|wanted| {
            let shifted = bias + quantile_of_normal(wanted);
            let stretch = 1.0 - acceleration * shifted;
            // Beyond this point the correction turns over; the plain percentile is left.
            let share = if stretch > 0.0 { normal(bias + shifted / stretch) } else { wanted };
            self.at(share)
        })
    }

    /// Chance of a difference at least as far from 0: the level whose interval ends at 0.
    pub(super) fn p(&self, kind: Interval) -> f64 {
        let (bias, acceleration) = self.corrections(kind);
        let away = quantile_of_normal(share_below(&self.sorted, 0.0)) - bias;
        let stretch = 1.0 + acceleration * away;
        let one_sided = if stretch > 0.0 { normal(away / stretch - bias) } else { normal(away) };
        let least = 2.0 / (self.sorted.len() as f64 + 1.0);
        (2.0 * one_sided.min(1.0 - one_sided)).clamp(least, 1.0)
    }

    /// The value below which a share of the resamples lies, between neighbours in proportion.
    fn at(&self, share: f64) -> f64 {
        let Some(last) = self.sorted.len().checked_sub(1) else { return 0.0 };
        let place = (share * (self.sorted.len() as f64 + 1.0) - 1.0).clamp(0.0, last as f64);
        let below = place as usize;
        let above = (below + 1).min(last);
        self.sorted[below] + (place - below as f64) * (self.sorted[above] - self.sorted[below])
    }
}

/// Share of sorted values below a value, half of the equal ones among them; never 0 or 1.
fn share_below(sorted: &[f64], value: f64) -> f64 {
    let n = sorted.len() as f64;
    let n_below = sorted.partition_point(|v| *v < value);
    let n_not_above = sorted.partition_point(|v| *v <= value);
    let least = 1.0 / (n + 1.0);
    if n < 1.0 { 0.5 } else { (0.5 * (n_below + n_not_above) as f64 / n).clamp(least, 1.0 - least) }
}

/// A sixth of the skewness of what units add to the difference, from leaving out one block after the other.
fn acceleration(jackknife: &[f64]) -> f64 {
    let mean = jackknife.iter().sum::<f64>() / jackknife.len().max(1) as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in jackknife {
        let d = mean - value;
        squares += d * d;
        cubes += d * d * d;
    }
    if squares > 0.0 { cubes / (6.0 * squares * libm::sqrt(squares)) } else { 0.0 }
}

/// Holm's corrected p, in the order given.
pub(super) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, idx) in order.into_iter().enumerate() {
        least = least.max((p.len() - rank) as f64 * p[idx]).min(1.0);
        corrected[idx] = least;
    }
    corrected
}

/// The normal distribution.
fn normal(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// The z below which a share, between 0 and 1, of the normal distribution lies.
fn quantile_of_normal(share: f64) -> f64 {
    // Newton's steps from 0 rise to the lower tail without crossing it, and the tail's slope is its own
    // size, so a few dozen steps reach any share that resamples can have.
    let lower = share.min(1.0 - share);
    let mut z = 0.0_f64;
    for _ in 0..100 {
        let step = (normal(z) - lower) / (libm::exp(-0.5 * z * z) / libm::sqrt(2.0 * PI));
        z -= step.clamp(-1.0, 1.0);
        if step.abs() < 1e-14 {
            break;
        }
    }
    if share <= 0.5 { z } else { -z }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, wanted: f64, within: f64) {
        assert!((got - wanted).abs() <= within, "{got} is not {wanted}");
    }

    #[test]
    fn quantiles_of_the_normal_distribution_are_the_published_ones() {
        for (share, z) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.025, -1.959_963_984_540_054),
            (0.995, 2.575_829_303_548_901),
            (1e-6, -4.753_424_308_822_899),
            (0.841_344_746_068_543, 1.0),
        ] {
            close(quantile_of_normal(share), z, 1e-9);
            close(normal(z), share, 1e-12);
        }
    }

    #[test]
    fn a_symmetric_scatter_has_the_same_interval_by_both_kinds() {
        let values: Vec<f64> = (-1000..=1000).map(|v| f64::from(v) / 100.0 + 1.0).collect();
        // As many blocks above as below, equally far.
        let scatter = Scatter::new(1.0, values, 2001, &[0.9, 1.1, 0.8, 1.2]);
        for kind in [Interval::Percentile, Interval::BiasCorrected] {
            let [low, high] = scatter.interval(0.05, kind);
            close(low, -8.5, 0.02);
            close(high, 10.5, 0.02);
            // 900 of 2001 lie below 0, and 0 itself.
            close(scatter.p(kind), 2.0 * 900.5 / 2001.0, 1e-9);
        }
    }

    #[test]
    fn the_correction_is_the_one_worked_out_by_hand() {
        // 60 % of the resamples lie below the difference.
        let values: Vec<f64> = (1..=999).map(f64::from).collect();
        let jackknife = [0.0, 0.0, 0.0, 4.0];
        let scatter = Scatter::new(600.0, values, 999, &jackknife);
        // Distances from the mean of 1: 1, 1, 1 and -3.
        let acceleration = (3.0 - 27.0) / (6.0 * 12.0 * libm::sqrt(12.0));
        close(scatter.acceleration, acceleration, 1e-15);
        let bias = 0.253_347_103_135_8 - 0.000_001;
        close(scatter.bias, bias, 1e-2);
        let end =
            |z: f64| normal(scatter.bias + (scatter.bias + z) / (1.0 - acceleration * (scatter.bias + z)));
        let [low, high] = scatter.interval(0.05, Interval::BiasCorrected);
        close(low, end(-1.959_963_984_540_054) * 1000.0, 1e-6);
        close(high, end(1.959_963_984_540_054) * 1000.0, 1e-6);
        assert!(low > 25.0 && scatter.interval(0.05, Interval::Percentile)[0] < 25.5);
    }

    #[test]
    fn p_is_the_level_at_which_the_interval_reaches_zero() {
        let values: Vec<f64> = (0..4000).map(|v| libm::pow(f64::from(v) / 4000.0, 2.0) - 0.001).collect();
        let scatter = Scatter::new(0.2, values, 4000, &[0.1, 0.2, 0.25, 0.4]);
        for kind in [Interval::Percentile, Interval::BiasCorrected] {
            let p = scatter.p(kind);
            assert!(p > 0.001 && p < 0.2, "{p}");
            let end = |level| scatter.interval(level, kind).map(f64::abs).into_iter().fold(1.0, f64::min);
            close(end(p), 0.0, 2e-5);
        }
    }

    #[test]
    fn resamples_that_are_all_equal_have_an_interval_of_no_width() {
        let scatter = Scatter::new(0.0, vec![0.0; 500], 500, &[0.0; 10]);
        assert_eq!(scatter.interval(0.05, Interval::BiasCorrected).map(f64::to_bits), [0; 2]);
        close(scatter.p(Interval::BiasCorrected), 1.0, 1e-12);
    }

    #[test]
    fn holm_is_the_textbooks() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, wanted) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            close(*got, wanted, 1e-12);
        }
        assert!(holm(&[]).is_empty());
        close(holm(&[0.9, 0.9])[1], 1.0, 1e-12);
    }
}
