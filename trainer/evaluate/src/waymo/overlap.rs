//! The overlap of two upright boxes.

use super::LabelBox;

type Vertex = [f64; 2];

/// Corners that a quadrilateral can have after four cuts, one more each.
const MAX_CORNERS: usize = 8;

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
    let mut polygon = Polygon::default();
    for (along, across) in [(0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5)] {
        let (x, y) = (along * b.size[0], across * b.size[1]);
        polygon.push([center[0] + x * cos - y * sin, center[1] + x * sin + y * cos]);
    }
    for (axis, half) in [(0, a.size[0] / 2.0), (1, a.size[1] / 2.0)] {
        polygon = polygon.below(axis, half, 1.0).below(axis, half, -1.0);
    }
    polygon.area()
}

#[derive(Clone, Copy, Default)]
struct Polygon {
    corners: [Vertex; MAX_CORNERS],
    n: usize,
}

impl Polygon {
    fn push(&mut self, corner: Vertex) {
        // A convex polygon gains at most one corner a cut, so that there is always room.
        if let Some(place) = self.corners.get_mut(self.n) {
            *place = corner;
            self.n += 1;
        }
    }

    /// What of it has `sign` times its coordinate of this axis at most `limit`.
    fn below(&self, axis: usize, limit: f64, sign: f64) -> Self {
        let mut kept = Self::default();
        let corners = &self.corners[..self.n];
        for (idx, corner) in corners.iter().enumerate() {
            let before = corners[(idx + self.n - 1) % self.n];
            let (d, d_before) = (limit - sign * corner[axis], limit - sign * before[axis]);
            if (d >= 0.0) != (d_before >= 0.0) {
                let t = d_before / (d_before - d);
                kept.push([0, 1].map(|k| before[k] + t * (corner[k] - before[k])));
            }
            if d >= 0.0 {
                kept.push(*corner);
            }
        }
        kept
    }

    fn area(&self) -> f64 {
        let corners = &self.corners[..self.n];
        let cross = |idx: usize| {
            let (p, q) = (corners[idx], corners[(idx + 1) % self.n]);
            p[0] * q[1] - p[1] * q[0]
        };
        ((0..self.n).map(cross).sum::<f64>() / 2.0).max(0.0)
    }
}
