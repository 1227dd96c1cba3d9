//! What the host's part of a frame on a card costs: staging, launches, waiting; no kernel runs.
//!
//! Run it with `PILOTIS_CUDA_EMULATOR` and `PILOTIS_EMULATOR_SKIP_KERNELS=1`. The emulator's own
//! bookkeeping is in the figure, and the driver's is not: it says what Pilotis asks of a host, not what a
//! card's driver will take.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the developers")]

use pilotis_cuda_tests::{cases, engine, large};
use pilotis_runtime::{CanvasFormat, CloudView, DeviceChoice};
use std::time::Instant;

const N_FRAMES: usize = 200;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let package = cases::package(large::manifest(), 1, folder.path());
    let manifest = package.manifest();
    let heads = manifest.head.tensors(&manifest.grid);
    let tensors: Vec<Vec<f32>> = heads.iter().map(|t| vec![-9.0; t.n_values()]).collect();
    let format = CanvasFormat { half: true, channels_last: true };
    let mut engine = engine(&package, &tensors, DeviceChoice::Cuda, format);
    for n_points in [0, large::N_POINTS] {
        let cloud = &large::cloud(manifest)[..n_points];
        let mut ns: Vec<u128> = (0..N_FRAMES)
            .map(|_| {
                let start = Instant::now();
                engine.infer(&CloudView::from_points(cloud)).unwrap();
                start.elapsed().as_nanos()
            })
            .collect();
        ns.sort_unstable();
        println!(
            "{n_points} points: median {:.1} us, p99 {:.1} us a frame",
            ns[N_FRAMES / 2] as f64 / 1e3,
            ns[N_FRAMES * 99 / 100] as f64 / 1e3
        );
    }
}
