//! The height of the ground along one azimuth, and where beams meet it.

use super::super::world::Ground;
use super::scan::{Met, Ray};
use glam::Vec2;

const FIRST_M: f32 = 1.5;
/// Each step is this much longer than the one before.
const GROWTH: f32 = 1.018;

/// Heights along an azimuth, sampled when they are first asked for.
pub(super) struct GroundLine {
    radii: Vec<f32>,
    heights: Vec<f32>,
    /// How many of them are sampled.
    n_sampled: usize,
    direction: Vec2,
    origin: Vec2,
    /// The last beam's step: beams come from low to high.
    start: usize,
    /// Height and slope of a beam that left over the ground: what begins no lower and climbs no less does so too.
    missed: Option<(f32, f32)>,
}

impl GroundLine {
    pub(super) fn new(max_range_m: f32) -> Self {
        let mut radii = Vec::new();
        let mut radius = FIRST_M;
        while radius < max_range_m * 1.03 {
            radii.push(radius);
            radius *= GROWTH;
        }
        let heights = vec![0.0; radii.len()];
        Self { radii, heights, n_sampled: 0, direction: Vec2::X, origin: Vec2::ZERO, start: 0, missed: None }
    }

    /// Points the line at another azimuth.
    pub(super) fn point_at(&mut self, direction: Vec2, origin: Vec2) {
        (self.direction, self.origin, self.n_sampled, self.start) = (direction, origin, 0, 0);
        self.missed = None;
    }

    fn at(&mut self, ground: &Ground, idx: usize) -> Option<(f32, f32)> {
        while self.n_sampled <= idx {
            let radius = *self.radii.get(self.n_sampled)?;
            *self.heights.get_mut(self.n_sampled)? = ground.height(self.origin + self.direction * radius);
            self.n_sampled += 1;
        }
        Some((*self.radii.get(idx)?, *self.heights.get(idx)?))
    }

    /// Where a beam meets the ground.
    pub(super) fn first_hit(&mut self, ground: &Ground, ray: &Ray) -> Option<Met> {
        let flat = ray.direction.truncate().length().max(1e-6);
        let slope = ray.direction.z / flat;
        if self.missed.is_some_and(|(z, climb)| ray.origin.z >= z && slope >= climb) {
            return None;
        }
        let mut idx = self.start.saturating_sub(3).max(1);
        loop {
            let Some((radius, height)) = self.at(ground, idx) else {
                self.missed = Some((ray.origin.z, slope));
                return None;
            };
            let gap = height - (ray.origin.z + slope * radius);
            if gap >= 0.0 {
                let (radius_before, height_before) = self.at(ground, idx - 1)?;
                let gap_before = (height_before - (ray.origin.z + slope * radius_before)).min(0.0);
                let share = if gap - gap_before > 1e-6 { -gap_before / (gap - gap_before) } else { 0.0 };
                let at = radius_before + share * (radius - radius_before);
                let rise = (height - height_before) / (radius - radius_before);
                let cos_incidence = (rise * flat - ray.direction.z).abs() / (1.0 + rise * rise).sqrt();
                self.start = idx;
                return Some(Met { range: at / flat, cos_incidence, part: None });
            }
            idx += 1;
        }
    }
}
