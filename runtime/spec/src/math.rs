//! The functions that IEEE leaves open: exponential, sine, cosine, arc tangent.
//!
//! Each is computed in `f64` by additions, subtractions, multiplications and divisions in the order
//! written, none fused, from series with exact rational coefficients, and then rounded. So every
//! processor gives the same bits, and `kernels/cu/math.cuh` has the same functions for the GPU.
//!
//! **Accuracy**: `f32` results are the nearest `f32` but for about one in `1e7`, and then the next to
//! it; those of [`sin_cos_f64`] are off by less than 1.5 units in the last place in -2 pi..=2 pi.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, LOG2_E, PI, TAU};

/// `ln 2` in two parts; the first has 40 bits, so that small multiples of it are exact.
const LN_2: [f64; 2] = [0.6931471805592082, 7.371002565167799e-13];

/// A quarter turn in three parts; the first two have 40 bits each.
const QUARTER: [f64; 3] = [1.5707963267941523, 7.443547480480255e-13, 6.36831716351095e-25];

/// Beyond, an angle is reduced by whole turns of `f64` first.
const MAX_ANGLE: f64 = 100.0;

/// `atan(i / 8)`.
#[allow(clippy::approx_constant, reason = "the last one happens to be an eighth of a turn")]
const ATAN_OF_EIGHTHS: [f64; 9] = [
    0.0,
    0.12435499454676144,
    0.24497866312686414,
    0.35877067027057225,
    0.4636476090008061,
    0.5585993153435624,
    0.6435011087932844,
    0.7188299996216245,
    0.7853981633974483,
];

/// `e` to the power of `x`.
///
/// Infinity above 88.72, subnormal numbers below -87.33, 0 below -103.97. **Determinism**: never
/// decreases from one `f32` to the next.
#[inline]
pub fn exp(x: f32) -> f32 {
    exp_f64(x) as f32
}

/// [`exp`] before it is rounded: infinity above 89, 0 below -104.
#[inline]
pub fn exp_f64(x: f32) -> f64 {
    let x = f64::from(x);
    if x.is_nan() {
        return f64::NAN;
    }
    if x > 89.0 {
        return f64::INFINITY;
    }
    if x < -104.0 {
        return 0.0;
    }
    let k = nearest(x * LOG2_E);
    let r = (x - f64::from(k) * LN_2[0]) - f64::from(k) * LN_2[1];
    // 1 / n!, from the last to the first; the next term is below 2^-52.
    let series = [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    // Two to the power of k: exact, and normal in f64 whatever the result is in f32.
    let scale = f64::from_bits(((k + 1023) as u64) << 52);
    horner(r, series) * scale
}

/// Sine and cosine of an angle in radians; NaN for what is not finite.
///
/// Beyond 100 rad whole turns are taken off first, of the length that a turn has in `f64`.
#[inline]
pub fn sin_cos(x: f32) -> (f32, f32) {
    let (sin, cos) = sin_cos_f64(f64::from(x));
    (sin as f32, cos as f32)
}

/// [`sin_cos`] in `f64`.
#[inline]
pub fn sin_cos_f64(x: f64) -> (f64, f64) {
    if !x.is_finite() {
        return (f64::NAN, f64::NAN);
    }
    // The remainder is exact.
    let x = if x.abs() > MAX_ANGLE { x % TAU } else { x };
    // Below, the next terms of both series are less than half a unit of the first.
    if x.abs() < 7e-9 {
        return (x, 1.0);
    }
    let k = nearest(x * FRAC_2_PI);
    let n = f64::from(k);
    // The first difference and both products are exact; `lost` is what the second difference rounds.
    let far = x - n * QUARTER[0];
    let step = n * QUARTER[1];
    let near = far - step;
    let back = near - far;
    let lost = (far - (near - back)) - (step + back);
    let tail = n * QUARTER[2];
    let r = near - tail;
    let rest = ((near - r) - tail) + lost;
    // (-1)^n / (2 n + 1)! and (-1)^n / (2 n)!, from the last to the first.
    let odd = [
        1.0 / 355_687_428_096_000.0,
        -1.0 / 1_307_674_368_000.0,
        1.0 / 6_227_020_800.0,
        -1.0 / 39_916_800.0,
        1.0 / 362_880.0,
        -1.0 / 5_040.0,
        1.0 / 120.0,
        -1.0 / 6.0,
    ];
    let even = [
        1.0 / 20_922_789_888_000.0,
        -1.0 / 87_178_291_200.0,
        1.0 / 479_001_600.0,
        -1.0 / 3_628_800.0,
        1.0 / 40_320.0,
        -1.0 / 720.0,
        1.0 / 24.0,
    ];
    let z = r * r;
    let half = 0.5 * z;
    let sin = r + (r * z * horner(z, odd) + rest * (1.0 - half));
    let base = 1.0 - half;
    let cos = base + (((1.0 - base) - half) + (z * z * horner(z, even) - r * rest));
    match k & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// The angle of the point `(x, y)` in radians, in -pi..=pi; the signs of zeros count, as IEEE has it.
#[inline]
pub fn atan2(y: f32, x: f32) -> f32 {
    atan2_f64(y, x) as f32
}

/// [`atan2`] before it is rounded.
#[inline]
pub fn atan2_f64(y: f32, x: f32) -> f64 {
    if y.is_nan() || x.is_nan() {
        return f64::NAN;
    }
    let (up, along) = (f64::from(y).abs(), f64::from(x).abs());
    let is_steep = up > along;
    let (low, high) = if is_steep { (along, up) } else { (up, along) };
    let t = if low < high {
        low / high
    } else if high > 0.0 {
        1.0
    } else {
        0.0
    };
    // atan t = atan c + atan u, with c the nearest eighth and u within a sixteenth.
    let eighth = nearest(t * 8.0);
    let c = f64::from(eighth) * 0.125;
    let u = (t - c) / (1.0 + t * c);
    let z = u * u;
    // (-1)^n / (2 n + 1), from the last to the first.
    let series = [1.0 / 13.0, -1.0 / 11.0, 1.0 / 9.0, -1.0 / 7.0, 1.0 / 5.0, -1.0 / 3.0];
    let turned = ATAN_OF_EIGHTHS.get(eighth as usize).copied().unwrap_or(0.0);
    let mut angle = turned + (u + u * z * horner(z, series));
    if is_steep {
        angle = FRAC_PI_2 - angle;
    }
    if x.is_sign_negative() {
        angle = PI - angle;
    }
    if y.is_sign_negative() {
        angle = -angle;
    }
    angle
}

/// The nearest integer; halves go away from zero.
#[inline]
fn nearest(v: f64) -> i32 {
    (v + if v < 0.0 { -0.5 } else { 0.5 }) as i32
}

/// The polynomial of these coefficients, highest first.
#[inline]
fn horner<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = 0.0;
    for (i, c) in coefficients.into_iter().enumerate() {
        sum = if i == 0 { c } else { sum * x + c };
    }
    sum
}

#[cfg(test)]
#[path = "math_tests.rs"]
mod tests;
