//! The report: a run for people, as one file of HTML.
//!
//! It needs no network and no script: styles and drawings stand in the file, and a policy in its head
//! forbids the browser to fetch anything. It follows the reader's light or dark setting. Every name is
//! escaped.

mod accuracy;
mod frames;
mod markup;
#[cfg(test)]
mod tests;
mod times;

use crate::analysis::worst;
use crate::compare::{self, Comparison};
use crate::gate;
use crate::plot::{Axis, escaped};
use crate::run::Run;
use markup::{Cell, digits, push, table};
use pilotis_spec::Point;

/// Frames that are drawn.
pub const N_WORST_FRAMES: usize = 6;

const STYLE: &str = include_str!("style.css");

/// What a report tells.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The run.
    pub run: &'a Run,
    /// How it compares with another one, as run B.
    pub comparison: Option<&'a Comparison>,
    /// What a gate says of it.
    pub verdict: Option<&'a gate::Verdict>,
}

/// A report of a run alone.
///
/// `cloud` answers with the points of a frame, by its name, in the frame of its boxes.
pub fn html(run: &Run, cloud: &dyn Fn(&str) -> Option<Vec<Point>>) -> String {
    Report { run, comparison: None, verdict: None }.html(cloud)
}

impl Report<'_> {
    /// The file.
    ///
    /// **Determinism**: the same bytes for the same run; nothing in it depends on when it was made.
    pub fn html(&self, cloud: &dyn Fn(&str) -> Option<Vec<Point>>) -> String {
        let (run, analysis) = (self.run, self.run.analysis());
        let mut out = String::new();
        self.head(&mut out);
        if let Some(verdict) = self.verdict {
            gate_section(&mut out, verdict);
        }
        if let Some(comparison) = self.comparison {
            comparison_section(&mut out, comparison);
        }
        accuracy::classes(&mut out, analysis);
        if !run.figures().is_empty() {
            official(&mut out, run);
        }
        accuracy::curves(&mut out, analysis);
        accuracy::breakdowns(&mut out, analysis);
        accuracy::confusion(&mut out, analysis);
        accuracy::reliability(&mut out, analysis);
        times::section(&mut out, run);
        let fates = worst(run.set(), &analysis.rules, N_WORST_FRAMES);
        frames::worst(&mut out, run.set(), &analysis.rules, &fates, cloud);
        out.push_str("</main></body></html>\n");
        out
    }

    fn head(&self, out: &mut String) {
        let (run, about) = (self.run, self.run.about());
        let (set, analysis) = (run.set(), run.analysis());
        let [model, dataset, split] = [&about.model.name, &about.dataset, &about.split].map(|t| escaped(t));
        let of_split = if split.is_empty() { String::new() } else { format!(", {split}") };
        push!(
            out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <title>{model} on {dataset}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n\
             <header><h1>{model}</h1>\n<div class=\"about\">on {dataset}{of_split}</div>\n"
        );
        self.contents(out);
        let n_objects: usize = analysis.classes.iter().map(|c| c.figures.n_objects).sum();
        out.push_str("<div class=\"tiles\">");
        if let Some(verdict) = self.verdict {
            let (class, word) = if verdict.passed() { ("passed", "passed") } else { ("failed", "failed") };
            let n_failed = verdict.failed().count();
            push!(
                out,
                "<div class=\"tile {class}\"><b>{word}</b><span>gate, {n_failed} of {} checks failed</span></div>",
                verdict.checks.len()
            );
        }
        let mut tile = |value: &str, what: &str| {
            push!(out, "<div class=\"tile\"><b>{value}</b><span>{what}</span></div>");
        };
        tile(&format!("{:.3}", analysis.mean_average_precision()), "mean AP over classes");
        let best = |of: fn(&crate::analysis::ClassFigures) -> f64| {
            analysis.classes.iter().map(|c| of(&c.figures)).sum::<f64>() / analysis.classes.len() as f64
        };
        tile(&format!("{:.3}", best(|f| f.recall)), "recall, mean over classes");
        tile(&grouped(set.frames().len()), "frames");
        tile(&grouped(n_objects), "objects that count");
        if let Some(latency) = analysis.latency {
            tile(&format!("{:.1} ms", latency.frame.p99_ms), "frame time, 99th percentile");
        }
        out.push_str("</div>\n<dl>");
        let mut fact = |what: &str, is: &str| push!(out, "<dt>{what}</dt><dd>{is}</dd>");
        fact("package", &format!("<code>{}</code>", escaped(&about.model.package_sha256)));
        fact("labels", &format!("<code>{}</code>", set.dataset_sha256()));
        let drives = set.n_groups().map_or_else(String::new, |n| format!(", {n} drives"));
        fact("data", &format!("{} frames{drives}", grouped(set.frames().len())));
        let [machine, device, precision] =
            [&about.platform.machine, &about.platform.device, &about.platform.precision].map(|t| escaped(t));
        fact("ran on", &format!("{machine}: {device}, {precision}"));
        fact("counted", &escaped(&analysis.rules.to_string()));
        out.push_str("</dl></header>\n");
    }

    fn contents(&self, out: &mut String) {
        out.push_str("<nav aria-label=\"Contents\">");
        let mut link = |id: &str, word: &str| push!(out, "<a href=\"#{id}\">{word}</a>");
        if self.verdict.is_some() {
            link("gate", "Gate");
        }
        if self.comparison.is_some() {
            link("comparison", "Comparison");
        }
        link("classes", "Classes");
        if !self.run.figures().is_empty() {
            link("official", "Official figures");
        }
        link("curves", "Precision over recall");
        link("parts", "Breakdowns");
        link("confusion", "Confusion");
        link("scores", "Scores");
        link("times", "Times");
        link("worst", "Worst frames");
        out.push_str("</nav>\n");
    }
}

/// A number with its thousands apart.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn gate_section(out: &mut String, verdict: &gate::Verdict) {
    let word = if verdict.passed() { "passed" } else { "failed" };
    push!(out, "<h2 id=\"gate\">Gate: {word}</h2>\n");
    let row = |check: &gate::Check| {
        let cells = vec![
            Cell::of(check.what.clone()),
            Cell::of(markup_short(&check.found)),
            Cell::of(markup_short(&check.wanted)),
            if check.passed { Cell::classed("passed", "good") } else { Cell::classed("failed", "bad") },
        ];
        (cells, false)
    };
    let header = ["what", "found", "wanted", ""];
    let failed: Vec<_> = verdict.failed().map(row).collect();
    if !failed.is_empty() {
        table(out, "Checks that failed", &header, &failed);
    }
    let all: Vec<_> = verdict.checks.iter().map(row).collect();
    push!(out, "<details><summary>All {} checks</summary>\n", all.len());
    table(out, "All checks", &header, &all);
    out.push_str("</details>\n");
}

fn markup_short(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}

fn comparison_section(out: &mut String, comparison: &Comparison) {
    let [a, b] = comparison.models.each_ref().map(|name| escaped(name));
    push!(
        out,
        "<h2 id=\"comparison\">Comparison</h2>\n<p>A: {a}. B, this run: {b}. Differences are B - A.</p>\n"
    );
    out.push_str("<div class=\"half\">");
    forest(out, comparison);
    out.push_str("</div>\n");
    let rows: Vec<(Vec<Cell>, bool)> = comparison
        .rows
        .iter()
        .map(|row| {
            use compare::Verdict::{NotShown, RealGain, RealLoss, TooFew};
            let class = match row.verdict {
                RealGain => "good",
                RealLoss => "bad",
                NotShown => "",
                TooFew => "few",
            };
            let between = row.between.map(|[low, high]| format!("{low:+.4} to {high:+.4}"));
            let signed = row.difference.map(|d| format!("{d:+.4}"));
            let dash = || "–".to_owned();
            let cells = vec![
                Cell::of(row.class.clone().unwrap_or_else(|| "all".to_owned())),
                Cell::classed(row.metric.title(), "left"),
                Cell::of(digits(row.a, 4)),
                Cell::of(digits(row.b, 4)),
                Cell::of(signed.unwrap_or_else(dash)),
                Cell::of(between.unwrap_or_else(dash)),
                Cell::of(digits(row.p_corrected, 4)),
                Cell::classed(row.verdict.title(), class),
            ];
            (cells, row.verdict == TooFew)
        })
        .collect();
    let header = ["class", "metric", "A", "B", "B - A", "interval", "p, corrected", "verdict"];
    table(out, "Differences of two runs", &header, &rows);
    out.push_str("<p class=\"note\">");
    for note in comparison.notes() {
        push!(out, "{}.<br>", escaped(&note));
    }
    out.push_str("</p>\n");
}

/// Differences of average precision with their intervals, one below the other.
fn forest(out: &mut String, comparison: &Comparison) {
    let rows: Vec<_> = comparison
        .rows
        .iter()
        .filter(|r| r.metric == compare::Metric::MeanAveragePrecision)
        .filter_map(|r| Some((r, r.difference?, r.between?)))
        .collect();
    if rows.is_empty() {
        return;
    }
    let reach = rows.iter().flat_map(|(_, _, between)| between).fold(0.01_f64, |most, v| most.max(v.abs()));
    let axis = Axis::linear("", -1.1 * reach, 1.1 * reach);
    let (width, row_px, left) = (520.0, 30.0, 130.0);
    let height = row_px * rows.len() as f64 + 50.0;
    let x_px = |value: f64| left + (width - left - 16.0) * axis.place(value);
    push!(
        out,
        "<figure><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"Differences of mean AP with their intervals\">"
    );
    for tick in axis.ticks(6) {
        let (x, bottom) = (x_px(tick), height - 40.0);
        push!(out, "<path class=\"gridline\" d=\"M{x:.1} 10V{bottom:.1}\"/>");
        let label = if tick.abs() < 1e-12 { "0".to_owned() } else { format!("{tick:+.3}") };
        push!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", height - 25.0);
    }
    push!(out, "<path class=\"guide\" d=\"M{:.1} 10V{:.1}\"/>", x_px(0.0), height - 40.0);
    push!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">difference of mean AP, B - A</text>",
        (left + width - 16.0) / 2.0,
        height - 8.0
    );
    for (idx, (row, difference, [low, high])) in rows.into_iter().enumerate() {
        let y = 10.0 + row_px * (idx as f64 + 0.5);
        let stroke = match row.verdict {
            compare::Verdict::RealGain => "var(--good)",
            compare::Verdict::RealLoss => "var(--bad)",
            _ => "var(--faint)",
        };
        let name = markup::clipped(row.class.as_deref().unwrap_or("all"), 17);
        push!(
            out,
            "<text class=\"ink\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{stroke}\" stroke-width=\"2.5\"/>\
             <circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{stroke}\"/>",
            left - 14.0,
            y + 4.0,
            x_px(low),
            x_px(high),
            x_px(difference)
        );
    }
    out.push_str("</svg></figure>\n");
}

/// More figures of a benchmark than this are shown on demand: KITTI has a hundred.
const N_OPEN_FIGURES: usize = 24;

fn official(out: &mut String, run: &Run) {
    out.push_str("<h2 id=\"official\">Official figures</h2>\n");
    let row = |(name, value): (&String, &Option<f64>)| {
        (vec![Cell::of(name.clone()), Cell::of(digits(*value, 4))], false)
    };
    let rows: Vec<_> = run.figures().iter().map(row).collect();
    let is_open = if rows.len() > N_OPEN_FIGURES { "" } else { " open" };
    push!(out, "<details{is_open}><summary>All {} figures</summary>\n<div class=\"half\">", rows.len());
    table(out, "Official figures", &["figure", "value"], &rows);
    out.push_str("</div></details>\n");
}
