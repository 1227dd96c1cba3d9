//! Records of a table's file, read in blocks and parsed in parallel.
//!
//! A table is one JSON list of objects; the largest have a gigabyte. A scan over a block finds where objects begin and
//! end, which is all that a reader needs to know to give them to several threads; while they parse one block, the next
//! is read. Memory is a few blocks and the rows that are kept.

use super::cache::{Source, Stamp};
use super::error::TablesError;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 4 << 20;
/// A record may have so many bytes; real ones have a thousand.
const MAX_RECORD_BYTES: usize = 16 << 20;
/// Records that a thread parses at a time.
const RECORDS_A_TASK: usize = 512;

/// Every record of a table that is to be kept, in the order of the file.
///
/// **Errors**: a file that is not there or cannot be read; the first record that is not a `T`.
///
/// **Determinism**: the same rows, and the same error, for any number of threads.
pub(super) fn read<T: DeserializeOwned + Send>(
    path: &Path,
    keep: impl Fn(&T) -> bool + Sync,
) -> Result<(Vec<T>, Source), TablesError> {
    read_in_blocks(path, keep, BLOCK_BYTES)
}

fn read_in_blocks<T: DeserializeOwned + Send>(
    path: &Path,
    keep: impl Fn(&T) -> bool + Sync,
    block_bytes: usize,
) -> Result<(Vec<T>, Source), TablesError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => TablesError::MissingTable { path: path.to_owned() },
        _ => TablesError::Read { path: path.to_owned(), source },
    })?;
    let stamp_of = |file: &File| {
        let stamp = file.metadata().map(|metadata| Stamp::of(&metadata));
        stamp.map_err(|source| TablesError::Read { path: path.to_owned(), source })
    };
    let stamp = stamp_of(&file)?;
    let mut blocks = Blocks::new(path, file, block_bytes);
    let mut hash = Sha256::new();
    let mut rows = Vec::new();
    let mut block = blocks.next()?;
    while let Some(current) = block {
        let (parsed, (next, ())) = rayon::join(
            || current.parse(path, &keep),
            || rayon::join(|| blocks.next(), || hash.update(current.new_bytes())),
        );
        // What comes first in the file is reported first.
        parsed?.into_iter().for_each(|mut some| rows.append(&mut some));
        block = next?;
    }
    if stamp_of(&blocks.file)? != stamp {
        return Err(TablesError::Changed { path: path.to_owned() });
    }
    Ok((rows, Source { stamp, digest: hash.finalize().into() }))
}

/// Whole records of a file.
struct Block {
    bytes: Vec<u8>,
    /// Bytes that the block before had as well: of a record that was not whole there.
    n_repeated: usize,
    records: Vec<Range<usize>>,
    /// Records of the blocks before.
    n_before: usize,
}

impl Block {
    fn new_bytes(&self) -> &[u8] {
        &self.bytes[self.n_repeated..]
    }

    fn parse<T: DeserializeOwned + Send>(
        &self,
        path: &Path,
        keep: &(impl Fn(&T) -> bool + Sync),
    ) -> Result<Vec<Vec<T>>, TablesError> {
        let tasks: Vec<_> = self
            .records
            .par_chunks(RECORDS_A_TASK)
            .enumerate()
            .map(|(task, records)| {
                let mut rows = Vec::with_capacity(records.len());
                for (idx, record) in records.iter().enumerate() {
                    let row: T = serde_json::from_slice(&self.bytes[record.clone()]).map_err(|e| {
                        let record = self.n_before + task * RECORDS_A_TASK + idx;
                        TablesError::Record { path: path.to_owned(), record, reason: e.to_string() }
                    })?;
                    if keep(&row) {
                        rows.push(row);
                    }
                }
                Ok(rows)
            })
            .collect();
        tasks.into_iter().collect()
    }
}

/// What the scan expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// `[`
    List,
    /// `{` or `]`
    RecordOrEnd,
    /// `{`
    Record,
    /// The end of the record that begins here in the block.
    RecordEnd(usize),
    /// `,` or `]`
    CommaOrEnd,
    /// Nothing but white space.
    Nothing,
}

impl Expect {
    fn words(self) -> &'static str {
        match self {
            Self::List => "expected a list `[` of records",
            Self::RecordOrEnd => "expected a record `{` or the end `]` of the list",
            Self::Record => "expected a record `{`",
            Self::RecordEnd(_) => "the file ends within a record",
            Self::CommaOrEnd => "expected `,` or the end `]` of the list",
            Self::Nothing => "expected nothing after the list",
        }
    }
}

/// Cuts a file into blocks of whole records.
struct Blocks<'a> {
    path: &'a Path,
    file: File,
    block_bytes: usize,
    /// What was read of a record that is not yet whole.
    rest: Vec<u8>,
    expect: Expect,
    depth: usize,
    in_text: bool,
    /// The last byte scanned was a backslash in a text: the next one means nothing.
    is_escaped: bool,
    n_records: usize,
    /// Bytes of the file before `rest`.
    offset: u64,
    at_end: bool,
}

impl<'a> Blocks<'a> {
    fn new(path: &'a Path, file: File, block_bytes: usize) -> Self {
        Self {
            path,
            file,
            block_bytes,
            rest: Vec::new(),
            expect: Expect::List,
            depth: 0,
            in_text: false,
            is_escaped: false,
            n_records: 0,
            offset: 0,
            at_end: false,
        }
    }

    /// The next records; none at the end of the file.
    fn next(&mut self) -> Result<Option<Block>, TablesError> {
        if self.at_end {
            return Ok(None);
        }
        let mut bytes = std::mem::take(&mut self.rest);
        let n_scanned = bytes.len();
        bytes.reserve_exact(self.block_bytes);
        let n_read = (&mut self.file).take(self.block_bytes as u64).read_to_end(&mut bytes);
        let n_read = n_read.map_err(|source| TablesError::Read { path: self.path.to_owned(), source })?;
        self.at_end = n_read < self.block_bytes;
        let mut records = Vec::new();
        self.scan(&bytes, n_scanned, &mut records)?;
        let n_before = self.n_records;
        self.n_records += records.len();
        if self.at_end && self.expect != Expect::Nothing {
            return Err(self.not_a_list(bytes.len()));
        }
        let n_used = match self.expect {
            Expect::RecordEnd(start) => {
                self.expect = Expect::RecordEnd(0);
                start
            }
            _ => bytes.len(),
        };
        self.rest.extend_from_slice(&bytes[n_used..]);
        if self.rest.len() > MAX_RECORD_BYTES {
            let reason = format!("has more than {MAX_RECORD_BYTES} bytes");
            return Err(TablesError::Record { path: self.path.to_owned(), record: self.n_records, reason });
        }
        self.offset += n_used as u64;
        Ok(Some(Block { bytes, n_repeated: n_scanned, records, n_before }))
    }

    /// Finds records from the byte `from` on.
    fn scan(
        &mut self,
        bytes: &[u8],
        from: usize,
        records: &mut Vec<Range<usize>>,
    ) -> Result<(), TablesError> {
        let mut at = from;
        while let Some(byte) = bytes.get(at) {
            match (self.expect, byte) {
                (Expect::RecordEnd(start), _) => {
                    at = self.scan_record(bytes, at);
                    if self.depth == 0 {
                        records.push(start..at);
                        self.expect = Expect::CommaOrEnd;
                    }
                    continue;
                }
                (_, b' ' | b'\n' | b'\r' | b'\t') => {}
                (Expect::List, b'[') => self.expect = Expect::RecordOrEnd,
                (Expect::RecordOrEnd | Expect::CommaOrEnd, b']') => self.expect = Expect::Nothing,
                (Expect::CommaOrEnd, b',') => self.expect = Expect::Record,
                (Expect::Record | Expect::RecordOrEnd, b'{') => {
                    self.expect = Expect::RecordEnd(at);
                    self.depth = 1;
                }
                _ => return Err(self.not_a_list(at)),
            }
            at += 1;
        }
        Ok(())
    }

    /// Goes on to the end of the record, or of the bytes; gives where it stopped.
    fn scan_record(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while self.depth > 0 {
            let Some(rest) = bytes.get(at..) else { break };
            if self.is_escaped {
                let Some(_) = rest.first() else { break };
                self.is_escaped = false;
                at += 1;
                continue;
            }
            let found = if self.in_text {
                memchr::memchr2(b'"', b'\\', rest)
            } else {
                rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}'))
            };
            let Some(found) = found else { return bytes.len() };
            match rest[found] {
                b'"' => self.in_text = !self.in_text,
                b'\\' => self.is_escaped = true,
                b'{' => self.depth += 1,
                _ => self.depth -= 1,
            }
            at += found + 1;
        }
        at
    }

    fn not_a_list(&self, at: usize) -> TablesError {
        let offset = self.offset + at as u64;
        TablesError::NotAList { path: self.path.to_owned(), offset, reason: self.expect.words() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    type Record = Map<String, Value>;

    fn read_text(text: &[u8], block_bytes: usize) -> Result<Vec<Record>, TablesError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        std::fs::write(&path, text).unwrap();
        let (rows, source) = read_in_blocks(&path, |_| true, block_bytes)?;
        assert_eq!(source.digest[..], Sha256::digest(text)[..]);
        Ok(rows)
    }

    const TABLE: &str = r#" [ {"a":"}]\"{\\","b":[1,{"c":{}}]} ,
        {} ,{"d":"\\\\","e":null,"f":"é","g":-1.5e-3}
        ] "#;

    #[test]
    fn records_are_the_same_wherever_blocks_are_cut() {
        let expected: Vec<Record> = serde_json::from_str(TABLE).unwrap();
        assert_eq!(expected.len(), 3);
        for block_bytes in 1..=TABLE.len() + 1 {
            assert_eq!(read_text(TABLE.as_bytes(), block_bytes).unwrap(), expected, "{block_bytes}");
        }
        assert_eq!(read_text(b"[]", 1).unwrap(), Vec::<Record>::new());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            ("", "at byte 0: expected a list `[`"),
            ("{}", "at byte 0: expected a list `[`"),
            ("[", "at byte 1: expected a record `{` or the end"),
            ("[{}", "at byte 3: expected `,` or the end"),
            ("[{},]", "at byte 4: expected a record `{`"),
            ("[{} {}]", "at byte 4: expected `,`"),
            ("[1]", "at byte 1: expected a record"),
            ("[{}]x", "at byte 4: expected nothing"),
            ("[{\"a\":{}", "the file ends within a record"),
            ("[{},{\"a\":}]", "record 1: "),
            ("[{},{},{\"a\":1,}]", "record 2: "),
        ] {
            for block_bytes in [1, 2, 3, 1000] {
                let error = read_text(text.as_bytes(), block_bytes).unwrap_err().to_string();
                assert!(error.contains("table.json`") && error.contains(said), "{text}: {error}");
            }
        }
    }

    #[test]
    fn of_several_broken_records_the_first_is_named() {
        let mut text = vec!["{\"a\":1}"; 5000];
        text[1234] = "{\"a\":}";
        text[4321] = "{\"a\":}";
        let text = format!("[{}]", text.join(","));
        for block_bytes in [100, 1 << 20] {
            let error = read_text(text.as_bytes(), block_bytes).unwrap_err().to_string();
            assert!(error.contains("record 1234: "), "{error}");
        }
    }

    #[test]
    fn a_record_without_an_end_is_given_up() {
        let text = format!("[{{\"a\":\"{}", "x".repeat(MAX_RECORD_BYTES + BLOCK_BYTES));
        let error = read_text(text.as_bytes(), BLOCK_BYTES).unwrap_err().to_string();
        assert!(error.contains("record 0") && error.contains("bytes"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_text_is_read_as_another_reader_reads_it(
            changes in prop::collection::vec((0..TABLE.len(), any::<u8>()), 0..4),
            cut in 0..=TABLE.len(),
            block_bytes in 1_usize..40,
        ) {
            let mut text = TABLE.as_bytes().to_vec();
            for (place, byte) in changes {
                text[place] = byte;
            }
            text.truncate(if cut % 3 == 0 { cut } else { TABLE.len() });
            let expected: Result<Vec<Record>, _> = serde_json::from_slice(&text);
            match (read_text(&text, block_bytes), expected) {
                (Ok(got), Ok(expected)) => prop_assert_eq!(got, expected),
                (Err(_), Err(_)) => {}
                (got, expected) => prop_assert!(false, "{:?} but {:?}", got, expected),
            }
        }

        #[test]
        fn numbers_are_the_nearest_doubles(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            let rows = read_text(format!("[{{\"a\":{number:?}}}]").as_bytes(), 1000).unwrap();
            let got = rows[0]["a"].as_f64().unwrap();
            prop_assert!(got.to_bits() == bits || (got == 0.0 && number == 0.0), "{got} but {number}");
        }
    }

    #[test]
    fn a_table_that_changes_while_it_is_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        std::fs::write(&path, TABLE).unwrap();
        // Its times change under the reader's eyes; the bytes may be of before or of after.
        let touch = |_: &Record| {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).is_ok()
        };
        let error = read_in_blocks(&path, touch, 1000).err().unwrap();
        assert!(matches!(&error, TablesError::Changed { path } if path.ends_with("table.json")), "{error}");
    }
}
