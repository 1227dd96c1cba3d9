//! Engine: the hot path. What it needs was allocated by [`crate::builder`].
//!
//! One file a processor: [`cpu`] is the six stages on one screen, [`cuda`] the same on a card.

pub(crate) mod buffers;
pub(crate) mod cpu;
pub(crate) mod cuda;
mod mirror;

pub use buffers::device_memory;

use crate::boxes::RawTensors;
use crate::head::Head;
use crate::pillars::Pillars;
use crate::points::{CloudView, OnMismatch};
use cpu::CpuStages;
use cuda::CudaStages;
use pilotis_spec::{Detection, FrameError, FrameReport, Manifest, Point};
use std::time::Instant;

/// A detector, built and warm.
///
/// **Allocation**: none of ours in [`Engine::infer`], on any input; the network engine's own are
/// stated in the documentation. **Determinism**: the same cloud gives the same boxes, whatever
/// came before and for any number of threads, on the CPU and on a card.
pub struct Engine {
    pub(crate) manifest: Manifest,
    pub(crate) on_mismatch: OnMismatch,
    pub(crate) stages: Stages,
    pub(crate) head: Box<dyn Head>,
    pub(crate) n_frames: u64,
}

/// Our stages, by the processor that runs them.
pub(crate) enum Stages {
    Cpu(Box<CpuStages>),
    Cuda(Box<CudaStages>),
}

/// What an engine says of one cloud.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Boxes, best first.
    pub detections: &'a [Detection],
    /// What happened on the way.
    pub report: FrameReport,
}

/// What the stages made of the last cloud on the way to its boxes.
#[derive(Clone, Copy, Debug)]
pub struct LastFrame<'a> {
    /// Points that were finite and in range.
    pub points: &'a [Point],
    /// Pillars.
    pub pillars: Pillars<'a>,
    /// Cells in ascending order.
    pub cells: &'a [u32],
    /// Their canvas channels, cell by cell.
    pub channels: &'a [f32],
    /// Values of the canvas that are not zero and not of these cells: what an earlier frame left there.
    /// Always 0, or a network saw more than this frame.
    pub n_left_over: usize,
}

/// What a frame needs to know of its engine.
pub(crate) struct Context<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) on_mismatch: OnMismatch,
}

impl Engine {
    /// Detects the objects of one cloud.
    ///
    /// **At capacity**: caps drop and count, the frame succeeds; see [`FrameReport`].
    /// **Errors**: a cloud that lacks intensity, that vanished while it was read, or whose
    /// intensity is of another scale than the model's; a network engine or a device that failed.
    /// The engine stays usable after each of them, unless the device was lost: then every frame
    /// fails with [`pilotis_spec::FrameErrorCode::DeviceFault`].
    pub fn infer(&mut self, cloud: &CloudView<'_>) -> Result<Frame<'_>, FrameError> {
        let context = Context { manifest: &self.manifest, on_mismatch: self.on_mismatch };
        let mut report = FrameReport { frame_idx: self.n_frames, ..FrameReport::default() };
        self.n_frames += 1;
        let head = self.head.as_mut();
        let detections = match &mut self.stages {
            Stages::Cpu(stages) => stages.run(cloud, &context, head, &mut report),
            Stages::Cuda(stages) => stages.run(cloud, &context, head, &mut report),
        }?;
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

    /// What runs our stages: the instruction set of the encoder, or the card's name.
    pub fn describe_stages(&self) -> String {
        match &self.stages {
            Stages::Cpu(stages) => format!("CPU, {}", stages.bev.isa().name()),
            Stages::Cuda(stages) => stages.describe(),
        }
    }

    /// What the stages made of the last cloud.
    ///
    /// **Allocation and synchronisation**: none on the CPU; on a card everything is copied back
    /// into memory that is allocated here. **Errors**: those of the device.
    pub fn last_frame(&mut self) -> Result<LastFrame<'_>, FrameError> {
        match &mut self.stages {
            Stages::Cpu(stages) => Ok(stages.last_frame(self.head.canvas())),
            Stages::Cuda(stages) => stages.last_frame(&self.manifest),
        }
    }

    /// A raw tensor of the last frame, in the order of [`pilotis_spec::HeadLayout::tensors`].
    pub fn last_tensor(&self, idx: usize) -> &[f32] {
        self.head.tensor(idx)
    }
}

/// The head as the boxes stage wants it.
pub(crate) struct HeadTensors<'a>(pub(crate) &'a dyn Head);

impl RawTensors for HeadTensors<'_> {
    fn tensor(&self, idx: usize) -> &[f32] {
        self.0.tensor(idx)
    }
}

/// Wall-clock time between stages.
pub(crate) struct Clock {
    start: Instant,
    lap: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, lap: now }
    }

    pub(crate) fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let ns = (now - self.lap).as_nanos() as u64;
        self.lap = now;
        ns
    }

    /// From the start to the last lap.
    pub(crate) fn total(&self) -> u64 {
        (self.lap - self.start).as_nanos() as u64
    }
}
