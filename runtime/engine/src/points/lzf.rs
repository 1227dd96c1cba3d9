//! LZF: the decompression that `DATA binary_compressed` of a PCD file needs.
//!
//! **Source**: the format of Marc Lehmann's liblzf, as the Point Cloud Library writes it.

use thiserror::Error;

/// The most bytes that one byte of input can become: a three-byte back reference yields up to
/// 264 bytes. A header that promises more than this ratio is refused before memory is asked for.
pub(super) const MAX_RATIO: usize = 88;

/// Why a compressed block cannot be decompressed, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum LzfError {
    /// The input stops inside a literal run or a back reference.
    #[error("the compressed block ends inside the instruction at its byte {at}")]
    Truncated {
        /// Byte of the compressed block.
        at: usize,
    },
    /// A back reference reaches before the first byte of output.
    #[error("the instruction at byte {at} of the compressed block refers to data before its start")]
    BeforeStart {
        /// Byte of the compressed block.
        at: usize,
    },
    /// The input decompresses to more bytes than the header names.
    #[error("the compressed block holds more than {expected} bytes")]
    TooLong {
        /// Bytes that the header names.
        expected: usize,
    },
    /// The input decompresses to fewer bytes than the header names.
    #[error("the compressed block holds {got} bytes, not {expected}")]
    TooShort {
        /// Bytes that came out.
        got: usize,
        /// Bytes that the header names.
        expected: usize,
    },
}

/// The decompressed bytes, of which there must be exactly `n_bytes`.
///
/// **Errors**: any input that is not LZF of exactly that length. No input panics.
/// **Allocation**: one of `n_bytes`; the caller has checked it against [`MAX_RATIO`].
pub(super) fn decompress(input: &[u8], n_bytes: usize) -> Result<Vec<u8>, LzfError> {
    let mut out = Vec::with_capacity(n_bytes);
    let mut at = 0;
    while let Some(&control) = input.get(at) {
        let truncated = LzfError::Truncated { at };
        let too_long = LzfError::TooLong { expected: n_bytes };
        if control < 32 {
            let n = usize::from(control) + 1;
            let literal = input.get(at + 1..at + 1 + n).ok_or(truncated)?;
            if literal.len() > n_bytes - out.len() {
                return Err(too_long);
            }
            out.extend_from_slice(literal);
            at += 1 + n;
            continue;
        }
        let mut n = usize::from(control >> 5) + 2;
        let mut next = at + 1;
        if n == 9 {
            n += usize::from(*input.get(next).ok_or(truncated)?);
            next += 1;
        }
        let low = usize::from(*input.get(next).ok_or(truncated)?);
        let distance = (usize::from(control & 0x1f) << 8) + low + 1;
        let from = out.len().checked_sub(distance).ok_or(LzfError::BeforeStart { at })?;
        if n > n_bytes - out.len() {
            return Err(too_long);
        }
        if distance >= n {
            out.extend_from_within(from..from + n);
        } else {
            // The reference overlaps what it writes: it repeats the last `distance` bytes.
            for i in from..from + n {
                let byte = out.get(i).copied().unwrap_or_default();
                out.push(byte);
            }
        }
        at = next + 1;
    }
    if out.len() == n_bytes { Ok(out) } else { Err(LzfError::TooShort { got: out.len(), expected: n_bytes }) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// A greedy compressor, so that decompression meets literals and both kinds of references.
    pub(in super::super) fn compress(input: &[u8]) -> Vec<u8> {
        fn flush(out: &mut Vec<u8>, literals: &mut Vec<u8>) {
            for run in literals.chunks(32) {
                out.push((run.len() - 1) as u8);
                out.extend_from_slice(run);
            }
            literals.clear();
        }
        let (mut out, mut literals, mut seen) = (Vec::new(), Vec::new(), HashMap::<[u8; 3], usize>::new());
        let mut at = 0;
        while at < input.len() {
            let key = input.get(at..at + 3).map(|k| [k[0], k[1], k[2]]);
            let found = key.and_then(|k| seen.insert(k, at)).filter(|from| at - from <= 8192);
            let Some(from) = found else {
                literals.push(input[at]);
                at += 1;
                continue;
            };
            flush(&mut out, &mut literals);
            let n = (0..264.min(input.len() - at)).take_while(|i| input[from + i] == input[at + i]).count();
            let distance = at - from - 1;
            let (high, low) = ((distance >> 8) as u8, (distance & 0xff) as u8);
            if n < 9 {
                out.extend([((n - 2) as u8) << 5 | high, low]);
            } else {
                out.extend([7 << 5 | high, (n - 9) as u8, low]);
            }
            at += n;
        }
        flush(&mut out, &mut literals);
        out
    }

    #[test]
    fn hand_written_instructions_mean_what_the_format_says() {
        // Literal "ab", then 3 bytes from distance 2 (overlapping), then 9 + 1 from distance 1.
        let block = [1, b'a', b'b', 1 << 5, 1, 7 << 5, 1, 0];
        assert_eq!(decompress(&block, 15).unwrap(), b"ababaaaaaaaaaaa");
        assert_eq!(decompress(&[], 0).unwrap(), b"");
    }

    #[test]
    fn every_kind_of_broken_block_is_told_apart() {
        let block = [1, b'a', b'b', 1 << 5, 1];
        assert_eq!(decompress(&block, 4), Err(LzfError::TooLong { expected: 4 }));
        assert_eq!(decompress(&block, 6), Err(LzfError::TooShort { got: 5, expected: 6 }));
        assert_eq!(decompress(&block[..4], 5), Err(LzfError::Truncated { at: 3 }));
        assert_eq!(decompress(&[3, b'a'], 4), Err(LzfError::Truncated { at: 0 }));
        assert_eq!(decompress(&[7 << 5], 4), Err(LzfError::Truncated { at: 0 }));
        assert_eq!(decompress(&[0, b'a', 1 << 5, 1], 4), Err(LzfError::BeforeStart { at: 2 }));
    }

    #[test]
    fn no_input_expands_beyond_the_ratio() {
        let zeros = vec![0_u8; 1 << 20];
        let block = compress(&zeros);
        assert!(zeros.len() <= block.len() * MAX_RATIO);
        assert!(zeros.len() > block.len() * (MAX_RATIO - 2), "the bound is not tight");
        assert_eq!(decompress(&block, zeros.len()).unwrap(), zeros);
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(
            input in prop::collection::vec(0_u8..4, 0..3000), noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut input = input;
            input.extend(&noise);
            input.extend_from_within(..);
            prop_assert_eq!(decompress(&compress(&input), input.len()).unwrap(), input);
        }

        #[test]
        fn no_block_panics_or_yields_another_length(
            block in prop::collection::vec(any::<u8>(), 0..200), n_bytes in 0_usize..2000,
        ) {
            if let Ok(out) = decompress(&block, n_bytes) {
                prop_assert_eq!(out.len(), n_bytes);
                prop_assert!(out.len() <= block.len() * MAX_RATIO);
            }
        }
    }
}
