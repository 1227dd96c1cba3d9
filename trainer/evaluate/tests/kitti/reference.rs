//! The definition once more, slowly: every label with every detection at every threshold, polygons by
//! a library, tables of words instead of types. It shares nothing with what it checks but the lines.

use geo::{Area, BooleanOps, Coord, LineString, Polygon};
use pilotis_datasets::kitti::LabelLine;
use pilotis_evaluate::kitti::FrameLines;
use std::collections::BTreeMap;

/// Figures by key, percents; the keys are those of reports.
pub(crate) type Figures = BTreeMap<String, f64>;

fn footprint(line: &LabelLine) -> Polygon<f64> {
    let [_, w, l] = line.size_hwl;
    let (sin, cos) = line.rotation_y.sin_cos();
    let ends = [(0.5, 0.5), (0.5, -0.5), (-0.5, -0.5), (-0.5, 0.5)].map(|(along, across)| Coord {
        x: line.location[0] + along * l * cos + across * w * sin,
        y: line.location[2] - along * l * sin + across * w * cos,
    });
    Polygon::new(LineString::from(ends.to_vec()), Vec::new())
}

fn is_box(line: &LabelLine) -> bool {
    line.size_hwl.iter().all(|side| *side > 0.0)
}

fn ground_intersection(a: &LabelLine, b: &LabelLine) -> f64 {
    let far = (a.location[0] - b.location[0]).abs() + (a.location[2] - b.location[2]).abs() > 100.0;
    if far || !is_box(a) || !is_box(b) {
        return 0.0;
    }
    footprint(a).intersection(&footprint(b)).unsigned_area()
}

fn volume(line: &LabelLine) -> f64 {
    line.size_hwl.iter().product()
}

fn span(low_a: f64, high_a: f64, low_b: f64, high_b: f64) -> f64 {
    (high_a.min(high_b) - low_a.max(low_b)).max(0.0)
}

/// Intersection and the sizes of both, of a detection and a label.
fn measures(metric: &str, d: &LabelLine, g: &LabelLine) -> (f64, f64, f64) {
    match metric {
        "2D" => {
            let size = |v: &[f64; 4]| (v[2] - v[0]) * (v[3] - v[1]);
            let (a, b) = (&d.image_box, &g.image_box);
            (span(a[0], a[2], b[0], b[2]) * span(a[1], a[3], b[1], b[3]), size(a), size(b))
        }
        "BEV" => (ground_intersection(d, g), d.size_hwl[1] * d.size_hwl[2], g.size_hwl[1] * g.size_hwl[2]),
        _ => {
            let (dy, gy) = (d.location[1], g.location[1]);
            let shared_height = span(dy - d.size_hwl[0], dy, gy - g.size_hwl[0], gy);
            (ground_intersection(d, g) * shared_height, volume(d), volume(g))
        }
    }
}

fn iou(metric: &str, d: &LabelLine, g: &LabelLine) -> f64 {
    let (shared, a, b) = measures(metric, d, g);
    if shared <= 0.0 { 0.0 } else { shared / (a + b - shared) }
}

fn share(metric: &str, d: &LabelLine, region: &LabelLine) -> f64 {
    let (shared, own, _) = measures(metric, d, region);
    if shared <= 0.0 { 0.0 } else { shared / own }
}

struct Level {
    name: &'static str,
    height: f64,
    occlusion: i32,
    truncation: f64,
}

const LEVELS: [Level; 3] = [
    Level { name: "easy", height: 40.0, occlusion: 0, truncation: 0.15 },
    Level { name: "moderate", height: 25.0, occlusion: 1, truncation: 0.3 },
    Level { name: "hard", height: 25.0, occlusion: 2, truncation: 0.5 },
];

fn height(line: &LabelLine) -> f64 {
    line.image_box[3] - line.image_box[1]
}

/// 0 counted, 1 ignored, -1 another class.
fn flag_of_label(line: &LabelLine, class: &str, level: &Level, strict_cpp: bool) -> i32 {
    let name = line.class_name.to_lowercase();
    let too_low = if strict_cpp { height(line) < level.height } else { height(line) <= level.height };
    let too_hard = line.occlusion > level.occlusion || line.truncation > level.truncation || too_low;
    match (class, name.as_str()) {
        ("Car", "van") | ("Pedestrian", "person_sitting") => 1,
        _ if name != class.to_lowercase() => -1,
        _ => i32::from(too_hard),
    }
}

fn no_image_box(line: &LabelLine) -> bool {
    line.image_box == [-1.0; 4] || line.image_box == [0.0; 4]
}

fn flag_of_detection(line: &LabelLine, class: &str, level: &Level, metric: &str, strict_cpp: bool) -> i32 {
    let mut tall = height(line).abs();
    if strict_cpp {
        tall = tall.floor();
    }
    let exempt = !strict_cpp && metric != "2D" && no_image_box(line);
    if tall < level.height && !exempt {
        1
    } else if line.class_name.to_lowercase() == class.to_lowercase() {
        0
    } else {
        -1
    }
}

struct Frame<'a> {
    labels: Vec<(&'a LabelLine, i32)>,
    detections: Vec<(&'a LabelLine, i32)>,
    regions: Vec<&'a LabelLine>,
    overlaps: Vec<Vec<f64>>,
}

fn score(line: &LabelLine) -> f64 {
    line.score.unwrap()
}

/// Scores of true positives when each label takes the best score in reach.
fn first_pass(frame: &Frame<'_>, min_overlap: f64) -> Vec<f64> {
    let mut free: Vec<usize> = (0..frame.detections.len()).filter(|j| frame.detections[*j].1 != -1).collect();
    let mut scores = Vec::new();
    for (i, (_, flag)) in frame.labels.iter().enumerate().filter(|(_, (_, flag))| *flag != -1) {
        let mut in_reach: Vec<usize> =
            free.iter().copied().filter(|j| frame.overlaps[i][*j] > min_overlap).collect();
        // Sorting is stable: of equal scores the first of the file stays first.
        in_reach.sort_by(|a, b| score(frame.detections[*b].0).total_cmp(&score(frame.detections[*a].0)));
        if let Some(taken) = in_reach.first() {
            free.retain(|j| j != taken);
            if *flag == 0 && frame.detections[*taken].1 == 0 {
                scores.push(score(frame.detections[*taken].0));
            }
        }
    }
    scores
}

fn steps(mut scores: Vec<f64>, n_labels: usize) -> Vec<f64> {
    scores.sort_by(f64::total_cmp);
    scores.reverse();
    let (n, total) = (scores.len(), n_labels as f64);
    let mut current = 0.0;
    let mut chosen = Vec::new();
    for (i, score) in scores.iter().enumerate() {
        let left = (i + 1) as f64 / total;
        let right = (i + 2) as f64 / total;
        if i == n - 1 || right - current >= current - left {
            chosen.push(*score);
            current += 1.0 / 40.0;
        }
    }
    chosen
}

/// Found, false, similarity at a threshold.
fn second_pass(
    frame: &Frame<'_>,
    metric: &str,
    min_overlap: f64,
    at: f64,
    strict_cpp: bool,
) -> (f64, f64, f64) {
    let allowed = |j: usize| frame.detections[j].1 != -1 && score(frame.detections[j].0) >= at;
    let mut free: Vec<usize> = (0..frame.detections.len()).filter(|j| allowed(*j)).collect();
    let (mut found, mut similarity) = (0.0, 0.0);
    for (i, (label, flag)) in frame.labels.iter().enumerate().filter(|(_, (_, flag))| *flag != -1) {
        let in_reach = free.iter().copied().filter(|j| frame.overlaps[i][*j] > min_overlap);
        let (valid, ignored): (Vec<usize>, Vec<usize>) = in_reach.partition(|j| frame.detections[*j].1 == 0);
        let mut best: Option<usize> = None;
        for j in valid {
            if best.is_none_or(|b| frame.overlaps[i][j] > frame.overlaps[i][b]) {
                best = Some(j);
            }
        }
        let Some(taken) = best.or(ignored.first().copied()) else { continue };
        free.retain(|j| *j != taken);
        if *flag == 0 && frame.detections[taken].1 == 0 {
            found += 1.0;
            let difference: f64 = label.alpha_rad - frame.detections[taken].0.alpha_rad;
            similarity += 0.5 + 0.5 * difference.cos();
        }
    }
    let is_false = |j: &&usize| {
        let line = frame.detections[**j].0;
        let asks = metric == "2D" || strict_cpp;
        let cared = asks && frame.regions.iter().any(|r| share(metric, line, r) > min_overlap);
        frame.detections[**j].1 == 0 && !cared
    };
    (found, free.iter().filter(is_false).count() as f64, similarity)
}

fn averages(values: &[f64]) -> (f64, f64) {
    let at = |k: usize| values.iter().skip(k).fold(0.0_f64, |a, b| a.max(*b));
    let r11: f64 = [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40].iter().map(|k| at(*k)).sum();
    let r40: f64 = (1..=40).map(at).sum();
    (r11 / 11.0 * 100.0, r40 / 40.0 * 100.0)
}

/// All figures that are not means, of orientation too, whether or not there are angles.
pub(crate) fn figures(frames: &[FrameLines], strict_cpp: bool) -> Figures {
    let mut figures = Figures::new();
    for (class, strict, loose) in [("Car", 0.7, 0.5), ("Pedestrian", 0.5, 0.25), ("Cyclist", 0.5, 0.25)] {
        for metric in ["2D", "BEV", "3D"] {
            let overlaps: Vec<Vec<Vec<f64>>> = frames
                .iter()
                .map(|f| {
                    let row = |g: &LabelLine| f.detections.iter().map(|d| iou(metric, d, g)).collect();
                    f.labels.iter().map(row).collect()
                })
                .collect();
            for level in &LEVELS {
                for (table, min_overlap) in
                    [("strict", strict), ("loose", if metric == "2D" { strict } else { loose })]
                {
                    let frames: Vec<Frame<'_>> = frames
                        .iter()
                        .zip(&overlaps)
                        .map(|(f, overlaps)| Frame {
                            labels: f
                                .labels
                                .iter()
                                .map(|l| (l, flag_of_label(l, class, level, strict_cpp)))
                                .collect(),
                            detections: f
                                .detections
                                .iter()
                                .map(|d| (d, flag_of_detection(d, class, level, metric, strict_cpp)))
                                .collect(),
                            regions: f
                                .labels
                                .iter()
                                .filter(|l| match strict_cpp {
                                    true => l.class_name.to_lowercase() == "dontcare",
                                    false => l.class_name == "DontCare",
                                })
                                .collect(),
                            overlaps: overlaps.clone(),
                        })
                        .collect();
                    let n_labels = frames.iter().flat_map(|f| &f.labels).filter(|l| l.1 == 0).count();
                    let scores = frames.iter().flat_map(|f| first_pass(f, min_overlap)).collect();
                    let (mut precision, mut orientation) = (Vec::new(), Vec::new());
                    for at in steps(scores, n_labels) {
                        let sums = frames
                            .iter()
                            .map(|f| second_pass(f, metric, min_overlap, at, strict_cpp))
                            .fold((0.0, 0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
                        let all: f64 = sums.0 + sums.1;
                        precision.push(if all > 0.0 { sums.0 / all } else { 0.0 });
                        orientation.push(if all > 0.0 { sums.2 / all } else { 0.0 });
                    }
                    let mut put = |metric: &str, values: &[f64]| {
                        let (r11, r40) = averages(values);
                        let key = |r: &str| format!("KITTI/{class}_{metric}_{r}_{}_{table}", level.name);
                        figures.insert(key("AP11"), r11);
                        figures.insert(key("AP40"), r40);
                    };
                    put(metric, &precision);
                    if metric == "2D" {
                        put("AOS", &orientation);
                    }
                }
            }
        }
    }
    figures
}
