use super::scan::{Body, Instant, Return, Turn, Turning};
use super::{Sensor, Weather, count_free};
use crate::simulate::draw::Draw;
use crate::simulate::drive::Drive;
use crate::simulate::geometry::Pose;
use crate::simulate::parts::{Builder, Finish, Matter, Primitive};
use crate::simulate::tests::options;
use crate::simulate::world::{Ground, Scene, Street};
use glam::{Mat3, Vec2, Vec3};
use std::f32::consts::TAU;

/// Nearly flat ground with one straight street and nothing on it.
fn empty_scene() -> Scene {
    let street = Street::new(Vec2::ZERO, 0.0, 0.0, 5.0, 0.0);
    Scene::new(Ground::build(&mut Draw::new(3, 0), vec![street], 2.0, None))
}

fn wall_at(scene: &mut Scene, x: f32, reflectivity: f32) {
    let wall = Matter::solid(Finish::Matt, reflectivity);
    let pose = Pose::new(Vec3::ZERO, 0.0);
    scene.clutter(pose).block(Vec3::new(x, -30.0, -4.0), Vec3::new(x + 0.3, 30.0, 6.0), wall);
}

/// A block as large as a car, in a frame of its own.
fn block() -> Vec<Primitive> {
    let mut parts = Vec::new();
    let matter = Matter::solid(Finish::Matt, 0.4);
    Builder::new(&mut parts, Pose::new(Vec3::ZERO, 0.0)).block(
        Vec3::new(-2.0, -0.8, 0.0),
        Vec3::new(2.0, 0.8, 1.5),
        matter,
    );
    parts
}

/// The scanner at the origin, 1.73 m above the ground there, and a block at `at` that moves.
fn instant<'a>(scene: &Scene, parts: &'a [Primitive], at: Vec2, velocity: Vec2, time_s: f64) -> Instant<'a> {
    let place = at + velocity * time_s as f32;
    let pose = Pose::new(scene.ground.point(place), 0.0);
    Instant {
        bodies: vec![Body { parts, pose, velocity, actor: Some(0) }],
        rotation: Mat3::IDENTITY,
        origin: scene.ground.point(Vec2::ZERO) + Vec3::Z * 1.73,
    }
}

fn turn(scene: &Scene, weather: Weather, at: Vec2, velocity: Vec2) -> Turn {
    let sensor = Sensor::load("hdl64e").unwrap();
    let parts = block();
    let turning = Turning { sensor: &sensor, scene, weather, n_things: 1 };
    turning.run(&|time_s| instant(scene, &parts, at, velocity, time_s), &mut Draw::new(9, 1))
}

fn of_block(turn: &Turn) -> Vec<&Return> {
    turn.returns.iter().filter(|r| r.actor == Some(0)).collect()
}

#[test]
fn an_occluder_hides_what_lies_behind_it() {
    let scene = empty_scene();
    let free = turn(&scene, Weather::Clear, Vec2::new(15.0, 0.5), Vec2::ZERO);
    let n_seen = of_block(&free).len() as u32;
    assert!(n_seen > 150, "{n_seen} returns");

    let mut hidden = empty_scene();
    wall_at(&mut hidden, 8.0, 0.4);
    let behind_wall = turn(&hidden, Weather::Clear, Vec2::new(15.0, 0.5), Vec2::ZERO);
    assert!(of_block(&behind_wall).is_empty(), "seen through a wall");
    assert_eq!(behind_wall.n_met, [0]);

    let sensor = Sensor::load("hdl64e").unwrap();
    let parts = block();
    let now = instant(&scene, &parts, Vec2::new(15.0, 0.5), Vec2::ZERO, 0.0);
    let n_free = count_free(&sensor, &now, 1)[0];
    // The ground hides the lowest beams' share of a block that stands on it; every n-th column is an estimate.
    assert!(n_free as f32 > 0.9 * free.n_met[0] as f32, "{n_free} free, {} met", free.n_met[0]);
    assert!((n_free as f32) < 1.3 * free.n_met[0] as f32, "{n_free} free, {} met", free.n_met[0]);
}

#[test]
fn ranges_are_noisy_and_far_dark_walls_lose_returns() {
    let wall_returns = |x: f32, reflectivity: f32| -> Vec<f32> {
        let mut scene = empty_scene();
        wall_at(&mut scene, x, reflectivity);
        let turn = turn(&scene, Weather::Clear, Vec2::new(-70.0, 0.0), Vec2::ZERO);
        let points = turn.returns.iter().map(|r| r.world);
        let on_wall = points.filter(|p| (p.x - x).abs() < 0.3 && p.z > 1.2 && p.z < 3.5);
        on_wall.filter(|p| p.y.abs() < 0.15 * x).map(|p| p.x).collect()
    };
    let near = wall_returns(12.0, 0.4);
    let mean = near.iter().sum::<f32>() / near.len() as f32;
    let sigma = (near.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / near.len() as f32).sqrt();
    assert!(near.len() > 500, "{} returns of a near wall", near.len());
    assert!((mean - 12.0).abs() < 0.01, "range is biased: {mean}");
    assert!((0.01..0.03).contains(&sigma), "range noise {sigma} m");
    let (bright, dark) = (wall_returns(70.0, 0.5).len(), wall_returns(70.0, 0.02).len());
    assert!(dark * 10 < bright * 7, "dark {dark} and bright {bright} returns");
}

#[test]
fn rain_and_fog_take_far_returns_and_add_near_ones() {
    let mut scene = empty_scene();
    // Rather dark and far: in clear air just bright enough for every beam to come back.
    wall_at(&mut scene, 45.0, 0.1);
    let counts = |weather: Weather| {
        let turn = turn(&scene, weather, Vec2::new(-70.0, 0.0), Vec2::ZERO);
        let far = turn.returns.iter().filter(|r| r.world.x > 44.0).count();
        let high_and_near = |r: &&Return| r.local.z > -0.5 && r.local.length() < 6.0;
        (far, turn.returns.iter().filter(high_and_near).count())
    };
    let [clear, rain, fog] = [Weather::Clear, Weather::Rain, Weather::Fog].map(counts);
    assert!(clear.0 > 1_000 && clear.1 == 0, "{clear:?}");
    assert!(rain.0 < clear.0 && rain.1 > 50, "{rain:?} against {clear:?}");
    assert!(fog.0 * 2 < clear.0 && fog.1 > 4 * rain.1, "{fog:?} against {rain:?}");
}

#[test]
fn what_moves_is_where_it_is_when_its_beam_leaves() {
    // A block that crosses ahead, 12 m/s to the left: each return lies on it at the return's own time.
    let scene = empty_scene();
    let (at, velocity) = (Vec2::new(12.0, 0.0), Vec2::new(0.0, 12.0));
    let crossing = turn(&scene, Weather::Clear, at, velocity);
    let returns = of_block(&crossing);
    assert!(returns.len() > 200, "{} returns", returns.len());
    for r in returns {
        let place = at + velocity * r.time_offset_s;
        let off = (r.world.truncate() - place).abs();
        assert!(off.x < 2.1 && off.y < 0.9, "{off} beside the block at {} s", r.time_offset_s);
    }
}

#[test]
fn edges_mix_some_returns_between_near_and_far() {
    let mixed = |divergence: f32| {
        let mut scene = empty_scene();
        wall_at(&mut scene, 12.0, 0.4);
        let mut sensor = Sensor::load("hdl64e").unwrap();
        sensor.divergence_mrad = divergence;
        let parts = block();
        let turning = Turning { sensor: &sensor, scene: &scene, weather: Weather::Clear, n_things: 1 };
        let place = Vec2::new(11.5, 0.0);
        let turn = turning.run(&|t| instant(&scene, &parts, place, Vec2::ZERO, t), &mut Draw::new(9, 1));
        // Beside the block and before the wall, above the ground, there is nothing but such returns.
        let between = |r: &&Return| {
            let beside = r.world.y.abs() > 0.86 && r.world.y.abs() < 1.2;
            beside && r.world.x > 10.0 && r.world.x < 11.7 && r.local.z > -1.0
        };
        turn.returns.iter().filter(between).count()
    };
    assert_eq!(mixed(0.0), 0);
    assert!(mixed(6.0) > 1, "{} mixed returns", mixed(6.0));
}

#[test]
fn slices_and_sectors_lose_no_hit() {
    // The same rays against every part of the world, without slices: the nearest hit must be the same.
    let mut quiet = Sensor::load("hdl64e").unwrap();
    quiet.range_noise_m = 0.0;
    quiet.divergence_mrad = 0.0;
    quiet.full_range_m = 1e6;
    quiet.kept_share = 1.0;
    for scene_idx in 0..2 {
        let drive = Drive::build(17, scene_idx, &options(2.0));
        let (n_hits, n_lost) = drive.count_lost_hits(&quiet, 1.0);
        assert!(n_hits > 500, "only {n_hits} hits to compare");
        assert_eq!(n_lost, 0, "of {n_hits} hits");
    }
}

#[test]
fn a_scanner_that_reports_misses_reports_every_beam() {
    let sensor = Sensor::load("hdl32e").unwrap();
    let drive = Drive::build(3, 0, &options(2.0));
    let sweep = drive.sweep(&sensor, 1.0);
    assert_eq!(sweep.points.len(), 32 * 1084);
    let n_near = sweep.points.iter().filter(|p| p.position.length() < 2.5).count();
    // A recorded frame has 8,526 such points of 34,688: misses, and the roof of the car.
    assert!((3_000..16_000).contains(&n_near), "{n_near} points within 2.5 m");
    let rings = sweep.points.iter().take(32).map(|p| usize::from(p.ring));
    assert!(rings.eq(0..32), "a column begins with its lowest beam");
    let full = |p: &&crate::simulate::drive::SweepPoint| (p.time_offset_s * 20.0 + 1.0).abs() < 0.01;
    assert!(sweep.points.first().iter().all(full), "the first column leaves a turn before the end");
}

#[test]
fn columns_go_round_in_their_sense() {
    let sensor = Sensor::load("hdl64e").unwrap();
    let drive = Drive::build(3, 1, &options(2.0));
    let sweep = drive.sweep(&sensor, 1.0);
    let ahead: Vec<f32> = sweep
        .points
        .iter()
        .filter(|p| p.position.x > 5.0 && p.position.y.abs() < 0.5)
        .map(|p| p.time_offset_s)
        .collect();
    assert!(ahead.iter().all(|t| t.abs() < 0.004), "the reference time is when it looks ahead: {ahead:?}");
    let left: Vec<f32> = sweep
        .points
        .iter()
        .filter(|p| p.position.y > 5.0 && p.position.x.abs() < 0.5)
        .map(|p| p.time_offset_s / 0.1)
        .collect();
    assert!(left.iter().all(|t| (t + 0.25).abs() < 0.04), "clockwise: left comes before ahead: {left:?}");
    let azimuth = |p: Vec3| libm::atan2f(p.y, p.x).rem_euclid(TAU);
    assert!(sweep.points.iter().any(|p| azimuth(p.position) > 6.0));
}
