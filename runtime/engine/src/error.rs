//! Build errors: rich, because building is the cold path. Frame errors stand in the contract
//! ([`pilotis_spec::FrameError`]) and never allocate.

use pilotis_spec::{SpecError, Stage};
use std::error::Error;
use std::fmt;
use std::path::Path;

/// What kind of thing stands in the way of building an engine or opening an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// A file or folder cannot be read.
    Io,
    /// A package or its manifest is unusable.
    Package,
    /// A file's digest is not the recorded one.
    Digest,
    /// A point cloud's format is broken or unknown.
    Cloud,
    /// Model and input, or two parts of a package, do not fit each other.
    Mismatch,
    /// A native library is missing; `cargo xtask setup` fetches it.
    NativePartMissing,
    /// A native library answered with an error.
    Native,
    /// No device, one that is too old or too small for what is asked, or one that failed.
    Device,
}

/// Why an engine could not be built, or an input not be opened.
///
/// Displays as one line that says what, where and what to do; [`Error::source`] has the cause.
#[derive(Debug)]
pub struct BuildError {
    kind: BuildErrorKind,
    stage: Option<Stage>,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl BuildError {
    /// An error of `kind` with its message.
    pub fn new(kind: BuildErrorKind, message: impl Into<String>) -> Self {
        Self { kind, stage: None, message: message.into(), source: None }
    }

    /// An error of the file system at `path`.
    pub fn io(path: &Path, doing: &str, source: std::io::Error) -> Self {
        Self::new(BuildErrorKind::Io, format!("cannot {doing} `{}`: {source}", path.display()))
            .caused_by(source)
    }

    /// The same error, of a stage.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }

    /// The same error, with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> BuildErrorKind {
        self.kind
    }

    /// The stage that was being built, where one was.
    pub fn stage(&self) -> Option<Stage> {
        self.stage
    }
}

impl From<SpecError> for BuildError {
    fn from(error: SpecError) -> Self {
        Self::new(BuildErrorKind::Package, format!("manifest: {error}")).caused_by(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stage {
            Some(stage) => write!(f, "{} stage: {}", stage.name(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|s| &**s as &(dyn Error + 'static))
    }
}
