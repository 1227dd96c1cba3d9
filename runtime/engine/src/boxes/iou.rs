//! Overlap of boxes: rotated, exact, in `f64`, without a polygon in memory.

use pilotis_spec::Box3d;
use pilotis_spec::math::sin_cos_f64;

/// Overlaps thinner than this share of the two boxes' extents along an axis count as touching:
/// far above the rounding of `f64`, far below what `f32` boxes can tell apart.
const TOUCHING: f64 = 1e-12;

/// A box seen from above, prepared once for many comparisons.
#[derive(Clone, Copy, Debug)]
pub struct Rect {
    center: [f64; 2],
    /// Half length and half width.
    half: [f64; 2],
    cos: f64,
    sin: f64,
    area: f64,
    min: [f64; 2],
    max: [f64; 2],
}

impl Rect {
    /// The footprint of a box.
    ///
    /// A size that is negative or NaN counts as zero; a footprint with a centre or heading that
    /// is not finite overlaps nothing.
    pub fn new(bbox: &Box3d) -> Self {
        let (sin, cos) = sin_cos_f64(f64::from(bbox.yaw));
        let center = [f64::from(bbox.center[0]), f64::from(bbox.center[1])];
        // `max` gives the other operand for NaN.
        let half = [bbox.size[0], bbox.size[1]].map(|v| f64::from(v).max(0.0) / 2.0);
        let reach = [
            half[0] * cos.abs() + half[1] * sin.abs(), //
            half[0] * sin.abs() + half[1] * cos.abs(),
        ];
        Self {
            center,
            half,
            cos,
            sin,
            area: 4.0 * half[0] * half[1],
            min: [center[0] - reach[0], center[1] - reach[1]],
            max: [center[0] + reach[0], center[1] + reach[1]],
        }
    }

    /// Centre in metres.
    pub fn center(&self) -> [f64; 2] {
        self.center
    }

    /// Lower corner of the axis-aligned box around it.
    pub fn min(&self) -> [f64; 2] {
        self.min
    }

    /// Upper corner of the axis-aligned box around it.
    pub fn max(&self) -> [f64; 2] {
        self.max
    }

    /// Whether every number that a comparison reads is finite.
    pub fn is_finite(&self) -> bool {
        // Both bounds are finite only if centre, half sizes, cosine and sine are.
        (self.min[0] + self.min[1]).is_finite() && (self.max[0] + self.max[1]).is_finite()
    }

    /// Area shared with another footprint, in square metres.
    ///
    /// Never above what the extents along the axes of either box allow, so that a test on those
    /// bounds alone decides the same as the full computation.
    pub fn intersection(&self, other: &Self) -> f64 {
        let Some(meeting) = Meeting::of(self, other) else { return 0.0 };
        meeting.area(self, other)
    }

    /// Intersection over union with another footprint, in 0..=1; zero for empty boxes.
    pub fn iou(&self, other: &Self) -> f64 {
        self.iou_of(other, self.intersection(other))
    }

    /// Whether [`Rect::iou`] is above a threshold, decided as early as it is certain.
    #[inline]
    pub fn overlaps_above(&self, other: &Self, iou: f64) -> bool {
        // Every step of `iou_of` is monotonic in the intersection, rounding included, and
        // `area` is capped by these bounds: the early exits cannot differ from the whole.
        let Some(meeting) = Meeting::of(self, other) else { return false };
        if self.iou_of(other, meeting.bound) > iou {
            return self.iou_of(other, meeting.area(self, other)) > iou;
        }
        false
    }

    /// Intersection over union, given the intersection.
    fn iou_of(&self, other: &Self, intersection: f64) -> f64 {
        let union = self.area + other.area - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}

/// Two footprints that no axis separates, the second in the frame of the first.
struct Meeting {
    /// Centre of the second.
    at: [f64; 2],
    /// Cosine and sine of the second's heading.
    cos: f64,
    sin: f64,
    /// The most area they can share.
    bound: f64,
}

impl Meeting {
    /// `None` if the two are apart, or touch, or one is not finite.
    #[inline]
    fn of(a: &Rect, b: &Rect) -> Option<Self> {
        let near = a.min[0] < b.max[0] && b.min[0] < a.max[0] && a.min[1] < b.max[1] && b.min[1] < a.max[1];
        if !near {
            return None;
        }
        let (dx, dy) = (b.center[0] - a.center[0], b.center[1] - a.center[1]);
        let cos = a.cos * b.cos + a.sin * b.sin;
        let sin = a.cos * b.sin - a.sin * b.cos;
        let (c, s) = (cos.abs(), sin.abs());
        let at = [dx * a.cos + dy * a.sin, dy * a.cos - dx * a.sin];
        let back = [dx * b.cos + dy * b.sin, dy * b.cos - dx * b.sin];
        let bound_a = shared(a.half, at, [b.half[0] * c + b.half[1] * s, b.half[0] * s + b.half[1] * c])?;
        let bound_b = shared(b.half, back, [a.half[0] * c + a.half[1] * s, a.half[0] * s + a.half[1] * c])?;
        let bound = bound_a.min(bound_b).min(a.area).min(b.area);
        Some(Self { at, cos, sin, bound })
    }

    /// The area shared.
    ///
    /// Over each x the second box covers `[lower(x), upper(x)]`; cut to the first box's height
    /// that is `clamp(upper) - clamp(lower)`, so the area is the integral of `clamp(y) dx` along
    /// the second's outline. Each edge has a closed form; nothing is stored, nothing can overflow.
    #[inline]
    fn area(&self, a: &Rect, b: &Rect) -> f64 {
        let u = [b.half[0] * self.cos, b.half[0] * self.sin];
        let v = [-b.half[1] * self.sin, b.half[1] * self.cos];
        let [x, y] = self.at;
        let p0 = [x + u[0] + v[0], y + u[1] + v[1]];
        let p1 = [x - u[0] + v[0], y - u[1] + v[1]];
        let p2 = [x - u[0] - v[0], y - u[1] - v[1]];
        let p3 = [x + u[0] - v[0], y + u[1] - v[1]];
        // Counter-clockwise, so the upper edges run towards -x: the sign turns. Opposite edges
        // are added first: most of what they integrate cancels.
        let first = under_edge(a.half, p0, p1) + under_edge(a.half, p2, p3);
        let second = under_edge(a.half, p1, p2) + under_edge(a.half, p3, p0);
        (-(first + second)).clamp(0.0, self.bound)
    }
}

/// Area of the overlap of a centred box with an axis-aligned one; `None` if they touch at most.
#[inline]
fn shared(half: [f64; 2], at: [f64; 2], reach: [f64; 2]) -> Option<f64> {
    let x = half[0].min(at[0] + reach[0]) - (-half[0]).max(at[0] - reach[0]);
    let y = half[1].min(at[1] + reach[1]) - (-half[1]).max(at[1] - reach[1]);
    let meets = x > TOUCHING * (half[0] + reach[0]) && y > TOUCHING * (half[1] + reach[1]);
    meets.then_some(x * y)
}

/// `clamp` for bounds that are in order, without the panic of the standard one.
#[inline]
fn cut(v: f64, low: f64, high: f64) -> f64 {
    v.max(low).min(high)
}

/// The integral of `clamp(y, -half[1], half[1]) dx` along an edge, for x in `-half[0]..=half[0]`.
#[inline]
fn under_edge(half: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let (x0, x1) = (cut(from[0], -half[0], half[0]), cut(to[0], -half[0], half[0]));
    let width = x1 - x0;
    if width == 0.0 {
        return 0.0;
    }
    let slope = (to[1] - from[1]) / (to[0] - from[0]);
    // From the nearer end each: a cut end keeps the accuracy of its own corner.
    let (y0, y1) = (from[1] + (x0 - from[0]) * slope, to[1] + (x1 - to[0]) * slope);
    let (low, high) = (y0.min(y1), y0.max(y1));
    let (cut_low, cut_high) = (cut(low, -half[1], half[1]), cut(high, -half[1], half[1]));
    let rise = high - low;
    let mean = if rise > 0.0 {
        let below = cut(-half[1], low, high) - low;
        let above = high - cut(half[1], low, high);
        let middle = (cut_high - cut_low) * 0.5 * (cut_high + cut_low);
        (half[1] * (above - below) + middle) / rise
    } else {
        cut_low
    };
    mean * width
}

/// Intersection over union of two boxes seen from above, in 0..=1.
///
/// **Units and frame**: that of the boxes; heights play no part. Empty boxes and boxes that are
/// not finite overlap nothing; touching boxes have exactly 0.
/// **Determinism**: `f64` and [`pilotis_spec::math`]: the same bits everywhere. Exact up to about `1e-15` times
/// the longer box's ratio of length to width; swapping the boxes changes no more than that.
pub fn iou_bev(a: &Box3d, b: &Box3d) -> f64 {
    Rect::new(a).iou(&Rect::new(b))
}

/// Intersection over union of two upright boxes in space, in 0..=1.
///
/// **Units and frame**, **Determinism**: those of [`iou_bev`].
pub fn iou_3d(a: &Box3d, b: &Box3d) -> f64 {
    let half = |v: &Box3d| f64::from(v.size[2]).max(0.0) / 2.0;
    let (za, zb) = (f64::from(a.center[2]), f64::from(b.center[2]));
    let (ha, hb) = (half(a), half(b));
    let height = (za + ha).min(zb + hb) - (za - ha).max(zb - hb);
    // The minima ignore NaN, so the centres are asked.
    let apart = height <= 0.0 || !(za + zb).is_finite();
    if apart {
        return 0.0;
    }
    let (ra, rb) = (Rect::new(a), Rect::new(b));
    let shared = ra.intersection(&rb) * height.min(2.0 * ha).min(2.0 * hb);
    let union = ra.area * 2.0 * ha + rb.area * 2.0 * hb - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

#[cfg(test)]
#[path = "iou_tests.rs"]
mod tests;
