//! What can be wrong with tables.

use super::Token;
use std::io;
use std::path::PathBuf;

/// What can be wrong with the tables of a nuScenes dataset.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// There is no folder of tables, or several.
    #[error("`{}`: {reason}", .root.display())]
    NoVersion {
        /// The folder that was asked for.
        root: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// A table that every version has is not there.
    #[error("`{}` is not there; a version of nuScenes has thirteen tables", .path.display())]
    MissingTable {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A table cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A table was written to while it was read.
    #[error("`{}` changed while it was read; read it again", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A table is no list of records.
    #[error("`{}` at byte {offset}: {reason}", .path.display())]
    NotAList {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was expected.
        reason: &'static str,
    },
    /// A record is not what the table holds.
    #[error("`{}` record {record}: {reason}", .path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Counted from 0.
        record: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A row names a row that is not there.
    #[error("`{}`: {column} of `{row}` is `{token}`, which no row of {target} has", .path.display())]
    Dangling {
        /// The file.
        path: PathBuf,
        /// The row that names.
        row: Token,
        /// Its column.
        column: &'static str,
        /// What it names.
        token: Token,
        /// The table that lacks it.
        target: &'static str,
    },
    /// Two rows of a table have the same token.
    #[error("`{}`: two records have the token `{token}`", .path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// What they share.
        token: Token,
    },
    /// Rows that name each other in a circle.
    #[error("`{}`: following {column} from `{row}` comes back to it", .path.display())]
    Cycle {
        /// The file.
        path: PathBuf,
        /// `prev` or `next`.
        column: &'static str,
        /// A row of the circle.
        row: Token,
    },
    /// A sample of which the LiDAR has no key frame.
    #[error("`{}` has no key frame of LIDAR_TOP of the sample `{sample}`", .path.display())]
    NoLidar {
        /// The table of what was recorded.
        path: PathBuf,
        /// The sample.
        sample: Token,
    },
    /// A box that is none.
    #[error("`{}`: `{annotation}` is {reason}", .path.display())]
    Box {
        /// The table of annotations.
        path: PathBuf,
        /// The annotation.
        annotation: Token,
        /// What it is instead.
        reason: String,
    },
    /// A split that is not there, or is not what it should be.
    #[error("`{}`: no split `{split}`: {reason}", .path.display())]
    Split {
        /// The file of splits, or the folder of tables.
        path: PathBuf,
        /// The split asked for.
        split: String,
        /// What is there instead.
        reason: String,
    },
    /// A table has more rows than can be numbered.
    #[error("`{}` has more than {max_rows} rows", .path.display())]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The limit.
        max_rows: usize,
    },
}
