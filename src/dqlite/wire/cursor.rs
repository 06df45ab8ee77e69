//! Steps through the rows of a body (dqlite, `src/tuple.h`).

use super::WORD;
use super::error::{Place, Problem, WireError};
use super::reader::find_nul_in_words;
use super::rows::{END_OF_PART, END_OF_ROWS, MESSAGE};
use super::{
    TYPE_BLOB, TYPE_BOOL, TYPE_FLOAT, TYPE_INT, TYPE_ISO_8601, TYPE_NULL, TYPE_TEXT, TYPE_UNIX_TIME,
};
use crate::row::{Cell, Span};

/// Bits of a type code, and how many there are in a word.
const TYPE_BITS: usize = 4;
const TYPES_PER_WORD: usize = 64 / TYPE_BITS;

/// What a step through the rows has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowStep {
    /// A row; its cells are in place.
    Row,
    /// The end of this part: the next message goes on.
    PartEnd,
    /// The end of the rows.
    Done,
}

/// A place between two rows of a part; the body is handed in again at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowCursor {
    /// Bytes from the start of the body to the next row, a multiple of 8.
    pub(crate) offset: usize,
    /// Values in each row.
    pub(crate) columns: usize,
    /// Rows decoded so far, for error messages; to count through a whole result, carry it from part to part.
    pub(crate) row: u64,
}

impl RowCursor {
    /// Decodes the next row of `body` into `cells`, replacing what was there.
    ///
    /// Spans are relative to the start of the body. A text is known to end inside the body, and not known to be
    /// UTF-8: [`text`](super::rows::text) looks. A time without text, which is how NULL arrives in a column
    /// declared as a date, is [`Cell::Null`]. After an end, or an error, there is nothing more to be had from
    /// this body.
    ///
    /// # Errors
    /// A value that is cut short or of an unknown type, or an end that is not the last word.
    pub(crate) fn next(
        &mut self,
        body: &[u8],
        cells: &mut Vec<Cell>,
    ) -> Result<RowStep, WireError> {
        let step = self.decode_row(body, cells);
        if !matches!(step, Ok(RowStep::Row)) {
            cells.clear();
        }
        step
    }

    #[inline]
    fn decode_row(&mut self, body: &[u8], cells: &mut Vec<Cell>) -> Result<RowStep, WireError> {
        if u32::try_from(body.len()).is_err() {
            let problem = Problem::Unaddressable(body.len());
            return Err(WireError::of(MESSAGE, Place::Field("body"), problem));
        }
        let (words, []) = body.as_chunks::<WORD>() else {
            let problem = Problem::BrokenWords(body.len());
            return Err(WireError::of(MESSAGE, Place::Field("body"), problem));
        };
        let rest = words.get(self.offset / WORD..).unwrap_or_default();
        let Some(first) = rest.first() else {
            return Err(self.cut_short(words, rest, WORD));
        };
        match u64::from_le_bytes(*first) {
            END_OF_PART => return self.end(words, rest, RowStep::PartEnd),
            END_OF_ROWS => return self.end(words, rest, RowStep::Done),
            _ if self.columns == 0 => {
                let place = Place::Field("word");
                let offset = offset_of(words, rest);
                return Err(WireError::at(MESSAGE, place, offset, Problem::NotAnEnd));
            }
            _ => {}
        }
        let type_words = self.columns.div_ceil(TYPES_PER_WORD);
        let Some((types, mut rest)) = rest
            .split_at_checked(type_words)
            .filter(|(_, values)| self.columns <= values.len())
        else {
            let needed = self.columns.saturating_add(type_words).saturating_mul(WORD);
            return Err(self.cut_short(words, rest, needed));
        };
        cells.resize(self.columns, Cell::Null);
        for (chunk, (types, cells)) in types
            .iter()
            .zip(cells.chunks_mut(TYPES_PER_WORD))
            .enumerate()
        {
            let mut types = u64::from_le_bytes(*types);
            for (index, cell) in cells.iter_mut().enumerate() {
                let kind = (types & 0xf) as u8;
                types >>= TYPE_BITS;
                match decode(kind, words, rest, cell) {
                    Some(after) => rest = after,
                    None => {
                        let column = chunk * TYPES_PER_WORD + index;
                        return Err(self.bad_value(words, rest, column, kind));
                    }
                }
            }
        }
        self.offset = offset_of(words, rest);
        self.row = self.row.saturating_add(1);
        Ok(RowStep::Row)
    }

    fn end(
        &mut self,
        words: &[[u8; WORD]],
        rest: &[[u8; WORD]],
        step: RowStep,
    ) -> Result<RowStep, WireError> {
        let offset = offset_of(words, rest);
        let trailing = rest.len().saturating_sub(1) * WORD;
        if trailing != 0 {
            let place = Place::Field("end of rows");
            let problem = Problem::Trailing(trailing);
            return Err(WireError::at(MESSAGE, place, offset, problem));
        }
        self.offset = words.len() * WORD;
        Ok(step)
    }

    #[cold]
    fn bad_value(
        &self,
        words: &[[u8; WORD]],
        rest: &[[u8; WORD]],
        column: usize,
        kind: u8,
    ) -> WireError {
        let left = rest.len().saturating_sub(1) * WORD;
        let problem = match (kind, rest.first()) {
            (_, None) => Problem::CutShort {
                needed: WORD as u64,
                left: 0,
            },
            (TYPE_TEXT | TYPE_ISO_8601, _) => Problem::Unterminated,
            (TYPE_BLOB, Some(declared)) => Problem::CutShort {
                needed: u64::from_le_bytes(*declared),
                left,
            },
            (kind, _) => Problem::UnknownType(kind),
        };
        let place = Place::Column {
            column,
            row: self.row,
        };
        WireError::at(MESSAGE, place, offset_of(words, rest), problem)
    }

    #[cold]
    fn cut_short(&self, words: &[[u8; WORD]], rest: &[[u8; WORD]], needed: usize) -> WireError {
        let problem = Problem::CutShort {
            needed: needed as u64,
            left: rest.len() * WORD,
        };
        WireError::at(
            MESSAGE,
            Place::Row(self.row),
            offset_of(words, rest),
            problem,
        )
    }
}

/// Bytes before `rest`, the end of `words`.
fn offset_of(words: &[[u8; WORD]], rest: &[[u8; WORD]]) -> usize {
    words.len().saturating_sub(rest.len()) * WORD
}

/// Decodes the value at the start of `rest`, the end of `words`, into `cell`, and gives what follows it; `None`
/// if there is no such value.
#[inline]
fn decode<'a>(
    kind: u8,
    words: &[[u8; WORD]],
    rest: &'a [[u8; WORD]],
    cell: &mut Cell,
) -> Option<&'a [[u8; WORD]]> {
    let (word, after) = rest.split_first()?;
    *cell = match kind {
        TYPE_INT => Cell::Int(i64::from_le_bytes(*word)),
        TYPE_FLOAT => Cell::Float(f64::from_le_bytes(*word)),
        TYPE_NULL => Cell::Null,
        TYPE_BOOL => Cell::Bool(u64::from_le_bytes(*word) != 0),
        TYPE_UNIX_TIME => Cell::UnixTime(i64::from_le_bytes(*word)),
        TYPE_TEXT | TYPE_ISO_8601 => {
            let (last, len) = find_nul_in_words(rest)?;
            let span = span(offset_of(words, rest), len);
            *cell = match (kind, len) {
                (TYPE_TEXT, _) => Cell::Text(span),
                (_, 0) => Cell::Null,
                _ => Cell::TimeText(span),
            };
            return after.get(last..);
        }
        TYPE_BLOB => {
            let bytes = usize::try_from(u64::from_le_bytes(*word)).ok()?;
            *cell = Cell::Blob(span(offset_of(words, after), bytes));
            return after.get(bytes.div_ceil(WORD)..);
        }
        _ => return None,
    };
    Some(after)
}

/// A place inside a body, whose length was found to fit in 32 bits before; one that turns out to end outside of
/// it is never given out.
#[inline]
fn span(start: usize, len: usize) -> Span {
    Span {
        start: start as u32,
        len: len as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::frame::Header;
    use crate::dqlite::wire::rows::RowsPart;
    use crate::dqlite::wire::rows::tests::{error, one_column, step};
    use crate::dqlite::wire::server::rows::{RowValue, encode_part};
    use crate::dqlite::wire::testing::responses::ROWS;
    use crate::dqlite::wire::testing::words;
    use crate::value::ValueRef;

    fn encode(columns: &[&str], rows: &[&[RowValue<'_>]], last: bool) -> Vec<u8> {
        let mut out = Vec::new();
        encode_part(columns, rows, last, &mut out).unwrap();
        out.split_off(Header::SIZE)
    }

    #[test]
    fn rows_of_any_width_come_back() {
        for columns in [1, 2, 3, 15, 16, 17, 32, 33, 100] {
            let names: Vec<String> = (0..columns).map(|index| format!("c{index}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let row: Vec<_> = (0..columns)
                .map(|index| RowValue::Plain(ValueRef::Int(index)))
                .collect();
            let body = encode(&names, &[&row, &row], false);
            let mut part = RowsPart::decode(&body).unwrap();
            assert_eq!(part.columns().unwrap(), names);
            let mut cells = Vec::new();
            for _ in 0..2 {
                assert_eq!(part.next_row(&mut cells), Ok(RowStep::Row));
                assert!(cells.iter().copied().eq((0..columns).map(Cell::Int)));
            }
            assert_eq!(part.next_row(&mut cells), Ok(RowStep::PartEnd));
        }
    }

    #[test]
    fn a_time_without_text_is_null() {
        let body = encode(&["d"], &[&[RowValue::TimeText("")]], true);
        assert_eq!(step(&body), Ok((RowStep::Row, vec![Cell::Null])));
    }

    #[test]
    fn a_cursor_goes_on_without_its_part() {
        let values = [
            RowValue::Plain(ValueRef::Int(1)),
            RowValue::UnixTime(5),
            RowValue::Plain(ValueRef::Text("")),
        ];
        let body = encode(&["a", "b", "c"], &[&values, &values], true);
        let mut cursor = RowsPart::decode(&body).unwrap().cursor();
        let mut cells = Vec::new();
        assert_eq!(cursor.next(&body.clone(), &mut cells), Ok(RowStep::Row));
        assert_eq!(cells[1], Cell::UnixTime(5));
        assert_eq!(cells[2], Cell::Text(Span { start: 56, len: 0 }));
        let mut copy = cursor;
        assert_eq!(cursor.next(&body, &mut cells), Ok(RowStep::Row));
        assert_eq!(copy.next(&body, &mut cells), Ok(RowStep::Row));
        assert_eq!(cursor, copy);
        assert_eq!(cursor.next(&body, &mut cells), Ok(RowStep::Done));
        assert_eq!(cursor.offset, body.len());
    }

    #[test]
    fn errors_name_the_column_and_the_row() {
        let unknown = one_column(&[b"\x06\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\0"]);
        assert_eq!(
            error(&unknown),
            "response ROWS: column 1 of row 1 at byte 24 has the unknown type 6"
        );
        // An end of which one byte is wrong is a row of the unknown type 14.
        let broken_end = one_column(&[b"\xee\xee\xee\xee\xee\xee\xee\0", b"\0\0\0\0\0\0\0\0"]);
        assert_eq!(
            error(&broken_end),
            "response ROWS: column 1 of row 1 at byte 24 has the unknown type 14"
        );
        let endless = one_column(&[b"\x03\0\0\0\0\0\0\0", b"endless!"]);
        assert_eq!(
            error(&endless),
            "response ROWS: column 1 of row 1 at byte 24 is not terminated"
        );
        let long = one_column(&[b"\x04\0\0\0\0\0\0\0", b"\x09\0\0\0\0\0\0\0"]);
        assert_eq!(
            error(&long),
            "response ROWS: column 1 of row 1 at byte 24 needs 9 bytes where 8 are left"
        );
        let huge = one_column(&[b"\x04\0\0\0\0\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\xff"]);
        assert!(error(&huge).contains("needs 18446744073709551615 bytes"));
    }

    #[test]
    fn a_cursor_from_elsewhere_is_an_error() {
        let mut cursor = RowCursor {
            offset: usize::MAX,
            columns: usize::MAX,
            row: u64::MAX,
        };
        let body = words(ROWS);
        assert!(cursor.next(&body, &mut Vec::new()).is_err());
        cursor.offset = 0;
        assert!(cursor.next(&body, &mut Vec::new()).is_err());
        assert!(cursor.next(&body[..9], &mut Vec::new()).is_err());
    }
}
