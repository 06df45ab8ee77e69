//! What the driver has to know about a statement before it sends it, read by a scanner rather than a parser.
//!
//! A scanner cuts the text into tokens and knows nothing of the grammar beyond what each question needs:
//!
//! | file | question |
//! | --- | --- |
//! | `token` | where does each token begin and end? (`lexeme`: the long ones) |
//! | `boundary` | which `;` ends a statement, and which belongs to the body of a trigger or function? |
//! | `split` | which statements does a text hold? |
//! | `shape` | one statement, or several? a query, or a write? (`keyword`: the words that tell) |
//! | `parameter` | how many parameters, and what are they called? |
//! | `placeholder` | the same text with the placeholders that the server takes |
//! | `transaction` | does it open or end a transaction? |
//! | `insert` | does it insert one row? |
//! | `position` | which line and column is this byte? |
//!
//! Every function is pure, takes time linear in the text, and never panics. Offsets are bytes. Malformed text is
//! cut as its server cuts it, so that the server is the one to refuse it. A NUL is a token like any other
//! illegal byte; SQLite stops reading there, so a caller refuses such a text first.

mod boundary;
mod insert;
mod keyword;
mod lexeme;
mod parameter;
mod placeholder;
mod position;
mod shape;
mod split;
mod token;
mod transaction;

#[cfg(any(test, fuzzing))]
#[cfg_attr(
    not(test),
    allow(
        dead_code,
        unused_imports,
        reason = "the fuzz target takes the comparison alone"
    )
)]
pub(crate) mod against_sqlite;

pub(crate) use insert::inserts_one_row;
pub(crate) use keyword::Keyword;
pub(crate) use parameter::{ParameterList, parameters};
pub(crate) use placeholder::{Placeholders, Rewritten, original_position, rewrite};
pub(crate) use shape::{Statements, is_ddl, shape};
pub(crate) use split::{first_statement, statements, statements_end};
pub(crate) use transaction::{Effect, is_rollback, transaction_effect};

/// Whose lexical rules a text follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    /// SQLite's (tokenize.c, version 3.50), which dqlite runs.
    Sqlite,
    /// PostgreSQL's (manual, "Lexical Structure"), which Picodata's are close to, with
    /// `standard_conforming_strings` on.
    Postgres,
}
