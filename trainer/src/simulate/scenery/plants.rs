//! Trees, bushes, undergrowth.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::{Builder, Matter};
use super::super::world::Scene;
use super::{FOOT_M, brick, matt, porous};
use glam::{Vec2, Vec3};
use std::f32::consts::TAU;

/// How a tree grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Habit {
    /// A trunk, branches, a wide crown.
    Broad,
    /// Lately planted, with stakes or a guard.
    Young,
    /// A narrow column: poplar, cypress.
    Column,
    /// Tiers to the ground.
    Conifer,
    Palm,
    /// Several stems from one root.
    Stems,
    /// Cut back to its knobs.
    Pollard,
}

pub(super) const HABITS: [(f32, Habit); 7] = [
    (0.50, Habit::Broad),
    (0.16, Habit::Young),
    (0.06, Habit::Column),
    (0.12, Habit::Conifer),
    (0.03, Habit::Palm),
    (0.09, Habit::Stems),
    (0.04, Habit::Pollard),
];

/// A tree at a place.
pub(in crate::simulate) fn stand_tree(scene: &mut Scene, place: Vec2, draw: &mut Draw) {
    let habit = draw.weighted(&HABITS, Habit::Broad);
    stand_habit(scene, place, habit, draw);
}

/// A tree of a given habit: its foot is claimed, its crown hangs over what stands below.
pub(super) fn stand_habit(scene: &mut Scene, place: Vec2, habit: Habit, draw: &mut Draw) {
    let room = scene.ground.beyond_kerb(place);
    let foot = match habit {
        Habit::Broad => draw.range(0.07, 0.36),
        Habit::Young => 0.4,
        Habit::Column => draw.range(0.35, 0.8),
        Habit::Conifer => draw.range(0.7, 2.0),
        Habit::Palm | Habit::Pollard => draw.range(0.14, 0.3),
        Habit::Stems => draw.range(0.3, 0.5),
    };
    // At the kerb stands nothing that would reach into the carriageway.
    let (habit, foot) = if room < foot + 0.1 { (Habit::Broad, foot.min(0.2)) } else { (habit, foot) };
    if !scene.claim(place, Vec2::splat(foot), 0.0) {
        return;
    }
    let pose = scene.stand(place, draw.range(-3.1, 3.1));
    let mut part = scene.clutter(pose);
    match habit {
        Habit::Broad => grow_broad(&mut part, draw, foot, room),
        Habit::Young => grow_young(&mut part, draw),
        Habit::Column => grow_column(&mut part, draw, foot),
        Habit::Conifer => grow_conifer(&mut part, draw, foot),
        Habit::Palm => grow_palm(&mut part, draw, foot),
        Habit::Stems => grow_stems(&mut part, draw, foot, room),
        Habit::Pollard => grow_pollard(&mut part, draw, foot),
    }
}

fn draw_bark(draw: &mut Draw) -> Matter {
    matt(draw.range(0.15, 0.4))
}

/// How many leaves or twigs a crown has, hits per metre.
fn draw_leafiness(draw: &mut Draw) -> f32 {
    if draw.chance(0.2) { draw.range(0.03, 0.14) } else { draw.range(0.25, 1.4) }
}

/// A direction in the ground plane.
fn around(angle: f32) -> Vec3 {
    Vec3::new(libm::cosf(angle), libm::sinf(angle), 0.0)
}

/// A trunk that thins and leans, with the flare of its roots; yields its tip.
fn grow_trunk(part: &mut Builder<'_>, draw: &mut Draw, radius: f32, height: f32) -> Vec3 {
    let bark = draw_bark(draw);
    let lean = Vec3::new(draw.bell(), draw.bell(), 0.0) * (0.025 * height);
    let knee = lean * 0.3 + Vec3::Z * (0.45 * height);
    let tip = lean + Vec3::Z * height;
    part.limb(Vec3::Z * FOOT_M, knee, radius, bark);
    part.limb(knee, tip, 0.8 * radius, bark);
    if radius > 0.12 {
        part.blob(Vec3::ZERO, Vec3::new(1.5 * radius, 1.4 * radius, 2.2 * radius), bark);
    }
    tip
}

/// Lumps of leaves around a centre: `spread` is the half width of the whole, `rise` its half height.
fn grow_crown(part: &mut Builder<'_>, draw: &mut Draw, center: Vec3, spread: f32, rise: f32, n: usize) {
    let leafiness = draw_leafiness(draw);
    let tone = draw.range(0.15, 0.45);
    let turn = draw.range(0.0, TAU);
    for idx in 0..n {
        let last = idx + 1 == n;
        let angle = turn + TAU * (idx as f32 + 0.3 * draw.bell()) / (n - 1).max(1) as f32;
        let size = if last { draw.range(0.6, 0.8) } else { draw.range(0.4, 0.65) };
        let radii = Vec3::new(
            spread * size * draw.range(0.85, 1.15),
            spread * size * draw.range(0.85, 1.15),
            rise * size,
        );
        // The last lump is the top of the crown, the others stand round it.
        let out = if last { Vec3::ZERO } else { around(angle) * (spread * (1.0 - size)) };
        let up = if last { rise - radii.z } else { draw.range(-1.0, 0.4) * (rise - radii.z) };
        part.blob(
            center + out + Vec3::Z * up,
            radii,
            Matter::foliage(tone, leafiness * draw.range(0.5, 1.6)),
        );
    }
}

fn grow_broad(part: &mut Builder<'_>, draw: &mut Draw, radius: f32, room: f32) {
    // Over a carriageway the crown is kept high.
    let clear = if room < 4.0 { draw.range(2.3, 4.5) } else { draw.range(1.1, 3.4) };
    let spread = draw.range(1.1, 2.2) + radius * draw.range(2.0, 9.0);
    let rise = spread * draw.range(0.6, 1.3);
    let tip = grow_trunk(part, draw, radius, clear + 0.5 * rise);
    let bark = draw_bark(draw);
    for idx in 0..3 {
        let out = around(TAU * (idx as f32 + 0.4 * draw.bell()) / 3.0) * (spread * draw.range(0.4, 0.8));
        let from = Vec3::new(0.6 * tip.x, 0.6 * tip.y, clear * draw.range(0.85, 1.1));
        let up = Vec3::Z * (clear + rise * draw.range(0.6, 1.2));
        part.limb(from, out + up, 0.35 * radius, bark);
    }
    let n_lumps = 4 + draw.index(2);
    grow_crown(part, draw, Vec3::new(tip.x, tip.y, clear + rise), spread, rise, n_lumps);
    if draw.chance(0.08) {
        // Ivy.
        let leaves = Matter::foliage(0.3, draw.range(4.0, 10.0));
        let thick = radius + draw.range(0.06, 0.2);
        part.limb(
            Vec3::ZERO,
            Vec3::new(0.4 * tip.x, 0.4 * tip.y, clear * draw.range(0.5, 1.1)),
            thick,
            leaves,
        );
    }
}

fn grow_young(part: &mut Builder<'_>, draw: &mut Draw) {
    let clear = draw.range(1.8, 2.4);
    let spread = draw.range(0.4, 0.9);
    let rise = spread * draw.range(0.8, 1.6);
    let radius = draw.range(0.025, 0.055);
    grow_trunk(part, draw, radius, clear + rise);
    grow_crown(part, draw, Vec3::Z * (clear + rise), spread, rise, 3);
    if draw.chance(0.25) {
        let bars = porous(0.3, draw.range(6.0, 15.0));
        let half = draw.range(0.2, 0.32);
        brick(part, [-half, half], [-half, half], [0.0, draw.range(1.1, 1.9)], bars);
        return;
    }
    let n_stakes = 1 + draw.index(3);
    let high = draw.range(1.1, 1.9);
    for idx in 0..n_stakes {
        let foot = around(TAU * idx as f32 / n_stakes as f32) * 0.33;
        part.post(foot + Vec3::Z * FOOT_M, high - FOOT_M, 0.04, matt(0.4));
    }
}

fn grow_column(part: &mut Builder<'_>, draw: &mut Draw, foot: f32) {
    let height = foot * draw.range(6.0, 14.0);
    let dense = draw.range(1.5, 5.0);
    let tone = draw.range(0.15, 0.4);
    let bottom = if draw.chance(0.5) { 0.0 } else { draw.range(0.3, 1.0) };
    part.post(Vec3::Z * FOOT_M, 0.6 * height - FOOT_M, 0.15 * foot, draw_bark(draw));
    for (middle, reach, size) in [(0.26, 0.26, 0.9), (0.5, 0.34, 1.0), (0.76, 0.24, 0.7)] {
        let radii = Vec3::new(foot * size, foot * size * draw.range(0.85, 1.0), height * reach);
        let wander = Vec3::new(draw.bell(), draw.bell(), 0.0) * (0.05 * foot);
        let leaves = Matter::foliage(tone, dense * draw.range(0.7, 1.3));
        part.blob(wander + Vec3::Z * (bottom + height * middle), radii, leaves);
    }
}

fn grow_conifer(part: &mut Builder<'_>, draw: &mut Draw, foot: f32) {
    let height = foot * draw.range(3.0, 6.0) + 1.0;
    let bottom = if draw.chance(0.6) { draw.range(-0.1, 0.3) } else { draw.range(0.6, 2.0) };
    let dense = draw.range(0.8, 3.5);
    let tone = draw.range(0.12, 0.35);
    part.post(Vec3::Z * FOOT_M, 0.8 * height + bottom - FOOT_M, (0.09 * foot).max(0.05), draw_bark(draw));
    let n_tiers = 4 + draw.index(3);
    for idx in 0..n_tiers {
        // Each tier is thickest at its lower edge, so they overlap by half.
        let share = idx as f32 / n_tiers as f32;
        let radius = foot * (1.0 - share) * draw.range(0.88, 1.0);
        let half = height / n_tiers as f32;
        let center = Vec3::Z * (bottom + share * height + 0.8 * half);
        let leaves = Matter::foliage(tone, dense * draw.range(0.7, 1.4));
        part.blob(center, Vec3::new(radius, radius * draw.range(0.85, 1.0), half), leaves);
    }
}

fn grow_palm(part: &mut Builder<'_>, draw: &mut Draw, radius: f32) {
    let height = draw.range(3.5, 9.0);
    let tip = grow_trunk(part, draw, radius, height);
    let reach = draw.range(1.2, 2.2);
    let leaves = Matter::foliage(0.3, draw.range(0.5, 1.3));
    part.blob(tip, Vec3::new(0.8 * reach, 0.8 * reach, 0.45 * reach), leaves);
    let frond = Matter::foliage(0.3, draw.range(2.0, 6.0));
    for idx in 0..5 {
        let out = around(TAU * (idx as f32 + 0.3 * draw.bell()) / 5.0) * reach;
        part.limb(tip + out * 0.4 + Vec3::Z * 0.35, tip + out - Vec3::Z * draw.range(0.1, 0.8), 0.16, frond);
    }
}

fn grow_stems(part: &mut Builder<'_>, draw: &mut Draw, foot: f32, room: f32) {
    let height = draw.range(2.2, 5.0);
    let bark = draw_bark(draw);
    let n_stems = 3 + draw.index(3);
    let spread = if room < 3.0 { 0.35 } else { 1.1 };
    for idx in 0..n_stems {
        let out = around(TAU * (idx as f32 + 0.3 * draw.bell()) / n_stems as f32);
        let tip = out * draw.range(0.3, spread) + Vec3::Z * (height * draw.range(0.7, 1.0));
        part.limb(out * (0.4 * foot) + Vec3::Z * FOOT_M, tip, draw.range(0.03, 0.075), bark);
    }
    let rise = height * draw.range(0.3, 0.45);
    let low = if room < 3.0 { 2.2 } else { 0.5 * height };
    let spread = draw.range(0.9, 2.2);
    grow_crown(part, draw, Vec3::Z * (low + rise), spread, rise, 4);
}

fn grow_pollard(part: &mut Builder<'_>, draw: &mut Draw, radius: f32) {
    let clear = draw.range(2.3, 3.2);
    let tip = grow_trunk(part, draw, radius, clear);
    let bark = draw_bark(draw);
    let bare = draw.chance(0.6);
    let n_arms = 3 + draw.index(2);
    for idx in 0..n_arms {
        let out = around(TAU * (idx as f32 + 0.3 * draw.bell()) / n_arms as f32);
        let knob = tip + out * draw.range(0.5, 1.2) + Vec3::Z * draw.range(0.2, 1.1);
        part.limb(tip, knob, 0.45 * radius, bark);
        let size = draw.range(0.4, 0.8);
        let twigs = Matter::foliage(0.3, if bare { draw.range(0.1, 0.5) } else { draw.range(0.8, 2.5) });
        part.blob(knob + Vec3::Z * (0.5 * size), Vec3::splat(size), twigs);
    }
}

/// Bushes and rough growth filling a strip of `length` by `depth` metres (x centred, y from 0).
pub(in crate::simulate) fn build_thicket(
    scene: &mut Scene,
    pose: Pose,
    length: f32,
    depth: f32,
    draw: &mut Draw,
) {
    let n_plants = (length * depth.min(8.0) * draw.range(0.03, 0.16)) as usize;
    // One strip mostly grows one kind of thing.
    let usual = draw.index(10);
    for _ in 0..n_plants.min(16) {
        let kind = if draw.chance(0.5) { usual } else { draw.index(10) };
        let half = 0.5 * length - 0.3;
        let place = Vec3::new(draw.range(-half, half), draw.range(0.3, depth.max(0.7) - 0.2), 0.0);
        let mut part = scene.clutter(pose);
        match kind {
            0..=3 => {
                let radius = draw.range(0.3, 1.5);
                let inside = Vec3::new(place.x, place.y.max(radius), 0.0);
                grow_bush(&mut part, draw, inside, radius);
            }
            4 => grow_shrub_stems(&mut part, draw, place),
            5 => grow_upright_shrub(&mut part, draw, place),
            6 => grow_sapling(&mut part, draw, place),
            7 => grow_ball(&mut part, draw, place),
            _ => grow_cover(&mut part, draw, place),
        }
    }
}

/// A bush of one to three lumps, not reaching further towards the street than `radius` from its centre.
pub(super) fn grow_bush(part: &mut Builder<'_>, draw: &mut Draw, center: Vec3, radius: f32) {
    let leafiness = if draw.chance(0.5) { draw.range(0.4, 1.8) } else { draw.range(1.8, 6.0) };
    let tone = draw.range(0.15, 0.5);
    let n_lumps = 1 + draw.index(3);
    for _ in 0..n_lumps {
        let size = radius * draw.range(0.6, 1.0);
        let slack = radius - size;
        let out = around(draw.range(0.0, TAU)) * slack;
        let height = size * draw.range(0.6, 1.4);
        let radii = Vec3::new(size, size * draw.range(0.8, 1.0), height);
        let leaves = Matter::foliage(tone, leafiness * draw.range(0.6, 1.5));
        part.blob(center + out + Vec3::Z * (0.7 * height), radii, leaves);
    }
}

/// Thin stems that spread from one root, a few leaves at their ends.
fn grow_shrub_stems(part: &mut Builder<'_>, draw: &mut Draw, foot: Vec3) {
    let height = draw.range(0.9, 2.4);
    let bark = draw_bark(draw);
    for idx in 0..3 {
        let out = around(TAU * (idx as f32 + 0.3 * draw.bell()) / 3.0) * (height * draw.range(0.1, 0.3));
        part.limb(foot, foot + out + Vec3::Z * height, 0.02, bark);
    }
    let radii = Vec3::new(0.35 * height, 0.3 * height, 0.4 * height);
    part.blob(foot + Vec3::Z * (0.65 * height), radii, Matter::foliage(0.3, draw.range(0.2, 2.0)));
}

/// A slim evergreen about as high and as wide as a person.
pub(super) fn grow_upright_shrub(part: &mut Builder<'_>, draw: &mut Draw, foot: Vec3) {
    let height = draw.range(1.0, 2.3);
    let radius = draw.range(0.16, 0.42);
    let leaves = Matter::foliage(draw.range(0.15, 0.4), draw.range(3.0, 14.0));
    let shape = Vec3::new(radius, radius * draw.range(0.8, 1.0), 0.5 * height);
    part.blob(foot + Vec3::Z * (0.5 * height), shape, leaves);
    if draw.chance(0.5) {
        let upper = Vec3::new(0.7 * radius, 0.7 * radius, 0.3 * height);
        part.blob(foot + Vec3::Z * (0.8 * height), upper, leaves);
    }
}

/// A stem with a small head.
fn grow_sapling(part: &mut Builder<'_>, draw: &mut Draw, foot: Vec3) {
    let height = draw.range(1.0, 2.6);
    part.limb(foot, foot + Vec3::Z * height, draw.range(0.015, 0.04), draw_bark(draw));
    let head = Vec3::new(draw.range(0.15, 0.4), draw.range(0.15, 0.4), draw.range(0.2, 0.5));
    part.blob(foot + Vec3::Z * height, head, Matter::foliage(0.35, draw.range(1.0, 8.0)));
}

/// A cut ball.
fn grow_ball(part: &mut Builder<'_>, draw: &mut Draw, foot: Vec3) {
    let radius = draw.range(0.25, 0.65);
    let leaves = Matter::foliage(draw.range(0.2, 0.45), draw.range(5.0, 16.0));
    let inside = Vec3::new(foot.x, foot.y.max(radius), radius * draw.range(0.6, 1.0));
    part.blob(inside, Vec3::splat(radius), leaves);
}

/// Low growth: tall grass, flower beds, ground ivy.
fn grow_cover(part: &mut Builder<'_>, draw: &mut Draw, foot: Vec3) {
    let radii = Vec3::new(draw.range(0.3, 1.6), draw.range(0.25, 0.9), draw.range(0.15, 0.7));
    let inside = Vec3::new(foot.x, foot.y.max(radii.y), 0.0);
    part.blob(inside, radii, Matter::foliage(draw.range(0.25, 0.55), draw.range(1.0, 8.0)));
}

/// The edge of a wood along the pose's x axis: stems, undergrowth and crowns that run into each other.
pub(in crate::simulate) fn build_wood(scene: &mut Scene, pose: Pose, length: f32, draw: &mut Draw) {
    let thick = draw.range(0.2, 1.2);
    let dark = draw.chance(0.25);
    let mut along = -0.5 * length;
    while along < 0.5 * length {
        let foot = Vec3::new(along, draw.range(0.8, 6.0), 0.0);
        let mut part = scene.clutter(pose);
        let top = draw.range(4.0, 11.0);
        let tone = draw.range(0.15, 0.5);
        let tip = foot + Vec3::new(0.3 * draw.bell(), 0.3 * draw.bell(), top);
        part.limb(foot + Vec3::Z * FOOT_M, tip, draw.range(0.05, 0.25), draw_bark(draw));
        if dark && draw.chance(0.7) {
            // A spruce with dead twigs below.
            for (share, radius) in [(0.3, 1.3), (0.55, 1.6), (0.85, 0.9)] {
                let radii = Vec3::new(radius, radius, 0.25 * top);
                let density = thick * if share < 0.4 { 0.4 } else { 1.8 };
                part.blob(foot + Vec3::Z * (share * top), radii, Matter::foliage(tone, density));
            }
        } else {
            for low in [draw.chance(0.6), false] {
                let radii = Vec3::new(draw.range(0.8, 2.6), draw.range(0.8, 2.4), draw.range(0.8, 3.0));
                let z = if low { draw.range(0.2, 1.5) } else { draw.range(0.8, 1.05) * top };
                let place = foot + Vec3::new(0.6 * draw.bell(), 0.6 * draw.bell(), z);
                let inside = Vec3::new(place.x, place.y.max(radii.y), place.z);
                part.blob(inside, radii, Matter::foliage(tone, thick * draw.range(0.5, 1.6)));
            }
        }
        along += draw.range(0.9, 3.0);
    }
}
