//! HTML by hand: tables, figures and a drawing area with axes.

use crate::plot::{Axis, escaped, number};

/// Colours that classes can have; further ones begin again, with dashed lines.
const N_COLORS: usize = 8;

/// Appends formatted text; writing to a `String` cannot fail.
macro_rules! push {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        let _ = write!($out, $($text)*);
    }};
}
pub(super) use push;

/// The colour of a class, as CSS.
pub(super) fn color(idx: usize) -> String {
    format!("var(--c{})", idx % N_COLORS)
}

/// What tells classes of one colour apart.
fn dash(idx: usize) -> &'static str {
    if idx < N_COLORS { "" } else { " stroke-dasharray=\"7 4\"" }
}

/// A share as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A figure to so many digits, a dash where there is none.
pub(super) fn digits(value: Option<f64>, n: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{v:.n$}"))
}

/// At most so many characters, escaped.
pub(super) fn clipped(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return escaped(text);
    }
    escaped(&text.chars().take(max.saturating_sub(1)).chain(['…']).collect::<String>())
}

/// A cell of a table: its text, not yet escaped, and its class.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    class: &'static str,
}

impl Cell {
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "" }
    }

    pub(super) fn classed(text: impl Into<String>, class: &'static str) -> Self {
        Self { text: text.into(), class }
    }
}

/// A table whose first column names the rows.
pub(super) fn table(out: &mut String, label: &str, header: &[&str], rows: &[(Vec<Cell>, bool)]) {
    push!(out, "<div class=\"scroll\"><table class=\"wide\" aria-label=\"{}\"><thead><tr>", escaped(label));
    for head in header {
        push!(out, "<th scope=\"col\">{}</th>", escaped(head));
    }
    out.push_str("</tr></thead><tbody>\n");
    for (cells, is_few) in rows {
        out.push_str(if *is_few { "<tr class=\"few\">" } else { "<tr>" });
        for (idx, cell) in cells.iter().enumerate() {
            let text = escaped(&cell.text);
            match (idx, cell.class) {
                (0, _) => push!(out, "<th scope=\"row\" title=\"{text}\">{text}</th>"),
                (_, "") => push!(out, "<td>{text}</td>"),
                (_, class) => push!(out, "<td class=\"{class}\">{text}</td>"),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// A legend of classes.
pub(super) fn legend(out: &mut String, names: &[String]) {
    out.push_str("<div class=\"legend\">");
    for (idx, name) in names.iter().enumerate() {
        push!(
            out,
            "<span><svg viewBox=\"0 0 22 12\" aria-hidden=\"true\"><path class=\"line\" d=\"M1 6H21\" \
             stroke=\"{color}\"{}/><circle cx=\"11\" cy=\"6\" r=\"3.5\" fill=\"{color}\"/></svg>{}</span>",
            dash(idx),
            escaped(name),
            color = color(idx)
        );
    }
    out.push_str("</div>\n");
}

/// A plot in the making: axes with their marks, and what is drawn between them.
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    size: (f64, f64),
    svg: String,
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;

impl Plot {
    /// An empty plot; `label` says to those who do not see it what it shows.
    pub(super) fn new(title: &str, label: &str, size: (f64, f64), x: Axis, y: Axis) -> Self {
        let mut plot = Self { x, y, size, svg: String::new() };
        let (width, height) = size;
        push!(
            plot.svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{}\">",
            escaped(label)
        );
        push!(plot.svg, "<text class=\"title\" x=\"{LEFT}\" y=\"21\">{}</text>", clipped(title, 34));
        plot
    }

    fn x_px(&self, value: f64) -> f64 {
        LEFT + (self.size.0 - LEFT - RIGHT) * self.x.place(value)
    }

    fn y_px(&self, value: f64) -> f64 {
        self.size.1 - BOTTOM - (self.size.1 - TOP - BOTTOM) * self.y.place(value)
    }

    /// Lines across at round values, and marks along the bottom.
    pub(super) fn scales(mut self) -> Self {
        for tick in self.x.ticks(5) {
            let (x, y) = (self.x_px(tick), self.size.1 - BOTTOM);
            push!(self.svg, "<path class=\"axis\" d=\"M{x:.1} {y:.1}v4\"/>");
            self.mark(x, y + 17.0, &number(tick));
        }
        self.levels()
    }

    /// The same with names in equal steps along the bottom.
    pub(super) fn names(mut self, names: &[String]) -> Self {
        for (idx, name) in names.iter().enumerate() {
            let (x, y) = (self.x_px(idx as f64 + 0.5), self.size.1 - BOTTOM + 17.0);
            self.mark(x, y, &clipped(name, 9));
        }
        self.levels()
    }

    fn mark(&mut self, x: f64, y: f64, text: &str) {
        push!(self.svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{text}</text>");
    }

    fn levels(mut self) -> Self {
        let (width, height) = self.size;
        for tick in self.y.ticks(5) {
            let y = self.y_px(tick);
            push!(self.svg, "<path class=\"gridline\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", width - RIGHT);
            push!(
                self.svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 7.0,
                y + 4.0,
                number(tick)
            );
        }
        push!(self.svg, "<path class=\"axis\" d=\"M{LEFT} {:.1}H{:.1}\"/>", height - BOTTOM, width - RIGHT);
        let (x_title, y_title) = (escaped(self.x.title()), escaped(self.y.title()));
        self.mark((LEFT + width - RIGHT) / 2.0, height - 8.0, &x_title);
        let middle = (TOP + height - BOTTOM) / 2.0;
        push!(
            self.svg,
            "<text transform=\"translate(12 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{y_title}</text>"
        );
        self
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: &[(f64, f64)], stroke: &str, style: &str) {
        let mut path = String::new();
        for (idx, (x, y)) in points.iter().enumerate() {
            let step = if idx == 0 { 'M' } else { 'L' };
            push!(path, "{step}{:.1} {:.1}", self.x_px(*x), self.y_px(*y));
        }
        push!(self.svg, "<path class=\"line\" d=\"{path}\" stroke=\"{stroke}\"{style}/>");
    }

    /// The line of a class.
    pub(super) fn class_line(&mut self, points: &[(f64, f64)], class_idx: usize) {
        self.line(points, &color(class_idx), dash(class_idx));
    }

    /// A thin dashed line.
    pub(super) fn guide(&mut self, from: (f64, f64), to: (f64, f64)) {
        push!(
            self.svg,
            "<path class=\"guide\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            self.x_px(from.0),
            self.y_px(from.1),
            self.x_px(to.0),
            self.y_px(to.1)
        );
    }

    /// A dot, hollow where it stands for too little; `about` appears above it.
    pub(super) fn dot(&mut self, at: (f64, f64), radius: f64, fill: &str, is_hollow: bool, about: &str) {
        let inside = if is_hollow { "var(--panel)" } else { fill };
        push!(
            self.svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\" fill=\"{inside}\" stroke=\"{fill}\" \
             stroke-width=\"1.6\"><title>{}</title></circle>",
            self.x_px(at.0),
            self.y_px(at.1),
            escaped(about)
        );
    }

    /// An upright bar of no width, for an interval.
    pub(super) fn whisker(&mut self, x: f64, from: f64, to: f64, stroke: &str) {
        push!(
            self.svg,
            "<path d=\"M{:.1} {:.1}V{:.1}\" stroke=\"{stroke}\" stroke-width=\"1.4\" stroke-opacity=\"0.7\"/>",
            self.x_px(x),
            self.y_px(from),
            self.y_px(to)
        );
    }

    /// A bar from 0 upwards.
    pub(super) fn bar(&mut self, from: f64, to: f64, value: f64) {
        let (left, right, top) = (self.x_px(from), self.x_px(to), self.y_px(value));
        push!(
            self.svg,
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            (right - left - 1.0).max(0.5),
            self.y_px(0.0) - top
        );
    }

    /// A word at a point, which ends or begins there.
    pub(super) fn word(&mut self, at: (f64, f64), anchor: &str, text: &str) {
        push!(
            self.svg,
            "<text class=\"tag\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            self.x_px(at.0),
            self.y_px(at.1),
            escaped(text)
        );
    }

    /// The drawing as a figure with a caption of markup.
    pub(super) fn figure(mut self, caption: &str) -> String {
        self.svg.push_str("</svg>");
        if caption.is_empty() {
            return format!("<figure>{}</figure>\n", self.svg);
        }
        format!("<figure>{}<figcaption>{caption}</figcaption></figure>\n", self.svg)
    }
}
