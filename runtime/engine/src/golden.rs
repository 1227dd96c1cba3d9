//! Golden: whether an engine answers what its package says it must.

use crate::engine::Engine;
use crate::error::{BuildError, BuildErrorKind};
use crate::package::Package;
use crate::points::CloudView;
use pilotis_spec::{Detection, FrameReport};
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
        let pillars = engine.last_pillars();
        let mut hash = Sha256::new();
        for (p, cell) in pillars.cells().iter().enumerate() {
            let members = pillars.points_of(p);
            hash.update(cell.to_le_bytes());
            hash.update((members.len() as u32).to_le_bytes());
            for idx in members {
                hash.update(idx.to_le_bytes());
            }
        }
        let pillars_sha256 = hex(&hash.finalize());
        let (cells, channels) = engine.last_canvas();
        let n_channels = engine.manifest().bev.n_channels();
        let mut hash = Sha256::new();
        for (cell, values) in cells.iter().zip(channels.chunks_exact(n_channels)) {
            hash.update(cell.to_le_bytes());
            for value in values {
                hash.update(value.to_le_bytes());
            }
        }
        Ok(Self { report, pillars_sha256, canvas_sha256: hex(&hash.finalize()), detections })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, b| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{b:02x}");
        text
    })
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
    Ok(result)
}
