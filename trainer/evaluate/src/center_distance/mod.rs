//! Average precision by centre distance, as nuScenes defines it.
//!
//! Detections of a class go by falling score (of equal scores the later one first); each takes
//! the nearest object of its class in its frame that none has taken, by the distance of the
//! centres in the ground plane, and is right if that is below the threshold. Precision is
//! interpolated at 101 recalls; the average precision is the mean over recalls above 0.1 of what
//! exceeds a precision of 0.1, relative to 0.9.
//!
//! One thing is ours: objects with fewer points than the filter asks for are **ignored** rather
//! than gone. A detection that finds no counted object within the threshold but a free ignored
//! one takes it (the nearest) and is neither right nor wrong. Without ignored objects the figures
//! are nuScenes' own.
//!
//! **Source**: nuscenes-devkit `eval/detection/algo.py`, `eval/common/utils.py`.

mod report;
#[cfg(test)]
mod tests;

pub use report::{CenterDistanceReport, ClassResult, OperatingPoint};

use pilotis_spec::{Box3d, Detection, Grid};
use std::f64::consts::PI;

/// Distances in metres below which a detection is right, each with its average precision.
pub const THRESHOLDS_M: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// The threshold at which errors, recall and precision at a score are taken.
pub const OPERATING_THRESHOLD_M: f64 = 2.0;

pub(crate) const N_RECALLS: usize = 101;
/// Bins of recall that count: those above 0.1.
pub(crate) const FIRST_BIN: usize = 11;
pub(crate) const MIN_PRECISION: f64 = 0.1;

/// What is in a frame, and what a model says is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameResult {
    /// Class index, box and number of points of every object.
    pub ground_truths: Vec<(usize, Box3d, u32)>,
    /// The model's boxes in its order.
    pub detections: Vec<Detection>,
}

/// Which objects and detections count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    /// Lower corner of the region of centres in metres, inclusive.
    pub min_m: [f32; 2],
    /// Upper corner, exclusive.
    pub max_m: [f32; 2],
    /// Centres at this distance from the sensor or further do not count.
    pub max_distance_m: f64,
    /// Objects with fewer points are ignored.
    pub min_points: u32,
}

impl Default for Filter {
    /// Everything counts.
    fn default() -> Self {
        Self {
            min_m: [f32::NEG_INFINITY; 2],
            max_m: [f32::INFINITY; 2],
            max_distance_m: f64::INFINITY,
            min_points: 0,
        }
    }
}

impl Filter {
    /// What lies on a grid, with at least this many points.
    pub fn on_grid(grid: &Grid, min_points: u32) -> Self {
        let ([min_x, min_y, _], [max_x, max_y, _]) = (grid.min(), grid.max());
        Self { min_m: [min_x, min_y], max_m: [max_x, max_y], min_points, ..Self::default() }
    }

    /// Whether a box's centre lies in the region.
    pub fn holds(&self, bbox: &Box3d) -> bool {
        let inside = (0..2).all(|k| bbox.center[k] >= self.min_m[k] && bbox.center[k] < self.max_m[k]);
        inside && libm::hypot(f64::from(bbox.center[0]), f64::from(bbox.center[1])) < self.max_distance_m
    }
}

/// Results that cannot be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// A box or score is not finite, or a size is not positive.
    #[error("frame {frame_idx}: {kind} {idx} is not a box of finite numbers and positive size")]
    Unsound {
        /// The frame, counted from 0.
        frame_idx: usize,
        /// `detection` or `ground truth`.
        kind: &'static str,
        /// Which one, counted from 0.
        idx: usize,
    },
    /// A class index is past the class names.
    #[error("frame {frame_idx}: {kind} {idx} has class {class_idx}, there are {n_classes}")]
    UnknownClass {
        /// The frame, counted from 0.
        frame_idx: usize,
        /// `detection` or `ground truth`.
        kind: &'static str,
        /// Which one, counted from 0.
        idx: usize,
        /// Its class.
        class_idx: usize,
        /// Classes that there are.
        n_classes: usize,
    },
    /// There is no frame, so there is nothing to say.
    #[error("there are no frames to evaluate")]
    NoFrames,
}

/// Evaluates every class.
///
/// `score_threshold` is that of the operating point alone: average precision takes all detections.
///
/// **Errors**: no frames, an unsound box or score, an unknown class.
pub fn evaluate(
    frames: &[FrameResult],
    class_names: &[&str],
    filter: &Filter,
    score_threshold: f64,
) -> Result<CenterDistanceReport, EvaluateError> {
    check(frames, class_names.len())?;
    let classes = class_names
        .iter()
        .enumerate()
        .map(|(class_idx, name)| evaluate_class(frames, class_idx, name, filter, score_threshold))
        .collect();
    Ok(CenterDistanceReport { classes, n_frames: frames.len() })
}

fn check(frames: &[FrameResult], n_classes: usize) -> Result<(), EvaluateError> {
    if frames.is_empty() {
        return Err(EvaluateError::NoFrames);
    }
    for (frame_idx, frame) in frames.iter().enumerate() {
        let one = |kind: &'static str, idx: usize, class_idx: usize, bbox: &Box3d, score: f32| {
            if !is_sound(bbox, score) {
                return Err(EvaluateError::Unsound { frame_idx, kind, idx });
            }
            if class_idx >= n_classes {
                return Err(EvaluateError::UnknownClass { frame_idx, kind, idx, class_idx, n_classes });
            }
            Ok(())
        };
        for (idx, (class_idx, bbox, _)) in frame.ground_truths.iter().enumerate() {
            one("ground truth", idx, *class_idx, bbox, 0.0)?;
        }
        for (idx, d) in frame.detections.iter().enumerate() {
            one("detection", idx, d.class_idx as usize, &d.bbox, d.score)?;
        }
    }
    Ok(())
}

/// Whether box and score are finite and the size is positive.
pub(crate) fn is_sound(bbox: &Box3d, score: f32) -> bool {
    let numbers = bbox.center.iter().chain(&bbox.size).chain([&bbox.yaw, &score]);
    numbers.copied().all(f32::is_finite) && bbox.size.iter().all(|v| *v > 0.0)
}

/// Objects and detections of one class that the filter leaves.
struct Scene<'a> {
    /// Per frame: the box, and whether it counts.
    objects: Vec<Vec<(&'a Box3d, bool)>>,
    /// Frame and detection, best first.
    detections: Vec<(usize, &'a Detection)>,
    n_counted: usize,
}

impl<'a> Scene<'a> {
    fn new(frames: &'a [FrameResult], class_idx: usize, filter: &Filter) -> Self {
        let objects: Vec<Vec<_>> = frames
            .iter()
            .map(|frame| {
                let mine = frame.ground_truths.iter().filter(|(k, b, _)| *k == class_idx && filter.holds(b));
                mine.map(|(_, bbox, n_points)| (bbox, *n_points >= filter.min_points)).collect()
            })
            .collect();
        let mut detections: Vec<_> = frames
            .iter()
            .enumerate()
            .flat_map(|(frame_idx, frame)| frame.detections.iter().map(move |d| (frame_idx, d)))
            .filter(|(_, d)| d.class_idx as usize == class_idx && filter.holds(&d.bbox))
            .collect();
        // A stable sort of the reversed list puts the later of equals first.
        detections.reverse();
        detections.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
        let n_counted = objects.iter().flatten().filter(|(_, counts)| *counts).count();
        Self { objects, detections, n_counted }
    }

    /// What becomes of every detection, best first; `None` where it found an ignored object.
    fn matches(&self, threshold_m: f64) -> Vec<Option<Match<'a>>> {
        let mut taken: Vec<Vec<bool>> = self.objects.iter().map(|o| vec![false; o.len()]).collect();
        let one = |(frame_idx, detection): &(usize, &'a Detection)| {
            let (objects, taken) = (&self.objects[*frame_idx], &mut taken[*frame_idx]);
            for counted in [true, false] {
                let mut nearest: Option<(f64, usize)> = None;
                for (idx, (bbox, counts)) in objects.iter().enumerate() {
                    let distance = center_distance(bbox, &detection.bbox);
                    // The first of equally near ones stays.
                    if *counts == counted && !taken[idx] && nearest.is_none_or(|(least, _)| distance < least)
                    {
                        nearest = Some((distance, idx));
                    }
                }
                if let Some((distance, idx)) = nearest.filter(|(distance, _)| *distance < threshold_m) {
                    taken[idx] = true;
                    let found = (distance, objects[idx].0);
                    return counted.then_some(Match { detection, found: Some(found) });
                }
            }
            Some(Match { detection, found: None })
        };
        self.detections.iter().map(one).collect()
    }
}

/// A detection that counts, and the object that it found: distance and box.
struct Match<'a> {
    detection: &'a Detection,
    found: Option<(f64, &'a Box3d)>,
}

fn evaluate_class(
    frames: &[FrameResult],
    class_idx: usize,
    name: &str,
    filter: &Filter,
    score_threshold: f64,
) -> ClassResult {
    let scene = Scene::new(frames, class_idx, filter);
    let average_precision = THRESHOLDS_M.map(|threshold_m| {
        let right: Vec<bool> =
            scene.matches(threshold_m).iter().flatten().map(|m| m.found.is_some()).collect();
        average_precision(&right, scene.n_counted)
    });
    let n_objects = scene.objects.iter().map(Vec::len).sum::<usize>();
    ClassResult {
        name: name.to_owned(),
        n_ground_truths: scene.n_counted,
        n_ignored: n_objects - scene.n_counted,
        n_detections: scene.detections.len(),
        average_precision,
        operating: operating_point(&scene, name, score_threshold),
    }
}

/// nuScenes' average precision of detections, best first, each right or wrong.
fn average_precision(right: &[bool], n_ground_truths: usize) -> f64 {
    if n_ground_truths == 0 || !right.contains(&true) {
        return 0.0;
    }
    let mut n_right = 0_usize;
    let (mut recalls, mut precisions) = (Vec::with_capacity(right.len()), Vec::with_capacity(right.len()));
    for (idx, is_right) in right.iter().enumerate() {
        n_right += usize::from(*is_right);
        recalls.push(n_right as f64 / n_ground_truths as f64);
        precisions.push(n_right as f64 / (idx + 1) as f64);
    }
    let sum: f64 = (FIRST_BIN..N_RECALLS)
        // i * 0.01, not i / 100: 70 * 0.01 is above 7 / 10 in doubles, and so past a last recall of 0.7.
        .map(|i| (interpolate(i as f64 * 0.01, &recalls, &precisions) - MIN_PRECISION).max(0.0))
        .sum();
    sum / (N_RECALLS - FIRST_BIN) as f64 / (1.0 - MIN_PRECISION)
}

/// `np.interp(x, xs, ys, right=0)` over `xs` that never fall: of equal ones the last one holds.
pub(crate) fn interpolate(x: f64, xs: &[f64], ys: &[f64]) -> f64 {
    let n_not_above = xs.partition_point(|v| *v <= x);
    if n_not_above == 0 {
        return ys[0];
    }
    let (x0, y0) = (xs[n_not_above - 1], ys[n_not_above - 1]);
    match (xs.get(n_not_above), ys.get(n_not_above)) {
        (Some(x1), Some(y1)) => (y1 - y0) / (x1 - x0) * (x - x0) + y0,
        _ if x > x0 => 0.0,
        _ => y0,
    }
}

fn operating_point(scene: &Scene<'_>, name: &str, score_threshold: f64) -> OperatingPoint {
    // Matching goes by falling score, so the best detections match as if there were no others.
    let matches = scene.matches(OPERATING_THRESHOLD_M);
    let counted = matches.iter().flatten().filter(|m| f64::from(m.detection.score) >= score_threshold);
    let mut point = OperatingPoint { score_threshold, ..OperatingPoint::default() };
    let (mut translation, mut scale, mut orientation) = (0.0, 0.0, 0.0);
    let period = if name == "barrier" { PI } else { 2.0 * PI };
    for Match { detection, found } in counted {
        let Some((distance, bbox)) = found else {
            point.n_false_positives += 1;
            continue;
        };
        point.n_true_positives += 1;
        translation += distance;
        scale += 1.0 - aligned_iou(bbox, &detection.bbox);
        orientation += yaw_difference(bbox.yaw, detection.bbox.yaw, period);
    }
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let n_right = point.n_true_positives;
    let mean = |sum: f64| (n_right > 0).then(|| sum / n_right as f64);
    point.n_missed = scene.n_counted - n_right;
    point.recall = share(n_right, scene.n_counted);
    point.precision = share(n_right, n_right + point.n_false_positives);
    point.translation_error_m = mean(translation);
    point.scale_error = mean(scale);
    point.orientation_error_rad = mean(orientation);
    point
}

/// Distance of two centres in the ground plane, in metres.
pub fn center_distance(a: &Box3d, b: &Box3d) -> f64 {
    let [dx, dy] = [0, 1].map(|k| f64::from(a.center[k]) - f64::from(b.center[k]));
    libm::sqrt(dx * dx + dy * dy)
}

/// IoU of two boxes after their centres and headings are aligned.
pub(crate) fn aligned_iou(a: &Box3d, b: &Box3d) -> f64 {
    let volume = |of: &dyn Fn(usize) -> f64| (0..3).map(of).product::<f64>();
    let common = volume(&|k| f64::from(a.size[k].min(b.size[k])));
    let both = volume(&|k| f64::from(a.size[k])) + volume(&|k| f64::from(b.size[k]));
    common / (both - common)
}

/// The least difference of two headings that repeat after `period`.
pub(crate) fn yaw_difference(a: f32, b: f32, period: f64) -> f64 {
    let turned = f64::from(a) - f64::from(b) + period / 2.0;
    (turned - libm::floor(turned / period) * period - period / 2.0).abs()
}
