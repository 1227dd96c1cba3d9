//! How long frames took.

use super::markup::{Cell, Plot, push, table};
use crate::analysis::Percentiles;
use crate::plot::Axis;
use crate::run::Run;

const N_BARS: usize = 40;

pub(super) fn section(out: &mut String, run: &Run) {
    out.push_str("<h2 id=\"times\">Times</h2>\n");
    let Some(latency) = run.analysis().latency else {
        out.push_str("<p>No frame was timed.</p>\n");
        return;
    };
    let times: Vec<f64> =
        run.set().frames().iter().filter_map(|f| f.times).map(|t| t.frame_ns as f64 / 1e6).collect();
    out.push_str("<div class=\"half\">");
    out.push_str(&histogram(&times, &latency.frame));
    out.push_str("</div>\n");
    let row = |name: &str, p: &Percentiles| {
        let mut cells = vec![Cell::of(name)];
        let values = [p.min_ms, p.p50_ms, p.p90_ms, p.p99_ms, p.max_ms, p.mean_ms];
        cells.extend(values.map(|v| Cell::of(format!("{v:.2}"))));
        (cells, false)
    };
    let mut rows: Vec<_> = latency.stages().into_iter().map(|(name, p)| row(name, p)).collect();
    rows.push(row("frame", &latency.frame));
    let header = ["ms", "least", "median", "90 %", "99 %", "most", "mean"];
    table(out, "Times of the stages", &header, &rows);
    let n_frames = run.set().frames().len();
    push!(out, "<p class=\"note\">{} of {n_frames} frames were timed.</p>\n", latency.n_frames);
}

fn histogram(times: &[f64], frame: &Percentiles) -> String {
    // From zero, so that bars and marks can be compared from report to report.
    let end = (1.02 * frame.max_ms).max(1e-3);
    let width = end / N_BARS as f64;
    let mut counts = vec![0_usize; N_BARS];
    for time in times {
        counts[((time / width) as usize).min(N_BARS - 1)] += 1;
    }
    let highest = counts.iter().copied().max().unwrap_or(1) as f64;
    let label = format!(
        "Frame times: median {:.1} ms, 99th percentile {:.1} ms, most {:.1} ms",
        frame.p50_ms, frame.p99_ms, frame.max_ms
    );
    let y = Axis::linear("frames", 0.0, highest).with_headroom(0.12);
    let mut plot = Plot::new("Frame times", &label, (520.0, 250.0), Axis::linear("ms", 0.0, end), y).scales();
    for (idx, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        plot.bar(idx as f64 * width, (idx + 1) as f64 * width, *count as f64);
    }
    for (word, at, height) in [("median", frame.p50_ms, 1.1), ("99 %", frame.p99_ms, 1.02)] {
        plot.guide((at, 0.0), (at, highest * 1.12));
        let (shift, anchor) = if at < 0.5 * end { (0.008, "start") } else { (-0.008, "end") };
        plot.word((at + end * shift, highest * height), anchor, &format!("{word} {at:.1}"));
    }
    plot.figure("")
}
