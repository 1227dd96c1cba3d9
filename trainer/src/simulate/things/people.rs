//! People on foot and on seats: capsules for limbs, a trunk, a head, and what they wear and carry.

use super::super::draw::Draw;
use super::super::parts::{Builder, Finish, Matter};
use super::extents::extents;
use super::gait::{Frame, Leg, hip_in_stride, joint};
use super::looks::{draw_cloth, matt, skin};
use super::{Category, Form, Posture, Thing, assemble};
use glam::{Vec2, Vec3};
use std::f32::consts::TAU;

/// Room between a body and its labelled box on each side, metres.
const MARGIN_M: f32 = 0.02;

impl Thing {
    /// A person; every category but children and workers gives an adult. Workers wear helmets and vests.
    ///
    /// The box covers the whole stride of who walks.
    ///
    /// **Source**: the means of the labels: KITTI 0.84 x 0.66 x 1.76 m, nuScenes 0.73 x 0.67 x 1.77 m.
    pub(in crate::simulate) fn draw_person(draw: &mut Draw, category: Category, posture: Posture) -> Self {
        let category =
            if matches!(category, Category::Child | Category::Worker) { category } else { Category::Adult };
        let mut person = Person::draw(draw, category, posture);
        let size = person.centre();
        let form = if posture == Posture::Walking {
            Form::Walker(Box::new(person))
        } else {
            Form::Rigid(assemble(|part| person.build(part, 0.0)))
        };
        Self { category, has_rider: false, posture: Some(posture), size_lwh: size, form }
    }
}

/// What an arm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArmUse {
    /// Hangs, and swings against the legs.
    Swing,
    Pocket,
    /// At the ear.
    Phone,
    /// Before the chest.
    Reading,
    /// On the hip, the elbow out.
    Akimbo,
    /// On the thigh, of who sits.
    Lap,
    /// Around the stick of an umbrella.
    Umbrella,
}

/// What somebody carries, and on which side.
#[derive(Clone, Copy, Debug)]
enum Bag {
    Back,
    Shoulder(f32),
    Hand(f32),
}

/// A person: all that is drawn, so that a stride is a function of the way alone.
#[derive(Clone, Debug)]
pub(super) struct Person {
    frame: Frame,
    posture: Posture,
    /// How thick limbs and trunk are, clothes included, over a slim body's.
    bulk: f32,
    /// The way of two steps, metres.
    stride_m: f32,
    phase: f32,
    arm_swing: f32,
    /// How far the trunk leans ahead and to the left, radians.
    lean: Vec2,
    /// How far the feet stand apart, metres, and how much one is before the other, radians.
    spread: f32,
    stagger: f32,
    arms: [ArmUse; 2],
    top: Matter,
    trousers: Matter,
    shoes: Matter,
    /// Hem of a coat or skirt over the height.
    hem: Option<f32>,
    bag: Option<(Bag, Vec3, Matter)>,
    hat: Option<Matter>,
    is_worker: bool,
    /// What somebody sits on, if it belongs to the picture.
    seat: Option<Matter>,
    /// Moves the body to the middle of its box.
    origin: Vec3,
}

impl Person {
    fn draw(draw: &mut Draw, category: Category, posture: Posture) -> Self {
        let height = match category {
            Category::Child => draw.range(1.0, 1.5),
            Category::Worker => draw.bell_within(1.76, 0.07, 1.58, 1.95),
            _ => draw.bell_within(1.73, 0.09, 1.48, 1.97),
        };
        let is_worker = category == Category::Worker;
        let hem = (!is_worker && draw.chance(0.2)).then(|| draw.range(0.16, 0.42));
        let mut arms = Self::draw_arms(draw, posture);
        if is_worker {
            arms = arms.map(|arm| if arm == ArmUse::Umbrella { ArmUse::Swing } else { arm });
        }
        let has_umbrella = arms.contains(&ArmUse::Umbrella);
        let bag = (!is_worker && !has_umbrella && posture != Posture::Sitting && draw.chance(0.35))
            .then(|| Self::draw_bag(draw, height / 1.73));
        let hat = if is_worker {
            Some(matt(draw.range(0.4, 0.7)))
        } else {
            (!has_umbrella && draw.chance(0.2)).then(|| draw_cloth(draw))
        };
        let frame = Frame { height };
        let sideways = if posture == Posture::Walking { 0.0 } else { 0.04 * draw.bell() };
        Self {
            frame,
            posture,
            bulk: draw.range(0.88, 1.28),
            stride_m: draw.range(0.55, 0.82) * height,
            phase: draw.unit(),
            arm_swing: draw.range(0.1, 0.5),
            lean: Vec2::new(draw.range(-0.02, 0.10), sideways),
            spread: draw.range(0.0, 0.05),
            stagger: draw.range(-0.12, 0.12),
            arms,
            top: draw_cloth(draw),
            trousers: draw_cloth(draw),
            shoes: matt(draw.range(0.05, 0.4)),
            hem,
            bag,
            hat,
            is_worker,
            seat: (posture == Posture::Sitting && draw.chance(0.5)).then(|| matt(draw.range(0.1, 0.4))),
            origin: Vec3::ZERO,
        }
    }

    fn draw_arms(draw: &mut Draw, posture: Posture) -> [ArmUse; 2] {
        let mut uses = [ArmUse::Swing; 2];
        let odds: &[(f32, ArmUse)] = match posture {
            Posture::Walking => &[
                (0.72, ArmUse::Swing),
                (0.12, ArmUse::Pocket),
                (0.08, ArmUse::Reading),
                (0.05, ArmUse::Phone),
            ],
            Posture::Standing => &[
                (0.45, ArmUse::Swing),
                (0.2, ArmUse::Pocket),
                (0.15, ArmUse::Reading),
                (0.1, ArmUse::Phone),
                (0.1, ArmUse::Akimbo),
            ],
            Posture::Sitting => &[(0.7, ArmUse::Lap), (0.2, ArmUse::Reading), (0.1, ArmUse::Phone)],
        };
        for arm in &mut uses {
            *arm = draw.weighted(odds, ArmUse::Swing);
        }
        if posture != Posture::Sitting && draw.chance(0.02) {
            uses[draw.index(2)] = ArmUse::Umbrella;
        }
        uses
    }

    fn draw_bag(draw: &mut Draw, scale: f32) -> (Bag, Vec3, Matter) {
        let side = draw.sign();
        let half = Vec3::new(draw.range(0.06, 0.12), draw.range(0.11, 0.17), draw.range(0.16, 0.26)) * scale;
        let (bag, half) = match draw.index(4) {
            0 | 1 => (Bag::Back, half),
            2 => (Bag::Shoulder(side), Vec3::new(1.2 * half.y, 0.6 * half.x, 0.7 * half.z)),
            _ => (Bag::Hand(side), Vec3::new(half.y, 0.7 * half.x, 0.8 * half.z)),
        };
        (bag, half, draw_cloth(draw))
    }

    /// Moves the body so that its whole stride lies around the origin; the size of its box.
    fn centre(&mut self) -> Vec3 {
        let (mut low, mut high) = (Vec3::MAX, Vec3::MIN);
        for step in 0..8u8 {
            let travel_m = self.stride_m * f32::from(step) / 8.0;
            let around = extents(&assemble(|part| self.build(part, travel_m)));
            (low, high) = (low.min(around.0), high.max(around.1));
        }
        self.origin = Vec3::new(-0.5 * (low.x + high.x), -0.5 * (low.y + high.y), 0.0);
        Vec3::new(high.x - low.x, high.y - low.y, high.z) + Vec3::new(2.0, 2.0, 1.0) * MARGIN_M
    }

    /// The left and the right leg on the ground, and the height of the hips.
    fn legs(&self, phase: f32) -> ([Leg; 2], f32) {
        let frame = self.frame;
        let stagger = self.stagger;
        let legs = match self.posture {
            Posture::Walking => {
                let hip = hip_in_stride(frame, phase, self.stride_m);
                return ([0.0, 0.5].map(|of| Leg::in_stride(frame, phase + of, self.stride_m)), hip);
            }
            Posture::Standing => {
                [1.0, -1.0].map(|side| Leg::bent(frame, side * stagger, 0.02 + stagger.abs()))
            }
            Posture::Sitting => [1.0, -1.0].map(|side| Leg::bent(frame, 1.45, 1.4 + 2.0 * side * stagger)),
        };
        let hip = legs.iter().map(|leg| leg.drop(frame)).fold(0.0, f32::max);
        (legs.map(|leg| leg.raised(hip)), hip)
    }

    /// The way of two steps, metres.
    #[cfg(test)]
    pub(super) fn stride_m(&self) -> f32 {
        self.stride_m
    }

    /// The points of both feet that touch the ground after `travel_m` metres: ankles, toes, or none.
    #[cfg(test)]
    pub(super) fn planted(&self, travel_m: f32) -> [Option<Vec3>; 4] {
        let ankle = self.frame.ankle();
        let (legs, _) = self.legs(self.phase + travel_m / self.stride_m);
        let touches = |p: Vec3, z: f32| (p.z < z + 0.003).then_some(p);
        let [left, right] = legs;
        [
            touches(left.ankle, ankle),
            touches(left.toe, 0.6 * ankle),
            touches(right.ankle, ankle),
            touches(right.toe, 0.6 * ankle),
        ]
    }

    /// Adds the parts after `travel_m` metres.
    pub(super) fn build(&self, part: &mut Builder<'_>, travel_m: f32) {
        let part = &mut part.turned(self.origin, 0.0);
        let frame = self.frame;
        let phase = self.phase + travel_m / self.stride_m;
        let (legs, hip) = self.legs(phase);
        for (side, leg) in [1.0, -1.0].into_iter().zip(&legs) {
            self.build_leg(part, leg, side, hip);
        }
        let lean = Vec3::new(libm::sinf(self.lean.x), libm::sinf(self.lean.y), 1.0);
        let pelvis = Vec3::Z * hip;
        let neck = pelvis + lean * frame.trunk();
        self.build_trunk(part, pelvis, neck);
        let head = neck + Vec3::new(0.02 + 0.1 * self.lean.x, 0.0, 0.114 * frame.height);
        for (idx, side) in [1.0f32, -1.0].into_iter().enumerate() {
            let swing = phase + if idx == 0 { 0.0 } else { 0.5 };
            let hand = self.build_arm(part, idx, side, neck, head, swing);
            if let Some((Bag::Hand(of), half, matter)) = self.bag
                && (of - side).abs() < 0.5
            {
                let center = hand - Vec3::Z * (half.z + 0.08);
                part.block(center - half, center + half, matter);
            }
        }
        self.build_head(part, neck, head);
        self.build_clothes(part, &legs, hip);
        self.build_bag(part, hip, neck);
    }

    fn build_leg(&self, part: &mut Builder<'_>, leg: &Leg, side: f32, hip: f32) {
        let (h, bulk) = (self.frame.height, self.bulk);
        let at = |p: Vec3, y: f32| p + Vec3::Y * (side * y);
        let apart = if self.posture == Posture::Walking { 0.035 * h } else { 0.05 * h + self.spread };
        let (hip_y, knee_y) = (self.frame.hip_half(), 0.5 * (self.frame.hip_half() + apart));
        let (knee, ankle) = (at(leg.knee, knee_y), at(leg.ankle, apart));
        part.limb(at(Vec3::Z * hip, hip_y), knee, 0.044 * h * bulk, self.trousers);
        part.limb(knee, ankle, 0.031 * h * bulk, self.trousers);
        let sole = 0.022 * h;
        part.limb(
            ankle - Vec3::Z * (self.frame.ankle() - sole),
            at(leg.toe, apart + 0.015),
            sole,
            self.shoes,
        );
    }

    fn build_trunk(&self, part: &mut Builder<'_>, pelvis: Vec3, neck: Vec3) {
        let (h, bulk) = (self.frame.height, self.bulk);
        let hips = Vec3::Y * self.frame.hip_half();
        part.limb(pelvis - hips, pelvis + hips, 0.058 * h * bulk, self.trousers);
        let waist = Vec2::new(0.068 * bulk, 0.082 * bulk) * h;
        let chest = Vec2::new(0.056 * bulk, 0.094 * bulk.sqrt()) * h;
        let middle = pelvis.lerp(neck, 0.5);
        let tall = self.frame.trunk() - 0.025 * h;
        part.taper(middle.with_z(pelvis.z), tall, waist, chest, self.top);
        let shoulders = Vec3::Y * (self.frame.shoulder_half() - 0.015 * h);
        let (left, right) = (neck + shoulders, neck - shoulders);
        let drop = Vec3::Z * (0.028 * h);
        part.limb(left - drop, right - drop, 0.038 * h * bulk, self.top);
        if self.is_worker {
            // Two bands of a vest.
            let band = Matter::solid(Finish::Retro, 0.8);
            for share in [0.35, 0.7] {
                let foot = middle.with_z(pelvis.z + share * tall);
                let reach = waist.lerp(chest, share) + Vec2::splat(0.008);
                part.taper(foot, 0.055, reach, reach, band);
            }
        }
    }

    /// Adds an arm; where its hand is.
    fn build_arm(
        &self,
        part: &mut Builder<'_>,
        idx: usize,
        side: f32,
        neck: Vec3,
        head: Vec3,
        phase: f32,
    ) -> Vec3 {
        let (h, frame) = (self.frame.height, self.frame);
        let shoulder = neck + Vec3::new(0.0, side * frame.shoulder_half(), -0.02 * h);
        let (upper, lower) = (frame.upper_arm(), frame.forearm());
        let hip = neck - Vec3::Z * frame.trunk();
        let out = 0.5 * (self.bulk - 0.6) * 0.3 + 0.08;
        let aside = |x: f32, y: f32, z: f32| Vec3::new(x, side * y, z);
        let (elbow, hand) = match self.arms.get(idx).copied().unwrap_or(ArmUse::Swing) {
            ArmUse::Swing => {
                let walks = self.posture == Posture::Walking;
                let angle = 0.04 - if walks { self.arm_swing * libm::cosf(TAU * phase) } else { 0.0 };
                let bend = angle + 0.22 + 0.5 * angle.max(0.0);
                let elbow = shoulder + aside(libm::sinf(angle), out, -libm::cosf(angle)) * upper;
                (elbow, elbow + aside(libm::sinf(bend), 0.3 * out, -libm::cosf(bend)) * lower)
            }
            other => {
                let (hand, toward) = match other {
                    ArmUse::Pocket => (hip + aside(0.06, 0.115 * h, -0.02 * h), aside(-1.0, 0.4, 0.0)),
                    ArmUse::Phone => (head + aside(0.02, 0.06 * h, -0.02 * h), aside(0.1, 0.8, -1.0)),
                    ArmUse::Reading => (neck + aside(0.19 * h, 0.03 * h, -0.11 * h), aside(-0.3, 0.6, -1.0)),
                    ArmUse::Akimbo => (hip + aside(0.02, 0.10 * h, 0.05 * h), aside(-0.4, 1.0, 0.0)),
                    ArmUse::Lap => (hip + aside(0.20 * h, 0.06 * h, 0.05 * h), aside(-0.5, 0.8, -0.5)),
                    _ => (neck + aside(0.15 * h, 0.09 * h, -0.06 * h), aside(-0.2, 0.6, -1.0)),
                };
                if other == ArmUse::Umbrella {
                    let top = hand.with_z(head.z + 0.2 * h);
                    part.limb(hand - Vec3::Z * 0.05, top, 0.012, matt(0.2));
                    part.blob(top - Vec3::Z * 0.02, Vec3::new(0.5, 0.5, 0.11), canopy(self.top));
                }
                (joint(shoulder, hand, upper, lower, toward), hand)
            }
        };
        part.limb(shoulder, elbow, 0.028 * h * self.bulk, self.top);
        part.limb(elbow, hand, 0.022 * h * self.bulk, if self.bulk > 1.0 { self.top } else { skin() });
        hand
    }

    fn build_head(&self, part: &mut Builder<'_>, neck: Vec3, head: Vec3) {
        let h = self.frame.height;
        // Children's heads are nearly as large as grown ones.
        let half = self.frame.head_half().max(0.105);
        let head = head + Vec3::Z * (self.frame.head_half() - half);
        part.limb(neck - Vec3::Z * 0.02, head - Vec3::Z * (0.4 * half), 0.030 * h, skin());
        part.blob(head, Vec3::new(0.82 * half, 0.68 * half, half), skin());
        if let Some(matter) = self.hat {
            let radii = Vec3::new(0.95 * half, 0.85 * half, 0.62 * half);
            part.blob(head + Vec3::new(-0.01, 0.0, 0.45 * half), radii, matter);
        }
    }

    /// A coat or skirt, as wide as the knees are apart, and what somebody sits on.
    fn build_clothes(&self, part: &mut Builder<'_>, legs: &[Leg; 2], hip: f32) {
        let h = self.frame.height;
        if let Some(matter) = self.seat {
            let top = hip - 0.055 * h * self.bulk;
            part.block(Vec3::new(-0.2, -0.21, top - 0.05), Vec3::new(0.22, 0.21, top), matter);
            part.block(Vec3::new(-0.22, -0.21, top), Vec3::new(-0.17, 0.21, top + 0.42), matter);
        }
        if self.posture == Posture::Sitting {
            return;
        }
        let Some(hem) = self.hem else { return };
        let foot = hem * h;
        let knees = legs.iter().map(|leg| leg.knee.x.abs()).fold(0.0, f32::max);
        let waist = Vec2::new(0.068, 0.085) * (h * self.bulk);
        let low = Vec2::new(0.85 * knees + 0.05 * h, 0.105 * h) * self.bulk.max(1.0);
        part.taper(Vec3::Z * foot, hip + 0.06 * h - foot, low.max(waist), waist, self.top);
    }

    fn build_bag(&self, part: &mut Builder<'_>, hip: f32, neck: Vec3) {
        let Some((bag, half, matter)) = self.bag else { return };
        let h = self.frame.height;
        let back = 0.065 * h * self.bulk;
        let center = match bag {
            Bag::Back => Vec3::new(-back - 0.8 * half.x, 0.0, neck.z - half.z + 0.01),
            Bag::Shoulder(side) => Vec3::new(-0.02, side * (0.1 * h * self.bulk + 0.5 * half.y), hip + 0.02),
            Bag::Hand(_) => return,
        };
        part.block(center - half, center + half, matter);
    }
}

/// The cloth of an umbrella: never as dark as a coat can be.
fn canopy(top: Matter) -> Matter {
    matt(top.reflectivity.max(0.1))
}
