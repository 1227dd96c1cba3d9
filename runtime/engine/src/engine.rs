//! Engine: the hot path, six stages on one screen. Everything it needs was allocated by
//! [`crate::builder`].

use crate::bev::BevStage;
use crate::boxes::{BoxesStage, RawTensors};
use crate::head::Head;
use crate::pillars::{Pillars, PillarsStage};
use crate::points::{CloudView, Comparison, OnMismatch, PointsStage};
use pilotis_spec::{Detection, FrameError, FrameReport, Manifest, Point};
use std::time::Instant;

/// A detector, built and warm.
///
/// **Allocation**: none of ours in [`Engine::infer`], on any input; the network engine's own are
/// stated in the documentation. **Determinism**: the same cloud gives the same boxes, whatever
/// came before and for any number of threads.
pub struct Engine {
    pub(crate) manifest: Manifest,
    pub(crate) on_mismatch: OnMismatch,
    pub(crate) points: PointsStage,
    pub(crate) pillars: PillarsStage,
    pub(crate) bev: BevStage,
    pub(crate) head: Box<dyn Head>,
    pub(crate) boxes: BoxesStage,
    pub(crate) n_frames: u64,
}

/// What an engine says of one cloud.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Boxes, best first.
    pub detections: &'a [Detection],
    /// What happened on the way.
    pub report: FrameReport,
}

impl Engine {
    /// Detects the objects of one cloud.
    ///
    /// **At capacity**: caps drop and count, the frame succeeds; see [`FrameReport`].
    /// **Errors**: a cloud that lacks intensity, that vanished while it was read, or whose
    /// intensity is of another scale than the model's; a network engine that failed. The engine
    /// stays usable after each of them.
    pub fn infer(&mut self, cloud: &CloudView<'_>) -> Result<Frame<'_>, FrameError> {
        let grid = &self.manifest.grid;
        let mut report = FrameReport { frame_idx: self.n_frames, ..FrameReport::default() };
        self.n_frames += 1;
        let mut clock = Clock::start();

        let needs_time_lag = self.manifest.bev.recipe.needs_time_lag();
        self.points.run(cloud, grid, needs_time_lag, &mut report)?;
        Comparison::of(&self.manifest.input_statistics, self.points.summary())
            .apply(self.on_mismatch, &mut report)?;
        report.times.points_ns = clock.lap();

        let points = self.points.points();
        let pillars = self.pillars.run(points, grid, &mut report);
        report.times.pillars_ns = clock.lap();

        self.bev.run(points, &pillars, grid, self.head.canvas());
        report.times.bev_ns = clock.lap();

        self.head.run()?;
        report.times.head_ns = clock.lap();

        let detections = self.boxes.run(&HeadTensors(&*self.head), &mut report)?;
        report.times.boxes_ns = clock.lap();

        report.times.frame_ns = clock.total();
        Ok(Frame { detections, report })
    }

    /// The contract of the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Name and version of the network engine.
    pub fn describe_head(&self) -> String {
        self.head.describe()
    }

    /// The network engine's words on its last failure.
    pub fn last_head_error(&self) -> &str {
        self.head.last_error()
    }

    /// The instruction set of the encoder.
    pub fn encoder_isa(&self) -> &'static str {
        self.bev.isa().name()
    }

    /// Points of the last frame that were finite and in range.
    pub fn last_points(&self) -> &[Point] {
        self.points.points()
    }

    /// Pillars of the last frame.
    pub fn last_pillars(&self) -> Pillars<'_> {
        self.pillars.last()
    }

    /// Cells of the last frame in ascending order, and their canvas channels.
    pub fn last_canvas(&self) -> (&[u32], &[f32]) {
        self.bev.encoded()
    }

    /// A raw tensor of the last frame, in the order of [`pilotis_spec::HeadLayout::tensors`].
    pub fn last_tensor(&self, idx: usize) -> &[f32] {
        self.head.tensor(idx)
    }
}

/// The head as the boxes stage wants it.
struct HeadTensors<'a>(&'a dyn Head);

impl RawTensors for HeadTensors<'_> {
    fn tensor(&self, idx: usize) -> &[f32] {
        self.0.tensor(idx)
    }
}

/// Wall-clock time between stages.
struct Clock {
    start: Instant,
    lap: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self { start: now, lap: now }
    }

    fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let ns = (now - self.lap).as_nanos() as u64;
        self.lap = now;
        ns
    }

    /// From the start to the last lap.
    fn total(&self) -> u64 {
        (self.lap - self.start).as_nanos() as u64
    }
}
