//! Distances, headings and sizes, in the devkit's arithmetic.

use std::f64::consts::PI;

/// Length of the difference of two vectors in the ground plane.
pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [dx, dy] = [a[0] - b[0], a[1] - b[1]];
    libm::sqrt(dx * dx + dy * dy)
}

/// The first two numbers.
pub(super) fn ground(v: [f64; 3]) -> [f64; 2] {
    [v[0], v[1]]
}

/// The rotation matrix, row by row, of a quaternion `w, x, y, z` of any length; zeros for that of length 0.
fn rotation_matrix(quaternion: [f64; 4]) -> [[f64; 3]; 3] {
    let square: f64 = quaternion.iter().map(|v| v * v).sum();
    let length = libm::sqrt(square);
    // pyquaternion leaves alone what is as good as a unit.
    let is_unit = (1.0 - square).abs() < 1e-14;
    let [w, x, y, z] = if is_unit || length <= 0.0 { quaternion } else { quaternion.map(|v| v / length) };
    if [w, x, y, z].iter().any(|v| v.is_nan()) {
        return [[f64::NAN; 3]; 3];
    }
    let [ww, xx, yy, zz] = [w * w, x * x, y * y, z * z];
    [
        [ww + xx - yy - zz, 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), ww - xx + yy - zz, 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), ww - xx - yy + zz],
    ]
}

/// The angle in the ground plane of what a rotation makes of the x axis; NaN for a quaternion of infinite numbers.
pub(super) fn yaw(quaternion: [f64; 4]) -> f64 {
    let matrix = rotation_matrix(quaternion);
    libm::atan2(matrix[1][0], matrix[0][0])
}

/// The least difference of two angles that repeat after `period`.
pub(super) fn angle_difference(a: f64, b: f64, period: f64) -> f64 {
    let difference = remainder(a - b + period / 2.0, period) - period / 2.0;
    (if difference > PI { difference - 2.0 * PI } else { difference }).abs()
}

/// The remainder with the sign of the divisor.
fn remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0_f64.copysign(b)
    } else if (b < 0.0) != (rest < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// IoU of two boxes, by their sizes, after centres and headings are aligned.
pub(super) fn aligned_iou(a: [f64; 3], b: [f64; 3]) -> f64 {
    let volume = |size: [f64; 3]| size[0] * size[1] * size[2];
    let common = volume([a[0].min(b[0]), a[1].min(b[1]), a[2].min(b[2])]);
    common / (volume(a) + volume(b) - common)
}

/// A box as three edges from one corner, to ask what lies in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    corner: [f64; 3],
    edges: [[f64; 3]; 3],
}

impl Region {
    /// `size` is width, length, height, as in the tables.
    pub(super) fn new(center: [f64; 3], size: [f64; 3], rotation: [f64; 4]) -> Self {
        let matrix = rotation_matrix(rotation);
        let [half_w, half_l, half_h] = size.map(|v| v / 2.0);
        let at = |x: f64, y: f64, z: f64| {
            let turned = matrix.map(|row| row[0] * x + row[1] * y + row[2] * z);
            [turned[0] + center[0], turned[1] + center[1], turned[2] + center[2]]
        };
        let corner = at(half_l, half_w, half_h);
        let ends = [at(-half_l, half_w, half_h), at(half_l, -half_w, half_h), at(half_l, half_w, -half_h)];
        Self { corner, edges: ends.map(|end| difference(end, corner)) }
    }

    /// Whether a point lies in the box or on a face.
    pub(super) fn holds(&self, point: [f64; 3]) -> bool {
        let from_corner = difference(point, self.corner);
        self.edges.iter().all(|edge| {
            let along = dot(*edge, from_corner);
            0.0 <= along && along <= dot(*edge, *edge)
        })
    }
}

fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
