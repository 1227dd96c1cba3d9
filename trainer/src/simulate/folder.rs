//! Folders of simulated drives, whatever their layout: when one may be written to, and files that are never half there.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The file that says what a folder holds.
pub(super) const README_FILE: &str = "README.md";

/// Makes a folder, or refuses one that must not be written to.
///
/// `world` is what decides about the content, one line each, as the README says it.
///
/// **Errors**: a folder that is not empty (without `resume` or `force`), one of other options (with `resume`), and
/// whatever the file system answers.
pub(super) fn prepare(out: &Path, world: &str, resume: bool, force: bool) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let occupied =
        fs::read_dir(out).with_context(|| format!("cannot list {}", out.display()))?.next().is_some();
    if occupied && !resume && !force {
        bail!("{} is not empty; --resume continues there, --force writes over it", out.display());
    }
    if occupied && resume {
        let text = fs::read_to_string(out.join(README_FILE))
            .with_context(|| format!("{} cannot be resumed: it has no {README_FILE}", out.display()))?;
        if let Some(setting) = world.lines().find(|setting| !text.lines().any(|line| line == *setting)) {
            bail!("{} was simulated with other options: its {README_FILE} lacks `{setting}`", out.display());
        }
    }
    Ok(())
}

/// Makes the folders below another.
pub(super) fn make_all(out: &Path, folders: &[&str]) -> Result<()> {
    for folder in folders {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(())
}

/// Where a file is written before it has its name.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// Gives a file that is written its name.
pub(super) fn finish(path: &Path) -> Result<()> {
    fs::rename(part_of(path), path).with_context(|| format!("cannot finish {}", path.display()))
}

/// Writes a file beside its place and renames it.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(part_of(path), bytes).with_context(|| format!("cannot write {}", path.display()))?;
    finish(path)
}
