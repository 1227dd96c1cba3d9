//! Convex polygons: rectangles cut by lines, for overlaps seen from above.
//!
//! Sutherland and Hodgman's method in double precision, without memory of the heap. A rectangle cut by four lines
//! has at most eight corners.

/// Corners that a rectangle can have after four cuts.
const MAX_CORNERS: usize = 8;

/// A convex polygon of at most [`MAX_CORNERS`] corners, counter-clockwise.
#[derive(Clone, Copy)]
pub(crate) struct Polygon {
    corners: [[f64; 2]; MAX_CORNERS],
    n_corners: usize,
}

impl Polygon {
    /// The polygon of a rectangle's corners.
    pub(crate) fn of(four: [[f64; 2]; 4]) -> Self {
        let mut corners = [[0.0; 2]; MAX_CORNERS];
        corners[..4].copy_from_slice(&four);
        Self { corners, n_corners: 4 }
    }

    /// What remains where `sign * coordinate` is at most `limit`.
    pub(crate) fn cut(&self, axis: usize, sign: f64, limit: f64) -> Self {
        let mut cut = Self { corners: [[0.0; 2]; MAX_CORNERS], n_corners: 0 };
        let corners = &self.corners[..self.n_corners];
        for (k, to) in corners.iter().enumerate() {
            let from = corners[if k == 0 { self.n_corners - 1 } else { k - 1 }];
            let (before, after) = (limit - sign * from[axis], limit - sign * to[axis]);
            if (before < 0.0) != (after < 0.0) {
                let share = before / (before - after);
                cut.push([0, 1].map(|k| from[k] + share * (to[k] - from[k])));
            }
            if after >= 0.0 {
                cut.push(*to);
            }
        }
        cut
    }

    /// Rounding can make a sliver's edge cross a line more than twice; what is then too much is lost.
    fn push(&mut self, corner: [f64; 2]) {
        if let Some(free) = self.corners.get_mut(self.n_corners) {
            *free = corner;
            self.n_corners += 1;
        }
    }

    /// Its area.
    pub(crate) fn area(&self) -> f64 {
        let corners = &self.corners[..self.n_corners];
        let Some((first, rest)) = corners.split_first() else { return 0.0 };
        // Triangles about the first corner: near it, so that little cancels.
        let to = |corner: &[f64; 2]| [corner[0] - first[0], corner[1] - first[1]];
        let triangles = rest.windows(2).map(|pair| {
            let (a, b) = (to(&pair[0]), to(&pair[1]));
            a[0] * b[1] - a[1] * b[0]
        });
        (triangles.sum::<f64>() / 2.0).max(0.0)
    }
}
