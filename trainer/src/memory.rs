//! Memory: how the binary keeps what it has freed.

#![allow(unsafe_code, reason = "asking the C library's allocator")]

/// Asks the allocator to keep freed buffers for the next batch: given back, each of their pages is
/// mapped and cleared again, a tenth of the time of a training step.
///
/// Only glibc is asked; elsewhere this does nothing.
pub(crate) fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, n_bytes) in
        [(libc::M_MMAP_THRESHOLD, 1 << 30), (libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_TOP_PAD, 64 << 20)]
    {
        // SAFETY: takes two numbers and is called while no other thread runs -> first in `main` ->
        // every run of the binary. What the library refuses stays as it was.
        let _ = unsafe { libc::mallopt(parameter, n_bytes) };
    }
}
