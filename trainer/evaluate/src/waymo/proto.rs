//! The protobuf messages of `metrics.Objects` that the metric reads, as structs.
//!
//! Fields are numbered as in `metrics.proto`; a label is that of the dataset; what is not needed is left out, and skipped in
//! files. Proto2: scalars have presence.

pub(super) use pilotis_datasets::waymo::label::{Label, LabelBox};
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
