//! The nuScenes benchmark beside the official devkit: generated cases, goldens, and time.

use crate::python_env::{PythonTool, run_check};
use crate::run::{Build, Scratch, example, repository, run as run_command};
use crate::setup;
use crate::test::Counts;
use anyhow::{Result, bail};
use std::path::Path;

const REQUIREMENTS: &str = include_str!("../nuscenes-devkit/requirements.txt");
const PROBE: &str = "import os; os.environ['MPLBACKEND'] = 'Agg'; import nuscenes.eval.detection.evaluate";
const TITLE: &str = "nuScenes devkit";
/// Shared with the checks of simulated drives.
const FOLDER: &str = "nuscenes-devkit";

const EVALUATION: PythonTool = PythonTool {
    title: TITLE,
    folder: FOLDER,
    requirements: REQUIREMENTS,
    probe: PROBE,
    check: concat!(
        include_str!("../nuscenes-devkit/generate.py"),
        include_str!("../nuscenes-devkit/evaluate.py")
    ),
};

const SPEED: PythonTool = PythonTool {
    check: concat!(
        include_str!("../nuscenes-devkit/generate.py"),
        include_str!("../nuscenes-devkit/speed.py")
    ),
    ..EVALUATION
};

/// The example that evaluates files.
const PACKAGE: &str = "pilotis-evaluate";
const PROGRAM: &str = "nuscenes_eval";
/// Cases of every run of the tests: two of each kind.
const N_CASES_OF_TESTS: u64 = 14;
/// Faulty results, each of which is one more check.
const N_REACTIONS: u64 = 50;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Generated cases to compare, besides those of faulty results.
    #[arg(long, default_value_t = 210)]
    cases: u64,
    /// Instead, time both on a submission of full size; takes 2 GB of disk.
    #[arg(long, conflicts_with = "goldens")]
    speed: bool,
    /// Instead, make the goldens of the tests anew.
    #[arg(long)]
    goldens: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    if arguments.goldens {
        let golden = repository().join("trainer").join("evaluate").join("tests").join("nuscenes_golden");
        return run_command(EVALUATION.command(&cache)?.arg("goldens").arg(golden));
    }
    if arguments.speed {
        let program = example(PACKAGE, PROGRAM, Build::Release)?;
        let scratch = Scratch::new(&cache, "nuscenes-eval");
        return run_command(SPEED.command(&cache)?.arg(program).arg(&scratch.0));
    }
    let counts = check(&cache, arguments.cases, Build::Alone)?;
    println!("{counts}");
    if counts.failed > 0 || counts.skipped > 0 {
        bail!("{} cases differ, {} were not tried", counts.failed, counts.skipped);
    }
    Ok(())
}

/// The cases of every run of the tests.
pub(crate) fn check_some(cache: &Path) -> Result<Counts> {
    check(cache, N_CASES_OF_TESTS, Build::WithTests)
}

fn check(cache: &Path, n_cases: u64, build: Build) -> Result<Counts> {
    let mut check = match EVALUATION.command(cache) {
        Ok(check) => check,
        Err(why) => {
            println!("skipped: no {TITLE}: {why:#}");
            return Ok(Counts { skipped: 1, ..Counts::default() });
        }
    };
    let program = example(PACKAGE, PROGRAM, build)?;
    let scratch = Scratch::new(cache, "nuscenes-eval");
    let counts = run_check(check.arg(program).arg(n_cases.to_string()).arg(&scratch.0))?;
    let n_expected = n_cases + N_REACTIONS;
    if counts.passed + counts.failed != n_expected {
        bail!("{} of {n_expected} cases of the nuScenes benchmark were tried", counts.passed + counts.failed);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_as_many_faults_as_are_expected() {
        let table =
            EVALUATION.check.split_once("REACTIONS = {").and_then(|(_, rest)| rest.split_once("\n}\n"));
        let names = table.map_or(0, |(rows, _)| rows.lines().filter(|l| l.starts_with("    \"")).count());
        assert_eq!(names as u64, N_REACTIONS);
    }
}
