//! Bicycles: rings for wheels, tubes, what hangs on them, and who rides.

use super::super::draw::Draw;
use super::super::parts::{Builder, Finish, Matter};
use super::extents::extents;
use super::gait::Frame;
use super::looks::{draw_cloth, matt, tail_lamp};
use super::riders::{Rider, Stand, hip_over_cranks};
use super::{Category, Form, SEEDS, Thing, assemble, assemble_centred};
use glam::Vec3;

/// Room between a cycle and its labelled box on each side, metres.
pub(super) const MARGIN_M: f32 = 0.02;

impl Thing {
    /// A bicycle, with somebody who pedals or alone.
    ///
    /// **Source**: the means of the labels: KITTI's cyclists 1.76 x 0.60 x 1.74 m, nuScenes' bicycles, ridden or
    /// not, 1.70 x 0.60 x 1.28 m.
    pub(in crate::simulate) fn draw_bicycle(draw: &mut Draw, has_rider: bool) -> Self {
        let height =
            if draw.chance(0.08) { draw.range(1.15, 1.45) } else { draw.bell_within(1.73, 0.08, 1.5, 1.95) };
        let bicycle = Bicycle::draw(draw, Frame { height });
        if has_rider {
            return bicycle.ridden(draw);
        }
        let (parts, size) = assemble_centred(draw, |part, draw| bicycle.build(part, draw));
        let margin = Vec3::new(2.0, 2.0, 1.0) * MARGIN_M;
        Self::rigid(Category::Bicycle, size + margin, parts)
    }
}

/// A bicycle that fits somebody, around the middle of its wheels, metres.
struct Bicycle {
    frame: Frame,
    radius: f32,
    front: f32,
    rear: f32,
    cranks: Vec3,
    saddle: Vec3,
    /// The middle of the handlebar, and how far it reaches to each side.
    bar: Vec3,
    bar_half: f32,
    /// How far the front wheel is turned, radians.
    steered: f32,
}

impl Bicycle {
    fn draw(draw: &mut Draw, frame: Frame) -> Self {
        let radius = if frame.height < 1.46 {
            draw.range(0.22, 0.28)
        } else if draw.chance(0.06) {
            draw.range(0.20, 0.26)
        } else {
            draw.range(0.315, 0.36)
        };
        let half = draw.range(0.49, 0.55) * (0.3 + 0.7 * frame.height / 1.73);
        let cranks = Vec3::new(0.43 - half, 0.0, draw.range(0.26, 0.31).min(radius));
        let hip = cranks.z + hip_over_cranks(frame);
        let saddle = Vec3::new(cranks.x - 0.30 * (hip - 0.1 - cranks.z), 0.0, hip - 0.1);
        let bar = Vec3::new(half - draw.range(0.13, 0.24), 0.0, saddle.z + draw.range(-0.04, 0.18));
        Self {
            frame,
            radius,
            front: half,
            rear: -half,
            cranks,
            saddle,
            bar,
            bar_half: draw.range(0.19, 0.30),
            steered: if draw.chance(0.5) { 0.0 } else { draw.range(-0.3, 0.3) },
        }
    }

    fn ridden(mut self, draw: &mut Draw) -> Thing {
        self.steered *= 0.2;
        let stand = Stand {
            hip: self.saddle + Vec3::Z * 0.1,
            grip: self.bar + Vec3::new(-0.02, self.bar_half - 0.04, 0.02),
            feet: self.cranks,
            has_cranks: true,
        };
        let lean = draw.range(0.05, 0.5);
        let mut rider = Rider::draw(draw, self.frame, stand, lean);
        let seed = (draw.unit() * SEEDS) as u64;
        let cycle_at = |origin: Vec3| {
            assemble(|part| self.build(&mut part.turned(origin, 0.0), &mut Draw::new(seed, 0)))
        };
        let (mut low, mut high) = extents(&cycle_at(Vec3::ZERO));
        for step in 0..8u8 {
            let travel_m = rider.period_m() * f32::from(step) / 8.0;
            let around = extents(&assemble(|part| rider.build(part, travel_m)));
            (low, high) = (low.min(around.0), high.max(around.1));
        }
        rider.origin = Vec3::new(-0.5 * (low.x + high.x), -0.5 * (low.y + high.y), 0.0);
        let size = Vec3::new(high.x - low.x, high.y - low.y, high.z) + Vec3::new(2.0, 2.0, 1.0) * MARGIN_M;
        let form = Form::Ridden { cycle: cycle_at(rider.origin), rider: Box::new(rider) };
        Thing { category: Category::Bicycle, has_rider: true, posture: None, size_lwh: size, form }
    }

    fn build(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (rear, front, radius) = (self.rear, self.front, self.radius);
        let metal = Matter::solid(Finish::Paint, draw.range(0.05, 0.5));
        let tube = draw.range(0.016, 0.026);
        let hub = Vec3::new(rear, 0.0, radius);
        build_spoked_wheel(part, hub, radius);
        // The head tube leans back; fork and wheel turn with the bar.
        let top = Vec3::new(self.bar.x - 0.01, 0.0, self.bar.z - draw.range(0.06, 0.14));
        let low = Vec3::new(front - 0.08, 0.0, 2.0 * radius + 0.03).min(top - Vec3::Z * 0.08).max(top * 0.5);
        let mut fork = part.turned(Vec3::new(front, 0.0, 0.0), self.steered);
        build_spoked_wheel(&mut fork, Vec3::Z * radius, radius);
        fork.limb(Vec3::Z * radius, low - Vec3::X * front, tube, metal);
        part.limb(low, self.bar, tube * 1.2, metal);
        let under_saddle = self.saddle - Vec3::Z * 0.1;
        let step_through = draw.chance(0.35);
        let beam = if step_through { self.cranks.lerp(self.saddle, 0.35) } else { under_saddle };
        for (a, b) in [
            (hub, self.cranks),
            (self.cranks, self.saddle - Vec3::Z * 0.03),
            (self.cranks, low),
            (beam, top),
            (hub, under_saddle),
        ] {
            part.limb(a, b, tube, metal);
        }
        let wide = Vec3::Y * self.bar_half;
        let turn = Vec3::X * (self.steered * self.bar_half);
        part.limb(self.bar - wide + turn, self.bar + wide - turn, 0.016, metal);
        part.blob(self.saddle - Vec3::Z * 0.02, Vec3::new(0.13, 0.08, 0.035), matt(0.08));
        let ring = self.cranks + Vec3::Y * -0.04;
        part.ring(ring, 0.02, 0.09, matt(0.2));
        self.build_luggage(part, draw);
    }

    /// Mudguards, carriers, baskets, panniers, a child's seat, lamps.
    fn build_luggage(&self, part: &mut Builder<'_>, draw: &mut Draw) {
        let (rear, front, radius) = (self.rear, self.front, self.radius);
        let over = 2.0 * radius + 0.04;
        if draw.chance(0.7) {
            let lamp = Vec3::new(rear - 0.5 * radius, 0.0, over - 0.12);
            part.blob(lamp, Vec3::new(0.02, 0.03, 0.03), tail_lamp());
        }
        if draw.chance(0.55) {
            part.block(
                Vec3::new(rear - 0.18, -0.06, over),
                Vec3::new(rear + 0.2, 0.06, over + 0.02),
                matt(0.2),
            );
            if draw.chance(0.25) {
                for side in [-1.0, 1.0f32] {
                    let (a, b) = (side * 0.07, side * draw.range(0.15, 0.22));
                    part.block(
                        Vec3::new(rear - 0.17, a.min(b), over - 0.33),
                        Vec3::new(rear + 0.15, a.max(b), over + 0.01),
                        draw_cloth(draw),
                    );
                }
            } else if draw.chance(0.12) {
                let seat = draw_cloth(draw);
                part.block(
                    Vec3::new(rear - 0.2, -0.15, over + 0.05),
                    Vec3::new(rear + 0.12, 0.15, over + 0.15),
                    seat,
                );
                part.block(
                    Vec3::new(rear - 0.2, -0.15, over + 0.1),
                    Vec3::new(rear - 0.12, 0.15, over + 0.5),
                    seat,
                );
            }
        }
        if draw.chance(0.2) {
            // Wicker or wire: part of the light passes.
            let wire = Matter { finish: Finish::Matt, reflectivity: 0.3, density: draw.range(2.0, 8.0) };
            let z = (self.bar.z - 0.25).max(over);
            part.block(Vec3::new(front - 0.08, -0.17, z), Vec3::new(front + 0.2, 0.17, z + 0.22), wire);
        }
    }
}

/// A tyre, and spokes that few beams meet.
fn build_spoked_wheel(part: &mut Builder<'_>, hub: Vec3, radius: f32) {
    let spokes = Matter { finish: Finish::Matt, reflectivity: 0.3, density: 0.12 };
    part.ring(hub, radius - 0.045, radius, matt(0.12));
    part.ring(hub, 0.0, radius - 0.045, spokes);
}
