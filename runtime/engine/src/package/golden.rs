//! The golden: read, and checked against manifest and folder.

use super::utf8;
use pilotis_spec::golden::GOLDEN_FILE;
use pilotis_spec::manifest::is_sha256;
use pilotis_spec::{Golden, Manifest};
use std::collections::BTreeMap;

/// Most boxes of a golden.
const MAX_GOLDEN_BOXES: usize = 50;

/// Reads the golden and checks it against manifest and folder.
pub(super) fn read_golden(files: &BTreeMap<String, Vec<u8>>, manifest: &Manifest) -> Result<Golden, String> {
    let text = utf8(files, GOLDEN_FILE)?;
    let golden: Golden = toml::from_str(text).map_err(|e| format!("{GOLDEN_FILE}: {e}"))?;
    let wrong = |what: String| Err(format!("{GOLDEN_FILE}: {what}"));
    let Some(input) = files.get(&golden.input) else {
        return wrong(format!("its input `{}` is not in the package", golden.input.escape_debug()));
    };
    let n_bytes = u64::from(golden.n_points) * manifest.points.layout.stride_bytes() as u64;
    if input.len() as u64 != n_bytes {
        return wrong(format!(
            "{} points of layout {} are {n_bytes} bytes, `{}` has {}",
            golden.n_points,
            manifest.points.layout,
            golden.input,
            input.len()
        ));
    }
    if golden.n_points_kept > golden.n_points || golden.n_pillars > golden.n_points_kept {
        return wrong(format!(
            "{} pillars of {} kept of {} points cannot be",
            golden.n_pillars, golden.n_points_kept, golden.n_points
        ));
    }
    for (name, digest) in
        [("pillars_sha256", &golden.pillars_sha256), ("canvas_sha256", &golden.canvas_sha256)]
    {
        if !is_sha256(digest) {
            return wrong(format!("{name} is no SHA-256"));
        }
    }
    if !(golden.head_tolerance.is_finite() && golden.head_tolerance >= 0.0) {
        return wrong(format!("head_tolerance {} is no tolerance", golden.head_tolerance));
    }
    let tensors = manifest.head.tensors(&manifest.grid);
    for spec in &tensors {
        let n = golden.tensors.iter().filter(|t| t.name == spec.name).count();
        if n != 1 {
            return wrong(format!("tensor `{}` stands {n} times", spec.name));
        }
    }
    for sample in &golden.tensors {
        let Some(spec) = tensors.iter().find(|t| t.name == sample.name) else {
            return wrong(format!("the head has no tensor `{}`", sample.name));
        };
        if sample.idx.is_empty() || sample.idx.len() != sample.values.len() {
            return wrong(format!(
                "tensor `{}` has {} indices and {} values",
                sample.name,
                sample.idx.len(),
                sample.values.len()
            ));
        }
        if let Some(idx) = sample.idx.iter().find(|idx| **idx as usize >= spec.n_values()) {
            return wrong(format!("tensor `{}` has {} values, none at {idx}", sample.name, spec.n_values()));
        }
        if sample.values.iter().any(|v| !v.is_finite()) {
            return wrong(format!("tensor `{}` has a value that is not finite", sample.name));
        }
    }
    if golden.boxes.len() > MAX_GOLDEN_BOXES {
        return wrong(format!("has {} boxes, at most {MAX_GOLDEN_BOXES}", golden.boxes.len()));
    }
    if golden.boxes.iter().any(|b| b.class_idx as usize >= manifest.classes.len()) {
        return wrong(format!("a box is of none of the {} classes", manifest.classes.len()));
    }
    Ok(golden)
}
