//! A frame on a card.
//!
//! With the network on the card nothing waits between the cloud that goes up and the boxes that come
//! down: what is between them was captured into a graph when the engine was built, and a frame is a copy,
//! the launch of that graph, and one wait. [`host_network`] is the frame around a network on the host.

mod host_network;
mod work;

use super::buffers::Buffers;
use super::{Clock, Context, LastFrame, NO_HEAD};
use crate::bev::cuda::CudaBev;
use crate::bev::{CanvasFormat, LayerWeights};
use crate::boxes::cuda::CudaBoxes;
use crate::device::cuda::{Device, DeviceFault, Graph, Modules, Pinned, Stream};
use crate::engine::mirror::Mirror;
use crate::error::{BuildError, BuildErrorKind};
use crate::head::Head;
use crate::head::device::DeviceHead;
use crate::pillars::cuda::{CudaPillars, report_pillars};
use crate::points::cuda::{CudaPoints, report_points};
use crate::points::{CloudView, Comparison};
use pilotis_spec::{Detection, FrameError, FrameReport, Manifest, Stage};
use std::sync::Arc;
use work::{Marks, StageFault, Work};

/// The stages on a card, with all their memory.
pub(crate) struct CudaStages {
    /// Before what it runs: dropped first.
    launches: Launches,
    /// The network, where it runs on the card.
    head: Option<Box<dyn DeviceHead>>,
    pub(super) work: Work,
    pub(super) stream: Stream,
    modules: Modules,
    /// The way of the canvas to a network on the host.
    canvas: Pinned<u8>,
    pub(super) format: CanvasFormat,
    pub(super) mirror: Mirror,
}

/// How the work of a frame gets to the card.
enum Launches {
    /// As one graph.
    Graph(Graph),
    /// One by one, and why.
    Plain(WhyPlain),
}

enum WhyPlain {
    NetworkOnHost,
    AskedFor,
    Refused(DeviceFault),
}

/// The network that the stages of a card are built around.
pub(crate) enum Network<'a> {
    Host(&'a dyn Head, CanvasFormat),
    Device(Box<dyn DeviceHead>),
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
        network: Network<'_>,
    ) -> Result<Self, BuildError> {
        let (format, reads_canvas, mut head) = match network {
            Network::Host(head, format) => (format, head.reads_canvas(), None),
            Network::Device(head) => (head.canvas_format(), false, Some(head)),
        };
        if reads_canvas && format != CanvasFormat::default() {
            let text = format!("a network on the host reads planes of f32, and {format:?} was asked for");
            return Err(BuildError::new(BuildErrorKind::Mismatch, text).at(Stage::Bev));
        }
        let mut stream = Stream::new(device)?;
        let modules = Modules::load(device)?;
        let workspace_bytes = head.as_ref().map_or(0, |h| h.workspace_bytes());
        let buffers = Buffers::build(device, &mut stream, manifest, layers, format, workspace_bytes)?;
        if let Some(head) = &mut head {
            buffers.bind(&stream, head.as_mut())?;
        }
        let canvas_bytes = if reads_canvas { buffers.slots.canvas.len() } else { 0 };
        let is_on_host = head.is_none();
        let work = Work {
            points: CudaPoints::build(manifest, &buffers, &modules, &stream)?,
            pillars: CudaPillars::build(manifest, &buffers, &modules)?,
            bev: CudaBev::build(manifest, &buffers, &modules, format)?,
            boxes: CudaBoxes::build(&buffers, &modules, &mut stream, is_on_host)?,
            marks: Marks::of(&stream)?,
            state: Pinned::zeroed(&stream, 1)?,
            buffers,
            is_dirty: true,
        };
        Ok(Self {
            launches: Launches::Plain(if is_on_host { WhyPlain::NetworkOnHost } else { WhyPlain::AskedFor }),
            head,
            work,
            canvas: Pinned::zeroed(&stream, canvas_bytes)?,
            mirror: Mirror::default(),
            modules,
            format,
            stream,
        })
    }

    /// Captures the work of a frame into a graph, where the network is on the card. Where something
    /// refuses, frames stay plain launches, and [`CudaStages::describe`] says so. Yields whether there is
    /// a graph.
    pub(crate) fn capture(&mut self) -> bool {
        let Self { launches, head, work, stream, modules, .. } = self;
        let Some(head) = head else { return false };
        let arena = work.buffers.arena.clone();
        let captured = if head.is_capturable(stream) {
            let enqueue =
                |stream: &mut Stream| work.enqueue(head.as_mut(), stream).map_err(|(_, fault)| fault);
            stream.capture(modules, &arena, enqueue)
        } else {
            Err(DeviceFault::CAPTURE_UNSUPPORTED)
        };
        *launches = match captured {
            Ok(graph) => Launches::Graph(graph),
            Err(fault) => {
                tracing::warn!("no graph can be captured, so that frames are plain launches: {fault}");
                Launches::Plain(WhyPlain::Refused(fault))
            }
        };
        matches!(launches, Launches::Graph(_))
    }

    /// See [`crate::Engine::infer`].
    pub(super) fn run(
        &mut self,
        cloud: &CloudView<'_>,
        context: &Context<'_>,
        host: Option<&mut (dyn Head + 'static)>,
        report: &mut FrameReport,
    ) -> Result<(), FrameError> {
        match (&self.head, host) {
            (Some(_), _) => self.run_on_card(cloud, context, report),
            (None, Some(head)) => self.run_around_host(cloud, context, head, report),
            (None, None) => Err(NO_HEAD),
        }
    }

    /// A frame with the network on the card.
    fn run_on_card(
        &mut self,
        cloud: &CloudView<'_>,
        context: &Context<'_>,
        report: &mut FrameReport,
    ) -> Result<(), FrameError> {
        let Self { launches, head, work, stream, .. } = self;
        let at_end = |fault: DeviceFault| fault.at(Stage::Boxes);
        let mut clock = Clock::start();

        let n_points = work.begin(cloud, stream)?;
        match (launches, head) {
            (Launches::Graph(graph), _) => stream.launch_graph(graph, &mut work.lend()).map_err(at_end)?,
            (Launches::Plain(_), Some(head)) => work.enqueue(head.as_mut(), stream).map_err(failed)?,
            (Launches::Plain(_), None) => {}
        }
        stream.synchronize().map_err(at_end)?;
        work.is_dirty = false;
        clock.lap();

        let state = work.counted().map_err(at_end)?;
        let summary = report_points(n_points, &state, report);
        Comparison::of(&context.manifest.input_statistics, &summary).apply(context.on_mismatch, report)?;
        report_pillars(&state, report);
        report.times.head_ns = work.times(report).map_err(at_end)?;
        report.times.frame_ns = clock.total();
        work.boxes.finish(&state, report).map_err(at_end)
    }

    /// The boxes of the last frame, best first.
    pub(super) fn detections(&self) -> &[Detection] {
        self.work.boxes.detections()
    }

    /// The fault that the card did not survive, where there was one.
    pub(super) fn lost(&self) -> Option<DeviceFault> {
        self.stream.device().check().err()
    }

    /// See [`crate::Engine::last_frame`].
    pub(super) fn last_frame(&mut self, manifest: &Manifest) -> Result<LastFrame<'_>, FrameError> {
        self.fetch(manifest).map_err(|fault| fault.at(Stage::Bev))
    }

    /// See [`crate::Engine::copy_tensor`].
    pub(super) fn copy_tensor(&mut self, idx: usize) -> Result<Vec<f32>, FrameError> {
        self.fetch_tensor(idx).map_err(|fault| fault.at(Stage::Head))
    }

    /// The network, where it runs on the card.
    pub(super) fn device_head(&self) -> Option<&dyn DeviceHead> {
        self.head.as_deref()
    }

    /// Name of the card, and how frames get there.
    pub(super) fn describe(&self) -> String {
        let name = &self.stream.device().info().name;
        match &self.launches {
            Launches::Graph(_) => format!("CUDA, {name}, one graph a frame"),
            Launches::Plain(WhyPlain::NetworkOnHost) => {
                format!("CUDA, {name}, plain launches around a network on the host")
            }
            Launches::Plain(WhyPlain::AskedFor) => format!("CUDA, {name}, plain launches, as asked for"),
            Launches::Plain(WhyPlain::Refused(fault)) => {
                format!("CUDA, {name}, plain launches, since no graph can be captured: {fault}")
            }
        }
    }
}

fn failed((stage, fault): StageFault) -> FrameError {
    fault.at(stage)
}
