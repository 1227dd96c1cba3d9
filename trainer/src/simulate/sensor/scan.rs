//! One turn of the scanner: what each beam meets first.
//!
//! The turn is cut into slices of some degrees. Within a slice the scanner stands still and what moves is shifted
//! to the beam's own time; from slice to slice everything takes its new place.

use super::super::draw::Draw;
use super::super::geometry::{Pose, Span};
use super::super::parts::{Finish, Primitive};
use super::super::world::Scene;
use super::Sensor;
use super::air::Air;
use super::ground_line::GroundLine;
use super::response::{Answer, answer};
use super::slice::{Candidate, Slice};
use glam::{Mat3, Vec2, Vec3};

/// Slices of a turn.
const N_SLICES: usize = 24;
/// Beams begin this far from the sensor: its own housing is not met.
const HOUSING_M: f32 = 0.3;
/// Depth over which a beam that straddles an edge gives one mixed return, metres.
const MIXING_DEPTH_M: f32 = 3.0;

/// Something that moves, or that stands on its own: parts in a frame of their own.
pub(in crate::simulate) struct Body<'a> {
    pub(in crate::simulate) parts: &'a [Primitive],
    pub(in crate::simulate) pose: Pose,
    /// World frame, m/s.
    pub(in crate::simulate) velocity: Vec2,
    /// Index of the labelled thing; `None` for the own car.
    pub(in crate::simulate) actor: Option<u32>,
}

/// The world at a moment.
pub(in crate::simulate) struct Instant<'a> {
    pub(in crate::simulate) bodies: Vec<Body<'a>>,
    /// Sensor to world.
    pub(in crate::simulate) rotation: Mat3,
    /// Where the sensor is, world frame.
    pub(in crate::simulate) origin: Vec3,
}

/// A return in the world.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Return {
    /// World frame, metres; for a miss, the sensor's place.
    pub(in crate::simulate) world: Vec3,
    /// In the sensor's frame at the moment the beam left.
    pub(in crate::simulate) local: Vec3,
    pub(in crate::simulate) intensity: f32,
    pub(in crate::simulate) ring: u8,
    pub(in crate::simulate) time_offset_s: f32,
    pub(in crate::simulate) actor: Option<u32>,
    /// Nothing came back.
    pub(in crate::simulate) is_miss: bool,
}

/// What a turn yields.
pub(in crate::simulate) struct Turn {
    /// In firing order, each column from the lowest beam up.
    pub(in crate::simulate) returns: Vec<Return>,
    /// For each thing the beams that met it first, answered or not.
    pub(in crate::simulate) n_met: Vec<u32>,
}

/// What does not change during a turn.
pub(in crate::simulate) struct Turning<'a> {
    pub(in crate::simulate) sensor: &'a Sensor,
    pub(in crate::simulate) scene: &'a Scene,
    pub(in crate::simulate) weather: super::Weather,
    pub(in crate::simulate) n_things: usize,
}

/// What a beam met first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    pub(super) range: f32,
    pub(super) cos_incidence: f32,
    /// Body (`None`: the fixed world) and index of the part; `None` for the ground.
    pub(super) part: Option<(Option<u16>, u32)>,
}

impl Turning<'_> {
    /// Turns the scanner once; `instant` gives the world at a time relative to the reference time, seconds.
    pub(in crate::simulate) fn run<'b>(&self, instant: &dyn Fn(f64) -> Instant<'b>, draw: &mut Draw) -> Turn {
        let sensor = self.sensor;
        let beams = Beams::new(sensor);
        let n_columns = sensor.n_columns;
        let mut turn =
            Turn { returns: Vec::with_capacity(n_columns * beams.0.len()), n_met: vec![0; self.n_things] };
        let mut line = GroundLine::new(sensor.max_range_m);
        let mut before: Vec<Option<f32>> = vec![None; beams.0.len()];
        for slice_idx in 0..N_SLICES {
            let columns = slice_idx * n_columns / N_SLICES..(slice_idx + 1) * n_columns / N_SLICES;
            let middle = (columns.start + columns.end) / 2;
            let time_s = sensor.column_time_s(middle);
            let now = instant(time_s);
            let azimuth_of = |column: usize| {
                let turned = std::f32::consts::TAU * (column as f32 + 0.5) / n_columns as f32;
                sensor.first_azimuth_deg.to_radians() + if sensor.is_clockwise { -turned } else { turned }
            };
            let half = std::f32::consts::PI / N_SLICES as f32;
            let slice = Slice::build(self.scene, &now, sensor, azimuth_of(middle), half);
            for column in columns {
                let column_s = sensor.column_time_s(column);
                let view = Column {
                    turning: self,
                    now: &now,
                    slice: &slice,
                    azimuth: azimuth_of(column),
                    time_offset_s: column_s as f32,
                    since_s: (column_s - time_s) as f32,
                };
                view.fire(&beams, &mut line, &mut before, &mut turn, draw);
            }
        }
        turn
    }
}

/// A beam in the sensor's frame.
#[derive(Clone, Copy)]
struct Beam {
    cos: f32,
    sin: f32,
    azimuth_offset: f32,
    rise: f32,
}

struct Beams(Vec<Beam>);

impl Beams {
    fn new(sensor: &Sensor) -> Self {
        let value = |list: &[f32], idx: usize| list.get(idx).copied().unwrap_or(0.0);
        let beam = |(idx, elevation): (usize, &f32)| {
            let elevation = elevation.to_radians();
            Beam {
                cos: libm::cosf(elevation),
                sin: libm::sinf(elevation),
                azimuth_offset: value(&sensor.azimuth_offset_deg, idx).to_radians(),
                rise: value(&sensor.rise_m, idx),
            }
        };
        Self(sensor.elevation_deg.iter().enumerate().map(beam).collect())
    }
}

/// All beams at one azimuth.
struct Column<'a, 'b> {
    turning: &'a Turning<'a>,
    now: &'a Instant<'b>,
    slice: &'a Slice,
    azimuth: f32,
    time_offset_s: f32,
    /// Time since the slice's middle.
    since_s: f32,
}

impl Column<'_, '_> {
    fn fire(
        &self,
        beams: &Beams,
        line: &mut GroundLine,
        before: &mut [Option<f32>],
        turn: &mut Turn,
        draw: &mut Draw,
    ) {
        let Turning { sensor, scene, weather, .. } = self.turning;
        let air = weather.air();
        let degrees = self.azimuth.to_degrees().rem_euclid(360.0);
        let ahead = self.now.rotation * Vec3::new(libm::cosf(self.azimuth), libm::sinf(self.azimuth), 0.0);
        line.point_at(ahead.truncate().normalize_or(Vec2::X), self.now.origin.truncate());
        let candidates = self.slice.at(libm::atan2f(ahead.y, ahead.x));
        for (ring, (beam, before)) in beams.0.iter().zip(before.iter_mut()).enumerate() {
            let local = {
                let azimuth = self.azimuth + beam.azimuth_offset;
                Vec3::new(libm::cosf(azimuth) * beam.cos, libm::sinf(azimuth) * beam.cos, beam.sin)
            };
            let origin = self.now.origin + self.now.rotation * Vec3::new(0.0, 0.0, beam.rise);
            let ray = Ray { origin, direction: self.now.rotation * local, since_s: self.since_s };
            let met = if sensor.is_blocked(ring, degrees) {
                None
            } else {
                let ground = line.first_hit(&scene.ground, &ray);
                self.cast(&ray, candidates, ground, draw)
            };
            let actor = met.and_then(|met| self.actor_of(met));
            if let Some(n_met) = actor.and_then(|idx| turn.n_met.get_mut(idx as usize)) {
                *n_met += 1;
            }
            let is_blocked = met.is_none() && sensor.is_blocked(ring, degrees);
            let answer = if is_blocked { None } else { self.answer(&air, &ray, met, before, draw) };
            *before = met.map(|met| met.range);
            let point =
                |range: f32| (ray.origin + ray.direction * range, local * range + Vec3::Z * beam.rise);
            let (world, local) = answer.map_or((ray.origin, Vec3::ZERO), |a| point(a.range_m));
            if answer.is_some() || sensor.reports_misses {
                turn.returns.push(Return {
                    world,
                    local,
                    intensity: answer.map_or(0.0, |a| a.intensity),
                    ring: ring as u8,
                    time_offset_s: self.time_offset_s,
                    actor: answer.and(actor),
                    is_miss: answer.is_none(),
                });
            }
        }
    }

    fn part(&self, (body, idx): (Option<u16>, u32)) -> Option<&Primitive> {
        let parts = match body {
            Some(body) => self.now.bodies.get(usize::from(body))?.parts,
            None => &self.turning.scene.primitives,
        };
        parts.get(idx as usize)
    }

    fn actor_of(&self, met: Met) -> Option<u32> {
        let (body, _) = met.part?;
        self.now.bodies.get(usize::from(body?))?.actor
    }

    /// The answer to a beam: of the air, of an edge where two surfaces share the beam, or of what it met.
    fn answer(
        &self,
        air: &Air,
        ray: &Ray,
        met: Option<Met>,
        before: &Option<f32>,
        draw: &mut Draw,
    ) -> Option<Answer> {
        let sensor = self.turning.sensor;
        if let Some(range_m) = air.false_return(sensor.min_range_m, draw)
            && met.is_none_or(|met| range_m < met.range)
        {
            return Some(Answer { range_m, intensity: 0.01 });
        }
        let met = met?;
        let primitive = met.part.and_then(|part| self.part(part));
        let ground = &self.turning.scene.ground;
        let hit = ray.origin + ray.direction * met.range;
        let mut answer = answer(sensor, air, ground, hit, met, primitive, draw)?;
        if let Some(other) = before
            && (other - met.range).abs() > 0.2
            && (other - met.range).abs() < MIXING_DEPTH_M
            && met.part.is_some()
            && draw.chance(sensor.mixing_share())
        {
            answer.range_m += (other - met.range) * draw.unit();
        }
        Some(answer)
    }

    /// What the beam ends at: glass may let it pass, twice at most.
    fn cast(&self, ray: &Ray, candidates: &[Candidate], ground: Option<Met>, draw: &mut Draw) -> Option<Met> {
        let limit = ground.map_or(self.turning.sensor.max_range_m, |met| met.range);
        let mut from = HOUSING_M;
        for _ in 0..3 {
            let Some((candidate, span)) = self.nearest(ray, candidates, from, limit, draw) else {
                return ground;
            };
            let part = (candidate.body, candidate.part);
            let finish = self.part(part)?.finish;
            let cos_incidence = if finish == Finish::Foliage { draw.range(0.3, 1.0) } else { span.facing };
            if finish == Finish::Glass && draw.chance(0.15 + 0.55 * cos_incidence) {
                from = span.enter + 0.01;
                continue;
            }
            return Some(Met { range: span.enter, cos_incidence, part: Some(part) });
        }
        None
    }

    /// The nearest part from `from` metres on and before `limit`.
    fn nearest(
        &self,
        ray: &Ray,
        candidates: &[Candidate],
        from: f32,
        limit: f32,
        draw: &mut Draw,
    ) -> Option<(Candidate, Stop)> {
        let flat = ray.direction.truncate().length();
        let slope = ray.direction.z / flat.max(1e-6);
        let mut best: Option<(Candidate, Stop)> = None;
        let mut limit = limit;
        for candidate in candidates {
            if candidate.near_m > limit * flat {
                break;
            }
            if slope < candidate.slope_low || slope > candidate.slope_high {
                continue;
            }
            let Some(primitive) = self.part((candidate.body, candidate.part)) else { continue };
            let body = candidate.body.and_then(|body| self.now.bodies.get(usize::from(body)));
            let (origin, direction) = match body {
                Some(body) => ray.within(body),
                None => (ray.origin, ray.direction),
            };
            let Some(span) = primitive.shape.span(origin, direction) else { continue };
            if let Some(span) = stop_inside(primitive, span, from, draw)
                && span.enter > from
                && span.enter < limit
            {
                limit = span.enter;
                best =
                    Some((*candidate, Stop { enter: span.enter, facing: span.normal.dot(direction).abs() }));
            }
        }
        best
    }
}

/// Where a beam ends, and how squarely it meets the surface.
#[derive(Clone, Copy)]
struct Stop {
    enter: f32,
    facing: f32,
}

/// A beam in the world.
pub(super) struct Ray {
    pub(super) origin: Vec3,
    pub(super) direction: Vec3,
    /// Time since the moment at which bodies have their poses, seconds.
    since_s: f32,
}

impl Ray {
    /// The beam in a body's own frame, at the beam's own time.
    fn within(&self, body: &Body<'_>) -> (Vec3, Vec3) {
        let shift = (body.velocity * self.since_s).extend(0.0);
        (body.pose.local_point(self.origin - shift), body.pose.local_direction(self.direction))
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
