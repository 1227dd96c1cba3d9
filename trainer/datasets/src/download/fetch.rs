//! The archive: request after request until all of it is there, or it is clear that it will not come.

use super::client::{self, Answer, Stop};
use super::error::{DownloadError, Fault};
use super::limits::{Limits, Pace};
use super::partial::Partial;
use super::source::Source;
use super::{Progress, Receipt};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// How every gzip file begins.
const GZIP_BEGINS: [u8; 2] = [0x1f, 0x8b];
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a wrong answer that are shown.
const SHOWN_BYTES: usize = 60;

/// A file to fetch, and the bounds within which.
pub(super) struct Fetch<'a> {
    pub(super) source: &'a Source,
    pub(super) url: &'a str,
    pub(super) archive: &'a Path,
    pub(super) sha256: Option<&'a str>,
    pub(super) limits: &'a Limits,
    /// Refuses if so many bytes do not fit on the disk.
    pub(super) reserve: &'a dyn Fn(u64) -> Result<(), DownloadError>,
}

impl Fetch<'_> {
    /// Fetches the file, from where an earlier run left off.
    ///
    /// **Errors**: what cannot be mended by asking again, or too many failures in a row.
    pub(super) fn run(&self, report: &mut dyn FnMut(Progress<'_>)) -> Result<Receipt, DownloadError> {
        let agent = client::agent(self.url, self.limits);
        let mut partial = Partial::open(self.archive, self.url)?;
        let mut furthest = partial.len();
        let mut n_failures = 0;
        loop {
            let done = match self.attempt(&agent, &mut partial, report) {
                Ok(()) => self.check(&mut partial),
                stop => stop,
            };
            let (fault, wish) = match done {
                Ok(()) => break,
                Err(Stop::For(error)) => return Err(error),
                Err(Stop::Again(fault, wish)) => (fault, wish),
            };
            // Only ground that was never won before counts: who begins anew each time gets nowhere.
            if partial.len() >= furthest + self.limits.growth_bytes {
                n_failures = 0;
            }
            furthest = furthest.max(partial.len());
            n_failures += 1;
            if n_failures >= self.limits.max_failures {
                let (url, received) = (self.url.to_owned(), partial.len());
                return Err(DownloadError::GaveUp { url, attempts: n_failures, received, last: fault });
            }
            let wait = self.limits.wait_after(n_failures, wish);
            report(Progress::Waiting { fault: &fault, wait });
            thread::sleep(wait);
        }
        let receipt = Receipt::of(self.source, self.url, &partial);
        partial.finish(self.archive)?;
        Ok(receipt)
    }

    /// One request, and its body for as long as it comes.
    fn attempt(
        &self,
        agent: &ureq::Agent,
        partial: &mut Partial,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Stop> {
        if partial.is_complete() {
            return Ok(());
        }
        let had = partial.len();
        let begun = partial.origin().validator().filter(|_| had > 0).map(|v| (had, v));
        let mut answer = match client::ask(agent, self.url, begun, self.limits) {
            // The server knows better how long its file is: what is here is not of it.
            Err(Stop::Again(fault @ Fault::NoSuchRange(_), wish)) => {
                partial.clear()?;
                return Err(Stop::Again(fault, wish));
            }
            answer => answer?,
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut pace = Pace::new(Instant::now());
        let end = match answer.piece {
            None => self.begin(&mut answer, partial, &mut buffer, &mut pace)?,
            Some(piece) => {
                if piece.first != had {
                    let said = format!("from byte {}, not {had}", piece.first);
                    return Err(Fault::WrongRange(said).into());
                }
                if !partial.origin().is_same_version(&answer.origin) {
                    partial.clear()?;
                    return Err(Fault::Restarted.into());
                }
                (self.reserve)(piece.total.unwrap_or(self.source.usual_bytes).saturating_sub(had))?;
                partial.go_on();
                Some(piece.last + 1)
            }
        };
        self.receive(&mut answer, partial, end, &mut buffer, &mut pace, report)?;
        match partial.origin().total.or(end) {
            Some(total) if partial.len() < total => Err(Fault::Cut { at: partial.len(), total }.into()),
            _ => Ok(()),
        }
    }

    /// Looks at the head and the first bytes of a whole file before it replaces anything; where it will end.
    fn begin(
        &self,
        answer: &mut Answer,
        partial: &mut Partial,
        buffer: &mut [u8],
        pace: &mut Pace,
    ) -> Result<Option<u64>, Stop> {
        let total = answer.origin.total;
        self.check_size(total.unwrap_or(0))?;
        let mut n = 0;
        while n < GZIP_BEGINS.len() {
            let Some(rest) = buffer.get_mut(n..) else { break };
            let got = answer.read(rest)?;
            pace.note(got, Instant::now(), self.limits)?;
            n += got;
            if got == 0 {
                break;
            }
        }
        let first = buffer.get(..n).unwrap_or_default();
        let is_page = answer.content_type.to_ascii_lowercase().starts_with("text/html");
        if is_page || (n > 0 && !first.starts_with(GZIP_BEGINS.get(..n.min(2)).unwrap_or_default())) {
            return Err(self.not_the_archive(answer, first).into());
        }
        if n < GZIP_BEGINS.len() {
            return Err(Fault::Cut { at: n as u64, total: total.unwrap_or(self.source.usual_bytes) }.into());
        }
        (self.reserve)(total.unwrap_or(self.source.usual_bytes).saturating_sub(partial.len()))?;
        partial.begin(answer.origin.clone())?;
        partial.append(first)?;
        Ok(total)
    }

    fn receive(
        &self,
        answer: &mut Answer,
        partial: &mut Partial,
        end: Option<u64>,
        buffer: &mut [u8],
        pace: &mut Pace,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Stop> {
        let total = partial.origin().total;
        report(Progress::Receiving { received: partial.len(), total });
        loop {
            let n = answer.read(buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|b| !b.is_empty()) else { return Ok(()) };
            if end.is_some_and(|end| partial.len() + n as u64 > end) {
                return Err(Fault::WrongRange("more bytes than it says".to_owned()).into());
            }
            if let Err(error) = self.check_size(partial.len() + n as u64) {
                partial.clear()?;
                return Err(error.into());
            }
            partial.append(bytes)?;
            report(Progress::Receiving { received: partial.len(), total });
            pace.note(n, Instant::now(), self.limits)?;
        }
    }

    fn check_size(&self, n_bytes: u64) -> Result<(), DownloadError> {
        let max_bytes = self.source.max_bytes;
        if n_bytes > max_bytes {
            let (url, dataset) = (self.url.to_owned(), self.source.name);
            return Err(DownloadError::TooLarge { url, dataset, max_bytes });
        }
        Ok(())
    }

    /// Compares the digest, where one is known. Pieces that do not fit together are fetched once more as one.
    fn check(&self, partial: &mut Partial) -> Result<(), Stop> {
        let Some(expected) = self.sha256 else { return Ok(()) };
        let found = partial.sha256();
        if found == expected {
            return Ok(());
        }
        let is_pieced = partial.is_pieced();
        partial.clear()?;
        if is_pieced {
            return Err(Fault::Mixed.into());
        }
        let (url, expected) = (self.url.to_owned(), expected.to_owned());
        Err(DownloadError::WrongDigest { url, found, expected }.into())
    }

    fn not_the_archive(&self, answer: &Answer, first: &[u8]) -> DownloadError {
        let shown = first.get(..first.len().min(SHOWN_BYTES)).unwrap_or_default();
        let begins = String::from_utf8_lossy(shown).escape_debug().to_string();
        DownloadError::NotTheArchive {
            url: self.url.to_owned(),
            content_type: answer.content_type.clone(),
            begins,
        }
    }
}
