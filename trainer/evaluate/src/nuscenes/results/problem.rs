//! What may be wrong with results.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A field of a box in a results file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxField {
    /// `sample_token`
    SampleToken,
    /// `translation`
    Translation,
    /// `size`
    Size,
    /// `rotation`
    Rotation,
    /// `velocity`
    Velocity,
    /// `ego_translation`, which is checked and else not used
    EgoTranslation,
    /// `num_pts`
    NumPts,
    /// `detection_name`
    DetectionName,
    /// `detection_score`
    DetectionScore,
    /// `attribute_name`
    AttributeName,
}

impl BoxField {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SampleToken,
        Self::Translation,
        Self::Size,
        Self::Rotation,
        Self::Velocity,
        Self::EgoTranslation,
        Self::NumPts,
        Self::DetectionName,
        Self::DetectionScore,
        Self::AttributeName,
    ];

    /// The name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SampleToken => "sample_token",
            Self::Translation => "translation",
            Self::Size => "size",
            Self::Rotation => "rotation",
            Self::Velocity => "velocity",
            Self::EgoTranslation => "ego_translation",
            Self::NumPts => "num_pts",
            Self::DetectionName => "detection_name",
            Self::DetectionScore => "detection_score",
            Self::AttributeName => "attribute_name",
        }
    }
}

impl fmt::Display for BoxField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a field of a box.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxProblem {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It is there twice.
    #[error("is there twice")]
    Duplicate,
    /// It is of another type.
    #[error("is not what it should be: {0}")]
    WrongType(String),
    /// It has more or fewer numbers.
    #[error("has {found} numbers instead of {expected}")]
    WrongLength {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// It is or holds NaN.
    #[error("may not be NaN")]
    Nan,
    /// It is not a number that could count something.
    #[error("is not finite")]
    NotFinite,
    /// It is no name of the benchmark; the first characters of what it is.
    #[error("is `{0}`, which the benchmark does not know")]
    UnknownName(String),
    /// It has a number that is not above 0, and the box found an object.
    #[error("is not above 0, and the box found an object")]
    NotPositive,
}

/// Results that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file cannot be read.
    #[error("cannot read the results `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The stream cannot be read.
    #[error("cannot read the results")]
    Stream(#[from] io::Error),
    /// The text is not JSON.
    #[error("no valid JSON at byte {offset}{}: {reason}", .sample.as_ref().map(|s| format!(", in sample `{s}`")).unwrap_or_default())]
    Syntax {
        /// Where, counted in bytes from 0.
        offset: u64,
        /// The sample in whose boxes it is.
        sample: Option<String>,
        /// What was expected or found.
        reason: String,
    },
    /// One value is too long to be that of a sample.
    #[error("the value at byte {offset} has more than {max_bytes} bytes")]
    TooLong {
        /// Where it begins.
        offset: u64,
        /// The most that a value may have.
        max_bytes: usize,
    },
    /// A section of the file is missing.
    #[error("there is no section `{section}`")]
    MissingSection {
        /// `meta` or `results`.
        section: &'static str,
    },
    /// A section is there twice.
    #[error("section `{section}` is there twice")]
    DuplicateSection {
        /// `meta` or `results`.
        section: &'static str,
    },
    /// A section is not what it should be.
    #[error("section `{section}` is not an object: {reason}")]
    Section {
        /// `meta` or `results`.
        section: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A sample is there twice.
    #[error("sample `{sample}` is there twice")]
    DuplicateSample {
        /// Its token.
        sample: String,
    },
    /// What stands under a sample is no list of boxes.
    #[error("sample `{sample}`: {}{reason}", .box_idx.map(|i| format!("box {i}: ")).unwrap_or_default())]
    NotBoxes {
        /// Its token.
        sample: String,
        /// The entry that is no box, if the whole is a list.
        box_idx: Option<usize>,
        /// What it is.
        reason: String,
    },
    /// A field of a box is wrong.
    #[error("sample `{sample}`, box {box_idx}: `{field}` {problem}")]
    Box {
        /// The token of the sample.
        sample: String,
        /// Which of its boxes, counted from 0.
        box_idx: usize,
        /// Which field.
        field: BoxField,
        /// What is wrong with it.
        problem: BoxProblem,
    },
}
