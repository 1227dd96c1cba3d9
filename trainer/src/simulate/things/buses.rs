//! Buses: a long shell, a band of windows with seats and people behind it, what stands on the roof.

use super::super::draw::Draw;
use super::super::parts::{Builder, Matter};
use super::looks::{build_axle, build_plate, draw_cloth, draw_paint, draw_size};
use super::looks::{glass, headlamp, matt, tail_lamp};
use super::profiles::{Arch, Shell, convex};
use super::{BOX_MARGIN_M, Category, Region, Thing, assemble};
use glam::{Vec2, Vec3};

impl Thing {
    /// A city bus, a coach or a minibus.
    ///
    /// **Source**: the mean of nuScenes' labels, 10.5 x 2.94 x 3.47 m, mirrors included.
    pub(in crate::simulate) fn draw_bus(draw: &mut Draw, region: Region, driven: bool) -> Self {
        let kinds: [(f32, (Kind, [f32; 3])); 3] = [
            (0.62, (Kind::City, [11.4, 2.92, 3.45])),
            (0.22, (Kind::Coach, [11.8, 2.95, 3.75])),
            (0.16, (Kind::Mini, [7.2, 2.45, 2.95])),
        ];
        let (kind, mean) = draw.weighted(&kinds, (Kind::City, [11.4, 2.92, 3.45]));
        let size = draw_size(draw, mean, [0.08 * mean[0], 0.09, 0.12]);
        let bus = Bus::draw(draw, kind, size, region, driven);
        let parts = assemble(|part| bus.build(part, draw));
        Self::rigid(Category::Bus, size, parts)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    City,
    Coach,
    Mini,
}

struct Bus {
    kind: Kind,
    front: f32,
    rear: f32,
    half_width: f32,
    height: f32,
    /// Foot and head of the windows, and the roof's crest.
    belt: f32,
    brow: f32,
    roof: f32,
    /// How far the windscreen's head stands behind its foot.
    rake: f32,
    paint: Matter,
    driver: Option<f32>,
}

impl Bus {
    fn draw(draw: &mut Draw, kind: Kind, size: Vec3, region: Region, driven: bool) -> Self {
        let height = size.z - BOX_MARGIN_M;
        let (belt, rake) = match kind {
            Kind::City => (draw.range(0.30, 0.40), draw.range(0.02, 0.3)),
            Kind::Coach => (draw.range(0.42, 0.50), draw.range(0.1, 0.6)),
            Kind::Mini => (draw.range(0.40, 0.48), draw.range(0.3, 0.8)),
        };
        let has_unit = kind != Kind::Mini && draw.chance(0.6);
        let roof = if has_unit { height - draw.range(0.12, 0.3) } else { height };
        let left_hand = region == Region::Europe || draw.chance(0.5);
        Self {
            kind,
            front: 0.5 * size.x - BOX_MARGIN_M,
            rear: -0.5 * size.x + BOX_MARGIN_M,
            half_width: 0.5 * size.y - BOX_MARGIN_M,
            height,
            belt: belt * height,
            brow: roof - draw.range(0.35, 0.65),
            roof,
            rake,
            paint: draw_paint(draw),
            driver: driven.then_some(if left_hand { 1.0 } else { -1.0 }),
        }
    }

    fn build(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        self.build_shell(part, draw);
        self.build_windows(part, draw);
        self.build_seats(part, draw);
        self.build_roof(part, draw);
        self.build_trim(part, draw);
    }

    fn build_shell(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear) = (self.front, self.rear);
        let radius = if self.kind == Kind::Mini { 0.39 } else { draw.range(0.46, 0.50) };
        let long = front - rear;
        let (ahead, behind) = match self.kind {
            Kind::Mini => (0.17 * long, 0.25 * long),
            _ => (draw.range(2.4, 2.8), draw.range(2.6, 3.4)),
        };
        let mut arches = vec![Arch { x: rear + behind, radius }, Arch { x: front - ahead, radius }];
        if self.kind == Kind::Coach && draw.chance(0.4) {
            arches.insert(0, Arch { x: rear + behind - 2.5 * radius, radius });
        }
        let sill = draw.range(0.25, 0.36);
        let outline = [
            Vec2::new(front - 0.1, sill),
            Vec2::new(front, sill + 0.3),
            Vec2::new(front - 0.05 * self.rake, self.belt),
            Vec2::new(rear, self.belt),
            Vec2::new(rear, sill + 0.35),
            Vec2::new(rear + 0.12, sill),
        ];
        let rounding = [draw.range(0.0, 0.2), draw.range(0.1, 0.5)];
        let shell = Shell { half_width: self.half_width, lean: 0.01, rounding, matter: self.paint };
        shell.build(part, &convex(&outline), &arches);
        for arch in &arches {
            build_axle(part, arch.x, self.half_width - 0.03, radius, 0.3, matt(0.25));
        }
        let inside = self.half_width - 0.4;
        part.block(
            Vec3::new(rear + 0.4, -inside, 0.4),
            Vec3::new(front - 0.4, inside, 2.0 * radius + 0.05),
            matt(0.05),
        );
    }

    fn build_windows(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear) = (self.front, self.rear);
        let half = self.half_width - 0.012;
        let panes = [
            Vec2::new(front - 0.03 - 0.05 * self.rake, self.belt - 0.01),
            Vec2::new(front - 0.03 - self.rake, self.brow),
            Vec2::new(rear + draw.range(0.02, 0.12), self.brow),
            Vec2::new(rear + 0.02, self.belt - 0.01),
        ];
        part.extrusion(&convex(&panes), half, 0.02, [0.05, 0.2], glass());
        // Posts stand slightly proud of the glass; the last fields are often sheet metal.
        let n_posts = ((front - rear) / draw.range(1.3, 1.9)) as usize;
        let step = (front - rear - 0.3) / n_posts.max(1) as f32;
        for idx in 0..=n_posts {
            let x = rear + 0.12 + step * idx as f32;
            let head = x.min(front - self.rake - 0.15);
            for side in [-1.0, 1.0] {
                part.limb(
                    Vec3::new(x.min(front - 0.15), side * (half - 0.045), self.belt),
                    Vec3::new(head, side * (half - 0.06), self.brow),
                    0.055,
                    self.paint,
                );
            }
        }
        if draw.chance(0.6) {
            let to = rear + step * draw.range(0.5, 1.4);
            part.block(
                Vec3::new(rear + 0.01, -self.half_width, self.belt),
                Vec3::new(to, self.half_width, self.brow),
                self.paint,
            );
        }
    }

    /// Floor, rows of seats, the driver, and some people.
    fn build_seats(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear, half) = (self.front - 0.4, self.rear + 0.3, self.half_width - 0.1);
        part.block(
            Vec3::new(rear, -half, self.belt - 0.3),
            Vec3::new(front, half, self.belt + 0.005),
            matt(0.15),
        );
        let cloth = matt(draw.range(0.08, 0.3));
        let top = self.belt + draw.range(0.2, 0.45);
        let n_rows = (((front - rear) - 1.8) / draw.range(0.95, 1.4)) as usize;
        let step = (front - rear - 1.8) / n_rows.max(1) as f32;
        for row in 0..n_rows.min(11) {
            let x = rear + 0.3 + step * row as f32;
            for side in [-1.0, 1.0f32] {
                let (a, b) = (side * 0.3, side * (half - 0.05));
                part.block(Vec3::new(x - 0.1, a.min(b), self.belt - 0.1), Vec3::new(x, a.max(b), top), cloth);
            }
        }
        let n_people = if self.driver.is_some() { draw.index(7) } else { 0 };
        for _ in 0..n_people {
            let place = Vec3::new(
                rear + 0.5 + step * draw.index(n_rows.max(1)) as f32,
                draw.sign() * draw.range(0.4, half - 0.3),
                self.belt - 0.05,
            );
            // Head and trunk in one: there are many.
            part.limb(place, place + Vec3::Z * 0.42, 0.15, draw_cloth(draw));
        }
        if let Some(side) = self.driver {
            let place = Vec3::new(front - self.rake - 0.5, side * 0.55 * half, self.belt - 0.1);
            part.limb(place, place + Vec3::Z * 0.3, 0.17, draw_cloth(draw));
            part.blob(place + Vec3::Z * 0.62, Vec3::new(0.1, 0.08, 0.13), matt(0.4));
        }
    }

    fn build_roof(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear) = (self.front - self.rake, self.rear);
        let cap = [
            Vec2::new(front - 0.02, self.brow - 0.01),
            Vec2::new(front, self.brow + 0.12),
            Vec2::new(front - 0.15, self.roof - 0.05),
            Vec2::new(front - 0.5, self.roof),
            Vec2::new(rear + 0.3, self.roof),
            Vec2::new(rear, self.roof - 0.12),
            Vec2::new(rear, self.brow - 0.01),
        ];
        part.extrusion(&convex(&cap), self.half_width - 0.005, 0.14, [0.05, 0.2], self.paint);
        // Where the bus goes: a dark field over the windscreen.
        part.block(
            Vec3::new(front - 0.1, -0.7, self.brow + 0.04),
            Vec3::new(front + 0.005, 0.7, (self.brow + 0.28).min(self.roof - 0.06)),
            glass(),
        );
        if self.roof < self.height {
            let middle = draw.range(0.5 * rear, 0.3 * front);
            let half = Vec2::new(draw.range(0.8, 1.6), draw.range(0.6, 0.95));
            part.block(
                Vec3::new(middle - half.x, -half.y, self.roof - 0.02),
                Vec3::new(middle + half.x, half.y, self.height),
                matt(draw.range(0.2, 0.6)),
            );
        }
    }

    fn build_trim(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (front, rear, half) = (self.front, self.rear, self.half_width);
        let ears = draw.chance(0.5);
        for side in [-1.0, 1.0] {
            part.blob(
                Vec3::new(front - 0.15, side * 0.72 * half, 0.75),
                Vec3::new(0.08, 0.16, 0.08),
                headlamp(),
            );
            part.block(
                Vec3::new(rear - 0.005, side * 0.82 * half - 0.09, 0.8),
                Vec3::new(rear + 0.1, side * 0.82 * half + 0.09, 1.15),
                tail_lamp(),
            );
            // Mirrors hang from the roof's corners, or stand out at the sides.
            let z = if ears { self.brow - 0.15 } else { self.belt + 0.45 };
            let out = Vec3::new(front - 0.02, side * (half + 0.12), z);
            part.limb(Vec3::new(front - 0.25, side * (half - 0.1), z + 0.15), out, 0.025, matt(0.1));
            part.blob(out - Vec3::Z * 0.15, Vec3::new(0.07, 0.11, 0.2), matt(0.1));
        }
        build_plate(part, front - 0.012, 0.42, 0.26, 1.0);
        build_plate(part, rear + 0.012, 0.72, 0.26, -1.0);
    }
}
