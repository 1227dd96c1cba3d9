//! Running other programs, and what they are given.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The same `cargo` that runs this, in the root of the repository.
pub(crate) fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository());
    // What cargo tells this program of its own package would have build scripts that look at it run again.
    for (name, _) in std::env::vars_os() {
        let is_of_package =
            |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    command
}

/// Says what runs, runs it, and makes a failure an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = text_of(command);
    eprintln!("$ {text}");
    let status = command.status().with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` failed ({status})");
    }
    Ok(())
}

/// Runs a command whose output matters only when it fails: then its last line says why.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start `{}`", text_of(command)))?;
    if !output.status.success() {
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        let last = words.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it says nothing");
        bail!("`{}` failed: {last}", text_of(command));
    }
    Ok(())
}

/// With what an example is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Alone: the trainer's dependencies, a quarter of an hour, are left out.
    Alone,
    /// With the tests' features, so that nothing the tests have built is built again in another form.
    WithTests,
    /// Alone, optimised.
    Release,
}

/// Builds an example, and gives its path.
pub(crate) fn example(package: &str, name: &str, build: Build) -> Result<PathBuf> {
    let mut command = match build {
        Build::WithTests => cargo(["build", "--workspace", "--tests", "--example", name]),
        Build::Alone => cargo(["build", "-p", package, "--example", name]),
        Build::Release => cargo(["build", "--release", "-p", package, "--example", name]),
    };
    quietly(&mut command).with_context(|| format!("cannot build the example `{name}`"))?;
    // Examples lie in a folder beside this program, or beside that of the other profile.
    let here = std::env::current_exe().context("where am I?")?;
    let target = here.parent().and_then(Path::parent).context("this program lies in no target folder")?;
    let profile = if build == Build::Release { "release" } else { "debug" };
    Ok(target.join(profile).join("examples").join(name))
}

/// A folder that goes away.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    /// One in the cache, of this process alone; it is not made.
    pub(crate) fn new(cache: &Path, what: &str) -> Self {
        Self(cache.join(format!(".{what}-{}", std::process::id())))
    }
}

/// A command as one would type it, with the program's name only.
pub(crate) fn text_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_command_that_fails_says_its_last_words() {
        let error =
            quietly(Command::new("sh").args(["-c", "echo first; echo last >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().ends_with("failed: last"), "{error}");
        assert!(quietly(Command::new("sh").args(["-c", "echo fine"])).is_ok());
    }
}
