//! Raw tensors: the network on the card against ONNX Runtime on the canvas that the card itself has drawn, so that
//! nothing differs but the network.

use crate::network::{Stopped, Subject, planes_of, run};
use crate::report::Section;
use pilotis_runtime::head::tensorrt::Precision;

/// How far the tensors may be from ONNX Runtime's: root mean square of the difference, over that of the values.
struct Tolerance {
    /// From the same lowered network, rounded at the same places by the same scales.
    same: f64,
    /// From the package's network in `fp32`.
    fp32: f64,
}

/// Where the numbers come from is in `docs/tensorrt.md`, "Tolerances of raw tensors".
fn tolerance(precision: Precision) -> Tolerance {
    match precision {
        Precision::Fp32 => Tolerance { same: 1e-4, fp32: 1e-4 },
        Precision::Fp16 => Tolerance { same: 2e-2, fp32: 2e-2 },
        Precision::Int8 => Tolerance { same: 0.1, fp32: 0.3 },
        Precision::Fp8 => Tolerance { same: 0.1, fp32: 0.15 },
    }
}

/// Compares every tensor of every cloud.
pub(crate) fn agree(subject: &Subject, precision: Precision, section: &mut Section) -> Result<(), Stopped> {
    let manifest = subject.package.manifest();
    let layout = manifest.head.tensors(&manifest.grid);
    let (mut same, mut fp32) = (subject.same_network(precision)?, subject.package_network()?);
    let mut worst: Vec<Worst> = layout.iter().map(|_| Worst::default()).collect();
    let mut engine = subject.on_card(precision, true, 0)?;
    section.say(format!("{} on {}", engine.describe_head(), engine.describe_stages()));
    let mut n_values = 0;
    for (cloud_idx, cloud) in subject.clouds.iter().enumerate() {
        if subject.is_emulated() && cloud_idx > 0 {
            engine = subject.on_card(precision, true, cloud_idx)?;
        }
        engine.infer(&cloud.view()).map_err(|e| e.to_string())?;
        // First the tensors: the canvas is copied after them.
        let found: Vec<Vec<f32>> = (0..layout.len())
            .map(|idx| engine.copy_tensor(idx).map_err(|e| e.to_string()))
            .collect::<Result<_, _>>()?;
        let canvas = planes_of(&mut engine)?;
        let same = run(&mut same, &canvas, manifest)?;
        let fp32 = run(&mut fp32, &canvas, manifest)?;
        for (idx, worst) in worst.iter_mut().enumerate() {
            n_values += found[idx].len();
            worst.same.add(&found[idx], &same[idx]);
            worst.fp32.add(&found[idx], &fp32[idx]);
        }
        if subject.is_emulated() {
            let recorded = subject.recorded(precision, cloud_idx)?;
            let is_equal = bits(&found) == bits(&recorded) && bits(&found) == bits(&same);
            section.require(
                is_equal,
                format!(
                    "cloud {cloud_idx}: what was replayed came back bit for bit, and is what its canvas gives"
                ),
            );
        }
    }
    section.require(n_values > 0, format!("{n_values} values of {} clouds compared", subject.clouds.len()));
    let allowed = tolerance(precision);
    for (tensor, worst) in layout.iter().zip(&worst) {
        for (found, allowed, from) in [
            (&worst.same, allowed.same, "the same network on ONNX Runtime"),
            (&worst.fp32, allowed.fp32, "ONNX Runtime in fp32"),
        ] {
            section.require(
                found.deviation <= allowed,
                format!(
                    "`{}` is {:.1e} from {from} (root mean square; {allowed:.0e} allowed), {:.2e} at most in one value",
                    tensor.name, found.deviation, found.largest
                ),
            );
        }
    }
    Ok(())
}

fn bits(tensors: &[Vec<f32>]) -> Vec<u32> {
    tensors.iter().flatten().map(|v| v.to_bits()).collect()
}

/// What one tensor came to, over all clouds.
#[derive(Default)]
struct Worst {
    same: Difference,
    fp32: Difference,
}

/// How far tensors are apart.
#[derive(Debug, Default, PartialEq)]
struct Difference {
    /// Root mean square of what differs over that of the values; the worst cloud's.
    deviation: f64,
    /// The largest difference of two values.
    largest: f64,
}

impl Difference {
    /// Takes a pair of tensors into account; a value that is no number on one side only is infinitely far.
    fn add(&mut self, found: &[f32], expected: &[f32]) {
        let (mut differs, mut values) = (0.0, 0.0);
        if found.len() != expected.len() {
            differs = f64::INFINITY;
        }
        for (f, e) in found.iter().zip(expected) {
            let is_one_nan = f.is_nan() != e.is_nan();
            let apart = if is_one_nan { f64::INFINITY } else { f64::from(*f) - f64::from(*e) };
            let apart =
                if f.is_nan() && e.is_nan() || f.to_bits() == e.to_bits() { 0.0 } else { apart.abs() };
            differs += apart * apart;
            values += if e.is_finite() { f64::from(*e).powi(2) } else { 0.0 };
            self.largest = self.largest.max(apart);
        }
        // A tensor of zeros: any difference is all of it.
        let deviation = if differs == 0.0 { 0.0 } else { (differs / values).sqrt() };
        self.deviation = self.deviation.max(deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_measured_and_what_is_no_number_is_seen() {
        let of = |found: &[f32], expected: &[f32]| {
            let mut difference = Difference::default();
            difference.add(found, expected);
            difference
        };
        assert_eq!(of(&[3.0, 4.0], &[3.0, 4.0]), Difference::default());
        assert_eq!(of(&[3.0, 4.5], &[3.0, 4.0]), Difference { deviation: 0.1, largest: 0.5 });
        assert_eq!(of(&[f32::NAN, 1.0], &[f32::NAN, 1.0]), Difference::default());
        assert_eq!(of(&[f32::INFINITY], &[f32::INFINITY]), Difference::default());
        for (found, expected) in [(f32::NAN, 1.0), (1.0, f32::NAN), (1.0, f32::INFINITY), (0.5, 0.0)] {
            assert!(of(&[found], &[expected]).deviation.is_infinite(), "{found} and {expected}");
        }
        assert!(of(&[1.0], &[1.0, 2.0]).deviation.is_infinite());
        // The worst of several clouds stays.
        let mut both = of(&[3.0, 4.5], &[3.0, 4.0]);
        both.add(&[1.0], &[1.0]);
        assert_eq!(both, Difference { deviation: 0.1, largest: 0.5 });
    }
}
