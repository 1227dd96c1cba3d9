//! Models and clouds made from a seed: every shape that a manifest may have, small enough to run
//! in milliseconds, and clouds that are out to break something.

#![allow(clippy::approx_constant, reason = "the published models write 0.78539")]

use pilotis_runtime::Package;
use pilotis_runtime::package::sha256_hex;
use pilotis_spec::codec::logit_threshold;
use pilotis_spec::manifest::{DIGESTS_FILE, ENCODER_FILE, MANIFEST_FILE, SCHEMA_VERSION};
use pilotis_spec::points::PointsSpec;
use pilotis_spec::{
    AnchorClass, AnchorGroup, AnchorHead, BoxesSpec, CenterHead, CenterTask, EncoderSpec, FeatureRecipe,
    Grid, HeadLayout, InputStatistics, Manifest, NmsScope, OverflowPolicy, PillarMode, PillarsSpec, Point,
    PointLayout, ScoreRule, YawCode,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A generator of a purpose and a seed.
pub fn generator(purpose: u64, seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose);
    rng
}

/// A valid manifest, drawn from everything that one may say.
pub fn manifest(seed: u64) -> Manifest {
    let rng = &mut generator(1, seed);
    let classes = ["car", "truck", "pedestrian", "cyclist"];
    let n_classes = rng.random_range(1..=classes.len());
    let (nx, ny) = (rng.random_range(2..=20) * 4, rng.random_range(2..=20) * 4);
    let cell = [rng.random_range(0.1_f32..0.6), rng.random_range(0.1_f32..0.6)];
    let min = [rng.random_range(-20.0_f32..5.0), rng.random_range(-20.0_f32..5.0), -3.0];
    let max = [min[0] + cell[0] * nx as f32, min[1] + cell[1] * ny as f32, 1.0];
    let grid = Grid::new(min, max, cell).unwrap();
    let is_hard = rng.random_bool(0.6);
    let pillars = PillarsSpec {
        mode: if is_hard { PillarMode::Hard } else { PillarMode::Dynamic },
        max_points_per_pillar: if is_hard { rng.random_range(1..=40) } else { 0 },
        max_pillars: rng.random_range(1..=grid.n_cells() as u32),
        overflow: OverflowPolicy::First,
    };
    let recipes = [FeatureRecipe::Paper9, FeatureRecipe::Pcdet10, FeatureRecipe::Pcdet11];
    let widths: [&[u32]; 6] = [&[16], &[32], &[64], &[80], &[32, 48], &[64, 64]];
    let bev = EncoderSpec {
        recipe: recipes[rng.random_range(0..3)],
        channels: widths[rng.random_range(0..widths.len())].to_vec(),
    };
    let mut scopes = vec![NmsScope::PerGroup, NmsScope::PerClass];
    let head = if rng.random_bool(0.5) {
        scopes.push(NmsScope::Agnostic);
        anchors(&classes[..n_classes], rng)
    } else {
        centers(&classes[..n_classes], &grid, rng)
    };
    let max_candidates = [1, 3, 30, 200, 600][rng.random_range(0..5)];
    let boxes = BoxesSpec {
        score_threshold: rng.random_range(0.05_f32..0.6),
        score_rule: if rng.random_bool(0.5) { ScoreRule::AtLeast } else { ScoreRule::Above },
        nms_scope: scopes[rng.random_range(0..scopes.len())],
        nms_iou: [0.0, 0.01, 0.2, 0.7][rng.random_range(0..4)],
        max_candidates,
        max_boxes: rng.random_range(1..=max_candidates),
    };
    let layout = if bev.recipe.needs_time_lag() { "f32:x,y,z,intensity,time_lag" } else { "kitti" };
    Manifest {
        schema_version: SCHEMA_VERSION,
        name: format!("case-{seed}"),
        created_by: "tests".to_owned(),
        classes: classes[..n_classes].iter().map(|c| (*c).to_owned()).collect(),
        points: PointsSpec {
            layout: layout.parse::<PointLayout>().unwrap(),
            max_points: [1, 255, 256, 257, 3000, 6000][rng.random_range(0..6)],
            intensity_full_scale: 1.0,
        },
        grid,
        pillars,
        bev,
        head,
        boxes,
        input_statistics: InputStatistics::default(),
        networks: BTreeMap::from([("fp32".to_owned(), "head.fp32.onnx".to_owned())]),
        files: BTreeMap::new(),
    }
}

/// The classes in one group, or each in a group of its own.
fn grouped<'a>(classes: &[&'a str], rng: &mut impl Rng) -> Vec<Vec<&'a str>> {
    let size = rng.random_range(1..=classes.len());
    classes.chunks(size).map(<[_]>::to_vec).collect()
}

fn anchors(classes: &[&str], rng: &mut impl Rng) -> HeadLayout {
    let class = |name: &&str, rng: &mut dyn FnMut(f32, f32) -> f32| AnchorClass {
        name: (*name).to_owned(),
        size_m: [rng(0.5, 6.0), rng(0.4, 2.5), rng(0.8, 3.0)],
        bottom_m: rng(-2.0, 0.0),
    };
    let groups = grouped(classes, rng);
    let mut draw = |low: f32, high: f32| rng.random_range(low..high);
    let groups = groups
        .iter()
        .map(|names| AnchorGroup { classes: names.iter().map(|n| class(n, &mut draw)).collect() })
        .collect();
    HeadLayout::Anchors(AnchorHead {
        stride: [1, 2, 4][rng.random_range(0..3)],
        yaw_code: if rng.random_bool(0.5) { YawCode::DirectionBins } else { YawCode::SinCos },
        velocity: rng.random_bool(0.5),
        direction_offset_rad: 0.785_39,
        rotations_rad: [0.0, 1.57],
        groups,
    })
}

fn centers(classes: &[&str], grid: &Grid, rng: &mut impl Rng) -> HeadLayout {
    let (min, max) = (grid.min(), grid.max());
    let tasks = grouped(classes, rng)
        .iter()
        .map(|names| CenterTask { classes: names.iter().map(|n| (*n).to_owned()).collect() })
        .collect();
    HeadLayout::Centers(CenterHead {
        stride: [1, 2, 4][rng.random_range(0..3)],
        velocity: rng.random_bool(0.5),
        center_min_m: [min[0] + 0.5, min[1] - 1.0, -4.0],
        center_max_m: [max[0] - 0.5, max[1] + 1.0, 3.0],
        tasks,
    })
}

/// A package of a manifest with drawn weights, written and read as every package is.
pub fn package(manifest: Manifest, seed: u64, folder: &Path) -> Package {
    package_of(manifest, seed, b"no network: its tensors are replayed", folder)
}

/// The same with a network that can be read.
pub fn package_of(mut manifest: Manifest, seed: u64, onnx: &[u8], folder: &Path) -> Package {
    let rng = &mut generator(2, seed);
    let mut tensors = Vec::new();
    for (i, (n_in, n_out)) in manifest.bev.linear_shapes().into_iter().enumerate() {
        for (name, shape) in
            [(format!("pfn.{i}.weight"), vec![n_out, n_in]), (format!("pfn.{i}.bias"), vec![n_out])]
        {
            let n_values: usize = shape.iter().product();
            let bytes: Vec<u8> =
                (0..n_values).flat_map(|_| rng.random_range(-0.5_f32..0.5).to_le_bytes()).collect();
            tensors.push((name, shape, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let mut files = BTreeMap::from([
        (ENCODER_FILE.to_owned(), serialize(views, None).unwrap()),
        ("head.fp32.onnx".to_owned(), onnx.to_vec()),
    ]);
    manifest.files = files.iter().map(|(name, bytes)| (name.clone(), sha256_hex(bytes))).collect();
    files.insert(MANIFEST_FILE.to_owned(), manifest.to_toml().unwrap().into_bytes());
    let listing: String =
        files.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256_hex(bytes))).collect();
    files.insert(DIGESTS_FILE.to_owned(), listing.into_bytes());
    for (name, bytes) in &files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    Package::load(folder).unwrap()
}

/// Raw tensors of a head: mostly background, some peaks, and now and then no number at all.
pub fn tensors(manifest: &Manifest, seed: u64) -> Vec<Vec<f32>> {
    let rng = &mut generator(3, seed);
    let share = [0.0, 0.002, 0.05, 0.6][rng.random_range(0..4)];
    let is_broken = rng.random_bool(0.3);
    // Few different scores make ties.
    let steps = [4.0_f32, 1000.0][rng.random_range(0..2)];
    let boxes = &manifest.boxes;
    let threshold = logit_threshold(boxes.score_threshold, boxes.score_rule == ScoreRule::Above);
    let draw = |name: &str, rng: &mut ChaCha8Rng| -> f32 {
        if is_broken && rng.random_bool(0.002) {
            return [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30][rng.random_range(0..4)];
        }
        if name.starts_with("cls") || name.starts_with("hm") {
            // Some just pass the score rule, some just do not.
            if rng.random_bool(0.004) {
                return if rng.random_bool(0.5) { threshold } else { threshold.next_down() };
            }
            let logit = if rng.random_bool(share) { rng.random_range(-1.0_f32..4.0) } else { -8.0 };
            return (logit * steps).round() / steps;
        }
        rng.random_range(-1.0_f32..1.0)
    };
    let layout = manifest.head.tensors(&manifest.grid);
    layout.iter().map(|t| (0..t.n_values()).map(|_| draw(&t.name, rng)).collect()).collect()
}

/// A cloud of a kind: ordinary, or hostile in one way.
pub fn cloud(manifest: &Manifest, kind: u64, seed: u64) -> Vec<Point> {
    let rng = &mut generator(4 + kind, seed);
    let (min, max, cell) = (manifest.grid.min(), manifest.grid.max(), manifest.grid.cell());
    let max_points = manifest.points.max_points as usize;
    let n = [0, 1, 255, 256, 257, 1000, 5000, max_points, max_points + 1][rng.random_range(0..9)];
    let inside = |rng: &mut ChaCha8Rng| Point {
        x: rng.random_range(min[0]..max[0]),
        y: rng.random_range(min[1]..max[1]),
        z: rng.random_range(min[2]..max[2]),
        intensity: rng.random_range(0.0..1.0),
        time_lag: rng.random_range(0.0..0.5),
    };
    let mut points: Vec<Point> = (0..n).map(|_| inside(rng)).collect();
    match kind % 7 {
        // All in one pillar, more than are sorted in shared memory.
        0 => {
            let middle = inside(rng);
            points.resize(3000, middle);
            for p in &mut points {
                p.x = middle.x;
                p.y = middle.y;
            }
        }
        // On the range's edges, and just beyond, and on borders of cells.
        1 => {
            let shape = [manifest.grid.nx(), manifest.grid.ny()];
            let edge = |axis: usize, rng: &mut ChaCha8Rng| {
                let border = min[axis] + cell[axis] * rng.random_range(0..=shape[axis]) as f32;
                let all = [
                    border,
                    border.next_up(),
                    border.next_down(),
                    min[axis],
                    max[axis],
                    max[axis].next_down(),
                ];
                all[rng.random_range(0..all.len())]
            };
            for p in &mut points {
                p.x = edge(0, rng);
                p.y = edge(1, rng);
                p.z = [min[2], max[2], max[2].next_down(), 0.0][rng.random_range(0..4)];
            }
        }
        // Values that are no numbers.
        2 => {
            for p in &mut points {
                let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0, 1e-40];
                let bad = bad[rng.random_range(0..bad.len())];
                match rng.random_range(0..8) {
                    0 => p.x = bad,
                    1 => p.y = bad,
                    2 => p.z = bad,
                    3 => p.intensity = bad,
                    4 => p.time_lag = bad,
                    _ => {}
                }
            }
        }
        // Every point many times.
        3 => {
            let originals = points.clone();
            for (i, p) in points.iter_mut().enumerate() {
                *p = originals[i % 7.min(originals.len())];
            }
        }
        // A few cells with most of the points, the rest anywhere.
        4 => {
            let centres: Vec<Point> = (0..5).map(|_| inside(rng)).collect();
            for p in &mut points {
                if rng.random_bool(0.8) {
                    let centre = centres[rng.random_range(0..5)];
                    (p.x, p.y) = (centre.x, centre.y);
                }
            }
        }
        // Mostly out of range.
        5 => {
            for p in &mut points {
                p.x += rng.random_range(-100.0..100.0);
                p.y += rng.random_range(-100.0..100.0);
            }
        }
        _ => {}
    }
    points
}
