//! Status
//!
//! Every function that can fail answers a `quorate_status`. 0 is success; every other number says what went
//! wrong, and a number is never reused and never changes its meaning. A caller should treat a number that it
//! does not know as an error without a name.

use std::ffi::{CStr, c_char};

use super::boundary::answer;
use crate::error::{Error, ErrorKind, Outcome};

/// What a function answers: `QUORATE_STATUS_OK`, or what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i32)]
pub enum quorate_status {
    /// All is well.
    #[default]
    Ok = 0,
    /// A connection string or an option is wrong: an unknown name, a value out of range.
    Config = 1,
    /// The call was wrong: a wrong number of parameters, an empty statement, two threads on one connection, a
    /// handle whose time has passed.
    Misuse = 2,
    /// A value cannot be given as the type that was asked for, or a column does not exist.
    Conversion = 3,
    /// The query answered no row where one was asked for.
    NoRows = 4,
    /// The pool or the connection was closed.
    Closed = 5,
    /// The deadline of the call passed.
    Timeout = 6,
    /// The deadline passed while the call waited for a connection: all were in use.
    PoolTimeout = 7,
    /// The call was cancelled through its cancel handle.
    Cancelled = 8,
    /// No connection could be made: refused, unreachable, name not found.
    Connect = 9,
    /// The TLS handshake failed, or a certificate or key is unusable.
    Tls = 10,
    /// The server refused the user or the password.
    Authentication = 11,
    /// No node of the cluster is the leader, or none of those that are could be reached.
    NoLeader = 12,
    /// The node that was asked is not, or is no longer, the leader.
    NotLeader = 13,
    /// A connection broke while it was in use.
    Disconnected = 14,
    /// The server sent what the protocol does not allow.
    Protocol = 15,
    /// The database is locked by another connection.
    Busy = 16,
    /// A constraint of the table refused the statement.
    Constraint = 17,
    /// The server refused the statement for any other reason.
    Database = 18,
    /// The server, the installed library or this database does not offer what was asked for.
    Unsupported = 19,
    /// A node store could not be read or written.
    Store = 20,
    /// An embedded node could not be created, started or stopped.
    Node = 21,
    /// The process was forked after the handle was made; the child has to make its own.
    Forked = 22,
    /// A defect of this library.
    Internal = 23,
    /// A pointer that must not be NULL was NULL.
    NullPointer = 100,
    /// Not even one row fits the caller's buffers; what it needs is written beside them, and the row is kept.
    BufferTooSmall = 101,
}

impl From<ErrorKind> for quorate_status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Config => quorate_status::Config,
            ErrorKind::Misuse => quorate_status::Misuse,
            ErrorKind::Conversion => quorate_status::Conversion,
            ErrorKind::NoRows => quorate_status::NoRows,
            ErrorKind::Closed => quorate_status::Closed,
            ErrorKind::Timeout => quorate_status::Timeout,
            ErrorKind::PoolTimeout => quorate_status::PoolTimeout,
            ErrorKind::Cancelled => quorate_status::Cancelled,
            ErrorKind::Connect => quorate_status::Connect,
            ErrorKind::Tls => quorate_status::Tls,
            ErrorKind::Authentication => quorate_status::Authentication,
            ErrorKind::NoLeader => quorate_status::NoLeader,
            ErrorKind::NotLeader => quorate_status::NotLeader,
            ErrorKind::Disconnected => quorate_status::Disconnected,
            ErrorKind::Protocol => quorate_status::Protocol,
            ErrorKind::Busy => quorate_status::Busy,
            ErrorKind::Constraint => quorate_status::Constraint,
            ErrorKind::Database => quorate_status::Database,
            ErrorKind::Unsupported => quorate_status::Unsupported,
            ErrorKind::Store => quorate_status::Store,
            ErrorKind::Node => quorate_status::Node,
            ErrorKind::Forked => quorate_status::Forked,
            ErrorKind::Internal => quorate_status::Internal,
        }
    }
}

/// What a status says, in a few words in lower case, as errors begin with it: `no leader available`. The text stays valid
/// and ends with a NUL; `unknown status` for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn quorate_status_text(status: i32) -> *const c_char {
    answer(c"unknown status".as_ptr(), || {
        words(status).map(CStr::as_ptr)
    })
}

fn words(status: i32) -> Option<&'static CStr> {
    Some(match status {
        0 => c"ok",
        1 => c"bad configuration",
        2 => c"misuse",
        3 => c"conversion failed",
        4 => c"no rows",
        5 => c"closed",
        6 => c"deadline exceeded",
        7 => c"deadline exceeded while waiting for a connection",
        8 => c"cancelled",
        9 => c"cannot connect",
        10 => c"tls failed",
        11 => c"authentication failed",
        12 => c"no leader available",
        13 => c"not leader",
        14 => c"disconnected",
        15 => c"protocol violated",
        16 => c"busy",
        17 => c"constraint failed",
        18 => c"database error",
        19 => c"unsupported",
        20 => c"node store failed",
        21 => c"node failed",
        22 => c"used after fork",
        23 => c"internal error",
        100 => c"null pointer",
        101 => c"buffer too small",
        _ => return None,
    })
}

/// What became of the statement that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(i32)]
pub enum quorate_outcome {
    /// The statement never left this process whole: no server can have run it.
    #[default]
    NotSent = 0,
    /// A server answered that it did not apply the statement.
    Rejected = 1,
    /// The statement may or may not have been applied.
    Unknown = 2,
}

impl From<Outcome> for quorate_outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::NotSent => quorate_outcome::NotSent,
            Outcome::Rejected => quorate_outcome::Rejected,
            Outcome::Unknown => quorate_outcome::Unknown,
        }
    }
}

/// Why a function of the ABI fails: an error of the library, or one with a status that only the ABI has.
///
/// One pointer, so that an [`Answer`] is returned in registers.
pub(super) struct Failure(Box<Cause>);

struct Cause {
    status: quorate_status,
    error: Error,
}

impl From<Error> for Failure {
    #[cold]
    fn from(error: Error) -> Self {
        let status = error.kind().into();
        Failure(Box::new(Cause { status, error }))
    }
}

impl Failure {
    #[cold]
    pub(super) fn null(name: &str) -> Self {
        Failure::new(
            quorate_status::NullPointer,
            format!("the pointer {name} is NULL"),
        )
    }

    /// A failure with a status that only the ABI has.
    #[cold]
    pub(super) fn new(status: quorate_status, message: impl Into<String>) -> Self {
        let error = Error::new(ErrorKind::Misuse, message);
        Failure(Box::new(Cause { status, error }))
    }

    pub(super) fn status(&self) -> quorate_status {
        self.0.status
    }

    pub(super) fn error(&self) -> &Error {
        &self.0.error
    }

    /// The failure of parameter `index`.
    #[cold]
    pub(super) fn of_parameter(mut self, index: usize) -> Self {
        self.0.error = self
            .0
            .error
            .context(format_args!("parameter {}", index + 1));
        self
    }

    /// The same failure, of a statement that was sent.
    #[cold]
    pub(super) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.error = self.0.error.with_outcome(outcome);
        self
    }

    #[cold]
    pub(super) fn misuse(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Misuse, message).into()
    }
}

/// The result of the body of an exported function.
pub(super) type Answer<T> = Result<T, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_words_of_its_kind() {
        for kind in [
            ErrorKind::Config,
            ErrorKind::Misuse,
            ErrorKind::Conversion,
            ErrorKind::NoRows,
            ErrorKind::Closed,
            ErrorKind::Timeout,
            ErrorKind::PoolTimeout,
            ErrorKind::Cancelled,
            ErrorKind::Connect,
            ErrorKind::Tls,
            ErrorKind::Authentication,
            ErrorKind::NoLeader,
            ErrorKind::NotLeader,
            ErrorKind::Disconnected,
            ErrorKind::Protocol,
            ErrorKind::Busy,
            ErrorKind::Constraint,
            ErrorKind::Database,
            ErrorKind::Unsupported,
            ErrorKind::Store,
            ErrorKind::Node,
            ErrorKind::Forked,
            ErrorKind::Internal,
        ] {
            let words = words(kind as i32).and_then(|words| words.to_str().ok());
            assert_eq!(words, Some(kind.as_str()));
        }
        for status in [quorate_status::NullPointer, quorate_status::BufferTooSmall] {
            assert!(words(status as i32).is_some());
        }
        assert!(words(24).is_none() && words(-1).is_none());
    }

    #[test]
    fn numbers_are_those_of_the_kinds() {
        // The ends and the middle of a table that the compiler keeps complete.
        for kind in [
            ErrorKind::Config,
            ErrorKind::Cancelled,
            ErrorKind::Disconnected,
            ErrorKind::Unsupported,
            ErrorKind::Internal,
        ] {
            assert_eq!(quorate_status::from(kind) as i32, kind as i32);
        }
        assert_eq!(
            quorate_outcome::from(Outcome::Unknown) as i32,
            Outcome::Unknown as i32
        );
    }
}
