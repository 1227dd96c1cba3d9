//! In flight: frames a second with several engines side by side.

use anyhow::{Context, Result, anyhow};
use pilotis_runtime::{CloudFile, Engine};
use serde::Serialize;
use std::sync::Barrier;
use std::time::Instant;

/// Throughput with a number of engines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Throughput {
    /// Engines, each with a thread of its own.
    pub(super) n_in_flight: usize,
    /// Frames that all of them ran.
    pub(super) n_frames: usize,
    /// Frames that failed, and count for nothing.
    pub(super) n_failed: usize,
    /// Frames a second of all together.
    pub(super) frames_per_second: f64,
}

/// Runs `n_frames` frames on every engine at once.
///
/// **Errors**: a thread that ended early.
pub(super) fn measure(engines: &mut [Engine], clouds: &[CloudFile], n_frames: usize) -> Result<Throughput> {
    let n_in_flight = engines.len();
    let start_line = Barrier::new(n_in_flight + 1);
    let (seconds, n_failed) = std::thread::scope(|scope| -> Result<(f64, usize)> {
        let start_line = &start_line;
        let threads: Vec<_> = engines
            .iter_mut()
            .enumerate()
            .map(|(idx, engine)| {
                scope.spawn(move || {
                    start_line.wait();
                    // Every engine begins at another cloud, so that they do not run in step.
                    let mine = clouds.iter().cycle().skip(idx).take(n_frames);
                    mine.filter(|cloud| engine.infer(&cloud.view()).is_err()).count()
                })
            })
            .collect();
        start_line.wait();
        let start = Instant::now();
        let mut n_failed = 0;
        for thread in threads {
            n_failed += thread.join().map_err(|_| anyhow!("a thread of the measurement ended early"))?;
        }
        Ok((start.elapsed().as_secs_f64(), n_failed))
    })
    .context("throughput was not measured")?;
    let n_frames = n_frames * n_in_flight;
    let n_done = n_frames - n_failed;
    let frames_per_second = if seconds > 0.0 { n_done as f64 / seconds } else { 0.0 };
    Ok(Throughput { n_in_flight, n_frames, n_failed, frames_per_second })
}
