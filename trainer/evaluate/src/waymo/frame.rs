//! One frame: which pairs can match, and what that counts at every cut-off.

use super::matching::{Weights, match_rows};
use super::{
    LabelBox, Level, MAX_LEVEL_2_POINTS, N_CUTOFFS, ObjectType, RangeBand, Settings, WaymoObject, cutoff,
    overlap_3d,
};
use std::f64::consts::{PI, TAU};

/// An overlap of 1 as a weight.
const WEIGHT_OF_ONE: f64 = 1e6;

/// Counts of one type in one range, at every cut-off.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    pub(super) true_positives: [u64; N_CUTOFFS],
    pub(super) false_positives: [u64; N_CUTOFFS],
    /// At level 1 and level 2.
    pub(super) missed: [[u64; N_CUTOFFS]; 2],
    /// Sum of the heading accuracies of true positives.
    pub(super) heading: [f64; N_CUTOFFS],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            true_positives: [0; N_CUTOFFS],
            false_positives: [0; N_CUTOFFS],
            missed: [[0; N_CUTOFFS]; 2],
            heading: [0.0; N_CUTOFFS],
        }
    }
}

/// Counts of all types and ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    counts: Vec<Counts>,
    /// Ground truths that take part, and predictions.
    pub(super) n_ground_truths: [usize; 4],
    pub(super) n_predictions: [usize; 4],
}

impl Tally {
    pub(super) fn counts(&self, object_type: ObjectType, band: RangeBand) -> Counts {
        self.counts.get(place(object_type, band)).cloned().unwrap_or_default()
    }

    fn counts_mut(&mut self, object_type: ObjectType, band: RangeBand) -> &mut Counts {
        let n = ObjectType::ALL.len() * RangeBand::ALL.len();
        self.counts.resize(n, Counts::default());
        &mut self.counts[place(object_type, band)]
    }
}

fn place(object_type: ObjectType, band: RangeBand) -> usize {
    object_type as usize * RangeBand::ALL.len() + band as usize
}

#[derive(Clone, Copy, Debug)]
struct GroundTruth {
    bbox: LabelBox,
    level: Level,
}

#[derive(Clone, Copy, Debug)]
struct Prediction {
    bbox: LabelBox,
    score: f32,
    in_no_label_zone: bool,
}

/// Ground truths and predictions of one frame, by type.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameObjects {
    ground_truths: [Vec<GroundTruth>; 4],
    predictions: [Vec<Prediction>; 4],
}

/// A pair that can match.
#[derive(Clone, Copy, Debug)]
struct Edge {
    prediction: usize,
    ground_truth: usize,
    weight: i64,
}

impl FrameObjects {
    pub(super) fn add_ground_truth(&mut self, object_type: ObjectType, object: &WaymoObject) {
        let by_points = || match object.n_points {
            Some(0..=MAX_LEVEL_2_POINTS) => Level::Two,
            _ => Level::One,
        };
        let level = object.level.unwrap_or_else(by_points);
        self.ground_truths[object_type as usize].push(GroundTruth { bbox: object.bbox, level });
    }

    pub(super) fn add_prediction(&mut self, object_type: ObjectType, object: &WaymoObject) {
        self.predictions[object_type as usize].push(Prediction {
            bbox: object.bbox,
            score: object.score,
            in_no_label_zone: object.overlaps_no_label_zone,
        });
    }

    /// Adds what this frame counts.
    pub(super) fn tally(mut self, settings: &Settings, tally: &mut Tally) {
        for object_type in ObjectType::ALL {
            let idx = object_type as usize;
            let mut ground_truths = std::mem::take(&mut self.ground_truths[idx]);
            let mut predictions = std::mem::take(&mut self.predictions[idx]);
            tally.n_ground_truths[idx] += ground_truths.len();
            tally.n_predictions[idx] += predictions.len();
            // An order of their own, so that the file's changes nothing; the cut-offs then take prefixes.
            ground_truths.sort_by(|a, b| compare(&a.bbox, &b.bbox).then(a.level.cmp(&b.level)));
            predictions.sort_by(|a, b| {
                let by_score = b.score.total_cmp(&a.score);
                by_score
                    .then_with(|| compare(&a.bbox, &b.bbox))
                    .then(a.in_no_label_zone.cmp(&b.in_no_label_zone))
            });
            let edges = edges_between(&predictions, &ground_truths, settings.min_overlap[idx]);
            for band in RangeBand::ALL {
                let counts = tally.counts_mut(object_type, band);
                let is_in = |bbox: &LabelBox| band.holds(bbox);
                tally_band(&predictions, &ground_truths, &edges, is_in, counts);
            }
        }
    }
}

fn compare(a: &LabelBox, b: &LabelBox) -> std::cmp::Ordering {
    let numbers = |l: &LabelBox| [l.center, l.size, [l.heading, 0.0, 0.0]];
    let (a, b) = (numbers(a), numbers(b));
    let pairs = a.as_flattened().iter().zip(b.as_flattened());
    pairs.map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
}

fn edges_between(predictions: &[Prediction], ground_truths: &[GroundTruth], min_overlap: f32) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (prediction, p) in predictions.iter().enumerate() {
        for (ground_truth, g) in ground_truths.iter().enumerate() {
            let overlap = overlap_3d(&g.bbox, &p.bbox);
            let weight = (overlap * WEIGHT_OF_ONE) as i64;
            if overlap >= f64::from(min_overlap) && weight > 0 {
                edges.push(Edge { prediction, ground_truth, weight });
            }
        }
    }
    edges
}

/// How many cut-offs a score reaches: 0 for a negative one.
fn n_cutoffs_reached(score: f32) -> usize {
    (0..N_CUTOFFS).take_while(|idx| score >= cutoff(*idx)).count()
}

fn tally_band(
    predictions: &[Prediction],
    ground_truths: &[GroundTruth],
    edges: &[Edge],
    is_in: impl Fn(&LabelBox) -> bool,
    counts: &mut Counts,
) {
    let n_reached: Vec<Option<usize>> =
        predictions.iter().map(|p| is_in(&p.bbox).then(|| n_cutoffs_reached(p.score))).collect();
    let is_in_ground_truths: Vec<bool> = ground_truths.iter().map(|g| is_in(&g.bbox)).collect();
    let counts_edge = |e: &&Edge| n_reached[e.prediction].is_some() && is_in_ground_truths[e.ground_truth];
    let edges: Vec<Edge> = edges.iter().filter(counts_edge).copied().collect();
    let mut is_alone = vec![true; predictions.len()];
    let mut is_alone_ground_truth = vec![true; ground_truths.len()];
    for edge in &edges {
        is_alone[edge.prediction] = false;
        is_alone_ground_truth[edge.ground_truth] = false;
    }
    for (idx, n) in n_reached.iter().enumerate() {
        if let (Some(n), true, false) = (n, is_alone[idx], predictions[idx].in_no_label_zone) {
            counts.false_positives[..*n].iter_mut().for_each(|count| *count += 1);
        }
    }
    for (idx, g) in ground_truths.iter().enumerate() {
        if is_in_ground_truths[idx] && is_alone_ground_truth[idx] {
            counts.miss(g.level, 0..N_CUTOFFS);
        }
    }
    for group in groups(&edges, predictions.len(), ground_truths.len()) {
        tally_group(predictions, ground_truths, &group, &n_reached, counts);
    }
}

impl Counts {
    fn miss(&mut self, level: Level, cutoffs: std::ops::Range<usize>) {
        for (at, missed) in [Level::One, Level::Two].into_iter().zip(&mut self.missed) {
            if level <= at {
                missed[cutoffs.clone()].iter_mut().for_each(|count| *count += 1);
            }
        }
    }
}

/// Edges that hang together, group by group; each is matched by itself.
fn groups(edges: &[Edge], n_predictions: usize, n_ground_truths: usize) -> Vec<Vec<Edge>> {
    let mut parent: Vec<usize> = (0..n_predictions + n_ground_truths).collect();
    fn root(parent: &mut [usize], mut node: usize) -> usize {
        while parent[node] != node {
            parent[node] = parent[parent[node]];
            node = parent[node];
        }
        node
    }
    for edge in edges {
        let (a, b) =
            (root(&mut parent, edge.prediction), root(&mut parent, n_predictions + edge.ground_truth));
        // The lowest node is the root, and so groups stand in the order of their first predictions.
        parent[a.max(b)] = a.min(b);
    }
    let mut by_root = std::collections::BTreeMap::<usize, Vec<Edge>>::new();
    for edge in edges {
        by_root.entry(root(&mut parent, edge.prediction)).or_default().push(*edge);
    }
    by_root.into_values().collect()
}

fn tally_group(
    predictions: &[Prediction],
    ground_truths: &[GroundTruth],
    group: &[Edge],
    n_reached: &[Option<usize>],
    counts: &mut Counts,
) {
    let unique = |of: fn(&Edge) -> usize| {
        let mut all: Vec<usize> = group.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (rows, columns) = (unique(|e| e.prediction), unique(|e| e.ground_truth));
    let mut weights =
        Weights { n_rows: rows.len(), n_columns: columns.len(), values: vec![0; rows.len() * columns.len()] };
    for edge in group {
        let row = rows.partition_point(|r| *r < edge.prediction);
        let column = columns.partition_point(|c| *c < edge.ground_truth);
        weights.values[row * columns.len() + column] = edge.weight;
    }
    let reached: Vec<usize> = rows.iter().map(|r| n_reached[*r].unwrap_or(0)).collect();
    let mut from = 0;
    while from < N_CUTOFFS {
        // Predictions stand by falling score: those that reach this cut-off come first, and stay until the last of
        // them falls below one.
        let n_rows = reached.partition_point(|n| *n > from);
        let to = if n_rows == 0 { N_CUTOFFS } else { reached[n_rows - 1] };
        let matched = match_rows(&weights, n_rows);
        let mut is_found = vec![false; columns.len()];
        for (row, column) in matched.iter().enumerate() {
            let prediction = &predictions[rows[row]];
            if let Some(column) = *column {
                is_found[column] = true;
                let accuracy = heading_accuracy(&prediction.bbox, &ground_truths[columns[column]].bbox);
                counts.true_positives[from..to].iter_mut().for_each(|count| *count += 1);
                counts.heading[from..to].iter_mut().for_each(|sum| *sum += accuracy);
            } else if !prediction.in_no_label_zone {
                counts.false_positives[from..to].iter_mut().for_each(|count| *count += 1);
            }
        }
        for (column, _) in is_found.iter().enumerate().filter(|(_, found)| !**found) {
            counts.miss(ground_truths[columns[column]].level, from..to);
        }
        from = to;
    }
}

/// 1 for equal headings, 0 for opposite ones.
fn heading_accuracy(a: &LabelBox, b: &LabelBox) -> f64 {
    let turn = libm::fabs(a.heading - b.heading) % TAU;
    1.0 - turn.min(TAU - turn) / PI
}
