//! The points stage on the CPU: records to points, and every drop counted by its cause.

use super::summary::PointsSummary;
use super::sweeps::Sweep;
use super::view::{CloudView, Columns, MAX_STRIDE_BYTES, Source, array};
use crate::device::mapped::Vanished;
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
    /// Sets `n_points`, `n_points_kept`, `dropped_nan`, `dropped_near_sensor`, `dropped_out_of_range`
    /// and `dropped_over_capacity` of the report, which add up, and inserts its flags. A point is
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
        let fed = match cloud.source {
            Source::Sweeps(sweeps) => sweeps.iter().try_for_each(|sweep| {
                let mut into = SweepSieve { sweep, needs_time_lag, sieve: &mut sieve };
                feed(sweep.cloud(), needs_time_lag, &mut self.staging, &mut into)
            }),
            _ => feed(cloud, needs_time_lag, &mut self.staging, &mut sieve),
        };
        fed.map_err(|v| error(FrameErrorCode::CloudVanished, v.len_bytes, v.needed_bytes))?;
        let n_kept = sieve.n_kept;
        report.n_points = n_points;
        report.n_points_kept = n_kept as u32;
        report.dropped_nan = sieve.n_nan;
        report.dropped_out_of_range = sieve.n_out_of_range;
        report.dropped_near_sensor = sieve.n_near_sensor;
        report.dropped_over_capacity = sieve.n_over_capacity;
        if n_points == 0 {
            report.flags.insert(FrameFlags::EMPTY_CLOUD);
        } else if n_kept == 0 && report.dropped_over_capacity == 0 {
            report.flags.insert(FrameFlags::NOTHING_IN_RANGE);
        }
        if report.dropped_over_capacity > 0 {
            report.flags.insert(FrameFlags::OVER_CAPACITY);
        }
        self.n_kept = n_kept;
        self.summary = PointsSummary::of(self.points());
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

/// Where points go.
trait Sink {
    fn take(&mut self, point: Point);
}

/// Gives every point of one cloud to a sink, in order. The time lag is that of the cloud where it
/// is needed, else 0.
fn feed(
    cloud: &CloudView<'_>,
    needs_time_lag: bool,
    staging: &mut [u8],
    sink: &mut impl Sink,
) -> Result<(), Vanished> {
    match cloud.source {
        Source::Bytes { bytes, columns } => {
            convert(bytes, cloud.n_points(), columns.with_lag(needs_time_lag), sink);
        }
        Source::Mapped { file, start, stride_bytes, columns } => {
            let columns = columns.with_lag(needs_time_lag);
            let n_per_chunk = (staging.len() / stride_bytes.max(1)).max(1);
            let mut n_done = 0;
            while n_done < cloud.n_points() {
                let n = n_per_chunk.min(cloud.n_points() - n_done);
                let Some(chunk) = staging.get_mut(..n * stride_bytes) else { break };
                file.copy_to(start + n_done * stride_bytes, chunk)?;
                convert(chunk, n, columns, sink);
                n_done += n;
            }
        }
        Source::Records4(records) => {
            for &[x, y, z, intensity] in records {
                sink.take(Point { x, y, z, intensity, time_lag: 0.0 });
            }
        }
        Source::Records5(records) => {
            for &[x, y, z, intensity, lag] in records {
                let time_lag = if needs_time_lag { lag } else { 0.0 };
                sink.take(Point { x, y, z, intensity, time_lag });
            }
        }
        Source::Points(points) => {
            for point in points {
                let time_lag = if needs_time_lag { point.time_lag } else { 0.0 };
                sink.take(Point { time_lag, ..*point });
            }
        }
        // A sweep is never made of sweeps.
        Source::Sweeps(_) => {}
    }
    Ok(())
}

impl Sink for Vec<Point> {
    fn take(&mut self, point: Point) {
        self.push(point);
    }
}

/// Every point of one cloud, in order, those that are not finite included.
pub(super) fn collect(cloud: &CloudView<'_>) -> Result<Vec<Point>, FrameError> {
    let mut points = Vec::with_capacity(cloud.n_points());
    let fed = feed(cloud, true, &mut vec![0; CHUNK_BYTES], &mut points);
    let vanished = |v: Vanished| FrameError {
        stage: Stage::Points,
        code: FrameErrorCode::CloudVanished,
        got: v.len_bytes,
        limit: v.needed_bytes,
    };
    fed.map(|()| points).map_err(vanished)
}

/// Keeps good points, counts the others.
struct Sieve<'a> {
    grid: &'a Grid,
    points: &'a mut [Point],
    n_kept: usize,
    n_nan: u32,
    n_out_of_range: u32,
    n_near_sensor: u32,
    n_over_capacity: u32,
}

impl<'a> Sieve<'a> {
    fn new(grid: &'a Grid, points: &'a mut [Point]) -> Self {
        Self { grid, points, n_kept: 0, n_nan: 0, n_out_of_range: 0, n_near_sensor: 0, n_over_capacity: 0 }
    }

    /// Takes a finite point.
    #[inline(always)]
    fn take_finite(&mut self, point: Point) {
        if !self.grid.contains(point.x, point.y, point.z) {
            self.n_out_of_range += 1;
        } else if let Some(slot) = self.points.get_mut(self.n_kept) {
            *slot = point;
            self.n_kept += 1;
        } else {
            self.n_over_capacity += 1;
        }
    }
}

impl Sink for Sieve<'_> {
    #[inline(always)]
    fn take(&mut self, point: Point) {
        if point.is_finite() {
            self.take_finite(point);
        } else {
            self.n_nan += 1;
        }
    }
}

/// A sieve behind the motion of a sweep.
struct SweepSieve<'s, 'a> {
    sweep: &'s Sweep<'s>,
    needs_time_lag: bool,
    sieve: &'s mut Sieve<'a>,
}

impl Sink for SweepSieve<'_, '_> {
    #[inline(always)]
    fn take(&mut self, point: Point) {
        if !point.is_finite() {
            self.sieve.n_nan += 1;
        } else if self.sweep.is_near(&point) {
            self.sieve.n_near_sensor += 1;
        } else {
            self.sieve.take_finite(self.sweep.moved(point, self.needs_time_lag));
        }
    }
}

/// Feeds `n_points` of `bytes` to a sink; the layouts of the data sets have a loop each.
fn convert(bytes: &[u8], n_points: usize, columns: Columns, sink: &mut impl Sink) {
    let has_lag = columns.time_lag.is_some();
    match columns.packing() {
        Some((ScalarType::F32, 16)) if !has_lag => packed_f32::<16, false>(bytes, n_points, sink),
        Some((ScalarType::F32, 20)) if has_lag => packed_f32::<20, true>(bytes, n_points, sink),
        Some((ScalarType::F32, 20)) => packed_f32::<20, false>(bytes, n_points, sink),
        _ => by_columns(bytes, n_points, columns, sink),
    }
}

/// Records of `f32` that begin with `x, y, z, intensity`.
fn packed_f32<const STRIDE: usize, const HAS_LAG: bool>(bytes: &[u8], n_points: usize, sink: &mut impl Sink) {
    let (records, _) = bytes.as_chunks::<STRIDE>();
    for record in records.iter().take(n_points) {
        // The offsets are constants below STRIDE, so the compiler drops the checks.
        let value = |i: usize| array(record, i * 4).map_or(f32::NAN, f32::from_le_bytes);
        let time_lag = if HAS_LAG { value(4) } else { 0.0 };
        sink.take(Point { x: value(0), y: value(1), z: value(2), intensity: value(3), time_lag });
    }
}

/// Any columns.
fn by_columns(bytes: &[u8], n_points: usize, columns: Columns, sink: &mut impl Sink) {
    for idx in 0..n_points {
        let optional = |column: &Option<super::Column>| column.as_ref().map_or(0.0, |c| c.read(bytes, idx));
        sink.take(Point {
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
