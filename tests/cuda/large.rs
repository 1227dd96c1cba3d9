//! One large frame, for counts and costs: 250,000 points of five `f32`, about ten nuScenes sweeps, on
//! 512 x 512 cells of 0.2 m; 30,000 pillars of at most 20 points, one layer of 64 channels.

use crate::cases;
use pilotis_spec::{
    CenterHead, CenterTask, EncoderSpec, FeatureRecipe, Grid, HeadLayout, Manifest, NmsScope, OverflowPolicy,
    PillarMode, PillarsSpec, Point,
};
use rand::RngExt;

/// Points of the cloud.
pub const N_POINTS: usize = 250_000;
/// Pillars that they make.
pub const N_PILLARS: usize = 30_000;

/// The model's manifest; its head is as small as a head may be, since it is not what is looked at.
pub fn manifest() -> Manifest {
    let mut manifest = cases::manifest(0);
    manifest.grid = Grid::new([-51.2, -51.2, -5.0], [51.2, 51.2, 3.0], [0.2, 0.2]).unwrap();
    manifest.points.max_points = 300_000;
    manifest.pillars = PillarsSpec {
        mode: PillarMode::Hard,
        max_points_per_pillar: 20,
        max_pillars: N_PILLARS as u32,
        overflow: OverflowPolicy::First,
    };
    manifest.bev = EncoderSpec { recipe: FeatureRecipe::Pcdet11, channels: vec![64] };
    manifest.classes = vec!["car".to_owned()];
    manifest.head = HeadLayout::Centers(CenterHead {
        stride: 16,
        velocity: false,
        center_min_m: [-60.0, -60.0, -10.0],
        center_max_m: [60.0, 60.0, 10.0],
        tasks: vec![CenterTask { classes: manifest.classes.clone() }],
    });
    manifest.boxes.nms_scope = NmsScope::PerGroup;
    manifest.points.layout = "f32:x,y,z,intensity,time_lag".parse().unwrap();
    manifest
}

/// Points in clusters: a few cells near the sensor have many, most cells a few.
pub fn cloud(manifest: &Manifest) -> Vec<Point> {
    let rng = &mut cases::generator(9, 1);
    let n_side = manifest.grid.nx();
    let mut cells: Vec<[usize; 2]> = Vec::with_capacity(N_PILLARS);
    let mut is_taken = vec![false; n_side * n_side];
    while cells.len() < N_PILLARS {
        // Denser in the middle.
        let mut along = || {
            let v: f32 = (0..3).map(|_| rng.random_range(0.0_f32..1.0)).sum::<f32>() / 3.0;
            ((v * (n_side - 16) as f32) as usize).min(n_side - 17)
        };
        let cell = [along(), along()];
        if !std::mem::replace(&mut is_taken[cell[1] * n_side + cell[0]], true) {
            cells.push(cell);
        }
    }
    let (min, size) = (manifest.grid.min(), manifest.grid.cell());
    let mut points = Vec::with_capacity(N_POINTS);
    for i in 0..N_POINTS {
        // Every cell once, then few cells often.
        let pick = if i < N_PILLARS {
            i
        } else {
            (rng.random_range(0.0_f32..1.0).powi(2) * N_PILLARS as f32) as usize
        };
        let [ix, iy] = cells[pick.min(N_PILLARS - 1)];
        points.push(Point {
            x: min[0] + size[0] * (ix as f32 + rng.random_range(0.1..0.9)),
            y: min[1] + size[1] * (iy as f32 + rng.random_range(0.1..0.9)),
            z: rng.random_range(-4.0..2.0),
            intensity: rng.random_range(0.0..1.0),
            time_lag: rng.random_range(0.0..0.5),
        });
    }
    points
}
