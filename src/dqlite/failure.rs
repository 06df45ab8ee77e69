//! What a server's FAILURE means: the kind of the error, and what became of the statement.

use crate::dqlite::wire::{
    ERROR_LEADERSHIP_LOST, ERROR_LEADERSHIP_LOST_OLD, ERROR_NOT_FOUND, ERROR_NOT_LEADER,
    ERROR_NOT_LEADER_OLD, ERROR_PARSE, ERROR_PROTOCOL,
};
use crate::error::{Error, ErrorKind, Outcome};

// SQLite's primary result codes (sqlite3.h, "Result Codes").
const SQLITE_ABORT: u64 = 4;
const SQLITE_BUSY: u64 = 5;
const SQLITE_LOCKED: u64 = 6;
const SQLITE_INTERRUPT: u64 = 9;
const SQLITE_IOERR: u64 = 10;
const SQLITE_CONSTRAINT: u64 = 19;
const SQLITE_ROW: u64 = 100;
/// raft's code for "not leader", which 1.11 passes on as it is while the leadership is being transferred, with
/// SQLite's text for a statement that has ended well. To SQLite it is "out of memory".
const RAFT_NOT_LEADER: (u64, &str) = (7, "no more rows available");
/// What 1.18 says of a statement that was to run on a connection whose database is being closed, which is what the
/// loss of the leadership does: of the later ones of several statements in one text.
const CLOSING: (u64, &str) = (SQLITE_IOERR, "leader exec failed");
/// The server's text for a statement without content, which it sends with code 0.
const EMPTY_STATEMENT: &str = "empty statement";

/// The error of a statement that the server answered with a failure.
///
/// Sources: `src/gateway.c` and `src/leader.c` of dqlite 1.11.1 and 1.18.6. "Not leader" comes before
/// anything ran. "Leadership lost", the other input/output errors, an abort and an interrupt may come after
/// the entry was appended to the leader's log, and then another leader may yet commit it. An interrupt is what
/// 1.18.3 and later make of a statement that was running when the leadership was lost. A statement that
/// an EXEC found to yield rows (1.11) has been stepped. All other codes are SQLite's refusals.
pub(crate) fn statement_error(code: u64, message: &str) -> Error {
    let (kind, outcome) = match code {
        ERROR_NOT_LEADER | ERROR_NOT_LEADER_OLD => (ErrorKind::NotLeader, Outcome::Rejected),
        ERROR_LEADERSHIP_LOST | ERROR_LEADERSHIP_LOST_OLD => {
            (ErrorKind::NotLeader, Outcome::Unknown)
        }
        // The database or the statement of this connection went away with the leadership.
        ERROR_NOT_FOUND => (ErrorKind::NotLeader, Outcome::Rejected),
        ERROR_PROTOCOL | ERROR_PARSE => (ErrorKind::Protocol, Outcome::Rejected),
        SQLITE_ROW => (ErrorKind::Database, Outcome::Unknown),
        code if (code, message) == RAFT_NOT_LEADER => (ErrorKind::NotLeader, Outcome::Rejected),
        code if (code, message) == CLOSING => (ErrorKind::NotLeader, Outcome::Unknown),
        0 if message == EMPTY_STATEMENT => (ErrorKind::Misuse, Outcome::Rejected),
        0 => (ErrorKind::Database, Outcome::Unknown),
        code => match code & 0xff {
            SQLITE_BUSY | SQLITE_LOCKED => (ErrorKind::Busy, Outcome::Rejected),
            SQLITE_CONSTRAINT => (ErrorKind::Constraint, Outcome::Rejected),
            SQLITE_INTERRUPT => (ErrorKind::NotLeader, Outcome::Unknown),
            SQLITE_ABORT | SQLITE_IOERR => (ErrorKind::Database, Outcome::Unknown),
            _ => (ErrorKind::Database, Outcome::Rejected),
        },
    };
    let error = Error::new(kind, message).with_outcome(outcome);
    match i32::try_from(code) {
        Ok(code) => error.with_code(code),
        Err(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind_and_outcome() {
        use {ErrorKind::*, Outcome::*};
        for (code, message, kind, outcome) in [
            (10 | 40 << 8, "not leader", NotLeader, Rejected),
            (10 | 32 << 8, "not leader", NotLeader, Rejected),
            (10 | 41 << 8, "disk I/O error", NotLeader, Unknown),
            (10 | 33 << 8, "disk I/O error", NotLeader, Unknown),
            (12, "no statement with the given id", NotLeader, Rejected),
            (5, "database is locked", Busy, Rejected),
            (5 | 2 << 8, "database is locked", Busy, Rejected),
            (1555, "UNIQUE constraint failed: t.id", Constraint, Rejected),
            (2067, "UNIQUE constraint failed: t.n", Constraint, Rejected),
            (10, "leader exec failed", NotLeader, Unknown),
            (10 | 3 << 8, "disk I/O error", Database, Unknown),
            (4, "abort", Database, Unknown),
            (9, "interrupted", NotLeader, Unknown),
            (100, "another row available", Database, Unknown),
            (7, "no more rows available", NotLeader, Rejected),
            (7, "out of memory", Database, Rejected),
            (1, "near \"x\": syntax error", Database, Rejected),
            (1005, "not an error", Protocol, Rejected),
            (0, "empty statement", Misuse, Rejected),
            (0, "not an error", Database, Unknown),
        ] {
            let error = statement_error(code, message);
            assert_eq!((error.kind(), error.outcome()), (kind, outcome), "{code}");
            assert_eq!(error.code(), i32::try_from(code).ok());
            assert_eq!(error.message(), message);
        }
    }
}
