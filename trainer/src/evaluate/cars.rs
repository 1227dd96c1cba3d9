//! Cars: a package on labelled frames, and which cars it finds and which it makes up.

use super::Filter;
use super::cars_picture;
use super::deployed::{DeployArgs, Deployed, write_json};
use super::found_cars::{
    self, CAR, FoundCars, FrameFate, LabelledFrame, Settings, SweepPoint, best_score, near_box, range_m,
    sweep,
};
use crate::datasets::points_in_box;
use anyhow::{Context, ensure};
use pilotis_runtime::Package;
use pilotis_spec::{Box3d, Grid};
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Scores in the table, and where it ends.
const N_SCORES: usize = 12;
const LAST_SCORE: f32 = 0.9;

/// Options of `pilotis-trainer evaluate cars`.
#[derive(Clone, Debug, clap::Args)]
pub struct CarsArgs {
    /// Package and frames
    #[command(flatten)]
    pub deploy: DeployArgs,
    /// Split of the dataset
    #[arg(long, default_value = "all")]
    pub split: String,
    /// Score from which boxes count [default: the package's]
    #[arg(long)]
    pub score: Option<f32>,
    /// Lowest score of the table and of the search for the best [default: the package's]
    #[arg(long)]
    pub min_score: Option<f32>,
    /// False boxes a frame that the best score may have
    #[arg(long, default_value_t = 2.0)]
    pub max_false: f64,
    /// Cars with fewer points do not count
    #[arg(long, default_value_t = 20)]
    pub min_points: u32,
    /// Also print every missed car and every false box
    #[arg(long)]
    pub list: bool,
    /// Also draw every frame into this folder
    #[arg(long)]
    pub pictures: Option<PathBuf>,
    /// Also write the figures here, as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Runs `pilotis-trainer evaluate cars`.
pub fn run(args: &CarsArgs) -> anyhow::Result<()> {
    let mut deployed = Deployed::open(&args.deploy, &args.split)?;
    let manifest = deployed.package.manifest();
    let car_idx = manifest.classes.iter().position(|name| name == CAR);
    let car_idx = car_idx.with_context(|| format!("`{}` has no class `{CAR}`", manifest.name))?;
    let lowest = manifest.boxes.score_threshold;
    let score = score_or(args.score, lowest, "--score")?;
    let from = score_or(args.min_score, lowest, "--min-score")?;
    let settings = Settings { min_points: args.min_points, ..Settings::at(score) };

    let (mut frames, mut hits) = (Vec::new(), Vec::new());
    deployed.run(|_, sample, frame| {
        let detections = frame.detections.to_vec();
        hits.push(detections.iter().map(|d| points_in_box(&sample.points, &d.bbox)).collect::<Vec<_>>());
        frames.push(LabelledFrame { name: sample.name, objects: sample.objects, detections });
        Ok(())
    })?;

    let found = found_cars::evaluate(&frames, car_idx, &settings)?;
    let curve = sweep(&frames, car_idx, &settings, &scores_from(from))?;
    let searched = Settings { min_score: from, ..settings };
    let best = best_score(&frames, car_idx, &searched, args.max_false)?;
    let parts = Parts {
        n_out_of_grid: n_out_of_grid(&frames, &settings, &deployed.package.manifest().grid),
        curve,
        best,
        lists: Lists::of(&frames, &found.frames, &hits, car_idx),
    };
    print(args, &deployed.package, &found, &parts)?;
    if let Some(path) = &args.json {
        write_json(path, &to_json(args, &deployed.package, &found, &parts))?;
    }
    if let Some(folder) = &args.pictures {
        draw(folder, &deployed, &frames, &found)?;
    }
    Ok(())
}

/// A score that the package can be asked for: it puts out nothing below its own.
fn score_or(asked: Option<f32>, lowest: f32, option: &str) -> anyhow::Result<f32> {
    let score = asked.unwrap_or(lowest);
    ensure!(
        score >= lowest,
        "{option} {score}: the package puts out no box below {lowest}; export one with a lower \
         `boxes.score_threshold`"
    );
    Ok(score)
}

/// Evenly spaced scores, in hundredths but for the first.
fn scores_from(from: f32) -> Vec<f32> {
    let step = (LAST_SCORE - from).max(0.0) / (N_SCORES - 1) as f32;
    let rest = (1..N_SCORES).map(|k| ((from + k as f32 * step) * 100.0).round() / 100.0);
    let mut scores: Vec<f32> = std::iter::once(from).chain(rest.filter(|s| *s > from)).collect();
    scores.dedup();
    scores
}

/// Cars that count but lie where the model does not look.
fn n_out_of_grid(frames: &[LabelledFrame], settings: &Settings, grid: &Grid) -> usize {
    let filter = Filter::on_grid(grid, 0);
    let cars = frames.iter().flat_map(|f| &f.objects).filter(|o| settings.counts(o));
    cars.filter(|o| !filter.holds(&o.bbox)).count()
}

/// What is said besides the figures at the score.
struct Parts {
    n_out_of_grid: usize,
    curve: Vec<SweepPoint>,
    best: Option<SweepPoint>,
    lists: Lists,
}

/// Every missed car and every false box.
#[derive(Serialize)]
struct Lists {
    missed_cars: Vec<MissedCar>,
    false_boxes: Vec<FalseBox>,
}

#[derive(Serialize)]
struct MissedCar {
    frame: String,
    bbox: Box3d,
    range_m: f64,
    n_points: u32,
    occlusion: u8,
    /// Distance, worst factor of the sides and score of the nearest box of a car.
    nearest: Option<(f64, f64, f32)>,
}

#[derive(Serialize)]
struct FalseBox {
    frame: String,
    bbox: Box3d,
    range_m: f64,
    n_points: u32,
    score: f32,
}

impl Lists {
    fn of(frames: &[LabelledFrame], fates: &[FrameFate], hits: &[Vec<u32>], car_idx: usize) -> Self {
        let mut lists = Self { missed_cars: Vec::new(), false_boxes: Vec::new() };
        for ((frame, fate), hits) in frames.iter().zip(fates).zip(hits) {
            for idx in fate.missed() {
                let object = &frame.objects[idx];
                let near = near_box(frame, idx, car_idx);
                lists.missed_cars.push(MissedCar {
                    frame: frame.name.clone(),
                    bbox: object.bbox,
                    range_m: range_m(&object.bbox),
                    n_points: object.n_points,
                    occlusion: object.occlusion,
                    nearest: near
                        .map(|n| (n.distance_m, n.side_factor, frame.detections[n.detection_idx].score)),
                });
            }
            for idx in fate.false_boxes() {
                let detection = &frame.detections[idx];
                lists.false_boxes.push(FalseBox {
                    frame: frame.name.clone(),
                    bbox: detection.bbox,
                    range_m: range_m(&detection.bbox),
                    n_points: hits[idx],
                    score: detection.score,
                });
            }
        }
        lists
    }
}

/// Where a box is and how large, in a few words.
fn place(f: &mut fmt::Formatter<'_>, frame: &str, bbox: &Box3d, range_m: f64) -> fmt::Result {
    let ([x, y, _], [l, w, h]) = (bbox.center, bbox.size);
    write!(f, "{frame:<8} {x:>6.1} {y:>6.1} {range_m:>5.1} m  {l:.1} x {w:.1} x {h:.1}")
}

impl fmt::Display for MissedCar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.frame, &self.bbox, self.range_m)?;
        write!(f, " {:>5} points, occlusion {}; ", self.n_points, self.occlusion)?;
        match self.nearest {
            None => write!(f, "no box"),
            Some((distance, factor, score)) => {
                write!(f, "nearest box {distance:.1} m off, sides {factor:.2}, score {score:.2}")
            }
        }
    }
}

impl fmt::Display for FalseBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.frame, &self.bbox, self.range_m)?;
        write!(f, " {:>5} points, score {:.2}", self.n_points, self.score)
    }
}

fn print(args: &CarsArgs, package: &Package, found: &FoundCars, parts: &Parts) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} ({})\n{found}", package.manifest().name, package.digest())?;
    if parts.n_out_of_grid > 0 {
        writeln!(out, "\n{} of the cars lie outside of the model's range", parts.n_out_of_grid)?;
    }
    writeln!(out, "\n{:>10} {:>6} {:>6} {:>6} {:>8}", "score", "found", "share", "false", "a frame")?;
    for p in &parts.curve {
        let (score, found, share) = (p.min_score, p.n_found, p.share);
        writeln!(out, "{score:>10.2} {found:>6} {share:>6.3} {:>6} {:>8.2}", p.n_false, p.false_per_frame)?;
    }
    match &parts.best {
        Some(best) => writeln!(
            out,
            "best with at most {} false a frame: score {:.4}, a share of {:.3} with {:.2} false a frame",
            args.max_false, best.min_score, best.share, best.false_per_frame
        )?,
        None => writeln!(out, "no score has at most {} false a frame", args.max_false)?,
    }
    if args.list {
        writeln!(out, "\nmissed cars")?;
        parts.lists.missed_cars.iter().try_for_each(|car| writeln!(out, "{car}"))?;
        writeln!(out, "\nfalse boxes")?;
        parts.lists.false_boxes.iter().try_for_each(|bbox| writeln!(out, "{bbox}"))?;
    }
    Ok(())
}

fn to_json(args: &CarsArgs, package: &Package, found: &FoundCars, parts: &Parts) -> serde_json::Value {
    json!({
        "model": package.manifest().name,
        "package_sha256": package.digest(),
        "settings": found.settings,
        "n_frames": found.frames.len(),
        "n_cars": found.n_cars,
        "n_out_of_grid": parts.n_out_of_grid,
        "n_found": found.n_found,
        "share": found.share(),
        "n_false": found.n_false,
        "false_per_frame": found.false_per_frame(),
        "by_range": found.by_range,
        "by_points": found.by_points,
        "sweep": parts.curve,
        "max_false_per_frame": args.max_false,
        "best": parts.best,
        "missed_cars": parts.lists.missed_cars,
        "false_boxes": parts.lists.false_boxes,
    })
}

fn draw(
    folder: &Path,
    deployed: &Deployed,
    frames: &[LabelledFrame],
    found: &FoundCars,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let grid = &deployed.package.manifest().grid;
    for (idx, (frame, fate)) in frames.iter().zip(&found.frames).enumerate() {
        // Read again: the points of all frames need not fit into memory.
        let points = deployed.dataset().load(idx)?.points;
        let png = cars_picture::draw(frame, fate, &points, grid, &found.settings)?.to_png()?;
        let path = folder.join(format!("{}.png", frame.name));
        std::fs::write(&path, png).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "pictures: {}", folder.display())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_the_table_rise_evenly_from_the_first() {
        let scores = scores_from(0.125);
        assert_eq!(scores.len(), N_SCORES);
        assert!((scores[0] - 0.125).abs() < 1e-6 && (scores[11] - LAST_SCORE).abs() < 1e-6, "{scores:?}");
        assert!(scores.windows(2).all(|s| (0.06..0.08).contains(&(s[1] - s[0]))), "{scores:?}");
        assert_eq!(scores_from(0.95).len(), 1);
    }

    #[test]
    fn scores_below_the_packages_own_are_refused() {
        assert!((score_or(None, 0.1, "--score").unwrap() - 0.1).abs() < 1e-6);
        assert!((score_or(Some(0.3), 0.1, "--score").unwrap() - 0.3).abs() < 1e-6);
        let said = score_or(Some(0.05), 0.1, "--min-score").unwrap_err().to_string();
        assert!(said.contains("--min-score 0.05") && said.contains("below 0.1"), "{said}");
    }
}
