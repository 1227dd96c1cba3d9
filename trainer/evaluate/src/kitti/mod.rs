//! KITTI's average precision: in the image, on the ground, in 3D, and of orientation.
//!
//! For each class, level of difficulty, place and table of overlaps:
//!
//! 1. Labels of the class that are tall and visible enough **count**; harder ones and those of the
//!    neighbouring class (`Van` for `Car`, `Person_sitting` for `Pedestrian`) are **ignored**; all
//!    others are not there. Detections that are too low are ignored whatever their class; others of
//!    the class count.
//! 2. Labels take detections, in the order of the files, and those taken from counted labels by
//!    counted detections give the scores at which the recall comes nearest to 0, 1/40, ..., 1.
//! 3. At each of those scores labels take detections again, now those that overlap them most.
//!    Counted detections that none took are false, unless they lie in a `DontCare` region.
//! 4. The precision of a step is the best at that recall or a higher one. R40 is its mean over 1/40
//!    to 1, R11 over 0, 0.1, ..., 1. Orientation is the same with each object found weighed by
//!    `(1 + cos d) / 2`, `d` being how far its angle to the line of sight is off.
//!
//! Where the evaluators in use differ, [`Rules`] decides. Figures are percents, as everywhere.
//!
//! **Determinism**: frames go by name, so neither their order nor the number of threads plays a
//! part. Within a file the order of lines decides between equals, as in the official code.
//! **Source**: KITTI object development kit, `evaluate_object.cpp`; mmdet3d `kitti_utils/eval.py`.

mod curve;
mod files;
mod matching;
mod overlap;
mod report;
mod rules;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use curve::{Curve, N_STEPS, ap_r11, ap_r40};
pub use files::{Loaded, Sources, load};
pub use overlap::{Solid, image_iou, image_share};
pub use report::{ClassReport, KittiReport, Metric};
pub use rules::{CLASSES, Class, Place, Rules, Table};

use curve::{Counts, thresholds};
use matching::{Contest, Question, Scene};
use pilotis_datasets::DatasetError;
use pilotis_datasets::kitti::{Difficulty, LabelLine};
use rayon::prelude::*;
use report::{Answer, availability};
use std::path::PathBuf;

/// The lines of a frame: what is labelled, and what a detector says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameLines {
    /// The frame's name; no two frames share one.
    pub name: String,
    /// Labels, `DontCare` lines included, in the order of the file.
    pub labels: Vec<LabelLine>,
    /// Detections, each with a score, in the order of the file.
    pub detections: Vec<LabelLine>,
}

/// Files or lines that cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum KittiError {
    /// A file that cannot be read, or a line that is not what its format says.
    #[error(transparent)]
    File(#[from] DatasetError),
    /// There is no frame, so there is nothing to say.
    #[error("there are no frames to evaluate in `{}`", .folder.display())]
    NoFrames {
        /// Where frames were looked for.
        folder: PathBuf,
    },
    /// Frames that have no file of results.
    #[error(
        "{n_missing} of {n_frames} frames have no file of results, `{}` the first; a frame without \
         boxes has an empty file. Name the evaluated frames by a split, or have missing files counted \
         as empty", .first.display()
    )]
    MissingResults {
        /// How many.
        n_missing: usize,
        /// Frames in all.
        n_frames: usize,
        /// The first file that is not there.
        first: PathBuf,
    },
    /// Results of frames that have no labels.
    #[error(
        "{n_files} files of results have no labels, `{}` the first; name the evaluated frames by a \
         split, or give the labels that belong to the results", .first.display()
    )]
    UnknownResults {
        /// How many.
        n_files: usize,
        /// The first of them.
        first: PathBuf,
    },
    /// A frame is there twice, and would count twice.
    #[error("frame `{name}` is named twice")]
    Duplicate {
        /// The frame.
        name: String,
    },
    /// A line with a number that is not finite, or a detection without a score.
    #[error("frame `{name}`: {kind} {idx} has {what}")]
    Unsound {
        /// The frame.
        name: String,
        /// `label` or `detection`.
        kind: &'static str,
        /// Which one, counted from 0.
        idx: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Evaluates all classes at all levels and places by both tables.
///
/// **Errors**: no frames, two of the same name, numbers that are not finite, no score.
pub fn evaluate(frames: &[FrameLines], rules: Rules) -> Result<KittiReport, KittiError> {
    let frames = in_order(frames)?;
    let scenes: Vec<Scene<'_>> = frames.par_iter().map(|frame| Scene::of(frame, rules)).collect();
    let answers: Vec<(usize, Answer)> = questions(rules)
        .into_par_iter()
        .map(|(class_idx, table, question)| (class_idx, answer(&scenes, table, &question)))
        .collect();
    let mut classes: Vec<ClassReport> =
        CLASSES.iter().map(|class| availability(class, &frames, rules)).collect();
    for (class_idx, answer) in answers {
        if let Some(class) = classes.get_mut(class_idx) {
            class.add(answer);
        }
    }
    Ok(KittiReport { rules, n_frames: frames.len(), classes })
}

/// The frames by name, after a look at each.
fn in_order(frames: &[FrameLines]) -> Result<Vec<&FrameLines>, KittiError> {
    if frames.is_empty() {
        return Err(KittiError::NoFrames { folder: PathBuf::new() });
    }
    let mut sorted: Vec<&FrameLines> = frames.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(KittiError::Duplicate { name: pair[0].name.clone() });
    }
    for frame in &sorted {
        let lines = [("label", &frame.labels), ("detection", &frame.detections)];
        for (kind, lines) in lines {
            for (idx, line) in lines.iter().enumerate() {
                let what = match line.score {
                    _ if !is_finite(line) => "a number that is not finite",
                    None if kind == "detection" => "no score",
                    _ => continue,
                };
                return Err(KittiError::Unsound { name: frame.name.clone(), kind, idx, what });
            }
        }
    }
    Ok(sorted)
}

fn is_finite(line: &LabelLine) -> bool {
    let others = [line.truncation, line.alpha_rad, line.rotation_y, line.score.unwrap_or(0.0)];
    let numbers = line.image_box.iter().chain(&line.size_hwl).chain(&line.location).chain(&others);
    numbers.copied().all(f64::is_finite)
}

/// Every question once: in the image both tables ask the same.
fn questions(rules: Rules) -> Vec<(usize, Table, Question)> {
    let mut all = Vec::new();
    for (class_idx, class) in CLASSES.iter().enumerate() {
        for place in Place::ALL {
            for table in Table::ALL {
                if place == Place::Image && table == Table::Loose {
                    continue;
                }
                let min_overlap = class.min_overlap(place, table);
                let ask = |difficulty| Question { class, difficulty, place, min_overlap, rules };
                all.extend(Difficulty::ALL.map(|difficulty| (class_idx, table, ask(difficulty))));
            }
        }
    }
    all
}

/// Asks all frames.
fn answer(scenes: &[Scene<'_>], table: Table, question: &Question) -> Answer {
    let contests = scenes.iter().map(|scene| Contest::of(scene, question));
    let contests: Vec<Contest> = contests.filter(|contest| !contest.is_empty()).collect();
    let mut scores = Vec::new();
    for contest in &contests {
        contest.scores_of_found(&mut scores);
    }
    let n_ground_truths = contests.iter().map(Contest::n_counted).sum();
    let thresholds = thresholds(scores, n_ground_truths);
    let mut is_taken = Vec::new();
    let counts: Vec<Counts> = thresholds
        .iter()
        .map(|threshold| {
            let mut counts = Counts::default();
            contests.iter().for_each(|contest| contest.count(*threshold, &mut is_taken, &mut counts));
            counts
        })
        .collect();
    Answer {
        table,
        place: question.place,
        difficulty: question.difficulty,
        n_ground_truths,
        curve: Curve::of(&thresholds, &counts),
    }
}
