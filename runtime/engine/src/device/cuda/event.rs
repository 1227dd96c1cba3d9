//! Event: marks in a stream, and the time between them.

use super::context::Device;
use super::fault::DeviceFault;
use super::stream::{Progress, Stream};
use crate::error::BuildError;
use cudarc::driver::{result, sys};
use std::sync::Arc;

/// `CU_EVENT_RECORD_EXTERNAL` of `cuda.h`: a captured record becomes a node of the graph, so that the
/// event can be asked after each of its launches.
const RECORD_EXTERNAL: u32 = 1;

/// A mark in a stream, and the time at which the device reached it.
#[derive(Debug)]
pub struct Event {
    handle: Arc<Handle>,
    progress: Arc<Progress>,
    ticket: u64,
}

/// The driver's event; graphs that record it hold a share.
#[derive(Debug)]
pub(super) struct Handle {
    raw: sys::CUevent,
    device: Arc<Device>,
}

// SAFETY: an event may be used by every thread with its context current -> the driver's manual
// -> cuda_device: one_device_serves_two_threads.
unsafe impl Send for Handle {}
// SAFETY: as for `Send`.
unsafe impl Sync for Handle {}

impl Stream {
    /// An event of this stream.
    ///
    /// **Errors**: a driver that makes none.
    pub fn event(&self) -> Result<Event, BuildError> {
        let raw = self.device.call(|| result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT));
        let raw = raw.map_err(|f| f.while_building("make an event"))?;
        let handle = Arc::new(Handle { raw, device: Arc::clone(&self.device) });
        Ok(Event { handle, progress: Arc::clone(&self.progress), ticket: 0 })
    }

    /// Enqueues that an event notes when everything before it is done; inside of [`Stream::capture`],
    /// each time that the graph comes there.
    ///
    /// **Errors**: [`DeviceFault::INVALID_HANDLE`] for an event of another stream, and the driver's.
    pub fn record(&mut self, event: &mut Event) -> Result<(), DeviceFault> {
        if !Arc::ptr_eq(&event.progress, &self.progress) {
            return Err(DeviceFault::INVALID_HANDLE);
        }
        let (event_raw, raw) = (event.handle.raw, self.raw);
        if let Some(uses) = &mut self.capturing {
            uses.event(&event.handle);
            // SAFETY: both are live and of one context; the graph holds the event -> `Event`, `Uses`
            // -> cuda_device: events_in_a_graph_measure_each_launch.
            return self
                .device
                .call(|| unsafe { sys::cuEventRecordWithFlags(event_raw, raw, RECORD_EXTERNAL).result() });
        }
        // SAFETY: both are live and of one context -> `Event`, above -> cuda_device: events_measure_what_is_between_them.
        self.device.call(|| unsafe { result::event::record(event_raw, raw) })?;
        event.ticket = self.ticket;
        Ok(())
    }
}

impl Event {
    /// Waits until the device has reached it; at once where it was never recorded.
    ///
    /// **Errors**: the driver's, those of the work before it included.
    pub fn wait(&self) -> Result<(), DeviceFault> {
        let raw = self.handle.raw;
        // SAFETY: the event is live -> `self` -> cuda_device: an_event_lets_host_memory_go.
        self.handle.device.call(|| unsafe { result::event::synchronize(raw) })?;
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
        let (start, end) = (since.handle.raw, self.handle.raw);
        // SAFETY: both are live and of one stream -> above -> cuda_device: events_measure_what_is_between_them.
        let ms = self.handle.device.call(|| unsafe { result::event::elapsed(start, end) })?;
        Ok((f64::from(ms) * 1e6) as u64)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let raw = self.raw;
        // SAFETY: made by `Stream::event`, destroyed here only; the driver permits it before the
        // device has reached it -> the driver's manual -> cuda_device: devices_come_and_go.
        self.device.give_back(|| unsafe { result::event::destroy(raw) });
    }
}
