//! `pilotis doctor` as its users see it: what it says, in words and as JSON, and its exit code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests are tests as well"
)]

use pilotis_runtime::device::cuda::Driver;
use pilotis_runtime::device::cuda::driver::EMULATOR_VARIABLE;
use pilotis_runtime::device::native_parts::{Places, SETUP_COMMAND};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

fn doctor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotis"));
    command.arg("doctor").args(arguments).env_remove("PILOTIS_LOG");
    command
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}{stderr}", stdout(output));
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn json(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_machine_with_the_network_library_can_run_a_frame() {
    if let Err(e) = Places::from_env().onnxruntime() {
        println!("skipped: a_machine_with_the_network_library_can_run_a_frame: {e}");
        return;
    }
    let output = doctor(&[]).output().unwrap();
    assert_code(&output, 0);
    let text = stdout(&output);
    for words in ["This machine has", "Pilotis would use", " is missing", "Frames can be run"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let found = json(&doctor(&["--json", "-"]).output().unwrap());
    assert_eq!(found["can_run"], true);
    assert!(found["onnxruntime"]["version"].as_str().unwrap().starts_with("1."), "{found}");
    assert!(found["uses"]["network"].as_str().unwrap().contains("ONNX Runtime"), "{found}");
    assert!(!found["encoder_isa"].as_str().unwrap().is_empty());
}

#[test]
fn without_the_network_library_no_frame_can_be_run_and_the_command_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = |command: &mut Command| {
        command.env("PILOTIS_NATIVE_DIR", folder.path()).env_remove("ORT_DYLIB_PATH").output().unwrap()
    };
    let output = nowhere(&mut doctor(&[]));
    assert_code(&output, 1);
    let text = stdout(&output);
    assert!(text.contains("No frame can be run") && text.contains(SETUP_COMMAND), "{text}");
    let found = json(&nowhere(&mut doctor(&["--json", "-"])));
    assert_eq!((&found["can_run"], &found["onnxruntime"]["version"]), (&Value::Bool(false), &Value::Null));
    let missing = found["missing"].as_array().unwrap();
    let network = missing.iter().find(|m| m["what"] == "ONNX Runtime").unwrap();
    assert_eq!(network["is_needed"], true);
    assert!(network["what_to_do"].as_str().unwrap().contains(SETUP_COMMAND), "{network}");
}

#[test]
fn a_library_that_is_none_is_told_apart_from_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    fs::write(&library, "no library").unwrap();
    let output = doctor(&["--json", "-"]).env("ORT_DYLIB_PATH", &library).output().unwrap();
    assert_code(&output, 1);
    let found = json(&output);
    assert_eq!(found["onnxruntime"]["path"], library.to_str().unwrap());
    assert!(found["onnxruntime"]["problem"].as_str().unwrap().contains("cannot use"), "{found}");
    let text = found["missing"][0]["what_to_do"].as_str().unwrap().to_owned();
    assert!(text.contains("ORT_DYLIB_PATH") && text.contains(SETUP_COMMAND), "{text}");
}

#[test]
fn without_a_driver_the_processor_is_used_and_the_reason_is_told() {
    if Driver::open().is_ok() || Driver::is_emulator_asked_for() {
        println!("skipped: without_a_driver_the_processor_is_used_and_the_reason_is_told: there is a driver");
        return;
    }
    let found = json(&doctor(&["--json", "-"]).output().unwrap());
    assert_eq!((&found["uses"]["device"], &found["cuda"]["version"]), (&"cpu".into(), &Value::Null));
    assert_eq!(found["cuda"]["devices"].as_array().unwrap().len(), 0);
    let why = found["uses"]["why_not_cuda"].as_str().unwrap();
    assert_eq!(found["cuda"]["problem"].as_str(), Some(why));
    let missing = found["missing"].as_array().unwrap();
    assert!(missing.iter().any(|m| m["is_needed"] == false && m["what_to_do"] == why), "{found}");
    let output = doctor(&[]).output().unwrap();
    assert!(stdout(&output).contains(why), "{}", stdout(&output));
}

#[test]
fn an_emulator_that_cannot_be_used_is_needed_and_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("libcuda.so.1");
    let output = doctor(&["--json", "-"]).env(EMULATOR_VARIABLE, &nothing).output().unwrap();
    assert_code(&output, 1);
    let found = json(&output);
    assert_eq!((&found["can_run"], &found["uses"]["device"]), (&Value::Bool(false), &Value::Null));
    let missing = found["missing"].as_array().unwrap();
    let emulator = missing.iter().find(|m| m["what"] == "the emulator asked for").unwrap();
    assert!(emulator["what_to_do"].as_str().unwrap().contains(EMULATOR_VARIABLE), "{emulator}");
}

#[test]
fn a_device_is_described_and_used() {
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(e) if Driver::is_emulator_asked_for() => panic!("{e}"),
        Err(e) => {
            println!("skipped: a_device_is_described_and_used: {e}");
            return;
        }
    };
    let found = json(&doctor(&["--json", "-"]).output().unwrap());
    let cuda = &found["cuda"];
    assert_eq!(cuda["is_emulated"], driver.is_emulator());
    let card = &cuda["devices"][0];
    let name = card["name"].as_str().unwrap();
    assert!(card["memory_bytes"].as_u64() >= card["free_bytes"].as_u64(), "{card}");
    assert!(card["free_bytes"].as_u64() > Some(0), "{card}");
    assert!(found["uses"]["device"].as_str().unwrap().contains(name), "{found}");
    let output = doctor(&[]).output().unwrap();
    let text = stdout(&output);
    assert!(text.contains(name) && text.contains("compute capability"), "{text}");
    assert_eq!(text.contains("emulator"), driver.is_emulator(), "{text}");
}

#[test]
fn an_emulator_in_the_drivers_place_is_refused_where_none_was_asked_for() {
    let Some(emulator) = std::env::var_os(EMULATOR_VARIABLE).filter(|v| !v.is_empty()) else {
        println!(
            "skipped: an_emulator_in_the_drivers_place_is_refused_where_none_was_asked_for: {EMULATOR_VARIABLE} is not set"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(emulator, folder.path().join("libcuda.so")).unwrap();
    let mut command = doctor(&["--json", "-"]);
    let output =
        command.env_remove(EMULATOR_VARIABLE).env("LD_LIBRARY_PATH", folder.path()).output().unwrap();
    let found = json(&output);
    assert_eq!(found["uses"]["device"], "cpu", "{found}");
    assert!(found["uses"]["why_not_cuda"].as_str().unwrap().contains("none was asked for"), "{found}");
    assert_eq!(found["cuda"]["devices"].as_array().unwrap().len(), 0);
}

#[test]
fn a_driver_without_a_device_says_what_to_look_at() {
    if !Driver::is_emulator_asked_for() {
        println!("skipped: a_driver_without_a_device_says_what_to_look_at: {EMULATOR_VARIABLE} is not set");
        return;
    }
    let output = doctor(&["--json", "-"]).env("PILOTIS_EMULATOR_FAULT", "cuInit:100").output().unwrap();
    let found = json(&output);
    assert!(found["cuda"]["problem"].as_str().unwrap().contains("CUDA_VISIBLE_DEVICES"), "{found}");
}

#[test]
fn tensorrt_is_found_by_name_and_said_to_be_unused() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libtensorrt_rtx.so.1");
    fs::write(&library, "no library").unwrap();
    let output = doctor(&[]).env("LD_LIBRARY_PATH", folder.path()).output().unwrap();
    let text = stdout(&output);
    assert!(text.contains(library.to_str().unwrap()), "{text}");
    assert!(text.contains("does not use it"), "{text}");
}

#[test]
fn findings_go_to_a_file_beside_the_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doctor.json");
    let output = doctor(&["--json", file.to_str().unwrap()]).output().unwrap();
    assert!(stdout(&output).contains("This machine has"));
    let found: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(found["pilotis"], env!("CARGO_PKG_VERSION"));
    let output = doctor(&["--json", folder.path().to_str().unwrap()]).output().unwrap();
    assert_code(&output, 2);
}
