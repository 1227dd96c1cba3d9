//! A frame's world: what a beam can meet, and what of it is labelled.

use super::geometry::{Bounds, Plane, Pose, Shape};
use super::ground::Ground;
use glam::{Vec2, Vec3};

/// How a surface answers a beam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finish {
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
pub(super) struct Primitive {
    pub(super) shape: Shape,
    pub(super) finish: Finish,
    /// Share of light scattered back, 0..1.
    pub(super) reflectivity: f32,
    /// Chance of a hit per metre inside; 0 for a solid.
    pub(super) density: f32,
    /// The labelled object this is a part of.
    pub(super) object: Option<usize>,
    pub(super) bounds: Bounds,
}

/// A labelled thing of the world, seen or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) class_name: &'static str,
    /// Geometric centre, sensor frame, metres.
    pub(super) center: Vec3,
    pub(super) size_lwh: Vec3,
    pub(super) yaw: f32,
}

/// The matter a part is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matter {
    pub(super) finish: Finish,
    pub(super) reflectivity: f32,
    pub(super) density: f32,
}

impl Matter {
    /// A solid of the given finish.
    pub(super) fn solid(finish: Finish, reflectivity: f32) -> Self {
        Self { finish, reflectivity, density: 0.0 }
    }

    /// Leaves: `density` hits per metre.
    pub(super) fn foliage(reflectivity: f32, density: f32) -> Self {
        Self { finish: Finish::Foliage, reflectivity, density }
    }
}

/// An upright rectangle of the ground plane that something stands on.
#[derive(Clone, Copy, Debug)]
struct Plot {
    center: Vec2,
    along: Vec2,
    half: Vec2,
}

impl Plot {
    fn overlaps(&self, other: &Self) -> bool {
        let gap = other.center - self.center;
        let reach = self.half.length() + other.half.length();
        if gap.length_squared() > reach * reach {
            return false;
        }
        [self.along, self.along.perp(), other.along, other.along.perp()].iter().all(|axis| {
            let extent = |plot: &Self| {
                plot.half.x * plot.along.dot(*axis).abs() + plot.half.y * plot.along.perp().dot(*axis).abs()
            };
            gap.dot(*axis).abs() < extent(self) + extent(other)
        })
    }
}

/// The world of a frame.
pub(super) struct Scene {
    pub(super) ground: Ground,
    pub(super) primitives: Vec<Primitive>,
    pub(super) actors: Vec<Actor>,
    plots: Vec<Plot>,
}

impl Scene {
    /// An empty world with room kept for the car that carries the sensor.
    pub(super) fn new(ground: Ground) -> Self {
        let own = Plot { center: Vec2::new(0.6, 0.0), along: Vec2::X, half: Vec2::new(3.2, 1.3) };
        Self { ground, primitives: Vec::new(), actors: Vec::new(), plots: vec![own] }
    }

    /// Claims a rectangle; false, and no claim, where something stands already.
    pub(super) fn claim(&mut self, center: Vec2, half: Vec2, yaw: f32) -> bool {
        let plot = Plot { center, along: Vec2::new(libm::cosf(yaw), libm::sinf(yaw)), half };
        let free = !self.plots.iter().any(|other| other.overlaps(&plot));
        if free {
            self.plots.push(plot);
        }
        free
    }

    /// The pose on the ground at a place.
    pub(super) fn stand(&self, place: Vec2, yaw: f32) -> Pose {
        Pose::new(self.ground.point(place), yaw)
    }

    /// Enters a labelled object whose box stands on `pose`; parts built with the returned builder belong to it.
    pub(super) fn actor(&mut self, class_name: &'static str, pose: Pose, size_lwh: Vec3) -> Builder<'_> {
        let center = pose.origin + Vec3::Z * (size_lwh.z * 0.5);
        self.actors.push(Actor { class_name, center, size_lwh, yaw: pose.yaw });
        let object = Some(self.actors.len() - 1);
        Builder { primitives: &mut self.primitives, pose, object }
    }

    /// A builder of things that carry no label.
    pub(super) fn clutter(&mut self, pose: Pose) -> Builder<'_> {
        Builder { primitives: &mut self.primitives, pose, object: None }
    }
}

/// Directions of the facets of a rounded end, from straight ahead to the side, as (cosine, sine).
const FACETS: [(f32, f32); 4] = [(0.985, 0.174), (0.940, 0.342), (0.819, 0.574), (0.5, 0.866)];

/// Adds parts in the local frame of a pose (x ahead, y left, z up from the ground).
pub(super) struct Builder<'a> {
    primitives: &'a mut Vec<Primitive>,
    pose: Pose,
    object: Option<usize>,
}

impl Builder<'_> {
    fn add(&mut self, shape: Shape, matter: Matter, low: Vec3, high: Vec3) {
        self.primitives.push(Primitive {
            shape,
            finish: matter.finish,
            reflectivity: matter.reflectivity,
            density: matter.density,
            object: self.object,
            bounds: Bounds::of_local(&self.pose, low, high),
        });
    }

    fn plane(&self, normal: Vec3, point: Vec3) -> Plane {
        let normal = self.pose.direction(normal.normalize_or(Vec3::Z));
        Plane { normal, offset: normal.dot(self.pose.point(point)) }
    }

    /// A box between two local corners.
    pub(super) fn block(&mut self, low: Vec3, high: Vec3, matter: Matter) {
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
    pub(super) fn extrusion(
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
    pub(super) fn wheel(&mut self, center: Vec3, radius: f32, width: f32, matter: Matter) {
        let base = self.pose.point(center - Vec3::Y * (width * 0.5));
        let shape = Shape::Cylinder { base, axis: self.pose.direction(Vec3::Y), length: width, radius };
        let reach = Vec3::new(radius, width * 0.5, radius);
        self.add(shape, matter, center - reach, center + reach);
    }

    /// A post from `foot` upwards.
    pub(super) fn post(&mut self, foot: Vec3, height: f32, radius: f32, matter: Matter) {
        let shape = Shape::Cylinder { base: self.pose.point(foot), axis: Vec3::Z, length: height, radius };
        let reach = Vec3::new(radius, radius, 0.0);
        self.add(shape, matter, foot - reach, foot + reach + Vec3::Z * height);
    }

    /// A limb or a tube between two local points.
    pub(super) fn limb(&mut self, start: Vec3, end: Vec3, radius: f32, matter: Matter) {
        let shape = Shape::Capsule { start: self.pose.point(start), end: self.pose.point(end), radius };
        let reach = Vec3::splat(radius);
        self.add(shape, matter, start.min(end) - reach, start.max(end) + reach);
    }

    /// An ellipsoid with half axes along the pose.
    pub(super) fn blob(&mut self, center: Vec3, radii: Vec3, matter: Matter) {
        let pose = Pose::new(self.pose.point(center), self.pose.yaw);
        self.add(Shape::Ellipsoid { pose, radii }, matter, center - radii, center + radii);
    }

    /// A bicycle wheel standing along the pose's heading.
    pub(super) fn ring(&mut self, center: Vec3, inner: f32, outer: f32, matter: Matter) {
        let normal = self.pose.direction(Vec3::Y);
        let shape = Shape::Ring { center: self.pose.point(center), normal, inner, outer };
        let reach = Vec3::new(outer, 0.01, outer);
        self.add(shape, matter, center - reach, center + reach);
    }
}
