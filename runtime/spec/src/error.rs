//! What can be wrong with a contract, and where.

use std::fmt;

/// The kinds of contract violation a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecErrorKind {
    /// The text is not TOML, or lacks or misspells a field.
    Parse,
    /// The manifest is of a schema that this build cannot read.
    Schema,
    /// A number lies outside what it may be.
    OutOfRange,
    /// Two parts of the contract contradict each other.
    Mismatch,
    /// A name is not one that this build knows.
    Unknown,
}

/// A contract that cannot be used: what is wrong, at which field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    kind: SpecErrorKind,
    place: String,
    problem: String,
}

impl SpecError {
    /// Makes an error of `kind` at the field `place` (dotted, as in the manifest).
    pub fn new(kind: SpecErrorKind, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { kind, place: place.into(), problem: problem.into() }
    }

    /// The kind of violation.
    pub fn kind(&self) -> SpecErrorKind {
        self.kind
    }

    /// The dotted field path at fault.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn out_of_range(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(SpecErrorKind::OutOfRange, place, problem)
    }

    pub(crate) fn mismatch(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(SpecErrorKind::Mismatch, place, problem)
    }

    pub(crate) fn unknown(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(SpecErrorKind::Unknown, place, problem)
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl std::error::Error for SpecError {}
