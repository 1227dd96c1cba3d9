//! Taking files out of a `.tgz` that nobody vouches for.
//!
//! Only plain files and folders below the target are made. A name that could lead anywhere else, a link, a device, a
//! name that comes twice, or more than the bounds allow: the archive as a whole is refused. Modes, owners and times
//! of the archive are not taken over. Long names are read here and not by `tar`, which would keep them in memory
//! however long they are.
//!
//! The target is an open folder, and every file is opened below it: a link that somebody else puts there in the
//! meantime is not followed out of it.

use cap_std::fs::{Dir, OpenOptions};
use flate2::bufread::MultiGzDecoder;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use tar::{EntryType, PaxExtensions};

/// Bounds of what an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Files, folders and headers.
    pub max_entries: u64,
    /// Bytes of the unpacked stream.
    pub max_bytes: u64,
    /// Unpacked bytes for each packed one; a stream of zeros reaches 1000.
    pub max_ratio: u64,
}

/// Bytes that may be unpacked before the ratio is looked at: what the decoder has read ahead distorts a small one.
const RATIO_FROM_BYTES: u64 = 4 << 20;
/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 1024;
/// The longest part of a name between slashes: what file systems hold.
const MAX_PART_BYTES: usize = 255;
/// The longest extended header.
const MAX_HEADER_BYTES: u64 = 64 << 10;
/// Packed bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read to its end, or its checksum is another.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// A name that leads out of the folder, or none.
    #[error("it holds `{name}`, a name that is not taken: {reason}")]
    Name {
        /// The name, as far as it can be shown.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something that is neither file nor folder.
    #[error("it holds `{name}`, which is {what}, and only files and folders are taken")]
    Kind {
        /// The name.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// A name that was there before, or differs from one only by the size of its letters.
    #[error("it holds `{0}` twice")]
    Twice(String),
    /// More than the bounds allow.
    #[error("it holds more than {max} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The system refuses a file or folder.
    #[error("`{name}` cannot be written ({source})")]
    Write {
        /// The name in the archive.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

/// What came out of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub n_files: u64,
    /// Their bytes.
    pub n_bytes: u64,
}

/// Unpacks a `.tgz` into an empty folder; `report` hears how many packed bytes are done.
///
/// **At capacity**: memory does not grow with what headers say, only with the number of names.
///
/// **Errors**: a [`Refusal`]; what was unpacked until then stays in the folder.
pub fn unpack(
    archive: &Path,
    into: &Dir,
    bounds: Bounds,
    report: &mut dyn FnMut(u64),
) -> Result<Unpacked, Refusal> {
    let file = std::fs::File::open(archive).map_err(|e| damaged(&e))?;
    let packed = Rc::new(Cell::new(0));
    let counted = Counted { inner: file, n: Rc::clone(&packed) };
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, counted));
    let mut stream =
        Bounded { inner: decoder, packed: Rc::clone(&packed), unpacked: 0, bounds, exceeded: Rc::default() };
    let exceeded = Rc::clone(&stream.exceeded);
    let result = unpack_stream(&mut stream, into, bounds, &mut || report(packed.get()));
    // The bounds end the stream by an error of reading; here it gets its own name back.
    match (exceeded.get(), result) {
        (Some(what), Err(_)) => Err(what.refusal(bounds)),
        (_, result) => result,
    }
}

fn unpack_stream(
    stream: &mut impl Read,
    into: &Dir,
    bounds: Bounds,
    report: &mut dyn FnMut(),
) -> Result<Unpacked, Refusal> {
    let mut tar = tar::Archive::new(&mut *stream);
    let mut unpacked = Unpacked::default();
    let mut names = Names::default();
    let mut long_name: Option<Vec<u8>> = None;
    let mut n_entries = 0;
    for entry in tar.entries().map_err(|e| damaged(&e))?.raw(true) {
        let mut entry = entry.map_err(|e| damaged(&e))?;
        n_entries += 1;
        if n_entries > bounds.max_entries {
            return Err(Refusal::TooMuch { what: "entries", max: bounds.max_entries });
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let name = read_header(&mut entry)?;
                long_name = Some(name.split(|b| *b == 0).next().unwrap_or_default().to_vec());
                continue;
            }
            EntryType::XHeader => {
                long_name = pax_name(&read_header(&mut entry)?)?.or(long_name);
                continue;
            }
            // A comment for the archive as a whole; one that renames entries is refused.
            EntryType::XGlobalHeader => {
                if pax_name(&read_header(&mut entry)?)?.is_some() {
                    return Err(damaged_because("one name for all entries"));
                }
                continue;
            }
            _ => {}
        }
        let bytes = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let name = checked_name(&bytes)?;
        match kind {
            EntryType::Directory => {
                if name.is_empty() {
                    continue;
                }
                names.add_folder(&name)?;
                make_folder(into, &name)?;
            }
            EntryType::Regular | EntryType::Continuous => {
                names.add_file(&name)?;
                unpacked.n_bytes += write_file(into, &name, entry.size(), &mut entry)?;
                unpacked.n_files += 1;
            }
            other => return Err(Refusal::Kind { name, what: describe(other) }),
        }
        report();
    }
    if long_name.is_some() {
        return Err(damaged_because("a long name is the last entry"));
    }
    // gzip's checksum stands behind the last byte: read on to it, or it is never compared.
    io::copy(stream, &mut io::sink()).map_err(|e| damaged(&e))?;
    report();
    Ok(unpacked)
}

fn damaged(error: &io::Error) -> Refusal {
    Refusal::Damaged(error.to_string())
}

fn damaged_because(reason: &str) -> Refusal {
    Refusal::Damaged(reason.to_owned())
}

fn describe(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        EntryType::GNULongLink => "the target of a link",
        _ => "of an unknown kind",
    }
}

/// The content of an extended header.
fn read_header(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Refusal> {
    let size = entry.size();
    if size > MAX_HEADER_BYTES {
        return Err(Refusal::TooMuch { what: "bytes in a header", max: MAX_HEADER_BYTES });
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|e| damaged(&e))?;
    if bytes.len() as u64 != size {
        return Err(damaged_because("a header is cut off"));
    }
    Ok(bytes)
}

/// The name that a PAX header gives the next entry.
///
/// **Errors**: one that changes how the next entry is read.
fn pax_name(header: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let mut name = None;
    for record in PaxExtensions::new(header) {
        let record = record.map_err(|e| damaged(&e))?;
        match record.key_bytes() {
            b"path" => name = Some(record.value_bytes().to_vec()),
            b"size" => return Err(damaged_because("an entry has two sizes")),
            key if key.starts_with(b"GNU.sparse") => {
                let name = String::from_utf8_lossy(record.value_bytes()).into_owned();
                return Err(Refusal::Kind { name, what: describe(EntryType::GNUSparse) });
            }
            _ => {}
        }
    }
    Ok(name)
}

/// A name as it is used here: parts joined by slashes, nothing that leads elsewhere.
///
/// Empty for the folder itself.
fn checked_name(bytes: &[u8]) -> Result<String, Refusal> {
    let shown = || {
        let start = bytes.get(..bytes.len().min(80)).unwrap_or_default();
        String::from_utf8_lossy(start).escape_debug().to_string()
    };
    let refuse = |reason| Err(Refusal::Name { name: shown(), reason });
    if bytes.len() > MAX_NAME_BYTES {
        return refuse("it is too long");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return refuse("it is not UTF-8") };
    if text.is_empty() {
        return refuse("it is empty");
    }
    if text.starts_with('/') {
        return refuse("it is absolute");
    }
    if text.contains(['\\', ':']) || text.chars().any(char::is_control) {
        return refuse("it holds a character that is no part of a name everywhere");
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("it leaves its folder"),
            part if part.len() > MAX_PART_BYTES => return refuse("a part of it is too long"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Names that were seen, without regard to the size of letters: some file systems do not tell them apart.
#[derive(Default)]
struct Names {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
    /// Folders as they were spelled.
    spelled: BTreeSet<String>,
}

impl Names {
    fn add_file(&mut self, name: &str) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::Name { name: String::new(), reason: "it is no name of a file" });
        }
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.add_folder(folder)?;
        }
        let folded = name.to_lowercase();
        if self.folders.contains(&folded) || !self.files.insert(folded) {
            return Err(Refusal::Twice(name.to_owned()));
        }
        Ok(())
    }

    /// A folder may come again, spelled alike; so do those that it lies in.
    fn add_folder(&mut self, name: &str) -> Result<(), Refusal> {
        if self.spelled.contains(name) {
            return Ok(());
        }
        let folded = name.to_lowercase();
        if self.files.contains(&folded) || !self.folders.insert(folded) {
            return Err(Refusal::Twice(name.to_owned()));
        }
        self.spelled.insert(name.to_owned());
        name.rsplit_once('/').map_or(Ok(()), |(outer, _)| self.add_folder(outer))
    }
}

fn make_folder(into: &Dir, name: &str) -> Result<(), Refusal> {
    into.create_dir_all(name).map_err(|source| Refusal::Write { name: name.to_owned(), source })
}

fn write_file(into: &Dir, name: &str, size: u64, entry: &mut impl Read) -> Result<u64, Refusal> {
    if let Some((folder, _)) = name.rsplit_once('/') {
        make_folder(into, folder)?;
    }
    let refuse = |source| Refusal::Write { name: name.to_owned(), source };
    let mut file = into.open_with(name, OpenOptions::new().write(true).create_new(true)).map_err(refuse)?;
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(size).unwrap_or(READ_BYTES)).max(1)];
    let mut written = 0;
    loop {
        let n = entry.read(&mut buffer).map_err(|e| damaged(&e))?;
        let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { break };
        io::Write::write_all(&mut file, bytes).map_err(refuse)?;
        written += n as u64;
    }
    if written != size {
        return Err(Refusal::Damaged(format!("`{name}` is cut off at byte {written} of {size}")));
    }
    Ok(written)
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    n: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n.set(self.n.get() + n as u64);
        Ok(n)
    }
}

/// Which bound was met.
#[derive(Clone, Copy, Debug)]
enum Exceeded {
    Bytes,
    Ratio,
}

impl Exceeded {
    fn refusal(self, bounds: Bounds) -> Refusal {
        match self {
            Self::Bytes => Refusal::TooMuch { what: "bytes", max: bounds.max_bytes },
            Self::Ratio => Refusal::TooMuch { what: "bytes for each packed one", max: bounds.max_ratio },
        }
    }
}

/// Ends a stream that unpacks to more than it may, headers and padding included.
struct Bounded<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
    bounds: Bounds,
    exceeded: Rc<Cell<Option<Exceeded>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.unpacked += n as u64;
        let too_much = self.unpacked > self.bounds.max_bytes;
        let by_ratio = self.packed.get().saturating_mul(self.bounds.max_ratio).max(RATIO_FROM_BYTES);
        if too_much || self.unpacked > by_ratio {
            self.exceeded.set(Some(if too_much { Exceeded::Bytes } else { Exceeded::Ratio }));
            return Err(io::Error::other("a bound is exceeded"));
        }
        Ok(n)
    }
}
