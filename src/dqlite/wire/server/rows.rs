//! Encodes parts of rows.

use crate::dqlite::wire::error::{Message, Place, WireError};
use crate::dqlite::wire::params::{type_code, value};
use crate::dqlite::wire::rows::{END_OF_PART, END_OF_ROWS};
use crate::dqlite::wire::writer::{Writer, frame};
use crate::dqlite::wire::{RESPONSE_ROWS, TYPE_ISO_8601, TYPE_UNIX_TIME};
use crate::value::ValueRef;

/// A value in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RowValue<'a> {
    /// A value of a type that a parameter can have too.
    Plain(ValueRef<'a>),
    /// Seconds since 1970-01-01T00:00:00Z.
    UnixTime(i64),
    /// A date or time in text; empty where the server found NULL in a column declared so.
    TimeText(&'a str),
}

/// Appends a part of rows to `out`: one that another follows, or the last.
///
/// # Errors
/// A text with a NUL inside. `out` is then as it was before.
pub(crate) fn encode_part(
    columns: &[&str],
    rows: &[&[RowValue<'_>]],
    last: bool,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    frame(Message::Response(RESPONSE_ROWS), 0, out, |writer| {
        writer.u64(columns.len() as u64);
        for (index, name) in columns.iter().enumerate() {
            let field = "name of column";
            writer.text(Place::Item { field, index }, name)?;
        }
        for (number, row) in rows.iter().enumerate() {
            encode_row(number as u64, row, writer)?;
        }
        writer.u64(if last { END_OF_ROWS } else { END_OF_PART });
        Ok(())
    })
}

fn encode_row(number: u64, row: &[RowValue<'_>], writer: &mut Writer<'_>) -> Result<(), WireError> {
    for pair in row.chunks(2) {
        let code = |index| pair.get(index).map_or(0, row_type);
        writer.u8(code(0) | code(1) << 4);
    }
    writer.align();
    for (column, cell) in row.iter().enumerate() {
        let place = Place::Column {
            column,
            row: number,
        };
        match cell {
            RowValue::Plain(plain) => value(writer, place, plain)?,
            RowValue::UnixTime(seconds) => writer.i64(*seconds),
            RowValue::TimeText(text) => writer.text(place, text)?,
        }
    }
    Ok(())
}

fn row_type(value: &RowValue<'_>) -> u8 {
    match value {
        RowValue::Plain(value) => type_code(value),
        RowValue::UnixTime(_) => TYPE_UNIX_TIME,
        RowValue::TimeText(_) => TYPE_ISO_8601,
    }
}
