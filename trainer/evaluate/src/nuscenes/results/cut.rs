//! Cuts the text of results into samples, block by block, so that several threads can parse them.
//!
//! Only what separates samples is looked at: quotes, brackets, colons and commas. What lies between is checked by
//! whoever parses it.
//!
//! Where a list of boxes ends can be guessed, which saves a look at every byte: nearly every file has its first `}]`
//! there. A wrong guess is noticed, for no list of JSON begins with another one: what is cut too early does not parse.

use super::problem::ResultsError;
use std::io::Read;
use std::ops::Range;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 8 << 20;
/// The most that one value may have; 500 boxes have a quarter of a megabyte.
pub(super) const MAX_VALUE_BYTES: usize = 256 << 20;
const RESULTS: &[u8] = b"\"results\"";
/// The end of a last box and of its list.
const END_OF_LIST: &[u8] = b"}]";

/// How the end of a list of boxes is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// By its brackets.
    Counted,
    /// By the first `}]`. Whoever finds a list that does not parse has to begin anew and count.
    Guessed,
}

/// Where a member of an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the top, and not the results.
    Section,
    /// The results begin: their members follow.
    Results,
    /// In the results.
    Sample,
}

/// A key and its value, as ranges of the block.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) place: Place,
    /// With its quotes.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// A block of text and the members that lie in it.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where the block begins in the file.
    pub(super) offset: u64,
    pub(super) members: Vec<Member>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Start,
    FirstMember(Depth),
    CommaOrEnd(Depth),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Top,
    Results,
}

/// A step of the scan that did not come to its end.
enum Stop {
    /// More text is needed.
    Incomplete,
    /// At this place of the block.
    Wrong(usize, &'static str),
}

pub(super) struct Batches<R> {
    stream: R,
    /// What is not yet cut.
    rest: Vec<u8>,
    /// Where `rest` begins in the file.
    offset: u64,
    expect: Expect,
    at_end: bool,
    block_bytes: usize,
    ends: Ends,
    /// A block that nobody reads any more: its memory is used again.
    spare: Vec<u8>,
}

impl<R: Read> Batches<R> {
    pub(super) fn new(stream: R, ends: Ends) -> Self {
        Self::with_blocks(stream, ends, BLOCK_BYTES)
    }

    pub(super) fn with_blocks(stream: R, ends: Ends, block_bytes: usize) -> Self {
        Self {
            stream,
            rest: Vec::new(),
            offset: 0,
            expect: Expect::Start,
            at_end: false,
            block_bytes,
            ends,
            spare: Vec::new(),
        }
    }

    /// Takes back a block.
    pub(super) fn recycle(&mut self, batch: Batch) {
        self.spare = batch.bytes;
    }

    /// The next block with at least one member, or the last one; `None` after it.
    pub(super) fn next(&mut self) -> Result<Option<Batch>, ResultsError> {
        if self.at_end {
            return Ok(None);
        }
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.extend_from_slice(&self.rest);
        let mut members = Vec::new();
        let mut at = 0;
        while members.is_empty() && !self.at_end {
            // A value that goes on and on is scanned anew at twice the length, not block by block.
            let n_wanted = self.block_bytes.max(bytes.len());
            bytes.reserve_exact(n_wanted);
            let n_read = (&mut self.stream).take(n_wanted as u64).read_to_end(&mut bytes)?;
            self.at_end = n_read < n_wanted;
            at = self.cut(&bytes, at, &mut members)?;
            if bytes.len() - at > MAX_VALUE_BYTES {
                let offset = self.offset + at as u64;
                return Err(ResultsError::TooLong { offset, max_bytes: MAX_VALUE_BYTES });
            }
        }
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[at..]);
        let offset = self.offset;
        self.offset += at as u64;
        Ok(Some(Batch { bytes, offset, members }))
    }

    /// Cuts what is complete, and says where it ends.
    fn cut(&mut self, bytes: &[u8], from: usize, members: &mut Vec<Member>) -> Result<usize, ResultsError> {
        let mut at = from;
        loop {
            match self.step(bytes, at, members) {
                Ok(next) => at = next,
                Err(Stop::Incomplete) if self.at_end => {
                    // Nothing but white space stops a step where nothing is expected.
                    if self.expect == Expect::Nothing {
                        return Ok(bytes.len());
                    }
                    return Err(self.syntax(bytes.len(), "the file ends too early"));
                }
                Err(Stop::Incomplete) => return Ok(at),
                Err(Stop::Wrong(place, reason)) => return Err(self.syntax(place, reason)),
            }
        }
    }

    fn syntax(&self, place: usize, reason: &str) -> ResultsError {
        let offset = self.offset + place as u64;
        ResultsError::Syntax { offset, sample: None, reason: reason.to_owned() }
    }

    /// One member, or one bracket; gives where it ends. Nothing changes where it is incomplete.
    fn step(&mut self, bytes: &[u8], at: usize, members: &mut Vec<Member>) -> Result<usize, Stop> {
        let at = skip_space(bytes, at)?;
        let (depth, at) = match (self.expect, bytes[at]) {
            (Expect::Start, b'{') => {
                self.expect = Expect::FirstMember(Depth::Top);
                return Ok(at + 1);
            }
            (Expect::Start, _) => return Err(Stop::Wrong(at, "expected an object `{`")),
            (Expect::Nothing, _) => return Err(Stop::Wrong(at, "expected nothing after the object")),
            (Expect::FirstMember(depth) | Expect::CommaOrEnd(depth), b'}') => {
                self.expect = match depth {
                    Depth::Top => Expect::Nothing,
                    Depth::Results => Expect::CommaOrEnd(Depth::Top),
                };
                return Ok(at + 1);
            }
            (Expect::FirstMember(depth), _) => (depth, at),
            (Expect::CommaOrEnd(depth), b',') => (depth, skip_space(bytes, at + 1)?),
            (Expect::CommaOrEnd(_), _) => return Err(Stop::Wrong(at, "expected `,` or `}`")),
        };
        if bytes[at] != b'"' {
            return Err(Stop::Wrong(at, "expected a key in double quotes"));
        }
        let key = at..text_end(bytes, at)?;
        let colon = skip_space(bytes, key.end)?;
        if bytes[colon] != b':' {
            return Err(Stop::Wrong(colon, "expected `:`"));
        }
        let start = skip_space(bytes, colon + 1)?;
        if depth == Depth::Top && &bytes[key.clone()] == RESULTS {
            if bytes[start] != b'{' {
                return Err(Stop::Wrong(start, "expected an object `{` of samples"));
            }
            self.expect = Expect::FirstMember(Depth::Results);
            members.push(Member { place: Place::Results, key, value: start..start + 1 });
            return Ok(start + 1);
        }
        let place = if depth == Depth::Top { Place::Section } else { Place::Sample };
        let guess = (place == Place::Sample && self.ends == Ends::Guessed).then(|| guessed_end(bytes, start));
        let end = match guess.flatten() {
            Some(end) => end,
            None => value_end(bytes, start)?,
        };
        let value = start..end;
        members.push(Member { place, key, value });
        self.expect = Expect::CommaOrEnd(depth);
        Ok(end)
    }
}

fn skip_space(bytes: &[u8], from: usize) -> Result<usize, Stop> {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    found.map(|n| from + n).ok_or(Stop::Incomplete)
}

/// Just after the closing quote of the text that opens at `start`.
fn text_end(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let mut at = start + 1;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return Err(Stop::Incomplete),
            Some(n) if rest[n] == b'"' => return Ok(at + n + 1),
            Some(n) => at += n + 2,
        }
    }
}

/// Where the list of boxes that begins at `start` ends, if it is written as most are.
fn guessed_end(bytes: &[u8], start: usize) -> Option<usize> {
    let list = &bytes[start..];
    let inside = skip_space(list, 1).ok()?;
    if list[0] != b'[' || list[inside] == b']' {
        return None;
    }
    memchr::memmem::find(list, END_OF_LIST).map(|n| start + n + END_OF_LIST.len())
}

/// Just after the value that begins at `start`.
fn value_end(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    match bytes[start] {
        b'"' => return text_end(bytes, start),
        b'{' | b'[' => {}
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            let found = bytes[start..].iter().position(ends);
            return match found {
                None => Err(Stop::Incomplete),
                Some(0) => Err(Stop::Wrong(start, "expected a value")),
                Some(n) => Ok(start + n),
            };
        }
    }
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let found = rest.iter().position(|byte| matches!(byte, b'"' | b'[' | b'{' | b']' | b'}'));
        let n = found.ok_or(Stop::Incomplete)?;
        at += n;
        match bytes[at] {
            b'"' => {
                at = text_end(bytes, at)?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return Ok(at);
        }
    }
}
