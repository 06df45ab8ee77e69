//! The header of every message (dqlite, `src/message.h`).

use super::WORD;
use super::error::{Message, Place, Problem, WireError};

/// The 8 bytes before every body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Length of the body in 8-byte words.
    pub(crate) words: u32,
    /// Type tag of the message.
    pub(crate) kind: u8,
    /// Layout of the message, where its type has several.
    pub(crate) schema: u8,
    /// Unused: written as 0, ignored when read.
    pub(crate) extra: u16,
}

impl Header {
    /// Length of the header in bytes.
    pub(crate) const SIZE: usize = 8;

    /// Reads a header. Every 8 bytes are one; whether it is acceptable is for [`check`](Header::check) to say.
    pub(crate) fn decode(bytes: &[u8; Self::SIZE]) -> Header {
        let [w0, w1, w2, w3, kind, schema, x0, x1] = *bytes;
        Header {
            words: u32::from_le_bytes([w0, w1, w2, w3]),
            kind,
            schema,
            extra: u16::from_le_bytes([x0, x1]),
        }
    }

    /// The header as it is sent.
    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let [w0, w1, w2, w3] = self.words.to_le_bytes();
        let [x0, x1] = self.extra.to_le_bytes();
        [w0, w1, w2, w3, self.kind, self.schema, x0, x1]
    }

    /// The declared length of the body in bytes.
    pub(crate) fn body_len(&self) -> u64 {
        u64::from(self.words) * WORD as u64
    }

    /// The length of the body in bytes, if a body of that length is to be read at all.
    ///
    /// # Errors
    /// A body without a word, which no message has, or one of more than `max_message` bytes.
    pub(crate) fn check(&self, max_message: u32) -> Result<usize, WireError> {
        let size = self.body_len();
        let problem = match usize::try_from(size) {
            Ok(0) => Problem::EmptyBody { cap: max_message },
            Ok(len) if size <= u64::from(max_message) => return Ok(len),
            _ => Problem::OverCap {
                size,
                cap: max_message,
            },
        };
        Err(WireError::of(
            Message::Frame(self.kind),
            Place::Field("body"),
            problem,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 8] = *b"\x04\x03\x02\x01\x07\x01\x22\x11";
    const HEADER: Header = Header {
        words: 0x0102_0304,
        kind: 7,
        schema: 1,
        extra: 0x1122,
    };

    #[test]
    fn bytes_and_fields_agree() {
        assert_eq!(Header::decode(&BYTES), HEADER);
        assert_eq!(HEADER.encode(), BYTES);
    }

    #[test]
    fn the_longest_body_is_counted_without_overflow() {
        let header = Header {
            words: u32::MAX,
            ..HEADER
        };
        assert_eq!(header.body_len(), 34_359_738_360);
        assert_eq!(
            header.check(u32::MAX).unwrap_err().to_string(),
            "message of type 7: body has 34359738360 bytes, more than the 4294967295 that max_message allows"
        );
    }

    #[test]
    fn the_cap_includes_its_own_value() {
        let header = Header { words: 2, ..HEADER };
        assert_eq!(header.check(16), Ok(16));
        assert_eq!(
            header.check(15).unwrap_err().to_string(),
            "message of type 7: body has 16 bytes, more than the 15 that max_message allows"
        );
    }

    #[test]
    fn a_body_without_a_word_is_refused() {
        let header = Header { words: 0, ..HEADER };
        assert_eq!(
            header.check(4096).unwrap_err().to_string(),
            "message of type 7: body has 0 bytes, where 8 to 4096 are allowed"
        );
    }
}
