//! Comma-separated values by RFC 4180: lines end with CRLF, NULL is an empty field and an empty text is `""`.

use std::io::{self, Write};

use quorate::ValueRef;

use super::{Writer, text};

pub(super) struct Csv {
    line: String,
    field: String,
}

impl Csv {
    pub(super) fn begin(names: &[&str], header: bool, out: &mut dyn Write) -> io::Result<Csv> {
        let mut csv = Csv {
            line: String::new(),
            field: String::new(),
        };
        if header {
            let names: Vec<_> = names.iter().map(|name| ValueRef::Text(name)).collect();
            csv.row(&names, out)?;
        }
        Ok(csv)
    }
}

impl Writer for Csv {
    fn row(&mut self, values: &[ValueRef<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.line.push(',');
            }
            if *value != ValueRef::Null {
                self.field.clear();
                text::push(value, &mut self.field);
                push_field(&self.field, &mut self.line);
            }
        }
        self.line.push_str("\r\n");
        out.write_all(self.line.as_bytes())
    }

    fn flush(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// Appends a field, in quotes where it needs them.
fn push_field(field: &str, line: &mut String) {
    let is_plain = !field.contains([',', '"', '\r', '\n']);
    if is_plain && !field.is_empty() {
        line.push_str(field);
        return;
    }
    line.push('"');
    for (index, part) in field.split('"').enumerate() {
        if index > 0 {
            line.push_str("\"\"");
        }
        line.push_str(part);
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let rows = [
            vec![ValueRef::Int(1), ValueRef::Text("a,b")],
            vec![ValueRef::Null, ValueRef::Text("")],
            vec![ValueRef::Blob(&[10]), ValueRef::Text("say \"a\nb\"")],
        ];
        let begin = |header| {
            move |out: &mut Vec<u8>| -> Box<dyn Writer> {
                Box::new(Csv::begin(&["id", "a \"b\""], header, out).unwrap())
            }
        };
        let expected = "1,\"a,b\"\r\n,\"\"\r\nx'0a',\"say \"\"a\nb\"\"\"\r\n";
        assert_eq!(written(begin(false), &rows), expected);
        assert_eq!(
            written(begin(true), &rows),
            format!("id,\"a \"\"b\"\"\"\r\n{expected}")
        );
    }
}
