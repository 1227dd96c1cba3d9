//! The nuScenes detection benchmark on files: `nuscenes_eval DATA VERSION SPLIT OUT RESULTS...`.
//!
//! Several results are evaluated one after the other on the same tables, each into a folder of `OUT` that has the name
//! of its file. One line each says what it took.

use pilotis_datasets::nuscenes::{Sensors, Tables};
use pilotis_evaluate::nuscenes::{Config, GroundTruth, Results, evaluate};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let Err(error) = run() else { return ExitCode::SUCCESS };
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    let _ = writeln!(std::io::stderr(), "error: {words}");
    ExitCode::FAILURE
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [data, version, split, out, files @ ..] = arguments.as_slice() else {
        return Err("usage: nuscenes_eval DATA VERSION SPLIT OUT RESULTS...".into());
    };
    let (version, split) = (version.to_string_lossy(), split.to_string_lossy());
    let start = Instant::now();
    let tables = Tables::read(data, &version, Sensors::Lidar)?;
    let ground_truth = GroundTruth::from_tables(&tables, &split)?;
    drop(tables);
    let mut said = std::io::stdout().lock();
    writeln!(said, "tables: {:.3} s", start.elapsed().as_secs_f64())?;
    for file in files {
        let start = Instant::now();
        let results = Results::read(file)?;
        let read_s = start.elapsed().as_secs_f64();
        let report = evaluate(&ground_truth, &results, &Config::default())?;
        report.write(&out.join(file.file_stem().unwrap_or_default()))?;
        writeln!(
            said,
            "{}: {} boxes, mAP {:.6}, NDS {:.6}; read {read_s:.3} s, evaluated {:.3} s, peak memory {} MB",
            file.display(),
            results.n_boxes(),
            report.mean_average_precision(),
            report.detection_score(),
            report.eval_time_s,
            peak_memory_kb().map_or_else(|| "unknown".to_owned(), |kb| (kb / 1000).to_string()),
        )?;
    }
    Ok(())
}

/// The most memory that this process has had, where the system says so.
fn peak_memory_kb() -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
