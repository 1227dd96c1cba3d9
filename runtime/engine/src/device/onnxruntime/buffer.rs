//! Memory for tensors.

use crate::error::{BuildError, BuildErrorKind};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Values at an address that never moves, aligned for every vector unit, zero at first.
pub(super) struct Buffer {
    pub(super) ptr: NonNull<f32>,
    len: usize,
    layout: Layout,
}

impl Buffer {
    /// From here on a buffer is worth huge pages.
    const LARGE_BYTES: usize = 4 << 20;
    const HUGE_PAGE_BYTES: usize = 2 << 20;
    const ALIGN_BYTES: usize = 64;

    pub(super) fn zeroed(len: usize) -> Result<Self, BuildError> {
        let too_large =
            || BuildError::new(BuildErrorKind::Native, format!("no memory for a tensor of {len} values"));
        let bytes = len.max(1).checked_mul(size_of::<f32>()).ok_or_else(too_large)?;
        let is_large = bytes >= Self::LARGE_BYTES;
        let align = if is_large { Self::HUGE_PAGE_BYTES } else { Self::ALIGN_BYTES };
        let layout = Layout::from_size_align(bytes, align).map_err(|_| too_large())?;
        // SAFETY: the layout's size is not 0 -> `max(1)` above -> head: a_buffer_is_aligned_and_zero.
        let ptr = unsafe { alloc_zeroed(layout) };
        let ptr = NonNull::new(ptr.cast::<f32>()).ok_or_else(too_large)?;
        if is_large {
            // A canvas is swept end to end each frame: fewer, larger pages miss the TLB less. It
            // is advice; where the kernel refuses, nothing is lost.
            // SAFETY: the range is whole pages inside the allocation, and the advice keeps its
            // contents -> alignment and rounding down -> head: a_buffer_is_aligned_and_zero.
            #[cfg(target_os = "linux")]
            unsafe {
                let whole = bytes / Self::HUGE_PAGE_BYTES * Self::HUGE_PAGE_BYTES;
                libc::madvise(ptr.as_ptr().cast(), whole, libc::MADV_HUGEPAGE);
            }
        }
        let mut buffer = Self { ptr, len, layout };
        // Touches every page now, so that no frame is the first to.
        buffer.as_mut_slice().fill(0.0);
        Ok(buffer)
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: `len` initialised values, borrowed with the buffer; the library writes them only
        // inside `Session::run`, which borrows it mutably -> `zeroed` -> every test of the head.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`, and the borrow is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated by `zeroed` with this layout, freed here only -> head: sessions_come_and_go.
        unsafe { dealloc(self.ptr.as_ptr().cast(), self.layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_zero() {
        for (len, align) in [(1, 64), (1000, 64), (3 << 20, 2 << 20)] {
            let mut buffer = Buffer::zeroed(len).unwrap();
            assert_eq!(buffer.ptr.as_ptr().addr() % align, 0, "{len}");
            assert!(buffer.as_slice().iter().all(|v| v.to_bits() == 0));
            buffer.as_mut_slice()[len - 1] = 1.0;
            assert_eq!(buffer.as_slice()[len - 1].to_bits(), 1.0_f32.to_bits());
        }
        assert_eq!(Buffer::zeroed(usize::MAX).err().unwrap().kind(), BuildErrorKind::Native);
        assert_eq!(Buffer::zeroed(usize::MAX / 8).err().unwrap().kind(), BuildErrorKind::Native);
    }
}
