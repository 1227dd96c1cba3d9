//! The ground: slope, undulation, streets with kerbs.

use super::draw::Draw;
use glam::{Vec2, Vec3};

/// Height of the sensor over the ground below it, metres (KITTI's mounting).
pub(super) const SENSOR_HEIGHT_M: f32 = 1.73;

const FINE_SPACING_M: f32 = 5.0;
const COARSE_SPACING_M: f32 = 28.0;
const NODES: usize = 56;

/// A carriageway along a straight line or a gentle curve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Street {
    /// A point of the centre line.
    pub(super) origin: Vec2,
    /// Direction of the centre line at the origin.
    pub(super) heading_rad: f32,
    /// Bend, 1/m: the centre line is the parabola `curvature / 2 * along^2`.
    pub(super) curvature: f32,
    /// From the centre line to the kerb.
    pub(super) half_width_m: f32,
    cos: f32,
    sin: f32,
}

impl Street {
    /// A street through `origin`.
    pub(super) fn new(origin: Vec2, heading_rad: f32, curvature: f32, half_width_m: f32) -> Self {
        let (cos, sin) = (libm::cosf(heading_rad), libm::sinf(heading_rad));
        Self { origin, heading_rad, curvature, half_width_m, cos, sin }
    }

    /// True for the street itself: streets that meet differ in heading.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.heading_rad - other.heading_rad).abs() < 1e-3
    }

    /// Distance along the street and to the left of its centre line.
    pub(super) fn along_across(&self, p: Vec2) -> Vec2 {
        let rel = p - self.origin;
        let along = rel.x * self.cos + rel.y * self.sin;
        let across = rel.y * self.cos - rel.x * self.sin;
        Vec2::new(along, across - 0.5 * self.curvature * along * along)
    }

    /// The place `along` and `across` metres along and left of the centre line, and the street's heading there.
    pub(super) fn place(&self, along: f32, across: f32) -> (Vec2, f32) {
        let bent = across + 0.5 * self.curvature * along * along;
        let place =
            self.origin + Vec2::new(along * self.cos - bent * self.sin, along * self.sin + bent * self.cos);
        (place, self.heading_rad + libm::atanf(self.curvature * along))
    }
}

/// What the ground is made of at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cover {
    /// Carriageway.
    Asphalt,
    /// Painted lines.
    Paint,
    /// Pavement beside the carriageway.
    Pavement,
    /// Grass and earth.
    Grass,
}

/// The height field of a frame.
pub(super) struct Ground {
    slope: Vec2,
    bend: Vec2,
    fine: Vec<f32>,
    coarse: Vec<f32>,
    base: f32,
    kerb_m: f32,
    pavement_m: f32,
    /// How bright the carriageway is, about 1: its surface differs from place to place.
    pub(super) tone: f32,
    /// The carriageways.
    pub(super) streets: Vec<Street>,
    /// A paved place without kerbs, as (centre, half sizes) along the first street's axes.
    pub(super) lot: Option<(Vec2, Vec2)>,
}

impl Ground {
    /// Ground around the given streets; the place below the sensor is `SENSOR_HEIGHT_M` below it.
    pub(super) fn build(draw: &mut Draw, streets: Vec<Street>, pavement_m: f32) -> Self {
        let steep = if draw.chance(0.3) { 0.018 } else { 0.006 };
        let hilly = if draw.chance(0.3) { 0.35 } else { 0.10 };
        let rough = draw.range(0.008, 0.03);
        let mut nodes = |sigma: f32| (0..NODES * NODES).map(|_| sigma * draw.bell()).collect::<Vec<_>>();
        let (fine, coarse) = (nodes(rough), nodes(hilly));
        let mut ground = Self {
            slope: Vec2::new(steep * draw.bell(), steep * draw.bell()),
            bend: Vec2::new(draw.bell(), draw.bell()) * 1.2e-4,
            fine,
            coarse,
            base: 0.0,
            kerb_m: if draw.chance(0.8) { draw.range(0.06, 0.17) } else { 0.0 },
            pavement_m,
            tone: draw.bell_within(1.0, 0.18, 0.6, 1.4),
            streets,
            lot: None,
        };
        ground.base = -SENSOR_HEIGHT_M - ground.height(Vec2::ZERO);
        ground
    }

    /// Height at a place, metres in the sensor frame.
    pub(super) fn height(&self, p: Vec2) -> f32 {
        let hills =
            noise(&self.coarse, p / COARSE_SPACING_M) + self.bend.x * p.x * p.x + self.bend.y * p.y * p.y;
        let small = noise(&self.fine, p / FINE_SPACING_M);
        let step = (self.beyond_kerb(p) * 14.0).clamp(0.0, 1.0);
        // The carriageway is built flatter than what lies beside it.
        self.base + self.slope.dot(p) + hills + small * (0.35 + 0.65 * step) + self.kerb_m * step
    }

    /// The ground point at a place.
    pub(super) fn point(&self, p: Vec2) -> Vec3 {
        p.extend(self.height(p))
    }

    /// Distance to the nearest carriageway, negative on it.
    pub(super) fn beyond_kerb(&self, p: Vec2) -> f32 {
        let mut nearest = f32::MAX;
        for street in &self.streets {
            nearest = nearest.min(street.along_across(p).y.abs() - street.half_width_m);
        }
        if let (Some((center, half)), Some(street)) = (self.lot, self.streets.first()) {
            let gap = (street.along_across(p) - center).abs() - half;
            nearest = nearest.min(gap.x.max(gap.y));
        }
        nearest
    }

    /// What the ground is made of at a place.
    pub(super) fn cover(&self, p: Vec2) -> Cover {
        let beyond = self.beyond_kerb(p);
        if beyond > self.pavement_m {
            return Cover::Grass;
        }
        if beyond > 0.0 {
            return Cover::Pavement;
        }
        for street in &self.streets {
            let at = street.along_across(p);
            let dash = at.x - 6.0 * (at.x / 6.0).floor();
            if at.y.abs() < 0.08 && dash < 3.0 {
                return Cover::Paint;
            }
        }
        Cover::Asphalt
    }
}

/// Smooth value noise on a square grid centred on the sensor.
fn noise(nodes: &[f32], p: Vec2) -> f32 {
    let shifted = p + Vec2::splat(NODES as f32 * 0.5);
    let limit = (NODES - 2) as f32;
    let cell = shifted.floor().clamp(Vec2::ZERO, Vec2::splat(limit));
    let f = (shifted - cell).clamp(Vec2::ZERO, Vec2::ONE);
    let ease = f * f * (Vec2::splat(3.0) - f * 2.0);
    let first = cell.y as usize * NODES + cell.x as usize;
    let at = |idx: usize| nodes.get(idx).copied().unwrap_or(0.0);
    let low = at(first) + (at(first + 1) - at(first)) * ease.x;
    let high = at(first + NODES) + (at(first + NODES + 1) - at(first + NODES)) * ease.x;
    low + (high - low) * ease.y
}
