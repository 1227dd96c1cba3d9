//! Sections on accuracy: the table of classes, precision over recall, breakdowns, confusion, reliability.

use super::markup::{Cell, Plot, clipped, color, digits, legend, percent, push, table};
use crate::analysis::{
    Analysis, Attribute, Breakdown, ClassAnalysis, FEW_OBJECTS, Part, Reliability, WrongOnes,
};
use crate::center_distance::{OPERATING_THRESHOLD_M, THRESHOLDS_M};
use crate::plot::{Axis, escaped, number};

/// What a part comes to, if it comes to anything.
type Measure = fn(&Part) -> Option<f64>;

const SMALL: (f64, f64) = (330.0, 270.0);
const WIDE: (f64, f64) = (520.0, 280.0);

pub(super) fn classes(out: &mut String, analysis: &Analysis) {
    push!(
        out,
        "<h2 id=\"classes\">Classes</h2>\n<p>Average precision (AP) by centre distance, with nuScenes' matching: a \
         box is right if its centre is nearer to that of its object than the threshold. Recall, precision and \
         errors are those of boxes with a score of at least {} within {OPERATING_THRESHOLD_M} m. Objects with too few \
         points are ignored: to find them is neither right nor wrong.</p>\n",
        analysis.rules.score
    );
    let rows: Vec<(Vec<Cell>, bool)> = analysis
        .classes
        .iter()
        .map(|class| {
            let f = &class.figures;
            let mut cells = vec![
                Cell::of(f.name.clone()),
                Cell::of(f.n_objects.to_string()),
                Cell::of(f.n_ignored.to_string()),
                Cell::of(f.n_detections.to_string()),
            ];
            cells.extend(f.average_precision.iter().map(|ap| Cell::of(format!("{ap:.3}"))));
            cells.extend([
                Cell::of(format!("{:.3}", f.mean_average_precision)),
                Cell::of(format!("{:.3}", f.recall)),
                Cell::of(format!("{:.3}", f.precision)),
                Cell::of(digits(f.errors.translation_m, 2)),
                Cell::of(digits(f.errors.scale, 2)),
                Cell::of(digits(f.errors.orientation_rad, 2)),
                Cell::of(digits(f.errors.velocity_m_s, 2)),
            ]);
            (cells, f.n_objects < FEW_OBJECTS)
        })
        .collect();
    let thresholds = THRESHOLDS_M.map(|t| format!("AP {t} m"));
    let mut header = vec!["class", "objects", "ignored", "boxes"];
    header.extend(thresholds.iter().map(String::as_str));
    header.extend(["mean AP", "recall", "precision", "centre m", "size", "heading", "speed"]);
    table(out, "Figures of every class", &header, &rows);
    out.push_str(
        "<p class=\"note\">Errors: centre, distance in the ground plane; size, 1 - IoU after aligning centre and \
         heading; heading in rad; speed in m/s; a dash where nothing is known.",
    );
    if rows.iter().any(|(_, is_few)| *is_few) {
        push!(out, " Classes in grey have fewer than {FEW_OBJECTS} objects: their figures say little.");
    }
    out.push_str("</p>\n");
}

pub(super) fn curves(out: &mut String, analysis: &Analysis) {
    out.push_str(
        "<h2 id=\"curves\">Precision over recall</h2>\n<p>From the surest box to the least sure one, at each \
         threshold of distance. The area that counts lies above a precision of 0.1 and to the right of a recall \
         of 0.1.</p>\n<div class=\"grid\">\n",
    );
    // The strictest threshold is the faintest line.
    let strength = [0.35, 0.55, 0.75, 1.0];
    for (idx, class) in analysis.classes.iter().enumerate() {
        let f = &class.figures;
        let label = format!("Precision over recall of {}, mean AP {:.3}", f.name, f.mean_average_precision);
        let axis = |title| Axis::linear(title, 0.0, 1.0);
        let mut plot = Plot::new(&f.name, &label, SMALL, axis("recall"), axis("precision")).scales();
        for (curve, strength) in class.curves.iter().zip(strength) {
            let reached = curve.precision.iter().enumerate().map(|(bin, p)| (bin as f64 * 0.01, *p));
            let mut points: Vec<(f64, f64)> =
                reached.take_while(|(r, _)| *r <= curve.last_recall + 1e-9).collect();
            if curve.last_recall > 0.0 {
                points.extend(points.last().copied().map(|(_, p)| (curve.last_recall, p)));
                points.push((curve.last_recall, 0.0));
            }
            plot.line(&points, &color(idx), &format!(" stroke-opacity=\"{strength}\""));
        }
        let words: Vec<String> =
            THRESHOLDS_M.iter().zip(f.average_precision).map(|(t, ap)| format!("{t} m {ap:.3}")).collect();
        out.push_str(&plot.figure(&format!("AP within {}", words.join(", "))));
    }
    out.push_str("</div>\n<p class=\"note\">Fainter lines are stricter thresholds.</p>\n");
}

pub(super) fn breakdowns(out: &mut String, analysis: &Analysis) {
    push!(
        out,
        "<h2 id=\"parts\">Where it is good and where it is not</h2>\n<p>The same figures for objects of one kind at \
         a time. Hollow dots stand for fewer than {FEW_OBJECTS} objects; classes without an object there have none.</p>\n"
    );
    let names: Vec<String> = analysis.classes.iter().map(|c| c.figures.name.clone()).collect();
    for attribute in Attribute::ALL {
        let of_classes: Vec<Option<&Breakdown>> =
            analysis.classes.iter().map(|c| c.breakdowns.iter().find(|b| b.attribute == attribute)).collect();
        let labels = labels_of(attribute, &of_classes);
        // All in one part is no breakdown.
        if labels.len() < 2 {
            continue;
        }
        push!(out, "<h3>By {}</h3>\n", attribute.title());
        legend(out, &names);
        out.push_str("<div class=\"pair\">\n");
        let measures: [(&str, Measure); 2] = [("mean AP", |p| p.average_precision), ("recall", |p| p.recall)];
        for (measure, of) in measures {
            let label = format!("{measure} of every class by {}", attribute.title());
            let x = Axis::linear(attribute.title(), 0.0, labels.len() as f64);
            let mut plot = Plot::new(measure, &label, WIDE, x, Axis::linear("", 0.0, 1.0)).names(&labels);
            for (idx, breakdown) in of_classes.iter().enumerate() {
                let Some(breakdown) = breakdown else { continue };
                lines_of(&mut plot, idx, &names[idx], breakdown, &labels, of);
            }
            out.push_str(&plot.figure(""));
        }
        out.push_str("</div>\n");
        part_table(out, attribute, &names, &of_classes);
    }
}

/// The labels of every part of any class, in their order.
fn labels_of(attribute: Attribute, of_classes: &[Option<&Breakdown>]) -> Vec<String> {
    let has = |label: &String| {
        of_classes.iter().flatten().any(|b| b.parts.iter().any(|p| p.label == *label && p.n_objects > 0))
    };
    attribute.labels().into_iter().filter(has).collect()
}

fn lines_of(plot: &mut Plot, idx: usize, name: &str, breakdown: &Breakdown, labels: &[String], of: Measure) {
    let part_at = |label: &String| breakdown.parts.iter().find(|p| p.label == *label);
    let at: Vec<(f64, f64, &Part)> = labels
        .iter()
        .enumerate()
        .filter_map(|(place, label)| {
            let part = part_at(label)?;
            Some((place as f64 + 0.5, of(part)?, part))
        })
        .collect();
    plot.class_line(&at.iter().map(|(x, y, _)| (*x, *y)).collect::<Vec<_>>(), idx);
    for (x, y, part) in at {
        let about = format!("{name}, {}: {y:.3} of {} objects", part.label, part.n_objects);
        plot.dot((x, y), 3.6, &color(idx), part.is_few, &about);
    }
}

fn part_table(out: &mut String, attribute: Attribute, names: &[String], of_classes: &[Option<&Breakdown>]) {
    out.push_str("<details><summary>The figures</summary>\n");
    let mut rows = Vec::new();
    for (name, breakdown) in names.iter().zip(of_classes) {
        for part in breakdown.iter().flat_map(|b| &b.parts) {
            let cells = vec![
                Cell::of(name.clone()),
                Cell::of(part.label.clone()),
                Cell::of(part.n_objects.to_string()),
                Cell::of(digits(part.average_precision, 3)),
                Cell::of(digits(part.recall, 3)),
                Cell::of(number(part.n_wrong)),
                Cell::of(digits(part.errors.translation_m, 2)),
                Cell::of(digits(part.errors.orientation_rad, 2)),
                Cell::of(digits(part.errors.velocity_m_s, 2)),
                Cell::of(if part.is_few { "few objects" } else { "" }),
            ];
            rows.push((cells, part.is_few));
        }
    }
    let header = [
        "class",
        attribute.title(),
        "objects",
        "mean AP",
        "recall",
        "wrong boxes",
        "centre m",
        "heading",
        "speed",
        "",
    ];
    table(out, &format!("Figures by {}", attribute.title()), &header, &rows);
    if of_classes.iter().flatten().any(|b| b.wrong_ones == WrongOnes::ByShare) {
        out.push_str(
            "<p class=\"note\">Wrong boxes do not tell which part they belong to: each part bears its share of \
             them, in proportion to its objects.</p>",
        );
    }
    out.push_str("</details>\n");
}

pub(super) fn confusion(out: &mut String, analysis: &Analysis) {
    push!(
        out,
        "<h2 id=\"confusion\">What is taken for what</h2>\n<p>Boxes with a score of at least {}, each with the \
         nearest object of any class within {OPERATING_THRESHOLD_M} m. Rows are what is labelled, columns what was \
         found; shares are those of the row.</p>\n<div class=\"scroll\"><table class=\"heat\" aria-label=\"Confusion of \
         classes\"><thead><tr><th scope=\"col\">labelled</th>",
        analysis.rules.score
    );
    let mut names: Vec<&str> = analysis.classes.iter().map(|c| c.figures.name.as_str()).collect();
    for name in names.iter().chain(&["missed"]) {
        push!(out, "<th scope=\"col\">{}</th>", clipped(name, 24));
    }
    out.push_str("</tr></thead><tbody>\n");
    let last = names.len();
    names.push("nothing");
    for (row, name) in names.iter().enumerate() {
        push!(out, "<tr><th scope=\"row\">{}</th>", clipped(name, 24));
        let n_of_row = analysis.confusion.n_of_row(row);
        for (column, n) in analysis.confusion.counts[row].iter().enumerate() {
            if row == last && column == last {
                out.push_str("<td></td>");
                continue;
            }
            let share = if n_of_row == 0 { 0.0 } else { *n as f64 / n_of_row as f64 };
            let ink = if share > 0.55 { ";color:var(--on-tint)" } else { "" };
            push!(
                out,
                "<td style=\"background:rgb(var(--tint) / {share:.3}){ink}\">{n}<small>{}</small></td>",
                percent(share)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

pub(super) fn reliability(out: &mut String, analysis: &Analysis) {
    out.push_str(
        "<h2 id=\"scores\">Whether scores can be believed</h2>\n<p>Boxes sorted by score into groups of equal size: \
         the share of each group that is right, against its mean score. On the diagonal a score is a probability; \
         below it the model boasts. Bars are 95 % intervals. The calibration error is the mean distance from the \
         diagonal, over all boxes.</p>\n<div class=\"grid\">\n",
    );
    for (idx, class) in analysis.classes.iter().enumerate() {
        if let Some(reliability) = &class.reliability {
            out.push_str(&diagram(idx, class, reliability));
        }
    }
    out.push_str("</div>\n");
    if analysis.classes.iter().any(|c| c.reliability.is_none()) {
        out.push_str(
            "<p class=\"note\">Classes without boxes, or with scores outside 0 to 1, have no diagram.</p>\n",
        );
    }
    let rows: Vec<(Vec<Cell>, bool)> = analysis
        .classes
        .iter()
        .map(|class| {
            let f = &class.figures;
            let best = f.recommended;
            let cells = vec![
                Cell::of(f.name.clone()),
                Cell::of(digits(f.calibration_error, 3)),
                Cell::of(digits(best.map(|b| b.score), 3)),
                Cell::of(digits(best.map(|b| b.recall), 3)),
                Cell::of(digits(best.map(|b| b.precision), 3)),
                Cell::of(digits(best.map(|b| b.f1), 3)),
            ];
            (cells, f.n_objects < FEW_OBJECTS)
        })
        .collect();
    let header = ["class", "calibration error", "recommended score", "recall there", "precision there", "F1"];
    table(out, "Calibration and recommended scores", &header, &rows);
    out.push_str(
        "<p class=\"note\">Recommended: the score of the highest F1, the harmonic mean of recall and precision. It \
         was chosen on these very frames, so on others its F1 will be a little lower.</p>\n",
    );
}

fn diagram(idx: usize, class: &ClassAnalysis, reliability: &Reliability) -> String {
    let f = &class.figures;
    let error = reliability.expected_error;
    let label = format!("Share of right boxes over score of {}, calibration error {error:.3}", f.name);
    let axis = |title| Axis::linear(title, 0.0, 1.0);
    let mut plot = Plot::new(&f.name, &label, SMALL, axis("score"), axis("share right")).scales();
    plot.guide((0.0, 0.0), (1.0, 1.0));
    if let Some(best) = f.recommended {
        plot.guide((best.score, 0.0), (best.score, 1.0));
        let (x, anchor) =
            if best.score < 0.5 { (best.score + 0.015, "start") } else { (best.score - 0.015, "end") };
        plot.word((x, 0.03), anchor, &format!("best F1 at {:.2}", best.score));
    }
    plot.line(
        &reliability.bins.iter().map(|b| (b.mean_score, b.right)).collect::<Vec<_>>(),
        &color(idx),
        " stroke-opacity=\"0.45\"",
    );
    for bin in &reliability.bins {
        plot.whisker(bin.mean_score, bin.between[0], bin.between[1], &color(idx));
        let about = format!("{} boxes of mean score {:.3}: {:.3} right", bin.n, bin.mean_score, bin.right);
        plot.dot((bin.mean_score, bin.right), 4.0, &color(idx), bin.n < FEW_OBJECTS, &about);
    }
    let name = escaped(&f.name);
    plot.figure(&format!("<b>{name}</b>: calibration error {error:.3}, {} boxes", f.n_detections))
}
