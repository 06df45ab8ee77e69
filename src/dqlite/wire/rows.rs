//! Rows of a query, as they arrive (dqlite, `src/query.c`, `src/tuple.h`).
//!
//! A result comes in parts of about 4 KiB. Each part is a message of its own and repeats the number of columns,
//! a `u64`, and their names; then come rows and, as the last word, the end: eight bytes 0xee where another
//! part follows, 0xff where none does. A row is a type code of four bits per column, the first in the low half
//! of a byte, padded to a word, then the values. The types belong to the row: a column may change its type
//! from one row to the next. No type code is above 11, so an end is never taken for a row.
//!
//! A statement without columns (1.18 runs an INSERT sent as a query) answers a count of 0 and the end.

pub(crate) use super::cursor::{DecodedRows, RowCursor, RowStep};
use super::error::{Message, Place, Problem, WireError};
use super::reader::Reader;
use super::{RESPONSE_ROWS, WORD};
use crate::row::Span;

/// The last word of a part that another follows.
pub(super) const END_OF_PART: u64 = 0xeeee_eeee_eeee_eeee;
/// The last word of the last part.
pub(super) const END_OF_ROWS: u64 = 0xffff_ffff_ffff_ffff;

pub(super) const MESSAGE: Message = Message::Response(RESPONSE_ROWS);

/// A part of a result, borrowed from its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowsPart<'a> {
    body: &'a [u8],
    cursor: RowCursor,
}

impl<'a> RowsPart<'a> {
    /// Reads the number of columns and skips over their names to the first row.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(MESSAGE, body);
        let columns = reader.count(Place::Field("number of columns"), WORD)?;
        for index in 0..columns {
            reader.text_bytes(name_place(index))?;
        }
        let cursor = RowCursor {
            offset: reader.offset(),
            columns,
            row: 0,
        };
        Ok(RowsPart { body, cursor })
    }

    /// The names of the columns.
    ///
    /// # Errors
    /// A name is not UTF-8.
    pub(crate) fn columns(&self) -> Result<Vec<&'a str>, WireError> {
        let mut reader = self.names()?;
        (0..self.cursor.columns)
            .map(|index| reader.text(name_place(index)))
            .collect()
    }

    /// A reader of the names.
    fn names(&self) -> Result<Reader<'a>, WireError> {
        let mut reader = Reader::new(MESSAGE, self.body);
        reader.u64(Place::Field("number of columns"))?;
        Ok(reader)
    }

    /// The body the part was decoded from.
    pub(crate) fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The place of the next row, which can be kept without borrowing the body.
    pub(crate) fn cursor(&self) -> RowCursor {
        self.cursor
    }

    /// Decodes the next rows, as [`RowCursor::decode`] does.
    pub(crate) fn decode_rows(&mut self, rows: &mut DecodedRows) -> Result<RowStep, WireError> {
        self.cursor.decode(self.body, rows)
    }
}

fn name_place(index: usize) -> Place {
    Place::Item {
        field: "name of column",
        index,
    }
}

/// The text at `span` of a body of rows.
///
/// # Errors
/// The text is not UTF-8, or the span is not of this body.
pub(crate) fn text(body: &[u8], span: Span) -> Result<&str, WireError> {
    let bytes = bytes(body, span)?;
    std::str::from_utf8(bytes).map_err(|_| {
        let offset = span.start as usize;
        WireError::at(MESSAGE, Place::Field("text"), offset, Problem::NotUtf8)
    })
}

/// The bytes at `span` of a body of rows.
///
/// # Errors
/// The span is not of this body.
pub(crate) fn bytes(body: &[u8], span: Span) -> Result<&[u8], WireError> {
    let (start, len) = (span.start as usize, span.len as usize);
    let rest = body.get(start..).unwrap_or_default();
    rest.get(..len).ok_or_else(|| {
        let problem = Problem::CutShort {
            needed: len as u64,
            left: rest.len(),
        };
        WireError::at(MESSAGE, Place::Field("value"), start, problem)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dqlite::wire::testing::responses::ROWS;
    use crate::dqlite::wire::testing::words;
    use crate::row::Cell;

    /// The first row, or what is there instead.
    pub(in crate::dqlite::wire) fn step(body: &[u8]) -> Result<(RowStep, Vec<Cell>), WireError> {
        let mut rows = DecodedRows::default();
        let behind = RowsPart::decode(body)?.decode_rows(&mut rows);
        let step = if rows.advance() {
            RowStep::Row
        } else {
            behind?
        };
        Ok((step, rows.current().to_vec()))
    }

    pub(in crate::dqlite::wire) fn error(body: &[u8]) -> String {
        step(body).unwrap_err().to_string()
    }

    /// One column named n, the row types and values that are given, and the end.
    pub(in crate::dqlite::wire) fn one_column(row: &[&[u8; 8]]) -> Vec<u8> {
        let begin = words(&[b"\x01\0\0\0\0\0\0\0", b"n\0\0\0\0\0\0\0"]);
        [begin, words(row), vec![0xff; 8]].concat()
    }

    #[test]
    fn the_golden_rows_are_decoded() {
        let body = words(ROWS);
        let mut part = RowsPart::decode(&body).unwrap();
        let names = ["id", "amount", "comment", "birthday", "ok"];
        assert_eq!(part.columns().unwrap(), names);
        let mut rows = DecodedRows::default();
        assert_eq!(part.decode_rows(&mut rows), Ok(RowStep::Done));
        assert!(rows.advance());
        let (comment, birthday) = (Span { start: 80, len: 11 }, Span { start: 96, len: 10 });
        assert_eq!(
            rows.current(),
            [
                Cell::Int(1),
                Cell::Float(1.5),
                Cell::Text(comment),
                Cell::TimeText(birthday),
                Cell::Bool(true),
            ]
        );
        assert_eq!(text(&body, comment), Ok("eight bytes"));
        assert_eq!(text(&body, birthday), Ok("2024-02-29"));
        assert!(rows.advance());
        let blob = Span { start: 152, len: 3 };
        assert_eq!(
            rows.current(),
            [
                Cell::Int(-1),
                Cell::Null,
                Cell::Blob(blob),
                Cell::UnixTime(86_400),
                Cell::Bool(false),
            ]
        );
        assert_eq!(bytes(&body, blob), Ok(&b"\xee\xee\xee"[..]));
        assert!(!rows.advance());
        assert_eq!(part.cursor().row, 2);
    }

    #[test]
    fn a_statement_without_columns_has_only_an_end() {
        let body = [
            0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        assert_eq!(step(&body), Ok((RowStep::Done, vec![])));
        assert_eq!(
            error(&[0; 16]),
            "response ROWS: word at byte 8 is neither a row nor an end of rows"
        );
    }

    #[test]
    fn more_columns_than_fit_are_refused() {
        let body = [0xff; 32];
        assert_eq!(
            error(&body),
            "response ROWS: number of columns at byte 0 is 18446744073709551615 where at most 3 fit"
        );
        // Names of two columns, but values of one.
        let body = words(&[
            b"\x02\0\0\0\0\0\0\0",
            b"a\0\0\0\0\0\0\0",
            b"b\0\0\0\0\0\0\0",
            b"\x11\0\0\0\0\0\0\0",
            b"\x01\0\0\0\0\0\0\0",
        ]);
        assert_eq!(
            error(&body),
            "response ROWS: row 1 at byte 24 needs 24 bytes where 16 are left"
        );
    }

    #[test]
    fn text_is_checked_when_it_is_read() {
        let body = one_column(&[b"\x03\0\0\0\0\0\0\0", b"\xff\0\0\0\0\0\0\0"]);
        let Ok((RowStep::Row, cells)) = step(&body) else {
            panic!("no row");
        };
        let [Cell::Text(span)] = cells[..] else {
            panic!("no text");
        };
        assert_eq!(
            text(&body, span).unwrap_err().to_string(),
            "response ROWS: text at byte 24 is not utf-8"
        );
        let far = Span { start: 40, len: 1 };
        assert_eq!(
            bytes(&body, far).unwrap_err().to_string(),
            "response ROWS: value at byte 40 needs 1 bytes where 0 are left"
        );
    }

    #[test]
    fn a_name_must_be_utf_8() {
        let body = words(&[b"\x01\0\0\0\0\0\0\0", b"\xff\0\0\0\0\0\0\0"]);
        assert_eq!(
            RowsPart::decode(&body)
                .unwrap()
                .columns()
                .unwrap_err()
                .to_string(),
            "response ROWS: name of column 1 at byte 8 is not utf-8"
        );
    }
}
