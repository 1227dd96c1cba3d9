//! A slice of a turn: for each narrow sector of azimuth, what may be met there, nearest first.

use super::super::geometry::Bounds;
use super::super::world::Scene;
use super::Sensor;
use super::scan::Instant;
use glam::Vec2;
use std::f32::consts::{PI, TAU};

/// Width of a sector.
const SECTOR_RAD: f32 = TAU / 720.0;
/// How fast a body moves, seen from the scanner, at the very most, m/s.
const MAX_SPEED_M_S: f32 = 45.0;

/// Something that may be met in a sector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) near_m: f32,
    pub(super) slope_low: f32,
    pub(super) slope_high: f32,
    /// Body of the part; `None`: the fixed world.
    pub(super) body: Option<u16>,
    pub(super) part: u32,
}

/// The sectors of a slice.
pub(super) struct Slice {
    /// World azimuth of the first sector's edge.
    first: f32,
    sectors: Vec<Vec<Candidate>>,
}

impl Slice {
    /// The slice around a column of the given azimuth, of `half` radians to each side.
    pub(super) fn build(scene: &Scene, now: &Instant<'_>, sensor: &Sensor, azimuth: f32, half: f32) -> Self {
        let ahead = now.rotation * glam::Vec3::new(libm::cosf(azimuth), libm::sinf(azimuth), 0.0);
        let middle = libm::atan2f(ahead.y, ahead.x);
        // A tilted scanner's columns are not upright: steep beams leave the slice by the tilt at most.
        let wide = half + 0.06;
        let n_sectors = (2.0 * wide / SECTOR_RAD).ceil() as usize + 1;
        let mut slice = Self { first: middle - wide, sectors: vec![Vec::new(); n_sectors] };
        let view = View {
            origin: now.origin.truncate(),
            ahead: Vec2::new(libm::cosf(middle), libm::sinf(middle)),
            half: wide,
            middle,
            max_range_m: sensor.max_range_m,
            // Half a slice's time, and a little for the beams' own places.
            shift_m: MAX_SPEED_M_S * half / (TAU * sensor.rate_hz as f32) + 0.03,
            low_z: now.origin.z - 0.05,
            high_z: now.origin.z + 0.3,
        };
        for (idx, primitive) in scene.primitives.iter().enumerate() {
            slice.enter(&view, &primitive.bounds, None, idx as u32);
        }
        for (body_idx, body) in now.bodies.iter().enumerate() {
            for (idx, part) in body.parts.iter().enumerate() {
                slice.enter(&view, &part.bounds.placed(&body.pose), Some(body_idx as u16), idx as u32);
            }
        }
        for list in &mut slice.sectors {
            list.sort_by(|a, b| a.near_m.total_cmp(&b.near_m).then((a.body, a.part).cmp(&(b.body, b.part))));
        }
        slice
    }

    fn enter(&mut self, view: &View, bounds: &Bounds, body: Option<u16>, part: u32) {
        let Some((near_m, low, high)) = view.sees(bounds) else { return };
        let (slope_low, slope_high) = bounds.slopes(view.origin, near_m, view.low_z, view.high_z);
        let candidate = Candidate { near_m, slope_low, slope_high, body, part };
        let sector = |azimuth: f32| ((azimuth - self.first) / SECTOR_RAD).floor();
        let (first, last) = (sector(low).max(0.0) as usize, sector(high));
        if last < 0.0 {
            return;
        }
        for list in self.sectors.iter_mut().take(last as usize + 1).skip(first) {
            list.push(candidate);
        }
    }

    /// What may be met at a world azimuth.
    pub(super) fn at(&self, azimuth: f32) -> &[Candidate] {
        let sector = (azimuth - self.first).rem_euclid(TAU) / SECTOR_RAD;
        self.sectors.get(sector as usize).map_or(&[], Vec::as_slice)
    }
}

/// Where a slice looks.
struct View {
    origin: Vec2,
    ahead: Vec2,
    half: f32,
    middle: f32,
    max_range_m: f32,
    /// How far the scanner or a body moves within half a slice at the very most, metres.
    shift_m: f32,
    low_z: f32,
    high_z: f32,
}

impl View {
    /// Nearest distance and azimuths (unwrapped around the slice's middle) of what the slice sees of a thing.
    fn sees(&self, bounds: &Bounds) -> Option<(f32, f32, f32)> {
        // Cheap first: a circle around the thing, against the range and a cone around the slice.
        let rel = bounds.center - self.origin;
        let reach = bounds.reach_m() + self.shift_m;
        let distance = rel.length();
        if distance - reach > self.max_range_m {
            return None;
        }
        let along = rel.dot(self.ahead);
        if distance > reach && along < -reach {
            return None;
        }
        let near_m = (bounds.near_m(self.origin) - self.shift_m).max(0.0);
        if near_m > self.max_range_m {
            return None;
        }
        if near_m < 0.05 {
            return Some((0.0, self.middle - PI, self.middle + PI));
        }
        let (azimuth, half) = bounds.azimuth(self.origin);
        // A thing that moves, or is met by a tilted beam, may lie a little beside where it is looked for.
        let slack = libm::asinf((self.shift_m / near_m).min(1.0)) + 0.003 + self.tilt_slack(bounds, near_m);
        let off = (azimuth - self.middle + PI).rem_euclid(TAU) - PI;
        let (low, high) = (off - half - slack, off + half + slack);
        (low <= self.half && high >= -self.half).then_some((near_m, self.middle + low, self.middle + high))
    }

    /// How far a steep beam of a tilted scanner strays from its column's azimuth.
    fn tilt_slack(&self, bounds: &Bounds, near_m: f32) -> f32 {
        let drop = (bounds.z_low - self.high_z).abs().max((bounds.z_high - self.low_z).abs());
        0.05 * (drop / near_m).min(0.6)
    }
}

/// Casts a coarse fan of beams against the solid parts of a world, all of them and those of their slice: how many
/// hit something, and how many of these hits the slices lost.
#[cfg(test)]
pub(in crate::simulate) fn count_lost_hits(
    sensor: &Sensor,
    scene: &Scene,
    now: &Instant<'_>,
) -> (usize, usize) {
    use glam::Vec3;
    const N_SLICES: usize = 24;
    let (mut n_hits, mut n_lost) = (0, 0);
    for slice_idx in 0..N_SLICES {
        let half = PI / N_SLICES as f32;
        let middle = (2 * slice_idx + 1) as f32 * half;
        let slice = Slice::build(scene, now, sensor, middle, half);
        for column in 0..8 {
            let azimuth = middle + half * (column as f32 / 4.0 - 0.9);
            let ahead = now.rotation * Vec3::new(libm::cosf(azimuth), libm::sinf(azimuth), 0.0);
            let culled = slice.at(libm::atan2f(ahead.y, ahead.x));
            for (elevation, rise) in sensor.lasers().step_by(3) {
                let (flat, up) = (libm::cosf(elevation), libm::sinf(elevation));
                let local = Vec3::new(libm::cosf(azimuth) * flat, libm::sinf(azimuth) * flat, up);
                let (origin, direction) =
                    (now.origin + now.rotation * Vec3::new(0.0, 0.0, rise), now.rotation * local);
                let enter = |body: Option<u16>, part: u32| {
                    let shape =
                        |parts: &[super::super::parts::Primitive],
                         pose: Option<&super::super::geometry::Pose>| {
                            let part = parts.get(part as usize).filter(|p| p.density <= 0.0)?;
                            let (o, d) = pose.map_or((origin, direction), |p| {
                                (p.local_point(origin), p.local_direction(direction))
                            });
                            part.shape
                                .span(o, d)
                                .map(|s| s.enter)
                                .filter(|t| *t > 0.3 && *t < sensor.max_range_m)
                        };
                    match body {
                        Some(body) => {
                            let body = &now.bodies[usize::from(body)];
                            shape(body.parts, Some(&body.pose))
                        }
                        None => shape(&scene.primitives, None),
                    }
                };
                let mut all = f32::MAX;
                for part in 0..scene.primitives.len() {
                    all = all.min(enter(None, part as u32).unwrap_or(f32::MAX));
                }
                for (body, b) in now.bodies.iter().enumerate() {
                    for part in 0..b.parts.len() {
                        all = all.min(enter(Some(body as u16), part as u32).unwrap_or(f32::MAX));
                    }
                }
                let slope = direction.z / direction.truncate().length();
                let found = culled
                    .iter()
                    .filter(|c| slope >= c.slope_low && slope <= c.slope_high)
                    .filter_map(|c| {
                        enter(c.body, c.part)
                            .filter(|t| *t * direction.truncate().length() >= c.near_m - 1e-3)
                    })
                    .fold(f32::MAX, f32::min);
                n_hits += usize::from(all < f32::MAX);
                n_lost += usize::from((all - found).abs() > 1e-4);
            }
        }
    }
    (n_hits, n_lost)
}
