//! Rings: which beam of the scanner a point is of, where the file does not say.
//!
//! KITTI's files hold a turn ring by ring, the highest first, each counter-clockwise from straight ahead; a crop
//! keeps that order. So a step back in azimuth begins a ring. A full turn then has all rings of the scanner, and
//! counting is enough. A crop has a run of neighbouring rings: which one is its first follows from their
//! elevations, compared with the scanner's table up to a small offset common to all rings, since every device is
//! calibrated on its own.
//!
//! **Source**: Velodyne's data sheets of HDL-64E and HDL-32E; the elevations of the HDL-64E's two blocks and the
//! heights of their lasers were fitted on the full sweeps of KITTI, whose rings are exact cones.

use pilotis_spec::Point;

/// A step back of more than this begins a ring, degrees.
const STEP_BACK_DEG: f32 = 10.0;
/// Fewer points than this at the seam of two rings are jitter, and belong to the next.
const MIN_POINTS: usize = 3;
/// How much an offset common to all rings counts: devices differ, by less than the rings lie apart.
const OFFSET_WEIGHT: f32 = 0.3;
/// Rings that fit the table worse than this, on average, are none of this scanner, degrees.
const MAX_MISFIT_DEG: f32 = 0.45;

/// The scanners whose rings are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sensor {
    /// 64 rings, in two blocks: KITTI's scanner
    Hdl64e,
    /// 32 rings: nuScenes' scanner
    Hdl32e,
}

impl Sensor {
    /// Rings of a turn.
    pub fn n_rings(self) -> usize {
        match self {
            Self::Hdl64e => 64,
            Self::Hdl32e => 32,
        }
    }

    /// Elevation of a ring in degrees, ring 0 the highest, and the block that its laser is of.
    fn beam(self, ring: usize) -> (f32, usize) {
        let k = ring as f32;
        match self {
            Self::Hdl64e if ring < 32 => (1.94 - 0.3435 * k, 0),
            Self::Hdl64e => (-9.03 - 0.515 * (k - 32.0), 1),
            Self::Hdl32e => (10.67 - 4.0 / 3.0 * k, 0),
        }
    }

    /// Height of each block's lasers over the origin, metres.
    fn rises_m(self) -> [f32; 2] {
        match self {
            Self::Hdl64e => [0.2035, 0.1210],
            Self::Hdl32e => [0.0; 2],
        }
    }
}

/// The ring of every point, 0 the highest; `None` where order and elevations show none.
pub fn infer(points: &[Point], sensor: Sensor) -> Option<Vec<u8>> {
    let azimuths: Vec<f32> = points.iter().map(azimuth_deg).collect();
    let starts = ring_starts(&azimuths);
    let n_found = starts.len();
    if n_found == 0 || n_found > sensor.n_rings() {
        return None;
    }
    let runs: Vec<&[Point]> = starts
        .iter()
        .enumerate()
        .map(|(k, start)| {
            let end = starts.get(k + 1).copied().unwrap_or(points.len());
            points.get(*start..end).unwrap_or_default()
        })
        .collect();
    let first = first_ring(&runs, sensor)?;
    let ring_of_run = |(k, run): (usize, &&[Point])| vec![(first + k) as u8; run.len()];
    Some(runs.iter().enumerate().flat_map(ring_of_run).collect())
}

/// Degrees from straight ahead, counter-clockwise, 0..360.
pub(super) fn azimuth_deg(point: &Point) -> f32 {
    libm::atan2f(point.y, point.x).to_degrees().rem_euclid(360.0)
}

/// Where rings begin; the first at 0.
fn ring_starts(azimuths: &[f32]) -> Vec<usize> {
    let mut starts: Vec<usize> = Vec::new();
    if !azimuths.is_empty() {
        starts.push(0);
    }
    for (idx, pair) in azimuths.windows(2).enumerate() {
        let &[before, after] = pair else { continue };
        if before - after > STEP_BACK_DEG {
            if starts.last().is_some_and(|start| idx + 1 - start < MIN_POINTS) {
                continue;
            }
            starts.push(idx + 1);
        }
    }
    starts
}

/// The ring of the first run: the one for which all runs fit the scanner's table best.
fn first_ring(runs: &[&[Point]], sensor: Sensor) -> Option<usize> {
    let n_rings = sensor.n_rings();
    // Of the ring that a run is taken for, its elevation depends on the block alone.
    let cones: Vec<[Cone; 2]> =
        runs.iter().map(|run| sensor.rises_m().map(|rise| Cone::of(run, rise))).collect();
    let misfit = |first: usize| {
        let fitted: Vec<(f32, f32)> = cones
            .iter()
            .enumerate()
            .map(|(k, [high, low])| {
                let (table, block) = sensor.beam(first + k);
                let cone = if block == 0 { high } else { low };
                (cone.elevation_deg - table, cone.spread_deg)
            })
            .collect();
        let offset = median(fitted.iter().map(|(off, _)| *off).collect());
        let sum: f32 = fitted.iter().map(|(off, spread)| (off - offset).abs() + spread).sum();
        sum / fitted.len() as f32 + OFFSET_WEIGHT * offset.abs()
    };
    (0..=n_rings - runs.len())
        .map(|first| (first, misfit(first)))
        .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))
        .filter(|(_, misfit)| *misfit < MAX_MISFIT_DEG)
        .map(|(first, _)| first)
}

/// What one laser sweeps: the usual elevation of its points, and how far points usually are from it.
struct Cone {
    elevation_deg: f32,
    spread_deg: f32,
}

impl Cone {
    fn of(run: &[Point], rise_m: f32) -> Self {
        let elevation = |p: &Point| libm::atan2f(p.z - rise_m, libm::hypotf(p.x, p.y)).to_degrees();
        let elevations: Vec<f32> = run.iter().map(elevation).collect();
        let elevation_deg = median(elevations.clone());
        let spread_deg = median(elevations.iter().map(|e| (e - elevation_deg).abs()).collect());
        Self { elevation_deg, spread_deg }
    }
}

/// The middle value, of an even number the upper one; 0 of none.
fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    values.sort_unstable_by(f32::total_cmp);
    values.get(middle).copied().unwrap_or(0.0)
}

/// Columns of a full turn: firings of a ring, as the usual step in azimuth between neighbours of a ring tells.
///
/// Never less than the fullest ring has points. `None` where there are too few neighbours.
pub fn columns(points: &[Point], rings: &[u8]) -> Option<u32> {
    let mut last: Vec<Option<f32>> = vec![None; 256];
    let mut counts = [0_u32; 256];
    let mut steps = Vec::with_capacity(points.len());
    for (point, ring) in points.iter().zip(rings) {
        let azimuth = azimuth_deg(point);
        let ring = usize::from(*ring);
        let (Some(before), Some(count)) = (last.get_mut(ring), counts.get_mut(ring)) else { continue };
        *count += 1;
        if let Some(before) = *before {
            let step = (azimuth - before).abs();
            if step > 0.02 && step < 2.0 {
                steps.push(step);
            }
        }
        *before = Some(azimuth);
    }
    let fullest = counts.iter().copied().max().unwrap_or(0);
    (steps.len() >= 100).then(|| fullest.max((360.0 / median(steps)).round() as u32))
}
