//! Rows: one row as it lies in the receive buffer.

use std::sync::Arc;

use uuid::Uuid;

use crate::convert::{FromRow, FromValue};
use crate::error::{Error, ErrorKind, Result};
use crate::text::from_utf8;
use crate::time;
use crate::value::{ValueRef, ValueType};

/// A place in the receive buffer, in bytes from the start of the message body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// One column of the current row: the value itself where it is small, its place in the buffer where not.
///
/// Both databases decode a row to cells, so everything above a session is written once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Seconds since 1970-01-01T00:00:00Z.
    UnixTime(i64),
    Text(Span),
    Blob(Span),
    /// A timestamp or date in ISO 8601 text.
    TimeText(Span),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// The sixteen bytes of a UUID.
    Uuid(Span),
    /// A decimal number in text.
    Decimal(Span),
    /// A JSON document in text.
    Json(Span),
}

/// The columns of a result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    columns: Arc<[Column]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    value_type: Option<ValueType>,
}

impl Columns {
    /// Columns, each with its name and the type of its values where that is known.
    pub(crate) fn new(columns: impl IntoIterator<Item = (String, Option<ValueType>)>) -> Self {
        let columns = columns.into_iter();
        Columns {
            columns: columns
                .map(|(name, value_type)| Column { name, value_type })
                .collect(),
        }
    }

    /// How many columns there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The name of the column at `index`, which counts from 0.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.columns.get(index).map(|column| column.name.as_str())
    }

    /// All names in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The type of the values of the column at `index`, where the server says it before there are any: PostgreSQL and
    /// Picodata do. `None` with dqlite, where each value has a type of its own ([`Row::type_name`]).
    ///
    /// A timestamp or a date of PostgreSQL's that is infinite comes as text all the same.
    pub fn value_type(&self, index: usize) -> Option<ValueType> {
        self.columns.get(index)?.value_type
    }

    /// The index of the first column called `name`; upper and lower case are the same if no name is equal
    /// to the letter.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.name == name)
            .or_else(|| {
                self.columns
                    .iter()
                    .position(|column| column.name.eq_ignore_ascii_case(name))
            })
    }
}

/// Something that names a column: its index from 0, or its name.
pub trait ColumnIndex {
    /// The index in `columns`.
    ///
    /// # Errors
    ///
    /// A column that does not exist is of kind [`ErrorKind::Conversion`].
    fn index(&self, columns: &Columns) -> Result<usize>;
}

impl ColumnIndex for usize {
    #[inline]
    fn index(&self, columns: &Columns) -> Result<usize> {
        if *self < columns.len() {
            return Ok(*self);
        }
        Err(no_column(*self, columns.len()))
    }
}

#[cold]
fn no_column(index: usize, count: usize) -> Error {
    Error::new(
        ErrorKind::Conversion,
        format!("there is no column {index}: the row has {count} columns, counted from 0"),
    )
}

impl ColumnIndex for &str {
    fn index(&self, columns: &Columns) -> Result<usize> {
        columns.index_of(self).ok_or_else(|| {
            let names: Vec<_> = columns.names().collect();
            Error::new(
                ErrorKind::Conversion,
                format!("there is no column {self:?}: the row has {names:?}"),
            )
        })
    }
}

/// One row, borrowed from the receive buffer: valid until the next row is asked for.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    columns: &'a Columns,
    cells: &'a [Cell],
    data: &'a [u8],
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: &'a Columns, cells: &'a [Cell], data: &'a [u8]) -> Self {
        Row {
            columns,
            cells,
            data,
        }
    }

    /// The columns of the result.
    pub fn columns(&self) -> &'a Columns {
        self.columns
    }

    /// How many columns the row has.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether the row has no columns.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The column at `index` as `T`: `row.get::<i64>(0)`, `row.get::<Option<&str>>("name")`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conversion`] where the column does not exist, is NULL and `T` is no `Option`, or holds
    /// what `T` cannot; the error names the column.
    #[inline]
    pub fn get<T: FromValue<'a>>(&self, index: impl ColumnIndex) -> Result<T> {
        let index = index.index(self.columns)?;
        // Each arm hands a conversion a value of one type, so that in the caller's code nothing is left of
        // the others. Through one common value, a column costs three times as much.
        let value = match self.cells.get(index) {
            Some(Cell::Int(value)) => T::from_value(ValueRef::Int(*value)),
            Some(Cell::Float(value)) => T::from_value(ValueRef::Float(*value)),
            Some(Cell::Text(span)) => match T::from_bytes(self.span(*span)) {
                Some(value) => Ok(value),
                None => self
                    .text(*span)
                    .and_then(|text| T::from_value(ValueRef::Text(text))),
            },
            _ => self.get_uncommon(index),
        };
        match value {
            Ok(value) => Ok(value),
            Err(error) => Err(self.at(index, error)),
        }
    }

    /// As [`get`](Row::get), for what is neither a number nor a text: apart from those, so that their conversions are
    /// small enough to become part of the caller's code.
    #[inline(never)]
    fn get_uncommon<T: FromValue<'a>>(&self, index: usize) -> Result<T> {
        match self.bytes(index).and_then(T::from_bytes) {
            Some(value) => Ok(value),
            None => self.value_at(index).and_then(T::from_value),
        }
    }

    /// The column at `index` as the value that the server sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conversion`] where the column does not exist or its text is not UTF-8; such a text can
    /// be read with `get::<&[u8]>`.
    pub fn value(&self, index: impl ColumnIndex) -> Result<ValueRef<'a>> {
        let index = index.index(self.columns)?;
        self.value_at(index).map_err(|error| self.at(index, error))
    }

    /// The whole row as `T`, a tuple of column types: `row.read::<(i64, String)>()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Row::get); also where the number of columns is another.
    pub fn read<T: FromRow<'a>>(&self) -> Result<T> {
        T::from_row(self)
    }

    /// The type of the value at `index` in this row: `INTEGER`, `FLOAT`, `TEXT`, `BLOB`, `NULL` or `BOOL`;
    /// with dqlite also `TIME`, with Picodata `TIMESTAMP`, `DATE`, `UUID`, `DECIMAL` and `JSON`. SQLite gives
    /// each value a type of its own, so it may differ from row to row.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conversion`] where the column does not exist.
    pub fn type_name(&self, index: impl ColumnIndex) -> Result<&'static str> {
        let name = self.type_text(index)?;
        Ok(name.strip_suffix('\0').unwrap_or(name))
    }

    /// As [`type_name`](Row::type_name), with a NUL behind it, as C wants it.
    pub(crate) fn type_text(&self, index: impl ColumnIndex) -> Result<&'static str> {
        let index = index.index(self.columns)?;
        Ok(match self.cells.get(index) {
            None | Some(Cell::Null) => "NULL\0",
            Some(Cell::Bool(_)) => "BOOL\0",
            Some(Cell::Int(_)) => "INTEGER\0",
            Some(Cell::Float(_)) => "FLOAT\0",
            Some(Cell::UnixTime(_) | Cell::TimeText(_)) => "TIME\0",
            Some(Cell::Text(_)) => "TEXT\0",
            Some(Cell::Blob(_)) => "BLOB\0",
            Some(Cell::Timestamp(_)) => "TIMESTAMP\0",
            Some(Cell::Date(_)) => "DATE\0",
            Some(Cell::Uuid(_)) => "UUID\0",
            Some(Cell::Decimal(_)) => "DECIMAL\0",
            Some(Cell::Json(_)) => "JSON\0",
        })
    }

    #[cold]
    fn at(&self, index: usize, error: Error) -> Error {
        let name = self.columns.name(index).unwrap_or("?");
        error.context(format_args!("column {index} ({name:?})"))
    }

    /// The column at `index` as it was decoded.
    #[inline]
    pub(crate) fn cell(&self, index: usize) -> Option<Cell> {
        self.cells.get(index).copied()
    }

    #[inline]
    pub(crate) fn span(&self, span: Span) -> &'a [u8] {
        let start = span.start as usize;
        // A decoder gives only spans that lie in its message.
        self.data
            .get(start..start + span.len as usize)
            .unwrap_or_default()
    }

    /// The bytes of a text or a blob as they were sent.
    #[inline]
    fn bytes(&self, index: usize) -> Option<&'a [u8]> {
        match *self.cells.get(index)? {
            Cell::Text(span)
            | Cell::Blob(span)
            | Cell::TimeText(span)
            | Cell::Uuid(span)
            | Cell::Decimal(span)
            | Cell::Json(span) => Some(self.span(span)),
            _ => None,
        }
    }

    #[inline]
    fn text(&self, span: Span) -> Result<&'a str> {
        from_utf8(self.span(span)).map_err(not_utf8)
    }

    fn value_at(&self, index: usize) -> Result<ValueRef<'a>> {
        Ok(match self.cells.get(index) {
            None | Some(Cell::Null) => ValueRef::Null,
            Some(Cell::Bool(value)) => ValueRef::Bool(*value),
            Some(Cell::Int(value)) => ValueRef::Int(*value),
            Some(Cell::Float(value)) => ValueRef::Float(*value),
            Some(Cell::UnixTime(seconds)) => unix_time(*seconds),
            Some(Cell::Text(span)) => ValueRef::Text(self.text(*span)?),
            Some(Cell::Blob(span)) => ValueRef::Blob(self.span(*span)),
            Some(Cell::TimeText(span)) => time_text(self.text(*span)?),
            Some(Cell::Timestamp(micros)) => {
                ValueRef::Timestamp(time::from_unix_micros(*micros).ok_or_else(out_of_range)?)
            }
            Some(Cell::Date(days)) => {
                ValueRef::Date(time::from_unix_days(*days).ok_or_else(out_of_range)?)
            }
            Some(Cell::Uuid(span)) => {
                ValueRef::Uuid(Uuid::from_slice(self.span(*span)).map_err(|error| {
                    Error::new(ErrorKind::Conversion, error.to_string()).with_source(error)
                })?)
            }
            Some(Cell::Decimal(span)) => ValueRef::Decimal(self.text(*span)?),
            Some(Cell::Json(span)) => ValueRef::Json(self.text(*span)?),
        })
    }
}

fn unix_time(seconds: i64) -> ValueRef<'static> {
    time::from_unix(seconds).map_or(ValueRef::Int(seconds), ValueRef::Timestamp)
}

fn time_text(text: &str) -> ValueRef<'_> {
    time::parse_timestamp(text).map_or(ValueRef::Text(text), ValueRef::Timestamp)
}

#[cold]
fn not_utf8(error: std::str::Utf8Error) -> Error {
    Error::new(
        ErrorKind::Conversion,
        format!(
            "the text is not UTF-8 at byte {}; read the column as bytes, or store it as a blob",
            error.valid_up_to()
        ),
    )
    .with_source(error)
}

/// A year beyond 262,000, which PostgreSQL can hold.
#[cold]
fn out_of_range() -> Error {
    Error::new(
        ErrorKind::Conversion,
        "the year is out of range; have the server give the value as text",
    )
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for (index, name) in self.columns.names().enumerate() {
            match self.value_at(index) {
                Ok(value) => map.entry(&name, &value),
                Err(error) => map.entry(&name, &error.message()),
            };
        }
        map.finish()
    }
}
