//! How long frames took.

use super::frame::Frame;
use pilotis_spec::{Stage, StageTimes};
use serde::{Deserialize, Serialize};

/// Percentiles of a time in milliseconds. Each is the least time that so many frames do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub min_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub mean_ms: f64,
}

/// Times of whole frames and of their stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Frames that were timed.
    pub n_frames: usize,
    /// The whole frame.
    pub frame: Percentiles,
    /// Bytes to validated points.
    pub points: Percentiles,
    /// Points to pillars.
    pub pillars: Percentiles,
    /// Pillars to canvas.
    pub bev: Percentiles,
    /// Canvas to raw tensors.
    pub head: Percentiles,
    /// Raw tensors to boxes.
    pub boxes: Percentiles,
}

impl Latency {
    /// `None` if no frame was timed.
    pub(crate) fn of(frames: &[Frame]) -> Option<Self> {
        let times: Vec<StageTimes> = frames.iter().filter_map(|f| f.times).collect();
        if times.is_empty() {
            return None;
        }
        let of = |stage: Stage| percentiles(times.iter().map(|t| t.of(stage)));
        Some(Self {
            n_frames: times.len(),
            frame: percentiles(times.iter().map(|t| t.frame_ns)),
            points: of(Stage::Points),
            pillars: of(Stage::Pillars),
            bev: of(Stage::Bev),
            head: of(Stage::Head),
            boxes: of(Stage::Boxes),
        })
    }

    /// Name and percentiles of every stage, in order.
    pub fn stages(&self) -> [(&'static str, &Percentiles); 5] {
        [
            ("points", &self.points),
            ("pillars", &self.pillars),
            ("bev", &self.bev),
            ("head", &self.head),
            ("boxes", &self.boxes),
        ]
    }
}

fn percentiles(times: impl Iterator<Item = u64>) -> Percentiles {
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    let at = |share: f64| {
        let rank = libm::ceil(share * times.len() as f64) as usize;
        times.get(rank.max(1) - 1).map_or(0.0, |ns| *ns as f64 / 1e6)
    };
    let sum: u128 = times.iter().map(|ns| u128::from(*ns)).sum();
    Percentiles {
        min_ms: at(0.0),
        p50_ms: at(0.5),
        p90_ms: at(0.9),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        mean_ms: sum as f64 / times.len().max(1) as f64 / 1e6,
    }
}
