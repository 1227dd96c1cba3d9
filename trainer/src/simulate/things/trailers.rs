//! Trailers: of articulated lorries, and behind cars.

use super::super::draw::Draw;
use super::super::parts::Builder;
use super::looks::{build_axle, build_plate, draw_paint, draw_size, matt, tail_lamp};
use super::profiles::convex;
use super::{BOX_MARGIN_M, Category, Thing, assemble};
use glam::{Vec2, Vec3};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boxed,
    Container,
    Flat,
    Tank,
    /// Two wheels behind a car: a caravan or an open box.
    Caravan,
    Light,
}

impl Thing {
    /// A trailer without what pulls it; its front points along x.
    ///
    /// **Source**: the mean of nuScenes' labels, 12.29 x 2.90 x 3.87 m.
    pub(in crate::simulate) fn draw_trailer(draw: &mut Draw) -> Self {
        let kinds: [(f32, (Kind, [f32; 3])); 6] = [
            (0.54, (Kind::Boxed, [13.6, 2.88, 4.0])),
            (0.14, (Kind::Container, [12.6, 2.75, 4.0])),
            (0.12, (Kind::Flat, [12.6, 2.8, 2.6])),
            (0.06, (Kind::Tank, [11.5, 2.75, 3.6])),
            (0.04, (Kind::Caravan, [6.2, 2.3, 2.65])),
            (0.10, (Kind::Light, [3.6, 1.75, 1.35])),
        ];
        let (kind, mean) = draw.weighted(&kinds, (Kind::Boxed, [13.6, 2.88, 4.0]));
        let size = draw_size(draw, mean, [0.11 * mean[0], 0.1, 0.06 * mean[2]]);
        let trailer = Trailer {
            front: 0.5 * size.x - BOX_MARGIN_M,
            rear: -0.5 * size.x + BOX_MARGIN_M,
            half: 0.5 * size.y - BOX_MARGIN_M,
            top: size.z - BOX_MARGIN_M,
        };
        let parts = assemble(|part| {
            if matches!(kind, Kind::Caravan | Kind::Light) {
                trailer.build_light(part, draw, kind == Kind::Caravan);
            } else {
                trailer.build_heavy(part, draw, kind);
            }
        });
        Self::rigid(Category::Trailer, size, parts)
    }
}

struct Trailer {
    front: f32,
    rear: f32,
    half: f32,
    top: f32,
}

impl Trailer {
    fn build_heavy(&self, part: &mut Builder<'_>, draw: &mut Draw, kind: Kind) {
        let (front, rear, half, top) = (self.front, self.rear, self.half, self.top);
        let bed = draw.range(1.12, 1.35);
        let wall = matt(draw.range(0.12, 0.65));
        let frame = matt(0.10);
        match kind {
            Kind::Tank => {
                let radius = (0.5 * (top - bed)).min(half);
                let axis = top - radius;
                let (a, b) = (Vec3::new(rear + 0.1, 0.0, axis), Vec3::new(front, 0.0, axis));
                part.drum(a, b, radius, matt(draw.range(0.2, 0.6)));
                part.block(Vec3::new(rear, -half, bed - 0.1), Vec3::new(rear + 0.3, half, bed), frame);
                part.block(
                    Vec3::new(rear + 0.2, -half + 0.05, bed - 0.25),
                    Vec3::new(rear + 4.2, half - 0.05, bed - 0.15),
                    frame,
                );
            }
            Kind::Flat => {
                part.block(Vec3::new(rear, -half, bed - 0.15), Vec3::new(front, half, bed), matt(0.25));
                part.block(Vec3::new(front - 0.1, -half, bed), Vec3::new(front, half, top), wall);
                let mut from = rear + draw.range(0.2, 2.0);
                while draw.chance(0.75) && from < front - 1.5 {
                    let to = (from + draw.range(0.8, 4.0)).min(front - 0.3);
                    let load = Vec2::new(half * draw.range(0.4, 0.95), draw.range(0.3, 1.0) * (top - bed));
                    part.block(
                        Vec3::new(from, -load.x, bed),
                        Vec3::new(to, load.x, bed + load.y),
                        matt(draw.range(0.1, 0.6)),
                    );
                    from = to + draw.range(0.1, 1.0);
                }
            }
            Kind::Container => {
                part.block(Vec3::new(rear, -0.6, bed - 0.3), Vec3::new(front, 0.6, bed), frame);
                let behind = draw.range(0.0, 0.4);
                part.block(Vec3::new(rear + behind, -half, bed), Vec3::new(front, half, top), wall);
            }
            _ => {
                part.block(Vec3::new(rear, -half, bed), Vec3::new(front, half, top), wall);
                if draw.chance(0.3) {
                    // A cooler on the front wall lies inside of the box's length.
                    part.block(
                        Vec3::new(front - 0.05, -0.8, top - 1.7),
                        Vec3::new(front + 0.03, 0.8, top - 0.3),
                        matt(0.4),
                    );
                }
                if draw.chance(0.6) {
                    for side in [-1.0, 1.0f32] {
                        let (a, b) = (side * (half - 0.06), side * (half - 0.02));
                        part.block(
                            Vec3::new(rear + 4.6, a.min(b), draw.range(0.4, 0.6)),
                            Vec3::new(front - 3.2, a.max(b), bed - 0.05),
                            matt(draw.range(0.2, 0.5)),
                        );
                    }
                }
            }
        }
        self.build_running_gear(part, draw, bed);
    }

    /// Axles, frame, landing legs, the bar at the rear, lamps and a plate.
    fn build_running_gear(&self, part: &mut Builder<'_>, draw: &mut Draw, bed: f32) {
        let (front, rear, half) = (self.front, self.rear, self.half);
        let frame = matt(0.10);
        part.block(Vec3::new(rear + 0.1, -0.5, 0.75), Vec3::new(front - 0.8, 0.5, bed), frame);
        let radius = draw.range(0.47, 0.53);
        let n_axles = if draw.chance(0.6) { 3 } else { 2 };
        let last = rear + draw.range(0.9, 1.9);
        for idx in 0..n_axles {
            let x = last + idx as f32 * (2.0 * radius + draw.range(0.22, 0.3));
            build_axle(part, x, half - 0.04, radius, 0.45, matt(0.2));
        }
        let x = front - draw.range(2.4, 3.0);
        for side in [-1.0, 1.0f32] {
            let (a, b) = (side * 0.62, side * 0.78);
            part.block(Vec3::new(x - 0.1, a.min(b), 0.05), Vec3::new(x + 0.1, a.max(b), bed), frame);
            part.block(
                Vec3::new(rear - 0.008, side * 0.75 * half - 0.2, 0.8),
                Vec3::new(rear + 0.05, side * 0.75 * half + 0.2, 0.95),
                tail_lamp(),
            );
        }
        part.block(Vec3::new(rear, -0.9 * half, 0.42), Vec3::new(rear + 0.1, 0.9 * half, 0.6), frame);
        build_plate(part, rear + 0.008, 0.65, 0.26, -1.0);
    }

    /// What a car pulls: its drawbar is part of the length.
    fn build_light(&self, part: &mut Builder<'_>, draw: &mut Draw, is_caravan: bool) {
        let (front, rear, half, top) = (self.front, self.rear, self.half, self.top);
        let body_front = front - draw.range(0.9, 1.3);
        let radius = draw.range(0.26, 0.32);
        let wheels_inside = is_caravan || draw.chance(0.5);
        let width = if wheels_inside { half } else { half - 0.22 };
        let bed = if wheels_inside { 2.0 * radius + 0.04 } else { draw.range(0.4, 0.5) };
        if is_caravan {
            let white = matt(draw.range(0.4, 0.7));
            let outline = [
                Vec2::new(rear + 0.05, 0.35),
                Vec2::new(rear, 1.2),
                Vec2::new(rear + draw.range(0.05, 0.4), top),
                Vec2::new(body_front - draw.range(0.3, 0.9), top),
                Vec2::new(body_front, draw.range(1.0, 1.5)),
                Vec2::new(body_front - 0.1, 0.35),
            ];
            part.extrusion(&convex(&outline), width, 0.0, [0.05, 0.15], white);
        } else {
            let paint = draw_paint(draw);
            let is_closed = draw.chance(0.4);
            part.block(Vec3::new(rear, -width, bed), Vec3::new(body_front, width, bed + 0.08), matt(0.2));
            let board = if is_closed { top } else { (bed + draw.range(0.35, 0.6)).min(top) };
            for (a, b) in [(-width, 0.03 - width), (width - 0.03, width)] {
                part.block(Vec3::new(rear, a, bed), Vec3::new(body_front, b, board), paint);
            }
            for x in [rear, body_front - 0.03] {
                part.block(Vec3::new(x, -width, bed), Vec3::new(x + 0.03, width, board), paint);
            }
            // A cover, or a load that reaches the box's top.
            let (low, reach) = if is_closed { (top - 0.03, width) } else { (bed, 0.7 * width) };
            let ends = if is_closed { [rear, body_front] } else { [rear + 0.2, body_front - 0.25] };
            part.block(Vec3::new(ends[0], -reach, low), Vec3::new(ends[1], reach, top), matt(0.3));
        }
        let axle = 0.5 * (rear + body_front) - draw.range(0.0, 0.15);
        build_axle(part, axle, half, radius, 0.17, matt(0.25));
        for side in [-1.0, 1.0] {
            let start = Vec3::new(body_front, side * 0.35 * width, 0.45);
            part.limb(start, Vec3::new(front - 0.035, 0.0, 0.45), 0.035, matt(0.2));
            part.block(
                Vec3::new(rear - 0.008, side * 0.8 * width - 0.1, bed + 0.02),
                Vec3::new(rear + 0.03, side * 0.8 * width + 0.1, bed + 0.14),
                tail_lamp(),
            );
        }
        part.post(Vec3::new(front - 0.35, 0.12, 0.05), 0.55, 0.035, matt(0.2));
        build_plate(part, rear + 0.008, bed + 0.02, 0.26, -1.0);
    }
}
