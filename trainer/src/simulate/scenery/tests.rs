use super::super::draw::Draw;
use super::super::geometry::{Plane, Pose, Shape};
use super::super::parts::{Finish, Primitive};
use super::super::world::{Ground, Scene, Street};
use super::buildings::{self, Site};
use super::bulk::BULK;
use super::fronts::Bay;
use super::furniture::FURNITURE;
use super::plants::{self, HABITS};
use super::poles::POLES;
use super::{
    Piece, build_barrier, build_house, build_thicket, build_wood, fences, matt, stand_bulk, stand_furniture,
    stand_tree,
};
use glam::{Mat3, Vec2, Vec3};

/// What people and cars may touch: higher things may reach further out.
const HEADROOM_M: f32 = 2.2;

fn seeds() -> std::ops::Range<u64> {
    0..60
}

/// A street along x whose kerbs lie at +-5 m.
fn street_scene() -> Scene {
    let street = Street::new(Vec2::ZERO, 0.0, 0.0, 5.0, 0.0);
    Scene::new(Ground::build(&mut Draw::new(3, 0), vec![street], 3.0, None))
}

/// The pose of a front somewhere in the world.
fn front_pose() -> Pose {
    Pose::new(Vec3::new(31.0, -12.0, 0.8), 0.6)
}

fn corners_of(planes: &[Plane]) -> Vec<Vec3> {
    let mut corners = Vec::new();
    for (i, a) in planes.iter().enumerate() {
        for (j, b) in planes.iter().enumerate().skip(i + 1) {
            for c in planes.iter().skip(j + 1) {
                let rows = Mat3::from_cols(a.normal, b.normal, c.normal).transpose();
                if rows.determinant().abs() < 1e-4 {
                    continue;
                }
                let corner = rows.inverse() * Vec3::new(a.offset, b.offset, c.offset);
                if planes.iter().all(|plane| plane.normal.dot(corner) <= plane.offset + 2e-3) {
                    corners.push(corner);
                }
            }
        }
    }
    corners
}

/// How far a shape reaches along a unit direction; `None` where it holds no point.
fn reach(shape: &Shape, direction: Vec3) -> Option<f32> {
    let round = |axis: Vec3, radius: f32| radius * (direction - axis * axis.dot(direction)).length();
    match shape {
        Shape::Hull(planes) => corners_of(planes).iter().map(|p| p.dot(direction)).reduce(f32::max),
        Shape::Cylinder { base, axis, length, radius } => (*length > 0.0 && *radius > 0.0)
            .then(|| base.dot(direction) + (length * axis.dot(direction)).max(0.0) + round(*axis, *radius)),
        Shape::Capsule { start, end, radius } => {
            (*radius > 0.0).then(|| start.dot(direction).max(end.dot(direction)) + radius)
        }
        Shape::Ellipsoid { pose, radii } => (radii.min_element() > 0.0)
            .then(|| pose.origin.dot(direction) + (pose.local_direction(direction) * *radii).length()),
        Shape::Ring { center, normal, outer, .. } => Some(center.dot(direction) + round(*normal, *outer)),
    }
}

/// Lowest and highest coordinates of a part in the frame of a pose.
fn extent(part: &Primitive, pose: &Pose) -> [Vec3; 2] {
    let along = |axis: Vec3| {
        let direction = pose.direction(axis);
        let reach = |side: f32| {
            let reached = reach(&part.shape, direction * side);
            reached.unwrap_or_else(|| panic!("nothing is inside of {part:?}"))
        };
        let origin = direction.dot(pose.origin);
        (-reach(-1.0) - origin, reach(1.0) - origin)
    };
    let (x, y, z) = (along(Vec3::X), along(Vec3::Y), along(Vec3::Z));
    [Vec3::new(x.0, y.0, z.0), Vec3::new(x.1, y.1, z.1)]
}

/// Lowest and highest coordinates of all parts.
fn extent_of_all(parts: &[Primitive], pose: &Pose) -> [Vec3; 2] {
    parts
        .iter()
        .map(|part| extent(part, pose))
        .fold([Vec3::MAX, Vec3::MIN], |all, one| [all[0].min(one[0]), all[1].max(one[1])])
}

/// Every building and barrier there is, by name, at one length and seed.
fn fronts(length: f32, seed: u64) -> Vec<(String, Vec<Primitive>)> {
    let mut all = Vec::new();
    for (idx, kind) in buildings::KINDS.iter().enumerate() {
        let mut scene = street_scene();
        let mut draw = Draw::new(seed, idx as u64);
        let urban = draw.unit();
        (kind.build)(&mut Site::new(&mut scene, front_pose(), length, urban), &mut draw);
        all.push((format!("building {idx}, seed {seed}"), scene.primitives));
    }
    for (idx, kind) in fences::KINDS.iter().enumerate() {
        let mut scene = street_scene();
        (kind.build)(&mut scene, front_pose(), 0.5 * length, &mut Draw::new(seed, 100 + idx as u64));
        all.push((format!("barrier {idx}, seed {seed}"), scene.primitives));
    }
    all
}

fn pieces() -> impl Iterator<Item = (usize, &'static Piece)> {
    POLES.iter().chain(&FURNITURE).chain(&BULK).enumerate()
}

/// One scene a piece, a tree habit, a thicket, a wood, a gated barrier, a house; with the place it was put at.
fn everything(seed: u64) -> Vec<(String, Scene)> {
    let place = Vec2::new(20.0, -9.0);
    let mut all = Vec::new();
    let mut add = |name: String, build: &dyn Fn(&mut Scene, &mut Draw)| {
        let mut scene = street_scene();
        build(&mut scene, &mut Draw::new(seed, all.len() as u64));
        all.push((name, scene));
    };
    for (idx, piece) in pieces() {
        add(format!("piece {idx}"), &|scene, draw| piece.stand(scene, place, 0.1, draw));
    }
    for (_, habit) in HABITS {
        add(format!("{habit:?}"), &|scene, draw| plants::stand_habit(scene, place, habit, draw));
    }
    add("tree".into(), &|scene, draw| stand_tree(scene, place, draw));
    add("furniture".into(), &|scene, draw| stand_furniture(scene, place, 0.1, draw));
    add("bulk".into(), &|scene, draw| stand_bulk(scene, place, 0.1, draw));
    add("thicket".into(), &|scene, draw| build_thicket(scene, front_pose(), 17.0, 5.0, draw));
    add("wood".into(), &|scene, draw| build_wood(scene, front_pose(), 17.0, draw));
    add("barrier".into(), &|scene, draw| build_barrier(scene, front_pose(), 13.0, draw));
    add("house".into(), &|scene, draw| build_house(scene, front_pose(), 17.0, 0.5, draw));
    for length in [5.0, 26.0] {
        for (name, parts) in fronts(length, seed) {
            let mut scene = street_scene();
            scene.primitives = parts;
            all.push((name, scene));
        }
    }
    all
}

#[test]
fn a_seed_gives_the_same_parts_twice_and_another_gives_others() {
    let dump = |seed| -> Vec<String> {
        everything(seed).iter().map(|(_, scene)| format!("{:?}", scene.primitives)).collect()
    };
    assert!(dump(5) == dump(5));
    let n_alike = dump(5).iter().zip(dump(6)).filter(|(a, b)| *a == b).count();
    assert_eq!(n_alike, 0, "two seeds gave the same parts");
}

#[test]
fn parts_have_a_volume_a_sane_matter_and_bounds_around_them() {
    for seed in seeds().step_by(6) {
        for (name, scene) in everything(seed) {
            for part in &scene.primitives {
                let context = || format!("{name}, seed {seed}: {part:?}");
                let [low, high] = extent(part, &Pose::new(Vec3::ZERO, 0.0));
                assert!((high - low).min_element() > 1e-4, "flat or inside out: {}", context());
                assert!((0.0..=1.0).contains(&part.reflectivity), "{}", context());
                let can_be_porous = matches!(part.finish, Finish::Foliage | Finish::Matt);
                assert!(part.density == 0.0 || (part.density > 0.0 && can_be_porous), "{}", context());
                assert!(part.finish != Finish::Foliage || part.density > 0.0, "{}", context());
                let [a, b, c, d] = part.bounds.corners();
                for edge in [a - b, b - c] {
                    let axis = edge.normalize();
                    for axis in [axis, -axis] {
                        let bound = [a, b, c, d].iter().map(|p| p.dot(axis)).fold(f32::MIN, f32::max);
                        let reached = reach(&part.shape, axis.extend(0.0)).unwrap();
                        // Steep sides of an extrusion leave their bounds by rounding only.
                        assert!(reached < bound + 5e-3, "{reached} > {bound}: {}", context());
                    }
                }
                // A beam through the middle meets it.
                let middle = (low + high) * 0.5;
                let span = part.shape.span(middle - Vec3::X * 5.0, Vec3::X);
                assert!(span.is_some_and(|s| s.exit >= s.enter), "{}", context());
            }
        }
    }
}

#[test]
fn fronts_keep_to_their_plot_and_off_the_pavement() {
    let pose = front_pose();
    for seed in seeds() {
        for length in [5.0, 12.0, 26.0] {
            for (name, parts) in fronts(length, seed) {
                assert!(!parts.is_empty() && parts.len() <= 60, "{name}: {} parts", parts.len());
                let [low, high] = extent_of_all(&parts, &pose);
                assert!(low.z <= 0.05, "{name} floats at {}", low.z);
                assert!(high.z > 0.3 && high.z < 25.0, "{name} is {} high", high.z);
                let over = 0.9;
                assert!(low.x > -0.5 * length - over && high.x < 0.5 * length + over, "{name}: {low} {high}");
                assert!(high.y < 15.0, "{name}: {high}");
                for part in &parts {
                    let [low, _] = extent(part, &pose);
                    let limit = if low.z < HEADROOM_M { -1.3 } else { -1.75 };
                    assert!(low.y > limit, "{name} reaches over the kerb: {low} of {part:?}");
                }
            }
        }
    }
}

#[test]
fn thickets_and_woods_grow_away_from_the_street() {
    let pose = front_pose();
    for seed in seeds() {
        for wood in [false, true] {
            let mut scene = street_scene();
            let mut draw = Draw::new(seed, 1);
            if wood {
                build_wood(&mut scene, pose, 26.0, &mut draw);
            } else {
                build_thicket(&mut scene, pose, 26.0, 7.0, &mut draw);
            }
            assert!(scene.primitives.len() <= 90, "{} parts", scene.primitives.len());
            for part in &scene.primitives {
                let [low, high] = extent(part, &pose);
                assert!(low.y > -0.9 && low.z < 14.0 && high.z < 16.0, "{low} {high} {part:?}");
            }
        }
    }
}

#[test]
fn trees_reach_the_ground_and_leave_the_carriageway_free() {
    let base = |scene: &Scene, place: Vec2| Pose::new(scene.ground.point(place), 0.0);
    for seed in seeds() {
        for (_, habit) in HABITS {
            // In a garden, and at the kerb.
            for across in [14.0, 5.6] {
                let place = Vec2::new(20.0, across);
                let mut scene = street_scene();
                plants::stand_habit(&mut scene, place, habit, &mut Draw::new(seed, 2));
                let parts = &scene.primitives;
                assert!((2..=12).contains(&parts.len()), "{habit:?}: {} parts", parts.len());
                let pose = base(&scene, place);
                let [low, high] = extent_of_all(parts, &pose);
                assert!(low.z < 0.0 && high.z > 1.5 && high.z < 25.0, "{habit:?}, seed {seed}: {low} {high}");
                for part in parts.iter().filter(|_| across < 6.0) {
                    let [low, _] = extent(part, &pose);
                    let over_the_kerb = low.y < 5.0 - across - 0.05;
                    assert!(!over_the_kerb || low.z > 1.7, "{habit:?}, seed {seed}: {low} {part:?}");
                }
            }
        }
    }
}

#[test]
fn pieces_keep_to_the_room_they_claimed() {
    for seed in seeds() {
        for (idx, piece) in pieces() {
            let mut scene = street_scene();
            let place = Vec2::new(20.0, -11.0);
            piece.stand(&mut scene, place, 0.2, &mut Draw::new(seed, idx as u64));
            assert!((1..=22).contains(&scene.primitives.len()), "piece {idx}: {}", scene.primitives.len());
            let ground = scene.ground.height(place);
            for part in scene.primitives.clone() {
                let [low, high] = extent(&part, &Pose::new(Vec3::ZERO, 0.0));
                assert!(high.z - ground < 13.0 && low.z - ground > -2.0, "piece {idx}: {part:?}");
                if low.z - ground > HEADROOM_M - 0.25 {
                    continue;
                }
                let corners = part.bounds.corners();
                let middle = corners.iter().sum::<Vec2>() * 0.25;
                for corner in corners {
                    // Slack for rounding; what is claimed cannot be claimed again.
                    let inside = corner + (middle - corner).clamp_length_max(0.02);
                    let free = scene.claim(inside, Vec2::splat(1e-4), 0.0);
                    assert!(!free, "piece {idx}, seed {seed}, leaves its room at {inside}: {part:?}");
                }
            }
        }
    }
}

#[test]
fn pieces_at_the_kerb_stand_behind_it_or_not_at_all() {
    let mut n_stood = 0;
    for seed in seeds() {
        for (idx, piece) in pieces() {
            let mut scene = street_scene();
            piece.stand(&mut scene, Vec2::new(20.0, -5.45), 0.0, &mut Draw::new(seed, idx as u64));
            n_stood += usize::from(!scene.primitives.is_empty());
            let ground = scene.ground.height(Vec2::new(20.0, -5.45));
            for part in &scene.primitives {
                let [low, high] = extent(part, &Pose::new(Vec3::ZERO, 0.0));
                let in_the_way = high.y > -4.97 && low.z - ground < HEADROOM_M - 0.25;
                assert!(!in_the_way, "piece {idx} stands on the carriageway: {part:?}");
            }
        }
    }
    let share = n_stood as f32 / (seeds().count() * pieces().count()) as f32;
    assert!(share > 0.9, "only {share} of the pieces found room behind the kerb");
}

#[test]
fn nothing_is_put_where_something_stands() {
    for seed in seeds() {
        let mut scene = street_scene();
        let place = Vec2::new(20.0, 12.0);
        assert!(scene.claim(place, Vec2::splat(4.0), 0.0));
        let mut draw = Draw::new(seed, 3);
        stand_tree(&mut scene, place, &mut draw);
        stand_furniture(&mut scene, place, 0.0, &mut draw);
        stand_bulk(&mut scene, place, 0.3, &mut draw);
        assert!(scene.primitives.is_empty());
    }
}

#[test]
fn panes_lie_behind_the_wall_and_rooms_behind_the_panes() {
    let wall = matt(0.3);
    let bay = Bay { x: [-5.0, 5.0], y: [0.0, 10.0], top: 6.0, wall, upper: wall };
    for seed in seeds() {
        for shop in [false, true] {
            let mut scene = street_scene();
            let mut draw = Draw::new(seed, 4);
            let mut part = scene.clutter(Pose::new(Vec3::ZERO, 0.0));
            if shop {
                bay.build_shop(&mut part, &mut draw);
            } else {
                bay.build_dwelling(&mut part, &mut draw);
            }
            let (mut n_wall, mut n_pane) = (0, 0);
            for idx in -49..50 {
                let beam = Vec3::new(0.1 * idx as f32, -5.0, 2.0);
                let mut met: Vec<(f32, Finish)> = scene
                    .primitives
                    .iter()
                    .filter_map(|part| Some((part.shape.span(beam, Vec3::Y)?.enter - 5.0, part.finish)))
                    .filter(|(depth, _)| *depth > -0.01)
                    .collect();
                met.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (depth, finish) = met[0];
                n_wall += usize::from(depth < 0.01);
                if finish == Finish::Glass {
                    n_pane += 1;
                    assert!(depth > 0.07, "seed {seed}: a pane {depth} m behind the face");
                    assert!(met[1].0 > depth + 0.08 && met[1].0 < 7.0, "seed {seed}: {met:?}");
                }
            }
            assert!(n_wall > 3 && n_pane > 3, "seed {seed}: {n_wall} beams met the wall, {n_pane} a pane");
        }
    }
}

#[test]
fn a_long_street_keeps_a_bearable_number_of_parts() {
    let mut counts = Vec::new();
    for seed in 0..8 {
        let mut scene = street_scene();
        let mut draw = Draw::new(seed, 5);
        let urban = seed as f32 / 7.0;
        for side in [1.0, -1.0] {
            let turn = if side > 0.0 { 0.0 } else { std::f32::consts::PI };
            for idx in 0..13 {
                let along = 15.0 * idx as f32 - 90.0;
                let pose = scene.stand(Vec2::new(along, side * 9.0), turn);
                build_house(&mut scene, pose, 15.0, urban, &mut draw);
                if idx % 2 == 0 {
                    let pose = scene.stand(Vec2::new(along, side * 8.2), turn);
                    build_barrier(&mut scene, pose, 15.0, &mut draw);
                    build_thicket(&mut scene, pose, 15.0, 4.0, &mut draw);
                }
                stand_tree(&mut scene, Vec2::new(along, side * 5.7), &mut draw);
                stand_bulk(&mut scene, Vec2::new(along + 3.0, side * 25.0), turn, &mut draw);
                for piece in 0..4 {
                    let place = Vec2::new(along + 3.7 * piece as f32 - 6.0, side * 6.6);
                    stand_furniture(&mut scene, place, turn, &mut draw);
                }
            }
        }
        counts.push(scene.primitives.len());
    }
    assert!(counts.iter().all(|n| (600..3000).contains(n)), "{counts:?}");
}
