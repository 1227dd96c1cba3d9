//! Shapes a beam can meet, and where along the beam it meets them.
//!
//! Frame: the sensor frame, x forward, y left, z up, metres; the sensor is the origin.

use glam::{Vec2, Vec3};

/// A place and a heading in the ground plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// Where the local origin lies.
    pub(super) origin: Vec3,
    /// Heading, counter-clockwise from +x, radians.
    pub(super) yaw: f32,
    cos: f32,
    sin: f32,
}

impl Pose {
    /// The pose at `origin` with heading `yaw` (radians).
    pub(super) fn new(origin: Vec3, yaw: f32) -> Self {
        Self { origin, yaw, cos: libm::cosf(yaw), sin: libm::sinf(yaw) }
    }

    /// A local direction in the world.
    pub(super) fn direction(&self, v: Vec3) -> Vec3 {
        Vec3::new(self.cos * v.x - self.sin * v.y, self.sin * v.x + self.cos * v.y, v.z)
    }

    /// A local point in the world.
    pub(super) fn point(&self, p: Vec3) -> Vec3 {
        self.origin + self.direction(p)
    }

    /// A world direction in the local frame.
    pub(super) fn local_direction(&self, v: Vec3) -> Vec3 {
        Vec3::new(self.cos * v.x + self.sin * v.y, self.cos * v.y - self.sin * v.x, v.z)
    }

    /// A world point in the local frame.
    pub(super) fn local_point(&self, p: Vec3) -> Vec3 {
        self.local_direction(p - self.origin)
    }
}

/// A half-space `normal . p <= offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    pub(super) normal: Vec3,
    pub(super) offset: f32,
}

/// A convex shape.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The points inside all planes.
    Hull(Vec<Plane>),
    /// A round bar with flat ends from `base` along the unit vector `axis`.
    Cylinder { base: Vec3, axis: Vec3, length: f32, radius: f32 },
    /// All points within `radius` of the segment.
    Capsule { start: Vec3, end: Vec3, radius: f32 },
    /// An ellipsoid with half axes along the pose's axes.
    Ellipsoid { pose: Pose, radii: Vec3 },
    /// A flat ring, for the wheels of bicycles.
    Ring { center: Vec3, normal: Vec3, inner: f32, outer: f32 },
}

/// Where a beam is inside a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) enter: f32,
    pub(super) exit: f32,
    /// Outward normal where the beam enters.
    pub(super) normal: Vec3,
}

impl Shape {
    /// The stretch of the line `origin + t * direction` (unit `direction`) inside the shape; it may begin before t = 0.
    pub(super) fn span(&self, origin: Vec3, direction: Vec3) -> Option<Span> {
        match self {
            Self::Hull(planes) => hull_span(planes, origin, direction),
            Self::Cylinder { base, axis, length, radius } => {
                cylinder_span(origin - *base, direction, *axis, *length, *radius)
            }
            Self::Capsule { start, end, radius } => capsule_span(origin, direction, *start, *end, *radius),
            Self::Ellipsoid { pose, radii } => {
                let o = pose.local_point(origin) / *radii;
                let d = pose.local_direction(direction) / *radii;
                let (enter, exit) = roots(d.length_squared(), o.dot(d), o.length_squared() - 1.0)?;
                let normal = pose.direction((o + d * enter) / *radii).normalize_or_zero();
                Some(Span { enter, exit, normal })
            }
            Self::Ring { center, normal, inner, outer } => {
                let facing = normal.dot(direction);
                if facing.abs() < 1e-6 {
                    return None;
                }
                let t = normal.dot(*center - origin) / facing;
                let distance = (origin + direction * t - *center).length();
                let side = if facing > 0.0 { -*normal } else { *normal };
                (distance >= *inner && distance <= *outer).then_some(Span { enter: t, exit: t, normal: side })
            }
        }
    }
}

/// Roots of `a t^2 + 2 b t + c = 0`, the smaller first.
fn roots(a: f32, b: f32, c: f32) -> Option<(f32, f32)> {
    let discriminant = b * b - a * c;
    if discriminant <= 0.0 || a < 1e-12 {
        return None;
    }
    let root = discriminant.sqrt();
    Some(((-b - root) / a, (-b + root) / a))
}

fn hull_span(planes: &[Plane], origin: Vec3, direction: Vec3) -> Option<Span> {
    let mut span = Span { enter: f32::MIN, exit: f32::MAX, normal: Vec3::Z };
    for plane in planes {
        let facing = plane.normal.dot(direction);
        let gap = plane.offset - plane.normal.dot(origin);
        if facing.abs() < 1e-9 {
            if gap < 0.0 {
                return None;
            }
        } else {
            let t = gap / facing;
            if facing < 0.0 {
                if t > span.enter {
                    span.enter = t;
                    span.normal = plane.normal;
                }
            } else {
                span.exit = span.exit.min(t);
            }
        }
        if span.enter > span.exit {
            return None;
        }
    }
    Some(span)
}

fn cylinder_span(o: Vec3, d: Vec3, axis: Vec3, length: f32, radius: f32) -> Option<Span> {
    let along_o = o.dot(axis);
    let along_d = d.dot(axis);
    let across_o = o - axis * along_o;
    let across_d = d - axis * along_d;
    let a = across_d.length_squared();
    let (mut enter, mut exit, mut normal) = if a < 1e-9 {
        if across_o.length_squared() > radius * radius {
            return None;
        }
        (f32::MIN, f32::MAX, axis)
    } else {
        let (enter, exit) = roots(a, across_o.dot(across_d), across_o.length_squared() - radius * radius)?;
        (enter, exit, (across_o + across_d * enter) / radius)
    };
    if along_d.abs() < 1e-9 {
        if along_o < 0.0 || along_o > length {
            return None;
        }
    } else {
        let (low, high) = (-along_o / along_d, (length - along_o) / along_d);
        let (cap_enter, cap_exit) = if low < high { (low, high) } else { (high, low) };
        if cap_enter > enter {
            enter = cap_enter;
            normal = if along_d > 0.0 { -axis } else { axis };
        }
        exit = exit.min(cap_exit);
    }
    (enter <= exit).then_some(Span { enter, exit, normal })
}

fn capsule_span(origin: Vec3, direction: Vec3, start: Vec3, end: Vec3, radius: f32) -> Option<Span> {
    let mut best: Option<Span> = None;
    let mut join = |span: Option<Span>| {
        let Some(span) = span else { return };
        best = Some(match best {
            None => span,
            Some(old) => {
                let first = if span.enter < old.enter { span } else { old };
                Span { enter: first.enter, exit: span.exit.max(old.exit), normal: first.normal }
            }
        });
    };
    for center in [start, end] {
        let o = origin - center;
        join(roots(1.0, o.dot(direction), o.length_squared() - radius * radius).map(|(enter, exit)| Span {
            enter,
            exit,
            normal: (o + direction * enter) / radius,
        }));
    }
    let axis = end - start;
    let length = axis.length();
    if length > 1e-5 {
        join(cylinder_span(origin - start, direction, axis / length, length, radius));
    }
    best
}

/// An upright box around a shape: what the beams are culled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    center: Vec2,
    half: Vec2,
    cos: f32,
    sin: f32,
    z_low: f32,
    z_high: f32,
}

impl Bounds {
    /// The box of local extents `low..high` at `pose`.
    pub(super) fn of_local(pose: &Pose, low: Vec3, high: Vec3) -> Self {
        let middle = pose.point((low + high) * 0.5);
        let half = (high - low) * 0.5;
        Self {
            center: middle.truncate(),
            half: half.truncate(),
            cos: pose.cos,
            sin: pose.sin,
            z_low: middle.z - half.z,
            z_high: middle.z + half.z,
        }
    }

    /// The corners in the ground plane.
    pub(super) fn corners(&self) -> [Vec2; 4] {
        let along = Vec2::new(self.cos, self.sin) * self.half.x;
        let across = Vec2::new(-self.sin, self.cos) * self.half.y;
        [
            self.center + along + across,
            self.center + along - across,
            self.center - along - across,
            self.center - along + across,
        ]
    }

    /// Nearest horizontal distance to the sensor axis, metres.
    pub(super) fn near_m(&self) -> f32 {
        let c = self.center;
        let local = Vec2::new(self.cos * c.x + self.sin * c.y, self.cos * c.y - self.sin * c.x);
        (local.abs() - self.half).max(Vec2::ZERO).length()
    }

    /// Centre azimuth and half width seen from the sensor, radians; half a turn where it surrounds the sensor.
    pub(super) fn azimuth(&self) -> (f32, f32) {
        if self.near_m() < 0.05 {
            return (0.0, std::f32::consts::PI);
        }
        let middle = libm::atan2f(self.center.y, self.center.x);
        let (cos, sin) = (libm::cosf(middle), libm::sinf(middle));
        let mut half = 0.0f32;
        for corner in self.corners() {
            let (x, y) = (corner.x * cos + corner.y * sin, corner.y * cos - corner.x * sin);
            half = half.max(libm::atan2f(y, x).abs());
        }
        (middle, half)
    }

    /// Lowest and highest slope (rise over horizontal distance) seen from heights `low_z..high_z` on the sensor axis.
    pub(super) fn slopes(&self, low_z: f32, high_z: f32) -> (f32, f32) {
        let near = self.near_m().max(0.2);
        let far = self.corners().iter().map(|c| c.length()).fold(near, f32::max);
        let (down, up) = (self.z_low - high_z, self.z_high - low_z);
        (if down < 0.0 { down / near } else { down / far }, if up > 0.0 { up / near } else { up / far })
    }
}
