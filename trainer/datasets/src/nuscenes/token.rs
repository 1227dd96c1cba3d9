//! Tokens: the names of rows.

use serde::de::{Deserialize, Deserializer, Visitor};
use std::fmt;
use std::sync::Arc;

/// Digits of a token as nuScenes writes them.
const N_DIGITS: usize = 32;

/// The name of a row, unique within its table.
///
/// nuScenes' own are 128 random bits as 32 lower-case hexadecimal digits; those are kept as bits. Any other text
/// (`visibility` has `1` to `4`, made-up datasets have what they like) is kept as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Token {
    /// 32 lower-case hexadecimal digits: the upper and the lower 64 bits.
    Bits([u64; 2]),
    /// Any other text.
    Text(Arc<str>),
}

impl Token {
    /// The bits of 32 lower-case hexadecimal digits.
    pub fn from_bits(bits: u128) -> Self {
        Self::Bits([(bits >> 64) as u64, bits as u64])
    }

    /// The 128 bits of a token that has them.
    pub fn bits(&self) -> Option<u128> {
        match self {
            Self::Bits([upper, lower]) => Some(u128::from(*upper) << 64 | u128::from(*lower)),
            Self::Text(_) => None,
        }
    }

    /// Whether it is the empty text, which stands for "none" in the tables.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        parse_bits(text.as_bytes()).map_or_else(|| Self::Text(text.into()), Self::Bits)
    }
}

/// Values of lower-case hexadecimal digits; of any other byte one that no digit has. A table, since a branch on digits
/// that are random is guessed wrongly as often as not.
const DIGITS: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = 0xf0;

fn parse_bits(digits: &[u8]) -> Option<[u64; 2]> {
    let digits: &[u8; N_DIGITS] = digits.try_into().ok()?;
    let (mut bits, mut seen) = ([0_u64; 2], 0_u8);
    for (half, digits) in bits.iter_mut().zip(digits.as_chunks::<16>().0) {
        for digit in digits {
            let value = DIGITS[usize::from(*digit)];
            seen |= value;
            *half = *half << 4 | u64::from(value);
        }
    }
    (seen & NO_DIGIT == 0).then_some(bits)
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits([upper, lower]) => write!(f, "{upper:016x}{lower:016x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Token;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }
            fn visit_str<E>(self, text: &str) -> Result<Token, E> {
                Ok(Token::from(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_were_written() {
        let digits = "0123456789abcdef00000000000000ff";
        assert_eq!(Token::from(digits).bits(), Some(0x0123_4567_89ab_cdef_0000_0000_0000_00ff));
        assert_eq!(Token::from_bits(0x0123_4567_89ab_cdef_0000_0000_0000_00ff), Token::from(digits));
        // Upper case would come back as lower case, so it is a text.
        for text in
            [digits, "", "1", "0123456789ABCDEF00000000000000FF", "0123456789abcdef00000000000000f", "é"]
                .into_iter()
                .chain(["g123456789abcdef00000000000000ff", "0123456789abcdef00000000000000f/"])
        {
            assert_eq!(Token::from(text).to_string(), text);
        }
        assert!(Token::from("").is_empty() && !Token::from(digits).is_empty());
        assert_ne!(Token::from("0123456789ABCDEF00000000000000FF"), Token::from(digits));
    }
}
