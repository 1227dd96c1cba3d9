//! Tables as one binary file, which loads in a fraction of the time that the tables take to parse.
//!
//! The file is never believed blindly. It states the size, the times and the SHA-256 of every table that it was made
//! of, and the SHA-256 of each of its own sections. Where size and times are still the same, and old enough that no
//! later change can hide behind the resolution of the clock, the tables are the same; else their contents are hashed.
//! Where anything does not fit, the tables are parsed again. It is written beside its place and renamed.

mod codec;
mod file;
mod source;
#[cfg(test)]
mod tests;

pub(super) use source::{Source, Sources, Stamp};

use super::error::TablesError;
use super::links::Links;
use super::resolve;
use super::{Sensors, Tables};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where the binary file is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CachePlace {
    /// Beside the tables. If nothing can be written there, there is none.
    #[default]
    Beside,
    /// In this folder, under a name made of the path of the tables.
    Folder(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// What became of the binary file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheUse {
    /// The tables came from it.
    Read,
    /// It was written anew. An older one was not believed for this reason, if there was one.
    Written(Option<String>),
    /// It could not be written, for this reason.
    NotWritten(String),
    /// It was not to be used.
    Off,
}

/// How tables are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whose recordings are kept.
    pub sensors: Sensors,
    /// Where the binary file is kept.
    pub cache: CachePlace,
}

impl CachePlace {
    fn path(&self, tables: &Path, sensors: Sensors) -> Option<PathBuf> {
        let kept = match sensors {
            Sensors::Lidar => "lidar",
            Sensors::All => "all",
        };
        match self {
            Self::Beside => Some(tables.join(format!(".pilotis-index-{kept}"))),
            Self::Folder(folder) => {
                let tables = tables.canonicalize().unwrap_or_else(|_| tables.to_owned());
                let digest = Sha256::digest(tables.as_os_str().as_encoded_bytes());
                let mut name = "nuscenes-".to_owned();
                for byte in &digest[..16] {
                    // Writing to a string does not fail.
                    let _ = write!(name, "{byte:02x}");
                }
                Some(folder.join(format!("{name}-{kept}")))
            }
            Self::Nowhere => None,
        }
    }
}

/// The tables of a folder, and what became of their binary file.
pub(super) fn open(folder: &Path, options: &ReadOptions) -> Result<(Tables, CacheUse), TablesError> {
    let Some(path) = options.cache.path(folder, options.sensors) else {
        return Ok((Tables::read_folder(folder, options.sensors)?, CacheUse::Off));
    };
    let not_believed = match file::read(&path, folder, options.sensors) {
        Ok(Some(found)) => {
            let links = Links::new(folder, &found.rows)?;
            if let Some(sources) = found.renewed {
                // The tables are the same under other times: stated anew, they need not be hashed again.
                let _ = file::write(&path, &found.rows, &sources, options.sensors);
            }
            return Ok((Tables { folder: folder.to_owned(), rows: found.rows, links }, CacheUse::Read));
        }
        Ok(None) => None,
        Err(reason) => Some(reason),
    };
    let (rows, sources) = resolve::read_rows(folder, options.sensors)?;
    let links = Links::new(folder, &rows)?;
    let cache_use = match file::write(&path, &rows, &sources, options.sensors) {
        Ok(()) => CacheUse::Written(not_believed),
        Err(error) => CacheUse::NotWritten(format!("`{}`: {error}", path.display())),
    };
    Ok((Tables { folder: folder.to_owned(), rows, links }, cache_use))
}
