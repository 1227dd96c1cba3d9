//! Things about as large as a car that are none: skips, sheds, containers, heaps, stones, garages.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::Matter;
use super::super::world::Scene;
use super::fronts::Bay;
use super::{FOOT_M, Piece, any_matt, brick, glass, matt, porous, spaced, stand_one_of, within};
use glam::{Vec2, Vec3};
use std::f32::consts::FRAC_PI_2;

/// What stands alone and is as large as a car, and how often.
pub(super) const BULK: [Piece; 19] = [
    Piece::new(1.2, [1.5, 0.8], [2.2, 1.0], build_skip),
    Piece::new(0.8, [2.5, 1.1], [3.2, 1.22], build_roll_container),
    Piece::new(0.8, [3.0, 1.2], [3.03, 1.22], build_container),
    Piece::new(1.4, [1.1, 0.9], [2.0, 1.5], build_shed),
    Piece::new(0.7, [2.6, 1.3], [3.1, 1.6], build_garage),
    Piece::new(0.8, [2.4, 1.2], [2.9, 1.5], build_car_port),
    Piece::new(1.0, [1.0, 0.9], [2.5, 1.4], build_heap),
    Piece::new(0.9, [0.7, 0.5], [2.0, 1.1], build_stones),
    Piece::new(0.7, [1.2, 0.5], [3.0, 0.9], build_timber),
    Piece::new(0.8, [0.8, 0.6], [2.0, 1.1], build_brick_pallets),
    Piece::new(0.7, [0.9, 0.7], [2.4, 0.9], build_bales),
    Piece::new(0.8, [1.2, 0.9], [1.7, 1.3], build_substation),
    Piece::new(0.8, [1.2, 0.8], [2.4, 1.0], build_bin_store),
    Piece::new(0.5, [0.55, 0.55], [0.6, 0.6], build_privy),
    Piece::new(0.7, [0.9, 0.9], [1.0, 1.0], build_picnic_table),
    Piece::new(0.7, [1.0, 0.6], [2.6, 1.1], build_raised_bed),
    Piece::new(0.5, [0.5, 0.8], [0.6, 1.1], build_cable_drum),
    Piece::new(0.6, [1.2, 0.6], [1.8, 0.8], build_tank),
    Piece::new(2.0, [1.0, 0.7], [2.6, 1.1], build_dense_bush),
];

/// Something about as large as a car that is none, near a place; `yaw` is the direction of its length.
pub(in crate::simulate) fn stand_bulk(scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) {
    stand_one_of(&BULK, scene, place, yaw, draw);
}

/// Side walls of an open box whose ends slope: the inside shows.
fn build_open_box(scene: &mut Scene, pose: &Pose, half: Vec2, slope: f32, z: [f32; 2], steel: Matter) {
    let (x, y) = (half.x, half.y);
    let foot = x - slope;
    let outline = [Vec2::new(-x, z[1]), Vec2::new(x, z[1]), Vec2::new(foot, z[0]), Vec2::new(-foot, z[0])];
    let floor = [
        Vec2::new(-foot - 0.1 * slope, z[0] + 0.1),
        Vec2::new(foot + 0.1 * slope, z[0] + 0.1),
        Vec2::new(foot, z[0]),
        Vec2::new(-foot, z[0]),
    ];
    let mut part = scene.clutter(*pose);
    part.extrusion(&floor, y, 0.0, [0.0; 2], steel);
    for end in [-1.0, 1.0] {
        let wall = [
            Vec2::new(end * x, z[1]),
            Vec2::new(end * (x - 0.06), z[1]),
            Vec2::new(end * (foot - 0.06), z[0]),
            Vec2::new(end * foot, z[0]),
        ];
        part.extrusion(&wall, y, 0.0, [0.0; 2], steel);
    }
    for side in [-1.0, 1.0] {
        let beside = within(pose, Vec3::Y * (side * (y - 0.03)), 0.0);
        scene.clutter(beside).extrusion(&outline, 0.03, 0.0, [0.0; 2], steel);
    }
}

fn build_skip(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let height = draw.range(1.0, 1.5);
    build_open_box(scene, &pose, half, 0.3 * half.x, [0.06, height], steel);
    let mut part = scene.clutter(pose);
    if draw.chance(0.7) {
        let radii = Vec3::new(0.65 * half.x, 0.8 * half.y, draw.range(0.2, 0.6));
        part.blob(Vec3::Z * draw.range(0.5, height), radii, matt(draw.range(0.15, 0.4)));
    }
    if draw.chance(0.4) {
        let plank = Vec3::new(0.5 * half.x, 0.3 * half.y, height + draw.range(0.1, 0.6));
        part.limb(Vec3::new(-0.4 * half.x, 0.0, 0.4), plank, 0.05, matt(0.4));
    }
}

/// A large container with ribs that a lorry sets down.
fn build_roll_container(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let height = draw.range(1.6, 2.5);
    let inner = half - Vec2::splat(0.08);
    build_open_box(scene, &pose, inner, 0.02, [0.2, height], steel);
    let mut part = scene.clutter(pose);
    for x in spaced(-inner.x + 0.1, inner.x - 0.1, 1.5) {
        brick(&mut part, [x - 0.05, x + 0.05], [-half.y, half.y], [0.2, 0.35], steel);
        for y in [[-half.y, -inner.y], [inner.y, half.y]] {
            brick(&mut part, [x - 0.05, x + 0.05], y, [0.2, height], steel);
        }
    }
}

/// A closed container, or an office at a building site.
fn build_container(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let mut part = scene.clutter(pose);
    let inner = half - Vec2::splat(0.04);
    brick(&mut part, [-inner.x, inner.x], [-inner.y, inner.y], [0.1, 2.55], steel);
    for x in [-half.x + 0.08, half.x - 0.08] {
        brick(&mut part, [x - 0.08, x + 0.08], [-half.y, half.y], [0.0, 0.2], steel);
        brick(&mut part, [x - 0.08, x + 0.08], [-half.y, half.y], [2.45, 2.6], steel);
    }
    if draw.chance(0.6) {
        for x in spaced(-inner.x + 0.3, inner.x - 0.3, 0.9) {
            brick(&mut part, [x - 0.12, x + 0.12], [-half.y, half.y], [0.25, 2.4], steel);
        }
    } else {
        for x in [-0.5 * half.x, 0.4 * half.x] {
            brick(&mut part, [x - 0.5, x + 0.5], [-half.y, -inner.y], [1.0, 2.0], glass());
        }
    }
}

fn build_shed(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wood = any_matt(draw);
    let top = draw.range(1.7, 2.2);
    let (x, y) = (half.x - 0.15, half.y - 0.15);
    let bay = Bay { x: [-x, x], y: [-y, y], top, wall: wood, upper: wood };
    let door = draw.range(-0.5, 0.1) * x;
    let mut part = scene.clutter(pose);
    bay.build_plain(&mut part);
    brick(&mut part, [door, door + 0.7], [-y - 0.04, -y], [0.0, top - 0.1], any_matt(draw));
    let rise = draw.range(0.25, 0.8);
    let profile = [Vec2::new(-half.y, top - 0.05), Vec2::new(0.0, top + rise), Vec2::new(half.y, top - 0.05)];
    if draw.chance(0.7) {
        let across = within(&pose, Vec3::ZERO, FRAC_PI_2);
        scene.clutter(across).extrusion(&profile, half.x, 0.0, [0.0; 2], matt(0.25));
    } else {
        brick(&mut part, [-half.x, half.x], [-half.y, half.y], [top, top + 0.1], matt(0.25));
    }
}

fn build_garage(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wall = any_matt(draw);
    let gate = any_matt(draw);
    let top = draw.range(2.3, 2.6);
    let reveal = draw.range(0.08, 0.3);
    let (x, y) = (half.x - 0.05, half.y - 0.05);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-x, x - reveal], [-y, y], [FOOT_M, top], wall);
    for side in [[-y, -y + 0.2], [y - 0.2, y]] {
        brick(&mut part, [x - reveal, x], side, [FOOT_M, top], wall);
    }
    brick(&mut part, [x - reveal, x], [-y, y], [top - 0.3, top], wall);
    brick(&mut part, [x - reveal, x - reveal + 0.03], [-y + 0.2, y - 0.2], [0.0, top - 0.3], gate);
    brick(&mut part, [-half.x, half.x], [-half.y, half.y], [top, top + 0.12], matt(0.25));
}

/// A roof on posts with nothing below, or with wood along one side.
fn build_car_port(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wood = any_matt(draw);
    let top = draw.range(2.2, 2.5);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-half.x, half.x], [-half.y, half.y], [top, top + 0.18], wood);
    for x in [-half.x + 0.15, half.x - 0.15] {
        for y in [-half.y + 0.1, half.y - 0.1] {
            part.post(Vec3::new(x, y, FOOT_M), top - FOOT_M, 0.06, wood);
        }
    }
    if draw.chance(0.5) {
        let y = [half.y - 0.5, half.y - 0.15];
        brick(&mut part, [-0.8 * half.x, 0.6 * half.x], y, [0.0, draw.range(0.6, 1.6)], matt(0.3));
    }
    if draw.chance(0.4) {
        let x = [-half.x + 0.1, -half.x + 0.14];
        brick(&mut part, x, [-half.y, half.y], [0.1, top], porous(0.3, 25.0));
    }
}

/// Earth, gravel, snow, compost.
fn build_heap(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let earth = matt(draw.range(0.12, 0.6));
    let height = draw.range(0.5, 1.6);
    let mut part = scene.clutter(pose);
    for share in [0.0_f32, -0.42, 0.4] {
        let size = if share.abs() < 0.1 { 1.0 } else { draw.range(0.45, 0.58) };
        let radii = Vec3::new(half.x * size, half.y * size, height * (0.3 + 0.7 * size));
        let out = Vec3::new(share * half.x, draw.range(-1.0, 1.0) * (half.y - radii.y), 0.0);
        part.blob(out, radii, earth);
    }
}

fn build_stones(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let stone = any_matt(draw);
    let square = draw.chance(0.35);
    let mut part = scene.clutter(pose);
    for at in spaced(-0.55 * half.x, 0.55 * half.x, 1.1) {
        let radii =
            Vec3::new(draw.range(0.3, 0.45) * half.x, draw.range(0.6, 0.95) * half.y, draw.range(0.3, 0.85));
        if square {
            let x = [at - radii.x, at + radii.x];
            brick(&mut part, x, [-radii.y, radii.y], [-0.1, 1.4 * radii.z], stone);
        } else {
            part.blob(Vec3::new(at, 0.0, 0.4 * radii.z), radii, stone);
        }
    }
}

/// Logs on each other, or firewood between posts.
fn build_timber(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let bark = matt(draw.range(0.15, 0.4));
    let radius = draw.range(0.14, 0.26);
    let mut part = scene.clutter(pose);
    if draw.chance(0.4) {
        let height = draw.range(0.9, 1.7);
        let ends = [-half.x + 0.1, half.x - 0.1];
        brick(&mut part, ends, [-0.6 * half.y, 0.6 * half.y], [0.05, height], bark);
        brick(&mut part, [-half.x, half.x], [-half.y, half.y], [height + 0.05, height + 0.1], any_matt(draw));
        return;
    }
    let n_rows = ((half.y / radius).floor() as usize).clamp(1, 4);
    for layer in 0..n_rows.min(3) {
        let n_logs = n_rows - layer;
        for idx in 0..n_logs {
            let y = radius * (2.0 * idx as f32 - (n_logs - 1) as f32);
            let z = radius * (1.0 + 1.75 * layer as f32);
            let reach = half.x - radius - 0.25 * draw.unit();
            part.limb(Vec3::new(-reach, y, z), Vec3::new(reach, y, z), radius, bark);
        }
    }
}

/// Bricks, paving stones or sacks on pallets, under foil.
fn build_brick_pallets(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    let places: Vec<f32> = spaced(-half.x, half.x, 1.15).collect();
    for (from, to) in places.iter().zip(places.iter().skip(1)) {
        let y = half.y * draw.range(0.75, 1.0);
        let gap = draw.range(0.03, 0.12);
        let x = [from + gap, to - gap];
        brick(&mut part, x, [-y, y], [0.0, 0.14], porous(0.3, 4.0));
        brick(&mut part, x, [-y, y], [0.14, draw.range(0.5, 1.5)], any_matt(draw));
    }
}

/// Round bales of straw or rolls of turf.
fn build_bales(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let straw = matt(draw.range(0.3, 0.6));
    let radius = 0.5 * half.y + 0.22;
    let upright = draw.chance(0.3);
    let n_bales = (half.x / radius).floor().max(1.0);
    let mut part = scene.clutter(pose);
    for idx in 0..n_bales as usize {
        let x = radius * (2.0 * idx as f32 + 1.0 - n_bales);
        if upright {
            part.post(Vec3::new(x, 0.0, -0.05), 1.2, radius, straw);
        } else {
            part.wheel(Vec3::new(x, 0.0, radius - 0.05), radius - 0.01, 2.0 * half.y - 0.1, straw);
        }
    }
}

fn build_substation(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wall = any_matt(draw);
    let top = draw.range(1.7, 2.5);
    let (x, y) = (half.x - 0.1, half.y - 0.1);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-x, x], [-y, y], [FOOT_M, top], wall);
    for door in [[-0.8 * x, -0.05], [0.0, 0.75 * x]] {
        brick(&mut part, door, [-y - 0.04, y + 0.04], [0.15, top - 0.25], any_matt(draw));
    }
    brick(&mut part, [-half.x, half.x], [-half.y, half.y], [top, top + 0.14], matt(0.3));
}

/// Walls on three sides, bins inside.
fn build_bin_store(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wall = if draw.chance(0.5) { any_matt(draw) } else { porous(0.3, 35.0) };
    let height = draw.range(1.2, 1.9);
    let (x, y) = (half.x, half.y);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-x, x], [y - 0.1, y], [-0.1, height], wall);
    brick(&mut part, [-x, -x + 0.1], [-y, y - 0.1], [-0.1, height], wall);
    brick(&mut part, [x - 0.1, x], [-y, y - 0.1], [-0.1, height], wall);
    for at in spaced(-x + 0.45, x - 0.45, 0.8) {
        if draw.chance(0.75) {
            let top = draw.range(0.95, 1.15);
            brick(&mut part, [at - 0.28, at + 0.28], [-0.35, 0.4], [0.0, top], any_matt(draw));
        }
    }
    if draw.chance(0.3) {
        brick(&mut part, [-x, x], [-y, y], [2.2, 2.3], any_matt(draw));
    }
}

fn build_privy(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wall = any_matt(draw);
    let (x, y) = (half.x - 0.03, half.y - 0.03);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-x, x], [-y, y], [0.0, 2.1], wall);
    brick(&mut part, [x, half.x], [-0.8 * y, 0.8 * y], [0.15, 2.0], wall);
    part.blob(Vec3::Z * 2.1, Vec3::new(x, y, 0.25), wall);
}

fn build_picnic_table(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wood = any_matt(draw);
    let x = [-half.x, half.x];
    let mut part = scene.clutter(pose);
    brick(&mut part, x, [-0.38, 0.38], [0.71, 0.76], wood);
    for side in [-1.0, 1.0] {
        let y = side * (half.y - 0.14);
        brick(&mut part, x, [y - 0.14, y + 0.14], [0.42, 0.47], wood);
        for at in [-0.7 * half.x, 0.7 * half.x] {
            let (top, foot) = (Vec3::new(at, side * 0.2, 0.7), Vec3::new(at, side * 0.75 * half.y, 0.05));
            part.limb(top, foot, 0.045, wood);
        }
    }
}

/// A raised bed with what grows in it.
fn build_raised_bed(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(0.35, 0.95);
    let tone = draw.range(0.2, 0.5);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-half.x, half.x], [-half.y, half.y], [-0.1, height], any_matt(draw));
    for at in spaced(-0.65 * half.x, 0.65 * half.x, 1.0) {
        let radii = Vec3::new(0.33 * half.x, 0.85 * half.y, draw.range(0.15, 0.8));
        let leaves = Matter::foliage(tone, draw.range(0.8, 6.0));
        part.blob(Vec3::new(at, 0.0, height + 0.4 * radii.z), radii, leaves);
    }
}

/// A drum of cable on its rims: x across the drum.
fn build_cable_drum(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wood = any_matt(draw);
    let radius = half.y - 0.02;
    let mut part = scene.clutter(within(&pose, Vec3::Z * radius, FRAC_PI_2));
    for side in [-1.0, 1.0] {
        part.wheel(Vec3::Y * (side * (half.x - 0.05)), radius, 0.06, wood);
    }
    part.wheel(Vec3::ZERO, draw.range(0.5, 0.85) * radius, 2.0 * half.x - 0.12, any_matt(draw));
}

/// A tank lying on two saddles.
fn build_tank(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let radius = half.y - 0.02;
    let reach = (half.x - radius).max(0.1);
    let z = radius + 0.2;
    let mut part = scene.clutter(pose);
    part.limb(Vec3::new(-reach, 0.0, z), Vec3::new(reach, 0.0, z), radius, steel);
    for at in [-0.7 * reach, 0.7 * reach] {
        brick(
            &mut part,
            [at - 0.1, at + 0.1],
            [-0.7 * radius, 0.7 * radius],
            [-0.1, 0.7 * radius],
            matt(0.3),
        );
    }
    part.post(Vec3::Z * (z + 0.9 * radius), 0.1 * radius + 0.15, 0.2, steel);
}

/// A dense bush as large as a car.
fn build_dense_bush(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(0.9, 2.2);
    let tone = draw.range(0.2, 0.5);
    let mut part = scene.clutter(pose);
    for _ in 0..4 {
        let radii = Vec3::new(
            half.x * draw.range(0.4, 0.65),
            half.y * draw.range(0.6, 0.9),
            0.5 * height * draw.range(0.7, 1.1),
        );
        let slack = half - Vec2::new(radii.x, radii.y);
        let (x, y) = (draw.range(-1.0, 1.0) * slack.x, draw.range(-1.0, 1.0) * slack.y);
        part.blob(Vec3::new(x, y, 0.8 * radii.z), radii, Matter::foliage(tone, draw.range(2.5, 9.0)));
    }
}
