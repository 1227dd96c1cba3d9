//! Samples a second from a nuScenes dataset, beside the official devkit on the same files:
//! `cargo run --release -p pilotis-datasets --example nuscenes_loading -- ROOT VERSION [PYTHON]`.
//!
//! PYTHON is an interpreter that has `nuscenes-devkit`; without it only Pilotis is measured. Both read every sample of
//! the dataset, ten sweeps each, in passes that take turns; the first pass of each fills the page cache and is not
//! counted. What is counted: points of all samples must be as many on both sides.

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
        // It ends by itself when nobody asks any more; nothing is lost if it does not.
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
    // Name, points and best seconds of each way.
    let mut ways: V