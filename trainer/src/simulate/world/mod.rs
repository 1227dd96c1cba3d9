//! World: streets, the ground, what stands beside it, and what is parked, standing or sitting there.

mod fill;
mod ground;
mod mood;
mod roadworks;
mod scene;
mod streets;

pub(in crate::simulate) use ground::{Cover, Ground};
pub(in crate::simulate) use mood::Mood;
pub(in crate::simulate) use scene::Scene;
pub(in crate::simulate) use streets::{Crossing, Street, crossings};

use super::draw::Draw;
use super::drive::Attribute;
use super::things::Thing;
use fill::Filler;
use glam::Vec2;

/// How far from the way of the own car the world is furnished, metres.
pub(in crate::simulate) const REACH_M: f32 = 84.0;

/// Streets and where they cross.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Network {
    pub(in crate::simulate) streets: Vec<Street>,
    pub(in crate::simulate) crossings: Vec<Crossing>,
}

impl Network {
    /// A network of the given streets.
    pub(in crate::simulate) fn new(streets: Vec<Street>) -> Self {
        Self { crossings: crossings(&streets), streets }
    }
}

/// A labelled thing that stays where it is.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Fixed {
    pub(in crate::simulate) thing: Thing,
    pub(in crate::simulate) place: Vec2,
    pub(in crate::simulate) yaw: f32,
    pub(in crate::simulate) attribute: Option<Attribute>,
}

/// The part of a world that does not move.
pub(in crate::simulate) struct World {
    pub(in crate::simulate) scene: Scene,
    pub(in crate::simulate) fixed: Vec<Fixed>,
}

impl World {
    /// A world around the way of the own car.
    ///
    /// `way` are places of that way, in order, some metres apart. With `all_classes`, something of every class that
    /// stands still stands beside it.
    pub(in crate::simulate) fn build(
        draw: &mut Draw,
        mood: &Mood,
        network: &Network,
        way: &[Vec2],
        all_classes: bool,
    ) -> Self {
        let ground = Ground::build(draw, network.streets.clone(), mood.pavement_m, mood.lot);
        let mut filler = Filler::new(Scene::new(ground), mood, network, way);
        filler.keep_way_free();
        if all_classes || draw.chance(mood.roadworks) {
            filler.roadworks(draw, all_classes);
        }
        if all_classes {
            filler.rare_things(draw);
        }
        filler.fill(draw);
        let (scene, fixed) = filler.finish();
        Self { scene, fixed }
    }
}
