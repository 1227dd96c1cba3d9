//! Streets: carriageways, where they cross, and the lanes that vehicles follow.

use glam::Vec2;

/// A carriageway along a straight line or a gentle curve, without ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Street {
    /// A point of the centre line.
    pub(in crate::simulate) origin: Vec2,
    /// Direction of the centre line at the origin, radians.
    pub(in crate::simulate) heading_rad: f32,
    /// Bend, 1/m: the centre line is the parabola `curvature / 2 * along^2`.
    pub(in crate::simulate) curvature: f32,
    /// From the centre line to the kerb, metres.
    pub(in crate::simulate) half_width_m: f32,
    /// Width of one lane, metres; what is left of the half width is for parking.
    pub(in crate::simulate) lane_m: f32,
    cos: f32,
    sin: f32,
}

impl Street {
    /// A street through `origin`.
    pub(in crate::simulate) fn new(
        origin: Vec2,
        heading_rad: f32,
        curvature: f32,
        lane_m: f32,
        parking_m: f32,
    ) -> Self {
        let (cos, sin) = (libm::cosf(heading_rad), libm::sinf(heading_rad));
        Self { origin, heading_rad, curvature, half_width_m: lane_m + parking_m, lane_m, cos, sin }
    }

    /// True for the street itself: streets that cross differ in heading, parallel ones in origin.
    pub(in crate::simulate) fn is(&self, other: &Self) -> bool {
        (self.heading_rad - other.heading_rad).abs() < 1e-3 && self.origin.distance(other.origin) < 1.0
    }

    /// Room between the lane and the kerb, metres.
    pub(in crate::simulate) fn parking_m(&self) -> f32 {
        self.half_width_m - self.lane_m
    }

    /// Distance along the street and to the left of its centre line.
    pub(in crate::simulate) fn along_across(&self, p: Vec2) -> Vec2 {
        let rel = p - self.origin;
        let along = rel.x * self.cos + rel.y * self.sin;
        let across = rel.y * self.cos - rel.x * self.sin;
        Vec2::new(along, across - 0.5 * self.curvature * along * along)
    }

    /// The place `along` and `across` metres along and left of the centre line, and the street's heading there.
    pub(in crate::simulate) fn place(&self, along: f32, across: f32) -> (Vec2, f32) {
        let bent = across + 0.5 * self.curvature * along * along;
        let place =
            self.origin + Vec2::new(along * self.cos - bent * self.sin, along * self.sin + bent * self.cos);
        (place, self.heading_rad + libm::atanf(self.curvature * along))
    }

    /// Where another street's centre line crosses this one, as distances along this and along the other.
    pub(in crate::simulate) fn crossing(&self, other: &Self) -> Option<(f32, f32)> {
        if libm::sinf(other.heading_rad - self.heading_rad).abs() < 0.3 {
            return None;
        }
        // Newton's method from the origin; both lines are nearly straight, so a few steps are exact.
        let mut along = 0.0;
        for _ in 0..12 {
            let across = |at: f32| other.along_across(self.place(at, 0.0).0).y;
            let (here, ahead) = (across(along), across(along + 0.5));
            let slope = (ahead - here) / 0.5;
            if slope.abs() < 1e-3 {
                return None;
            }
            along -= (here / slope).clamp(-400.0, 400.0);
        }
        let at = other.along_across(self.place(along, 0.0).0);
        (at.y.abs() < 0.1 && along.abs() < 2_000.0).then_some((along, at.x))
    }
}

/// A place where two streets cross.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) struct Crossing {
    /// Indices of the streets.
    pub(in crate::simulate) streets: [usize; 2],
    /// Distance along each of them.
    pub(in crate::simulate) along_m: [f32; 2],
}

/// The crossings of all pairs of streets, in the streets' order.
pub(in crate::simulate) fn crossings(streets: &[Street]) -> Vec<Crossing> {
    let mut found = Vec::new();
    for (a, first) in streets.iter().enumerate() {
        for (b, second) in streets.iter().enumerate().skip(a + 1) {
            if let Some((along_a, along_b)) = first.crossing(second) {
                found.push(Crossing { streets: [a, b], along_m: [along_a, along_b] });
            }
        }
    }
    found
}
