//! The official nuScenes devkit: it loads what `pilotis-trainer simulate` and `dataset convert` write, and agrees
//! with its tables.
//!
//! It is a Python package, kept in a virtual environment of its own in the cache.

use crate::python_env::{PythonTool, run_check};
use crate::run::{Scratch, cargo, quietly, text_of};
use crate::test::Counts;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

pub(crate) const DEVKIT: PythonTool = PythonTool {
    title: "nuScenes devkit",
    folder: "nuscenes-devkit",
    requirements: include_str!("../nuscenes-devkit/requirements.txt"),
    probe: "import os; os.environ['MPLBACKEND'] = 'Agg'; import nuscenes, scipy.spatial",
    check: include_str!("../nuscenes-devkit/check.py"),
};

/// Two scenes: any two must hold all classes between them.
const N_SCENES: &str = "2";
/// The data set loads, and the seven checks of the script.
const N_CHECKS: u64 = 8;
/// The converted one loads, and the three checks that hold for any data set.
const N_CHECKS_CONVERTED: u64 = 4;

/// Simulates two short drives and gives them to the devkit; then converts them, and gives it those.
pub(crate) fn check_simulated(cache: &Path) -> Result<Counts> {
    let mut check = match DEVKIT.command(cache) {
        Ok(check) => check,
        Err(why) => {
            println!("skipped: no nuScenes devkit: {why:#}");
            return Ok(Counts { skipped: 1, ..Counts::default() });
        }
    };
    let scratch = Scratch::new(cache, "simulated");
    // With the tests' features, so that nothing the tests have built is built again in another form.
    quietly(&mut cargo(["build", "--workspace", "--tests", "--bin", "pilotis-trainer"]))
        .context("no trainer to simulate with")?;
    // It lies where this program lies.
    let trainer = std::env::current_exe().context("where am I?")?.with_file_name("pilotis-trainer");
    let mut simulate = Command::new(&trainer);
    simulate.args([
        "simulate",
        "--format",
        "nuscenes",
        "--scenes",
        N_SCENES,
        "--seed",
        "5",
        "--duration-s",
        "6",
    ]);
    simulate.arg("--out").arg(&scratch.0);
    eprintln!("$ {}", text_of(&simulate));
    quietly(&mut simulate).context("no simulated drives for the nuScenes devkit")?;
    let mut counts = DEVKIT.all_of(run_check(check.arg(&scratch.0).arg(N_SCENES))?, N_CHECKS)?;
    let converted = Scratch::new(cache, "converted");
    let mut convert = Command::new(&trainer);
    convert.args(["dataset", "convert", "--format", "nuscenes", "--from"]).arg(&scratch.0);
    convert.arg("--to").arg(&converted.0);
    eprintln!("$ {}", text_of(&convert));
    quietly(&mut convert).context("no converted drives for the nuScenes devkit")?;
    let mut check = DEVKIT.command(cache)?;
    counts += DEVKIT.all_of(run_check(check.arg(&converted.0).arg("converted"))?, N_CHECKS_CONVERTED)?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_env::packages;

    #[test]
    fn every_requirement_is_pinned() {
        let lines = packages(DEVKIT.requirements);
        assert!(lines.len() >= 15 && lines.iter().all(|l| l.contains("==")), "{lines:?}");
        assert!(lines.contains(&"nuscenes-devkit==1.2.0"));
    }

    #[test]
    fn the_script_has_as_many_checks_as_are_expected() {
        let n_listed = |name: &str| {
            let list =
                DEVKIT.check.split_once(&format!("\n{name} = (")).and_then(|(_, rest)| rest.split_once(')'));
            list.map_or(0, |(names, _)| names.split(',').count() as u64)
        };
        assert_eq!(n_listed("SIMULATED") + 1, N_CHECKS);
        assert_eq!(n_listed("CONVERTED") + 1, N_CHECKS_CONVERTED);
    }
}
