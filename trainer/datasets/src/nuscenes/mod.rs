//! nuScenes: its thirteen tables, splits, sweeps and boxes.
//!
//! **Units and frame**: metres, seconds where nothing else is said; the LiDAR's frame has x to the right, y ahead,
//! z up; the vehicle's has x ahead and y to the left; intensity 0..255.
//!
//! **Source**: nuscenes-devkit 1.2.0: its schema, `NuScenes` and `LidarPointCloud`.

mod cache;
mod dataset;
mod error;
mod links;
mod objects;
mod pose;
mod records;
mod resolve;
mod schema;
mod splits;
mod sweeps;
mod table;
mod token;
mod written;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use cache::{CachePlace, CacheUse, ReadOptions};
pub use dataset::NuscenesDataset;
pub use error::TablesError;
pub use objects::{DETECTION_CLASSES, detection_class};
pub use pose::{Pose, SensorPose, rotation_matrix};
pub use schema::{
    Annotation, Attribute, CalibratedSensor, Category, EgoPose, FileFormat, Instance, Log, Map, Sample,
    SampleData, Scene, Sensor, Visibility,
};
pub use splits::{BUILT_IN_SPLITS, SPLITS_FILE, built_in_split};
pub use sweeps::{Sweep, SweepCloud, SweepStyle, Sweeps};
pub use table::{Id, Row, Table};
pub use token::Token;

pub(crate) use sweeps::{RECORD_BYTES, read_records};

use links::Links;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use table::Groups;

/// The LiDAR on the roof.
pub const LIDAR_CHANNEL: &str = "LIDAR_TOP";
/// A table that every version has.
const KNOWN_BY: &str = "sample.json";

/// Whose recordings are kept in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensors {
    /// Those of LiDARs, and the poses at their times: a tenth of all.
    #[default]
    Lidar,
    /// Those of cameras and radars as well.
    All,
}

/// The rows of the thirteen tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Kinds of object.
    pub categories: Table<Category>,
    /// What may be true of an object.
    pub attributes: Table<Attribute>,
    /// How much of an object may be seen.
    pub visibilities: Table<Visibility>,
    /// Kinds of sensor.
    pub sensors: Table<Sensor>,
    /// Sensors as mounted.
    pub calibrated_sensors: Table<CalibratedSensor>,
    /// Where the vehicle was; only where a kept row of `sample_data` says so.
    pub ego_poses: Table<EgoPose>,
    /// Recordings.
    pub logs: Table<Log>,
    /// Parts of recordings.
    pub scenes: Table<Scene>,
    /// Labelled times.
    pub samples: Table<Sample>,
    /// Sweeps and images, of the sensors that are kept.
    pub sample_data: Table<SampleData>,
    /// Objects.
    pub instances: Table<Instance>,
    /// Their boxes.
    pub annotations: Table<Annotation>,
    /// Pictures of the ground.
    pub maps: Table<Map>,
    attributes_of: Groups<Annotation, Attribute>,
}

/// The tables of one version of a dataset: every reference in them leads to a row, and every chain has an end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    folder: PathBuf,
    rows: Rows,
    links: Links,
}

impl Deref for Tables {
    type Target = Rows;

    fn deref(&self) -> &Rows {
        &self.rows
    }
}

impl Tables {
    /// Reads the tables of a version: `root` is the dataset's folder, `version` that of the tables in it.
    ///
    /// **Errors**: a table that is missing, cannot be read or is not what it should be; a reference to nothing; a
    /// token used twice; a chain without an end. Rows of sensors that are not kept are not looked at.
    ///
    /// **Determinism**: the same tables, or the same error, for any number of threads.
    pub fn read(root: &Path, version: &str, sensors: Sensors) -> Result<Self, TablesError> {
        Self::read_folder(&root.join(version), sensors)
    }

    /// The same from the folder of tables itself; the dataset's folder is the one that holds it.
    pub fn read_folder(folder: &Path, sensors: Sensors) -> Result<Self, TablesError> {
        let (rows, _) = resolve::read_rows(folder, sensors)?;
        let links = Links::new(folder, &rows)?;
        Ok(Self { folder: folder.to_owned(), rows, links })
    }

    /// The same by way of a binary file, from which they come in a fraction of the time; [`Self::read`] is the
    /// definition.
    ///
    /// **Errors**: those of [`Self::read`]. A binary file that is not what it should be is none: tables are parsed.
    pub fn open(root: &Path, version: &str, options: &ReadOptions) -> Result<(Self, CacheUse), TablesError> {
        Self::open_folder(&root.join(version), options)
    }

    /// The same from the folder of tables itself.
    pub fn open_folder(folder: &Path, options: &ReadOptions) -> Result<(Self, CacheUse), TablesError> {
        cache::open(folder, options)
    }

    /// The folder of the tables.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file of [`SampleData`] or [`Map`] lies.
    pub fn path_of(&self, filename: &str) -> PathBuf {
        self.folder.parent().unwrap_or(&self.folder).join(filename)
    }

    /// Samples of a scene, by time.
    pub fn samples_of(&self, scene: Id<Scene>) -> &[Id<Sample>] {
        self.links.samples_of.of(scene)
    }

    /// Annotations of a sample, in the order of their table.
    pub fn annotations_of(&self, sample: Id<Sample>) -> &[Id<Annotation>] {
        self.links.annotations_of.of(sample)
    }

    /// Attributes of an annotation, in the order in which it names them.
    pub fn attributes_of(&self, annotation: Id<Annotation>) -> &[Id<Attribute>] {
        self.rows.attributes_of.of(annotation)
    }

    /// Names of the attributes of an annotation.
    pub fn attribute_names(&self, annotation: Id<Annotation>) -> impl Iterator<Item = &str> {
        self.attributes_of(annotation).iter().map(|id| self.attributes[*id].name.as_str())
    }

    /// The name of what an annotation is of: `vehicle.car`, ...
    pub fn category_name(&self, annotation: Id<Annotation>) -> &str {
        let instance = self.annotations[annotation].instance;
        &self.categories[self.instances[instance].category].name
    }

    /// The key frame of [`LIDAR_CHANNEL`] of a sample; of several the last in the table, as in the devkit.
    pub fn key_lidar(&self, sample: Id<Sample>) -> Option<Id<SampleData>> {
        self.links.lidar_of[sample.idx()]
    }

    /// Annotations of an instance, from its first on.
    pub fn chain_of(&self, instance: Id<Instance>) -> impl Iterator<Item = Id<Annotation>> {
        let first = Some(self.instances[instance].first_annotation);
        std::iter::successors(first, |id| self.annotations[*id].next)
    }
}

/// Folders of tables: this one, or those in it whose name begins with `v1.0-`.
pub fn version_folders(root: &Path) -> Vec<PathBuf> {
    if root.join(KNOWN_BY).is_file() {
        return vec![root.to_owned()];
    }
    let entries = std::fs::read_dir(root).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("v1.0-")))
        .filter(|path| path.join(KNOWN_BY).is_file())
        .collect();
    folders.sort();
    folders
}

/// The one folder of tables of a dataset, or in `root` itself.
///
/// **Errors**: none, or several.
pub fn version_folder(root: &Path) -> Result<PathBuf, TablesError> {
    let reason = match version_folders(root).as_slice() {
        [folder] => return Ok(folder.clone()),
        [] => format!("holds no folder `v1.0-...` with a `{KNOWN_BY}`"),
        several => format!("holds {} folders of tables; name one of them instead", several.len()),
    };
    Err(TablesError::NoVersion { root: root.to_owned(), reason })
}
