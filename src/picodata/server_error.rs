//! What a server answers instead of a result: its error, or its notice, field by field.

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition, Severity};

use crate::error::{Error, ErrorField, ErrorKind, Fields, Result};

// The codes of the fields (PostgreSQL's manual, "Error and Notice Message Fields").
const SEVERITY: u8 = b'V';
const TRANSLATED_SEVERITY: u8 = b'S';
const CODE: u8 = b'C';
const MESSAGE: u8 = b'M';
const DETAIL: u8 = b'D';
const HINT: u8 = b'H';
/// Those that are given as they are.
const GIVEN: [(u8, ErrorField); 12] = [
    (b'P', ErrorField::Position),
    (b'p', ErrorField::InternalPosition),
    (b'q', ErrorField::InternalQuery),
    (b'W', ErrorField::Where),
    (b's', ErrorField::Schema),
    (b't', ErrorField::Table),
    (b'c', ErrorField::Column),
    (b'd', ErrorField::DataType),
    (b'n', ErrorField::Constraint),
    (b'F', ErrorField::File),
    (b'L', ErrorField::Line),
    (b'R', ErrorField::Routine),
];

/// An error or a notice of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// It ends the connection.
    fatal: bool,
    code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    fields: Fields,
}

impl ServerError {
    /// Reads the body of an ErrorResponse or a NoticeResponse.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`]: a field is cut, or there is no code.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let mut error = ServerError::default();
        let mut translated = None;
        let mut rest = body;
        loop {
            let Some((field, after)) = rest.split_first() else {
                return Err(malformed());
            };
            if *field == 0 {
                break;
            }
            let Some(end) = after.iter().position(|byte| *byte == 0) else {
                return Err(malformed());
            };
            let (text, after) = after.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let text = String::from_utf8_lossy(text).into_owned();
            match *field {
                SEVERITY => {
                    error.fatal = matches!(&*text, "FATAL" | "PANIC");
                    error.fields.set(ErrorField::Severity, text);
                }
                TRANSLATED_SEVERITY => translated = Some(text),
                CODE => error.code = text,
                MESSAGE => error.message = text,
                DETAIL => error.detail = Some(text),
                HINT => error.hint = Some(text),
                code => {
                    if let Some((_, given)) = GIVEN.iter().find(|(known, _)| *known == code) {
                        error.fields.set(*given, text);
                    }
                }
            }
        }
        // Picodata sends this one alone, and translates nothing.
        if let (None, Some(text)) = (error.fields.get(ErrorField::Severity), translated) {
            error.fields.set(ErrorField::Severity, text);
        }
        if error.code.is_empty() {
            return Err(malformed());
        }
        Ok(error)
    }

    pub(crate) fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The SQLSTATE.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The function of the server that the error comes from.
    pub(crate) fn routine(&self) -> Option<&str> {
        self.fields.get(ErrorField::Routine)
    }

    /// What it says besides.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        let severity = error.parsed_severity().map(|known| known.to_string());
        let severity = severity.unwrap_or_else(|| error.severity().to_owned());
        let (position, internal) = match error.position() {
            Some(ErrorPosition::Original(position)) => (Some(position), None),
            Some(ErrorPosition::Internal { position, query }) => (None, Some((position, query))),
            None => (None, None),
        };
        let text = |text: Option<&str>| text.map(str::to_owned);
        let number = |number: Option<&u32>| number.map(u32::to_string);
        let mut fields = Fields::default();
        for (field, text) in [
            (ErrorField::Severity, Some(severity)),
            (ErrorField::Position, number(position)),
            (
                ErrorField::InternalPosition,
                number(internal.map(|(position, _)| position)),
            ),
            (
                ErrorField::InternalQuery,
                internal.map(|(_, query)| query.clone()),
            ),
            (ErrorField::Where, text(error.where_())),
            (ErrorField::Schema, text(error.schema())),
            (ErrorField::Table, text(error.table())),
            (ErrorField::Column, text(error.column())),
            (ErrorField::DataType, text(error.datatype())),
            (ErrorField::Constraint, text(error.constraint())),
            (ErrorField::File, text(error.file())),
            (ErrorField::Line, number(error.line().as_ref())),
            (ErrorField::Routine, text(error.routine())),
        ] {
            if let Some(text) = text {
                fields.set(field, text);
            }
        }
        ServerError {
            fatal: matches!(
                error.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic)
            ),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            fields,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if let Some(detail) = &self.detail {
            write!(f, "; detail: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; hint: {hint}")?;
        }
        Ok(())
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::Protocol, "an error of the server is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"SFEHLER\0VERROR\0C23505\0Mduplicate key\0DKey (id)=(1) exists.\0Hlook\0P7\0p3\0qSELECT 1\0\
          Wfunction f()\0ss1\0tt1\0cc1\0dd1\0nn1\0Fnbtinsert.c\0L666\0R_bt_check_unique\0X?\0\0";

    #[test]
    fn the_fields_are_read() {
        let error = ServerError::parse(BODY).unwrap();
        assert_eq!((error.code(), error.message()), ("23505", "duplicate key"));
        assert_eq!(error.routine(), Some("_bt_check_unique"));
        assert!(!error.is_fatal());
        let fields: Vec<_> = error.fields().iter().map(|(_, text)| text).collect();
        assert_eq!(
            fields,
            [
                "ERROR",
                "7",
                "3",
                "SELECT 1",
                "function f()",
                "s1",
                "t1",
                "c1",
                "d1",
                "n1",
                "nbtinsert.c",
                "666",
                "_bt_check_unique",
            ]
        );
        assert_eq!(error.fields().get(ErrorField::Constraint), Some("n1"));
        assert_eq!(
            error.to_string(),
            "duplicate key (23505); detail: Key (id)=(1) exists.; hint: look"
        );
        let fatal = ServerError::parse(b"VFATAL\0C57P01\0Mgoing\0\0").unwrap();
        assert!(fatal.is_fatal());
        let picodata = ServerError::parse(b"SERROR\0CXX000\0Mtext\0\0").unwrap();
        let fields: Vec<_> = picodata.fields().iter().collect();
        assert_eq!(fields, [(ErrorField::Severity, "ERROR")]);
    }

    #[test]
    fn one_that_is_cut_is_refused() {
        for cut in 0..BODY.len() {
            let error = ServerError::parse(&BODY[..cut]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{cut}");
        }
        for body in [&b"\0"[..], b"Mtext\0\0"] {
            assert!(ServerError::parse(body).is_err());
        }
    }
}
