//! Failures, which may come behind the beginning of another answer (dqlite, `src/gateway.c`).
//!
//! A query that fails while it runs has begun its answer: 1.11 and 1.18 both leave the columns and the rows that
//! they wrote, and put the code and the message behind them. Whoever reads the body from its start takes the
//! number of columns for the code and the name of the first for the message. The message is always last, and
//! the word before it has zero bytes, for a code is a C int: so both can be found from the end.

use std::borrow::Cow;

use super::error::{Message, Place, WireError};
use super::reader::Reader;
use super::response::Response;
use super::rows::RowsPart;
use super::{RESPONSE_FAILURE, WORD};

/// Decodes the body of a failure.
///
/// # Errors
/// The body is neither a code and a message nor columns, anything, a code and a message.
pub(super) fn decode(body: &[u8]) -> Result<Response<'_>, WireError> {
    let mut reader = Reader::new(Message::Response(RESPONSE_FAILURE), body);
    code_and_message(&mut reader)
        .or_else(|error| failure_after_rows(body).ok_or(error))
        .map(|(code, message)| Response::Failure { code, message })
}

fn code_and_message<'a>(reader: &mut Reader<'a>) -> Result<(u64, Cow<'a, str>), WireError> {
    let code = reader.u64(Place::Field("code"))?;
    let message = reader.text_bytes(Place::Field("message"))?;
    reader.finish()?;
    Ok((code, String::from_utf8_lossy(message)))
}

fn failure_after_rows(body: &[u8]) -> Option<(u64, Cow<'_, str>)> {
    let (words, []) = body.as_chunks::<WORD>() else {
        return None;
    };
    let (_, before_last) = words.split_last()?;
    let start = before_last.iter().rposition(|word| word.contains(&0))?;
    let (rows, failure) = body.split_at_checked(start * WORD)?;
    RowsPart::decode(rows).ok()?;
    let mut reader = Reader::new(Message::Response(RESPONSE_FAILURE), failure);
    let (code, message) = code_and_message(&mut reader).ok()?;
    i32::try_from(code).ok().map(|_| (code, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::testing::words;

    fn decode_failure(body: &[u8]) -> Result<(u64, String), String> {
        match decode(body) {
            Ok(Response::Failure { code, message }) => Ok((code, message.into_owned())),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_failure_is_found_behind_the_rows_that_came_before_it() {
        // What 1.11.1 and 1.18.6 answer to a violated constraint in INSERT … RETURNING id.
        let no_rows = words(&[
            b"\x01\0\0\0\0\0\0\0",
            b"id\0\0\0\0\0\0",
            b"\x13\x06\0\0\0\0\0\0",
            b"UNIQUE c",
            b"onstrain",
            b"t failed",
            b": t.id\0\0",
        ]);
        let message = "UNIQUE constraint failed: t.id".to_owned();
        assert_eq!(decode_failure(&no_rows), Ok((1555, message)));
        let a_row = words(&[
            b"\x01\0\0\0\0\0\0\0",
            b"n\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0",
            b"\x07\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0",
            b"overflow",
            b"\0\0\0\0\0\0\0\0",
        ]);
        assert_eq!(decode_failure(&a_row), Ok((1, "overflow".into())));
        let no_columns = words(&[
            b"\0\0\0\0\0\0\0\0",
            b"\x0a\x28\0\0\0\0\0\0",
            b"not lead",
            b"er\0\0\0\0\0\0",
        ]);
        assert_eq!(
            decode_failure(&no_columns),
            Ok((10 | 40 << 8, "not leader".into()))
        );
    }

    #[test]
    fn a_failure_in_any_encoding_is_reported() {
        let body = b"\x01\0\0\0\0\0\0\0no \xff\0\0\0\0";
        assert_eq!(decode_failure(body), Ok((1, "no \u{fffd}".into())));
    }

    #[test]
    fn what_is_no_failure_is_refused() {
        let cases: [(&[&[u8; 8]], &str); 3] = [
            (
                &[b"\x01\0\0\0\0\0\0\0", b"endless!"],
                "response FAILURE: message at byte 8 is not terminated",
            ),
            (
                &[b"\x05\0\0\0\0\0\0\0", b"busy\0\0\0\0", b"\0\0\0\0\0\0\0\0"],
                "response FAILURE: end of message at byte 16 is followed by 8 bytes too many",
            ),
            (
                &[],
                "response FAILURE: code at byte 0 needs 8 bytes where 0 are left",
            ),
        ];
        for (body, error) in cases {
            assert_eq!(decode_failure(&words(body)), Err(error.into()));
        }
    }
}
