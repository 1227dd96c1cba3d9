//! Columns of a Parquet file by name, of a few rows at a time; nothing else of the file is decoded.

use crate::DatasetError;
use parquet::basic::Type as Physical;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Some rows of one row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) group: usize,
    /// The first of them, counted within the group.
    pub(super) first: usize,
    pub(super) n: usize,
}

/// An open file.
pub(super) struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    columns: BTreeMap<String, usize>,
}

impl ParquetFile {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
        let refuse = |reason: String| DatasetError::File { path: path.to_owned(), reason };
        let reader = guarded(|| SerializedFileReader::new(file).map_err(|e| e.to_string()));
        let reader = reader.map_err(|e| refuse(format!("is no Parquet file: {e}")))?;
        let schema = reader.metadata().file_metadata().schema_descr();
        // A list's leaf lies below its column, whose own name holds dots.
        let named = schema
            .columns()
            .iter()
            .enumerate()
            .filter_map(|(idx, column)| Some((column.path().parts().first()?.clone(), idx)));
        let columns = named.collect();
        Ok(Self { path: path.to_owned(), reader, columns })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Every row group as a whole.
    pub(super) fn groups(&self) -> Vec<Rows> {
        let groups = self.reader.metadata().row_groups().iter().enumerate();
        groups
            .map(|(group, g)| Rows { group, first: 0, n: usize::try_from(g.num_rows()).unwrap_or(0) })
            .collect()
    }

    /// An error of a row, which is counted within its group from 0.
    pub(super) fn refuse(&self, group: usize, row: usize, reason: String) -> DatasetError {
        let before: usize = self.groups().iter().take(group).map(|g| g.n).sum();
        DatasetError::Record { path: self.path.clone(), record: before + row + 1, reason }
    }

    fn physical(&self, name: &str) -> Result<Physical, DatasetError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        match self.columns.get(name) {
            Some(idx) => Ok(schema.column(*idx).physical_type()),
            None => Err(self.error(format!("has no column `{name}`"))),
        }
    }

    fn error(&self, reason: String) -> DatasetError {
        DatasetError::File { path: self.path.clone(), reason }
    }

    /// Lists of `f32`; `None` for a row without one.
    pub(super) fn floats(&self, name: &str, rows: Rows) -> Result<Vec<Option<Vec<f32>>>, DatasetError> {
        match self.physical(name)? {
            Physical::FLOAT => self.read::<FloatType>(name, rows),
            other => Err(self.error(format!("column `{name}` is of {other}, not of FLOAT"))),
        }
    }

    /// Lists of `f64`, or single ones; `None` for a row without.
    pub(super) fn doubles(&self, name: &str, rows: Rows) -> Result<Vec<Option<Vec<f64>>>, DatasetError> {
        match self.physical(name)? {
            Physical::DOUBLE => self.read::<DoubleType>(name, rows),
            Physical::FLOAT => {
                let lists = self.read::<FloatType>(name, rows)?;
                Ok(lists.into_iter().map(|l| l.map(|l| l.into_iter().map(f64::from).collect())).collect())
            }
            other => Err(self.error(format!("column `{name}` is of {other}, not of DOUBLE"))),
        }
    }

    /// Lists of integers, or single ones; `None` for a row without.
    pub(super) fn integers(&self, name: &str, rows: Rows) -> Result<Vec<Option<Vec<i64>>>, DatasetError> {
        match self.physical(name)? {
            Physical::INT64 => self.read::<Int64Type>(name, rows),
            Physical::INT32 => {
                let lists = self.read::<Int32Type>(name, rows)?;
                Ok(lists.into_iter().map(|l| l.map(|l| l.into_iter().map(i64::from).collect())).collect())
            }
            other => Err(self.error(format!("column `{name}` is of {other}, not of an integer"))),
        }
    }

    /// The one integer of each row.
    pub(super) fn keys(&self, name: &str, rows: Rows) -> Result<Vec<i64>, DatasetError> {
        let lists = self.integers(name, rows)?;
        let one = |(row, list): (usize, Option<Vec<i64>>)| match list.as_deref() {
            Some(&[key]) => Ok(key),
            _ => Err(self.refuse(rows.group, rows.first + row, format!("has no `{name}`"))),
        };
        lists.into_iter().enumerate().map(one).collect()
    }

    /// The one number of each row, where it has one.
    pub(super) fn numbers(&self, name: &str, rows: Rows) -> Result<Vec<Option<f64>>, DatasetError> {
        let lists = self.doubles(name, rows)?;
        Ok(lists.into_iter().map(|list| list.and_then(|l| l.first().copied())).collect())
    }

    fn read<T: DataType>(&self, name: &str, rows: Rows) -> Result<Vec<Option<Vec<T::T>>>, DatasetError> {
        let column = self.columns.get(name).copied().unwrap_or(usize::MAX);
        let read = guarded(|| self.read_rows::<T>(column, rows));
        let read = read.map_err(|e| {
            self.refuse(rows.group, rows.first, format!("column `{name}` cannot be read: {e}"))
        })?;
        if read.len() != rows.n {
            let reason = format!("column `{name}` has {} of {} rows", read.len(), rows.n);
            return Err(self.refuse(rows.group, rows.first, reason));
        }
        Ok(read)
    }

    fn read_rows<T: DataType>(&self, column: usize, rows: Rows) -> Result<Vec<Option<Vec<T::T>>>, String> {
        let text = |e: parquet::errors::ParquetError| e.to_string();
        let group = self.reader.get_row_group(rows.group).map_err(text)?;
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let descriptor = schema.column(column);
        let (max_def, max_rep) = (descriptor.max_def_level(), descriptor.max_rep_level());
        if max_rep > 1 {
            return Err("holds lists of lists".to_owned());
        }
        // With elements that may be null, the level below the last is such an element; it is an empty list else.
        let is_null_element =
            |def: i16| max_rep == 1 && descriptor.self_type().is_optional() && def + 1 == max_def;
        let mut reader = get_typed_column_reader::<T>(group.get_column_reader(column).map_err(text)?);
        if rows.first > 0 && reader.skip_records(rows.first).map_err(text)? != rows.first {
            return Err("ends early".to_owned());
        }
        let (mut def, mut rep, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut n_read = 0;
        while n_read < rows.n {
            let (n, _, _) = reader
                .read_records(rows.n - n_read, Some(&mut def), Some(&mut rep), &mut values)
                .map_err(text)?;
            if n == 0 {
                break;
            }
            n_read += n;
        }
        let mut values = values.into_iter();
        let n_levels = if max_def == 0 { values.len() } else { def.len() };
        let mut lists: Vec<Option<Vec<T::T>>> = Vec::new();
        for level in 0..n_levels {
            if max_rep == 0 || rep.get(level) == Some(&0) {
                lists.push(None);
            }
            let def = if max_def == 0 { 0 } else { def[level] };
            if is_null_element(def) {
                return Err("holds a list with a null in it".to_owned());
            }
            if let Some(list) = lists.last_mut()
                && def == max_def
            {
                list.get_or_insert_default().push(values.next().ok_or("has fewer values than rows")?);
            }
        }
        Ok(lists)
    }
}

/// Turns a panic of the Parquet library on a broken file into an error: a reader must not end its process.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("its bytes are not sound".to_owned()))
}
