//! Where the messages of the protocol begin and end, whatever pieces they come in. No I/O.
//!
//! Source: PostgreSQL's manual, "Message Formats": a tag of one byte, then a length in four that counts itself.

/// The length of a tag and a length, in bytes.
const HEADER: usize = 5;
/// How much of a body is kept to be looked at, in bytes: the name that tokio-postgres gives a statement, a letter
/// and a number, with the NUL behind it.
const KEPT: usize = 24;

/// Follows one direction of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    have: usize,
    /// What is still to come of the body.
    left: usize,
    body: [u8; KEPT],
    kept: usize,
}

impl Frames {
    /// How much of the message that is under way is still to come, in bytes.
    pub(crate) fn to_come(&self) -> usize {
        self.left
    }

    /// Whether the last message is complete.
    pub(crate) fn is_between(&self) -> bool {
        self.have == 0
    }

    /// Takes the next bytes, and calls `complete` at the end of each message with its tag, the beginning of its
    /// body, and how many of these bytes are behind it.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut complete: impl FnMut(u8, &[u8], usize)) {
        while let Some(first) = bytes.first() {
            if self.have < HEADER {
                self.header[self.have] = *first;
                self.have += 1;
                bytes = &bytes[1..];
                if self.have < HEADER {
                    continue;
                }
                let [_, length @ ..] = self.header;
                // A length below its own size is a fault that the decoder of the message reports.
                self.left = (u32::from_be_bytes(length) as usize).saturating_sub(length.len());
                self.kept = 0;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            for (place, byte) in self.body[self.kept..].iter_mut().zip(part) {
                *place = *byte;
                self.kept += 1;
            }
            self.left -= part.len();
            bytes = rest;
            if self.left == 0 {
                self.have = 0;
                complete(self.header[0], &self.body[..self.kept], bytes.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bind-like, an empty Sync, and one whose body is longer than what is kept.
    fn messages() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, body) in [
            (b'E', &b"\0\0\0\0\0"[..]),
            (b'S', b""),
            (b'd', b"0123456789012345678901234567890"),
        ] {
            bytes.push(tag);
            bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
            bytes.extend_from_slice(body);
        }
        bytes
    }

    #[test]
    fn messages_are_seen_however_they_are_cut() {
        let bytes = messages();
        for size in 1..=bytes.len() {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(size) {
                frames.feed(piece, |tag, body, _| seen.push((tag, body.to_vec())));
            }
            let expected = vec![
                (b'E', b"\0\0\0\0\0".to_vec()),
                (b'S', Vec::new()),
                (b'd', b"012345678901234567890123".to_vec()),
            ];
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_message_counts_when_its_last_byte_is_there() {
        let bytes = messages();
        let mut frames = Frames::default();
        let mut count = 0;
        frames.feed(&bytes[..9], |_, _, _| count += 1);
        assert_eq!((count, frames.is_between()), (0, false));
        frames.feed(&bytes[9..10], |_, _, _| count += 1);
        assert_eq!((count, frames.is_between()), (1, true));
    }

    #[test]
    fn the_end_of_each_message_is_known() {
        let bytes = messages();
        let mut ends = Vec::new();
        Frames::default().feed(&bytes, |_, _, behind| ends.push(bytes.len() - behind));
        assert_eq!(ends, [10, 15, bytes.len()]);
    }

    #[test]
    fn a_length_that_is_too_small_is_survived() {
        let mut seen = Vec::new();
        Frames::default().feed(b"X\0\0\0\0Y\0\0\0\x04", |tag, _, _| seen.push(tag));
        assert_eq!(seen, b"XY");
    }
}
