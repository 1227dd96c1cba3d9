//! `waymo_points ROOT SPLIT`: points and objects of every frame, both returns, as lines of JSON.
#![allow(clippy::print_stdout, reason = "a program whose output is its result")]

use pilotis_datasets::Dataset;
use pilotis_datasets::waymo::{WaymoDataset, WaymoSettings};
use std::collections::BTreeMap;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, root, split] = args.as_slice() else {
        anyhow::bail!("usage: waymo_points ROOT SPLIT");
    };
    let settings = WaymoSettings { second_returns: true, ..WaymoSettings::default() };
    let dataset = WaymoDataset::open(Path::new(root), split, BTreeMap::new(), settings)?;
    for idx in 0..dataset.n_samples() {
        let frame = dataset.load_frame(idx)?;
        let points: Vec<[f32; 4]> = frame.points.iter().map(|p| [p.x, p.y, p.z, p.intensity]).collect();
        let labels: Vec<_> = frame
            .labels
            .iter()
            .map(|l| {
                serde_json::json!([
                    l.type_idx,
                    l.center,
                    l.size,
                    l.heading,
                    l.velocity,
                    l.n_points,
                    l.difficulty
                ])
            })
            .collect();
        let line = serde_json::json!({
            "name": dataset.name(idx),
            "timestamp_micros": frame.timestamp_micros,
            "points": points,
            "labels": labels,
        });
        println!("{line}");
    }
    Ok(())
}
