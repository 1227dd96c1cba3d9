//! From tables as they are written to tables whose rows name each other by number.

use super::cache::{Source, Sources};
use super::error::TablesError;
use super::records::read;
use super::schema::{
    Annotation, Attribute, CalibratedSensor, Category, EgoPose, Instance, Log, Sample, SampleData, Scene,
    Sensor, Visibility,
};
use super::table::{Groups, Id, N_TABLES, Row, Table};
use super::written::{
    AnnotationRow, AttributeRow, CalibratedSensorRow, CategoryRow, EgoPoseRow, InstanceRow, LogRow, MapRow,
    SampleDataRow, SampleRow, SceneRow, SensorRow, VisibilityRow, WrittenRow,
};
use super::{Rows, Sensors, Token};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A table as it is written.
struct Written<R> {
    path: PathBuf,
    rows: Vec<R>,
    source: Source,
}

impl<R: WrittenRow> Written<R> {
    fn read(folder: &Path) -> Result<Self, TablesError> {
        Self::read_some(folder, |_| true)
    }

    fn read_some(folder: &Path, keep: impl Fn(&R) -> bool + Sync) -> Result<Self, TablesError> {
        let path = folder.join(format!("{}.json", R::Row::NAME));
        let (rows, source) = read(&path, keep)?;
        if rows.len() > Id::<R>::MAX_ROWS {
            return Err(TablesError::TooManyRows { path, max_rows: Id::<R>::MAX_ROWS });
        }
        Ok(Self { path, rows, source })
    }

    /// The numbers that rows will have, by token.
    ///
    /// **Errors**: the first row whose token an earlier one has.
    fn numbers(&self) -> Result<Numbers<'_, R::Row>, TablesError> {
        let mut numbers = HashMap::with_capacity(self.rows.len());
        for (idx, row) in self.rows.iter().enumerate() {
            if numbers.insert(row.token(), idx as u32).is_some() {
                return Err(self.duplicate(row.token()));
            }
        }
        Ok(Numbers { table: R::Row::NAME, numbers, of: PhantomData })
    }

    /// Every row, its references resolved.
    fn resolve(&self, names: &Names<'_>) -> Result<Table<R::Row>, TablesError> {
        let resolved: Vec<Result<R::Row, TablesError>> =
            self.rows.par_iter().map(|row| row.resolve(names, &self.at(row))).collect();
        // The first error of the file, whichever thread met one first.
        let rows = resolved.into_iter().collect::<Result<Vec<_>, _>>()?;
        Table::new(rows).map_err(|token| self.duplicate(&token))
    }

    fn name_source(&self, sources: &mut [Source; N_TABLES]) {
        sources[R::Row::NUMBER] = self.source;
    }

    fn at<'a>(&'a self, row: &'a R) -> At<'a> {
        At { path: &self.path, row: row.token() }
    }

    fn duplicate(&self, token: &Token) -> TablesError {
        TablesError::Duplicate { path: self.path.clone(), token: token.clone() }
    }
}

/// The row that names others.
pub(super) struct At<'a> {
    path: &'a Path,
    row: &'a Token,
}

/// Numbers of rows of `T`, by token.
pub(super) struct Numbers<'a, T> {
    table: &'static str,
    numbers: HashMap<&'a Token, u32>,
    of: PhantomData<fn() -> T>,
}

impl<T> Numbers<'_, T> {
    pub(super) fn get(&self, token: &Token) -> Option<Id<T>> {
        Id::new(*self.numbers.get(token)? as usize)
    }

    pub(super) fn find(
        &self,
        at: &At<'_>,
        column: &'static str,
        token: &Token,
    ) -> Result<Id<T>, TablesError> {
        self.get(token).ok_or_else(|| TablesError::Dangling {
            path: at.path.to_owned(),
            row: at.row.clone(),
            column,
            token: token.clone(),
            target: self.table,
        })
    }

    /// The same, where the empty token stands for none.
    pub(super) fn find_any(
        &self,
        at: &At<'_>,
        column: &'static str,
        token: &Token,
    ) -> Result<Option<Id<T>>, TablesError> {
        if token.is_empty() { Ok(None) } else { self.find(at, column, token).map(Some) }
    }
}

/// Numbers of every table that others refer to.
pub(super) struct Names<'a> {
    pub(super) sensors: Numbers<'a, Sensor>,
    pub(super) calibrated_sensors: Numbers<'a, CalibratedSensor>,
    pub(super) ego_poses: Numbers<'a, EgoPose>,
    pub(super) sample_data: Numbers<'a, SampleData>,
    pub(super) logs: Numbers<'a, Log>,
    pub(super) scenes: Numbers<'a, Scene>,
    pub(super) samples: Numbers<'a, Sample>,
    pub(super) categories: Numbers<'a, Category>,
    pub(super) attributes: Numbers<'a, Attribute>,
    pub(super) visibilities: Numbers<'a, Visibility>,
    pub(super) instances: Numbers<'a, Instance>,
    pub(super) annotations: Numbers<'a, Annotation>,
}

/// Both results, or the first error.
fn both<A, B>(pair: (Result<A, TablesError>, Result<B, TablesError>)) -> Result<(A, B), TablesError> {
    Ok((pair.0?, pair.1?))
}

/// Tables of what sensors recorded.
struct Recorded {
    sensors: Written<SensorRow>,
    calibrated_sensors: Written<CalibratedSensorRow>,
    ego_poses: Written<EgoPoseRow>,
    sample_data: Written<SampleDataRow>,
}

impl Recorded {
    fn read(folder: &Path, kept: Sensors) -> Result<Self, TablesError> {
        let sensors = Written::<SensorRow>::read(folder)?;
        let calibrated_sensors = Written::<CalibratedSensorRow>::read(folder)?;
        if kept == Sensors::All {
            let (sample_data, ego_poses) =
                both(rayon::join(|| Written::read(folder), || Written::read(folder)))?;
            return Ok(Self { sensors, calibrated_sensors, ego_poses, sample_data });
        }
        // Cameras and radars have nine tenths of the rows of these two tables.
        let is_left_out = |row: &SensorRow| row.modality != "lidar";
        let others: HashSet<&Token> =
            sensors.rows.iter().filter(|row| is_left_out(row)).map(WrittenRow::token).collect();
        let others: HashSet<&Token> = calibrated_sensors
            .rows
            .iter()
            .filter(|row| others.contains(&row.sensor_token))
            .map(WrittenRow::token)
            .collect();
        // A row of an unknown sensor is kept, for the error that it is.
        let sample_data = Written::<SampleDataRow>::read_some(folder, |row| {
            !others.contains(&row.calibrated_sensor_token)
        })?;
        let used: HashSet<&Token> = sample_data.rows.iter().map(|row| &row.ego_pose_token).collect();
        let ego_poses = Written::<EgoPoseRow>::read_some(folder, |row| used.contains(row.token()))?;
        drop(used);
        drop(others);
        Ok(Self { sensors, calibrated_sensors, ego_poses, sample_data })
    }
}

/// The tables of a folder, and what they were read from.
pub(super) fn read_rows(folder: &Path, kept: Sensors) -> Result<(Rows, Sources), TablesError> {
    let opened = SystemTime::now();
    let (recorded, annotations) =
        both(rayon::join(|| Recorded::read(folder, kept), || Written::<AnnotationRow>::read(folder)))?;
    let Recorded { sensors, calibrated_sensors, ego_poses, sample_data } = recorded;
    let logs = Written::<LogRow>::read(folder)?;
    let maps = Written::<MapRow>::read(folder)?;
    let scenes = Written::<SceneRow>::read(folder)?;
    let samples = Written::<SampleRow>::read(folder)?;
    let categories = Written::<CategoryRow>::read(folder)?;
    let attributes = Written::<AttributeRow>::read(folder)?;
    let visibilities = Written::<VisibilityRow>::read(folder)?;
    let instances = Written::<InstanceRow>::read(folder)?;
    let (numbers_of_data, numbers_of_annotations) =
        both(rayon::join(|| Ok((sample_data.numbers()?, ego_poses.numbers()?)), || annotations.numbers()))?;
    // Nothing refers to maps, yet no two may have one name.
    maps.numbers()?;
    let names = Names {
        sensors: sensors.numbers()?,
        calibrated_sensors: calibrated_sensors.numbers()?,
        ego_poses: numbers_of_data.1,
        sample_data: numbers_of_data.0,
        logs: logs.numbers()?,
        scenes: scenes.numbers()?,
        samples: samples.numbers()?,
        categories: categories.numbers()?,
        attributes: attributes.numbers()?,
        visibilities: visibilities.numbers()?,
        instances: instances.numbers()?,
        annotations: numbers_of_annotations,
    };
    let attributes_of = attributes_of(&annotations, &names)?;
    let mut sources = [Source::default(); N_TABLES];
    sensors.name_source(&mut sources);
    calibrated_sensors.name_source(&mut sources);
    ego_poses.name_source(&mut sources);
    sample_data.name_source(&mut sources);
    logs.name_source(&mut sources);
    maps.name_source(&mut sources);
    scenes.name_source(&mut sources);
    samples.name_source(&mut sources);
    categories.name_source(&mut sources);
    attributes.name_source(&mut sources);
    visibilities.name_source(&mut sources);
    instances.name_source(&mut sources);
    annotations.name_source(&mut sources);
    let rows = Rows {
        sensors: sensors.resolve(&names)?,
        calibrated_sensors: calibrated_sensors.resolve(&names)?,
        ego_poses: ego_poses.resolve(&names)?,
        sample_data: sample_data.resolve(&names)?,
        logs: logs.resolve(&names)?,
        maps: maps.resolve(&names)?,
        scenes: scenes.resolve(&names)?,
        samples: samples.resolve(&names)?,
        categories: categories.resolve(&names)?,
        attributes: attributes.resolve(&names)?,
        visibilities: visibilities.resolve(&names)?,
        instances: instances.resolve(&names)?,
        annotations: annotations.resolve(&names)?,
        attributes_of,
    };
    Ok((rows, Sources::new(opened, sources)))
}

fn attributes_of(
    annotations: &Written<AnnotationRow>,
    names: &Names<'_>,
) -> Result<Groups<Annotation, Attribute>, TablesError> {
    let mut pairs = Vec::new();
    for (idx, row) in annotations.rows.iter().enumerate() {
        for token in &row.attribute_tokens {
            let attribute = names.attributes.find(&annotations.at(row), "attribute_tokens", token)?;
            pairs.extend(Id::new(idx).map(|annotation| (annotation, attribute)));
        }
    }
    Ok(Groups::new(annotations.rows.len(), pairs.iter().copied()))
}
