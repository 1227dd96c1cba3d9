//! Parts: shapes with a matter, and a builder that puts them together in a local frame.

use super::geometry::{Bounds, Plane, Pose, Shape};
use glam::{Vec2, Vec3};

/// How a surface answers a beam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::simulate) enum Finish {
    /// Scatters evenly.
    Matt,
    /// Car paint: mirrors much of the beam away, so that many returns are very weak.
    Paint,
    /// Window glass: lets most beams pass.
    Glass,
    /// Retroreflective sheeting: number plates, signs.
    Retro,
    /// A facade with window recesses of this pitch along the wall, metres.
    Facade(f32),
    /// Leaves and twigs: only used with a density.
    Foliage,
}

/// Something a beam can meet.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Primitive {
    pub(in crate::simulate) shape: Shape,
    pub(in crate::simulate) finish: Finish,
    /// Share of light scattered back, 0..1.
    pub(in crate::simulate) reflectivity: f32,
    /// Chance of a hit per metre inside; 0 for a solid.
    pub(in crate::simulate) density: f32,
    pub(in crate::simulate) bounds: Bounds,
}

/// The matter a part is made of.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Matter {
    pub(in crate::simulate) finish: Finish,
    pub(in crate::simulate) reflectivity: f32,
    pub(in crate::simulate) density: f32,
}

impl Matter {
    /// A solid of the given finish.
    pub(in crate::simulate) fn solid(finish: Finish, reflectivity: f32) -> Self {
        Self { finish, reflectivity, density: 0.0 }
    }

    /// Leaves: `density` hits per metre.
    pub(in crate::simulate) fn foliage(reflectivity: f32, density: f32) -> Self {
        Self { finish: Finish::Foliage, reflectivity, density }
    }
}

/// Directions of the facets of a rounded end, from straight ahead to the side, as (cosine, sine).
const FACETS: [(f32, f32); 4] = [(0.985, 0.174), (0.940, 0.342), (0.819, 0.574), (0.5, 0.866)];

/// Adds parts in the local frame of a pose (x ahead, y left, z up from the ground).
pub(in crate::simulate) struct Builder<'a> {
    primitives: &'a mut Vec<Primitive>,
    pose: Pose,
}

impl<'a> Builder<'a> {
    /// A builder that adds to `primitives` in the local frame of `pose`.
    pub(in crate::simulate) fn new(primitives: &'a mut Vec<Primitive>, pose: Pose) -> Self {
        Self { primitives, pose }
    }

    /// A builder in a frame of its own: it stands at the local point `origin`, turned by `yaw` radians.
    pub(in crate::simulate) fn turned(&mut self, origin: Vec3, yaw: f32) -> Builder<'_> {
        let pose = Pose::new(self.pose.point(origin), self.pose.yaw + yaw);
        Builder { primitives: self.primitives, pose }
    }

    fn add(&mut self, shape: Shape, matter: Matter, low: Vec3, high: Vec3) {
        self.primitives.push(Primitive {
            shape,
            finish: matter.finish,
            reflectivity: matter.reflectivity,
            density: matter.density,
            bounds: Bounds::of_local(&self.pose, low, high),
        });
    }

    fn plane(&self, normal: Vec3, point: Vec3) -> Plane {
        let normal = self.pose.direction(normal.normalize_or(Vec3::Z));
        Plane { normal, offset: normal.dot(self.pose.point(point)) }
    }

    /// A box between two local corners.
    pub(in crate::simulate) fn block(&mut self, low: Vec3, high: Vec3, matter: Matter) {
        let planes = [
            (Vec3::X, high),
            (Vec3::Y, high),
            (Vec3::Z, high),
            (Vec3::NEG_X, low),
            (Vec3::NEG_Y, low),
            (Vec3::NEG_Z, low),
        ];
        let planes = planes.iter().map(|(normal, point)| self.plane(*normal, *point)).collect();
        self.add(Shape::Hull(planes), matter, low, high);
    }

    /// A convex side profile (x, z) drawn across the width.
    ///
    /// The sides lean in by `lean` metres per metre of height above the profile's lowest point. Seen from above, the
    /// rear and the front end are rounded over the depths `rounding`, metres.
    pub(in crate::simulate) fn extrusion(
        &mut self,
        profile: &[Vec2],
        half_width: f32,
        lean: f32,
        rounding: [f32; 2],
        matter: Matter,
    ) {
        let low = profile.iter().copied().fold(Vec2::MAX, Vec2::min);
        let high = profile.iter().copied().fold(Vec2::MIN, Vec2::max);
        let middle = profile.iter().copied().sum::<Vec2>() / profile.len().max(1) as f32;
        let mut planes = Vec::with_capacity(profile.len() + 6);
        for (idx, start) in profile.iter().enumerate() {
            let end = profile.get(idx + 1).or(profile.first()).copied().unwrap_or(*start);
            let mut normal = (end - *start).perp();
            if normal.dot(*start - middle) < 0.0 {
                normal = -normal;
            }
            planes.push(self.plane(Vec3::new(normal.x, 0.0, normal.y), Vec3::new(start.x, 0.0, start.y)));
        }
        for side in [1.0, -1.0] {
            planes.push(self.plane(Vec3::new(0.0, side, lean), Vec3::new(0.0, side * half_width, low.y)));
            // Facets along an ellipse that spans the width and is as deep as the end is round.
            for (x, end, depth) in [(high.x, 1.0, rounding[1]), (low.x, -1.0, rounding[0])] {
                if depth > 0.0 {
                    let center = Vec3::new(x - end * depth, 0.0, low.y);
                    for (cos, sin) in FACETS {
                        let reach = Vec2::new(depth * cos, half_width * sin).length();
                        let normal = Vec3::new(end * cos, side * sin, 0.0);
                        planes.push(self.plane(normal, center + normal * reach));
                    }
                }
            }
        }
        let (a, b) = (Vec3::new(low.x, -half_width, low.y), Vec3::new(high.x, half_width, high.y));
        self.add(Shape::Hull(planes), matter, a, b);
    }

    /// A wheel: a short bar across the vehicle.
    pub(in crate::simulate) fn wheel(&mut self, center: Vec3, radius: f32, width: f32, matter: Matter) {
        let base = self.pose.point(center - Vec3::Y * (width * 0.5));
        let shape = Shape::Cylinder { base, axis: self.pose.direction(Vec3::Y), length: width, radius };
        let reach = Vec3::new(radius, width * 0.5, radius);
        self.add(shape, matter, center - reach, center + reach);
    }

    /// A post from `foot` upwards.
    pub(in crate::simulate) fn post(&mut self, foot: Vec3, height: f32, radius: f32, matter: Matter) {
        let shape = Shape::Cylinder { base: self.pose.point(foot), axis: Vec3::Z, length: height, radius };
        let reach = Vec3::new(radius, radius, 0.0);
        self.add(shape, matter, foot - reach, foot + reach + Vec3::Z * height);
    }

    /// A limb or a tube between two local points.
    pub(in crate::simulate) fn limb(&mut self, start: Vec3, end: Vec3, radius: f32, matter: Matter) {
        let shape = Shape::Capsule { start: self.pose.point(start), end: self.pose.point(end), radius };
        let reach = Vec3::splat(radius);
        self.add(shape, matter, start.min(end) - reach, start.max(end) + reach);
    }

    /// An ellipsoid with half axes along the pose.
    pub(in crate::simulate) fn blob(&mut self, center: Vec3, radii: Vec3, matter: Matter) {
        let pose = Pose::new(self.pose.point(center), self.pose.yaw);
        self.add(Shape::Ellipsoid { pose, radii }, matter, center - radii, center + radii);
    }

    /// A bicycle wheel standing along the pose's heading.
    pub(in crate::simulate) fn ring(&mut self, center: Vec3, inner: f32, outer: f32, matter: Matter) {
        let normal = self.pose.direction(Vec3::Y);
        let shape = Shape::Ring { center: self.pose.point(center), normal, inner, outer };
        let reach = Vec3::new(outer, 0.01, outer);
        self.add(shape, matter, center - reach, center + reach);
    }

    /// A round bar with flat ends between two local points.
    pub(in crate::simulate) fn drum(&mut self, start: Vec3, end: Vec3, radius: f32, matter: Matter) {
        let axis = (end - start).normalize_or(Vec3::Z);
        let (base, length) = (self.pose.point(start), (end - start).length());
        let shape = Shape::Cylinder { base, axis: self.pose.direction(axis), length, radius };
        let reach = (Vec3::ONE - axis * axis).max(Vec3::ZERO).map(f32::sqrt) * radius;
        self.add(shape, matter, start.min(end) - reach, start.max(end) + reach);
    }

    /// An upright eight-sided stump: half axes `radii_low` (x, y) at `foot`, `radii_high` at `height` above it.
    pub(in crate::simulate) fn taper(
        &mut self,
        foot: Vec3,
        height: f32,
        radii_low: Vec2,
        radii_high: Vec2,
        matter: Matter,
    ) {
        const DIAGONAL: f32 = std::f32::consts::FRAC_1_SQRT_2;
        let top = foot + Vec3::Z * height;
        let mut planes = vec![self.plane(Vec3::Z, top), self.plane(Vec3::NEG_Z, foot)];
        for (x, y) in [(1.0, 0.0), (0.0, 1.0), (DIAGONAL, DIAGONAL), (DIAGONAL, -DIAGONAL)] {
            let side = Vec2::new(x, y);
            let (low, high) = ((radii_low * side).length(), (radii_high * side).length());
            for side in [side, -side] {
                let normal = Vec3::new(side.x, side.y, (low - high) / height);
                planes.push(self.plane(normal, foot + side.extend(0.0) * low));
            }
        }
        let reach = radii_low.max(radii_high).extend(0.0);
        self.add(Shape::Hull(planes), matter, foot - reach, top + reach);
    }
}
