//! Side profiles: the outlines of cars and vans, and shells with wheel arches cut from an outline.

use super::super::draw::Draw;
use super::super::parts::{Builder, Matter};
use glam::Vec2;

/// How far drawn proportions stray from those of their style: more than in reality.
const STRAY: f32 = 0.06;

/// The styles of a car's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Sedan,
    Coupe,
    Hatch,
    Estate,
    Suv,
    Mpv,
    Van,
    Pickup,
}

/// Where bonnet, windows and boot stand: heights over the body's height, places over its length from the middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    /// Height of the bonnet's front edge.
    pub(super) lip: f32,
    /// Height of the foot of the windows.
    pub(super) belt: f32,
    /// Height of the rear edge of the boot, or of the tailgate below its window.
    pub(super) tail: f32,
    /// Lower edge of bumpers and sills.
    pub(super) sill: f32,
    /// Foot of the windscreen.
    pub(super) cowl: f32,
    pub(super) roof_front: f32,
    pub(super) roof_rear: f32,
    /// Foot of the rear window.
    pub(super) rear_belt: f32,
    /// How far the bonnet's edge stands behind the bumper.
    pub(super) nose: f32,
    /// How much the side windows lean in per metre of height.
    pub(super) tumble: f32,
}

impl Style {
    /// The proportions of one body of the style.
    pub(super) fn draw_profile(self, draw: &mut Draw) -> Profile {
        let (heights, places, nose, tumble) = match self {
            Self::Sedan => ([0.53, 0.64, 0.63], [0.20, 0.04, -0.22, -0.36], 0.030, 0.28),
            Self::Coupe => ([0.54, 0.67, 0.66], [0.16, -0.01, -0.14, -0.40], 0.035, 0.33),
            Self::Hatch => ([0.54, 0.63, 0.60], [0.27, 0.08, -0.34, -0.475], 0.025, 0.26),
            Self::Estate => ([0.53, 0.63, 0.60], [0.22, 0.06, -0.40, -0.480], 0.030, 0.25),
            Self::Suv => ([0.59, 0.66, 0.63], [0.24, 0.10, -0.39, -0.480], 0.018, 0.20),
            Self::Mpv => ([0.52, 0.60, 0.58], [0.31, 0.13, -0.42, -0.485], 0.030, 0.18),
            Self::Van => ([0.44, 0.55, 0.56], [0.365, 0.22, -0.475, -0.492], 0.022, 0.07),
            Self::Pickup => ([0.56, 0.65, 0.62], [0.20, 0.09, -0.125, -0.16], 0.014, 0.20),
        };
        let shift = draw.range(-0.03, 0.03);
        let rake = draw.range(-0.025, 0.025);
        let mut stray = |value: f32| value * draw.range(1.0 - STRAY, 1.0 + STRAY);
        let belt = stray(heights[1]);
        // The rear window's foot stays where the style puts it: a hatchback has no boot.
        let is_stepped = places[3] > -0.45;
        let rear_belt = if is_stepped { places[3] + shift } else { places[3].max(-0.495) };
        let roof_rear = (stray(places[2]) + if is_stepped { shift } else { 0.0 }).max(rear_belt + 0.005);
        Profile {
            lip: stray(heights[0]).min(belt - 0.04),
            belt,
            tail: belt + heights[2] - heights[1],
            sill: stray(if matches!(self, Self::Suv | Self::Pickup) { 0.155 } else { 0.125 }),
            cowl: places[0] + shift,
            roof_front: places[1] + shift + rake,
            roof_rear,
            rear_belt,
            nose: nose * stray(1.0) * stray(1.0),
            tumble: stray(tumble) * stray(1.0),
        }
    }
}

impl Profile {
    /// The outline (x, z) below the windows of a body of this length and height, metres.
    pub(super) fn lower(&self, length: f32, height: f32) -> Vec<Vec2> {
        let (front, rear) = (0.5 * length, -0.5 * length);
        let (sill, lip, belt) = (self.sill * height, self.lip * height, self.belt * height);
        let bumper = 0.62 * lip;
        convex(&[
            Vec2::new(front - 0.12, sill),
            Vec2::new(front, bumper),
            Vec2::new(front - 0.25 * self.nose * length, 0.5 * (bumper + lip) + 0.05),
            Vec2::new(front - self.nose * length, lip),
            Vec2::new(0.5 * (front + self.cowl * length), 0.5 * (lip + belt) + 0.03),
            Vec2::new(self.cowl * length, belt),
            Vec2::new(self.rear_belt * length, belt),
            Vec2::new(rear + 0.05, self.tail * height),
            Vec2::new(rear, 0.36 * height),
            Vec2::new(rear + 0.10, sill),
        ])
    }

    /// The windscreen's place at a height `z`, metres, of a body of this length and height.
    pub(super) fn screen_x(&self, length: f32, height: f32, z: f32) -> f32 {
        let share = (z / height - self.belt) / (1.0 - self.belt);
        (self.cowl + (self.roof_front - self.cowl) * share) * length
    }

    /// The rear window's place at a height `z`, metres.
    pub(super) fn rear_x(&self, length: f32, height: f32, z: f32) -> f32 {
        let share = (z / height - self.belt) / (1.0 - self.belt);
        (self.rear_belt + (self.roof_rear - self.rear_belt) * share) * length
    }
}

/// A wheel arch: where its axle stands, and the wheel's radius, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arch {
    pub(super) x: f32,
    pub(super) radius: f32,
}

impl Arch {
    /// Height of the arch's crown.
    pub(super) fn crown(self) -> f32 {
        2.0 * self.radius + 0.035
    }
}

/// How an outline is drawn across the width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shell {
    pub(super) half_width: f32,
    /// How much the sides lean in above the arches, metres per metre.
    pub(super) lean: f32,
    /// How deep the rear and the front end are rounded seen from above, metres.
    pub(super) rounding: [f32; 2],
    pub(super) matter: Matter,
}

impl Shell {
    /// Builds a convex outline (x, z) with wheel arches, which are sorted from the rear to the front.
    ///
    /// One part above the arches; below them one in front of, behind, and between the wheels.
    pub(super) fn build(&self, part: &mut Builder<'_>, outline: &[Vec2], arches: &[Arch]) {
        let crown = arches.iter().map(|arch| arch.crown()).fold(0.0, f32::max);
        let top = outline.iter().map(|p| p.y).fold(f32::MIN, f32::max);
        let sill = outline.iter().map(|p| p.y).fold(f32::MAX, f32::min);
        let crown = crown.clamp(sill + 0.05, top - 0.05);
        let above = convex(&clip(outline, Vec2::new(1.0, crown), Vec2::new(0.0, crown)));
        part.extrusion(&above, self.half_width, self.lean, self.rounding, self.matter);
        let below = clip(outline, Vec2::new(0.0, crown), Vec2::new(1.0, crown));
        for idx in 0..=arches.len() {
            let mut piece = below.clone();
            let behind = idx.checked_sub(1).and_then(|idx| arches.get(idx));
            if let Some(arch) = behind {
                let foot = Vec2::new(arch.x + 1.22 * arch.radius, sill);
                piece = clip(&piece, foot, Vec2::new(arch.x + 0.55 * arch.radius, crown));
            }
            let ahead = arches.get(idx);
            if let Some(arch) = ahead {
                let foot = Vec2::new(arch.x - 1.22 * arch.radius, sill);
                piece = clip(&piece, Vec2::new(arch.x - 0.55 * arch.radius, crown), foot);
            }
            let piece = convex(&piece);
            let reach = piece.iter().copied().fold(Vec2::MIN, Vec2::max)
                - piece.iter().copied().fold(Vec2::MAX, Vec2::min);
            if piece.len() < 3 || reach.min_element() < 0.03 {
                continue;
            }
            let rounding = [
                if behind.is_none() { self.rounding[0] } else { 0.0 },
                if ahead.is_none() { self.rounding[1] } else { 0.0 },
            ];
            part.extrusion(&piece, self.half_width - 0.008, 0.0, rounding, self.matter);
        }
    }
}

/// The part of a convex outline on the right of the line from `a` to `b`.
pub(super) fn clip(outline: &[Vec2], a: Vec2, b: Vec2) -> Vec<Vec2> {
    let side = |p: Vec2| (b - a).perp_dot(p - a);
    let mut kept = Vec::with_capacity(outline.len() + 1);
    for (idx, p) in outline.iter().enumerate() {
        let q = outline.get(idx + 1).or(outline.first()).copied().unwrap_or(*p);
        let (from, to) = (side(*p), side(q));
        if from <= 0.0 {
            kept.push(*p);
        }
        if (from < 0.0 && to > 0.0) || (from > 0.0 && to < 0.0) {
            kept.push(*p + (q - *p) * (from / (from - to)));
        }
    }
    kept
}

/// The convex outline of profile points.
///
/// Drawn proportions can put a point inside the outline of the others, and half-spaces through such a point would
/// cut the shape.
pub(super) fn convex(points: &[Vec2]) -> Vec<Vec2> {
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
