//! From JSON to an array, as a parameter takes it.

use std::fmt;
use std::iter::repeat_n;

use serde_json::value::RawValue;
use tokio_postgres::types::Type;

use super::{LEN, MAX_DIMENSIONS, Name, bounds_at, sizes};
use crate::error::{Error, Result};
use crate::picodata::encode::{base, check_double, mismatch, misuse, out_of_range, write_value};
use crate::picodata::options::Server;
use crate::value::ValueRef;

/// The text of a value that is no JSON, for a parameter that is an array: PostgreSQL's own form, `{1,2}`, or whatever
/// else the server is to judge. It goes as text, where arrays otherwise go in binary.
pub(crate) fn literal(value: ValueRef<'_>) -> Option<&str> {
    let text = text_in(value)?;
    // With bounds, it begins like JSON: `[0:1]={1,2}`.
    let is_bounds = |text: &str| {
        text.contains(':') && text.bytes().all(|byte| b"[]:+-0123456789 ".contains(&byte))
    };
    let is_json = text.trim_start().starts_with('[')
        && !text
            .split_once('=')
            .is_some_and(|(start, _)| is_bounds(start));
    (!is_json).then_some(text)
}

fn text_in(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(text) => Some(text),
        ValueRef::Blob(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Appends a value as a parameter of the type `kind` takes it, an array of `element`: in binary where `element` has a
/// binary form that is sent, or as PostgreSQL's text.
///
/// # Errors
///
/// [`ErrorKind::Misuse`]: it is no JSON array, or an element does not fit; the error names that by its subscripts, from 1.
/// [`ErrorKind::Unsupported`]: the server would take an element for another number.
pub(crate) fn encode(
    value: ValueRef<'_>,
    kind: &Type,
    element: &Type,
    is_binary: bool,
    server: Server,
    out: &mut Vec<u8>,
) -> Result<()> {
    if let Some(text) = literal(value) {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    let text = match value {
        ValueRef::Json(text) => text,
        other => match text_in(other) {
            Some(text) => text,
            None => return mismatch(other, kind),
        },
    };
    let mut items = Items {
        element: base(element),
        lens: Vec::new(),
        leaves: Vec::new(),
        path: Vec::new(),
    };
    if !text.trim_start().starts_with('[') {
        return Err(misuse(format!(
            "the statement takes {}, and the JSON is no array",
            Name(kind)
        )));
    }
    items
        .read(text.trim_start())
        .map_err(|error| match &items.path[..] {
            [] => error,
            path => error.context(format_args!("element {}", Subscripts(path))),
        })?;
    if is_binary {
        items.write_binary(element.oid(), server, out)
    } else {
        items.write_literal(server, out)
    }
}

/// An element's place: `[2][1]`.
struct Subscripts<'a>(&'a [usize]);

impl fmt::Display for Subscripts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|index| write!(f, "[{}]", index + 1))
    }
}

/// The elements of a JSON array, however deep they lie.
struct Items<'a> {
    /// Their type, that beneath a domain.
    element: &'a Type,
    /// The length of each dimension.
    lens: Vec<usize>,
    leaves: Vec<&'a str>,
    /// What is being read.
    path: Vec<usize>,
}

impl<'a> Items<'a> {
    /// Takes an array and those within it. An error is that of the element at `path`.
    fn read(&mut self, text: &'a str) -> Result<()> {
        let items: Vec<&'a RawValue> = serde_json::from_str(text)
            .map_err(|error| misuse(format!("the text is no JSON: {error}")).with_source(error))?;
        let depth = self.path.len();
        match self.lens.get(depth) {
            Some(len) if *len == items.len() => {}
            Some(len) => {
                return Err(misuse(format!(
                    "it has {} elements, and its neighbour {len}",
                    items.len()
                )));
            }
            None if depth == MAX_DIMENSIONS => {
                return Err(misuse(format!(
                    "an array has at most {MAX_DIMENSIONS} dimensions"
                )));
            }
            None if self.leaves.is_empty() => self.lens.push(items.len()),
            None => return Err(misuse("it is an array, and its neighbour none".to_owned())),
        }
        // A document may be an array itself.
        let is_document = is_json(self.element);
        for (index, item) in items.into_iter().enumerate() {
            self.path.push(index);
            let item = item.get();
            if item.starts_with('[') && !is_document {
                self.read(item)?;
            } else if self.lens.len() == self.path.len() {
                self.leaves.push(item);
            } else {
                return Err(misuse("it is no array, and its neighbour one".to_owned()));
            }
            self.path.pop();
        }
        Ok(())
    }

    fn write_binary(&self, oid: u32, server: Server, out: &mut Vec<u8>) -> Result<()> {
        let count = |count: usize| {
            i32::try_from(count).map_err(|_| misuse("the array has too many elements".to_owned()))
        };
        let dimensions = if self.leaves.is_empty() {
            &[][..]
        } else {
            &self.lens
        };
        let has_null = self.leaves.contains(&"null");
        out.extend_from_slice(&count(dimensions.len())?.to_be_bytes());
        out.extend_from_slice(&i32::from(has_null).to_be_bytes());
        out.extend_from_slice(&oid.to_be_bytes());
        for len in dimensions {
            out.extend_from_slice(&count(*len)?.to_be_bytes());
            out.extend_from_slice(&1_i32.to_be_bytes());
        }
        for (index, leaf) in self.leaves.iter().enumerate() {
            let at = out.len();
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            if write_leaf(leaf, self.element, server, out).map_err(|error| self.at(index, error))? {
                let len = count(out.len() - at - LEN)?;
                if let Some(place) = out.get_mut(at..at + LEN) {
                    place.copy_from_slice(&len.to_be_bytes());
                }
            }
        }
        Ok(())
    }

    /// Appends the text form of an array (PostgreSQL's manual, "Array Input and Output Syntax").
    fn write_literal(&self, server: Server, out: &mut Vec<u8>) -> Result<()> {
        if self.leaves.is_empty() {
            out.extend_from_slice(b"{}");
        }
        let sizes = sizes(&self.lens).unwrap_or_default();
        let mut text = Vec::new();
        for (index, leaf) in self.leaves.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend(repeat_n(b'{', bounds_at(&sizes, index)));
            text.clear();
            if write_leaf(leaf, self.element, server, &mut text)
                .map_err(|error| self.at(index, error))?
            {
                quote(&text, out);
            } else {
                out.extend_from_slice(b"NULL");
            }
            out.extend(repeat_n(b'}', bounds_at(&sizes, index + 1)));
        }
        Ok(())
    }

    /// Adds to an error which element it is of.
    fn at(&self, index: usize, error: Error) -> Error {
        let mut rest = index;
        let mut path: Vec<usize> = Vec::with_capacity(self.lens.len());
        for len in self.lens.iter().rev() {
            path.push(rest % len.max(&1));
            rest /= len.max(&1);
        }
        path.reverse();
        error.context(format_args!("element {}", Subscripts(&path)))
    }
}

fn is_json(kind: &Type) -> bool {
    matches!(*kind, Type::JSON | Type::JSONB)
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    let is_number = |byte: &u8| byte.is_ascii_digit() || b"+-.".contains(byte);
    if !text.is_empty() && text.iter().all(is_number) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Appends an element, a JSON value, as one of the type `kind`; false for NULL.
fn write_leaf(leaf: &str, kind: &Type, server: Server, out: &mut Vec<u8>) -> Result<bool> {
    let (text, bytes);
    let value = match leaf.as_bytes() {
        b"null" => ValueRef::Null,
        _ if is_json(kind) => ValueRef::Json(leaf),
        b"true" => ValueRef::Bool(true),
        b"false" => ValueRef::Bool(false),
        [b'"', ..] => {
            text = serde_json::from_str::<String>(leaf).map_err(|error| {
                misuse(format!("the text is no JSON: {error}")).with_source(error)
            })?;
            if *kind == Type::BYTEA {
                bytes = unhex(&text).ok_or_else(|| {
                    misuse("the text is no bytea, which is \\x and hexadecimal digits".to_owned())
                })?;
                ValueRef::Blob(&bytes)
            } else {
                ValueRef::Text(&text)
            }
        }
        [b'-' | b'0'..=b'9', ..] => number(leaf, kind)?,
        _ => {
            return Err(misuse(format!(
                "the statement takes {}, and a JSON object was given",
                kind.name()
            )));
        }
    };
    if *kind == Type::FLOAT8 {
        check_double(value, kind, server)?;
    }
    write_value(value, kind, server, out)
}

/// A JSON number for an element of the type `kind`, with all its digits.
fn number<'a>(leaf: &'a str, kind: &Type) -> Result<ValueRef<'a>> {
    if *kind == Type::NUMERIC {
        return Ok(ValueRef::Decimal(leaf));
    }
    let whole = leaf.parse::<i64>().ok();
    if matches!(*kind, Type::FLOAT4 | Type::FLOAT8) {
        // Some write a float without its fraction.
        let loses = |whole: &i64| *whole as f64 as i128 != i128::from(*whole);
        let lossy = whole.filter(loses).map(ValueRef::Int);
        return Ok(lossy.unwrap_or(ValueRef::Decimal(leaf)));
    }
    match whole {
        Some(whole) => Ok(ValueRef::Int(whole)),
        None if leaf.contains(['.', 'e', 'E']) => {
            Ok(ValueRef::Float(leaf.parse().unwrap_or(f64::NAN)))
        }
        None => Err(out_of_range("the number", kind)),
    }
}

/// The bytes of PostgreSQL's hexadecimal text.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picodata::array::{Element, write_json, write_json_of_decimals};
    use crate::picodata::decode::Form;

    fn write(text: &str, element: &Type, is_binary: bool, server: Server) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let value = ValueRef::Json(text);
        encode(
            value,
            &Type::INT4_ARRAY,
            element,
            is_binary,
            server,
            &mut out,
        )?;
        Ok(out)
    }

    #[test]
    fn a_text_is_json_or_the_servers() {
        for text in [
            "{1,2}",
            " {1,2}",
            "[0:1]={1,2}",
            "[-1:0][5:6] = {{1,2},{3,4}}",
            "",
            "1",
            "null",
        ] {
            assert_eq!(literal(ValueRef::Text(text)), Some(text));
            assert_eq!(literal(ValueRef::Blob(text.as_bytes())), Some(text));
            assert_eq!(literal(ValueRef::Json(text)), None);
        }
        for text in [
            "[]",
            " [1, 2]",
            "[\"a=b\"]",
            "[\"0:1]=\"]",
            "[1]=",
            "[\"::\",\"=\"]",
        ] {
            assert_eq!(literal(ValueRef::Text(text)), None, "{text}");
        }
        assert_eq!(literal(ValueRef::Blob(b"{\xff}")), None);
        assert_eq!(literal(ValueRef::Null), None);
        assert_eq!(literal(ValueRef::Int(1)), None);
    }

    #[test]
    fn an_array_has_the_servers_form() {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        for (text, expected) in [
            (
                "[[1, null], [3, 4]]",
                &[2, 1, 23, 2, 1, 2, 1, 4, 1, u32::MAX, 4, 3, 4, 4][..],
            ),
            ("[7]", &[1, 0, 23, 1, 1, 4, 7]),
            ("[]", &[0, 0, 23]),
            ("[[], []]", &[0, 0, 23]),
            ("[null]", &[1, 1, 23, 1, 1, u32::MAX]),
        ] {
            let found = write(text, &Type::INT4, true, Server::Postgres).unwrap();
            assert_eq!(found, words(expected), "{text}");
        }
    }

    /// What is read is written as it was.
    #[test]
    fn json_of_many_shapes_comes_back() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2_000 {
            let kind =
                [Type::TEXT, Type::NUMERIC, Type::INT8, Type::JSON][random.usize(0..4)].clone();
            let is_text = kind == Type::NUMERIC && random.bool();
            let server = if is_text {
                Server::Picodata
            } else {
                Server::Postgres
            };
            let dimensions = if kind == Type::JSON {
                1
            } else {
                random.usize(1..=6)
            };
            let lens: Vec<usize> = (0..dimensions).map(|_| random.usize(1..4)).collect();
            let text = nested(&lens, &kind, &mut random);
            let bytes = write(&text, &kind, !is_text, server).unwrap();
            let mut out = Vec::new();
            if is_text {
                write_json_of_decimals(&bytes, 1 << 20, &mut out).unwrap();
            } else {
                let element = Element::new(kind.oid(), Form::of(&kind).unwrap()).unwrap();
                write_json(element, &bytes, 1 << 20, &mut out).unwrap();
            }
            assert_eq!(String::from_utf8(out).unwrap(), text, "{kind}");
        }
    }

    fn nested(lens: &[usize], kind: &Type, random: &mut fastrand::Rng) -> String {
        let Some((len, within)) = lens.split_first() else {
            return match *kind {
                _ if random.u8(..) < 40 => "null".to_owned(),
                Type::INT8 => random.i64(..).to_string(),
                Type::NUMERIC => format!("{}.{:05}", random.i64(..), random.u16(..)),
                Type::JSON => r#"{"a": [1, "]"]}"#.to_owned(),
                _ => serde_json::to_string(&random.char('\u{1}'..'\u{300}')).unwrap(),
            };
        };
        let items: Vec<String> = (0..*len).map(|_| nested(within, kind, random)).collect();
        format!("[{}]", items.join(","))
    }

    #[test]
    fn texts_at_random_never_panic() {
        let mut random = fastrand::Rng::with_seed(5);
        let marks: Vec<char> = "[[[]]],,1-.e\"\\xtn{}: ".chars().collect();
        for _ in 0..50_000 {
            let len = random.usize(0..16);
            let text: String = (0..len).filter_map(|_| random.choice(&marks)).collect();
            for kind in [Type::INT4, Type::TEXT, Type::JSONB, Type::BYTEA] {
                let _ = write(&text, &kind, random.bool(), Server::Picodata);
            }
        }
        let deep = "[".repeat(1 << 20);
        assert!(write(&deep, &Type::INT4, true, Server::Postgres).is_err());
        let deep = format!("{deep}{}", "]".repeat(1 << 20));
        assert!(write(&deep, &Type::INT4, true, Server::Postgres).is_err());
    }
}
