//! Graph: what was enqueued once, to be enqueued again as one.

use super::arena::{Arena, DeviceMemory};
use super::context::Device;
use super::event;
use super::fault::DeviceFault;
use super::module::Modules;
use super::pinned::Lent;
use super::stream::{Progress, Stream};
use cudarc::driver::{result, sys};
use std::sync::Arc;

/// What the work of a graph uses, besides kernels.
#[derive(Debug, Default)]
pub(super) struct Uses {
    memories: Vec<Arc<DeviceMemory>>,
    events: Vec<Arc<event::Handle>>,
    /// Numbers of page-locked memory: whoever launches the graph must give it.
    host: Vec<u64>,
}

impl Uses {
    pub(super) fn memory(&mut self, memory: &Arc<DeviceMemory>) {
        if !self.memories.iter().any(|m| Arc::ptr_eq(m, memory)) {
            self.memories.push(Arc::clone(memory));
        }
    }

    pub(super) fn event(&mut self, event: &Arc<event::Handle>) {
        self.events.push(Arc::clone(event));
    }

    pub(super) fn host(&mut self, id: u64) {
        if !self.host.contains(&id) {
            self.host.push(id);
        }
    }
}

/// Copies, fills, launches and events that run as one, with the memory and the kernels that they use.
///
/// It does not hold what other code enqueued while it was captured: that must outlive it.
#[derive(Debug)]
pub struct Graph {
    exec: sys::CUgraphExec,
    device: Arc<Device>,
    progress: Arc<Progress>,
    uses: Uses,
    _modules: Modules,
}

// SAFETY: a graph is launched through its stream, by one thread at a time; the driver keeps it for
// launches that run -> the driver's manual -> cuda_device: a_graph_does_what_was_captured.
unsafe impl Send for Graph {}

impl Stream {
    /// Records what is enqueued into a graph instead of running it.
    ///
    /// Waiting has no place in it. Copies keep the addresses and sizes that they have now. Kernels must
    /// be those of `modules`, and the addresses in their parameters those of `arena`.
    ///
    /// **Errors**: those of `work`, and the driver's. **Allocation**: the driver's and ours.
    pub fn capture(
        &mut self,
        modules: &Modules,
        arena: &Arena,
        work: impl FnOnce(&mut Self) -> Result<(), DeviceFault>,
    ) -> Result<Graph, DeviceFault> {
        self.check_not_capturing()?;
        if !arena.is_of(&self.device) || !modules.is_of(&self.device) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let raw = self.raw;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is live -> `self` -> cuda_device: a_graph_does_what_was_captured.
        self.device.call(|| unsafe { result::stream::begin_capture(raw, mode) })?;
        let mut uses = Uses::default();
        uses.memory(arena.memory());
        self.capturing = Some(uses);
        let worked = work(self);
        let uses = self.capturing.take().unwrap_or_default();
        // SAFETY: as before, and it is capturing -> above; ended also where the work failed.
        let graph = self.device.call(|| unsafe { result::stream::end_capture(raw) });
        let graph = match (worked, graph) {
            (Ok(()), Ok(graph)) if !graph.is_null() => graph,
            (worked, graph) => {
                if let Ok(graph) = graph
                    && !graph.is_null()
                {
                    // SAFETY: made by the capture, and used by nobody else -> above -> the same test.
                    self.device.give_back(|| unsafe { result::graph::destroy(graph) });
                }
                worked?;
                return Err(graph.err().unwrap_or(DeviceFault { code: 901 }));
            }
        };
        let flags = sys::CUgraphInstantiate_flags_enum(0);
        // SAFETY: a graph that was just made, destroyed once after it was instantiated, which the
        // driver permits -> above -> the same test.
        let exec = self.device.call(|| unsafe { result::graph::instantiate(graph, flags) });
        // SAFETY: as before.
        self.device.give_back(|| unsafe { result::graph::destroy(graph) });
        Ok(Graph {
            exec: exec?,
            device: Arc::clone(&self.device),
            progress: Arc::clone(&self.progress),
            uses,
            _modules: modules.clone(),
        })
    }

    /// Enqueues a graph of this stream. `host` is the page-locked memory that it copies from and to:
    /// nobody sees it until the graph is done.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for a graph of another stream, or where memory that
    /// it uses is not given; and the driver's. **Allocation**: none.
    pub fn launch_graph(&mut self, graph: &Graph, host: &mut [Lent<'_>]) -> Result<(), DeviceFault> {
        self.check_not_capturing()?;
        let is_given = |id: &u64| host.iter().any(|lent| lent.id == *id);
        if !Arc::ptr_eq(&graph.progress, &self.progress) || !graph.uses.host.iter().all(is_given) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let ticket = self.draw_ticket();
        for lent in host {
            *lent.busy_until = ticket;
        }
        let (exec, raw) = (graph.exec, self.raw);
        // SAFETY: both are live and of one context; kernels, events and device memory live as long as
        // the graph, and host memory is seen by nobody until the ticket is done -> `Graph`, `Lent`
        // -> cuda_device: a_graph_does_what_was_captured, host_memory_of_a_graph_must_be_lent.
        self.device.call(|| unsafe { result::graph::launch(exec, raw) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let exec = self.exec;
        self.device.settle();
        // SAFETY: made by `Stream::capture`, destroyed here only, and it does not run -> `settle`
        // -> cuda_device: a_graph_does_what_was_captured.
        self.device.give_back(|| unsafe { result::graph::exec_destroy(exec) });
    }
}
