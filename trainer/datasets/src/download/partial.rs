//! The file that is not complete yet, and what is known of the one that it will be.
//!
//! Beside `archive.part` lies `archive.part.json`: where the bytes came from and the server's mark of that version.
//! Without a mark, or with that of another address, the bytes are worth nothing and are thrown away.

use super::error::DownloadError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Which version of which file: what a server says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) url: String,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// Bytes of the whole file.
    pub(super) total: Option<u64>,
}

impl Origin {
    /// The mark by which a server can tell whether it still has this version; none if it gave no strong one.
    pub(super) fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|tag| tag.starts_with('"'));
        strong.or(self.last_modified.as_deref())
    }

    /// Whether what a server says of a later piece is of the same version, as far as both say.
    pub(super) fn is_same_version(&self, later: &Self) -> bool {
        fn agree<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.zip(b).is_none_or(|(a, b)| a == b)
        }
        agree(self.etag.as_ref(), later.etag.as_ref())
            && agree(self.last_modified.as_ref(), later.last_modified.as_ref())
            && agree(self.total.as_ref(), later.total.as_ref())
    }
}

/// The bytes that are there, their digest, and where they came from.
pub(super) struct Partial {
    path: PathBuf,
    origin_path: PathBuf,
    file: File,
    len: u64,
    hasher: Sha256,
    origin: Origin,
    /// Whether the bytes came by more than one answer.
    is_pieced: bool,
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    let path = path.to_owned();
    move |source| DownloadError::File { what, path, source }
}

impl Partial {
    /// Opens what is there of an archive, or begins with nothing; reads and digests what is there.
    pub(super) fn open(archive: &Path, url: &str) -> Result<Self, DownloadError> {
        let path = with_suffix(archive, ".part");
        let origin_path = with_suffix(archive, ".part.json");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("open", &path))?;
        let known = fs::read(&origin_path).ok().and_then(|text| serde_json::from_slice::<Origin>(&text).ok());
        let origin = known.filter(|o| o.url == url && o.validator().is_some());
        let mut partial = Self {
            origin: origin.clone().unwrap_or_default(),
            path,
            origin_path,
            file,
            len: 0,
            hasher: Sha256::new(),
            is_pieced: false,
        };
        match origin {
            Some(origin) => partial.digest_what_is_there(&origin)?,
            None => partial.clear()?,
        }
        Ok(partial)
    }

    fn digest_what_is_there(&mut self, origin: &Origin) -> Result<(), DownloadError> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = self.file.read(&mut buffer).map_err(failed("read", &self.path))?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
            self.hasher.update(bytes);
            self.len += n as u64;
        }
        self.is_pieced = self.len > 0;
        // More than the file can have is not the file's.
        if origin.total.is_some_and(|total| self.len > total) { self.clear() } else { Ok(()) }
    }

    /// Bytes that are there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Where they came from.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the bytes came by more than one answer, so that they may be of more than one version.
    pub(super) fn is_pieced(&self) -> bool {
        self.is_pieced
    }

    /// Whether all bytes of the file are there, where it is known how many it has.
    pub(super) fn is_complete(&self) -> bool {
        self.origin.total == Some(self.len)
    }

    /// Throws the bytes away.
    pub(super) fn clear(&mut self) -> Result<(), DownloadError> {
        // First what vouches for the bytes, then the bytes: whatever happens between, they are not taken for good.
        match fs::remove_file(&self.origin_path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.origin_path)(e)),
            _ => Ok(()),
        }?;
        self.file.set_len(0).map_err(failed("clear", &self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed("clear", &self.path))?;
        self.len = 0;
        self.hasher = Sha256::new();
        self.origin = Origin::default();
        self.is_pieced = false;
        Ok(())
    }

    /// Throws the bytes away and begins a version.
    pub(super) fn begin(&mut self, origin: Origin) -> Result<(), DownloadError> {
        self.clear()?;
        let text = serde_json::to_vec_pretty(&origin)
            .map_err(|e| failed("write", &self.origin_path)(io::Error::other(e)))?;
        let beside = with_suffix(&self.origin_path, ".new");
        fs::write(&beside, text).map_err(failed("write", &beside))?;
        fs::rename(&beside, &self.origin_path).map_err(failed("write", &self.origin_path))?;
        self.origin = origin;
        Ok(())
    }

    /// Says that another answer goes on where the bytes end.
    pub(super) fn go_on(&mut self) {
        self.is_pieced = true;
    }

    /// Adds bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file.write_all(bytes).map_err(failed("write", &self.path))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// SHA-256 of all bytes, lower-case hex.
    pub(super) fn sha256(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hasher.clone().finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Gives the bytes, which are complete, the archive's name. They are on the disk before it is.
    pub(super) fn finish(self, archive: &Path) -> Result<(), DownloadError> {
        self.file.sync_all().map_err(failed("write", &self.path))?;
        fs::rename(&self.path, archive).map_err(failed("finish", archive))?;
        sync_folder_of(archive)?;
        match fs::remove_file(&self.origin_path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.origin_path)(e)),
            _ => Ok(()),
        }
    }
}

/// Makes the system keep the names in the folder of a path.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), DownloadError> {
    let folder = super::folder_of(path);
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed("write", folder))
}
