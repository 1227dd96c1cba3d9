//! Collecting: what one frame counts, and what a dataset's frames add up to.

use super::source::{Cloud, Source, View, count_rings};
use crate::datasets::kitti::Calibration;
use crate::datasets::{BoxTest, DatasetError};
use pilotis_spec::Point;
use rayon::prelude::*;

/// What a histogram counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Distance of points from the sensor.
    Range,
    /// Height of points over the sensor.
    Height,
    /// Intensity of all points.
    Intensity,
    /// Intensity of points on the ground, within [`NEAR_M`].
    IntensityGround,
    /// Intensity of points that are clear of the ground, within [`NEAR_M`].
    IntensityAbove,
    /// Intensity of points inside of labelled boxes.
    IntensityBoxes,
}

/// Every histogram, in the order of reports.
pub const MEASURES: [Measure; 6] = [
    Measure::Range,
    Measure::Height,
    Measure::Intensity,
    Measure::IntensityGround,
    Measure::IntensityAbove,
    Measure::IntensityBoxes,
];

/// The bins of a histogram. What lies beyond an end is counted in the bin there.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Axis {
    /// Lower end of the first bin.
    pub start: f64,
    /// Width of a bin.
    pub width: f64,
    /// Number of bins.
    pub n_bins: usize,
}

impl Axis {
    /// The bin of a value.
    pub fn bin(&self, value: f64) -> usize {
        // A thousandth of a bin keeps round values, which single precision may hold a little too small, in
        // the bin that they begin.
        let bin = ((value - self.start) / self.width + 1e-3).floor();
        bin.clamp(0.0, self.n_bins as f64 - 1.0) as usize
    }
}

impl Measure {
    /// Its bins, the same for every dataset.
    ///
    /// Intensity has 25 bins of the full scale: each holds four of KITTI's hundredths. 32 bins would hold three
    /// or four, and the histogram would show that.
    pub fn axis(self) -> Axis {
        match self {
            Self::Range => Axis { start: 0.0, width: 2.0, n_bins: 50 },
            Self::Height => Axis { start: -4.0, width: 0.2, n_bins: 45 },
            _ => Axis { start: 0.0, width: 0.04, n_bins: 25 },
        }
    }
}

/// Ground and what is above it are told apart within this distance only.
pub const NEAR_M: f32 = 25.0;
/// Up to this from the height of the ground is ground.
const GROUND_M: f32 = 0.25;
/// From this over the ground on is clear of it.
const CLEAR_M: f32 = 0.5;

/// One labelled object.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxStats {
    /// Lower case.
    pub class_name: String,
    /// From the sensor to the centre, along the ground.
    pub distance_m: f64,
    /// Points inside, counted by us for every source.
    pub n_points: u32,
    /// Length, width, height in metres.
    pub size_m: [f64; 3],
}

/// What one frame counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameStats {
    /// Returns that are not of the own car.
    pub n_points: u64,
    /// Records that are not finite.
    pub n_not_finite: u64,
    /// Records of the own car.
    pub n_own_car: u64,
    /// Counts of each of [`MEASURES`].
    pub histograms: Vec<Vec<u64>>,
    /// Points of each ring, where rings are known.
    pub rings: Option<Vec<u64>>,
    /// Firings of each ring, where they are known.
    pub fired: Option<Vec<u64>>,
    /// Sum of the values behind each of [`MEASURES`].
    pub sums: Vec<f64>,
    /// Points of intensity 0.
    pub n_dark: u64,
    /// Points in a box or several.
    pub n_in_boxes: u64,
    /// Labelled objects.
    pub boxes: Vec<BoxStats>,
}

/// What the frames of a dataset count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetStats {
    /// Name for tables and legends.
    pub name: String,
    /// Frame by frame, in the order of the dataset.
    pub frames: Vec<FrameStats>,
}

/// Reads `n_frames` frames, evenly spread over a source, and counts.
///
/// **Errors**: the first frame that cannot be read. **Determinism**: the same for any number of threads.
pub fn collect(
    source: &Source,
    view: View,
    camera: Option<&Calibration>,
    n_frames: usize,
) -> Result<DatasetStats, DatasetError> {
    let n_all = source.n_frames();
    let n_frames = n_frames.min(n_all);
    let frames: Result<Vec<FrameStats>, DatasetError> = (0..n_frames)
        .into_par_iter()
        .map(|k| {
            let cloud = source.load(k * n_all / n_frames, view, camera)?;
            Ok(count(&cloud, source.full_scale, source.sensor.n_rings()))
        })
        .collect();
    Ok(DatasetStats { name: source.name.clone(), frames: frames? })
}

/// Counts one frame.
pub fn count(cloud: &Cloud, full_scale: f32, n_rings: usize) -> FrameStats {
    let mut frame = FrameStats {
        n_points: cloud.points.len() as u64,
        n_not_finite: cloud.n_not_finite,
        n_own_car: cloud.n_own_car,
        histograms: MEASURES.iter().map(|m| vec![0; m.axis().n_bins]).collect(),
        sums: vec![0.0; MEASURES.len()],
        rings: cloud.rings.as_ref().map(|rings| count_rings(rings, n_rings)),
        fired: cloud.fired.clone(),
        ..FrameStats::default()
    };
    let in_box = count_boxes(cloud, &mut frame);
    let ground_m = ground_height(&cloud.points);
    for (point, in_box) in cloud.points.iter().zip(&in_box) {
        let intensity = f64::from(point.intensity / full_scale);
        frame.n_dark += u64::from(point.intensity <= 0.0);
        frame.n_in_boxes += u64::from(*in_box);
        let [x, y, z] = [point.x, point.y, point.z].map(f64::from);
        let range = libm::sqrt(x * x + y * y + z * z);
        let near = range < f64::from(NEAR_M);
        let over = ground_m.filter(|_| near).map(|ground| point.z - ground);
        for ((measure, counts), sum) in MEASURES.iter().zip(&mut frame.histograms).zip(&mut frame.sums) {
            let value = match measure {
                Measure::Range => Some(range),
                Measure::Height => Some(z),
                Measure::Intensity => Some(intensity),
                Measure::IntensityGround => over.filter(|o| o.abs() <= GROUND_M).map(|_| intensity),
                Measure::IntensityAbove => over.filter(|o| *o >= CLEAR_M).map(|_| intensity),
                Measure::IntensityBoxes => in_box.then_some(intensity),
            };
            let Some(value) = value else { continue };
            *sum += value;
            if let Some(n) = counts.get_mut(measure.axis().bin(value)) {
                *n += 1;
            }
        }
    }
    frame
}

/// Which points are in a box; the boxes with their points go to the frame.
fn count_boxes(cloud: &Cloud, frame: &mut FrameStats) -> Vec<bool> {
    let mut in_box = vec![false; cloud.points.len()];
    for object in &cloud.objects {
        let test = BoxTest::new(&object.bbox);
        let mut n_points = 0;
        for (point, inside) in cloud.points.iter().zip(&mut in_box) {
            if test.contains(point) {
                *inside = true;
                n_points += 1;
            }
        }
        let [x, y, _] = object.bbox.center.map(f64::from);
        frame.boxes.push(BoxStats {
            class_name: object.class_name.clone(),
            distance_m: libm::hypot(x, y),
            n_points,
            size_m: object.bbox.size.map(f64::from),
        });
    }
    in_box
}

/// The height that most points between 3 and 20 m around the sensor have; `None` where there are none.
fn ground_height(points: &[Point]) -> Option<f32> {
    const STEP_M: f32 = 0.1;
    const N_STEPS: usize = 40;
    let mut counts = [0_u32; N_STEPS];
    for p in points {
        let distance = libm::hypotf(p.x, p.y);
        let step = (-p.z / STEP_M).floor();
        if (3.0..20.0).contains(&distance)
            && step >= 0.0
            && let Some(n) = counts.get_mut(step as usize)
        {
            *n += 1;
        }
    }
    let most = counts.iter().enumerate().max_by_key(|(step, n)| (**n, *step))?;
    (*most.1 > 0).then(|| -(most.0 as f32 + 0.5) * STEP_M)
}
