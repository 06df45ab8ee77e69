//! Tuples of statement parameters, as they are sent (dqlite, `src/tuple.h`, `src/bind.c`).
//!
//! A tuple is the number of values (one byte in schema 0, four in schema 1), one byte per value for its type,
//! padding to a word, then the values. With no values nothing is written at all: a server takes an exhausted
//! body for a tuple of none, and go-dqlite sends it so.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Timelike};
use uuid::Uuid;

use super::error::{Place, Problem, WireError};
use super::writer::Writer;
use super::{
    PARAMS_SCHEMA_U8, PARAMS_SCHEMA_U32, TYPE_BLOB, TYPE_BOOL, TYPE_FLOAT, TYPE_INT, TYPE_ISO_8601,
    TYPE_NULL, TYPE_TEXT,
};
use crate::value::ValueRef;

/// The schema that `count` parameters need: the oldest that can count them.
pub(crate) fn schema(count: usize) -> u8 {
    if count <= usize::from(u8::MAX) {
        PARAMS_SCHEMA_U8
    } else {
        PARAMS_SCHEMA_U32
    }
}

/// Writes a tuple in the layout of `schema`.
///
/// # Errors
/// More parameters than the schema can count, a text with a NUL inside, a year outside 0 to 9999.
pub(super) fn encode(
    writer: &mut Writer<'_>,
    schema: u8,
    params: &[ValueRef<'_>],
) -> Result<(), WireError> {
    if params.is_empty() {
        return Ok(());
    }
    let limit = match schema {
        PARAMS_SCHEMA_U8 => u64::from(u8::MAX),
        _ => u64::from(u32::MAX),
    };
    let count = params.len();
    match (schema, u8::try_from(count), u32::try_from(count)) {
        (PARAMS_SCHEMA_U8, Ok(count), _) => writer.u8(count),
        (PARAMS_SCHEMA_U32, _, Ok(count)) => writer.u32(count),
        (PARAMS_SCHEMA_U8 | PARAMS_SCHEMA_U32, ..) => {
            let problem = Problem::TooManyParams { count, limit };
            return Err(writer.error(Place::Field("parameters"), problem));
        }
        _ => {
            return Err(writer.error(Place::Field("schema"), Problem::UnknownSchema(schema)));
        }
    }
    for param in params {
        writer.u8(type_code(param));
    }
    writer.align();
    for (index, param) in params.iter().enumerate() {
        let place = Place::Item {
            field: "parameter",
            index,
        };
        value(writer, place, param)?;
    }
    Ok(())
}

/// The type a value is sent as; one without a type of its own goes as text.
pub(super) fn type_code(value: &ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => TYPE_NULL,
        ValueRef::Bool(_) => TYPE_BOOL,
        ValueRef::Int(_) => TYPE_INT,
        ValueRef::Float(_) => TYPE_FLOAT,
        ValueRef::Text(_) | ValueRef::Uuid(_) | ValueRef::Decimal(_) | ValueRef::Json(_) => {
            TYPE_TEXT
        }
        ValueRef::Blob(_) => TYPE_BLOB,
        ValueRef::Timestamp(_) | ValueRef::Date(_) => TYPE_ISO_8601,
    }
}

/// Writes one value without its type.
pub(super) fn value(
    writer: &mut Writer<'_>,
    place: Place,
    value: &ValueRef<'_>,
) -> Result<(), WireError> {
    match value {
        ValueRef::Null => writer.u64(0),
        ValueRef::Bool(value) => writer.u64(u64::from(*value)),
        ValueRef::Int(value) => writer.i64(*value),
        ValueRef::Float(value) => writer.f64(*value),
        ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Json(text) => {
            writer.text(place, text)?;
        }
        ValueRef::Blob(bytes) => writer.blob(bytes),
        ValueRef::Timestamp(time) => {
            let text = timestamp_text(time).map_err(|problem| writer.error(place, problem))?;
            writer.text(place, &text)?;
        }
        ValueRef::Date(date) => {
            let text = date_text(*date).map_err(|problem| writer.error(place, problem))?;
            writer.text(place, &text)?;
        }
        ValueRef::Uuid(uuid) => {
            let mut buffer = Uuid::encode_buffer();
            writer.text(place, uuid.hyphenated().encode_lower(&mut buffer))?;
        }
    }
    Ok(())
}

/// `YYYY-MM-DD HH:MM:SS±HH:MM`, with as many digits of a fraction as are needed; what go-dqlite writes.
///
/// An offset with seconds, which only times before the 20th century have, is cut to minutes: the text still
/// means the same instant.
fn timestamp_text(time: &DateTime<FixedOffset>) -> Result<String, Problem> {
    let minutes = time.offset().local_minus_utc() / 60;
    let time = match FixedOffset::east_opt(minutes * 60) {
        Some(offset) => time.with_timezone(&offset),
        None => *time,
    };
    let local = time.naive_local();
    let mut text = date_text(local.date())?;
    let nanosecond = local.nanosecond();
    // A leap second is counted by chrono in the nanoseconds of the second before it.
    let second = local.second() + nanosecond / 1_000_000_000;
    text.push_str(&format!(
        " {:02}:{:02}:{second:02}",
        local.hour(),
        local.minute()
    ));
    let fraction = nanosecond % 1_000_000_000;
    if fraction != 0 {
        let digits = format!(".{fraction:09}");
        text.push_str(digits.trim_end_matches('0'));
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
    Ok(text)
}

/// `YYYY-MM-DD`.
fn date_text(date: NaiveDate) -> Result<String, Problem> {
    match date.year() {
        year @ 0..=9999 => Ok(format!("{year:04}-{:02}-{:02}", date.month(), date.day())),
        year => Err(Problem::Year(year)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::error::Message;
    use crate::dqlite::wire::frame::Header;
    use crate::dqlite::wire::testing::words;
    use crate::dqlite::wire::writer::frame;

    fn body(schema: u8, params: &[ValueRef<'_>]) -> Result<Vec<u8>, WireError> {
        let mut out = Vec::new();
        frame(Message::Request(5), schema, &mut out, |writer| {
            writer.u64(0);
            encode(writer, schema, params)
        })?;
        Ok(out.split_off(Header::SIZE + 8))
    }

    fn time(text: &str) -> ValueRef<'static> {
        ValueRef::Timestamp(DateTime::parse_from_rfc3339(text).unwrap())
    }

    fn time_text(text: &str) -> String {
        let body = body(0, &[time(text)]).unwrap();
        assert_eq!(body[..8], *b"\x01\x0a\0\0\0\0\0\0");
        String::from_utf8(body[8..].to_vec())
            .unwrap()
            .trim_end_matches('\0')
            .into()
    }

    #[test]
    fn no_parameters_are_no_bytes() {
        assert_eq!(body(0, &[]), Ok(vec![]));
        assert_eq!(body(1, &[]), Ok(vec![]));
    }

    #[test]
    fn every_type_has_its_code_and_layout() {
        let uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_AABB_CCDD_EEFF);
        let date = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        let params = [
            ValueRef::Null,
            ValueRef::Bool(true),
            ValueRef::Int(-2),
            ValueRef::Float(1.5),
            ValueRef::Text("1234567"),
            ValueRef::Blob(b"\0\x01"),
            ValueRef::Date(date),
            ValueRef::Uuid(uuid),
            ValueRef::Decimal("1.10"),
            ValueRef::Json("{}"),
            ValueRef::Text(""),
            ValueRef::Text("12345678"),
        ];
        assert_eq!(
            body(0, &params).unwrap(),
            words(&[
                b"\x0c\x05\x0b\x01\x02\x03\x04\x0a",
                b"\x03\x03\x03\x03\x03\0\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"\x01\0\0\0\0\0\0\0",
                b"\xfe\xff\xff\xff\xff\xff\xff\xff",
                b"\0\0\0\0\0\0\xf8\x3f",
                b"1234567\0",
                b"\x02\0\0\0\0\0\0\0",
                b"\0\x01\0\0\0\0\0\0",
                b"2024-02-",
                b"29\0\0\0\0\0\0",
                b"00112233",
                b"-4455-66",
                b"77-8899-",
                b"aabbccdd",
                b"eeff\0\0\0\0",
                b"1.10\0\0\0\0",
                b"{}\0\0\0\0\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"12345678",
                b"\0\0\0\0\0\0\0\0",
            ])
        );
    }

    #[test]
    fn schema_1_counts_in_four_bytes() {
        let params = [ValueRef::Int(1), ValueRef::Null, ValueRef::Bool(false)];
        assert_eq!(
            body(1, &params).unwrap(),
            words(&[
                b"\x03\0\0\0\x01\x05\x0b\0",
                b"\x01\0\0\0\0\0\0\0",
                b"\0\0\0\0\0\0\0\0",
                b"\0\0\0\0\0\0\0\0",
            ])
        );
    }

    #[test]
    fn the_schema_follows_from_the_count() {
        assert_eq!([schema(0), schema(255), schema(256)], [0, 0, 1]);
        let params = [ValueRef::Null; 256];
        assert_eq!(body(0, &params[..255]).unwrap().len(), 256 + 255 * 8);
        assert_eq!(body(1, &params).unwrap().len(), 264 + 256 * 8);
        assert_eq!(
            body(0, &params).unwrap_err().to_string(),
            "request EXEC: parameters are 256, more than the 255 that can be sent"
        );
        assert_eq!(
            body(2, &params).unwrap_err().to_string(),
            "request EXEC: schema is 2, which is not known"
        );
    }

    #[test]
    fn timestamps_are_written_with_the_fraction_they_need() {
        let cases = [
            ("2024-05-06T07:08:09Z", "2024-05-06 07:08:09+00:00"),
            ("2024-05-06T07:08:09.5+02:00", "2024-05-06 07:08:09.5+02:00"),
            (
                "2024-05-06T07:08:09.000000001-03:30",
                "2024-05-06 07:08:09.000000001-03:30",
            ),
            (
                "0001-01-01T00:00:00.100-00:30",
                "0001-01-01 00:00:00.1-00:30",
            ),
            ("2016-12-31T23:59:60.25Z", "2016-12-31 23:59:60.25+00:00"),
        ];
        for (given, written) in cases {
            assert_eq!(time_text(given), written);
        }
    }

    #[test]
    fn an_offset_with_seconds_keeps_its_instant() {
        let amsterdam = FixedOffset::east_opt(19 * 60 + 32).unwrap();
        let time = DateTime::parse_from_rfc3339("1930-01-01T00:00:00Z")
            .unwrap()
            .with_timezone(&amsterdam);
        assert_eq!(timestamp_text(&time).unwrap(), "1930-01-01 00:19:00+00:19");
    }

    #[test]
    fn what_the_wire_cannot_carry_names_the_parameter() {
        let nul = [ValueRef::Int(1), ValueRef::Json("a\0b")];
        assert_eq!(
            body(0, &nul).unwrap_err().to_string(),
            "request EXEC: parameter 2 has a NUL after 1 bytes, which the protocol would end the text \
             at; a blob can carry it"
        );
        let date = ValueRef::Date(NaiveDate::from_ymd_opt(10_000, 1, 1).unwrap());
        assert_eq!(
            body(0, &[date]).unwrap_err().to_string(),
            "request EXEC: parameter 1 is in the year 10000; its text can carry the years 0 to 9999"
        );
    }
}
