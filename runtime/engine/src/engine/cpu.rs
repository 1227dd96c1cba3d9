//! A frame on the CPU: the six stages in sequence.

use super::{Clock, Context, HeadTensors, LastFrame};
use crate::bev::BevStage;
use crate::boxes::BoxesStage;
use crate::head::Head;
use crate::pillars::PillarsStage;
use crate::points::{CloudView, Comparison, PointsStage};
use pilotis_spec::{Detection, FrameError, FrameReport};

/// The stages of the CPU, with all their memory.
pub(crate) struct CpuStages {
    pub(crate) points: PointsStage,
    pub(crate) pillars: PillarsStage,
    pub(crate) bev: BevStage,
    pub(crate) boxes: BoxesStage,
}

impl CpuStages {
    /// See [`crate::Engine::infer`].
    pub(crate) fn run(
        &mut self,
        cloud: &CloudView<'_>,
        context: &Context<'_>,
        head: &mut dyn Head,
        report: &mut FrameReport,
    ) -> Result<(), FrameError> {
        let grid = &context.manifest.grid;
        let mut clock = Clock::start();

        let needs_time_lag = context.manifest.bev.recipe.needs_time_lag();
        self.points.run(cloud, grid, needs_time_lag, report)?;
        Comparison::of(&context.manifest.input_statistics, self.points.summary())
            .apply(context.on_mismatch, report)?;
        report.times.points_ns = clock.lap();

        let points = self.points.points();
        let pillars = self.pillars.run(points, grid, report);
        report.times.pillars_ns = clock.lap();

        self.bev.run(points, &pillars, grid, head.canvas());
        report.times.bev_ns = clock.lap();

        head.run()?;
        report.times.head_ns = clock.lap();

        self.boxes.run(&HeadTensors(head), report)?;
        report.times.boxes_ns = clock.lap();

        report.times.frame_ns = clock.total();
        Ok(())
    }

    /// The boxes of the last frame, best first.
    pub(super) fn detections(&self) -> &[Detection] {
        self.boxes.detections()
    }

    /// See [`crate::Engine::last_frame`].
    pub(super) fn last_frame(&self, canvas: &[f32]) -> LastFrame<'_> {
        let (cells, channels) = self.bev.encoded();
        let n_left_over = n_not_zero(canvas).saturating_sub(n_not_zero(channels));
        LastFrame { points: self.points.points(), pillars: self.pillars.last(), cells, channels, n_left_over }
    }
}

/// Values that are not zero.
pub(super) fn n_not_zero(values: &[f32]) -> usize {
    values.iter().filter(|v| **v != 0.0).count()
}
