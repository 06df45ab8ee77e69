//! Values as text.

use std::fmt::Write;

use chrono::SecondsFormat;
use quorate::ValueRef;

/// What NULL is where it is not left empty.
pub(super) const NULL: &str = "NULL";

/// Appends a value: a blob as `x'0aff'`, a time as RFC 3339 has it, a text as it is.
pub(super) fn push(value: &ValueRef<'_>, out: &mut String) {
    // Writing to a string does not fail.
    let _ = match value {
        ValueRef::Null => out.write_str(NULL),
        ValueRef::Bool(value) => write!(out, "{value}"),
        ValueRef::Int(value) => write!(out, "{value}"),
        ValueRef::Float(value) => write!(out, "{}", float(*value)),
        ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Json(text) => {
            out.write_str(text)
        }
        ValueRef::Blob(bytes) => {
            out.push_str("x'");
            push_hex(bytes, out);
            out.write_str("'")
        }
        ValueRef::Timestamp(time) => {
            out.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        ValueRef::Date(date) => write!(out, "{date}"),
        ValueRef::Uuid(uuid) => write!(out, "{uuid}"),
        _ => out.write_str("?"),
    };
}

/// A number so that it is read back as the same, and as no integer.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    format!("{value:?}")
}

/// Appends two hexadecimal digits for each byte.
pub(super) fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len());
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)].into());
        out.push(DIGITS[usize::from(byte & 15)].into());
    }
}

/// The text without what moves a terminal's cursor or turns the direction of writing: a newline as `\n`, an escape
/// as `\x1b`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)),
            // Separators of lines, and what turns the direction.
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' => unicode(c, &mut out),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => unicode(c, &mut out),
            c => out.write_char(c),
        };
    }
    out
}

fn unicode(c: char, out: &mut String) -> std::fmt::Result {
    write!(out, "\\u{{{:04x}}}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_value_has_its_text() {
        let time = chrono::DateTime::parse_from_rfc3339("2024-02-29T12:00:00.5+01:00").unwrap();
        let uuid = uuid::Uuid::from_bytes([7; 16]);
        for (value, text) in [
            (ValueRef::Null, "NULL"),
            (ValueRef::Bool(true), "true"),
            (ValueRef::Int(i64::MIN), "-9223372036854775808"),
            (ValueRef::Float(1.0), "1.0"),
            (ValueRef::Float(1e300), "1e300"),
            (ValueRef::Float(f64::NEG_INFINITY), "-Infinity"),
            (ValueRef::Text("a\nb"), "a\nb"),
            (ValueRef::Blob(&[0, 0xff]), "x'00ff'"),
            (ValueRef::Timestamp(time), "2024-02-29T12:00:00.500+01:00"),
            (ValueRef::Uuid(uuid), "07070707-0707-0707-0707-070707070707"),
        ] {
            let mut out = String::new();
            push(&value, &mut out);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn nothing_that_moves_a_cursor_is_left() {
        assert_eq!(
            escape("a\r\n\tю\u{1b}[2J\u{9b}\u{202e}\u{2028}\\n"),
            "a\\r\\n\\tю\\x1b[2J\\x9b\\u{202e}\\u{2028}\\n"
        );
    }
}
