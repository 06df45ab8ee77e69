//! A table for reading. Rows are gathered in blocks, so that a large result needs little memory; a block that does not
//! fit the widths of the one before begins with the names of the columns anew.

use std::io::{self, Write};

use quorate::ValueRef;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Writer, text};

/// A block is written when it has so many rows, or texts of so many bytes.
const BLOCK_ROWS: usize = 1000;
const BLOCK_BYTES: usize = 1 << 20;

/// The widest that a value is shown, in characters; the rest is cut off.
const MAX_WIDTH: usize = 1000;

pub(super) struct Table {
    names: Vec<String>,
    header: bool,
    rows: Vec<Vec<Cell>>,
    bytes: usize,
    /// The widths that were written last; empty before the first block.
    widths: Vec<usize>,
}

struct Cell {
    text: String,
    width: usize,
    /// Numbers stand on the right.
    is_number: bool,
}

impl Table {
    pub(super) fn new(names: &[&str], header: bool) -> Table {
        Table {
            names: names.iter().map(|name| fit(name)).collect(),
            header,
            rows: Vec::new(),
            bytes: 0,
            widths: Vec::new(),
        }
    }

    fn write_block(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut widths: Vec<usize> = match self.header {
            true => self.names.iter().map(|name| name.width()).collect(),
            false => vec![0; self.names.len()],
        };
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width.max(*width);
            }
        }
        let is_first = self.widths.is_empty();
        if is_first || widths.iter().zip(&self.widths).any(|(new, old)| new > old) {
            for (width, old) in widths.iter_mut().zip(&self.widths) {
                *width = (*old).max(*width);
            }
            self.widths = widths;
            if self.header {
                if !is_first {
                    writeln!(out)?;
                }
                self.write_header(out)?;
            }
        }
        for row in std::mem::take(&mut self.rows) {
            write_line(&row, &self.widths, out)?;
        }
        self.bytes = 0;
        Ok(())
    }

    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        let names: Vec<_> = self
            .names
            .iter()
            .map(|name| Cell {
                text: name.clone(),
                width: name.width(),
                is_number: false,
            })
            .collect();
        write_line(&names, &self.widths, out)?;
        let dashes: Vec<_> = self
            .widths
            .iter()
            .map(|width| "-".repeat(width + 2))
            .collect();
        writeln!(out, "{}", dashes.join("+"))
    }
}

impl Writer for Table {
    fn row(&mut self, values: &[ValueRef<'_>], out: &mut dyn Write) -> io::Result<()> {
        let row: Vec<_> = values.iter().map(Cell::new).collect();
        self.bytes += row.iter().map(|cell| cell.text.len()).sum::<usize>();
        self.rows.push(row);
        if self.rows.len() >= BLOCK_ROWS || self.bytes >= BLOCK_BYTES {
            self.write_block(out)?;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.rows.is_empty() && !self.widths.is_empty() {
            return Ok(());
        }
        self.write_block(out)
    }
}

impl Cell {
    fn new(value: &ValueRef<'_>) -> Cell {
        let mut plain = String::new();
        match value {
            // No more of it can be shown.
            ValueRef::Blob(bytes) => {
                text::push(
                    &ValueRef::Blob(&bytes[..bytes.len().min(MAX_WIDTH)]),
                    &mut plain,
                );
            }
            other => text::push(other, &mut plain),
        }
        let text = fit(&plain);
        Cell {
            width: text.width(),
            text,
            is_number: matches!(
                value,
                ValueRef::Int(_) | ValueRef::Float(_) | ValueRef::Decimal(_)
            ),
        }
    }
}

/// The text as it can be shown in one line, cut off where it is too wide.
fn fit(text: &str) -> String {
    // A character takes a column or more, but for those that are set upon another one.
    let some = text.char_indices().nth(MAX_WIDTH + 1);
    let escaped = text::escape(&text[..some.map_or(text.len(), |(index, _)| index)]);
    if some.is_none() && escaped.width() <= MAX_WIDTH {
        return escaped;
    }
    let mut width = 0;
    let end = escaped.char_indices().find(|(_, c)| {
        width += c.width().unwrap_or(0);
        width >= MAX_WIDTH
    });
    let end = end.map_or(escaped.len(), |(index, _)| index);
    format!("{}…", &escaped[..end])
}

fn write_line(cells: &[Cell], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push_str(if index == 0 { " " } else { " | " });
        let gap = " ".repeat(width.saturating_sub(cell.width));
        let (before, behind) = match cell.is_number {
            true => (gap.as_str(), ""),
            false => ("", gap.as_str()),
        };
        line.push_str(before);
        line.push_str(&cell.text);
        line.push_str(behind);
    }
    writeln!(out, "{}", line.trim_end_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;

    fn table(names: &'static [&str], rows: &[Vec<ValueRef<'_>>]) -> String {
        written(|_| Box::new(Table::new(names, true)), rows)
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [
            vec![ValueRef::Int(1), ValueRef::Text("漢字"), ValueRef::Null],
            vec![ValueRef::Int(100), ValueRef::Text("a\n|"), ValueRef::Null],
        ];
        assert_eq!(
            table(&["id", "name", "x"], &rows),
            " id  | name | x\n\
             -----+------+------\n   \
             1 | 漢字 | NULL\n \
             100 | a\\n| | NULL\n"
        );
        assert_eq!(table(&["id"], &[]), " id\n----\n");
    }

    #[test]
    fn a_block_that_does_not_fit_begins_anew() {
        let wide = "w".repeat(5);
        let mut rows = vec![vec![ValueRef::Text("n")]; 2 * BLOCK_ROWS];
        rows.push(vec![ValueRef::Text(&wide)]);
        let text = table(&["c"], &rows);
        assert_eq!(text.matches(" c\n---\n").count(), 1);
        assert!(text.ends_with(" n\n\n c\n-------\n wwwww\n"), "{text}");
    }

    #[test]
    fn what_is_too_wide_is_cut() {
        for unit in ["w", "漢", "\n", "\u{301}"] {
            let text = fit(&unit.repeat(100_000));
            assert!(text.width() <= MAX_WIDTH, "{unit:?}");
            assert!(text.ends_with('…'), "{unit:?}");
        }
        assert_eq!(fit(&"w".repeat(MAX_WIDTH)), "w".repeat(MAX_WIDTH));
    }
}
