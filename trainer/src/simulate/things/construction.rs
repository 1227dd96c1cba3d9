//! Machines of building sites: excavators on tracks, wheel loaders.

use super::super::draw::Draw;
use super::super::parts::{Builder, Finish, Matter};
use super::looks::{build_axle, build_occupant, glass, matt};
use super::profiles::convex;
use super::{BOX_MARGIN_M, Category, Thing, assemble_centred};
use glam::{Vec2, Vec3};

impl Thing {
    /// An excavator or a wheel loader, its box around all of it, the arm included.
    ///
    /// **Source**: the mean of nuScenes' labels, 6.37 x 2.85 x 3.19 m.
    pub(in crate::simulate) fn draw_construction_vehicle(draw: &mut Draw, driven: bool) -> Self {
        let (parts, size) = if draw.chance(0.6) {
            assemble_centred(draw, |part, draw| build_excavator(part, draw, driven))
        } else {
            assemble_centred(draw, |part, draw| build_wheel_loader(part, draw, driven))
        };
        let margin = Vec3::new(2.0, 2.0, 1.0) * BOX_MARGIN_M;
        Self::rigid(Category::ConstructionVehicle, size + margin, parts)
    }
}

/// Yellow and orange are bright to an infrared beam, rust and mud are not.
fn draw_machine_paint(draw: &mut Draw) -> Matter {
    Matter::solid(if draw.chance(0.5) { Finish::Matt } else { Finish::Paint }, draw.range(0.15, 0.6))
}

/// A bar in the plane of the heading between two points (x, z), as deep as `depths` at its ends.
fn build_bar(part: &mut Builder<'_>, ends: [Vec2; 2], depths: [f32; 2], half_width: f32, matter: Matter) {
    let across = (ends[1] - ends[0]).normalize_or(Vec2::X).perp() * 0.5;
    let outline = [
        ends[0] + across * depths[0],
        ends[0] - across * depths[0],
        ends[1] - across * depths[1],
        ends[1] + across * depths[1],
    ];
    part.extrusion(&convex(&outline), half_width, 0.0, [0.0; 2], matter);
}

/// A cab of glass: sheet metal below, posts, a roof, and who works there.
fn build_cab(part: &mut Builder<'_>, draw: &mut Draw, [low, high]: [Vec3; 2], paint: Matter, driven: bool) {
    let (belt, brow) = (low.z + draw.range(0.3, 0.45) * (high.z - low.z), high.z - 0.12);
    part.block(low, Vec3::new(high.x, high.y, belt), paint);
    part.block(Vec3::new(low.x, low.y, brow), high, paint);
    let inset = Vec3::new(0.02, 0.02, 0.0);
    part.block(low.with_z(belt) + inset, high.with_z(brow) - inset, glass());
    for x in [low.x + 0.04, high.x - 0.04] {
        for y in [low.y + 0.04, high.y - 0.04] {
            part.limb(Vec3::new(x, y, belt), Vec3::new(x, y, brow), 0.04, paint);
        }
    }
    let middle = (low + high) * 0.5;
    let seat = low.x + 0.3 * (high.x - low.x);
    part.block(
        Vec3::new(seat - 0.12, middle.y - 0.22, belt - 0.1),
        Vec3::new(seat, middle.y + 0.22, belt + 0.35),
        matt(0.08),
    );
    if driven {
        build_occupant(part, Vec3::new(seat + 0.2, middle.y, brow - 1.08), 1.75, matt(draw.range(0.2, 0.6)));
    }
}

fn build_excavator(part: &mut Builder<'_>, draw: &mut Draw, driven: bool) {
    let scale = if draw.chance(0.12) { draw.range(0.55, 0.8) } else { draw.range(0.95, 1.2) };
    let paint = draw_machine_paint(draw);
    let dark = matt(0.09);
    let half_width = scale * draw.range(1.3, 1.45);
    // Tracks around their wheels.
    let (reach, tall) = (scale * draw.range(1.7, 2.1), scale * 0.85);
    let shoe = scale * draw.range(0.45, 0.6);
    let loop_outline = [
        Vec2::new(-reach, 0.5 * tall),
        Vec2::new(-0.9 * reach, 0.12 * tall),
        Vec2::new(-0.78 * reach, 0.0),
        Vec2::new(0.78 * reach, 0.0),
        Vec2::new(0.9 * reach, 0.12 * tall),
        Vec2::new(reach, 0.5 * tall),
        Vec2::new(0.9 * reach, 0.92 * tall),
        Vec2::new(-0.9 * reach, 0.92 * tall),
    ];
    for side in [-1.0, 1.0] {
        let mut track = part.turned(Vec3::Y * (side * (half_width - 0.5 * shoe)), 0.0);
        track.extrusion(&convex(&loop_outline), 0.5 * shoe, 0.0, [0.0; 2], dark);
    }
    part.block(
        Vec3::new(-0.5 * reach, shoe - half_width, 0.3 * tall),
        Vec3::new(0.5 * reach, half_width - shoe, 0.8 * tall),
        dark,
    );
    part.post(Vec3::Z * (0.7 * tall), 0.5 * tall, 0.6 * scale, dark);
    // The upper carriage turns.
    let slew = if draw.chance(0.6) { 0.0 } else { draw.range(-0.5, 0.5) };
    let mut upper = part.turned(Vec3::Z * (1.12 * tall), slew);
    build_upper_carriage(&mut upper, draw, scale, paint, driven);
    build_arm(&mut upper, draw, scale, paint);
    if draw.chance(0.5) {
        let blade = Vec3::new(reach + 0.25, 0.98 * half_width, 0.5 * tall);
        let low = Vec3::new(reach + 0.1, -blade.y, 0.05);
        part.block(low, blade, dark);
        part.block(Vec3::new(0.3, -0.3, 0.2), Vec3::new(low.x, 0.3, 0.35 * tall), dark);
    }
}

fn build_upper_carriage(part: &mut Builder<'_>, draw: &mut Draw, scale: f32, paint: Matter, driven: bool) {
    let (tail, half) = (scale * draw.range(1.5, 2.3), scale * draw.range(1.15, 1.3));
    let hood = scale * draw.range(0.95, 1.2);
    part.block(Vec3::new(-0.9 * tail, -half, 0.0), Vec3::new(0.9 * scale, half, 0.2 * scale), paint);
    // The counterweight is round behind, the engine lies before it.
    let weight = [
        Vec2::new(-tail, 0.08),
        Vec2::new(-tail, 0.85 * hood),
        Vec2::new(-0.6 * tail, hood),
        Vec2::new(-0.6 * tail, 0.08),
    ];
    part.extrusion(&convex(&weight), half, 0.0, [0.3 * scale, 0.0], paint);
    part.block(
        Vec3::new(-0.62 * tail, -half, 0.15),
        Vec3::new(-0.2 * scale, half, hood * draw.range(0.85, 1.0)),
        paint,
    );
    part.block(Vec3::new(-0.2 * scale, -half, 0.15), Vec3::new(0.7 * scale, -0.45 * half, 0.6 * hood), paint);
    let cab = [
        Vec3::new(-0.25 * scale, 0.25 * half, 0.12),
        Vec3::new(1.35 * scale, 0.98 * half, (1.75 * scale).max(1.45)),
    ];
    build_cab(part, draw, cab, paint, driven);
    part.post(Vec3::new(-0.45 * tail, -0.5 * half, hood - 0.02), 0.3, 0.06, matt(0.1));
}

fn build_arm(part: &mut Builder<'_>, draw: &mut Draw, scale: f32, paint: Matter) {
    let steel = matt(0.25);
    let y = -0.1 * scale;
    let mut part = part.turned(Vec3::Y * y, 0.0);
    let foot = Vec2::new(0.35, 0.45) * scale;
    let rise = draw.range(0.75, 1.15);
    let (first, second) = (draw.range(1.5, 1.9) * scale, draw.range(1.5, 1.9) * scale);
    let knee = foot + Vec2::new(libm::cosf(rise), libm::sinf(rise)) * first;
    let bent = rise - draw.range(0.9, 1.3);
    let tip = knee + Vec2::new(libm::cosf(bent), libm::sinf(bent)) * second;
    // The stick hangs; it ends above the ground, which lies below this frame.
    let hang = draw.range(-2.3, -1.3);
    let length = (draw.range(1.7, 2.3) * scale).min((tip.y + 0.12 * scale) / -libm::sinf(hang));
    let wrist = tip + Vec2::new(libm::cosf(hang), libm::sinf(hang)) * length.max(0.5);
    let back = tip - Vec2::new(libm::cosf(hang), libm::sinf(hang)) * (0.35 * scale);
    let half = 0.2 * scale;
    build_bar(&mut part, [foot, knee], [0.35 * scale, 0.55 * scale], half, paint);
    build_bar(&mut part, [knee, tip], [0.55 * scale, 0.3 * scale], half, paint);
    build_bar(&mut part, [back, wrist], [0.4 * scale, 0.22 * scale], 0.8 * half, paint);
    let at = |p: Vec2, side: f32| Vec3::new(p.x, side * 0.28 * scale, p.y);
    for side in [-1.0, 1.0] {
        let low = foot + Vec2::new(0.45, -0.2) * scale;
        part.limb(at(low, side), at(foot.lerp(knee, 0.8), side), 0.07 * scale, steel);
    }
    let over = Vec2::new(0.0, 0.4 * scale);
    part.limb(at(knee + over, 0.0), at(back + over * 0.3, 0.0), 0.07 * scale, steel);
    // The bucket curls towards the machine.
    let size = draw.range(0.7, 0.95) * scale;
    let bucket = [
        wrist,
        wrist + Vec2::new(0.35, -0.25) * size,
        wrist + Vec2::new(0.15, -0.8) * size,
        wrist + Vec2::new(-0.45, -0.75) * size,
        wrist + Vec2::new(-0.75, -0.3) * size,
    ];
    part.extrusion(&convex(&bucket), draw.range(0.35, 0.6) * scale, 0.0, [0.0; 2], steel);
}

fn build_wheel_loader(part: &mut Builder<'_>, draw: &mut Draw, driven: bool) {
    let scale = draw.range(0.8, 1.12);
    let paint = draw_machine_paint(draw);
    let dark = matt(0.09);
    let radius = scale * draw.range(0.70, 0.82);
    let base = scale * draw.range(1.45, 1.65);
    let half = scale * draw.range(1.22, 1.36);
    for x in [-base, base] {
        build_axle(part, x, half, radius, 0.55 * scale, paint);
        part.limb(Vec3::new(x, -0.6 * half, radius), Vec3::new(x, 0.6 * half, radius), 0.25 * scale, dark);
        for side in [-1.0, 1.0f32] {
            let (a, b) = (side * (half - 0.6 * scale), side * half);
            part.block(
                Vec3::new(x - 0.75 * radius, a.min(b), 2.02 * radius),
                Vec3::new(x + 0.75 * radius, a.max(b), 2.02 * radius + 0.05),
                dark,
            );
        }
    }
    let inner = half - 0.65 * scale;
    // Engine behind, cab over the joint, a frame that carries the arms.
    let hood = [
        Vec2::new(-2.05 * base, 0.55 * scale),
        Vec2::new(-2.1 * base, 1.55 * scale),
        Vec2::new(-1.9 * base, 1.95 * scale),
        Vec2::new(-0.35 * base, 2.15 * scale),
        Vec2::new(-0.35 * base, 0.55 * scale),
    ];
    part.extrusion(&convex(&hood), inner.max(0.45), 0.05, [0.15, 0.0], paint);
    part.block(
        Vec3::new(-2.12 * base, -0.9 * half, 0.55 * scale),
        Vec3::new(-1.85 * base, 0.9 * half, 1.2 * scale),
        paint,
    );
    let cab = [
        Vec3::new(-0.6 * base, -0.75 * scale, 1.2 * scale),
        Vec3::new(0.28 * base, 0.75 * scale, (3.25 * scale).max(2.5)),
    ];
    build_cab(part, draw, cab, paint, driven);
    part.block(
        Vec3::new(0.2 * base, -inner, 0.5 * scale),
        Vec3::new(1.25 * base, inner, 1.35 * scale),
        paint,
    );
    let lift = if draw.chance(0.7) { draw.range(0.0, 0.25) } else { draw.range(0.25, 1.3) };
    let shoulder = Vec2::new(0.45 * base, 1.75 * scale);
    let hand = Vec2::new(1.95 * base - 0.25 * lift, 0.5 * scale + lift);
    for side in [-1.0, 1.0] {
        let mut arm = part.turned(Vec3::Y * (side * 0.62 * inner), 0.0);
        build_bar(&mut arm, [shoulder, hand], [0.4 * scale, 0.3 * scale], 0.09 * scale, paint);
    }
    part.limb(
        Vec3::new(0.5 * base, 0.0, 1.9 * scale),
        Vec3::new(hand.x - 0.2, 0.0, hand.y + 0.5 * scale),
        0.08 * scale,
        matt(0.25),
    );
    let curl = draw.range(-0.15, 0.25);
    let bucket = [
        hand + Vec2::new(-0.1, 0.55 + curl * 0.3) * scale,
        hand + Vec2::new(0.0, -0.35) * scale,
        hand + Vec2::new(0.25, -0.45) * scale,
        hand + Vec2::new(1.05, -0.42 + curl) * scale,
        hand + Vec2::new(0.25, 0.6) * scale,
    ];
    part.extrusion(&convex(&bucket), half * draw.range(1.0, 1.06), 0.0, [0.0; 2], matt(0.25));
}
