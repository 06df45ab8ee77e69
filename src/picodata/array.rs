//! Arrays, which are JSON to the program: a column of them comes as a JSON array, and a [`parameter`] takes one.
//!
//! Source of the binary form: `src/backend/utils/adt/arrayfuncs.c` of PostgreSQL, array_send and array_recv. The number of
//! dimensions, whether there are NULLs, and the element's type, each of 32 bits; of each dimension the length and the
//! lower bound; then the elements, the last dimension first, each with its length, -1 for NULL. JSON has no lower bounds:
//! they are not read, and sent as 1.

pub(super) mod parameter;

use std::fmt::{self, Display};
use std::iter::repeat_n;

use chrono::{Datelike, NaiveDate};
use serde_json::value::RawValue;
use tokio_postgres::types::{Kind, Type};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::decode::{EPOCH_MICROS, Form, read_element};
use crate::picodata::encode::write_as_text;
use crate::picodata::numeric;
use crate::row::{Cell, Span};
use crate::time;
use crate::value::ValueRef;

/// The most dimensions of an array (MAXDIM in PostgreSQL's `src/include/utils/array.h`).
const MAX_DIMENSIONS: usize = 6;

/// What the elements of an array are, and how they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element {
    /// The number of their type, which each array repeats.
    oid: u32,
    form: &'static Form,
}

/// The forms that elements may have.
static FORMS: [Form; 16] = [
    Form::Bool,
    Form::Int2,
    Form::Int4,
    Form::Int8,
    Form::Oid,
    Form::Float4,
    Form::Float8,
    Form::Text,
    Form::Blob,
    Form::Numeric,
    Form::Timestamp,
    Form::Date,
    Form::Time,
    Form::Uuid,
    Form::Json,
    Form::Jsonb,
];

impl Element {
    /// The elements of the type `oid`, whose values have the form `form`; `None` where that is no form of an element.
    pub(crate) fn new(oid: u32, form: Form) -> Option<Element> {
        let form = FORMS.iter().find(|known| **known == form)?;
        Some(Element { oid, form })
    }
}

/// The type of the elements, where `kind` is an array.
pub(crate) fn element_of(kind: &Type) -> Option<&Type> {
    match kind.kind() {
        Kind::Array(element) => Some(element),
        _ => None,
    }
}

/// The name of a type; that of an array has its element's in it, as in SQL.
pub(crate) struct Name<'a>(pub(crate) &'a Type);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match element_of(self.0) {
            Some(element) => write!(f, "{}", with_brackets(element)),
            None => self.0.fmt(f),
        }
    }
}

/// The name of an array whose elements are of the type called `element`.
pub(crate) fn with_brackets(element: impl Display) -> String {
    format!("{element}[]")
}

/// Appends the JSON of an array in binary. `out` may get as long as `limit`.
///
/// # Errors
///
/// [`ErrorKind::Protocol`]: it is malformed, its elements are of another type than was announced, or it is too large.
#[inline(never)]
pub(crate) fn write_json(
    element: Element,
    bytes: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let (sizes, oid, mut rest) = header(bytes).ok_or_else(malformed)?;
    if oid != element.oid {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "an array has elements of type {oid} where {} was announced",
                element.oid
            ),
        ));
    }
    let count = sizes.first().copied().unwrap_or(0);
    if count == 0 {
        out.extend_from_slice(b"[]");
    }
    let mut scratch = Vec::new();
    for index in 0..count {
        if index > 0 {
            out.push(b',');
        }
        out.extend(repeat_n(b'[', bounds_at(&sizes, index)));
        let (len, behind) = take(rest).ok_or_else(malformed)?;
        rest = behind;
        match i32::from_be_bytes(len) {
            -1 => out.extend_from_slice(b"null"),
            len => {
                let len = usize::try_from(len).map_err(|_| malformed())?;
                let (value, behind) = rest.split_at_checked(len).ok_or_else(malformed)?;
                rest = behind;
                if value.len() > limit {
                    return Err(too_large());
                }
                write_element(*element.form, value, &mut scratch, out)?;
            }
        }
        out.extend(repeat_n(b']', bounds_at(&sizes, index + 1)));
        if out.len() > limit {
            return Err(too_large());
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(malformed())
    }
}

/// What an array begins with: how many elements there are in each dimension and those within it (none where the array is
/// empty), the number of their type, and what is behind. `None` where it is malformed, or has fewer bytes than that many
/// elements have.
fn header(bytes: &[u8]) -> Option<(Vec<usize>, u32, &[u8])> {
    let (dimensions, rest) = take(bytes)?;
    let (has_null, rest) = take(rest)?;
    let (oid, mut rest) = take(rest)?;
    let dimensions = usize::try_from(u32::from_be_bytes(dimensions)).ok()?;
    if dimensions > MAX_DIMENSIONS || u32::from_be_bytes(has_null) > 1 {
        return None;
    }
    let mut lens = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        let (len, behind) = take(rest)?;
        let (_, behind) = take(behind)?;
        lens.push(usize::try_from(i32::from_be_bytes(len)).ok()?);
        rest = behind;
    }
    let sizes = sizes(&lens)?;
    let least = sizes.first().unwrap_or(&0).checked_mul(LEN)?;
    (least <= rest.len()).then_some((sizes, u32::from_be_bytes(oid), rest))
}

/// How many elements there are in each dimension, of these lengths, and those within it; none where the array is empty.
/// `None` where there are too many.
fn sizes(lens: &[usize]) -> Option<Vec<usize>> {
    let mut sizes = lens.to_vec();
    let mut size = 1_usize;
    for place in sizes.iter_mut().rev() {
        size = size.checked_mul(*place)?;
        *place = size;
    }
    if size == 0 {
        sizes.clear();
    }
    Some(sizes)
}

/// How many brackets there are before the element at `index`: one for each dimension that begins there, or has ended.
fn bounds_at(sizes: &[usize], index: usize) -> usize {
    sizes
        .iter()
        .filter(|size| index.is_multiple_of(**size))
        .count()
}

/// The bytes of a length.
const LEN: usize = size_of::<i32>();

fn take(bytes: &[u8]) -> Option<([u8; LEN], &[u8])> {
    let (taken, rest) = bytes.split_first_chunk()?;
    Some((*taken, rest))
}

#[cold]
fn malformed() -> Error {
    Error::new(ErrorKind::Protocol, "an array is malformed")
}

#[cold]
fn too_large() -> Error {
    Error::new(ErrorKind::Protocol, "an array is too large")
}

fn write_element(form: Form, bytes: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
    scratch.clear();
    let cell = read_element(form, bytes, scratch)?;
    let data = if scratch.is_empty() { bytes } else { scratch };
    let part = |span: Span| {
        let start = span.start as usize;
        data.get(start..start + span.len as usize)
            .unwrap_or_default()
    };
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Bool(value) => write_as_text(ValueRef::Bool(value), out),
        Cell::Int(value) => write_as_text(ValueRef::Int(value), out),
        Cell::Float(value) if value.is_finite() => write_as_text(ValueRef::Float(value), out),
        Cell::Float(value) => write_string(&text_of(ValueRef::Float(value)), out),
        Cell::Json(span) => out.extend_from_slice(part(span)),
        Cell::Decimal(span) => write_number(part(span), out),
        Cell::Text(span) | Cell::TimeText(span) => write_string(part(span), out),
        Cell::Blob(span) => write_string(&text_of(ValueRef::Blob(part(span))), out),
        Cell::Uuid(span) => {
            let uuid = Uuid::from_slice(part(span)).map_err(|_| malformed())?;
            write_string(&text_of(ValueRef::Uuid(uuid)), out);
        }
        // The cell may hold less than the server.
        Cell::Timestamp(_) | Cell::UnixTime(_) => {
            let micros = bytes.try_into().map(i64::from_be_bytes);
            let micros = i128::from(micros.map_err(|_| malformed())?);
            write_string(&timestamp(micros + i128::from(EPOCH_MICROS)), out);
        }
        Cell::Date(days) => write_string(&date(days), out),
    }
    Ok(())
}

fn text_of(value: ValueRef<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    write_as_text(value, &mut text);
    text
}

/// A decimal number; JSON has none that is infinite or no number.
fn write_number(text: &[u8], out: &mut Vec<u8>) {
    if text.last().is_some_and(u8::is_ascii_digit) {
        out.extend_from_slice(text);
    } else {
        write_string(text, out);
    }
}

/// A text; where it is no UTF-8, neither is the JSON, which is told when that is read, as it is of a text alone.
fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// After this many days the calendar begins anew, and this many years have passed.
const CYCLE_DAYS: i32 = 146_097;
const CYCLE_YEARS: i128 = 400;
const DAY_MICROS: i128 = 86_400_000_000;

/// The text of a timestamp, in microseconds since 1970, also of a year that a value of its own could not hold.
fn timestamp(micros: i128) -> Vec<u8> {
    let time = |micros: i128| time::from_unix_micros(i64::try_from(micros).ok()?);
    if let Some(time) = time(micros) {
        return text_of(ValueRef::Timestamp(time));
    }
    let cycle = i128::from(CYCLE_DAYS) * DAY_MICROS;
    let like = time(micros.rem_euclid(cycle)).unwrap_or_default();
    let text = text_of(ValueRef::Timestamp(like));
    in_year(like.date_naive(), micros.div_euclid(cycle), &text)
}

/// The text of a date, in days since 1970, as [`timestamp`].
fn date(days: i32) -> Vec<u8> {
    if let Some(date) = time::from_unix_days(days) {
        return text_of(ValueRef::Date(date));
    }
    let like = time::from_unix_days(days.rem_euclid(CYCLE_DAYS)).unwrap_or_default();
    let text = text_of(ValueRef::Date(like));
    in_year(like, days.div_euclid(CYCLE_DAYS).into(), &text)
}

/// A text that begins with a year of four digits, so many cycles later.
fn in_year(like: NaiveDate, cycles: i128, text: &[u8]) -> Vec<u8> {
    let year = i128::from(like.year()) + cycles * CYCLE_YEARS;
    let mut later = format!("{year:+}").into_bytes();
    later.extend_from_slice(text.get(4..).unwrap_or_default());
    later
}

/// Appends the JSON of an array of decimal numbers that has come as text, such as `{1.5,NULL}`.
///
/// # Errors
///
/// As [`write_json`].
#[inline(never)]
pub(crate) fn write_json_of_decimals(text: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    if text.first() != Some(&b'{') {
        return Err(malformed());
    }
    let mut rest = text;
    while let Some(byte) = rest.first() {
        let is_mark = |byte: &u8| b"{},".contains(byte);
        let len = rest.iter().position(is_mark).unwrap_or(rest.len());
        let (taken, behind) = rest.split_at(len.max(1));
        rest = behind;
        match byte {
            b'{' => out.push(b'['),
            b'}' => out.push(b']'),
            b',' => out.push(b','),
            _ => write_decimal(taken, out).ok_or_else(malformed)?,
        }
        if out.len() > limit {
            return Err(too_large());
        }
    }
    // Commas and brackets are where JSON has them.
    match serde_json::from_slice::<&RawValue>(out.get(start..).unwrap_or_default()) {
        Ok(_) => Ok(()),
        Err(error) => Err(malformed().with_source(error)),
    }
}

fn write_decimal(item: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if item == b"NULL" {
        out.extend_from_slice(b"null");
        return Some(());
    }
    let item = match item {
        [b'"', item @ .., b'"'] => item,
        item => item,
    };
    let mut number = Vec::new();
    numeric::plain(std::str::from_utf8(item).ok()?, &mut number).ok()?;
    write_number(&number, out);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(kind: &Type) -> Element {
        Element::new(kind.oid(), Form::of(kind).unwrap()).unwrap()
    }

    fn read(kind: &Type, bytes: &[u8]) -> Result<String> {
        let mut out = b"before".to_vec();
        write_json(element(kind), bytes, 1 << 20, &mut out)?;
        let text = String::from_utf8(out).unwrap();
        Ok(text.strip_prefix("before").unwrap().to_owned())
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    const NULL: u32 = u32::MAX;

    /// What `SELECT '{{1,NULL},{3,4}}'::int4[]` sent over the wire, from a PostgreSQL 15.
    const TWO_BY_TWO: [u32; 14] = [2, 1, 23, 2, 1, 2, 1, 4, 1, NULL, 4, 3, 4, 4];

    #[test]
    fn the_servers_own_bytes() {
        let int4 = &Type::INT4;
        assert_eq!(read(int4, &words(&TWO_BY_TWO)).unwrap(), "[[1,null],[3,4]]");
        assert_eq!(read(int4, &words(&[0, 0, 23])).unwrap(), "[]");
        // As Picodata writes an empty one.
        assert_eq!(read(int4, &words(&[1, 0, 23, 0, 1])).unwrap(), "[]");
        assert_eq!(read(int4, &words(&[2, 0, 23, 3, 1, 0, 1])).unwrap(), "[]");
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let good = words(&TWO_BY_TWO);
        let mut faulty: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
        faulty.push([good.as_slice(), b"!"].concat());
        for (at, word) in [
            // More dimensions than there may be, no flag, another type.
            (0, 7),
            (0, u32::MAX),
            (1, 2),
            (2, 25),
            // Lengths: negative, larger than what follows, of a product that overflows, of none.
            (3, NULL),
            (3, 3),
            (3, i32::MAX as u32),
            (3, 0),
            (5, 1),
            // An element of another length than its type, longer than the message, or of a negative one.
            (7, 3),
            (7, 5),
            (7, i32::MAX as u32),
            (7, -2_i32 as u32),
        ] {
            let mut words_ = TWO_BY_TWO;
            words_[at] = word;
            faulty.push(words(&words_));
        }
        let huge = i32::MAX as u32;
        faulty.push(words(&[
            6, 0, 23, huge, 1, huge, 1, huge, 1, huge, 1, huge, 1, huge, 1,
        ]));
        faulty.push(words(&[1, 0, 23, huge, 1]));
        // Empty, and more behind.
        faulty.push(words(&[0, 0, 23, NULL]));
        faulty.push(words(&[1, 0, 23, 0, 1, NULL]));
        for bytes in faulty {
            let error = read(&Type::INT4, &bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{bytes:?}");
        }
        let error = read(&Type::INT8, &good).unwrap_err();
        assert_eq!(
            error.message(),
            "an array has elements of type 23 where 20 was announced"
        );
    }

    /// Few bytes may be many digits.
    #[test]
    fn no_more_is_written_than_may_be() {
        let mut bytes = words(&[1, 0, 1700, 100, 1]);
        for _ in 0..100 {
            // 10 to the power of 131,068, with 16,383 places.
            bytes.extend(words(&[10, 0x0001_7fff, 0x0000_3fff]));
            bytes.extend([0, 1]);
        }
        let error = read(&Type::NUMERIC, &bytes).unwrap_err();
        assert_eq!(error.message(), "an array is too large");
        let mut text = "{".to_owned() + &"1e131071,".repeat(100);
        text.replace_range(text.len() - 1.., "}");
        let error = write_json_of_decimals(text.as_bytes(), 1 << 20, &mut Vec::new());
        assert_eq!(error.unwrap_err().message(), "an array is too large");
    }

    #[test]
    fn what_is_no_utf_8_is_left_for_who_reads_it() {
        let mut bytes = words(&[1, 0, 25, 1, 1, 2]);
        bytes.extend(b"a\xff");
        let mut out = Vec::new();
        write_json(element(&Type::TEXT), &bytes, 100, &mut out).unwrap();
        assert_eq!(out, b"[\"a\xff\"]");
    }

    #[test]
    fn decimal_numbers_as_text() {
        let read = |text: &str| {
            let mut out = b"before".to_vec();
            write_json_of_decimals(text.as_bytes(), 1 << 20, &mut out)?;
            let text = String::from_utf8(out).unwrap();
            Ok(text.strip_prefix("before").unwrap().to_owned())
        };
        for (text, expected) in [
            ("{}", "[]"),
            ("{1.50,NULL,-2}", "[1.50,null,-2]"),
            (r#"{"1.5","1E+3"}"#, "[1.5,1000]"),
            ("{{1},{2}}", "[[1],[2]]"),
            ("{NaN}", r#"["NaN"]"#),
        ] {
            let found: Result<String> = read(text);
            assert_eq!(found.unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "{",
            "}",
            "{1",
            "1}",
            "{1,}",
            "{,1}",
            "{1}{2}",
            "{1}2",
            "{{1}2}",
            "{1 2}",
            "{x}",
            "{null}",
            "{\"1}",
            "{\"1,2\"}",
            "[0:1]={1,2}",
            "1",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
        }
    }

    #[test]
    fn bytes_at_random_never_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        let good = words(&TWO_BY_TWO);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..bytes.len());
                bytes[at] = random.u8(..);
            }
            if let Ok(text) = read(&Type::INT4, &bytes) {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                    "{text}"
                );
            }
        }
    }
}
