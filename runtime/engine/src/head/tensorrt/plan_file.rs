//! Plan files: plans on disk, with what they were made of, and the folder that keeps them.
//!
//! A plan is code: the library runs what it says. So a plan is loaded only out of a file that Pilotis has
//! written, that is whole, that answers to the key that is asked for, and that nobody else may write to.

use crate::error::{BuildError, BuildErrorKind};
use crate::package::sha256_hex;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names the folder of the plans.
pub const PLAN_DIR_VARIABLE: &str = "PILOTIS_PLAN_DIR";
const MAGIC: &[u8] = b"PILOTIS PLAN 1\n";
/// Longer than any header.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Larger than any plan: no file is read into memory before its size was looked at.
const MAX_PLAN_BYTES: u64 = 4 << 30;

/// Everything that a plan's bytes depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanKey {
    /// SHA-256 of the lowered ONNX file.
    pub onnx_sha256: String,
    /// Name and version of the library.
    pub library: String,
    /// Precision, as on the command line.
    pub precision: String,
    /// Compute capabilities that it is built for, such as 89.
    pub targets: Vec<i32>,
    /// How the canvas lies: `planes`, `channels_last`, `channels_last_by_8`.
    pub canvas: String,
}

impl PlanKey {
    /// The key as one digest.
    pub fn digest(&self) -> String {
        // Field by field and length by length, so that no two keys are one text.
        let targets: Vec<String> = self.targets.iter().map(i32::to_string).collect();
        let parts = [&self.onnx_sha256, &self.library, &self.precision, &targets.join(","), &self.canvas];
        let text: String = parts.iter().map(|p| format!("{}:{p};", p.len())).collect();
        sha256_hex(text.as_bytes())
    }
}

/// What a plan file says of its plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanHeader {
    /// The model's name.
    pub model: String,
    /// SHA-256 of the package.
    pub package: String,
    /// What it depends on.
    pub key: PlanKey,
    /// SHA-256 of the plan's bytes.
    pub plan_sha256: String,
    /// Bytes of the plan.
    pub plan_bytes: u64,
    /// Seconds that the library took to build it, in thousandths.
    pub build_ms: u64,
}

/// A plan with its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    /// What it says of itself.
    pub header: PlanHeader,
    /// The library's bytes.
    pub plan: Vec<u8>,
}

impl PlanFile {
    /// Reads a file, and checks that the plan is whole.
    ///
    /// **Errors**: [`BuildErrorKind::Package`] for a file that Pilotis did not write, that is cut or changed, or that
    /// others than its owner may write to, or that belongs to someone else.
    pub fn read(path: &Path) -> Result<Self, BuildError> {
        let refuse = |what: String| {
            BuildError::new(BuildErrorKind::Package, format!("plan `{}`: {what}", path.display()))
        };
        let file = fs::File::open(path).map_err(|e| BuildError::io(path, "open", e))?;
        let about = file.metadata().map_err(|e| BuildError::io(path, "look at", e))?;
        check_owner(&about).map_err(refuse)?;
        if about.len() > MAX_PLAN_BYTES {
            return Err(refuse(format!("it has {} bytes, more than any plan", about.len())));
        }
        let bytes = fs::read(path).map_err(|e| BuildError::io(path, "read", e))?;
        Self::parse(&bytes).map_err(refuse)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it was not written by this version of Pilotis")?;
        let end =
            rest.iter().take(MAX_HEADER_BYTES).position(|b| *b == b'\n').ok_or("its header has no end")?;
        let header: PlanHeader =
            serde_json::from_slice(&rest[..end]).map_err(|e| format!("its header is not readable: {e}"))?;
        let plan = &rest[end + 1..];
        if plan.len() as u64 != header.plan_bytes || sha256_hex(plan) != header.plan_sha256 {
            return Err("its plan is cut, or was changed".to_owned());
        }
        Ok(Self { header, plan: plan.to_vec() })
    }

    /// Writes the file, for its owner alone; aside first, so that no reader sees half of it.
    pub fn write(&self, path: &Path) -> Result<(), BuildError> {
        let header = serde_json::to_string(&self.header)
            .map_err(|e| BuildError::new(BuildErrorKind::Io, format!("cannot write a plan's header: {e}")))?;
        let bytes = [MAGIC, header.as_bytes(), b"\n", &self.plan].concat();
        write_private(path, &bytes)
    }
}

/// Writes a file that only its owner can read and write.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let aside = path.with_file_name(name);
    let io = |e| BuildError::io(path, "write", e);
    // Of an earlier process that ended halfway.
    let _ = fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(io)?;
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&aside, path));
    written.inspect_err(|_| drop(fs::remove_file(&aside))).map_err(io)
}

/// Whether nobody else could have written a file.
fn check_owner(about: &fs::Metadata) -> Result<(), String> {
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(format!("others than its owner may write to it (mode {mode:o}); a plan is code"));
    }
    // The kernel gives this process's own folder to the user it acts as.
    let mine = fs::metadata("/proc/self").map_or(about.uid(), |me| me.uid());
    if about.uid() != mine && about.uid() != 0 {
        return Err(format!("it belongs to user {}, and this is user {mine}; a plan is code", about.uid()));
    }
    Ok(())
}

/// A folder of plans, by their keys.
#[derive(Clone, Debug)]
pub struct PlanCache {
    folder: PathBuf,
}

impl PlanCache {
    /// The folder that the environment names: `PILOTIS_PLAN_DIR`, else `pilotis/plans` in `XDG_CACHE_HOME`, else in
    /// `~/.cache`.
    ///
    /// **Errors**: no variable says where.
    pub fn from_env() -> Result<Self, BuildError> {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let user_cache = || {
            let xdg = variable("XDG_CACHE_HOME").filter(|p| p.is_absolute());
            xdg.or_else(|| Some(variable("HOME")?.join(".cache"))).map(|c| c.join("pilotis").join("plans"))
        };
        let folder = variable(PLAN_DIR_VARIABLE).or_else(user_cache);
        let none = || {
            let text = format!("plans have nowhere to be kept: set {PLAN_DIR_VARIABLE} or HOME");
            BuildError::new(BuildErrorKind::Io, text)
        };
        folder.map(|folder| Self { folder }).ok_or_else(none)
    }

    /// A folder; made when the first plan is kept.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where the plan of a key lies, whether it is there or not.
    pub fn path(&self, key: &PlanKey) -> PathBuf {
        self.folder.join(format!("{}.plan", key.digest()))
    }

    /// The plan of a key; `None` where there is none that can be trusted, which is logged where there is one.
    pub fn get(&self, key: &PlanKey) -> Option<PlanFile> {
        let path = self.path(key);
        if !path.exists() {
            return None;
        }
        match PlanFile::read(&path) {
            Ok(file) if file.header.key == *key => Some(file),
            Ok(_) => {
                tracing::warn!(
                    "plan `{}` is of another key than its name says; it is built anew",
                    path.display()
                );
                None
            }
            Err(e) => {
                tracing::warn!("{e}; it is built anew");
                None
            }
        }
    }

    /// Keeps a plan; yields where.
    pub fn put(&self, file: &PlanFile) -> Result<PathBuf, BuildError> {
        self.make_folder()?;
        let path = self.path(&file.header.key);
        file.write(&path)?;
        Ok(path)
    }

    /// Kernels that the library compiled for a card out of the plan of a key.
    pub fn kernels(&self, key: &PlanKey, card: &str) -> Vec<u8> {
        let path = self.kernels_path(key, card);
        let is_mine = fs::metadata(&path).is_ok_and(|about| check_owner(&about).is_ok());
        if is_mine { fs::read(&path).unwrap_or_default() } else { Vec::new() }
    }

    /// Keeps them.
    pub fn put_kernels(&self, key: &PlanKey, card: &str, bytes: &[u8]) -> Result<(), BuildError> {
        self.make_folder()?;
        write_private(&self.kernels_path(key, card), bytes)
    }

    fn kernels_path(&self, key: &PlanKey, card: &str) -> PathBuf {
        let digest = sha256_hex(format!("{} {card}", key.digest()).as_bytes());
        self.folder.join(format!("{digest}.kernels"))
    }

    /// Makes the folder, for its owner alone.
    fn make_folder(&self) -> Result<(), BuildError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|e| BuildError::io(&self.folder, "make", e))
    }
}

#[cfg(test)]
#[path = "plan_file_tests.rs"]
mod tests;
