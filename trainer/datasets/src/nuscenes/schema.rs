//! The rows of the thirteen tables, their references resolved.
//!
//! **Units and frame**: times in microseconds, lengths in metres, rotations as quaternions `w, x, y, z` as they are
//! written, unnormalised. A frame's pose says where it lies in the frame around it: `p_outer = R p + t`.
//!
//! **Source**: nuscenes-devkit, `docs/schema_nuscenes.md`.

use super::Token;
use super::table::{Id, N_TABLES, Row};

macro_rules! rows {
    ($($number:literal $row:ident $name:literal)*) => {
        $(impl Row for $row {
            const NUMBER: usize = $number;
            const NAME: &'static str = $name;

            fn token(&self) -> &Token {
                &self.token
            }
        })*

        /// Names of the tables, each at its number.
        pub(super) const TABLE_NAMES: [&str; N_TABLES] = {
            let mut names = [""; N_TABLES];
            $(names[$number] = $name;)*
            names
        };
    };
}
rows! {
    0 Category "category"
    1 Attribute "attribute"
    2 Visibility "visibility"
    3 Sensor "sensor"
    4 CalibratedSensor "calibrated_sensor"
    5 EgoPose "ego_pose"
    6 Log "log"
    7 Scene "scene"
    8 Sample "sample"
    9 SampleData "sample_data"
    10 Instance "instance"
    11 Annotation "sample_annotation"
    12 Map "map"
}

/// A kind of object: `vehicle.car`, `human.pedestrian.adult`, ...
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// Its token.
    pub token: Token,
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: String,
    /// Its number in segmentation files, where there is one.
    pub label: Option<i64>,
}

/// A property of an object that may change: `vehicle.parked`, `pedestrian.moving`, ...
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its token.
    pub token: Token,
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: String,
}

/// How much of an object the cameras see.
#[derive(Clone, Debug, PartialEq)]
pub struct Visibility {
    /// Its token.
    pub token: Token,
    /// `v0-40`, `v40-60`, `v60-80`, `v80-100`: per cent.
    pub level: String,
    /// What it is, in words.
    pub description: String,
}

/// A kind of sensor by where it is mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Its token.
    pub token: Token,
    /// `LIDAR_TOP`, `CAM_FRONT`, ...
    pub channel: String,
    /// `lidar`, `camera` or `radar`.
    pub modality: String,
}

/// A sensor as it was mounted on one vehicle.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibratedSensor {
    /// Its token.
    pub token: Token,
    /// Which sensor it is.
    pub sensor: Id<Sensor>,
    /// Where it is on the vehicle.
    pub translation: [f64; 3],
    /// How it is turned.
    pub rotation: [f64; 4],
    /// Row by row; cameras only.
    pub camera_intrinsic: Option<[[f64; 3]; 3]>,
}

/// Where the vehicle was at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct EgoPose {
    /// Its token.
    pub token: Token,
    /// When.
    pub timestamp_us: i64,
    /// Where it is in the world.
    pub translation: [f64; 3],
    /// How it is turned.
    pub rotation: [f64; 4],
}

/// A recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Its token.
    pub token: Token,
    /// Name of the recording.
    pub logfile: String,
    /// Which vehicle.
    pub vehicle: String,
    /// `YYYY-MM-DD`.
    pub date_captured: String,
    /// Which area.
    pub location: String,
}

/// Some twenty seconds of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Its token.
    pub token: Token,
    /// `scene-0103`; what splits list.
    pub name: String,
    /// What happens.
    pub description: String,
    /// The recording it is of.
    pub log: Id<Log>,
    /// As the table states it.
    pub n_samples: u32,
    /// The first sample.
    pub first_sample: Id<Sample>,
    /// The last sample.
    pub last_sample: Id<Sample>,
}

/// A time at which everything was labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its token.
    pub token: Token,
    /// When.
    pub timestamp_us: i64,
    /// The scene it is of.
    pub scene: Id<Scene>,
    /// The one before.
    pub prev: Option<Id<Sample>>,
    /// The one after.
    pub next: Option<Id<Sample>>,
}

/// Kinds of file that sensors record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// `pcd`: points.
    Pcd,
    /// `jpg`: an image.
    Jpg,
    /// Any other.
    Other,
}

/// What one sensor recorded at one time: a sweep or an image.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleData {
    /// Its token.
    pub token: Token,
    /// The sample it is of or, between samples, the one that it is taken with.
    pub sample: Id<Sample>,
    /// Where the vehicle was.
    pub ego_pose: Id<EgoPose>,
    /// What recorded it.
    pub calibrated_sensor: Id<CalibratedSensor>,
    /// When.
    pub timestamp_us: i64,
    /// What kind of file.
    pub file_format: FileFormat,
    /// Whether its sample was labelled in it.
    pub is_key_frame: bool,
    /// Pixels; images only.
    pub height: u32,
    /// Pixels; images only.
    pub width: u32,
    /// Path below the dataset's folder.
    pub filename: String,
    /// The one before of this sensor.
    pub prev: Option<Id<SampleData>>,
    /// The one after of this sensor.
    pub next: Option<Id<SampleData>>,
}

/// One object through a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its token.
    pub token: Token,
    /// What it is.
    pub category: Id<Category>,
    /// As the table states it.
    pub n_annotations: u32,
    /// Where its chain begins.
    pub first_annotation: Id<Annotation>,
    /// Where its chain ends.
    pub last_annotation: Id<Annotation>,
}

/// The box of an object in a sample, in the world. Its attributes are [`super::Tables::attributes_of`] it.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Its token.
    pub token: Token,
    /// When.
    pub sample: Id<Sample>,
    /// Of what.
    pub instance: Id<Instance>,
    /// How much of it is seen, where that is known.
    pub visibility: Option<Id<Visibility>>,
    /// The centre.
    pub translation: [f64; 3],
    /// Width, length, height.
    pub size_wlh: [f64; 3],
    /// How it is turned.
    pub rotation: [f64; 4],
    /// The one before of this instance.
    pub prev: Option<Id<Annotation>>,
    /// The one after of this instance.
    pub next: Option<Id<Annotation>>,
    /// Points of the LiDAR's key frame inside.
    pub n_lidar_points: u32,
    /// Points of all radars inside.
    pub n_radar_points: u32,
}

/// A picture of the ground.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Its token.
    pub token: Token,
    /// `semantic_prior`.
    pub category: String,
    /// Path below the dataset's folder.
    pub filename: String,
    /// The recordings it is of. Official versions also list recordings of other versions; those are left out.
    pub logs: Vec<Id<Log>>,
}
