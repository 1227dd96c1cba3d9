//! Ops: what training spends its time in, written for the CPU.
//!
//! Burn's own operations compute the same and stay in use on other devices; these are for tensors
//! of its `flex` backend in `f32`.

mod conv;
mod lanes;
mod packing;
mod slices;
mod tiles;

pub(crate) use conv::conv3x3;
