//! The internal cache: samples as they are after reading, a few large files instead of many small ones.
//!
//! `cache.json` says what the cache is of and lists its shards; each `shard-NNNNN.bin` begins with a table of its
//! samples. Digests form a chain: `cache.json` has that of each table, and a table that of each sample. So a sample
//! is read by one access to its bytes, and is what was written or an error. Nothing is mapped.
//!
//! **Determinism**: the same samples give the same bytes, for any number of threads.

mod bytes;
mod shard;
#[cfg(test)]
mod tests;

pub use shard::TARGET_SHARD_BYTES;

use crate::check::Inspect;
use crate::convert::{Converted, Staging};
use crate::{Convention, Dataset, DatasetError, Kind, Sample, read_bytes};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shard::{Shard, ShardWriter};
use std::collections::BTreeMap;
use std::path::Path;

/// The file by which a cache is known.
pub const CACHE_FILE: &str = "cache.json";
/// The version of what is written here; another one is not read.
pub const CACHE_VERSION: u32 = 1;
/// Samples that are read at once while a cache is written.
const SAMPLES_AT_ONCE: usize = 64;

/// What `cache.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u32,
    /// The format of the dataset that it was made of.
    source: String,
    convention: Option<Convention>,
    n_samples: u64,
    shards: Vec<ShardEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardEntry {
    file: String,
    bytes: u64,
    n_samples: u64,
    /// SHA-256 of the shard's table.
    table_sha256: String,
}

/// Writes every sample of a dataset into a new folder; `step` is called once for each.
///
/// **Errors**: a folder that is there and not empty, a sample that cannot be read, what the file system answers. The
/// folder is not there then.
pub fn write_cache(
    from: &dyn Inspect,
    to: &Path,
    shard_bytes: usize,
    step: &(dyn Fn() + Sync),
) -> anyhow::Result<Converted> {
    let staging = Staging::begin(to)?;
    let mut shards = Vec::new();
    let mut writer = ShardWriter::default();
    let mut end = |writer: &mut ShardWriter| -> Result<(), DatasetError> {
        let file = format!("shard-{:05}.bin", shards.len());
        let written = std::mem::take(writer).write(&staging.path().join(&file))?;
        shards.push(ShardEntry {
            file,
            bytes: written.bytes,
            n_samples: written.n_samples,
            table_sha256: written.table_sha256,
        });
        Ok(())
    };
    let mut converted = Converted::default();
    let all: Vec<usize> = (0..from.n_samples()).collect();
    for part in all.chunks(SAMPLES_AT_ONCE) {
        let samples: Vec<anyhow::Result<Sample>> = part.par_iter().map(|idx| from.load(*idx)).collect();
        for sample in samples {
            let sample = sample?;
            converted.n_samples += 1;
            converted.n_objects += sample.objects.len() as u64;
            writer.add(&sample);
            step();
            if writer.n_bytes() >= shard_bytes {
                end(&mut writer)?;
            }
        }
    }
    if !writer.is_empty() {
        end(&mut writer)?;
    }
    let index = Index {
        version: CACHE_VERSION,
        source: from.kind().to_string(),
        convention: from.convention(),
        n_samples: converted.n_samples,
        shards,
    };
    let path = staging.path().join(CACHE_FILE);
    let text = serde_json::to_vec_pretty(&index)?;
    std::fs::write(&path, text).map_err(|source| DatasetError::Write { path, source })?;
    staging.finish()?;
    Ok(converted)
}

/// An open cache.
#[derive(Debug)]
pub struct CachedDataset {
    convention: Option<Convention>,
    rename: BTreeMap<String, String>,
    shards: Vec<Shard>,
    /// Shard, and place within, of every sample.
    places: Vec<(u32, u32)>,
}

impl CachedDataset {
    /// Whether a folder is a cache.
    pub fn is_at(root: &Path) -> bool {
        root.join(CACHE_FILE).is_file()
    }

    /// Opens a cache and checks the tables of its shards; samples are checked as they are read.
    ///
    /// **Errors**: another version, a shard that is missing, of another size or with another table.
    pub fn open(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(CACHE_FILE);
        let refuse = |reason: String| DatasetError::File { path: path.clone(), reason };
        let bytes = read_bytes(&path)?;
        // First the version: another one may have other fields.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
        if version != CACHE_VERSION {
            let reason =
                format!("is of version {version}, and this program reads {CACHE_VERSION}: convert again");
            return Err(refuse(reason));
        }
        let index: Index = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
        let mut shards = Vec::new();
        let mut places = Vec::new();
        for (number, entry) in index.shards.iter().enumerate() {
            let path = crate::path_below(root, &entry.file)
                .ok_or_else(|| refuse(format!("`{}` is no name of a shard", entry.file)))?;
            let shard = Shard::open(&path, entry.bytes, &entry.table_sha256)?;
            if shard.n_samples() as u64 != entry.n_samples {
                return Err(refuse(format!(
                    "`{}` has {} samples, and {} are listed",
                    entry.file,
                    shard.n_samples(),
                    entry.n_samples
                )));
            }
            places.extend((0..shard.n_samples()).map(|place| (number as u32, place as u32)));
            shards.push(shard);
        }
        if places.len() as u64 != index.n_samples || places.is_empty() {
            return Err(refuse(format!("lists {} samples and names {}", index.n_samples, places.len())));
        }
        Ok(Self { convention: index.convention, rename: BTreeMap::new(), shards, places })
    }

    /// The same with other names of classes; from and to are in lower case.
    #[must_use]
    pub fn renamed(self, rename: BTreeMap<String, String>) -> Self {
        Self { rename, ..self }
    }

    fn place(&self, idx: usize) -> Option<(&Shard, usize)> {
        let (shard, place) = *self.places.get(idx)?;
        Some((self.shards.get(shard as usize)?, place as usize))
    }

    /// Reads a sample.
    ///
    /// **Errors**: bytes that are not those that were written.
    pub fn read(&self, idx: usize) -> Result<Sample, DatasetError> {
        let n_samples = self.places.len();
        let (shard, place) = self.place(idx).ok_or(DatasetError::NoSample { idx, n_samples })?;
        let mut sample = shard.read(place)?;
        for object in &mut sample.objects {
            if let Some(name) = self.rename.get(&object.class_name) {
                object.class_name.clone_from(name);
            }
        }
        Ok(sample)
    }
}

impl Dataset for CachedDataset {
    fn n_samples(&self) -> usize {
        self.places.len()
    }

    fn name(&self, idx: usize) -> &str {
        self.place(idx).map_or("", |(shard, place)| shard.name(place))
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        Ok(self.read(idx)?)
    }
}

impl Inspect for CachedDataset {
    fn kind(&self) -> Kind {
        Kind::Cache
    }

    fn convention(&self) -> Option<Convention> {
        self.convention
    }
}
