//! The verdict, check by check.

use serde::Serialize;
use std::fmt;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// What it is.
    pub found: String,
    /// What it must be.
    pub wanted: String,
    /// Whether it is.
    pub passed: bool,
}

/// Whether a run may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Everything looked at; never empty.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Exit code of a run that passed.
    pub const PASSED: u8 = 0;
    /// Exit code of a run that did not.
    pub const FAILED: u8 = 1;
    /// Exit code where there was nothing to judge: an unusable gate or run.
    pub const UNUSABLE: u8 = 2;

    /// Whether every check passed, and there was one.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|c| c.passed)
    }

    /// 0 or 1.
    pub fn exit_code(&self) -> u8 {
        if self.passed() { Self::PASSED } else { Self::FAILED }
    }

    /// Checks that did not pass.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|c| !c.passed)
    }
}

/// Checks in the making.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    pub(super) fn add(&mut self, what: String, found: String, wanted: String, passed: bool) {
        self.0.push(Check { what, found, wanted, passed });
    }

    pub(super) fn equal(&mut self, what: String, found: &str, wanted: &str) {
        self.add(what, found.to_owned(), wanted.to_owned(), found == wanted);
    }

    pub(super) fn no_fewer(&mut self, what: String, found: usize, least: usize) {
        self.add(what, found.to_string(), format!(">= {least}"), found >= least);
    }

    /// A value that is not known fails, and so would one that is not a number.
    pub(super) fn at_least(&mut self, what: String, found: Option<f64>, floor: f64) {
        self.add(what, number(found), format!(">= {floor}"), found.is_some_and(|v| v >= floor));
    }

    /// The same with a ceiling.
    pub(super) fn at_most(&mut self, what: String, found: Option<f64>, ceiling: f64) {
        self.add(what, number(found), format!("<= {ceiling}"), found.is_some_and(|v| v <= ceiling));
    }

    pub(super) fn verdict(self) -> Verdict {
        Verdict { checks: self.0 }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "not known".to_owned(), |v| format!("{v:.4}"))
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digests and rules would stretch the table; they stand in full below it where they differ.
        const WIDEST: usize = 28;
        let short = |text: &str| -> String {
            if text.chars().count() <= WIDEST {
                return text.to_owned();
            }
            text.chars().take(WIDEST - 3).chain("...".chars()).collect()
        };
        let width = |of: fn(&Check) -> &str, least: usize| {
            self.checks.iter().map(|c| short(of(c)).chars().count()).max().unwrap_or(0).max(least)
        };
        let widths = [
            self.checks.iter().map(|c| c.what.chars().count()).max().unwrap_or(0).max(4),
            width(|c| &c.found, 5),
            width(|c| &c.wanted, 6),
        ];
        let [what, found, wanted] = widths;
        writeln!(f, "{:<what$}  {:>found$}  {:<wanted$}", "what", "found", "wanted")?;
        for check in &self.checks {
            let word = if check.passed { "passed" } else { "FAILED" };
            let (is, must) = (short(&check.found), short(&check.wanted));
            writeln!(f, "{:<what$}  {is:>found$}  {must:<wanted$}  {word}", check.what)?;
        }
        for check in self.failed().filter(|c| c.found.chars().count().max(c.wanted.chars().count()) > WIDEST)
        {
            writeln!(f, "\n{}:\n  found  {}\n  wanted {}", check.what, check.found, check.wanted)?;
        }
        let n_failed = self.failed().count();
        if self.passed() {
            write!(f, "\ngate passed: {} checks", self.checks.len())
        } else {
            write!(f, "\ngate FAILED: {n_failed} of {} checks", self.checks.len())
        }
    }
}
