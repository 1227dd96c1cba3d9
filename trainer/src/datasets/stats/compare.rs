//! Comparing: how far two datasets are apart, and whether there is enough of both to say so.
//!
//! Histograms are compared by two figures. *Total variation*, half the sum of the differences of their shares, is
//! the share of points that would have to move to another bin: 0 for equal histograms, 1 for disjoint ones, and
//! the same scale for every axis. It does not see how far they would have to move; *Wasserstein's distance* does,
//! in the unit of the axis: the mean way of a point. Both are blind to how much two sets of frames of one dataset
//! differ among themselves. So the total variation between the two halves of the second dataset stands beside:
//! what is not clearly above it, these frames cannot tell.

use super::collect::{DatasetStats, FrameStats, MEASURES, Measure};
use super::source::View;
use super::summary::{ClassSummary, N_BANDS, PointsPerBox, RingSummary, Summary, add, shares};
use serde::Serialize;
use std::collections::BTreeSet;

/// With fewer points in one of two histograms nothing is said about them.
pub const MIN_POINTS: u64 = 1000;
/// With fewer boxes on one side nothing is said about them.
pub const MIN_BOXES: usize = 10;
/// With fewer frames a dataset is not halved.
const MIN_FRAMES: usize = 4;

/// How far two histograms are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distance {
    /// Share of points that would have to move, 0..1.
    pub total_variation: f64,
    /// Mean way of a point, in the unit of the axis.
    pub wasserstein: f64,
    /// Total variation between the first and the second half of the second dataset's frames.
    pub within_second: Option<f64>,
}

/// A distance between two histograms of one measure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistogramDistance {
    /// What they count.
    pub measure: Measure,
    /// How far they are apart; `None` where there are too few points.
    pub distance: Option<Distance>,
}

/// A class of one or both datasets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassDistance {
    /// Lower case.
    pub class_name: String,
    /// Median points per box of the first over that of the second, by band of distance; `None` where there are
    /// too few boxes.
    pub points_ratio: Vec<Option<f64>>,
    /// Difference of the mean length, width and height in standard deviations (of both, averaged as variances);
    /// `None` where there are too few boxes, or sizes do not vary.
    pub size_sigmas: [Option<f64>; 3],
}

/// Two datasets beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Every histogram.
    pub histograms: Vec<HistogramDistance>,
    /// How points are spread over the rings; `None` where rings are unknown or of another scanner.
    pub rings: Option<Distance>,
    /// Every class of both.
    pub classes: Vec<ClassDistance>,
}

/// One dataset, or two and how they differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How much of a turn was looked at.
    pub view: View,
    /// What has to be known about how the figures came about.
    pub notes: Vec<String>,
    /// The dataset asked for.
    pub first: Summary,
    /// The one to compare with.
    pub second: Option<Summary>,
    /// How they differ.
    pub difference: Option<Difference>,
}

impl Comparison {
    /// Summarises, and compares where there are two.
    pub fn of(view: View, notes: Vec<String>, first: &DatasetStats, second: Option<&DatasetStats>) -> Self {
        let summary = Summary::of(first);
        let second_summary = second.map(Summary::of);
        let difference = second
            .zip(second_summary.as_ref())
            .map(|(stats, of_second)| Difference::of(&summary, of_second, stats));
        Self { view, notes, first: summary, second: second_summary, difference }
    }
}

impl Difference {
    fn of(a: &Summary, b: &Summary, b_stats: &DatasetStats) -> Self {
        let histograms = MEASURES.iter().zip(a.histograms.iter().zip(&b.histograms)).enumerate();
        let histograms = histograms.map(|(idx, (measure, (of_a, of_b)))| {
            let enough = of_a.n_points.min(of_b.n_points) >= MIN_POINTS;
            let within = || {
                halves(&b_stats.frames, |part| {
                    Some(shares(&add(part.iter().filter_map(|f| f.histograms.get(idx)))?))
                })
            };
            let distance = enough.then(|| Distance {
                total_variation: total_variation(&of_a.shares, &of_b.shares),
                wasserstein: wasserstein(&of_a.shares, &of_b.shares, of_a.axis.width),
                within_second: within(),
            });
            HistogramDistance { measure: *measure, distance }
        });
        Self {
            histograms: histograms.collect(),
            rings: ring_distance(a.rings.as_ref(), b.rings.as_ref(), b_stats),
            classes: class_distances(a, b),
        }
    }
}

/// Half the sum of the differences.
pub fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

/// The area between the two cumulated histograms: the mean way that a point has to move.
pub fn wasserstein(a: &[f64], b: &[f64], bin_width: f64) -> f64 {
    let mut behind = 0.0;
    let mut way = 0.0;
    for (a, b) in a.iter().zip(b) {
        behind += a - b;
        way += f64::abs(behind);
    }
    way * bin_width
}

/// Total variation between the halves of a dataset's frames.
fn halves(frames: &[FrameStats], of: impl Fn(&[FrameStats]) -> Option<Vec<f64>>) -> Option<f64> {
    if frames.len() < MIN_FRAMES {
        return None;
    }
    let (early, late) = frames.split_at(frames.len() / 2);
    Some(total_variation(&of(early)?, &of(late)?))
}

fn ring_distance(
    a: Option<&RingSummary>,
    b: Option<&RingSummary>,
    b_stats: &DatasetStats,
) -> Option<Distance> {
    let (a, b) = (a?, b?);
    if a.points.len() != b.points.len() {
        return None;
    }
    let normal = |rings: &RingSummary| {
        let sum: f64 = rings.points.iter().sum();
        rings.points.iter().map(|n| if sum > 0.0 { n / sum } else { 0.0 }).collect::<Vec<f64>>()
    };
    let (of_a, of_b) = (normal(a), normal(b));
    Some(Distance {
        total_variation: total_variation(&of_a, &of_b),
        wasserstein: wasserstein(&of_a, &of_b, 1.0),
        within_second: halves(&b_stats.frames, |part| Some(normal(&RingSummary::of(part)?))),
    })
}

fn class_distances(a: &Summary, b: &Summary) -> Vec<ClassDistance> {
    let names: BTreeSet<&str> =
        a.classes.iter().chain(&b.classes).map(|class| class.class_name.as_str()).collect();
    let nothing = ClassSummary::default();
    let find = |of: &Summary, name: &str| of.classes.iter().position(|c| c.class_name == name);
    let pairs = names.into_iter().map(|name| {
        let of_a = find(a, name).and_then(|idx| a.classes.get(idx)).unwrap_or(&nothing);
        let of_b = find(b, name).and_then(|idx| b.classes.get(idx)).unwrap_or(&nothing);
        class_distance(name, of_a, of_b)
    });
    pairs.collect()
}

fn class_distance(class_name: &str, a: &ClassSummary, b: &ClassSummary) -> ClassDistance {
    let band = |of: &ClassSummary, idx: usize| of.points_per_box.get(idx).copied().unwrap_or_default();
    let ratio = |a: PointsPerBox, b: PointsPerBox| {
        (a.n_boxes.min(b.n_boxes) >= MIN_BOXES && b.median > 0.0).then(|| a.median / b.median)
    };
    let enough = a.n_boxes.min(b.n_boxes) >= MIN_BOXES;
    let sigmas = |k: usize| {
        let variance = (a.size_std_m[k].powi(2) + b.size_std_m[k].powi(2)) / 2.0;
        (enough && variance > 0.0).then(|| (a.size_mean_m[k] - b.size_mean_m[k]) / variance.sqrt())
    };
    ClassDistance {
        class_name: class_name.to_owned(),
        points_ratio: (0..N_BANDS).map(|idx| ratio(band(a, idx), band(b, idx))).collect(),
        size_sigmas: [0, 1, 2].map(sigmas),
    }
}
