//! The figures, in the benchmark's order and under its names.

use super::curve::average_precision;
use super::frame::{Counts, Tally};
use super::{LabelBox, LeftOut, Level, N_CUTOFFS, ObjectType, cutoff};
use serde_json::{Value, json};
use std::fmt;

/// How far away a box is, by its centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeBand {
    /// Anywhere.
    All,
    /// Below 30 m.
    Near,
    /// From 30 m to below 50 m.
    Middle,
    /// From 50 m.
    Far,
}

impl RangeBand {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::All, Self::Near, Self::Middle, Self::Far];

    /// Whether a box's centre is this far from the vehicle's origin, height included.
    pub fn holds(self, bbox: &LabelBox) -> bool {
        let [x, y, z] = bbox.center;
        let range_m = libm::sqrt(x * x + y * y + z * z);
        match self {
            Self::All => true,
            Self::Near => range_m < 30.0,
            Self::Middle => (30.0..50.0).contains(&range_m),
            Self::Far => range_m >= 50.0,
        }
    }
}

/// Which objects count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakdown {
    /// Of this type.
    pub object_type: ObjectType,
    /// This far away.
    pub band: RangeBand,
    /// Up to this level.
    pub level: Level,
}

impl fmt::Display for Breakdown {
    /// As the benchmark names it: `RANGE_TYPE_VEHICLE_[30, 50)_LEVEL_2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (generator, band) = match self.band {
            RangeBand::All => ("OBJECT_TYPE", ""),
            RangeBand::Near => ("RANGE", "_[0, 30)"),
            RangeBand::Middle => ("RANGE", "_[30, 50)"),
            RangeBand::Far => ("RANGE", "_[50, +inf)"),
        };
        let name = self.object_type.name().to_uppercase();
        write!(f, "{generator}_TYPE_{name}{band}_LEVEL_{}", self.level as u8 + 1)
    }
}

/// One point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Predictions with at least this score.
    pub cutoff: f32,
    /// Matched pairs.
    pub true_positives: u64,
    /// Predictions without a match.
    pub false_positives: u64,
    /// Ground truths without a match.
    pub missed: u64,
    /// True positives of all that counts as a prediction; 1 without a true positive.
    pub precision: f64,
    /// The same with true positives weighed by heading.
    pub precision_heading: f64,
    /// True positives of true positives and missed ground truths; 0 without a true positive.
    pub recall: f64,
}

/// Figures of one breakdown.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Which objects.
    pub breakdown: Breakdown,
    /// AP.
    pub average_precision: f64,
    /// APH.
    pub average_precision_heading: f64,
    /// By rising cut-off.
    pub curve: Vec<CurvePoint>,
}

/// All figures.
#[derive(Clone, Debug, PartialEq)]
pub struct WaymoReport {
    /// Frames with a ground truth or a prediction.
    pub n_frames: usize,
    /// Ground truths that take part, in the order of [`ObjectType::ALL`].
    pub n_ground_truths: [usize; 4],
    /// Predictions that take part.
    pub n_predictions: [usize; 4],
    /// What does not take part.
    pub left_out: LeftOut,
    /// Types first, then types by range; both levels of each.
    pub figures: Vec<Figures>,
}

impl WaymoReport {
    pub(super) fn new(n_frames: usize, left_out: LeftOut, tally: &Tally) -> Self {
        let mut figures = Vec::new();
        let mut add = |object_type, band| {
            let counts = tally.counts(object_type, band);
            for level in [Level::One, Level::Two] {
                figures.push(figures_of(Breakdown { object_type, band, level }, &counts));
            }
        };
        for object_type in ObjectType::ALL {
            add(object_type, RangeBand::All);
        }
        for object_type in ObjectType::ALL {
            for band in &RangeBand::ALL[1..] {
                add(object_type, *band);
            }
        }
        let (n_ground_truths, n_predictions) = (tally.n_ground_truths, tally.n_predictions);
        Self { n_frames, n_ground_truths, n_predictions, left_out, figures }
    }

    /// The figures of one breakdown.
    pub fn of(&self, object_type: ObjectType, band: RangeBand, level: Level) -> Option<&Figures> {
        self.figures.iter().find(|f| f.breakdown == Breakdown { object_type, band, level })
    }

    /// AP and APH by the benchmark's names, and what was counted.
    pub fn summary_json(&self) -> Value {
        let by_type = |n: &[usize; 4]| {
            let counts = ObjectType::ALL.into_iter().zip(n);
            counts.map(|(t, n)| (t.name().to_owned(), json!(n))).collect::<serde_json::Map<_, _>>()
        };
        let mut metrics = serde_json::Map::new();
        for figures in &self.figures {
            metrics.insert(format!("{}/AP", figures.breakdown), json!(figures.average_precision));
            metrics.insert(format!("{}/APH", figures.breakdown), json!(figures.average_precision_heading));
        }
        json!({
            "n_frames": self.n_frames,
            "n_ground_truths": by_type(&self.n_ground_truths),
            "n_predictions": by_type(&self.n_predictions),
            "left_out": {
                "ground_truths_without_points": self.left_out.ground_truths_without_points,
                "ground_truths_of_unknown_type": self.left_out.ground_truths_of_unknown_type,
                "predictions_of_unknown_type": self.left_out.predictions_of_unknown_type,
            },
            "metrics": metrics,
        })
    }

    /// The curves by the benchmark's names.
    pub fn details_json(&self) -> Value {
        let curve = |figures: &Figures| {
            let column = |of: fn(&CurvePoint) -> Value| figures.curve.iter().map(of).collect::<Vec<_>>();
            json!({
                "score_cutoffs": column(|p| json!(p.cutoff)),
                "true_positives": column(|p| json!(p.true_positives)),
                "false_positives": column(|p| json!(p.false_positives)),
                "missed": column(|p| json!(p.missed)),
                "precisions": column(|p| json!(p.precision)),
                "precisions_heading": column(|p| json!(p.precision_heading)),
                "recalls": column(|p| json!(p.recall)),
            })
        };
        let named = self.figures.iter().map(|f| (f.breakdown.to_string(), curve(f)));
        Value::Object(named.collect())
    }
}

impl fmt::Display for WaymoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [n_ground_truths, n_predictions] =
            [&self.n_ground_truths, &self.n_predictions].map(|n| n.iter().sum::<usize>());
        writeln!(
            f,
            "{} frames, {n_ground_truths} ground truths, {n_predictions} predictions",
            self.n_frames
        )?;
        writeln!(f, "{:<40} {:>9} {:>9}", "", "AP", "APH")?;
        for figures in &self.figures {
            let (ap, aph) = (figures.average_precision, figures.average_precision_heading);
            writeln!(f, "{:<40} {ap:>9.6} {aph:>9.6}", figures.breakdown.to_string())?;
        }
        Ok(())
    }
}

fn figures_of(breakdown: Breakdown, counts: &Counts) -> Figures {
    let missed = &counts.missed[breakdown.level as usize];
    let curve: Vec<CurvePoint> = (0..N_CUTOFFS)
        .map(|idx| {
            let true_positives = counts.true_positives[idx];
            let share = |part: f64, of: u64, without: f64| {
                if true_positives == 0 { without } else { part / of as f64 }
            };
            let n_predicted = true_positives + counts.false_positives[idx];
            CurvePoint {
                cutoff: cutoff(idx),
                true_positives,
                false_positives: counts.false_positives[idx],
                missed: missed[idx],
                precision: share(true_positives as f64, n_predicted, 1.0),
                precision_heading: share(counts.heading[idx], n_predicted, 1.0),
                recall: share(true_positives as f64, true_positives + missed[idx], 0.0),
            }
        })
        .collect();
    let area = |precision: fn(&CurvePoint) -> f64| {
        average_precision(&curve.iter().map(|p| (precision(p), p.recall)).collect::<Vec<_>>())
    };
    Figures {
        breakdown,
        average_precision: area(|p| p.precision),
        average_precision_heading: area(|p| p.precision_heading),
        curve,
    }
}
