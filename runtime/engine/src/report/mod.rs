//! Report: what came out of a frame, for people and other programs.
//!
//! Here are the views that become JSON; `latency` holds percentiles over many frames, `picture`
//! the bird's-eye picture of one.

pub mod latency;
mod marks;
pub mod picture;

use crate::engine::Frame;
use pilotis_spec::{Detection, FrameReport, Manifest, StageTimes};
use serde::{Deserialize, Serialize};

/// One detected object, as JSON.
///
/// **Units and frame**: those of [`pilotis_spec::Box3d`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxJson {
    /// Name of the class.
    pub class: String,
    /// Score in 0..=1.
    pub score: f32,
    /// Geometric centre `[x, y, z]`.
    pub center: [f32; 3],
    /// `[length, width, height]`.
    pub size: [f32; 3],
    /// Heading in radians.
    pub yaw: f32,
    /// Velocity along x and y in m/s; absent for models without velocity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub velocity: Option<[f32; 2]>,
}

impl BoxJson {
    /// The view of a detection; `None` where a number is not finite, for which JSON has no word.
    pub fn of(detection: &Detection, manifest: &Manifest) -> Option<Self> {
        let Detection { bbox, velocity, score, class_idx } = detection;
        let velocity = manifest.head.has_velocity().then_some(*velocity);
        let numbers = bbox.center.iter().chain(&bbox.size).chain([&bbox.yaw, score]);
        let mut all = numbers.chain(velocity.iter().flatten());
        all.all(|v| v.is_finite()).then(|| Self {
            class: class_name(manifest, *class_idx),
            score: *score,
            center: bbox.center,
            size: bbox.size,
            yaw: bbox.yaw,
            velocity,
        })
    }
}

/// The name of a class; `class_7` for an index that the manifest does not have.
pub fn class_name(manifest: &Manifest, class_idx: u32) -> String {
    manifest.classes.get(class_idx as usize).cloned().unwrap_or_else(|| format!("class_{class_idx}"))
}

/// Milliseconds of each stage, and of the whole frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimesJson {
    /// Bytes to validated points.
    pub points: f64,
    /// Points to pillars.
    pub pillars: f64,
    /// Pillars to canvas.
    pub bev: f64,
    /// Canvas to raw tensors.
    pub head: f64,
    /// Raw tensors to boxes.
    pub boxes: f64,
    /// The whole frame.
    pub frame: f64,
}

impl From<&StageTimes> for TimesJson {
    fn from(times: &StageTimes) -> Self {
        Self {
            points: ms(times.points_ns),
            pillars: ms(times.pillars_ns),
            bev: ms(times.bev_ns),
            head: ms(times.head_ns),
            boxes: ms(times.boxes_ns),
            frame: ms(times.frame_ns),
        }
    }
}

/// Milliseconds of nanoseconds.
pub fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// A [`FrameReport`], as JSON: flags by name, times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields of FrameReport, where they are documented")]
pub struct ReportJson {
    pub frame_idx: u64,
    pub n_points: u32,
    pub n_points_kept: u32,
    pub dropped_nan: u32,
    pub dropped_out_of_range: u32,
    pub dropped_near_sensor: u32,
    pub dropped_over_capacity: u32,
    pub dropped_pillar_full: u32,
    pub dropped_no_pillar: u32,
    pub n_pillars: u32,
    pub n_candidates: u32,
    pub dropped_candidates: u32,
    pub n_suppressed: u32,
    pub dropped_boxes: u32,
    pub n_boxes: u32,
    pub flags: Vec<String>,
    pub times_ms: TimesJson,
}

impl From<&FrameReport> for ReportJson {
    fn from(report: &FrameReport) -> Self {
        // Taken apart by name, so that a new counter cannot be forgotten here.
        let FrameReport {
            frame_idx,
            n_points,
            n_points_kept,
            dropped_nan,
            dropped_out_of_range,
            dropped_near_sensor,
            dropped_over_capacity,
            dropped_pillar_full,
            dropped_no_pillar,
            n_pillars,
            n_candidates,
            dropped_candidates,
            n_suppressed,
            dropped_boxes,
            n_boxes,
            flags,
            times,
        } = *report;
        Self {
            frame_idx,
            n_points,
            n_points_kept,
            dropped_nan,
            dropped_out_of_range,
            dropped_near_sensor,
            dropped_over_capacity,
            dropped_pillar_full,
            dropped_no_pillar,
            n_pillars,
            n_candidates,
            dropped_candidates,
            n_suppressed,
            dropped_boxes,
            n_boxes,
            flags: flags.names().map(str::to_owned).collect(),
            times_ms: TimesJson::from(&times),
        }
    }
}

/// One frame, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameJson {
    /// The input, as the caller named it.
    pub file: String,
    /// Boxes, best first.
    pub boxes: Vec<BoxJson>,
    /// What happened on the way; its `n_boxes` counts the engine's boxes, before any filter of
    /// the caller's.
    pub report: ReportJson,
}

impl FrameJson {
    /// The view of a frame, with the boxes whose score is at least `min_score`.
    pub fn of(file: &str, frame: &Frame<'_>, manifest: &Manifest, min_score: f32) -> Self {
        let wanted = frame.detections.iter().filter(|d| d.score >= min_score);
        Self {
            file: file.to_owned(),
            boxes: wanted.filter_map(|d| BoxJson::of(d, manifest)).collect(),
            report: ReportJson::from(&frame.report),
        }
    }
}

/// An input that failed, as a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureJson {
    /// The input, as the caller named it.
    pub file: String,
    /// Why, and what to do.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::{Box3d, FrameFlags};

    const KITTI: &str = include_str!("../../../spec/tests/kitti_manifest.toml");

    fn car() -> Detection {
        let bbox = Box3d { center: [10.0, -2.5, -1.0], size: [3.9, 1.6, 1.5], yaw: 0.25 };
        Detection { bbox, velocity: [1.0, 2.0], score: 0.875, class_idx: 0 }
    }

    #[test]
    fn a_frame_is_one_line_with_names_for_flags_and_classes() {
        let manifest = Manifest::from_toml(KITTI).unwrap();
        let mut report = FrameReport { n_points: 7, n_boxes: 2, ..FrameReport::default() };
        report.flags.insert(FrameFlags::OVER_CAPACITY);
        report.times.head_ns = 1_500_000;
        let weak = Detection { score: 0.25, ..car() };
        let frame = Frame { detections: &[car(), weak], report };
        let text = serde_json::to_string(&FrameJson::of("a.bin", &frame, &manifest, 0.5)).unwrap();
        assert!(!text.contains('\n'));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!([{
            "class": "car", "score": 0.875, "center": [10.0, -2.5, -1.0],
            "size": [3.9, 1.6, 1.5], "yaw": 0.25
        }]);
        // Through text on both sides: f32 and f64 spell 3.9 alike.
        assert_eq!(json["boxes"].to_string(), expected.to_string());
        assert_eq!(json["report"]["flags"], serde_json::json!(["over_capacity"]));
        assert_eq!(json["report"]["times_ms"]["head"], 1.5);
        assert_eq!(json["report"]["n_boxes"], 2);
    }

    #[test]
    fn numbers_that_json_cannot_say_never_reach_it() {
        let manifest = Manifest::from_toml(KITTI).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            type Edit = fn(&mut Detection, f32);
            let edits: [Edit; 4] = [
                |d, v| d.bbox.center[2] = v,
                |d, v| d.bbox.size[0] = v,
                |d, v| d.bbox.yaw = v,
                |d, v| d.score = v,
            ];
            for edit in edits {
                let mut detection = car();
                edit(&mut detection, bad);
                assert_eq!(BoxJson::of(&detection, &manifest), None);
            }
            // Without a velocity to tell, its numbers do not matter.
            let still = Detection { velocity: [bad, 0.0], ..car() };
            assert!(BoxJson::of(&still, &manifest).is_some());
        }
    }

    #[test]
    fn velocity_is_told_where_the_model_has_it() {
        let text = KITTI.replace("stride = 2\n", "stride = 2\nvelocity = true\n");
        let manifest = Manifest::from_toml(&text).unwrap();
        assert_eq!(BoxJson::of(&car(), &manifest).unwrap().velocity, Some([1.0, 2.0]));
        let unknown = Detection { class_idx: 9, ..car() };
        assert_eq!(BoxJson::of(&unknown, &manifest).unwrap().class, "class_9");
    }
}
