//! Stream: the one queue of copies, fills and launches, and events that measure it.
//!
//! **Allocation**: none in anything that takes `&mut Stream`, but for [`Stream::capture`].

use super::arena::{Arena, Slot};
use super::context::Device;
use super::fault::DeviceFault;
use super::module::{Kernel, Modules};
use super::pinned::Pinned;
use super::plain::Plain;
use crate::error::BuildError;
use cudarc::driver::result::stream::StreamKind;
use cudarc::driver::{result, sys};
use pilotis_kernels::layout::DeviceStruct;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a stream is known to have come: every use of host memory draws a ticket, and whoever
/// waits makes those before it done.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: AtomicU64,
}

impl Progress {
    pub(super) fn is_done(&self, ticket: u64) -> bool {
        // What the device wrote is seen after the driver's own wait, which comes before `advance`.
        self.done.load(Ordering::Acquire) >= ticket
    }

    fn advance(&self, ticket: u64) {
        self.done.fetch_max(ticket, Ordering::Release);
    }
}

/// A queue of work on a device, in order.
#[derive(Debug)]
pub struct Stream {
    raw: sys::CUstream,
    device: Arc<Device>,
    progress: Arc<Progress>,
    ticket: u64,
    is_capturing: bool,
}

// SAFETY: a stream is used by one thread at a time, through `&mut`, with its context current
// -> `Device::call` -> cuda_device: one_device_serves_two_threads.
unsafe impl Send for Stream {}

impl Stream {
    /// A stream that waits for no other stream.
    ///
    /// **Errors**: a driver that makes none.
    pub fn new(device: &Arc<Device>) -> Result<Self, BuildError> {
        let raw = device.call(|| result::stream::create(StreamKind::NonBlocking));
        let raw = raw.map_err(|f| f.while_building("make a stream"))?;
        let device = Arc::clone(device);
        Ok(Self { raw, device, progress: Arc::default(), ticket: 0, is_capturing: false })
    }

    /// Its device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Enqueues a copy of `from[range]` to the values of `to` that start at index `at`.
    ///
    /// **Errors**: [`DeviceFault::INVALID_VALUE`] for a range past an end,
    /// [`DeviceFault::INVALID_HANDLE`] for memory of another stream or device,
    /// [`DeviceFault::CAPTURE_UNSUPPORTED`] inside of [`Stream::capture`], and the driver's.
    pub fn upload<T: Plain>(
        &mut self,
        from: &mut Pinned<T>,
        range: Range<usize>,
        arena: &Arena,
        to: Slot<T>,
        at: usize,
    ) -> Result<(), DeviceFault> {
        self.check_host_memory(from)?;
        let n = range.end.checked_sub(range.start).ok_or(DeviceFault::INVALID_VALUE)?;
        if range.end > from.len() {
            return Err(DeviceFault::INVALID_VALUE);
        }
        let address = self.address_in(arena, to, at, n)?;
        if n == 0 {
            return Ok(());
        }
        let (host, n_bytes, raw) = (from.address_of(range.start), n * size_of::<T>(), self.raw);
        from.mark_busy(self.draw_ticket());
        // SAFETY: both ranges are checked above; the host's stays where it is and is written by
        // nobody until the ticket is done -> `Pinned` -> cuda_device: copies_go_there_and_back,
        // copies_past_an_end_are_refused.
        self.device.call(|| unsafe {
            sys::cuMemcpyHtoDAsync_v2(address, host.cast_const().cast(), n_bytes, raw).result()
        })
    }

    /// Enqueues a copy of `from[range]` to the values of `to` that start at index `at`.
    ///
    /// **Errors**: as of [`Stream::upload`].
    pub fn download<T: Plain>(
        &mut self,
        arena: &Arena,
        from: Slot<T>,
        range: Range<usize>,
        to: &mut Pinned<T>,
        at: usize,
    ) -> Result<(), DeviceFault> {
        self.check_host_memory(to)?;
        let n = range.end.checked_sub(range.start).ok_or(DeviceFault::INVALID_VALUE)?;
        if at.checked_add(n).is_none_or(|end| end > to.len()) {
            return Err(DeviceFault::INVALID_VALUE);
        }
        let address = self.address_in(arena, from, range.start, n)?;
        if n == 0 {
            return Ok(());
        }
        let (host, n_bytes, raw) = (to.address_of(at), n * size_of::<T>(), self.raw);
        to.mark_busy(self.draw_ticket());
        // SAFETY: both ranges are checked above; the host's stays where it is, and nobody looks at
        // it until the ticket is done -> `Pinned` -> cuda_device: copies_go_there_and_back,
        // values_are_not_seen_while_they_are_copied.
        self.device.call(|| unsafe { sys::cuMemcpyDtoHAsync_v2(host.cast(), address, n_bytes, raw).result() })
    }

    /// Enqueues that every four bytes of `slot[range]` become `value`.
    ///
    /// **Errors**: [`DeviceFault::INVALID_VALUE`] for a range past the end or of a size that is
    /// no multiple of four bytes, [`DeviceFault::INVALID_HANDLE`] for memory of another device,
    /// and the driver's.
    pub fn fill<T: Plain>(
        &mut self,
        arena: &Arena,
        slot: Slot<T>,
        range: Range<usize>,
        value: u32,
    ) -> Result<(), DeviceFault> {
        let n = range.end.checked_sub(range.start).ok_or(DeviceFault::INVALID_VALUE)?;
        let address = self.address_in(arena, slot, range.start, n)?;
        let n_bytes = n * size_of::<T>();
        if !n_bytes.is_multiple_of(4) || !address.is_multiple_of(4) {
            return Err(DeviceFault::INVALID_VALUE);
        }
        if n == 0 {
            return Ok(());
        }
        let raw = self.raw;
        // SAFETY: the range is checked above -> `Arena::range` -> cuda_device: fills_write_their_range_only.
        self.device.call(|| unsafe { sys::cuMemsetD32Async(address, value, n_bytes / 4, raw).result() })
    }

    /// Enqueues a kernel with `n_blocks` blocks of its own size; none is no launch.
    ///
    /// The addresses in `params` are those of [`Arena::address`]. Nobody checks them here: a
    /// wrong one is a fault of the device, if it is lucky.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for a kernel of another device, and the
    /// driver's.
    pub fn launch<P: DeviceStruct>(
        &mut self,
        kernel: &Kernel<P>,
        n_blocks: u32,
        params: &P,
    ) -> Result<(), DeviceFault> {
        if !kernel.is_of(&self.device) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        if n_blocks == 0 {
            return self.device.check();
        }
        let mut arguments = [ptr::from_ref(params).cast_mut().cast::<c_void>()];
        let (function, block, raw) = (kernel.function(), kernel.entry().block, self.raw);
        // SAFETY: the function is of a loaded module and takes one parameter of this size, which
        // the driver copies before it returns; what the kernel does with the addresses in it is up
        // to the stage that filled it in -> `Kernel`, checked on loading; tests of the stages under
        // the emulator's address checks -> cuda_device: a_kernel_runs_with_its_parameters.
        self.device.call(|| unsafe {
            result::launch_kernel(function, (n_blocks, 1, 1), (block, 1, 1), 0, raw, &mut arguments)
        })
    }

    /// An event of this stream.
    ///
    /// **Errors**: a driver that makes none.
    pub fn event(&self) -> Result<Event, BuildError> {
        let raw = self.device.call(|| result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT));
        let raw = raw.map_err(|f| f.while_building("make an event"))?;
        let (device, progress) = (Arc::clone(&self.device), Arc::clone(&self.progress));
        Ok(Event { raw, device, progress, ticket: 0 })
    }

    /// Enqueues that an event notes when everything before it is done.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for an event of another stream,
    /// [`DeviceFault::CAPTURE_UNSUPPORTED`] inside of [`Stream::capture`], and the driver's.
    pub fn record(&mut self, event: &mut Event) -> Result<(), DeviceFault> {
        self.check_not_capturing()?;
        if !Arc::ptr_eq(&event.progress, &self.progress) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let (event_raw, raw) = (event.raw, self.raw);
        // SAFETY: both are live and of one context -> `Event`, above -> cuda_device: events_measure_what_is_between_them.
        self.device.call(|| unsafe { result::event::record(event_raw, raw) })?;
        event.ticket = self.ticket;
        Ok(())
    }

    /// Waits until everything enqueued is done.
    ///
    /// **Errors**: [`DeviceFault::CAPTURE_UNSUPPORTED`] inside of [`Stream::capture`], and the
    /// driver's, those of the work waited for included.
    pub fn synchronize(&mut self) -> Result<(), DeviceFault> {
        self.check_not_capturing()?;
        let raw = self.raw;
        // SAFETY: the stream is live -> `self` -> cuda_device: copies_go_there_and_back.
        self.device.call(|| unsafe { result::stream::synchronize(raw) })?;
        self.progress.advance(self.ticket);
        Ok(())
    }

    /// Records fills and launches into a graph instead of running them.
    ///
    /// Copies from and to the host and events have no place in it.
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
        self.is_capturing = true;
        let worked = work(self);
        self.is_capturing = false;
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
            _modules: modules.clone(),
            _arena: arena.clone(),
        })
    }

    /// Enqueues a graph.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for a graph of another device, and the driver's.
    pub fn launch_graph(&mut self, graph: &Graph) -> Result<(), DeviceFault> {
        self.check_not_capturing()?;
        if !Arc::ptr_eq(&graph.device, &self.device) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let (exec, raw) = (graph.exec, self.raw);
        // SAFETY: both are live and of one context; the kernels and the memory of the graph live as
        // long as it -> `Graph` -> cuda_device: a_graph_does_what_was_captured.
        self.device.call(|| unsafe { result::graph::launch(exec, raw) })
    }

    /// The driver's handle, for libraries that enqueue on it.
    pub(in crate::device) fn raw(&self) -> sys::CUstream {
        self.raw
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    fn draw_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    fn check_not_capturing(&self) -> Result<(), DeviceFault> {
        if self.is_capturing { Err(DeviceFault::CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }

    fn check_host_memory<T: Plain>(&self, memory: &Pinned<T>) -> Result<(), DeviceFault> {
        self.check_not_capturing()?;
        if memory.is_of(&self.progress) { Ok(()) } else { Err(DeviceFault::INVALID_HANDLE) }
    }

    fn address_in<T: Plain>(
        &self,
        arena: &Arena,
        slot: Slot<T>,
        at: usize,
        n: usize,
    ) -> Result<sys::CUdeviceptr, DeviceFault> {
        if !arena.is_of(&self.device) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        arena.range(slot, at, n).ok_or(DeviceFault::INVALID_VALUE)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.device.settle();
        let raw = self.raw;
        // SAFETY: made by `new`, destroyed here only, with nothing left to do -> `settle`
        // -> cuda_device: devices_come_and_go.
        self.device.give_back(|| unsafe { result::stream::destroy(raw) });
    }
}

/// A mark in a stream, and the time at which the device reached it.
#[derive(Debug)]
pub struct Event {
    raw: sys::CUevent,
    device: Arc<Device>,
    progress: Arc<Progress>,
    ticket: u64,
}

// SAFETY: an event may be used by every thread with its context current -> the driver's manual
// -> cuda_device: one_device_serves_two_threads.
unsafe impl Send for Event {}

impl Event {
    /// Waits until the device has reached it; at once where it was never recorded.
    ///
    /// **Errors**: the driver's, those of the work before it included.
    pub fn wait(&self) -> Result<(), DeviceFault> {
        let raw = self.raw;
        // SAFETY: the event is live -> `self` -> cuda_device: an_event_lets_host_memory_go.
        self.device.call(|| unsafe { result::event::synchronize(raw) })?;
        self.progress.advance(self.ticket);
        Ok(())
    }

    /// Nanoseconds of the device from an earlier event to this one, to about half a microsecond.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for events of two streams or one that was not
    /// recorded, [`DeviceFault::NOT_READY`] before the device has reached both.
    pub fn elapsed_ns(&self, since: &Self) -> Result<u64, DeviceFault> {
        if !Arc::ptr_eq(&self.progress, &since.progress) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let (start, end) = (since.raw, self.raw);
        // SAFETY: both are live and of one stream -> above -> cuda_device: events_measure_what_is_between_them.
        let ms = self.device.call(|| unsafe { result::event::elapsed(start, end) })?;
        Ok((f64::from(ms) * 1e6) as u64)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let raw = self.raw;
        // SAFETY: made by `Stream::event`, destroyed here only; the driver permits it before the
        // device has reached it -> the driver's manual -> cuda_device: devices_come_and_go.
        self.device.give_back(|| unsafe { result::event::destroy(raw) });
    }
}

/// Fills and launches that run as one, with the memory and the kernels that they use.
#[derive(Debug)]
pub struct Graph {
    exec: sys::CUgraphExec,
    device: Arc<Device>,
    _modules: Modules,
    _arena: Arena,
}

// SAFETY: a graph is launched through a stream, by one thread at a time where it stands in one
// engine; the driver keeps it for launches that run -> the driver's manual
// -> cuda_device: a_graph_does_what_was_captured.
unsafe impl Send for Graph {}

impl Drop for Graph {
    fn drop(&mut self) {
        let exec = self.exec;
        self.device.settle();
        // SAFETY: made by `Stream::capture`, destroyed here only, and it does not run -> `settle`
        // -> cuda_device: a_graph_does_what_was_captured.
        self.device.give_back(|| unsafe { result::graph::exec_destroy(exec) });
    }
}
