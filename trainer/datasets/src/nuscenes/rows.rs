//! The rows of nuScenes' tables as they are written, field by field, and the tokens that tie them together.
//!
//! **Units and frame**: metres; a rotation is a unit quaternion w, x, y, z; a time is in microseconds.

use pilotis_runtime::package::sha256_hex;
use serde::{Deserialize, Serialize};

/// A row of one of the tables.
pub trait Row: Serialize {
    /// The table's name; its file is `TABLE.json`.
    const TABLE: &'static str;
}

/// The token of a row: 32 hex digits that follow from a seed, the table and the row's numbers.
pub fn token(seed: u64, table: &str, indices: &[u64]) -> String {
    let mut digits = sha256_hex(format!("{seed} {table} {indices:?}").as_bytes());
    digits.truncate(32);
    digits
}

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident in $table:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Serialize, Deserialize)]
            #[allow(missing_docs, reason = "nuScenes' own schema says what a column is")]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

            impl Row for $name {
                const TABLE: &'static str = $table;
            }
        )*
    };
}

rows! {
    /// A property that an instance has at one time.
    AttributeRow in "attribute" { token: String, name: String, description: String, }

    /// Where a sensor sits on the car.
    CalibratedSensorRow in "calibrated_sensor" {
        token: String,
        sensor_token: String,
        translation: [f64; 3],
        rotation: [f64; 4],
        /// Empty: there is no camera.
        camera_intrinsic: Vec<[f64; 3]>,
    }

    /// A kind of object.
    CategoryRow in "category" { token: String, name: String, description: String, }

    /// Where the car is at the time of a sweep.
    EgoPoseRow in "ego_pose" {
        token: String,
        timestamp: u64,
        rotation: [f64; 4],
        translation: [f64; 3],
    }

    /// One thing, over the whole of its scene.
    InstanceRow in "instance" {
        token: String,
        category_token: String,
        nbr_annotations: u64,
        first_annotation_token: String,
        last_annotation_token: String,
    }

    /// Where a drive comes from.
    LogRow in "log" {
        token: String,
        logfile: String,
        vehicle: String,
        date_captured: String,
        location: String,
    }

    /// A picture of the ground, and the logs it belongs to.
    MapRow in "map" { token: String, category: String, filename: String, log_tokens: Vec<String>, }

    /// A key frame.
    SampleRow in "sample" {
        token: String,
        timestamp: u64,
        prev: String,
        next: String,
        scene_token: String,
    }

    /// The box of an instance at a key frame, in the global frame.
    SampleAnnotationRow in "sample_annotation" {
        token: String,
        sample_token: String,
        instance_token: String,
        visibility_token: String,
        attribute_tokens: Vec<String>,
        /// Geometric centre.
        translation: [f64; 3],
        /// Width, length, height.
        size: [f64; 3],
        rotation: [f64; 4],
        prev: String,
        next: String,
        num_lidar_pts: u64,
        num_radar_pts: u64,
    }

    /// A sweep.
    SampleDataRow in "sample_data" {
        token: String,
        /// The key frame it is, or the one it comes before.
        sample_token: String,
        ego_pose_token: String,
        calibrated_sensor_token: String,
        timestamp: u64,
        fileformat: String,
        is_key_frame: bool,
        height: u64,
        width: u64,
        filename: String,
        prev: String,
        next: String,
    }

    /// A drive.
    SceneRow in "scene" {
        token: String,
        log_token: String,
        nbr_samples: u64,
        first_sample_token: String,
        last_sample_token: String,
        name: String,
        description: String,
    }

    /// A kind of sensor.
    SensorRow in "sensor" { token: String, channel: String, modality: String, }

    /// How much of an object was seen.
    VisibilityRow in "visibility" { token: String, level: String, description: String, }
}
