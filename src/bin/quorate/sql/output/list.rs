//! A row a line, with `|` between its values.

use std::io::{self, Write};

use quorate::ValueRef;

use super::{Writer, text};

pub(super) struct List {
    line: String,
}

impl List {
    pub(super) fn begin(names: &[&str], header: bool, out: &mut dyn Write) -> io::Result<List> {
        if header {
            let names: Vec<_> = names.iter().map(|name| text::escape(name)).collect();
            writeln!(out, "{}", names.join("|"))?;
        }
        Ok(List {
            line: String::new(),
        })
    }
}

impl Writer for List {
    fn row(&mut self, values: &[ValueRef<'_>], out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.line.push('|');
            }
            text::push(value, &mut self.line);
        }
        writeln!(out, "{}", text::escape(&self.line))
    }

    fn flush(&mut self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    #[test]
    fn a_row_is_one_line() {
        let rows = [
            vec![ValueRef::Int(1), ValueRef::Text("a\nb")],
            vec![ValueRef::Null, ValueRef::Float(0.5)],
        ];
        let begin = |out: &mut Vec<u8>| -> Box<dyn Writer> {
            Box::new(List::begin(&["id", "x\ty"], true, out).unwrap())
        };
        assert_eq!(written(begin, &rows), "id|x\\ty\n1|a\\nb\nNULL|0.5\n");
    }
}
