//! Plots: both datasets over each other, as self-contained SVG files.

mod chart;

use super::collect::Measure;
use super::compare::{Comparison, Distance, MIN_BOXES};
use super::summary::{BAND_M, N_BANDS, PointsPerBox, Summary};
use chart::Chart;
use pilotis_evaluate::plot::Axis;

/// A plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plot {
    /// Name of its file.
    pub(super) file: String,
    /// What it shows.
    pub(super) title: String,
    /// The drawing.
    pub(super) svg: String,
}

/// Every plot for which there are figures.
pub(super) fn draw(comparison: &Comparison) -> Vec<Plot> {
    let mut plots = histograms(comparison);
    plots.extend(rings(comparison));
    plots.extend(points_per_box(comparison));
    plots
}

fn sides(comparison: &Comparison) -> Vec<&Summary> {
    [Some(&comparison.first), comparison.second.as_ref()].into_iter().flatten().collect()
}

fn names(comparison: &Comparison) -> Vec<&str> {
    sides(comparison).iter().map(|s| s.name.as_str()).collect()
}

impl Measure {
    fn file(self) -> &'static str {
        match self {
            Self::Range => "range.svg",
            Self::Height => "height.svg",
            Self::Intensity => "intensity.svg",
            Self::IntensityGround => "intensity_ground.svg",
            Self::IntensityAbove => "intensity_above.svg",
            Self::IntensityBoxes => "intensity_boxes.svg",
        }
    }

    /// Title of its axis, and what the values there are multiplied by.
    fn axis_title(self) -> (&'static str, f64) {
        match self {
            Self::Range => ("range from the sensor, m (the last bin holds what is beyond)", 1.0),
            Self::Height => ("height over the sensor, m (the outer bins hold what is beyond)", 1.0),
            _ => ("intensity, % of full scale", 100.0),
        }
    }
}

fn in_words(distance: Option<Distance>, unit: &str, scale: f64) -> String {
    match distance {
        None => String::new(),
        Some(d) => {
            let halves = d.within_second.map_or_else(String::new, |v| format!(" (between halves {v:.3})"));
            format!(
                "total variation {:.3}{halves}, mean way {:.2} {unit}",
                d.total_variation,
                d.wasserstein * scale
            )
        }
    }
}

fn histograms(comparison: &Comparison) -> Vec<Plot> {
    let sides = sides(comparison);
    let mut plots = Vec::new();
    for (idx, histogram) in comparison.first.histograms.iter().enumerate() {
        let of_side: Vec<_> = sides.iter().filter_map(|s| s.histograms.get(idx)).collect();
        if of_side.iter().all(|h| h.n_points == 0) {
            continue;
        }
        let (axis, measure) = (histogram.axis, histogram.measure);
        let (x_title, scale) = measure.axis_title();
        let unit = if scale > 1.0 { "% of full scale" } else { "m" };
        let distance = comparison.difference.as_ref().and_then(|d| d.histograms.get(idx)?.distance);
        let highest = of_side.iter().flat_map(|h| &h.shares).copied().fold(0.0, f64::max);
        let end = axis.start + axis.width * axis.n_bins as f64;
        let title = capitalised(measure.title());
        let mut chart = Chart::new(
            &title,
            &in_words(distance, unit, scale),
            Axis::linear(x_title, axis.start * scale, end * scale),
            Axis::linear("share of the points, %", 0.0, 100.0 * highest),
        );
        for (side, of_side) in of_side.iter().enumerate() {
            let values: Vec<f64> = of_side.shares.iter().map(|v| 100.0 * v).collect();
            chart.steps(side, axis.start * scale, axis.width * scale, &values);
        }
        chart.legend(&names(comparison));
        plots.push(Plot { file: measure.file().to_owned(), title, svg: chart.finish() });
    }
    plots
}

fn rings(comparison: &Comparison) -> Vec<Plot> {
    let known: Vec<(usize, &Summary)> =
        sides(comparison).into_iter().enumerate().filter(|(_, s)| s.rings.is_some()).collect();
    let distance = comparison.difference.as_ref().and_then(|d| d.rings);
    let points = |s: &Summary| s.rings.as_ref().map(|r| r.points.clone());
    let dropped = |s: &Summary| {
        let shares = s.rings.as_ref()?.dropped.as_ref()?;
        Some(shares.iter().map(|v| 100.0 * v).collect())
    };
    let draw =
        |file: &str, title: &str, about: &str, y_title: &str, of: &dyn Fn(&Summary) -> Option<Vec<f64>>| {
            let series: Vec<(usize, Vec<f64>)> =
                known.iter().filter_map(|(side, s)| Some((*side, of(s)?))).collect();
            if series.is_empty() {
                return None;
            }
            let n_rings = series.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
            let highest = series.iter().flat_map(|(_, values)| values).copied().fold(1.0, f64::max);
            let mut chart = Chart::new(
                title,
                about,
                Axis::linear("ring, 0 the highest", 0.0, n_rings as f64),
                Axis::linear(y_title, 0.0, highest),
            );
            for (side, values) in &series {
                chart.steps(*side, 0.0, 1.0, values);
            }
            chart.legend(&names(comparison));
            Some(Plot { file: file.to_owned(), title: title.to_owned(), svg: chart.finish() })
        };
    let about = in_words(distance, "rings", 1.0);
    [
        draw("rings.svg", "Points of each ring", &about, "points a frame", &points),
        draw("drops.svg", "Firings without an answer", "", "share of the firings, %", &dropped),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One plot for each class of which one side has enough boxes.
fn points_per_box(comparison: &Comparison) -> Vec<Plot> {
    let sides = sides(comparison);
    let mut classes: Vec<&str> = sides
        .iter()
        .flat_map(|s| &s.classes)
        .filter(|c| c.n_boxes >= MIN_BOXES)
        .map(|c| c.class_name.as_str())
        .collect();
    classes.sort_unstable();
    classes.dedup();
    let mut plots = Vec::new();
    for name in classes {
        let bands: Vec<Option<&[PointsPerBox]>> = sides
            .iter()
            .map(|s| Some(s.classes.iter().find(|c| c.class_name == name)?.points_per_box.as_slice()))
            .collect();
        let highest = bands.iter().flatten().copied().flatten().map(|p| p.q75).fold(1.0, f64::max);
        if bands.iter().flatten().copied().flatten().all(|p| p.n_boxes == 0) {
            continue;
        }
        let title = format!("Points per box by distance: {name}");
        let mut chart = Chart::new(
            &title,
            &format!("median and quartiles; hollow: fewer than {MIN_BOXES} boxes; the count stands beside"),
            Axis::linear(
                "distance from the sensor, m (the last band holds what is beyond)",
                0.0,
                BAND_M * N_BANDS as f64,
            ),
            Axis::logarithmic("points in the box", 1.0, highest),
        );
        for (side, bands) in bands.iter().enumerate() {
            // Both stand in the middle of the band, a little apart.
            let shift = BAND_M * (side as f64 + 0.5 - sides.len() as f64 / 2.0) * 0.32;
            for (band, points) in bands.unwrap_or_default().iter().enumerate().filter(|(_, p)| p.n_boxes > 0)
            {
                let x = (band as f64 + 0.5) * BAND_M + shift;
                chart.whisker(side, x, [points.q25, points.median, points.q75], points.n_boxes, MIN_BOXES);
            }
        }
        chart.legend(&names(comparison));
        let file_name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        plots.push(Plot { file: format!("points_per_box_{file_name}.svg"), title, svg: chart.finish() });
    }
    plots
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
