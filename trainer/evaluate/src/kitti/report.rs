//! The figures, as a table and as JSON with the keys of the ports.

use super::curve::{Curve, N_STEPS, ap_r11, ap_r40};
use super::rules::{Class, Place, Rules, Table, has_angle, has_image_box, has_place};
use super::{FrameLines, Loaded};
use pilotis_datasets::kitti::{Difficulty, LabelLine};
use serde_json::{Map, Value, json};
use std::fmt;

/// What is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Precision in the image.
    Image,
    /// Precision on the ground.
    Ground,
    /// Precision in 3D.
    Space,
    /// Orientation similarity in the image.
    Orientation,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Image, Self::Ground, Self::Space, Self::Orientation];

    /// As in the keys of reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "2D",
            Self::Ground => "BEV",
            Self::Space => "3D",
            Self::Orientation => "AOS",
        }
    }

    /// Where boxes are compared for it.
    pub fn place(self) -> Place {
        match self {
            Self::Image | Self::Orientation => Place::Image,
            Self::Ground => Place::Ground,
            Self::Space => Place::Space,
        }
    }
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) table: Table,
    pub(super) place: Place,
    pub(super) difficulty: Difficulty,
    pub(super) n_ground_truths: usize,
    pub(super) curve: Curve,
}

/// Figures of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// The class.
    pub class: &'static Class,
    /// Labels that count at each level.
    pub n_ground_truths: [usize; 3],
    /// Detections of the class.
    pub n_detections: usize,
    /// Those of them without an image box.
    pub n_without_image_box: usize,
    /// Why a metric has no figures, in the order of [`Metric::ALL`].
    not_available: [Option<&'static str>; 4],
    answers: Vec<Answer>,
}

impl ClassReport {
    pub(super) fn add(&mut self, answer: Answer) {
        self.n_ground_truths[answer.difficulty as usize] = answer.n_ground_truths;
        self.answers.push(answer);
    }

    /// Why there are no figures of a metric; `None` where there are.
    pub fn not_available(&self, metric: Metric) -> Option<&'static str> {
        self.not_available[metric as usize]
    }

    /// The curve of a metric; `None` where it is not available.
    pub fn curve(&self, metric: Metric, table: Table, difficulty: Difficulty) -> Option<&Curve> {
        let place = metric.place();
        let table = if place == Place::Image { Table::Strict } else { table };
        let is_asked = |a: &&Answer| a.place == place && a.table == table && a.difficulty == difficulty;
        let answer = self.answers.iter().find(is_asked)?;
        self.not_available(metric).is_none().then_some(&answer.curve)
    }

    /// What is averaged, at each step of recall.
    fn values(&self, metric: Metric, table: Table, difficulty: Difficulty) -> Option<&[f64; N_STEPS]> {
        let curve = self.curve(metric, table, difficulty)?;
        Some(if metric == Metric::Orientation { &curve.orientation } else { &curve.precision })
    }

    /// Average over 11 recalls, in percent.
    pub fn ap_r11(&self, metric: Metric, table: Table, difficulty: Difficulty) -> Option<f64> {
        self.values(metric, table, difficulty).map(ap_r11)
    }

    /// Average over 40 recalls, in percent.
    pub fn ap_r40(&self, metric: Metric, table: Table, difficulty: Difficulty) -> Option<f64> {
        self.values(metric, table, difficulty).map(ap_r40)
    }
}

/// What can be said of a class, before anything is counted.
pub(super) fn availability(class: &'static Class, frames: &[&FrameLines], rules: Rules) -> ClassReport {
    let all = || frames.iter().flat_map(|frame| &frame.detections);
    let of_class = || all().filter(|d| class.is(d));
    let (n_detections, n_all) = (of_class().count(), all().count());
    let n_without_image_box = of_class().filter(|d| !has_image_box(d)).count();
    // A class without detections shares the fate of the whole: its 0 says something only where
    // others could have been found.
    let some = |has: &dyn Fn(&LabelLine) -> bool| match (rules, n_detections) {
        (Rules::StrictCpp, _) | (Rules::Ports, 1..) => of_class().any(has),
        (Rules::Ports, 0) => n_all == 0 || all().any(has),
    };
    let in_image = match rules {
        Rules::Ports => some(&|d| has_image_box(d)),
        Rules::StrictCpp => some(&|d| d.image_box[0] >= 0.0),
    };
    let (on_ground, in_space) = (some(&|d| has_place(d, 0)), some(&|d| has_place(d, 1)));
    let no = |is_available: bool, why: &'static str| (!is_available).then_some(why);
    let (image, ground) = match (rules, n_detections) {
        (Rules::StrictCpp, 0) => ("no detection of the class", "no detection of the class"),
        _ => ("no detection has an image box", "no detection has a place in space"),
    };
    let image = no(in_image, image);
    let orientation = image.or_else(|| no_angles(frames, rules));
    ClassReport {
        class,
        n_ground_truths: [0; 3],
        n_detections,
        n_without_image_box,
        not_available: [image, no(on_ground, ground), no(in_space, ground), orientation],
        answers: Vec::new(),
    }
}

/// Why orientation cannot be judged.
fn no_angles(frames: &[&FrameLines], rules: Rules) -> Option<&'static str> {
    let mut detections = frames.iter().flat_map(|frame| &frame.detections);
    match rules {
        Rules::StrictCpp if !detections.all(has_angle) => Some("a detection has no angle"),
        Rules::StrictCpp => None,
        Rules::Ports if !detections.any(has_angle) => Some("no detection has an angle"),
        // As the ports look: at the first label of each frame.
        Rules::Ports if !frames.iter().any(|f| f.labels.first().is_some_and(has_angle)) => {
            Some("no label has an angle")
        }
        Rules::Ports => None,
    }
}

/// Figures of all classes.
#[derive(Clone, Debug, PartialEq)]
pub struct KittiReport {
    /// By which rules.
    pub rules: Rules,
    /// Frames evaluated.
    pub n_frames: usize,
    /// One for each of [`super::CLASSES`].
    pub classes: Vec<ClassReport>,
}

/// How the values at the steps of recall become one figure.
type Average = fn(&[f64; N_STEPS]) -> f64;

/// Both averages, by the names of the ports.
const AVERAGES: [(&str, Average); 2] = [("AP11", ap_r11), ("AP40", ap_r40)];

impl KittiReport {
    /// Mean over the classes by the strict table, in percent; `None` where a class has no figure.
    fn overall(&self, metric: Metric, difficulty: Difficulty, average: Average) -> Option<f64> {
        let of_class = |c: &ClassReport| c.values(metric, Table::Strict, difficulty).map(average);
        let figures: Option<Vec<f64>> = self.classes.iter().map(of_class).collect();
        let figures = figures?;
        Some(figures.iter().sum::<f64>() / figures.len() as f64)
    }

    /// Every figure in percent by its key, `null` where it is not available.
    ///
    /// Keys are mmdet3d's, `KITTI/Car_3D_AP40_moderate_strict` and `KITTI/Overall_3D_AP40_moderate`,
    /// and of the same form for `AOS`, which it prints only.
    pub fn figures(&self) -> Map<String, Value> {
        let mut figures = Map::new();
        for (name, average) in AVERAGES {
            for metric in Metric::ALL {
                for difficulty in Difficulty::ALL {
                    let (metric_name, level) = (metric.name(), difficulty.name());
                    for class in &self.classes {
                        for table in Table::ALL {
                            let key = format!(
                                "KITTI/{}_{metric_name}_{name}_{level}_{}",
                                class.class.name,
                                table.name()
                            );
                            figures.insert(key, json!(class.values(metric, table, difficulty).map(average)));
                        }
                    }
                    let key = format!("KITTI/Overall_{metric_name}_{name}_{level}");
                    figures.insert(key, json!(self.overall(metric, difficulty, average)));
                }
            }
        }
        figures
    }

    /// Figures, counts and rules, for programs.
    pub fn summary(&self) -> Value {
        let mut classes = Map::new();
        for class in &self.classes {
            let levels = Difficulty::ALL.iter().zip(class.n_ground_truths);
            let n_ground_truths: Map<String, Value> =
                levels.map(|(level, n)| (level.name().to_owned(), json!(n))).collect();
            let missing = Metric::ALL.into_iter().filter_map(|m| Some((m, class.not_available(m)?)));
            let not_available: Map<String, Value> =
                missing.map(|(metric, why)| (metric.name().to_owned(), json!(why))).collect();
            let figures = json!({
                "n_ground_truths": n_ground_truths,
                "n_detections": class.n_detections,
                "n_without_image_box": class.n_without_image_box,
                "not_available": not_available,
            });
            classes.insert(class.class.name.to_owned(), figures);
        }
        json!({
            "schema_version": 1,
            "rules": self.rules.name(),
            "n_frames": self.n_frames,
            "classes": classes,
            "figures": self.figures(),
        })
    }

    /// The summary, with what became of files.
    pub fn summary_of(&self, loaded: &Loaded) -> Value {
        let mut summary = self.summary();
        summary["n_frames_without_results"] = json!(loaded.n_missing);
        summary["n_results_left_out"] = json!(loaded.n_left_out);
        summary
    }

    /// Every curve by its key, `Car_3D_moderate_strict`, for plots.
    ///
    /// Arrays have a value for each step of recall, 0 beyond `n_thresholds`.
    pub fn details(&self) -> Value {
        let mut curves = Map::new();
        for class in &self.classes {
            for metric in [Metric::Image, Metric::Ground, Metric::Space] {
                for table in Table::ALL {
                    for difficulty in Difficulty::ALL {
                        let Some(curve) = class.curve(metric, table, difficulty) else { continue };
                        let mut entry = json!({
                            "min_overlap": class.class.min_overlap(metric.place(), table),
                            "n_thresholds": curve.n_thresholds,
                            "score": curve.score.as_slice(),
                            "recall": curve.recall.as_slice(),
                            "precision": curve.precision.as_slice(),
                        });
                        if metric == Metric::Image && class.not_available(Metric::Orientation).is_none() {
                            entry["orientation"] = json!(curve.orientation.as_slice());
                        }
                        let name = class.class.name;
                        let key = format!("{name}_{}_{}_{}", metric.name(), difficulty.name(), table.name());
                        curves.insert(key, entry);
                    }
                }
            }
        }
        json!({ "schema_version": 1, "rules": self.rules.name(), "curves": curves })
    }

    /// Classes of which detections had no image box though others had: the height rule looks at those.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for class in &self.classes {
            for metric in Metric::ALL {
                if let Some(why) = class.not_available(metric) {
                    notes.push(format!("{} {}: not available, {why}", class.class.name, metric.name()));
                }
            }
            let n = class.n_without_image_box;
            if n > 0 {
                let what = match self.rules {
                    Rules::Ports => "counted on the ground and in 3D as if tall enough, ignored in the image",
                    Rules::StrictCpp => "ignored everywhere, as too low",
                };
                notes.push(format!("{}: {n} detections without an image box, {what}", class.class.name));
            }
        }
        notes
    }
}

impl fmt::Display for KittiReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = match self.rules {
            Rules::Ports => "rules of the Python ports",
            Rules::StrictCpp => "rules of the C++ evaluator",
        };
        writeln!(f, "KITTI average precision in percent, {} frames, {rules}", self.n_frames)?;
        writeln!(
            f,
            "{:<12} {:<4} {:>7} {:>26} {:>26}",
            "class", "", "overlap", "R40 easy moderate hard", "R11 easy moderate hard"
        )?;
        for class in &self.classes {
            for metric in Metric::ALL {
                for table in Table::ALL {
                    if metric.place() == Place::Image && table == Table::Loose {
                        continue;
                    }
                    let overlap = class.class.min_overlap(metric.place(), table);
                    write!(f, "{:<12} {:<4} {overlap:>7.2}", class.class.name, metric.name())?;
                    for average in [ClassReport::ap_r40, ClassReport::ap_r11] {
                        write!(f, " ")?;
                        for difficulty in Difficulty::ALL {
                            match average(class, metric, table, difficulty) {
                                Some(figure) => write!(f, " {figure:>8.4}")?,
                                None => write!(f, " {:>8}", "-")?,
                            }
                        }
                    }
                    writeln!(f)?;
                }
            }
        }
        for metric in Metric::ALL {
            write!(f, "{:<12} {:<4} {:>7}", "mean", metric.name(), "strict")?;
            for average in [ap_r40, ap_r11] {
                write!(f, " ")?;
                for difficulty in Difficulty::ALL {
                    match self.overall(metric, difficulty, average) {
                        Some(figure) => write!(f, " {figure:>8.4}")?,
                        None => write!(f, " {:>8}", "-")?,
                    }
                }
            }
            writeln!(f)?;
        }
        for class in &self.classes {
            let [easy, moderate, hard] = class.n_ground_truths;
            let (name, n) = (class.class.name, class.n_detections);
            writeln!(f, "{name}: {easy}, {moderate}, {hard} labels count, {n} detections")?;
        }
        for note in self.notes() {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}
