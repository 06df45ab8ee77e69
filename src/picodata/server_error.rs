//! What a server answers instead of a result: its error, or its notice, field by field.

use std::fmt;

use tokio_postgres::error::{DbError, Severity};

use crate::error::{Error, ErrorKind, Result};

// The codes of the fields (PostgreSQL's manual, "Error and Notice Message Fields").
const SEVERITY: u8 = b'V';
const CODE: u8 = b'C';
const MESSAGE: u8 = b'M';
const DETAIL: u8 = b'D';
const HINT: u8 = b'H';
const ROUTINE: u8 = b'R';

/// An error or a notice of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// It ends the connection.
    fatal: bool,
    code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    routine: Option<String>,
}

impl ServerError {
    /// Reads the body of an ErrorResponse or a NoticeResponse.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`]: a field is cut, or there is no code.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let mut error = ServerError::default();
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
                SEVERITY => error.fatal = matches!(&*text, "FATAL" | "PANIC"),
                CODE => error.code = text,
                MESSAGE => error.message = text,
                DETAIL => error.detail = Some(text),
                HINT => error.hint = Some(text),
                ROUTINE => error.routine = Some(text),
                _ => {}
            }
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
        self.routine.as_deref()
    }
}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        ServerError {
            fatal: matches!(
                error.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic)
            ),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            routine: error.routine().map(str::to_owned),
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

impl std::error::Error for ServerError {}

fn malformed() -> Error {
    Error::new(ErrorKind::Protocol, "an error of the server is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] =
        b"SFEHLER\0VERROR\0C23505\0Mduplicate key\0DKey (id)=(1) exists.\0Hlook\0R_bt_check_unique\0\0";

    #[test]
    fn the_fields_are_read() {
        let error = ServerError::parse(BODY).unwrap();
        assert_eq!((error.code(), error.message()), ("23505", "duplicate key"));
        assert_eq!(error.routine(), Some("_bt_check_unique"));
        assert!(!error.is_fatal());
        assert_eq!(
            error.to_string(),
            "duplicate key (23505); detail: Key (id)=(1) exists.; hint: look"
        );
        let fatal = ServerError::parse(b"VFATAL\0C57P01\0Mgoing\0\0").unwrap();
        assert!(fatal.is_fatal());
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
