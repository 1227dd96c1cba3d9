//! A sweep of a drive: the scanner turns while the own car and everybody else move on.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::Primitive;
use super::super::sensor::{Body, Instant, Sensor, Turning, count_free};
use super::{Drive, Pose3, Seen, Sweep, SweepPoint};
use glam::{DMat3, Mat3, Vec2, Vec3};
use std::borrow::Cow;

/// Where the points of a sweep are said to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Distortion {
    /// Where they are, seen from where the scanner is at the reference time: the own car's motion is taken out, that
    /// of others stays. Published datasets are of this kind.
    #[default]
    Compensated,
    /// Where the moving scanner saw them when the beam left.
    Raw,
    /// The world stands still for the length of the turn.
    Frozen,
}

/// Sensor to world at a moment.
struct View {
    rotation: Mat3,
    origin: Vec3,
    yaw: f64,
}

impl View {
    fn new(ego: &Pose3, sensor: &Sensor) -> Self {
        let mounting = sensor.mounting();
        let rotation = DMat3::from_quat(ego.rotation * mounting.rotation);
        let origin = ego.translation + ego.rotation * mounting.translation;
        let yaw = libm::atan2(rotation.x_axis.y, rotation.x_axis.x);
        Self { rotation: rotation.as_mat3(), origin: origin.as_vec3(), yaw }
    }
}

/// A labelled box as a sweep's sensor sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SensorBox {
    /// Geometric centre, sensor frame, metres.
    pub(crate) center: Vec3,
    /// Heading, counter-clockwise from the sensor's x, radians in [-pi, pi).
    pub(crate) yaw: f32,
}

impl Drive {
    /// The turn of the scanner whose reference time is `time_s`.
    ///
    /// **Determinism**: a pure function of the drive, the scanner and the time to the microsecond.
    pub(crate) fn sweep(&self, sensor: &Sensor, time_s: f64) -> Sweep {
        let micros = (time_s * 1e6).round() as i64;
        let mut draw = Draw::new(self.seed ^ 0x5ca1_ab1e, self.scene_idx << 32 ^ micros as u64);
        let parts: Vec<Cow<'_, [Primitive]>> = self
            .things
            .iter()
            .zip(&self.actors)
            .map(|(thing, actor)| thing.parts(actor.motion.at(time_s).travel_m))
            .collect();
        let own_parts = sensor.sees_own_car().then(|| self.ego_thing.parts(0.0));
        let near = self.near(sensor, time_s);
        let instant = |offset_s: f64| {
            let at_s = if self.options.distortion == Distortion::Frozen { time_s } else { time_s + offset_s };
            self.instant(sensor, at_s, &near, &parts, own_parts.as_deref())
        };
        let turning = Turning {
            sensor,
            scene: &self.world.scene,
            weather: self.options.weather,
            n_things: self.things.len(),
        };
        let turn = turning.run(&instant, &mut draw);
        let now = instant(0.0);
        let n_free = count_free(sensor, &now, self.things.len());
        let mut seen: Vec<Seen> = turn
            .n_met
            .iter()
            .zip(n_free)
            .map(|(n_met, n_free)| Seen { n_points: 0, n_met: *n_met, n_free })
            .collect();
        let to_sensor = now.rotation.transpose();
        let points = turn.returns.iter().map(|r| {
            if let Some(seen) = r.actor.and_then(|idx| seen.get_mut(idx as usize)) {
                seen.n_points += 1;
            }
            let position = match self.options.distortion {
                _ if r.is_miss => Vec3::ZERO,
                Distortion::Raw => r.local,
                Distortion::Compensated | Distortion::Frozen => to_sensor * (r.world - now.origin),
            };
            let (intensity, ring) = (r.intensity, r.ring);
            SweepPoint { position, intensity, ring, time_offset_s: r.time_offset_s, actor: r.actor }
        });
        let points = points.collect();
        Sweep { time_s, points, seen }
    }

    /// A thing's box in the sensor's frame at a time.
    pub(crate) fn sensor_box(&self, sensor: &Sensor, thing: usize, time_s: f64) -> SensorBox {
        let view = View::new(&self.ego(time_s), sensor);
        let state = self.state(thing, time_s);
        let center = view.rotation.transpose() * (state.center.as_vec3() - view.origin);
        SensorBox { center, yaw: super::wrap(state.yaw - view.yaw) as f32 }
    }

    /// The things that the scanner could meet during a turn.
    fn near(&self, sensor: &Sensor, time_s: f64) -> Vec<usize> {
        let origin = View::new(&self.ego(time_s), sensor).origin.truncate();
        // Twenty metres: the longest thing's half, and what a turn's time moves it.
        let reach = sensor.max_range_m() + 20.0;
        let is_near = |idx: &usize| {
            self.actors.get(*idx).is_some_and(|a| a.motion.at(time_s).place.distance(origin) < reach)
        };
        (0..self.things.len()).filter(is_near).collect()
    }

    fn instant<'a>(
        &self,
        sensor: &Sensor,
        time_s: f64,
        near: &[usize],
        parts: &'a [Cow<'_, [Primitive]>],
        own_parts: Option<&'a [Primitive]>,
    ) -> Instant<'a> {
        let view = View::new(&self.ego(time_s), sensor);
        let ground = &self.world.scene.ground;
        let mut bodies = Vec::with_capacity(near.len() + 1);
        for idx in near {
            let (Some(actor), Some(parts)) = (self.actors.get(*idx), parts.get(*idx)) else { continue };
            let stand = actor.motion.at(time_s);
            bodies.push(Body {
                parts,
                pose: Pose::new(ground.point(stand.place), stand.yaw),
                velocity: actor.motion.velocity(time_s).as_vec2(),
                actor: Some(*idx as u32),
            });
        }
        if let Some(parts) = own_parts {
            let stand = self.ego.at(time_s);
            let pose = Pose::new(ground.point(stand.place), stand.yaw);
            bodies.push(Body { parts, pose, velocity: Vec2::ZERO, actor: None });
        }
        Instant { bodies, rotation: view.rotation, origin: view.origin }
    }
}

#[cfg(test)]
impl Drive {
    /// Casts a coarse fan of beams with and without culling at solid parts: how many hit, and how many hits culling lost.
    pub(in crate::simulate) fn count_lost_hits(&self, sensor: &Sensor, time_s: f64) -> (usize, usize) {
        let parts: Vec<_> = self.things.iter().map(|thing| thing.parts(0.0)).collect();
        let near: Vec<usize> = (0..self.things.len()).collect();
        let solid =
            |parts: &[Primitive]| parts.iter().filter(|p| p.density <= 0.0).cloned().collect::<Vec<_>>();
        let parts: Vec<Cow<'_, [Primitive]>> = parts.iter().map(|p| Cow::Owned(solid(p))).collect();
        let now = self.instant(sensor, time_s, &near, &parts, None);
        super::super::sensor::count_lost_hits(sensor, &self.world.scene, &now)
    }
}
