//! Things that carry a label: vehicles, people, cycles, and what stands at roadworks.
//!
//! A thing stands in a frame of its own: origin in the middle of its box's footprint on the ground, x along its
//! heading, y left, z up, metres. Where it stands in a world, and when, is the drive's affair.
//!
//! Sizes follow the published means of the labels of KITTI (Geiger et al. 2012) and nuScenes (Caesar et al. 2020);
//! each kind says which. Shapes vary more than in reality, so that what learns from them does not learn one shape.

mod buses;
mod cars;
mod construction;
mod cycles;
mod extents;
mod gait;
mod looks;
mod motorcycles;
mod people;
mod profiles;
mod riders;
mod roadworks;
#[cfg(test)]
mod tests;
mod trailers;
mod trucks;

use super::draw::Draw;
use super::geometry::Pose;
use super::parts::{Builder, Primitive};
use glam::Vec3;
use people::Person;
use riders::Rider;
use std::borrow::Cow;

/// Room between a body and its labelled box on each side, metres.
///
/// People draw boxes around the points, range noise included: the body is a little smaller than its box.
const BOX_MARGIN_M: f32 = 0.035;

/// How many different seeds one draw gives.
const SEEDS: f32 = 16_777_216.0;

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Category {
    /// Passenger cars: sedans, hatchbacks, estates, SUVs.
    Car,
    /// Vans and minibuses: cars to nuScenes, a class of their own to KITTI.
    Van,
    /// Lorries and pickups.
    Truck,
    /// Rigid buses.
    Bus,
    /// Trailers, hitched or not.
    Trailer,
    /// Excavators, wheel loaders.
    ConstructionVehicle,
    /// Motorcycles and scooters, with a rider or without.
    Motorcycle,
    /// Bicycles, with a rider or without.
    Bicycle,
    /// Grown people.
    Adult,
    /// Children.
    Child,
    /// People at roadworks.
    Worker,
    /// Temporary barriers.
    Barrier,
    /// Traffic cones.
    Cone,
}

impl Category {
    /// KITTI's name, `None` for what KITTI does not label.
    ///
    /// KITTI has no class for buses, trailers, machines and motorcycles: it labels them `Misc`. Empty cycles,
    /// barriers and cones carry no label there. People who sit are [`Thing::kitti`]'s affair.
    pub(crate) fn kitti(self, has_rider: bool) -> Option<&'static str> {
        match self {
            Self::Car => Some("Car"),
            Self::Van => Some("Van"),
            Self::Truck => Some("Truck"),
            Self::Bus | Self::Trailer | Self::ConstructionVehicle => Some("Misc"),
            Self::Motorcycle => has_rider.then_some("Misc"),
            Self::Bicycle => has_rider.then_some("Cyclist"),
            Self::Adult | Self::Child | Self::Worker => Some("Pedestrian"),
            Self::Barrier | Self::Cone => None,
        }
    }
}

/// Whose streets: sizes and shares of vehicles differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// Small cars, vans and cab-over lorries, as in KITTI.
    Europe,
    /// Larger cars, pickups and bonneted lorries, as in nuScenes.
    UsAsia,
}

/// How a person holds the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posture {
    /// Strides as it travels.
    Walking,
    /// On both feet.
    Standing,
    /// On a seat.
    Sitting,
}

/// A labelled thing, before it is put anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) category: Category,
    /// A cycle with somebody on it.
    pub(crate) has_rider: bool,
    /// How a person holds the body; `None` for all else.
    pub(crate) posture: Option<Posture>,
    /// Length along the heading, width, height, metres.
    pub(crate) size_lwh: Vec3,
    form: Form,
}

/// How the parts of a thing come about.
#[derive(Clone, Debug)]
enum Form {
    /// Parts that never move against each other.
    Rigid(Vec<Primitive>),
    /// Somebody on foot.
    Walker(Box<Person>),
    /// A bicycle, and the one who pedals.
    Ridden { cycle: Vec<Primitive>, rider: Box<Rider> },
}

impl Thing {
    /// A thing whose parts never move.
    fn rigid(category: Category, size_lwh: Vec3, parts: Vec<Primitive>) -> Self {
        Self { category, has_rider: false, posture: None, size_lwh, form: Form::Rigid(parts) }
    }

    /// The parts of the thing after it has travelled `travel_m` metres: people stride, riders pedal.
    ///
    /// **Determinism**: a function of the thing and `travel_m` alone.
    pub(in crate::simulate) fn parts(&self, travel_m: f32) -> Cow<'_, [Primitive]> {
        match &self.form {
            Form::Rigid(parts) => Cow::Borrowed(parts),
            Form::Walker(person) => Cow::Owned(assemble(|part| person.build(part, travel_m))),
            Form::Ridden { cycle, rider } => {
                let mut parts = cycle.clone();
                rider.build(&mut Builder::new(&mut parts, Pose::new(rider.origin, 0.0)), travel_m);
                Cow::Owned(parts)
            }
        }
    }

    /// KITTI's name of the thing, `None` where KITTI does not label it.
    pub(crate) fn kitti(&self) -> Option<&'static str> {
        if self.posture == Some(Posture::Sitting) {
            return Some("Person_sitting");
        }
        self.category.kitti(self.has_rider)
    }
}

/// The parts that `build` adds around the origin.
fn assemble(build: impl FnOnce(&mut Builder<'_>)) -> Vec<Primitive> {
    let mut parts = Vec::new();
    build(&mut Builder::new(&mut parts, Pose::new(Vec3::ZERO, 0.0)));
    parts
}

/// The parts that `build` adds, moved so that their footprint is centred, and their size.
///
/// `build` runs twice on the same draws: once to see how far the parts reach, and once where they belong.
fn assemble_centred(draw: &mut Draw, build: impl Fn(&mut Builder<'_>, &mut Draw)) -> (Vec<Primitive>, Vec3) {
    let seed = (draw.unit() * SEEDS) as u64;
    let (low, high) = extents::extents(&assemble(|part| build(part, &mut Draw::new(seed, 0))));
    let middle = (low + high) * 0.5;
    let origin = Vec3::new(-middle.x, -middle.y, 0.0);
    let parts = assemble(|part| build(&mut part.turned(origin, 0.0), &mut Draw::new(seed, 0)));
    (parts, Vec3::new(high.x - low.x, high.y - low.y, high.z))
}
