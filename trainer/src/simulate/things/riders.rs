//! Who rides: on a saddle, the hands on bars, the feet on pedals that turn with the way, or on pegs.

use super::super::draw::Draw;
use super::super::parts::{Builder, Matter};
use super::gait::{Frame, joint};
use super::looks::{draw_cloth, matt, skin};
use glam::Vec3;
use std::f32::consts::TAU;

/// Metres a bicycle goes while its pedals turn once.
const TURN_M: f32 = 2.1;

/// Length of a pedal's crank, metres.
const CRANK_M: f32 = 0.17;

/// The places on a cycle that a rider touches, metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    /// The hip joints' middle, a hand's width above the saddle.
    pub(super) hip: Vec3,
    /// The left grip.
    pub(super) grip: Vec3,
    /// The axle of the cranks, or the left peg.
    pub(super) feet: Vec3,
    /// Whether the feet are on cranks.
    pub(super) has_cranks: bool,
}

/// A rider: all that is drawn, so that the legs are a function of the way alone.
#[derive(Clone, Debug)]
pub(super) struct Rider {
    frame: Frame,
    stand: Stand,
    bulk: f32,
    /// How far the trunk leans ahead, radians.
    lean: f32,
    /// Where the cranks begin, in turns, and turns a metre.
    phase: f32,
    turns_per_m: f32,
    top: Matter,
    trousers: Matter,
    shoes: Matter,
    helmet: Option<Matter>,
    pack: Option<Matter>,
    /// Moves rider and cycle to the middle of their box.
    pub(super) origin: Vec3,
}

impl Rider {
    /// Somebody of `frame` on a cycle; the trunk leans by `lean` radians, or further until the hands reach the bars.
    pub(super) fn draw(draw: &mut Draw, frame: Frame, stand: Stand, lean: f32) -> Self {
        let reach = 0.97 * (frame.upper_arm() + frame.forearm());
        let mut lean = lean;
        while lean < 0.95 && (stand.grip - shoulder(frame, stand.hip, lean, 1.0)).length() > reach {
            lean += 0.04;
        }
        let coasts = draw.chance(0.15);
        let full_face = !stand.has_cranks;
        Self {
            frame,
            stand,
            bulk: draw.range(0.9, 1.25),
            lean,
            phase: draw.unit(),
            turns_per_m: if coasts || !stand.has_cranks { 0.0 } else { 1.0 / TURN_M },
            top: draw_cloth(draw),
            trousers: draw_cloth(draw),
            shoes: matt(draw.range(0.05, 0.4)),
            helmet: (full_face || draw.chance(0.35)).then(|| matt(draw.range(0.08, 0.6))),
            pack: draw.chance(0.2).then(|| draw_cloth(draw)),
            origin: Vec3::ZERO,
        }
    }

    /// The way after which the rider sits as before, metres.
    pub(super) fn period_m(&self) -> f32 {
        TURN_M
    }

    /// Adds the parts after `travel_m` metres, in the cycle's frame.
    pub(super) fn build(&self, part: &mut Builder<'_>, travel_m: f32) {
        let (h, bulk, frame) = (self.frame.height, self.bulk, self.frame);
        let hip = self.stand.hip;
        for (side, half_turn) in [(1.0, 0.0), (-1.0, 0.5)] {
            let foot = self.foot(side, self.phase + half_turn + travel_m * self.turns_per_m);
            let ankle = foot + Vec3::new(-0.035 * h, 0.0, 0.055 * h);
            let thigh = hip + Vec3::Y * (side * frame.hip_half());
            let toward = Vec3::new(1.0, side * if self.stand.has_cranks { 0.1 } else { 0.35 }, 0.4);
            let knee = joint(thigh, ankle, frame.thigh(), frame.shank(), toward);
            part.limb(thigh, knee, 0.043 * h * bulk, self.trousers);
            part.limb(knee, ankle, 0.031 * h * bulk, self.trousers);
            part.limb(
                ankle - Vec3::Z * (0.015 * h),
                foot + Vec3::new(0.05, 0.0, 0.025),
                0.024 * h,
                self.shoes,
            );
            let from = shoulder(frame, hip, self.lean, side);
            let grip = self.stand.grip * Vec3::new(1.0, side, 1.0);
            let elbow =
                joint(from, grip, frame.upper_arm(), frame.forearm(), Vec3::new(-0.3, side * 0.3, -1.0));
            part.limb(from, elbow, 0.029 * h * bulk, self.top);
            part.limb(elbow, grip, 0.023 * h * bulk, self.top);
        }
        let hips = Vec3::Y * frame.hip_half();
        part.limb(hip - hips, hip + hips, 0.06 * h * bulk, self.trousers);
        let neck = shoulder(frame, hip, self.lean, 1.0).with_y(0.0);
        part.limb(hip.lerp(neck, 0.12), hip.lerp(neck, 0.78), 0.082 * h * bulk, self.top);
        let wide = Vec3::Y * (frame.shoulder_half() - 0.015 * h);
        let drop = (neck - hip).normalize_or(Vec3::Z) * (0.03 * h);
        part.limb(neck - wide - drop, neck + wide - drop, 0.042 * h * bulk, self.top);
        let half = frame.head_half().max(0.105);
        let head = neck + Vec3::new(0.03 + 0.1 * self.lean, 0.0, 0.10 * h);
        part.limb(neck, head, 0.032 * h, skin());
        if self.stand.has_cranks || self.helmet.is_none() {
            part.blob(head, Vec3::new(0.82 * half, 0.68 * half, half), skin());
            if let Some(matter) = self.helmet {
                let radii = Vec3::new(1.08 * half, 0.82 * half, 0.62 * half);
                part.blob(head + Vec3::Z * (0.5 * half), radii, matter);
            }
        } else if let Some(matter) = self.helmet {
            part.blob(head, Vec3::new(1.15 * half, 1.0 * half, 1.1 * half), matter);
        }
        if let Some(matter) = self.pack {
            let behind = Vec3::new(-libm::cosf(self.lean), 0.0, libm::sinf(self.lean)) * (0.125 * h * bulk);
            let (low, high) = (hip.lerp(neck, 0.4) + behind, hip.lerp(neck, 0.85) + behind);
            part.limb(low, high, 0.11, matter);
        }
    }

    /// Where the ball of a foot is.
    fn foot(&self, side: f32, turns: f32) -> Vec3 {
        let feet = self.stand.feet;
        if !self.stand.has_cranks {
            return feet * Vec3::new(1.0, side, 1.0);
        }
        // The pedal on top goes ahead.
        let (sin, cos) = (libm::sinf(TAU * turns), libm::cosf(TAU * turns));
        feet + Vec3::new(sin * CRANK_M, side * 0.11, cos * CRANK_M)
    }
}

/// The height of the hips above the axle of the cranks that lets the lower leg stretch nearly.
pub(super) fn hip_over_cranks(frame: Frame) -> f32 {
    0.92 * (frame.thigh() + frame.shank()) + 0.055 * frame.height - CRANK_M
}

/// A shoulder of a trunk that leans ahead.
fn shoulder(frame: Frame, hip: Vec3, lean: f32, side: f32) -> Vec3 {
    let trunk = Vec3::new(libm::sinf(lean), 0.0, libm::cosf(lean)) * (0.98 * frame.trunk());
    hip + trunk + Vec3::Y * (side * frame.shoulder_half())
}
