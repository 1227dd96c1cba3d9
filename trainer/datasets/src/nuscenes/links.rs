//! What follows from the tables: who belongs to whom, and whether chains end.

use super::error::TablesError;
use super::schema::{Annotation, Sample, SampleData, Scene};
use super::table::{Groups, Id, Row, Table};
use super::{LIDAR_CHANNEL, Rows};
use std::path::Path;

/// Rows by the row that they belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Links {
    /// By time.
    pub(super) samples_of: Groups<Scene, Sample>,
    /// In the order of the table.
    pub(super) annotations_of: Groups<Sample, Annotation>,
    /// The key frame of [`LIDAR_CHANNEL`] of every sample.
    pub(super) lidar_of: Vec<Option<Id<SampleData>>>,
}

impl Links {
    /// **Errors**: a chain that has no end.
    pub(super) fn new(folder: &Path, rows: &Rows) -> Result<Self, TablesError> {
        no_cycles(folder, "sample", &rows.samples, |row| [row.prev, row.next])?;
        no_cycles(folder, "sample_data", &rows.sample_data, |row| [row.prev, row.next])?;
        no_cycles(folder, "sample_annotation", &rows.annotations, |row| [row.prev, row.next])?;
        let samples = rows.samples.iter().map(|(id, row)| (row.scene, id));
        let mut samples_of = Groups::new(rows.scenes.n_rows(), samples);
        samples_of.sort_each_by_key(|id| rows.samples[id].timestamp_us);
        let annotations = rows.annotations.iter().map(|(id, row)| (row.sample, id));
        let annotations_of = Groups::new(rows.samples.n_rows(), annotations);
        let mut lidar_of = vec![None; rows.samples.n_rows()];
        for (id, row) in rows.sample_data.iter().filter(|(_, row)| row.is_key_frame) {
            let sensor = rows.calibrated_sensors[row.calibrated_sensor].sensor;
            if rows.sensors[sensor].channel == LIDAR_CHANNEL {
                // Of several the last counts, as in the devkit.
                lidar_of[row.sample.idx()] = Some(id);
            }
        }
        Ok(Self { samples_of, annotations_of, lidar_of })
    }
}

/// **Errors**: a row from which `prev` or `next` leads back to it.
fn no_cycles<T: Row>(
    folder: &Path,
    name: &str,
    table: &Table<T>,
    prev_and_next: impl Fn(&T) -> [Option<Id<T>>; 2],
) -> Result<(), TablesError> {
    for (side, column) in ["prev", "next"].into_iter().enumerate() {
        // The walk that first came by, counted from 1.
        let mut seen = vec![0_u32; table.n_rows()];
        for (walk, (start, _)) in (1..).zip(table.iter()) {
            let mut at = Some(start);
            while let Some(id) = at {
                match seen[id.idx()] {
                    0 => seen[id.idx()] = walk,
                    other if other == walk => {
                        let path = folder.join(format!("{name}.json"));
                        return Err(TablesError::Cycle { path, column, row: table[id].token().clone() });
                    }
                    _ => break,
                }
                at = prev_and_next(&table[id])[side];
            }
        }
    }
    Ok(())
}
