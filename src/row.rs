//! Rows: one row as it lies in the receive buffer, and its conversion to the caller's types.

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
}
