//! What stands in a world: its ground, its fixed parts, and the places that are taken.

use super::super::geometry::Pose;
use super::super::parts::{Builder, Primitive};
use super::ground::Ground;
use glam::Vec2;
use std::collections::BTreeMap;

/// Side of the squares by which taken places are looked up, metres.
const SQUARE_M: f32 = 8.0;

/// An upright rectangle of the ground plane that something stands on.
#[derive(Clone, Copy, Debug)]
struct Plot {
    center: Vec2,
    along: Vec2,
    half: Vec2,
}

impl Plot {
    fn new(center: Vec2, half: Vec2, yaw: f32) -> Self {
        Self { center, along: Vec2::new(libm::cosf(yaw), libm::sinf(yaw)), half }
    }

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

    /// The squares that the plot may touch.
    fn squares(&self) -> impl Iterator<Item = (i32, i32)> + use<> {
        let reach = self.half.length();
        let square = |v: f32| (v / SQUARE_M).floor() as i32;
        let (low, high) = (self.center - Vec2::splat(reach), self.center + Vec2::splat(reach));
        let columns = square(low.x)..=square(high.x);
        let rows = square(low.y)..=square(high.y);
        columns.flat_map(move |x| rows.clone().map(move |y| (x, y)))
    }
}

/// The fixed part of a world.
pub(in crate::simulate) struct Scene {
    pub(in crate::simulate) ground: Ground,
    pub(in crate::simulate) primitives: Vec<Primitive>,
    plots: Vec<Plot>,
    by_square: BTreeMap<(i32, i32), Vec<usize>>,
}

impl Scene {
    /// An empty world.
    pub(in crate::simulate) fn new(ground: Ground) -> Self {
        Self { ground, primitives: Vec::new(), plots: Vec::new(), by_square: BTreeMap::new() }
    }

    /// Claims a rectangle; false, and no claim, where something stands already.
    pub(in crate::simulate) fn claim(&mut self, center: Vec2, half: Vec2, yaw: f32) -> bool {
        let plot = Plot::new(center, half, yaw);
        if self.is_taken(&plot) {
            return false;
        }
        for square in plot.squares() {
            self.by_square.entry(square).or_default().push(self.plots.len());
        }
        self.plots.push(plot);
        true
    }

    /// Whether something stands within `reach` metres of a place.
    pub(in crate::simulate) fn is_occupied(&self, place: Vec2, reach: f32) -> bool {
        self.is_taken(&Plot::new(place, Vec2::splat(reach), 0.0))
    }

    fn is_taken(&self, plot: &Plot) -> bool {
        plot.squares().any(|square| {
            let taken = self.by_square.get(&square).map_or(&[][..], Vec::as_slice);
            taken.iter().any(|idx| self.plots.get(*idx).is_some_and(|other| other.overlaps(plot)))
        })
    }

    /// The pose on the ground at a place.
    pub(in crate::simulate) fn stand(&self, place: Vec2, yaw: f32) -> Pose {
        Pose::new(self.ground.point(place), yaw)
    }

    /// A builder of things that carry no label.
    pub(in crate::simulate) fn clutter(&mut self, pose: Pose) -> Builder<'_> {
        Builder::new(&mut self.primitives, pose)
    }
}
