//! Samples a second from a nuScenes dataset, beside the official devkit on the same files:
//! `cargo run --release -p pilotis-datasets --example nuscenes_loading -- ROOT VERSION [PYTHON]`.
//!
//! PYTHON is an interpreter that has `nuscenes-devkit`; without it only Pilotis is measured. Both read every sample of
//! the dataset, ten sweeps each, in passes that take turns; the first pass of each fills the page cache and is not
//! counted. Pilotis gives boxes as well; the devkit is asked for clouds only. Both must find as many points.

use anyhow::{Context, bail, ensure};
use pilotis_datasets::nuscenes::{
    CachePlace, NuscenesDataset, ReadOptions, Sensors, SweepStyle, Sweeps, Tables,
};
use pilotis_datasets::{Dataset, Loader};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

const SWEEPS: Sweeps = Sweeps { n_sweeps: 10, style: SweepStyle::Devkit };
const N_PASSES: usize = 3;
const DEVKIT: &str = include_str!("devkit_loading.py");

/// Points of all samples, and the seconds that they took.
#[derive(Clone, Copy, Debug)]
struct Pass {
    n_points: usize,
    seconds: f64,
}

/// The devkit in a process of its own, which reads everything once for each line that it is given.
struct Devkit {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Devkit {
    fn start(python: &str, root: &str, version: &str) -> anyhow::Result<Self> {
        let mut process = Command::new(python)
            .args(["-c", DEVKIT, root, version, &SWEEPS.n_sweeps.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{python}`"))?;
        let ask = process.stdin.take().context("no way to ask the devkit")?;
        let answers = BufReader::new(process.stdout.take().context("no way to hear the devkit")?);
        Ok(Self { process, ask, answers })
    }

    fn pass(&mut self) -> anyhow::Result<Pass> {
        writeln!(self.ask, "again")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (n_points, seconds) = line.trim().split_once(' ').context("the devkit has ended early")?;
        Ok(Pass { n_points: n_points.parse()?, seconds: seconds.parse()? })
    }
}

impl Drop for Devkit {
    fn drop(&mut self) {
        // Its answers are in; nothing is lost.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pass(dataset: &Arc<dyn Dataset>, n_threads: usize) -> anyhow::Result<Pass> {
    let start = Instant::now();
    let mut n_points = 0;
    for sample in Loader::start(dataset, (0..dataset.n_samples()).collect(), n_threads, 2)? {
        n_points += sample?.points.len();
    }
    Ok(Pass { n_points, seconds: start.elapsed().as_secs_f64() })
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (root, version, python) = match arguments.as_slice() {
        [root, version] => (root, version, None),
        [root, version, python] => (root, version, Some(python)),
        _ => bail!("call it with: ROOT VERSION [PYTHON]"),
    };
    let mut out = std::io::stdout();
    let start = Instant::now();
    let options = ReadOptions { sensors: Sensors::Lidar, cache: CachePlace::Nowhere };
    let (tables, _) = Tables::open(Path::new(root), version, &options)?;
    writeln!(out, "tables parsed in {:.3} s", start.elapsed().as_secs_f64())?;
    let dataset: Arc<dyn Dataset> =
        Arc::new(NuscenesDataset::of_tables(Arc::new(tables), None, SWEEPS, BTreeMap::new())?);
    let n_samples = dataset.n_samples();
    let n_cores = std::thread::available_parallelism()?.get();
    writeln!(out, "{n_samples} samples of {} sweeps, {n_cores} cores", SWEEPS.n_sweeps)?;

    let mut devkit = python.map(|python| Devkit::start(python, root, version)).transpose()?;
    // Each way's name, points, and seconds of its best pass.
    let mut ways: Vec<(String, Pass)> = Vec::new();
    for round in 0..=N_PASSES {
        let mut passes = vec![("pilotis, 1 thread".to_owned(), pass(&dataset, 1)?)];
        passes.push((format!("pilotis, {n_cores} threads"), pass(&dataset, n_cores)?));
        if let Some(devkit) = &mut devkit {
            passes.push(("nuscenes-devkit".to_owned(), devkit.pass()?));
        }
        for (way, (name, pass)) in passes.into_iter().enumerate() {
            match ways.get_mut(way) {
                // The round that fills the page cache does not count.
                Some((_, best)) if round > 1 => best.seconds = best.seconds.min(pass.seconds),
                Some((_, best)) => *best = pass,
                None => ways.push((name, pass)),
            }
        }
    }
    let n_points = ways[0].1.n_points;
    for (name, best) in &ways {
        ensure!(best.n_points == n_points, "{name} has {} points, not {n_points}", best.n_points);
        let rate = n_samples as f64 / best.seconds;
        writeln!(out, "{name:20} {rate:8.1} samples/s, best of {N_PASSES} passes over {n_points} points")?;
    }
    if let [(_, one), (_, all), (_, devkit)] = ways.as_slice() {
        let times = |pass: &Pass| devkit.seconds / pass.seconds;
        let (one, all) = (times(one), times(all));
        writeln!(out, "{one:.1} times the devkit's rate with 1 thread, {all:.1} times with {n_cores}")?;
    }
    Ok(())
}
