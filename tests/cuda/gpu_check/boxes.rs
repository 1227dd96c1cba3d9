//! Boxes: the whole on the card against the whole on the processor, with ONNX Runtime in `fp32`.

use crate::network::{Stopped, Subject};
use crate::report::Section;
use pilotis_runtime::head::tensorrt::Precision;
use pilotis_runtime::{CloudFile, Engine};
use pilotis_spec::Detection;

/// How far boxes may be apart: metres between centres, and score; and the share of them that must not be farther.
///
/// `f32` differs by the order of sums. `f16` has ten bits: 0.2 % of a tensor deviated on ONNX Runtime
/// (`lowered_networks_compute_what_the_network_computes`), which is centimetres. Eight bits deviate by several
/// percent, so that boxes near the threshold come and go; they are told, and only a rout is a failure.
fn tolerance(precision: Precision) -> (f32, f32, f64) {
    match precision {
        Precision::Fp32 => (0.01, 0.002, 1.0),
        Precision::Fp16 => (0.05, 0.02, 0.98),
        Precision::Int8 | Precision::Fp8 => (0.3, 0.15, 0.8),
    }
}

/// Compares the boxes of every cloud.
pub(crate) fn agree(subject: &Subject, precision: Precision, section: &mut Section) -> Result<(), Stopped> {
    let mut processor = subject.on_processor()?;
    let mut card = subject.on_card(precision, true, 0)?;
    section.say(format!("{} on {}", card.describe_head(), card.describe_stages()));
    let (max_m, max_score, min_share) = tolerance(precision);
    let (mut n, mut n_matched, mut worst_m, mut worst_score) = (0, 0, 0.0_f32, 0.0_f32);
    for (cloud_idx, cloud) in subject.clouds.iter().enumerate() {
        if subject.is_emulated() && cloud_idx > 0 {
            card = subject.on_card(precision, true, cloud_idx)?;
        }
        let (expected, found) = (boxes(&mut processor, cloud)?, boxes(&mut card, cloud)?);
        n += expected.len().max(found.len());
        for (metres, score) in matched(&expected, &found, max_m, max_score) {
            n_matched += 1;
            (worst_m, worst_score) = (worst_m.max(metres), worst_score.max(score));
        }
    }
    let share = if n > 0 { f64::from(n_matched) / n as f64 } else { 0.0 };
    section.require(n > 0, format!("{n} boxes in {} clouds", subject.clouds.len()));
    section.require(
        share >= min_share,
        format!(
            "{n_matched} of {n} agree within {max_m} m and {max_score} of score ({:.1} %, asked {:.0} %)",
            share * 1e2,
            min_share * 1e2
        ),
    );
    section.say(format!("of those, at most {worst_m:.4} m and {worst_score:.4} of score apart"));
    Ok(())
}

fn boxes(engine: &mut Engine, cloud: &CloudFile) -> Result<Vec<Detection>, Stopped> {
    Ok(engine.infer(&cloud.view()).map(|frame| frame.detections.to_vec()).map_err(|e| e.to_string())?)
}

/// Metres and score between boxes that belong together. A box belongs to one other at most.
fn matched(expected: &[Detection], found: &[Detection], max_m: f32, max_score: f32) -> Vec<(f32, f32)> {
    let mut left: Vec<&Detection> = found.iter().collect();
    let mut pairs = Vec::new();
    for e in expected {
        let of_class = left.iter().enumerate().filter(|(_, f)| f.class_idx == e.class_idx);
        let nearest = of_class.min_by(|(_, a), (_, b)| distance(a, e).total_cmp(&distance(b, e)));
        let Some((at, f)) = nearest else { continue };
        let (metres, score) = (distance(f, e), (f.score - e.score).abs());
        if metres <= max_m && score <= max_score {
            pairs.push((metres, score));
            left.remove(at);
        }
    }
    pairs
}

fn distance(a: &Detection, b: &Detection) -> f32 {
    let [dx, dy, dz] = [0, 1, 2].map(|i| a.bbox.center[i] - b.bbox.center[i]);
    (dx * dx + dy * dy + dz * dz).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::Box3d;

    #[test]
    fn a_box_belongs_to_one_other_of_its_class() {
        let at = |x: f32, score: f32, class_idx: u32| Detection {
            bbox: Box3d { center: [x, 0.0, 0.0], size: [1.0; 3], yaw: 0.0 },
            velocity: [0.0; 2],
            score,
            class_idx,
        };
        let pairs = |expected: &[Detection], found: &[Detection]| matched(expected, found, 0.5, 0.1).len();
        assert_eq!(pairs(&[at(0.0, 0.5, 0)], &[at(0.2, 0.45, 0)]), 1);
        assert_eq!(pairs(&[at(0.0, 0.5, 0)], &[at(0.2, 0.45, 1)]), 0, "another class");
        assert_eq!(pairs(&[at(0.0, 0.5, 0)], &[at(0.6, 0.5, 0)]), 0, "too far");
        assert_eq!(pairs(&[at(0.0, 0.5, 0)], &[at(0.0, 0.7, 0)]), 0, "another score");
        assert_eq!(pairs(&[at(0.0, 0.5, 0), at(0.1, 0.5, 0)], &[at(0.0, 0.5, 0)]), 1, "one for two");
    }
}
