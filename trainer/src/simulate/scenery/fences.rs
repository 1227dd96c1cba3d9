//! What divides gardens and roads from each other: hedges, fences, walls, rails.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::{Builder, Matter};
use super::super::world::Scene;
use super::{FOOT_M, any_matt, brick, matt, porous, spaced, within};
use glam::{Vec2, Vec3};
use std::f32::consts::FRAC_PI_2;

/// A kind of barrier: how often it stands, and how it is built over half its length.
pub(super) struct Kind {
    weight: f32,
    /// True where gates and gaps are usual.
    has_gates: bool,
    pub(super) build: Build,
}

pub(super) const KINDS: [Kind; 13] = [
    Kind { weight: 0.22, has_gates: true, build: build_hedge },
    Kind { weight: 0.12, has_gates: true, build: build_ragged_hedge },
    Kind { weight: 0.10, has_gates: true, build: build_pickets },
    Kind { weight: 0.08, has_gates: true, build: build_panels },
    Kind { weight: 0.10, has_gates: true, build: build_mesh },
    Kind { weight: 0.08, has_gates: true, build: build_bars },
    Kind { weight: 0.08, has_gates: true, build: build_bars_on_wall },
    Kind { weight: 0.10, has_gates: true, build: build_wall },
    Kind { weight: 0.04, has_gates: true, build: build_piers },
    Kind { weight: 0.04, has_gates: false, build: build_boards },
    Kind { weight: 0.08, has_gates: false, build: build_guard_rail },
    Kind { weight: 0.03, has_gates: false, build: build_concrete_rail },
    Kind { weight: 0.04, has_gates: false, build: build_hoarding },
];

/// A hedge, fence or wall along the pose's x axis, centred, its street side at y = 0.
pub(in crate::simulate) fn build_barrier(scene: &mut Scene, pose: Pose, length: f32, draw: &mut Draw) {
    let choices = KINDS.each_ref().map(|kind| (kind.weight, Some(kind)));
    let Some(kind) = draw.weighted(&choices, KINDS.first()) else { return };
    if !(kind.has_gates && length > 6.0 && draw.chance(0.4)) {
        (kind.build)(scene, pose, 0.5 * length, draw);
        return;
    }
    // A gap between two posts, with a gate or without.
    let half_gap = 0.5 * draw.range(0.9, 3.4);
    let at = draw.range(-0.5, 0.5) * (length - 4.0 * half_gap).max(0.0);
    for (from, to) in [(-0.5 * length, at - half_gap), (at + half_gap, 0.5 * length)] {
        if to - from > 0.5 {
            let side = within(&pose, Vec3::X * (0.5 * (from + to)), 0.0);
            (kind.build)(scene, side, 0.5 * (to - from), draw);
        }
    }
    let (thick, height) = (draw.range(0.05, 0.24), draw.range(1.0, 2.1));
    let matter = any_matt(draw);
    let mut part = scene.clutter(pose);
    for x in [at - half_gap, at + half_gap] {
        brick(&mut part, [x - thick, x + thick], [-0.02, 2.0 * thick], [FOOT_M, height], matter);
    }
    if draw.chance(0.4) {
        let gate = porous(0.35, draw.range(8.0, 25.0));
        brick(&mut part, [at - half_gap, at + half_gap], [0.04, 0.09], [0.08, height - 0.1], gate);
    }
}

/// What runs along a road for a long way: its kind is drawn once, its pieces are built one by one.
#[derive(Clone, Copy)]
pub(in crate::simulate) struct Roadside(Build);

/// Builds a piece over half its length.
type Build = fn(&mut Scene, Pose, f32, &mut Draw);

impl Roadside {
    /// A guard rail, a concrete barrier, a low wall, a hedge or a railing.
    pub(in crate::simulate) fn draw(draw: &mut Draw) -> Self {
        let kinds: [(f32, Build); 6] = [
            (0.30, build_guard_rail),
            (0.16, build_concrete_rail),
            (0.18, build_wall),
            (0.18, build_hedge),
            (0.10, build_ragged_hedge),
            (0.08, build_bars),
        ];
        Self(draw.weighted(&kinds, build_guard_rail))
    }

    /// One piece, along the pose's x axis, centred.
    pub(in crate::simulate) fn build(self, scene: &mut Scene, pose: Pose, length: f32, draw: &mut Draw) {
        (self.0)(scene, pose, 0.5 * length, draw);
    }
}

/// Square posts about `step` apart.
fn build_posts(
    part: &mut Builder<'_>,
    half: f32,
    step: f32,
    y: f32,
    thick: f32,
    height: f32,
    matter: Matter,
) {
    // Long fences keep a bearable number of them.
    for x in spaced(-half, half, step.max(half / 6.0)) {
        let (across, deep) = ([x - thick, x + thick], [y - thick, y + thick]);
        brick(part, across, deep, [FOOT_M, height], matter);
    }
}

/// A cut hedge: blocks with a rough top.
fn build_hedge(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let height = draw.range(0.6, 2.4);
    let thick = draw.range(0.5, 1.1);
    let (tone, dense) = (draw.range(0.2, 0.5), draw.range(4.0, 16.0));
    let mut part = scene.clutter(pose);
    let mut from = -half;
    while from < half - 0.2 {
        let to = (from + draw.range(1.2, 4.5)).min(half);
        let top = (height + 0.06 * draw.bell()).max(0.4);
        let leaves = Matter::foliage(tone, dense * draw.range(0.7, 1.3));
        brick(&mut part, [from, to], [0.05 * draw.unit(), thick], [-0.2, top], leaves);
        if draw.chance(0.6) {
            // Shoots over the cut.
            let radii = Vec3::new(0.5 * (to - from), 0.45 * thick, draw.range(0.08, 0.35));
            let center = Vec3::new(0.5 * (from + to), 0.5 * thick, top);
            part.blob(center, radii, Matter::foliage(tone, 0.25 * dense));
        }
        from = to;
    }
}

/// A grown hedge: lumps of unlike height and thickness, with gaps.
fn build_ragged_hedge(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let base = draw.range(0.5, 1.5);
    let tone = draw.range(0.15, 0.5);
    let sparse = draw.chance(0.3);
    let mut part = scene.clutter(pose);
    let mut at = -half;
    while at < half {
        let radii =
            Vec3::new(draw.range(0.6, 1.6), draw.range(0.35, 0.75), (base * draw.range(0.6, 1.3)).max(0.35));
        let density = if sparse { draw.range(0.5, 2.0) } else { draw.range(2.0, 9.0) };
        let center = Vec3::new(
            at.clamp(-half + radii.x, (half - radii.x).max(-half + radii.x)),
            radii.y + draw.range(-0.1, 0.3),
            radii.z * draw.range(0.5, 0.95),
        );
        part.blob(center, radii, Matter::foliage(tone, density));
        at += radii.x * draw.range(0.8, 1.7) + if draw.chance(0.08) { 1.0 } else { 0.0 };
    }
}

/// Pales on two rails.
fn build_pickets(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let height = draw.range(0.7, 1.5);
    let wood = draw.range(0.2, 0.6);
    let mut part = scene.clutter(pose);
    // A share of 50 to 80 % of the beams that come straight on meets a pale.
    let pales = porous(wood, draw.range(28.0, 65.0));
    brick(&mut part, [-half, half], [0.0, 0.025], [0.06, height], pales);
    for z in [0.25 * height, 0.8 * height] {
        brick(&mut part, [-half, half], [0.025, 0.06], [z - 0.04, z + 0.04], matt(wood));
    }
    build_posts(&mut part, half, 2.4, 0.08, 0.045, height + 0.05, matt(wood));
}

/// Closed wooden panels between posts.
fn build_panels(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let height = draw.range(1.5, 2.0);
    let wood = matt(draw.range(0.2, 0.5));
    let mut part = scene.clutter(pose);
    let places: Vec<f32> = spaced(-half, half, 1.9_f32.max(half / 6.0)).collect();
    for (from, to) in places.iter().zip(places.iter().skip(1)) {
        let top = height + 0.04 * draw.bell();
        let y = 0.05 + 0.01 * draw.bell();
        brick(&mut part, [*from, *to], [y, y + 0.03], [0.04, top], wood);
    }
    build_posts(&mut part, half, 1.9, 0.06, 0.05, height + 0.06, wood);
}

/// Wire mesh: most beams pass.
fn build_mesh(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let height = draw.range(0.9, 2.4);
    let mut part = scene.clutter(pose);
    let wire = porous(draw.range(0.2, 0.5), draw.range(8.0, 22.0));
    brick(&mut part, [-half, half], [0.0, 0.02], [0.03, height], wire);
    let steel = any_matt(draw);
    for x in spaced(-half, half, 2.5_f32.max(half / 6.0)) {
        part.post(Vec3::new(x, 0.03, FOOT_M), height - FOOT_M + 0.05, 0.025, steel);
    }
    if draw.chance(0.25) {
        // Something climbs on it.
        let from = draw.range(-half, 0.5 * half);
        let to = (from + draw.range(1.0, 5.0)).min(half);
        let leaves = Matter::foliage(0.35, draw.range(2.0, 8.0));
        brick(&mut part, [from, to], [-0.1, 0.2], [0.0, height + 0.1], leaves);
    }
}

/// Upright iron bars between `low` and `high`.
fn fence_bars(part: &mut Builder<'_>, half: f32, low: f32, high: f32, draw: &mut Draw) {
    let iron = draw.range(0.08, 0.3);
    // Bars 1.5 to 2 cm thick every 10 to 13 cm: a beam, 2 to 3 cm wide, finds one in three to one in two times.
    brick(part, [-half, half], [0.1, 0.13], [low + 0.06, high - 0.03], porous(iron, draw.range(13.0, 25.0)));
    brick(part, [-half, half], [0.1, 0.13], [high - 0.16, high - 0.12], matt(iron));
    build_posts(part, half, 2.6, 0.12, 0.04, high, matt(iron));
}

fn build_bars(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let high = draw.range(0.8, 2.0);
    fence_bars(&mut scene.clutter(pose), half, 0.05, high, draw);
}

fn build_bars_on_wall(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let (low, high) = (draw.range(0.3, 0.7), draw.range(1.1, 2.0));
    let mut part = scene.clutter(pose);
    brick(&mut part, [-half, half], [0.0, 0.25], [FOOT_M, low], any_matt(draw));
    fence_bars(&mut part, half, low, high, draw);
}

/// A wall with its coping.
fn build_wall(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let stone = any_matt(draw);
    let thick = draw.range(0.2, 0.45);
    let height = draw.range(0.4, 2.4);
    let mut part = scene.clutter(pose);
    // On falling ground its top goes down in steps.
    let n_steps = if half > 4.0 && draw.chance(0.4) { 3 } else { 1 };
    let step = 0.15 * draw.bell();
    for idx in 0..n_steps {
        let width = 2.0 * half / n_steps as f32;
        let x = [-half + width * idx as f32, -half + width * (idx + 1) as f32];
        let top = (height + step * idx as f32).max(0.3);
        brick(&mut part, x, [0.0, thick], [FOOT_M, top], stone);
        brick(&mut part, x, [-0.05, thick + 0.05], [top, top + 0.08], matt(0.4));
    }
    if draw.chance(0.15) {
        // Earth behind it, and what grows there.
        let center = Vec3::new(draw.range(-0.6, 0.6) * half, thick + 0.3, height);
        part.blob(center, Vec3::new(draw.range(0.6, 2.0), 0.5, 0.6), Matter::foliage(0.35, 3.0));
    }
}

/// Stone piers with panels or bars between them.
fn build_piers(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let (height, thick) = (draw.range(0.9, 2.0), draw.range(0.16, 0.25));
    let stone = any_matt(draw);
    let mut part = scene.clutter(pose);
    build_posts(&mut part, half, 3.0, thick, thick, height, stone);
    brick(&mut part, [-half, half], [0.05, 2.0 * thick - 0.05], [FOOT_M, 0.3 * height], stone);
    let between = if draw.chance(0.5) { matt(0.3) } else { porous(0.3, draw.range(12.0, 40.0)) };
    brick(&mut part, [-half, half], [thick - 0.02, thick + 0.02], [0.35 * height, 0.9 * height], between);
}

/// Two or three boards on posts, as round a paddock.
fn build_boards(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let height = draw.range(0.8, 1.4);
    let wood = any_matt(draw);
    let mut part = scene.clutter(pose);
    let n_boards = 2 + draw.index(2);
    for idx in 1..=n_boards {
        let z = height * idx as f32 / n_boards as f32 - 0.08;
        brick(&mut part, [-half, half], [0.0, 0.03], [z - 0.06, z + 0.06], wood);
    }
    build_posts(&mut part, half, 2.6, 0.08, 0.05, height, wood);
}

/// A steel guard rail.
fn build_guard_rail(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let steel = matt(draw.range(0.3, 0.6));
    let mut part = scene.clutter(pose);
    // Its wave: the two ridges stand a little in front of the middle.
    for (y, z) in [(0.0, 0.70), (0.045, 0.61), (0.0, 0.52)] {
        brick(&mut part, [-half, half], [y, y + 0.035], [z - 0.05, z + 0.05], steel);
    }
    build_posts(&mut part, half, 2.0, 0.14, 0.05, 0.74, steel);
}

/// A concrete rail: a broad foot, a slope, a steep side.
fn build_concrete_rail(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let concrete = matt(draw.range(0.25, 0.5));
    let height = draw.range(0.8, 1.1);
    let across = within(&pose, Vec3::new(0.0, 0.3, 0.0), FRAC_PI_2);
    let mut part = scene.clutter(across);
    // Not convex as a whole: foot, slope and stem are three convex ones.
    for [low, high] in
        [[(0.30, FOOT_M), (0.30, 0.08)], [(0.30, 0.08), (0.15, 0.33)], [(0.15, 0.33), (0.09, height)]]
    {
        let profile = [
            Vec2::new(-low.0, low.1),
            Vec2::new(low.0, low.1),
            Vec2::new(high.0, high.1),
            Vec2::new(-high.0, high.1),
        ];
        part.extrusion(&profile, half, 0.0, [0.0; 2], concrete);
    }
}

/// Boards round a building site.
fn build_hoarding(scene: &mut Scene, pose: Pose, half: f32, draw: &mut Draw) {
    let board = any_matt(draw);
    let height = draw.range(1.9, 2.5);
    let mut part = scene.clutter(pose);
    for x in spaced(-half, half, 2.5_f32.max(half / 6.0)) {
        let to = (x + 2.5_f32.max(half / 6.0)).min(half);
        if to - x > 0.1 {
            let y = 0.02 + 0.03 * draw.unit();
            brick(&mut part, [x, to], [y, y + 0.03], [0.02, height], board);
        }
    }
    build_posts(&mut part, half, 3.5, 0.2, 0.05, height, board);
}
