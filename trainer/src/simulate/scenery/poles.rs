//! Poles: lamps, signs, signals, posts.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::{Builder, Matter};
use super::super::world::Scene;
use super::{FOOT_M, Piece, any_matt, brick, matt, sheeting, spaced, within};
use glam::{Vec2, Vec3};
use std::f32::consts::FRAC_PI_2;

/// What stands on one leg, and how often.
pub(super) const POLES: [Piece; 18] = [
    Piece::new(5.0, [0.15, 0.15], [0.2, 0.2], build_street_lamp),
    Piece::new(2.5, [0.25, 0.25], [0.3, 0.3], build_lantern),
    Piece::new(1.0, [0.15, 0.15], [0.2, 0.2], build_twin_lamp),
    Piece::new(1.6, [0.2, 0.2], [0.25, 0.25], build_telegraph_pole),
    Piece::new(6.0, [0.14, 0.46], [0.14, 0.46], build_sign),
    Piece::new(2.0, [0.14, 0.5], [0.14, 0.5], build_panel_sign),
    Piece::new(1.0, [0.15, 0.9], [0.15, 1.7], build_direction_sign),
    Piece::new(2.6, [0.25, 0.25], [0.25, 0.25], build_signal),
    Piece::new(1.0, [0.3, 0.3], [0.3, 0.3], build_signal_on_mast),
    Piece::new(0.15, [0.3, 0.3], [0.3, 0.3], build_gantry),
    Piece::new(1.0, [0.25, 0.3], [0.25, 0.3], build_bus_stop),
    Piece::new(1.2, [0.2, 0.15], [0.25, 0.2], build_meter),
    Piece::new(2.5, [0.12, 0.12], [0.2, 0.2], build_bollard),
    Piece::new(2.0, [1.5, 0.12], [3.2, 0.2], build_bollard_row),
    Piece::new(0.5, [0.15, 0.15], [0.15, 0.15], build_flagpole),
    Piece::new(1.6, [0.13, 0.13], [0.28, 0.28], build_stele),
    Piece::new(1.0, [0.1, 0.1], [0.1, 0.1], build_delineator),
    Piece::new(0.8, [0.2, 0.2], [0.3, 0.3], build_folded_parasol),
];

/// A pole that thins half-way up.
fn raise(part: &mut Builder<'_>, height: f32, radius: f32, matter: Matter) {
    part.post(Vec3::Z * FOOT_M, 0.5 * height - FOOT_M, radius, matter);
    part.post(Vec3::Z * (0.5 * height), 0.5 * height, 0.7 * radius, matter);
}

/// A lamp at the end of an arm over the carriageway.
fn hang_lamp(part: &mut Builder<'_>, height: f32, reach: f32, matter: Matter) {
    part.limb(Vec3::Z * (height - 0.25), Vec3::new(0.0, reach, height), 0.04, matter);
    let y = if reach > 0.0 { [reach - 0.1, reach + 0.55] } else { [reach - 0.55, reach + 0.1] };
    brick(part, [-0.14, 0.14], y, [height - 0.07, height + 0.07], matter);
}

fn build_street_lamp(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let height = draw.range(5.0, 10.0);
    let steel = any_matt(draw);
    let mut part = scene.clutter(pose);
    let radius = draw.range(0.055, 0.12);
    raise(&mut part, height, radius, steel);
    hang_lamp(&mut part, height, draw.range(0.5, 2.2), steel);
    if draw.chance(0.4) {
        // The thicker foot with the door to its fuses.
        part.post(Vec3::Z * FOOT_M, draw.range(0.8, 1.4) - FOOT_M, radius + 0.03, steel);
    }
    if draw.chance(0.2) {
        part.wheel(Vec3::Z * draw.range(2.6, 3.6), 0.25, 0.5, any_matt(draw));
    }
}

fn build_lantern(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let height = draw.range(3.0, 4.8);
    let iron = any_matt(draw);
    let mut part = scene.clutter(pose);
    raise(&mut part, height, draw.range(0.04, 0.08), iron);
    if draw.chance(0.5) {
        part.post(Vec3::Z * FOOT_M, draw.range(0.5, 1.1) - FOOT_M, 0.12, iron);
    }
    let half = draw.range(0.14, 0.25);
    if draw.chance(0.5) {
        part.blob(Vec3::Z * (height + half), Vec3::splat(half), iron);
    } else {
        brick(&mut part, [-half, half], [-half, half], [height, height + 2.4 * half], iron);
        part.post(Vec3::Z * (height + 2.4 * half), 0.08, 1.5 * half, iron);
    }
}

fn build_twin_lamp(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let height = draw.range(7.0, 11.0);
    let steel = any_matt(draw);
    let mut part = scene.clutter(pose);
    raise(&mut part, height, 0.11, steel);
    let reach = draw.range(0.8, 2.0);
    hang_lamp(&mut part, height, reach, steel);
    hang_lamp(&mut part, height, -reach, steel);
}

fn build_telegraph_pole(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let height = draw.range(7.0, 10.0);
    let wood = matt(draw.range(0.15, 0.35));
    let mut part = scene.clutter(pose);
    raise(&mut part, height, draw.range(0.11, 0.17), wood);
    if draw.chance(0.7) {
        brick(&mut part, [-0.06, 0.06], [-1.0, 1.0], [height - 0.6, height - 0.48], wood);
    }
    if draw.chance(0.25) {
        part.post(Vec3::new(0.38, 0.0, height - 2.6), 0.9, 0.26, any_matt(draw));
    }
    if draw.chance(0.2) {
        part.limb(Vec3::new(0.12, 0.0, 1.0), Vec3::new(0.12, 0.0, 2.6), 0.06, any_matt(draw));
    }
}

/// A round, triangular or square plate at a height, looking towards -x.
fn hang_plate(scene: &mut Scene, pose: &Pose, z: f32, size: f32, kind: usize) {
    // In the turned frame y points towards -x of the sign.
    let mut part = scene.clutter(within(pose, Vec3::new(-0.05, 0.0, z), FRAC_PI_2));
    match kind {
        0 => part.wheel(Vec3::ZERO, size, 0.015, sheeting()),
        1 => {
            let down = if z > 2.8 { -1.0 } else { 1.0 };
            let profile = [
                Vec2::new(-size, -0.58 * size * down),
                Vec2::new(size, -0.58 * size * down),
                Vec2::new(0.0, 1.15 * size * down),
            ];
            part.extrusion(&profile, 0.008, 0.0, [0.0; 2], sheeting());
        }
        _ => brick(&mut part, [-size, size], [-0.008, 0.008], [-size, size], sheeting()),
    }
}

fn build_sign(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let height = draw.range(2.1, 3.1);
    let size = draw.range(0.25, 0.45);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, height + size - FOOT_M, draw.range(0.025, 0.045), matt(0.4));
    hang_plate(scene, &pose, height, size, draw.index(3));
    if draw.chance(0.3) {
        let below = height - size - 0.25;
        let x = [-0.06, -0.045];
        brick(&mut scene.clutter(pose), x, [-0.3, 0.3], [below - 0.12, below + 0.12], sheeting());
    }
}

/// A higher plate: parking rules, street names, town signs.
fn build_panel_sign(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    let wide = half.y * draw.range(0.4, 0.95);
    let [low, high] = [draw.range(1.3, 2.1), draw.range(2.3, 3.0)];
    let n_posts = 1 + draw.index(2);
    for idx in 0..n_posts {
        let y = if n_posts == 1 { 0.0 } else { wide * (1.4 * idx as f32 - 0.7) };
        part.post(Vec3::new(0.0, y, FOOT_M), high - FOOT_M, 0.035, matt(0.4));
    }
    let face = if draw.chance(0.7) { sheeting() } else { any_matt(draw) };
    brick(&mut part, [-0.07, -0.05], [-wide, wide], [low, high], face);
}

/// A large sign on two legs.
fn build_direction_sign(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let low = draw.range(0.5, 2.3);
    let high = low + half.y * draw.range(0.7, 1.4);
    let mut part = scene.clutter(pose);
    for y in [-0.7 * half.y, 0.7 * half.y] {
        part.post(Vec3::new(0.0, y, FOOT_M), high - FOOT_M, 0.05, matt(0.4));
    }
    brick(&mut part, [-0.09, -0.06], [-half.y, half.y], [low, high], sheeting());
}

/// A signal head: its box and the three hoods.
fn hang_head(part: &mut Builder<'_>, at: Vec3, matter: Matter) {
    brick(part, [at.x - 0.12, at.x + 0.12], [at.y - 0.17, at.y + 0.17], [at.z, at.z + 0.95], matter);
    for idx in 0..3u8 {
        let z = at.z + 0.3 * f32::from(idx) + 0.26;
        brick(part, [at.x - 0.3, at.x - 0.12], [at.y - 0.12, at.y + 0.12], [z, z + 0.02], matter);
    }
}

fn build_signal(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, 3.4 - FOOT_M, draw.range(0.05, 0.09), steel);
    hang_head(&mut part, Vec3::new(-0.2, 0.0, draw.range(2.25, 2.6)), matt(0.1));
    if draw.chance(0.6) {
        // The one for those who walk, at a right angle to it.
        brick(&mut part, [-0.12, 0.12], [-0.25, -0.08], [2.1, 2.65], matt(0.1));
    }
    if draw.chance(0.4) {
        brick(&mut part, [-0.08, 0.08], [0.05, 0.15], [0.95, 1.2], matt(0.5));
    }
}

fn build_signal_on_mast(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let height = draw.range(5.8, 6.6);
    let reach = draw.range(3.0, 6.5);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, height - FOOT_M, draw.range(0.09, 0.15), steel);
    part.limb(Vec3::Z * (height - 0.4), Vec3::new(0.0, reach, height), 0.06, steel);
    hang_head(&mut part, Vec3::new(-0.2, reach - 0.2, height - 0.8), matt(0.1));
    brick(&mut part, [-0.3, -0.1], [-0.17, 0.17], [2.3, 3.25], matt(0.1));
}

/// A boom over the carriageway with large signs.
fn build_gantry(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let steel = matt(draw.range(0.3, 0.6));
    let reach = draw.range(5.0, 9.0);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, 7.2 - FOOT_M, 0.2, steel);
    for z in [6.1, 7.0] {
        part.limb(Vec3::new(0.0, 0.0, z), Vec3::new(0.0, reach, z), 0.09, steel);
    }
    for from in [0.8, 0.55 * reach] {
        let y = [from, from + 0.4 * reach];
        brick(&mut part, [-0.2, -0.16], y, [5.3, draw.range(6.8, 7.6)], sheeting());
    }
}

fn build_bus_stop(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(2.3, 2.9);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, height - FOOT_M, 0.04, any_matt(draw));
    let plate = [-half.y * 0.9, half.y * 0.9];
    brick(&mut part, [-0.02, 0.02], plate, [height - 0.55, height], any_matt(draw));
    brick(&mut part, [0.04, 0.1], [-0.22, 0.22], [1.1, 1.75], matt(0.4));
    if draw.chance(0.4) {
        part.post(Vec3::new(0.0, 0.16, 0.6), 0.5, 0.13, any_matt(draw));
    }
}

/// A parking meter or a ticket machine.
fn build_meter(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let grey = any_matt(draw);
    let height = draw.range(1.2, 1.9);
    let mut part = scene.clutter(pose);
    if draw.chance(0.5) {
        part.post(Vec3::Z * FOOT_M, height - FOOT_M, 0.035, grey);
        brick(&mut part, [-0.1, 0.1], [-0.08, 0.08], [height - 0.15, height + 0.2], grey);
    } else {
        brick(&mut part, [-half.x, half.x], [-half.y, half.y], [-0.1, height], grey);
        part.limb(Vec3::Z * height, Vec3::Z * (height + 0.4), 0.03, grey);
    }
}

fn build_bollard(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(0.6, 1.2);
    let radius = half.min_element() * draw.range(0.4, 0.9);
    let matter = any_matt(draw);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, height - FOOT_M, radius, matter);
    part.blob(Vec3::Z * height, Vec3::new(radius, radius, 0.06), matter);
}

fn build_bollard_row(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(0.6, 1.1);
    let radius = draw.range(0.04, 0.11);
    let iron = any_matt(draw);
    let chained = draw.chance(0.25);
    let mut part = scene.clutter(pose);
    for x in spaced(-half.x + 0.12, half.x - 0.12, draw.range(1.2, 1.8)) {
        part.post(Vec3::new(x, 0.0, FOOT_M), height - FOOT_M, radius, iron);
    }
    if chained {
        let z = 0.8 * height;
        part.limb(Vec3::new(0.12 - half.x, 0.0, z), Vec3::new(half.x - 0.12, 0.0, z), 0.02, iron);
    }
}

fn build_flagpole(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let height = draw.range(6.0, 9.0);
    let mut part = scene.clutter(pose);
    raise(&mut part, height, 0.05, matt(0.5));
    if draw.chance(0.6) {
        brick(
            &mut part,
            [0.05, draw.range(0.3, 1.4)],
            [-0.01, 0.01],
            [0.5 * height, height - 0.1],
            any_matt(draw),
        );
    }
}

/// Something slim about as high as a person: a stack, a stone, a pipe, a figure on its foot.
fn build_stele(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(1.1, 2.0);
    let matter = any_matt(draw);
    let mut part = scene.clutter(pose);
    match draw.index(4) {
        0 => part.post(Vec3::Z * FOOT_M, height - FOOT_M, 0.9 * half.min_element(), matter),
        1 => brick(&mut part, [-half.x, half.x], [-half.y, half.y], [FOOT_M, height], matter),
        2 => {
            let radii = Vec3::new(0.8 * half.x, half.y, 0.5 * height);
            part.blob(Vec3::Z * (0.5 * height), radii, matter);
        }
        _ => {
            brick(&mut part, [-half.x, half.x], [-half.y, half.y], [FOOT_M, 0.45 * height], matter);
            let (low, high) = (Vec3::Z * (0.45 * height), Vec3::Z * height);
            part.limb(low, high, 0.6 * half.min_element(), matter);
        }
    }
}

/// The post at the edge of a country road.
fn build_delineator(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    brick(&mut part, [-0.05, 0.05], [-0.06, 0.06], [FOOT_M, draw.range(0.9, 1.1)], matt(0.6));
    brick(&mut part, [-0.056, -0.05], [-0.03, 0.03], [0.72, 0.88], sheeting());
}

fn build_folded_parasol(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(2.0, 2.7);
    let cloth = any_matt(draw);
    let mut part = scene.clutter(pose);
    part.post(Vec3::ZERO, height, 0.025, matt(0.4));
    brick(&mut part, [-half.x, half.x], [-half.y, half.y], [0.0, 0.08], matt(0.3));
    let radii = Vec3::new(0.13, 0.13, 0.4 * height);
    part.blob(Vec3::Z * (0.58 * height), radii, cloth);
}
