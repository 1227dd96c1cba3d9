//! Stream: the one queue of copies, fills and launches.
//!
//! **Allocation**: none in anything that takes `&mut Stream`, but for [`Stream::capture`] and what is
//! called inside of it.

use super::arena::{Arena, Slot, Span};
use super::context::Device;
use super::fault::DeviceFault;
use super::graph::Uses;
use super::module::Kernel;
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

    pub(super) fn advance(&self, ticket: u64) {
        self.done.fetch_max(ticket, Ordering::Release);
    }
}

/// A queue of work on a device, in order.
#[derive(Debug)]
pub struct Stream {
    pub(super) raw: sys::CUstream,
    pub(super) device: Arc<Device>,
    pub(super) progress: Arc<Progress>,
    pub(super) ticket: u64,
    /// What the graph uses that is being captured.
    pub(super) capturing: Option<Uses>,
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
        Ok(Self { raw, device, progress: Arc::default(), ticket: 0, capturing: None })
    }

    /// Its device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Enqueues a copy of `from[range]` to the values of `to` that start at index `at`.
    ///
    /// **Errors**: [`DeviceFault::INVALID_VALUE`] for a range past an end,
    /// [`DeviceFault::INVALID_HANDLE`] for memory of another stream or device, and the driver's.
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
        self.note_copy(arena, from);
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
        self.note_copy(arena, to);
        // SAFETY: both ranges are checked above; the host's stays where it is, and nobody looks at
        // it until the ticket is done -> `Pinned` -> cuda_device: copies_go_there_and_back,
        // values_are_not_seen_while_they_are_copied.
        self.device.call(|| unsafe { sys::cuMemcpyDtoHAsync_v2(host.cast(), address, n_bytes, raw).result() })
    }

    /// Enqueues a copy within the device's memory.
    ///
    /// **Errors**: [`DeviceFault::INVALID_VALUE`] for ranges of two sizes,
    /// [`DeviceFault::INVALID_HANDLE`] for memory of another device, and the driver's.
    pub fn copy(&mut self, from: &Span, to: &Span) -> Result<(), DeviceFault> {
        if !from.is_of(&self.device) || !to.is_of(&self.device) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        if from.n_bytes() != to.n_bytes() {
            return Err(DeviceFault::INVALID_VALUE);
        }
        if let Some(uses) = &mut self.capturing {
            uses.memory(from.memory());
            uses.memory(to.memory());
        }
        if from.n_bytes() == 0 {
            return Ok(());
        }
        let (from_address, to_address, n_bytes, raw) = (from.address(), to.address(), to.n_bytes(), self.raw);
        // SAFETY: spans lie within their arenas, which live until the stream is idle (`DeviceMemory`
        // settles first) or as long as the graph -> `Arena::span`, `Uses`
        // -> cuda_device: spans_are_copied_within_the_device.
        self.device
            .call(|| unsafe { sys::cuMemcpyDtoDAsync_v2(to_address, from_address, n_bytes, raw).result() })
    }

    /// Lets other code enqueue on this stream: it is called with the device current in this thread and
    /// with the driver's handle of the stream (a `CUstream`, which is a `cudaStream_t` too).
    ///
    /// A fault that it answers with is remembered as one of the driver's.
    ///
    /// **Errors**: those of `work`, and the driver's.
    pub fn enqueue_foreign(
        &mut self,
        work: impl FnOnce(*mut c_void) -> Result<(), DeviceFault>,
    ) -> Result<(), DeviceFault> {
        self.device.make_current()?;
        work(self.raw.cast()).map_err(|fault| self.device.note(fault))
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
        if let Some(uses) = &mut self.capturing {
            uses.memory(arena.memory());
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

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    pub(super) fn draw_ticket(&mut self) -> u64 {
        self.ticket += 1;
        self.ticket
    }

    /// Notes that a copy uses host memory: now, or whenever the graph runs that is being captured.
    fn note_copy<T: Plain>(&mut self, arena: &Arena, memory: &mut Pinned<T>) {
        match &mut self.capturing {
            Some(uses) => {
                uses.host(memory.id());
                uses.memory(arena.memory());
            }
            None => memory.mark_busy(self.draw_ticket()),
        }
    }

    pub(super) fn check_not_capturing(&self) -> Result<(), DeviceFault> {
        if self.capturing.is_some() { Err(DeviceFault::CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }

    fn check_host_memory<T: Plain>(&self, memory: &Pinned<T>) -> Result<(), DeviceFault> {
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
