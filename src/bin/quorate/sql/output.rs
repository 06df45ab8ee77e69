//! How results are written to standard output.

mod csv;
mod json;
mod list;
mod table;
pub(crate) mod text;

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write};
use std::str::FromStr;

use quorate::ValueRef;

/// What results look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    List,
}

/// All formats, by name.
pub(crate) const FORMATS: [(&str, Format); 4] = [
    ("table", Format::Table),
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("list", Format::List),
];

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FORMATS.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, format)| *format)
            .ok_or_else(|| "the formats are table, csv, json and list".to_owned())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = FORMATS.iter().find(|(_, format)| format == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

/// Writes the rows of one result.
trait Writer {
    /// Takes a row, and writes it now or soon.
    fn row(&mut self, values: &[ValueRef<'_>], out: &mut dyn Write) -> io::Result<()>;

    /// Writes what has not been written, after the last row or before an error.
    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// Standard output, and the format that results have there.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    pub(crate) format: Format,
    pub(crate) header: bool,
}

impl Output {
    pub(crate) fn new(format: Format, header: bool) -> Output {
        Output {
            out: BufWriter::with_capacity(64 * 1024, io::stdout()),
            format,
            header,
        }
    }

    /// Begins a result with columns of these names.
    pub(crate) fn begin(&mut self, names: &[&str]) -> io::Result<Results<'_>> {
        let Output {
            out,
            format,
            header,
        } = self;
        let writer: Box<dyn Writer> = match format {
            Format::Table => Box::new(table::Table::new(names, *header)),
            Format::Csv => Box::new(csv::Csv::begin(names, *header, out)?),
            Format::Json => Box::new(json::Json::new(names)),
            Format::List => Box::new(list::List::begin(names, *header, out)?),
        };
        Ok(Results {
            out,
            writer,
            count: (*format == Format::Table).then_some(0),
        })
    }

    /// Writes a result that is all there already.
    pub(crate) fn write(&mut self, names: &[&str], rows: &[Vec<ValueRef<'_>>]) -> io::Result<()> {
        let mut results = self.begin(names)?;
        for row in rows {
            results.row(row)?;
        }
        results.end()
    }

    /// Says that a statement without rows has run, to whom reads a table; the other formats are for programs.
    pub(crate) fn done(&mut self, text: &str) -> io::Result<()> {
        if self.format == Format::Table {
            writeln!(self.out, "{text}")?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Writes text that is no result.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// One result on its way to standard output.
pub(crate) struct Results<'o> {
    out: &'o mut BufWriter<Stdout>,
    writer: Box<dyn Writer>,
    /// The rows so far, where they are counted for the reader.
    count: Option<u64>,
}

impl Results<'_> {
    pub(crate) fn row(&mut self, values: &[ValueRef<'_>]) -> io::Result<()> {
        if let Some(count) = &mut self.count {
            *count += 1;
        }
        self.writer.row(values, self.out)
    }

    /// Writes the rows that came before an error.
    pub(crate) fn break_off(mut self) -> io::Result<()> {
        self.writer.flush(self.out)?;
        self.out.flush()
    }

    pub(crate) fn end(mut self) -> io::Result<()> {
        self.writer.flush(self.out)?;
        match self.count {
            Some(1) => writeln!(self.out, "(1 row)")?,
            Some(count) => writeln!(self.out, "({count} rows)")?,
            None => {}
        }
        self.out.flush()
    }
}

/// What `writer` makes of rows.
#[cfg(test)]
fn written(
    begin: impl FnOnce(&mut Vec<u8>) -> Box<dyn Writer>,
    rows: &[Vec<ValueRef<'_>>],
) -> String {
    let mut out = Vec::new();
    let mut writer = begin(&mut out);
    for row in rows {
        writer.row(row, &mut out).unwrap();
    }
    writer.flush(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}
