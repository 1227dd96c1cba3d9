//! Latency: percentiles of the stages over many frames.

use super::ms;
use hdrhistogram::Histogram;
use pilotis_spec::{Stage, StageTimes};
use serde::{Deserialize, Serialize};

/// The longest time told apart: ten minutes. Longer ones count as this in percentiles.
const MAX_NS: u64 = 600_000_000_000;
/// Percentiles are exact to this many decimal digits; least, most and mean are exact.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Times of the stages and of whole frames.
///
/// **Allocation**: everything in [`Latency::new`], nothing in [`Latency::record`].
/// **At capacity**: times beyond ten minutes saturate; they never fail.
#[derive(Clone, Debug)]
pub struct Latency {
    stages: [Times; Stage::ALL.len()],
    frame: Times,
}

/// Times of one thing.
#[derive(Clone, Debug)]
struct Times {
    /// `None` only if the constants above were unusable, which a test excludes.
    histogram: Option<Histogram<u64>>,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u128,
    n: u64,
}

impl Times {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_NS, SIGNIFICANT_DIGITS).ok();
        Self { histogram, min_ns: u64::MAX, max_ns: 0, sum_ns: 0, n: 0 }
    }

    fn record(&mut self, ns: u64) {
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(ns);
        }
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += u128::from(ns);
        self.n += 1;
    }

    fn percentiles(&self) -> Percentiles {
        if self.n == 0 {
            return Percentiles::default();
        }
        // A bucket answers with its upper end, which may lie above the largest time itself.
        let at = |quantile| {
            let ns = self.histogram.as_ref().map_or(0, |h| h.value_at_quantile(quantile));
            ms(ns.clamp(self.min_ns, self.max_ns))
        };
        Percentiles {
            min_ms: ms(self.min_ns),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p99_9_ms: at(0.999),
            max_ms: ms(self.max_ns),
            mean_ms: self.sum_ns as f64 / self.n as f64 / 1e6,
        }
    }
}

/// How long something takes, in milliseconds. All zero when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub min_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
    pub mean_ms: f64,
}

/// Percentiles of every stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the stages of pilotis_spec::Stage")]
pub struct StagePercentiles {
    pub points: Percentiles,
    pub pillars: Percentiles,
    pub bev: Percentiles,
    pub head: Percentiles,
    pub boxes: Percentiles,
}

impl StagePercentiles {
    /// The percentiles of one stage.
    pub fn of(&self, stage: Stage) -> &Percentiles {
        match stage {
            Stage::Points => &self.points,
            Stage::Pillars => &self.pillars,
            Stage::Bev => &self.bev,
            Stage::Head => &self.head,
            Stage::Boxes => &self.boxes,
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// Histograms without a time, about a quarter of a megabyte each.
    pub fn new() -> Self {
        Self { stages: std::array::from_fn(|_| Times::new()), frame: Times::new() }
    }

    /// Counts the times of one frame.
    ///
    /// **Allocation**: none.
    pub fn record(&mut self, times: &StageTimes) {
        for (stage, recorded) in Stage::ALL.into_iter().zip(&mut self.stages) {
            recorded.record(times.of(stage));
        }
        self.frame.record(times.frame_ns);
    }

    /// Frames counted.
    pub fn n_frames(&self) -> u64 {
        self.frame.n
    }

    /// Percentiles of every stage.
    pub fn stages(&self) -> StagePercentiles {
        let [points, pillars, bev, head, boxes] = self.stages.each_ref().map(Times::percentiles);
        StagePercentiles { points, pillars, bev, head, boxes }
    }

    /// Percentiles of whole frames.
    pub fn frame(&self) -> Percentiles {
        self.frame.percentiles()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(ns: u64) -> StageTimes {
        StageTimes { head_ns: ns, frame_ns: 2 * ns, ..StageTimes::default() }
    }

    #[track_caller]
    fn assert_near(got: f64, want: f64) {
        assert!((got - want).abs() <= want * 1e-3, "{got} is not {want} to three digits");
    }

    #[test]
    fn percentiles_of_one_to_a_thousand_milliseconds_are_known() {
        let mut latency = Latency::new();
        // In an order that is neither rising nor falling.
        for i in 0..1000_u64 {
            latency.record(&frame_of((i * 387 % 1000 + 1) * 1_000_000));
        }
        let head = latency.stages().head;
        for (got, want) in [
            (head.min_ms, 1.0),
            (head.p50_ms, 500.0),
            (head.p90_ms, 900.0),
            (head.p99_ms, 990.0),
            (head.p99_9_ms, 999.0),
            (head.max_ms, 1000.0),
            (head.mean_ms, 500.5),
        ] {
            assert_near(got, want);
        }
        assert_near(latency.frame().p99_ms, 1980.0);
        assert_eq!(latency.stages().points, Percentiles::default(), "stages of no time");
        assert_eq!(latency.n_frames(), 1000);
    }

    #[test]
    fn one_frame_is_its_own_every_percentile() {
        let mut latency = Latency::new();
        latency.record(&frame_of(123_456_789));
        let head = latency.stages().head;
        let all = [head.min_ms, head.p50_ms, head.p90_ms, head.p99_ms, head.p99_9_ms, head.max_ms];
        assert!(all.iter().all(|ms| ms.to_bits() == 123.456_789_f64.to_bits()), "{all:?}");
    }

    #[test]
    fn nothing_recorded_is_zero_and_not_nan() {
        let latency = Latency::new();
        assert_eq!(latency.frame(), Percentiles::default());
        let text = serde_json::to_string(&latency.stages()).unwrap();
        assert!(!text.contains("null"), "{text}");
    }

    #[test]
    fn times_beyond_the_range_saturate() {
        let mut latency = Latency::new();
        assert!(latency.frame.histogram.is_some());
        let n_buckets = latency.frame.histogram.as_ref().unwrap().distinct_values();
        let endless = StageTimes { head_ns: u64::MAX, frame_ns: u64::MAX, ..StageTimes::default() };
        latency.record(&endless);
        latency.record(&endless);
        assert!(latency.frame().p50_ms >= ms(MAX_NS));
        assert!(latency.frame().mean_ms.is_finite());
        assert_eq!(latency.frame.histogram.as_ref().unwrap().distinct_values(), n_buckets, "it grew");
    }
}
