//! Errors
//!
//! Every function that can fail has a last parameter `out_error`. It may be NULL. Where it is not and the
//! function fails, it is set to an error, which belongs to the caller and is freed with
//! `quorate_error_free`; where the function succeeds, it is set to NULL. Texts of an error are valid as long
//! as the error, end with a NUL, and hold no password and no key. Any thread may read an error.

use std::ffi::c_char;
use std::ptr::null;

use super::boundary::{answer, free};
use super::status::{Failure, quorate_outcome, quorate_status};
use super::view::{Text, put};
use crate::error::{Error, ErrorField, Outcome};

/// A field of a server's error, as PostgreSQL names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[cfg_attr(not(test), expect(dead_code, reason = "names the numbers for C"))]
pub enum quorate_field {
    /// `ERROR`, `FATAL` or `PANIC`, which is not translated. Picodata sends it too, and no other field.
    Severity = 1,
    /// Where in the statement the error is: the number of a character, counted from 1, in the text that the program gave.
    /// At a placeholder that was written as `?` or `:name` it is the first character of that.
    Position = 2,
    /// Where in `QUORATE_FIELD_INTERNAL_QUERY` the error is, counted alike.
    InternalPosition = 3,
    /// The text of a statement that the server has run by itself, such as one of a function. It may hold values of rows.
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

/// What went wrong, what became of the statement, and who said so.
pub struct quorate_error {
    status: quorate_status,
    outcome: Outcome,
    retryable: bool,
    code: Option<i32>,
    /// The whole, as a log wants it.
    text: Text,
    message: Text,
    detail: Option<Text>,
    hint: Option<Text>,
    sqlstate: Option<Text>,
    fields: Vec<(ErrorField, Text)>,
    node: Option<Text>,
    causes: Vec<(Text, quorate_error)>,
}

impl quorate_error {
    pub(super) fn new(failure: &Failure) -> Self {
        quorate_error {
            status: failure.status(),
            ..quorate_error::of(failure.error())
        }
    }

    pub(super) fn of(error: &Error) -> Self {
        quorate_error {
            status: error.kind().into(),
            outcome: error.outcome(),
            retryable: error.is_retryable(),
            code: error.code(),
            text: Text::new(&error.to_string()),
            message: Text::new(error.message()),
            detail: error.detail().map(Text::new),
            hint: error.hint().map(Text::new),
            sqlstate: error.sqlstate().map(Text::new),
            fields: error
                .fields()
                .iter()
                .map(|(field, text)| (field, Text::new(text)))
                .collect(),
            node: error.node().map(Text::new),
            causes: error
                .causes()
                .iter()
                .map(|cause| (Text::new(&cause.node), quorate_error::of(&cause.error)))
                .collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        self.text.as_str()
    }
}

/// The status that the failing function answered. `QUORATE_STATUS_OK` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_status(error: *const quorate_error) -> quorate_status {
    answer(quorate_status::Ok, || {
        // SAFETY: the header's rules.
        unsafe { error.as_ref() }.map(|error| error.status)
    })
}

/// What became of the statement. `QUORATE_OUTCOME_NOT_SENT` for NULL.
///
/// With `QUORATE_OUTCOME_UNKNOWN` the statement may have been applied: running it again may apply it twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_outcome(error: *const quorate_error) -> quorate_outcome {
    answer(quorate_outcome::NotSent, || {
        // SAFETY: the header's rules.
        unsafe { error.as_ref() }.map(|error| error.outcome.into())
    })
}

/// Whether the same call may be made again without the danger that the statement is applied twice, and with
/// hope that it succeeds: nothing was applied, and the reason is one that passes. Of a statement in a transaction it
/// does not speak: there, the transaction is what is begun anew (see "Transactions").
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_is_retryable(error: *const quorate_error) -> bool {
    answer(false, || {
        // SAFETY: the header's rules.
        unsafe { error.as_ref() }.map(|error| error.retryable)
    })
}

/// The server's own number for the error (dqlite: SQLite's extended result code), written to `out_code`.
/// Answers whether there is one; where there is none, `out_code` is set to 0. `out_code` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_code(
    error: *const quorate_error,
    out_code: *mut i32,
) -> bool {
    answer(false, || {
        // SAFETY: the header's rules.
        let code = unsafe { error.as_ref() }.and_then(|error| error.code);
        // SAFETY: the header's rules.
        unsafe { put(out_code, code.unwrap_or(0)) };
        Some(code.is_some())
    })
}

/// The whole error, as a log wants it: node, kind, message, the outcome where it is unknown, and the cause of each node.
/// In one line, unless the server's message has several. `out_len` may be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_text(
    error: *const quorate_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the header's rules.
    answer(null(), || unsafe {
        text(error, out_len, |error| Some(&error.text))
    })
}

/// The sentence that says what happened, without the kind and the node. `out_len` may be NULL. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_message(
    error: *const quorate_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the header's rules.
    answer(null(), || unsafe {
        text(error, out_len, |error| Some(&error.message))
    })
}

/// What the server says beyond the message, or NULL where it says no more: PostgreSQL's detail, such as `Key (id)=(1)
/// already exists.`, and the whole of a message of Picodata's of which `quorate_error_message` is the innermost sentence.
/// It may name values of rows, and is no part of `quorate_error_text`. `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_detail(
    error: *const quorate_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the header's rules.
    answer(null(), || unsafe {
        text(error, out_len, |error| error.detail.as_ref())
    })
}

/// What PostgreSQL says may be done about it, or NULL where it does not. `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_hint(
    error: *const quorate_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the header's rules.
    answer(null(), || unsafe {
        text(error, out_len, |error| error.hint.as_ref())
    })
}

/// The five characters of the SQLSTATE, or NULL where the server has sent none. `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_sqlstate(
    error: *const quorate_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the header's rules.
    answer(null(), || unsafe {
        text(error, out_len, |error| error.sqlstate.as_ref())
    })
}

/// A field of PostgreSQL's error; `field` is a `quorate_field`. NULL where the server has not sent it, or there is no such
/// field; Picodata sends the severity alone, and dqlite nothing. The numbers of lines and places are decimal.
/// No field is part of `quorate_error_text`. `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_field(
    error: *const quorate_error,
    field: i32,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        let of = |error: &'static quorate_error| {
            let mut fields = error.fields.iter();
            let found = fields.find(|(known, _)| *known as i32 == field);
            found.map(|(_, text)| text)
        };
        // SAFETY: the header's rules.
        unsafe { text(error, out_len, of) }
    })
}

/// The address of the node that was asked, or NULL where none was. `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_node(
    error: *const quorate_error,
    out_len: *mut usize,
) -> *const c_char {
    // SAFETY: the header's rules.
    answer(null(), || unsafe {
        text(error, out_len, |error| error.node.as_ref())
    })
}

/// How many nodes gave a cause of their own, where several were asked; 0 otherwise, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_causes(error: *const quorate_error) -> usize {
    answer(0, || {
        // SAFETY: the header's rules.
        unsafe { error.as_ref() }.map(|error| error.causes.len())
    })
}

/// The address of the node that gave the cause `index`, counted from 0, or NULL where there is none such.
/// `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_cause_node(
    error: *const quorate_error,
    index: usize,
    out_len: *mut usize,
) -> *const c_char {
    answer(null(), || {
        let at = |error: &'static quorate_error| error.causes.get(index).map(|(node, _)| node);
        // SAFETY: the header's rules.
        unsafe { text(error, out_len, at) }
    })
}

/// What the node of the cause `index` answered, or NULL where there is none such. It belongs to `error`: it
/// is valid as long as that is, and must not be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_cause(
    error: *const quorate_error,
    index: usize,
) -> *const quorate_error {
    answer(null(), || {
        // SAFETY: the header's rules.
        let (_, cause) = unsafe { error.as_ref() }?.causes.get(index)?;
        Some(std::ptr::from_ref(cause))
    })
}

/// Frees an error. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_error_free(error: *mut quorate_error) {
    // SAFETY: the header's rules.
    unsafe { free(error) }
}

/// A text of an error, and its length. The lifetime is the caller's to keep.
///
/// # Safety
///
/// `error` is NULL or an error that stays, `out_len` is NULL or may be written.
unsafe fn text(
    error: *const quorate_error,
    out_len: *mut usize,
    get: impl FnOnce(&'static quorate_error) -> Option<&'static Text>,
) -> Option<*const c_char> {
    // SAFETY: the caller's.
    unsafe {
        put(out_len, 0);
        let text = get(error.as_ref()?)?;
        Some(text.give(out_len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// The numbers of C's fields and of Rust's are the same.
    #[test]
    fn a_field_is_found_by_its_number() {
        for (field, number) in [
            (ErrorField::Severity, quorate_field::Severity),
            (ErrorField::Position, quorate_field::Position),
            (
                ErrorField::InternalPosition,
                quorate_field::InternalPosition,
            ),
            (ErrorField::InternalQuery, quorate_field::InternalQuery),
            (ErrorField::Where, quorate_field::Where),
            (ErrorField::Schema, quorate_field::Schema),
            (ErrorField::Table, quorate_field::Table),
            (ErrorField::Column, quorate_field::Column),
            (ErrorField::DataType, quorate_field::DataType),
            (ErrorField::Constraint, quorate_field::Constraint),
            (ErrorField::File, quorate_field::File),
            (ErrorField::Line, quorate_field::Line),
            (ErrorField::Routine, quorate_field::Routine),
        ] {
            let name = format!("{field:?}");
            assert_eq!(name, format!("{number:?}"));
            let made = Error::new(ErrorKind::Constraint, "").with_field(field, &*name);
            let made = quorate_error::of(&made);
            for asked in -1..20 {
                let mut len = 7;
                // SAFETY: both are alive.
                let found = unsafe { quorate_error_field(&made, asked, &mut len) };
                let expected = asked == number as i32;
                assert_eq!(
                    (found.is_null(), len),
                    match expected {
                        true => (false, name.len()),
                        false => (true, 0),
                    }
                );
            }
        }
    }
}
