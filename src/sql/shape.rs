//! What a text holds, as far as the driver decides by it how to send it.

use super::boundary::Boundary;
use super::split::first_token;
use super::token::{Token, TokenKind, Tokens};
use super::{Dialect, Keyword};

/// How many statements a text holds. Empty ones don't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Statements {
    /// Nothing but white space, comments and `;`.
    Empty,
    One,
    Many,
}

/// Which of the server's own styles of parameter a statement has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ParameterStyle {
    None,
    /// SQLite's `?`.
    Positional,
    /// SQLite's `?NNN`, PostgreSQL's `$n`.
    Numbered,
    /// SQLite's `:name`, `@name`, `$name`.
    Named,
    /// More than one of them, which SQLite allows.
    Mixed,
}

/// What [`shape`] finds. All but `statements` is about the first statement that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) statements: Statements,
    /// The byte where the first statement begins: behind leading white space, comments and `;`.
    pub(crate) first_start: usize,
    /// The byte behind its `;`, or the end of the text where it has none.
    pub(crate) first_end: usize,
    /// Its first word.
    pub(crate) keyword: Keyword,
    /// What it does: the word behind the tables of a WITH, otherwise the same as `keyword`.
    ///
    /// A PostgreSQL WITH whose tables change rows still has the verb of its last part.
    pub(crate) verb: Keyword,
    /// Whether it is an INSERT, UPDATE, DELETE or REPLACE that answers rows.
    pub(crate) returning: bool,
    /// Its parameters.
    pub(crate) parameters: ParameterStyle,
}

impl Shape {
    /// Whether the first statement answers rows by its nature, be there any or not.
    ///
    /// A PRAGMA counts, though many answer none; words that this scanner doesn't know (SHOW, CALL) don't.
    pub(crate) fn is_query(&self) -> bool {
        self.returning
            || matches!(
                self.verb,
                Keyword::Select | Keyword::Values | Keyword::Explain | Keyword::Pragma
            )
    }
}

impl ParameterStyle {
    /// The style of a parameter by its text.
    fn of(parameter: &str, dialect: Dialect) -> Self {
        match (dialect, parameter.as_bytes()) {
            (Dialect::Sqlite, b"?") => ParameterStyle::Positional,
            (Dialect::Sqlite, [b'?', ..]) | (Dialect::Postgres, _) => ParameterStyle::Numbered,
            (Dialect::Sqlite, _) => ParameterStyle::Named,
        }
    }

    fn with(self, other: Self) -> Self {
        match self {
            ParameterStyle::None => other,
            same if same == other => same,
            _ => ParameterStyle::Mixed,
        }
    }
}

/// Reads what `sql` holds. It looks no further than the first token of the second statement.
pub(crate) fn shape(sql: &str, dialect: Dialect) -> Shape {
    let mut found = Shape {
        statements: Statements::Empty,
        first_start: sql.len(),
        first_end: sql.len(),
        keyword: Keyword::Other,
        verb: Keyword::Other,
        returning: false,
        parameters: ParameterStyle::None,
    };
    let mut tokens = Tokens::new(sql, dialect);
    let Some(first) = first_token(&mut tokens) else {
        return found;
    };
    found.statements = Statements::One;
    found.first_start = first.start;

    let mut boundary = Boundary::new(dialect);
    let mut reader = Reader::new(dialect);
    let mut next = Some(first);
    while let Some(token) = next {
        if boundary.is_end(token, sql) {
            found.first_end = token.end;
            if first_token(&mut tokens).is_some() {
                found.statements = Statements::Many;
            }
            break;
        }
        reader.take(token, sql, &mut found);
        next = tokens.next();
    }
    found
}

/// Whether the first statement of `sql` changes the schema, by its first word. It looks no further.
pub(crate) fn is_ddl(sql: &str, dialect: Dialect) -> bool {
    let first = sql.trim_ascii_start().as_bytes().first();
    // Most statements begin with another letter.
    if first.is_some_and(|byte| byte.is_ascii_alphabetic() && !b"cadgrtCADGRT".contains(byte)) {
        return false;
    }
    first_token(&mut Tokens::new(sql, dialect)).is_some_and(|token| {
        token.kind == TokenKind::Word
            && (Keyword::of(token.text(sql), dialect) == Keyword::Ddl
                || token.is_word(sql, "grant")
                || token.is_word(sql, "revoke"))
    })
}

/// What the token before was, as far as it decides what a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// WITH, its RECURSIVE, or a `,`: a table's name comes next.
    Name,
    /// `)`
    Close,
    /// AS or `.`: a name comes next, and any word may be one.
    Label,
    Other,
}

/// What the words of a statement are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Keyword,
    /// For the verb behind the tables of a WITH.
    Verb,
    /// For RETURNING.
    Returning,
    Nothing,
}

struct Reader {
    dialect: Dialect,
    look: Look,
    before: Before,
    depth: usize,
    /// Where words of the statement proper are: 1 in PostgreSQL's `WITH … (SELECT …)`.
    verb_depth: usize,
}

impl Reader {
    fn new(dialect: Dialect) -> Self {
        Reader {
            dialect,
            look: Look::Keyword,
            before: Before::Other,
            depth: 0,
            verb_depth: 0,
        }
    }

    #[inline]
    fn take(&mut self, token: Token, sql: &str, found: &mut Shape) {
        let before = match token.kind {
            TokenKind::Parameter => {
                let style = ParameterStyle::of(token.text(sql), self.dialect);
                found.parameters = found.parameters.with(style);
                Before::Other
            }
            TokenKind::Word => self.word(token, sql, found),
            TokenKind::Open => {
                // A table's columns follow its name and its query follows AS, so this is the statement proper.
                let proper = self.before == Before::Close || self.verb_depth > 0;
                if self.look == Look::Verb && self.depth == self.verb_depth && proper {
                    self.verb_depth += 1;
                }
                self.depth += 1;
                Before::Other
            }
            TokenKind::Close => {
                self.depth = self.depth.saturating_sub(1);
                Before::Close
            }
            TokenKind::Comma => Before::Name,
            TokenKind::Dot => Before::Label,
            _ => Before::Other,
        };
        if self.look == Look::Keyword && token.kind != TokenKind::Open {
            self.look = Look::Nothing;
        }
        self.before = before;
    }

    fn word(&mut self, token: Token, sql: &str, found: &mut Shape) -> Before {
        match self.look {
            Look::Keyword => {
                found.keyword = Keyword::of(token.text(sql), self.dialect);
                found.verb = found.keyword;
                self.look = match found.keyword {
                    Keyword::With => Look::Verb,
                    keyword if keyword.is_dml() => Look::Returning,
                    _ => Look::Nothing,
                };
                return if self.look == Look::Verb {
                    Before::Name
                } else {
                    Before::Other
                };
            }
            Look::Verb if self.depth == self.verb_depth => {
                if self.before == Before::Name {
                    // WITH RECURSIVE name, or a table that is itself named so: WITH recursive AS.
                    return if token.is_word(sql, "recursive") {
                        Before::Name
                    } else {
                        Before::Other
                    };
                }
                let verb = Keyword::of(token.text(sql), self.dialect);
                if verb.may_follow_with() {
                    found.verb = verb;
                    self.look = if verb.is_dml() {
                        Look::Returning
                    } else {
                        Look::Nothing
                    };
                }
            }
            Look::Returning if self.depth == self.verb_depth => {
                if token.is_word(sql, "as") {
                    return Before::Label;
                }
                if self.before != Before::Label && token.is_word(sql, "returning") {
                    found.returning = true;
                    self.look = Look::Nothing;
                }
            }
            _ => {}
        }
        Before::Other
    }
}

#[cfg(test)]
mod tests;
