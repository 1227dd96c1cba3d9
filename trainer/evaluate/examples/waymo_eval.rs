//! `waymo_eval GT.bin PRED.bin`: the metric's figures as JSON.
#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use pilotis_evaluate::waymo::{Settings, WaymoObjects, evaluate};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, ground_truths, predictions] = args.as_slice() else {
        return Err("usage: waymo_eval GT.bin PRED.bin".into());
    };
    let ground_truths = WaymoObjects::read(Path::new(ground_truths))?;
    let predictions = WaymoObjects::read(Path::new(predictions))?;
    let report = evaluate(&ground_truths, &predictions, &Settings::default())?;
    println!("{:#}", report.summary_json());
    Ok(())
}
