//! Summaries: a dataset's counts as the figures that a report states.

use super::collect::{Axis, BoxStats, DatasetStats, FrameStats, MEASURES, Measure};
use serde::Serialize;

/// Least, middle and most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Extent {
    /// Least.
    pub min: u64,
    /// Middle; of an even number the mean of two.
    pub median: f64,
    /// Most.
    pub max: u64,
}

/// A histogram of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistogramSummary {
    /// What it counts.
    pub measure: Measure,
    /// Its bins.
    pub axis: Axis,
    /// Points counted.
    pub n_points: u64,
    /// Share of them in each bin.
    pub shares: Vec<f64>,
    /// Mean of the values; 0 of none.
    pub mean: f64,
}

/// The rings of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RingSummary {
    /// Frames whose rings are known.
    pub n_frames: usize,
    /// Mean number of points of each ring and frame, the highest ring first.
    pub points: Vec<f64>,
    /// Share of the firings of each ring that had no answer, over the frames where firings are known.
    pub dropped: Option<Vec<f64>>,
}

/// How many points the boxes of a band of distance hold. Boxes without a point are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PointsPerBox {
    /// Boxes with at least one point.
    pub n_boxes: usize,
    /// Mean of their points.
    pub mean: f64,
    /// A quarter has fewer.
    pub q25: f64,
    /// The middle.
    pub median: f64,
    /// A quarter has more.
    pub q75: f64,
}

/// Objects of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassSummary {
    /// Lower case.
    pub class_name: String,
    /// Objects.
    pub n_boxes: usize,
    /// Objects a frame.
    pub per_frame: f64,
    /// Mean length, width, height in metres.
    pub size_mean_m: [f64; 3],
    /// Their standard deviations; 0 of a single object.
    pub size_std_m: [f64; 3],
    /// By distance, [`BAND_M`] a band.
    pub points_per_box: Vec<PointsPerBox>,
}

/// Width of a band of distance.
pub const BAND_M: f64 = 10.0;
/// Bands of distance; the last holds what is beyond as well.
pub const N_BANDS: usize = 10;

/// A dataset in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Name for tables and legends.
    pub name: String,
    /// Frames that were read.
    pub n_frames: usize,
    /// Points a frame.
    pub points: Extent,
    /// Records that are not finite, of all frames.
    pub n_not_finite: u64,
    /// Records of the own car, or of firings without an answer, a frame.
    pub own_car_per_frame: f64,
    /// Share of the points whose intensity is 0.
    pub dark_share: f64,
    /// Share of the points that are in a box.
    pub in_box_share: f64,
    /// Objects of all frames.
    pub n_boxes: usize,
    /// Of them without a point.
    pub n_boxes_without_points: usize,
    /// Frames without an object.
    pub n_frames_without_boxes: usize,
    /// Share of all firings that had no answer, where firings are known.
    pub dropped_share: Option<f64>,
    /// Rings, where they are known.
    pub rings: Option<RingSummary>,
    /// Every histogram.
    pub histograms: Vec<HistogramSummary>,
    /// Every class that occurs, by name.
    pub classes: Vec<ClassSummary>,
}

impl Summary {
    /// The figures of these counts.
    pub fn of(stats: &DatasetStats) -> Self {
        let frames = &stats.frames;
        let sum = |of: fn(&FrameStats) -> u64| frames.iter().map(of).sum::<u64>();
        let n_points = sum(|f| f.n_points);
        let boxes = || frames.iter().flat_map(|f| &f.boxes);
        let rings = RingSummary::of(frames);
        Self {
            name: stats.name.clone(),
            n_frames: frames.len(),
            points: extent(frames.iter().map(|f| f.n_points).collect()),
            n_not_finite: sum(|f| f.n_not_finite),
            own_car_per_frame: share(sum(|f| f.n_own_car), frames.len() as u64),
            dark_share: share(sum(|f| f.n_dark), n_points),
            in_box_share: share(sum(|f| f.n_in_boxes), n_points),
            n_boxes: boxes().count(),
            n_boxes_without_points: boxes().filter(|b| b.n_points == 0).count(),
            n_frames_without_boxes: frames.iter().filter(|f| f.boxes.is_empty()).count(),
            dropped_share: dropped(frames)
                .map(|(got, fired)| 1.0 - share(got.iter().sum(), fired.iter().sum())),
            rings,
            histograms: MEASURES.iter().enumerate().map(|(idx, m)| histogram(frames, idx, *m)).collect(),
            classes: classes(frames),
        }
    }
}

impl RingSummary {
    /// `None` where no frame's rings are known.
    pub fn of(frames: &[FrameStats]) -> Option<Self> {
        let counts: Vec<&Vec<u64>> = frames.iter().filter_map(|f| f.rings.as_ref()).collect();
        let totals = add(counts.iter().copied())?;
        let per_ring = |(got, fired): (&u64, &u64)| 1.0 - share(*got.min(fired), *fired);
        Some(Self {
            n_frames: counts.len(),
            points: totals.iter().map(|n| share(*n, counts.len() as u64)).collect(),
            dropped: dropped(frames).map(|(got, fired)| got.iter().zip(&fired).map(per_ring).collect()),
        })
    }
}

/// Points and firings of each ring, over the frames where both are known.
fn dropped(frames: &[FrameStats]) -> Option<(Vec<u64>, Vec<u64>)> {
    let known = || frames.iter().filter(|f| f.rings.is_some() && f.fired.is_some());
    Some((add(known().filter_map(|f| f.rings.as_ref()))?, add(known().filter_map(|f| f.fired.as_ref()))?))
}

/// Counts added bin by bin; `None` of nothing.
pub(super) fn add<'a>(counts: impl Iterator<Item = &'a Vec<u64>>) -> Option<Vec<u64>> {
    counts.fold(None, |sum: Option<Vec<u64>>, counts| match sum {
        None => Some(counts.clone()),
        Some(sum) => Some(sum.iter().zip(counts).map(|(a, b)| a + b).collect()),
    })
}

/// A part of a whole; 0 of nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Counts of a histogram as shares of their sum.
pub(super) fn shares(counts: &[u64]) -> Vec<f64> {
    let sum = counts.iter().sum();
    counts.iter().map(|n| share(*n, sum)).collect()
}

fn histogram(frames: &[FrameStats], idx: usize, measure: Measure) -> HistogramSummary {
    let axis = measure.axis();
    let counts =
        add(frames.iter().filter_map(|f| f.histograms.get(idx))).unwrap_or_else(|| vec![0; axis.n_bins]);
    let n_points = counts.iter().sum::<u64>();
    let sum: f64 = frames.iter().filter_map(|f| f.sums.get(idx)).sum();
    let mean = if n_points == 0 { 0.0 } else { sum / n_points as f64 };
    HistogramSummary { measure, axis, n_points, shares: shares(&counts), mean }
}

fn extent(mut counts: Vec<u64>) -> Extent {
    counts.sort_unstable();
    let values: Vec<f64> = counts.iter().map(|n| *n as f64).collect();
    Extent {
        min: counts.first().copied().unwrap_or(0),
        median: quantile(&values, 0.5),
        max: counts.last().copied().unwrap_or(0),
    }
}

/// The value below which a share of sorted values lies, linear between neighbours; 0 of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let below = place.floor() as usize;
    let at = |idx: usize| sorted.get(idx).or(sorted.last()).copied().unwrap_or(0.0);
    at(below) + (at(below + 1) - at(below)) * (place - place.floor())
}

fn classes(frames: &[FrameStats]) -> Vec<ClassSummary> {
    let mut boxes: Vec<&BoxStats> = frames.iter().flat_map(|f| &f.boxes).collect();
    // Stable: within a class the order of frames stays.
    boxes.sort_by(|a, b| a.class_name.cmp(&b.class_name));
    boxes.chunk_by(|a, b| a.class_name == b.class_name).map(|boxes| class(boxes, frames.len())).collect()
}

fn class(boxes: &[&BoxStats], n_frames: usize) -> ClassSummary {
    let n = boxes.len() as f64;
    let mean = [0, 1, 2].map(|k| boxes.iter().map(|b| b.size_m[k]).sum::<f64>() / n);
    let std = [0, 1, 2].map(|k| {
        let squares: f64 = boxes.iter().map(|b| (b.size_m[k] - mean[k]) * (b.size_m[k] - mean[k])).sum();
        if boxes.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 }
    });
    let band = |idx: usize| {
        let in_band = |b: &&&BoxStats| (b.distance_m / BAND_M) as usize == idx;
        let beyond = |b: &&&BoxStats| idx + 1 == N_BANDS && b.distance_m >= BAND_M * N_BANDS as f64;
        let hit = boxes.iter().filter(|b| b.n_points > 0 && (in_band(b) || beyond(b)));
        points_per_box(hit.map(|b| f64::from(b.n_points)).collect())
    };
    ClassSummary {
        class_name: boxes.first().map(|b| b.class_name.clone()).unwrap_or_default(),
        n_boxes: boxes.len(),
        per_frame: n / n_frames.max(1) as f64,
        size_mean_m: mean,
        size_std_m: std,
        points_per_box: (0..N_BANDS).map(band).collect(),
    }
}

fn points_per_box(mut points: Vec<f64>) -> PointsPerBox {
    points.sort_unstable_by(f64::total_cmp);
    let n_boxes = points.len();
    PointsPerBox {
        n_boxes,
        mean: if n_boxes == 0 { 0.0 } else { points.iter().sum::<f64>() / n_boxes as f64 },
        q25: quantile(&points, 0.25),
        median: quantile(&points, 0.5),
        q75: quantile(&points, 0.75),
    }
}
