//! What is wrong with a message, and where in it.

use std::fmt;

use super::{request, response};

/// A message that the protocol does not allow, or a value that it cannot carry.
///
/// The text says which message, which field and, for a message that was received, at which byte of the body.
/// Columns, rows, parameters and other repeated items are counted from 1. It is one pointer wide, so that
/// the result of decoding a row stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireError(Box<Detail>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    message: Message,
    place: Place,
    offset: Option<usize>,
    problem: Problem,
}

/// The message an error is about, by its direction and type tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// A frame of which only the header is known.
    Frame(u8),
    Request(u8),
    Response(u8),
}

/// The part of the message an error is about; indices count from 0 and are shown from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Field(&'static str),
    /// One of several, as "address of node 2".
    Item {
        field: &'static str,
        index: usize,
    },
    Column {
        column: usize,
        row: u64,
    },
    Row(u64),
}

/// What is wrong, as the end of a sentence that begins with the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Unterminated,
    CutShort { needed: u64, left: usize },
    NotUtf8,
    TooMany { declared: u64, fit: usize },
    UnknownType(u8),
    UnknownSchema(u8),
    UnknownFormat(u64),
    NotAnEnd,
    Trailing(usize),
    BrokenWords(usize),
    EmptyBody { cap: u32 },
    OverCap { size: u64, cap: u32 },
    Unaddressable(usize),
    InteriorNul(usize),
    TooManyParams { count: usize, limit: u64 },
    Year(i32),
}

impl WireError {
    /// An error at `offset` bytes from the start of the body.
    #[cold]
    pub(super) fn at(message: Message, place: Place, offset: usize, problem: Problem) -> Self {
        WireError(Box::new(Detail {
            message,
            place,
            offset: Some(offset),
            problem,
        }))
    }

    /// An error of a message as a whole, or of one that is not written yet.
    #[cold]
    pub(super) fn of(message: Message, place: Place, problem: Problem) -> Self {
        WireError(Box::new(Detail {
            message,
            place,
            offset: None,
            problem,
        }))
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &*self.0;
        write!(f, "{}: {}", detail.message, detail.place)?;
        if let Some(offset) = detail.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, " {}", detail.problem)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Message::Frame(kind) => write!(f, "message of type {kind}"),
            Message::Request(kind) => write!(f, "request {}", request::kind_name(kind)),
            Message::Response(kind) => write!(f, "response {}", response::kind_name(kind)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Place::Field(name) => f.write_str(name),
            Place::Item { field, index } => write!(f, "{field} {}", index.saturating_add(1)),
            Place::Column { column, row } => write!(
                f,
                "column {} of row {}",
                column.saturating_add(1),
                row.saturating_add(1)
            ),
            Place::Row(row) => write!(f, "row {}", row.saturating_add(1)),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Problem::Unterminated => write!(f, "is not terminated"),
            Problem::CutShort { needed, left } => {
                write!(f, "needs {needed} bytes where {left} are left")
            }
            Problem::NotUtf8 => write!(f, "is not utf-8"),
            Problem::TooMany { declared, fit } => {
                write!(f, "is {declared} where at most {fit} fit")
            }
            Problem::UnknownType(code) => write!(f, "has the unknown type {code}"),
            Problem::UnknownSchema(schema) => write!(f, "is {schema}, which is not known"),
            Problem::UnknownFormat(format) => write!(f, "is {format}, which is not known"),
            Problem::NotAnEnd => write!(f, "is neither a row nor an end of rows"),
            Problem::Trailing(bytes) => write!(f, "is followed by {bytes} bytes too many"),
            Problem::BrokenWords(size) => {
                write!(f, "has {size} bytes, not a whole number of 8-byte words")
            }
            Problem::EmptyBody { cap } => {
                write!(f, "has 0 bytes, where 8 to {cap} are allowed")
            }
            Problem::OverCap { size, cap } => {
                write!(
                    f,
                    "has {size} bytes, more than the {cap} that max_message allows"
                )
            }
            Problem::Unaddressable(size) => {
                write!(f, "has {size} bytes, more than a message can")
            }
            Problem::InteriorNul(position) => write!(
                f,
                "has a NUL after {position} bytes, which the protocol would end the text at; \
                 a blob can carry it"
            ),
            Problem::TooManyParams { count, limit } => {
                write!(f, "are {count}, more than the {limit} that can be sent")
            }
            Problem::Year(year) => write!(
                f,
                "is in the year {year}; its text can carry the years 0 to 9999"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<WireError>(), size_of::<usize>());
    }

    #[test]
    fn the_text_says_what_and_where() {
        let error = WireError::at(
            Message::Response(wire::RESPONSE_ROWS),
            Place::Column { column: 2, row: 0 },
            120,
            Problem::Unterminated,
        );
        assert_eq!(
            error.to_string(),
            "response ROWS: column 3 of row 1 at byte 120 is not terminated"
        );
        let error = WireError::of(
            Message::Request(wire::REQUEST_EXEC),
            Place::Item {
                field: "parameter",
                index: 1,
            },
            Problem::InteriorNul(4),
        );
        assert_eq!(
            error.to_string(),
            "request EXEC: parameter 2 has a NUL after 4 bytes, which the protocol would end the text \
             at; a blob can carry it"
        );
    }
}
