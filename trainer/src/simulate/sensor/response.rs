//! What comes back from the place a beam meets: losses, range noise and intensity.

use super::super::draw::Draw;
use super::super::parts::{Finish, Primitive};
use super::super::world::{Cover, Ground};
use super::Sensor;
use super::air::Air;
use super::scan::Met;
use glam::{Vec2, Vec3};

/// A return, before it is a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) range_m: f32,
    /// Share of full scale.
    pub(super) intensity: f32,
}

/// What answers a beam: a surface, and how much of the light it mirrors elsewhere.
struct Surface {
    finish: Finish,
    reflectivity: f32,
    mirror: f32,
    /// Deviation that the surface adds to the range, metres.
    rough_m: f32,
    /// How far behind the surface the light comes from, metres.
    recess_m: f32,
}

/// The answer to a beam that met something, or `None` where too little light comes back.
pub(super) fn answer(
    sensor: &Sensor,
    air: &Air,
    ground: &Ground,
    hit: Vec3,
    met: Met,
    primitive: Option<&Primitive>,
    draw: &mut Draw,
) -> Option<Answer> {
    let cos = met.cos_incidence.clamp(0.0, 1.0);
    let surface = match primitive {
        Some(primitive) => of_part(primitive, hit, cos),
        None => of_ground(ground, air, hit, cos),
    };
    // Light that comes back: falls with the square of the range and at grazing incidence.
    let fade = sensor.full_range_m / met.range.max(5.0);
    let light = (surface.reflectivity + 0.03) * cos.max(0.004).sqrt() * fade * fade * air.kept(met.range);
    let kept = (light / 0.13).min(1.0) * (1.0 - surface.mirror) * sensor.kept_share;
    if !draw.chance(kept) {
        return None;
    }
    let range = met.range + surface.recess_m + (sensor.range_noise_m + surface.rough_m) * draw.bell();
    (sensor.min_range_m..sensor.max_range_m).contains(&range).then(|| Answer {
        range_m: range,
        intensity: intensity(sensor, &surface, cos, met.range, draw) * air.kept(met.range),
    })
}

fn of_ground(ground: &Ground, air: &Air, hit: Vec3, cos: f32) -> Surface {
    let place = hit.truncate();
    let (tone, grain_m, paved) = match ground.cover(place) {
        Cover::Asphalt => (0.29, 0.004, true),
        Cover::Paint => (0.55, 0.004, true),
        Cover::Pavement => (0.33, 0.006, true),
        Cover::Grass => (0.38, 0.016, false),
    };
    // Patches some metres wide keep rings from looking alike.
    let patch = (hit.z - ground.height(place + Vec2::splat(1.5))).clamp(-0.05, 0.05);
    Surface {
        finish: Finish::Matt,
        reflectivity: tone * ground.tone * (1.0 + 4.0 * patch),
        mirror: if paved { air.wetness * (1.0 - cos) } else { 0.0 },
        // A rough ground moves the return along a grazing beam.
        rough_m: grain_m / cos.max(0.12),
        recess_m: 0.0,
    }
}

fn of_part(primitive: &Primitive, hit: Vec3, cos: f32) -> Surface {
    let (mut mirror, mut recess_m) = (0.0, 0.0);
    match primitive.finish {
        Finish::Paint => mirror = 0.10 + 0.35 * (1.0 - cos),
        Finish::Glass => mirror = 0.6,
        Finish::Facade(pitch) => {
            // Along a wall one of the two changes, the other stays.
            let local = primitive.bounds.local(hit.truncate());
            let along = (local.x + local.y) / pitch;
            let storey = (hit.z - primitive.bounds.z_low) / 2.9;
            if along - along.floor() < 0.42 && (0.32..0.80).contains(&(storey - storey.floor())) {
                (mirror, recess_m) = (0.55, 0.14 / cos.max(0.15));
            }
        }
        Finish::Matt | Finish::Retro | Finish::Foliage => {}
    }
    Surface { finish: primitive.finish, reflectivity: primitive.reflectivity, mirror, rough_m: 0.0, recess_m }
}

/// Reported intensity as a share of full scale, with the many zeros of paint and of long ranges.
fn intensity(sensor: &Sensor, surface: &Surface, cos: f32, range: f32, draw: &mut Draw) -> f32 {
    let scale = &sensor.intensity;
    let (p_zero, spread) = match surface.finish {
        Finish::Paint => (scale.paint_zero_share * (1.0 + 1.4 * (1.0 - cos)), 0.35),
        Finish::Glass => (2.4 * scale.paint_zero_share, 0.4),
        Finish::Retro => (0.0, 0.15),
        Finish::Foliage => (0.5 * scale.paint_zero_share, 0.4),
        Finish::Facade(_) | Finish::Matt => (0.08 * scale.paint_zero_share, 0.18),
    };
    // Far, and still more at a grazing angle, what comes back is too weak to be measured.
    let p_weak = scale.zero_share_per_m * (2.0 - cos) * (range - 22.0).max(0.0);
    let p_zero = if surface.finish == Finish::Retro { 0.0 } else { p_zero + p_weak };
    let is_dark = surface.finish == Finish::Paint && surface.reflectivity < 0.10;
    if draw.chance(p_zero) || (is_dark && draw.chance(2.4 * scale.paint_zero_share)) {
        return 0.0;
    }
    let white =
        surface.reflectivity * (0.86 + 0.24 * cos) * (1.0 + spread * draw.bell()) + 0.02 * draw.bell();
    // A retroreflector sends light back to where it came from: it is reported at full scale where others are not.
    let gain = if surface.finish == Finish::Retro { scale.gain.max(0.9) } else { scale.gain };
    let value = (gain * white).clamp(0.0, 1.0 - scale.step);
    (value / scale.step).round() * scale.step
}
