//! The log: warnings of Pilotis and errors of TensorRT, which go into the report and to the terminal.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Lines of a step that the report takes; what comes first says why.
const MAX_LINES: usize = 20;

static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Where the log is written.
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SAID.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Begins to listen, for the rest of the process.
pub(crate) fn listen() {
    let log = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::WARN);
    log.without_time().with_ansi(false).with_writer(|| Sink).init();
}

/// What was said since this was asked last.
pub(crate) fn take() -> Vec<String> {
    let said = std::mem::take(&mut *SAID.lock().unwrap_or_else(PoisonError::into_inner));
    let said = String::from_utf8_lossy(&said).into_owned();
    let mut lines: Vec<String> = said.lines().take(MAX_LINES).map(|l| l.trim().to_owned()).collect();
    match said.lines().count() {
        n if n > MAX_LINES => lines.push(format!("and {} lines more", n - MAX_LINES)),
        _ => {}
    }
    lines
}
