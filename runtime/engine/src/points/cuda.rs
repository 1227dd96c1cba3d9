//! Points on a card: the bytes of a cloud go up as they are, and the kernels of
//! `kernels/cu/points.cu` make points of them.

use super::chunk::{self, ChunkColumns, MIN_CHUNK_BYTES, NO_COLUMNS, Records, UNMOVED};
use super::summary::PointsSummary;
use super::view::{CloudView, Source};
use crate::device::cuda::{Arena, DeviceFault, Kernel, Lent, Modules, Pinned, Slot, Stream};
use crate::engine::buffers::{Buffers, n_blocks};
use crate::error::BuildError;
use pilotis_kernels::frame::{BLOCK, FrameState, from_ordered};
use pilotis_kernels::points::{MAX_PARTS, PointsChunk, PointsParams, SweepPart};
use pilotis_spec::{FieldName, FrameError, FrameErrorCode, FrameFlags, FrameReport, Manifest, Stage};

/// Bytes that go up at once: a full frame of the widest usual records.
pub(crate) fn staging_bytes(manifest: &Manifest) -> usize {
    (manifest.points.max_points as usize * 20).max(MIN_CHUNK_BYTES)
}

/// Points of a chunk at most: twice what a frame keeps, since many lie out of range. Every launch has
/// blocks for as many.
pub(crate) fn max_chunk_points(manifest: &Manifest) -> u32 {
    manifest.points.max_points.saturating_mul(2).max(BLOCK)
}

/// The stage, with the memory through which clouds go up.
pub(crate) struct CudaPoints {
    params: PointsParams,
    arena: Arena,
    raw: Slot<u8>,
    device_chunk: Slot<PointsChunk>,
    staging: Pinned<u8>,
    /// What stands in the chunk that goes up next.
    chunk: Pinned<PointsChunk>,
    staged: Staged,
    max_chunk_points: u32,
    count: Kernel<PointsParams>,
    offsets: Kernel<PointsParams>,
    keep: Kernel<PointsParams>,
}

/// What stands in the staging memory.
#[derive(Clone, Copy, Debug, Default)]
struct Staged {
    n_parts: usize,
    n_points: usize,
    n_bytes: usize,
    columns: Option<ChunkColumns>,
    /// Where further records of the same kind may follow.
    records: Option<Records>,
}

impl CudaPoints {
    /// The stage over the buffers of a frame.
    ///
    /// **Errors**: no page-locked memory.
    pub(crate) fn build(
        manifest: &Manifest,
        buffers: &Buffers,
        modules: &Modules,
        stream: &Stream,
    ) -> Result<Self, BuildError> {
        let (grid, at) = (&manifest.grid, &buffers.at);
        let params = PointsParams {
            state: at.state,
            raw: at.raw,
            chunk: at.chunk,
            block_kept: at.block_kept,
            points: at.points,
            time_lags: at.time_lags,
            cell_of: at.cell_of,
            first: at.first,
            count: at.count,
            max_points: manifest.points.max_points,
            needs_time_lag: u32::from(manifest.bev.recipe.needs_time_lag()),
            min: grid.min(),
            max: grid.max(),
            cell: grid.cell(),
            nx: grid.nx() as u32,
            ny: grid.ny() as u32,
        };
        Ok(Self {
            params,
            arena: buffers.arena.clone(),
            raw: buffers.slots.raw,
            device_chunk: buffers.slots.chunk,
            staging: Pinned::zeroed(stream, staging_bytes(manifest))?,
            chunk: Pinned::zeroed(stream, 1)?,
            staged: Staged::default(),
            max_chunk_points: max_chunk_points(manifest),
            count: modules.kernel("points_count")?,
            offsets: modules.kernel("points_offsets")?,
            keep: modules.kernel("points_keep")?,
        })
    }

    /// Sends a cloud up and yields its points. The last chunk is left to [`CudaPoints::enqueue`]; the
    /// chunks before it, where one does not hold the cloud, have become points.
    ///
    /// **Errors**: those of [`super::PointsStage::run`], and of the device. After one the frame's
    /// buffers are in no defined state. **Allocation**: none. **Synchronisation**: only where a
    /// cloud does not fit the staging memory.
    pub(crate) fn send(&mut self, cloud: &CloudView<'_>, stream: &mut Stream) -> Result<u32, FrameError> {
        let error = |code, got, limit| FrameError { stage: Stage::Points, code, got, limit };
        if !cloud.has(FieldName::Intensity) {
            return Err(error(FrameErrorCode::MissingField, 3, 4));
        }
        let n_points = u32::try_from(cloud.n_points()).map_err(|_| {
            error(FrameErrorCode::TruncatedCloud, cloud.n_points() as u64, u64::from(u32::MAX))
        })?;
        self.staged = Staged::default();
        match cloud.source {
            Source::Sweeps(sweeps) => {
                for sweep in sweeps {
                    self.stage(sweep.cloud(), sweep.part(), stream)?;
                }
            }
            _ => self.stage(cloud, UNMOVED, stream)?,
        }
        self.send_staged(stream).map_err(|fault| fault.at(Stage::Points))?;
        Ok(n_points)
    }

    /// Enqueues what makes points of the chunk that was sent: the same launches whatever it holds.
    ///
    /// **Allocation and synchronisation**: none.
    pub(crate) fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        stream.upload(&mut self.chunk, 0..1, &self.arena, self.device_chunk, 0)?;
        let by_point = n_blocks(self.max_chunk_points, BLOCK);
        stream.launch(&self.count, by_point, &self.params)?;
        stream.launch(&self.offsets, 1, &self.params)?;
        stream.launch(&self.keep, by_point, &self.params)
    }

    /// The host memory that [`CudaPoints::enqueue`] copies from.
    pub(crate) fn lend(&mut self) -> Lent<'_> {
        self.chunk.lend()
    }

    /// Copies the points of one sweep into the staging memory, sending up what no longer fits.
    fn stage(
        &mut self,
        cloud: &CloudView<'_>,
        part: SweepPart,
        stream: &mut Stream,
    ) -> Result<(), FrameError> {
        let device = |fault: DeviceFault| fault.at(Stage::Points);
        let records = chunk::records_of(cloud);
        let mut n_done = 0;
        while n_done < cloud.n_points() {
            if !self.takes(records) {
                self.send_staged(stream).map_err(device)?;
                self.enqueue(stream).map_err(device)?;
            }
            self.wait_for_memory(stream).map_err(device)?;
            let from = records.map_or(0, |r| self.staged.n_points * r.stride_bytes);
            let room = self.staging.as_mut_slice().map_err(device)?.get_mut(from..).unwrap_or(&mut []);
            let n_most = self.max_chunk_points as usize - self.staged.n_points;
            let copied = chunk::copy(cloud, n_done, n_most, room).map_err(|v| FrameError {
                stage: Stage::Points,
                code: FrameErrorCode::CloudVanished,
                got: v.len_bytes,
                limit: v.needed_bytes,
            })?;
            if copied.n_points == 0 {
                // No chunk holds one point: fields further apart than any reader of ours makes them.
                let (got, limit) = (cloud.n_points() as u64, self.staging.len() as u64);
                return Err(FrameError {
                    stage: Stage::Points,
                    code: FrameErrorCode::TruncatedCloud,
                    got,
                    limit,
                });
            }
            let chunk = self.chunk.as_mut_slice().map_err(device)?.first_mut();
            if let Some(slot) = chunk.and_then(|c| c.parts.get_mut(self.staged.n_parts)) {
                *slot = SweepPart { first_point: self.staged.n_points as u32, ..part };
            }
            self.staged = Staged {
                n_parts: self.staged.n_parts + 1,
                n_points: self.staged.n_points + copied.n_points,
                n_bytes: from + copied.n_bytes,
                columns: Some(copied.columns),
                records,
            };
            n_done += copied.n_points;
        }
        Ok(())
    }

    /// Whether at least one more point of such records fits behind what is staged.
    fn takes(&self, records: Option<Records>) -> bool {
        let Staged { n_parts, n_points, records: staged, .. } = self.staged;
        let fits = |r: Records| staged == records && (n_points + 1) * r.stride_bytes <= self.staging.len();
        let has_room = n_parts < MAX_PARTS && n_points < self.max_chunk_points as usize;
        n_points == 0 || (has_room && records.is_some_and(fits))
    }

    /// Sends up the bytes that are staged, and says in the chunk what they are.
    fn send_staged(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let Staged { n_parts, n_points, n_bytes, columns, .. } = std::mem::take(&mut self.staged);
        self.wait_for_memory(stream)?;
        let columns = columns.unwrap_or(NO_COLUMNS);
        let ChunkColumns { x, y, z, intensity, time_lag } = columns;
        if let Some(chunk) = self.chunk.as_mut_slice()?.first_mut() {
            let (n_points, n_parts) = (n_points as u32, n_parts as u32);
            *chunk = PointsChunk { n_points, n_parts, x, y, z, intensity, time_lag, parts: chunk.parts };
        }
        stream.upload(&mut self.staging, 0..n_bytes, &self.arena, self.raw, 0)
    }

    /// Waits where a chunk is still on its way out of the memory.
    fn wait_for_memory(&self, stream: &mut Stream) -> Result<(), DeviceFault> {
        if self.staging.as_slice().is_err() || self.chunk.as_slice().is_err() {
            stream.synchronize()?;
        }
        Ok(())
    }
}

/// Writes what the stage counted into a report, and yields the statistics of the kept points.
pub(crate) fn report_points(n_points: u32, state: &FrameState, report: &mut FrameReport) -> PointsSummary {
    report.n_points = n_points;
    report.n_points_kept = state.n_points;
    report.dropped_nan = state.dropped_nan;
    report.dropped_out_of_range = state.dropped_out_of_range;
    report.dropped_near_sensor = state.dropped_near_sensor;
    report.dropped_over_capacity = state.n_in_range - state.n_points;
    if n_points == 0 {
        report.flags.insert(FrameFlags::EMPTY_CLOUD);
    } else if state.n_in_range == 0 {
        report.flags.insert(FrameFlags::NOTHING_IN_RANGE);
    }
    if report.dropped_over_capacity > 0 {
        report.flags.insert(FrameFlags::OVER_CAPACITY);
    }
    let intensity_max = from_ordered(state.intensity_max_ordered);
    PointsSummary::from_sums(state.n_points, state.intensity_sum, intensity_max, state.z_sum)
}
