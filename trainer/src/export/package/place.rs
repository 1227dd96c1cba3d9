//! The place of a package: what stands there, and a folder beside it that takes over.

use anyhow::{Context, bail};
use pilotis_runtime::package::parse_digests;
use pilotis_spec::manifest::{CARD_FILE, DIGESTS_FILE};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What stands where a package is to go.
pub(super) enum Standing {
    Nothing,
    Package,
    /// A folder that is no package, and why.
    Other(String),
}

impl Standing {
    pub(super) fn at(dir: &Path) -> anyhow::Result<Self> {
        match fs::symlink_metadata(dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::Nothing),
            Err(e) => Err(e).with_context(|| format!("cannot inspect `{}`", dir.display())),
            Ok(metadata) if !metadata.is_dir() => {
                bail!("`{}` is a file or a link, and is not replaced by a package", dir.display())
            }
            Ok(_) => Self::of_folder(dir).with_context(|| format!("cannot inspect `{}`", dir.display())),
        }
    }

    fn of_folder(dir: &Path) -> std::io::Result<Self> {
        if fs::read_dir(dir)?.next().is_none() {
            return Ok(Self::Package);
        }
        // A damaged package may be replaced, so digests are not compared.
        let listed = match fs::read(dir.join(DIGESTS_FILE)) {
            Ok(bytes) => parse_digests(&bytes),
            Err(e) => Err(format!("{DIGESTS_FILE}: {e}")),
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(why) => return Ok(Self::Other(why)),
        };
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let (path, kind) = entry.and_then(|e| Ok((e.path(), e.file_type()?)))?;
                if kind.is_dir() {
                    folders.push(path);
                    continue;
                }
                let inside = path.strip_prefix(dir).unwrap_or(&path);
                let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
                let inside = parts.join("/");
                let is_ours = inside == DIGESTS_FILE || inside == CARD_FILE || listed.contains_key(&inside);
                if !is_ours {
                    return Ok(Self::Other(format!("it holds `{inside}`")));
                }
            }
        }
        Ok(Self::Package)
    }
}

/// A folder under construction; removed unless it was renamed.
pub(super) struct Staged(pub(super) PathBuf);

impl Staged {
    pub(super) fn new(parent: &Path, name: &str) -> anyhow::Result<Self> {
        let path = free_name(parent, &format!(".{name}.staged-{}", std::process::id()))?;
        fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing here, and nothing to report.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn free_name(parent: &Path, stem: &str) -> anyhow::Result<PathBuf> {
    let names = (1..1000).map(|i| parent.join(format!("{stem}-{i}")));
    let mut free = names.filter(|path| fs::symlink_metadata(path).is_err());
    free.next().with_context(|| format!("`{}` is full of `{stem}-*`; remove some", parent.display()))
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Brings the names in `folder` and below to disk.
pub(super) fn sync_folders(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be synced here; the file system orders renames itself.
#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}
