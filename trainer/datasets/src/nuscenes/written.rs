//! The thirteen tables as they are written, and what becomes of their rows.
//!
//! Columns that only describe may be missing; those that anything is computed from must be there.

use super::Token;
use super::error::TablesError;
use super::resolve::{At, Names};
use super::schema::{
    Annotation, Attribute, CalibratedSensor, Category, EgoPose, FileFormat, Instance, Log, Map, Sample,
    SampleData, Scene, Sensor, Visibility,
};
use super::table::Row;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A row as it is written.
pub(super) trait WrittenRow: DeserializeOwned + Send + Sync {
    /// What becomes of it.
    type Row: Row;
    /// Its name.
    fn token(&self) -> &Token;

    /// The row with its references resolved.
    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<Self::Row, TablesError>;
}

macro_rules! row_of {
    ($row:ty) => {
        type Row = $row;

        fn token(&self) -> &Token {
            &self.token
        }
    };
}

#[derive(Deserialize)]
pub(super) struct CategoryRow {
    token: Token,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    index: Option<i64>,
}

impl WrittenRow for CategoryRow {
    row_of!(Category);

    fn resolve(&self, _: &Names<'_>, _: &At<'_>) -> Result<Category, TablesError> {
        Ok(Category {
            token: self.token.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            label: self.index,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct AttributeRow {
    token: Token,
    name: String,
    #[serde(default)]
    description: String,
}

impl WrittenRow for AttributeRow {
    row_of!(Attribute);

    fn resolve(&self, _: &Names<'_>, _: &At<'_>) -> Result<Attribute, TablesError> {
        Ok(Attribute {
            token: self.token.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct VisibilityRow {
    token: Token,
    level: String,
    #[serde(default)]
    description: String,
}

impl WrittenRow for VisibilityRow {
    row_of!(Visibility);

    fn resolve(&self, _: &Names<'_>, _: &At<'_>) -> Result<Visibility, TablesError> {
        Ok(Visibility {
            token: self.token.clone(),
            level: self.level.clone(),
            description: self.description.clone(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct SensorRow {
    token: Token,
    pub(super) channel: String,
    pub(super) modality: String,
}

impl WrittenRow for SensorRow {
    row_of!(Sensor);

    fn resolve(&self, _: &Names<'_>, _: &At<'_>) -> Result<Sensor, TablesError> {
        Ok(Sensor {
            token: self.token.clone(),
            channel: self.channel.clone(),
            modality: self.modality.clone(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct CalibratedSensorRow {
    token: Token,
    pub(super) sensor_token: Token,
    translation: [f64; 3],
    rotation: [f64; 4],
    #[serde(default)]
    camera_intrinsic: Vec<[f64; 3]>,
}

impl WrittenRow for CalibratedSensorRow {
    row_of!(CalibratedSensor);

    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<CalibratedSensor, TablesError> {
        Ok(CalibratedSensor {
            token: self.token.clone(),
            sensor: names.sensors.find(at, "sensor_token", &self.sensor_token)?,
            translation: self.translation,
            rotation: self.rotation,
            camera_intrinsic: self.camera_intrinsic.as_slice().try_into().ok(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct EgoPoseRow {
    token: Token,
    timestamp: i64,
    translation: [f64; 3],
    rotation: [f64; 4],
}

impl WrittenRow for EgoPoseRow {
    row_of!(EgoPose);

    fn resolve(&self, _: &Names<'_>, _: &At<'_>) -> Result<EgoPose, TablesError> {
        Ok(EgoPose {
            token: self.token.clone(),
            timestamp_us: self.timestamp,
            translation: self.translation,
            rotation: self.rotation,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct LogRow {
    token: Token,
    #[serde(default)]
    logfile: String,
    #[serde(default)]
    vehicle: String,
    #[serde(default)]
    date_captured: String,
    #[serde(default)]
    location: String,
}

impl WrittenRow for LogRow {
    row_of!(Log);

    fn resolve(&self, _: &Names<'_>, _: &At<'_>) -> Result<Log, TablesError> {
        Ok(Log {
            token: self.token.clone(),
            logfile: self.logfile.clone(),
            vehicle: self.vehicle.clone(),
            date_captured: self.date_captured.clone(),
            location: self.location.clone(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct SceneRow {
    token: Token,
    name: String,
    #[serde(default)]
    description: String,
    log_token: Token,
    nbr_samples: u32,
    first_sample_token: Token,
    last_sample_token: Token,
}

impl WrittenRow for SceneRow {
    row_of!(Scene);

    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<Scene, TablesError> {
        Ok(Scene {
            token: self.token.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            log: names.logs.find(at, "log_token", &self.log_token)?,
            n_samples: self.nbr_samples,
            first_sample: names.samples.find(at, "first_sample_token", &self.first_sample_token)?,
            last_sample: names.samples.find(at, "last_sample_token", &self.last_sample_token)?,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct SampleRow {
    token: Token,
    timestamp: i64,
    scene_token: Token,
    prev: Token,
    next: Token,
}

impl WrittenRow for SampleRow {
    row_of!(Sample);

    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<Sample, TablesError> {
        Ok(Sample {
            token: self.token.clone(),
            timestamp_us: self.timestamp,
            scene: names.scenes.find(at, "scene_token", &self.scene_token)?,
            prev: names.samples.find_any(at, "prev", &self.prev)?,
            next: names.samples.find_any(at, "next", &self.next)?,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct SampleDataRow {
    token: Token,
    sample_token: Token,
    pub(super) ego_pose_token: Token,
    pub(super) calibrated_sensor_token: Token,
    timestamp: i64,
    fileformat: String,
    is_key_frame: bool,
    #[serde(default)]
    height: Option<u32>,
    #[serde(default)]
    width: Option<u32>,
    filename: String,
    prev: Token,
    next: Token,
}

impl WrittenRow for SampleDataRow {
    row_of!(SampleData);

    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<SampleData, TablesError> {
        let mounting = &self.calibrated_sensor_token;
        Ok(SampleData {
            token: self.token.clone(),
            sample: names.samples.find(at, "sample_token", &self.sample_token)?,
            ego_pose: names.ego_poses.find(at, "ego_pose_token", &self.ego_pose_token)?,
            calibrated_sensor: names.calibrated_sensors.find(at, "calibrated_sensor_token", mounting)?,
            timestamp_us: self.timestamp,
            file_format: match self.fileformat.as_str() {
                "pcd" => FileFormat::Pcd,
                "jpg" => FileFormat::Jpg,
                _ => FileFormat::Other,
            },
            is_key_frame: self.is_key_frame,
            height: self.height.unwrap_or(0),
            width: self.width.unwrap_or(0),
            filename: self.filename.clone(),
            prev: names.sample_data.find_any(at, "prev", &self.prev)?,
            next: names.sample_data.find_any(at, "next", &self.next)?,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct InstanceRow {
    token: Token,
    category_token: Token,
    nbr_annotations: u32,
    first_annotation_token: Token,
    last_annotation_token: Token,
}

impl WrittenRow for InstanceRow {
    row_of!(Instance);

    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<Instance, TablesError> {
        let annotation = |column, token| names.annotations.find(at, column, token);
        Ok(Instance {
            token: self.token.clone(),
            category: names.categories.find(at, "category_token", &self.category_token)?,
            n_annotations: self.nbr_annotations,
            first_annotation: annotation("first_annotation_token", &self.first_annotation_token)?,
            last_annotation: annotation("last_annotation_token", &self.last_annotation_token)?,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct AnnotationRow {
    token: Token,
    sample_token: Token,
    instance_token: Token,
    #[serde(default)]
    visibility_token: Option<Token>,
    pub(super) attribute_tokens: Vec<Token>,
    translation: [f64; 3],
    size: [f64; 3],
    rotation: [f64; 4],
    prev: Token,
    next: Token,
    num_lidar_pts: u32,
    num_radar_pts: u32,
}

impl WrittenRow for AnnotationRow {
    row_of!(Annotation);

    fn resolve(&self, names: &Names<'_>, at: &At<'_>) -> Result<Annotation, TablesError> {
        let visibility = match &self.visibility_token {
            Some(token) => names.visibilities.find_any(at, "visibility_token", token)?,
            None => None,
        };
        Ok(Annotation {
            token: self.token.clone(),
            sample: names.samples.find(at, "sample_token", &self.sample_token)?,
            instance: names.instances.find(at, "instance_token", &self.instance_token)?,
            visibility,
            translation: self.translation,
            size_wlh: self.size,
            rotation: self.rotation,
            prev: names.annotations.find_any(at, "prev", &self.prev)?,
            next: names.annotations.find_any(at, "next", &self.next)?,
            n_lidar_points: self.num_lidar_pts,
            n_radar_points: self.num_radar_pts,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct MapRow {
    token: Token,
    category: String,
    filename: String,
    log_tokens: Vec<Token>,
}

impl WrittenRow for MapRow {
    row_of!(Map);

    fn resolve(&self, names: &Names<'_>, _: &At<'_>) -> Result<Map, TablesError> {
        Ok(Map {
            token: self.token.clone(),
            category: self.category.clone(),
            filename: self.filename.clone(),
            logs: self.log_tokens.iter().filter_map(|token| names.logs.get(token)).collect(),
        })
    }
}
