//! How long the tables of a nuScenes version take, parsed and from their binary index:
//! `cargo run --release -p pilotis-datasets --example nuscenes_tables -- ROOT VERSION`.
//!
//! The index is kept in a folder that goes away; that of the dataset is left alone.

use anyhow::{bail, ensure};
use pilotis_datasets::nuscenes::{CachePlace, CacheUse, ReadOptions, Sensors, Tables};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, version] = arguments.as_slice() else { bail!("call it with: ROOT VERSION") };
    let mut out = std::io::stdout();
    let folder = tempfile::tempdir()?;
    let place = CachePlace::Folder(folder.path().to_owned());
    let timed = |cache: &CachePlace| {
        let options = ReadOptions { sensors: Sensors::Lidar, cache: cache.clone() };
        let start = Instant::now();
        let (tables, cache_use) = Tables::open(Path::new(root), version, &options)?;
        anyhow::Ok((tables, cache_use, start.elapsed().as_secs_f64()))
    };
    let (parsed, _, seconds) = timed(&CachePlace::Nowhere)?;
    let (n_samples, n_sweeps) = (parsed.samples.n_rows(), parsed.sample_data.n_rows());
    writeln!(out, "{n_samples} samples, {n_sweeps} sweeps, {} annotations", parsed.annotations.n_rows())?;
    writeln!(out, "parsed in {seconds:.3} s")?;
    writeln!(out, "parsed and written in {:.3} s", timed(&place)?.2)?;
    for _ in 0..3 {
        let (tables, cache_use, seconds) = timed(&place)?;
        ensure!(cache_use == CacheUse::Read, "the index was not used: {cache_use:?}");
        ensure!(tables == parsed, "the index has other tables");
        writeln!(out, "from the index in {seconds:.3} s")?;
    }
    Ok(())
}
