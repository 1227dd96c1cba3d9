//! Test: everything that must hold, and one line of counts at the end.

use crate::emulator::EMULATOR_VARIABLE;
use crate::parts::NATIVE_DIR_VARIABLE;
use crate::run::{Build, cargo, repository, run as run_command, text_of};
use crate::{
    check, emulator, kernels, kitti_oracle, nuscenes_data, nuscenes_devkit, nuscenes_eval, onnx_checker,
    setup,
};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What a step of the tests came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs every step, a failed one included, so that one run tells all there is to tell.
pub(crate) fn run() -> Result<()> {
    let cache = setup::ensure()?;
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    for mut step in [check::formatting(), check::lints()] {
        // Formatting and lints are no tests: they count only where they fail.
        if let Err(error) = run_command(&mut step) {
            counts.failed += 1;
            failures.push(format!("{error:#}"));
        }
    }
    for step in [
        cargo_test(&cache, &["--workspace"], Some(emulator::ensure())),
        without_the_emulator(&cache),
        kernels::check_all(&cache),
        onnx_checker::check_all(&repository().join("models"), &cache),
        nuscenes_devkit::check_simulated(&cache),
        // The answers of the official evaluators are committed as well; here they are asked themselves.
        kitti_oracle::check_cases(&cache),
        nuscenes_eval::check_some(&cache),
        nuscenes_data::check(&cache, Build::WithTests),
    ] {
        match step {
            Ok(step) => counts += step,
            Err(error) => {
                counts.failed += 1;
                failures.push(format!("{error:#}"));
            }
        }
    }
    for failure in failures {
        eprintln!("error: {failure}");
    }
    println!("{counts}");
    verdict(counts)
}

/// No failure, and something that passed: an empty work-list is a failure.
fn verdict(counts: Counts) -> Result<()> {
    match counts {
        Counts { failed: 1.., .. } => bail!("{} failed", counts.failed),
        Counts { passed: 0, .. } => bail!("nothing was tested"),
        _ => Ok(()),
    }
}

/// What the emulator stood in the way of: the suites of the CUDA backend on the card where this machine
/// has a driver, else the tests of a machine without one.
fn without_the_emulator(cache: &Path) -> Result<Counts> {
    if Path::new("/proc/driver/nvidia/version").exists() {
        let suites = ["-p", "pilotis-cuda-tests", "-p", "pilotis-runtime", "--test", "*"];
        return cargo_test(cache, &suites, None);
    }
    println!("no NVIDIA driver: the suites of the CUDA backend ran on the emulator only");
    cargo_test(cache, &["--workspace", "--test", "cuda_device", "--test", "doctor", "without_a_driver"], None)
}

fn cargo_test(cache: &Path, what: &[&str], emulator: Option<Result<PathBuf>>) -> Result<Counts> {
    let mut test = cargo(["test"]);
    test.args(what).args(["--no-fail-fast", "--", "--show-output"]);
    test.env(NATIVE_DIR_VARIABLE, cache).env_remove(EMULATOR_VARIABLE).stdout(Stdio::piped());
    if let Some(emulator) = emulator {
        test.env(EMULATOR_VARIABLE, emulator?);
    }
    let text = text_of(&test);
    eprintln!("$ {text}");
    let mut child = test.spawn().with_context(|| format!("cannot start `{text}`"))?;
    let mut counter = Counter::default();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("cannot read the tests' output")? > 0 {
            let shown = String::from_utf8_lossy(&line);
            print!("{shown}");
            counter.line(shown.trim_end());
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{text}`"))?;
    let mut counts = counter.counts();
    match (status.success(), counts) {
        (false, Counts { failed: 0, .. }) => {
            eprintln!("error: `{text}` failed ({status}) without a test that did");
            counts.failed = 1;
        }
        (true, Counts { passed: 0, .. }) => bail!("`{text}` ran no tests"),
        _ => {}
    }
    Ok(counts)
}

/// Reads what `cargo test -- --show-output` prints, line by line.
///
/// A test that prints `skipped: ` counts as skipped and no longer as passed, however often it
/// does; tests that are ignored count as skipped too.
#[derive(Default)]
struct Counter {
    /// The sums of the result lines.
    counts: Counts,
    /// Tests that passed by skipping what they are for.
    n_skipping: u64,
    /// Whether the output shown is that of tests that passed.
    in_successes: bool,
    /// Whether the test whose output is shown has been counted as skipped.
    is_counted: bool,
}

impl Counter {
    fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let number = |of: &str| {
                let found = result.split([';', '.']).find_map(|p| p.trim().strip_suffix(of));
                found.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0)
            };
            self.counts.passed += number("passed");
            self.counts.failed += number("failed");
            self.counts.skipped += number("ignored");
            self.in_successes = false;
        } else if line == "successes:" {
            self.in_successes = true;
        } else if line == "failures:" {
            self.in_successes = false;
        } else if line.starts_with("---- ") && line.ends_with(" stdout ----") {
            self.is_counted = false;
        } else if self.in_successes && !self.is_counted && line.contains("skipped: ") {
            self.n_skipping += 1;
            self.is_counted = true;
        }
    }

    fn counts(&self) -> Counts {
        let Counts { passed, failed, skipped } = self.counts;
        Counts { passed: passed.saturating_sub(self.n_skipping), failed, skipped: skipped + self.n_skipping }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> Counts {
        let mut counter = Counter::default();
        text.lines().for_each(|l| counter.line(l));
        counter.counts()
    }

    const OUTPUT: &str = "
running 3 tests
test a ... ok
test b ... ok
test c ... ok

successes:

---- a stdout ----
skipped: no library
---- b stdout ----
one thing; skipped: one half
and skipped: the other

successes:
    a
    b
    c

test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 3 tests
test d ... FAILED

successes:

successes:
    e

failures:

---- d stdout ----
skipped: is what it failed to say

failures:
    d

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 1.25s
";

    #[test]
    fn test_output_is_counted_over_all_its_parts() {
        assert_eq!(count(OUTPUT), Counts { passed: 2, failed: 1, skipped: 3 });
        assert_eq!(count(OUTPUT).to_string(), "2 passed, 1 failed, 3 skipped");
        assert_eq!(count(""), Counts::default());
    }

    #[test]
    fn a_skip_that_no_test_printed_is_not_counted() {
        let line =
            "running 1 test\nskipped: by a build script\ntest result: ok. 1 passed; 0 failed; 0 ignored;";
        assert_eq!(count(line), Counts { passed: 1, failed: 0, skipped: 0 });
    }

    #[test]
    fn an_empty_work_list_and_any_failure_fail() {
        let counts = |passed, failed, skipped| Counts { passed, failed, skipped };
        assert!(verdict(counts(1, 0, 5)).is_ok());
        assert!(verdict(counts(0, 0, 0)).is_err());
        assert!(verdict(counts(0, 0, 7)).is_err());
        assert!(verdict(counts(9, 1, 0)).is_err());
    }
}
