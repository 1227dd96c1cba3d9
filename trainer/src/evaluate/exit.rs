//! Errors that end the program with a code of their own.

use std::fmt;

/// What goes wrong, and the exit code that it has.
///
/// An `anyhow` error that holds one ends `pilotis-trainer` with its code instead of 1.
#[derive(Debug)]
pub struct ExitWith {
    /// The code.
    pub code: u8,
    message: String,
}

impl ExitWith {
    /// An error that says so and ends with this code.
    pub fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

impl fmt::Display for ExitWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExitWith {}
