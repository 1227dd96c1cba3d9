//! What can go wrong with a download, and what to do about it.

use super::unpack::Refusal;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a dataset is not there.
///
/// Whatever it is, nothing incomplete has a final name: what was received lies in a `.part`, or was thrown away
/// because it cannot be part of the right file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The terms of use were not accepted.
    #[error(
        "the terms of use of {dataset} were not accepted; read them, then say so (--accept-terms)\n{notice}"
    )]
    TermsNotAccepted {
        /// The dataset.
        dataset: &'static str,
        /// Its licence and where its terms are.
        notice: &'static str,
    },
    /// The address is none that can be fetched.
    #[error("`{url}` cannot be fetched: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder to write holds something that is not this dataset.
    #[error(
        "`{}` holds something that is not a complete {dataset} ({reason}); name a folder that is empty or missing",
        .path.display()
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The dataset.
        dataset: &'static str,
        /// Why it is not taken for the dataset.
        reason: String,
    },
    /// Another process is at it.
    #[error("another process is fetching `{}`; wait for it, or end it", .path.display())]
    Busy {
        /// The archive.
        path: PathBuf,
    },
    /// The disk is too small.
    #[error("{needed} bytes are needed at `{}`, and {free} are free; make room or name another folder", .path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// What still has to be written: the rest of the archive and all that is in it.
        needed: u64,
        /// What the file system has for us.
        free: u64,
    },
    /// The server will not give the file, however often it is asked.
    #[error("`{url}` answers with status {status}: {hint}")]
    Status {
        /// The address.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// What that usually means.
        hint: &'static str,
    },
    /// The server gives something else, such as a page with a message.
    #[error(
        "`{url}` gives no archive but `{content_type}` that begins with `{begins}`; \
         open the address in a browser to see what it says"
    )]
    NotTheArchive {
        /// The address.
        url: String,
        /// What the server calls it.
        content_type: String,
        /// Its first bytes, as far as they can be shown.
        begins: String,
    },
    /// More bytes than the file can have.
    #[error("`{url}` has more than {max_bytes} bytes; {dataset} is smaller, so this is another file")]
    TooLarge {
        /// The address.
        url: String,
        /// The dataset.
        dataset: &'static str,
        /// The most that is taken.
        max_bytes: u64,
    },
    /// All of the file came, and it is another one.
    #[error(
        "`{url}` has the SHA-256 {found}, and {expected} is wanted: it is another file, or a damaged one; what came was thrown away"
    )]
    WrongDigest {
        /// The address.
        url: String,
        /// Of what came.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// It failed too often in a row.
    #[error(
        "`{url}` failed {attempts} times in a row, the last time because {last}; {received} bytes are kept: \
         try again later to go on from there"
    )]
    GaveUp {
        /// The address.
        url: String,
        /// Requests since the file last grew.
        attempts: u32,
        /// Bytes in the `.part`.
        received: u64,
        /// What the last one failed on.
        last: Fault,
    },
    /// The system refuses a file or folder.
    #[error("cannot {what} `{}`", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The archive is damaged, or is one that must not be unpacked.
    #[error("`{}` was not unpacked: {refusal}; it is now `{}`: run this again to fetch it anew", .archive.display(), .aside.display())]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// The archive holds something else than the dataset.
    #[error(
        "`{}` is a sound archive that does not hold {dataset}: {reason}; it is now `{}`: \
         check the address, and run this again",
        .archive.display(), .aside.display()
    )]
    Contents {
        /// The archive.
        archive: PathBuf,
        /// Where it is now.
        aside: PathBuf,
        /// The dataset.
        dataset: &'static str,
        /// What differs.
        reason: String,
    },
}

/// Why one request did not bring the rest of the file. Asking again may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection, or one that broke.
    #[error("the connection failed ({0})")]
    Connection(String),
    /// The body ended too early.
    #[error("the body ended at byte {at} of {total}")]
    Cut {
        /// Bytes there are.
        at: u64,
        /// Bytes there must be.
        total: u64,
    },
    /// Nothing came for so long.
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
    /// Too little came.
    #[error("only {received} bytes came within {window:?}")]
    TooSlow {
        /// Bytes within the window.
        received: u64,
        /// How long was waited.
        window: Duration,
    },
    /// A status that may pass.
    #[error("the server answers with status {0}")]
    Status(u16),
    /// Not the bytes that were asked for.
    #[error("the server sends another range than was asked for ({0})")]
    WrongRange(String),
    /// The file on the server is another one than when it was begun, or the server cannot go on in the middle.
    #[error("the server begins anew: its file has changed, or it cannot go on in the middle")]
    Restarted,
    /// The range is said to lie outside of the file.
    #[error("the server has no byte {0} of the file")]
    NoSuchRange(u64),
    /// All came, in several pieces, and together they are not the file.
    #[error("the pieces do not make the file: they are of different versions of it, or damaged")]
    Mixed,
}
