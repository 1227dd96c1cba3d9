use super::{Pose, Shape};
use crate::simulate::draw::Draw;
use crate::simulate::parts::{Builder, Finish, Matter};
use glam::Vec3;
use proptest::prelude::*;

/// True where a point is inside a shape, from the shape's definition.
fn holds(shape: &Shape, p: Vec3) -> bool {
    match shape {
        Shape::Hull(planes) => planes.iter().all(|plane| plane.normal.dot(p) <= plane.offset),
        Shape::Cylinder { base, axis, length, radius } => {
            let along = (p - *base).dot(*axis);
            (0.0..=*length).contains(&along) && (p - *base - *axis * along).length() <= *radius
        }
        Shape::Capsule { start, end, radius } => {
            let axis = *end - *start;
            let share = ((p - *start).dot(axis) / axis.length_squared()).clamp(0.0, 1.0);
            p.distance(*start + axis * share) <= *radius
        }
        Shape::Ellipsoid { pose, radii } => (pose.local_point(p) / *radii).length() <= 1.0,
        Shape::Ring { .. } => false,
    }
}

proptest! {
    #[test]
    fn a_span_is_where_a_walk_along_the_beam_is_inside(seed in 0u64..1_000_000) {
        let mut draw = Draw::new(seed, 5);
        let mut vector = |scale: f32| Vec3::new(draw.bell(), draw.bell(), draw.bell()) * scale;
        let (origin, target) = (vector(2.0) + Vec3::X * 9.0, vector(0.5));
        let (a, b, radii) = (vector(1.0), vector(1.0), vector(1.0).abs() + Vec3::splat(0.3));
        let pose = Pose::new(a, b.x);
        let direction = (target - origin).normalize();
        let mut parts = Vec::new();
        Builder::new(&mut parts, pose).block(-radii, radii, Matter::solid(Finish::Matt, 0.3));
        let shapes = [
            parts[0].shape.clone(),
            Shape::Cylinder { base: a, axis: (b - a).normalize(), length: 1.5, radius: radii.x },
            Shape::Capsule { start: a, end: b, radius: radii.y },
            Shape::Ellipsoid { pose, radii },
        ];
        for shape in shapes {
            let span = shape.span(origin, direction);
            for step in 0..400 {
                let t = step as f32 * 0.05;
                let expected = holds(&shape, origin + direction * t);
                let margin = span.map_or(1.0, |s| (t - s.enter).abs().min((t - s.exit).abs()));
                if margin > 2e-3 {
                    let inside = span.is_some_and(|s| t > s.enter && t < s.exit);
                    // A beam that grazes a shape within rounding may be missed.
                    let grazing = span.is_none() && !holds(&shape, origin + direction * (t + 0.02));
                    prop_assert!(inside == expected || grazing, "{shape:?} at {t}: {span:?}");
                }
            }
        }
    }
}

#[test]
fn a_thin_limb_is_met_from_afar() {
    let limb =
        Shape::Capsule { start: Vec3::new(60.0, 0.0, -0.5), end: Vec3::new(60.0, 0.0, 0.5), radius: 0.02 };
    let span = limb.span(Vec3::ZERO, Vec3::X).unwrap();
    assert!((span.enter - 59.98).abs() < 1e-3 && (span.exit - 60.02).abs() < 1e-3, "{span:?}");
    let bar = Shape::Cylinder { base: Vec3::new(60.0, -0.5, 0.0), axis: Vec3::Y, length: 1.0, radius: 0.02 };
    assert!((bar.span(Vec3::ZERO, Vec3::X).unwrap().enter - 59.98).abs() < 1e-3);
}
