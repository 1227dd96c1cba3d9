//! The exact extents of parts, for things whose box follows from their shape.

use super::super::geometry::{Plane, Shape};
use super::super::parts::Primitive;
use glam::{Mat3, Vec3};

/// How far a vertex may stand outside of a hull's other planes, metres.
const SLACK_M: f32 = 1e-4;

/// Lowest and highest corner around the parts.
pub(super) fn extents(parts: &[Primitive]) -> (Vec3, Vec3) {
    let mut around = (Vec3::MAX, Vec3::MIN);
    for part in parts {
        let (low, high) = shape_extents(&part.shape);
        around = (around.0.min(low), around.1.max(high));
    }
    around
}

fn shape_extents(shape: &Shape) -> (Vec3, Vec3) {
    match shape {
        Shape::Hull(planes) => hull_extents(planes),
        Shape::Cylinder { base, axis, length, radius } => {
            let (end, reach) = (*base + *axis * *length, disc_reach(*axis) * *radius);
            (base.min(end) - reach, base.max(end) + reach)
        }
        Shape::Capsule { start, end, radius } => (start.min(*end) - *radius, start.max(*end) + *radius),
        Shape::Ellipsoid { pose, radii } => {
            let (along, across) = (pose.direction(Vec3::X) * radii.x, pose.direction(Vec3::Y) * radii.y);
            let flat = (along * along + across * across).map(f32::sqrt);
            let reach = Vec3::new(flat.x, flat.y, radii.z);
            (pose.origin - reach, pose.origin + reach)
        }
        Shape::Ring { center, normal, outer, .. } => {
            let reach = disc_reach(*normal) * *outer;
            (*center - reach, *center + reach)
        }
    }
}

/// How far a disc of radius 1 across `axis` reaches along x, y and z.
fn disc_reach(axis: Vec3) -> Vec3 {
    (Vec3::ONE - axis * axis).max(Vec3::ZERO).map(f32::sqrt)
}

/// Around the vertices: all points where three planes meet and no other plane cuts off.
fn hull_extents(planes: &[Plane]) -> (Vec3, Vec3) {
    let mut around = (Vec3::MAX, Vec3::MIN);
    for (third, a) in planes.iter().enumerate() {
        for (second, b) in planes.iter().enumerate().take(third) {
            for c in planes.iter().take(second) {
                let rows = Mat3::from_cols(a.normal, b.normal, c.normal).transpose();
                if rows.determinant().abs() < 1e-4 {
                    continue;
                }
                let vertex = rows.inverse() * Vec3::new(a.offset, b.offset, c.offset);
                if planes.iter().all(|plane| plane.normal.dot(vertex) <= plane.offset + SLACK_M) {
                    around = (around.0.min(vertex), around.1.max(vertex));
                }
            }
        }
    }
    around
}
