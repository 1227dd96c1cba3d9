//! What stands at roadworks: barriers and cones, whose heading is across their boards.

use super::super::draw::Draw;
use super::super::parts::{Builder, Finish, Matter};
use super::looks::{draw_size, matt};
use super::profiles::convex;
use super::{Category, Thing, assemble, assemble_centred};
use glam::{Vec2, Vec3};

/// Room between a body and its labelled box on each side, metres.
const MARGIN_M: f32 = 0.02;

impl Thing {
    /// A temporary barrier: concrete, plastic, boards or a grid; its boards run along y.
    ///
    /// **Source**: the mean of nuScenes' labels, 0.50 x 2.53 x 0.98 m.
    pub(in crate::simulate) fn draw_barrier(draw: &mut Draw) -> Self {
        // Concrete, plastic, boards, a grid of bars, a site fence.
        let kinds: [(f32, (usize, [f32; 3])); 5] = [
            (0.28, (0, [0.60, 3.2, 0.92])),
            (0.30, (1, [0.50, 1.8, 0.98])),
            (0.20, (2, [0.50, 2.0, 1.05])),
            (0.16, (3, [0.50, 2.3, 1.05])),
            (0.06, (4, [0.55, 3.4, 1.95])),
        ];
        let (kind, mean) = draw.weighted(&kinds, (1, [0.5, 1.8, 0.98]));
        let size = draw_size(draw, mean, [0.08, 0.14 * mean[1], 0.05 * mean[2]]);
        let half = (size * 0.5 - Vec3::splat(MARGIN_M)).with_z(size.z - MARGIN_M);
        let parts = assemble(|part| match kind {
            0 | 1 => build_wall(part, draw, half, kind == 0),
            2 => build_boards(part, draw, half),
            _ => build_grid(part, draw, half),
        });
        Self::rigid(Category::Barrier, size, parts)
    }

    /// A traffic cone, a drum or a post on a foot.
    ///
    /// **Source**: the mean of nuScenes' labels, 0.41 x 0.41 x 1.07 m, where posts count as cones.
    pub(in crate::simulate) fn draw_cone(draw: &mut Draw) -> Self {
        let kind = draw.weighted(&[(0.55, 0), (0.18, 1), (0.27, 2)], 0);
        let (parts, size) = assemble_centred(draw, |part, draw| match kind {
            0 => build_cone(part, draw),
            1 => build_drum(part, draw),
            _ => build_post(part, draw),
        });
        Self::rigid(Category::Cone, size + Vec3::new(2.0, 2.0, 1.0) * MARGIN_M, parts)
    }
}

fn sheeting() -> Matter {
    Matter::solid(Finish::Retro, 0.85)
}

/// A wall that is broad at its foot, of concrete or of plastic.
fn build_wall(part: &mut Builder<'_>, draw: &mut Draw, half: Vec3, is_concrete: bool) {
    let matter = matt(if is_concrete { draw.range(0.2, 0.45) } else { draw.range(0.3, 0.7) });
    let (x, z) = (half.x, half.z);
    let (step, crest) = (draw.range(0.06, 0.12) * z, draw.range(0.22, 0.5) * x);
    let waist = draw.range(0.3, 0.4) * z;
    let foot = [
        Vec2::new(-x, 0.0),
        Vec2::new(-x, step),
        Vec2::new(-0.55 * x, waist),
        Vec2::new(0.55 * x, waist),
        Vec2::new(x, step),
        Vec2::new(x, 0.0),
    ];
    part.extrusion(&convex(&foot), half.y, 0.0, [0.0; 2], matter);
    let stem = [
        Vec2::new(-0.55 * x, waist - 0.01),
        Vec2::new(-crest, z),
        Vec2::new(crest, z),
        Vec2::new(0.55 * x, waist - 0.01),
    ];
    part.extrusion(&convex(&stem), half.y, 0.0, [0.0; 2], matter);
    if draw.chance(0.4) {
        // Reflectors on both faces.
        let at = 0.8 * z;
        let out = crest + (0.55 * x - crest) * (z - at) / (z - waist) + 0.012;
        part.block(Vec3::new(-out, -0.06, at - 0.06), Vec3::new(out, 0.06, at + 0.06), sheeting());
    }
}

/// Striped boards between two posts on feet.
fn build_boards(part: &mut Builder<'_>, draw: &mut Draw, half: Vec3) {
    let board = Matter::solid(Finish::Retro, draw.range(0.4, 0.85));
    let frame = matt(draw.range(0.2, 0.5));
    let y = half.y - draw.range(0.1, 0.3);
    for side in [-1.0, 1.0] {
        let at = side * y;
        part.block(Vec3::new(-half.x, at - 0.06, 0.0), Vec3::new(half.x, at + 0.06, 0.1), matt(0.12));
        part.block(Vec3::new(-0.025, at - 0.025, 0.05), Vec3::new(0.025, at + 0.025, half.z - 0.02), frame);
    }
    let deep = draw.range(0.15, 0.25);
    let mut top = half.z;
    for _ in 0..1 + draw.index(3) {
        if top - deep > 0.2 {
            part.block(Vec3::new(-0.035, -half.y, top - deep), Vec3::new(0.035, half.y, top), board);
        }
        top -= deep + draw.range(0.1, 0.25);
    }
    if draw.chance(0.3) {
        part.blob(Vec3::new(0.0, y, half.z - 0.12), Vec3::new(0.06, 0.1, 0.1), matt(0.3));
    }
}

/// Bars or wire in a frame of tubes: most beams pass.
fn build_grid(part: &mut Builder<'_>, draw: &mut Draw, half: Vec3) {
    let metal = matt(draw.range(0.2, 0.5));
    let tube = draw.range(0.016, 0.022);
    let (y, top, low) = (half.y - tube, half.z - tube, 0.15);
    for side in [-1.0, 1.0] {
        part.limb(Vec3::new(0.0, side * y, low), Vec3::new(0.0, side * y, top), tube, metal);
        let at = side * (y - draw.range(0.05, 0.3));
        part.block(Vec3::new(-half.x, at - 0.05, 0.0), Vec3::new(half.x, at + 0.05, 0.09), matt(0.15));
        part.limb(Vec3::new(0.0, at, 0.05), Vec3::new(0.0, at, low), tube, metal);
    }
    for z in [low, top] {
        part.limb(Vec3::new(0.0, -y, z), Vec3::new(0.0, y, z), tube, metal);
    }
    let wire = Matter { finish: Finish::Matt, reflectivity: 0.35, density: draw.range(6.0, 25.0) };
    part.block(Vec3::new(-0.01, -y, low), Vec3::new(0.01, y, top), wire);
}

/// A foot, a cone, and a white collar or two.
fn build_cone(part: &mut Builder<'_>, draw: &mut Draw) {
    let height = draw.range(0.55, 1.1);
    let radius = (0.19 * height).clamp(0.10, 0.19) * draw.range(0.9, 1.1);
    let plastic = matt(draw.range(0.25, 0.6));
    let foot = radius + draw.range(0.03, 0.06);
    part.block(Vec3::new(-foot, -foot, 0.0), Vec3::new(foot, foot, 0.035), matt(0.1));
    let tip = draw.range(0.02, 0.035);
    part.taper(Vec3::ZERO, height, Vec2::splat(radius), Vec2::splat(tip), plastic);
    let at = |z: f32| Vec2::splat(radius + (tip - radius) * z / height + 0.006);
    for (low, high) in [(0.45 * height, 0.62 * height), (0.72 * height, 0.84 * height)] {
        if draw.chance(0.75) {
            part.taper(Vec3::Z * low, high - low, at(low), at(high), sheeting());
        }
    }
}

/// A plastic drum with bands.
fn build_drum(part: &mut Builder<'_>, draw: &mut Draw) {
    let height = draw.range(0.85, 1.1);
    let radius = draw.range(0.2, 0.27);
    part.post(Vec3::ZERO, 0.06, radius + 0.05, matt(0.1));
    let plastic = matt(draw.range(0.25, 0.6));
    part.taper(Vec3::ZERO, height, Vec2::splat(radius), Vec2::splat(0.82 * radius), plastic);
    for idx in 0..3 {
        let z = height * (0.25 + 0.24 * idx as f32);
        let at = |z: f32| Vec2::splat(radius * (1.0 - 0.18 * z / height) + 0.006);
        part.taper(Vec3::Z * z, 0.1, at(z), at(z + 0.1), sheeting());
    }
}

/// A slim post or a board on a heavy foot.
fn build_post(part: &mut Builder<'_>, draw: &mut Draw) {
    let height = draw.range(0.95, 1.35);
    let foot = Vec2::new(draw.range(0.15, 0.24), draw.range(0.13, 0.24));
    part.block(Vec3::new(-foot.x, -foot.y, 0.0), Vec3::new(foot.x, foot.y, 0.1), matt(0.1));
    if draw.chance(0.5) {
        part.post(Vec3::ZERO, height, draw.range(0.03, 0.055), matt(draw.range(0.25, 0.6)));
        part.post(Vec3::Z * (0.7 * height), 0.18, 0.06, sheeting());
    } else {
        let half = draw.range(0.09, 0.13);
        part.block(Vec3::new(-0.02, -half, 0.15), Vec3::new(0.02, half, height), sheeting());
        part.post(Vec3::ZERO, 0.3, 0.025, matt(0.2));
    }
}
