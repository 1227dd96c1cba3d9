//! The figures in parts, and their tables.

use super::{
    FoundCars, FrameFate, LabelledFrame, ObjectFate, Settings, center_distance, indices_of_cars, range_m,
    share, side_factor,
};
use serde::Serialize;
use std::fmt;

/// Width of a band of ranges in metres.
const BAND_M: f64 = 10.0;
/// Where bands of numbers of points end.
const POINTS: [u32; 4] = [50, 100, 200, 500];

/// Cars and false boxes of one band.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Band {
    /// Where it begins, inclusive.
    pub from: f64,
    /// Where it ends, exclusive; infinite in the last one of points.
    pub to: f64,
    /// Labelled cars that count.
    pub n_cars: usize,
    /// Those of them that were found.
    pub n_found: usize,
    /// False boxes, where bands are of ranges.
    pub n_false: usize,
}

impl Band {
    /// Share of the cars that were found; 0 without any.
    pub fn share(&self) -> f64 {
        share(self.n_found, self.n_cars)
    }
}

/// Bands that follow each other.
pub type Bands = Vec<Band>;

fn between(edges: &[f64]) -> Bands {
    let pairs = edges.windows(2);
    pairs.map(|e| Band { from: e[0], to: e[1], n_cars: 0, n_found: 0, n_false: 0 }).collect()
}

fn band_of(bands: &mut [Band], value: f64) -> Option<&mut Band> {
    bands.iter_mut().find(|band| value >= band.from && value < band.to)
}

/// Bands of ranges, and bands of numbers of points.
pub(super) fn bands(frames: &[LabelledFrame], fates: &[FrameFate], settings: &Settings) -> (Bands, Bands) {
    let n_bands = libm::ceil(settings.max_range_m / BAND_M).max(1.0) as usize;
    let mut edges: Vec<f64> = (0..n_bands).map(|k| k as f64 * BAND_M).collect();
    edges.push(settings.max_range_m);
    let mut by_range = between(&edges);
    let mut edges = vec![f64::from(settings.min_points)];
    edges.extend(POINTS.iter().filter(|n| **n > settings.min_points).map(|n| f64::from(*n)));
    edges.push(f64::INFINITY);
    let mut by_points = between(&edges);
    for (frame, fate) in frames.iter().zip(fates) {
        for (object, fate) in frame.objects.iter().zip(&fate.objects) {
            if *fate == ObjectFate::NotCounted {
                continue;
            }
            let places = [
                band_of(&mut by_range, range_m(&object.bbox)),
                band_of(&mut by_points, f64::from(object.n_points)),
            ];
            for band in places.into_iter().flatten() {
                band.n_cars += 1;
                band.n_found += usize::from(*fate == ObjectFate::Found);
            }
        }
        for idx in fate.false_boxes() {
            if let Some(band) = band_of(&mut by_range, range_m(&frame.detections[idx].bbox)) {
                band.n_false += 1;
            }
        }
    }
    (by_range, by_points)
}

/// The box of a car that is nearest to an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Which of the frame's boxes.
    pub detection_idx: usize,
    /// Distance of the centres.
    pub distance_m: f64,
    /// The worst factor between their sides.
    pub side_factor: f64,
}

/// The nearest box of a car to an object of a frame, of any score; `None` without boxes.
///
/// It says why a car was missed: no box near it, one that is off, of the wrong size, or too low a score.
pub fn near_box(frame: &LabelledFrame, object_idx: usize, car_idx: usize) -> Option<Near> {
    let bbox = &frame.objects.get(object_idx)?.bbox;
    indices_of_cars(&frame.detections, car_idx, f32::NEG_INFINITY)
        .map(|detection_idx| {
            let found = &frame.detections[detection_idx].bbox;
            let distance_m = center_distance(bbox, found);
            Near { detection_idx, distance_m, side_factor: side_factor(bbox, found) }
        })
        .min_by(|a, b| a.distance_m.total_cmp(&b.distance_m))
}

impl fmt::Display for FoundCars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = &self.settings;
        writeln!(f, "Cars found, {} frames, score >= {}", self.frames.len(), s.min_score)?;
        writeln!(
            f,
            "(labelled cars nearer than {} m with at least {} points; a box within {} m, sides within a factor of {})",
            s.max_range_m, s.min_points, s.center_m, s.side_factor
        )?;
        let share = self.share();
        writeln!(f, "{} of {} cars found, a share of {share:.3}", self.n_found, self.n_cars)?;
        writeln!(f, "{} false boxes, {:.2} a frame", self.n_false, self.false_per_frame())?;
        writeln!(f, "\n{:>10} {:>6} {:>6} {:>6} {:>6}", "range m", "cars", "found", "share", "false")?;
        for band in &self.by_range {
            let name = format!("{}-{}", band.from, band.to);
            let (cars, found, share) = (band.n_cars, band.n_found, band.share());
            writeln!(f, "{name:>10} {cars:>6} {found:>6} {share:>6.3} {:>6}", band.n_false)?;
        }
        write!(f, "\n{:>10} {:>6} {:>6} {:>6}", "points", "cars", "found", "share")?;
        for band in &self.by_points {
            let last = band.to - 1.0;
            let name =
                if last.is_finite() { format!("{}-{last}", band.from) } else { format!("{}-", band.from) };
            let (cars, found, share) = (band.n_cars, band.n_found, band.share());
            write!(f, "\n{name:>10} {cars:>6} {found:>6} {share:>6.3}")?;
        }
        Ok(())
    }
}
