//! Files of results: boxes of the LiDAR frame as the lines that KITTI's evaluators read.

use super::{Calibration, LabelLine, LidarBox};
use crate::DatasetError;
use pilotis_spec::Detection;
use std::fmt::Write as _;
use std::path::Path;

/// Edges of a box are cut here before they are projected, in metres ahead of the camera.
const NEAR_M: f64 = 0.1;

/// The lines of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultLines {
    /// One for each box that camera 2 sees a part of, in the order of the detections.
    pub lines: Vec<LabelLine>,
    /// Boxes of which the image shows nothing. The benchmark labels nothing there, so they are left out.
    pub n_outside: usize,
    /// Boxes of a class that has no name.
    pub n_nameless: usize,
}

/// The name that KITTI gives to a class of a model: `person_sitting` is `Person_sitting`.
pub fn class_name(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The box of pixels that a box of the LiDAR frame covers in camera 2's image, cut to the image.
///
/// Left, top, right, bottom; the last column of an image is `width - 1`. `None` where the image shows nothing of the
/// box.
fn image_box(bbox: &LidarBox, calibration: &Calibration, image_size_px: [f64; 2]) -> Option<[f64; 4]> {
    seen_in_image(bbox, calibration, image_size_px).map(|(seen, _)| seen)
}

/// The same, and the share of the box of pixels that lies outside of the image.
pub(crate) fn seen_in_image(
    bbox: &LidarBox,
    calibration: &Calibration,
    image_size_px: [f64; 2],
) -> Option<([f64; 4], f64)> {
    let (low, high) = pixel_extent(bbox, calibration);
    let limit = image_size_px.map(|v| v - 1.0);
    let (inside_low, inside_high) =
        ([0, 1].map(|k| low[k].clamp(0.0, limit[k])), [0, 1].map(|k| high[k].clamp(0.0, limit[k])));
    let is_seen = (0..2).all(|k| inside_low[k] < inside_high[k]);
    let area = |low: [f64; 2], high: [f64; 2]| (high[0] - low[0]) * (high[1] - low[1]);
    let outside = 1.0 - area(inside_low, inside_high) / area(low, high);
    is_seen.then_some(([inside_low[0], inside_low[1], inside_high[0], inside_high[1]], outside))
}

/// The lowest and highest pixels of a box, as if the image had no end. What lies behind the camera is cut off before
/// it is projected; a box that is all there has no pixels.
fn pixel_extent(bbox: &LidarBox, calibration: &Calibration) -> ([f64; 2], [f64; 2]) {
    let location = bbox.location(calibration);
    let (sin, cos) = (libm::sin(bbox.rotation_y()), libm::cos(bbox.rotation_y()));
    let [l, w, h] = bbox.size;
    // The box as its line says it: upright in the camera frame, from the bottom up (y is down).
    let corner = |idx: usize| {
        let sign = |bit: usize| if idx & bit == 0 { 0.5 } else { -0.5 };
        let (along, across) = (sign(1) * l, sign(2) * w);
        let up = if idx & 4 == 0 { 0.0 } else { h };
        let [x, y, z] = location;
        [x + cos * along + sin * across, y - up, z - sin * along + cos * across]
    };
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    let mut cover = |point: [f64; 3]| {
        if let Some(pixel) = calibration.project(point) {
            for k in 0..2 {
                low[k] = low[k].min(pixel[k]);
                high[k] = high[k].max(pixel[k]);
            }
        }
    };
    for idx in 0..8 {
        let a = corner(idx);
        if a[2] >= NEAR_M {
            cover(a);
        }
        for bit in [1, 2, 4] {
            let b = corner(idx ^ bit);
            if idx & bit == 0 && (a[2] < NEAR_M) != (b[2] < NEAR_M) {
                let share = (NEAR_M - a[2]) / (b[2] - a[2]);
                cover([0, 1, 2].map(|k| a[k] + share * (b[k] - a[k])));
            }
        }
    }
    (low, high)
}

/// The lines of a frame's detections; `classes` are the model's names.
///
/// **Shapes**: 16 fields; truncation and occlusion are -1, which means unknown. Boxes without a line
/// are counted.
/// **Units and frame**: detections in the LiDAR frame, lines as [`LabelLine`] says.
pub fn result_lines(
    detections: &[Detection],
    classes: &[String],
    calibration: &Calibration,
    image_size_px: [f64; 2],
) -> ResultLines {
    let mut result = ResultLines::default();
    for detection in detections {
        let bbox = LidarBox::from(&detection.bbox);
        let Some(name) = classes.get(detection.class_idx as usize) else {
            result.n_nameless += 1;
            continue;
        };
        let Some(image_box) = image_box(&bbox, calibration, image_size_px) else {
            result.n_outside += 1;
            continue;
        };
        let [l, w, h] = bbox.size;
        result.lines.push(LabelLine {
            class_name: class_name(name),
            truncation: -1.0,
            occlusion: -1,
            alpha_rad: bbox.alpha_rad(calibration),
            image_box,
            size_hwl: [h, w, l],
            location: bbox.location(calibration),
            rotation_y: bbox.rotation_y(),
            score: Some(f64::from(detection.score)),
        });
    }
    result
}

/// Writes a frame's detections as a file of results; without any, an empty file.
///
/// Evaluators take a file that is missing for an error, and an empty one for a frame without boxes.
/// The arguments are those of [`result_lines`], and so is what is returned.
///
/// **Errors**: a file that cannot be written.
pub fn write_results(
    path: &Path,
    detections: &[Detection],
    classes: &[String],
    calibration: &Calibration,
    image_size_px: [f64; 2],
) -> Result<ResultLines, DatasetError> {
    let result = result_lines(detections, classes, calibration, image_size_px);
    let mut text = String::new();
    for line in &result.lines {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
    std::fs::write(path, text).map_err(|source| DatasetError::Write { path: path.to_owned(), source })?;
    Ok(result)
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
