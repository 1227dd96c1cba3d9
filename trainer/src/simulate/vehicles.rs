//! Cars, vans and trucks with a side profile, glass and wheels.

use super::draw::Draw;
use super::scene::{Builder, Finish, Matter, Scene};
use glam::{Vec2, Vec3};

/// Room between a body and its labelled box on each side: most of the range noise.
const BOX_MARGIN_M: f32 = 0.035;

/// A vehicle before it is placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct VehiclePlan {
    /// KITTI's name of its class.
    pub(super) class_name: &'static str,
    /// Length, width, height, metres.
    pub(super) size_lwh: Vec3,
    style: Style,
    reflectivity: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Sedan,
    Hatch,
    Estate,
    Suv,
    Van,
    Truck,
}

/// Where a style's glasshouse stands, as fractions of length (from the middle, forward positive) and height.
struct Profile {
    bonnet_z: f32,
    belt_z: f32,
    tail_z: f32,
    cowl_x: f32,
    roof_front_x: f32,
    roof_rear_x: f32,
    rear_belt_x: f32,
}

impl Style {
    fn profile(self) -> Profile {
        let (bonnet_z, belt_z, tail_z, cowl_x, roof_front_x, roof_rear_x, rear_belt_x) = match self {
            Self::Sedan => (0.50, 0.64, 0.62, 0.20, 0.04, -0.22, -0.36),
            Self::Hatch => (0.50, 0.63, 0.60, 0.26, 0.08, -0.36, -0.48),
            Self::Estate => (0.48, 0.62, 0.60, 0.22, 0.06, -0.41, -0.485),
            Self::Suv => (0.58, 0.66, 0.63, 0.24, 0.10, -0.40, -0.485),
            Self::Van => (0.44, 0.56, 0.58, 0.36, 0.22, -0.47, -0.495),
            Self::Truck => (0.40, 0.45, 0.50, 0.49, 0.46, 0.30, 0.29),
        };
        Profile { bonnet_z, belt_z, tail_z, cowl_x, roof_front_x, roof_rear_x, rear_belt_x }
    }
}

impl VehiclePlan {
    /// A vehicle drawn with KITTI's sizes and shares of classes.
    pub(super) fn draw(draw: &mut Draw, parked: bool) -> Self {
        let style = draw.weighted(
            &[
                (0.28, Style::Sedan),
                (0.28, Style::Hatch),
                (0.18, Style::Estate),
                (0.14, Style::Suv),
                (0.09, Style::Van),
                (if parked { 0.015 } else { 0.05 }, Style::Truck),
            ],
            Style::Hatch,
        );
        let size = |l: (f32, f32), w: f32, h: f32, draw: &mut Draw| {
            Vec3::new(
                draw.bell_within(l.0, l.1, l.0 * 0.82, l.0 * 1.22),
                draw.bell_within(w, 0.07, w * 0.9, w * 1.12),
                draw.bell_within(h, 0.05 * h, h * 0.88, h * 1.15),
            )
        };
        let (class_name, size_lwh) = match style {
            Style::Sedan => ("Car", size((4.25, 0.26), 1.66, 1.45, draw)),
            Style::Hatch => ("Car", size((3.65, 0.25), 1.60, 1.49, draw)),
            Style::Estate => ("Car", size((4.25, 0.28), 1.66, 1.49, draw)),
            Style::Suv => ("Car", size((4.25, 0.30), 1.73, 1.70, draw)),
            Style::Van => ("Van", size((5.0, 0.45), 1.88, 2.2, draw)),
            Style::Truck => ("Truck", size((9.5, 1.9), 2.5, 3.2, draw)),
        };
        // Half of the cars of a street are dark to an infrared beam.
        let reflectivity = if draw.chance(0.45) { draw.range(0.02, 0.10) } else { draw.range(0.12, 0.55) };
        Self { class_name, size_lwh, style, reflectivity }
    }

    /// Stands the vehicle at a place; false where there is no room.
    pub(super) fn stand(&self, scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) -> bool {
        if !scene.claim(place, Vec2::new(self.size_lwh.x, self.size_lwh.y) * 0.5 + Vec2::splat(0.12), yaw) {
            return false;
        }
        let pose = scene.stand(place, yaw);
        let mut builder = scene.actor(self.class_name, pose, self.size_lwh);
        // People draw boxes around the points, range noise included: the body is a little smaller than its box.
        let body = Self { size_lwh: self.size_lwh - BOX_MARGIN_M * Vec3::new(2.0, 2.0, 1.0), ..*self };
        if self.style == Style::Truck {
            body.build_truck(&mut builder, draw);
        } else {
            body.build_car(&mut builder, draw);
        }
        true
    }

    /// How deep the rear and the front end are rounded seen from above, metres.
    fn rounding(&self, draw: &mut Draw) -> [f32; 2] {
        match self.style {
            Style::Van | Style::Truck => [draw.range(0.04, 0.15), draw.range(0.2, 0.45)],
            _ => [draw.range(0.15, 0.40), draw.range(0.30, 0.70)],
        }
    }

    fn build_car(&self, builder: &mut Builder<'_>, draw: &mut Draw) {
        let (l, w, h) = (self.size_lwh.x, self.size_lwh.y, self.size_lwh.z);
        let form = self.style.profile();
        let paint = Matter::solid(Finish::Paint, self.reflectivity);
        let (front, rear, half_w) = (l * 0.5, -l * 0.5, w * 0.5);
        let (sill, arch) = (0.13 * h, 0.36 * h);
        let belt = form.belt_z * h;
        let bonnet = form.bonnet_z * h * draw.range(0.97, 1.05);
        let tail = form.tail_z * h;
        let round = draw.range(0.05, 0.12);
        let rounding = self.rounding(draw);
        // Above the wheel arches, over the whole length: bonnet, doors, boot.
        let body = [
            Vec2::new(front - 0.04, arch),
            Vec2::new(front, arch + 0.06),
            Vec2::new(front - round * 0.8, bonnet - 0.06),
            Vec2::new(front - round * 2.2, bonnet),
            Vec2::new(form.cowl_x * l, belt),
            Vec2::new(form.rear_belt_x * l, belt),
            Vec2::new(rear + round * 1.2, tail),
            Vec2::new(rear, arch + 0.10),
            Vec2::new(rear + 0.03, arch),
        ];
        builder.extrusion(&convex(&body), half_w, 0.05, rounding, paint);
        // Below: bumpers and sills between the wheel arches.
        let radius = (0.205 * h).clamp(0.27, 0.36);
        let axle_front = front - l * draw.range(0.185, 0.21);
        let axle_rear = rear + l * draw.range(0.175, 0.20);
        let opening = radius * 1.12;
        for (from, to) in [
            (axle_front + opening, front - 0.03),
            (axle_rear + opening, axle_front - opening),
            (rear + 0.02, axle_rear - opening),
        ] {
            if to - from > 0.08 {
                let end = 0.06f32.min((to - from) * 0.3);
                let part = [
                    Vec2::new(from, arch + 0.02),
                    Vec2::new(to, arch + 0.02),
                    Vec2::new(to - end, sill),
                    Vec2::new(from + end, sill),
                ];
                let ends = [
                    if from < axle_rear { rounding[0] } else { 0.0 },
                    if to > axle_front { rounding[1] } else { 0.0 },
                ];
                builder.extrusion(&part, half_w - 0.01, 0.0, ends, paint);
            }
        }
        let rim = Matter::solid(Finish::Paint, draw.range(0.1, 0.5));
        let tyre = Matter::solid(Finish::Matt, 0.07);
        for x in [axle_front, axle_rear] {
            for side in [-1.0, 1.0] {
                let y = side * (half_w - 0.12);
                builder.wheel(Vec3::new(x, y, radius), radius, 0.20, tyre);
                builder.wheel(Vec3::new(x, y + side * 0.005, radius), radius * 0.62, 0.205, rim);
            }
        }
        // Inside of the arches: the beam must not pass through the car where the wheel leaves room.
        builder.block(
            Vec3::new(axle_rear - opening, -half_w + 0.26, radius * 0.9),
            Vec3::new(axle_front + opening, half_w - 0.26, arch + 0.05),
            Matter::solid(Finish::Matt, 0.05),
        );
        self.build_glasshouse(builder, draw, &form, rounding);
        // Number plates and lamps shine back.
        let plate = Matter::solid(Finish::Retro, 0.8);
        for (x, out) in [(front, 1.0f32), (rear, -1.0)] {
            let z = draw.range(0.30, 0.42) * h;
            let (a, b) = (x - out * 0.03, x - out * 0.005);
            builder.block(Vec3::new(a.min(b), -0.24, z), Vec3::new(a.max(b), 0.24, z + 0.11), plate);
        }
    }

    fn build_glasshouse(
        &self,
        builder: &mut Builder<'_>,
        draw: &mut Draw,
        form: &Profile,
        rounding: [f32; 2],
    ) {
        let (l, w, h) = (self.size_lwh.x, self.size_lwh.y, self.size_lwh.z);
        let belt = form.belt_z * h;
        let paint = Matter::solid(Finish::Paint, self.reflectivity);
        let half_w = w * 0.5 - 0.05;
        let closed = self.style == Style::Van && draw.chance(0.5);
        let matter = if closed { paint } else { Matter::solid(Finish::Glass, 0.08) };
        let brow = 0.93 * h;
        let shift = draw.range(-0.015, 0.015);
        let cowl = (form.cowl_x + shift) * l;
        let slope_at = |z: f32| (z - belt) / (h - belt);
        let x_front = |z: f32| cowl + (form.roof_front_x * l - cowl) * slope_at(z);
        let x_rear = |z: f32| (form.rear_belt_x + (form.roof_rear_x - form.rear_belt_x) * slope_at(z)) * l;
        let lean = if self.style == Style::Van { 0.06 } else { 0.28 };
        let panes = [
            (cowl, belt - 0.02),
            (x_front(brow), brow),
            (x_rear(brow), brow),
            (form.rear_belt_x * l, belt - 0.02),
        ];
        builder.extrusion(
            &panes.map(|(x, z)| Vec2::new(x, z)),
            half_w,
            lean,
            rounding.map(|depth| depth * 0.4),
            matter,
        );
        // The roof, a shallow cap.
        let mid = 0.5 * (x_front(brow) + x_rear(brow));
        let cap = [
            Vec2::new(x_front(brow), brow - 0.01),
            Vec2::new(x_front(h) - 0.05 * l, h - 0.015),
            Vec2::new(mid, h),
            Vec2::new(x_rear(h) + 0.03 * l, h - 0.02),
            Vec2::new(x_rear(brow), brow - 0.01),
        ];
        builder.extrusion(&convex(&cap), half_w - lean * (brow - belt), 0.5, [0.08; 2], paint);
        // Pillars, slightly proud of the glass.
        let proud = 0.012;
        let mut pillars = vec![(cowl, x_front(brow)), (form.rear_belt_x * l + 0.06, x_rear(brow) + 0.06)];
        pillars.push((0.02 * l, 0.0));
        if self.style != Style::Hatch {
            pillars.push((-0.22 * l, -0.22 * l));
        }
        let top_half = half_w - lean * (brow - belt);
        for (foot, head) in pillars {
            for side in [-1.0, 1.0] {
                builder.limb(
                    Vec3::new(foot, side * (half_w - 0.03 + proud), belt),
                    Vec3::new(head, side * (top_half - 0.03 + proud), brow),
                    0.04,
                    paint,
                );
            }
        }
        // Seats and a driver's shape inside, seen through the glass.
        let cloth = Matter::solid(Finish::Matt, 0.18);
        let seat_top = belt + 0.55 * (h - belt);
        for (x, y) in [(0.04, 0.22), (0.04, -0.22), (-0.19, 0.0)] {
            let spread = if y == 0.0 { 0.36 } else { 0.12 };
            builder.block(
                Vec3::new(x * l - 0.08, y * w - spread * w, belt - 0.1),
                Vec3::new(x * l + 0.08, y * w + spread * w, seat_top),
                cloth,
            );
        }
    }

    fn build_truck(&self, builder: &mut Builder<'_>, draw: &mut Draw) {
        let (l, w, h) = (self.size_lwh.x, self.size_lwh.y, self.size_lwh.z);
        let paint = Matter::solid(Finish::Paint, self.reflectivity.max(0.15));
        let cargo = Matter::solid(Finish::Matt, draw.range(0.15, 0.5));
        let (front, rear, half_w) = (l * 0.5, -l * 0.5, w * 0.5);
        let cab_rear = front - draw.range(1.7, 2.2);
        let cab_top = h * draw.range(0.78, 0.95);
        let cab = [
            Vec2::new(front, 0.4),
            Vec2::new(front, cab_top * 0.5),
            Vec2::new(front - 0.25, cab_top),
            Vec2::new(cab_rear, cab_top),
            Vec2::new(cab_rear, 0.4),
        ];
        builder.extrusion(&cab, half_w - 0.04, 0.02, [0.0, 0.15], paint);
        let bed = draw.range(0.9, 1.15);
        let top = if draw.chance(0.75) { h } else { h * 0.55 };
        builder.block(Vec3::new(rear, -half_w, bed), Vec3::new(cab_rear - 0.2, half_w, top), cargo);
        // The box reaches the labelled height wherever the cargo is low.
        if top < h {
            builder.block(
                Vec3::new(cab_rear - 0.3, -half_w, bed),
                Vec3::new(cab_rear - 0.2, half_w, h),
                cargo,
            );
        }
        let frame = Matter::solid(Finish::Matt, 0.10);
        builder.block(Vec3::new(rear + 0.2, -0.45, 0.55), Vec3::new(front - 0.3, 0.45, bed), frame);
        for x in [front - 1.2, rear + 1.3, rear + 2.5] {
            for side in [-1.0, 1.0] {
                builder.wheel(
                    Vec3::new(x, side * (half_w - 0.22), 0.48),
                    0.48,
                    0.3,
                    Matter::solid(Finish::Matt, 0.07),
                );
            }
        }
        builder.block(Vec3::new(rear, -half_w, 0.45), Vec3::new(rear + 0.08, half_w, 0.6), frame);
        builder.block(
            Vec3::new(rear - 0.01, -0.26, 0.62),
            Vec3::new(rear + 0.01, 0.26, 0.73),
            Matter::solid(Finish::Retro, 0.9),
        );
    }
}

/// The convex outline of profile points.
///
/// Drawn proportions can put a point inside the outline of the others, and half-spaces through such a point would
/// cut the shape.
fn convex(points: &[Vec2]) -> Vec<Vec2> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let mut outline: Vec<Vec2> = Vec::with_capacity(sorted.len() + 1);
    for pass in 0..2 {
        let floor = outline.len();
        for p in &sorted {
            while let [.., a, b] = outline.as_slice()
                && outline.len() > floor + 1
                && (*b - *a).perp_dot(*p - *b) <= 1e-7
            {
                outline.pop();
            }
            outline.push(*p);
        }
        outline.pop();
        if pass == 0 {
            sorted.reverse();
        }
    }
    outline
}
