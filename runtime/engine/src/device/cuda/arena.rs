//! Arena: one allocation of device memory, in which every buffer of a frame has its place.

use super::context::Device;
use super::fault::DeviceFault;
use super::plain::Plain;
use crate::error::{BuildError, BuildErrorKind};
use cudarc::driver::{result, sys};
use pilotis_kernels::layout::DevicePtr;
use std::ops::Range;
use std::sync::Arc;

pub use super::plan::{ALIGN_BYTES, Layout, Moment, Plan, Slot};

/// Memory of a device, laid out by a plan. Clones share it.
#[derive(Clone, Debug)]
pub struct Arena {
    memory: Arc<DeviceMemory>,
    layout: Arc<Layout>,
}

/// A range of an arena's memory, which stays where it is as long as this lives.
#[derive(Clone, Debug)]
pub struct Span {
    memory: Arc<DeviceMemory>,
    address: DevicePtr,
    n_bytes: usize,
}

#[derive(Debug)]
pub(super) struct DeviceMemory {
    address: sys::CUdeviceptr,
    device: Arc<Device>,
}

impl Arena {
    /// Takes the memory that a plan needs; zero at first.
    ///
    /// **Errors**: [`BuildErrorKind::Device`] where less is free, with both numbers, before
    /// anything is allocated; and the driver's. **Allocation**: one, for everything.
    pub fn allocate(device: &Arc<Device>, plan: &Plan) -> Result<Self, BuildError> {
        let layout = plan.lay_out();
        let needed_bytes = layout.total_bytes();
        let free_bytes = device.memory()?.free_bytes;
        if needed_bytes > free_bytes {
            return Err(BuildError::new(
                BuildErrorKind::Device,
                format!(
                    "the model needs {needed_bytes} bytes of device memory, `{}` has {free_bytes} free: lower the capacities in the manifest, or end what else uses the device",
                    device.info().name
                ),
            ));
        }
        let doing = format!("take {needed_bytes} bytes of device memory");
        let fault = |f: DeviceFault| f.while_building(&doing);
        let n_bytes =
            usize::try_from(needed_bytes.max(ALIGN_BYTES)).map_err(|_| fault(DeviceFault { code: 2 }))?;
        // SAFETY: the memory is cleared just below -> this function -> cuda_device: device_memory_is_zero_at_first.
        let address = device.call(|| unsafe { result::malloc_sync(n_bytes) }).map_err(fault)?;
        let memory = Arc::new(DeviceMemory { address, device: Arc::clone(device) });
        // SAFETY: `n_bytes` bytes that were just allocated; no stream of ours is at work on them yet,
        // and the default stream is waited for -> this function -> the same test.
        let cleared = device.call(|| unsafe {
            result::memset_d8_async(address, 0, n_bytes, std::ptr::null_mut())?;
            result::ctx::synchronize()
        });
        cleared.map_err(fault)?;
        Ok(Self { memory, layout: Arc::new(layout) })
    }

    /// The address of a buffer for the parameters of kernels; 0 for a buffer of another plan.
    pub fn address<T: Plain>(&self, slot: Slot<T>) -> DevicePtr {
        self.range(slot, 0, slot.len()).unwrap_or(0)
    }

    /// A range of a buffer's values as memory that can be handed on; `None` where it goes past the end.
    pub fn span<T: Plain>(&self, slot: Slot<T>, range: Range<usize>) -> Option<Span> {
        let n = range.end.checked_sub(range.start)?;
        let address = self.range(slot, range.start, n)?;
        Some(Span { memory: Arc::clone(&self.memory), address, n_bytes: n * size_of::<T>() })
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The address of a range of a buffer's values; `None` where it goes past the end.
    pub(super) fn range<T: Plain>(&self, slot: Slot<T>, at: usize, n: usize) -> Option<DevicePtr> {
        self.layout.offset_of(slot, at, n).map(|offset| self.memory.address + offset)
    }

    /// Whether it is memory of this device.
    pub(super) fn is_of(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.memory.device, device)
    }

    pub(super) fn memory(&self) -> &Arc<DeviceMemory> {
        &self.memory
    }
}

impl Span {
    /// Its address on the device.
    pub fn address(&self) -> DevicePtr {
        self.address
    }

    /// Its size.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub(super) fn is_of(&self, device: &Arc<Device>) -> bool {
        Arc::ptr_eq(&self.memory.device, device)
    }

    pub(super) fn memory(&self) -> &Arc<DeviceMemory> {
        &self.memory
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        let address = self.address;
        self.device.settle();
        // SAFETY: of `malloc_sync`, freed here only, and nothing runs that could use it -> `settle`;
        // graphs hold a share of the memory -> cuda_device: devices_come_and_go.
        self.device.give_back(|| unsafe { result::free_sync(address) });
    }
}
