//! Engine: the hot path. What it needs was allocated by [`crate::builder`].
//!
//! One file a processor: [`cpu`] is the six stages on one screen, [`cuda`] the same on a card.

pub(crate) mod buffers;
pub(crate) mod cpu;
pub(crate) mod cuda;
mod mirror;

pub use buffers::device_memory;

use crate::boxes::RawTensors;
use crate::device::cuda::DeviceFault;
use crate::head::Head;
use crate::head::device::DeviceHead;
use crate::pillars::Pillars;
use crate::points::{CloudView, OnMismatch};
use cpu::CpuStages;
use cuda::CudaStages;
use pilotis_spec::{Detection, FrameError, FrameErrorCode, FrameFlags, FrameReport, Manifest, Point, Stage};
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
    /// The network on the host; none where it runs on a card and nothing stands in for that.
    pub(crate) head: Option<Box<dyn Head>>,
    /// The stages that take over when the card is lost.
    pub(crate) stand_in: Option<Box<StandIn>>,
    pub(crate) n_frames: u64,
}

/// Stages on the CPU, ready for the frame in which the card is lost.
pub(crate) struct StandIn {
    pub(crate) stages: CpuStages,
    /// Whether the last frame was theirs.
    pub(crate) is_in_use: bool,
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
    /// fails with [`pilotis_spec::FrameErrorCode::DeviceFault`], or runs on the CPU, as
    /// [`crate::EngineBuilder::on_device_lost`] said.
    pub fn infer(&mut self, cloud: &CloudView<'_>) -> Result<Frame<'_>, FrameError> {
        let context = Context { manifest: &self.manifest, on_mismatch: self.on_mismatch };
        let fresh = FrameReport { frame_idx: self.n_frames, ..FrameReport::default() };
        let mut report = fresh;
        self.n_frames += 1;
        let mut done = match (&mut self.stages, &mut self.head) {
            (Stages::Cpu(stages), Some(head)) => stages.run(cloud, &context, head.as_mut(), &mut report),
            (Stages::Cpu(_), None) => Err(NO_HEAD),
            (Stages::Cuda(stages), head) => stages.run(cloud, &context, head.as_deref_mut(), &mut report),
        };
        if done.is_err()
            && self.stages.lost().is_some()
            && let (Some(stand_in), Some(head)) = (&mut self.stand_in, &mut self.head)
        {
            report = fresh;
            done = stand_in.run(cloud, &context, head.as_mut(), &mut report);
        }
        done?;
        Ok(Frame { detections: self.detections(), report })
    }

    /// The boxes of the last frame.
    fn detections(&self) -> &[Detection] {
        match (&self.stages, &self.stand_in) {
            (_, Some(stand_in)) if stand_in.is_in_use => stand_in.stages.detections(),
            (Stages::Cpu(stages), _) => stages.detections(),
            (Stages::Cuda(stages), _) => stages.detections(),
        }
    }

    /// The contract of the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Name and version of the network engine.
    pub fn describe_head(&self) -> String {
        let host = || self.head.as_ref().map_or_else(String::new, |head| head.describe());
        match self.device_head() {
            Some(head) if !self.is_on_stand_in() => head.describe(),
            _ => host(),
        }
    }

    /// The network engine's words on its last failure.
    pub fn last_head_error(&self) -> &str {
        match (self.device_head(), &self.head) {
            (Some(head), _) if !self.is_on_stand_in() => head.last_error(),
            (_, Some(head)) => head.last_error(),
            (_, None) => "",
        }
    }

    /// What runs our stages: the instruction set of the encoder, or the card's name and how frames get
    /// there.
    pub fn describe_stages(&self) -> String {
        let of_cpu = |stages: &CpuStages| format!("CPU, {}", stages.bev.isa().name());
        match (&self.stages, &self.stand_in) {
            (Stages::Cpu(stages), _) => of_cpu(stages),
            (Stages::Cuda(stages), None) => stages.describe(),
            (Stages::Cuda(stages), Some(stand_in)) => match stages.lost() {
                Some(fault) => {
                    format!("{}, since the CUDA device is lost: {fault}", of_cpu(&stand_in.stages))
                }
                None => format!("{}; once it is lost, {}", stages.describe(), of_cpu(&stand_in.stages)),
            },
        }
    }

    /// What the stages made of the last cloud.
    ///
    /// **Allocation and synchronisation**: none on the CPU; on a card everything is copied back
    /// into memory that is allocated here. **Errors**: those of the device.
    pub fn last_frame(&mut self) -> Result<LastFrame<'_>, FrameError> {
        let canvas = self.head.as_mut().map_or(&[][..], |head| head.canvas());
        match (&mut self.stages, &mut self.stand_in) {
            (_, Some(stand_in)) if stand_in.is_in_use => Ok(stand_in.stages.last_frame(canvas)),
            (Stages::Cpu(stages), _) => Ok(stages.last_frame(canvas)),
            (Stages::Cuda(stages), _) => stages.last_frame(&self.manifest),
        }
    }

    /// A raw tensor of the last frame, in the order of [`pilotis_spec::HeadLayout::tensors`]; empty for
    /// a network on a card, whose tensors stay there: [`Engine::copy_tensor`] fetches them.
    pub fn last_tensor(&self, idx: usize) -> &[f32] {
        if self.device_head().is_some() && !self.is_on_stand_in() {
            return &[];
        }
        self.head.as_ref().map_or(&[], |head| head.tensor(idx))
    }

    /// The same, copied out of wherever it lies: out of the card's memory too, where it stays until the next
    /// frame. For looking at a network, not for frames.
    ///
    /// **Allocation and synchronisation**: both. **Errors**: those of the device.
    pub fn copy_tensor(&mut self, idx: usize) -> Result<Vec<f32>, FrameError> {
        let is_on_stand_in = self.is_on_stand_in();
        match &mut self.stages {
            Stages::Cuda(stages) if stages.device_head().is_some() && !is_on_stand_in => {
                stages.copy_tensor(idx)
            }
            _ => Ok(self.last_tensor(idx).to_vec()),
        }
    }

    fn device_head(&self) -> Option<&dyn DeviceHead> {
        match &self.stages {
            Stages::Cpu(_) => None,
            Stages::Cuda(stages) => stages.device_head(),
        }
    }

    fn is_on_stand_in(&self) -> bool {
        self.stand_in.as_ref().is_some_and(|stand_in| stand_in.is_in_use)
    }
}

/// Stages without a network, which no builder makes.
const NO_HEAD: FrameError =
    FrameError { stage: Stage::Head, code: FrameErrorCode::HeadFailed, got: 0, limit: 0 };

impl Stages {
    /// The fault with which a card was lost.
    fn lost(&self) -> Option<DeviceFault> {
        match self {
            Self::Cpu(_) => None,
            Self::Cuda(stages) => stages.lost(),
        }
    }
}

impl StandIn {
    /// Runs a frame that the card could not.
    fn run(
        &mut self,
        cloud: &CloudView<'_>,
        context: &Context<'_>,
        head: &mut dyn Head,
        report: &mut FrameReport,
    ) -> Result<(), FrameError> {
        if !std::mem::replace(&mut self.is_in_use, true) {
            // A card may have drawn on it, and these stages clear only what they drew themselves.
            head.canvas().fill(0.0);
        }
        report.flags.insert(FrameFlags::DEVICE_LOST);
        self.stages.run(cloud, context, head, report)
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
