//! Buildings: rows, houses with gaps, city blocks, offices, halls, garages, petrol stations.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::{Builder, Finish, Matter};
use super::super::world::Scene;
use super::fronts::{Bay, WALL_FOOT_M};
use super::{any_matt, brick, glass, matt, porous, spaced};
use glam::Vec3;

/// Parts after which a building gets plain walls only: a street has many.
const DETAIL: usize = 38;

/// Where a building is put.
pub(super) struct Site<'a> {
    pub(super) scene: &'a mut Scene,
    pub(super) pose: Pose,
    /// Half of its length along the street.
    pub(super) half: f32,
    /// 0: gardens and fields; 1: closed rows of houses.
    pub(super) urban: f32,
    first: usize,
}

impl<'a> Site<'a> {
    pub(super) fn new(scene: &'a mut Scene, pose: Pose, length: f32, urban: f32) -> Self {
        let first = scene.primitives.len();
        Self { scene, pose, half: 0.5 * length, urban, first }
    }

    fn part(&mut self) -> Builder<'_> {
        self.scene.clutter(self.pose)
    }

    /// True where the building has enough parts already.
    fn crowded(&self) -> bool {
        self.scene.primitives.len() > self.first + DETAIL
    }
}

/// A kind of building: how often it stands in the open and in a city, and how it is built.
pub(super) struct Kind {
    open: f32,
    city: f32,
    pub(super) build: fn(&mut Site<'_>, &mut Draw),
}

pub(super) const KINDS: [Kind; 9] = [
    Kind { open: 0.25, city: 0.36, build: build_row },
    Kind { open: 0.50, city: 0.04, build: build_detached },
    Kind { open: 0.00, city: 0.32, build: build_block },
    Kind { open: 0.06, city: 0.10, build: build_slab },
    Kind { open: 0.00, city: 0.10, build: build_office },
    Kind { open: 0.11, city: 0.02, build: build_hall },
    Kind { open: 0.04, city: 0.02, build: build_garages },
    Kind { open: 0.02, city: 0.01, build: build_station },
    Kind { open: 0.02, city: 0.03, build: build_car_park },
];

/// A building whose front runs `length` metres along the pose's x axis, centred, with its depth towards +y.
///
/// `urban`: 0 for gardens and fields, 1 for closed rows of houses.
pub(in crate::simulate) fn build_house(
    scene: &mut Scene,
    pose: Pose,
    length: f32,
    urban: f32,
    draw: &mut Draw,
) {
    let choices = KINDS.each_ref().map(|kind| (kind.open + (kind.city - kind.open) * urban, kind.build));
    let build = draw.weighted(&choices, build_row);
    build(&mut Site::new(scene, pose, length, urban), draw);
}

/// The wall of a ground floor and the one above it.
fn walls(draw: &mut Draw) -> [Matter; 2] {
    let tone = draw.range(0.16, 0.52);
    let finish = if draw.chance(0.85) { Finish::Facade(draw.range(1.6, 3.8)) } else { Finish::Matt };
    let lower = if draw.chance(0.4) { draw.range(0.16, 0.5) } else { tone };
    [matt(lower), Matter::solid(finish, tone)]
}

/// A ground floor as it may be in any street, and what hangs above it.
fn build_front(site: &mut Site<'_>, bay: &Bay, shops: f32, draw: &mut Draw) {
    let plain = site.crowded() || bay.width() < 1.6 || bay.top < 2.6;
    let mut part = site.part();
    if plain {
        bay.build_plain(&mut part);
    } else if bay.top > 3.4 && draw.chance(shops) {
        bay.build_shop(&mut part, draw);
    } else {
        match draw.index(20) {
            0 | 1 if bay.top > 3.4 => bay.build_arcade(&mut part, draw),
            2 if bay.width() < 8.0 => bay.build_gates(&mut part, draw, 2.9, 0.85, 2.3),
            3..=5 => bay.build_plain(&mut part),
            _ => bay.build_dwelling(&mut part, draw),
        }
    }
    if site.crowded() {
        return;
    }
    let mut part = site.part();
    if bay.top > 5.5 && draw.chance(0.22) {
        let at = draw.range(bay.x[0], bay.x[1]);
        bay.build_balconies(&mut part, draw, at);
    } else if bay.top > 5.0 && bay.width() > 3.0 && draw.chance(0.15) {
        bay.build_oriel(&mut part, draw);
    }
    if draw.chance(0.4) {
        bay.build_drainpipe(&mut part, draw);
    }
    if bay.top > 4.0 && bay.width() < 10.0 && draw.chance(0.025) {
        bay.build_scaffold(&mut part, draw);
    }
}

fn build_roof(site: &mut Site<'_>, bay: &Bay, draw: &mut Draw) {
    let pose = site.pose;
    match draw.index(6) {
        0..=2 => bay.build_saddle_roof(site.scene, &pose, draw.range(1.2, 3.4), false),
        3 if bay.width() > 5.0 => bay.build_saddle_roof(site.scene, &pose, draw.range(1.4, 2.6), true),
        4 if bay.width() < 11.0 => bay.build_gable_roof(site.scene, &pose, draw.range(1.5, 3.6)),
        _ => {
            // A flat one with its parapet and what stands on it.
            let z = [bay.top, bay.top + draw.range(0.15, 0.5)];
            let edge = [bay.y[0] - 0.12, bay.y[0] + 0.2];
            brick(&mut site.part(), bay.x, edge, z, bay.wall);
        }
    }
}

/// A closed row: each house with its own front, height and roof.
fn build_row(site: &mut Site<'_>, draw: &mut Draw) {
    let n_storeys = 1 + draw.index(2) + (site.urban * draw.range(0.3, 3.0)) as usize;
    let height = 0.4 + draw.range(2.6, 3.2) * n_storeys as f32;
    let depth = draw.range(8.0, 13.0);
    let shops = 0.5 * site.urban;
    let mut look = walls(draw);
    let mut from = -site.half;
    while from < site.half - 0.5 {
        let mut to = from + draw.range(4.5, 9.0);
        if site.half - to < 3.0 {
            to = site.half;
        }
        if draw.chance(0.5) {
            look = walls(draw);
        }
        let face = if draw.chance(0.6) { 0.0 } else { draw.range(0.1, 1.4) };
        let top = (height + draw.range(-0.7, 0.9)).max(2.7);
        let bay = Bay { x: [from, to], y: [face, depth], top, wall: look[0], upper: look[1] };
        build_front(site, &bay, shops, draw);
        build_roof(site, &bay, draw);
        from = to;
        if from < site.half - 6.0 && draw.chance(0.12) {
            // A passage to the yard.
            from += draw.range(0.9, 3.5);
        }
    }
}

/// A house by itself, with a garage, a shed or nothing beside it.
fn build_detached(site: &mut Site<'_>, draw: &mut Draw) {
    let width = draw.range(6.5, 13.0).min(2.0 * site.half);
    let slack = site.half - 0.5 * width;
    let middle = draw.range(-slack, slack);
    let face = draw.range(0.0, 2.2);
    let [wall, upper] = walls(draw);
    let top = if draw.chance(0.5) { draw.range(2.6, 3.4) } else { draw.range(4.8, 6.4) };
    let x = [middle - 0.5 * width, middle + 0.5 * width];
    let bay = Bay { x, y: [face, face + draw.range(7.0, 11.0)], top, wall, upper };
    build_front(site, &bay, 0.02, draw);
    build_roof(site, &bay, draw);
    let mut part = site.part();
    if draw.chance(0.6) {
        let (at, deep) = (draw.range(x[0] + 0.5, x[1] - 1.0), 0.5 * (bay.y[0] + bay.y[1]));
        brick(&mut part, [at, at + 0.6], [deep, deep + 0.6], [top, top + draw.range(2.0, 4.2)], matt(0.25));
    }
    if draw.chance(0.25) {
        // A porch on posts.
        let at = draw.range(x[0] + 1.2, x[1] - 1.2);
        let reach = face - draw.range(0.8, 1.1);
        brick(&mut part, [at - 1.2, at + 1.2], [reach, face], [2.35, 2.55], matt(0.3));
        for post in [at - 1.05, at + 1.05] {
            part.post(Vec3::new(post, reach + 0.15, WALL_FOOT_M), 2.4 - WALL_FOOT_M, 0.07, matt(0.4));
        }
    }
    for [from, to] in [[-site.half, x[0]], [x[1], site.half]] {
        if to - from > 2.8 && draw.chance(0.7) {
            build_beside(site, [from, to], face, draw);
        }
    }
}

/// What fills the gap beside a house: a garage set back, a car port, a shed, a gate.
fn build_beside(site: &mut Site<'_>, gap: [f32; 2], face: f32, draw: &mut Draw) {
    let width = draw.range(2.6, 3.6).min(gap[1] - gap[0]);
    let from = draw.range(gap[0], gap[1] - width);
    let x = [from, from + width];
    let kind = draw.index(4);
    let back = face + draw.range(0.0, 4.5);
    let y = [back, back + draw.range(4.8, 6.2)];
    let mut part = site.part();
    match kind {
        0 | 1 => {
            let wall = any_matt(draw);
            let bay = Bay { x, y, top: draw.range(2.4, 2.9), wall, upper: wall };
            bay.build_gates(&mut part, draw, 3.0, 0.82, 2.15);
        }
        2 => {
            brick(&mut part, x, y, [2.25, 2.4], matt(0.3));
            for (x, y) in [(x[0], y[0]), (x[0], y[1]), (x[1], y[0]), (x[1], y[1])] {
                part.post(Vec3::new(x, y, WALL_FOOT_M), 2.3 - WALL_FOOT_M, 0.06, matt(0.3));
            }
        }
        _ => {
            let wall = any_matt(draw);
            let bay = Bay { x, y: [y[0], y[0] + 3.0], top: draw.range(1.9, 2.3), wall, upper: wall };
            bay.build_plain(&mut part);
            let pose = site.pose;
            bay.build_gable_roof(site.scene, &pose, draw.range(0.4, 0.9));
        }
    }
}

/// A large city block: shops below, four to six storeys above.
fn build_block(site: &mut Site<'_>, draw: &mut Draw) {
    let height = draw.range(9.0, 20.0);
    let depth = draw.range(10.0, 14.0);
    let shops = draw.range(0.2, 0.95);
    let mut from = -site.half;
    while from < site.half - 0.5 {
        let mut to = from + draw.range(6.0, 14.0);
        if site.half - to < 4.0 {
            to = site.half;
        }
        let [wall, upper] = walls(draw);
        let face = if draw.chance(0.7) { 0.0 } else { draw.range(0.1, 0.8) };
        let top = height + draw.range(-1.5, 1.5);
        let bay = Bay { x: [from, to], y: [face, depth], top, wall, upper };
        build_front(site, &bay, shops, draw);
        // A cornice over the ground floor and one below the roof.
        let mut part = site.part();
        let out = [face - draw.range(0.1, 0.35), face];
        brick(&mut part, bay.x, out, [top - 0.5, top], wall);
        if draw.chance(0.4) {
            brick(&mut part, bay.x, out, [3.55, 3.8], wall);
        }
        from = to;
    }
}

/// A slab of flats: columns of balconies or galleries.
fn build_slab(site: &mut Site<'_>, draw: &mut Draw) {
    let [wall, upper] = walls(draw);
    let top = draw.range(8.5, 19.0);
    let x = [-site.half, site.half];
    let bay = Bay { x, y: [0.8, draw.range(10.0, 13.5)], top, wall, upper };
    let mut part = site.part();
    bay.build_dwelling(&mut part, draw);
    for at in spaced(x[0] + 2.5, x[1] - 2.5, draw.range(6.0, 9.0)) {
        bay.build_balconies(&mut part, draw, at);
    }
}

/// An office: a glass wall, ledges of the floors, posts between the panes, rooms behind.
fn build_office(site: &mut Site<'_>, draw: &mut Draw) {
    let top = draw.range(8.0, 22.0);
    let depth = draw.range(10.0, 14.0);
    let x = [-site.half, site.half];
    let room = draw.range(0.3, 4.0);
    let frame = any_matt(draw);
    let mut part = site.part();
    brick(&mut part, x, [0.25, 0.29], [0.1, top], glass());
    brick(&mut part, x, [0.29 + room, depth], [WALL_FOOT_M, top], matt(draw.range(0.15, 0.4)));
    for z in spaced(draw.range(3.2, 4.2), top, 3.4).take(6) {
        brick(&mut part, x, [0.1, 0.29 + room], [z - 0.35, z], frame);
    }
    for end in [[x[0], x[0] + 0.1], [x[1] - 0.1, x[1]]] {
        brick(&mut part, end, [0.3, 0.3 + room], [WALL_FOOT_M, top], frame);
    }
    let half = draw.range(0.05, 0.25);
    for at in spaced(x[0] + half, x[1] - half, draw.range(1.8, 5.0)) {
        brick(&mut part, [at - half, at + half], [0.0, 0.35], [WALL_FOOT_M, top], frame);
    }
    if draw.chance(0.5) {
        let at = draw.range(x[0] + 1.5, x[1] - 1.5);
        brick(&mut part, [at - 1.6, at + 1.6], [-1.4, 0.1], [2.7, 2.95], frame);
        for side in [-1.4, 1.4] {
            part.post(Vec3::new(at + side, -1.1, WALL_FOOT_M), 2.7 - WALL_FOOT_M, 0.06, frame);
        }
    }
}

/// A hall of a works or a supermarket: ribs, gates, a canopy over them.
fn build_hall(site: &mut Site<'_>, draw: &mut Draw) {
    let wall = matt(draw.range(0.15, 0.6));
    let top = draw.range(4.6, 9.0);
    let x = [-site.half, site.half];
    let bay = Bay { x, y: [0.3, draw.range(11.0, 14.0)], top, wall, upper: wall };
    let head = draw.range(3.0, 4.2);
    let (pitch, share) = (draw.range(5.0, 11.0), draw.range(0.35, 0.8));
    let mut part = site.part();
    bay.build_gates(&mut part, draw, pitch, share, head);
    for at in spaced(x[0] + 0.2, x[1] - 0.2, draw.range(2.5, 6.0)) {
        brick(&mut part, [at - 0.1, at + 0.1], [0.12, 0.3], [head, top], wall);
    }
    if draw.chance(0.5) {
        brick(&mut part, x, [-1.5, 0.3], [head + 0.05, head + 0.25], any_matt(draw));
    }
    let pose = site.pose;
    if draw.chance(0.5) {
        bay.build_saddle_roof(site.scene, &pose, draw.range(0.6, 1.8), false);
    }
}

/// A row of lock-up garages.
fn build_garages(site: &mut Site<'_>, draw: &mut Draw) {
    let wall = any_matt(draw);
    let x = [-site.half, site.half];
    let bay = Bay { x, y: [0.0, draw.range(5.2, 6.2)], top: draw.range(2.4, 2.9), wall, upper: wall };
    let share = draw.range(0.8, 0.92);
    bay.build_gates(&mut site.part(), draw, 2.9, share, bay.top - 0.3);
    if draw.chance(0.2) {
        let pose = site.pose;
        bay.build_saddle_roof(site.scene, &pose, 1.2, false);
    }
}

/// A petrol station: a roof on columns over the pumps, a shop behind.
fn build_station(site: &mut Site<'_>, draw: &mut Draw) {
    let half = site.half.min(9.0);
    let wall = any_matt(draw);
    let z = draw.range(4.4, 5.4);
    let edge = matt(draw.range(0.3, 0.7));
    let bay = Bay { x: [-half, half], y: [9.5, 14.0], top: 3.6, wall, upper: wall };
    let mut part = site.part();
    bay.build_shop(&mut part, draw);
    brick(&mut part, [-half, half], [0.0, 8.0], [z, z + 0.8], edge);
    for x in spaced(-half + 2.0, half - 2.0, 6.0) {
        brick(&mut part, [x - 0.2, x + 0.2], [3.8, 4.2], [WALL_FOOT_M, z], edge);
        brick(&mut part, [x - 1.6, x + 1.6], [3.5, 4.5], [WALL_FOOT_M, 0.15], matt(0.4));
        for side in [-1.0, 1.0] {
            let pump = x + side;
            let height = draw.range(1.6, 2.2);
            brick(&mut part, [pump - 0.4, pump + 0.4], [3.7, 4.3], [0.15, height], any_matt(draw));
        }
    }
    // The column with the prices.
    let at = draw.sign() * (half - 0.6);
    brick(&mut part, [at - 0.1, at + 0.1], [-0.6, 0.6], [WALL_FOOT_M, draw.range(4.0, 7.0)], edge);
}

/// A multi-storey car park: parapets, open storeys, columns.
fn build_car_park(site: &mut Site<'_>, draw: &mut Draw) {
    let n_decks = 2 + draw.index(4);
    let depth = draw.range(11.0, 14.0);
    let x = [-site.half, site.half];
    let wall = matt(draw.range(0.2, 0.45));
    let inside = matt(draw.range(0.1, 0.3));
    let roof = 2.8 * n_decks as f32;
    let parapet = if draw.chance(0.3) { porous(0.35, 9.0) } else { wall };
    let rear = draw.range(4.0, 7.0);
    let mut part = site.part();
    brick(&mut part, x, [rear, depth], [WALL_FOOT_M, roof], inside);
    for deck in 0..=n_decks {
        let z = 2.8 * deck as f32;
        let low = if deck == 0 { WALL_FOOT_M } else { z - 0.3 };
        brick(&mut part, x, [0.0, 0.15], [low, z + draw.range(0.85, 1.0)], parapet);
        if deck > 0 {
            brick(&mut part, x, [0.15, rear], [z - 0.3, z], wall);
        }
    }
    for end in [[x[0], x[0] + 0.2], [x[1] - 0.2, x[1]]] {
        brick(&mut part, end, [0.15, rear], [WALL_FOOT_M, roof], inside);
    }
    for at in spaced(x[0] + 0.25, x[1] - 0.25, draw.range(4.5, 7.5)) {
        brick(&mut part, [at - 0.25, at + 0.25], [0.0, 0.5], [WALL_FOOT_M, roof], wall);
    }
}
