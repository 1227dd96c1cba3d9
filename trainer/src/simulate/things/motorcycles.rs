//! Motorcycles and scooters, with a rider or on their stand.

use super::super::draw::Draw;
use super::super::parts::{Builder, Matter};
use super::cycles::MARGIN_M;
use super::gait::Frame;
use super::looks::{build_plate, draw_paint, glass, headlamp, matt, tail_lamp, tyre};
use super::profiles::convex;
use super::riders::{Rider, Stand};
use super::{Category, Thing, assemble_centred};
use glam::{Vec2, Vec3};

impl Thing {
    /// A motorcycle or a scooter.
    ///
    /// **Source**: the mean of nuScenes' labels, ridden or not, 2.11 x 0.77 x 1.47 m.
    pub(in crate::simulate) fn draw_motorcycle(draw: &mut Draw, has_rider: bool) -> Self {
        let (parts, size) = assemble_centred(draw, |part, draw| {
            let machine = Motorcycle::draw(draw);
            machine.build(part, draw);
            if has_rider {
                let frame = Frame { height: draw.bell_within(1.73, 0.07, 1.55, 1.92) };
                let lean = draw.range(machine.lean[0], machine.lean[1]);
                Rider::draw(draw, frame, machine.stand(), lean).build(part, 0.0);
            }
        });
        let margin = Vec3::new(2.0, 2.0, 1.0) * MARGIN_M;
        let thing = Self::rigid(Category::Motorcycle, size + margin, parts);
        Self { has_rider, ..thing }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scooter,
    Naked,
    Sport,
    Cruiser,
}

/// A machine around the middle of its wheels, metres.
struct Motorcycle {
    kind: Kind,
    radius: f32,
    half_base: f32,
    tyre_width: f32,
    seat_z: f32,
    seat_x: f32,
    /// The left end of the handlebar.
    grip: Vec3,
    /// The left peg or the floor of a scooter.
    peg: Vec3,
    lean: [f32; 2],
    paint: Matter,
    is_dark: bool,
}

impl Motorcycle {
    fn draw(draw: &mut Draw) -> Self {
        let kinds = [(0.42, Kind::Scooter), (0.28, Kind::Naked), (0.16, Kind::Sport), (0.14, Kind::Cruiser)];
        let kind = draw.weighted(&kinds, Kind::Naked);
        // Radius, half the wheelbase, seat height, grip (ahead of the middle, height), peg, lean.
        let (radius, half_base, seat_z, grip, peg, lean) = match kind {
            Kind::Scooter => (0.245, 0.66, 0.77, (0.36, 1.0), (0.22, 0.16, 0.30), [0.0, 0.12]),
            Kind::Naked => (0.31, 0.72, 0.80, (0.38, 1.05), (-0.12, 0.22, 0.38), [0.15, 0.4]),
            Kind::Sport => (0.31, 0.71, 0.82, (0.42, 0.90), (-0.20, 0.22, 0.42), [0.5, 0.8]),
            Kind::Cruiser => (0.32, 0.82, 0.69, (0.26, 1.08), (0.38, 0.28, 0.35), [-0.08, 0.1]),
        };
        let scale = draw.range(0.93, 1.07);
        Self {
            kind,
            radius: radius * scale,
            half_base: half_base * draw.range(0.95, 1.06),
            tyre_width: draw.range(0.10, 0.18),
            seat_z: seat_z * scale,
            seat_x: -0.22,
            grip: Vec3::new(grip.0, draw.range(0.30, 0.39), grip.1 * scale),
            peg: Vec3::new(peg.0, peg.1, peg.2),
            lean,
            paint: draw_paint(draw),
            is_dark: draw.chance(0.6),
        }
    }

    fn stand(&self) -> Stand {
        Stand {
            hip: Vec3::new(self.seat_x, 0.0, self.seat_z + 0.09),
            grip: self.grip - Vec3::Y * 0.05,
            feet: self.peg,
            has_cranks: false,
        }
    }

    fn build(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear, radius) = (self.half_base, -self.half_base, self.radius);
        let metal = matt(if self.is_dark { 0.1 } else { 0.3 });
        for x in [rear, front] {
            let hub = Vec3::new(x, 0.0, radius);
            part.wheel(hub, radius, self.tyre_width, tyre());
            part.wheel(hub, 0.6 * radius, self.tyre_width + 0.02, metal);
            let (low, high) =
                (Vec3::new(x - 0.2, -0.07, 2.0 * radius), Vec3::new(x + 0.16, 0.07, 2.0 * radius));
            part.block(low, high + Vec3::Z * 0.04, self.paint);
        }
        let steering = Vec3::new(self.grip.x + 0.06, 0.0, self.grip.z - 0.04);
        for side in [-1.0, 1.0] {
            let y = Vec3::Y * (side * 0.10);
            part.limb(Vec3::new(front, 0.0, radius) + y, steering + y * 0.8, 0.028, metal);
            part.limb(
                Vec3::new(rear, side * 0.11, radius),
                Vec3::new(-0.2, side * 0.11, radius + 0.1),
                0.03,
                metal,
            );
            let mirror = self.grip * Vec3::new(1.0, side * 0.85, 1.0) + Vec3::new(0.06, 0.0, 0.16);
            part.limb(self.grip * Vec3::new(1.0, side * 0.6, 1.0), mirror, 0.012, matt(0.1));
            part.blob(mirror, Vec3::new(0.025, 0.065, 0.045), matt(0.1));
        }
        let wide = Vec3::Y * self.grip.y;
        let middle = self.grip * Vec3::new(1.0, 0.0, 1.0);
        part.limb(middle - wide, middle + wide, 0.02, matt(0.1));
        part.blob(steering + Vec3::new(0.08, 0.0, -0.07), Vec3::new(0.07, 0.09, 0.09), headlamp());
        if self.kind == Kind::Scooter {
            self.build_scooter(part, draw);
        } else {
            self.build_machine(part, draw, metal);
        }
        let stern = rear - 0.6 * radius;
        part.blob(Vec3::new(stern + 0.05, 0.0, 0.92 * self.seat_z), Vec3::new(0.04, 0.07, 0.04), tail_lamp());
        build_plate(part, stern, 0.70 * self.seat_z, 0.10, -1.0);
        if draw.chance(if self.kind == Kind::Scooter { 0.35 } else { 0.12 }) {
            let (low, x) = (self.seat_z + 0.025, rear - 0.02);
            part.block(Vec3::new(x - 0.2, -0.2, low), Vec3::new(x + 0.18, 0.2, low + 0.3), matt(0.12));
        }
        if self.kind != Kind::Scooter && draw.chance(0.15) {
            for side in [-1.0, 1.0f32] {
                let (a, b) = (side * 0.16, side * 0.36);
                part.block(
                    Vec3::new(rear - 0.2, a.min(b), 0.42),
                    Vec3::new(rear + 0.25, a.max(b), 0.78),
                    matt(0.12),
                );
            }
        }
    }

    /// A shield for the knees, a floor, a tail with the engine under the seat.
    fn build_scooter(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear, radius) = (self.half_base, -self.half_base, self.radius);
        let half = draw.range(0.17, 0.23);
        let head = Vec2::new(self.grip.x + 0.1, self.grip.z + 0.02);
        let foot = Vec2::new(front - radius - 0.10, 0.3);
        let shield = [
            foot,
            head - Vec2::X * 0.1,
            head,
            Vec2::new(front - 0.02, 2.0 * radius + 0.12),
            foot + Vec2::X * 0.12,
        ];
        part.extrusion(&convex(&shield), half, 0.08, [0.0, 0.12], self.paint);
        part.block(Vec3::new(-0.12, -half, 0.22), Vec3::new(foot.x + 0.1, half, 0.31), matt(0.1));
        let tail = [
            Vec2::new(-0.02, 0.3),
            Vec2::new(0.06, self.seat_z - 0.08),
            Vec2::new(rear - 0.2, self.seat_z - 0.02),
            Vec2::new(rear - 0.22, self.seat_z - 0.16),
            Vec2::new(rear + 0.1, 0.42),
        ];
        part.extrusion(&convex(&tail), half, 0.12, [0.15, 0.05], self.paint);
        part.block(
            Vec3::new(rear - 0.12, -0.14, self.seat_z - 0.06),
            Vec3::new(0.08, 0.14, self.seat_z),
            matt(0.07),
        );
        part.drum(Vec3::new(rear - 0.2, -0.17, 0.3), Vec3::new(rear + 0.3, -0.17, 0.3), 0.06, matt(0.15));
        if draw.chance(0.2) {
            // A windshield.
            let pane = Vec3::new(head.x, 0.0, head.y);
            part.block(pane + Vec3::new(-0.02, -0.22, 0.0), pane + Vec3::new(0.0, 0.22, 0.4), glass());
        }
    }

    /// An engine, a tank, a seat, an exhaust, and a fairing on sport machines.
    fn build_machine(&self, part: &mut Builder<'_>, draw: &mut Draw, metal: Matter) {
        let (front, rear, seat) = (self.half_base, -self.half_base, self.seat_z);
        let half = draw.range(0.16, 0.23);
        part.block(Vec3::new(-0.26, -half, 0.22), Vec3::new(front - 0.45, half, 0.62), metal);
        part.block(Vec3::new(-0.3, -0.12, 0.5), Vec3::new(self.grip.x, 0.12, seat - 0.06), metal);
        part.blob(
            Vec3::new(0.08, 0.0, seat + 0.06),
            Vec3::new(0.30, draw.range(0.13, 0.18), draw.range(0.12, 0.17)),
            self.paint,
        );
        let kick = if self.kind == Kind::Sport { 0.12 } else { 0.02 };
        let cushion = [
            Vec2::new(-0.02, seat),
            Vec2::new(-0.35, seat - 0.02),
            Vec2::new(rear - 0.1, seat + kick),
            Vec2::new(rear - 0.16, seat + kick - 0.08),
            Vec2::new(-0.15, seat - 0.12),
        ];
        part.extrusion(&convex(&cushion), draw.range(0.11, 0.16), 0.0, [0.06, 0.0], matt(0.08));
        let y = -0.5 * self.tyre_width - 0.1;
        let rise = if self.kind == Kind::Cruiser { 0.0 } else { 0.15 };
        part.drum(Vec3::new(-0.2, y, 0.3), Vec3::new(rear - 0.15, y, 0.34 + rise), 0.055, matt(0.35));
        if self.kind == Kind::Sport || draw.chance(0.12) {
            let nose = [
                Vec2::new(front - 0.28, 0.35),
                Vec2::new(front - 0.02, 2.0 * self.radius + 0.10),
                Vec2::new(front - 0.08, self.grip.z - 0.02),
                Vec2::new(self.grip.x + 0.02, self.grip.z + 0.2),
                Vec2::new(self.grip.x - 0.05, 0.45),
            ];
            part.extrusion(&convex(&nose), 0.22, 0.12, [0.0, 0.2], self.paint);
        }
    }
}
