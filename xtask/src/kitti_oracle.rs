//! mmdet3d's KITTI evaluator: it gives our generated cases the figures that we give them.
//!
//! It is a Python package, kept in a virtual environment of its own in the cache. Its answers are
//! committed, so that `cargo test` compares with them where there is no network.

use crate::python_env::{PythonTool, run_check};
use crate::run::{Build, Scratch, example, quietly, repository, text_of};
use crate::setup;
use crate::test::Counts;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

const EVALUATOR: PythonTool = PythonTool {
    title: "KITTI evaluator of mmdet3d",
    folder: "kitti-oracle",
    requirements: include_str!("../kitti-oracle/requirements.txt"),
    probe: "import importlib.util, numba, numpy; assert importlib.util.find_spec('mmdet3d')",
    check: include_str!("../kitti-oracle/check.py"),
};

/// Cases that our example writes.
const N_CASES: u64 = 6;
/// The answers that are kept, in the repository.
const KEPT: &str = "trainer/evaluate/tests/kitti/oracle.json";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write the evaluator's answers anew instead of comparing with them.
    #[arg(long)]
    write: bool,
}

/// Runs `cargo xtask kitti-oracle`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    let counts = ask(EVALUATOR.command(&cache)?, &cache, arguments.write, Build::Alone)?;
    if counts.failed > 0 {
        bail!("{} cases failed", counts.failed);
    }
    Ok(())
}

/// Compares our figures and the answers that are kept with what the evaluator says now.
pub(crate) fn check_cases(cache: &Path) -> Result<Counts> {
    match EVALUATOR.command(cache) {
        Ok(check) => ask(check, cache, false, Build::WithTests),
        Err(why) => {
            println!("skipped: no KITTI evaluator: {why:#}");
            Ok(Counts { skipped: 1, ..Counts::default() })
        }
    }
}

fn ask(mut check: Command, cache: &Path, write: bool, build: Build) -> Result<Counts> {
    let scratch = Scratch::new(cache, "kitti");
    let mut cases = Command::new(example("pilotis-evaluate", "kitti_eval", build)?);
    cases.arg("cases").arg("--out").arg(&scratch.0);
    eprintln!("$ {}", text_of(&cases));
    quietly(&mut cases).context("no cases for the KITTI evaluator")?;
    check.arg(&scratch.0).arg(repository().join(KEPT));
    if write {
        check.arg("--write");
    }
    let counts = run_check(&mut check)?;
    if counts.passed + counts.failed != N_CASES {
        bail!("the KITTI evaluator was asked {} of {N_CASES} cases", counts.passed + counts.failed);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_env::packages;

    #[test]
    fn every_requirement_is_pinned() {
        let lines = packages(EVALUATOR.requirements);
        assert!(lines.len() == 4 && lines.iter().all(|l| l.contains("==")), "{lines:?}");
        assert!(lines.contains(&"mmdet3d==1.4.0"));
    }

    #[test]
    fn as_many_answers_are_kept_as_there_are_cases() {
        let text = std::fs::read_to_string(repository().join(KEPT)).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.as_object().map(|cases| cases.len() as u64), Some(N_CASES));
    }
}
