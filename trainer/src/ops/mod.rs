//! Ops: what training spends its time in, written for the CPU.
//!
//! Burn's own operations compute the same and stay in use on other devices; these are for tensors
//! of its `flex` backend in `f32`.

mod conv;
mod lanes;
mod norm;
mod packing;
mod planes;
mod slices;
mod tiles;

#[cfg(test)]
mod tests;

pub(crate) use conv::conv3x3;
pub(crate) use norm::norm_relu;

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Shape, TensorData};

/// The backend that training runs on where these operations apply.
type Training = Autodiff<Flex, NoCheckpointing>;

fn values(tensor: &FlexTensor) -> Option<&[f32]> {
    tensor.as_slice::<f32>()
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
