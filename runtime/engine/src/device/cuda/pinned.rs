//! Pinned: page-locked host memory, which the device copies from and to by itself.

use super::context::Device;
use super::fault::DeviceFault;
use super::plain::Plain;
use super::stream::{Progress, Stream};
use crate::error::BuildError;
use cudarc::driver::result;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every piece of memory has a number of its own; addresses come again.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Values in page-locked memory of the host, for the copies of one stream; zero at first.
///
/// While a copy may still run, nobody sees them: [`Pinned::as_slice`] answers with
/// [`DeviceFault::NOT_READY`] until the stream, or an event after the copy, was waited for.
#[derive(Debug)]
pub struct Pinned<T: Plain> {
    ptr: NonNull<T>,
    len: usize,
    device: Arc<Device>,
    progress: Arc<Progress>,
    id: u64,
    /// The stream's ticket of the last copy.
    busy_until: u64,
}

/// Page-locked memory that is given to the launch of a graph which copies from or to it.
#[derive(Debug)]
pub struct Lent<'a> {
    pub(super) id: u64,
    pub(super) busy_until: &'a mut u64,
}

// SAFETY: plain values at an address that never moves; whoever holds `&mut` is alone with them
// -> `Plain` -> cuda_device: one_device_serves_two_threads.
unsafe impl<T: Plain> Send for Pinned<T> {}
// SAFETY: as for `Send`; `&` only reads.
unsafe impl<T: Plain> Sync for Pinned<T> {}

impl<T: Plain> Pinned<T> {
    /// Memory for `len` values.
    ///
    /// **Errors**: a driver that has none.
    pub fn zeroed(stream: &Stream, len: usize) -> Result<Self, BuildError> {
        let device = stream.device();
        let fault = |f: DeviceFault| f.while_building(format_args!("lock {len} values of host memory"));
        let n_bytes = len.max(1).checked_mul(size_of::<T>()).ok_or(DeviceFault { code: 2 }).map_err(fault)?;
        // SAFETY: the memory is not read before the line after next has written it -> this function
        // -> cuda_device: pinned_memory_is_zero_at_first.
        let ptr = device.call(|| unsafe { result::malloc_host(n_bytes, 0) }).map_err(fault)?;
        let ptr = NonNull::new(ptr.cast::<u8>()).ok_or(DeviceFault { code: 2 }).map_err(fault)?;
        // SAFETY: `n_bytes` fresh bytes; page-locked memory is aligned to pages, and zero bytes are
        // values -> the driver; `Plain` -> the same test.
        unsafe { ptr.write_bytes(0, n_bytes) };
        let progress = Arc::clone(stream.progress());
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { ptr: ptr.cast(), len, device: Arc::clone(device), progress, id, busy_until: 0 })
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values.
    ///
    /// **Errors**: [`DeviceFault::NOT_READY`] while a copy may run; the device's fault once it
    /// is lost.
    pub fn as_slice(&self) -> Result<&[T], DeviceFault> {
        self.check_ready()?;
        // SAFETY: `len` values, initialised by `zeroed` or a copy; no copy runs, and a new one takes
        // `&mut self` -> `check_ready`, `mark_busy` -> cuda_device: values_are_not_seen_while_they_are_copied.
        Ok(unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) })
    }

    /// The values, to be written.
    ///
    /// **Errors**: as of [`Pinned::as_slice`].
    pub fn as_mut_slice(&mut self) -> Result<&mut [T], DeviceFault> {
        self.check_ready()?;
        // SAFETY: as in `as_slice`, and the borrow is the only one.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) })
    }

    /// The memory for [`Stream::launch_graph`]: nobody sees the values until the graph is done.
    pub fn lend(&mut self) -> Lent<'_> {
        Lent { id: self.id, busy_until: &mut self.busy_until }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether it was made for the stream of this progress.
    pub(super) fn is_of(&self, progress: &Arc<Progress>) -> bool {
        Arc::ptr_eq(&self.progress, progress)
    }

    /// The address of a value; past the last one, that of the end.
    pub(super) fn address_of(&mut self, idx: usize) -> *mut T {
        // SAFETY: at most one past the last value -> `min` -> cuda_device: copies_past_an_end_are_refused.
        unsafe { self.ptr.as_ptr().add(idx.min(self.len)) }
    }

    /// Says that a copy uses the values until the stream's ticket is done.
    pub(super) fn mark_busy(&mut self, ticket: u64) {
        self.busy_until = ticket;
    }

    fn check_ready(&self) -> Result<(), DeviceFault> {
        if self.progress.is_done(self.busy_until) {
            return Ok(());
        }
        self.device.check()?;
        Err(DeviceFault::NOT_READY)
    }
}

impl<T: Plain> Drop for Pinned<T> {
    fn drop(&mut self) {
        if !self.progress.is_done(self.busy_until) {
            self.device.settle();
        }
        let ptr = self.ptr.as_ptr().cast();
        // SAFETY: of `malloc_host`, freed here only, and no copy runs -> `zeroed`, `settle`
        // -> cuda_device: devices_come_and_go.
        self.device.give_back(|| unsafe { result::free_host(ptr) });
    }
}
