//! Plain: values that cross the border between host and device as bytes.

use pilotis_kernels::boxes::{BoxClass, BoxDetection, BoxGroup, BoxPlane, BoxScope};
use pilotis_kernels::frame::FrameState;
use pilotis_kernels::points::{PointsChunk, SweepPart};

/// Values that may be made of any bytes and have no bytes that are not theirs.
///
/// # Safety
/// Every pattern of bits is a value, and there is no padding.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! plain {
    ($($type:ty),+ $(,)?) => {
        // SAFETY: numbers, and `repr(C)` structs of numbers without padding -> their definitions
        // -> structs_that_are_copied_have_no_padding.
        $(unsafe impl Plain for $type {})+
    };
}

plain!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, half::f16);
plain!(FrameState, PointsChunk, SweepPart, BoxPlane, BoxScope, BoxGroup, BoxClass, BoxDetection);

// SAFETY: an array has no padding between its elements -> the language -> as for its elements.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_kernels::layout::DeviceStruct;

    #[track_caller]
    fn assert_no_padding<T: DeviceStruct + Plain>() {
        let fields: usize = T::FIELDS.iter().map(|f| f.size_bytes).sum();
        assert_eq!(fields, size_of::<T>(), "{}", T::NAME);
    }

    #[test]
    fn structs_that_are_copied_have_no_padding() {
        assert_no_padding::<FrameState>();
        assert_no_padding::<PointsChunk>();
        assert_no_padding::<SweepPart>();
        assert_no_padding::<BoxPlane>();
        assert_no_padding::<BoxScope>();
        assert_no_padding::<BoxGroup>();
        assert_no_padding::<BoxClass>();
        assert_no_padding::<BoxDetection>();
    }
}
