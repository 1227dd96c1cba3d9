//! Counts what the kernels of one large frame move, on the interpreter of the PTX, and writes it to
//! `kernels/traffic.toml`, where `cargo xtask kernels --report` finds it.
//!
//! The frame: 250,000 points of five `f32` (about ten nuScenes sweeps), 512 x 512 cells of 0.2 m, 30,000
//! pillars of at most 20 points, one layer of 64 channels, a canvas of `f16`. The points stand in
//! clusters, as a scanner's do. The boxes stage is not counted: its work depends on the network's output.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the developers")]

use pilotis_cuda_tests::cases;
use pilotis_cuda_tests::frame_of_ptx::FrameOfPtx;
use pilotis_cuda_tests::large::{N_PILLARS, N_POINTS, cloud, manifest};
use pilotis_ptx::SECTOR_BYTES;
use pilotis_runtime::bev::LayerWeights;
use pilotis_spec::Point;
use std::fmt::Write;

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
        let mut frame =
            FrameOfPtx::build(manifest, &layers, &tensors, channels_last, |_, ptx| ptx.to_owned());
        frame.options.check_races = false;
        // The second frame clears what the first one left.
        for shift in [0, 7] {
            let moved: Vec<Point> =
                cloud.iter().map(|p| Point { x: p.x + 0.2 * shift as f32, ..*p }).collect();
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
