//! The report: sections with a verdict each, as one Markdown file.

use std::fmt::Write;

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
    title: String,
    verdict: Verdict,
    lines: Vec<String>,
}

impl Section {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), verdict: Verdict::Passed, lines: Vec::new() }
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

    /// Ends a step that cannot be done here.
    pub(crate) fn skipped(mut self, why: impl std::fmt::Display) -> Self {
        self.verdict = self.verdict.max(Verdict::Skipped);
        self.lines.push(format!("skipped: {why}"));
        self
    }

    /// Ends a step that met an error.
    pub(crate) fn failed(mut self, why: impl std::fmt::Display) -> Self {
        self.require(false, why.to_string());
        self
    }
}

/// All steps.
pub(crate) struct Report {
    sections: Vec<Section>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { sections: Vec::new() }
    }

    pub(crate) fn add(&mut self, section: Section) {
        eprintln!("{}: {:?}", section.title, section.verdict);
        self.sections.push(section);
    }

    /// The worst of all.
    pub(crate) fn verdict(&self) -> Verdict {
        // No step at all is no success.
        self.sections.iter().map(|s| s.verdict).max().unwrap_or(Verdict::Failed)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("# Pilotis {} on a card\n", env!("CARGO_PKG_VERSION"));
        for section in &self.sections {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n## {}: {:?}\n", section.title, section.verdict);
            for line in &section.lines {
                let _ = writeln!(text, "- {line}");
            }
        }
        let count = |verdict| self.sections.iter().filter(|s| s.verdict == verdict).count();
        let _ = writeln!(
            text,
            "\n{} passed, {} failed, {} skipped",
            count(Verdict::Passed),
            count(Verdict::Failed),
            count(Verdict::Skipped)
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_whole_and_nothing_is_no_success() {
        let mut report = Report::new();
        assert_eq!(report.verdict(), Verdict::Failed);
        let mut section = Section::new("a");
        section.require(true, "holds");
        report.add(section);
        assert_eq!(report.verdict(), Verdict::Passed);
        report.add(Section::new("b").skipped("no card"));
        assert_eq!(report.verdict(), Verdict::Skipped);
        let mut section = Section::new("c");
        section.require(false, "does not hold");
        report.add(section.skipped("and more"));
        assert_eq!(report.verdict(), Verdict::Failed);
        assert!(report.text().contains("1 passed, 1 failed, 1 skipped"), "{}", report.text());
    }
}
