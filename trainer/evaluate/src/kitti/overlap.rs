//! Overlaps: of image boxes, of footprints on the ground, and of boxes in space.
//!
//! All in double precision and without memory of the heap.

use crate::convex::Polygon;
use pilotis_datasets::kitti::LabelLine;

/// Width, height and area of what two image boxes share; 0 where they touch at most.
fn shared_pixels(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width > 0.0 && height > 0.0 { width * height } else { 0.0 }
}

fn pixels(a: &[f64; 4]) -> f64 {
    (a[2] - a[0]) * (a[3] - a[1])
}

/// `shared` as a share of `of`; 0 where nothing is shared.
fn share(shared: f64, of: f64) -> f64 {
    if shared > 0.0 { shared / of } else { 0.0 }
}

/// Intersection over union of two image boxes (left, top, right, bottom).
pub fn image_iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let shared = shared_pixels(a, b);
    share(shared, pixels(a) + pixels(b) - shared)
}

/// Share of an image box that lies in a region.
pub fn image_share(a: &[f64; 4], region: &[f64; 4]) -> f64 {
    share(shared_pixels(a, region), pixels(a))
}

/// A box as it stands on the ground, seen from above, and its height.
///
/// **Units and frame**: metres of the rectified camera frame: x right, y down, z ahead; heading
/// about y, from x towards -z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solid {
    center: [f64; 2],
    /// Half length and half width.
    half: [f64; 2],
    cos: f64,
    sin: f64,
    /// Least and largest y.
    y: [f64; 2],
    height: f64,
}

impl Solid {
    /// The box of a line. A side that is not above zero makes a box that overlaps nothing.
    pub fn of(label: &LabelLine) -> Self {
        let [h, w, l] = label.size_hwl;
        let [x, y, z] = label.location;
        let is_box = h > 0.0 && w > 0.0 && l > 0.0;
        Self {
            center: [x, z],
            half: if is_box { [l / 2.0, w / 2.0] } else { [0.0; 2] },
            cos: libm::cos(label.rotation_y),
            sin: libm::sin(label.rotation_y),
            y: [y - h, y],
            height: h.max(0.0),
        }
    }

    /// Area of the footprint.
    pub fn area(&self) -> f64 {
        4.0 * self.half[0] * self.half[1]
    }

    fn volume(&self) -> f64 {
        self.area() * self.height
    }

    /// Corners of another footprint in the frame of this one, in order around it.
    fn corners_of(&self, other: &Self) -> [[f64; 2]; 4] {
        let (dx, dz) = (other.center[0] - self.center[0], other.center[1] - self.center[1]);
        // A heading's axes are (cos, -sin) along and (sin, cos) across.
        let at = [self.cos * dx - self.sin * dz, self.sin * dx + self.cos * dz];
        let cos = self.cos * other.cos + self.sin * other.sin;
        let sin = self.sin * other.cos - self.cos * other.sin;
        let [l, w] = other.half;
        [[l, w], [-l, w], [-l, -w], [l, -w]]
            .map(|[along, across]| [at[0] + cos * along - sin * across, at[1] + sin * along + cos * across])
    }

    /// Area that two footprints share.
    pub fn shared_area(&self, other: &Self) -> f64 {
        let reach = libm::hypot(self.half[0], self.half[1]) + libm::hypot(other.half[0], other.half[1]);
        let apart = [0, 1].map(|k| (self.center[k] - other.center[k]).abs());
        if !(apart[0] < reach && apart[1] < reach) {
            return 0.0;
        }
        let mut polygon = Polygon::of(self.corners_of(other));
        for axis in 0..2 {
            polygon = polygon.cut(axis, 1.0, self.half[axis]).cut(axis, -1.0, self.half[axis]);
        }
        polygon.area().min(self.area()).min(other.area())
    }

    /// Intersection over union of two footprints, given the area that they share.
    pub fn iou_above(&self, other: &Self, shared_area: f64) -> f64 {
        share(shared_area, self.area() + other.area() - shared_area)
    }

    /// Volume that two boxes share, given the area that their footprints share.
    fn shared_volume(&self, other: &Self, shared_area: f64) -> f64 {
        let height = self.y[1].min(other.y[1]) - self.y[0].max(other.y[0]);
        if height > 0.0 { height * shared_area } else { 0.0 }
    }

    /// Intersection over union of two boxes in space, given the area that their footprints share.
    pub fn iou(&self, other: &Self, shared_area: f64) -> f64 {
        let shared = self.shared_volume(other, shared_area);
        share(shared, self.volume() + other.volume() - shared)
    }

    /// Share of this footprint that lies in another one.
    pub fn area_share(&self, region: &Self) -> f64 {
        share(self.shared_area(region), self.area())
    }

    /// Share of this box that lies in another one.
    pub fn volume_share(&self, region: &Self) -> f64 {
        share(self.shared_volume(region, self.shared_area(region)), self.volume())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

    fn solid(x: f64, z: f64, l: f64, w: f64, rotation_y: f64) -> Solid {
        let label = LabelLine {
            class_name: String::new(),
            truncation: 0.0,
            occlusion: 0,
            alpha_rad: 0.0,
            image_box: [0.0; 4],
            size_hwl: [2.0, w, l],
            location: [x, 1.0, z],
            rotation_y,
            score: None,
        };
        Solid::of(&label)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn known_overlaps_of_footprints() {
        let a = solid(10.0, 20.0, 4.0, 2.0, 0.0);
        assert!(close(a.shared_area(&a), 8.0));
        assert!(close(a.shared_area(&solid(12.0, 20.5, 4.0, 2.0, 0.0)), 2.0 * 1.5));
        assert!(close(a.shared_area(&solid(10.0, 20.0, 4.0, 2.0, FRAC_PI_2)), 4.0));
        // A square turned by 45 degrees in a square: an octagon.
        let (square, turned) = (solid(0.0, 0.0, 2.0, 2.0, 0.3), solid(0.0, 0.0, 2.0, 2.0, 0.3 + FRAC_PI_4));
        assert!(close(square.shared_area(&turned), 8.0 * (2.0_f64.sqrt() - 1.0)));
        // Side by side, corner to corner, far away, inside.
        assert!(close(a.shared_area(&solid(14.0, 20.0, 4.0, 2.0, 0.0)), 0.0));
        assert!(close(a.shared_area(&solid(14.0, 22.0, 4.0, 2.0, 0.0)), 0.0));
        assert!(close(a.shared_area(&solid(90.0, 20.0, 4.0, 2.0, 0.0)), 0.0));
        assert!(close(a.shared_area(&solid(10.1, 19.9, 0.5, 0.25, 1.0)), 0.125));
    }

    #[test]
    fn a_heading_turns_from_x_towards_minus_z() {
        // Its front end is 1.4 m to the right and 1.4 m nearer to the camera.
        let long = solid(0.0, 0.0, 4.0, 0.2, FRAC_PI_4);
        assert!(close(long.shared_area(&solid(1.2, -1.2, 0.1, 0.1, 0.0)), 0.01));
        assert!(close(long.shared_area(&solid(1.2, 1.2, 0.1, 0.1, 0.0)), 0.0));
    }

    #[test]
    fn heights_overlap_from_the_bottom_up() {
        let label = |y: f64, h: f64| Solid { y: [y - h, y], height: h, ..solid(0.0, 0.0, 4.0, 2.0, 0.0) };
        let a = label(1.0, 2.0);
        let iou = |b: &Solid| a.iou(b, a.shared_area(b));
        assert!(close(iou(&a), 1.0));
        // One metre of two and three is shared; the second stands lower.
        assert!(close(iou(&label(3.0, 3.0)), 1.0 / 4.0));
        assert!(close(iou(&label(-1.0, 2.0)), 0.0));
        assert!(
            close(a.volume_share(&label(3.0, 3.0)), 0.5)
                && close(label(3.0, 3.0).volume_share(&a), 1.0 / 3.0)
        );
    }

    #[test]
    fn boxes_without_a_side_overlap_nothing() {
        let flat = solid(0.0, 0.0, 4.0, 0.0, 0.4);
        let negative = solid(0.0, 0.0, -1.0, -1.0, 0.0);
        let whole = solid(0.0, 0.0, 4.0, 2.0, 0.4);
        for empty in [flat, negative] {
            for (a, b) in [(empty, whole), (whole, empty), (empty, empty)] {
                let shared = a.shared_area(&b);
                assert!(close(a.iou_above(&b, shared), 0.0) && close(a.iou(&b, shared), 0.0));
                assert!(close(a.area_share(&b), 0.0) && close(a.volume_share(&b), 0.0));
            }
        }
    }

    #[test]
    fn overlap_does_not_depend_on_the_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20_000 {
            let mut any = || {
                let mut draw = |low: f64, high: f64| rng.random_range(low..high);
                let (x, z) = (draw(-3.0, 3.0), draw(-3.0, 3.0));
                solid(x, z, draw(0.1, 6.0), draw(0.1, 3.0), draw(-4.0, 4.0))
            };
            let (a, b) = (any(), any());
            let (one, other) = (a.shared_area(&b), b.shared_area(&a));
            assert!((one - other).abs() < 1e-12, "{a:?} {b:?}: {one} and {other}");
            assert!(one <= a.area().min(b.area()));
        }
    }

    #[test]
    fn image_boxes_share_whole_pixels_or_none() {
        let a = [10.0, 20.0, 30.0, 60.0];
        assert!(close(image_iou(&a, &a), 1.0));
        assert!(close(image_iou(&a, &[20.0, 20.0, 40.0, 60.0]), 1.0 / 3.0));
        assert!(close(image_iou(&a, &[30.0, 20.0, 40.0, 60.0]), 0.0));
        assert!(close(image_iou(&a, &[-1.0; 4]), 0.0));
        assert!(close(image_share(&a, &[0.0, 0.0, 100.0, 30.0]), 0.25));
        assert!(close(image_share(&[0.0, 0.0, 100.0, 30.0], &a), 200.0 / 3000.0));
    }
}
