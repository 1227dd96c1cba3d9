//! Counts what the kernels of one large frame move, on the interpreter of the PTX, and writes it to
//! `kernels/traffic.toml`, where `cargo xtask kernels --report` finds it.
//!
//! The frame: 250,000 points of five `f32` (about ten nuScenes sweeps), 512 x 512 cells of 0.2 m, 30,000
//! pillars of at most 20 points, one layer of 64 channels, a canvas of `f16`. The points stand in
//! clusters, as a scanner's do. The boxes stage is not counted: its work depends on the network's output.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the developers")]

use pilotis_cuda_tests::cases;
use pilotis_cuda_tests::frame_of_ptx::FrameOfPtx;
use pilotis_ptx::SECTOR_BYTES;
use pilotis_runtime::bev::LayerWeights;
use pilotis_spec::{EncoderSpec, FeatureRecipe, Grid, Manifest, OverflowPolicy, PillarMode, PillarsSpec, Point};
use rand::RngExt;
use std::fmt::Write;

const N_POINTS: usize = 250_000;
const N_PILLARS: usize = 30_000;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let package = cases::package(manifest(), 1, folder.path());
    let manifest = package.manifest();
    let layers: Vec<LayerWeights> = package.encoder().layers.iter().map(LayerWeights::from).collect();
    // A head that finds nothing.
    let heads = manifest.head.tensors(&manifest.grid);
    let tensors: Vec<Vec<f32>> = heads.iter().map(|t| vec![-9.0; t.n_values()]).collect();
    let cloud = cloud(manifest);
    let mut text = "# Written by `cargo run --release -p pilotis-cuda-tests --bin traffic`: what the kernels of one frame\n\
                    # move, counted on the interpreter of the PTX in sectors of 32 bytes.\n"
        .to_owned();
    let _ = writeln!(text, "n_points = {N_POINTS}\nn_pillars = {N_PILLARS}\nsector_bytes = {SECTOR_BYTES}");
    for channels_last in [true, false] {
        let mut frame = FrameOfPtx::build(manifest, &layers, &tensors, channels_last, |_, ptx| ptx.to_owned());
        frame.options.check_races = false;
        // The second frame clears what the first one left.
        for shift in [0, 7] {
            let moved: Vec<Point> = cloud.iter().map(|p| Point { x: p.x + 0.2 * shift as f32, ..*p }).collect();
            let state = frame.run(&moved).unwrap();
            println!("{} points, {} pillars", state.n_points, state.n_pillars);
        }
        for (name, report) in frame.reports.iter().filter(|(name, _)| !name.starts_with("boxes")) {
            let _ = writeln!(
                text,
                "\n[[launches]]\nkernel = \"{name}\"\nchannels_last = {channels_last}\nsectors_read = {}\nsectors_written = {}\n\
                 distinct_read = {}\ndistinct_written = {}\natomics = {}",
                report.sectors_read,
                report.sectors_written,
                report.distinct_sectors_read,
                report.distinct_sectors_written,
                report.atomics
            );
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/traffic.toml");
    std::fs::write(&path, text).unwrap();
    println!("wrote kernels/traffic.toml");
}

fn manifest() -> Manifest {
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
    manifest.points.layout = "f32:x,y,z,intensity,time_lag".parse().unwrap();
    manifest
}

/// Points in clusters: a few cells near the sensor have many, most cells a few.
fn cloud(manifest: &Manifest) -> Vec<Point> {
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
        let pick = if i < N_PILLARS { i } else { (rng.random_range(0.0_f32..1.0).powi(2) * N_PILLARS as f32) as usize };
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
