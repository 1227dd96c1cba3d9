//! Arithmetic: what the operations of PTX make of bits.
//!
//! Values are kept as `u64`, zero-extended. Rounding is IEEE's, to nearest unless said otherwise.

use crate::instruction::{Binary, Compare, Rounding, Type, Unary};

/// The low bits of a value.
pub(crate) fn cut(bits: u64, n_bits: u32) -> u64 {
    if n_bits >= 64 { bits } else { bits & ((1 << n_bits) - 1) }
}

fn signed(bits: u64, n_bits: u32) -> i64 {
    let unused = 64 - n_bits;
    ((bits << unused) as i64) >> unused
}

fn f32_of(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn f64_of(bits: u64) -> f64 {
    f64::from_bits(bits)
}

fn bits_of_f32(value: f32) -> u64 {
    // One NaN for all, as the hardware has it.
    u64::from(if value.is_nan() { 0x7fff_ffff } else { value.to_bits() })
}

fn bits_of_f64(value: f64) -> u64 {
    if value.is_nan() { 0x7fff_ffff_ffff_ffff } else { value.to_bits() }
}

/// `None` for what PTX does not have.
pub(crate) fn unary(what: Unary, ty: Type, a: u64) -> Option<u64> {
    let n_bits = ty.n_bits();
    Some(match (what, ty) {
        (Unary::Not, _) => cut(!a, n_bits),
        (Unary::Neg, Type::Float(32)) => bits_of_f32(-f32_of(a)),
        (Unary::Neg, Type::Float(64)) => bits_of_f64(-f64_of(a)),
        (Unary::Neg, Type::Signed(_)) => cut(a.wrapping_neg(), n_bits),
        (Unary::Abs, Type::Float(32)) => bits_of_f32(f32_of(a).abs()),
        (Unary::Abs, Type::Float(64)) => bits_of_f64(f64_of(a).abs()),
        (Unary::PopulationCount, _) => u64::from(cut(a, n_bits).count_ones()),
        (Unary::LeadingZeros, _) => u64::from(cut(a, n_bits).leading_zeros() - (64 - n_bits)),
        (Unary::Reciprocal, Type::Float(32)) => bits_of_f32(1.0 / f32_of(a)),
        _ => return None,
    })
}

/// `None` for what PTX does not have.
pub(crate) fn binary(what: Binary, ty: Type, a: u64, b: u64) -> Option<u64> {
    match ty {
        Type::Float(32) => float(what, f32_of(a), f32_of(b), f32::min, f32::max).map(bits_of_f32),
        Type::Float(64) => float(what, f64_of(a), f64_of(b), f64::min, f64::max).map(bits_of_f64),
        _ => integer(what, ty, a, b),
    }
}

fn float<F>(what: Binary, a: F, b: F, min: fn(F, F) -> F, max: fn(F, F) -> F) -> Option<F>
where
    F: std::ops::Add<Output = F> + std::ops::Sub<Output = F> + std::ops::Mul<Output = F>,
    F: std::ops::Div<Output = F> + Copy + PartialEq + std::ops::Neg<Output = F> + Into<f64>,
{
    Some(match what {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        // Of zeros of both signs PTX takes -0 as the smaller; std leaves it open.
        Binary::Min if a == b => {
            if a.into().is_sign_negative() {
                a
            } else {
                b
            }
        }
        Binary::Max if a == b => {
            if a.into().is_sign_negative() {
                b
            } else {
                a
            }
        }
        Binary::Min => min(a, b),
        Binary::Max => max(a, b),
        _ => return None,
    })
}

fn integer(what: Binary, ty: Type, a: u64, b: u64) -> Option<u64> {
    let n_bits = ty.n_bits();
    let is_signed = matches!(ty, Type::Signed(_));
    let (a, b) = (cut(a, n_bits), if shifts(what) { b & 0xffff_ffff } else { cut(b, n_bits) });
    let (sa, sb) = (signed(a, n_bits), signed(b, n_bits));
    let value = match what {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::MulWide if is_signed => return Some(cut(sa.wrapping_mul(sb) as u64, 2 * n_bits)),
        Binary::MulWide => return Some(cut(a.wrapping_mul(b), 2 * n_bits)),
        Binary::Div if is_signed => sa.checked_div(sb)? as u64,
        Binary::Div => a.checked_div(b)?,
        Binary::Rem if is_signed => sa.checked_rem(sb)? as u64,
        Binary::Rem => a.checked_rem(b)?,
        Binary::Min if is_signed => sa.min(sb) as u64,
        Binary::Min => a.min(b),
        Binary::Max if is_signed => sa.max(sb) as u64,
        Binary::Max => a.max(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        // Shifts are by a 32-bit amount, and stop at the width.
        Binary::ShiftLeft => a.checked_shl(b as u32).filter(|_| b < u64::from(n_bits)).unwrap_or(0),
        Binary::ShiftRight if is_signed => (sa >> b.min(u64::from(n_bits) - 1)) as u64,
        Binary::ShiftRight => a.checked_shr(b as u32).filter(|_| b < u64::from(n_bits)).unwrap_or(0),
    };
    Some(cut(value, n_bits))
}

fn shifts(what: Binary) -> bool {
    matches!(what, Binary::ShiftLeft | Binary::ShiftRight)
}

/// `a * b + c`.
pub(crate) fn mul_add(ty: Type, a: u64, b: u64, c: u64) -> u64 {
    match ty {
        Type::Float(32) => bits_of_f32(f32_of(a).mul_add(f32_of(b), f32_of(c))),
        Type::Float(_) => bits_of_f64(f64_of(a).mul_add(f64_of(b), f64_of(c))),
        _ => cut(a.wrapping_mul(b).wrapping_add(c), ty.n_bits()),
    }
}

pub(crate) fn compare(what: Compare, ty: Type, a: u64, b: u64) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let n_bits = ty.n_bits();
    let order = match ty {
        Type::Float(32) => f32_of(a).partial_cmp(&f32_of(b)),
        Type::Float(_) => f64_of(a).partial_cmp(&f64_of(b)),
        Type::Signed(_) => Some(signed(a, n_bits).cmp(&signed(b, n_bits))),
        _ => Some(cut(a, n_bits).cmp(&cut(b, n_bits))),
    };
    let Some(order) = order else {
        use Compare::{GeOrNan, GtOrNan, LeOrNan, LtOrNan, Nan, NeOrNan};
        return matches!(what, LtOrNan | LeOrNan | GtOrNan | GeOrNan | NeOrNan | Nan);
    };
    match what {
        Compare::Eq => order == Equal,
        Compare::Ne | Compare::NeOrNan => order != Equal,
        Compare::Lt | Compare::LtOrNan => order == Less,
        Compare::Le | Compare::LeOrNan => order != Greater,
        Compare::Gt | Compare::GtOrNan => order == Greater,
        Compare::Ge | Compare::GeOrNan => order != Less,
        Compare::Nan => false,
    }
}

/// `None` for what PTX does not have.
pub(crate) fn convert(to: Type, from: Type, rounding: Rounding, a: u64) -> Option<u64> {
    let whole = |value: f64| match rounding {
        Rounding::Down => value.floor(),
        _ => value.trunc(),
    };
    let a = cut(a, from.n_bits());
    Some(match (to, from) {
        (Type::Float(32), Type::Float(32)) => {
            let value = f32_of(a);
            bits_of_f32(if rounding == Rounding::Down { value.floor() } else { value })
        }
        (Type::Float(64), Type::Float(32)) => bits_of_f64(f64::from(f32_of(a))),
        (Type::Float(32), Type::Float(64)) => bits_of_f32(f64_of(a) as f32),
        (Type::Float(16), Type::Float(32)) => u64::from(half::f16::from_f32(f32_of(a)).to_bits()),
        (Type::Float(32), Type::Signed(n)) => bits_of_f32(signed(a, n) as f32),
        (Type::Float(32), _) => bits_of_f32(a as f32),
        (Type::Float(64), Type::Signed(n)) => bits_of_f64(signed(a, n) as f64),
        (Type::Float(64), _) => bits_of_f64(a as f64),
        // Casts of Rust stop at the ends of the range, and make 0 of NaN, as PTX does.
        (Type::Signed(32), Type::Float(n)) => u64::from(whole(number(a, n)) as i32 as u32),
        (Type::Signed(64), Type::Float(n)) => whole(number(a, n)) as i64 as u64,
        (Type::Unsigned(32), Type::Float(n)) => u64::from(whole(number(a, n)) as u32),
        (Type::Float(_), _) | (_, Type::Float(_)) => return None,
        (_, Type::Signed(n)) => cut(signed(a, n) as u64, to.n_bits()),
        _ => cut(a, to.n_bits()),
    })
}

fn number(bits: u64, n_bits: u32) -> f64 {
    if n_bits == 32 { f64::from(f32_of(bits)) } else { f64_of(bits) }
}

/// Bytes of `b:a`, each chosen by four bits of the selector; the fourth repeats the sign.
pub(crate) fn permute(a: u64, b: u64, selector: u64) -> u64 {
    let bytes = (cut(b, 32) << 32 | cut(a, 32)).to_le_bytes();
    (0..4).fold(0, |all, i| {
        let chosen = selector >> (4 * i) & 0xf;
        let byte = bytes[(chosen & 7) as usize];
        let byte = if chosen & 8 == 0 { byte } else { ((byte as i8) >> 7) as u8 };
        all | u64::from(byte) << (8 * i)
    })
}

/// `n` bits of `a` in `b`, from a position on.
pub(crate) fn insert(a: u64, b: u64, at: u64, n: u64, n_bits: u32) -> u64 {
    let (at, n) = ((at & 0xff) as u32, (n & 0xff) as u32);
    if at >= n_bits {
        return cut(b, n_bits);
    }
    let mask = cut(u64::MAX, n.min(64)) << at;
    cut((b & !mask) | ((a << at) & mask), n_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: Type = Type::Float(32);

    #[test]
    fn integers_wrap_and_shifts_stop_at_the_width() {
        let of = |what, ty, a, b| binary(what, ty, a, b).unwrap();
        assert_eq!(of(Binary::Add, Type::Signed(32), 0xffff_ffff, 2), 1);
        assert_eq!(of(Binary::Sub, Type::Signed(32), 0, 1), 0xffff_ffff);
        assert_eq!(of(Binary::MulWide, Type::Unsigned(32), 0xffff_ffff, 0xffff_ffff), 0xffff_fffe_0000_0001);
        assert_eq!(of(Binary::MulWide, Type::Signed(32), 0xffff_ffff, 3), (-3_i64) as u64);
        assert_eq!(of(Binary::ShiftLeft, Type::Bits(32), 1, 32), 0);
        assert_eq!(of(Binary::ShiftRight, Type::Signed(32), 0x8000_0000, 40), 0xffff_ffff);
        assert_eq!(of(Binary::ShiftRight, Type::Unsigned(64), 1 << 63, 63), 1);
        assert_eq!(of(Binary::Max, Type::Unsigned(32), 0xffff_ffff, 1), 0xffff_ffff);
        assert_eq!(of(Binary::Max, Type::Signed(32), 0xffff_ffff, 1), 1);
        assert_eq!(binary(Binary::Rem, Type::Unsigned(32), 5, 0), None, "a division by zero is a fault");
    }

    #[test]
    fn floats_are_ieee_and_nan_loses() {
        let f = |v: f32| u64::from(v.to_bits());
        assert_eq!(binary(Binary::Max, F32, f(f32::NAN), f(1.0)), Some(f(1.0)));
        assert_eq!(binary(Binary::Max, F32, f(-0.0), f(0.0)), Some(f(0.0)));
        assert_eq!(binary(Binary::Min, F32, f(0.0), f(-0.0)), Some(f(-0.0)));
        let (a, b, c) = (1.0 + f32::EPSILON, 1.0 - f32::EPSILON, -1.0);
        assert_eq!(mul_add(F32, f(a), f(b), f(c)), f(a.mul_add(b, c)));
        assert_ne!(mul_add(F32, f(a), f(b), f(c)), f(a * b + c), "fused");
        for (what, expected) in
            [(Compare::Lt, false), (Compare::GtOrNan, true), (Compare::Nan, true), (Compare::Ne, false)]
        {
            assert_eq!(compare(what, F32, f(f32::NAN), f(1.0)), expected, "{what:?}");
        }
        assert!(compare(Compare::Lt, Type::Signed(32), 0xffff_ffff, 0));
        assert!(!compare(Compare::Lt, Type::Unsigned(32), 0xffff_ffff, 0));
    }

    #[test]
    fn conversions_round_and_stop_at_the_ends() {
        let f = |v: f32| u64::from(v.to_bits());
        let to = |to, v| convert(to, F32, Rounding::Zero, f(v)).unwrap();
        assert_eq!(to(Type::Unsigned(32), -1.5), 0);
        assert_eq!(to(Type::Unsigned(32), 1e20), 0xffff_ffff);
        assert_eq!(to(Type::Signed(32), -1.9), 0xffff_ffff);
        assert_eq!(to(Type::Signed(64), f32::NAN), 0);
        assert_eq!(convert(F32, F32, Rounding::Down, f(-0.5)), Some(f(-1.0)));
        assert_eq!(convert(F32, Type::Signed(16), Rounding::Nearest, 0xffff), Some(f(-1.0)));
        assert_eq!(convert(F32, Type::Unsigned(32), Rounding::Nearest, 0x0100_0001), Some(f(16_777_216.0)));
        assert_eq!(convert(Type::Float(16), F32, Rounding::Nearest, f(1.0)), Some(0x3c00));
    }

    #[test]
    fn bytes_are_permuted_and_bits_inserted() {
        assert_eq!(permute(0xab, 0xcd, 0x7604), 0xabcd);
        assert_eq!(permute(0x8899_aabb, 0, 0x3210), 0x8899_aabb);
        assert_eq!(permute(0x80, 0, 0x8880), 0xffff_ff80);
        assert_eq!(insert(0xabcd, 0x1111, 32, 32, 64), 0xabcd_0000_1111);
    }
}
