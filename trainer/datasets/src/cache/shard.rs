//! A file of many samples: a table, then the samples one after the other.
//!
//! `magic, version u32, samples u32, length of the rows u64, rows, samples`; a row is `offset u64, length u64,
//! SHA-256, name`. Offsets are from the beginning of the file. All numbers are little-endian.

use super::CACHE_VERSION;
use super::bytes::{Reader, put_sample};
use crate::{DatasetError, Sample};
use pilotis_runtime::package::sha256_hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How large a shard becomes before the next is begun.
pub const TARGET_SHARD_BYTES: usize = 64 << 20;

const MAGIC: [u8; 8] = *b"PILOTCSH";
/// Magic, version, samples, length of the rows.
const HEADER_BYTES: usize = 8 + 4 + 4 + 8;
/// Offset, length, digest, length of the name.
const ROW_BYTES: usize = 8 + 8 + 32 + 4;

struct Row {
    name: String,
    offset: u64,
    len: u64,
    sha256: [u8; 32],
}

/// A shard that is being filled.
#[derive(Default)]
pub(super) struct ShardWriter {
    rows: Vec<Row>,
    samples: Vec<u8>,
}

/// A shard that is on the disk.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) n_samples: u64,
    pub(super) table_sha256: String,
}

impl ShardWriter {
    pub(super) fn add(&mut self, sample: &Sample) {
        let offset = self.samples.len();
        put_sample(&mut self.samples, sample);
        let bytes = self.samples.get(offset..).unwrap_or_default();
        self.rows.push(Row {
            name: sample.name.clone(),
            offset: offset as u64,
            len: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
        });
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn write(self, path: &Path) -> Result<Written, DatasetError> {
        let rows_len: usize = self.rows.iter().map(|row| ROW_BYTES + row.name.len()).sum();
        let begin = (HEADER_BYTES + rows_len) as u64;
        let mut table = Vec::with_capacity(HEADER_BYTES + rows_len);
        table.extend(MAGIC);
        table.extend(CACHE_VERSION.to_le_bytes());
        table.extend((self.rows.len() as u32).to_le_bytes());
        table.extend((rows_len as u64).to_le_bytes());
        for row in &self.rows {
            table.extend((begin + row.offset).to_le_bytes());
            table.extend(row.len.to_le_bytes());
            table.extend(row.sha256);
            table.extend((row.name.len() as u32).to_le_bytes());
            table.extend(row.name.as_bytes());
        }
        let written = File::create_new(path).and_then(|mut file| {
            file.write_all(&table)?;
            file.write_all(&self.samples)?;
            file.sync_all()
        });
        written.map_err(|source| DatasetError::Write { path: path.to_owned(), source })?;
        Ok(Written {
            bytes: (table.len() + self.samples.len()) as u64,
            n_samples: self.rows.len() as u64,
            table_sha256: sha256_hex(&table),
        })
    }
}

/// An open shard.
pub(super) struct Shard {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({}, {} samples)", self.path.display(), self.rows.len())
    }
}

impl Shard {
    /// Opens a shard of a known size whose table has a known digest.
    pub(super) fn open(path: &Path, n_bytes: u64, table_sha256: &str) -> Result<Self, DatasetError> {
        let read = |source: io::Error| DatasetError::Read { path: path.to_owned(), source };
        let refuse = |reason: String| DatasetError::File { path: path.to_owned(), reason };
        let file = File::open(path).map_err(read)?;
        let found = file.metadata().map_err(read)?.len();
        if found != n_bytes {
            return Err(refuse(format!("has {found} bytes, and {n_bytes} were written: convert again")));
        }
        let mut head = [0; HEADER_BYTES];
        file.read_exact_at(&mut head, 0).map_err(read)?;
        let not_ours = || refuse("is no shard of this version: convert again".to_owned());
        let mut reader = Reader(&head);
        if reader.array() != Some(MAGIC) || reader.number() != Some(CACHE_VERSION) {
            return Err(not_ours());
        }
        let n_samples = reader.number().ok_or_else(not_ours)?;
        let rows_len = reader.long().filter(|n| *n <= n_bytes - HEADER_BYTES as u64).ok_or_else(not_ours)?;
        let mut table = head.to_vec();
        table.resize(HEADER_BYTES + usize::try_from(rows_len).map_err(|_| not_ours())?, 0);
        if let Some(rows) = table.get_mut(HEADER_BYTES..) {
            file.read_exact_at(rows, HEADER_BYTES as u64).map_err(read)?;
        }
        if sha256_hex(&table) != table_sha256 {
            return Err(refuse("has another table than was written: convert again".to_owned()));
        }
        let rows = parse_rows(table.get(HEADER_BYTES..).unwrap_or_default(), n_samples, n_bytes);
        Ok(Self { path: path.to_owned(), file, rows: rows.ok_or_else(not_ours)? })
    }

    pub(super) fn n_samples(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn name(&self, place: usize) -> &str {
        self.rows.get(place).map_or("", |row| &row.name)
    }

    pub(super) fn read(&self, place: usize) -> Result<Sample, DatasetError> {
        let n_samples = self.rows.len();
        let row = self.rows.get(place).ok_or(DatasetError::NoSample { idx: place, n_samples })?;
        let refuse = |reason: &str| DatasetError::File {
            path: self.path.clone(),
            reason: format!("sample `{}` at byte {}: {reason}: convert again", row.name, row.offset),
        };
        let mut bytes = vec![0; usize::try_from(row.len).map_err(|_| refuse("it is too long"))?];
        let read = self.file.read_exact_at(&mut bytes, row.offset);
        read.map_err(|source| DatasetError::Read { path: self.path.clone(), source })?;
        if Sha256::digest(&bytes)[..] != row.sha256 {
            return Err(refuse("its bytes are not those that were written"));
        }
        Reader(&bytes).sample(row.name.clone()).ok_or_else(|| refuse("its bytes are no sample"))
    }
}

/// The rows of a table, each within the file.
fn parse_rows(bytes: &[u8], n_samples: u32, n_bytes: u64) -> Option<Vec<Row>> {
    let mut reader = Reader(bytes);
    let mut rows = Vec::new();
    for _ in 0..n_samples {
        let (offset, len, sha256) = (reader.long()?, reader.long()?, reader.array()?);
        let is_inside = offset.checked_add(len).is_some_and(|end| end <= n_bytes);
        rows.push(Row { name: reader.text()?, offset, len: is_inside.then_some(len)?, sha256 });
    }
    reader.0.is_empty().then_some(rows)
}
