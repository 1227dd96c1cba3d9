//! Drives: a car with a scanner on its way through a world in which others move.
//!
//! A drive is a pure function of a seed, its number and its options. World frame: z up, metres, the drive's own
//! origin; time in seconds since the drive began.

mod motion;
mod population;
mod route;
mod sweep;
#[cfg(test)]
mod tests;
mod traffic;

pub use sweep::Distortion;

use super::draw::Draw;
use super::geometry::Pose;
use super::sensor::Weather;
use super::things::{Region, Thing};
use super::world::{Mood, Network, World};
use glam::{DMat3, DQuat, DVec2, DVec3, Vec2, Vec3};
use motion::{Motion, wrap};

/// A place and an orientation: body to world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pose3 {
    /// Where the body's origin lies, metres.
    pub(crate) translation: DVec3,
    /// Turns body directions into world directions; of unit length.
    pub(crate) rotation: DQuat,
}

/// What nuScenes calls an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Attribute {
    VehicleMoving,
    VehicleStopped,
    VehicleParked,
    CycleWithRider,
    CycleWithoutRider,
    PedestrianMoving,
    PedestrianStanding,
    PedestrianSitting,
}

/// Where a thing is at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ActorState {
    /// Geometric centre of its box, world frame, metres.
    pub(crate) center: DVec3,
    /// Heading, counter-clockwise from the world's +x, radians in [-pi, pi).
    pub(crate) yaw: f64,
    /// World frame, m/s.
    pub(crate) velocity: DVec2,
    /// None for things that nuScenes gives no attribute: barriers and cones.
    pub(crate) attribute: Option<Attribute>,
}

/// One return of the scanner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SweepPoint {
    /// Sensor frame at the sweep's reference time, metres.
    pub(crate) position: Vec3,
    /// 0..1.
    pub(crate) intensity: f32,
    /// Beam, counted from the lowest up.
    pub(crate) ring: u8,
    /// When the beam left, relative to the sweep's reference time, seconds.
    pub(crate) time_offset_s: f32,
    /// The thing it met: an index into the drive's things.
    pub(crate) actor: Option<u32>,
}

/// How much of a thing a sweep saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Returns that came from it.
    pub(crate) n_points: u32,
    /// Beams that met it first, answered or not.
    pub(crate) n_met: u32,
    /// Beams that would meet it if nothing else existed.
    pub(crate) n_free: u32,
}

/// One turn of the scanner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sweep {
    /// Reference time, seconds since the drive began: the scanner says where in the turn it lies.
    pub(crate) time_s: f64,
    /// In firing order, each column from the lowest beam up. A beam without a return stands at the origin where the
    /// scanner reports it, and is left out where it does not.
    pub(crate) points: Vec<SweepPoint>,
    /// One entry a thing of the drive, in order.
    pub(crate) seen: Vec<Seen>,
}

/// What a drive is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DriveOptions {
    /// How long it lasts, seconds.
    pub(crate) duration_s: f64,
    /// Whose streets and vehicles.
    pub(crate) region: Region,
    /// Whether something of every class stands beside the way.
    pub(crate) all_classes: bool,
    /// How many more people and cyclists than usual there are, as a factor.
    pub(crate) crowd: f32,
    /// What the air is like.
    pub(crate) weather: Weather,
    /// Whether points are where the turning, moving scanner sees them.
    pub(crate) distortion: Distortion,
}

/// A labelled thing of a drive, and how it moves.
#[derive(Clone, Debug)]
struct Actor {
    motion: Motion,
    attribute: Option<Attribute>,
}

/// A drive.
pub(crate) struct Drive {
    seed: u64,
    scene_idx: u64,
    options: DriveOptions,
    world: World,
    things: Vec<Thing>,
    actors: Vec<Actor>,
    ego: Motion,
    ego_thing: Thing,
    description: String,
}

/// From the middle of the own car back to its rear axle, metres.
const REAR_AXLE_M: f64 = 1.35;
/// Between the axles, and between the wheels of one, metres: the ground under them tilts the car.
const WHEELBASE_M: f32 = 2.7;
const TRACK_WIDTH_M: f32 = 1.55;

impl Drive {
    /// Drive `scene_idx` of the world of `seed`.
    ///
    /// **Determinism**: a pure function of its arguments.
    pub(crate) fn build(seed: u64, scene_idx: u64, options: &DriveOptions) -> Self {
        // Streets, the fixed world and what moves draw from streams of their own: a change of one leaves the
        // others alone.
        let stream = |purpose: u64| Draw::new(seed, scene_idx * 4 + purpose);
        let mut draw = stream(0);
        let mood = Mood::draw(&mut draw, options.region, options.crowd);
        let network = Network::new(mood.streets(&mut draw));
        let own = population::own_car(&network, &mood, options.duration_s, &mut draw);
        let drive_m = own.wish_m_s * options.duration_s as f32 + 40.0;
        let way = population::way_of(&own.route.path, drive_m);
        let world = World::build(&mut stream(1), &mood, &network, &way, options.all_classes);
        let mut draw = stream(2);
        let walkers =
            population::draw_walkers(&world.scene, &network, &mood, &way, options.duration_s, &mut draw);
        let traffic = population::draw_traffic(&network, &mood, &way, options.duration_s, &mut draw);
        let lights: Vec<_> = network.crossings.iter().map(|_| traffic::Lights::draw(&mut draw)).collect();
        let n_turns = own.route.n_turns;
        let mut movers = vec![own];
        movers.extend(traffic);
        let on_foot: Vec<(Motion, Vec2)> =
            walkers.iter().map(|w| (w.motion.clone(), w.thing.size_lwh.truncate())).collect();
        let mut motions = traffic::run(&mut movers, &on_foot, &lights, options.duration_s).into_iter();
        let still = Motion::Still { place: Vec2::ZERO, yaw: 0.0 };
        let mut movers = movers.into_iter();
        let ego = motions.next().filter(|_| movers.next().is_some()).unwrap_or(still);
        let mut drive = Self {
            seed,
            scene_idx,
            options: *options,
            description: describe(&mood, n_turns, &options.weather),
            things: Vec::new(),
            actors: Vec::new(),
            world,
            ego,
            ego_thing: population::own_body(&mut stream(3), options.region),
        };
        let fixed = std::mem::take(&mut drive.world.fixed);
        for fixed in fixed {
            drive.enter(fixed.thing, Motion::Still { place: fixed.place, yaw: fixed.yaw }, fixed.attribute);
        }
        for (mover, motion) in movers.zip(motions) {
            let attribute =
                if mover.thing.has_rider { Attribute::CycleWithRider } else { Attribute::VehicleMoving };
            drive.enter(mover.thing, motion, Some(attribute));
        }
        for walker in walkers {
            let attribute =
                if walker.thing.has_rider { Attribute::CycleWithRider } else { Attribute::PedestrianMoving };
            drive.enter(walker.thing, walker.motion, Some(attribute));
        }
        drive
    }

    fn enter(&mut self, thing: Thing, motion: Motion, attribute: Option<Attribute>) {
        self.things.push(thing);
        self.actors.push(Actor { motion, attribute });
    }

    /// How long the drive lasts, seconds.
    pub(crate) fn duration_s(&self) -> f64 {
        self.options.duration_s
    }

    /// Everything that carries a label, seen or not.
    pub(crate) fn things(&self) -> &[Thing] {
        &self.things
    }

    /// What kind of drive it is, in a few words.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// The own car's frame (x ahead, y left, z up; origin on the ground below the rear axle) at a time.
    pub(crate) fn ego(&self, time_s: f64) -> Pose3 {
        let stand = self.ego.at(time_s);
        let pose = Pose::new(stand.place.extend(0.0), stand.yaw);
        let (along, left) = (pose.direction(Vec3::X).truncate(), pose.direction(Vec3::Y).truncate());
        let height = |ahead: f32, side: f32| {
            let wheel = stand.place + along * (ahead * WHEELBASE_M) + left * (side * TRACK_WIDTH_M);
            f64::from(self.world.scene.ground.height(wheel))
        };
        let corners = [height(0.5, 0.5), height(0.5, -0.5), height(-0.5, 0.5), height(-0.5, -0.5)];
        let [front_left, front_right, rear_left, rear_right] = corners;
        let rise = (front_left + front_right - rear_left - rear_right) / (2.0 * f64::from(WHEELBASE_M));
        let lean = (front_left + rear_left - front_right - rear_right) / (2.0 * f64::from(TRACK_WIDTH_M));
        let flat = |v: Vec2, z: f64| DVec3::new(f64::from(v.x), f64::from(v.y), z);
        let x = flat(along, rise).normalize();
        let y = flat(left, lean);
        let z = x.cross(y).normalize();
        let rotation = DQuat::from_mat3(&DMat3::from_cols(x, z.cross(x), z)).normalize();
        let middle = flat(stand.place, corners.iter().sum::<f64>() / 4.0);
        Pose3 { translation: middle - x * REAR_AXLE_M, rotation }
    }

    /// A thing's box at a time, from a second before the drive to its end.
    pub(crate) fn state(&self, thing: usize, time_s: f64) -> ActorState {
        match (self.things.get(thing), self.actors.get(thing)) {
            (Some(thing), Some(actor)) => {
                actor.motion.state(&self.world.scene, thing.size_lwh, actor.attribute, time_s)
            }
            _ => ActorState { center: DVec3::ZERO, yaw: wrap(0.0), velocity: DVec2::ZERO, attribute: None },
        }
    }
}

fn describe(mood: &Mood, n_turns: usize, weather: &Weather) -> String {
    let turns = match n_turns {
        0 => "straight on".to_owned(),
        1 => "one turn".to_owned(),
        n => format!("{n} turns"),
    };
    format!("Simulated drive: {}, {turns}, {}", mood.kind.in_words(), weather.in_words())
}
