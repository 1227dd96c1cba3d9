//! Tables: boxes and times, for people.

use pilotis_runtime::report::latency::{Percentiles, StagePercentiles};
use pilotis_runtime::report::{FrameJson, ms};
use pilotis_spec::{FrameReport, Stage};
use std::fmt::Write;

/// One line on a frame, and a line a box.
pub(super) fn frame(frame: &FrameJson, report: &FrameReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        text,
        "{}: {} boxes, {} of {} points, {} pillars, {:.1} ms",
        frame.file,
        frame.boxes.len(),
        report.n_points_kept,
        report.n_points,
        report.n_pillars,
        ms(report.times.frame_ns)
    );
    for flag in &frame.report.flags {
        let _ = write!(text, ", {flag}");
    }
    text.push('\n');
    if frame.boxes.is_empty() {
        return text;
    }
    let has_velocity = frame.boxes.iter().any(|b| b.velocity.is_some());
    let n_class = frame.boxes.iter().map(|b| b.class.len()).max().unwrap_or(0).max("class".len());
    let _ = write!(
        text,
        "  {:n_class$} {:>5} {:>7} {:>7} {:>6} {:>5} {:>5} {:>5} {:>6}",
        "class", "score", "x", "y", "z", "l", "w", "h", "yaw"
    );
    text.push_str(if has_velocity { "     vx     vy\n" } else { "\n" });
    for b in &frame.boxes {
        let ([x, y, z], [l, w, h]) = (b.center, b.size);
        let _ = write!(
            text,
            "  {:n_class$} {:>5.2} {x:>7.2} {y:>7.2} {z:>6.2} {l:>5.2} {w:>5.2} {h:>5.2} {:>6.2}",
            b.class, b.score, b.yaw
        );
        if let Some([vx, vy]) = b.velocity {
            let _ = write!(text, " {vx:>6.2} {vy:>6.2}");
        }
        text.push('\n');
    }
    text
}

/// A line a stage, and one for whole frames.
pub(super) fn latency(stages: &StagePercentiles, frame: &Percentiles) -> String {
    let mut text = format!(
        "  {:8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  ms\n",
        "stage", "min", "p50", "p90", "p99", "p99.9", "max", "mean"
    );
    let named = Stage::ALL.into_iter().map(|s| (s.name(), stages.of(s)));
    for (name, p) in named.chain([("frame", frame)]) {
        let _ = write!(text, "  {name:8}");
        for v in [p.min_ms, p.p50_ms, p.p90_ms, p.p99_ms, p.p99_9_ms, p.max_ms, p.mean_ms] {
            let _ = write!(text, " {v:>9.3}");
        }
        text.push('\n');
    }
    text
}
