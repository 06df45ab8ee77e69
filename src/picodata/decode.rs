//! From the binary form of a column to a cell.

use std::io::Write;
use std::ops::Range;

use tokio_postgres::types::{Kind, Type};

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::array::{self, Element};
use crate::picodata::numeric;
use crate::row::{Cell, Span};
use crate::value::ValueType;

/// From 1970-01-01 to PostgreSQL's 2000-01-01, in days and in microseconds.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// How many bytes the values of a row that are written anew may have. A decimal number of a few bytes may have 147,455
/// digits, and a row of PostgreSQL's at most 1,664 columns.
const MAX_WRITTEN: usize = 256 << 20;

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
    /// A decimal number as a text.
    DecimalText,
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
    Array(Element),
    /// An array of decimal numbers as a text.
    DecimalTexts,
}

impl Form {
    /// The type of the values, where they are not NULL.
    pub(crate) fn value_type(self) -> ValueType {
        match self {
            Form::Bool => ValueType::Bool,
            Form::Int2 | Form::Int4 | Form::Int8 | Form::Oid => ValueType::Int,
            Form::Float4 | Form::Float8 => ValueType::Float,
            Form::Text | Form::Time | Form::Void => ValueType::Text,
            Form::Blob => ValueType::Blob,
            Form::Numeric | Form::DecimalText => ValueType::Decimal,
            Form::Timestamp => ValueType::Timestamp,
            Form::Date => ValueType::Date,
            Form::Uuid => ValueType::Uuid,
            Form::Json | Form::Jsonb | Form::Array(_) | Form::DecimalTexts => ValueType::Json,
        }
    }

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
                Kind::Array(element) => {
                    let form = Form::of(element)?;
                    return Element::new(element.oid(), form).map(Form::Array);
                }
                _ => return None,
            },
        })
    }

    /// The form of a type of decimal numbers, or of an array of them, that are asked for as text.
    pub(crate) fn of_decimal_text(kind: &Type) -> Form {
        match kind.kind() {
            Kind::Domain(inner) => Form::of_decimal_text(inner),
            Kind::Array(_) => Form::DecimalTexts,
            _ => Form::DecimalText,
        }
    }

    /// Reads the value in `place` of a row. What has no place of its own there is appended to `written`, behind a copy
    /// of the row.
    ///
    /// It is a part of [`read_row`], which costs a fifth more where it is called.
    #[inline(always)]
    fn read(self, place: Range<usize>, row: &[u8], written: &mut Vec<u8>) -> Result<Cell> {
        let bytes = row.get(place.clone()).unwrap_or_default();
        Ok(match self {
            Form::Bool => Cell::Bool(fixed::<1>(bytes)? != [0]),
            Form::Int2 => Cell::Int(i64::from(i16::from_be_bytes(fixed(bytes)?))),
            Form::Int4 => Cell::Int(i64::from(i32::from_be_bytes(fixed(bytes)?))),
            Form::Int8 => Cell::Int(i64::from_be_bytes(fixed(bytes)?)),
            Form::Oid => Cell::Int(i64::from(u32::from_be_bytes(fixed(bytes)?))),
            Form::Float4 => Cell::Float(f64::from(f32::from_be_bytes(fixed(bytes)?))),
            Form::Float8 => Cell::Float(f64::from_be_bytes(fixed(bytes)?)),
            Form::Text => Cell::Text(span(place)?),
            Form::Blob => Cell::Blob(span(place)?),
            Form::Uuid => {
                fixed::<16>(bytes)?;
                Cell::Uuid(span(place)?)
            }
            Form::Json => Cell::Json(span(place)?),
            Form::Jsonb => match bytes {
                [1, ..] => Cell::Json(span(place.start + 1..place.end)?),
                _ => return Err(malformed("jsonb")),
            },
            Form::Void => Cell::Null,
            Form::Array(element) => Cell::Json(write_array(element, bytes, row, written)?),
            Form::DecimalTexts => Cell::Json(write_decimals(bytes, row, written)?),
            Form::Timestamp => match i64::from_be_bytes(fixed(bytes)?) {
                i64::MAX => Cell::Text(write("infinity", row, written)?),
                i64::MIN => Cell::Text(write("-infinity", row, written)?),
                micros => Cell::Timestamp(micros.saturating_add(EPOCH_MICROS)),
            },
            Form::Date => match i32::from_be_bytes(fixed(bytes)?) {
                i32::MAX => Cell::Text(write("infinity", row, written)?),
                i32::MIN => Cell::Text(write("-infinity", row, written)?),
                days => Cell::Date(days.saturating_add(EPOCH_DAYS)),
            },
            Form::DecimalText => Cell::Decimal(span(place)?),
            Form::Numeric => Cell::Decimal(write_with(row, written, |out| {
                numeric::decode(bytes, out).ok_or_else(|| malformed("numeric"))
            })?),
            Form::Time => {
                let micros = i64::from_be_bytes(fixed(bytes)?);
                let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                Cell::Text(write_with(row, written, |out| {
                    write!(out, "{hours:02}:{minutes:02}:{:02}", seconds % 60)
                        .and_then(|()| match micros {
                            0 => Ok(()),
                            _ => write!(out, ".{micros:06}"),
                        })
                        .map_err(|_| malformed("time"))
                })?)
            }
        })
    }
}

/// Reads an element of an array, as [`read_row`] a value; what has no place of its own in it is written to `written`.
#[inline(never)]
pub(super) fn read_element(form: Form, bytes: &[u8], written: &mut Vec<u8>) -> Result<Cell> {
    form.read(0..bytes.len(), bytes, written)
}

/// Reads a row, the body of a DataRow (PostgreSQL's manual, "Message Formats"): the number of its columns, then each
/// with its length, -1 for NULL. The spans of the cells lie in `row`, or if `written` is not empty, in that.
///
/// # Errors
///
/// [`ErrorKind::Protocol`]; the cells before the fault are there.
#[inline]
pub(crate) fn read_row(
    forms: &[Form],
    row: &[u8],
    cells: &mut Vec<Cell>,
    written: &mut Vec<u8>,
) -> Result<()> {
    let Some(count) = row.first_chunk() else {
        return Err(cut());
    };
    if usize::from(u16::from_be_bytes(*count)) != forms.len() {
        return Err(miscounted(u16::from_be_bytes(*count), forms.len()));
    }
    let mut at = count.len();
    for form in forms {
        let Some(len) = row.get(at..).and_then(<[u8]>::first_chunk) else {
            return Err(cut());
        };
        at += len.len();
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            cells.push(Cell::Null);
            continue;
        };
        if row.len() - at < len {
            return Err(cut());
        }
        cells.push(form.read(at..at + len, row, written)?);
        at += len;
    }
    if at == row.len() { Ok(()) } else { Err(cut()) }
}

#[inline]
fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    match bytes.try_into() {
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(mismeasured(bytes.len(), N)),
    }
}

#[cold]
fn mismeasured(len: usize, expected: usize) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("a value has {len} bytes where {expected} were expected"),
    )
}

#[cold]
fn miscounted(count: u16, expected: usize) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("a row has {count} columns where {expected} were announced"),
    )
}

#[cold]
fn cut() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "a row does not end where its message does",
    )
}

#[cold]
fn malformed(kind: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("a value of type {kind} is malformed"),
    )
}

#[inline]
fn span(place: Range<usize>) -> Result<Span> {
    match (u32::try_from(place.start), u32::try_from(place.len())) {
        (Ok(start), Ok(len)) => Ok(Span { start, len }),
        _ => Err(too_large()),
    }
}

#[cold]
fn too_large() -> Error {
    Error::new(ErrorKind::Protocol, "a row is too large")
}

fn write(text: &str, row: &[u8], written: &mut Vec<u8>) -> Result<Span> {
    write_with(row, written, |out| {
        out.extend_from_slice(text.as_bytes());
        Ok(())
    })
}

#[inline(never)]
fn write_array(element: Element, bytes: &[u8], row: &[u8], written: &mut Vec<u8>) -> Result<Span> {
    write_with(row, written, |out| {
        array::write_json(element, bytes, row.len() + MAX_WRITTEN, out)
    })
}

#[inline(never)]
fn write_decimals(bytes: &[u8], row: &[u8], written: &mut Vec<u8>) -> Result<Span> {
    write_with(row, written, |out| {
        array::write_json_of_decimals(bytes, row.len() + MAX_WRITTEN, out)
    })
}

/// The place of what `write` appends.
fn write_with(
    row: &[u8],
    written: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<Span> {
    if written.is_empty() {
        written.extend_from_slice(row);
    }
    let start = written.len();
    write(written)?;
    if written.len() - row.len() > MAX_WRITTEN {
        return Err(too_large());
    }
    span(start..written.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of one value.
    fn row_of(value: &[u8]) -> Vec<u8> {
        let len = (value.len() as i32).to_be_bytes();
        [&1u16.to_be_bytes(), len.as_slice(), value].concat()
    }

    /// The cells of a row, and what they lie in.
    fn read(forms: &[Form], row: &[u8]) -> Result<(Vec<Cell>, Vec<u8>)> {
        let (mut cells, mut written) = (Vec::new(), Vec::new());
        read_row(forms, row, &mut cells, &mut written)?;
        if written.is_empty() {
            written = row.to_vec();
        }
        Ok((cells, written))
    }

    fn part(data: &[u8], span: Span) -> &[u8] {
        &data[span.start as usize..][..span.len as usize]
    }

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
                let error = read(&[form], &row_of(bytes)).unwrap_err();
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
            let (cells, data) = read(&[Form::Time], &row_of(&micros.to_be_bytes())).unwrap();
            let Cell::Text(span) = cells[0] else {
                panic!("{cells:?}");
            };
            assert_eq!(part(&data, span), expected.as_bytes());
        }
    }

    #[test]
    fn values_lie_in_the_row_and_behind_a_copy_of_it() {
        let forms = [Form::Text, Form::Date, Form::Jsonb, Form::Text, Form::Int2];
        let mut row = 5u16.to_be_bytes().to_vec();
        let infinity = i32::MAX.to_be_bytes();
        for value in [b"name".as_slice(), &infinity, b"\x01{}", b"", &[1, 2]] {
            row.extend((value.len() as i32).to_be_bytes());
            row.extend(value);
        }
        let (cells, data) = read(&forms, &row).unwrap();
        assert!(data.starts_with(&row));
        let texts: Vec<&[u8]> = cells
            .iter()
            .filter_map(|cell| match cell {
                Cell::Text(span) | Cell::Json(span) => Some(part(&data, *span)),
                _ => None,
            })
            .collect();
        assert_eq!(texts, [b"name".as_slice(), b"infinity", b"{}", b""]);
        assert_eq!(cells[4], Cell::Int(258));
    }

    #[test]
    fn a_row_that_is_cut_or_too_long_is_refused() {
        let forms = [Form::Int4, Form::Text, Form::Text];
        let row = b"\0\x03\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\0\0\x02hi";
        let (cells, data) = read(&forms, row).unwrap();
        assert_eq!(cells[..2], [Cell::Int(7), Cell::Null]);
        assert!(matches!(cells[2], Cell::Text(span) if part(&data, span) == b"hi"));
        let longer = [row.as_slice(), b"!"].concat();
        for faulty in (0..row.len()).map(|cut| &row[..cut]).chain([&*longer]) {
            let error = read(&forms, faulty).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{faulty:?}");
        }
        for forms in [&forms[..2], &[Form::Int4; 4]] {
            assert!(read(forms, row).is_err());
        }
    }
}
