//! The functions of `math.cuh`, compiled for the CPU, give the bits of [`pilotis_spec::math`].

use pilotis_spec::codec::{normalize_yaw, sigmoid};
use pilotis_spec::math;
use std::f32::consts::{PI, TAU};
use std::path::Path;
use std::process::{Command, Stdio};

const EXP: u64 = 0;
const SIGMOID: u64 = 1;
const ATAN2: u64 = 2;
const HEADING: u64 = 3;
const SIN_COS: u64 = 4;

type Record = [u64; 3];

/// All NaN are one: no result of a frame holds one.
fn bits(v: f32) -> u64 {
    if v.is_nan() { 0x7fc0_0000 } else { u64::from(v.to_bits()) }
}

fn bits_f64(v: f64) -> u64 {
    if v.is_nan() { 0x7ff8_0000_0000_0000 } else { v.to_bits() }
}

/// What the CPU says: the result, and what it is before it is rounded, where that is longer.
fn answer([function, a, b]: Record) -> [u64; 2] {
    let (x, y) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
    match function {
        EXP => [bits(math::exp(x)), bits_f64(math::exp_f64(x))],
        SIGMOID => [bits(sigmoid(x)), 0],
        ATAN2 => [bits(math::atan2(x, y)), bits_f64(math::atan2_f64(x, y))],
        HEADING => [bits(normalize_yaw(if x.abs() > 2.0 * PI { x % TAU } else { x })), 0],
        _ => {
            let (sin, cos) = math::sin_cos_f64(f64::from_bits(a));
            [sin.to_bits(), cos.to_bits()]
        }
    }
}

fn records() -> Vec<Record> {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let special: Vec<u64> =
        [0.0, 1.0, PI, TAU, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN, 1e-45, 88.7, 104.0]
            .iter()
            .flat_map(|v: &f32| [v.to_bits().wrapping_sub(1), v.to_bits(), v.to_bits() + 1])
            .flat_map(|v| [u64::from(v & 0x7fff_ffff), u64::from(v | 1 << 31)])
            .collect();
    let mut all = Vec::new();
    for a in &special {
        all.extend([[EXP, *a, 0], [SIGMOID, *a, 0]]);
        all.extend(special.iter().map(|b| [ATAN2, *a, *b]));
        if f32::from_bits(*a as u32).is_finite() {
            all.push([HEADING, *a, 0]);
        }
    }
    // Next to multiples of a quarter turn, where the last part of its length counts.
    for k in -60_i32..=60 {
        let at = (f64::from(k) * std::f64::consts::FRAC_PI_2).to_bits();
        all.extend([[SIN_COS, at, 0], [SIN_COS, at.wrapping_add(1), 0]].into_iter().filter(|_| k != 0));
    }
    let small =
        |v: u64, reach: f32| u64::from((((v >> 40) as f32 / (1 << 23) as f32 - 1.0) * reach).to_bits());
    for _ in 0..200_000 {
        let (a, b) = (next(), next());
        let any = [a >> 32, b >> 32];
        all.extend([[EXP, any[0], 0], [EXP, small(a, 105.0), 0], [SIGMOID, small(b, 110.0), 0]]);
        all.extend([[ATAN2, any[0], any[1]], [ATAN2, small(a, 3.0), small(b, 3.0)]]);
        all.push([HEADING, small(a, 40.0), 0]);
        if f32::from_bits(any[1] as u32).is_finite() {
            all.push([HEADING, any[1], 0]);
        }
        let angle = f64::from(f32::from_bits(small(b, 100.0) as u32));
        let heading = f64::from(f32::from_bits(small(a, PI) as u32));
        all.extend([[SIN_COS, angle.to_bits(), 0], [SIN_COS, heading.to_bits(), 0]]);
        all.push([SIN_COS, (a % 0x4059_0000_0000_0000) | (b & 1) << 63, 0]);
    }
    all
}

#[test]
fn the_functions_of_the_kernels_give_the_bits_of_the_cpu() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = out.join("math_host");
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let built = Command::new(&compiler)
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-I"])
        .arg(here.join("cu"))
        .arg(here.join("tests/math_host.cpp"))
        .arg("-o")
        .arg(&program)
        .output();
    let Ok(built) = built else {
        println!("skipped: there is no C++ compiler `{compiler}`");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let records = records();
    let input = out.join("math_records.bin");
    std::fs::write(&input, records.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
        .unwrap();
    let run =
        Command::new(&program).stdin(Stdio::from(std::fs::File::open(&input).unwrap())).output().unwrap();
    assert!(run.status.success());
    let answers = run.stdout.as_chunks::<8>().0;
    assert_eq!(answers.len(), 2 * records.len());
    for (record, got) in records.iter().zip(answers.chunks_exact(2)) {
        let got = [u64::from_le_bytes(got[0]), u64::from_le_bytes(got[1])];
        let got = match record[0] {
            SIN_COS => got,
            _ => [bits(f32::from_bits(got[0] as u32)), bits_f64(f64::from_bits(got[1]))],
        };
        assert_eq!(got, answer(*record), "{record:x?}");
    }
}
