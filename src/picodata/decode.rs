//! From the binary form of a column to a cell.

use std::io::Write;

use tokio_postgres::types::{FromSql, Kind, Type};

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::numeric;
use crate::row::{Cell, Span};

/// From 1970-01-01 to PostgreSQL's 2000-01-01, in days and in microseconds.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// How the values of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    /// An unsigned number of 32 bits: oid and its like.
    Oid,
    Float4,
    Float8,
    Text,
    Blob,
    Numeric,
    /// Microseconds since 2000, in UTC or of no time zone.
    Timestamp,
    /// Days since 2000.
    Date,
    /// Microseconds since midnight.
    Time,
    Uuid,
    Json,
    /// A version, then the text.
    Jsonb,
    /// No value at all: what a function without a result answers.
    Void,
}

impl Form {
    /// The form of a type's values; `None` for a type that this library does not read.
    pub(crate) fn of(kind: &Type) -> Option<Form> {
        Some(match *kind {
            Type::BOOL => Form::Bool,
            Type::INT2 => Form::Int2,
            Type::INT4 => Form::Int4,
            Type::INT8 => Form::Int8,
            Type::OID | Type::XID | Type::CID | Type::REGCLASS | Type::REGTYPE | Type::REGPROC => {
                Form::Oid
            }
            Type::FLOAT4 => Form::Float4,
            Type::FLOAT8 => Form::Float8,
            Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::CHAR
            | Type::XML
            | Type::UNKNOWN => Form::Text,
            Type::BYTEA => Form::Blob,
            Type::NUMERIC => Form::Numeric,
            Type::TIMESTAMP | Type::TIMESTAMPTZ => Form::Timestamp,
            Type::DATE => Form::Date,
            Type::TIME => Form::Time,
            Type::UUID => Form::Uuid,
            Type::JSON => Form::Json,
            Type::JSONB => Form::Jsonb,
            Type::VOID => Form::Void,
            _ => match kind.kind() {
                Kind::Enum(_) => Form::Text,
                Kind::Domain(inner) => return Form::of(inner),
                _ => return None,
            },
        })
    }

    /// Reads a value. What does not fit into the cell is appended to `data`.
    pub(crate) fn read(self, bytes: &[u8], data: &mut Vec<u8>) -> Result<Cell> {
        Ok(match self {
            Form::Bool => Cell::Bool(fixed::<1>(bytes)? != [0]),
            Form::Int2 => Cell::Int(i64::from(i16::from_be_bytes(fixed(bytes)?))),
            Form::Int4 => Cell::Int(i64::from(i32::from_be_bytes(fixed(bytes)?))),
            Form::Int8 => Cell::Int(i64::from_be_bytes(fixed(bytes)?)),
            Form::Oid => Cell::Int(i64::from(u32::from_be_bytes(fixed(bytes)?))),
            Form::Float4 => Cell::Float(f64::from(f32::from_be_bytes(fixed(bytes)?))),
            Form::Float8 => Cell::Float(f64::from_be_bytes(fixed(bytes)?)),
            Form::Text => Cell::Text(keep(bytes, data)?),
            Form::Blob => Cell::Blob(keep(bytes, data)?),
            Form::Numeric => {
                let start = data.len();
                numeric::decode(bytes, data).ok_or_else(|| malformed("numeric"))?;
                Cell::Decimal(span(start, data)?)
            }
            Form::Timestamp => match i64::from_be_bytes(fixed(bytes)?) {
                i64::MAX => Cell::Text(keep(b"infinity", data)?),
                i64::MIN => Cell::Text(keep(b"-infinity", data)?),
                micros => Cell::Timestamp(micros.saturating_add(EPOCH_MICROS)),
            },
            Form::Date => match i32::from_be_bytes(fixed(bytes)?) {
                i32::MAX => Cell::Text(keep(b"infinity", data)?),
                i32::MIN => Cell::Text(keep(b"-infinity", data)?),
                days => Cell::Date(days.saturating_add(EPOCH_DAYS)),
            },
            Form::Time => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
                let start = data.len();
                write!(
                    data,
                    "{:02}:{:02}:{:02}",
                    seconds / 3600,
                    seconds / 60 % 60,
                    seconds % 60
                )
                .and_then(|()| match micros {
                    0 => Ok(()),
                    _ => write!(data, ".{micros:06}"),
                })
                .map_err(|_| malformed("time"))?;
                Cell::Text(span(start, data)?)
            }
            Form::Uuid => Cell::Uuid(keep(&fixed::<16>(bytes)?, data)?),
            Form::Json => Cell::Json(keep(bytes, data)?),
            Form::Jsonb => match bytes {
                [1, text @ ..] => Cell::Json(keep(text, data)?),
                _ => return Err(malformed("jsonb")),
            },
            Form::Void => Cell::Null,
        })
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| {
        Error::new(
            ErrorKind::Protocol,
            format!("a value has {} bytes where {N} were expected", bytes.len()),
        )
    })
}

fn malformed(kind: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("a value of type {kind} is malformed"),
    )
}

fn keep(bytes: &[u8], data: &mut Vec<u8>) -> Result<Span> {
    let start = data.len();
    data.extend_from_slice(bytes);
    span(start, data)
}

/// The place of what was appended since `start`.
fn span(start: usize, data: &[u8]) -> Result<Span> {
    match (u32::try_from(start), u32::try_from(data.len() - start)) {
        (Ok(start), Ok(len)) => Ok(Span { start, len }),
        _ => Err(Error::new(
            ErrorKind::Protocol,
            "a row is larger than 4 GiB",
        )),
    }
}

/// The bytes of a column as they came.
pub(crate) struct Raw<'a>(pub(crate) Option<&'a [u8]>);

type Never = Box<dyn std::error::Error + Send + Sync>;

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Never> {
        Ok(Raw(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Never> {
        Ok(Raw(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_wrong_length_is_refused() {
        for form in [
            Form::Bool,
            Form::Int2,
            Form::Int4,
            Form::Int8,
            Form::Oid,
            Form::Float4,
            Form::Float8,
            Form::Numeric,
            Form::Timestamp,
            Form::Date,
            Form::Time,
            Form::Uuid,
            Form::Jsonb,
        ] {
            for bytes in [&[][..], &[0; 3], &[0; 17]] {
                let error = form.read(bytes, &mut Vec::new()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Protocol, "{form:?} {bytes:?}");
            }
        }
    }

    #[test]
    fn a_time_of_day_is_text() {
        for (micros, expected) in [
            (0i64, "00:00:00"),
            (86_399_000_001, "23:59:59.000001"),
            (86_400_000_000, "24:00:00"),
        ] {
            let mut data = Vec::new();
            Form::Time.read(&micros.to_be_bytes(), &mut data).unwrap();
            assert_eq!(data, expected.as_bytes());
        }
    }
}
