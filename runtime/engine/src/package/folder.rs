//! A package's folder: regular files within bounds, each read once.

use super::{MAX_FILE_BYTES, MAX_FILES, MAX_PACKAGE_BYTES, refuse};
use crate::error::BuildError;
use pilotis_spec::manifest::is_inside;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Most folders one inside the other.
const MAX_DEPTH: usize = 4;

/// Collects the regular files below `dir`; refuses everything that is neither file nor folder.
pub(super) fn list_files(
    dir: &Path,
    below: &str,
    depth: usize,
    found: &mut BTreeSet<String>,
) -> Result<(), BuildError> {
    let folder = dir.join(below);
    for entry in fs::read_dir(&folder).map_err(|e| BuildError::io(&folder, "list", e))? {
        let entry = entry.map_err(|e| BuildError::io(&folder, "list", e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
        // Of the entry itself: links are not followed.
        let kind = entry.file_type().map_err(|e| BuildError::io(&entry.path(), "inspect", e))?;
        if !is_inside(&path) {
            return Err(refuse(
                dir,
                format!("holds `{}`, a name that no package file has; remove it", path.escape_debug()),
            ));
        }
        if kind.is_dir() {
            if depth + 1 >= MAX_DEPTH {
                return Err(refuse(dir, format!("folder `{path}` lies too deep; remove it")));
            }
            list_files(dir, &path, depth + 1, found)?;
        } else if kind.is_file() {
            found.insert(path);
        } else {
            let what = if kind.is_symlink() { "a symbolic link" } else { "not a regular file" };
            return Err(refuse(dir, format!("`{path}` is {what}; put the file itself there")));
        }
        // Card and digests are not among the listed ones.
        if found.len() > MAX_FILES + 2 {
            return Err(refuse(dir, format!("holds more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

/// Reads a file whole and takes its size off the budget.
pub(super) fn read_file(dir: &Path, path: &str, budget: &mut u64) -> Result<Vec<u8>, BuildError> {
    let full = dir.join(path);
    let file = File::open(&full).map_err(|e| BuildError::io(&full, "open", e))?;
    let metadata = file.metadata().map_err(|e| BuildError::io(&full, "inspect", e))?;
    if !metadata.is_file() {
        return Err(refuse(dir, format!("`{path}` is not a regular file")));
    }
    let cap = MAX_FILE_BYTES.min(*budget);
    let too_large = |n_bytes: u64| {
        refuse(
            dir,
            format!(
                "`{path}` has {n_bytes} bytes; a file may have {MAX_FILE_BYTES}, all together {MAX_PACKAGE_BYTES}"
            ),
        )
    };
    if metadata.len() > cap {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read; the cap holds all the same.
    let n_bytes =
        file.take(cap + 1).read_to_end(&mut bytes).map_err(|e| BuildError::io(&full, "read", e))? as u64;
    *budget = budget.checked_sub(n_bytes).filter(|_| n_bytes <= cap).ok_or_else(|| too_large(n_bytes))?;
    Ok(bytes)
}
