//! Cars and vans: a shell with wheel arches, a glasshouse with seats inside, lamps, mirrors, plates.

use super::super::draw::Draw;
use super::super::parts::{Builder, Finish, Matter};
use super::looks::{build_axle, build_occupant, build_plate, draw_cloth, draw_paint, draw_size};
use super::looks::{glass, headlamp, matt, tail_lamp};
use super::profiles::{Arch, Profile, Shell, Style, clip, convex};
use super::{BOX_MARGIN_M, Category, Region, Thing, assemble};
use glam::{Vec2, Vec3};

/// Share of the glasshouse's height at which the panes end and the roof begins.
const BROW: f32 = 0.93;

impl Thing {
    /// A passenger car; somebody sits in it where it is `driven`.
    ///
    /// **Source**: the means of the labels, length, width, height: KITTI 3.88 x 1.63 x 1.53 m, nuScenes
    /// 4.63 x 1.97 x 1.74 m, where vans count as cars.
    pub(in crate::simulate) fn draw_car(draw: &mut Draw, region: Region, driven: bool) -> Self {
        // Share, style, mean length, width, height.
        let styles: [(f32, (Style, [f32; 3])); 6] = match region {
            Region::Europe => [
                (0.24, (Style::Sedan, [4.12, 1.66, 1.45])),
                (0.04, (Style::Coupe, [4.05, 1.66, 1.36])),
                (0.38, (Style::Hatch, [3.60, 1.60, 1.50])),
                (0.16, (Style::Estate, [4.18, 1.66, 1.50])),
                (0.10, (Style::Suv, [4.20, 1.73, 1.70])),
                (0.08, (Style::Mpv, [4.10, 1.68, 1.65])),
            ],
            Region::UsAsia => [
                (0.37, (Style::Sedan, [4.72, 1.92, 1.58])),
                (0.03, (Style::Coupe, [4.55, 1.93, 1.46])),
                (0.13, (Style::Hatch, [4.12, 1.85, 1.62])),
                (0.05, (Style::Estate, [4.65, 1.91, 1.63])),
                (0.30, (Style::Suv, [4.72, 2.01, 1.81])),
                (0.12, (Style::Mpv, [4.70, 1.99, 1.88])),
            ],
        };
        let (style, mean) = draw.weighted(&styles, (Style::Hatch, [3.6, 1.6, 1.5]));
        let size = draw_size(draw, mean, [0.065 * mean[0], 0.042 * mean[1], 0.045 * mean[2]]);
        Self::draw_bodied(draw, Category::Car, style, size, region, driven)
    }

    /// A van or a minibus.
    ///
    /// **Source**: the mean of KITTI's labels, 5.06 x 1.90 x 2.20 m.
    pub(in crate::simulate) fn draw_van(draw: &mut Draw, region: Region, driven: bool) -> Self {
        let mean = if draw.chance(0.3) { [5.9, 2.03, 2.5] } else { [4.75, 1.85, 2.05] };
        let wider = if region == Region::UsAsia { 0.08 } else { 0.0 };
        let size = draw_size(draw, mean, [0.4, 0.07, 0.13]) + Vec3::Y * wider;
        Self::draw_bodied(draw, Category::Van, Style::Van, size, region, driven)
    }

    /// A pickup: a lorry to nuScenes.
    pub(super) fn draw_pickup(draw: &mut Draw, region: Region, driven: bool) -> Self {
        let size = draw_size(draw, [5.65, 2.08, 1.92], [0.3, 0.1, 0.1]);
        Self::draw_bodied(draw, Category::Truck, Style::Pickup, size, region, driven)
    }

    fn draw_bodied(
        draw: &mut Draw,
        category: Category,
        style: Style,
        size: Vec3,
        region: Region,
        driven: bool,
    ) -> Self {
        let car = Car::draw(draw, style, size, region, driven);
        let parts = assemble(|part| car.build(part, draw));
        let load = if car.has_roof_box { ROOF_BOX_M } else { 0.0 };
        Self::rigid(category, size + Vec3::Z * load, parts)
    }
}

/// Height of a box on the roof, metres.
const ROOF_BOX_M: f32 = 0.36;

/// A body, a little smaller than its labelled box.
struct Car {
    style: Style,
    profile: Profile,
    length: f32,
    width: f32,
    height: f32,
    rounding: [f32; 2],
    paint: Matter,
    /// Rear and front axle.
    axles: [Arch; 2],
    /// Who sits at the wheel, and on which side.
    driver: Option<f32>,
    /// Behind this place a van has no windows.
    closed_behind: Option<f32>,
    has_roof_box: bool,
}

impl Car {
    fn draw(draw: &mut Draw, style: Style, size: Vec3, region: Region, driven: bool) -> Self {
        // Boxes of nuScenes are looser across than KITTI's.
        let beside = if region == Region::Europe { BOX_MARGIN_M } else { BOX_MARGIN_M + 0.015 };
        let body = size - Vec3::new(2.0 * BOX_MARGIN_M, 2.0 * beside, BOX_MARGIN_M);
        let (length, width, height) = (body.x, body.y, body.z);
        let rounding = match style {
            Style::Van => [draw.range(0.04, 0.15), draw.range(0.2, 0.5)],
            Style::Pickup => [draw.range(0.04, 0.12), draw.range(0.2, 0.5)],
            _ => [draw.range(0.12, 0.45), draw.range(0.28, 0.75)],
        };
        let radius = match style {
            Style::Pickup => draw.range(0.36, 0.41),
            Style::Suv => draw.range(0.33, 0.38),
            _ => (draw.range(0.198, 0.222) * height).clamp(0.28, 0.345),
        };
        let ahead = (length * draw.range(0.17, 0.215)).max(0.62);
        let behind = if style == Style::Van { draw.range(0.17, 0.23) } else { draw.range(0.155, 0.215) };
        let behind = (length * behind).max(0.5);
        // The corners hide the wheels.
        let rounding =
            [rounding[0].min(0.85 * (behind - 0.4 * radius)), rounding[1].min(0.85 * (ahead - 0.4 * radius))];
        // Right-hand drive is as common in nuScenes, half of which is Singapore.
        let left_hand = region == Region::Europe || draw.chance(0.5);
        let is_panel_van = style == Style::Van && draw.chance(0.55);
        Self {
            style,
            profile: style.draw_profile(draw),
            length,
            width,
            height,
            rounding,
            paint: draw_paint(draw),
            axles: [Arch { x: behind - 0.5 * length, radius }, Arch { x: 0.5 * length - ahead, radius }],
            driver: driven.then_some(if left_hand { 1.0 } else { -1.0 }),
            closed_behind: is_panel_van.then(|| draw.range(0.03, 0.10) * length),
            has_roof_box: !matches!(style, Style::Pickup | Style::Coupe) && draw.chance(0.02),
        }
    }

    fn build(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        self.build_shell(part, draw);
        self.build_glasshouse(part, draw);
        self.build_cabin(part, draw);
        self.build_trim(part, draw);
    }

    fn build_shell(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (l, w, h) = (self.length, self.width, self.height);
        let outline = self.profile.lower(l, h);
        let shell = Shell {
            half_width: 0.5 * w,
            lean: draw.range(0.02, 0.09),
            rounding: self.rounding,
            matter: self.paint,
        };
        let [rear_axle, front_axle] = self.axles;
        if self.style == Style::Pickup {
            self.build_bed(part, &outline, &shell);
        } else {
            shell.build(part, &outline, &self.axles);
        }
        let rim = Matter::solid(Finish::Paint, draw.range(0.08, 0.5));
        let sunk = draw.range(0.0, 0.04);
        let tread = draw.range(0.17, 0.24);
        for axle in self.axles {
            build_axle(part, axle.x, 0.5 * w - sunk, axle.radius, tread, rim);
        }
        // Inside of the arches: a beam must not pass through where the wheel leaves room.
        let inside = 0.5 * w - 0.04 - tread;
        part.block(
            Vec3::new(rear_axle.x - 1.2 * rear_axle.radius, -inside, 0.75 * rear_axle.radius),
            Vec3::new(front_axle.x + 1.2 * front_axle.radius, inside, front_axle.crown() + 0.02),
            matt(0.05),
        );
    }

    /// The shell of a pickup: a cab, and an open bed between thin walls.
    fn build_bed(&self, part: &mut Builder<'_>, outline: &[Vec2], shell: &Shell) {
        let (h, rear) = (self.height, -0.5 * self.length);
        let [rear_axle, front_axle] = self.axles;
        let bulkhead = self.profile.rear_belt * self.length - 0.04;
        let crown = rear_axle.crown();
        let cab = clip(outline, Vec2::new(bulkhead, 0.0), Vec2::new(bulkhead, 1.0));
        let cab_shell = Shell { rounding: [0.0, shell.rounding[1]], ..*shell };
        cab_shell.build(part, &convex(&cab), &[front_axle]);
        let below = clip(outline, Vec2::new(bulkhead, 1.0), Vec2::new(bulkhead, 0.0));
        let below = clip(&below, Vec2::new(rear, crown + 0.08), Vec2::new(bulkhead, crown + 0.08));
        let bed_shell = Shell { rounding: [shell.rounding[0], 0.0], ..*shell };
        bed_shell.build(part, &convex(&below), &[rear_axle]);
        let (wall, top) = (0.5 * self.width - 0.02, self.profile.tail * h);
        for side in [-1.0, 1.0f32] {
            let (a, b) = (side * (wall - 0.06), side * wall);
            part.block(
                Vec3::new(rear + 0.02, a.min(b), crown),
                Vec3::new(bulkhead, a.max(b), top),
                self.paint,
            );
        }
        part.block(
            Vec3::new(rear, -wall + 0.03, crown),
            Vec3::new(rear + 0.06, wall - 0.03, top),
            self.paint,
        );
    }

    /// Half the width at the foot of the windows, and at the brow.
    fn pane_half_widths(&self) -> (f32, f32) {
        let foot = 0.5 * self.width - 0.045;
        (foot, foot - self.profile.tumble * (BROW - self.profile.belt) * self.height)
    }

    fn build_glasshouse(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (l, h) = (self.length, self.height);
        let form = &self.profile;
        let (belt, brow) = (form.belt * h, BROW * h);
        let (foot, head) = self.pane_half_widths();
        let panes = [
            Vec2::new(form.screen_x(l, h, belt - 0.02), belt - 0.02),
            Vec2::new(form.screen_x(l, h, brow), brow),
            Vec2::new(form.rear_x(l, h, brow), brow),
            Vec2::new(form.rear_x(l, h, belt - 0.02), belt - 0.02),
        ];
        let ends = self.rounding.map(|depth| depth * 0.4);
        if let Some(x) = self.closed_behind {
            let (low, high) = (Vec2::new(x, belt), Vec2::new(x, brow));
            let (ahead, behind) = (convex(&clip(&panes, low, high)), convex(&clip(&panes, high, low)));
            part.extrusion(&ahead, foot, form.tumble, [0.0, ends[1]], glass());
            part.extrusion(&behind, foot + 0.02, form.tumble, [ends[0], 0.0], self.paint);
        } else {
            part.extrusion(&convex(&panes), foot, form.tumble, ends, glass());
        }
        // The roof, a shallow cap.
        let (front, rear) = (form.screen_x(l, h, brow), form.rear_x(l, h, brow));
        let crest = front + (rear - front) * draw.range(0.3, 0.6);
        let cap = [
            Vec2::new(front, brow - 0.012),
            Vec2::new(front - 0.07 * (front - rear), h - 0.018),
            Vec2::new(crest, h),
            Vec2::new(rear + 0.06 * (front - rear), h - draw.range(0.015, 0.05)),
            Vec2::new(rear, brow - 0.012),
        ];
        part.extrusion(&convex(&cap), head + 0.008, 0.5, [0.08; 2], self.paint);
        for (low, high, radius) in self.pillars(draw) {
            for side in [-1.0, 1.0] {
                let (start, end) = (foot - radius + 0.012, head - radius + 0.012);
                part.limb(
                    Vec3::new(low, side * start, belt),
                    Vec3::new(high, side * end, brow - 0.02),
                    radius,
                    self.paint,
                );
            }
        }
    }

    /// Foot and head of the pillars along the side, and their radii, metres.
    fn pillars(&self, draw: &mut Draw) -> Vec<(f32, f32, f32)> {
        let (l, h) = (self.length, self.height);
        let form = &self.profile;
        let (belt, brow) = (form.belt * h, BROW * h);
        let (cowl, screen) = (form.screen_x(l, h, belt), form.screen_x(l, h, brow));
        let (foot, head) = (form.rear_x(l, h, belt), form.rear_x(l, h, brow));
        let mut pillars = vec![(cowl - 0.03, screen - 0.03, draw.range(0.032, 0.05))];
        if self.closed_behind.is_some() {
            return pillars;
        }
        let middle = draw.range(-0.02, 0.04) * l;
        pillars.push((middle, middle - 0.04, 0.04));
        // Sedans end in a broad pillar; longer roofs have a window behind the rear doors.
        let broad = match self.style {
            Style::Sedan | Style::Coupe | Style::Hatch => draw.range(0.06, 0.11),
            _ => draw.range(0.04, 0.06),
        };
        pillars.push((foot + broad + 0.03, head + broad + 0.03, broad));
        if foot < -0.45 * l && middle - foot > 1.5 {
            let post = middle - draw.range(0.36, 0.44) * l * 0.55;
            pillars.push((post, post - 0.03, 0.045));
        }
        pillars
    }

    /// Dashboard, seats and the driver, seen through the glass.
    fn build_cabin(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (l, w, h) = (self.length, self.width, self.height);
        let form = &self.profile;
        let belt = form.belt * h;
        let (half, cowl) = (0.5 * w - 0.10, form.cowl * l);
        let rear = self.closed_behind.unwrap_or(form.rear_belt * l + 0.25);
        part.block(
            Vec3::new(cowl - 0.62, -half, belt - 0.15),
            Vec3::new(cowl - 0.30, half, belt + 0.03),
            matt(0.06),
        );
        part.block(
            Vec3::new(rear, -half, belt - 0.2),
            Vec3::new(cowl - 0.2, half, belt + 0.006),
            matt(draw.range(0.05, 0.2)),
        );
        let cloth = matt(draw.range(0.06, 0.35));
        let top = belt + draw.range(0.25, 0.40) * (h - belt);
        let seat = cowl - draw.range(1.15, 1.35);
        let lateral = 0.22 * w;
        for side in [-1.0, 1.0] {
            let y = side * lateral;
            part.block(
                Vec3::new(seat - 0.10, y - 0.23, belt - 0.1),
                Vec3::new(seat + 0.02, y + 0.23, top),
                cloth,
            );
            part.block(
                Vec3::new(seat - 0.10, y - 0.12, top),
                Vec3::new(seat, y + 0.12, (top + 0.18).min(BROW * h - 0.05)),
                cloth,
            );
        }
        if self.closed_behind.is_none() && seat - rear > 1.0 {
            let bench = (seat - draw.range(0.85, 1.0)).max(rear);
            part.block(Vec3::new(bench - 0.1, -half, belt - 0.1), Vec3::new(bench, half, top + 0.03), cloth);
        }
        if let Some(side) = self.driver {
            let height = draw.range(1.6, 1.85);
            // The head stays below the roof whatever the car's height.
            let room = (0.29 + 0.075) * height + 0.36;
            let low = (BROW * h - room).min(belt - 0.35);
            let place = Vec3::new(seat + 0.16, side * lateral, low);
            build_occupant(part, place, height, draw_cloth(draw));
        }
    }

    /// Mirrors, lamps, plates, and what some cars carry.
    fn build_trim(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (l, w, h) = (self.length, self.width, self.height);
        let form = &self.profile;
        let (front, rear) = (0.5 * l, -0.5 * l);
        let ahead = form.cowl * l - draw.range(0.15, 0.35);
        let size = Vec3::new(0.06, draw.range(0.08, 0.12), draw.range(0.06, 0.11));
        let lamp = Vec3::new(0.05, draw.range(0.09, 0.17), draw.range(0.045, 0.08));
        let tail = Vec3::new(0.05, draw.range(0.07, 0.16), draw.range(0.05, 0.13));
        // Where a rounded end stands at two thirds of the half width.
        let set_back = |depth: f32, y: f32| depth * (1.0 - (1.0 - y * y).max(0.0).sqrt());
        let lamp_z = 0.86 * form.lip * h;
        let tail_z = (form.tail * h - tail.z - draw.range(0.02, 0.1)).max(0.4 * h);
        for side in [-1.0, 1.0] {
            let y = side * (0.5 * w + 0.6 * size.y);
            part.blob(Vec3::new(ahead, y, form.belt * h + 0.05), size, self.paint);
            let nose = front - 0.6 * form.nose * l - set_back(self.rounding[1], 0.72) - 0.025;
            part.blob(Vec3::new(nose, side * 0.36 * w, lamp_z), lamp, headlamp());
            let stern = rear + 0.025 + set_back(self.rounding[0], 0.8) + 0.02;
            part.blob(Vec3::new(stern, side * 0.40 * w, tail_z), tail, tail_lamp());
        }
        let half = if draw.chance(0.7) { 0.26 } else { 0.16 };
        if draw.chance(0.85) {
            build_plate(part, front - 0.008, draw.range(0.42, 0.56) * form.lip * h, half, 1.0);
        }
        let z = if draw.chance(0.6) { draw.range(0.34, 0.42) } else { draw.range(0.48, 0.54) } * h;
        build_plate(part, rear + 0.008 + (z / h - 0.36).max(0.0) * 0.2, z, half, -1.0);
        self.build_extras(part, draw);
    }

    fn build_extras(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (l, h) = (self.length, self.height);
        let (_, head) = self.pane_half_widths();
        let front = self.profile.screen_x(l, h, h) - 0.15;
        let rear = self.profile.rear_x(l, h, h) + 0.15;
        let has_long_roof = matches!(self.style, Style::Estate | Style::Suv | Style::Mpv);
        if has_long_roof && draw.chance(0.4) {
            for side in [-1.0, 1.0] {
                let (z, y) = (h - 0.012, side * (head - 0.08));
                part.limb(Vec3::new(front - 0.1, y, z), Vec3::new(rear, y, z), 0.022, matt(0.3));
            }
        }
        if self.has_roof_box {
            let middle = 0.5 * (front + rear) + draw.range(-0.1, 0.1);
            let half = (0.5 * (front - rear)).clamp(0.4, draw.range(0.7, 1.05));
            let profile = [
                Vec2::new(middle - half, h + 0.05),
                Vec2::new(middle - half, h + ROOF_BOX_M - 0.03),
                Vec2::new(middle + 0.2 * half, h + ROOF_BOX_M),
                Vec2::new(middle + half, h + 0.18),
                Vec2::new(middle + half, h + 0.05),
            ];
            part.extrusion(&convex(&profile), 0.38, 0.1, [0.05, 0.2], matt(draw.range(0.05, 0.3)));
        }
        if draw.chance(0.12) {
            let start = Vec3::new(-0.5 * l + 0.05, 0.0, 0.38);
            part.limb(start, start - Vec3::X * 0.12, 0.03, matt(0.2));
        }
    }
}
