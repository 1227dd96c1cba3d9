//! Codecs: boxes to the numbers that a head learns, and back.
//!
//! Trainer and runtime both call these functions, so a box that was encoded for a loss is the
//! box that a vehicle decodes. **Determinism**: `f32` operations in the order written, without
//! fusing; `exp`, `sin`, `cos` and `atan2` of [`crate::math`], so that a GPU decodes the same bits;
//! `ln`, which only encoding takes, of `libm`.

use crate::boxes::Box3d;
use crate::grid::Grid;
use crate::head::{AnchorClass, AnchorHead, YawCode};
use crate::math;
use std::f32::consts::PI;

/// The longest box code: seven values, sine-cosine heading, velocity.
pub const MAX_CODE: usize = 10;

/// The sigmoid of a logit, in 0..=1.
#[inline]
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + math::exp(-logit))
}

/// The least logit whose [`sigmoid`] passes a threshold (`>=`, or `>` if `strict`), so that
/// millions of logits are filtered without an exponential and yet exactly.
pub fn logit_threshold(score: f32, strict: bool) -> f32 {
    let passes = |logit: f32| {
        let s = sigmoid(logit);
        if strict { s > score } else { s >= score }
    };
    // The sigmoid never decreases, in its computed values as well: bisection over the ordered bit
    // patterns finds the first that passes.
    let (mut low, mut high) = (to_ordered(-110.0), to_ordered(110.0));
    while high - low > 1 {
        let mid = low + (high - low) / 2;
        if passes(from_ordered(mid)) { high = mid } else { low = mid }
    }
    from_ordered(high)
}

/// Maps a float to an integer that sorts like it.
fn to_ordered(v: f32) -> i64 {
    let bits = i64::from(v.to_bits());
    if bits >= 0x8000_0000 { 0x8000_0000 - bits } else { bits }
}

fn from_ordered(key: i64) -> f32 {
    let bits = if key < 0 { 0x8000_0000 - key } else { key };
    f32::from_bits(bits as u32)
}

/// A heading brought into (-pi, pi], for headings within a few turns of it.
#[inline]
pub fn normalize_yaw(yaw: f32) -> f32 {
    let mut yaw = yaw;
    // At most a few steps for anything a codec puts out; bounded for anything else.
    for _ in 0..4 {
        if yaw > PI {
            yaw -= 2.0 * PI;
        } else if yaw <= -PI {
            yaw += 2.0 * PI;
        }
    }
    yaw
}

impl AnchorHead {
    /// Metres from an anchor to the next along x and y, on a map of `[H, W]`.
    #[inline]
    pub fn anchor_step_m(grid: &Grid, map: [usize; 2]) -> [f32; 2] {
        let (min, max) = (grid.min(), grid.max());
        [(max[0] - min[0]) / (map[1] - 1) as f32, (max[1] - min[1]) / (map[0] - 1) as f32]
    }

    /// The anchor of `class` and rotation `rotation_idx` at a map location.
    ///
    /// The first anchor stands **at** the range's lower edge, the last at its upper edge.
    #[inline]
    pub fn anchor(
        &self,
        grid: &Grid,
        map: [usize; 2],
        class: &AnchorClass,
        rotation_idx: usize,
        row: usize,
        col: usize,
    ) -> Box3d {
        let (min, step) = (grid.min(), Self::anchor_step_m(grid, map));
        Box3d {
            center: [
                col as f32 * step[0] + min[0],
                row as f32 * step[1] + min[1],
                class.bottom_m + class.size_m[2] / 2.0,
            ],
            size: class.size_m,
            yaw: self.rotations_rad[rotation_idx & 1],
        }
    }

    /// The code of a box and velocity relative to an anchor; `code_size` values are written.
    ///
    /// `[xt, yt, zt, lt, wt, ht, yaw..., velocity...]`: offsets by the anchor's diagonal and
    /// height, log ratios of sizes, heading difference or differences of cosine and sine.
    pub fn encode(&self, anchor: &Box3d, bbox: &Box3d, velocity: [f32; 2]) -> [f32; MAX_CODE] {
        let mut code = [0.0; MAX_CODE];
        let diagonal = diagonal(anchor);
        code[0] = (bbox.center[0] - anchor.center[0]) / diagonal;
        code[1] = (bbox.center[1] - anchor.center[1]) / diagonal;
        code[2] = (bbox.center[2] - anchor.center[2]) / anchor.size[2];
        for k in 0..3 {
            code[3 + k] = libm::logf(bbox.size[k] / anchor.size[k]);
        }
        let mut next = 7;
        match self.yaw_code {
            YawCode::DirectionBins => code[6] = bbox.yaw - anchor.yaw,
            YawCode::SinCos => {
                let ((sin, cos), (anchor_sin, anchor_cos)) =
                    (math::sin_cos(bbox.yaw), math::sin_cos(anchor.yaw));
                code[6] = cos - anchor_cos;
                code[7] = sin - anchor_sin;
                next = 8;
            }
        }
        if self.velocity {
            code[next] = velocity[0];
            code[next + 1] = velocity[1];
        }
        code
    }

    /// The box and velocity of a code. `direction` is the winning direction bin (0 or 1); it is
    /// not read with [`YawCode::SinCos`].
    ///
    /// With direction bins the heading lies in `[offset, offset + 2 pi)`, as OpenPCDet's does;
    /// [`normalize_yaw`] makes it the heading that the runtime reports.
    #[inline]
    pub fn decode(&self, anchor: &Box3d, code: &[f32; MAX_CODE], direction: u32) -> (Box3d, [f32; 2]) {
        let diagonal = diagonal(anchor);
        let center = [
            code[0] * diagonal + anchor.center[0],
            code[1] * diagonal + anchor.center[1],
            code[2] * anchor.size[2] + anchor.center[2],
        ];
        let size = [
            math::exp(code[3]) * anchor.size[0],
            math::exp(code[4]) * anchor.size[1],
            math::exp(code[5]) * anchor.size[2],
        ];
        let (yaw, next) = match self.yaw_code {
            YawCode::DirectionBins => {
                let turned = code[6] + anchor.yaw - self.direction_offset_rad;
                let within = turned - libm::floorf(turned / PI) * PI;
                (within + self.direction_offset_rad + PI * direction as f32, 7)
            }
            YawCode::SinCos => {
                let (anchor_sin, anchor_cos) = math::sin_cos(anchor.yaw);
                let cos = code[6] + anchor_cos;
                let sin = code[7] + anchor_sin;
                (math::atan2(sin, cos), 8)
            }
        };
        let velocity = if self.velocity { [code[next], code[next + 1]] } else { [0.0; 2] };
        (Box3d { center, size, yaw }, velocity)
    }

    /// The direction bin that decodes to this heading: which half turn past the offset it is in.
    pub fn direction_bin(&self, yaw: f32) -> u32 {
        let turned = yaw - self.direction_offset_rad;
        let within = turned - libm::floorf(turned / (2.0 * PI)) * (2.0 * PI);
        u32::from(within >= PI)
    }
}

/// The diagonal of an anchor seen from above, in metres: what offsets are relative to.
pub fn diagonal(anchor: &Box3d) -> f32 {
    libm::sqrtf(anchor.size[0] * anchor.size[0] + anchor.size[1] * anchor.size[1])
}

/// What a centre head learns of one box, at one cell of its map.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CenterCode {
    /// Offset of the centre within its map cell, in cells along x and y.
    pub offset: [f32; 2],
    /// Height of the centre in metres.
    pub z: f32,
    /// Natural logarithm of length, width, height.
    pub log_size: [f32; 3],
    /// Cosine and sine of the heading.
    pub rot: [f32; 2],
    /// Velocity in m/s.
    pub velocity: [f32; 2],
}

impl CenterCode {
    /// Size of a cell of the map in metres along x and y.
    #[inline]
    pub fn map_cell_m(grid: &Grid, stride: usize) -> [f32; 2] {
        grid.cell().map(|cell| stride as f32 * cell)
    }

    /// The map cell `[row, col]` of a box, and its code there; `None` if the centre is off the map.
    pub fn encode(
        grid: &Grid,
        stride: usize,
        bbox: &Box3d,
        velocity: [f32; 2],
    ) -> Option<([usize; 2], Self)> {
        let (min, step) = (grid.min(), Self::map_cell_m(grid, stride));
        let x = (bbox.center[0] - min[0]) / step[0];
        let y = (bbox.center[1] - min[1]) / step[1];
        let (n_cols, n_rows) = (grid.nx() / stride, grid.ny() / stride);
        let inside = x >= 0.0 && y >= 0.0 && x < n_cols as f32 && y < n_rows as f32;
        if !inside {
            return None;
        }
        let (col, row) = (x as usize, y as usize);
        let (sin, cos) = math::sin_cos(bbox.yaw);
        let code = Self {
            offset: [x - col as f32, y - row as f32],
            z: bbox.center[2],
            log_size: bbox.size.map(libm::logf),
            rot: [cos, sin],
            velocity,
        };
        Some(([row, col], code))
    }

    /// The box of a code at a map cell `[row, col]`.
    #[inline]
    pub fn decode(&self, grid: &Grid, stride: usize, [row, col]: [usize; 2]) -> Box3d {
        let (min, step) = (grid.min(), Self::map_cell_m(grid, stride));
        Box3d {
            center: [
                (col as f32 + self.offset[0]) * step[0] + min[0],
                (row as f32 + self.offset[1]) * step[1] + min[1],
                self.z,
            ],
            size: self.log_size.map(math::exp),
            yaw: math::atan2(self.rot[1], self.rot[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "exact answers are meant")]
    #![allow(clippy::approx_constant, reason = "the published models write 0.78539")]

    use super::*;
    use crate::head::AnchorGroup;
    use proptest::prelude::*;

    fn head(yaw_code: YawCode, velocity: bool) -> AnchorHead {
        let car = AnchorClass { name: "car".into(), size_m: [3.9, 1.6, 1.56], bottom_m: -1.78 };
        AnchorHead {
            stride: 2,
            yaw_code,
            velocity,
            direction_offset_rad: 0.78539,
            rotations_rad: [0.0, 1.57],
            groups: vec![AnchorGroup { classes: vec![car] }],
        }
    }

    fn kitti() -> Grid {
        Grid::new([0.0, -39.68, -3.0], [69.12, 39.68, 1.0], [0.16, 0.16]).unwrap()
    }

    fn any_box() -> impl Strategy<Value = Box3d> {
        (
            (0.0_f32..69.0, -39.0_f32..39.0, -3.0_f32..1.0),
            (0.3_f32..15.0, 0.3_f32..4.0, 0.5_f32..4.0),
            -PI..PI,
        )
            .prop_map(|(c, s, yaw)| Box3d { center: [c.0, c.1, c.2], size: [s.0, s.1, s.2], yaw })
    }

    /// Differences of headings are differences on the circle.
    fn assert_same_box(a: &Box3d, b: &Box3d) -> Result<(), TestCaseError> {
        for k in 0..3 {
            // Offsets reach 20 anchor diagonals; 24-bit rounding there is 2e-6 x 85 m.
            prop_assert!((a.center[k] - b.center[k]).abs() < 2e-4, "{a:?} {b:?}");
            // exp(ln) of a ratio loses a few ulp of its exponent.
            prop_assert!((a.size[k] / b.size[k] - 1.0).abs() < 2e-6, "{a:?} {b:?}");
        }
        // Four additions of numbers below 2 pi round by 5e-7 each.
        prop_assert!(normalize_yaw(a.yaw - b.yaw).abs() < 4e-6, "{a:?} {b:?}");
        Ok(())
    }

    proptest! {
        #[test]
        fn anchor_encode_then_decode_is_the_identity(
            bbox in any_box(), vel in (-20.0_f32..20.0, -20.0_f32..20.0),
            row in 0_usize..248, col in 0_usize..216, rotation in 0_usize..2,
            sin_cos in any::<bool>(), velocity in any::<bool>(),
        ) {
            let head = head(if sin_cos { YawCode::SinCos } else { YawCode::DirectionBins }, velocity);
            let anchor = head.anchor(&kitti(), [248, 216], &head.groups[0].classes[0], rotation, row, col);
            let code = head.encode(&anchor, &bbox, [vel.0, vel.1]);
            prop_assert!(code[head.code_size()..].iter().all(|v| *v == 0.0));
            let (back, v) = head.decode(&anchor, &code, head.direction_bin(bbox.yaw));
            // A heading within rounding of a bin's edge may decode half a turn away.
            let to_edge = normalize_yaw(2.0 * (bbox.yaw - head.direction_offset_rad)) / 2.0;
            prop_assume!(sin_cos || to_edge.abs() > 1e-5);
            assert_same_box(&bbox, &back)?;
            prop_assert_eq!(v, if velocity { [vel.0, vel.1] } else { [0.0; 2] });
        }

        #[test]
        fn center_encode_then_decode_is_the_identity(bbox in any_box()) {
            if let Some((cell, code)) = CenterCode::encode(&kitti(), 2, &bbox, [0.0; 2]) {
                assert_same_box(&bbox, &code.decode(&kitti(), 2, cell))?;
                prop_assert!(code.offset.iter().all(|o| (0.0..1.0).contains(o)));
            }
        }

        #[test]
        fn decoded_headings_lie_in_the_published_interval(yaw in -10.0_f32..10.0, bin in 0_u32..2) {
            let head = head(YawCode::DirectionBins, false);
            let anchor = Box3d { center: [0.0; 3], size: [1.0; 3], yaw: 0.0 };
            let mut code = [0.0; MAX_CODE];
            code[6] = yaw;
            let (bbox, _) = head.decode(&anchor, &code, bin);
            prop_assert!(bbox.yaw >= 0.785_38 && bbox.yaw < 0.785_4 + 2.0 * PI, "{}", bbox.yaw);
            let reported = normalize_yaw(bbox.yaw);
            prop_assert!(reported > -PI && reported <= PI);
        }

        #[test]
        fn the_logit_threshold_filters_as_the_sigmoid_would(score in 0.001_f32..0.999, strict in any::<bool>()) {
            let logit = logit_threshold(score, strict);
            let passes = |l: f32| if strict { sigmoid(l) > score } else { sigmoid(l) >= score };
            prop_assert!(passes(logit));
            prop_assert!(!passes(logit.next_down()));
        }
    }

    #[test]
    fn anchors_stand_on_both_edges_of_the_range() {
        let head = head(YawCode::DirectionBins, false);
        let class = &head.groups[0].classes[0];
        let first = head.anchor(&kitti(), [248, 216], class, 0, 0, 0);
        assert_eq!((first.center[0], first.center[1]), (0.0, -39.68));
        let last = head.anchor(&kitti(), [248, 216], class, 1, 247, 215);
        // One rounding of a product near 70 (2^-17).
        assert!((last.center[0] - 69.12).abs() < 1e-5 && (last.center[1] - 39.68).abs() < 1e-5);
        assert_eq!(last.yaw, 1.57);
        assert_eq!(last.center[2], -1.78 + 1.56 / 2.0);
    }

    #[test]
    fn a_center_on_the_far_edge_is_off_the_map() {
        let at = |x: f32, y: f32| Box3d { center: [x, y, 0.0], size: [1.0; 3], yaw: 0.0 };
        assert!(CenterCode::encode(&kitti(), 2, &at(69.12, 0.0), [0.0; 2]).is_none());
        assert!(CenterCode::encode(&kitti(), 2, &at(-0.01, 0.0), [0.0; 2]).is_none());
        assert!(CenterCode::encode(&kitti(), 2, &at(f32::NAN, 0.0), [0.0; 2]).is_none());
        assert!(CenterCode::encode(&kitti(), 2, &at(0.0, -39.68), [0.0; 2]).is_some());
    }
}
