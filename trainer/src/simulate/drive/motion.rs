//! How things move: where along its line each is at a time.

use super::super::world::Scene;
use super::route::Path;
use super::{ActorState, Attribute};
use glam::{DVec2, Vec2, Vec3};

/// Time step of recorded motion, seconds.
pub(super) const STEP_S: f64 = 0.1;

/// Distances along a line at even times.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// When the first distance was taken, seconds.
    pub(super) from_s: f64,
    /// One distance every [`STEP_S`].
    pub(super) at_m: Vec<f32>,
}

impl Track {
    /// The distance at a time: a smooth curve through the recorded ones.
    fn at(&self, time_s: f64) -> f32 {
        let last = self.at_m.len().saturating_sub(2);
        let steps = ((time_s - self.from_s) / STEP_S).max(0.0);
        let idx = (steps as usize).min(last);
        let t = (steps - idx as f64) as f32;
        let value = |idx: usize| self.at_m.get(idx).copied().unwrap_or(0.0);
        let (a, b) = (value(idx), value(idx + 1));
        // Catmull and Rom's tangents: speed does not jump at the recorded times.
        let before = if idx > 0 { value(idx - 1) } else { 2.0 * a - b };
        let after = if idx < last { value(idx + 2) } else { 2.0 * b - a };
        let (u, v) = ((b - before) * 0.5, (after - a) * 0.5);
        let (t2, t3) = (t * t, t * t * t);
        a * (2.0 * t3 - 3.0 * t2 + 1.0) + u * (t3 - 2.0 * t2 + t) + b * (3.0 * t2 - 2.0 * t3) + v * (t3 - t2)
    }
}

/// How one thing moves.
#[derive(Clone, Debug)]
pub(super) enum Motion {
    /// Not at all.
    Still {
        /// Middle of its footprint.
        place: Vec2,
        /// Heading, radians.
        yaw: f32,
    },
    /// Along a line at a steady pace.
    Steady {
        /// The line.
        path: Path,
        /// Where on it at time 0, metres.
        from_m: f32,
        /// Pace, m/s.
        speed_m_s: f32,
    },
    /// Along a line as recorded.
    Recorded {
        /// The line.
        path: Path,
        /// When it was where.
        track: Track,
    },
}

/// Where a thing stands and how far it has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    /// Middle of its footprint.
    pub(super) place: Vec2,
    /// Heading, radians.
    pub(super) yaw: f32,
    /// Distance travelled along its line, metres.
    pub(super) travel_m: f32,
}

impl Motion {
    /// Where the thing stands at a time.
    pub(super) fn at(&self, time_s: f64) -> Stand {
        let on = |path: &Path, travel_m: f32| {
            let (place, yaw) = path.at(travel_m);
            Stand { place, yaw, travel_m }
        };
        match self {
            Self::Still { place, yaw } => Stand { place: *place, yaw: *yaw, travel_m: 0.0 },
            Self::Steady { path, from_m, speed_m_s } => on(path, from_m + speed_m_s * time_s as f32),
            Self::Recorded { path, track } => on(path, track.at(time_s)),
        }
    }

    /// Velocity in the ground plane at a time, m/s.
    pub(super) fn velocity(&self, time_s: f64) -> DVec2 {
        if matches!(self, Self::Still { .. }) {
            return DVec2::ZERO;
        }
        let half = 0.05;
        let place = |time_s: f64| self.at(time_s).place.as_dvec2();
        (place(time_s + half) - place(time_s - half)) / (2.0 * half)
    }

    /// The box of a thing of this motion at a time.
    ///
    /// `attribute` is what the thing has where it does not move; moving ones get theirs from their speed.
    pub(super) fn state(
        &self,
        scene: &Scene,
        size_lwh: Vec3,
        attribute: Option<Attribute>,
        time_s: f64,
    ) -> ActorState {
        let stand = self.at(time_s);
        let velocity = self.velocity(time_s);
        let foot = scene.ground.point(stand.place);
        let is_moving = velocity.length() > 0.2;
        let attribute = match attribute {
            Some(Attribute::VehicleMoving | Attribute::VehicleStopped) if is_moving => {
                Some(Attribute::VehicleMoving)
            }
            Some(Attribute::VehicleMoving) => Some(Attribute::VehicleStopped),
            other => other,
        };
        ActorState {
            center: (foot + Vec3::Z * (size_lwh.z * 0.5)).as_dvec3(),
            yaw: wrap(f64::from(stand.yaw)),
            velocity,
            attribute,
        }
    }
}

/// An angle in [-pi, pi).
pub(super) fn wrap(angle: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    let turned = (angle + PI).rem_euclid(TAU) - PI;
    if turned >= PI { -PI } else { turned }
}
