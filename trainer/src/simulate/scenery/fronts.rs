//! Fronts: openings with depth on the ground floor, a cheap pattern of windows above, and what hangs on them.

use super::super::draw::Draw;
use super::super::geometry::Pose;
use super::super::parts::{Builder, Finish, Matter};
use super::super::world::Scene;
use super::{any_matt, brick, glass, matt, porous, spaced, within};
use glam::{Vec2, Vec3};
use std::f32::consts::FRAC_PI_2;

/// How far walls reach into the ground, metres: a front is long and the ground below it may fall.
pub(super) const WALL_FOOT_M: f32 = -1.0;

/// A stretch of a front between two party walls.
#[derive(Clone, Copy)]
pub(super) struct Bay {
    /// Where it begins and ends along the street.
    pub(super) x: [f32; 2],
    /// Where its outer face and its rear lie.
    pub(super) y: [f32; 2],
    /// Height of its eaves.
    pub(super) top: f32,
    /// The wall of its ground floor.
    pub(super) wall: Matter,
    /// The wall above.
    pub(super) upper: Matter,
}

/// The openings of a ground floor.
#[derive(Clone, Copy)]
pub(super) struct Openings {
    pub(super) n: usize,
    /// Share of the front that is open.
    pub(super) share: f32,
    /// Lower and upper edge, metres.
    pub(super) z: [f32; 2],
    /// From the wall's face to what fills the openings.
    pub(super) reveal_m: f32,
    /// What fills the openings; glass has a room behind it.
    pub(super) filling: Matter,
    pub(super) room_m: f32,
    /// The opening that is a door.
    pub(super) door: Option<usize>,
}

impl Bay {
    pub(super) fn width(&self) -> f32 {
        self.x[1] - self.x[0]
    }

    pub(super) fn middle(&self) -> f32 {
        0.5 * (self.x[0] + self.x[1])
    }

    /// One wall from the ground to the eaves.
    pub(super) fn build_plain(&self, part: &mut Builder<'_>) {
        brick(part, self.x, self.y, [WALL_FOOT_M, self.top], self.upper);
    }

    /// A ground floor with openings, and the storeys above them.
    pub(super) fn build_pierced(&self, part: &mut Builder<'_>, openings: &Openings) {
        let [sill, head] = openings.z;
        brick(part, self.x, self.y, [head, self.top], self.upper);
        let pitch = self.width() / openings.n.max(1) as f32;
        let pane = self.y[0] + openings.reveal_m;
        let see_through = openings.filling.finish == Finish::Glass;
        let core = if see_through { (pane + openings.room_m).min(self.y[1] - 0.3) } else { pane };
        if see_through {
            brick(part, self.x, [pane, pane + 0.03], [sill, head], openings.filling);
            brick(part, self.x, [core, self.y[1]], [WALL_FOOT_M, head], matt(0.2));
        } else {
            brick(part, self.x, [pane, self.y[1]], [WALL_FOOT_M, head], openings.filling);
        }
        let half_pier = 0.5 * pitch * (1.0 - openings.share);
        for idx in 0..=openings.n {
            let at = self.x[0] + pitch * idx as f32;
            let x = [(at - half_pier).max(self.x[0]), (at + half_pier).min(self.x[1])];
            // The walls at both ends keep beams from looking into the neighbour's rooms.
            let rear = if idx == 0 || idx == openings.n { core } else { pane };
            brick(part, x, [self.y[0], rear + 0.05], [WALL_FOOT_M, head], self.wall);
        }
        let below = [WALL_FOOT_M, sill];
        let y = [self.y[0], pane + 0.05];
        if let Some(idx) = openings.door {
            let from = self.x[0] + pitch * idx as f32 + half_pier;
            let leaf = [from, from + pitch * openings.share];
            brick(part, leaf, [pane - 0.06, pane], [0.0, head], matt(0.25));
            brick(part, [self.x[0], leaf[0]], y, below, self.wall);
            brick(part, [leaf[1], self.x[1]], y, below, self.wall);
        } else if sill > 0.02 {
            brick(part, self.x, y, below, self.wall);
        }
    }

    /// A dwelling's ground floor: windows with curtains behind them, a door with steps.
    pub(super) fn build_dwelling(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let n = (self.width() / draw.range(1.9, 3.4)).round().clamp(1.0, 6.0) as usize;
        let raised = if self.top > 4.0 && draw.chance(0.4) { draw.range(0.3, 0.9) } else { 0.0 };
        let openings = Openings {
            n,
            share: draw.range(0.36, 0.6),
            z: [raised + draw.range(0.5, 1.0), raised + draw.range(2.05, 2.4)],
            reveal_m: draw.range(0.10, 0.28),
            filling: glass(),
            room_m: if draw.chance(0.6) { draw.range(0.1, 0.4) } else { draw.range(0.5, 3.0) },
            door: draw.chance(0.65).then(|| draw.index(n)),
        };
        self.build_pierced(part, &openings);
        if let Some(idx) = openings.door {
            let pitch = self.width() / n as f32;
            let at = self.x[0] + pitch * (idx as f32 + 0.5);
            self.build_doorway(part, draw, at, raised.max(0.15), openings.z[1]);
        }
    }

    /// Steps, rails and a canopy in front of a door.
    fn build_doorway(&self, part: &mut Builder<'_>, draw: &mut Draw, at: f32, rise: f32, head: f32) {
        let face = self.y[0];
        let half = draw.range(0.55, 0.8);
        let out = face - draw.range(0.5, 0.8);
        let stone = matt(draw.range(0.2, 0.4));
        brick(part, [at - half, at + half], [out, face], [WALL_FOOT_M, rise], stone);
        if rise > 0.3 {
            let step = [at - half - 0.1, at + half + 0.1];
            brick(part, step, [out - 0.35, out], [WALL_FOOT_M, 0.5 * rise], stone);
            let rail = any_matt(draw);
            for x in [at - half, at + half] {
                let (low, high) = (Vec3::new(x, out - 0.3, 0.9), Vec3::new(x, face, rise + 0.95));
                part.limb(low, high, 0.025, rail);
            }
        }
        if draw.chance(0.4) {
            let reach = face - draw.range(0.5, 1.1);
            brick(
                part,
                [at - half - 0.2, at + half + 0.2],
                [reach, face],
                [head + 0.1, head + 0.22],
                any_matt(draw),
            );
        }
    }

    /// A shop: large panes, a display, a back wall some metres inside.
    pub(super) fn build_shop(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let n = (self.width() / draw.range(2.6, 5.0)).round().clamp(1.0, 4.0) as usize;
        let sill = draw.range(0.05, 0.55);
        let openings = Openings {
            n,
            share: draw.range(0.82, 0.94),
            z: [sill, draw.range(2.5, 3.3).min(self.top - 0.3)],
            reveal_m: draw.range(0.08, 0.35),
            filling: glass(),
            room_m: draw.range(2.0, 5.5),
            door: None,
        };
        self.build_pierced(part, &openings);
        let inside = self.y[0] + openings.reveal_m;
        let deep = inside + draw.range(0.3, 1.2);
        let counter = [self.x[0] + 0.4, self.x[0] + self.width() * draw.range(0.4, 0.85)];
        brick(part, counter, [deep, deep + 0.5], [0.0, draw.range(0.6, 1.5)], any_matt(draw));
        let head = openings.z[1];
        if draw.chance(0.45) {
            // A board with the shop's name.
            brick(
                part,
                self.x,
                [self.y[0] - 0.15, self.y[0]],
                [head - 0.05, head + draw.range(0.4, 0.7)],
                any_matt(draw),
            );
        }
        if draw.chance(0.35) {
            self.build_awning(part, draw, head);
        }
    }

    fn build_awning(&self, part: &mut Builder<'_>, draw: &mut Draw, head: f32) {
        let reach = draw.range(0.8, 1.5);
        let z = head.max(2.75);
        // Two flat pieces stand for the slope.
        let cloth = any_matt(draw);
        let x = [self.x[0] + 0.2, self.x[1] - 0.2];
        let y = self.y[0];
        brick(part, x, [y - 0.5 * reach, y], [z - 0.12, z - 0.07], cloth);
        brick(part, x, [y - reach, y - 0.5 * reach], [z - 0.32, z - 0.27], cloth);
        brick(part, x, [y - reach - 0.02, y - reach], [z - 0.5, z - 0.27], cloth);
    }

    /// Gates of garages or of a hall.
    pub(super) fn build_gates(
        &self,
        part: &mut Builder<'_>,
        draw: &mut Draw,
        pitch: f32,
        share: f32,
        head: f32,
    ) {
        let n = (self.width() / pitch).round().clamp(1.0, 9.0) as usize;
        let openings = Openings {
            n,
            share,
            z: [0.0, head],
            reveal_m: draw.range(0.08, 0.35),
            filling: any_matt(draw),
            room_m: 0.0,
            door: None,
        };
        self.build_pierced(part, &openings);
    }

    /// Storeys on columns in front of a set-back ground floor.
    pub(super) fn build_arcade(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let head = draw.range(2.8, 4.0).min(self.top - 0.3);
        let set_back = self.y[0] + draw.range(1.4, 3.0);
        brick(part, self.x, self.y, [head, self.top], self.upper);
        let behind = Self { y: [set_back, self.y[1]], top: head, upper: self.wall, ..*self };
        if self.width() > 4.0 && draw.chance(0.6) {
            let openings = Openings {
                n: 1,
                share: 0.85,
                z: [0.3, head - 0.3],
                reveal_m: 0.1,
                filling: glass(),
                room_m: 2.0,
                door: None,
            };
            behind.build_pierced(part, &openings);
        } else {
            behind.build_plain(part);
        }
        let radius = draw.range(0.14, 0.3);
        let round = draw.chance(0.5);
        for x in spaced(self.x[0] + 0.4, self.x[1] - 0.4, draw.range(3.0, 4.5)) {
            let y = self.y[0] + 0.4;
            if round {
                let foot = Vec3::new(x, y, WALL_FOOT_M);
                part.post(foot, head - WALL_FOOT_M, radius, self.wall);
            } else {
                brick(
                    part,
                    [x - radius, x + radius],
                    [y - radius, y + radius],
                    [WALL_FOOT_M, head],
                    self.wall,
                );
            }
        }
    }

    /// Balconies above each other.
    pub(super) fn build_balconies(&self, part: &mut Builder<'_>, draw: &mut Draw, at: f32) {
        let reach = self.y[0] - draw.range(0.8, 1.4);
        let half = draw.range(0.9, 2.0).min(0.45 * self.width());
        let x =
            [(at - half).clamp(self.x[0], self.x[1] - 1.0), (at + half).clamp(self.x[0] + 1.0, self.x[1])];
        let parapet = match draw.index(3) {
            0 => porous(0.3, draw.range(8.0, 20.0)),
            1 => glass(),
            _ => any_matt(draw),
        };
        for storey in 1..=4u8 {
            let z = 2.9 * f32::from(storey) + 0.1;
            if z + 1.2 > self.top {
                break;
            }
            brick(part, x, [reach, self.y[0]], [z - 0.16, z], matt(0.35));
            brick(part, x, [reach, reach + 0.05], [z, z + 1.0], parapet);
        }
    }

    /// A part of the front that stands out above the ground floor.
    pub(super) fn build_oriel(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let half = draw.range(0.8, 1.6).min(0.4 * self.width());
        let reach = self.y[0] - draw.range(0.4, 1.0);
        let at = draw.range(self.x[0] + half, self.x[1] - half);
        let top = self.top - draw.range(0.2, 1.2);
        brick(part, [at - half, at + half], [reach, self.y[0]], [2.9_f32.min(top - 0.5), top], self.upper);
    }

    /// A drainpipe at one end.
    pub(super) fn build_drainpipe(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let at = if draw.chance(0.5) { self.x[0] + 0.15 } else { self.x[1] - 0.15 };
        let foot = Vec3::new(at, self.y[0] - 0.06, 0.0);
        part.limb(foot, foot + Vec3::Z * self.top, 0.055, any_matt(draw));
    }

    /// A scaffold in front of the wall.
    pub(super) fn build_scaffold(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let y = [self.y[0] - 1.05, self.y[0] - 0.25];
        let top = self.top.min(8.0);
        let tube = matt(draw.range(0.3, 0.6));
        for x in spaced(self.x[0] + 0.1, self.x[1] - 0.1, 2.6) {
            part.post(Vec3::new(x, y[0], 0.0), top, 0.03, tube);
        }
        for z in spaced(2.1, top - 0.5, 2.0) {
            brick(part, self.x, y, [z, z + 0.05], matt(0.3));
            brick(part, self.x, [y[0] - 0.03, y[0]], [z + 0.95, z + 1.0], tube);
        }
        if draw.chance(0.4) {
            // A net in front of it all.
            brick(part, self.x, [y[0] - 0.06, y[0] - 0.04], [2.1, top], porous(0.3, 20.0));
        }
    }

    /// A roof with its ridge along the street; `hipped` ends lean in.
    pub(super) fn build_saddle_roof(&self, scene: &mut Scene, pose: &Pose, rise: f32, hipped: bool) {
        let (front, rear) = (self.y[0] - 0.35, self.y[1] + 0.35);
        let ridge = self.top + rise;
        let eaves = self.top - 0.12;
        let profile =
            [Vec2::new(front, eaves), Vec2::new(0.5 * (front + rear), ridge), Vec2::new(rear, eaves)];
        let over = if hipped { 0.35 } else { 0.05 };
        let lean = if hipped { (0.4 * self.width() / rise).min(1.6) } else { 0.0 };
        let across = within(pose, Vec3::X * self.middle(), FRAC_PI_2);
        scene.clutter(across).extrusion(&profile, 0.5 * self.width() + over, lean, [0.0; 2], matt(0.22));
    }

    /// A roof whose gable looks at the street.
    pub(super) fn build_gable_roof(&self, scene: &mut Scene, pose: &Pose, rise: f32) {
        let half = 0.5 * self.width() + 0.3;
        let eaves = self.top - 0.12;
        let profile = [Vec2::new(-half, eaves), Vec2::new(0.0, self.top + rise), Vec2::new(half, eaves)];
        let center = Vec3::new(self.middle(), 0.5 * (self.y[0] + self.y[1]), 0.0);
        let deep = 0.5 * (self.y[1] - self.y[0]) + 0.25;
        scene.clutter(within(pose, center, 0.0)).extrusion(&profile, deep, 0.0, [0.0; 2], matt(0.22));
    }
}
