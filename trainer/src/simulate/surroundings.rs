//! What stands beside streets and is not labelled: facades, fences, plants, poles, bins.

use super::draw::Draw;
use super::geometry::Pose;
use super::scene::{Builder, Finish, Matter, Scene};
use glam::{Vec2, Vec3};

fn matt(reflectivity: f32) -> Matter {
    Matter::solid(Finish::Matt, reflectivity)
}

/// A building whose front runs `length` metres along the pose's x axis, centred, with its depth towards +y.
pub(super) fn build_house(scene: &mut Scene, pose: Pose, length: f32, urban: f32, draw: &mut Draw) {
    let height = draw.range(3.2, 6.5) + urban * draw.range(0.0, 9.0);
    let depth = draw.range(7.0, 14.0);
    let tone = draw.range(0.18, 0.5);
    let finish = if draw.chance(0.85) { Finish::Facade(draw.range(1.6, 3.8)) } else { Finish::Matt };
    let wall = Matter::solid(finish, tone);
    let mut part = scene.clutter(pose);
    let half = length * 0.5;
    // The front steps back and forth in bays.
    let mut from = -half;
    while from < half - 0.5 {
        let to = (from + draw.range(3.0, 12.0)).min(half);
        let recess = if draw.chance(0.5) { 0.0 } else { draw.range(0.1, 1.6) };
        part.block(Vec3::new(from, recess, -1.0), Vec3::new(to, depth, height), wall);
        if draw.chance(0.35) {
            // A doorway: a canopy, steps and a low wall.
            let at = draw.range(from, to);
            part.block(Vec3::new(at - 0.8, recess - 1.0, 2.3), Vec3::new(at + 0.8, recess, 2.45), matt(tone));
            part.block(Vec3::new(at - 0.7, recess - 0.7, -0.5), Vec3::new(at + 0.7, recess, 0.35), matt(0.3));
        }
        if draw.chance(0.3) {
            let at = draw.range(from, to);
            part.limb(
                Vec3::new(at, recess - 0.06, 0.0),
                Vec3::new(at, recess - 0.06, height),
                0.06,
                matt(0.25),
            );
        }
        if urban > 0.4 && draw.chance(0.4) {
            let at = draw.range(from, to);
            part.block(Vec3::new(at - 1.2, recess - 0.9, 3.2), Vec3::new(at + 1.2, recess, 4.2), matt(tone));
        }
        from = to;
    }
    // A pitched roof over the low ones.
    if height < 7.0 {
        let (mid, eaves) = (depth * 0.5, height - 0.02);
        let ridge = height + draw.range(1.0, 3.0);
        let gable = Pose::new(pose.origin, pose.yaw + std::f32::consts::FRAC_PI_2);
        let profile = [Vec2::new(-0.3, eaves), Vec2::new(mid, ridge), Vec2::new(depth + 0.3, eaves)];
        scene.clutter(gable).extrusion(&profile, half + 0.3, 0.0, [0.0; 2], matt(0.25));
    }
}

/// A hedge, fence or wall along the pose's x axis, centred.
pub(super) fn build_barrier(scene: &mut Scene, pose: Pose, length: f32, draw: &mut Draw) {
    let half = length * 0.5;
    let kind = draw.index(5);
    let mut part = scene.clutter(pose);
    match kind {
        0 | 1 => {
            // A hedge in lumps of unlike height and thickness.
            let base = draw.range(0.7, 2.3);
            let mut from = -half;
            while from < half - 0.2 {
                let to = (from + draw.range(0.8, 3.5)).min(half);
                let (top, thick) = (base + 0.25 * draw.bell(), draw.range(0.5, 1.3));
                let leaves = Matter::foliage(draw.range(0.2, 0.5), draw.range(3.0, 14.0));
                part.block(Vec3::new(from, 0.0, -0.2), Vec3::new(to, thick, top.max(0.4)), leaves);
                from = to;
            }
        }
        2 => {
            let height = draw.range(0.9, 1.9);
            let slats = Matter { finish: Finish::Matt, reflectivity: 0.3, density: draw.range(8.0, 60.0) };
            part.block(Vec3::new(-half, 0.0, 0.05), Vec3::new(half, 0.05, height), slats);
            let mut at = -half;
            while at < half {
                part.block(
                    Vec3::new(at - 0.05, -0.02, -0.2),
                    Vec3::new(at + 0.05, 0.08, height + 0.1),
                    matt(0.3),
                );
                at += 2.4;
            }
        }
        3 => {
            let height = draw.range(0.5, 2.1);
            part.block(
                Vec3::new(-half, 0.0, -0.5),
                Vec3::new(half, 0.25, height),
                matt(draw.range(0.2, 0.5)),
            );
        }
        _ => {
            // A guard rail.
            part.block(Vec3::new(-half, 0.0, 0.45), Vec3::new(half, 0.07, 0.78), matt(0.5));
            let mut at = -half;
            while at < half {
                part.block(Vec3::new(at - 0.04, 0.05, -0.2), Vec3::new(at + 0.04, 0.16, 0.74), matt(0.4));
                at += 3.0;
            }
        }
    }
}

/// Bushes and rough growth filling a strip of `length` by `depth` metres (x centred, y from 0).
pub(super) fn build_thicket(scene: &mut Scene, pose: Pose, length: f32, depth: f32, draw: &mut Draw) {
    let n_bushes = (length * depth.min(8.0) * draw.range(0.03, 0.2)) as usize;
    for _ in 0..n_bushes.min(40) {
        let radius = draw.range(0.3, 1.7);
        let center =
            Vec3::new(draw.range(-0.5, 0.5) * length, draw.range(radius, depth.max(radius + 0.1)), 0.0);
        build_bush(&mut scene.clutter(pose), draw, center, radius);
    }
}

fn build_bush(part: &mut Builder<'_>, draw: &mut Draw, center: Vec3, radius: f32) {
    let leafiness = if draw.chance(0.5) { draw.range(0.4, 1.8) } else { draw.range(1.8, 6.0) };
    for _ in 0..3 {
        let offset = Vec3::new(draw.bell(), draw.bell(), 0.0) * (radius * 0.3);
        let height = radius * draw.range(0.6, 1.3);
        let radii = Vec3::new(radius * draw.range(0.6, 1.1), radius * draw.range(0.5, 1.0), height);
        let leaves = Matter::foliage(draw.range(0.15, 0.5), leafiness * draw.range(0.6, 1.5));
        part.blob(center + offset + Vec3::Z * (height * 0.7), radii, leaves);
    }
}

/// The edge of a wood along the pose's x axis: stems, undergrowth and crowns that run into each other.
pub(super) fn build_wood(scene: &mut Scene, pose: Pose, length: f32, draw: &mut Draw) {
    let thick = draw.range(0.2, 1.2);
    let mut along = -0.5 * length;
    while along < 0.5 * length {
        let place = Vec3::new(along, draw.range(0.5, 5.0), 0.0);
        let mut part = scene.clutter(pose);
        let top = draw.range(3.0, 9.0);
        let bark = matt(draw.range(0.15, 0.4));
        let tip = place + Vec3::new(0.3 * draw.bell(), 0.3 * draw.bell(), top);
        part.limb(place, tip, draw.range(0.05, 0.25), bark);
        for _ in 0..2 {
            let radii = Vec3::new(draw.range(0.8, 2.6), draw.range(0.8, 2.6), draw.range(0.8, 3.0));
            let center = place + Vec3::new(draw.bell(), draw.bell().abs(), draw.range(0.3, top));
            part.blob(center, radii, Matter::foliage(draw.range(0.15, 0.5), thick * draw.range(0.5, 1.6)));
        }
        along += draw.range(0.6, 2.6);
    }
}

/// A tree: trunk, a few branches, a porous crown.
pub(super) fn stand_tree(scene: &mut Scene, place: Vec2, draw: &mut Draw) {
    let radius = draw.range(0.07, 0.32);
    if !scene.claim(place, Vec2::splat(radius), 0.0) {
        return;
    }
    let pose = scene.stand(place, draw.range(-3.1, 3.1));
    let clear = draw.range(1.4, 3.2);
    let crown = draw.range(1.1, 3.2);
    let mut part = scene.clutter(pose);
    let bark = matt(draw.range(0.15, 0.4));
    part.limb(
        Vec3::new(0.0, 0.0, -0.3),
        Vec3::new(0.1 * draw.bell(), 0.1 * draw.bell(), clear + 1.0),
        radius,
        bark,
    );
    for _ in 0..3 {
        let tip =
            Vec3::new(draw.bell() * 0.6 * crown, draw.bell() * 0.6 * crown, clear + draw.range(0.6, 2.5));
        part.limb(Vec3::new(0.0, 0.0, clear), tip, radius * 0.35, bark);
    }
    let bare = draw.chance(0.2);
    for _ in 0..3 {
        let density = if bare { draw.range(0.03, 0.12) } else { draw.range(0.25, 1.3) };
        let radii = Vec3::new(
            crown * draw.range(0.6, 1.0),
            crown * draw.range(0.6, 1.0),
            crown * draw.range(0.6, 1.2),
        );
        let offset = Vec3::new(draw.bell(), draw.bell(), draw.bell()) * (crown * 0.3);
        let center = Vec3::Z * (clear + radii.z) + offset;
        part.blob(center, radii, Matter::foliage(draw.range(0.15, 0.45), density));
    }
}

/// Small street furniture at a place; `yaw` is the direction of the street.
pub(super) fn stand_furniture(scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) {
    let kind = draw.index(12);
    let half = match kind {
        0..=3 => Vec2::splat(0.15),
        4 | 5 => Vec2::new(0.35, 0.4),
        6 | 7 => Vec2::new(0.7, 0.3),
        8 => Vec2::new(0.9, 0.35),
        9 => Vec2::new(1.8, 0.8),
        10 => Vec2::new(0.25, 0.25),
        _ => Vec2::new(0.8, 0.8),
    };
    let yaw = yaw + 0.08 * draw.bell();
    if !scene.claim(place, half, yaw) {
        return;
    }
    let pose = scene.stand(place, yaw);
    let mut part = scene.clutter(pose);
    let (low, high) = (Vec3::new(-half.x, -half.y, 0.0), Vec3::new(half.x, half.y, 0.0));
    let grey = matt(draw.range(0.1, 0.55));
    match kind {
        0 | 1 => {
            // A lamp post with its arm.
            let height = draw.range(4.5, 8.0);
            part.post(Vec3::Z * -0.2, height, draw.range(0.05, 0.11), grey);
            part.limb(Vec3::Z * (height - 0.3), Vec3::new(0.0, -1.4, height - 0.1), 0.05, grey);
        }
        2 | 3 => {
            // A traffic sign.
            let height = draw.range(2.0, 3.0);
            part.post(Vec3::Z * -0.2, height + 0.3, 0.035, grey);
            let size = draw.range(0.22, 0.42);
            let sheet = Matter::solid(Finish::Retro, 0.95);
            part.block(Vec3::new(-0.05, -size, height - size), Vec3::new(-0.03, size, height + size), sheet);
        }
        4 | 5 => {
            // A wheeled bin, or two.
            let height = draw.range(0.9, 1.3);
            part.block(low * 0.8, Vec3::new(high.x * 0.8, high.y * 0.8, height), grey);
            part.block(low + Vec3::Z * (height - 0.08), high + Vec3::Z * height, matt(draw.range(0.1, 0.4)));
        }
        6 | 7 => part.block(low, high + Vec3::Z * draw.range(0.9, 1.6), grey),
        8 => {
            // A bench.
            part.block(Vec3::new(-0.9, -0.2, 0.4), Vec3::new(0.9, 0.2, 0.46), grey);
            part.block(Vec3::new(-0.9, 0.2, 0.4), Vec3::new(0.9, 0.26, 0.85), grey);
            for x in [-0.8, 0.8] {
                part.block(Vec3::new(x - 0.04, -0.18, 0.0), Vec3::new(x + 0.04, 0.2, 0.4), grey);
            }
        }
        9 => {
            // A bus shelter.
            part.block(Vec3::new(-1.8, -0.8, 2.3), Vec3::new(1.8, 0.8, 2.42), grey);
            let pane = Matter::solid(Finish::Glass, 0.1);
            part.block(Vec3::new(-1.8, 0.7, 0.1), Vec3::new(1.8, 0.73, 2.3), pane);
            part.block(Vec3::new(-1.8, -0.5, 0.1), Vec3::new(-1.77, 0.7, 2.3), pane);
            for x in [-1.75, 1.75] {
                part.post(Vec3::new(x, 0.7, 0.0), 2.3, 0.05, grey);
                part.post(Vec3::new(x, -0.6, 0.0), 2.3, 0.05, grey);
            }
        }
        10 => {
            // A bollard, a post box, or a slim stack about as high as a person.
            let height = draw.range(0.7, 1.9);
            part.post(Vec3::Z * -0.1, height, draw.range(0.06, 0.24), grey);
        }
        _ => {
            let radius = draw.range(0.4, 0.8);
            build_bush(&mut part, draw, Vec3::ZERO, radius);
        }
    }
}

/// Something about as large as a car that is none: a skip, a shed, a heap, a trailer, a dense bush.
pub(super) fn stand_bulk(scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) {
    let half = Vec2::new(draw.range(1.0, 3.0), draw.range(0.7, 1.2));
    if !scene.claim(place, half, yaw) {
        return;
    }
    let pose = scene.stand(place, yaw);
    let (x, y) = (half.x, half.y);
    let height = draw.range(1.0, 2.5);
    let grey = matt(draw.range(0.12, 0.5));
    let kind = draw.index(5);
    let mut part = scene.clutter(pose);
    match kind {
        0 => {
            // A skip: sloped ends, open top.
            let profile =
                [Vec2::new(-x, 1.4), Vec2::new(x, 1.4), Vec2::new(x * 0.65, 0.1), Vec2::new(-x * 0.65, 0.1)];
            part.extrusion(&profile, y, 0.0, [0.0; 2], grey);
        }
        1 => part.block(Vec3::new(-x, -y, -0.2), Vec3::new(x, y, height), grey),
        2 => part.blob(Vec3::ZERO, Vec3::new(x, y, height * 0.7), matt(0.25)),
        3 => {
            // A trailer on two wheels, its shaft on the ground.
            part.block(Vec3::new(-x, -y, 0.5), Vec3::new(x * 0.6, y, 0.5 + height * 0.5), grey);
            part.limb(Vec3::new(x * 0.6, 0.0, 0.5), Vec3::new(x, 0.0, 0.3), 0.05, grey);
            for side in [-1.0, 1.0] {
                part.wheel(Vec3::new(-0.2 * x, side * (y - 0.05), 0.3), 0.3, 0.18, matt(0.07));
            }
        }
        _ => {
            for _ in 0..4 {
                let center = Vec3::new(draw.range(-0.5, 0.5) * x, draw.range(-0.3, 0.3) * y, 0.5 * height);
                let leaves = Matter::foliage(draw.range(0.2, 0.5), draw.range(3.0, 9.0));
                part.blob(center, Vec3::new(x * 0.6, y * 0.8, height * draw.range(0.35, 0.55)), leaves);
            }
        }
    }
}
