//! Golden: whether an engine answers what its package says it must.

use crate::engine::Engine;
use crate::error::{BuildError, BuildErrorKind};
use crate::package::{Package, hex};
use crate::points::CloudView;
use pilotis_spec::{Detection, FrameReport, Golden};
use sha2::{Digest, Sha256};

/// What the exact stages answered to one cloud, and the boxes that came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Counts of the frame.
    pub report: FrameReport,
    /// See [`pilotis_spec::Golden::pillars_sha256`].
    pub pillars_sha256: String,
    /// See [`pilotis_spec::Golden::canvas_sha256`].
    pub canvas_sha256: String,
    /// All boxes.
    pub detections: Vec<Detection>,
}

impl Answers {
    /// Runs a cloud through an engine and digests what its stages put out.
    ///
    /// **Errors**: the frame's.
    pub fn of(engine: &mut Engine, cloud: &CloudView<'_>) -> Result<Self, pilotis_spec::FrameError> {
        let frame = engine.infer(cloud)?;
        let (report, detections) = (frame.report, frame.detections.to_vec());
        let n_channels = engine.manifest().bev.n_channels();
        let last = engine.last_frame()?;
        let mut hash = Sha256::new();
        for (p, cell) in last.pillars.cells().iter().enumerate() {
            let members = last.pillars.points_of(p);
            hash.update(cell.to_le_bytes());
            hash.update((members.len() as u32).to_le_bytes());
            for idx in members {
                hash.update(idx.to_le_bytes());
            }
        }
        let pillars_sha256 = hex(&hash.finalize());
        let mut hash = Sha256::new();
        for (cell, values) in last.cells.iter().zip(last.channels.chunks_exact(n_channels)) {
            hash.update(cell.to_le_bytes());
            for value in values {
                hash.update(value.to_le_bytes());
            }
        }
        Ok(Self { report, pillars_sha256, canvas_sha256: hex(&hash.finalize()), detections })
    }
}

/// How far an engine is from its package's golden answers, where they are numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GoldenMatch {
    /// Samples of raw tensors compared.
    pub n_samples: usize,
    /// Largest absolute difference among them.
    pub largest_difference: f32,
}

/// Runs the package's golden cloud and compares every stage.
///
/// The stages before the network must agree to the bit, the network within the golden's
/// tolerance.
///
/// **Errors**: a package without a golden, and the first stage that answers otherwise.
pub fn check(package: &Package, engine: &mut Engine) -> Result<GoldenMatch, BuildError> {
    let wrong = |text: String| BuildError::new(BuildErrorKind::Mismatch, format!("golden: {text}"));
    let (Some(golden), Some(input)) = (package.golden(), package.golden_input()) else {
        return Err(wrong("the package has none; export it again".to_owned()));
    };
    let layout = &package.manifest().points.layout;
    let cloud = CloudView::from_bytes(input, layout).map_err(|e| wrong(e.to_string()))?;
    let answers = Answers::of(engine, &cloud).map_err(|e| wrong(e.to_string()))?;
    let counts = [
        ("n_points", golden.n_points, answers.report.n_points),
        ("n_points_kept", golden.n_points_kept, answers.report.n_points_kept),
        ("n_pillars", golden.n_pillars, answers.report.n_pillars),
    ];
    for (name, want, got) in counts {
        if want != got {
            return Err(wrong(format!("{name} is {got}, must be {want}")));
        }
    }
    if golden.pillars_sha256 != answers.pillars_sha256 {
        return Err(wrong("the pillars stage groups otherwise".to_owned()));
    }
    if golden.canvas_sha256 != answers.canvas_sha256 {
        return Err(wrong("the bev stage encodes otherwise".to_owned()));
    }
    let names = package.manifest().head.tensors(&package.manifest().grid);
    let mut result = GoldenMatch::default();
    for tensor in &golden.tensors {
        let idx = names.iter().position(|t| t.name == tensor.name).unwrap_or(usize::MAX);
        let got = engine.last_tensor(idx);
        for (at, want) in tensor.idx.iter().zip(&tensor.values) {
            let difference = got.get(*at as usize).map_or(f32::INFINITY, |v| (v - want).abs());
            result.n_samples += 1;
            result.largest_difference = result.largest_difference.max(difference);
            // Written so that NaN fails.
            let within = difference <= golden.head_tolerance;
            if !within {
                return Err(wrong(format!(
                    "tensor `{}` differs by {difference} at {at}; {} is allowed",
                    tensor.name, golden.head_tolerance
                )));
            }
        }
    }
    check_boxes(golden, &answers.detections, package.manifest().boxes.score_threshold).map_err(
        |(expected, nearest)| wrong(format!("no box like {expected:?}; the nearest is {nearest:?}")),
    )?;
    Ok(result)
}

/// How far a golden box and the one that answers it may be apart: what the tensors' tolerance
/// comes to over an anchor's diagonal of a few metres, tenfold.
const BOX_TOLERANCE_M: f32 = 1e-2;
/// The same for scores. Boxes this close to the threshold may be gone on another processor.
const SCORE_TOLERANCE: f32 = 1e-3;

/// Every golden box has an answer of its class, place, size and score; else the golden box and
/// what comes nearest.
fn check_boxes(
    golden: &Golden,
    detections: &[Detection],
    score_threshold: f32,
) -> Result<(), (Detection, Option<Detection>)> {
    let apart = |a: &Detection, b: &Detection| {
        let of = |k: usize| {
            (a.bbox.center[k] - b.bbox.center[k]).abs().max((a.bbox.size[k] - b.bbox.size[k]).abs())
        };
        of(0).max(of(1)).max(of(2))
    };
    for want in golden.boxes.iter().filter(|b| b.score > score_threshold + SCORE_TOLERANCE) {
        let same_class = detections.iter().filter(|d| d.class_idx == want.class_idx);
        let nearest = same_class.min_by(|a, b| apart(a, want).total_cmp(&apart(b, want)));
        let is_answered = nearest.is_some_and(|d| {
            apart(d, want) <= BOX_TOLERANCE_M && (d.score - want.score).abs() <= SCORE_TOLERANCE
        });
        if !is_answered {
            return Err((*want, nearest.copied()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::Box3d;

    fn at(x: f32, class_idx: u32, score: f32) -> Detection {
        let bbox = Box3d { center: [x, 0.0, 0.0], size: [4.0, 1.6, 1.5], yaw: 0.0 };
        Detection { bbox, velocity: [0.0; 2], score, class_idx }
    }

    #[test]
    fn golden_boxes_must_be_answered_in_place_class_and_score() {
        let golden = Golden {
            input: "golden/input.bin".to_owned(),
            n_points: 0,
            n_points_kept: 0,
            n_pillars: 0,
            pillars_sha256: String::new(),
            canvas_sha256: String::new(),
            head_tolerance: 1e-4,
            tensors: Vec::new(),
            boxes: vec![at(10.0, 0, 0.9), at(20.0, 1, 0.1005)],
        };
        let check = |detections: &[Detection]| check_boxes(&golden, detections, 0.1);
        // The second stands on the threshold and may be missing.
        assert!(check(&[at(10.001, 0, 0.9)]).is_ok());
        assert!(check(&[at(10.1, 0, 0.9)]).is_err());
        assert!(check(&[at(10.0, 1, 0.9)]).is_err());
        assert!(check(&[at(10.0, 0, 0.8)]).is_err());
        assert!(check(&[]).is_err());
    }
}
