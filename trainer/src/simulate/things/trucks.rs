//! Lorries: cabs before or over the engine; box, flat, tipping, and no bodies.

use super::super::draw::Draw;
use super::super::parts::{Builder, Matter};
use super::looks::{build_axle, build_occupant, build_plate, draw_cloth, draw_paint, draw_size};
use super::looks::{glass, headlamp, matt, tail_lamp};
use super::profiles::{Arch, Shell, clip, convex};
use super::{BOX_MARGIN_M, Category, Region, Thing, assemble};
use glam::{Vec2, Vec3};

/// What stands behind the cab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Pickup,
    Boxed,
    Flat,
    Tipper,
    /// A tractor without its trailer.
    Tractor,
    /// A tractor with its trailer: one truck to KITTI, two things to nuScenes.
    Articulated,
}

impl Thing {
    /// A lorry, or in [`Region::UsAsia`] a pickup.
    ///
    /// **Source**: the means of the labels: KITTI 10.1 x 2.6 x 3.2 m, nuScenes 6.93 x 2.51 x 2.84 m.
    pub(in crate::simulate) fn draw_truck(draw: &mut Draw, region: Region, driven: bool) -> Self {
        let bodies: [(f32, (Body, [f32; 3])); 6] = match region {
            Region::Europe => [
                (0.0, (Body::Pickup, [5.3, 1.9, 1.8])),
                (0.40, (Body::Boxed, [8.6, 2.55, 3.35])),
                (0.13, (Body::Flat, [8.3, 2.50, 2.9])),
                (0.14, (Body::Tipper, [7.9, 2.52, 3.05])),
                (0.08, (Body::Tractor, [6.1, 2.52, 3.55])),
                (0.25, (Body::Articulated, [15.0, 2.60, 3.7])),
            ],
            Region::UsAsia => [
                (0.32, (Body::Pickup, [5.65, 2.08, 1.92])),
                (0.32, (Body::Boxed, [7.4, 2.55, 3.20])),
                (0.13, (Body::Flat, [6.8, 2.45, 2.65])),
                (0.11, (Body::Tipper, [7.9, 2.65, 3.20])),
                (0.12, (Body::Tractor, [7.1, 2.75, 3.60])),
                (0.0, (Body::Articulated, [16.0, 2.7, 3.9])),
            ],
        };
        let (body, mean) = draw.weighted(&bodies, (Body::Boxed, [8.6, 2.55, 3.35]));
        if body == Body::Pickup {
            return Self::draw_pickup(draw, region, driven);
        }
        let size = draw_size(draw, mean, [0.11 * mean[0], 0.08, 0.08 * mean[2]]);
        let lorry = Lorry::draw(draw, body, size, region, driven);
        let parts = assemble(|part| lorry.build(part, draw));
        Self::rigid(Category::Truck, size, parts)
    }
}

struct Lorry {
    body: Body,
    front: f32,
    rear: f32,
    half_width: f32,
    height: f32,
    /// Rear and front wall of the cab's upper part, and the front of the bonnet, if there is one.
    cab: [f32; 2],
    has_bonnet: bool,
    cab_top: f32,
    wheel: f32,
    /// How far a lowered tail lift stands out, metres.
    lift: f32,
    paint: Matter,
    driver: Option<f32>,
}

impl Lorry {
    fn draw(draw: &mut Draw, body: Body, size: Vec3, region: Region, driven: bool) -> Self {
        let (front, rear) = (0.5 * size.x - BOX_MARGIN_M, -0.5 * size.x + BOX_MARGIN_M);
        let height = size.z - BOX_MARGIN_M;
        let has_bonnet = region == Region::UsAsia && draw.chance(0.5);
        let bonnet = if has_bonnet { draw.range(0.9, 1.3) } else { 0.0 };
        // A tractor's cab is all that reaches the box's top, other cabs stay below the body's.
        let cab_top = match body {
            Body::Tractor => height,
            Body::Boxed | Body::Articulated => height * draw.range(0.74, 0.96),
            Body::Flat | Body::Tipper => height * draw.range(0.9, 1.0),
            Body::Pickup => height,
        };
        let cab_top = cab_top.clamp(2.1f32.min(height), height);
        let is_tractor = matches!(body, Body::Tractor | Body::Articulated);
        let depth = if is_tractor { draw.range(1.8, 2.4) } else { draw.range(1.45, 2.1) };
        let left_hand = region == Region::Europe || draw.chance(0.5);
        let has_lift = body == Body::Boxed && draw.chance(0.04);
        Self {
            body,
            front,
            rear,
            half_width: 0.5 * size.y - BOX_MARGIN_M,
            height,
            cab: [front - bonnet - depth, front - bonnet],
            has_bonnet,
            cab_top,
            wheel: (0.155 * height).clamp(0.38, draw.range(0.46, 0.53)),
            lift: if has_lift { draw.range(1.0, 1.5) } else { 0.0 },
            paint: draw_paint(draw),
            driver: driven.then_some(if left_hand { 1.0 } else { -1.0 }),
        }
    }

    fn build(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        self.build_cab(part, draw);
        self.build_windows(part, draw);
        let bed = 2.0 * self.wheel + draw.range(0.08, 0.2);
        self.build_chassis(part, draw, bed);
        match self.body {
            Body::Boxed | Body::Articulated => self.build_box(part, draw, bed),
            Body::Flat => self.build_flat(part, draw, bed),
            Body::Tipper => self.build_tipper(part, draw, bed),
            Body::Tractor | Body::Pickup => self.build_coupling(part, draw, bed),
        }
    }

    fn front_axle(&self) -> Arch {
        let x = if self.has_bonnet { self.front - 0.95 } else { self.front - 1.3 };
        Arch { x, radius: self.wheel }
    }

    /// Foot and brow of the windows.
    fn window_band(&self) -> (f32, f32) {
        let brow = if self.cab_top > 3.2 { 0.78 * self.cab_top } else { 0.9 * self.cab_top };
        (brow - 0.27 * self.cab_top.min(3.0), brow)
    }

    fn build_cab(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (belt, brow) = self.window_band();
        let [back, face] = self.cab;
        let half_width = self.half_width - 0.03;
        let sill = draw.range(0.28, 0.42);
        let (front, lean) = (self.front, draw.range(0.01, 0.03));
        let rounding = [0.0, draw.range(0.12, 0.35)];
        let shell = Shell { half_width, lean, rounding, matter: self.paint };
        let lip = if self.has_bonnet { belt - draw.range(0.1, 0.35) } else { belt };
        let nose = if self.has_bonnet { draw.range(0.05, 0.2) } else { 0.02 };
        let outline = [
            Vec2::new(front - 0.08, sill),
            Vec2::new(front, sill + 0.25),
            Vec2::new(front - nose, lip),
            Vec2::new(face, belt),
            Vec2::new(back, belt),
            Vec2::new(back, sill),
        ];
        shell.build(part, &convex(&outline), &[self.front_axle()]);
        build_axle(part, self.front_axle().x, half_width, self.wheel, 0.30, matt(0.2));
        // The roof, steep before and flat behind; high ones have a wind deflector's slope.
        let slope = draw.range(0.1, 0.25) + 0.5 * (self.cab_top - brow - 0.3).max(0.0);
        let roof = [
            Vec2::new(face - 0.14, brow - 0.015),
            Vec2::new(face - 0.14 - slope, self.cab_top),
            Vec2::new(back + 0.05, self.cab_top),
            Vec2::new(back, brow - 0.015),
        ];
        part.extrusion(&convex(&roof), half_width - 0.03, 0.08, [0.0, 0.1], self.paint);
        let axle = self.front_axle();
        part.block(
            Vec3::new(axle.x - 1.2 * axle.radius, 0.35 - half_width, 0.5 * axle.radius),
            Vec3::new((axle.x + 1.2 * axle.radius).min(front - 0.1), half_width - 0.35, axle.crown()),
            matt(0.06),
        );
        for side in [-1.0, 1.0] {
            part.blob(
                Vec3::new(front - 0.06, side * 0.78 * half_width, sill + 0.35),
                Vec3::new(0.06, 0.16, 0.08),
                headlamp(),
            );
            // Mirrors on arms, taller than wide.
            let mirror = Vec3::new(face + 0.05 - 0.1, side * (half_width + 0.17), belt + 0.35);
            part.limb(mirror - Vec3::Y * (side * 0.2), mirror, 0.02, matt(0.1));
            part.blob(mirror, Vec3::new(0.06, 0.11, draw.range(0.2, 0.32)), matt(0.1));
        }
        build_plate(part, front - 0.01, sill + 0.12, 0.26, 1.0);
    }

    fn build_windows(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (belt, brow) = self.window_band();
        let [back, face] = self.cab;
        let half_width = self.half_width - 0.05;
        let rake = draw.range(0.08, 0.28);
        // The doors' windows end where the seats stand; behind is sheet metal.
        let door = (face - draw.range(1.0, 1.25)).max(back + 0.12);
        let panes = [
            Vec2::new(face - 0.02, belt - 0.01),
            Vec2::new(face - rake, brow),
            Vec2::new(door, brow),
            Vec2::new(door, belt - 0.01),
        ];
        part.extrusion(&panes, half_width, 0.04, [0.0, 0.12], glass());
        part.block(Vec3::new(back, -half_width, belt - 0.01), Vec3::new(door, half_width, brow), self.paint);
        for side in [-1.0, 1.0] {
            part.limb(
                Vec3::new(face - 0.10, side * (half_width - 0.05), belt),
                Vec3::new(face - rake - 0.06, side * (half_width - 0.07), brow),
                0.055,
                self.paint,
            );
        }
        part.block(
            Vec3::new(face - 0.55, 0.08 - half_width, belt - 0.1),
            Vec3::new(face - 0.2, half_width - 0.08, belt + 0.04),
            matt(0.07),
        );
        let seat = door + 0.1;
        for side in [-1.0, 1.0] {
            let y = side * 0.5 * half_width;
            part.block(
                Vec3::new(seat, y - 0.25, belt - 0.1),
                Vec3::new(seat + 0.12, y + 0.25, brow - 0.15),
                matt(0.15),
            );
        }
        if let Some(side) = self.driver {
            let place = Vec3::new(seat + 0.28, side * 0.5 * half_width, brow - 1.02);
            build_occupant(part, place, draw.range(1.65, 1.85), draw_cloth(draw));
        }
    }

    fn build_chassis(&self, part: &mut Builder<'_>, draw: &mut Draw, bed: f32) {
        let frame = matt(0.10);
        let rear = self.rear + self.lift;
        let long = self.front - rear;
        part.block(Vec3::new(rear + 0.15, -0.45, 0.55), Vec3::new(self.cab[0] + 0.1, 0.45, bed), frame);
        let step = 2.0 * self.wheel + 0.3;
        let last = rear + draw.range(0.9, 1.5).min(0.2 * long);
        let mut axles = vec![last];
        match self.body {
            Body::Articulated => {
                axles.extend([last + step, last + 2.0 * step, self.front_axle().x - draw.range(3.4, 3.8)]);
            }
            _ if long > 8.5 || (self.body == Body::Tractor && self.has_bonnet) => axles.push(last + step),
            _ => {}
        }
        for x in &axles {
            // Twin tyres.
            build_axle(part, *x, self.half_width - 0.02, self.wheel, 0.55, matt(0.15));
        }
        // Tanks, batteries and guards between the axles.
        let ahead = self.cab[0] - 0.1;
        let behind =
            axles.iter().copied().filter(|x| *x < ahead - 1.2).fold(last, f32::max) + 1.3 * self.wheel;
        if ahead - behind > 0.6 {
            for side in [-1.0, 1.0f32] {
                let (a, b) = (side * 0.5, side * (self.half_width - draw.range(0.02, 0.2)));
                let from =
                    if draw.chance(0.5) { behind } else { ahead - draw.range(0.5, 1.4).min(ahead - behind) };
                part.block(
                    Vec3::new(from, a.min(b), draw.range(0.35, 0.5)),
                    Vec3::new(ahead, a.max(b), draw.range(0.85, bed)),
                    matt(draw.range(0.06, 0.4)),
                );
            }
        }
        // The bar that keeps cars out, lamps and a plate.
        part.block(
            Vec3::new(rear, -0.9 * self.half_width, 0.42),
            Vec3::new(rear + 0.1, 0.9 * self.half_width, 0.58),
            frame,
        );
        for side in [-1.0, 1.0] {
            let y = side * 0.72 * self.half_width;
            part.block(
                Vec3::new(rear - 0.01, y - 0.2, 0.62),
                Vec3::new(rear + 0.05, y + 0.2, 0.76),
                tail_lamp(),
            );
        }
        build_plate(part, rear + 0.01, 0.62, 0.26, -1.0);
    }

    fn build_box(&self, part: &mut Builder<'_>, draw: &mut Draw, bed: f32) {
        let rear = self.rear + self.lift;
        let front = self.cab[0] - draw.range(0.06, if self.body == Body::Articulated { 0.9 } else { 0.3 });
        let wall = matt(draw.range(0.12, 0.65));
        part.block(
            Vec3::new(rear, -self.half_width, bed),
            Vec3::new(front, self.half_width, self.height),
            wall,
        );
        // A box over the cab, or a cooler.
        if self.cab_top < self.height - 0.25 && draw.chance(0.4) {
            let to = front + draw.range(0.35, 1.1);
            let low = self.cab_top + 0.04;
            part.block(Vec3::new(front, -0.8, low), Vec3::new(to, 0.8, self.height - 0.05), wall);
        }
        if self.lift > 0.0 {
            let low = if draw.chance(0.5) { bed - 0.08 } else { 0.05 };
            part.block(
                Vec3::new(self.rear, 0.1 - self.half_width, low),
                Vec3::new(rear, self.half_width - 0.1, low + 0.07),
                matt(0.3),
            );
        } else if draw.chance(0.2) {
            // A tail lift, folded up.
            let rear = self.rear;
            part.block(Vec3::new(rear - 0.01, -1.0, bed), Vec3::new(rear + 0.05, 1.0, bed + 1.5), matt(0.3));
        }
    }

    fn build_flat(&self, part: &mut Builder<'_>, draw: &mut Draw, bed: f32) {
        let (rear, front, half) = (self.rear, self.cab[0] - draw.range(0.08, 0.25), self.half_width);
        let side = matt(draw.range(0.15, 0.5));
        part.block(Vec3::new(rear, -half, bed - 0.08), Vec3::new(front, half, bed + 0.06), matt(0.25));
        part.block(Vec3::new(front - 0.08, -half, bed), Vec3::new(front, half, self.height), side);
        if draw.chance(0.7) {
            let top = bed + draw.range(0.3, 0.6);
            for (a, b) in [(-half, 0.04 - half), (half - 0.04, half)] {
                part.block(Vec3::new(rear, a, bed), Vec3::new(front, b, top), side);
            }
            part.block(Vec3::new(rear, -half, bed), Vec3::new(rear + 0.04, half, top), side);
        }
        for _ in 0..draw.index(4) {
            let (x, y) = (draw.range(rear + 0.7, front - 0.7), draw.range(-0.5, 0.5) * (half - 0.5));
            let load = Vec3::new(draw.range(0.3, 0.6), draw.range(0.3, 0.5), draw.range(0.3, 0.95));
            let top = (bed + load.z * 1.4).min(self.height);
            part.block(
                Vec3::new(x - load.x, y - load.y, bed),
                Vec3::new(x + load.x, y + load.y, top),
                matt(draw.range(0.1, 0.6)),
            );
        }
    }

    fn build_tipper(&self, part: &mut Builder<'_>, draw: &mut Draw, bed: f32) {
        let (rear, front, half) = (self.rear, self.cab[0] - 0.12, self.half_width);
        let steel = matt(draw.range(0.15, 0.5));
        let rim = (bed + draw.range(0.8, 1.4)).min(self.height - 0.1);
        let outline = [
            Vec2::new(rear + draw.range(0.1, 0.35), bed),
            Vec2::new(rear, rim),
            Vec2::new(front, rim),
            Vec2::new(front, bed),
        ];
        part.extrusion(&convex(&outline), half, 0.0, [0.0; 2], steel);
        // The board that shields the cab, and the load.
        part.block(Vec3::new(front - 0.1, -half, rim - 0.05), Vec3::new(front, half, self.height), steel);
        let shield = (front + draw.range(0.2, 0.7)).min(self.front);
        if self.cab_top < self.height - 0.1 {
            part.block(
                Vec3::new(front, -0.9 * half, self.height - 0.08),
                Vec3::new(shield, 0.9 * half, self.height),
                steel,
            );
        }
        let (middle, long) = (0.5 * (rear + front), front - rear);
        let heap = Vec3::new(0.42 * long, 0.85 * half, draw.range(0.05, 0.4));
        part.blob(Vec3::new(middle, 0.0, rim), heap, matt(draw.range(0.15, 0.4)));
        for idx in 0..4 {
            let x = rear + long * (0.2 + 0.2 * idx as f32);
            part.block(Vec3::new(x - 0.05, -half - 0.02, bed), Vec3::new(x + 0.05, half + 0.02, rim), steel);
        }
    }

    /// The plate a trailer rests on, and guards over the wheels.
    fn build_coupling(&self, part: &mut Builder<'_>, draw: &mut Draw, bed: f32) {
        let x = self.rear + draw.range(1.0, 1.4);
        part.block(Vec3::new(x - 0.45, -0.45, bed), Vec3::new(x + 0.45, 0.45, bed + 0.14), matt(0.12));
        for side in [-1.0, 1.0f32] {
            let (a, b) = (side * (self.half_width - 0.6), side * self.half_width);
            part.block(
                Vec3::new(self.rear, a.min(b), 2.0 * self.wheel + 0.02),
                Vec3::new(x + 0.7, a.max(b), 2.0 * self.wheel + 0.07),
                matt(0.1),
            );
        }
        // Exhausts, hoses and a deflector behind the cab.
        let back = self.cab[0];
        if draw.chance(0.6) {
            let y = draw.sign() * 0.75 * self.half_width;
            part.post(Vec3::new(back - 0.2, y, bed), draw.range(1.0, self.cab_top - bed), 0.09, matt(0.3));
        }
        let deflector = clip(
            &[
                Vec2::new(back - 0.5, bed + 0.3),
                Vec2::new(back - 0.5, self.cab_top - 0.1),
                Vec2::new(back, self.cab_top - 0.1),
                Vec2::new(back, bed + 0.3),
            ],
            Vec2::new(back - 0.5, bed),
            Vec2::new(back - 0.1, self.cab_top),
        );
        if draw.chance(0.5) {
            part.extrusion(&convex(&deflector), self.half_width - 0.1, 0.0, [0.0; 2], self.paint);
        }
    }
}
