//! Virtual environments of pinned Python packages, kept in the cache, and the checks that run in them.

use crate::run::quietly;
use crate::test::Counts;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Written last, with the requirements: an environment without it, or of others, is made anew.
const READY_FILE: &str = "ready.txt";

/// A tool that is a Python package.
pub(crate) struct PythonTool {
    /// What it is, for messages.
    pub(crate) title: &'static str,
    /// Its folder in the cache.
    pub(crate) folder: &'static str,
    /// All packages it needs, each pinned; nothing else is fetched.
    pub(crate) requirements: &'static str,
    /// A statement that shows that the packages load.
    pub(crate) probe: &'static str,
    /// The script that checks.
    pub(crate) check: &'static str,
}

impl PythonTool {
    /// The command that runs the check in the tool's environment, which is made if it is not there.
    pub(crate) fn command(&self, cache: &Path) -> Result<Command> {
        let mut command = Command::new(self.python(cache)?);
        command.args(["-I", "-c", self.check]);
        Ok(command)
    }

    fn python(&self, cache: &Path) -> Result<PathBuf> {
        let folder = cache.join(self.folder);
        let python = folder.join("bin").join("python");
        let ready = folder.join(READY_FILE);
        if fs::read_to_string(&ready).is_ok_and(|text| text == self.requirements) && self.loads(&python) {
            return Ok(python);
        }
        eprintln!("making the environment of the {}", self.title);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot replace `{}`", folder.display()))?;
        }
        fs::create_dir_all(cache).with_context(|| format!("cannot make `{}`", cache.display()))?;
        quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements).context("cannot write the requirements")?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
        quietly(pip.arg("--requirement").arg(&requirements))?;
        if !self.loads(&python) {
            bail!("the installed packages do not load");
        }
        fs::write(&ready, self.requirements).context("cannot write the record")?;
        Ok(python)
    }

    /// Refuses a script that left checks out. Where one failed, others may not have been made.
    pub(crate) fn all_of(&self, counts: Counts, n_checks: u64) -> Result<Counts> {
        if counts.failed == 0 && counts.passed != n_checks {
            bail!("{} passed {} of {n_checks} checks", self.title, counts.passed);
        }
        Ok(counts)
    }

    fn loads(&self, python: &Path) -> bool {
        let mut command = Command::new(python);
        command.args(["-I", "-c", self.probe]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|s| s.success())
    }
}

/// Runs a check, shows what it says, and counts its lines: `ok NAME` or `failed NAME: reason`.
pub(crate) fn run_check(check: &mut Command) -> Result<Counts> {
    let output = check.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("cannot start the check's Python")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let counts = count(&text);
    if !output.status.success() && counts.failed == 0 {
        bail!("the check ended with {} and named no failure", output.status);
    }
    Ok(counts)
}

fn count(text: &str) -> Counts {
    let n = |word: &str| text.lines().filter(|l| l.starts_with(word)).count() as u64;
    Counts { passed: n("ok "), failed: n("failed "), skipped: 0 }
}

/// The lines of a requirements file that name a package.
#[cfg(test)]
pub(crate) fn packages(requirements: &str) -> Vec<&str> {
    requirements.lines().filter(|l| !l.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_lines_are_counted() {
        let counts = count("ok a.onnx\nfailed b.onnx: bad\nok c.onnx\nnoise ok \n");
        assert_eq!(counts, Counts { passed: 2, failed: 1, skipped: 0 });
    }

    #[test]
    fn a_check_that_dies_without_a_word_is_an_error() {
        let check = |script: &str| run_check(Command::new("sh").args(["-c", script]));
        assert!(check("echo ok a; exit 3").unwrap_err().to_string().contains("named no failure"));
        assert_eq!(check("echo failed a: bad; exit 3").unwrap().failed, 1);
        assert_eq!(check("echo ok a").unwrap(), Counts { passed: 1, failed: 0, skipped: 0 });
    }
}
