//! Points on a card: the bytes of a cloud go up as they are, and the kernels of
//! `kernels/cu/points.cu` make points of them.

use super::chunk::{self, ChunkColumns, MIN_CHUNK_BYTES, Records, UNMOVED};
use super::summary::PointsSummary;
use super::view::{CloudView, Source};
use crate::device::cuda::{Arena, DeviceFault, Kernel, Modules, Pinned, Slot, Stream};
use crate::engine::buffers::{Buffers, n_blocks};
use crate::error::BuildError;
use pilotis_kernels::frame::{BLOCK, FrameState, from_ordered};
use pilotis_kernels::points::{Column, PointsParams, SweepPart};
use pilotis_spec::{FieldName, FrameError, FrameErrorCode, FrameFlags, FrameReport, Manifest, Stage};

/// Sweeps of a chunk; more go up in further chunks.
pub(crate) const MAX_PARTS: usize = 32;

/// Bytes that go up at once: a full frame of the widest usual records.
pub(crate) fn staging_bytes(manifest: &Manifest) -> usize {
    (manifest.points.max_points as usize * 20).max(MIN_CHUNK_BYTES)
}

/// Points of a chunk at most: those of four fields of a byte each.
pub(crate) fn max_chunk_points(manifest: &Manifest) -> u32 {
    (staging_bytes(manifest) / 4) as u32
}

/// The stage, with the memory through which clouds go up.
pub(crate) struct CudaPoints {
    params: PointsParams,
    arena: Arena,
    raw: Slot<u8>,
    device_parts: Slot<SweepPart>,
    staging: Pinned<u8>,
    parts: Pinned<SweepPart>,
    staged: Staged,
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
            parts: at.parts,
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
            ..PointsParams::default()
        };
        Ok(Self {
            params,
            arena: buffers.arena.clone(),
            raw: buffers.slots.raw,
            device_parts: buffers.slots.parts,
            staging: Pinned::zeroed(stream, staging_bytes(manifest))?,
            parts: Pinned::zeroed(stream, MAX_PARTS)?,
            staged: Staged::default(),
            count: modules.kernel("points_count")?,
            offsets: modules.kernel("points_offsets")?,
            keep: modules.kernel("points_keep")?,
        })
    }

    /// Sends a cloud up, chunk by chunk, and enqueues what makes points of it; yields its points.
    ///
    /// **Errors**: those of [`super::PointsStage::run`], and of the device. After one the frame's
    /// buffers are in no defined state. **Allocation**: none. **Synchronisation**: only where a
    /// cloud does not fit the staging memory.
    pub(crate) fn enqueue(&mut self, cloud: &CloudView<'_>, stream: &mut Stream) -> Result<u32, FrameError> {
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
        self.flush(stream).map_err(|fault| fault.at(Stage::Points))?;
        Ok(n_points)
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
                self.flush(stream).map_err(device)?;
            }
            if self.staging.as_slice().is_err() || self.parts.as_slice().is_err() {
                // A chunk is still on its way out of this memory.
                stream.synchronize().map_err(device)?;
            }
            let from = records.map_or(0, |r| self.staged.n_points * r.stride_bytes);
            let room = self.staging.as_mut_slice().map_err(device)?.get_mut(from..).unwrap_or(&mut []);
            let copied = chunk::copy(cloud, n_done, room).map_err(|v| FrameError {
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
            if let Some(slot) = self.parts.as_mut_slice().map_err(device)?.get_mut(self.staged.n_parts) {
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
        n_points == 0 || (n_parts < MAX_PARTS && records.is_some_and(fits))
    }

    /// Sends up what is staged.
    fn flush(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let Staged { n_parts, n_points, n_bytes, columns, .. } = std::mem::take(&mut self.staged);
        let Some(ChunkColumns { x, y, z, intensity, time_lag }) = columns else { return Ok(()) };
        stream.upload(&mut self.staging, 0..n_bytes, &self.arena, self.raw, 0)?;
        stream.upload(&mut self.parts, 0..n_parts, &self.arena, self.device_parts, 0)?;
        let time_lag = if self.params.needs_time_lag == 1 { time_lag } else { Column::default() };
        let params = PointsParams {
            n_parts: n_parts as u32,
            n_points: n_points as u32,
            x,
            y,
            z,
            intensity,
            time_lag,
            ..self.params
        };
        let by_point = n_blocks(n_points as u32, BLOCK);
        stream.launch(&self.count, by_point, &params)?;
        stream.launch(&self.offsets, 1, &params)?;
        stream.launch(&self.keep, by_point, &params)
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
