//! The comparison as a table.

use super::{Comparison, Interval, Row, Unit, Verdict};
use std::fmt;

impl Verdict {
    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::RealGain => "real: better",
            Self::RealLoss => "real: worse",
            Self::NotShown => "not shown",
            Self::TooFew => "too few",
        }
    }
}

impl Unit {
    /// What is drawn, in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Frame => "frames",
            Self::Group => "drives",
        }
    }
}

impl Comparison {
    /// Rows whose own interval excludes 0 although the correction leaves them unproven.
    pub fn n_only_alone(&self) -> usize {
        let alone = |r: &&Row| {
            let excludes_0 = r.between.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
            r.verdict == Verdict::NotShown && excludes_0
        };
        self.rows.iter().filter(alone).count()
    }

    /// What a reader must know to read the table.
    pub fn notes(&self) -> Vec<String> {
        let o = &self.options;
        let percent = 100.0 * (1.0 - o.level);
        let kind = match o.interval {
            Interval::Percentile => "percentile",
            Interval::BiasCorrected => "BCa",
        };
        let mut notes = vec![
            format!(
                "{percent:.0} % {kind} intervals of B - A from {} resamples of {} {} (seed {})",
                o.n_resamples,
                self.n_units,
                self.unit.title(),
                o.seed
            ),
            format!(
                "real: stands at {} after Holm's correction for the {} metrics judged; \
                 not shown: chance may have made it, which does not prove the runs equal",
                o.level, self.n_judged
            ),
        ];
        if self.unit == Unit::Frame {
            notes.push(
                "frames were drawn one by one: if they come from few drives, they resemble each other, and \
                 intervals are too narrow"
                    .to_owned(),
            );
        }
        let n_alone = self.n_only_alone();
        if n_alone > 0 {
            notes.push(format!(
                "{n_alone} not shown although the interval alone excludes 0: among {} metrics, {:.1} do so by chance",
                self.n_judged,
                o.level * self.n_judged as f64
            ));
        }
        if self.rows.iter().any(|r| r.verdict == Verdict::TooFew) {
            notes.push(format!(
                "too few: less than {} objects, or in less than {} {}, or a metric that some resamples lack",
                o.min_objects,
                o.min_units,
                self.unit.title()
            ));
        }
        notes
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.models;
        let [sha_a, sha_b] = self.package_sha256.each_ref().map(|sha| sha.get(..12).unwrap_or(sha));
        writeln!(f, "A: {a} ({sha_a})\nB: {b} ({sha_b})\n{} frames\n", self.n_frames)?;
        let name = |r: &Row| r.class.clone().unwrap_or_else(|| "all".to_owned());
        let width = self.rows.iter().map(|r| name(r).chars().count()).max().unwrap_or(0).max("class".len());
        writeln!(
            f,
            "{:<width$} {:<16} {:>8} {:>8} {:>8} {:>19} {:>7} {:>7}  verdict",
            "class", "metric", "A", "B", "B - A", "interval", "p", "Holm"
        )?;
        let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        let signed = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:+.4}"));
        for row in &self.rows {
            let between =
                row.between.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:+.4} .. {high:+.4}"));
            writeln!(
                f,
                "{:<width$} {:<16} {:>8} {:>8} {:>8} {:>19} {:>7} {:>7}  {}",
                name(row),
                row.metric.title(),
                number(row.a),
                number(row.b),
                signed(row.difference),
                between,
                number(row.p),
                number(row.p_corrected),
                row.verdict.title()
            )?;
        }
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}
