//! Reads the fields of a body in order (dqlite, `src/lib/serialize.h`).

use super::WORD;
use super::error::{Message, Place, Problem, WireError};

/// A place in a body; every read moves it, and a read that fails leaves it where it was.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    message: Message,
    body: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: Message, body: &'a [u8]) -> Self {
        Reader {
            message,
            body,
            offset: 0,
        }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// The bytes not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.offset..).unwrap_or_default()
    }

    /// An error at the next byte.
    pub(super) fn error(&self, place: Place, problem: Problem) -> WireError {
        WireError::at(self.message, place, self.offset, problem)
    }

    /// The next `len` bytes.
    pub(super) fn bytes(&mut self, place: Place, len: usize) -> Result<&'a [u8], WireError> {
        let rest = self.rest();
        let Some(bytes) = rest.get(..len) else {
            let problem = Problem::CutShort {
                needed: len as u64,
                left: rest.len(),
            };
            return Err(self.error(place, problem));
        };
        self.offset += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, place: Place) -> Result<[u8; N], WireError> {
        let rest = self.rest();
        let Some(array) = rest.first_chunk::<N>() else {
            let problem = Problem::CutShort {
                needed: N as u64,
                left: rest.len(),
            };
            return Err(self.error(place, problem));
        };
        self.offset += N;
        Ok(*array)
    }

    pub(super) fn u8(&mut self, place: Place) -> Result<u8, WireError> {
        self.array(place).map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self, place: Place) -> Result<u32, WireError> {
        self.array(place).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, place: Place) -> Result<u64, WireError> {
        self.array(place).map(u64::from_le_bytes)
    }

    /// A number of items of at least `item_size` bytes each, which the rest of the body must have room for.
    pub(super) fn count(&mut self, place: Place, item_size: usize) -> Result<usize, WireError> {
        let start = self.clone();
        let declared = self.u64(place)?;
        let fit = self.rest().len() / item_size.max(1);
        match usize::try_from(declared) {
            Ok(count) if count <= fit => Ok(count),
            _ => {
                *self = start;
                Err(self.error(place, Problem::TooMany { declared, fit }))
            }
        }
    }

    /// The bytes of a text, without the NUL and the padding.
    pub(super) fn text_bytes(&mut self, place: Place) -> Result<&'a [u8], WireError> {
        let rest = self.rest();
        let Some(len) = find_nul(rest) else {
            return Err(self.error(place, Problem::Unterminated));
        };
        let padded = (len + 1).next_multiple_of(WORD);
        let (Some(text), true) = (rest.get(..len), padded <= rest.len()) else {
            let problem = Problem::CutShort {
                needed: padded as u64,
                left: rest.len(),
            };
            return Err(self.error(place, problem));
        };
        self.offset += padded;
        Ok(text)
    }

    /// A text.
    pub(super) fn text(&mut self, place: Place) -> Result<&'a str, WireError> {
        let start = self.clone();
        let bytes = self.text_bytes(place)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => {
                *self = start;
                Err(self.error(place, Problem::NotUtf8))
            }
        }
    }

    /// A blob: its length, its bytes and their padding.
    pub(super) fn blob(&mut self, place: Place) -> Result<&'a [u8], WireError> {
        let start = self.clone();
        let declared = self.u64(place)?;
        let rest = self.rest();
        let blob = usize::try_from(declared).ok().and_then(|len| {
            let padded = len.checked_next_multiple_of(WORD)?;
            let (padded_bytes, _) = rest.split_at_checked(padded)?;
            Some((padded, padded_bytes.get(..len)?))
        });
        let Some((padded, bytes)) = blob else {
            *self = start;
            let problem = Problem::CutShort {
                needed: declared,
                left: rest.len(),
            };
            return Err(self.error(place, problem));
        };
        self.offset += padded;
        Ok(bytes)
    }

    /// Skips to the next word.
    pub(super) fn align(&mut self, place: Place) -> Result<(), WireError> {
        let padding = self.offset.next_multiple_of(WORD) - self.offset;
        self.bytes(place, padding).map(|_| ())
    }

    /// Requires that everything has been read.
    pub(super) fn finish(&self) -> Result<(), WireError> {
        match self.rest().len() {
            0 => Ok(()),
            left => Err(self.error(Place::Field("end of message"), Problem::Trailing(left))),
        }
    }
}

/// The position of the first NUL.
pub(super) fn find_nul(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<WORD>();
    match find_nul_in_words(words) {
        Some((_, position)) => Some(position),
        None => tail
            .iter()
            .position(|&byte| byte == 0)
            .map(|position| words.len() * WORD + position),
    }
}

/// The index of the first word with a NUL, and the position of that NUL in bytes.
///
/// Text on the wire begins at a word and is padded to one, and most of it is short: looking at a whole word
/// finds the end of seven bytes of text in one step.
pub(super) fn find_nul_in_words(words: &[[u8; WORD]]) -> Option<(usize, usize)> {
    words.iter().enumerate().find_map(|(index, word)| {
        let zeros = zero_bytes(u64::from_le_bytes(*word));
        (zeros != 0).then(|| (index, index * WORD + zeros.trailing_zeros() as usize / 8))
    })
}

/// A number whose lowest bit set is the top bit of the lowest zero byte of `word`; 0 if it has none.
fn zero_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    word.wrapping_sub(ONES) & !word & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: Place = Place::Field("field");

    fn reader(body: &[u8]) -> Reader<'_> {
        Reader::new(Message::Response(0), body)
    }

    #[test]
    fn the_first_nul_is_found_wherever_it_is() {
        for len in 0..40 {
            for fill in [1, 0x80, 0xff] {
                let mut bytes = vec![fill; len];
                assert_eq!(find_nul(&bytes), None);
                for position in (0..len).rev() {
                    bytes[position] = 0;
                    assert_eq!(find_nul(&bytes), Some(position));
                }
            }
        }
    }

    #[test]
    fn a_zero_byte_is_told_from_the_one_above_it() {
        assert_eq!(find_nul(b"abc\x01\0\x01\0\x01"), Some(4));
        assert_eq!(find_nul(b"\x01\x01\x01\x01\x01\x01\x01\x01"), None);
    }

    #[test]
    fn text_is_cut_at_its_nul_and_its_padding_is_not_looked_at() {
        let mut reader = reader(b"abc\0junk1234567\0rest");
        assert_eq!(reader.text(FIELD), Ok("abc"));
        assert_eq!(reader.text(FIELD), Ok("1234567"));
        assert_eq!(reader.offset(), 16);
        assert_eq!(
            reader.text(FIELD).unwrap_err().to_string(),
            "response FAILURE: field at byte 16 is not terminated"
        );
    }

    #[test]
    fn text_without_its_padding_is_refused() {
        assert_eq!(
            reader(b"ab\0").text(FIELD).unwrap_err().to_string(),
            "response FAILURE: field at byte 0 needs 8 bytes where 3 are left"
        );
    }

    #[test]
    fn a_failed_read_moves_nothing() {
        let mut text = reader(b"a\xffc\0\0\0\0\0");
        assert!(text.text(FIELD).is_err());
        assert_eq!(text.offset(), 0);
        let mut blob = reader(b"\x09\0\0\0\0\0\0\0abcdefgh");
        assert_eq!(
            blob.blob(FIELD).unwrap_err().to_string(),
            "response FAILURE: field at byte 0 needs 9 bytes where 8 are left"
        );
        assert_eq!(blob.offset(), 0);
        let mut huge = reader(&[0xff; 16]);
        assert!(huge.blob(FIELD).is_err());
        assert!(huge.count(FIELD, 8).is_err());
        assert_eq!(huge.offset(), 0);
    }

    #[test]
    fn a_count_must_fit_in_what_is_left() {
        let body = b"\x02\0\0\0\0\0\0\0 16 bytes follow";
        assert_eq!(reader(body).count(FIELD, 8), Ok(2));
        assert_eq!(
            reader(body).count(FIELD, 9).unwrap_err().to_string(),
            "response FAILURE: field at byte 0 is 2 where at most 1 fit"
        );
    }

    #[test]
    fn a_blob_ends_with_its_padding() {
        let mut reader = reader(b"\x03\0\0\0\0\0\0\0abcjunk!");
        assert_eq!(reader.blob(FIELD), Ok(&b"abc"[..]));
        assert_eq!(reader.finish(), Ok(()));
    }
}
