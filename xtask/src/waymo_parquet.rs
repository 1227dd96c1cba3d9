//! Waymo's version 2 beside an independent implementation: pyarrow writes it, numpy computes its points.
//!
//! Both are Python packages, kept in a virtual environment of their own in the cache.

use crate::python_env::{PythonTool, run_check};
use crate::run::{Build, Scratch, example};
use crate::setup;
use crate::test::Counts;
use anyhow::{Result, bail};
use std::path::Path;

const WRITER: PythonTool = PythonTool {
    title: "pyarrow",
    folder: "waymo-parquet",
    requirements: include_str!("../waymo-parquet/requirements.txt"),
    probe: "import numpy, pyarrow.parquet",
    check: concat!(include_str!("../say.py"), include_str!("../waymo-parquet/check.py")),
};

/// The names, points and labels of four segments, and a list with a null in it.
const N_CHECKS: u64 = 10;

/// Runs `cargo xtask waymo-parquet`.
pub(crate) fn run() -> Result<()> {
    let counts = check(&setup::ensure()?)?;
    println!("{counts}");
    if counts.failed > 0 || counts.skipped > 0 {
        bail!("{} checks failed, {} were not made", counts.failed, counts.skipped);
    }
    Ok(())
}

/// Has pyarrow write a split, and compares what ours reads of it.
fn check(cache: &Path) -> Result<Counts> {
    let mut check = match WRITER.command(cache) {
        Ok(check) => check,
        Err(why) => {
            println!("skipped: no {}: {why:#}", WRITER.title);
            return Ok(Counts { skipped: 1, ..Counts::default() });
        }
    };
    let program = example("pilotis-datasets", "waymo_points", Build::Alone)?;
    let scratch = Scratch::new(cache, "waymo-parquet");
    WRITER.all_of(run_check(check.arg(program).arg(&scratch.0))?, N_CHECKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python_env::packages;

    #[test]
    fn every_requirement_is_pinned() {
        let lines = packages(WRITER.requirements);
        assert!(lines.len() == 2 && lines.iter().all(|l| l.contains("==")), "{lines:?}");
    }
}
