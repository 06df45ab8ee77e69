//! Which `;` ends a statement.

use super::Dialect;
use super::token::{Token, TokenKind};

/// Follows one statement token by token and says which one ends it. A new statement takes a new `Boundary`.
#[derive(Debug)]
pub(super) enum Boundary {
    Sqlite(SqliteState),
    Postgres(Routine),
}

/// The states of `sqlite3_complete()` (complete.c; <https://sqlite.org/c3ref/complete.html>), by which a trigger
/// ends with `;`, END and `;` in a row, and its body may hold CASE … END and any number of `;`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqliteState {
    Start,
    /// In a statement that ends with the next `;`.
    Normal,
    /// Behind EXPLAIN, which may have other words before CREATE.
    Explain,
    /// Behind CREATE, perhaps with TEMP.
    Create,
    /// In the definition of a trigger.
    Trigger,
    /// Behind a `;` in it.
    Semicolon,
    /// Behind `;` and END in it.
    End,
}

/// PostgreSQL's statement, by the rule of psql (psqlscan.l): a `;` in parentheses (CREATE RULE … DO (…; …)) does
/// not end it, nor one between BEGIN and END in CREATE FUNCTION or CREATE PROCEDURE (BEGIN ATOMIC).
#[derive(Debug)]
pub(super) struct Routine {
    header: Header,
    parentheses: usize,
    /// Open BEGINs, and open CASEs within them, since END closes both.
    blocks: usize,
}

/// How far the words CREATE \[OR REPLACE\] FUNCTION | PROCEDURE have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Start,
    Create,
    CreateOr,
    CreateOrReplace,
    Routine,
    Other,
}

impl Boundary {
    pub(super) fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Sqlite => Boundary::Sqlite(SqliteState::Start),
            Dialect::Postgres => Boundary::Postgres(Routine {
                header: Header::Start,
                parentheses: 0,
                blocks: 0,
            }),
        }
    }

    /// Takes the next token of the statement; true where it is the `;` that ends it.
    #[inline]
    pub(super) fn is_end(&mut self, token: Token, sql: &str) -> bool {
        match self {
            Boundary::Sqlite(SqliteState::Normal) => token.kind == TokenKind::Semicolon,
            Boundary::Sqlite(state) => {
                *state = state.after(token, sql);
                *state == SqliteState::Start
            }
            Boundary::Postgres(routine) => routine.is_end(token, sql),
        }
    }
}

/// The words that complete.c knows besides CREATE. Behind EXPLAIN any other (QUERY PLAN) is passed over.
const SIGNIFICANT: [&str; 5] = ["explain", "temp", "temporary", "trigger", "end"];

impl SqliteState {
    /// The transition table of complete.c, without its row for white space.
    fn after(self, token: Token, sql: &str) -> Self {
        use SqliteState::*;
        let semicolon = token.kind == TokenKind::Semicolon;
        let word = |word| token.is_word(sql, word);
        match self {
            Start | Normal | Explain | Create | End if semicolon => Start,
            Trigger | Semicolon if semicolon => Semicolon,
            Start if word("explain") => Explain,
            Start | Explain if word("create") => Create,
            Explain if SIGNIFICANT.into_iter().any(word) => Normal,
            Explain => Explain,
            Create if word("temp") || word("temporary") => Create,
            Create if word("trigger") => Trigger,
            Semicolon if word("end") => End,
            Trigger | Semicolon | End => Trigger,
            Start | Normal | Create => Normal,
        }
    }
}

impl Routine {
    fn is_end(&mut self, token: Token, sql: &str) -> bool {
        match token.kind {
            TokenKind::Semicolon => return self.parentheses == 0 && self.blocks == 0,
            TokenKind::Open => self.parentheses += 1,
            TokenKind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Word => match self.header {
                Header::Other => {}
                Header::Routine => self.block_word(token, sql),
                header => self.header = header.after(token, sql),
            },
            _ if self.header == Header::Start => self.header = Header::Other,
            _ => {}
        }
        false
    }

    fn block_word(&mut self, token: Token, sql: &str) {
        if self.parentheses > 0 {
            return;
        }
        if token.is_word(sql, "begin") || (self.blocks > 0 && token.is_word(sql, "case")) {
            self.blocks += 1;
        } else if token.is_word(sql, "end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
    }
}

impl Header {
    fn after(self, token: Token, sql: &str) -> Self {
        let word = |word| token.is_word(sql, word);
        match self {
            Header::Start if word("create") => Header::Create,
            Header::Create if word("or") => Header::CreateOr,
            Header::CreateOr if word("replace") => Header::CreateOrReplace,
            Header::Create | Header::CreateOrReplace if word("function") || word("procedure") => {
                Header::Routine
            }
            _ => Header::Other,
        }
    }
}
