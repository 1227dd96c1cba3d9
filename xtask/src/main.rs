//! The developer's chores, one file each: `cargo xtask --help`.

#![allow(clippy::print_stdout, reason = "a command that talks to its caller")]

mod bench;
mod check;
mod demo;
mod emulator;
mod gpu_check;
mod kernels;
mod kitti_oracle;
mod nuscenes_data;
mod nuscenes_devkit;
mod nuscenes_eval;
mod onnx_checker;
mod parts;
mod python_env;
mod run;
mod setup;
mod test;
mod trt_shim;
mod unpack;
mod waymo_parquet;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Developer chores of Pilotis.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Fetch the pinned native parts into the cache; needs the network once.
    Setup(setup::Arguments),
    /// Setup, formatting, lints, all tests, the ONNX checker, the nuScenes devkit and mmdet3d's KITTI evaluator; ends with one line of counts.
    Test,
    /// Formatting and lints only.
    Check,
    /// Setup, then the demo in release; further arguments are the demo's.
    Demo(demo::Arguments),
    /// Compile the CUDA kernels to the PTX that is committed, check it, or report on it.
    Kernels(kernels::Arguments),
    /// Sweeps, boxes, velocities and splits of generated nuScenes drives beside the official devkit's.
    NuscenesData,
    /// The nuScenes benchmark beside the official devkit: generated cases, goldens, or time.
    NuscenesEval(nuscenes_eval::Arguments),
    /// Build the CUDA emulator, and print its path: a value for PILOTIS_CUDA_EMULATOR.
    Emulator,
    /// Give generated KITTI cases to mmdet3d's evaluator; `--write` keeps its answers for the tests.
    KittiOracle(kitti_oracle::Arguments),
    /// Waymo's version 2 as pyarrow writes it: what ours reads of it, beside numpy.
    WaymoParquet,
    /// Everything that only a GPU can show, in one run and one report file.
    GpuCheck(gpu_check::Arguments),
    /// The benches, or those of one stage.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Setup(arguments) => setup::run(&arguments),
        Chore::Test => test::run(),
        Chore::Check => check::run(),
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Kernels(arguments) => kernels::run(&arguments),
        Chore::NuscenesData => nuscenes_data::run(),
        Chore::NuscenesEval(arguments) => nuscenes_eval::run(&arguments),
        Chore::Emulator => emulator::run(),
        Chore::KittiOracle(arguments) => kitti_oracle::run(&arguments),
        Chore::WaymoParquet => waymo_parquet::run(),
        Chore::GpuCheck(arguments) => gpu_check::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
