//! Which points lie in a box.

use pilotis_spec::{Box3d, Point};

/// Tests points against one box, in double precision; faces belong to the box.
///
/// **Units and frame**: metres, the frame of box and points alike.
#[derive(Clone, Copy, Debug)]
pub struct BoxTest {
    center: [f64; 3],
    half: [f64; 3],
    cos: f64,
    sin: f64,
    /// Nothing further than this from the centre, along x or y, can be inside.
    reach: f32,
    center_f32: [f32; 2],
}

impl BoxTest {
    /// A test against this box.
    pub fn new(bbox: &Box3d) -> Self {
        let yaw = f64::from(bbox.yaw);
        let half = bbox.size.map(|v| f64::from(v) / 2.0);
        Self {
            center: bbox.center.map(f64::from),
            half,
            cos: libm::cos(yaw),
            sin: libm::sin(yaw),
            // A millimetre more than half the diagonal outweighs the rounding of single precision.
            reach: libm::hypot(half[0], half[1]) as f32 + 1e-3,
            center_f32: [bbox.center[0], bbox.center[1]],
        }
    }

    /// Whether the point is inside. NaN never is.
    #[inline]
    pub fn contains(&self, point: &Point) -> bool {
        let near = (point.x - self.center_f32[0]).abs() <= self.reach
            && (point.y - self.center_f32[1]).abs() <= self.reach;
        near && self.contains_exactly(point)
    }

    fn contains_exactly(&self, point: &Point) -> bool {
        let x = f64::from(point.x) - self.center[0];
        let y = f64::from(point.y) - self.center[1];
        let z = f64::from(point.z) - self.center[2];
        let along = x * self.cos + y * self.sin;
        let across = y * self.cos - x * self.sin;
        along.abs() <= self.half[0] && across.abs() <= self.half[1] && z.abs() <= self.half[2]
    }
}

/// Points inside a box, faces included.
pub fn points_in_box(points: &[Point], bbox: &Box3d) -> u32 {
    let test = BoxTest::new(bbox);
    points.iter().filter(|p| test.contains(p)).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32, z: f32) -> Point {
        Point { x, y, z, ..Point::default() }
    }

    #[test]
    fn a_turned_box_holds_what_lies_along_its_heading() {
        let bbox =
            Box3d { center: [10.0, 5.0, -1.0], size: [4.0, 1.0, 2.0], yaw: std::f32::consts::FRAC_PI_4 };
        // 1.9 m ahead and behind along the diagonal are inside; the same across is not.
        let d = 1.9 / 2.0_f32.sqrt();
        let inside = [at(10.0 + d, 5.0 + d, -1.0), at(10.0 - d, 5.0 - d, -0.01), at(10.0, 5.0, -2.0)];
        let outside = [at(10.0 + d, 5.0 - d, -1.0), at(10.0, 5.0, 0.01), at(f32::NAN, 5.0, -1.0)];
        for p in inside {
            assert_eq!(points_in_box(&[p], &bbox), 1, "{p:?}");
        }
        for p in outside {
            assert_eq!(points_in_box(&[p], &bbox), 0, "{p:?}");
        }
        assert_eq!(points_in_box(&[inside, outside].concat(), &bbox), 3);
    }

    #[test]
    fn faces_belong_to_the_box() {
        let bbox = Box3d { center: [1.0, 2.0, 3.0], size: [2.0, 4.0, 6.0], yaw: 0.0 };
        for p in [at(2.0, 2.0, 3.0), at(1.0, 0.0, 3.0), at(0.0, 4.0, 6.0)] {
            assert_eq!(points_in_box(&[p], &bbox), 1, "{p:?}");
        }
        assert_eq!(points_in_box(&[at(2.0_f32.next_up(), 2.0, 3.0)], &bbox), 0);
    }
}
