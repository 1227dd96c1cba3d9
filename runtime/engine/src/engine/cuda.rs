//! A frame on a card: the stages of ours on the device, the network on the host.
//!
//! Up goes the cloud, down come canvas and counts; then the raw tensors go up and the boxes come
//! down. The host waits twice a frame: for the canvas, and for the boxes.

use super::buffers::Buffers;
use super::{Clock, Context, LastFrame};
use crate::bev::cuda::CudaBev;
use crate::bev::{CanvasFormat, LayerWeights};
use crate::boxes::cuda::CudaBoxes;
use crate::device::cuda::{Device, DeviceFault, Event, Modules, Pinned, Stream};
use crate::engine::mirror::Mirror;
use crate::error::{BuildError, BuildErrorKind};
use crate::head::Head;
use crate::pillars::cuda::{CudaPillars, report_pillars};
use crate::points::cuda::{CudaPoints, report_points};
use crate::points::{CloudView, Comparison};
use pilotis_kernels::frame::FrameState;
use pilotis_spec::{Detection, FrameError, FrameReport, Manifest, Stage};
use std::sync::Arc;

/// The stages on a card, with all their memory.
pub(crate) struct CudaStages {
    points: CudaPoints,
    pillars: CudaPillars,
    bev: CudaBev,
    boxes: CudaBoxes,
    pub(super) buffers: Buffers,
    pub(super) stream: Stream,
    events: Marks,
    /// What the frame counted, as it came back last.
    pub(super) state: Pinned<FrameState>,
    canvas: Pinned<u8>,
    pub(super) format: CanvasFormat,
    pub(super) mirror: Mirror,
    /// Whether a frame was begun and not ended: the next one starts from nothing.
    is_dirty: bool,
}

/// Events around the stages.
struct Marks {
    start: Event,
    points: Event,
    pillars: Event,
    bev: Event,
    tensors: Event,
    boxes: Event,
}

impl CudaStages {
    /// The stages of a model on a device.
    ///
    /// **Errors**: a device without the memory that they need; a canvas that the network on the
    /// host cannot read. **Allocation**: everything, here.
    pub(crate) fn build(
        device: &Arc<Device>,
        manifest: &Manifest,
        layers: &[LayerWeights],
        format: CanvasFormat,
        head: &dyn Head,
    ) -> Result<Self, BuildError> {
        if head.reads_canvas() && format != CanvasFormat::default() {
            let text = format!("a network on the host reads planes of f32, and {format:?} was asked for");
            return Err(BuildError::new(BuildErrorKind::Mismatch, text).at(Stage::Bev));
        }
        let mut stream = Stream::new(device)?;
        let modules = Modules::load(device)?;
        let buffers = Buffers::build(device, &mut stream, manifest, layers, format)?;
        let canvas_bytes = if head.reads_canvas() { buffers.slots.canvas.len() } else { 0 };
        Ok(Self {
            points: CudaPoints::build(manifest, &buffers, &modules, &stream)?,
            pillars: CudaPillars::build(manifest, &buffers, &modules)?,
            bev: CudaBev::build(manifest, &buffers, &modules, format)?,
            boxes: CudaBoxes::build(manifest, &buffers, &modules, &mut stream)?,
            events: Marks {
                start: stream.event()?,
                points: stream.event()?,
                pillars: stream.event()?,
                bev: stream.event()?,
                tensors: stream.event()?,
                boxes: stream.event()?,
            },
            state: Pinned::zeroed(&stream, 1)?,
            canvas: Pinned::zeroed(&stream, canvas_bytes)?,
            mirror: Mirror::default(),
            format,
            buffers,
            stream,
            is_dirty: true,
        })
    }

    /// See [`crate::Engine::infer`].
    pub(super) fn run(
        &mut self,
        cloud: &CloudView<'_>,
        context: &Context<'_>,
        head: &mut dyn Head,
        report: &mut FrameReport,
    ) -> Result<&[Detection], FrameError> {
        let mut clock = Clock::start();

        let n_points = self.enqueue_canvas(cloud)?;
        self.finish_canvas(head).map_err(at(Stage::Bev))?;
        let state = self.counted().map_err(at(Stage::Bev))?;
        let summary = report_points(n_points, &state, report);
        Comparison::of(&context.manifest.input_statistics, &summary).apply(context.on_mismatch, report)?;
        report_pillars(&state, report);
        clock.lap();

        head.run()?;
        report.times.head_ns = clock.lap();

        self.boxes.enqueue_tensors(head, &mut self.stream)?;
        self.finish_boxes().map_err(at(Stage::Boxes))?;
        let state = self.counted().map_err(at(Stage::Boxes))?;
        clock.lap();

        self.times(report).map_err(at(Stage::Boxes))?;
        report.times.frame_ns = clock.total();
        self.boxes.finish(&state, report).map_err(at(Stage::Boxes))
    }

    /// Enqueues everything from the cloud to the canvas; yields the cloud's points.
    fn enqueue_canvas(&mut self, cloud: &CloudView<'_>) -> Result<u32, FrameError> {
        let Self { points, pillars, bev, buffers, stream, events, is_dirty, .. } = self;
        if *is_dirty {
            buffers.enqueue_reset(stream).map_err(at(Stage::Points))?;
        }
        *is_dirty = true;
        stream.record(&mut events.start).map_err(at(Stage::Points))?;
        stream.fill(&buffers.arena, buffers.slots.state, 0..1, 0).map_err(at(Stage::Points))?;
        let n_points = points.enqueue(cloud, stream)?;
        stream.record(&mut events.points).map_err(at(Stage::Points))?;
        pillars.enqueue(stream).map_err(at(Stage::Pillars))?;
        stream.record(&mut events.pillars).map_err(at(Stage::Pillars))?;
        bev.enqueue(stream).map_err(at(Stage::Bev))?;
        pillars.enqueue_forget(stream).map_err(at(Stage::Bev))?;
        stream.record(&mut events.bev).map_err(at(Stage::Bev))?;
        Ok(n_points)
    }

    /// Waits for the canvas and gives it to the network.
    fn finish_canvas(&mut self, head: &mut dyn Head) -> Result<(), DeviceFault> {
        let Self { buffers, stream, state, canvas, is_dirty, .. } = self;
        stream.download(&buffers.arena, buffers.slots.state, 0..1, state, 0)?;
        if head.reads_canvas() {
            stream.download(&buffers.arena, buffers.slots.canvas, 0..canvas.len(), canvas, 0)?;
        }
        stream.synchronize()?;
        *is_dirty = false;
        if head.reads_canvas() {
            let values = canvas.as_slice()?.as_chunks::<4>().0;
            for (to, from) in head.canvas().iter_mut().zip(values) {
                *to = f32::from_le_bytes(*from);
            }
        }
        Ok(())
    }

    /// Runs the boxes stage and waits for it.
    fn finish_boxes(&mut self) -> Result<(), DeviceFault> {
        let Self { boxes, buffers, stream, state, events, is_dirty, .. } = self;
        *is_dirty = true;
        stream.record(&mut events.tensors)?;
        boxes.enqueue(stream)?;
        stream.record(&mut events.boxes)?;
        boxes.enqueue_download(stream)?;
        stream.download(&buffers.arena, buffers.slots.state, 0..1, state, 0)?;
        stream.synchronize()?;
        *is_dirty = false;
        Ok(())
    }

    fn counted(&self) -> Result<FrameState, DeviceFault> {
        Ok(self.state.as_slice()?.first().copied().unwrap_or_default())
    }

    /// Times of the device between the stages.
    fn times(&self, report: &mut FrameReport) -> Result<(), DeviceFault> {
        let Marks { start, points, pillars, bev, tensors, boxes } = &self.events;
        report.times.points_ns = points.elapsed_ns(start)?;
        report.times.pillars_ns = pillars.elapsed_ns(points)?;
        report.times.bev_ns = bev.elapsed_ns(pillars)?;
        report.times.boxes_ns = boxes.elapsed_ns(tensors)?;
        Ok(())
    }

    /// See [`crate::Engine::last_frame`].
    pub(super) fn last_frame(&mut self, manifest: &Manifest) -> Result<LastFrame<'_>, FrameError> {
        self.fetch(manifest).map_err(at(Stage::Bev))
    }

    /// Name of the card.
    pub(super) fn describe(&self) -> String {
        format!("CUDA, {}", self.stream.device().info().name)
    }
}

fn at(stage: Stage) -> impl Fn(DeviceFault) -> FrameError {
    move |fault| fault.at(stage)
}
