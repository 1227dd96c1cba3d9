//! Labels as protobuf messages: those of frames of version 1, and of files of `metrics.Objects`.
//!
//! Fields are numbered as in `label.proto`; what is not needed is left out, and skipped in files. Proto2: scalars
//! have presence.

use prost::Message;

/// `Label`: a box, and what is known of it.
#[derive(Clone, PartialEq, Message)]
pub struct Label {
    /// Where it is.
    #[prost(message, optional, tag = "1")]
    pub bbox: Option<LabelBox>,
    /// How it moves.
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Metadata>,
    /// What it is: 0 unknown, 1 vehicle, 2 pedestrian, 3 sign, 4 cyclist.
    #[prost(int32, optional, tag = "3")]
    pub object_type: Option<i32>,
    /// Its name within the segment.
    #[prost(string, optional, tag = "4")]
    pub id: Option<String>,
    /// 1 or 2; 0 unknown.
    #[prost(int32, optional, tag = "5")]
    pub detection_difficulty_level: Option<i32>,
    /// LiDAR points in the box.
    #[prost(int32, optional, tag = "7")]
    pub num_lidar_points_in_box: Option<i32>,
}

/// `Label.Box`: metres and radians.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct LabelBox {
    /// Centre.
    #[prost(double, optional, tag = "1")]
    pub center_x: Option<f64>,
    /// Centre.
    #[prost(double, optional, tag = "2")]
    pub center_y: Option<f64>,
    /// Centre.
    #[prost(double, optional, tag = "3")]
    pub center_z: Option<f64>,
    /// Along the heading.
    #[prost(double, optional, tag = "5")]
    pub length: Option<f64>,
    /// Across it.
    #[prost(double, optional, tag = "4")]
    pub width: Option<f64>,
    /// Upwards.
    #[prost(double, optional, tag = "6")]
    pub height: Option<f64>,
    /// Counter-clockwise from x.
    #[prost(double, optional, tag = "7")]
    pub heading: Option<f64>,
}

impl LabelBox {
    /// One with all its numbers: centre; length, width, height; heading.
    pub fn new([x, y, z]: [f64; 3], [length, width, height]: [f64; 3], heading: f64) -> Self {
        Self {
            center_x: Some(x),
            center_y: Some(y),
            center_z: Some(z),
            length: Some(length),
            width: Some(width),
            height: Some(height),
            heading: Some(heading),
        }
    }
}

/// `Label.Metadata`: metres a second.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Metadata {
    /// Along x.
    #[prost(double, optional, tag = "1")]
    pub speed_x: Option<f64>,
    /// Along y.
    #[prost(double, optional, tag = "2")]
    pub speed_y: Option<f64>,
    /// Along z.
    #[prost(double, optional, tag = "5")]
    pub speed_z: Option<f64>,
}
