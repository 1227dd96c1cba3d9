//! The check of a card: everything that only a card can show, in one run and one report.
//!
//! `cargo xtask gpu-check` runs it after the suites of the CUDA backend. On the emulator it is a rehearsal:
//! the same steps, with recorded tensors in the place of TensorRT, so that a first run on a card needs no edit.
//!
//! `gpu_check --probe` only says whether there is a card that can be used.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of the developers")]

mod boxes;
mod frames;
mod log;
mod machine;
mod network;
mod report;
mod tensors;

use network::{PRECISIONS, Subject};
use pilotis_runtime::device::cuda::Device;
use pilotis_runtime::{CloudFile, Package};
use report::{Report, Verdict};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// There is no card to check.
const NO_CARD: u8 = 2;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let device = match Device::open_first() {
        Ok(device) => device,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::from(NO_CARD);
        }
    };
    if argument.as_deref() == Some("--probe") {
        println!("{}", device.info().name);
        return ExitCode::SUCCESS;
    }
    log::listen();
    let out = PathBuf::from(argument.unwrap_or_else(|| "gpu-report.md".to_owned()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let package = Package::load(&root.join("models/default")).unwrap();
    let clouds = clouds_of(&root, &package);
    let subject = Subject::new(device, package, clouds);

    let mut report = Report::new(&out, subject.is_emulated());
    report.step("Machine", |section| machine::describe(&subject, &root, section));
    for precision in PRECISIONS {
        report.step(format!("Raw tensors of {precision}"), |s| tensors::agree(&subject, precision, s));
    }
    for precision in PRECISIONS {
        let title = format!("Boxes of {precision} against ONNX Runtime in fp32");
        report.step(title, |s| boxes::agree(&subject, precision, s));
    }
    report.step("A captured graph against plain launches", |s| frames::graph_equals_plain(&subject, s));
    report.step("Device memory", |s| frames::memory(&subject, s));
    for precision in PRECISIONS {
        let title = format!("{} frames in {precision}", subject.n_frames());
        report.step(title, |s| frames::long_run(&subject, precision, s));
    }
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
