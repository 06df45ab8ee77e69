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

/// How many cells are decoded ahead, where a row has no more: the rows of one part of 4 KiB, most often.
const AHEAD: usize = 512;

/// Rows that were decoded together. One by one, a row takes half as many instructions again, to find out where it is.
#[derive(Debug, Default)]
pub(crate) struct DecodedRows {
    /// The cells of the rows, one row behind the other; there may be more, of earlier rows.
    cells: Vec<Cell>,
    /// Cells in each row.
    columns: usize,
    /// Where the current row ends and the next one begins.
    next: usize,
    /// Where the last row ends.
    end: usize,
}

impl DecodedRows {
    /// Goes to the next row; false if none is left.
    #[inline]
    pub(crate) fn advance(&mut self) -> bool {
        let left = self.next < self.end;
        if left {
            self.next += self.columns;
        }
        left
    }

    /// Whether a row is left to go to.
    pub(crate) fn has_more(&self) -> bool {
        self.next < self.end
    }

    /// The cells of the current row; none where there is none.
    #[inline]
    pub(crate) fn current(&self) -> &[Cell] {
        let start = self.next.wrapping_sub(self.columns);
        self.cells.get(start..self.next).unwrap_or_default()
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) {
        (self.next, self.end) = (0, 0);
    }

    /// Room for at least one row.
    fn room(&mut self, columns: usize) -> &mut [Cell] {
        self.clear();
        self.columns = columns;
        let size = columns.max(AHEAD);
        if self.cells.len() < size {
            self.cells.resize(size, Cell::Null);
        }
        &mut self.cells
    }
}

impl RowCursor {
    /// Decodes rows of `body`, replacing those that were decoded before, and says what is behind them: a row, where
    /// there was no room for more.
    ///
    /// Spans are relative to the start of the body. A text is known to end inside the body, and not known to be
    /// UTF-8: a [`Row`](crate::row::Row) looks when it is asked. A time without text, which is how NULL arrives in a column
    /// declared as a date, is [`Cell::Null`]. After an end, or an error, there is nothing more to be had from
    /// this body.
    ///
    /// # Errors
    /// A value that is cut short or of an unknown type, or an end that is not the last word. The rows before it
    /// are decoded.
    pub(crate) fn decode(
        &mut self,
        body: &[u8],
        rows: &mut DecodedRows,
    ) -> Result<RowStep, WireError> {
        rows.clear();
        if u32::try_from(body.len()).is_err() {
            let problem = Problem::Unaddressable(body.len());
            return Err(WireError::of(MESSAGE, Place::Field("body"), problem));
        }
        let (words, []) = body.as_chunks::<WORD>() else {
            let problem = Problem::BrokenWords(body.len());
            return Err(WireError::of(MESSAGE, Place::Field("body"), problem));
        };
        let columns = self.columns;
        let type_words = columns.div_ceil(TYPES_PER_WORD);
        let needed = columns.saturating_add(type_words);
        let fits = needed <= words.len();
        // Where no row fits, what is wrong is found without any room for it.
        let room = if fits { rows.room(columns) } else { &mut [] };
        let mut room = room.chunks_exact_mut(columns.max(1));
        let (mut at, mut decoded) = (self.offset / WORD, 0);
        let step = loop {
            let Some(first) = words.get(at) else {
                break Err(self.cut_short(words, at, WORD));
            };
            match u64::from_le_bytes(*first) {
                END_OF_PART => break self.end(words, &mut at, RowStep::PartEnd),
                END_OF_ROWS => break self.end(words, &mut at, RowStep::Done),
                _ if columns == 0 => {
                    let place = Place::Field("word");
                    break Err(WireError::at(MESSAGE, place, at * WORD, Problem::NotAnEnd));
                }
                _ => {}
            }
            if needed > words.len() - at {
                break Err(self.cut_short(words, at, needed.saturating_mul(WORD)));
            }
            let Some(cells) = room.next() else {
                break Ok(RowStep::Row);
            };
            match decode_row(words, at, type_words, cells) {
                Ok(behind) => at = behind,
                Err(bad) => break Err(self.bad_value(words, &bad)),
            }
            decoded += columns;
            self.row = self.row.saturating_add(1);
        };
        self.offset = at.saturating_mul(WORD);
        rows.end = decoded;
        step
    }

    fn end(
        &mut self,
        words: &[[u8; WORD]],
        at: &mut usize,
        step: RowStep,
    ) -> Result<RowStep, WireError> {
        let trailing = (words.len() - *at - 1) * WORD;
        if trailing != 0 {
            let place = Place::Field("end of rows");
            let problem = Problem::Trailing(trailing);
            return Err(WireError::at(MESSAGE, place, *at * WORD, problem));
        }
        *at = words.len();
        Ok(step)
    }

    #[cold]
    fn bad_value(&self, words: &[[u8; WORD]], bad: &BadValue) -> WireError {
        let rest = words.get(bad.at..).unwrap_or_default();
        let left = rest.len().saturating_sub(1) * WORD;
        let problem = match (bad.kind, rest.first()) {
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
            column: bad.column,
            row: self.row,
        };
        WireError::at(MESSAGE, place, bad.at * WORD, problem)
    }

    #[cold]
    fn cut_short(&self, words: &[[u8; WORD]], at: usize, needed: usize) -> WireError {
        let problem = Problem::CutShort {
            needed: needed as u64,
            left: words.len().saturating_sub(at) * WORD,
        };
        let offset = at.min(words.len()) * WORD;
        WireError::at(MESSAGE, Place::Row(self.row), offset, problem)
    }
}

/// A value that cannot be decoded.
struct BadValue {
    column: usize,
    kind: u8,
    /// The word at which it begins.
    at: usize,
}

/// Decodes the row at the word `at`, whose types take `type_words`, and gives the word behind it.
#[inline]
fn decode_row(
    words: &[[u8; WORD]],
    at: usize,
    type_words: usize,
    cells: &mut [Cell],
) -> Result<usize, BadValue> {
    let types = &words[at..at + type_words];
    let mut at = at + type_words;
    let mut kinds = 0;
    for (column, cell) in cells.iter_mut().enumerate() {
        if column % TYPES_PER_WORD == 0 {
            kinds = u64::from_le_bytes(types[column / TYPES_PER_WORD]);
        }
        let kind = (kinds & 0xf) as u8;
        kinds >>= TYPE_BITS;
        match decode_value(kind, words, at) {
            Some((value, behind)) => (*cell, at) = (value, behind),
            None => return Err(BadValue { column, kind, at }),
        }
    }
    Ok(at)
}

/// The value at the word `at` of `words`, and the word behind it; `None` if there is no such value.
#[inline(always)]
fn decode_value(kind: u8, words: &[[u8; WORD]], at: usize) -> Option<(Cell, usize)> {
    let word = words.get(at)?;
    let value = match kind {
        TYPE_INT => Cell::Int(i64::from_le_bytes(*word)),
        TYPE_FLOAT => Cell::Float(f64::from_le_bytes(*word)),
        TYPE_NULL => Cell::Null,
        TYPE_BOOL => Cell::Bool(u64::from_le_bytes(*word) != 0),
        TYPE_UNIX_TIME => Cell::UnixTime(i64::from_le_bytes(*word)),
        TYPE_TEXT | TYPE_ISO_8601 => {
            let (last, len) = find_nul_in_words(&words[at..])?;
            let span = span(at * WORD, len);
            let value = match (kind, len) {
                (TYPE_TEXT, _) => Cell::Text(span),
                (_, 0) => Cell::Null,
                _ => Cell::TimeText(span),
            };
            return Some((value, at + last + 1));
        }
        TYPE_BLOB => {
            let bytes = usize::try_from(u64::from_le_bytes(*word)).ok()?;
            let behind = (at + 1).checked_add(bytes.div_ceil(WORD))?;
            let value = Cell::Blob(span((at + 1) * WORD, bytes));
            return (behind <= words.len()).then_some((value, behind));
        }
        _ => return None,
    };
    Some((value, at + 1))
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
            let mut rows = DecodedRows::default();
            assert_eq!(part.decode_rows(&mut rows), Ok(RowStep::PartEnd));
            for _ in 0..2 {
                assert!(rows.advance());
                let cells = rows.current().iter().copied();
                assert!(cells.eq((0..columns).map(Cell::Int)));
            }
            assert!(!rows.advance());
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
        let body = encode(&["a", "b", "c"], &[&values[..]; 200], true);
        let mut cursor = RowsPart::decode(&body).unwrap().cursor();
        let mut rows = DecodedRows::default();
        let mut copy = cursor;
        assert_eq!(cursor.decode(&body, &mut rows), Ok(RowStep::Row));
        assert_eq!(cursor.row, AHEAD as u64 / 3);
        assert!(rows.advance());
        assert_eq!(rows.current()[1], Cell::UnixTime(5));
        assert_eq!(rows.current()[2], Cell::Text(Span { start: 56, len: 0 }));
        assert_eq!(copy.decode(&body.clone(), &mut rows), Ok(RowStep::Row));
        assert_eq!(cursor, copy);
        assert_eq!(cursor.decode(&body, &mut rows), Ok(RowStep::Done));
        let left = std::iter::from_fn(|| rows.advance().then_some(())).count();
        assert_eq!(left, 200 - AHEAD / 3);
        assert!(rows.current().len() == 3 && !rows.advance());
        rows.clear();
        assert!(rows.current().is_empty());
        assert_eq!((cursor.offset, cursor.row), (body.len(), 200));
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
        let mut rows = DecodedRows::default();
        assert!(cursor.decode(&body, &mut rows).is_err());
        cursor.offset = 0;
        assert!(cursor.decode(&body, &mut rows).is_err());
        assert!(cursor.decode(&body[..9], &mut rows).is_err());
        assert!(rows.cells.is_empty() && !rows.advance());
    }
}
