//! What stands on pavements: poles, boxes, seats, shelters, and what is left there.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::Matter;
use super::super::world::Scene;
use super::plants::{grow_bush, grow_upright_shrub};
use super::poles::POLES;
use super::{FOOT_M, Piece, any_matt, brick, glass, matt, porous, spaced, stand_one_of, within};
use glam::{Vec2, Vec3};
use std::f32::consts::FRAC_PI_2;

/// Share of the furniture that stands on one leg.
const POLE_SHARE: f32 = 0.5;

/// What stands on the pavement and is no pole, and how often.
pub(super) const FURNITURE: [Piece; 25] = [
    Piece::new(3.0, [0.3, 0.35], [0.36, 0.42], build_wheeled_bin),
    Piece::new(1.6, [0.9, 0.38], [1.6, 0.42], build_bin_row),
    Piece::new(0.8, [0.6, 0.5], [0.7, 0.55], build_large_bin),
    Piece::new(2.0, [0.22, 0.22], [0.3, 0.3], build_litter_bin),
    Piece::new(2.6, [0.35, 0.18], [1.0, 0.3], build_cabinet),
    Piece::new(2.2, [0.8, 0.3], [1.0, 0.35], build_bench),
    Piece::new(1.2, [1.4, 0.7], [2.2, 0.85], build_shelter),
    Piece::new(0.8, [0.2, 0.2], [0.25, 0.25], build_hydrant),
    Piece::new(1.8, [0.25, 0.25], [0.8, 0.45], build_planter),
    Piece::new(1.6, [0.75, 0.7], [1.1, 1.0], build_cafe_table),
    Piece::new(0.6, [0.45, 0.45], [0.5, 0.5], build_phone_box),
    Piece::new(1.3, [0.3, 0.32], [0.35, 0.4], build_standing_board),
    Piece::new(0.8, [0.5, 0.5], [0.7, 0.7], build_advertising_column),
    Piece::new(0.6, [0.2, 0.65], [0.25, 0.75], build_light_box),
    Piece::new(0.9, [0.22, 0.2], [0.4, 0.3], build_post_box),
    Piece::new(0.6, [0.9, 0.9], [1.4, 1.1], build_kiosk),
    Piece::new(1.0, [0.62, 0.42], [0.65, 0.55], build_pallets),
    Piece::new(0.7, [0.55, 0.3], [1.7, 0.34], build_trolleys),
    Piece::new(1.6, [0.9, 0.35], [2.0, 0.4], build_cycle_rack),
    Piece::new(1.2, [0.5, 0.4], [1.1, 0.6], build_sacks),
    Piece::new(1.2, [0.2, 0.2], [0.45, 0.4], build_boxes),
    Piece::new(0.8, [0.8, 0.5], [1.6, 0.6], build_trestle),
    Piece::new(1.4, [0.9, 0.06], [1.6, 0.08], build_pedestrian_rail),
    Piece::new(2.0, [0.4, 0.4], [0.8, 0.8], build_round_bush),
    Piece::new(1.2, [0.42, 0.42], [0.45, 0.45], build_shrub),
];

/// Small street furniture near a place.
///
/// `yaw`: direction of travel, with the carriageway to its left. Where the kerb is too near the piece is moved back by
/// half its depth, or left out.
pub(in crate::simulate) fn stand_furniture(scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) {
    let yaw = yaw + 0.08 * draw.bell();
    let table: &[Piece] = if draw.chance(POLE_SHARE) { &POLES } else { &FURNITURE };
    stand_one_of(table, scene, place, yaw, draw);
}

/// A wheeled bin in its own room: body, lid, handle side.
fn put_bin(scene: &mut Scene, pose: &Pose, x: f32, half: Vec2, draw: &mut Draw) {
    let height = draw.range(0.85, 1.12);
    let body = any_matt(draw);
    // In the turned frame the bin's length runs across the pavement, and it widens upwards.
    let mut part = scene.clutter(within(pose, Vec3::X * x, FRAC_PI_2));
    let (foot, brim) = (0.8 * half.y, half.y);
    let profile = [
        Vec2::new(-foot, 0.06),
        Vec2::new(foot, 0.06),
        Vec2::new(0.95 * brim, height - 0.06),
        Vec2::new(-0.95 * brim, height - 0.06),
    ];
    part.extrusion(&profile, 0.92 * half.x, 0.0, [0.0; 2], body);
    brick(&mut part, [-brim, brim], [-half.x, half.x], [height - 0.07, height], body);
}

fn build_wheeled_bin(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    put_bin(scene, &pose, 0.0, half, draw);
}

fn build_bin_row(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let room = 2.0 * half.x;
    let n_bins = (room / 0.72).floor().clamp(2.0, 4.0);
    let width = room / n_bins;
    let mut x = -half.x + 0.5 * width;
    while x < half.x {
        if draw.chance(0.85) {
            put_bin(scene, &pose, x, Vec2::new(0.5 * width - 0.05, half.y - 0.04), draw);
        }
        x += width;
    }
}

/// A container on four wheels.
fn build_large_bin(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let body = any_matt(draw);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-half.x, half.x], [-half.y + 0.05, half.y - 0.05], [0.15, 1.1], body);
    let lid =
        [Vec2::new(-half.x, 1.1), Vec2::new(half.x, 1.1), Vec2::new(half.x, 1.25), Vec2::new(-half.x, 1.25)];
    part.extrusion(&lid, half.y, 1.5, [0.0; 2], body);
    for x in [-0.8 * half.x, 0.8 * half.x] {
        brick(&mut part, [x - 0.06, x + 0.06], [-0.8 * half.y, 0.8 * half.y], [-0.05, 0.15], matt(0.1));
    }
}

fn build_litter_bin(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let matter = any_matt(draw);
    let height = draw.range(0.75, 1.15);
    let radius = half.min_element() - 0.02;
    let mut part = scene.clutter(pose);
    if draw.chance(0.4) {
        part.post(Vec3::Z * FOOT_M, height + 0.1 - FOOT_M, 0.03, matter);
        part.post(Vec3::new(0.0, -0.04, height - 0.5), 0.5, radius - 0.03, matter);
    } else {
        part.post(Vec3::Z * -0.1, height + 0.1, radius, matter);
        part.post(Vec3::Z * (height + 0.06), 0.05, radius, matter);
    }
}

/// A cabinet of the power or telephone network, sometimes two side by side.
fn build_cabinet(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(0.8, 1.6);
    let grey = matt(draw.range(0.2, 0.5));
    let mut part = scene.clutter(pose);
    let split = if half.x > 0.6 { draw.range(-0.2, 0.4) * half.x } else { half.x };
    brick(&mut part, [-half.x, split], [-half.y, half.y], [-0.1, height], grey);
    brick(&mut part, [-half.x, split], [-half.y, half.y], [height, height + 0.05], matt(0.3));
    if split < half.x {
        brick(&mut part, [split + 0.05, half.x], [-half.y, 0.8 * half.y], [-0.1, 0.8 * height], grey);
    }
}

/// A bench, with a back or without.
fn build_bench(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wood = any_matt(draw);
    let x = [-half.x, half.x];
    let back = draw.sign();
    let mut part = scene.clutter(pose);
    brick(&mut part, x, [-0.22, 0.22], [0.41, 0.47], wood);
    if draw.chance(0.7) {
        let y = if back > 0.0 { [0.2, 0.26] } else { [-0.26, -0.2] };
        brick(&mut part, x, y, [0.55, 0.68], wood);
        brick(&mut part, x, y, [0.74, 0.88], wood);
    }
    for at in [-0.8 * half.x, 0.8 * half.x] {
        brick(&mut part, [at - 0.04, at + 0.04], [-0.2, 0.22], [-0.1, 0.41], wood);
    }
}

/// A bus shelter, open towards the carriageway.
fn build_shelter(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let frame = any_matt(draw);
    let x = [-half.x, half.x];
    let top = draw.range(2.25, 2.5);
    let mut part = scene.clutter(pose);
    brick(&mut part, x, [-half.y, half.y], [top, top + 0.12], frame);
    let wall = if draw.chance(0.75) { glass() } else { any_matt(draw) };
    brick(&mut part, x, [-half.y + 0.05, -half.y + 0.08], [0.15, top], wall);
    for (at, chance) in [(-half.x, 0.8), (half.x - 0.04, 0.6)] {
        if draw.chance(chance) {
            brick(&mut part, [at, at + 0.04], [-half.y, 0.5 * half.y], [0.15, top], wall);
        }
    }
    for at in [-half.x + 0.06, half.x - 0.06] {
        part.post(Vec3::new(at, -half.y + 0.06, FOOT_M), top - FOOT_M, 0.045, frame);
    }
    if draw.chance(0.7) {
        let seat = [-0.6 * half.x, 0.6 * half.x];
        brick(&mut part, seat, [-half.y + 0.15, -half.y + 0.5], [0.42, 0.48], frame);
    }
    if draw.chance(0.4) {
        // An advertisement at one end.
        brick(&mut part, [half.x - 0.16, half.x], [-half.y, 0.6 * half.y], [0.2, 2.0], matt(0.3));
    }
}

fn build_hydrant(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    let iron = any_matt(draw);
    let height = draw.range(0.6, 0.85);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * -0.1, height, 0.1, iron);
    part.blob(Vec3::Z * (height - 0.1), Vec3::new(0.12, 0.12, 0.12), iron);
    part.limb(Vec3::new(0.0, -0.14, 0.5), Vec3::new(0.0, 0.14, 0.5), 0.05, iron);
}

fn build_planter(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let stone = any_matt(draw);
    let height = draw.range(0.4, 0.8);
    let mut part = scene.clutter(pose);
    brick(&mut part, [-half.x, half.x], [-half.y, half.y], [-0.1, height], stone);
    let leaves = Matter::foliage(draw.range(0.2, 0.5), draw.range(1.5, 8.0));
    for x in spaced(-0.5 * half.x, 0.5 * half.x, 0.6) {
        let radii = Vec3::new(0.5 * half.x, 0.9 * half.y, draw.range(0.15, 0.6));
        part.blob(Vec3::new(x, 0.0, height + 0.5 * radii.z), radii, leaves);
    }
    if draw.chance(0.25) {
        part.limb(Vec3::Z * height, Vec3::Z * draw.range(1.3, 2.2), 0.03, matt(0.3));
    }
}

/// A table with chairs, under a parasol now and then.
fn build_cafe_table(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wood = any_matt(draw);
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * 0.71, 0.03, 0.38, wood);
    part.post(Vec3::Z * -0.05, 0.76, 0.04, wood);
    let seat = any_matt(draw);
    for side in [-1.0, 1.0] {
        let x = side * (half.x - 0.24);
        brick(&mut part, [x - 0.2, x + 0.2], [-0.2, 0.2], [0.40, 0.45], seat);
        brick(&mut part, [x - 0.2, x + 0.2], [-0.2, 0.2], [0.0, 0.40], porous(0.3, 0.8));
        let back = x + side * 0.2;
        brick(&mut part, [back - 0.02, back + 0.02], [-0.2, 0.2], [0.45, 0.85], seat);
    }
    if draw.chance(0.4) {
        let height = draw.range(2.4, 2.7);
        part.post(Vec3::ZERO, height, 0.025, wood);
        let cloth = any_matt(draw);
        let profile = [
            Vec2::new(-1.2, height - 0.15),
            Vec2::new(1.2, height - 0.15),
            Vec2::new(0.1, height + 0.25),
            Vec2::new(-0.1, height + 0.25),
        ];
        part.extrusion(&profile, 1.2, 2.7, [0.0; 2], cloth);
    }
}

fn build_phone_box(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let frame = any_matt(draw);
    let (x, y) = (half.x - 0.02, half.y - 0.02);
    let mut part = scene.clutter(pose);
    for (at, across) in [(-x, -y), (-x, y), (x, -y), (x, y)] {
        part.post(Vec3::new(at * 0.95, across * 0.95, -0.1), 2.3, 0.04, frame);
    }
    brick(&mut part, [-x, x], [-y, y], [2.15, 2.4], frame);
    brick(&mut part, [-x, x], [-y, -y + 0.02], [0.1, 2.15], glass());
    brick(&mut part, [-x, -x + 0.02], [-y, y], [0.1, 2.15], glass());
    brick(&mut part, [x - 0.02, x], [-y, y], [0.1, 2.15], glass());
    brick(&mut part, [-0.15, 0.15], [-y + 0.05, -y + 0.25], [0.9, 1.6], matt(0.2));
}

/// A board on two legs that lean against each other.
fn build_standing_board(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let board = any_matt(draw);
    let height = draw.range(0.8, 1.25);
    let turn = if draw.chance(0.5) { 0.0 } else { FRAC_PI_2 };
    let mut part = scene.clutter(within(&pose, Vec3::ZERO, turn));
    let foot = 0.9 * half.x;
    for side in [-1.0, 1.0] {
        let profile = [
            Vec2::new(side * foot, 0.0),
            Vec2::new(side * (foot - 0.04), 0.0),
            Vec2::new(0.0, height),
            Vec2::new(side * 0.04, height),
        ];
        part.extrusion(&profile, half.x, 0.0, [0.0; 2], board);
    }
}

fn build_advertising_column(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let height = draw.range(2.4, 3.6);
    let radius = half.min_element() - 0.02;
    let mut part = scene.clutter(pose);
    part.post(Vec3::Z * FOOT_M, height - FOOT_M, 0.9 * radius, any_matt(draw));
    part.post(Vec3::Z * FOOT_M, 0.3 - FOOT_M, radius, matt(0.3));
    part.post(Vec3::Z * height, 0.15, radius, matt(0.3));
    part.blob(Vec3::Z * (height + 0.15), Vec3::new(0.8 * radius, 0.8 * radius, 0.3), matt(0.3));
}

/// An advertisement behind glass on one foot.
fn build_light_box(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    let frame = any_matt(draw);
    let low = draw.range(0.2, 0.7);
    brick(&mut part, [-0.1, 0.1], [-0.3 * half.y, 0.3 * half.y], [-0.1, low], frame);
    brick(&mut part, [-0.8 * half.x, 0.8 * half.x], [-half.y, half.y], [low, low + 1.9], frame);
}

fn build_post_box(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let tin = any_matt(draw);
    let height = draw.range(1.1, 1.6);
    let mut part = scene.clutter(pose);
    match draw.index(3) {
        0 => {
            let radius = half.min_element() - 0.02;
            part.post(Vec3::Z * -0.1, height, radius, tin);
            part.blob(Vec3::Z * (height - 0.1), Vec3::new(radius, radius, 0.12), tin);
        }
        1 => brick(&mut part, [-half.x, half.x], [-half.y, half.y], [-0.1, height], tin),
        _ => {
            brick(&mut part, [-half.x, half.x], [-half.y, half.y], [0.7, height], tin);
            part.post(Vec3::Z * -0.1, 0.8, 0.05, tin);
        }
    }
}

fn build_kiosk(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let wall = any_matt(draw);
    let (x, y) = ([-half.x + 0.05, half.x - 0.05], [-half.y + 0.05, half.y - 0.3]);
    let mut part = scene.clutter(pose);
    brick(&mut part, x, y, [-0.1, 0.95], wall);
    brick(&mut part, x, [y[0], y[0] + 0.6], [0.95, 2.3], wall);
    brick(&mut part, x, y, [2.0, 2.4], wall);
    for at in [x[0], x[1] - 0.08] {
        brick(&mut part, [at, at + 0.08], y, [0.95, 2.0], wall);
    }
    brick(&mut part, [-half.x, half.x], [-half.y, half.y + 0.2], [2.4, 2.52], any_matt(draw));
}

fn build_pallets(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let n_pallets = 1 + draw.index(7);
    let wood = matt(draw.range(0.25, 0.45));
    let mut part = scene.clutter(pose);
    let (x, y) = ([-half.x + 0.02, half.x - 0.02], [-half.y + 0.02, half.y - 0.02]);
    let top = 0.144 * n_pallets as f32;
    // Between the boards most beams pass.
    brick(&mut part, x, y, [0.0, top], porous(0.3, 2.5));
    for idx in 1..=n_pallets {
        let z = 0.144 * idx as f32;
        brick(&mut part, x, y, [z - 0.03, z], wood);
    }
    if n_pallets < 3 {
        brick(&mut part, x, y, [top, top + draw.range(0.3, 1.2)], any_matt(draw));
    }
}

/// Shopping trolleys pushed into each other.
fn build_trolleys(scene: &mut Scene, pose: Pose, half: Vec2, _draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    let wire = porous(0.5, 4.0);
    brick(&mut part, [-half.x, half.x], [-half.y + 0.04, half.y - 0.04], [0.45, 0.95], wire);
    for side in [-1.0, 1.0] {
        let y = side * (half.y - 0.06);
        part.limb(Vec3::new(-half.x + 0.08, y, 0.12), Vec3::new(half.x - 0.08, y, 0.16), 0.02, matt(0.5));
    }
    for x in spaced(-half.x + 0.06, half.x - 0.3, 0.5) {
        let (left, right) = (Vec3::new(x, 0.05 - half.y, 1.0), Vec3::new(x, half.y - 0.05, 1.0));
        part.limb(left, right, 0.02, matt(0.3));
    }
}

/// Hoops to lean bicycles on, or a rail with slots; nobody's bicycle is there.
fn build_cycle_rack(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let steel = matt(draw.range(0.25, 0.55));
    let mut part = scene.clutter(pose);
    let y = half.y - 0.04;
    if draw.chance(0.6) {
        // From the side each hoop is a line, so a thin porous pane and its bar will do.
        for x in spaced(-half.x + 0.1, half.x - 0.1, draw.range(0.8, 1.2)) {
            part.limb(Vec3::new(x, -y, 0.78), Vec3::new(x, y, 0.78), 0.025, steel);
            brick(&mut part, [x - 0.02, x + 0.02], [-y, y], [0.0, 0.76], porous(0.4, 3.0));
        }
    } else {
        for z in [0.12, 0.45] {
            part.limb(Vec3::new(0.05 - half.x, 0.0, z), Vec3::new(half.x - 0.05, 0.0, z), 0.03, steel);
        }
        brick(&mut part, [-half.x, half.x], [-y, y], [0.0, 0.45], porous(0.4, 0.5));
    }
}

/// Sacks of rubbish.
fn build_sacks(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    for _ in 0..2 + draw.index(4) {
        let radii = Vec3::new(draw.range(0.2, 0.34), draw.range(0.2, 0.32), draw.range(0.22, 0.4));
        let slack = half - Vec2::new(radii.x, radii.y);
        let at = Vec3::new(draw.range(-1.0, 1.0) * slack.x, draw.range(-1.0, 1.0) * slack.y, 0.8 * radii.z);
        part.blob(at, radii, matt(draw.range(0.05, 0.4)));
    }
}

/// Boxes or crates on each other.
fn build_boxes(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let mut part = scene.clutter(pose);
    let mut z = 0.0;
    for _ in 0..1 + draw.index(4) {
        let size = half * draw.range(0.7, 1.0);
        let top = z + draw.range(0.25, 0.5);
        brick(&mut part, [-size.x, size.x], [-size.y, size.y], [z, top], any_matt(draw));
        z = top;
    }
}

/// A market table with goods.
fn build_trestle(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let x = [-half.x, half.x];
    let mut part = scene.clutter(pose);
    brick(&mut part, x, [-half.y, half.y], [0.72, 0.78], any_matt(draw));
    for at in [-0.85 * half.x, 0.85 * half.x] {
        brick(
            &mut part,
            [at - 0.03, at + 0.03],
            [-0.8 * half.y, 0.8 * half.y],
            [0.0, 0.72],
            porous(0.3, 6.0),
        );
    }
    for at in spaced(-0.6 * half.x, 0.6 * half.x, 0.8) {
        let reach = 0.3 * half.x;
        brick(&mut part, [at - reach, at + reach], [-0.4, 0.4], [0.78, draw.range(0.9, 1.4)], any_matt(draw));
    }
}

/// A rail that keeps walkers off the carriageway.
fn build_pedestrian_rail(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    let steel = any_matt(draw);
    let height = draw.range(0.9, 1.15);
    let reach = half.x - 0.04;
    let mut part = scene.clutter(pose);
    part.limb(Vec3::new(-reach, 0.0, height), Vec3::new(reach, 0.0, height), 0.025, steel);
    for x in spaced(-reach, reach, 1.6) {
        part.post(Vec3::new(x, 0.0, FOOT_M), height - FOOT_M, 0.03, steel);
    }
    if draw.chance(0.6) {
        brick(
            &mut part,
            [-reach, reach],
            [-0.01, 0.01],
            [0.12, height - 0.05],
            porous(0.3, draw.range(8.0, 25.0)),
        );
    }
}

fn build_round_bush(scene: &mut Scene, pose: Pose, half: Vec2, draw: &mut Draw) {
    grow_bush(&mut scene.clutter(pose), draw, Vec3::ZERO, half.min_element());
}

fn build_shrub(scene: &mut Scene, pose: Pose, _half: Vec2, draw: &mut Draw) {
    grow_upright_shrub(&mut scene.clutter(pose), draw, Vec3::ZERO);
}
