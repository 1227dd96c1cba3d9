//! Whether a folder holds a dataset: rows of its tables, and the files that they name.

use super::source::Source;
use crate::path_below;
use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// The table whose rows name files.
const FILES_TABLE: &str = "sample_data";

/// Nothing where the folder holds the dataset, else what is missing.
pub(super) fn check(root: &Path, source: &Source) -> Result<(), String> {
    for (table, rows) in source.tables {
        let path = root.join(source.tables_folder).join(format!("{table}.json"));
        let named = format!("{}/{table}.json", source.tables_folder);
        let file = File::open(&path).map_err(|e| format!("`{named}`: {e}"))?;
        let counter = Counter { root, check_files: *table == FILES_TABLE };
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(file));
        let n = counter.deserialize(&mut json).map_err(|e| format!("`{named}`: {e}"))?;
        json.end().map_err(|e| format!("`{named}`: {e}"))?;
        if !rows.holds(n) {
            return Err(format!("`{named}` has {n} rows, and {rows:?} are right"));
        }
    }
    Ok(())
}

/// Counts rows without keeping them; looks for the files of each if asked to.
struct Counter<'a> {
    root: &'a Path,
    check_files: bool,
}

#[derive(Deserialize)]
struct FileRow {
    filename: String,
}

impl<'de> DeserializeSeed<'de> for Counter<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Counter<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, which is a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<u64, A::Error> {
        let mut n = 0;
        if self.check_files {
            while let Some(row) = rows.next_element::<FileRow>()? {
                let is_there = path_below(self.root, &row.filename).is_some_and(|path| path.is_file());
                if !is_there {
                    return Err(serde::de::Error::custom(format!(
                        "the file `{}` is not there",
                        row.filename
                    )));
                }
                n += 1;
            }
        } else {
            while rows.next_element::<IgnoredAny>()?.is_some() {
                n += 1;
            }
        }
        Ok(n)
    }
}
