//! From a precision-recall curve to average precision.

/// Largest step of recall over which precision is taken to fall evenly.
pub const MAX_RECALL_STEP: f64 = 0.05;

/// Steps of recall are told apart from whole multiples of [`MAX_RECALL_STEP`] by this.
const STEP_SLACK: f64 = 1e-6;

/// Average precision of points `(precision, recall)` in any order.
///
/// Of points with the same recall the one of the highest precision counts, and a point's precision is at least that
/// of every point with more recall. Up to the first recall above 0 the precision is that point's own. Between two
/// neighbours, whole steps of [`MAX_RECALL_STEP`] are laid off from the higher recall, at its precision; over what
/// is left above the lower recall, at most one such step, the precision falls evenly.
///
/// **Source**: fitted to, and checked against, the compiled official operation.
pub fn average_precision(points: &[(f64, f64)]) -> f64 {
    let mut points: Vec<(f64, f64)> = points.iter().copied().filter(|(_, recall)| *recall > 0.0).collect();
    points.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
    let mut sum = 0.0;
    let mut above: Option<(f64, f64)> = None;
    for &(precision, recall) in points.iter().rev() {
        let Some((precision_above, recall_above)) = above else {
            above = Some((precision, recall));
            continue;
        };
        let precision = precision.max(precision_above);
        let mut rest = recall_above;
        while rest - MAX_RECALL_STEP > recall + STEP_SLACK {
            rest -= MAX_RECALL_STEP;
        }
        sum +=
            (recall_above - rest) * precision_above + (rest - recall) * (precision + precision_above) / 2.0;
        above = Some((precision, recall));
    }
    above.map_or(0.0, |(precision, recall)| sum + precision * recall)
}
