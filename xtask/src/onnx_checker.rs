//! The ONNX checker: every network that ships is valid to the reference implementation.
//!
//! It is a Python package, kept in a virtual environment of its own in the cache.

use crate::python_env::{PythonTool, run_check};
use crate::test::Counts;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

const CHECKER: PythonTool = PythonTool {
    title: "ONNX checker",
    folder: "onnx-checker",
    requirements: include_str!("../onnx-checker/requirements.txt"),
    probe: "import onnx.checker",
    check: include_str!("../onnx-checker/check.py"),
};

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
    let mut check = match CHECKER.command(cache) {
        Ok(check) => check,
        Err(why) => {
            println!("skipped: no ONNX checker: {why:#}");
            return Ok(skipped);
        }
    };
    let counts = run_check(check.args(&files))?;
    if counts.passed + counts.failed != files.len() as u64 {
        bail!("the ONNX checker spoke of {} of {} files", counts.passed + counts.failed, files.len());
    }
    Ok(counts)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_env::packages;

    #[test]
    fn every_requirement_is_pinned() {
        let lines = packages(CHECKER.requirements);
        assert!(lines.len() >= 5 && lines.iter().all(|l| l.contains("==")), "{lines:?}");
        assert!(lines.iter().any(|l| l.starts_with("onnx==")));
    }
}
