//! Writes what Pilotis reads of a nuScenes dataset, for another program to compare:
//! `cargo run -p pilotis-datasets --example nuscenes_sweeps -- ROOT VERSION N_SWEEPS devkit|mmdet3d OUT`.
//!
//! `OUT/TOKEN.bin` is the cloud of a sample, `f32` x, y, z, intensity, time lag; `OUT/index.json` its points and boxes
//! by sample; `OUT/velocity.json` velocities by annotation, `null` where unknown; `OUT/splits.json` the built-in splits.

use anyhow::{Context, bail};
use pilotis_datasets::nuscenes::{
    BUILT_IN_SPLITS, CachePlace, ReadOptions, Sensors, SweepStyle, Sweeps, Tables, built_in_split,
};
use serde_json::{Value, json};
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, version, n_sweeps, style, out] = arguments.as_slice() else {
        bail!("call it with: ROOT VERSION N_SWEEPS devkit|mmdet3d OUT");
    };
    let style = match style.as_str() {
        "devkit" => SweepStyle::Devkit,
        "mmdet3d" => SweepStyle::Mmdet3d,
        other => bail!("`{other}` is neither devkit nor mmdet3d"),
    };
    let sweeps = Sweeps { n_sweeps: n_sweeps.parse().context("how many sweeps?")?, style };
    let options = ReadOptions { sensors: Sensors::Lidar, cache: CachePlace::Nowhere };
    let (tables, _) = Tables::open(Path::new(root), version, &options)?;
    let out = Path::new(out);
    std::fs::create_dir_all(out)?;

    let mut index = serde_json::Map::new();
    for sample in tables.samples_of_split(None)? {
        let cloud = tables.read_sweeps(sample, &sweeps)?;
        let values = cloud.points.iter().flat_map(|p| [p.x, p.y, p.z, p.intensity, p.time_lag]);
        let token = tables.samples[sample].token.to_string();
        std::fs::write(
            out.join(format!("{token}.bin")),
            values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>(),
        )?;
        let boxes: Vec<Value> = tables
            .objects_of(sample)?
            .iter()
            .map(|o| {
                json!({"class": o.class_name, "center": o.bbox.center, "size": o.bbox.size, "yaw": o.bbox.yaw,
                    "velocity": o.velocity, "n_points": o.n_points})
            })
            .collect();
        let summary = json!({"n_sweeps": cloud.n_sweeps, "n_close": cloud.n_close,
            "n_not_finite": cloud.n_not_finite, "boxes": boxes});
        index.insert(token, summary);
    }
    std::fs::write(out.join("index.json"), Value::Object(index).to_string())?;

    // NaN is no number of JSON: it becomes `null`.
    let velocities: serde_json::Map<String, Value> = tables
        .annotations
        .iter()
        .map(|(id, row)| (row.token.to_string(), json!(tables.box_velocity(id))))
        .collect();
    std::fs::write(out.join("velocity.json"), Value::Object(velocities).to_string())?;

    let splits: serde_json::Map<String, Value> =
        BUILT_IN_SPLITS.iter().map(|name| ((*name).to_owned(), json!(built_in_split(name)))).collect();
    std::fs::write(out.join("splits.json"), Value::Object(splits).to_string())?;
    Ok(())
}
