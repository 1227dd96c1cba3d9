//! Whether a table is still the file that it was.

use crate::nuscenes::error::TablesError;
use crate::nuscenes::schema::TABLE_NAMES;
use crate::nuscenes::table::N_TABLES;
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A change this soon after another may have the same time: clocks of file systems are coarse.
const CLOCK_SLACK_NS: i64 = 2_000_000_000;
/// Bytes hashed at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Size and times of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::nuscenes) struct Stamp {
    pub(super) n_bytes: u64,
    /// When its content last changed, as far as anyone says; programs may set it.
    pub(super) modified_ns: i64,
    /// When the system last saw any change of it; 0 where the system does not say.
    pub(super) changed_ns: i64,
}

impl Stamp {
    pub(in crate::nuscenes) fn of(file: &Metadata) -> Self {
        let modified = file.modified().map_or(0, since_epoch_ns);
        Self { n_bytes: file.len(), modified_ns: modified, changed_ns: changed_ns(file) }
    }

    /// Whether a later change would surely have another time.
    fn is_older_than(&self, time_ns: i64) -> bool {
        self.modified_ns.max(self.changed_ns) < time_ns.saturating_sub(CLOCK_SLACK_NS)
    }
}

#[cfg(unix)]
fn changed_ns(file: &Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt;
    file.ctime().saturating_mul(1_000_000_000).saturating_add(file.ctime_nsec())
}

#[cfg(not(unix))]
fn changed_ns(_: &Metadata) -> i64 {
    0
}

fn since_epoch_ns(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// A table as it was when it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::nuscenes) struct Source {
    pub(in crate::nuscenes) stamp: Stamp,
    pub(in crate::nuscenes) digest: [u8; 32],
}

/// All tables as they were when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::nuscenes) struct Sources {
    /// Before the first of them was opened.
    pub(super) opened_ns: i64,
    pub(super) tables: [Source; N_TABLES],
}

/// Whether tables are what they were.
pub(super) enum Verdict {
    /// They are; if only their contents say so, with times that will say it next time.
    Same(Option<Box<Sources>>),
    /// This table is not.
    Differs(&'static str),
}

impl Sources {
    pub(in crate::nuscenes) fn new(opened: SystemTime, tables: [Source; N_TABLES]) -> Self {
        Self { opened_ns: since_epoch_ns(opened), tables }
    }

    /// Compares with the tables that are in a folder now.
    ///
    /// **Errors**: a table that cannot be read.
    pub(super) fn compare(&self, folder: &Path) -> Result<Verdict, TablesError> {
        let mut now = Self::new(SystemTime::now(), self.tables);
        let mut is_hashed = false;
        for (source, name) in now.tables.iter_mut().zip(TABLE_NAMES) {
            let path = folder.join(format!("{name}.json"));
            let failed = |source| TablesError::Read { path: path.clone(), source };
            let stamp = Stamp::of(&path.metadata().map_err(failed)?);
            if stamp == source.stamp && stamp.is_older_than(self.opened_ns) {
                continue;
            }
            if stamp.n_bytes != source.stamp.n_bytes {
                return Ok(Verdict::Differs(name));
            }
            let mut file = File::open(&path).map_err(failed)?;
            if digest_of(&mut file).map_err(failed)? != source.digest {
                return Ok(Verdict::Differs(name));
            }
            source.stamp = stamp;
            is_hashed = true;
        }
        let is_settled = now.tables.iter().all(|source| source.stamp.is_older_than(now.opened_ns));
        Ok(Verdict::Same((is_hashed && is_settled).then(|| Box::new(now))))
    }
}

fn digest_of(file: &mut File) -> std::io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&block[..n]),
        }
    }
}
