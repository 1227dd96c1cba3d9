//! Lanes: loops over fixed-size arrays, compiled for the vectors that the processor has.

#![allow(unsafe_code, reason = "calling functions compiled for an instruction set found at run time")]

/// Work whose body is compiled once per instruction set.
///
/// An implementation marks [`Kernel::run`] and all that it calls `#[inline(always)]`, so that they
/// become part of each compiled copy, and writes its loops over arrays of constant length.
pub(crate) trait Kernel {
    /// What the work yields.
    type Output;

    /// Does the work.
    fn run(self) -> Self::Output;
}

/// Whether multiply-adds are fused in hardware. Without, [`run`] is right but very slow.
pub(crate) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        cfg!(target_arch = "aarch64")
    }
}

/// Runs a kernel with the vectors that this processor has.
///
/// **Determinism**: every operation of a kernel is written down, fused or not, so that the bits are
/// the same whichever copy runs.
pub(crate) fn run<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if is_fast() {
        // SAFETY: needs AVX2 and FMA -> `is_fast` has just asked the processor (a cached flag) ->
        // `every_instruction_set_gives_the_same_bits`.
        return unsafe { run_avx2(kernel) };
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
