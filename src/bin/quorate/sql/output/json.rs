//! One JSON object a line: numbers as such, whole to the last digit; blobs as texts of hexadecimal digits; documents as
//! they are; what JSON has no number for (`NaN`, `Infinity`), times and UUIDs as texts.

use std::collections::HashSet;
use std::io::{self, Write};

use quorate::ValueRef;

use super::{Writer, text};

pub(super) struct Json {
    /// The names as they stand before the values.
    keys: Vec<String>,
    line: String,
    buffer: String,
}

impl Json {
    pub(super) fn new(names: &[&str]) -> Json {
        let names = distinct(names);
        let keys = names.iter().enumerate().map(|(index, name)| {
            let mut key = String::from(if index == 0 { "{" } else { "," });
            push_text(name, &mut key);
            key.push(':');
            key
        });
        Json {
            keys: keys.collect(),
            line: String::new(),
            buffer: String::new(),
        }
    }

    fn push(&mut self, value: &ValueRef<'_>) {
        let Json { line, buffer, .. } = self;
        buffer.clear();
        match value {
            ValueRef::Null => line.push_str("null"),
            ValueRef::Bool(_) | ValueRef::Int(_) => text::push(value, line),
            ValueRef::Float(number) if number.is_finite() => text::push(value, line),
            ValueRef::Decimal(number) if is_number(number) => line.push_str(number),
            // Outside of its texts, which hold none, a document's line ends are blanks.
            ValueRef::Json(document) if is_document(document) => {
                line.extend(document.chars().map(|c| match c {
                    '\n' | '\r' => ' ',
                    c => c,
                }));
            }
            ValueRef::Text(text) => push_text(text, line),
            ValueRef::Blob(bytes) => {
                text::push_hex(bytes, buffer);
                push_text(buffer, line);
            }
            other => {
                text::push(other, buffer);
                push_text(buffer, line);
            }
        }
    }
}

impl Writer for Json {
    fn row(&mut self, values: &[ValueRef<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        for (index, value) in values.iter().enumerate() {
            if let Some(key) = self.keys.get(index) {
                self.line.push_str(key);
            }
            self.push(value);
        }
        self.line.push_str("}\n");
        out.write_all(self.line.as_bytes())
    }

    fn flush(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// The names, with a number behind each that was there before: an object has a name once.
fn distinct(names: &[&str]) -> Vec<String> {
    let all: HashSet<&str> = names.iter().copied().collect();
    let mut used = HashSet::new();
    let mut distinct = Vec::new();
    for name in names {
        let mut candidate = (*name).to_owned();
        let mut number = 2;
        while used.contains(&candidate) || (number > 2 && all.contains(candidate.as_str())) {
            candidate = format!("{name}_{number}");
            number += 1;
        }
        used.insert(candidate.clone());
        distinct.push(candidate);
    }
    distinct
}

fn push_text(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 | 0x7f => "",
            _ => continue,
        };
        out.push_str(&text[plain..index]);
        plain = index + 1;
        match escaped {
            "" => out.push_str(&format!("\\u{byte:04x}")),
            escaped => out.push_str(escaped),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Whether a decimal number is one of JSON's too; PostgreSQL has `NaN` and `Infinity`.
fn is_number(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-')
        && is_document(text)
}

fn is_document(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn a_row_is_one_object() {
        let row = vec![
            ValueRef::Int(i64::MAX),
            ValueRef::Float(1.0),
            ValueRef::Null,
            ValueRef::Text("a\"\\\n\u{1}ю"),
            ValueRef::Blob(&[0, 255]),
            ValueRef::Float(f64::NAN),
            ValueRef::Decimal("1.50"),
            ValueRef::Decimal("NaN"),
            ValueRef::Json("{\"a\":\n[1]}"),
            ValueRef::Json("no document"),
        ];
        let names = ["a", "a", "a_2", "d\n", "e", "f", "g", "h", "i", "j"];
        let line = written(|_| Box::new(Json::new(&names)), &[row]);
        assert_eq!(
            line,
            "{\"a\":9223372036854775807,\"a_3\":1.0,\"a_2\":null,\"d\\n\":\"a\\\"\\\\\\n\\u0001ю\",\
             \"e\":\"00ff\",\"f\":\"NaN\",\"g\":1.50,\"h\":\"NaN\",\"i\":{\"a\": [1]},\
             \"j\":\"no document\"}\n"
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}
