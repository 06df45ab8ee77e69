//! What a server says of its error besides the message, field by field.

/// A field of a server's error, as PostgreSQL names it (manual, "Error and Notice Message Fields").
///
/// The detail and the hint are [`Error::detail`](super::Error::detail) and [`Error::hint`](super::Error::hint), and the code is
/// [`Error::sqlstate`](super::Error::sqlstate).
///
/// The numbers are part of the C ABI: a number is never reused and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorField {
    /// `ERROR`, `FATAL` or `PANIC`, which is not translated. Picodata sends it too, and no other field.
    Severity = 1,
    /// Where in the statement the error is: the number of a character, counted from 1, in the text that the program gave.
    /// At a placeholder that was written as `?` or `:name` it is the first character of that.
    Position = 2,
    /// Where in [`InternalQuery`](ErrorField::InternalQuery) the error is, counted alike.
    InternalPosition = 3,
    /// The text of a statement that the server has run by itself, such as one of a function.
    InternalQuery = 4,
    /// What the server was doing: the functions and statements around the error, innermost first, one a line.
    Where = 5,
    /// The schema of what the error is about.
    Schema = 6,
    /// The table that the error is about.
    Table = 7,
    /// The column that the error is about, such as one that must not be NULL.
    Column = 8,
    /// The data type that the error is about, such as a domain.
    DataType = 9,
    /// The constraint that refused the statement; a unique index is one too.
    Constraint = 10,
    /// The file of the server's source that the error comes from.
    File = 11,
    /// The line of that file.
    Line = 12,
    /// The function of the server's source that the error comes from.
    Routine = 13,
}

/// The fields that a server has sent. Most errors have none, and then it takes no memory of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(ErrorField, String)>);

impl Fields {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, field: ErrorField) -> Option<&str> {
        let (_, text) = self.0.iter().find(|(known, _)| *known == field)?;
        Some(text)
    }

    /// Sets a field, in place of what it was.
    pub(crate) fn set(&mut self, field: ErrorField, text: impl Into<String>) {
        self.remove(field);
        self.0.push((field, text.into()));
    }

    pub(crate) fn remove(&mut self, field: ErrorField) {
        self.0.retain(|(known, _)| *known != field);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ErrorField, &str)> {
        self.0.iter().map(|(field, text)| (*field, text.as_str()))
    }
}
