//! The check of a card: everything that only a card can show, in one run and one report.
//!
//! `cargo xtask gpu-check` runs it after the suites of the CUDA backend. On the emulator it is a rehearsal:
//! the same steps, with recorded tensors in the place of TensorRT, so that a first run on a card needs no edit.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the developers")]

mod frames;
mod machine;
mod network;
mod report;

use pilotis_runtime::device::cuda::Device;
use pilotis_runtime::{CloudFile, Package};
use report::{Report, Verdict};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Frames of the long run on a card; the emulator takes a second for a few.
const N_FRAMES: usize = 10_000;
const N_FRAMES_EMULATED: usize = 4;

/// What every step works on.
struct Subject {
    device: Arc<Device>,
    package: Package,
    clouds: Vec<CloudFile>,
    is_emulated: bool,
    n_frames: usize,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let out = PathBuf::from(arguments.next().unwrap_or_else(|| "gpu-report.md".to_owned()));
    let device = match Device::open_first() {
        Ok(device) => device,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::from(2);
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let package = Package::load(&root.join("models/default")).unwrap();
    let clouds = clouds_of(&root, &package);
    let is_emulated = device.info().is_emulated;
    let n_frames = if is_emulated { N_FRAMES_EMULATED } else { N_FRAMES };
    let subject = Subject { device, package, clouds, is_emulated, n_frames };

    let mut report = Report::new();
    report.add(machine::describe(&subject));
    for precision in network::PRECISIONS {
        report.add(network::agrees_with_onnxruntime(&subject, precision));
    }
    report.add(frames::graph_equals_plain_launches(&subject));
    report.add(frames::memory(&subject));
    for precision in network::PRECISIONS {
        report.add(frames::long_run(&subject, precision));
    }
    std::fs::write(&out, report.text()).unwrap();
    println!("{}", report.text());
    println!("written: {}", out.display());
    match report.verdict() {
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::Passed | Verdict::Skipped => ExitCode::SUCCESS,
    }
}

/// The sweeps that ship, in order of name.
fn clouds_of(root: &Path, package: &Package) -> Vec<CloudFile> {
    let folder = root.join("tests/data/simulated");
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == "bin")).collect();
    files.sort();
    let layout = Some(&package.manifest().points.layout);
    let clouds: Vec<CloudFile> = files.iter().map(|f| CloudFile::open(f, layout).unwrap()).collect();
    assert!(!clouds.is_empty(), "the sweeps that ship are missing");
    clouds
}
