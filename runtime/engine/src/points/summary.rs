//! Summary: whether the points of a frame look like those that the model was trained on.

use pilotis_kernels::frame::{SUM_LIMIT, SUM_SCALE};
use pilotis_spec::{FrameError, FrameErrorCode, FrameFlags, FrameReport, InputStatistics, Point, Stage};

/// Fewer points than this say nothing about a sensor.
const MIN_POINTS: u32 = 256;
/// Full scales of 1 and 255 lie a factor of 255 apart, scenes of one sensor less than 4: 16 is
/// between them on either side.
const INTENSITY_FACTOR: f64 = 16.0;
/// A sensor that sits a metre higher or lower sees other heights than the anchors'.
const HEIGHT_M: f64 = 1.0;

/// Statistics of the kept points of a frame. They are summed as integers, so that their order does
/// not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PointsSummary {
    /// Points kept.
    pub n_points: u32,
    /// Mean intensity; 0 without points.
    pub intensity_mean: f64,
    /// Largest intensity; 0 without points.
    pub intensity_max: f32,
    /// Mean height in metres; 0 without points.
    pub z_mean_m: f64,
}

/// Points that are summed as `f64`, in which multiples of a unit add up exactly below 2^33, before
/// they go into the integers of the frame.
const BLOCK_POINTS: usize = 1024;
const _: () = assert!(SUM_LIMIT as u64 * BLOCK_POINTS as u64 <= 1 << 32);

impl PointsSummary {
    /// The statistics of finite points: every value is cut to +-[`SUM_LIMIT`] and summed in units of
    /// 1 / [`SUM_SCALE`], towards zero.
    ///
    /// **Determinism**: no order of the points changes a bit.
    pub fn of(points: &[Point]) -> Self {
        let (mut intensity, mut z, mut max) = (0, 0, f32::NEG_INFINITY);
        for block in points.chunks(BLOCK_POINTS) {
            let mut sums = [0.0; 2];
            for point in block {
                sums[0] += whole_units(point.intensity);
                sums[1] += whole_units(point.z);
                if point.intensity > max {
                    max = point.intensity;
                }
            }
            let [block_intensity, block_z] = sums.map(|sum: f64| (sum * f64::from(SUM_SCALE)) as i64);
            intensity += block_intensity;
            z += block_z;
        }
        // Zeros compare as equal; the largest has its sign bit clear, whichever came first.
        let is_positive = || points.iter().any(|p| p.intensity.to_bits() == 0);
        let max = match max {
            0.0 if is_positive() => 0.0,
            0.0 => -0.0,
            _ => max,
        };
        Self::from_sums(points.len() as u32, intensity, max, z)
    }

    /// The statistics of sums in units of 1 / [`SUM_SCALE`].
    pub fn from_sums(n_points: u32, intensity_sum: i64, intensity_max: f32, z_sum: i64) -> Self {
        if n_points == 0 {
            return Self::default();
        }
        let mean = |sum: i64| sum as f64 / f64::from(SUM_SCALE) / f64::from(n_points);
        Self { n_points, intensity_mean: mean(intensity_sum), intensity_max, z_mean_m: mean(z_sum) }
    }
}

/// A value cut to +-[`SUM_LIMIT`], as the multiple of 1 / [`SUM_SCALE`] next to it towards zero.
///
/// A conversion to `i64` says the same and takes longer: it saturates, one value after the other.
#[inline(always)]
fn whole_units(value: f32) -> f64 {
    const UNIT: f64 = 1.0 / SUM_SCALE as f64;
    // From here to its double, neighbours in f64 are a unit apart.
    const ROUNDER: f64 = UNIT * (1_u64 << 52) as f64;
    let value = f64::from(value);
    let limit = f64::from(SUM_LIMIT);
    // One instruction, unlike a clamp.
    let size = if value.abs() < limit { value.abs() } else { limit };
    let nearest = (size + ROUNDER) - ROUNDER;
    let below = nearest - if nearest > size { UNIT } else { 0.0 };
    below.copysign(value)
}

/// What to do with a frame whose intensity is of another scale than the training data's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnMismatch {
    /// Fail the frame: its boxes would mean nothing.
    #[default]
    Refuse,
    /// Go on, and set [`FrameFlags::INTENSITY_UNLIKE_TRAINING`].
    Flag,
}

/// How a frame compares with the training data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Whether the mean intensity is beyond 16 times the trained one, or below a sixteenth.
    pub is_intensity_unlike: bool,
    /// Whether the mean height differs by more than a metre.
    pub is_height_unlike: bool,
    intensity_mean: f64,
    trained_intensity_mean: f64,
}

impl Comparison {
    /// The comparison of a frame with what a model was trained on. Fewer than 256 points, or
    /// statistics of no frames, compare as alike.
    pub fn of(trained: &InputStatistics, summary: &PointsSummary) -> Self {
        let is_comparable = trained.n_frames > 0 && summary.n_points >= MIN_POINTS;
        let trained_mean = f64::from(trained.intensity_mean);
        let mean = summary.intensity_mean;
        let is_within = mean <= trained_mean * INTENSITY_FACTOR && mean * INTENSITY_FACTOR >= trained_mean;
        let is_near = (summary.z_mean_m - f64::from(trained.z_mean_m)).abs() <= HEIGHT_M;
        Self {
            is_intensity_unlike: is_comparable && trained_mean > 0.0 && !is_within,
            is_height_unlike: is_comparable && !is_near,
            intensity_mean: mean,
            trained_intensity_mean: trained_mean,
        }
    }

    /// Sets the flags of the report, or refuses the frame.
    ///
    /// **Errors**: [`FrameErrorCode::IntensityMismatch`] under [`OnMismatch::Refuse`], with the
    /// frame's and the trained mean intensity in thousandths.
    pub fn apply(&self, policy: OnMismatch, report: &mut FrameReport) -> Result<(), FrameError> {
        if self.is_height_unlike {
            report.flags.insert(FrameFlags::HEIGHT_UNLIKE_TRAINING);
        }
        if !self.is_intensity_unlike {
            return Ok(());
        }
        match policy {
            OnMismatch::Flag => {
                report.flags.insert(FrameFlags::INTENSITY_UNLIKE_TRAINING);
                Ok(())
            }
            OnMismatch::Refuse => Err(FrameError {
                stage: Stage::Points,
                code: FrameErrorCode::IntensityMismatch,
                // Casts of f64 saturate, so no mean can overflow them.
                got: (self.intensity_mean * 1e3).round() as u64,
                limit: (self.trained_intensity_mean * 1e3).round() as u64,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAINED: InputStatistics = InputStatistics {
        n_frames: 10,
        points_per_frame: 20_000.0,
        intensity_mean: 0.25,
        intensity_max: 1.0,
        z_mean_m: -1.0,
        time_lag_max_s: 0.0,
    };

    fn frame(intensity_mean: f64, z_mean_m: f64) -> PointsSummary {
        PointsSummary { n_points: MIN_POINTS, intensity_mean, intensity_max: 1.0, z_mean_m }
    }

    #[test]
    fn intensity_is_unlike_beyond_sixteen_times_either_way() {
        for (mean, expected) in [
            (0.25, false),
            (4.0, false),
            (4.001, true),
            (0.015_625, false),
            (0.0156, true),
            (0.0, true),
            (-1.0, true),
        ] {
            assert_eq!(Comparison::of(&TRAINED, &frame(mean, -1.0)).is_intensity_unlike, expected, "{mean}");
        }
    }

    #[test]
    fn a_mismatch_is_refused_or_flagged_as_the_policy_says() {
        let comparison = Comparison::of(&TRAINED, &frame(64.0, -1.0));
        let mut report = FrameReport::default();
        let error = comparison.apply(OnMismatch::Refuse, &mut report).unwrap_err();
        assert_eq!(error.code, FrameErrorCode::IntensityMismatch);
        assert_eq!((error.got, error.limit), (64_000, 250));
        assert_eq!(report.flags, FrameFlags::default());
        comparison.apply(OnMismatch::Flag, &mut report).unwrap();
        assert_eq!(report.flags, FrameFlags::INTENSITY_UNLIKE_TRAINING);
    }

    #[test]
    fn height_is_flagged_beyond_a_metre() {
        for (z, expected) in [(-1.0, false), (0.0, false), (-2.0, false), (0.01, true), (-2.01, true)] {
            let mut report = FrameReport::default();
            Comparison::of(&TRAINED, &frame(0.25, z)).apply(OnMismatch::Refuse, &mut report).unwrap();
            assert_eq!(report.flags.contains(FrameFlags::HEIGHT_UNLIKE_TRAINING), expected, "{z}");
        }
    }

    #[test]
    fn few_points_and_unknown_statistics_compare_as_alike() {
        let few = PointsSummary { n_points: MIN_POINTS - 1, ..frame(100.0, 50.0) };
        let unknown = InputStatistics { n_frames: 0, ..TRAINED };
        let no_intensity = InputStatistics { intensity_mean: 0.0, ..TRAINED };
        for (trained, summary) in
            [(TRAINED, few), (unknown, frame(100.0, 50.0)), (no_intensity, frame(100.0, -1.0))]
        {
            let comparison = Comparison::of(&trained, &summary);
            assert!(!comparison.is_intensity_unlike && !comparison.is_height_unlike);
        }
    }
}
