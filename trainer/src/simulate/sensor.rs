//! The scanner: 64 beams turning once, their returns, losses and intensities.
//!
//! Modelled on the sensor of the KITTI recordings: an upper block of 32 beams one third of a degree apart and a
//! lower block half a degree apart, each laser a little above the origin, some of the low beams cut off by the
//! roof of the own car.

use super::draw::Draw;
use super::geometry::Span;
use super::ground::Ground;
use super::response::answer;
use super::scene::{Finish, Primitive, Scene};
use glam::{Vec2, Vec3};
use std::f32::consts::{PI, TAU};

/// Beams of the scanner.
pub(super) const N_BEAMS: usize = 64;
/// Returns beyond are lost. The sensor is rated to 120 m, but KITTI's recordings end here.
pub(super) const MAX_RANGE_M: f32 = 80.0;
/// Returns nearer are dropped by the sensor.
pub(super) const MIN_RANGE_M: f32 = 1.2;

const N_SECTORS: usize = 720;
const NEAR_GROUND_M: f32 = 2.0;

/// One laser: where it points and where it sits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beam {
    cos: f32,
    sin: f32,
    slope: f32,
    azimuth_offset: f32,
    /// Height of the laser over the origin, metres.
    rise: f32,
}

/// The 64 beams, highest first, with the calibration of one fixed device.
pub(super) fn beams() -> Vec<Beam> {
    // A device of its own: the seed of its calibration is fixed.
    let mut draw = Draw::new(0x64, 0);
    (0..N_BEAMS)
        .map(|idx| {
            let k = idx as f32;
            let (degrees, rise) = if idx < 32 {
                (2.0 - k / 3.0, 0.21 - 0.001 * k)
            } else {
                (-8.83 - (k - 32.0) * 0.512, 0.16 - 0.0015 * (k - 32.0))
            };
            let elevation = (degrees - 0.25 + 0.05 * draw.bell()).to_radians();
            let (cos, sin) = (libm::cosf(elevation), libm::sinf(elevation));
            Beam { cos, sin, slope: sin / cos, azimuth_offset: (0.03 * draw.bell()).to_radians(), rise }
        })
        .collect()
}

/// A return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Return {
    pub(super) point: [f32; 4],
    /// Actor the beam met, if any.
    pub(super) object: Option<usize>,
}

/// What a turn of the scanner yields.
pub(super) struct Sweep {
    /// Ring by ring, highest first, each counter-clockwise from straight ahead.
    pub(super) returns: Vec<Return>,
    /// For each actor the beams that met it first, answered or not.
    pub(super) n_met: Vec<u32>,
    /// For each actor the beams that would meet it if nothing else existed.
    pub(super) n_free: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Candidate {
    near_m: f32,
    slope_low: f32,
    slope_high: f32,
    primitive: usize,
}

/// For each sector of azimuth, what may be met there, nearest first.
struct Sectors(Vec<Vec<Candidate>>);

impl Sectors {
    fn build(primitives: &[Primitive]) -> Self {
        let mut sectors = vec![Vec::new(); N_SECTORS];
        for (idx, primitive) in primitives.iter().enumerate() {
            let near_m = primitive.bounds.near_m();
            if near_m > MAX_RANGE_M {
                continue;
            }
            let (slope_low, slope_high) = primitive.bounds.slopes(0.05, 0.25);
            let candidate = Candidate { near_m, slope_low, slope_high, primitive: idx };
            let (middle, half) = primitive.bounds.azimuth();
            let per_sector = TAU / N_SECTORS as f32;
            let first = ((middle - half - 0.003) / per_sector).floor() as i32;
            let last = ((middle + half + 0.003) / per_sector).floor() as i32;
            for sector in first..=last.min(first + N_SECTORS as i32 - 1) {
                if let Some(list) = sectors.get_mut(sector.rem_euclid(N_SECTORS as i32) as usize) {
                    list.push(candidate);
                }
            }
        }
        for list in &mut sectors {
            list.sort_by(|a, b| a.near_m.total_cmp(&b.near_m).then(a.primitive.cmp(&b.primitive)));
        }
        Self(sectors)
    }

    fn at(&self, azimuth: f32) -> &[Candidate] {
        let sector = (azimuth / TAU * N_SECTORS as f32).floor() as i32;
        self.0.get(sector.rem_euclid(N_SECTORS as i32) as usize).map_or(&[], Vec::as_slice)
    }
}

/// What a beam met first.
#[derive(Clone, Copy)]
pub(super) struct Met {
    pub(super) range: f32,
    pub(super) cos_incidence: f32,
    primitive: Option<usize>,
}

/// Turns the scanner once.
pub(super) fn scan(scene: &Scene, draw: &mut Draw) -> Sweep {
    let beams = beams();
    let sectors = Sectors::build(&scene.primitives);
    let n_columns = 2083 + draw.index(70);
    let mut rings: Vec<Vec<Return>> = (0..N_BEAMS).map(|_| Vec::with_capacity(n_columns)).collect();
    let mut sweep = Sweep { returns: Vec::new(), n_met: vec![0; scene.actors.len()], n_free: Vec::new() };
    let mut profile = GroundProfile::new();
    for column in 0..n_columns {
        let azimuth = TAU * (column as f32 + 0.5) / n_columns as f32;
        profile.sample(&scene.ground, azimuth);
        let mut start = 0;
        for (ring, beam) in beams.iter().enumerate().rev() {
            let azimuth = azimuth + beam.azimuth_offset;
            if roof_blocks(ring, azimuth) {
                continue;
            }
            let direction =
                Vec3::new(libm::cosf(azimuth) * beam.cos, libm::sinf(azimuth) * beam.cos, beam.sin);
            let ground = profile.first_hit(beam, &mut start);
            let ray = Ray { beam, direction, candidates: sectors.at(azimuth) };
            let Some(met) = ray.cast(&scene.primitives, ground, draw) else { continue };
            let primitive = met.primitive.and_then(|idx| scene.primitives.get(idx));
            let object = primitive.and_then(|p| p.object);
            if let Some(n_met) = object.and_then(|idx| sweep.n_met.get_mut(idx)) {
                *n_met += 1;
            }
            if let Some(point) = answer(scene, &ray, met, primitive, draw)
                && let Some(ring) = rings.get_mut(ring)
            {
                ring.push(Return { point, object });
            }
        }
    }
    sweep.returns = rings.concat();
    sweep.n_free = count_free(scene, &beams, n_columns);
    sweep
}

/// A beam at one azimuth, and what it may meet.
pub(super) struct Ray<'a> {
    beam: &'a Beam,
    pub(super) direction: Vec3,
    candidates: &'a [Candidate],
}

impl Ray<'_> {
    /// Where the laser sits.
    pub(super) fn origin(&self) -> Vec3 {
        Vec3::Z * self.beam.rise
    }

    /// The nearest primitive from `from` metres on and before `limit`.
    fn nearest(
        &self,
        primitives: &[Primitive],
        from: f32,
        limit: f32,
        draw: &mut Draw,
    ) -> Option<(usize, Span)> {
        let mut best: Option<(usize, Span)> = None;
        let mut limit = limit;
        for candidate in self.candidates {
            if candidate.near_m > limit * self.beam.cos {
                break;
            }
            if self.beam.slope < candidate.slope_low || self.beam.slope > candidate.slope_high {
                continue;
            }
            let Some(primitive) = primitives.get(candidate.primitive) else { continue };
            let Some(span) = primitive.shape.span(self.origin(), self.direction) else { continue };
            if let Some(span) = stop_inside(primitive, span, from, draw)
                && span.enter > from
                && span.enter < limit
            {
                limit = span.enter;
                best = Some((candidate.primitive, span));
            }
        }
        best
    }

    /// What the beam ends at: glass may let it pass, twice at most.
    fn cast(&self, primitives: &[Primitive], ground: Option<Met>, draw: &mut Draw) -> Option<Met> {
        let limit = ground.map_or(MAX_RANGE_M, |met| met.range);
        let mut from = 0.3;
        for _ in 0..3 {
            let Some((idx, span)) = self.nearest(primitives, from, limit, draw) else { return ground };
            let primitive = primitives.get(idx)?;
            let cos_incidence = if primitive.finish == Finish::Foliage {
                draw.range(0.3, 1.0)
            } else {
                span.normal.dot(self.direction).abs()
            };
            if primitive.finish == Finish::Glass && draw.chance(0.15 + 0.55 * cos_incidence) {
                from = span.enter + 0.01;
                continue;
            }
            return Some(Met { range: span.enter, cos_incidence, primitive: Some(idx) });
        }
        None
    }
}

/// Where a beam stops in a thing that is only partly filled; `None` where it passes.
fn stop_inside(primitive: &Primitive, span: Span, from: f32, draw: &mut Draw) -> Option<Span> {
    if primitive.density <= 0.0 {
        return Some(span);
    }
    let enter = span.enter.max(from);
    if span.exit - span.enter < 1e-6 {
        // Flat: the density is the chance of a hit.
        return draw.chance(primitive.density).then_some(span);
    }
    let stop = enter + draw.exponential(1.0 / primitive.density);
    (stop < span.exit).then_some(Span { enter: stop, ..span })
}

/// True where the roof of the own car, or what is mounted there, is in the way of a low beam.
fn roof_blocks(ring: usize, azimuth: f32) -> bool {
    let degrees = azimuth.to_degrees().rem_euclid(360.0);
    // From ring to ring, between azimuths: the boot and its boxes, the bonnet, an antenna, rack ends.
    const BLOCKS: [(usize, usize, f32, f32); 10] = [
        (42, 64, 156.0, 165.0),
        (42, 64, 197.0, 206.0),
        (53, 64, 158.0, 204.0),
        (49, 61, 282.0, 302.0),
        (57, 64, 349.0, 360.0),
        (57, 64, 0.0, 14.0),
        (56, 64, 132.0, 136.0),
        (56, 62, 229.0, 235.0),
        (59, 64, 128.0, 140.0),
        (61, 64, 336.0, 349.0),
    ];
    BLOCKS
        .iter()
        .any(|(from, to, low, high)| (*from..*to).contains(&ring) && degrees >= *low && degrees < *high)
}

/// The height of the ground along one azimuth.
struct GroundProfile {
    radii: Vec<f32>,
    heights: Vec<f32>,
}

impl GroundProfile {
    fn new() -> Self {
        let mut radii = Vec::new();
        let mut radius = NEAR_GROUND_M;
        while radius < MAX_RANGE_M * 1.03 {
            radii.push(radius);
            radius *= 1.022;
        }
        Self { heights: vec![0.0; radii.len()], radii }
    }

    fn sample(&mut self, ground: &Ground, azimuth: f32) {
        let direction = Vec2::new(libm::cosf(azimuth), libm::sinf(azimuth));
        for (height, radius) in self.heights.iter_mut().zip(&self.radii) {
            *height = ground.height(direction * *radius);
        }
    }

    /// Where the beam meets the ground. `start` remembers the last beam's step: beams come from low to high.
    fn first_hit(&self, beam: &Beam, start: &mut usize) -> Option<Met> {
        let over = |idx: usize| Some((*self.radii.get(idx)?, *self.heights.get(idx)?));
        let mut idx = start.saturating_sub(3).max(1);
        loop {
            let (radius, height) = over(idx)?;
            let gap = height - (beam.rise + beam.slope * radius);
            if gap >= 0.0 {
                let (radius_before, height_before) = over(idx - 1)?;
                let gap_before = (height_before - (beam.rise + beam.slope * radius_before)).min(0.0);
                let share = if gap - gap_before > 1e-6 { -gap_before / (gap - gap_before) } else { 0.0 };
                let at = radius_before + share * (radius - radius_before);
                let rise = (height - height_before) / (radius - radius_before);
                let cos_incidence = (rise * beam.cos - beam.sin).abs() / (1.0 + rise * rise).sqrt();
                *start = idx;
                return Some(Met { range: at / beam.cos, cos_incidence, primitive: None });
            }
            idx += 1;
        }
    }
}

/// For each actor the beams that would meet it in an empty world.
fn count_free(scene: &Scene, beams: &[Beam], n_columns: usize) -> Vec<u32> {
    let mut n_free = vec![0u32; scene.actors.len()];
    let mut parts: Vec<Vec<&Primitive>> = vec![Vec::new(); scene.actors.len()];
    for primitive in &scene.primitives {
        if let Some(list) = primitive.object.and_then(|idx| parts.get_mut(idx)) {
            list.push(primitive);
        }
    }
    let per_column = TAU / n_columns as f32;
    for (parts, n_free) in parts.iter().zip(&mut n_free) {
        let (mut low, mut high, mut slopes) = (PI * 4.0, -PI * 4.0, (f32::MAX, f32::MIN));
        let anchor = parts.first().map_or(0.0, |p| p.bounds.azimuth().0);
        for part in parts {
            let (middle, half) = part.bounds.azimuth();
            // Parts of one object lie close together: unwrap around the first.
            let middle = anchor + (middle - anchor + PI).rem_euclid(TAU) - PI;
            low = low.min(middle - half);
            high = high.max(middle + half);
            let (a, b) = part.bounds.slopes(0.05, 0.25);
            slopes = (slopes.0.min(a), slopes.1.max(b));
        }
        let (first, last) = ((low / per_column).ceil() as i32, (high / per_column).floor() as i32);
        for column in first..=last {
            let azimuth = column as f32 * per_column;
            let (cos, sin) = (libm::cosf(azimuth), libm::sinf(azimuth));
            for beam in beams.iter().filter(|b| b.slope >= slopes.0 && b.slope <= slopes.1) {
                let direction = Vec3::new(cos * beam.cos, sin * beam.cos, beam.sin);
                let origin = Vec3::Z * beam.rise;
                let met =
                    |part: &&Primitive| part.density <= 0.0 && part.shape.span(origin, direction).is_some();
                *n_free += u32::from(parts.iter().any(met));
            }
        }
    }
    n_free
}

/// Casts a coarse fan of beams with and without culling: the hits on solids, and how many culling lost.
#[cfg(test)]
pub(super) fn culling_keeps_every_hit(scene: &Scene) -> (usize, usize) {
    let solids: Vec<Primitive> = scene.primitives.iter().filter(|p| p.density <= 0.0).cloned().collect();
    let sectors = Sectors::build(&solids);
    let everything: Vec<Candidate> = (0..solids.len())
        .map(|primitive| Candidate { near_m: 0.0, slope_low: f32::MIN, slope_high: f32::MAX, primitive })
        .collect();
    let mut draw = Draw::new(0, 0);
    let (mut n_hits, mut n_lost) = (0, 0);
    for beam in beams().iter().step_by(2) {
        for column in 0..360 {
            let azimuth = TAU * (column as f32 + 0.37) / 360.0;
            let direction =
                Vec3::new(libm::cosf(azimuth) * beam.cos, libm::sinf(azimuth) * beam.cos, beam.sin);
            let mut nearest = |candidates: &[Candidate]| {
                let ray = Ray { beam, direction, candidates };
                ray.nearest(&solids, 0.3, MAX_RANGE_M, &mut draw).map(|(_, span)| span.enter)
            };
            let (all, culled) = (nearest(&everything), nearest(sectors.at(azimuth)));
            n_hits += usize::from(all.is_some());
            n_lost += usize::from(match (all, culled) {
                (Some(all), Some(culled)) => (all - culled).abs() > 1e-4,
                (all, culled) => all.is_some() != culled.is_some(),
            });
        }
    }
    (n_hits, n_lost)
}
