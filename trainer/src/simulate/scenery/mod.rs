//! What stands beside streets and carries no label: buildings, fences, plants, furniture, bulky things.
//!
//! `build_` functions put parts at a pose; the room is theirs already. `stand_` functions claim their room first and
//! add nothing where there is none. Each is a pure function of its arguments and its [`Draw`].
//!
//! **Units and frame**: metres. The frame of a front (buildings, fences, thickets, woods) has x along the street, y
//! away from it, and z up from the ground. The frame of furniture has x along the direction of travel, with the
//! carriageway to its left (+y), so that signs look towards -x.

mod buildings;
mod bulk;
mod fences;
mod fronts;
mod furniture;
mod plants;
mod poles;
#[cfg(test)]
mod tests;

use super::draw::Draw;
use super::geometry::Pose;
use super::parts::{Builder, Finish, Matter};
use super::world::Scene;
use glam::{Vec2, Vec3};

pub(in crate::simulate) use buildings::build_house;
pub(in crate::simulate) use bulk::stand_bulk;
pub(in crate::simulate) use fences::{Roadside, build_barrier};
pub(in crate::simulate) use furniture::stand_furniture;
pub(in crate::simulate) use plants::{build_thicket, build_wood, stand_tree};

/// How far fixed things reach into the ground, metres: it is not flat below them.
const FOOT_M: f32 = -0.4;

/// A solid that scatters evenly.
fn matt(reflectivity: f32) -> Matter {
    Matter::solid(Finish::Matt, reflectivity)
}

/// A matt solid of any tone.
fn any_matt(draw: &mut Draw) -> Matter {
    matt(draw.range(0.08, 0.55))
}

/// Slats, bars or mesh: `density` hits per metre of the block that they fill.
fn porous(reflectivity: f32, density: f32) -> Matter {
    Matter { finish: Finish::Matt, reflectivity, density }
}

/// A window pane.
fn glass() -> Matter {
    Matter::solid(Finish::Glass, 0.1)
}

/// The face of a traffic sign.
fn sheeting() -> Matter {
    Matter::solid(Finish::Retro, 0.95)
}

/// The pose at a local point of another, turned against it by `yaw` radians.
fn within(pose: &Pose, point: Vec3, yaw: f32) -> Pose {
    Pose::new(pose.point(point), pose.yaw + yaw)
}

/// A block given by its extents along x, y and z.
fn brick(part: &mut Builder<'_>, x: [f32; 2], y: [f32; 2], z: [f32; 2], matter: Matter) {
    part.block(Vec3::new(x[0], y[0], z[0]), Vec3::new(x[1], y[1], z[1]), matter);
}

/// Places from `low` to `high`, both included, about `step` apart.
fn spaced(low: f32, high: f32, step: f32) -> impl Iterator<Item = f32> {
    let n_gaps = ((high - low) / step).round().max(1.0);
    let gap = (high - low) / n_gaps;
    (0..=n_gaps as usize).map(move |idx| low + gap * idx as f32)
}

/// A kind of thing that stands on its own.
struct Piece {
    /// How often it is chosen, against the other kinds of its table.
    weight: f32,
    /// Smallest and largest half sizes of its room along x and y, metres.
    half: [Vec2; 2],
    /// Puts its parts into a room of the given half sizes.
    build: fn(&mut Scene, Pose, Vec2, &mut Draw),
}

impl Piece {
    const fn new(
        weight: f32,
        smallest: [f32; 2],
        largest: [f32; 2],
        build: fn(&mut Scene, Pose, Vec2, &mut Draw),
    ) -> Self {
        let half = [Vec2::from_array(smallest), Vec2::from_array(largest)];
        Self { weight, half, build }
    }

    /// Stands the piece near a place, where there is room for it.
    fn stand(&self, scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) {
        let [small, large] = self.half;
        let half = Vec2::new(draw.range(small.x, large.x), draw.range(small.y, large.y));
        let Some(place) = off_the_carriageway(scene, place, half, yaw) else { return };
        if scene.claim(place, half, yaw) {
            let pose = scene.stand(place, yaw);
            (self.build)(scene, pose, half, draw);
        }
    }
}

/// Stands one piece of a table near a place.
fn stand_one_of(pieces: &[Piece], scene: &mut Scene, place: Vec2, yaw: f32, draw: &mut Draw) {
    let choices: Vec<_> = pieces.iter().map(|piece| (piece.weight, Some(piece))).collect();
    if let Some(piece) = draw.weighted(&choices, pieces.first()) {
        piece.stand(scene, place, yaw, draw);
    }
}

/// A place whose room ends before the kerb: the given one, or one behind it.
///
/// A place on the carriageway or on a car park stays as it is: whoever chose it means it.
fn off_the_carriageway(scene: &Scene, place: Vec2, half: Vec2, yaw: f32) -> Option<Vec2> {
    if scene.ground.beyond_kerb(place) <= 0.0 {
        return Some(place);
    }
    let along = Vec2::new(libm::cosf(yaw), libm::sinf(yaw));
    let clear = |place: Vec2| {
        [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)].iter().all(|(x, y)| {
            let corner = place + along * (half.x * x) + along.perp() * (half.y * y);
            scene.ground.beyond_kerb(corner) > 0.0
        })
    };
    let behind = place - along.perp() * half.y;
    [place, behind].into_iter().find(|place| clear(*place))
}
