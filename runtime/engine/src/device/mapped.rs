//! A file mapped read-only, whose bytes can be copied out but never be touched directly.
//!
//! A mapping of a file that another process cuts short kills whoever touches the lost pages
//! (`SIGBUS`). Pilotis must outlive that, so no reference into the mapping ever leaves this
//! module: the kernel copies the bytes on our behalf and reports what is gone as an error.

#![allow(unsafe_code, reason = "mapping a file and asking the kernel to copy out of the mapping")]

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Bytes that a mapped file had once and has no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the file has {len_bytes} bytes, of which byte {needed_bytes} was to be read")]
pub struct Vanished {
    /// Length that the file would need for the copy.
    pub needed_bytes: u64,
    /// Length that the file has now (that it had when mapped, where the copy asked for more).
    pub len_bytes: u64,
}

/// A regular file, mapped read-only as long as this value lives.
#[derive(Debug)]
pub struct MappedFile {
    file: File,
    // No `&[u8]` is ever made of it; see the module's words.
    map: Option<Mmap>,
    n_bytes: usize,
    use_pread: AtomicBool,
}

impl MappedFile {
    /// The mapping of an open regular file; an empty file needs none.
    ///
    /// **Errors**: what the operating system says; a file longer than the address space.
    pub fn new(file: File) -> io::Result<Self> {
        let n_bytes = usize::try_from(file.metadata()?.len())
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the file exceeds the address space"))?;
        let map = if n_bytes == 0 {
            None
        } else {
            // SAFETY: a mapping must not be changed or cut while a reference into it lives ->
            // this module makes no such reference, only the kernel reads the range ->
            // `a_file_cut_while_mapped_is_an_error_every_time`, `cutting_while_reading_never_kills`.
            Some(unsafe { memmap2::MmapOptions::new().len(n_bytes).map(&file)? })
        };
        Ok(Self { file, map, n_bytes, use_pread: AtomicBool::new(cfg!(not(target_os = "linux"))) })
    }

    /// Bytes of the file when it was mapped.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// The same file, read by `pread` instead of out of the mapping: for comparison.
    pub fn without_map(self) -> Self {
        self.use_pread.store(true, Ordering::Relaxed);
        self
    }

    /// Whether copies go by `pread`, because `process_vm_readv` is not permitted here.
    pub fn reads_by_pread(&self) -> bool {
        self.use_pread.load(Ordering::Relaxed)
    }

    /// Fills `dst` with the bytes from `offset` on.
    ///
    /// A file that is cut and grown back between two calls is not noticed: its new bytes are
    /// read. Clouds are to be written aside and renamed.
    ///
    /// **Errors**: [`Vanished`] where the file no longer has those bytes, or where they lie
    /// beyond [`MappedFile::n_bytes`]; `dst` then holds anything.
    /// **Allocation**: none.
    pub fn copy_to(&self, offset: usize, dst: &mut [u8]) -> Result<(), Vanished> {
        let end = offset.saturating_add(dst.len());
        if end > self.n_bytes {
            return Err(Vanished { needed_bytes: end as u64, len_bytes: self.n_bytes as u64 });
        }
        if dst.is_empty() {
            return Ok(());
        }
        let is_copied = match (self.reads_by_pread(), &self.map) {
            (false, Some(map)) => match copy_out_of(map, offset, dst) {
                Copied::All => true,
                Copied::NotAll => false,
                Copied::NotPermitted => {
                    self.use_pread.store(true, Ordering::Relaxed);
                    self.file.read_exact_at(dst, offset as u64).is_ok()
                }
            },
            _ => self.file.read_exact_at(dst, offset as u64).is_ok(),
        };
        // The rest of the page in which a file was cut reads as zeros instead of failing, so the
        // length is asked for after the copy.
        let len_bytes = self.file.metadata().map_or(0, |m| m.len());
        if is_copied && len_bytes >= end as u64 {
            return Ok(());
        }
        Err(Vanished { needed_bytes: end as u64, len_bytes })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copied {
    All,
    NotAll,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the other systems use pread"))]
    NotPermitted,
}

/// Lets the kernel copy `dst.len()` bytes from `offset` of the mapping; a lost page is `NotAll`.
#[cfg(target_os = "linux")]
fn copy_out_of(map: &Mmap, offset: usize, dst: &mut [u8]) -> Copied {
    // `copy_to` has checked this; it is cheap enough to stand where the pointer is made.
    if offset.checked_add(dst.len()).is_none_or(|end| end > map.len()) {
        return Copied::NotAll;
    }
    let local = libc::iovec { iov_base: dst.as_mut_ptr().cast(), iov_len: dst.len() };
    let remote =
        libc::iovec { iov_base: map.as_ptr().wrapping_add(offset).cast_mut().cast(), iov_len: dst.len() };
    // SAFETY: the local range must be writable and unaliased -> `dst` is a unique borrow for the
    // call; the remote range must be ours, and is only read -> it lies within the mapping by the
    // check above, and pages lost from it make the call fail with EFAULT instead of a signal ->
    // `a_file_cut_while_mapped_is_an_error_every_time`.
    let n = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    if usize::try_from(n).is_ok_and(|n| n == dst.len()) {
        return Copied::All;
    }
    let refused = n < 0
        && matches!(
            io::Error::last_os_error().raw_os_error(),
            Some(libc::EPERM | libc::ENOSYS | libc::EACCES | libc::ESRCH)
        );
    if refused { Copied::NotPermitted } else { Copied::NotAll }
}

#[cfg(not(target_os = "linux"))]
fn copy_out_of(_map: &Mmap, _offset: usize, _dst: &mut [u8]) -> Copied {
    Copied::NotAll
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::atomic::AtomicU32;

    const N: usize = 3 * 4096 + 100;

    fn pattern() -> Vec<u8> {
        (0..N).map(|i| (i * 7 % 251) as u8).collect()
    }

    fn mapped() -> (tempfile::NamedTempFile, MappedFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&pattern()).unwrap();
        let mapped = MappedFile::new(file.reopen().unwrap()).unwrap();
        (file, mapped)
    }

    #[test]
    fn both_ways_of_copying_yield_the_bytes_of_the_file() {
        for by_pread in [false, true] {
            let (_file, mapped) = mapped();
            let mapped = if by_pread { mapped.without_map() } else { mapped };
            for (offset, n) in [(0, N), (0, 1), (N - 1, 1), (4095, 2), (N, 0), (17, 8192)] {
                let mut dst = vec![0; n];
                mapped.copy_to(offset, &mut dst).unwrap();
                assert_eq!(dst, pattern()[offset..offset + n]);
            }
        }
    }

    #[test]
    fn copies_beyond_the_mapped_length_are_refused() {
        let (_file, mapped) = mapped();
        let error = mapped.copy_to(N - 1, &mut [0; 2]).unwrap_err();
        assert_eq!(error, Vanished { needed_bytes: N as u64 + 1, len_bytes: N as u64 });
        assert!(mapped.copy_to(usize::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mapped = MappedFile::new(file.reopen().unwrap()).unwrap();
        assert_eq!(mapped.n_bytes(), 0);
        mapped.copy_to(0, &mut []).unwrap();
        assert!(mapped.copy_to(0, &mut [0]).is_err());
    }

    #[test]
    fn a_file_cut_while_mapped_is_an_error_every_time() {
        for by_pread in [false, true] {
            for round in 0..200_usize {
                let (file, mapped) = mapped();
                let mapped = if by_pread { mapped.without_map() } else { mapped };
                let cut = N - 1 - round * 61 % N; // the last page included, whose rest reads as zeros
                file.as_file().set_len(cut as u64).unwrap();
                let mut dst = vec![0; N];
                let error = mapped.copy_to(0, &mut dst).unwrap_err();
                assert_eq!(error, Vanished { needed_bytes: N as u64, len_bytes: cut as u64 });
                // What is left can still be read.
                mapped.copy_to(0, &mut dst[..cut]).unwrap();
                assert_eq!(dst[..cut], pattern()[..cut]);
            }
        }
    }

    #[test]
    fn cutting_while_reading_never_kills() {
        let (file, mapped) = mapped();
        let n_good = AtomicU32::new(0);
        let n_lost = AtomicU32::new(0);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut dst = vec![0; N];
                while !is_done.load(Ordering::Relaxed) {
                    let counter = if mapped.copy_to(0, &mut dst).is_ok() { &n_good } else { &n_lost };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
            // Until both outcomes were met, or it is plain that they will not be.
            for round in 0..200_000_u64 {
                file.as_file().set_len(round * 37 % 4096).unwrap();
                file.as_file().set_len(N as u64).unwrap();
                let (good, lost) = (n_good.load(Ordering::Relaxed), n_lost.load(Ordering::Relaxed));
                if round > 2000 && good > 50 && lost > 50 {
                    break;
                }
            }
            is_done.store(true, Ordering::Relaxed);
        });
        assert!(n_lost.load(Ordering::Relaxed) > 0, "the file was never caught cut");
    }
}
