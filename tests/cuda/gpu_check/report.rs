//! The report: steps with a verdict each, as one Markdown file that is whole after every step.
//!
//! A library may end the process, and a card may stop it. So the file says which step had begun.

use crate::log;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// How a step came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It was done, and is as it must be.
    Passed,
    /// It could not be done here; the section says why.
    Skipped,
    /// It is not as it must be.
    Failed,
}

/// One step.
pub(crate) struct Section {
    verdict: Verdict,
    lines: Vec<String>,
}

impl Section {
    pub(crate) fn new() -> Self {
        Self { verdict: Verdict::Passed, lines: Vec::new() }
    }

    /// A line that is true whatever comes of it.
    pub(crate) fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// A line that must hold.
    pub(crate) fn require(&mut self, holds: bool, line: impl Into<String>) {
        let line = line.into();
        if holds {
            self.lines.push(line);
        } else {
            self.verdict = Verdict::Failed;
            self.lines.push(format!("**FAILED**: {line}"));
        }
    }

    /// A part that cannot be done here.
    pub(crate) fn skip(&mut self, why: impl std::fmt::Display) {
        self.verdict = self.verdict.max(Verdict::Skipped);
        self.lines.push(format!("skipped: {why}"));
    }
}

/// All steps.
pub(crate) struct Report {
    path: PathBuf,
    is_emulated: bool,
    sections: Vec<(String, Section)>,
    /// The step that has begun.
    running: Option<String>,
}

/// What the report of a rehearsal begins and ends with.
const EMULATED: &str = "**EMULATED: a rehearsal on a machine without a GPU. Nothing here ran on a card: recorded tensors \
    stand in for TensorRT, and times say nothing.**";

impl Report {
    pub(crate) fn new(path: &Path, is_emulated: bool) -> Self {
        Self { path: path.to_owned(), is_emulated, sections: Vec::new(), running: None }
    }

    /// Runs a step, and writes the file before and after it. A step that ends with an error has failed; so has one
    /// that panics.
    pub(crate) fn step<E: std::fmt::Display>(
        &mut self,
        title: impl Into<String>,
        step: impl FnOnce(&mut Section) -> Result<(), E>,
    ) {
        let (title, start) = (title.into(), Instant::now());
        self.running = Some(title.clone());
        self.write();
        let mut section = Section::new();
        // What a step works on is not looked at again where it panicked, but for what cannot change.
        let ran = catch_unwind(AssertUnwindSafe(|| step(&mut section)));
        match ran {
            Ok(Ok(())) => {}
            Ok(Err(error)) => section.require(false, error.to_string()),
            Err(_) => section.require(false, "the step panicked; the terminal says where"),
        }
        log::take().into_iter().for_each(|line| section.say(format!("log: {line}")));
        section.say(format!("took {:.1} s", start.elapsed().as_secs_f64()));
        eprintln!("{title}: {}", self.word(section.verdict));
        self.sections.push((title, section));
        self.running = None;
        self.write();
    }

    /// A verdict in a word; what held on the emulator has not passed on a card.
    fn word(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Passed if self.is_emulated => "rehearsed",
            Verdict::Passed => "passed",
            Verdict::Skipped => "skipped",
            Verdict::Failed => "FAILED",
        }
    }

    fn write(&self) {
        if let Err(e) = std::fs::write(&self.path, self.text()) {
            eprintln!("error: cannot write `{}`: {e}", self.path.display());
        }
    }

    /// The worst of all.
    pub(crate) fn verdict(&self) -> Verdict {
        // No step at all is no success, and neither is one that did not end.
        let worst = self.sections.iter().map(|(_, s)| s.verdict).max();
        if self.running.is_some() { Verdict::Failed } else { worst.unwrap_or(Verdict::Failed) }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("# Pilotis {} on a card\n", env!("CARGO_PKG_VERSION"));
        if self.is_emulated {
            text = format!(
                "# Pilotis {}: rehearsal of the check of a card\n\n{EMULATED}\n",
                env!("CARGO_PKG_VERSION")
            );
        }
        for (title, section) in &self.sections {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n## {title}: {}\n", self.word(section.verdict));
            for line in &section.lines {
                let _ = writeln!(text, "- {line}");
            }
        }
        let counts = [Verdict::Passed, Verdict::Failed, Verdict::Skipped].map(|verdict| {
            let n = self.sections.iter().filter(|(_, s)| s.verdict == verdict).count();
            format!("{n} {}", self.word(verdict))
        });
        let _ = writeln!(text, "\n{}", counts.join(", "));
        if let Some(title) = &self.running {
            let _ = writeln!(text, "\n**NOT FINISHED: `{title}` had begun and did not end.**");
        }
        if self.is_emulated {
            let _ = writeln!(text, "\n{EMULATED}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(report: &mut Report, title: &str, step: impl FnOnce(&mut Section)) {
        report.step(title, |section| {
            step(section);
            Ok::<_, String>(())
        });
    }

    #[test]
    fn one_failure_fails_the_whole_and_nothing_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::new(&folder.path().join("report.md"), false);
        assert_eq!(report.verdict(), Verdict::Failed);
        step(&mut report, "a", |section| section.require(true, "holds"));
        assert_eq!(report.verdict(), Verdict::Passed);
        step(&mut report, "b", |section| section.skip("no card"));
        assert_eq!(report.verdict(), Verdict::Skipped);
        step(&mut report, "c", |section| {
            section.require(false, "does not hold");
            section.skip("and more");
        });
        assert_eq!(report.verdict(), Verdict::Failed);
        assert!(report.text().contains("1 passed, 1 FAILED, 1 skipped"), "{}", report.text());
        assert!(!report.text().contains("EMULATED"));
    }

    #[test]
    fn errors_and_panics_fail_their_step_and_the_next_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::new(&folder.path().join("report.md"), true);
        report.step("errs", |_| Err("no memory"));
        report.step("panics", |_| -> Result<(), String> { panic!("on purpose") });
        step(&mut report, "runs", |section| section.say("after all"));
        let text = report.text();
        assert!(text.contains("## errs: FAILED") && text.contains("no memory"), "{text}");
        assert!(text.contains("## panics: FAILED") && text.contains("## runs: rehearsed"), "{text}");
        assert!(text.contains("1 rehearsed, 2 FAILED") && !text.contains("passed"), "{text}");
        assert_eq!(text.matches("EMULATED").count(), 2, "{text}");
    }

    #[test]
    fn the_file_is_whole_while_a_step_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.md");
        let mut report = Report::new(&path, false);
        step(&mut report, "first", |_| {});
        step(&mut report, "second", |_| {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains("## first: passed"), "{text}");
            assert!(text.contains("NOT FINISHED: `second` had begun"), "{text}");
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap(), report.text());
        assert!(!report.text().contains("NOT FINISHED"));
        // A step that panics is caught, so that what it found stands in its verdict only.
        assert_eq!(report.verdict(), Verdict::Passed, "{}", report.text());
    }
}
