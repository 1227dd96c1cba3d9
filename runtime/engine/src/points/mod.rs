//! Points: the bytes of a cloud become validated points in the sensor frame.
//!
//! [`CloudFile`] opens a file (cold path), [`CloudView`] says where the fields lie, and
//! [`PointsStage`] turns a view into [`pilotis_spec::Point`]s (hot path). One file a concern:
//! `bin` headerless records; `pcd_header`, `pcd` and `lzf` PCD files; `view` where fields lie;
//! `sweeps` several clouds as one; `chunk` what goes up to a card;
//! `cpu` the stage; `summary` whether a frame looks like the training data.

mod bin;
mod chunk;
mod cpu;
pub(crate) mod cuda;
mod lzf;
mod pcd;
mod pcd_header;
mod summary;
mod sweeps;
mod view;

#[cfg(test)]
mod on_real_files;

pub use cpu::PointsStage;
pub use summary::{Comparison, OnMismatch, PointsSummary};
pub use sweeps::{Pose, Sweep, SweepError, to_key};
pub use view::CloudView;

use crate::device::mapped::MappedFile;
use crate::error::{BuildError, BuildErrorKind};
use pilotis_spec::{FrameError, Point, PointLayout, Stage};
use std::fmt;
use std::fs::File;
use std::path::Path;
use view::{Column, Columns};

/// How the bytes of a cloud file are arranged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudFormat {
    /// Headerless records of this layout.
    Bin(PointLayout),
    /// PCD, one point a line of text.
    PcdAscii,
    /// PCD, packed binary records.
    PcdBinary,
    /// PCD, columns compressed by LZF.
    PcdBinaryCompressed,
}

impl fmt::Display for CloudFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bin(layout) => write!(f, "headerless records, layout {layout}"),
            Self::PcdAscii => f.write_str("PCD, ascii"),
            Self::PcdBinary => f.write_str("PCD, binary"),
            Self::PcdBinaryCompressed => f.write_str("PCD, binary_compressed"),
        }
    }
}

/// What a reader found in a file.
struct Contents {
    format: CloudFormat,
    n_points: usize,
    columns: Columns,
    data: Data,
}

/// Where the values are.
enum Data {
    /// Records of the mapped file itself.
    Mapped { file: MappedFile, start: usize, stride_bytes: usize },
    /// Values that had to be parsed or decompressed.
    Owned(Vec<u8>),
}

/// An open cloud file, every number of its header checked against its length.
///
/// Binary records stay in the file, which is mapped and read through guarded copies: a file cut
/// short later makes a frame fail, never the process. Text and compressed data are held decoded.
pub struct CloudFile {
    contents: Contents,
}

impl CloudFile {
    /// An open cloud.
    ///
    /// A name that ends in `.pcd` is a PCD file, which says itself what it holds; every other
    /// one (`.bin`, nuScenes' `.pcd.bin`) is headerless records of `layout`. PCD fields `x`,
    /// `y`, `z` are needed; `intensity`, `i` or `reflectivity` is the intensity, in that order
    /// of preference, and `time_lag` or `dt` the time lag. Fields such as `t` or `timestamp`
    /// are no lags and are skipped. A PCD's `VIEWPOINT` is not applied.
    ///
    /// **Errors**: [`BuildErrorKind::Io`]; [`BuildErrorKind::Cloud`] with the line or byte at
    /// fault and what to do, also for headerless records without a layout.
    /// **Allocation**: the header; for text and compressed data the values, bounded by the
    /// length of the file.
    pub fn open(path: &Path, layout: Option<&PointLayout>) -> Result<Self, BuildError> {
        let io = |doing, e| BuildError::io(path, doing, e).at(Stage::Points);
        let unusable = |e: CloudError| {
            let message = format!("`{}` {e}", path.display());
            BuildError::new(BuildErrorKind::Cloud, message).at(Stage::Points)
        };
        // Asked before opening: opening a pipe would wait for its other end.
        let metadata = std::fs::metadata(path).map_err(|e| io("open cloud", e))?;
        if !metadata.is_file() {
            return Err(unusable(CloudError::whole("is not a regular file: name a cloud file")));
        }
        let file = File::open(path).map_err(|e| io("open cloud", e))?;
        let is_pcd = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pcd"));
        let contents = if is_pcd {
            pcd::open(file)
        } else if let Some(layout) = layout {
            bin::open(file, layout)
        } else {
            return Err(unusable(CloudError::whole(
                "has no header: name its layout, for instance kitti or nuscenes (only .pcd files have one)",
            )));
        };
        contents.map(|contents| Self { contents }).map_err(|failure| match failure {
            Failure::Io(e) => io("read cloud", e),
            Failure::Cloud(e) => unusable(e),
        })
    }

    /// Where the fields of the cloud lie.
    pub fn view(&self) -> CloudView<'_> {
        let Contents { n_points, columns, .. } = self.contents;
        let view = match &self.contents.data {
            Data::Mapped { file, start, stride_bytes } => {
                CloudView::of_mapped(file, *start, *stride_bytes, n_points, columns)
            }
            Data::Owned(bytes) => CloudView::of_bytes(bytes, n_points, columns),
        };
        // `Contents::checked` has made this very view before.
        view.unwrap_or(CloudView::from_points(&[]))
    }

    /// Every point of the file, in order, those that are not finite included; for who looks at files, not for
    /// frames.
    ///
    /// **Errors**: a file that was cut short since it was opened.
    /// **Allocation**: the points, whose number the length of the file bounds.
    pub fn read_points(&self) -> Result<Vec<Point>, FrameError> {
        cpu::collect(&self.view())
    }

    /// Points of the cloud.
    pub fn n_points(&self) -> usize {
        self.contents.n_points
    }

    /// How the file is arranged.
    pub fn format(&self) -> &CloudFormat {
        &self.contents.format
    }
}

impl fmt::Debug for CloudFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudFile({}, {} points)", self.contents.format, self.contents.n_points)
    }
}

/// Where in a file the fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Whole,
    Line(usize),
    Byte(usize),
}

/// What is wrong with a cloud file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CloudError {
    place: Place,
    problem: String,
}

impl CloudError {
    fn whole(problem: impl Into<String>) -> Self {
        Self { place: Place::Whole, problem: problem.into() }
    }

    fn line(line: usize, problem: impl Into<String>) -> Self {
        Self { place: Place::Line(line), problem: problem.into() }
    }

    fn byte(byte: usize, problem: impl Into<String>) -> Self {
        Self { place: Place::Byte(byte), problem: problem.into() }
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Whole => f.write_str(&self.problem),
            Place::Line(line) => write!(f, "line {line}: {}", self.problem),
            Place::Byte(byte) => write!(f, "byte {byte}: {}", self.problem),
        }
    }
}

/// Why a file could not be opened as a cloud.
#[derive(Debug)]
enum Failure {
    Io(std::io::Error),
    Cloud(CloudError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        Self::Cloud(error)
    }
}

impl Contents {
    /// The same contents, once their view is known to hold.
    fn checked(self) -> Result<Self, CloudError> {
        let file = CloudFile { contents: self };
        if file.view().n_points() != file.contents.n_points {
            return Err(CloudError::whole("has values beyond its end: write the file again"));
        }
        Ok(file.contents)
    }
}
