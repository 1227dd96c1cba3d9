#![allow(clippy::float_cmp, reason = "exact answers are meant")]

use super::*;
use std::f32::consts::{FRAC_PI_2 as QUARTER_TURN, FRAC_PI_4 as EIGHTH_TURN, PI as HALF_TURN};

/// Worst error in units in the last place, and how many were not the nearest.
#[derive(Default)]
struct Errors {
    worst: f64,
    n_not_nearest: u32,
    n: u32,
}

impl Errors {
    fn add(&mut self, got: f32, exact: f64) {
        let nearest = exact as f32;
        self.n += 1;
        self.n_not_nearest += u32::from(got != nearest);
        let unit = f64::from(nearest.abs().next_up()) - f64::from(nearest.abs());
        self.worst = self.worst.max((f64::from(got) - exact).abs() / unit);
    }

    /// The `f64` reference itself rounds: it decides one in some ten million wrongly.
    fn assert_nearest(&self, name: &str) {
        println!("{name}: worst {:.7} ulp, {} of {} not the nearest", self.worst, self.n_not_nearest, self.n);
        assert!(self.n > 100_000 && self.worst < 0.500_01 && self.n_not_nearest <= 2, "{name}");
    }
}

/// How far a number is from the exact one, in units of its own last place.
fn ulp(got: f64, exact: f64) -> f64 {
    (got - exact).abs() / (exact.abs().next_up() - exact.abs())
}

/// A repeatable sequence of bits.
fn bits(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// A number in -1..1.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[test]
fn exp_is_the_nearest_f32() {
    let (mut next, mut all, mut subnormal) = (bits(1), Errors::default(), Errors::default());
    for _ in 0..1_000_000 {
        let x = (unit(next()) * 88.7) as f32;
        all.add(exp(x), libm::exp(f64::from(x)));
        let small = f32::from_bits((next() >> 32) as u32 & 0xbfff_ffff);
        all.add(exp(small), libm::exp(f64::from(small)));
        let low = (-95.5 + unit(next()) * 8.4) as f32;
        subnormal.add(exp(low), libm::exp(f64::from(low)));
    }
    all.assert_nearest("exp");
    subnormal.assert_nearest("exp, subnormal");
}

#[test]
fn what_is_rounded_is_good_to_a_few_units_of_f64() {
    let (mut next, mut exps, mut angles) = (bits(5), 0.0_f64, 0.0_f64);
    for _ in 0..500_000 {
        let x = (unit(next()) * 88.7) as f32;
        exps = exps.max(ulp(exp_f64(x), libm::exp(f64::from(x))));
        let (y, x) = (unit(next()) as f32, unit(next()) as f32);
        angles = angles.max(ulp(atan2_f64(y, x), libm::atan2(f64::from(y), f64::from(x))));
    }
    println!("exp_f64: worst {exps} ulp; atan2_f64: worst {angles} ulp");
    assert!(exps <= 3.0 && angles <= 3.0, "{exps} {angles}");
}

#[test]
fn exp_of_what_is_special() {
    assert_eq!((exp(0.0), exp(-0.0), exp(1.0)), (1.0, 1.0, std::f32::consts::E));
    assert_eq!((exp(f32::INFINITY), exp(f32::NEG_INFINITY)), (f32::INFINITY, 0.0));
    assert_eq!((exp(f32::MAX), exp(f32::MIN)), (f32::INFINITY, 0.0));
    assert!(exp(f32::NAN).is_nan() && exp(-f32::NAN).is_nan());
    // ln of the largest f32 is 88.72283911; of half the smallest, -103.97207709.
    let (most, least) = (88.722_84_f32, -103.972_08_f32);
    assert!(exp(most.next_down()).is_finite() && exp(most.next_up()) == f32::INFINITY);
    assert!(exp(least.next_up()) == f32::from_bits(1) && exp(least.next_down()) == 0.0);
    assert_eq!((exp(89.5), exp(-104.5)), (f32::INFINITY, 0.0));
}

#[test]
fn exp_never_decreases() {
    // Where 1 is left, where halves round, at the reduction's edges, at both ends, and in between.
    let edge = std::f32::consts::LN_2 / 2.0;
    for from in
        [-104.1, -88.0, -87.34, -20.0, -edge - 1e-4, -6.1e-8, -1e-3, 2.9e-8, 0.3, edge - 1e-4, 5.0, 88.72]
    {
        let (mut x, mut last) = (from, exp(from));
        for _ in 0..200_000 {
            x = x.next_up();
            let y = exp(x);
            assert!(y >= last, "{x}");
            last = y;
        }
    }
    let (mut x, mut last) = (-104.1_f32, 0.0);
    while x < 89.0 {
        let y = exp(x);
        assert!(y >= last, "{x}");
        last = y;
        x += 3.1e-4;
    }
}

#[test]
fn sine_and_cosine_are_the_nearest_f32() {
    let (mut next, mut all) = (bits(2), Errors::default());
    let mut check = |x: f32| {
        let (sin, cos) = sin_cos(x);
        all.add(sin, libm::sin(f64::from(x)));
        all.add(cos, libm::cos(f64::from(x)));
    };
    for i in 0..600_000 {
        check((unit(next()) * 100.0) as f32);
        check((unit(next()) * 4.0) as f32);
        // Every magnitude below a few turns.
        check(f32::from_bits(((next() >> 32) as u32 % 0x40c0_0000) | ((i & 1) << 31)));
    }
    // Next to multiples of a quarter turn.
    for k in -60_i32..=60 {
        let mut x = (f64::from(k) * FRAC_PI_2) as f32;
        for _ in 0..20 {
            check(x);
            x = x.next_up();
        }
    }
    all.assert_nearest("sin_cos");
}

#[test]
fn sine_and_cosine_in_f64_are_within_a_unit_and_a_half() {
    let (mut next, mut worst, mut n_equal, mut n) = (bits(3), 0.0_f64, 0, 0);
    let mut check = |x: f64| {
        let (sin, cos) = sin_cos_f64(x);
        for (got, exact) in [(sin, libm::sin(x)), (cos, libm::cos(x))] {
            worst = worst.max(ulp(got, exact));
            n_equal += u32::from(got == exact);
            n += 1;
        }
    };
    for i in 0..1_000_000_u64 {
        check(unit(next()) * TAU);
        check(f64::from((unit(next()) * TAU) as f32));
        check(f64::from_bits((next() % 0x4010_0000_0000_0000) | ((i & 1) << 63)));
    }
    for k in -4_i32..=4 {
        for x in [f64::from(k) * FRAC_PI_2, f64::from((f64::from(k) * FRAC_PI_2) as f32)] {
            let (mut above, mut below) = (x, x);
            for _ in 0..50 {
                check(above);
                check(below);
                (above, below) = (above.next_up(), below.next_down());
            }
        }
    }
    println!("sin_cos_f64: worst {worst:.4} ulp, {n_equal} of {n} equal");
    assert!(worst <= 1.5, "{worst}");
    // Two good ones of independent making mostly round to the same.
    assert!(f64::from(n_equal) > 0.98 * f64::from(n), "{n_equal} of {n}");
}

#[test]
fn sine_and_cosine_of_what_is_special() {
    assert_eq!(sin_cos(0.0), (0.0, 1.0));
    assert!(sin_cos(-0.0).0.is_sign_negative() && sin_cos(-0.0) == (0.0, 1.0));
    assert_eq!(sin_cos(f32::from_bits(1)), (f32::from_bits(1), 1.0));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(sin_cos(bad).0.is_nan() && sin_cos(bad).1.is_nan());
    }
    for far in [1e3_f32, -1e6, 1e20, f32::MAX] {
        let (sin, cos) = sin_cos_f64(f64::from(far));
        assert!((sin * sin + cos * cos - 1.0).abs() < 1e-15);
        assert_eq!((sin, cos), sin_cos_f64(f64::from(far) % TAU));
    }
    // A turn of f64 is 2.5e-16 too short.
    for i in -30_i32..=30 {
        let x = f64::from(i) * 7.1;
        assert!((sin_cos_f64(x).0 - libm::sin(x)).abs() < 1e-14);
    }
}

#[test]
fn the_arc_tangent_is_the_nearest_f32() {
    let (mut next, mut all) = (bits(4), Errors::default());
    let mut check = |y: f32, x: f32| all.add(atan2(y, x), libm::atan2(f64::from(y), f64::from(x)));
    for _ in 0..1_000_000 {
        check(unit(next()) as f32, unit(next()) as f32);
        let (a, b) = (next(), next());
        let any = |v: u64| f32::from_bits((v >> 32) as u32);
        if any(a).is_finite() && any(b).is_finite() {
            check(any(a), any(b));
        }
        // Around the edges of the eighths.
        let t = (f64::from((a >> 60) as u32) * 0.062_5 + unit(b) * 1e-3) as f32;
        check(t, 1.0);
        check(1.0, -t);
    }
    all.assert_nearest("atan2");
}

#[test]
fn the_arc_tangent_of_what_is_special() {
    let far = f32::INFINITY;
    for (y, x, angle) in [
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, -0.0, HALF_TURN),
        (0.0, -3.0, HALF_TURN),
        (2.0, 0.0, QUARTER_TURN),
        (2.0, -0.0, QUARTER_TURN),
        (1.0, 1.0, EIGHTH_TURN),
        (1.0, -1.0, 3.0 * EIGHTH_TURN),
        (far, far, EIGHTH_TURN),
        (far, -far, 3.0 * EIGHTH_TURN),
        (far, 1.0, QUARTER_TURN),
        (1.0, far, 0.0),
        (1.0, -far, HALF_TURN),
        (f32::from_bits(1), 1.0, f32::from_bits(1)),
        (f32::from_bits(1), f32::MAX, 0.0),
        (f32::MIN_POSITIVE, 2.0, f32::MIN_POSITIVE / 2.0),
    ] {
        assert_eq!(atan2(y, x).to_bits(), angle.to_bits(), "{y} {x}");
        assert_eq!(atan2(-y, x).to_bits(), (-angle).to_bits(), "-{y} {x}");
    }
    for (y, x) in [(f32::NAN, 1.0), (1.0, f32::NAN), (f32::NAN, 0.0), (far, f32::NAN)] {
        assert!(atan2(y, x).is_nan());
    }
}
