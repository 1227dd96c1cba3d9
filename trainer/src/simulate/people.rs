//! Pedestrians in stride and riders on bicycles.

use super::draw::Draw;
use super::scene::{Builder, Finish, Matter, Scene};
use glam::{Vec2, Vec3};

/// Stands a pedestrian at a place; false where there is no room.
pub(super) fn stand_pedestrian(scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) -> bool {
    let child = draw.chance(0.08);
    let h = if child { draw.range(1.1, 1.45) } else { draw.bell_within(1.76, 0.09, 1.5, 1.97) };
    let l = draw.bell_within(0.84, 0.2, 0.45, 1.25) * h / 1.76;
    let w = draw.bell_within(0.66, 0.11, 0.48, 0.95) * h / 1.76;
    if !scene.claim(place, Vec2::new(l, w) * 0.5, yaw) {
        return false;
    }
    let cloth = Matter::solid(Finish::Matt, draw.range(0.08, 0.6));
    let trousers = Matter::solid(Finish::Matt, draw.range(0.06, 0.5));
    let skin = Matter::solid(Finish::Matt, 0.4);
    let pose = scene.stand(place, yaw);
    let mut part = scene.actor("Pedestrian", pose, Vec3::new(l, w, h));
    let (hip, shoulder) = (0.50 * h, 0.80 * h);
    let stride = l * 0.5 - 0.10;
    let lead = draw.sign();
    let leg = 0.075;
    for side in [1.0, -1.0] {
        let foot = Vec3::new(side * lead * stride, side * 0.10, 0.06);
        let knee = Vec3::new(side * lead * stride * 0.55 + 0.04, side * 0.10, 0.27 * h);
        part.limb(Vec3::new(0.0, side * 0.09, hip), knee, leg, trousers);
        part.limb(knee, foot, leg * 0.85, trousers);
        let reach = -side * lead * stride * draw.range(0.3, 0.8);
        let out = w * 0.5 - 0.08;
        let elbow = Vec3::new(reach * 0.4, side * out, 0.62 * h);
        part.limb(Vec3::new(0.0, side * (out - 0.05), shoulder), elbow, 0.055, cloth);
        part.limb(elbow, Vec3::new(reach, side * (out - 0.03), 0.48 * h), 0.045, cloth);
    }
    let torso = Vec3::new(0.13, (w * 0.34).min(0.24), 0.2 * h);
    part.blob(Vec3::new(0.0, 0.0, 0.66 * h), torso, cloth);
    part.limb(Vec3::new(0.0, -0.09, shoulder - 0.03), Vec3::new(0.0, 0.09, shoulder - 0.03), 0.09, cloth);
    part.limb(Vec3::new(0.0, -0.05, hip), Vec3::new(0.0, 0.05, hip), 0.12, trousers);
    part.blob(Vec3::new(0.02, 0.0, h - 0.12), Vec3::new(0.10, 0.085, 0.12), skin);
    // A bag or a rucksack.
    if l > 0.6 && draw.chance(0.25) {
        part.block(
            Vec3::new(-0.28, -0.15, 0.56 * h),
            Vec3::new(-0.1, 0.15, 0.80 * h),
            Matter::solid(Finish::Matt, draw.range(0.05, 0.4)),
        );
    }
    true
}

/// Stands a rider on a bicycle; false where there is no room.
pub(super) fn stand_cyclist(scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) -> bool {
    let size = Vec3::new(
        draw.bell_within(1.76, 0.12, 1.5, 2.0),
        draw.bell_within(0.60, 0.08, 0.48, 0.8),
        draw.bell_within(1.74, 0.08, 1.55, 1.92),
    );
    let (l, w, h) = (size.x, size.y, size.z);
    if !scene.claim(place, Vec2::new(l, w) * 0.5, yaw) {
        return false;
    }
    let cloth = Matter::solid(Finish::Matt, draw.range(0.08, 0.65));
    let trousers = Matter::solid(Finish::Matt, draw.range(0.06, 0.5));
    let lean = draw.range(0.05, 0.38);
    let pedal = draw.range(-0.15, 0.15);
    let pose = scene.stand(place, yaw);
    let mut part = scene.actor("Cyclist", pose, size);
    build_bicycle(&mut part, l - 0.05);
    let seat = Vec3::new(-0.2, 0.0, 0.56 * h);
    let neck = Vec3::new(seat.x + lean + 0.05, 0.0, 0.83 * h);
    let out = w * 0.5 - 0.09;
    for side in [1.0, -1.0] {
        let knee = Vec3::new(0.16, side * 0.13, 0.44 * h + side * pedal * 0.6);
        let foot = Vec3::new(0.04 + side * 0.1, side * 0.11, 0.19 * h + side * pedal);
        part.limb(seat + Vec3::Y * (side * 0.08), knee, 0.075, trousers);
        part.limb(knee, foot, 0.06, trousers);
        let shoulder = neck + Vec3::new(-0.02, side * 0.16, -0.05);
        let elbow = Vec3::new(neck.x + 0.16, side * out, 0.70 * h);
        part.limb(shoulder, elbow, 0.055, cloth);
        part.limb(elbow, Vec3::new(l * 0.5 - 0.45, side * (out - 0.03), 1.02), 0.045, cloth);
    }
    part.limb(seat + Vec3::Z * 0.06, neck - Vec3::Z * 0.1, 0.155, cloth);
    part.limb(neck + Vec3::new(-0.02, -0.1, -0.05), neck + Vec3::new(-0.02, 0.1, -0.05), 0.09, cloth);
    let skin = Matter::solid(Finish::Matt, 0.4);
    part.blob(Vec3::new(neck.x + 0.06, 0.0, h - 0.13), Vec3::new(0.11, 0.09, 0.13), skin);
    true
}

/// A bicycle that leans on something, without a rider and without a label.
pub(super) fn park_bicycle(scene: &mut Scene, place: Vec2, yaw: f32) -> bool {
    if !scene.claim(place, Vec2::new(0.9, 0.25), yaw) {
        return false;
    }
    let pose = scene.stand(place, yaw);
    build_bicycle(&mut scene.clutter(pose), 1.75);
    true
}

fn build_bicycle(part: &mut Builder<'_>, l: f32) {
    let radius = 0.33;
    let tyre = Matter::solid(Finish::Matt, 0.12);
    let metal = Matter::solid(Finish::Paint, 0.3);
    let spokes = Matter { finish: Finish::Matt, reflectivity: 0.3, density: 0.12 };
    let (front, rear) = (l * 0.5 - radius, -l * 0.5 + radius);
    for x in [front, rear] {
        part.ring(Vec3::new(x, 0.0, radius), radius - 0.05, radius, tyre);
        part.ring(Vec3::new(x, 0.0, radius), 0.0, radius - 0.05, spokes);
    }
    let crank = Vec3::new(0.5 * (front + rear) - 0.05, 0.0, 0.3);
    let saddle = Vec3::new(-0.22, 0.0, 0.9);
    let head = Vec3::new(front - 0.13, 0.0, 0.88);
    for (a, b) in [
        (Vec3::new(rear, 0.0, radius), crank),
        (crank, saddle),
        (crank, head),
        (saddle - Vec3::Z * 0.1, head),
        (Vec3::new(front, 0.0, radius), head + Vec3::Z * 0.14),
        (Vec3::new(rear, 0.0, radius), saddle - Vec3::Z * 0.1),
    ] {
        part.limb(a, b, 0.022, metal);
    }
    let bar = head + Vec3::Z * 0.14;
    part.limb(bar - Vec3::Y * 0.2, bar + Vec3::Y * 0.2, 0.02, metal);
}
