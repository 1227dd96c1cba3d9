//! Work: what is enqueued of a frame, the same for every cloud.

use crate::bev::cuda::CudaBev;
use crate::boxes::cuda::CudaBoxes;
use crate::device::cuda::{DeviceFault, Event, Lent, Pinned, Stream};
use crate::engine::buffers::Buffers;
use crate::error::BuildError;
use crate::head::device::DeviceHead;
use crate::pillars::cuda::CudaPillars;
use crate::points::CloudView;
use crate::points::cuda::CudaPoints;
use pilotis_kernels::frame::FrameState;
use pilotis_spec::{FrameError, FrameReport, Stage};

/// A fault, and the stage that was being enqueued.
pub(super) type StageFault = (Stage, DeviceFault);

/// The stages of ours, with all their memory.
pub(crate) struct Work {
    pub(super) points: CudaPoints,
    pub(super) pillars: CudaPillars,
    pub(super) bev: CudaBev,
    pub(super) boxes: CudaBoxes,
    pub(crate) buffers: Buffers,
    pub(super) marks: Marks,
    /// What the frame counted, as it came back last.
    pub(crate) state: Pinned<FrameState>,
    /// Whether a frame was begun and not ended: the next one starts from nothing.
    pub(super) is_dirty: bool,
}

/// Events around the stages.
pub(crate) struct Marks {
    start: Event,
    points: Event,
    pillars: Event,
    bev: Event,
    head: Event,
    boxes: Event,
}

impl Marks {
    pub(super) fn of(stream: &Stream) -> Result<Self, BuildError> {
        Ok(Self {
            start: stream.event()?,
            points: stream.event()?,
            pillars: stream.event()?,
            bev: stream.event()?,
            head: stream.event()?,
            boxes: stream.event()?,
        })
    }
}

impl Work {
    /// Begins a frame: its cloud goes up. Yields the cloud's points.
    pub(super) fn begin(&mut self, cloud: &CloudView<'_>, stream: &mut Stream) -> Result<u32, FrameError> {
        let at_points = |fault: DeviceFault| fault.at(Stage::Points);
        if std::mem::replace(&mut self.is_dirty, true) {
            self.buffers.enqueue_reset(stream).map_err(at_points)?;
        }
        stream.record(&mut self.marks.start).map_err(at_points)?;
        self.points.send(cloud, stream)
    }

    /// Enqueues everything from the cloud to its boxes in the memory of the host.
    pub(super) fn enqueue(
        &mut self,
        head: &mut dyn DeviceHead,
        stream: &mut Stream,
    ) -> Result<(), StageFault> {
        self.enqueue_canvas(stream)?;
        head.enqueue(stream).map_err(at(Stage::Head))?;
        self.enqueue_boxes(stream).map_err(at(Stage::Boxes))
    }

    /// Enqueues what makes a canvas of the cloud that went up.
    pub(super) fn enqueue_canvas(&mut self, stream: &mut Stream) -> Result<(), StageFault> {
        let Self { points, pillars, bev, marks, .. } = self;
        points.enqueue(stream).map_err(at(Stage::Points))?;
        stream.record(&mut marks.points).map_err(at(Stage::Points))?;
        pillars.enqueue(stream).map_err(at(Stage::Pillars))?;
        stream.record(&mut marks.pillars).map_err(at(Stage::Pillars))?;
        bev.enqueue(stream).map_err(at(Stage::Bev))?;
        pillars.enqueue_forget(stream).map_err(at(Stage::Bev))?;
        stream.record(&mut marks.bev).map_err(at(Stage::Bev))
    }

    /// Enqueues what makes boxes of the raw tensors, and that they come down with the counts. The
    /// counts are cleared for the next frame.
    pub(super) fn enqueue_boxes(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        let Self { boxes, buffers, marks, state, .. } = self;
        stream.record(&mut marks.head)?;
        boxes.enqueue(stream)?;
        stream.record(&mut marks.boxes)?;
        boxes.enqueue_download(stream)?;
        stream.download(&buffers.arena, buffers.slots.state, 0..1, state, 0)?;
        stream.fill(&buffers.arena, buffers.slots.state, 0..1, 0)
    }

    /// The host memory that [`Work::enqueue`] copies from and to.
    pub(super) fn lend(&mut self) -> [Lent<'_>; 3] {
        [self.points.lend(), self.boxes.lend(), self.state.lend()]
    }

    /// What the frame counted, once it was waited for.
    pub(super) fn counted(&self) -> Result<FrameState, DeviceFault> {
        Ok(self.state.as_slice()?.first().copied().unwrap_or_default())
    }

    /// Writes the device's times of our stages into a report; yields that between them, the network's.
    pub(super) fn times(&self, report: &mut FrameReport) -> Result<u64, DeviceFault> {
        let Marks { start, points, pillars, bev, head, boxes } = &self.marks;
        report.times.points_ns = points.elapsed_ns(start)?;
        report.times.pillars_ns = pillars.elapsed_ns(points)?;
        report.times.bev_ns = bev.elapsed_ns(pillars)?;
        report.times.boxes_ns = boxes.elapsed_ns(head)?;
        head.elapsed_ns(bev)
    }
}

pub(super) fn at(stage: Stage) -> impl Fn(DeviceFault) -> StageFault {
    move |fault| (stage, fault)
}
