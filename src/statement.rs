//! Prepared statements.

use std::sync::Arc;

/// A statement that a server has accepted.
///
/// It is a text, not a handle on the server: it may be run on any connection of any pool, wherever a
/// statement's text may be given, and each connection prepares it again when it has not got it. It is
/// `Clone`, `Send` and `Sync`, and dropping it does nothing on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: Arc<str>,
    parameters: usize,
}

impl Statement {
    pub(crate) fn new(sql: Arc<str>, parameters: usize) -> Self {
        Statement { sql, parameters }
    }

    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// How many parameters the server has counted.
    pub fn parameters(&self) -> usize {
        self.parameters
    }
}

impl AsRef<str> for Statement {
    fn as_ref(&self) -> &str {
        &self.sql
    }
}
