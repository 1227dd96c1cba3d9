//! The points stage on the CPU: records to points, and every drop counted by its cause.

use super::summary::PointsSummary;
use super::view::{CloudView, Columns, MAX_STRIDE_BYTES, Source, array};
use pilotis_spec::{
    FieldName, FrameError, FrameErrorCode, FrameFlags, FrameReport, Grid, Point, ScalarType, Stage,
};

/// Bytes of a mapped file that are copied at once: they stay in the second-level cache until
/// they are converted, and are enough for the cost of the call to vanish.
const CHUNK_BYTES: usize = 256 * 1024;
const _: () = assert!(CHUNK_BYTES >= MAX_STRIDE_BYTES, "a chunk holds at least one record");

/// Turns clouds into validated points.
pub struct PointsStage {
    points: Box<[Point]>,
    staging: Box<[u8]>,
    n_kept: usize,
    summary: PointsSummary,
}

impl PointsStage {
    /// A stage that keeps up to `max_points` points a frame.
    ///
    /// **Allocation**: everything the stage ever needs: `max_points` points and one chunk.
    pub fn build(max_points: usize) -> Self {
        Self {
            points: vec![Point::default(); max_points].into_boxed_slice(),
            staging: vec![0; CHUNK_BYTES].into_boxed_slice(),
            n_kept: 0,
            summary: PointsSummary::default(),
        }
    }

    /// The points of a cloud that are finite and in range, in input order.
    ///
    /// Sets `n_points`, `n_points_kept`, `dropped_nan`, `dropped_out_of_range` and
    /// `dropped_over_capacity` of the report, which add up, and inserts its flags. A point is
    /// counted under the first cause that applies, in that order. The time lag is read only
    /// where `needs_time_lag`, and is 0 otherwise and where the cloud has none: a single sweep.
    ///
    /// **Units and frame**: those of the cloud; values of other types are rounded to the
    /// nearest `f32`, and what is beyond `f32` counts as not finite.
    /// **At capacity**: the first `max_points` points are kept.
    /// **Errors**: [`FrameErrorCode::MissingField`] for a cloud without intensity,
    /// [`FrameErrorCode::CloudVanished`] for a mapped file that was cut, and
    /// [`FrameErrorCode::TruncatedCloud`] for more points than a report can count. The report
    /// is then as it was, and the stage holds no points.
    /// **Allocation**: none.
    /// **Determinism**: the same bytes give the same points, to the bit.
    pub fn run(
        &mut self,
        cloud: &CloudView<'_>,
        grid: &Grid,
        needs_time_lag: bool,
        report: &mut FrameReport,
    ) -> Result<&[Point], FrameError> {
        self.n_kept = 0;
        self.summary = PointsSummary::default();
        let error = |code, got, limit| FrameError { stage: Stage::Points, code, got, limit };
        if !cloud.has(FieldName::Intensity) {
            return Err(error(FrameErrorCode::MissingField, 3, 4));
        }
        let n_points = u32::try_from(cloud.n_points()).map_err(|_| {
            error(FrameErrorCode::TruncatedCloud, cloud.n_points() as u64, u64::from(u32::MAX))
        })?;
        let mut sieve = Sieve::new(grid, &mut self.points);
        match cloud.source {
            Source::Bytes { bytes, columns } => {
                convert(bytes, cloud.n_points(), columns.with_lag(needs_time_lag), &mut sieve);
            }
            Source::Mapped { file, start, stride_bytes, columns } => {
                let columns = columns.with_lag(needs_time_lag);
                let n_per_chunk = (self.staging.len() / stride_bytes.max(1)).max(1);
                let mut n_done = 0;
                while n_done < cloud.n_points() {
                    let n = n_per_chunk.min(cloud.n_points() - n_done);
                    let Some(chunk) = self.staging.get_mut(..n * stride_bytes) else { break };
                    file.copy_to(start + n_done * stride_bytes, chunk)
                        .map_err(|v| error(FrameErrorCode::CloudVanished, v.len_bytes, v.needed_bytes))?;
                    convert(chunk, n, columns, &mut sieve);
                    n_done += n;
                }
            }
            Source::Records4(records) => {
                for &[x, y, z, intensity] in records {
                    sieve.take(Point { x, y, z, intensity, time_lag: 0.0 });
                }
            }
            Source::Records5(records) => {
                for &[x, y, z, intensity, lag] in records {
                    let time_lag = if needs_time_lag { lag } else { 0.0 };
                    sieve.take(Point { x, y, z, intensity, time_lag });
                }
            }
            Source::Points(points) => {
                for point in points {
                    let time_lag = if needs_time_lag { point.time_lag } else { 0.0 };
                    sieve.take(Point { time_lag, ..*point });
                }
            }
        }
        let n_kept = sieve.n_kept;
        report.n_points = n_points;
        report.n_points_kept = n_kept as u32;
        report.dropped_nan = sieve.n_nan;
        report.dropped_out_of_range = sieve.n_out_of_range;
        report.dropped_over_capacity = sieve.n_over_capacity;
        self.summary = sieve.summary();
        if n_points == 0 {
            report.flags.insert(FrameFlags::EMPTY_CLOUD);
        } else if n_kept == 0 && report.dropped_over_capacity == 0 {
            report.flags.insert(FrameFlags::NOTHING_IN_RANGE);
        }
        if report.dropped_over_capacity > 0 {
            report.flags.insert(FrameFlags::OVER_CAPACITY);
        }
        self.n_kept = n_kept;
        Ok(self.points())
    }

    /// The points that the last run kept.
    pub fn points(&self) -> &[Point] {
        self.points.get(..self.n_kept).unwrap_or_default()
    }

    /// Statistics of the points that the last run kept.
    pub fn summary(&self) -> &PointsSummary {
        &self.summary
    }

    /// The most points that a run keeps.
    pub fn max_points(&self) -> usize {
        self.points.len()
    }
}

impl Columns {
    fn with_lag(mut self, needs_time_lag: bool) -> Self {
        self.time_lag = self.time_lag.filter(|_| needs_time_lag);
        self
    }
}

/// Keeps good points, counts the others.
struct Sieve<'a> {
    grid: &'a Grid,
    points: &'a mut [Point],
    n_kept: usize,
    n_nan: u32,
    n_out_of_range: u32,
    n_over_capacity: u32,
    intensity_sum: f64,
    intensity_max: f32,
    z_sum: f64,
}

impl<'a> Sieve<'a> {
    fn new(grid: &'a Grid, points: &'a mut [Point]) -> Self {
        Self {
            grid,
            points,
            n_kept: 0,
            n_nan: 0,
            n_out_of_range: 0,
            n_over_capacity: 0,
            intensity_sum: 0.0,
            intensity_max: f32::NEG_INFINITY,
            z_sum: 0.0,
        }
    }

    #[inline(always)]
    fn take(&mut self, point: Point) {
        if !point.is_finite() {
            self.n_nan += 1;
        } else if !self.grid.contains(point.x, point.y, point.z) {
            self.n_out_of_range += 1;
        } else if let Some(slot) = self.points.get_mut(self.n_kept) {
            *slot = point;
            self.n_kept += 1;
            self.intensity_sum += f64::from(point.intensity);
            self.intensity_max = self.intensity_max.max(point.intensity);
            self.z_sum += f64::from(point.z);
        } else {
            self.n_over_capacity += 1;
        }
    }

    fn summary(&self) -> PointsSummary {
        if self.n_kept == 0 {
            return PointsSummary::default();
        }
        let n = self.n_kept as f64;
        PointsSummary {
            n_points: self.n_kept as u32,
            intensity_mean: self.intensity_sum / n,
            intensity_max: self.intensity_max,
            z_mean_m: self.z_sum / n,
        }
    }
}

/// Feeds `n_points` of `bytes` to the sieve; the layouts of the data sets have a loop each.
fn convert(bytes: &[u8], n_points: usize, columns: Columns, sieve: &mut Sieve<'_>) {
    let has_lag = columns.time_lag.is_some();
    match columns.packing() {
        Some((ScalarType::F32, 16)) if !has_lag => packed_f32::<16, false>(bytes, n_points, sieve),
        Some((ScalarType::F32, 20)) if has_lag => packed_f32::<20, true>(bytes, n_points, sieve),
        Some((ScalarType::F32, 20)) => packed_f32::<20, false>(bytes, n_points, sieve),
        _ => by_columns(bytes, n_points, columns, sieve),
    }
}

/// Records of `f32` that begin with `x, y, z, intensity`.
fn packed_f32<const STRIDE: usize, const HAS_LAG: bool>(
    bytes: &[u8],
    n_points: usize,
    sieve: &mut Sieve<'_>,
) {
    let (records, _) = bytes.as_chunks::<STRIDE>();
    for record in records.iter().take(n_points) {
        // The offsets are constants below STRIDE, so the compiler drops the checks.
        let value = |i: usize| array(record, i * 4).map_or(f32::NAN, f32::from_le_bytes);
        let time_lag = if HAS_LAG { value(4) } else { 0.0 };
        sieve.take(Point { x: value(0), y: value(1), z: value(2), intensity: value(3), time_lag });
    }
}

/// Any columns.
fn by_columns(bytes: &[u8], n_points: usize, columns: Columns, sieve: &mut Sieve<'_>) {
    for idx in 0..n_points {
        let optional = |column: &Option<super::Column>| column.as_ref().map_or(0.0, |c| c.read(bytes, idx));
        sieve.take(Point {
            x: columns.x.read(bytes, idx),
            y: columns.y.read(bytes, idx),
            z: columns.z.read(bytes, idx),
            intensity: optional(&columns.intensity),
            time_lag: optional(&columns.time_lag),
        });
    }
}

#[cfg(test)]
#[path = "cpu_tests.rs"]
mod tests;
