//! Shapes a beam can meet, and where along the beam it meets them.
//!
//! Frame: that of the world or of the body that a part belongs to, z up, metres.

use glam::{Vec2, Vec3};

/// A place and a heading in the ground plane.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Pose {
    /// Where the local origin lies.
    pub(in crate::simulate) origin: Vec3,
    /// Heading, counter-clockwise from +x, radians.
    pub(in crate::simulate) yaw: f32,
    cos: f32,
    sin: f32,
}

impl Pose {
    /// The pose at `origin` with heading `yaw` (radians).
    pub(in crate::simulate) fn new(origin: Vec3, yaw: f32) -> Self {
        Self { origin, yaw, cos: libm::cosf(yaw), sin: libm::sinf(yaw) }
    }

    /// A local direction in the world.
    pub(in crate::simulate) fn direction(&self, v: Vec3) -> Vec3 {
        Vec3::new(self.cos * v.x - self.sin * v.y, self.sin * v.x + self.cos * v.y, v.z)
    }

    /// A local point in the world.
    pub(in crate::simulate) fn point(&self, p: Vec3) -> Vec3 {
        self.origin + self.direction(p)
    }

    /// A world direction in the local frame.
    pub(in crate::simulate) fn local_direction(&self, v: Vec3) -> Vec3 {
        Vec3::new(self.cos * v.x + self.sin * v.y, self.cos * v.y - self.sin * v.x, v.z)
    }

    /// A world point in the local frame.
    pub(in crate::simulate) fn local_point(&self, p: Vec3) -> Vec3 {
        self.local_direction(p - self.origin)
    }
}

/// A half-space `normal . p <= offset`.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Plane {
    pub(in crate::simulate) normal: Vec3,
    pub(in crate::simulate) offset: f32,
}

/// A convex shape.
#[derive(Clone, Debug)]
pub(in crate::simulate) enum Shape {
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
pub(in crate::simulate) struct Span {
    pub(in crate::simulate) enter: f32,
    pub(in crate::simulate) exit: f32,
    /// Outward normal where the beam enters.
    pub(in crate::simulate) normal: Vec3,
}

impl Shape {
    /// The stretch of the line `origin + t * direction` (unit `direction`) inside the shape; it may begin before t = 0.
    pub(in crate::simulate) fn span(&self, origin: Vec3, direction: Vec3) -> Option<Span> {
        // A round shape is met from the point of the line that is nearest to it: squares of long distances would
        // leave nothing of the difference that decides about a thin one.
        let near = |center: Vec3| {
            let skipped = (center - origin).dot(direction);
            (skipped, origin + direction * skipped)
        };
        match self {
            Self::Hull(planes) => hull_span(planes, origin, direction),
            Self::Cylinder { base, axis, length, radius } => {
                let (skipped, from) = near(*base);
                cylinder_span(from - *base, direction, *axis, *length, *radius)
                    .map(|span| span.later(skipped))
            }
            Self::Capsule { start, end, radius } => {
                let (skipped, from) = near((*start + *end) * 0.5);
                capsule_span(from, direction, *start, *end, *radius).map(|span| span.later(skipped))
            }
            Self::Ellipsoid { pose, radii } => {
                let (skipped, from) = near(pose.origin);
                let o = pose.local_point(from) / *radii;
                let d = pose.local_direction(direction) / *radii;
                let (enter, exit) = roots(d.length_squared(), o.dot(d), o.length_squared() - 1.0)?;
                let normal = pose.direction((o + d * enter) / *radii).normalize_or_zero();
                Some(Span { enter, exit, normal }.later(skipped))
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

impl Span {
    /// The same stretch, counted from `by` metres further back.
    fn later(self, by: f32) -> Self {
        Self { enter: self.enter + by, exit: self.exit + by, ..self }
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
pub(in crate::simulate) struct Bounds {
    pub(in crate::simulate) center: Vec2,
    half: Vec2,
    cos: f32,
    sin: f32,
    pub(in crate::simulate) z_low: f32,
    pub(in crate::simulate) z_high: f32,
}

impl Bounds {
    /// The box of local extents `low..high` at `pose`.
    pub(in crate::simulate) fn of_local(pose: &Pose, low: Vec3, high: Vec3) -> Self {
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
    pub(in crate::simulate) fn corners(&self) -> [Vec2; 4] {
        let along = Vec2::new(self.cos, self.sin) * self.half.x;
        let across = Vec2::new(-self.sin, self.cos) * self.half.y;
        [
            self.center + along + across,
            self.center + along - across,
            self.center - along - across,
            self.center - along + across,
        ]
    }

    /// A place in the axes of the box, from its centre, metres.
    pub(in crate::simulate) fn local(&self, place: Vec2) -> Vec2 {
        let c = place - self.center;
        Vec2::new(self.cos * c.x + self.sin * c.y, self.cos * c.y - self.sin * c.x)
    }

    /// Farthest that a corner lies from the centre, metres.
    pub(in crate::simulate) fn reach_m(&self) -> f32 {
        self.half.length()
    }

    /// The same box, of a frame that lies at `pose`.
    pub(in crate::simulate) fn placed(&self, pose: &Pose) -> Self {
        Self {
            center: pose.point(self.center.extend(0.0)).truncate(),
            half: self.half,
            cos: self.cos * pose.cos - self.sin * pose.sin,
            sin: self.sin * pose.cos + self.cos * pose.sin,
            z_low: self.z_low + pose.origin.z,
            z_high: self.z_high + pose.origin.z,
        }
    }

    /// Nearest horizontal distance to a place, metres.
    pub(in crate::simulate) fn near_m(&self, from: Vec2) -> f32 {
        (self.local(from).abs() - self.half).max(Vec2::ZERO).length()
    }

    /// Centre azimuth and half width seen from a place, radians; half a turn where it surrounds the place.
    pub(in crate::simulate) fn azimuth(&self, from: Vec2) -> (f32, f32) {
        if self.near_m(from) < 0.05 {
            return (0.0, std::f32::consts::PI);
        }
        let center = self.center - from;
        let middle = libm::atan2f(center.y, center.x);
        let (cos, sin) = (libm::cosf(middle), libm::sinf(middle));
        // The widest corner: of equal angles the one with the largest tangent, as all lie ahead.
        let mut widest = (1.0f32, 0.0f32);
        for corner in self.corners() {
            let corner = corner - from;
            let (x, y) = (corner.x * cos + corner.y * sin, (corner.y * cos - corner.x * sin).abs());
            if y * widest.0 > widest.1 * x || x <= 0.0 {
                widest = (x, y);
            }
        }
        (middle, libm::atan2f(widest.1, widest.0))
    }

    /// Lowest and highest slope (rise over horizontal distance) seen from heights `low_z..high_z` above a place that is
    /// `near_m` metres away.
    pub(in crate::simulate) fn slopes(&self, from: Vec2, near_m: f32, low_z: f32, high_z: f32) -> (f32, f32) {
        let near = near_m.max(0.2);
        let far = (self.center - from).length() + self.reach_m() + 0.2;
        let (down, up) = (self.z_low - high_z, self.z_high - low_z);
        (if down < 0.0 { down / near } else { down / far }, if up > 0.0 { up / near } else { up / far })
    }
}

#[cfg(test)]
#[path = "geometry_tests.rs"]
mod tests;
