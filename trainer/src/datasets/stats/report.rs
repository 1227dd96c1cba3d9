//! Reports: the same tables as aligned text and as Markdown.

use super::collect::{MEASURES, Measure};
use super::compare::{Comparison, Distance, MIN_BOXES, MIN_POINTS};
use super::plots::Plot;
use super::source::View;
use super::summary::{BAND_M, ClassSummary, N_BANDS, PointsPerBox, Summary};
use std::fmt::Write as _;

const TOO_FEW: &str = "too few";
const NOTHING: &str = "-";

/// A table of cells; the first column is of words, the others of figures.
struct Table {
    title: &'static str,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Measure {
    /// What it counts, in words.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Range => "range of points",
            Self::Height => "height of points over the sensor",
            Self::Intensity => "intensity",
            Self::IntensityGround => "intensity on the ground, within 25 m",
            Self::IntensityAbove => "intensity above the ground, within 25 m",
            Self::IntensityBoxes => "intensity in boxes",
        }
    }

    /// The unit of its axis.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Range | Self::Height => "m",
            _ => "of full scale",
        }
    }
}

/// The report as text for a terminal.
pub(super) fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    for table in tables(comparison) {
        out.push_str(&table.to_text());
        out.push('\n');
    }
    for note in notes(comparison) {
        out.push_str(&note);
        out.push('\n');
    }
    out
}

/// The report as Markdown, with the plots.
pub(super) fn markdown(comparison: &Comparison, plots: &[Plot]) -> String {
    let mut out = match &comparison.second {
        None => format!("# Statistics of {}\n\n", comparison.first.name),
        Some(second) => format!("# {} beside {}\n\n", comparison.first.name, second.name),
    };
    for table in tables(comparison) {
        out.push_str(&table.to_markdown());
        out.push('\n');
    }
    for note in notes(comparison) {
        let _ = writeln!(out, "- {note}");
    }
    out.push('\n');
    for plot in plots {
        let _ = writeln!(out, "![{}]({})", plot.title, plot.file);
    }
    out
}

fn notes(comparison: &Comparison) -> Vec<String> {
    let view = match comparison.view {
        View::Whole => "Full turns.",
        View::Camera => "What KITTI's camera 2 sees.",
    };
    let mut notes = vec![view.to_owned()];
    notes.extend(comparison.notes.iter().cloned());
    if let Some(second) = &comparison.second {
        notes.push(
            "Total variation: share of points that would have to move to another bin, 0 to 1; mean way: how far \
             they would have to move, on average over all points."
                .to_owned(),
        );
        notes.push(format!(
            "Between halves: total variation between the first and the second half of the frames of {}; what is \
             not clearly above it, these frames cannot tell.",
            second.name
        ));
        notes
            .push(format!("`{TOO_FEW}`: fewer than {MIN_BOXES} boxes, or {MIN_POINTS} points, on one side."));
    }
    notes
}

fn tables(comparison: &Comparison) -> Vec<Table> {
    let mut tables = vec![overview(comparison)];
    if comparison.difference.is_some() {
        tables.push(distances(comparison));
    }
    tables.push(points_per_box(comparison));
    tables.push(sizes(comparison));
    tables
}

fn sides(comparison: &Comparison) -> Vec<&Summary> {
    [Some(&comparison.first), comparison.second.as_ref()].into_iter().flatten().collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn overview(comparison: &Comparison) -> Table {
    let sides = sides(comparison);
    let mut header = vec![String::new()];
    header.extend(sides.iter().map(|s| s.name.clone()));
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |title: &str, of: &dyn Fn(&Summary) -> String| {
        let mut cells = vec![title.to_owned()];
        cells.extend(sides.iter().map(|s| of(s)));
        rows.push(cells);
    };
    row("frames", &|s| s.n_frames.to_string());
    row("points a frame: least", &|s| s.points.min.to_string());
    row("points a frame: median", &|s| format!("{:.0}", s.points.median));
    row("points a frame: most", &|s| s.points.max.to_string());
    row("records not finite", &|s| s.n_not_finite.to_string());
    row("records of the own car, a frame", &|s| format!("{:.0}", s.own_car_per_frame));
    row("rings with points", &|s| {
        s.rings.as_ref().map_or_else(
            || NOTHING.to_owned(),
            |r| r.points.iter().filter(|n| **n >= 0.5).count().to_string(),
        )
    });
    row("firings without an answer", &|s| s.dropped_share.map_or_else(|| NOTHING.to_owned(), percent));
    row("mean intensity, of full scale", &|s| {
        let all = s.histograms.iter().find(|h| h.measure == Measure::Intensity && h.n_points > 0);
        all.map_or_else(|| NOTHING.to_owned(), |h| format!("{:.3}", h.mean))
    });
    row("points of intensity 0", &|s| percent(s.dark_share));
    row("points in boxes", &|s| percent(s.in_box_share));
    row("boxes", &|s| s.n_boxes.to_string());
    row("boxes a frame", &|s| format!("{:.2}", s.n_boxes as f64 / s.n_frames.max(1) as f64));
    row("boxes without a point", &|s| s.n_boxes_without_points.to_string());
    row("frames without a box", &|s| s.n_frames_without_boxes.to_string());
    Table { title: "Overview", header, rows }
}

fn distances(comparison: &Comparison) -> Table {
    let (Some(second), Some(difference)) = (&comparison.second, &comparison.difference) else {
        return Table { title: "Distances", header: Vec::new(), rows: Vec::new() };
    };
    let first = &comparison.first;
    let cells = |distance: Option<Distance>, unit: &str| match distance {
        None => vec![TOO_FEW.to_owned(), NOTHING.to_owned(), NOTHING.to_owned()],
        Some(d) => vec![
            format!("{:.3}", d.total_variation),
            d.within_second.map_or_else(|| TOO_FEW.to_owned(), |v| format!("{v:.3}")),
            format!("{:.3} {unit}", d.wasserstein),
        ],
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (idx, distance) in difference.histograms.iter().enumerate() {
        let mean = |s: &Summary| {
            let histogram = s.histograms.get(idx).filter(|h| h.n_points > 0);
            histogram.map_or_else(|| NOTHING.to_owned(), |h| format!("{:.3}", h.mean))
        };
        let measure = MEASURES.get(idx).copied().unwrap_or(distance.measure);
        let mut row = vec![measure.title().to_owned()];
        row.extend(cells(distance.distance, measure.unit()));
        row.extend([mean(first), mean(second)]);
        rows.push(row);
    }
    let mut row = vec!["points over rings".to_owned()];
    row.extend(match difference.rings {
        None => vec!["other rings".to_owned(), NOTHING.to_owned(), NOTHING.to_owned()],
        distance => cells(distance, "rings"),
    });
    row.extend([NOTHING.to_owned(), NOTHING.to_owned()]);
    rows.push(row);
    let header = vec![
        String::new(),
        "total variation".to_owned(),
        "between halves".to_owned(),
        "mean way".to_owned(),
        format!("mean of {}", first.name),
        format!("mean of {}", second.name),
    ];
    Table { title: "Distances", header, rows }
}

fn class_of<'a>(summary: &'a Summary, name: &str) -> Option<&'a ClassSummary> {
    summary.classes.iter().find(|c| c.class_name == name)
}

fn class_names(comparison: &Comparison) -> Vec<&str> {
    let mut names: Vec<&str> =
        sides(comparison).iter().flat_map(|s| &s.classes).map(|c| c.class_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn points_per_box(comparison: &Comparison) -> Table {
    let sides = sides(comparison);
    let mut header = vec!["class".to_owned(), "distance, m".to_owned()];
    header.extend(sides.iter().map(|s| format!("boxes of {}", s.name)));
    header.extend(sides.iter().map(|s| format!("points of {}: quartiles", s.name)));
    if comparison.difference.is_some() {
        header.push("ratio of medians".to_owned());
    }
    let mut rows = Vec::new();
    for name in class_names(comparison) {
        for band in 0..N_BANDS {
            let of = |s: &Summary| {
                let class = class_of(s, name).and_then(|c| c.points_per_box.get(band)).copied();
                class.unwrap_or_default()
            };
            if sides.iter().all(|s| of(s).n_boxes == 0) {
                continue;
            }
            let mut row = vec![name.to_owned(), band_title(band)];
            row.extend(sides.iter().map(|s| of(s).n_boxes.to_string()));
            row.extend(sides.iter().map(|s| quartiles(of(s))));
            if let Some(difference) = &comparison.difference {
                let class = difference.classes.iter().find(|c| c.class_name == name);
                let ratio = class.and_then(|c| c.points_ratio.get(band)).copied().flatten();
                row.push(ratio.map_or_else(|| TOO_FEW.to_owned(), |r| format!("{r:.2}")));
            }
            rows.push(row);
        }
    }
    Table { title: "Points per box, by distance", header, rows }
}

fn band_title(band: usize) -> String {
    let from = band as f64 * BAND_M;
    if band + 1 == N_BANDS { format!("{from:.0}+") } else { format!("{from:.0}-{:.0}", from + BAND_M) }
}

fn quartiles(points: PointsPerBox) -> String {
    if points.n_boxes == 0 {
        return NOTHING.to_owned();
    }
    format!("{:.0} / {:.0} / {:.0}", points.q25, points.median, points.q75)
}

fn sizes(comparison: &Comparison) -> Table {
    let sides = sides(comparison);
    let mut header = vec!["class".to_owned(), "dimension".to_owned()];
    for side in &sides {
        header.push(format!("{}: a frame", side.name));
        header.push(format!("{}: m", side.name));
    }
    if comparison.difference.is_some() {
        header.push("difference, sigmas".to_owned());
    }
    let mut rows = Vec::new();
    for name in class_names(comparison) {
        for (k, dimension) in ["length", "width", "height"].into_iter().enumerate() {
            let mut row = vec![name.to_owned(), dimension.to_owned()];
            for side in &sides {
                match class_of(side, name) {
                    None => row.extend(["0".to_owned(), NOTHING.to_owned()]),
                    Some(c) => {
                        row.push(format!("{:.2}", c.per_frame));
                        row.push(format!("{:.2} ± {:.2}", c.size_mean_m[k], c.size_std_m[k]));
                    }
                }
            }
            if let Some(difference) = &comparison.difference {
                let class = difference.classes.iter().find(|c| c.class_name == name);
                let sigmas = class.and_then(|c| c.size_sigmas[k]);
                row.push(sigmas.map_or_else(|| TOO_FEW.to_owned(), |s| format!("{s:+.1}")));
            }
            rows.push(row);
        }
    }
    Table { title: "Class sizes", header, rows }
}

impl Table {
    fn to_text(&self) -> String {
        let widths: Vec<usize> = (0..self.header.len())
            .map(|k| {
                let cells = self.rows.iter().chain([&self.header]).filter_map(|row| row.get(k));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut out = format!("{}\n", self.title);
        for row in [&self.header].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (k, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                let (before, after) = if k == 0 { ("", pad.as_str()) } else { (pad.as_str(), "") };
                let _ = write!(line, "  {before}{cell}{after}");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    fn to_markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: String = (0..self.header.len()).map(|k| if k == 0 { "|---" } else { "|---:" }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("## {}\n\n{}{rule}|\n{rows}", self.title, line(&self.header))
    }
}
