//! `--device` as its users see it: the same boxes on either processor, and clear words without a card.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests as well"
)]

use pilotis_runtime::DeviceChoice;
use pilotis_runtime::device::cuda::driver::EMULATOR_VARIABLE;
use pilotis_runtime::device::native_parts::Places;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn pilotis(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotis"));
    command.args(arguments).env_remove("PILOTIS_LOG").env("PILOTIS_MODEL", repository("models/default"));
    command
}

fn sweep() -> String {
    repository("tests/data/simulated/000090.bin").to_string_lossy().into_owned()
}

fn boxes(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!line["boxes"].as_array().unwrap().is_empty(), "a sweep without boxes proves little");
    line["boxes"].clone()
}

/// Whether frames can be run at all; says so where they cannot.
fn has_network() -> bool {
    match Places::from_env().onnxruntime() {
        Ok(_) => true,
        Err(e) => {
            println!("skipped: {e}");
            false
        }
    }
}

#[test]
fn the_boxes_of_a_card_are_those_of_the_processor() {
    if let Err(e) = DeviceChoice::Cuda.resolve() {
        println!("skipped: {e}");
        return;
    }
    if !has_network() {
        return;
    }
    let run = |device| pilotis(&["run", "--json", "-", "--device", device, &sweep()]).output().unwrap();
    let expected = boxes(&run("cpu"));
    assert_eq!(boxes(&run("cuda")), expected);
    assert_eq!(boxes(&run("auto")), expected);
    let arguments = ["bench", "--device", "cuda", "--n", "2", "--warm-up", "1", "--json", "-", "--frames"];
    let bench = pilotis(&arguments).arg(sweep()).output().unwrap();
    let results: Value = serde_json::from_slice(&bench.stdout).unwrap();
    assert!(results["stages_on"].as_str().unwrap().starts_with("CUDA, "), "{results}");
    assert_eq!(results["allocations_per_frame"]["max"], 0, "{results}");
}

#[test]
fn without_a_card_cuda_is_refused_in_words_and_auto_goes_on() {
    let without = |device| {
        let mut command = pilotis(&["run", "--json", "-", "--device", device, &sweep()]);
        // An emulator that is not there: the same as no card, whatever this machine has.
        command.env(EMULATOR_VARIABLE, "/nowhere/libcuda.so").output().unwrap()
    };
    let refused = without("cuda");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("/nowhere/libcuda.so"), "{said}");
    let unknown = pilotis(&["run", "--device", "tpu", &sweep()]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("cpu, cuda or auto"));
    if has_network() && DeviceChoice::Cuda.resolve().is_err() {
        let mut command = pilotis(&["run", "--json", "-", "--device", "auto", &sweep()]);
        boxes(&command.env_remove(EMULATOR_VARIABLE).output().unwrap());
    }
}
