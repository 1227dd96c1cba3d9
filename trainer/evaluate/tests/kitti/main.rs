//! KITTI's average precision against a slow reference of our own and against an evaluator in use.

mod cases;
mod reference;

use cases::{CASES, frames};
use pilotis_evaluate::kitti::{FrameLines, KittiReport, Rules, evaluate};

/// Sums of the same numbers in another order.
const SAME: f64 = 1e-9;

fn assert_same(report: &KittiReport, frames: &[FrameLines], case: &str) -> usize {
    let figures = report.figures();
    let expected = reference::figures(frames, report.rules == Rules::StrictCpp);
    let mut n_compared = 0;
    for (key, expected) in &expected {
        let found = figures.get(key).unwrap_or_else(|| panic!("{case}: no {key}"));
        if let Some(found) = found.as_f64() {
            assert!(
                (found - expected).abs() < SAME,
                "{case} {:?} {key}: {found}, expected {expected}",
                report.rules
            );
            n_compared += 1;
        }
    }
    // Means are new keys, everything else is compared.
    assert_eq!(figures.keys().filter(|k| !k.contains("Overall")).count(), expected.len());
    n_compared
}

#[test]
fn figures_are_those_of_the_reference() {
    let mut n_compared = 0;
    for spec in &CASES {
        for rules in [Rules::Ports, Rules::StrictCpp] {
            let frames = frames(spec);
            n_compared += assert_same(&evaluate(&frames, rules).unwrap(), &frames, spec.name);
        }
    }
    assert!(n_compared > 1000, "{n_compared}");
}
