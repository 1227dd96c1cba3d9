//! Libraries: shared libraries of the machine by the start of their names. Nothing is opened.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the dynamic linker looks up libraries in.
const LINKER_CACHE: &str = "/etc/ld.so.cache";

/// Libraries whose file names start with `prefix`, in the folders of `LD_LIBRARY_PATH`, in the
/// linker's cache and in the folders under `native`, where one is given.
pub(super) fn find(prefix: &str, library_path: Option<&OsStr>, native: Option<&Path>) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for dir in library_path.map(std::env::split_paths).into_iter().flatten() {
        of_folder(&dir, prefix, &mut found);
    }
    for dir in native.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten() {
        of_folder(&dir.path(), prefix, &mut found);
    }
    of_linker_cache(&fs::read(LINKER_CACHE).unwrap_or_default(), prefix, &mut found);
    found.into_iter().collect()
}

fn of_folder(dir: &Path, prefix: &str, found: &mut BTreeSet<PathBuf>) {
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        if is_library(&file.path(), prefix) {
            found.insert(file.path());
        }
    }
}

/// The cache is a table of numbers and then all names and paths, each ended by a zero byte.
fn of_linker_cache(cache: &[u8], prefix: &str, found: &mut BTreeSet<PathBuf>) {
    for text in cache.split(|byte| *byte == 0).filter(|text| text.first() == Some(&b'/')) {
        let path = Path::new(OsStr::from_bytes(text));
        if is_library(path, prefix) {
            found.insert(path.to_owned());
        }
    }
}

fn is_library(path: &Path, prefix: &str) -> bool {
    path.file_name().is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with(prefix) && (name.ends_with(".so") || name.contains(".so."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_name_where_the_linker_looks() {
        let dir = tempfile::tempdir().unwrap();
        let native = dir.path().join("part-1.0");
        fs::create_dir(&native).unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["libnvinfer.so.10", "libnvinfer.so.10.txt", "libnvinfer.a", "libother.so"] {
            fs::write(at(name), "").unwrap();
        }
        fs::write(native.join("libnvinfer_lean.so.11"), "").unwrap();
        let found = find("libnvinfer", Some(dir.path().as_os_str()), Some(dir.path()));
        assert!(found.contains(&at("libnvinfer.so.10")), "{found:?}");
        assert!(found.contains(&native.join("libnvinfer_lean.so.11")), "{found:?}");
        assert!(!found.contains(&at("libnvinfer.a")) && !found.contains(&at("libother.so")), "{found:?}");
        assert!(find("libthatnobodyhas", None, None).is_empty());
    }

    #[test]
    fn the_linkers_cache_is_read_by_its_paths() {
        let cache = b"glibc-ld.so.cache1.1\x01\x00\x02libnvinfer.so.8\x00/usr/lib/libnvinfer.so.8\x00/usr/lib/libz.so.1\x00";
        let mut found = BTreeSet::new();
        of_linker_cache(cache, "libnvinfer", &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [PathBuf::from("/usr/lib/libnvinfer.so.8")]);
    }
}
