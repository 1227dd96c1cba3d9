//! Allocations: how often a thread asked Rust's allocator for memory.
//!
//! The network engine's own memory comes from the C allocator and is not counted here.

#![allow(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Constant and without a destructor, so that counting neither allocates nor fails early.
    static N_ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a counter a thread.
pub(crate) struct Counting;

/// Allocations and reallocations of this thread so far.
pub(crate) fn n_of_this_thread() -> u64 {
    N_ALLOCATIONS.try_with(Cell::get).unwrap_or(0)
}

fn count() {
    // Nothing to do at a thread's very end.
    let _ = N_ALLOCATIONS.try_with(|n| n.set(n.get().wrapping_add(1)));
}

// SAFETY: every call is passed on to the system's allocator as it came -> `System` -> the test below.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on -> the caller -> the test below.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on -> the caller -> the test below.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on -> the caller -> the test below.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on -> the caller -> the test below.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn every_way_to_allocate_is_counted_in_its_own_thread_only() {
        let before = n_of_this_thread();
        let one = black_box(Box::new(7_u64));
        assert_eq!(n_of_this_thread() - before, 1, "alloc");
        let zeros = black_box(vec![0_u8; 4096]);
        assert_eq!(n_of_this_thread() - before, 2, "alloc_zeroed");
        let mut grown: Vec<u64> = black_box(Vec::with_capacity(1));
        grown.extend(black_box([1; 100]));
        assert_eq!(n_of_this_thread() - before, 4, "alloc and realloc");
        drop((one, zeros, grown));
        assert_eq!(n_of_this_thread() - before, 4, "freeing is not counted");
        let before = n_of_this_thread();
        black_box(1 + black_box(1));
        assert_eq!(n_of_this_thread(), before, "nothing was allocated");
        let elsewhere = std::thread::spawn(|| {
            let before = n_of_this_thread();
            black_box(vec![1_u8; 10]);
            n_of_this_thread() - before
        });
        let before = n_of_this_thread();
        while !elsewhere.is_finished() {
            std::hint::spin_loop();
        }
        assert_eq!(n_of_this_thread(), before, "another thread's allocation was counted here");
        assert_eq!(elsewhere.join().unwrap(), 1);
    }
}
