//! `waymo_eval GT.bin PRED.bin [--curves]`: the metric's figures as JSON, and its curves where asked for.
#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use pilotis_evaluate::waymo::{Settings, WaymoObjects, evaluate};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (ground_truths, predictions, wants_curves) = match args.as_slice() {
        [_, ground_truths, predictions] => (ground_truths, predictions, false),
        [_, ground_truths, predictions, option] if option == "--curves" => (ground_truths, predictions, true),
        _ => return Err("usage: waymo_eval GT.bin PRED.bin [--curves]".into()),
    };
    let ground_truths = WaymoObjects::read(Path::new(ground_truths))?;
    let predictions = WaymoObjects::read(Path::new(predictions))?;
    let report = evaluate(&ground_truths, &predictions, &Settings::default())?;
    let summary = report.summary_json();
    if wants_curves {
        println!("{}", serde_json::json!({ "summary": summary, "curves": report.details_json() }));
    } else {
        println!("{summary:#}");
    }
    Ok(())
}
