//! Pillars on a card: the kernels of `kernels/cu/pillars.cu` in their order.

use crate::device::cuda::{DeviceFault, Kernel, Modules, Stream};
use crate::engine::buffers::{Buffers, n_blocks};
use crate::error::BuildError;
use pilotis_kernels::frame::{BLOCK, FrameState};
use pilotis_kernels::pillars::{PILLARS_PER_BLOCK, PillarsParams};
use pilotis_spec::{FrameFlags, FrameReport, Manifest};

/// The stage, ready to be enqueued.
#[derive(Debug)]
pub(crate) struct CudaPillars {
    params: PillarsParams,
    max_points: u32,
    max_claimed: u32,
    count: Kernel<PillarsParams>,
    offsets: Kernel<PillarsParams>,
    number: Kernel<PillarsParams>,
    fill: Kernel<PillarsParams>,
    sort: Kernel<PillarsParams>,
    forget: Kernel<PillarsParams>,
}

impl CudaPillars {
    /// The stage over the buffers of a frame.
    ///
    /// **Errors**: kernels that are not those of this build.
    pub(crate) fn build(
        manifest: &Manifest,
        buffers: &Buffers,
        modules: &Modules,
    ) -> Result<Self, BuildError> {
        let max_points = manifest.points.max_points;
        let at = &buffers.at;
        let params = PillarsParams {
            state: at.state,
            cell_of: at.cell_of,
            first: at.first,
            count: at.count,
            pillar_at: at.pillar_at,
            block_sums: at.block_sums,
            claimed: at.claimed,
            counts: at.counts,
            starts: at.starts,
            filled: at.filled,
            members: at.members,
            last_cells: at.last_cells,
            n_last: at.n_last,
            max_pillars: manifest.pillars.max_pillars,
            point_cap: manifest.pillars.point_cap(max_points),
        };
        Ok(Self {
            params,
            max_points,
            max_claimed: buffers.max_claimed,
            count: modules.kernel("pillars_count")?,
            offsets: modules.kernel("pillars_offsets")?,
            number: modules.kernel("pillars_number")?,
            fill: modules.kernel("pillars_fill")?,
            sort: modules.kernel("pillars_sort")?,
            forget: modules.kernel("pillars_forget")?,
        })
    }

    /// Groups the points of the frame.
    ///
    /// **Allocation and synchronisation**: none.
    pub(crate) fn enqueue(&self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let by_point = n_blocks(self.max_points, BLOCK);
        stream.launch(&self.count, by_point, &self.params)?;
        stream.launch(&self.offsets, 1, &self.params)?;
        stream.launch(&self.number, by_point, &self.params)?;
        stream.launch(&self.fill, by_point, &self.params)?;
        stream.launch(&self.sort, n_blocks(self.params.max_pillars, PILLARS_PER_BLOCK), &self.params)
    }

    /// Clears what the frame touched; the last that is enqueued of it.
    pub(crate) fn enqueue_forget(&self, stream: &mut Stream) -> Result<(), DeviceFault> {
        stream.launch(&self.forget, n_blocks(self.max_claimed, BLOCK), &self.params)
    }
}

/// Writes what the stage counted into a report that has the points' counters already.
pub(crate) fn report_pillars(state: &FrameState, report: &mut FrameReport) {
    report.n_pillars = state.n_pillars;
    report.dropped_pillar_full = state.dropped_pillar_full;
    report.dropped_no_pillar = state.dropped_no_pillar;
    // Points whose cell rounds out of the grid were kept by the points stage; so the kept ones are
    // what is left of all.
    report.n_points_kept = report.n_points
        - report.dropped_nan
        - report.dropped_out_of_range
        - report.dropped_near_sensor
        - report.dropped_over_capacity
        - report.dropped_pillar_full
        - report.dropped_no_pillar;
    if report.dropped_no_pillar > 0 {
        report.flags.insert(FrameFlags::OVER_CAPACITY);
    }
}
