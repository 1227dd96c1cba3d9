//! A frame on a card with the network on the host: down comes the canvas, up go the raw tensors, and
//! the host waits for both.

use super::{CudaStages, failed};
use crate::device::cuda::DeviceFault;
use crate::engine::{Clock, Context};
use crate::head::Head;
use crate::pillars::cuda::report_pillars;
use crate::points::cuda::report_points;
use crate::points::{CloudView, Comparison};
use pilotis_spec::{FrameError, FrameReport, Stage};

impl CudaStages {
    pub(super) fn run_around_host(
        &mut self,
        cloud: &CloudView<'_>,
        context: &Context<'_>,
        head: &mut dyn Head,
        report: &mut FrameReport,
    ) -> Result<(), FrameError> {
        let mut clock = Clock::start();

        let n_points = self.work.begin(cloud, &mut self.stream)?;
        self.work.enqueue_canvas(&mut self.stream).map_err(failed)?;
        self.finish_canvas(head).map_err(|fault| fault.at(Stage::Bev))?;
        let state = self.work.counted().map_err(|fault| fault.at(Stage::Bev))?;
        let summary = report_points(n_points, &state, report);
        Comparison::of(&context.manifest.input_statistics, &summary).apply(context.on_mismatch, report)?;
        report_pillars(&state, report);
        clock.lap();

        head.run()?;
        report.times.head_ns = clock.lap();

        self.work.boxes.enqueue_tensors(head, &mut self.stream)?;
        let at_boxes = |fault: DeviceFault| fault.at(Stage::Boxes);
        self.finish_boxes().map_err(at_boxes)?;
        let state = self.work.counted().map_err(at_boxes)?;
        clock.lap();

        self.work.times(report).map_err(at_boxes)?;
        report.times.frame_ns = clock.total();
        self.work.boxes.finish(&state, report).map_err(at_boxes)
    }

    /// Waits for the canvas and gives it to the network.
    fn finish_canvas(&mut self, head: &mut dyn Head) -> Result<(), DeviceFault> {
        let Self { stream, canvas, work, .. } = self;
        let (arena, slots) = (&work.buffers.arena, &work.buffers.slots);
        stream.download(arena, slots.state, 0..1, &mut work.state, 0)?;
        if head.reads_canvas() {
            stream.download(arena, slots.canvas, 0..canvas.len(), canvas, 0)?;
        }
        stream.synchronize()?;
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
        self.work.enqueue_boxes(&mut self.stream)?;
        self.stream.synchronize()?;
        self.work.is_dirty = false;
        Ok(())
    }
}
