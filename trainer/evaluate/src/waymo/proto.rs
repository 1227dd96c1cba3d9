//! The protobuf messages of `metrics.Objects` that the metric reads, as structs.
//!
//! Fields are numbered as in `metrics.proto` and `label.proto`; what is not needed is left out, and skipped in
//! files. Proto2: scalars have presence.

use prost::Message;

/// Number of the field `objects` in `Objects`.
pub(super) const OBJECTS_TAG: u32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Object {
    #[prost(message, optional, tag = "1")]
    pub(super) object: Option<Label>,
    #[prost(float, optional, tag = "2", default = "1.0")]
    pub(super) score: Option<f32>,
    #[prost(bool, optional, tag = "3")]
    pub(super) overlap_with_nlz: Option<bool>,
    #[prost(string, optional, tag = "4")]
    pub(super) context_name: Option<String>,
    #[prost(int64, optional, tag = "5")]
    pub(super) frame_timestamp_micros: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(message, optional, tag = "1")]
    pub(super) bbox: Option<LabelBox>,
    #[prost(int32, optional, tag = "3")]
    pub(super) object_type: Option<i32>,
    #[prost(string, optional, tag = "4")]
    pub(super) id: Option<String>,
    #[prost(int32, optional, tag = "5")]
    pub(super) detection_difficulty_level: Option<i32>,
    #[prost(int32, optional, tag = "7")]
    pub(super) num_lidar_points_in_box: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct LabelBox {
    #[prost(double, optional, tag = "1")]
    pub(super) center_x: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub(super) center_y: Option<f64>,
    #[prost(double, optional, tag = "3")]
    pub(super) center_z: Option<f64>,
    #[prost(double, optional, tag = "5")]
    pub(super) length: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub(super) width: Option<f64>,
    #[prost(double, optional, tag = "6")]
    pub(super) height: Option<f64>,
    #[prost(double, optional, tag = "7")]
    pub(super) heading: Option<f64>,
}
