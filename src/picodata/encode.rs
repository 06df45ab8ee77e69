//! From a value to the form that the server's parameter takes.
//!
//! What the server has named the type of is sent in binary. Text is parsed here where the type has a form of
//! its own, so that a fault is told with the parameter's number, before anything is sent. For a type that this
//! library does not know, or that the server has left open, the value goes as text and the server reads it.

use std::fmt;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeZone, Utc};
use tokio_postgres::types::{Kind, Type};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::array;
use crate::picodata::decode::{EPOCH_DAYS, EPOCH_MICROS};
use crate::picodata::numeric::{self, NumericError};
use crate::picodata::options::Server;
use crate::time;
use crate::value::ValueRef;

/// A parameter of a statement. It cannot be shown: its value is nobody else's business.
pub(crate) struct Param<'a> {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) value: ValueRef<'a>,
}

/// Numbers the parameters.
pub(crate) fn numbered<'a>(
    values: &'a [ValueRef<'a>],
) -> impl ExactSizeIterator<Item = Param<'a>> + Clone {
    values.iter().enumerate().map(|(index, value)| Param {
        number: index + 1,
        value: *value,
    })
}

impl Param<'_> {
    /// Appends the value as a parameter of type `kind` takes it; false for NULL.
    pub(crate) fn encode(&self, kind: &Type, server: Server, out: &mut Vec<u8>) -> Result<bool> {
        write_value(self.value, base(kind), server, out)
            .map_err(|error| error.context(format_args!("parameter {}", self.number)))
    }
}

/// Fails where a server would take a double for another number.
///
/// Picodata takes one without a fraction for an integer of 64 bits, also where it is larger than those are, or so near
/// to 0 that its fraction counts for none (`From<f64>` in sql-planner's `ir/value.rs`, 25.5 to 26.3): 1e300 was stored as
/// 9223372036854775807, and 1e-20 as 0.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] names the parameter and what to write instead.
pub(crate) fn check_doubles<'t>(
    server: Server,
    types: impl Iterator<Item = &'t Type>,
    values: &[ValueRef<'_>],
) -> Result<()> {
    if server != Server::Picodata {
        return Ok(());
    }
    for (param, kind) in numbered(values).zip(types) {
        check_double(param.value, base(kind), server)
            .map_err(|error| error.context(format_args!("parameter {}", param.number)))?;
    }
    Ok(())
}

/// As [`check_doubles`], of one value for the type `kind`.
pub(super) fn check_double(value: ValueRef<'_>, kind: &Type, server: Server) -> Result<()> {
    let double = match (value, kind) {
        _ if server != Server::Picodata => return Ok(()),
        // As a decimal number it loses nothing.
        (ValueRef::Float(_), &Type::NUMERIC) => return Ok(()),
        (ValueRef::Float(double), _) => double,
        (ValueRef::Text(text) | ValueRef::Decimal(text), &Type::FLOAT8) => {
            text.parse().unwrap_or_default()
        }
        _ => return Ok(()),
    };
    if !is_taken_for_another(double) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "picodata would take {double:e} for {}; write it into the statement, as '{double:e}'::double",
            double as i64
        ),
    ))
}

fn is_taken_for_another(double: f64) -> bool {
    double.is_normal() && double.fract().abs() < f64::EPSILON && double as i64 as f64 != double
}

// The codes of the formats of a value (PostgreSQL's manual, "Message Formats").
pub(crate) const TEXT: i16 = 0;
pub(crate) const BINARY: i16 = 1;

/// The code of the format in which values of a type are sent; but see [`array::parameter::literal`].
pub(crate) fn format_of(kind: &Type, server: Server) -> i16 {
    if is_binary(base(kind)) && !is_decimal_text(kind, server) {
        BINARY
    } else {
        TEXT
    }
}

/// Whether values of a type are arrays that go in binary.
pub(crate) fn is_binary_array(kind: &Type, server: Server) -> bool {
    array::element_of(base(kind)).is_some() && format_of(kind, server) == BINARY
}

/// Whether numbers of the type, or of an array of it, go as text, both ways: Picodata reads and writes the binary form
/// with 28 digits of the 38 that it has (rust_decimal in its `pgproto/value.rs`, 25.5 to 26.3). Of a parameter it lost the
/// others without a word, and a row that had them was an error.
pub(crate) fn is_decimal_text(kind: &Type, server: Server) -> bool {
    let kind = base(kind);
    server == Server::Picodata && *base(array::element_of(kind).unwrap_or(kind)) == Type::NUMERIC
}

/// The type beneath a domain.
pub(super) fn base(kind: &Type) -> &Type {
    match kind.kind() {
        Kind::Domain(inner) => base(inner),
        _ => kind,
    }
}

/// Whether values of the type are sent in binary.
fn is_binary(kind: &Type) -> bool {
    match array::element_of(kind) {
        // There, the first subscript has to be 0.
        _ if matches!(*kind, Type::INT2_VECTOR | Type::OID_VECTOR) => false,
        Some(element) => has_binary_form(base(element)),
        None => has_binary_form(kind),
    }
}

fn has_binary_form(kind: &Type) -> bool {
    matches!(
        *kind,
        Type::BOOL
            | Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::OID
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::NUMERIC
            | Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::BYTEA
            | Type::TIMESTAMP
            | Type::TIMESTAMPTZ
            | Type::DATE
            | Type::UUID
            | Type::JSON
            | Type::JSONB
    )
}

pub(super) fn write_value(
    value: ValueRef<'_>,
    kind: &Type,
    server: Server,
    out: &mut Vec<u8>,
) -> Result<bool> {
    if value.is_null() {
        return Ok(false);
    }
    match *kind {
        Type::BOOL => out.push(u8::from(to_bool(value, kind)?)),
        Type::INT2 => out.extend_from_slice(&to_int::<i16>(value, kind)?.to_be_bytes()),
        Type::INT4 => out.extend_from_slice(&to_int::<i32>(value, kind)?.to_be_bytes()),
        Type::INT8 => out.extend_from_slice(&to_int::<i64>(value, kind)?.to_be_bytes()),
        Type::OID => out.extend_from_slice(&to_int::<u32>(value, kind)?.to_be_bytes()),
        Type::FLOAT4 => out.extend_from_slice(&to_float4(value, kind)?.to_be_bytes()),
        Type::FLOAT8 => out.extend_from_slice(&to_float(value, kind)?.to_be_bytes()),
        Type::NUMERIC => write_numeric(value, kind, server, out)?,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => write_text(value, kind, out)?,
        Type::BYTEA => match value {
            ValueRef::Blob(bytes) => out.extend_from_slice(bytes),
            other => return mismatch(other, kind),
        },
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            out.extend_from_slice(&to_micros(value, kind)?.to_be_bytes())
        }
        Type::DATE => out.extend_from_slice(&to_days(value, kind)?.to_be_bytes()),
        Type::UUID => out.extend_from_slice(to_uuid(value, kind)?.as_bytes()),
        Type::JSON => out.extend_from_slice(to_json(value, kind)?.as_bytes()),
        Type::JSONB => {
            // The version of the form, the only one there is.
            out.push(1);
            out.extend_from_slice(to_json(value, kind)?.as_bytes());
        }
        _ => match array::element_of(kind) {
            Some(element) => {
                let is_binary = format_of(kind, server) == BINARY;
                array::parameter::encode(value, kind, element, is_binary, server, out)?;
            }
            None => write_as_text(value, out),
        },
    }
    Ok(true)
}

pub(super) fn mismatch<T>(value: ValueRef<'_>, kind: &Type) -> Result<T> {
    Err(misuse(format!(
        "the statement takes {}, and a value of type {} was given",
        array::Name(kind),
        value.type_name()
    )))
}

pub(super) fn misuse(message: String) -> Error {
    Error::new(ErrorKind::Misuse, message)
}

/// The error of a text that does not spell a value of the type. The text is not repeated: it may be secret.
fn not_a(kind: &Type) -> Error {
    misuse(format!("the text is no {}", kind.name()))
}

pub(super) fn out_of_range(value: impl fmt::Display, kind: &Type) -> Error {
    misuse(format!("{value} is out of the range of {}", kind.name()))
}

fn to_bool(value: ValueRef<'_>, kind: &Type) -> Result<bool> {
    match value {
        ValueRef::Bool(value) => Ok(value),
        ValueRef::Int(0) => Ok(false),
        ValueRef::Int(1) => Ok(true),
        ValueRef::Int(other) => Err(out_of_range(other, kind)),
        other => mismatch(other, kind),
    }
}

fn to_int<T: TryFrom<i64>>(value: ValueRef<'_>, kind: &Type) -> Result<T> {
    let wide = match value {
        ValueRef::Int(value) => value,
        ValueRef::Text(text) | ValueRef::Decimal(text) => text.parse().map_err(|_| not_a(kind))?,
        other => return mismatch(other, kind),
    };
    T::try_from(wide).map_err(|_| out_of_range(wide, kind))
}

/// The largest integer up to which every integer is a 64-bit float.
const EXACT_IN_F64: u64 = 1 << 53;

fn to_float(value: ValueRef<'_>, kind: &Type) -> Result<f64> {
    match value {
        ValueRef::Float(value) => Ok(value),
        ValueRef::Int(value) if value.unsigned_abs() <= EXACT_IN_F64 => Ok(value as f64),
        ValueRef::Int(value) => Err(misuse(format!(
            "{value} loses digits as {}; give a float",
            kind.name()
        ))),
        ValueRef::Text(text) | ValueRef::Decimal(text) => {
            let value: f64 = text.parse().map_err(|_| not_a(kind))?;
            // A number that is too large is read as an infinite one.
            if value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
                return Err(out_of_range("the number", kind));
            }
            Ok(value)
        }
        other => mismatch(other, kind),
    }
}

fn to_float4(value: ValueRef<'_>, kind: &Type) -> Result<f32> {
    let wide = to_float(value, kind)?;
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() {
        return Err(out_of_range(wide, kind));
    }
    Ok(narrow)
}

fn write_numeric(
    value: ValueRef<'_>,
    kind: &Type,
    server: Server,
    out: &mut Vec<u8>,
) -> Result<()> {
    let encode = |text: &str, out: &mut Vec<u8>| {
        let encoded = if is_decimal_text(kind, server) {
            // The digits are hashed as they come: 1E+3 would have another bucket than 1000, and be a second row.
            numeric::check_for_picodata(text).and_then(|()| numeric::plain(text, out))
        } else {
            numeric::encode(text, out)
        };
        encoded.map_err(|error| match error {
            NumericError::Malformed => not_a(kind),
            NumericError::TooLarge => misuse(format!(
                "the number has more digits than {} can hold",
                kind.name()
            )),
        })
    };
    match value {
        ValueRef::Int(value) => encode(&value.to_string(), out),
        // The shortest text that reads back as the same number.
        ValueRef::Float(value) => encode(&value.to_string(), out),
        ValueRef::Decimal(text) | ValueRef::Text(text) => encode(text, out),
        other => mismatch(other, kind),
    }
}

fn write_text(value: ValueRef<'_>, kind: &Type, out: &mut Vec<u8>) -> Result<()> {
    let value = match value {
        ValueRef::Int(_) | ValueRef::Float(_) | ValueRef::Bool(_) => return mismatch(value, kind),
        ValueRef::Blob(bytes) => ValueRef::Text(utf8(bytes, kind)?),
        other => other,
    };
    if let ValueRef::Text(text) = value
        && let Some(at) = text.find('\0')
    {
        return Err(misuse(format!(
            "the text has a nul at byte {at}, which {} cannot hold",
            kind.name()
        )));
    }
    write_as_text(value, out);
    Ok(())
}

fn to_micros(value: ValueRef<'_>, kind: &Type) -> Result<i64> {
    let time = match value {
        ValueRef::Timestamp(time) => time,
        ValueRef::Date(date) => midnight(date),
        ValueRef::Text("infinity") => return Ok(i64::MAX),
        ValueRef::Text("-infinity") => return Ok(i64::MIN),
        ValueRef::Text(text) => time::parse_timestamp(text).ok_or_else(|| not_a(kind))?,
        other => return mismatch(other, kind),
    };
    time.timestamp_micros()
        .checked_sub(EPOCH_MICROS)
        .ok_or_else(|| out_of_range(time, kind))
}

fn to_days(value: ValueRef<'_>, kind: &Type) -> Result<i32> {
    let date = match value {
        ValueRef::Date(date) => date,
        ValueRef::Timestamp(time) if time.time() == NaiveTime::MIN => time.date_naive(),
        ValueRef::Text("infinity") => return Ok(i32::MAX),
        ValueRef::Text("-infinity") => return Ok(i32::MIN),
        ValueRef::Text(text) => NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map_err(|error| not_a(kind).with_source(error))?,
        ValueRef::Timestamp(_) => {
            return Err(misuse(format!(
                "the timestamp has a time of day, which {} cannot hold",
                kind.name()
            )));
        }
        other => return mismatch(other, kind),
    };
    i32::try_from(time::unix_days(date) - i64::from(EPOCH_DAYS))
        .map_err(|_| out_of_range(date, kind))
}

fn to_uuid(value: ValueRef<'_>, kind: &Type) -> Result<Uuid> {
    match value {
        ValueRef::Uuid(uuid) => Ok(uuid),
        ValueRef::Text(text) => {
            Uuid::parse_str(text).map_err(|error| not_a(kind).with_source(error))
        }
        ValueRef::Blob(bytes) => {
            Uuid::from_slice(bytes).map_err(|error| misuse(format!("no uuid: {error}")))
        }
        other => mismatch(other, kind),
    }
}

fn to_json<'a>(value: ValueRef<'a>, kind: &Type) -> Result<&'a str> {
    match value {
        ValueRef::Json(text) | ValueRef::Text(text) => Ok(text),
        ValueRef::Blob(bytes) => utf8(bytes, kind),
        other => mismatch(other, kind),
    }
}

/// The text in a blob. What encodes JSON or text answers bytes in many languages, and Picodata has no type for bytes that
/// could be meant instead.
fn utf8<'a>(bytes: &'a [u8], kind: &Type) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        misuse(format!(
            "the statement takes {}, and the blob is not UTF-8 at byte {}",
            kind.name(),
            error.valid_up_to()
        ))
    })
}

fn midnight(date: NaiveDate) -> DateTime<FixedOffset> {
    Utc.from_utc_datetime(&date.and_time(NaiveTime::MIN))
        .fixed_offset()
}

/// Appends the text that the server reads as the same value.
pub(super) fn write_as_text(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ValueRef::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
        ValueRef::Float(value) => {
            let text = match value {
                f64::INFINITY => "Infinity".to_owned(),
                f64::NEG_INFINITY => "-Infinity".to_owned(),
                // Picodata tells a float from an integer by its point.
                value => format!("{value:?}"),
            };
            out.extend_from_slice(text.as_bytes());
        }
        ValueRef::Decimal(text) if numeric::plain(text, out).is_ok() => {}
        ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Json(text) => {
            out.extend_from_slice(text.as_bytes());
        }
        ValueRef::Blob(bytes) => {
            out.extend_from_slice(b"\\x");
            for byte in bytes {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
        }
        ValueRef::Timestamp(time) => out.extend_from_slice(time.to_rfc3339().as_bytes()),
        ValueRef::Date(date) => out.extend_from_slice(date.to_string().as_bytes()),
        ValueRef::Uuid(uuid) => out.extend_from_slice(uuid.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(value: ValueRef<'_>, kind: &Type) -> Result<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let param = Param { number: 3, value };
        let is_some = param.encode(kind, Server::Postgres, &mut out)?;
        Ok(is_some.then_some(out))
    }

    #[test]
    fn an_integer_takes_the_width_of_its_parameter() {
        let int = ValueRef::Int(-2);
        for (kind, expected) in [
            (Type::INT2, &[0xff, 0xfe][..]),
            (Type::INT4, &[0xff, 0xff, 0xff, 0xfe]),
            (
                Type::INT8,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe],
            ),
            (Type::FLOAT4, &[0xc0, 0, 0, 0]),
            (Type::NUMERIC, &[0, 1, 0, 0, 0x40, 0, 0, 0, 0, 2]),
            (Type::UNKNOWN, b"-2"),
            (Type::INTERVAL, b"-2"),
        ] {
            assert_eq!(encode(int, &kind).unwrap().unwrap(), expected, "{kind}");
        }
        assert_eq!(encode(ValueRef::Null, &Type::INT4).unwrap(), None);
    }

    #[test]
    fn picodata_is_given_no_double_that_it_takes_for_another() {
        fn check(value: ValueRef<'_>, kind: Type) -> Result<()> {
            let values = [ValueRef::Null, value];
            check_doubles(Server::Picodata, [Type::INT8, kind].iter(), &values)
        }
        let two_to_the_63 = 9_223_372_036_854_775_808.0;
        for double in [
            1e19,
            -1e300,
            f64::MAX,
            1e-17,
            f64::MIN_POSITIVE,
            two_to_the_63 * 1.5,
        ] {
            let error = check(ValueRef::Float(double), Type::FLOAT8).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().starts_with("parameter 2: "), "{error}");
            let text = double.to_string();
            assert!(check(ValueRef::Text(&text), Type::FLOAT8).is_err());
            assert!(check(ValueRef::Float(double), Type::UNKNOWN).is_err());
            check(ValueRef::Float(double), Type::NUMERIC).unwrap();
            check(ValueRef::Text(&text), Type::TEXT).unwrap();
            let values = [ValueRef::Float(double)];
            check_doubles(Server::Postgres, [Type::FLOAT8].iter(), &values).unwrap();
        }
        for double in [
            0.0,
            -0.0,
            0.1,
            1.5,
            1e18,
            -two_to_the_63,
            4_503_599_627_370_497.5,
            1e-15,
            5e-324,
            f64::INFINITY,
            f64::NAN,
        ] {
            check(ValueRef::Float(double), Type::FLOAT8).unwrap();
        }
        assert!(check(ValueRef::Text("no number"), Type::FLOAT8).is_ok());
    }

    #[test]
    fn what_does_not_fit_names_its_parameter() {
        for (value, kind, part) in [
            (
                ValueRef::Int(40_000),
                Type::INT2,
                "40000 is out of the range of int2",
            ),
            (
                ValueRef::Int(1 << 40),
                Type::INT4,
                "out of the range of int4",
            ),
            (ValueRef::Int(-1), Type::OID, "out of the range of oid"),
            (ValueRef::Int(i64::MAX), Type::FLOAT8, "loses digits"),
            (ValueRef::Int(2), Type::BOOL, "out of the range of bool"),
            (ValueRef::Float(1e300), Type::FLOAT4, "out of the range"),
            (
                ValueRef::Text("1e400"),
                Type::FLOAT8,
                "out of the range of float8",
            ),
            (
                ValueRef::Decimal("-1e400"),
                Type::FLOAT4,
                "out of the range of float4",
            ),
            (ValueRef::Float(1.0), Type::INT4, "takes int4"),
            (ValueRef::Int(1), Type::TEXT, "takes text"),
            (ValueRef::Text("x"), Type::INT8, "no int8"),
            (ValueRef::Text("x"), Type::UUID, "no uuid"),
            (ValueRef::Text("x"), Type::NUMERIC, "no numeric"),
            (ValueRef::Text("1e999999"), Type::NUMERIC, "more digits"),
            (ValueRef::Text("x"), Type::TIMESTAMPTZ, "no timestamptz"),
            (ValueRef::Text("2024-02-30"), Type::DATE, "no date"),
            (ValueRef::Text("a\0b"), Type::TEXT, "nul at byte 1"),
            (ValueRef::Bool(true), Type::JSON, "takes json"),
            (ValueRef::Blob(b"a\xff"), Type::TEXT, "UTF-8 at byte 1"),
            (ValueRef::Blob(b"a\0b"), Type::TEXT, "nul at byte 1"),
            (ValueRef::Blob(b"\xff"), Type::JSONB, "UTF-8 at byte 0"),
            (ValueRef::Text("x"), Type::BYTEA, "takes bytea"),
        ] {
            let error = encode(value, &kind).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
            assert!(error.message().starts_with("parameter 3: "), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn a_blob_stands_for_the_text_in_it() {
        let blob = ValueRef::Blob(b"{}");
        for (kind, expected) in [
            (Type::TEXT, &b"{}"[..]),
            (Type::VARCHAR, b"{}"),
            (Type::JSON, b"{}"),
            (Type::JSONB, b"\x01{}"),
            (Type::BYTEA, b"{}"),
            (Type::UNKNOWN, b"\\x7b7d"),
        ] {
            assert_eq!(encode(blob, &kind).unwrap().unwrap(), expected, "{kind}");
        }
    }

    /// Picodata hashes a decimal number as it comes, and has another row for each of its forms.
    #[test]
    fn a_decimal_number_goes_in_plain_digits() {
        for (text, plain) in [
            ("1E+3", "1000"),
            ("+1.50", "1.50"),
            ("15e-1", "1.5"),
            ("-0", "0"),
        ] {
            for kind in [Type::NUMERIC, Type::UNKNOWN] {
                let (mut out, value) = (Vec::new(), ValueRef::Decimal(text));
                let param = Param { number: 1, value };
                assert!(param.encode(&kind, Server::Picodata, &mut out).unwrap());
                assert_eq!(out, plain.as_bytes(), "{text} as {kind}");
            }
        }
    }

    #[test]
    fn every_value_has_a_text() {
        let date = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        for (value, expected) in [
            (ValueRef::Bool(true), "true"),
            (ValueRef::Float(1.0), "1.0"),
            (ValueRef::Float(f64::NAN), "NaN"),
            (ValueRef::Float(f64::NEG_INFINITY), "-Infinity"),
            (ValueRef::Blob(&[0, 0xab]), "\\x00ab"),
            (ValueRef::Date(date), "2024-02-29"),
            (
                ValueRef::Timestamp(midnight(date)),
                "2024-02-29T00:00:00+00:00",
            ),
            (
                ValueRef::Uuid(Uuid::nil()),
                "00000000-0000-0000-0000-000000000000",
            ),
            (ValueRef::Json("{}"), "{}"),
        ] {
            assert_eq!(
                encode(value, &Type::UNKNOWN).unwrap().unwrap(),
                expected.as_bytes()
            );
        }
    }
}
