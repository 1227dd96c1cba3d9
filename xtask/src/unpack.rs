//! Digests, and taking named files out of a wheel.

use crate::parts::PartFile;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// No file of a native part is larger, whatever an archive says.
const MAX_FILE_BYTES: u64 = 8 << 30;

/// SHA-256 of a file in lower-case hex.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).with_context(|| format!("cannot read `{}`", path.display()))?;
        let Some(read) = buffer.get(..n).filter(|r| !r.is_empty()) else { break };
        hasher.update(read);
    }
    Ok(hex(&hasher.finalize()))
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks a file against its pinned digest.
pub(crate) fn check_digest(path: &Path, expected: &str) -> Result<()> {
    let found = digest(path)?;
    if found != expected {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        bail!("`{name}` has sha256 {found}, and {expected} is pinned: it is not the file that was reviewed");
    }
    Ok(())
}

/// Unpacks the named files of a wheel, and those only, into a folder.
///
/// A name inside of the archive never becomes a path here; yet an archive that tries to leave its
/// folder is not a wheel, and is refused as a whole.
pub(crate) fn unpack(wheel: &Path, files: &[PartFile], into: &Path) -> Result<()> {
    let file = File::open(wheel).with_context(|| format!("cannot open `{}`", wheel.display()))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).context("the wheel is not a zip archive")?;
    for name in archive.file_names() {
        let name = name.context("the wheel holds a name that cannot be read")?;
        let parts = name.split(['/', '\\']);
        if name.starts_with(['/', '\\']) || name.contains([':', '\0']) || parts.clone().any(|p| p == "..") {
            bail!("the wheel holds `{name}`, which leaves its folder");
        }
    }
    for PartFile { from, to } in files {
        let mut entry = archive.by_name(from).with_context(|| format!("the wheel has no `{from}`"))?;
        if !entry.is_file() || entry.size() > MAX_FILE_BYTES {
            bail!("`{from}` in the wheel is not a file of a sane size");
        }
        let (path, size) = (into.join(to), entry.size());
        let mut out = File::create_new(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        // One byte more than said would show an archive that lies about its sizes.
        let copied = io::copy(&mut entry.by_ref().take(size + 1), &mut out)
            .with_context(|| format!("cannot unpack `{from}`"))?;
        if copied != size {
            bail!("`{from}` in the wheel has {copied} bytes, and says {size}");
        }
        out.sync_all().with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn archive(path: &Path, entries: &[(&str, &[u8])]) {
        let mut writer = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
    }

    fn wanted() -> [PartFile; 1] {
        [PartFile { from: "a/lib.so.1".into(), to: "lib.so".into() }]
    }

    #[test]
    fn only_the_named_files_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (wheel, into) = (folder.path().join("x.whl"), folder.path().join("into"));
        std::fs::create_dir(&into).unwrap();
        archive(&wheel, &[("a/lib.so.1", b"library"), ("a/other.py", b"code")]);
        unpack(&wheel, &wanted(), &into).unwrap();
        assert_eq!(std::fs::read(into.join("lib.so")).unwrap(), b"library");
        assert_eq!(std::fs::read_dir(&into).unwrap().count(), 1);
    }

    #[test]
    fn an_archive_that_leaves_its_folder_is_refused() {
        for bad in ["../evil", "a/../../evil", "/evil", "a\\..\\..\\evil", "C:evil"] {
            let folder = tempfile::tempdir().unwrap();
            let (wheel, into) = (folder.path().join("x.whl"), folder.path().join("into"));
            std::fs::create_dir(&into).unwrap();
            archive(&wheel, &[("a/lib.so.1", b"library"), (bad, b"evil")]);
            let error = unpack(&wheel, &wanted(), &into).unwrap_err();
            assert!(error.to_string().contains("leaves its folder"), "{bad}: {error}");
            assert_eq!(std::fs::read_dir(&into).unwrap().count(), 0, "{bad}");
        }
    }

    #[test]
    fn a_wheel_without_the_file_or_cut_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("x.whl");
        archive(&wheel, &[("a/other", b"x"), ("a/lib.so.1/", b"")]);
        assert!(unpack(&wheel, &wanted(), folder.path()).is_err());
        archive(&wheel, &[("a/lib.so.1", &[7; 5000])]);
        let bytes = std::fs::read(&wheel).unwrap();
        std::fs::write(&wheel, &bytes[..bytes.len() / 2]).unwrap();
        assert!(unpack(&wheel, &wanted(), folder.path()).is_err());
    }

    #[test]
    fn another_digest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("part.whl");
        std::fs::write(&file, b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_digest(&file, known).unwrap();
        std::fs::write(&file, b"abd").unwrap();
        let error = check_digest(&file, known).unwrap_err().to_string();
        assert!(error.contains(known) && error.contains("part.whl"), "{error}");
    }
}
