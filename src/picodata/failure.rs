//! What an error of tokio-postgres means: the kind, what became of the statement, and what to do about it.

mod text;

use std::io;

use crate::error::{Error, ErrorField, ErrorKind, Outcome};
use crate::net::socket::disconnected;
use crate::picodata::server_error::ServerError;
use crate::sql::{self, Dialect, Keyword, Placeholders};
use text::{
    ON_REPLICASET, has_not_begun, innermost, is_constraint, is_of_router, is_outdated,
    json_message, said,
};

/// The SQLSTATE of an internal error, which Picodata gives nearly every error of a statement.
const INTERNAL_ERROR: &str = "XX000";

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) cause: Cause,
    undone: Undone,
}

/// What a server that answers an error has undone of what the statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undone {
    All,
    /// Picodata: a replicaset its part. The others may have done theirs.
    OneReplicaset,
    /// Picodata: the server has given up waiting for others.
    NobodyKnows,
}

/// Why a request failed, as far as the session acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The call ended first: its deadline passed, or it was cancelled. The answer may yet come.
    CallEnded,
    /// The server answered an error, and goes on.
    Answered,
    /// The server answered that what it had prepared is out of date.
    Stale,
    /// Nothing was sent: a parameter cannot be.
    Unsendable,
    /// The connection broke, or nobody knows what the server is doing.
    Broken,
}

impl Failure {
    fn new(error: Error, cause: Cause) -> Self {
        Failure {
            error,
            cause,
            undone: Undone::All,
        }
    }

    pub(crate) fn broken(error: Error) -> Self {
        Failure::new(error, Cause::Broken)
    }

    /// A parameter that cannot be sent.
    pub(crate) fn unsendable(error: Error) -> Self {
        Failure::new(error, Cause::Unsendable)
    }

    /// What ended a wait for the socket: the call, or the connection.
    pub(crate) fn waiting(error: Error) -> Self {
        let cause = match error.kind() {
            ErrorKind::Disconnected | ErrorKind::Tls | ErrorKind::Protocol => Cause::Broken,
            _ => Cause::CallEnded,
        };
        Failure::new(error, cause)
    }

    /// What the server answered.
    pub(crate) fn answered(answer: &ServerError) -> Self {
        let cause = match answer {
            _ if answer.is_fatal() => Cause::Broken,
            _ if is_stale(answer) => Cause::Stale,
            _ => Cause::Answered,
        };
        Failure {
            error: statement_error(answer),
            cause,
            undone: undone(answer),
        }
    }

    /// Whether the answer leaves nothing of a statement behind; `reads` says that it writes nothing.
    ///
    /// A statement of Picodata's is run by each replicaset that it concerns, and each commits its own part.
    pub(crate) fn leaves_nothing(&self, sql: &str, reads: bool) -> bool {
        match self.undone {
            Undone::All => true,
            Undone::OneReplicaset => reads || is_of_one_replicaset(sql),
            Undone::NobodyKnows => reads,
        }
    }

    /// The error of a statement that was to run and whose parameters are written in `style`, with what became of it.
    #[cold]
    pub(crate) fn of_statement(self, sql: &str, style: Placeholders, reads: bool) -> Error {
        let rejected = self.leaves_nothing(sql, reads);
        let error = placed(self.error, sql, style);
        if rejected {
            error
        } else {
            error.with_outcome(Outcome::Unknown)
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    /// The outcome of the error is right where the server has answered; else the session knows it.
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(answer) = error.as_db_error() {
            return Failure::answered(&ServerError::from(answer));
        }
        if error.is_closed() {
            return Failure::broken(Error::new(
                ErrorKind::Disconnected,
                "the connection was given up after an earlier error",
            ));
        }
        let text = error.to_string();
        match error.into_source().map(|source| source.downcast::<Error>()) {
            // A parameter that could not be encoded.
            Some(Ok(own)) => Failure::unsendable(*own),
            Some(Err(source)) => Failure::broken(transport_error(source, &text)),
            None => Failure::broken(Error::new(ErrorKind::Protocol, text)),
        }
    }
}

fn transport_error(source: Box<dyn std::error::Error + Send + Sync>, text: &str) -> Error {
    match source.downcast::<io::Error>() {
        // The end of the connection comes from our own stream, without a text; a message that is shorter than it
        // should be, from the decoder, with one.
        Ok(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            ) || error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_some() =>
        {
            Error::new(ErrorKind::Protocol, format!("{text}: {error}")).with_source(error)
        }
        Ok(error) => disconnected(&error),
        Err(other) => {
            Error::new(ErrorKind::Protocol, format!("{text}: {other}")).with_source(other)
        }
    }
}

/// The error of a text whose parameters are written in `style`, with its place in that text: the server counts in the one that
/// it was sent.
#[cold]
pub(crate) fn placed(error: Error, sql: &str, style: Placeholders) -> Error {
    let Some(text) = error.field(ErrorField::Position) else {
        return error;
    };
    if style == Placeholders::Native {
        return error;
    }
    let place = text.parse().ok();
    let place =
        place.and_then(|place| sql::original_position(sql, style, Dialect::Postgres, place));
    match place {
        Some(place) => error.with_field(ErrorField::Position, place.to_string()),
        None => error.without_field(ErrorField::Position),
    }
}

/// The error of a start-up that failed. Nothing was sent that could have been applied.
pub(crate) fn connect_error(error: tokio_postgres::Error) -> Error {
    let from_server = error.as_db_error().is_some();
    // What is left is tokio-postgres's own: a SASL exchange that failed, or a way that it does not know.
    let authentication = !from_server
        && !error.is_closed()
        && std::error::Error::source(&error).is_some_and(|source| !source.is::<io::Error>());
    let error = Failure::from(error).error.with_outcome(Outcome::NotSent);
    if authentication {
        return Error::new(ErrorKind::Authentication, error.message()).with_source(error);
    }
    if from_server {
        error
    } else {
        start_up_error(error)
    }
}

/// The error of a start-up whose connection failed.
pub(crate) fn start_up_error(error: Error) -> Error {
    if error.kind() == ErrorKind::Disconnected {
        return Error::new(
            ErrorKind::Connect,
            format!("{} during the start-up", error.message()),
        )
        .with_source(error);
    }
    error
}

/// The error of a statement that the server answered with an error.
///
/// | SQLSTATE | kind |
/// | --- | --- |
/// | class 08, 57P01, 57P02, 57P05 | `Disconnected`, and the outcome is unknown |
/// | 57P03, 53300 | `Connect`: the server takes no connection now |
/// | class 28 | `Authentication` |
/// | class 23 | `Constraint` |
/// | class 40, 55P03 | `Busy`, and where a replicaset of Picodata's cannot begin yet |
/// | class 0A | `Unsupported` |
/// | all others | `Database`; `Constraint` for Picodata's duplicate key and NULL |
///
/// A server answers an error before it has committed, so the outcome is `Rejected`; but one that ends the
/// connection may come after the commit. Picodata is another matter: see [`Failure::of_statement`].
///
/// Source of the codes: PostgreSQL's manual, appendix A. Picodata has its own 42999 and gives nearly all else
/// as XX000 with nothing but a text, so that text is looked at, here (`text`) and nowhere else.
fn statement_error(answer: &ServerError) -> Error {
    let code = answer.code();
    let internal = code == INTERNAL_ERROR;
    let message = if internal {
        innermost(answer.message())
    } else {
        answer.message().to_owned()
    };
    let kind = match code {
        "57P03" | "53300" => ErrorKind::Connect,
        "57P01" | "57P02" | "57P05" => ErrorKind::Disconnected,
        "08P01" => ErrorKind::Protocol,
        "55P03" => ErrorKind::Busy,
        _ => match code.get(..2) {
            Some("08") => ErrorKind::Disconnected,
            Some("0A") => ErrorKind::Unsupported,
            Some("23") => ErrorKind::Constraint,
            Some("28") => ErrorKind::Authentication,
            Some("40") => ErrorKind::Busy,
            _ if internal && is_constraint(&message) => ErrorKind::Constraint,
            _ if internal && has_not_begun(answer.message()) => ErrorKind::Busy,
            _ => ErrorKind::Database,
        },
    };
    let outcome = if kind == ErrorKind::Disconnected {
        Outcome::Unknown
    } else {
        Outcome::Rejected
    };
    let whole = (message != answer.message()).then(|| answer.message());
    let mut error = Error::new(kind, message)
        .with_outcome(outcome)
        .with_sqlstate(code)
        .with_fields(answer.fields().clone());
    if let Some(detail) = answer.detail().or(whole) {
        error = error.with_detail(detail);
    }
    if let Some(hint) = answer.hint() {
        error = error.with_hint(hint);
    }
    error
}

/// What the server has undone of a statement to which it answers an error.
///
/// Picodata sends a statement to the replicasets that it concerns and answers what the first of them to fail says,
/// `Error on replicaset <uuid>: Failed to execute '.proc_sql_execute': …`; or what the connection to it says, where
/// there was no answer: `Error on replicaset <uuid>: Peer closed`. A change of the schema that some instance has not
/// confirmed in time is `Timeout: timeout`, and is made when that one is back. What concerns nobody but the instance that
/// was asked, 26.1 runs there, and answers without that prefix. (dispatch.lua and sql.rs, 25.5.7 and 26.3; each was seen to
/// happen, on 25.5.7 and 26.1.5.)
fn undone(answer: &ServerError) -> Undone {
    if answer.code() != INTERNAL_ERROR {
        return Undone::All;
    }
    let wrapped = json_message(answer.message());
    let text = wrapped.as_deref().unwrap_or(answer.message());
    let text = text.strip_prefix("sbroad: ").unwrap_or(text);
    if text.starts_with("Timeout: ") {
        return Undone::NobodyKnows;
    }
    if is_outdated(text) && !is_of_router(text) {
        return Undone::OneReplicaset;
    }
    match text.strip_prefix(ON_REPLICASET).map(said) {
        None => Undone::All,
        Some(Some(said)) if said.starts_with("Failed to ") => Undone::OneReplicaset,
        Some(_) => Undone::NobodyKnows,
    }
}

/// Whether a statement concerns one replicaset alone: an INSERT of one row, or a block, `DO $$ BEGIN … END $$`, which is a
/// transaction on one bucket (26.1 and later).
fn is_of_one_replicaset(sql: &str) -> bool {
    sql::inserts_one_row(sql, Dialect::Postgres)
        || sql::shape(sql, Dialect::Postgres).keyword == Keyword::Do
}

/// Whether an error says that what was prepared is out of date.
///
/// PostgreSQL finds out when it binds, before it runs anything; so does Picodata where it answers 42999. Its
/// older text comes from a storage that has compared its schema with the plan's and run nothing, while another
/// storage, which the change has not reached yet, may have run its part.
fn is_stale(answer: &ServerError) -> bool {
    match answer.code() {
        // Forgotten: DISCARD ALL, DEALLOCATE.
        "26000" | "42999" => true,
        // "cached plan must not change result type": the code is shared, the routine's name is not.
        "0A000" => answer.routine() == Some("RevalidateCachedQuery"),
        INTERNAL_ERROR => is_outdated(answer.message()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of a cluster of 25.5.7.
    #[test]
    fn a_write_that_may_have_been_applied_in_part_is_told() {
        const ONE: &str = "INSERT INTO t VALUES ($1)";
        const MANY: &str = "UPDATE t SET a = $1";
        let wrapped = |inner: &str| {
            format!(
                r#"sbroad: box error: ProcLua: {{"code":32,"base_type":"ClientError","type":"ClientError","message":"{inner}","trace":[{{"file":"vshard\/error.lua","line":284}}]}}"#
            )
        };
        let duplicate = r#"TupleFound: Duplicate key exists in unique index \"1027_pkey\" in space \"p\" with old tuple - [15, 1403, 1] and new tuple - [15, 1403, 2]"#;
        let on_replicaset = "Error on replicaset 69bea4d4-3c4a-4b26-a599-a6a6367dbcd2: ";
        let refused = wrapped(&format!(
            "{on_replicaset}Failed to execute '.proc_sql_execute': sbroad: invalid transaction: transaction rolled-back: failed to insert space: {duplicate}"
        ));
        let not_begun = wrapped(&format!(
            "{on_replicaset}Failed to add a storage reference: box error: ProcLua: vshard\\/storage\\/ref.lua:326: attempt to index local 'sched' (a nil value)"
        ));
        let unanswered = wrapped(&format!("{on_replicaset}Peer closed"));
        let no_route = r#"sbroad: Failed to get replicaset from bucket 590: box error: ProcLua: {"bucket_id":590,"code":9,"type":"ShardingError","message":"Bucket 590 cannot be found. Is rebalancing in progress?","name":"NO_ROUTE_TO_BUCKET"}"#;
        let global = format!(
            "server responded with error: {}",
            duplicate.replace('\\', "")
        );
        let answered = |text: &str| {
            let body = format!("SERROR\0VERROR\0C{INTERNAL_ERROR}\0M{text}\0\0");
            Failure::answered(&ServerError::parse(body.as_bytes()).unwrap())
        };
        let (rejected, unknown) = (Outcome::Rejected, Outcome::Unknown);
        for (text, of_one, of_many, of_read) in [
            (refused.as_str(), rejected, unknown, rejected),
            (&not_begun, rejected, unknown, rejected),
            (&unanswered, unknown, unknown, rejected),
            ("Timeout: timeout", unknown, unknown, rejected),
            (no_route, rejected, rejected, rejected),
            (&global, rejected, rejected, rejected),
            (
                "sbroad: table with name \"t\" not found",
                rejected,
                rejected,
                rejected,
            ),
        ] {
            let outcome = |sql: &str, reads: bool| {
                let failure = answered(text);
                let error = failure.of_statement(sql, Placeholders::Native, reads);
                error.outcome()
            };
            assert_eq!(outcome(ONE, false), of_one, "{text}");
            assert_eq!(outcome(MANY, false), of_many, "{text}");
            assert_eq!(outcome("SELECT 1", true), of_read, "{text}");
        }
        assert_eq!(answered(&refused).error.kind(), ErrorKind::Constraint);
        assert_eq!(answered(&not_begun).error.kind(), ErrorKind::Busy);
        assert_eq!(answered(&unanswered).error.kind(), ErrorKind::Database);
    }

    /// The texts are those of a cluster of 26.1.5, which runs what it can where it was asked to.
    #[test]
    fn the_texts_of_26_1_are_told_apart() {
        const ONE: &str = "INSERT INTO t VALUES ($1)";
        const MANY: &str = "UPDATE t SET a = $1";
        const BLOCK: &str = "DO $$ BEGIN UPDATE t SET a = $1 WHERE b = 1; END $$";
        let remote = |said: &str| {
            let said = said.replace('"', "\\\"");
            format!(
                r#"sbroad: box error: ProcLua: {{"code":32,"base_type":"ClientError","type":"ClientError","message":"Error on replicaset 7f457550-ce94-4020-a792-80f94fc32353: Failed to execute '.proc_sql_execute': sbroad: {said}","trace":[{{"file":"vshard\/error.lua","line":284}}]}}"#
            )
        };
        let local = |said: &str| format!("sbroad: {said}");
        let duplicate = r#"Duplicate key exists in unique index "1028_pkey" in space "t""#;
        let null = "Failed to execute SQL statement: NOT NULL constraint failed: t.b";
        let division = "Failed to execute SQL statement: division by zero";
        let outdated = "storage schema version different from router";
        let dropped = "space metadata for table: t not found";
        let no_plan = "proc_query_metadata call failed: io error: unexpected end of file";
        let rolled_back = |said| format!("invalid transaction: transaction rolled-back: {said}");
        let (constraint, busy, other) =
            (ErrorKind::Constraint, ErrorKind::Busy, ErrorKind::Database);
        for (said, inner, kind, is_stale) in [
            (&*rolled_back(duplicate), duplicate, constraint, false),
            (&rolled_back(null), null, constraint, false),
            (&rolled_back(division), division, other, false),
            (division, division, other, false),
            (outdated, outdated, other, true),
            (dropped, dropped, other, true),
            (no_plan, no_plan, busy, false),
        ] {
            for (text, of_many) in [
                (remote(said), Outcome::Unknown),
                (local(said), Outcome::Rejected),
            ] {
                let body = format!("SERROR\0VERROR\0C{INTERNAL_ERROR}\0M{text}\0\0");
                let answer = ServerError::parse(body.as_bytes()).unwrap();
                let failure = Failure::answered(&answer);
                assert_eq!(failure.error.message(), inner, "{text}");
                assert_eq!(failure.cause == Cause::Stale, is_stale, "{text}");
                if kind != busy || of_many == Outcome::Unknown {
                    assert_eq!(failure.error.kind(), kind, "{text}");
                }
                let outcome = |sql: &str| {
                    Failure::answered(&answer)
                        .of_statement(sql, Placeholders::Native, false)
                        .outcome()
                };
                assert_eq!(outcome(ONE), Outcome::Rejected, "{text}");
                assert_eq!(outcome(BLOCK), Outcome::Rejected, "{text}");
                assert_eq!(outcome(MANY), of_many, "{text}");
            }
        }
    }
}
