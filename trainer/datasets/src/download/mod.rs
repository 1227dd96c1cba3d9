//! Fetching a public dataset: resumed where it was cut, checked, unpacked safely, and there only when all of it is.
//!
//! | file | what it does |
//! |---|---|
//! | `source` | what can be fetched, one table |
//! | `client` | one request |
//! | `fetch` | request after request until the archive is there |
//! | `partial` | the bytes so far, and which version they are of |
//! | `limits` | how long to wait, how often to try |
//! | `unpack` | files out of an archive that nobody vouches for |
//! | `contents` | whether a folder holds the dataset |
//! | `error` | what can go wrong |
//!
//! On disk, for the folder `out` and the archive `a.tgz` beside it: `a.tgz.part` and `a.tgz.part.json` while bytes
//! come; `a.tgz` when all are there; `out.unpacking` while they are unpacked; `out` when everything was checked. A
//! process may end at any moment: the next run goes on, and a finished dataset is recognised without a request.

mod client;
mod contents;
mod error;
mod fetch;
mod limits;
mod partial;
mod source;
#[cfg(test)]
mod tests;
pub mod unpack;

pub use error::{DownloadError, Fault};
pub use limits::Limits;
pub use source::{NUSCENES_MINI, Rows, Source};

use fetch::Fetch;
use partial::{Partial, sync_folder_of, with_suffix};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unpack::{Bounds, Refusal, Unpacked};

/// The file in a dataset that says where it came from.
pub const RECEIPT_FILE: &str = ".pilotis-download.json";

/// Unpacked bytes for each packed one; recorded data does not come near it.
const MAX_RATIO: u64 = 100;

/// What to fetch, and where to.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The dataset.
    pub source: &'a Source,
    /// Another address than the publisher's.
    pub url: Option<&'a str>,
    /// The folder that will be the dataset; missing or empty before.
    pub out: &'a Path,
    /// SHA-256 that the archive must have, lower-case hex; the source's own if not given.
    pub sha256: Option<&'a str>,
    /// Whether the archive stays beside the folder.
    pub keep_archive: bool,
    /// Whether the terms of use were accepted.
    pub accept_terms: bool,
    /// How long to wait, and how often to try.
    pub limits: Limits,
    /// Bytes that can still be written at a folder.
    pub free_bytes: fn(&Path) -> io::Result<u64>,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Bytes of the archive that are here.
    Receiving {
        /// Those of earlier runs included.
        received: u64,
        /// Of how many, where the server says so.
        total: Option<u64>,
    },
    /// It failed and is tried again.
    Waiting {
        /// What it failed on.
        fault: &'a Fault,
        /// How long until then.
        wait: Duration,
    },
    /// Bytes of the archive that are unpacked.
    Unpacking {
        /// So many.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// The tables are counted, and their files looked for.
    Checking,
}

/// Where the files of a dataset came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The dataset.
    pub dataset: String,
    /// The address that was asked.
    pub url: String,
    /// Bytes of the archive.
    pub bytes: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
    /// The server's mark of the version.
    pub etag: Option<String>,
    /// When the server says it was changed.
    pub last_modified: Option<String>,
}

impl Receipt {
    fn of(source: &Source, url: &str, partial: &Partial) -> Self {
        Self {
            dataset: source.name.to_owned(),
            url: url.to_owned(),
            bytes: partial.len(),
            sha256: partial.sha256(),
            etag: partial.origin().etag.clone(),
            last_modified: partial.origin().last_modified.clone(),
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The dataset was there and complete; nothing was asked for.
    WasThere,
    /// It is there now.
    Fetched {
        /// What was unpacked.
        unpacked: Unpacked,
        /// Where it came from; none where the archive lay there before this run.
        receipt: Option<Receipt>,
    },
}

/// Bytes that a user without privileges can still write at a folder.
///
/// **Errors**: what the system says.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    let path = path.to_owned();
    move |source| DownloadError::File { what, path, source }
}

/// Fetches a dataset, checks it and unpacks it.
///
/// An archive that already lies beside the folder is taken as it is, after the same checks of its content.
///
/// **Errors**: a [`DownloadError`] that says what to do. The folder is then as it was before.
pub fn download(
    request: &Request<'_>,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome, DownloadError> {
    let Request { source, out, .. } = *request;
    match is_there(out, source) {
        Ok(true) => return Ok(Outcome::WasThere),
        Ok(false) => {}
        Err(reason) => {
            let (path, dataset) = (out.to_owned(), source.name);
            return Err(DownloadError::Occupied { path, dataset, reason });
        }
    }
    if !request.accept_terms {
        return Err(DownloadError::TermsNotAccepted { dataset: source.name, notice: source.notice });
    }
    let beside = folder_of(out);
    fs::create_dir_all(beside).map_err(failed("make", beside))?;
    let archive = beside.join(source.archive);
    let lock = Lock::take(&archive)?;
    let fetched = if archive.exists() { None } else { Some(fetch(request, &archive, report)?) };
    let unpacked = unpack_beside(request, &archive, fetched.as_ref(), report)?;
    if !request.keep_archive {
        fs::remove_file(&archive).map_err(failed("remove", &archive))?;
    }
    lock.release();
    Ok(Outcome::Fetched { unpacked, receipt: fetched })
}

/// Whether the folder holds the dataset (`true`) or nothing (`false`); else why neither.
fn is_there(out: &Path, source: &Source) -> Result<bool, String> {
    match fs::read_dir(out) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e.to_string()),
        Ok(mut entries) => {
            if entries.next().is_none() {
                return Ok(false);
            }
        }
    }
    contents::check(out, source).map(|()| true)
}

fn fetch(
    request: &Request<'_>,
    archive: &Path,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<Receipt, DownloadError> {
    let source = request.source;
    let url = request.url.unwrap_or(source.url);
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let reason = "an address begins with https:// or http://".to_owned();
        return Err(DownloadError::Address { url: url.to_owned(), reason });
    }
    let reserve = |archive_bytes: u64| reserve(request, archive, archive_bytes + source.unpacked_bytes);
    let sha256 = request.sha256.or(source.sha256);
    Fetch { source, url, archive, sha256, limits: &request.limits, reserve: &reserve }.run(report)
}

fn reserve(request: &Request<'_>, archive: &Path, needed: u64) -> Result<(), DownloadError> {
    let folder = folder_of(archive);
    let free = (request.free_bytes)(folder).map_err(failed("look for room at", folder))?;
    if free < needed {
        return Err(DownloadError::NoSpace { path: folder.to_owned(), needed, free });
    }
    Ok(())
}

/// Unpacks into a folder beside the final one, checks, and gives it its name.
fn unpack_beside(
    request: &Request<'_>,
    archive: &Path,
    receipt: Option<&Receipt>,
    report: &mut dyn FnMut(Progress<'_>),
) -> Result<Unpacked, DownloadError> {
    let Request { source, out, .. } = *request;
    let scratch = Scratch::make(with_suffix(out, ".unpacking"))?;
    if receipt.is_none() {
        reserve(request, archive, source.unpacked_bytes)?;
    }
    let total = fs::metadata(archive).map_err(failed("look at", archive))?.len();
    let into = cap_std::fs::Dir::open_ambient_dir(&scratch.0, cap_std::ambient_authority())
        .map_err(failed("open", &scratch.0))?;
    let bounds = Bounds {
        max_entries: source.max_entries,
        max_bytes: source.max_bytes.saturating_mul(2),
        max_ratio: MAX_RATIO,
    };
    let unpacked = unpack::unpack(archive, &into, bounds, &mut |done| {
        report(Progress::Unpacking { done, total });
    });
    let unpacked = match unpacked {
        Ok(unpacked) => unpacked,
        // A full disk is no fault of the archive.
        Err(Refusal::Write { name, source }) => {
            return Err(DownloadError::File { what: "unpack", path: scratch.0.join(name), source });
        }
        Err(refusal) => {
            let aside = set_aside(archive)?;
            return Err(DownloadError::Archive { archive: archive.to_owned(), aside, refusal });
        }
    };
    report(Progress::Checking);
    if let Err(reason) = contents::check(&scratch.0, source) {
        let (aside, dataset) = (set_aside(archive)?, source.name);
        return Err(DownloadError::Contents { archive: archive.to_owned(), aside, dataset, reason });
    }
    if let Some(receipt) = receipt {
        let path = scratch.0.join(RECEIPT_FILE);
        let text = serde_json::to_vec_pretty(receipt).map_err(|e| failed("write", &path)(e.into()))?;
        fs::write(&path, text).map_err(failed("write", &path))?;
    }
    // All of the files in one go; one by one, 30,000 of them would take minutes.
    File::open(&scratch.0)
        .and_then(|folder| Ok(rustix::fs::syncfs(&folder)?))
        .map_err(failed("write", &scratch.0))?;
    fs::rename(&scratch.0, out).map_err(failed("finish", out))?;
    sync_folder_of(out)?;
    Ok(unpacked)
}

/// Takes an archive's name away, so that the next run fetches it anew; nothing is thrown away.
fn set_aside(archive: &Path) -> Result<PathBuf, DownloadError> {
    let aside = with_suffix(archive, ".refused");
    fs::rename(archive, &aside).map_err(failed("set aside", archive))?;
    Ok(aside)
}

/// A folder that is empty at first, and gone at the end unless it got another name.
struct Scratch(PathBuf);

impl Scratch {
    fn make(path: PathBuf) -> Result<Self, DownloadError> {
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("clear", &path)(e)),
            _ => {}
        }
        fs::create_dir(&path).map_err(failed("make", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps other processes away from an archive for as long as it lives.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(archive: &Path) -> Result<Self, DownloadError> {
        let path = with_suffix(archive, ".lock");
        let file = File::options().create(true).append(true).open(&path).map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _file: file }),
            Err(TryLockError::WouldBlock) => Err(DownloadError::Busy { path: archive.to_owned() }),
            Err(TryLockError::Error(e)) => Err(failed("lock", &path)(e)),
        }
    }

    /// Who waited for it finds a complete dataset, so that the file is of no more use.
    fn release(self) {
        let _ = fs::remove_file(&self.path);
    }
}
