//! Writes one frame at the end of a buffer (dqlite, `src/lib/serialize.h`).

use super::WORD;
use super::error::{Message, Place, Problem, WireError};
use super::frame::Header;
use super::reader::find_nul;

/// The largest body a server reads: it counts the bytes in 32 bits (dqlite, `src/conn.c`).
const MAX_BODY: usize = u32::MAX as usize / WORD * WORD;

/// A frame under construction.
pub(super) struct Writer<'a> {
    message: Message,
    out: &'a mut Vec<u8>,
    start: usize,
}

/// Appends a frame whose body is what `write` writes; on an error, `out` is as it was before.
pub(super) fn frame(
    message: Message,
    schema: u8,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let before = out.len();
    out.extend_from_slice(&[0; Header::SIZE]);
    let start = out.len();
    let mut writer = Writer {
        message,
        out,
        start,
    };
    let words = write(&mut writer).and_then(|()| writer.words());
    let result = words.map(|words| {
        let header = Header {
            words,
            kind: match message {
                Message::Frame(kind) | Message::Request(kind) | Message::Response(kind) => kind,
            },
            schema,
            extra: 0,
        };
        if let Some(slot) = out.get_mut(before..start) {
            slot.copy_from_slice(&header.encode());
        }
    });
    if result.is_err() {
        out.truncate(before);
    }
    result
}

impl Writer<'_> {
    /// An error about what is to be written.
    pub(super) fn error(&self, place: Place, problem: Problem) -> WireError {
        WireError::of(self.message, place, problem)
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Text with its NUL and padding; refused where a NUL inside would cut it.
    pub(super) fn text(&mut self, place: Place, text: &str) -> Result<(), WireError> {
        if let Some(position) = find_nul(text.as_bytes()) {
            return Err(self.error(place, Problem::InteriorNul(position)));
        }
        self.out.extend_from_slice(text.as_bytes());
        self.u8(0);
        self.align();
        Ok(())
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.raw(bytes);
        self.align();
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Pads the body with zeros to a whole word.
    pub(super) fn align(&mut self) {
        let body = self.out.len() - self.start;
        let padding = body.next_multiple_of(WORD) - body;
        self.out.resize(self.out.len() + padding, 0);
    }

    fn words(&self) -> Result<u32, WireError> {
        let body = self.out.len() - self.start;
        let problem = match u32::try_from(body / WORD) {
            Ok(0) => Problem::EmptyBody {
                cap: MAX_BODY as u32,
            },
            _ if !body.is_multiple_of(WORD) => Problem::BrokenWords(body),
            Ok(words) if body <= MAX_BODY => return Ok(words),
            _ => Problem::Unaddressable(body),
        };
        Err(self.error(Place::Field("body"), problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: Place = Place::Field("field");

    #[test]
    fn a_frame_is_padded_from_its_own_start() {
        let mut out = b"odd".to_vec();
        frame(Message::Request(9), 1, &mut out, |writer| {
            writer.text(FIELD, "ab")?;
            writer.blob(b"c");
            Ok(())
        })
        .unwrap();
        assert_eq!(
            out,
            b"odd\x03\0\0\0\x09\x01\0\0ab\0\0\0\0\0\0\x01\0\0\0\0\0\0\0c\0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn an_error_leaves_the_buffer_as_it_was() {
        let mut out = b"before".to_vec();
        let result = frame(Message::Request(0), 0, &mut out, |writer| {
            writer.u64(1);
            writer.text(FIELD, "a\0b")
        });
        assert!(result.is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_body_has_one_word_at_least_and_only_whole_ones() {
        let mut out = Vec::new();
        let empty = frame(Message::Request(0), 0, &mut out, |_| Ok(()));
        assert!(empty.unwrap_err().to_string().contains("body has 0 bytes"));
        let broken = frame(Message::Request(0), 0, &mut out, |writer| {
            writer.raw(&[0; 9]);
            Ok(())
        });
        assert_eq!(
            broken.unwrap_err().to_string(),
            "request LEADER: body has 9 bytes, not a whole number of 8-byte words"
        );
        assert!(out.is_empty());
    }
}
