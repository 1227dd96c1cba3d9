//! Package: a model folder, read once, hashed, and only then understood.
//!
//! [`Package::load`] trusts `package.sha256` and nothing else: every other file is read into
//! memory once, its digest compared, and what is parsed afterwards are those same bytes. So no
//! parser meets a byte that was not vouched for, and no file can change between check and use.
//! The digests guard against damage and mix-ups; they are no signature.

mod digests;
mod encoder;
mod folder;
mod golden;
#[cfg(test)]
mod tests;

pub(crate) use digests::hex;
pub use digests::{parse_digests, sha256_hex};
pub use encoder::{EncoderWeights, LinearWeights};

use crate::error::{BuildError, BuildErrorKind};
use digests::compare_listing;
use folder::{list_files, read_file};
use golden::read_golden;
use pilotis_spec::golden::GOLDEN_FILE;
use pilotis_spec::manifest::{DIGESTS_FILE, ENCODER_FILE, MANIFEST_FILE};
use pilotis_spec::{Golden, Manifest, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Largest file that a package may hold.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// Most bytes that all files of a package may hold together.
pub const MAX_PACKAGE_BYTES: u64 = 1 << 30;
/// Most files that a package may hold.
pub const MAX_FILES: usize = 64;
/// A model package, checked and in memory.
#[derive(Clone, Debug)]
pub struct Package {
    dir: PathBuf,
    digest: String,
    manifest: Manifest,
    encoder: EncoderWeights,
    golden: Option<Golden>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Package {
    /// Reads and checks a package folder.
    ///
    /// The folder holds `package.sha256` and exactly the files it lists, as regular files; only
    /// the model card may stand beside them, unlisted and never read.
    ///
    /// **Errors**: a file that is missing, unlisted, linked, too large or not as recorded, a
    /// manifest that contradicts itself or the folder, weights that do not fit it; the error
    /// names folder and file. Digests come before contents: damage is
    /// [`BuildErrorKind::Digest`], whatever it would have parsed to.
    pub fn load(dir: &Path) -> Result<Self, BuildError> {
        let is_folder = fs::metadata(dir).map_err(|e| BuildError::io(dir, "open", e))?.is_dir();
        if !is_folder {
            return Err(refuse(dir, "is no folder; give the folder that holds manifest.toml"));
        }
        let mut found = BTreeSet::new();
        list_files(dir, "", 0, &mut found)?;
        if !found.contains(DIGESTS_FILE) {
            return Err(refuse(
                dir,
                format!(
                    "has no {DIGESTS_FILE}, so it is no model package; `pilotis-trainer export` writes one"
                ),
            ));
        }
        let mut budget = MAX_PACKAGE_BYTES;
        let digests_bytes = read_file(dir, DIGESTS_FILE, &mut budget)?;
        let digests = parse_digests(&digests_bytes).map_err(|what| refuse(dir, what))?;
        compare_listing(&digests, &found).map_err(|what| refuse(dir, what))?;

        let mut files = BTreeMap::new();
        for (path, recorded) in &digests {
            let bytes = read_file(dir, path, &mut budget)?;
            let got = sha256_hex(&bytes);
            if got != *recorded {
                return Err(BuildError::new(
                    BuildErrorKind::Digest,
                    format!(
                        "package `{}`: `{path}` has SHA-256 {got}, {DIGESTS_FILE} records {recorded}: \
                         it was changed or damaged; copy or export the package again",
                        dir.display()
                    ),
                ));
            }
            files.insert(path.clone(), bytes);
        }
        // From here on every byte is the one that was hashed.
        let text = utf8(&files, MANIFEST_FILE).map_err(|what| refuse(dir, what))?;
        let manifest = Manifest::from_toml(text)
            .map_err(|e| refuse(dir, format!("{MANIFEST_FILE}: {e}")).caused_by(e))?;
        compare_manifest(&manifest, &digests).map_err(|what| mismatch(dir, what))?;
        let encoder = files
            .get(ENCODER_FILE)
            .ok_or_else(|| format!("{ENCODER_FILE} is missing"))
            .and_then(|bytes| EncoderWeights::from_safetensors(bytes, &manifest.bev))
            .map_err(|what| mismatch(dir, what).at(Stage::Bev))?;
        let golden = match files.contains_key(GOLDEN_FILE) {
            true => Some(read_golden(&files, &manifest).map_err(|what| mismatch(dir, what))?),
            false => None,
        };
        let digest = sha256_hex(&digests_bytes);
        Ok(Self { dir: dir.to_owned(), digest, manifest, encoder, golden, files })
    }

    /// The self-description.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The encoder's weights.
    pub fn encoder(&self) -> &EncoderWeights {
        &self.encoder
    }

    /// The bytes of the network of a precision (`fp32`, ...).
    ///
    /// **Errors**: a precision that the package does not carry; the error lists those it does.
    pub fn network(&self, precision: &str) -> Result<&[u8], BuildError> {
        let file = self.manifest.networks.get(precision).ok_or_else(|| {
            let known: Vec<_> = self.manifest.networks.keys().map(String::as_str).collect();
            mismatch(&self.dir, format!("has no `{precision}` network; it has {}", known.join(", ")))
                .at(Stage::Head)
        })?;
        self.file(file).ok_or_else(|| mismatch(&self.dir, format!("`{file}` is missing")).at(Stage::Head))
    }

    /// What every stage must answer to the golden input, where the package carries one.
    pub fn golden(&self) -> Option<&Golden> {
        self.golden.as_ref()
    }

    /// The golden input, a cloud in the manifest's layout.
    pub fn golden_input(&self) -> Option<&[u8]> {
        self.file(&self.golden.as_ref()?.input)
    }

    /// The bytes of any file that the package lists.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The folder it was read from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The package's identity: the SHA-256 of its `package.sha256`, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn refuse(dir: &Path, what: impl AsRef<str>) -> BuildError {
    BuildError::new(BuildErrorKind::Package, format!("package `{}`: {}", dir.display(), what.as_ref()))
}

fn mismatch(dir: &Path, what: impl AsRef<str>) -> BuildError {
    BuildError::new(BuildErrorKind::Mismatch, format!("package `{}`: {}", dir.display(), what.as_ref()))
}

fn utf8<'a>(files: &'a BTreeMap<String, Vec<u8>>, path: &str) -> Result<&'a str, String> {
    let bytes = files.get(path).ok_or_else(|| format!("`{path}` is missing"))?;
    std::str::from_utf8(bytes).map_err(|e| format!("`{path}` is no UTF-8 text: {e}"))
}

/// The manifest's digests are those of the list.
fn compare_manifest(manifest: &Manifest, digests: &BTreeMap<String, String>) -> Result<(), String> {
    for (path, digest) in &manifest.files {
        match digests.get(path) {
            None => return Err(format!("{MANIFEST_FILE} speaks of `{path}`, {DIGESTS_FILE} does not")),
            Some(listed) if listed != digest => {
                return Err(format!(
                    "`{path}` is {digest} in {MANIFEST_FILE} and {listed} in {DIGESTS_FILE}: \
                     files of two packages are mixed; export again"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
