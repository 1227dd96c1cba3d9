//! Matter and small pieces that many things share.

use super::super::draw::Draw;
use super::super::parts::{Builder, Finish, Matter};
use glam::Vec3;

/// An evenly scattering solid.
pub(super) fn matt(reflectivity: f32) -> Matter {
    Matter::solid(Finish::Matt, reflectivity)
}

/// Body paint: nearly half of the vehicles of a street are dark to an infrared beam.
pub(super) fn draw_paint(draw: &mut Draw) -> Matter {
    let reflectivity = if draw.chance(0.45) { draw.range(0.02, 0.10) } else { draw.range(0.12, 0.60) };
    Matter::solid(Finish::Paint, reflectivity)
}

/// Clothes: black ones and dyed ones; most dyes are bright to an infrared beam.
pub(super) fn draw_cloth(draw: &mut Draw) -> Matter {
    matt(if draw.chance(0.25) { draw.range(0.04, 0.12) } else { draw.range(0.12, 0.65) })
}

/// Window glass.
pub(super) fn glass() -> Matter {
    Matter::solid(Finish::Glass, 0.08)
}

/// Rubber.
pub(super) fn tyre() -> Matter {
    matt(0.07)
}

/// Skin.
pub(super) fn skin() -> Matter {
    matt(0.4)
}

/// Number plates.
pub(super) fn plate() -> Matter {
    Matter::solid(Finish::Retro, 0.85)
}

/// Tail lamps and reflectors.
pub(super) fn tail_lamp() -> Matter {
    Matter::solid(Finish::Retro, 0.6)
}

/// Headlamps: a mirror behind glass, which sends little straight back.
pub(super) fn headlamp() -> Matter {
    Matter::solid(Finish::Retro, 0.25)
}

/// A size about `mean`: what is long is often wide and high too. `sigma` in metres; nothing is beyond 2.5 sigma.
pub(super) fn draw_size(draw: &mut Draw, mean: [f32; 3], sigma: [f32; 3]) -> Vec3 {
    let shared = draw.bell();
    let own = Vec3::new(draw.bell(), draw.bell(), draw.bell());
    let spread = (own * 0.85 + Vec3::splat(shared * 0.5)).clamp(Vec3::splat(-2.5), Vec3::splat(2.5));
    Vec3::from_array(mean) + spread * Vec3::from_array(sigma)
}

/// A pair of wheels, the outer faces at `half_width` from the middle, with rims that stand out a little.
pub(super) fn build_axle(
    part: &mut Builder<'_>,
    x: f32,
    half_width: f32,
    radius: f32,
    width: f32,
    rim: Matter,
) {
    for side in [-1.0, 1.0] {
        let y = side * (half_width - 0.5 * width);
        part.wheel(Vec3::new(x, y, radius), radius, width, tyre());
        part.wheel(Vec3::new(x, y + side * 0.004, radius), radius * 0.64, width, rim);
    }
}

/// Somebody on a seat behind glass: head and trunk above the seat's face at `seat`.
pub(super) fn build_occupant(part: &mut Builder<'_>, seat: Vec3, height: f32, cloth: Matter) {
    let (trunk, head) = (0.29 * height, 0.075 * height);
    part.limb(seat + Vec3::Z * 0.16, seat + Vec3::new(-0.04, 0.0, trunk), 0.16, cloth);
    part.blob(seat + Vec3::new(-0.02, 0.0, trunk + 0.32), Vec3::new(0.10, 0.08, head), skin());
}

/// A number plate across the middle that faces along x: `out` is 1 at the front and -1 at the rear.
pub(super) fn build_plate(part: &mut Builder<'_>, x: f32, z: f32, half_width: f32, out: f32) {
    let (a, b) = (x - out * 0.02, x + out * 0.008);
    part.block(Vec3::new(a.min(b), -half_width, z), Vec3::new(a.max(b), half_width, z + 0.11), plate());
}
