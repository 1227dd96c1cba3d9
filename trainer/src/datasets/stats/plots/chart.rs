//! A chart: axes, steps, whiskers and a legend, written as SVG by hand.

use pilotis_evaluate::plot::{Axis, escaped, number};
use std::fmt::Write as _;

/// Width and height of the drawing.
const SIZE: (f64, f64) = (820.0, 440.0);
/// Left, top, right and bottom of the area within the axes.
const AREA: (f64, f64, f64, f64) = (74.0, 74.0, 796.0, 380.0);
/// Room above the highest value, as a share of the axis.
const HEADROOM: f64 = 0.06;
/// Ticks wanted on an axis.
const N_TICKS: usize = 7;

/// Colours of the first and the second dataset.
const COLORS: [&str; 2] = ["#2563eb", "#ea7317"];
const TEXT: &str = "#1f2933";
const FAINT_TEXT: &str = "#5f6b7a";
const GRID: &str = "#e5e8ee";
const BORDER: &str = "#9aa5b4";

/// A chart in the making.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    x: Axis,
    y: Axis,
    svg: String,
}

impl Chart {
    /// An empty chart; `about` stands below the title.
    pub(super) fn new(title: &str, about: &str, x: Axis, y: Axis) -> Self {
        let (width, height) = SIZE;
        let mut chart = Self { x, y: y.with_headroom(HEADROOM), svg: String::new() };
        let _ = writeln!(
            chart.svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
        );
        chart.text(AREA.0, 30.0, "start", TEXT, "font-size=\"17\" font-weight=\"bold\"", title);
        chart.text(AREA.0, 52.0, "start", FAINT_TEXT, "", about);
        chart.axes();
        chart
    }

    fn x_px(&self, value: f64) -> f64 {
        AREA.0 + (AREA.2 - AREA.0) * self.x.place(value)
    }

    fn y_px(&self, value: f64) -> f64 {
        AREA.3 - (AREA.3 - AREA.1) * self.y.place(value)
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, color: &str, style: &str, text: &str) {
        let _ = writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{color}\" {style}>{}</text>",
            escaped(text)
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        let _ = writeln!(
            self.svg,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn axes(&mut self) {
        let (left, top, right, bottom) = AREA;
        for tick in self.y.ticks(N_TICKS) {
            let y = self.y_px(tick);
            self.line((left, y), (right, y), GRID, 1.0);
            self.text(left - 8.0, y + 4.0, "end", FAINT_TEXT, "", &number(tick));
        }
        for tick in self.x.ticks(N_TICKS) {
            let x = self.x_px(tick);
            self.line((x, bottom), (x, bottom + 5.0), BORDER, 1.0);
            self.text(x, bottom + 19.0, "middle", FAINT_TEXT, "", &number(tick));
        }
        self.line((left, bottom), (right, bottom), BORDER, 1.0);
        self.line((left, top), (left, bottom), BORDER, 1.0);
        let (x_title, y_title) = (self.x.title().to_owned(), self.y.title().to_owned());
        self.text((left + right) / 2.0, bottom + 42.0, "middle", TEXT, "", &x_title);
        let middle = (top + bottom) / 2.0;
        let turned = format!("transform=\"rotate(-90 22 {middle:.1})\"");
        self.text(22.0, middle, "middle", TEXT, &turned, &y_title);
    }

    /// Values of equally wide bins, as a filled line of steps.
    pub(super) fn steps(&mut self, side: usize, start: f64, width: f64, values: &[f64]) {
        let color = color(side);
        let mut outline = format!("{:.1},{:.1}", self.x_px(start), self.y_px(0.0));
        for (bin, value) in values.iter().enumerate() {
            let y = self.y_px(*value);
            for edge in [bin, bin + 1] {
                let _ = write!(outline, " {:.1},{y:.1}", self.x_px(start + edge as f64 * width));
            }
        }
        let _ =
            write!(outline, " {:.1},{:.1}", self.x_px(start + values.len() as f64 * width), self.y_px(0.0));
        let _ = writeln!(
            self.svg,
            "<polygon points=\"{outline}\" fill=\"{color}\" fill-opacity=\"0.14\" stroke=\"none\"/>\n\
             <polyline points=\"{outline}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\" \
             stroke-linejoin=\"round\"/>"
        );
    }

    /// Quartiles as a bar with a dot at the median, and the count beside; hollow where the count is below `enough`.
    pub(super) fn whisker(&mut self, side: usize, x: f64, quartiles: [f64; 3], count: usize, enough: usize) {
        let color = color(side);
        let x = self.x_px(x);
        let [low, middle, high] = quartiles.map(|v| self.y_px(v));
        self.line((x, low), (x, high), color, if count < enough { 1.5 } else { 4.0 });
        let fill = if count < enough { "#ffffff" } else { color };
        let _ = writeln!(
            self.svg,
            "<circle cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"5\" fill=\"{fill}\" stroke=\"{color}\" stroke-width=\"1.8\"/>"
        );
        // The first side's count to the left, the second's to the right.
        let (offset, anchor) = if side == 0 { (-8.0, "end") } else { (8.0, "start") };
        self.text(x + offset, middle + 3.5, anchor, color, "font-size=\"10\"", &count.to_string());
    }

    /// Names of the sides, right above the axes.
    pub(super) fn legend(&mut self, names: &[&str]) {
        let mut right = AREA.2;
        for (side, name) in names.iter().enumerate().rev() {
            // Seven units are the width of a usual letter of this size.
            let left = right - 7.0 * name.chars().count() as f64 - 22.0;
            let color = color(side);
            let _ = writeln!(
                self.svg,
                "<rect x=\"{left:.1}\" y=\"20\" width=\"14\" height=\"12\" rx=\"2\" fill=\"{color}\" \
                 fill-opacity=\"0.25\" stroke=\"{color}\" stroke-width=\"1.8\"/>"
            );
            self.text(left + 20.0, 30.5, "start", TEXT, "", name);
            right = left - 18.0;
        }
    }

    /// The drawing.
    pub(super) fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

fn color(side: usize) -> &'static str {
    COLORS.get(side).copied().unwrap_or(FAINT_TEXT)
}
