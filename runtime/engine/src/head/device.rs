//! Device: networks that run on the card, between the canvas and the raw tensors in its memory.

use crate::bev::CanvasFormat;
use crate::device::cuda::{Arena, Device, DeviceFault, Pinned, Plan, Slot, Span, Stream};
use crate::error::{BuildError, BuildErrorKind};
use crate::head::replay::check_shapes;
use pilotis_spec::{Manifest, Stage};
use std::sync::Arc;

/// A network that runs on the card, on tensors in device memory.
///
/// The engine drops the graph that it captured of a frame before it drops the network.
pub trait DeviceHead: Send {
    /// Name and version of the network engine, for reports.
    fn describe(&self) -> String;

    /// How the canvas must lie in memory.
    fn canvas_format(&self) -> CanvasFormat;

    /// Bytes of device memory that it works in. They come out of the engine's one arena, start at a
    /// multiple of 256 bytes, and hold nothing from one frame to the next.
    fn workspace_bytes(&self) -> usize;

    /// Tells it where everything lies; called once, before the first frame.
    ///
    /// **Errors**: memory that does not fit the network.
    fn bind(&mut self, stream: &Stream, memory: DeviceTensors<'_>) -> Result<(), BuildError>;

    /// Whether what it enqueues on the stream can be captured into a graph. Asked before a capture begins: a
    /// network that cannot may not even be enqueued on a stream that captures.
    fn is_capturable(&self, _stream: &Stream) -> bool {
        true
    }

    /// Enqueues the network on the stream, without waiting.
    ///
    /// Called for every frame, or once while the stream is captured into a graph; a network that
    /// finds then that it cannot be captured answers with a fault, such as
    /// [`DeviceFault::CAPTURE_UNSUPPORTED`], and frames run without a graph.
    ///
    /// **Errors**: the driver's; [`DeviceFault::NOT_SUPPORTED`] for an engine that fails without one,
    /// [`DeviceHead::last_error`] has its words. **Allocation**: none.
    fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault>;

    /// The network engine's words on the last failure.
    fn last_error(&self) -> &str {
        ""
    }
}

/// Where a network on the card finds its tensors.
#[derive(Clone, Copy, Debug)]
pub struct DeviceTensors<'a> {
    /// The input, as [`DeviceHead::canvas_format`] says.
    pub canvas: &'a Span,
    /// The outputs, `f32`, in the order of [`pilotis_spec::HeadLayout::tensors`].
    pub tensors: &'a [Span],
    /// What it asked to work in; `None` where it asked for nothing.
    pub workspace: Option<&'a Span>,
}

/// A network on the card that answers every frame with recorded tensors, whatever the canvas holds.
///
/// The tensors lie in device memory of its own; a frame is a copy of each of them.
#[derive(Debug)]
pub struct DeviceReplay {
    format: CanvasFormat,
    recorded: Vec<Span>,
    outputs: Vec<Span>,
}

impl DeviceReplay {
    /// A head over recorded tensors, as of [`crate::head::replay::ReplayHead::build`], that asks for a
    /// canvas of this format.
    ///
    /// **Errors**: [`BuildErrorKind::Mismatch`] with the tensor and both lengths, and the device's.
    pub fn build(
        device: &Arc<Device>,
        manifest: &Manifest,
        tensors: &[Vec<f32>],
        format: CanvasFormat,
    ) -> Result<Self, BuildError> {
        check_shapes(manifest, tensors)?;
        let mut plan = Plan::new(&["head"]);
        let slots: Vec<Slot<f32>> = tensors.iter().map(|t| plan.keep("recorded", t.len())).collect();
        let arena = Arena::allocate(device, &plan)?;
        let mut stream = Stream::new(device)?;
        let mut recorded = Vec::new();
        for (tensor, slot) in tensors.iter().zip(slots) {
            let fault = |f: DeviceFault| f.while_building("copy recorded tensors to the device");
            let mut host = Pinned::zeroed(&stream, tensor.len())?;
            host.as_mut_slice().map_err(fault)?.copy_from_slice(tensor);
            stream.upload(&mut host, 0..tensor.len(), &arena, slot, 0).map_err(fault)?;
            stream.synchronize().map_err(fault)?;
            let span = arena.span(slot, 0..slot.len()).ok_or(DeviceFault::INVALID_VALUE);
            recorded.push(span.map_err(fault)?);
        }
        Ok(Self { format, recorded, outputs: Vec::new() })
    }
}

impl DeviceHead for DeviceReplay {
    fn describe(&self) -> String {
        "replay of recorded tensors on the card".to_owned()
    }

    fn canvas_format(&self) -> CanvasFormat {
        self.format
    }

    fn workspace_bytes(&self) -> usize {
        0
    }

    fn bind(&mut self, _stream: &Stream, memory: DeviceTensors<'_>) -> Result<(), BuildError> {
        let sizes = |spans: &[Span]| spans.iter().map(Span::n_bytes).collect::<Vec<_>>();
        if sizes(memory.tensors) != sizes(&self.recorded) {
            let text = "the recorded tensors are of other sizes than the model's";
            return Err(BuildError::new(BuildErrorKind::Mismatch, text).at(Stage::Head));
        }
        self.outputs = memory.tensors.to_vec();
        Ok(())
    }

    fn enqueue(&mut self, stream: &mut Stream) -> Result<(), DeviceFault> {
        for (from, to) in self.recorded.iter().zip(&self.outputs) {
            stream.copy(from, to)?;
        }
        Ok(())
    }
}
