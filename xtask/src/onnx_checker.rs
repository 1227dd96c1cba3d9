//! The ONNX checker: every network that ships is valid to the reference implementation.
//!
//! It is a Python package, kept in a virtual environment of its own in the cache.

use crate::run::text_of;
use crate::test::Counts;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const REQUIREMENTS: &str = include_str!("../onnx-checker/requirements.txt");
const CHECK: &str = include_str!("../onnx-checker/check.py");
/// Written last, with the requirements: an environment without it, or of others, is made anew.
const READY_FILE: &str = "ready.txt";

/// Checks every `*.onnx` under a folder; each file is a check of its own.
pub(crate) fn check_all(models: &Path, cache: &Path) -> Result<Counts> {
    let mut files = Vec::new();
    find(models, &mut files)?;
    files.sort();
    let skipped = Counts { skipped: 1, ..Counts::default() };
    if files.is_empty() {
        println!("skipped: no *.onnx in models/");
        return Ok(skipped);
    }
    let python = match environment(cache) {
        Ok(python) => python,
        Err(why) => {
            println!("skipped: no ONNX checker: {why:#}");
            return Ok(skipped);
        }
    };
    let mut check = Command::new(python);
    check.args(["-I", "-c", CHECK]).args(&files).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = check.output().context("cannot start the ONNX checker")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let counts = count(&text);
    if counts.passed + counts.failed != files.len() as u64 {
        bail!("the ONNX checker spoke of {} of {} files", counts.passed + counts.failed, files.len());
    }
    Ok(counts)
}

fn count(text: &str) -> Counts {
    let n = |word: &str| text.lines().filter(|l| l.starts_with(word)).count() as u64;
    Counts { passed: n("ok "), failed: n("failed "), skipped: 0 }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "onnx") {
            files.push(path);
        }
    }
    Ok(())
}

/// The Python of the checker's environment, which is made if it is not there.
fn environment(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("onnx-checker");
    let python = folder.join("bin").join("python");
    let ready = folder.join(READY_FILE);
    if fs::read_to_string(&ready).is_ok_and(|text| text == REQUIREMENTS) && works(&python) {
        return Ok(python);
    }
    eprintln!("making the ONNX checker's environment");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot replace `{}`", folder.display()))?;
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make `{}`", cache.display()))?;
    quietly(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).context("cannot write the requirements")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    quietly(pip.arg("--requirement").arg(&requirements))?;
    if !works(&python) {
        bail!("the installed package does not load");
    }
    fs::write(&ready, REQUIREMENTS).context("cannot write the record")?;
    Ok(python)
}

fn works(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-I", "-c", "import onnx.checker"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

/// Runs a command whose output matters only when it fails: then its last line says why.
fn quietly(command: &mut Command) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkers_lines_are_counted() {
        let counts = count("ok a.onnx\nfailed b.onnx: bad\nok c.onnx\nnoise ok \n");
        assert_eq!(counts, Counts { passed: 2, failed: 1, skipped: 0 });
    }

    #[test]
    fn every_requirement_is_pinned() {
        let lines: Vec<_> = REQUIREMENTS.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(lines.len() >= 5 && lines.iter().all(|l| l.contains("==")), "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with("onnx==")));
    }
}
