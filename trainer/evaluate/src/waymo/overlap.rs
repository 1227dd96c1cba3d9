//! The overlap of two upright boxes.

use super::LabelBox;
use crate::convex::Polygon;

/// Intersection over union of two boxes; 0 where a side of one is not positive.
///
/// The second box is seen from the first, whose sides are then parallel to the axes: boxes that share sides, or are
/// the same but for a half turn, lose nothing to rounding.
pub fn overlap_3d(a: &LabelBox, b: &LabelBox) -> f64 {
    if a.size.iter().chain(&b.size).any(|v| *v <= 0.0) {
        return 0.0;
    }
    let top = (a.center[2] + a.size[2] / 2.0).min(b.center[2] + b.size[2] / 2.0);
    let bottom = (a.center[2] - a.size[2] / 2.0).max(b.center[2] - b.size[2] / 2.0);
    let height = top - bottom;
    if height <= 0.0 || !may_touch(a, b) {
        return 0.0;
    }
    let intersection = area_in_common(a, b) * height;
    let volume = |l: &LabelBox| l.size[0] * l.size[1] * l.size[2];
    (intersection / (volume(a) + volume(b) - intersection)).clamp(0.0, 1.0)
}

/// Whether the circles around both boxes meet.
fn may_touch(a: &LabelBox, b: &LabelBox) -> bool {
    let radius = |l: &LabelBox| libm::hypot(l.size[0], l.size[1]) / 2.0;
    libm::hypot(a.center[0] - b.center[0], a.center[1] - b.center[1]) <= radius(a) + radius(b)
}

/// Area that both boxes cover, seen from above.
fn area_in_common(a: &LabelBox, b: &LabelBox) -> f64 {
    let (sin_a, cos_a) = (libm::sin(a.heading), libm::cos(a.heading));
    let (dx, dy) = (b.center[0] - a.center[0], b.center[1] - a.center[1]);
    let center = [dx * cos_a + dy * sin_a, dy * cos_a - dx * sin_a];
    let turn = b.heading - a.heading;
    let (sin, cos) = (libm::sin(turn), libm::cos(turn));
    let corners = [(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)].map(|(along, across)| {
        let (x, y) = (along * b.size[0], across * b.size[1]);
        [center[0] + x * cos - y * sin, center[1] + x * sin + y * cos]
    });
    let mut polygon = Polygon::of(corners);
    for (axis, half) in [(0, a.size[0] / 2.0), (1, a.size[1] / 2.0)] {
        polygon = polygon.cut(axis, 1.0, half).cut(axis, -1.0, half);
    }
    polygon.area()
}
