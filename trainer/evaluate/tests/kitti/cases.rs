//! Generated frames that are hard to evaluate: made for tests, and for the official evaluators.
//!
//! Every overlap keeps away from every threshold, so that an evaluator in single precision decides
//! as one in double precision does. Everything else is as close to the edge as it can be: heights
//! and truncations of the very limit, equal scores, labels on labels, several detections on one.

use pilotis_datasets::kitti::LabelLine;
use pilotis_evaluate::kitti::{FrameLines, Solid, image_iou, image_share};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;

/// Overlaps that decide, and how far every overlap keeps from them.
const THRESHOLDS: [f64; 3] = [0.25, 0.5, 0.7];
const AWAY: f64 = 2e-3;
/// Equal overlaps could be told apart by rounding only.
const APART: f64 = 1e-4;

/// What is generated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CaseSpec {
    /// Its folder's name.
    pub(crate) name: &'static str,
    /// From which everything is drawn.
    pub(crate) seed: u64,
    /// Frames.
    pub(crate) n_frames: usize,
    /// Labels of a frame, at most, without regions.
    pub(crate) max_labels: usize,
    /// What is special about it.
    pub(crate) kind: Kind,
}

/// What is special about a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Plain,
    /// Scores are so coarse that many are equal.
    Ties,
    /// Detections come without angles.
    NoAngles,
    /// Cars alone, most of them easy: so many are found that not every score is a threshold.
    EasyCars,
}

/// The cases whose official answers are kept.
pub(crate) const CASES: [CaseSpec; 6] = [
    CaseSpec { name: "few", seed: 1, n_frames: 4, max_labels: 8, kind: Kind::Plain },
    CaseSpec { name: "many", seed: 2, n_frames: 10, max_labels: 14, kind: Kind::Plain },
    CaseSpec { name: "ties", seed: 3, n_frames: 8, max_labels: 10, kind: Kind::Ties },
    CaseSpec { name: "no_angles", seed: 4, n_frames: 3, max_labels: 8, kind: Kind::NoAngles },
    CaseSpec { name: "crowded", seed: 5, n_frames: 2, max_labels: 24, kind: Kind::Ties },
    CaseSpec { name: "easy_cars", seed: 6, n_frames: 50, max_labels: 4, kind: Kind::EasyCars },
];

/// The frames of a case, in the order of their names.
pub(crate) fn frames(spec: &CaseSpec) -> Vec<FrameLines> {
    (0..spec.n_frames)
        .map(|idx| {
            let mut rng = ChaCha8Rng::seed_from_u64(spec.seed);
            rng.set_stream(idx as u64);
            frame(spec, format!("{idx:06}"), &mut rng)
        })
        .collect()
}

/// Values as files have them, with four decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn draw(rng: &mut impl Rng, low: f64, high: f64) -> f64 {
    rounded(rng.random_range(low..high))
}

fn pick<T: Copy>(rng: &mut impl Rng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

fn frame(spec: &CaseSpec, name: String, rng: &mut ChaCha8Rng) -> FrameLines {
    let mut labels = Vec::new();
    for _ in 0..rng.random_range(1..=spec.max_labels) {
        let next = match labels.last() {
            Some(other) if rng.random_bool(0.2) => beside(other, rng),
            _ => label(spec, rng),
        };
        labels.push(next);
    }
    for _ in 0..rng.random_range(0..3) {
        let at = rng.random_range(0..=labels.len());
        // Ports look at the first label of a frame to see whether there are angles at all.
        labels.insert(at.max(1), region(rng));
    }
    // Not all lines of a file are of the same hand.
    let mut detections: Vec<LabelLine> = Vec::new();
    for idx in 0..labels.len() {
        let n_copies = pick(rng, &[0, 1, 1, 1, 2, 3]);
        for _ in 0..n_copies {
            let proposal = |rng: &mut ChaCha8Rng| detection_on(&labels[idx], spec, rng);
            detections.extend(accepted(&labels, &detections, rng, proposal));
        }
        if rng.random_bool(0.4) {
            let proposal = |rng: &mut ChaCha8Rng| {
                let label = label(spec, rng);
                detection_on(&label, spec, rng)
            };
            detections.extend(accepted(&labels, &detections, rng, proposal));
        }
    }
    // Files are in no order of place.
    for idx in (1..detections.len()).rev() {
        detections.swap(idx, rng.random_range(0..=idx));
    }
    FrameLines { name, labels, detections }
}

fn any_class(rng: &mut impl Rng) -> &'static str {
    let vehicles = ["Car", "Car", "Car", "Van", "Truck", "Tram", "Misc"];
    let people = ["Pedestrian", "Pedestrian", "Person_sitting", "Cyclist", "Cyclist"];
    if rng.random_bool(0.55) { pick(rng, &vehicles) } else { pick(rng, &people) }
}

fn label(spec: &CaseSpec, rng: &mut impl Rng) -> LabelLine {
    let is_easy = spec.kind == Kind::EasyCars && rng.random_bool(0.9);
    let class_name = if is_easy { "Car" } else { any_class(rng) };
    let size_hwl = match class_name {
        "Pedestrian" | "Person_sitting" => [draw(rng, 1.5, 1.9), draw(rng, 0.5, 0.8), draw(rng, 0.5, 1.0)],
        "Cyclist" => [draw(rng, 1.5, 1.9), draw(rng, 0.5, 0.8), draw(rng, 1.5, 1.9)],
        _ => [draw(rng, 1.4, 2.2), draw(rng, 1.5, 2.0), draw(rng, 3.2, 5.5)],
    };
    let (x, z) = (draw(rng, -12.0, 12.0), draw(rng, 6.0, 32.0));
    let y = draw(rng, 1.2, 2.0);
    let (left, top) = (700.0 * x / z + 600.0, 180.0 + 700.0 * (y - size_hwl[0]) / z);
    let (width, mut height) = (700.0 * draw(rng, 1.0, 3.0) / z, 700.0 * size_hwl[0] / z);
    if is_easy {
        height += 40.0;
    } else if rng.random_bool(0.25) {
        height = pick(rng, &[25.0, 40.0, 24.9, 25.1, 39.9, 40.1, 25.5]);
    }
    let (left, top) = (left.round(), top.round());
    let rotation_y = draw(rng, -PI, PI);
    LabelLine {
        class_name: class_name.to_owned(),
        truncation: if is_easy {
            0.0
        } else {
            pick(rng, &[0.0, 0.0, 0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6])
        },
        occlusion: if is_easy { 0 } else { pick(rng, &[0, 0, 0, 1, 1, 2, 3]) },
        alpha_rad: rounded(rotation_y - (x / z).atan()),
        image_box: [left, top, rounded(left + width), rounded(top + height)],
        size_hwl,
        location: [x, y, z],
        rotation_y,
        score: None,
    }
}

/// A second object that stands partly in the first: only in labels of crowds, but it decides most.
fn beside(other: &LabelLine, rng: &mut impl Rng) -> LabelLine {
    let mut label = moved(other, 0.35, rng);
    if rng.random_bool(0.5) {
        label.class_name = match other.class_name.as_str() {
            "Car" => "Van",
            "Van" => "Car",
            "Pedestrian" => "Person_sitting",
            "Person_sitting" => "Pedestrian",
            same => same,
        }
        .to_owned();
    }
    label.truncation = pick(rng, &[0.0, 0.2, 0.6]);
    label.occlusion = pick(rng, &[0, 1, 3]);
    label
}

fn region(rng: &mut impl Rng) -> LabelLine {
    let (left, top) = (draw(rng, 0.0, 1000.0).round(), draw(rng, 120.0, 200.0).round());
    LabelLine {
        class_name: "DontCare".to_owned(),
        truncation: -1.0,
        occlusion: -1,
        alpha_rad: -10.0,
        image_box: [left, top, left + draw(rng, 40.0, 300.0), top + draw(rng, 30.0, 150.0)].map(rounded),
        size_hwl: [-1.0; 3],
        location: [-1000.0; 3],
        rotation_y: -10.0,
        score: None,
    }
}

/// The same thing somewhat elsewhere; `much` is a share of its size.
fn moved(of: &LabelLine, much: f64, rng: &mut impl Rng) -> LabelLine {
    let mut by = |scale: f64| rounded(scale * much * rng.random_range(-0.5..0.5));
    let [left, top, right, bottom] = of.image_box;
    let (width, height) = (right - left, bottom - top);
    let [h, w, l] = of.size_hwl;
    let shift = [by(width), by(height)];
    LabelLine {
        alpha_rad: rounded(of.alpha_rad + by(2.0)),
        image_box: [
            left + shift[0],
            top + shift[1],
            right + shift[0] + by(width),
            bottom + shift[1] + by(height),
        ]
        .map(rounded),
        size_hwl: [h + by(h), w + by(w), l + by(l)].map(rounded),
        location: [of.location[0] + by(w), of.location[1] + by(h), of.location[2] + by(w)].map(rounded),
        rotation_y: rounded(of.rotation_y + by(0.5)),
        ..of.clone()
    }
}

fn detection_on(of: &LabelLine, spec: &CaseSpec, rng: &mut impl Rng) -> LabelLine {
    let much = pick(rng, &[0.1, 0.2, 0.35, 0.7]);
    let mut detection = moved(of, much, rng);
    detection.class_name = match of.class_name.as_str() {
        "Van" | "Truck" | "Tram" | "Misc" => pick(rng, &["Car", "Car", "Van", "Cyclist"]),
        "DontCare" => pick(rng, &["Car", "Pedestrian", "Cyclist"]),
        "Person_sitting" => pick(rng, &["Pedestrian", "Person_sitting"]),
        same => pick(rng, &[same, same, same, same, same, "car", "Pedestrian", "Truck"]),
    }
    .to_owned();
    if of.class_name == "DontCare" {
        detection.size_hwl = [1.5, 1.6, 4.0];
        detection.location = [draw(rng, -30.0, 30.0), 1.5, draw(rng, 60.0, 90.0)];
        detection.rotation_y = draw(rng, -PI, PI);
        detection.alpha_rad = draw(rng, -PI, PI);
    }
    if rng.random_bool(0.2) {
        let height = pick(rng, &[25.0, 40.0, 24.9, 25.9, 39.9, 40.9, 10.0]);
        detection.image_box[3] = rounded(detection.image_box[1] + height);
    }
    let score = rng.random_range(-3.0..3.0);
    detection.score =
        Some(if spec.kind == Kind::Ties { f64::round(score * 2.0) / 2.0 } else { rounded(score) });
    (detection.truncation, detection.occlusion) = (-1.0, -1);
    if spec.kind == Kind::NoAngles {
        detection.alpha_rad = -10.0;
    }
    detection
}

/// A proposal of which no overlap is near a threshold, nor as large as another's; none after some tries.
fn accepted(
    labels: &[LabelLine],
    others: &[LabelLine],
    rng: &mut ChaCha8Rng,
    propose: impl Fn(&mut ChaCha8Rng) -> LabelLine,
) -> Option<LabelLine> {
    (0..20).map(|_| propose(rng)).find(|proposal| {
        let overlaps = |of: &LabelLine| labels.iter().map(|label| overlaps(label, of)).collect::<Vec<_>>();
        let (own, others) = (overlaps(proposal), others.iter().map(overlaps).collect::<Vec<_>>());
        let is_clear = |v: f64| THRESHOLDS.iter().all(|t| (v - t).abs() > AWAY);
        own.iter().flatten().all(|v| is_clear(*v))
            && others.iter().all(|other| {
                let pairs = own.iter().flatten().zip(other.iter().flatten());
                pairs.into_iter().all(|(a, b)| *a < 0.2 || (a - b).abs() > APART)
            })
    })
}

/// In the image, on the ground, in 3D, and the share in a region.
fn overlaps(label: &LabelLine, detection: &LabelLine) -> [f64; 4] {
    let (a, b) = (Solid::of(label), Solid::of(detection));
    let shared = b.shared_area(&a);
    [
        image_iou(&detection.image_box, &label.image_box),
        b.iou_above(&a, shared),
        b.iou(&a, shared),
        image_share(&detection.image_box, &label.image_box),
    ]
}
