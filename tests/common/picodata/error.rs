//! What the server answers when it refuses. An error has a severity, a code and a message, and no more.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgError {
    pub code: &'static str,
    pub message: String,
}

impl PgError {
    pub fn new(code: &'static str, message: impl Into<String>) -> PgError {
        PgError {
            code,
            message: message.into(),
        }
    }

    /// Nearly every error of a statement: the code says nothing, the text everything.
    pub fn sql(message: impl fmt::Display) -> PgError {
        PgError::new("XX000", format!("sbroad: {message}"))
    }

    pub fn protocol(message: impl fmt::Display) -> PgError {
        PgError::new("08P01", format!("protocol violation: {message}"))
    }

    pub fn unsupported(message: impl fmt::Display) -> PgError {
        PgError::new("0A000", format!("feature is not supported: {message}"))
    }

    pub fn no_table(name: &str) -> PgError {
        PgError::sql(format!("table with name {name:?} not found"))
    }

    pub fn access_denied(table: &str, user: &str) -> PgError {
        PgError::sql(format!(
            "box error: AccessDenied: Read access to space '{table}' is denied for user '{user}'"
        ))
    }

    /// An error that happened on another replicaset: a text with JSON in it.
    pub fn remote(replicaset: &str, inner: &str) -> PgError {
        let message = format!(
            "Error on replicaset {replicaset}: Failed to execute '.proc_sql_execute': {inner}"
        );
        PgError::sql(format!(
            "box error: ProcLua: {{\"code\":32,\"base_type\":\"ClientError\",\"type\":\"ClientError\",\
             \"message\":{},\"trace\":[{{\"file\":\"builtin/sql.lua\",\"line\":117}}]}}",
            json_text(&message)
        ))
    }

    pub fn duplicate_key(table: &str) -> String {
        format!(
            "TupleFound: Duplicate key exists in unique index \"{table}_pkey\" in space \"{table}\" \
             with old tuple and new tuple"
        )
    }
}

/// A JSON string with its quotes.
pub fn json_text(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}
