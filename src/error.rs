//! The one error of the library: what went wrong, what became of the statement, and who said so.

mod field;

use std::error::Error as StdError;
use std::fmt;

pub use field::ErrorField;
pub(crate) use field::Fields;

/// The result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
///
/// The numbers are part of the C ABI: a number is never reused and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// A connection string or an option is wrong: an unknown name, a value out of range.
    Config = 1,
    /// The call was wrong: a wrong number of parameters, an empty statement, an interior NUL.
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
    /// The peer sent what the protocol does not allow.
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
    /// The process was forked after the pool was opened; a child has to open a pool of its own.
    Forked = 22,
    /// A defect of this library.
    Internal = 23,
}

impl ErrorKind {
    /// The kind in lower-case words, as error messages begin with it.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Config => "bad configuration",
            ErrorKind::Misuse => "misuse",
            ErrorKind::Conversion => "conversion failed",
            ErrorKind::NoRows => "no rows",
            ErrorKind::Closed => "closed",
            ErrorKind::Timeout => "deadline exceeded",
            ErrorKind::PoolTimeout => "deadline exceeded while waiting for a connection",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Connect => "cannot connect",
            ErrorKind::Tls => "tls failed",
            ErrorKind::Authentication => "authentication failed",
            ErrorKind::NoLeader => "no leader available",
            ErrorKind::NotLeader => "not leader",
            ErrorKind::Disconnected => "disconnected",
            ErrorKind::Protocol => "protocol violated",
            ErrorKind::Busy => "busy",
            ErrorKind::Constraint => "constraint failed",
            ErrorKind::Database => "database error",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Store => "node store failed",
            ErrorKind::Node => "node failed",
            ErrorKind::Forked => "used after fork",
            ErrorKind::Internal => "internal error",
        }
    }
}

/// What became of the statement that failed.
///
/// The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Outcome {
    /// The statement never left this process whole: no server can have run it.
    NotSent = 0,
    /// A server answered that it did not apply the statement.
    Rejected = 1,
    /// The statement may or may not have been applied.
    Unknown = 2,
}

impl Outcome {
    /// The outcome in lower-case words.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NotSent => "not sent",
            Outcome::Rejected => "rejected",
            Outcome::Unknown => "outcome unknown",
        }
    }
}

/// Why one node of several could not serve a call.
#[derive(Debug)]
pub struct NodeCause {
    /// The address that was tried.
    pub node: String,
    /// What it answered, or why it could not be asked.
    pub error: Error,
}

impl NodeCause {
    pub(crate) fn copy(&self) -> Self {
        NodeCause {
            node: self.node.clone(),
            error: self.error.copy(),
        }
    }
}

/// An error of this library. It is one pointer wide.
///
/// [`kind`](Error::kind) says what went wrong, [`outcome`](Error::outcome) what became of the statement,
/// [`code`](Error::code) and [`sqlstate`](Error::sqlstate) what the server called it,
/// [`field`](Error::field) which constraint, table or place in the text it means,
/// [`node`](Error::node) who was asked, and [`causes`](Error::causes) what each node answered where several
/// were asked. No error contains a password or a key.
///
/// ```no_run
/// # use quorate::{ErrorKind, Outcome, Pool};
/// # fn put(pool: &Pool) {
/// match pool.exec("INSERT INTO item (id, name) VALUES (?, ?)", (7, "brick")) {
///     Ok(done) => println!("{} row written", done.rows_affected),
///     Err(error) if error.kind() == ErrorKind::Constraint => println!("there is one: {}", error.message()),
///     Err(error) if error.is_retryable() => println!("not written, and may be tried again: {error}"),
///     Err(error) if error.outcome() == Outcome::Unknown => println!("perhaps written, look first: {error}"),
///     Err(error) => println!("not written: {error}"),
/// }
/// # }
/// ```
pub struct Error {
    detail: Box<Detail>,
}

struct Detail {
    kind: ErrorKind,
    outcome: Outcome,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    code: Option<i32>,
    sqlstate: Option<String>,
    fields: Fields,
    node: Option<String>,
    causes: Vec<NodeCause>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of `kind` with the outcome [`Outcome::NotSent`].
    ///
    /// The message is a lower-case sentence without a full stop that names the cause and, where there is
    /// one, the fix.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error {
            detail: Box::new(Detail {
                kind,
                outcome: Outcome::NotSent,
                message: message.into(),
                detail: None,
                hint: None,
                code: None,
                sqlstate: None,
                fields: Fields::default(),
                node: None,
                causes: Vec::new(),
                source: None,
            }),
        }
    }

    /// Sets what became of the statement.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.detail.outcome = outcome;
        self
    }

    /// Sets what the server says beyond the message.
    pub fn with_detail(mut self, text: impl Into<String>) -> Self {
        self.detail.detail = Some(text.into());
        self
    }

    /// Sets what the server says may be done about it.
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        self.detail.hint = Some(text.into());
        self
    }

    /// Sets the server's own number for the error.
    pub fn with_code(mut self, code: i32) -> Self {
        self.detail.code = Some(code);
        self
    }

    /// Sets the five-character SQLSTATE.
    pub fn with_sqlstate(mut self, sqlstate: impl Into<String>) -> Self {
        self.detail.sqlstate = Some(sqlstate.into());
        self
    }

    /// Sets a field of the server's error.
    pub fn with_field(mut self, field: ErrorField, text: impl Into<String>) -> Self {
        self.detail.fields.set(field, text);
        self
    }

    /// Sets all fields of the server's error.
    pub(crate) fn with_fields(mut self, fields: Fields) -> Self {
        self.detail.fields = fields;
        self
    }

    /// Leaves a field of the server's error out.
    pub(crate) fn without_field(mut self, field: ErrorField) -> Self {
        self.detail.fields.remove(field);
        self
    }

    /// Names the node that was asked, unless a deeper layer has named it already.
    pub fn with_node(mut self, node: impl Into<String>) -> Self {
        self.detail.node.get_or_insert_with(|| node.into());
        self
    }

    /// Adds what each node answered.
    pub fn with_causes(mut self, causes: Vec<NodeCause>) -> Self {
        self.detail.causes = causes;
        self
    }

    /// Sets the underlying error.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.detail.source = Some(source.into());
        self
    }

    /// The same error without its source, for a second caller.
    pub(crate) fn copy(&self) -> Self {
        let detail = &*self.detail;
        Error {
            detail: Box::new(Detail {
                kind: detail.kind,
                outcome: detail.outcome,
                message: detail.message.clone(),
                detail: detail.detail.clone(),
                hint: detail.hint.clone(),
                code: detail.code,
                sqlstate: detail.sqlstate.clone(),
                fields: detail.fields.clone(),
                node: detail.node.clone(),
                causes: detail.causes.iter().map(NodeCause::copy).collect(),
                source: None,
            }),
        }
    }

    /// The error of a statement that has run, with this outcome, and of whose row the caller could make nothing.
    pub(crate) fn after_run(self, outcome: Outcome) -> Self {
        match self.kind() {
            ErrorKind::Conversion => self.with_outcome(outcome),
            _ => self,
        }
    }

    /// Puts `context` and a colon before the message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.detail.message = format!("{context}: {}", self.detail.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.detail.kind
    }

    /// What became of the statement.
    pub fn outcome(&self) -> Outcome {
        self.detail.outcome
    }

    /// The sentence that says what happened, without the kind and the node that [`Display`](fmt::Display)
    /// puts before it.
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// What the server says beyond the message, where it says more: PostgreSQL's detail, such as `Key (id)=(1) already
    /// exists.`, and the whole of a message of Picodata's of which [`message`](Error::message) is the innermost sentence.
    ///
    /// It may name values of rows, and is no part of what [`Display`](fmt::Display) writes.
    pub fn detail(&self) -> Option<&str> {
        self.detail.detail.as_deref()
    }

    /// What PostgreSQL says may be done about it, where it says so.
    pub fn hint(&self) -> Option<&str> {
        self.detail.hint.as_deref()
    }

    /// The server's own number for the error; for dqlite, SQLite's extended result code.
    pub fn code(&self) -> Option<i32> {
        self.detail.code
    }

    /// SQLite's primary result code: the low byte of the extended one. Codes above SQLite's own range
    /// (dqlite's 1001 and the like) are given whole.
    pub fn primary_code(&self) -> Option<i32> {
        self.detail.code.map(|code| {
            if (1000..1100).contains(&code) {
                code
            } else {
                code & 0xff
            }
        })
    }

    /// The SQLSTATE, where the server has sent one (PostgreSQL's protocol does).
    pub fn sqlstate(&self) -> Option<&str> {
        self.detail.sqlstate.as_deref()
    }

    /// What PostgreSQL says of the error besides: the constraint, the table, the column, the place in the statement. None
    /// where it says nothing of the kind; Picodata says the severity alone, and dqlite nothing.
    ///
    /// The internal query may hold values of rows. No field is part of what [`Display`](fmt::Display) writes.
    ///
    /// ```
    /// # use quorate::{Error, ErrorField, ErrorKind};
    /// fn is_taken(error: &Error) -> bool {
    ///     error.field(ErrorField::Constraint) == Some("account_email_key")
    /// }
    /// # let error = Error::new(ErrorKind::Constraint, "").with_field(ErrorField::Constraint, "account_email_key");
    /// # assert!(is_taken(&error) && !is_taken(&Error::new(ErrorKind::Constraint, "")));
    /// ```
    pub fn field(&self, field: ErrorField) -> Option<&str> {
        self.detail.fields.get(field)
    }

    /// All fields that the server has sent.
    pub(crate) fn fields(&self) -> &Fields {
        &self.detail.fields
    }

    /// The address of the node that was asked.
    pub fn node(&self) -> Option<&str> {
        self.detail.node.as_deref()
    }

    /// What each node answered, where several were asked; empty otherwise.
    pub fn causes(&self) -> &[NodeCause] {
        &self.detail.causes
    }

    pub(crate) fn into_causes(self) -> Vec<NodeCause> {
        self.detail.causes
    }

    /// Whether the same call may be made again without the danger that the statement is applied twice.
    ///
    /// True where nothing was applied (the outcome is not [`Outcome::Unknown`]) and the reason is one that
    /// passes: no leader, a broken connection, a lock, a deadline. A constraint or a misuse stays as it is,
    /// and the answer is false.
    pub fn is_retryable(&self) -> bool {
        self.detail.outcome != Outcome::Unknown
            && matches!(
                self.detail.kind,
                ErrorKind::Timeout
                    | ErrorKind::PoolTimeout
                    | ErrorKind::Connect
                    | ErrorKind::NoLeader
                    | ErrorKind::NotLeader
                    | ErrorKind::Disconnected
                    | ErrorKind::Busy
            )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &*self.detail;
        if let Some(node) = &detail.node {
            write!(f, "{node}: ")?;
        }
        write!(f, "{}", detail.kind.as_str())?;
        if !detail.message.is_empty() {
            write!(f, ": {}", detail.message)?;
        }
        if detail.outcome == Outcome::Unknown {
            write!(f, " (outcome unknown)")?;
        }
        for cause in &detail.causes {
            write!(f, "; {}: {}", cause.node, cause.error)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &*self.detail;
        let mut out = f.debug_struct("Error");
        out.field("kind", &detail.kind);
        out.field("outcome", &detail.outcome);
        out.field("message", &detail.message);
        if let Some(detail) = &detail.detail {
            out.field("detail", detail);
        }
        if let Some(hint) = &detail.hint {
            out.field("hint", hint);
        }
        if let Some(code) = detail.code {
            out.field("code", &code);
        }
        if let Some(sqlstate) = &detail.sqlstate {
            out.field("sqlstate", sqlstate);
        }
        if !detail.fields.is_empty() {
            out.field("fields", &detail.fields);
        }
        if let Some(node) = &detail.node {
            out.field("node", node);
        }
        if !detail.causes.is_empty() {
            out.field("causes", &detail.causes);
        }
        if let Some(source) = &detail.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.detail
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn display_names_node_kind_message_and_unknown_outcome() {
        let error = Error::new(ErrorKind::Disconnected, "connection reset by peer")
            .with_node("127.0.0.1:9001")
            .with_outcome(Outcome::Unknown);
        assert_eq!(
            error.to_string(),
            "127.0.0.1:9001: disconnected: connection reset by peer (outcome unknown)"
        );
    }

    #[test]
    fn the_first_node_named_is_kept() {
        let error = Error::new(ErrorKind::Connect, "refused")
            .with_node("a")
            .with_node("b");
        assert_eq!(error.node(), Some("a"));
    }

    #[test]
    fn unknown_is_never_retryable() {
        for kind in [ErrorKind::Timeout, ErrorKind::Disconnected, ErrorKind::Busy] {
            let error = Error::new(kind, "");
            assert!(error.is_retryable());
            assert!(!error.with_outcome(Outcome::Unknown).is_retryable());
        }
        assert!(!Error::new(ErrorKind::Constraint, "").is_retryable());
    }

    #[test]
    fn primary_code_is_the_low_byte_of_sqlites_own_codes_alone() {
        let code = |code| {
            Error::new(ErrorKind::Database, "")
                .with_code(code)
                .primary_code()
        };
        assert_eq!(code(2067), Some(19));
        assert_eq!(code(10 | 40 << 8), Some(10));
        assert_eq!(code(1001), Some(1001));
    }
}
