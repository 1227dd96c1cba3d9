//! Roofline: what a card cannot do faster. Computed from a plan; nothing of it was measured.
//!
//! A kernel takes at least the time that its operands need on the memory bus, and at least the time that its
//! multiplications need on the tensor cores, whichever is longer; between two kernels of a graph a gap passes.
//! Caches are left out (operands that are still in the L2 cache cost less), and so is everything that keeps a
//! kernel from its card's peak (which makes it cost more).
//!
//! **Source**: NVIDIA Ada GPU architecture, tensor core rates of the full AD102 (330.3 TFLOPS of `f16` with
//! `f16` sums at 2.52 GHz on 128 multiprocessors, half of it with `f32` sums, twice of it in eight bits).

use super::text::{Layer, PlanText};
pub use pilotis_kernels::cards::{CARDS, Card, LAUNCH_GAP_US};
use serde::Serialize;

/// Multiply-accumulates a second that convolutions of an element reach at best; sums in `f32`, or in `i32` for
/// integers.
fn macs_per_s(card: &Card, element: &str) -> f64 {
    let per_clock = match element {
        "int8" => 1024.0,
        "fp8_e4m3" => 512.0,
        "half" | "bf16" => 256.0,
        _ => 128.0,
    };
    per_clock * f64::from(card.n_multiprocessors) * card.clock_ghz * 1e9
}

/// The bound of one kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Its name in the plan.
    pub kernel: String,
    /// Microseconds of memory traffic.
    pub memory_us: f64,
    /// Microseconds of multiplications.
    pub compute_us: f64,
}

impl Bound {
    /// The longer of the two.
    pub fn us(&self) -> f64 {
        self.memory_us.max(self.compute_us)
    }
}

/// Multiply-accumulates of a kernel: 0 where it is no convolution.
///
/// A convolution has a weight `[out, in, kh, kw]` meet every output value's place, a transposed one
/// `[in, out, kh, kw]` every input value's.
pub fn n_macs(layer: &Layer) -> u64 {
    let weight = layer.inputs.iter().find(|o| o.is_constant && o.dims.len() == 4 && o.dims[1] > 1);
    let map = match layer.kind.as_str() {
        "convolution" => layer.outputs.first(),
        "deconvolution" => layer.inputs.first(),
        _ => None,
    };
    match (weight, map.map(|m| m.dims.as_slice())) {
        (Some(weight), Some([_, _, h, w])) => weight.dims.iter().product::<u64>() * h * w,
        _ => 0,
    }
}

/// The bounds of a plan's kernels on a card, in order.
pub fn bounds(plan: &PlanText, card: &Card) -> Vec<Bound> {
    let bound = |layer: &Layer| {
        let element = layer.computes_in().unwrap_or_default();
        Bound {
            kernel: layer.name.clone(),
            memory_us: layer.traffic_bytes() as f64 / card.memory_gb_per_s / 1e3,
            compute_us: n_macs(layer) as f64 / macs_per_s(card, element) * 1e6,
        }
    };
    plan.layers.iter().map(bound).collect()
}

/// Microseconds of a whole run, gaps included.
pub fn total_us(bounds: &[Bound]) -> f64 {
    bounds.iter().map(|b| b.us() + LAUNCH_GAP_US).sum()
}

#[cfg(test)]
mod tests {
    use super::super::text::Operand;
    use super::*;

    fn operand(element: &str, dims: &[u64], is_constant: bool) -> Operand {
        Operand { element: element.to_owned(), dims: dims.to_vec(), is_constant, ..Operand::default() }
    }

    fn layer(kind: &str, inputs: Vec<Operand>, output: Operand) -> Layer {
        Layer { kind: kind.to_owned(), inputs, outputs: vec![output], ..Layer::default() }
    }

    #[test]
    fn kernels_are_bound_by_what_takes_longer() {
        let conv = layer(
            "convolution",
            vec![operand("half", &[1, 64, 100, 100], false), operand("half", &[128, 64, 3, 3], true)],
            operand("half", &[1, 128, 50, 50], false),
        );
        assert_eq!(n_macs(&conv), 128 * 64 * 9 * 2500);
        let up = layer(
            "deconvolution",
            vec![operand("half", &[1, 32, 10, 10], false), operand("half", &[32, 16, 2, 2], true)],
            operand("half", &[1, 16, 20, 20], false),
        );
        assert_eq!(n_macs(&up), 32 * 16 * 4 * 100);
        let cast = layer(
            "function",
            vec![operand("half", &[1, 8, 10, 10], false)],
            operand("float", &[1, 8, 10, 10], false),
        );
        assert_eq!(n_macs(&cast), 0);
        // One multiprocessor at 1 GHz does 256 in a nanosecond; the bus moves a byte in a microsecond.
        let card = Card { name: "slow", n_multiprocessors: 1, clock_ghz: 1.0, memory_gb_per_s: 1e-3 };
        let plan = PlanText { layers: vec![conv, up, cast], ..PlanText::default() };
        let bounds = bounds(&plan, &card);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6 * b;
        assert!(close(bounds[0].compute_us, 720.0), "{bounds:?}");
        assert!(close(bounds[1].memory_us, f64::from((3200 + 2048 + 6400) * 2)), "{bounds:?}");
        assert!(close(bounds[2].us(), 4800.0), "{bounds:?}");
        let sum: f64 = bounds.iter().map(Bound::us).sum();
        assert!(close(total_us(&bounds), sum + 3.0 * LAUNCH_GAP_US));
    }

    #[test]
    fn eight_bits_multiply_faster_and_every_kernel_counts_once() {
        let card = Card { name: "slow", n_multiprocessors: 1, clock_ghz: 1.0, memory_gb_per_s: 1e9 };
        let conv = |element: &str| {
            let map = operand(element, &[1, 64, 100, 100], false);
            layer(
                "convolution",
                vec![map, operand(element, &[128, 64, 3, 3], true)],
                operand("half", &[1, 128, 50, 50], false),
            )
        };
        let layers: Vec<Layer> = ["float", "half", "fp8_e4m3", "int8"].map(conv).into();
        let plan = PlanText { layers, ..PlanText::default() };
        let bounds = bounds(&plan, &card);
        assert_eq!(bounds.len(), plan.layers.len());
        let us: Vec<f64> = bounds.iter().map(Bound::us).collect();
        // 128, 256, 512 and 1024 multiply-accumulates a clock.
        assert_eq!(us, [1440.0, 720.0, 360.0, 180.0]);
    }
}
