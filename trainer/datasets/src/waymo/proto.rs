//! The protobuf messages of version 1 that are read, as structs.
//!
//! Fields are numbered as in `dataset.proto` and `label.proto`; what is not needed, the images above all, is left out
//! and skipped. Proto2: scalars have presence.

pub(super) use super::label::Label;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Frame {
    #[prost(message, optional, tag = "1")]
    pub(super) context: Option<Context>,
    #[prost(int64, optional, tag = "2")]
    pub(super) timestamp_micros: Option<i64>,
    #[prost(message, optional, tag = "3")]
    pub(super) pose: Option<Transform>,
    #[prost(message, repeated, tag = "5")]
    pub(super) lasers: Vec<Laser>,
    #[prost(message, repeated, tag = "6")]
    pub(super) laser_labels: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Context {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(message, repeated, tag = "3")]
    pub(super) laser_calibrations: Vec<LaserCalibration>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LaserCalibration {
    #[prost(int32, optional, tag = "1")]
    pub(super) name: Option<i32>,
    #[prost(double, repeated, packed = "false", tag = "2")]
    pub(super) beam_inclinations: Vec<f64>,
    #[prost(double, optional, tag = "3")]
    pub(super) beam_inclination_min: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub(super) beam_inclination_max: Option<f64>,
    #[prost(message, optional, tag = "5")]
    pub(super) extrinsic: Option<Transform>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Transform {
    #[prost(double, repeated, packed = "false", tag = "1")]
    pub(super) transform: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Laser {
    #[prost(int32, optional, tag = "1")]
    pub(super) name: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) ri_return1: Option<RangeImage>,
    #[prost(message, optional, tag = "3")]
    pub(super) ri_return2: Option<RangeImage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RangeImage {
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) range_image_compressed: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) range_image_pose_compressed: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MatrixFloat {
    #[prost(float, repeated, tag = "1")]
    pub(super) data: Vec<f32>,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<MatrixShape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MatrixShape {
    #[prost(int32, repeated, packed = "false", tag = "1")]
    pub(super) dims: Vec<i32>,
}
