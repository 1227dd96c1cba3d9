//! Memory: buffers at addresses far apart, so that no access past one meets another.

use crate::fault::{Fault, FaultKind};
use std::collections::BTreeMap;

/// The first address; below are shared memory and what nobody has.
const FIRST: u64 = 0x7_0000_0000;
/// Between a buffer's end and the next one's start.
const GAP: u64 = 1 << 20;

/// Device memory: buffers, each with a name.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    buffers: BTreeMap<u64, Buffer>,
}

#[derive(Clone, Debug)]
struct Buffer {
    name: String,
    bytes: Vec<u8>,
    /// Which bytes hold something.
    is_written: Vec<bool>,
}

impl Memory {
    /// No memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer that holds these bytes; yields its address, a multiple of 256.
    pub fn buffer(&mut self, name: &str, bytes: &[u8]) -> u64 {
        self.insert(name, bytes.to_vec(), true)
    }

    /// A buffer that holds nothing yet: reading of it what nobody has written is a fault.
    pub fn unwritten(&mut self, name: &str, n_bytes: usize) -> u64 {
        self.insert(name, vec![0xcd; n_bytes], false)
    }

    fn insert(&mut self, name: &str, bytes: Vec<u8>, is_written: bool) -> u64 {
        let end = self.buffers.last_key_value().map_or(FIRST, |(at, b)| at + b.bytes.len() as u64 + GAP);
        let at = end.next_multiple_of(256);
        let is_written = vec![is_written; bytes.len()];
        self.buffers.insert(at, Buffer { name: name.to_owned(), bytes, is_written });
        at
    }

    /// The bytes of a buffer by its address; empty where none starts there.
    pub fn bytes(&self, at: u64) -> &[u8] {
        self.buffers.get(&at).map_or(&[], |b| &b.bytes)
    }

    /// The same, to be changed by the host; everything counts as written then.
    pub fn bytes_mut(&mut self, at: u64) -> &mut [u8] {
        match self.buffers.get_mut(&at) {
            Some(buffer) => {
                buffer.is_written.fill(true);
                &mut buffer.bytes
            }
            None => &mut [],
        }
    }

    pub(crate) fn load(&self, at: u64, n_bytes: usize) -> Result<u64, Fault> {
        let (buffer, offset) = self.find(at, n_bytes)?;
        let range = offset..offset + n_bytes;
        if !buffer.is_written[range.clone()].iter().all(|w| *w) {
            return Err(FaultKind::Unwritten.at(at, &buffer.name));
        }
        let mut value = [0; 8];
        value[..n_bytes].copy_from_slice(&buffer.bytes[range]);
        Ok(u64::from_le_bytes(value))
    }

    pub(crate) fn store(&mut self, at: u64, n_bytes: usize, value: u64) -> Result<(), Fault> {
        let (_, offset) = self.find(at, n_bytes)?;
        if let Some((_, buffer)) = self.buffers.range_mut(..=at).next_back() {
            buffer.bytes[offset..offset + n_bytes].copy_from_slice(&value.to_le_bytes()[..n_bytes]);
            buffer.is_written[offset..offset + n_bytes].fill(true);
        }
        Ok(())
    }

    fn find(&self, at: u64, n_bytes: usize) -> Result<(&Buffer, usize), Fault> {
        let Some((start, buffer)) = self.buffers.range(..=at).next_back() else {
            return Err(FaultKind::OutOfBounds.at(at, "nothing"));
        };
        let offset = at - start;
        if offset + n_bytes as u64 > buffer.bytes.len() as u64 {
            return Err(FaultKind::OutOfBounds.at(at, &buffer.name));
        }
        if !at.is_multiple_of(n_bytes as u64) {
            return Err(FaultKind::Misaligned.at(at, &buffer.name));
        }
        Ok((buffer, offset as usize))
    }
}
