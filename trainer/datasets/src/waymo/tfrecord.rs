//! TFRecord files: a length, its checksum, that many bytes, their checksum; over and over.
//!
//! Checksums are CRC-32C, turned right by 15 bits, plus a constant. Lengths are believed only as far as the file goes.

use crate::DatasetError;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of a length and its checksum.
const HEADER_BYTES: u64 = 12;

/// Bytes of the checksum behind a record.
const FOOTER_BYTES: u64 = 4;

/// Where a record lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordPlace {
    pub(super) offset: u64,
    pub(super) n_bytes: u64,
}

/// The checksum of these bytes, as it stands in a file.
pub(super) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn refuse(path: &Path, record: usize, reason: String) -> DatasetError {
    DatasetError::Record { path: path.to_owned(), record, reason }
}

/// The places of all records, found by their lengths alone.
///
/// **Errors**: a length whose checksum is wrong or that leads past the end of the file; record numbers count from 1.
pub(super) fn index(path: &Path) -> Result<Vec<RecordPlace>, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    let file_bytes = file.metadata().map_err(read)?.len();
    let (mut places, mut at) = (Vec::new(), 0);
    while at < file_bytes {
        let record = places.len() + 1;
        if file_bytes - at < HEADER_BYTES {
            return Err(refuse(path, record, "is cut short in its header".to_owned()));
        }
        let mut header = [0; HEADER_BYTES as usize];
        file.seek(SeekFrom::Start(at)).map_err(read)?;
        file.read_exact(&mut header).map_err(read)?;
        let [l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = header;
        if masked_crc(&header[..8]) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(refuse(path, record, "the checksum of its length is wrong".to_owned()));
        }
        let n_bytes = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
        let rest = file_bytes - at - HEADER_BYTES;
        if n_bytes.checked_add(FOOTER_BYTES).is_none_or(|needed| needed > rest) {
            return Err(refuse(path, record, format!("states {n_bytes} bytes, but {rest} are left")));
        }
        places.push(RecordPlace { offset: at + HEADER_BYTES, n_bytes });
        at += HEADER_BYTES + n_bytes + FOOTER_BYTES;
    }
    Ok(places)
}

/// Reads one record; `record` counts from 1 and is for words alone.
///
/// **Errors**: bytes that are not those of the checksum.
pub(super) fn read(path: &Path, record: usize, place: RecordPlace) -> Result<Vec<u8>, DatasetError> {
    let read = |source| DatasetError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    file.seek(SeekFrom::Start(place.offset)).map_err(read)?;
    let n_bytes = usize::try_from(place.n_bytes + FOOTER_BYTES).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    file.take(n_bytes as u64).read_to_end(&mut bytes).map_err(read)?;
    let Some((data, crc)) = bytes.split_last_chunk::<4>().filter(|_| bytes.len() == n_bytes) else {
        return Err(refuse(path, record, "the file has become shorter".to_owned()));
    };
    if masked_crc(data) != u32::from_le_bytes(*crc) {
        return Err(refuse(path, record, "the checksum of its bytes is wrong".to_owned()));
    }
    bytes.truncate(n_bytes - FOOTER_BYTES as usize);
    Ok(bytes)
}
