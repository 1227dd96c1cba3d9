//! How limbs move: the angles of a stride, and the bend of two bones between two points.

use glam::Vec3;
use std::f32::consts::TAU;

/// The lengths of a body's segments, metres.
///
/// **Source**: fractions of the standing height after Drillis and Contini (1966).
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) height: f32,
}

impl Frame {
    pub(super) fn thigh(self) -> f32 {
        0.245 * self.height
    }

    pub(super) fn shank(self) -> f32 {
        0.246 * self.height
    }

    /// From the ankle to the sole.
    pub(super) fn ankle(self) -> f32 {
        0.039 * self.height
    }

    /// From the ankle to the tip of the toes.
    pub(super) fn foot(self) -> f32 {
        0.115 * self.height
    }

    pub(super) fn upper_arm(self) -> f32 {
        0.186 * self.height
    }

    /// The forearm and half the hand.
    pub(super) fn forearm(self) -> f32 {
        0.195 * self.height
    }

    /// From the hips to the shoulders.
    pub(super) fn trunk(self) -> f32 {
        0.288 * self.height
    }

    /// Half the distance between the hip joints.
    pub(super) fn hip_half(self) -> f32 {
        0.05 * self.height
    }

    /// Half the distance between the shoulder joints.
    pub(super) fn shoulder_half(self) -> f32 {
        0.112 * self.height
    }

    /// Half the height of the head.
    pub(super) fn head_half(self) -> f32 {
        0.068 * self.height
    }
}

/// Share of a stride for which a foot is on the ground, and the share after which its heel leaves it.
const STANCE: f32 = 0.6;
const HEEL_OFF: f32 = 0.35;

/// Where a heel strikes, in strides ahead of the hips.
const STRIKE: f32 = 0.23;

/// How far a foot is pitched as its heel strikes and as its toes leave, radians.
const PITCH_AT_STRIKE: f32 = 0.3;
const PITCH_AT_TOE_OFF: f32 = -0.9;

/// The joints of a leg. The hip is above the origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) knee: Vec3,
    pub(super) ankle: Vec3,
    pub(super) toe: Vec3,
}

impl Leg {
    /// A leg from a hip at the origin: the thigh swings `thigh` radians ahead of straight down, the knee is bent by
    /// `knee`, the foot is level.
    pub(super) fn bent(frame: Frame, thigh: f32, knee: f32) -> Self {
        let hang =
            |angle: f32, length: f32| Vec3::new(libm::sinf(angle) * length, 0.0, -libm::cosf(angle) * length);
        let knee_at = hang(thigh, frame.thigh());
        let ankle = knee_at + hang(thigh - knee, frame.shank());
        Self { knee: knee_at, ankle, toe: ankle + toe_from_ankle(frame, 0.0) }
    }

    /// A leg in stride on the ground z = 0; `phase` counts strides since its heel struck.
    ///
    /// A foot on the ground stays where it is: it strikes ahead of the hips, lies flat, and rolls over its toes.
    /// Then the leg swings ahead while the body goes on.
    pub(super) fn in_stride(frame: Frame, phase: f32, stride_m: f32) -> Self {
        let phase = phase - phase.floor();
        let flat = Vec3::new((STRIKE - phase) * stride_m, 0.0, frame.ankle());
        let rolled = |pitch: f32, at: Vec3| at + toe_from_ankle(frame, 0.0) - toe_from_ankle(frame, pitch);
        let (ankle, pitch) = if phase < HEEL_OFF {
            (flat, PITCH_AT_STRIKE * (1.0 - phase / 0.08).max(0.0))
        } else if phase < STANCE {
            let share = (phase - HEEL_OFF) / (STANCE - HEEL_OFF);
            let pitch = PITCH_AT_TOE_OFF * share * share;
            (rolled(pitch, flat), pitch)
        } else {
            let share = (phase - STANCE) / (1.0 - STANCE);
            let left = Vec3::new((STRIKE - STANCE) * stride_m, 0.0, frame.ankle());
            let start = rolled(PITCH_AT_TOE_OFF, left);
            let end = Vec3::new(STRIKE * stride_m, 0.0, frame.ankle());
            let ahead = share * share * (3.0 - 2.0 * share);
            let rest = (1.0 - share) * (1.0 - share);
            let lift = rest + 0.5 * share * (1.0 - share);
            let ankle = Vec3::new(start.x + (end.x - start.x) * ahead, 0.0, end.z + (start.z - end.z) * lift);
            (ankle, PITCH_AT_STRIKE + (PITCH_AT_TOE_OFF - PITCH_AT_STRIKE) * rest)
        };
        let hip = Vec3::Z * hip_in_stride(frame, phase, stride_m);
        let knee = joint(hip, ankle, frame.thigh(), frame.shank(), Vec3::X);
        Self { knee, ankle, toe: ankle + toe_from_ankle(frame, pitch) }
    }

    /// How far below the origin the sole is.
    pub(super) fn drop(&self, frame: Frame) -> f32 {
        (frame.ankle() - self.ankle.z).max(0.6 * frame.ankle() - self.toe.z)
    }

    /// The leg, higher by `rise`.
    pub(super) fn raised(self, rise: f32) -> Self {
        let up = Vec3::Z * rise;
        Self { knee: self.knee + up, ankle: self.ankle + up, toe: self.toe + up }
    }
}

/// Height of the hips of who strides: lowest as a heel strikes, highest over the standing leg.
pub(super) fn hip_in_stride(frame: Frame, phase: f32, stride_m: f32) -> f32 {
    let reach = 0.985 * (frame.thigh() + frame.shank());
    let ahead = STRIKE * stride_m;
    let low = (reach * reach - ahead * ahead).max(0.0).sqrt();
    let rise = 0.5 - 0.5 * libm::cosf(2.0 * TAU * phase);
    frame.ankle() + low + 0.85 * (reach - low) * rise
}

/// From the ankle to the toes of a foot pitched up by `pitch` radians.
fn toe_from_ankle(frame: Frame, pitch: f32) -> Vec3 {
    Vec3::new(libm::cosf(pitch), 0.0, libm::sinf(pitch)) * frame.foot() - Vec3::Z * (0.4 * frame.ankle())
}

/// Where the joint of two bones lies that reach from `start` to `end`, bent towards `toward`.
///
/// Bones too short to reach are straight.
pub(super) fn joint(start: Vec3, end: Vec3, upper: f32, lower: f32, toward: Vec3) -> Vec3 {
    let gap = end - start;
    let reach = gap.length().clamp((upper - lower).abs() + 1e-3, upper + lower);
    let along = (upper * upper - lower * lower + reach * reach) / (2.0 * reach);
    let out = (upper * upper - along * along).max(0.0).sqrt();
    let direction = gap.normalize_or(Vec3::NEG_Z);
    let side = (toward - direction * toward.dot(direction)).normalize_or_zero();
    start + gap * (along / reach) + side * out
}
