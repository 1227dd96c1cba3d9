//! What comes back from the place a beam meets: losses, range noise and intensity.

use super::draw::Draw;
use super::ground::Cover;
use super::scene::{Finish, Primitive, Scene};
use super::sensor::{MAX_RANGE_M, MIN_RANGE_M, Met, Ray};
use glam::Vec2;

const RANGE_NOISE_M: f32 = 0.02;

/// The returned point of a beam that met something, or `None` where too little light comes back.
pub(super) fn answer(
    scene: &Scene,
    ray: &Ray<'_>,
    met: Met,
    primitive: Option<&Primitive>,
    draw: &mut Draw,
) -> Option<[f32; 4]> {
    let hit = ray.origin() + ray.direction * met.range;
    let mut range = met.range;
    let cos = met.cos_incidence.clamp(0.0, 1.0);
    let mut roughness = 0.0;
    let mut finish = Finish::Matt;
    let reflectivity = match primitive {
        Some(primitive) => {
            finish = primitive.finish;
            primitive.reflectivity
        }
        None => {
            let (tone, grain) = match scene.ground.cover(hit.truncate()) {
                Cover::Asphalt => (0.29, 0.004),
                Cover::Paint => (0.55, 0.004),
                Cover::Pavement => (0.33, 0.006),
                Cover::Grass => (0.38, 0.016),
            };
            // A rough ground moves the return along a grazing beam.
            roughness = grain / cos.max(0.12);
            // Patches some metres wide keep rings from looking alike.
            tone * scene.ground.tone
                * (1.0
                    + 4.0
                        * (hit.z - scene.ground.height(hit.truncate() + Vec2::splat(1.5))).clamp(-0.05, 0.05))
        }
    };
    let mut mirror = 0.0;
    match finish {
        Finish::Paint => mirror = 0.10 + 0.35 * (1.0 - cos),
        Finish::Glass => mirror = 0.6,
        Finish::Facade(pitch) => {
            let place = hit.truncate();
            let along = (place.x + place.y) / pitch;
            let storey = (hit.z + 1.0) / 2.9;
            let in_window = along - along.floor() < 0.42 && (0.32..0.80).contains(&(storey - storey.floor()));
            if in_window {
                mirror = 0.55;
                range += 0.14 / cos.max(0.15);
            }
        }
        _ => {}
    }
    // Light that comes back: falls with the square of the range and at grazing incidence.
    let fade = 60.0 / met.range.max(5.0);
    let light = (reflectivity + 0.03) * cos.max(0.004).sqrt() * fade * fade;
    let kept = (light / 0.13).min(1.0) * (1.0 - mirror) * 0.998;
    if !draw.chance(kept) {
        return None;
    }
    range += (RANGE_NOISE_M + roughness) * draw.bell();
    if !(MIN_RANGE_M..MAX_RANGE_M).contains(&range) {
        return None;
    }
    let point = ray.origin() + ray.direction * range;
    Some([point.x, point.y, point.z, intensity(finish, reflectivity, cos, met.range, draw)])
}

/// Intensity in hundredths, 0..0.99, with KITTI's many zeros on paint and at long range.
fn intensity(finish: Finish, reflectivity: f32, cos: f32, range: f32, draw: &mut Draw) -> f32 {
    let (p_zero, spread) = match finish {
        Finish::Paint => (0.25 + 0.35 * (1.0 - cos), 0.35),
        Finish::Glass => (0.6, 0.4),
        Finish::Retro => (0.0, 0.15),
        Finish::Foliage => (0.12, 0.4),
        Finish::Facade(_) | Finish::Matt => (0.02, 0.18),
    };
    let p_zero = p_zero + 0.012 * (range - 22.0).max(0.0);
    if draw.chance(p_zero) || (finish == Finish::Paint && reflectivity < 0.10 && draw.chance(0.6)) {
        return 0.0;
    }
    let value = reflectivity * (0.86 + 0.24 * cos) * (1.0 + spread * draw.bell()) + 0.02 * draw.bell();
    (value.clamp(0.0, 0.99) * 100.0).round() / 100.0
}
