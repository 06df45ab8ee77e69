//! Placeholders: the same statement with the parameters that its server takes.

use std::borrow::Cow;
use std::ops::Range;

use super::Dialect;
use super::lexeme::{byte, is_word_byte};
use super::parameter::{Numbering, ParameterList, parameters};
use super::position::{Position, excerpt};
use super::token::{Token, TokenKind, Tokens};
use crate::error::{Error, ErrorKind, Result};

/// The style in which a caller writes parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Placeholders {
    /// The server's own: SQLite's `?`, `?NNN`, `:name`, `@name` and `$name` in any mixture, PostgreSQL's `$n`.
    #[default]
    Native,
    /// `?` for each value in turn. In PostgreSQL `??` stands for the operator `?`, as in JDBC: `??|` for `?|`.
    Question,
    /// `:name`; the same name is the same value.
    Named,
}

impl Placeholders {
    /// The style as error messages name it.
    fn as_str(self) -> &'static str {
        match self {
            Placeholders::Native => "the server's own",
            Placeholders::Question => "`?`",
            Placeholders::Named => "`:name`",
        }
    }
}

/// A statement as its server takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewritten<'a> {
    /// The text; borrowed where nothing had to change.
    pub(crate) sql: Cow<'a, str>,
    /// Its parameters, numbered as the server numbers them, with the names that the caller wrote.
    pub(crate) parameters: ParameterList,
}

/// Rewrites the parameters of `sql`, written in the style `from`, to the server's own, and lists them.
///
/// SQLite knows both `?` and `:name`, so its text never changes. For PostgreSQL `?` and `:name` become `$1`, `$2`, …,
/// with a space between where the number would run into a word. Strings, quoted names, comments, casts (`::`), `:=`
/// and dollar quotes stay as they are. Inside `[ ]` a `:` straight behind an operand separates the bounds of a slice
/// (`a[m:n]`); with a space before it and none behind (`a[m :n]`) it begins a placeholder.
///
/// As with [`parameters`], give one statement at a time.
///
/// # Errors
///
/// [`ErrorKind::Misuse`] for a parameter of another style than `from`, with the place of both, and for more
/// parameters than the server takes. In the style [`Named`](Placeholders::Named) PostgreSQL's operator `?` is an
/// error only where no operand stands before it, since only there it must be a placeholder.
pub(crate) fn rewrite<'a>(
    sql: &'a str,
    from: Placeholders,
    dialect: Dialect,
) -> Result<Rewritten<'a>> {
    if from == Placeholders::Native {
        return Ok(Rewritten {
            sql: Cow::Borrowed(sql),
            parameters: parameters(sql, dialect)?,
        });
    }
    let mut rewriter = Rewriter::new(sql, from, dialect);
    rewriter.run(dialect)?;
    Ok(rewriter.finish())
}

/// The place in `sql` of a place in what [`rewrite`] makes of it, both as numbers of characters from 1. For one within what
/// stands for a placeholder it is the first character of that. `None` for a place that is not in the text.
pub(crate) fn original_position(
    sql: &str,
    from: Placeholders,
    dialect: Dialect,
    position: usize,
) -> Option<usize> {
    let mut rewriter = Rewriter::new(sql, from, dialect);
    rewriter.changes = Some(Vec::new());
    rewriter.run(dialect).ok()?;
    let changes = rewriter.changes.take()?;
    let text = rewriter.finish().sql;
    let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let at = ends.nth(position.checked_sub(1)?)?;
    let before = changes.iter().rev().find(|change| change.put.start <= at);
    let at = match before {
        None => at,
        Some(change) if at < change.put.end => change.taken.start,
        Some(change) => at - change.put.end + change.taken.end,
    };
    Some(sql.get(..at)?.chars().count() + 1)
}

/// What was taken out of a text, and what was put in its place, each as bytes of its own text.
struct Change {
    taken: Range<usize>,
    put: Range<usize>,
}

struct Rewriter<'a> {
    sql: &'a str,
    from: Placeholders,
    numbering: Numbering<'a>,
    /// The first parameter of the right style, for the message about one of another.
    first: Option<Token>,
    output: String,
    /// How much of `sql` is in `output`, in bytes.
    copied: usize,
    /// What has been replaced, where somebody wants to know.
    changes: Option<Vec<Change>>,
}

impl<'a> Rewriter<'a> {
    fn new(sql: &'a str, from: Placeholders, dialect: Dialect) -> Self {
        Rewriter {
            sql,
            from,
            numbering: Numbering::new(dialect),
            first: None,
            output: String::new(),
            copied: 0,
            changes: None,
        }
    }

    fn run(&mut self, dialect: Dialect) -> Result<()> {
        match dialect {
            Dialect::Sqlite => self.sqlite(),
            Dialect::Postgres => self.postgres(),
        }
    }

    fn sqlite(&mut self) -> Result<()> {
        for token in Tokens::new(self.sql, Dialect::Sqlite) {
            if token.kind != TokenKind::Parameter {
                continue;
            }
            let style = match byte(self.sql.as_bytes(), token.start) {
                b'?' => Some(Placeholders::Question),
                b':' => Some(Placeholders::Named),
                _ => None,
            };
            if style != Some(self.from) {
                return Err(self.mixed(token));
            }
            self.first.get_or_insert(token);
            self.numbering.native(token, self.sql)?;
        }
        Ok(())
    }

    fn postgres(&mut self) -> Result<()> {
        let text = self.sql.as_bytes();
        let mut tokens = Tokens::new(self.sql, Dialect::Postgres).peekable();
        let mut before: Option<Token> = None;
        let mut brackets = 0usize;
        while let Some(token) = tokens.next() {
            let mut last = token;
            match (token.kind, byte(text, token.start)) {
                (TokenKind::Parameter, _) => return Err(self.mixed(token)),
                (TokenKind::OpenBracket, _) => brackets += 1,
                (TokenKind::CloseBracket, _) => brackets = brackets.saturating_sub(1),
                (TokenKind::Operator, b'?') if self.from == Placeholders::Question => {
                    match byte(text, token.end) {
                        b'?' => {
                            last = tokens.next().unwrap_or(token);
                            self.replace(token.start, last.end, "?");
                        }
                        b'0'..=b'9' => {
                            return Err(self.mixed(Token {
                                end: tokens.next().map_or(token.end, |digits| digits.end),
                                ..token
                            }));
                        }
                        _ => {
                            let number = self.numbering.next(token, self.sql)?;
                            self.place(token, number);
                        }
                    }
                }
                (TokenKind::Operator, b'?') if must_be_placeholder(token, before, text) => {
                    return Err(self.mixed(token));
                }
                (TokenKind::Operator, b':') if token.end - token.start == 1 => {
                    let slice = brackets > 0
                        && (self.from == Placeholders::Question
                            || before.is_some_and(|before| is_operand_before(before, token)));
                    if let Some(name) = tokens.next_if(|next| {
                        !slice && next.start == token.end && next.kind == TokenKind::Word
                    }) {
                        let placeholder = Token {
                            kind: TokenKind::Parameter,
                            end: name.end,
                            ..token
                        };
                        if self.from != Placeholders::Named {
                            return Err(self.mixed(placeholder));
                        }
                        let number = self.numbering.named(placeholder, self.sql)?;
                        self.place(placeholder, number);
                        last = placeholder;
                    }
                }
                _ => {}
            }
            before = Some(last);
        }
        Ok(())
    }

    /// Puts `$number` in the place of `token`.
    fn place(&mut self, token: Token, number: u32) {
        let text = self.sql.as_bytes();
        let touches = |at: Option<usize>| at.is_some_and(|at| is_word_byte(byte(text, at)));
        let space = |needed: bool| if needed { " " } else { "" };
        let before = space(touches(token.start.checked_sub(1)));
        let after = space(touches(Some(token.end)));
        self.replace(token.start, token.end, &format!("{before}${number}{after}"));
        self.first.get_or_insert(token);
    }

    fn replace(&mut self, start: usize, end: usize, text: &str) {
        if self.output.is_empty() {
            self.output.reserve(self.sql.len() + 16);
        }
        let between = self.sql.get(self.copied..start).unwrap_or_default();
        self.output.push_str(between);
        let put = self.output.len();
        self.output.push_str(text);
        self.copied = end;
        if let Some(changes) = &mut self.changes {
            changes.push(Change {
                taken: start..end,
                put: put..self.output.len(),
            });
        }
    }

    fn finish(mut self) -> Rewritten<'a> {
        let sql = if self.copied == 0 {
            Cow::Borrowed(self.sql)
        } else {
            let rest = self.sql.get(self.copied..).unwrap_or_default();
            self.output.push_str(rest);
            Cow::Owned(self.output)
        };
        Rewritten {
            sql,
            parameters: self.numbering.finish(),
        }
    }

    /// The error about `token`, a parameter of another style than the one that is set.
    fn mixed(&self, token: Token) -> Error {
        let place = |token: Token| {
            format!(
                "`{}` at {}",
                excerpt(token.text(self.sql)),
                Position::of(self.sql, token.start)
            )
        };
        let style = self.from.as_str();
        let message = match self.first {
            Some(first) => format!(
                "mixed placeholders: {} and {}; write every parameter as {style}",
                place(first),
                place(token)
            ),
            None => format!(
                "the parameter {} is not of the style {style} that `placeholders` asks for; \
                 write it as {style}, or set `placeholders` to native",
                place(token)
            ),
        };
        Error::new(ErrorKind::Misuse, message)
    }
}

/// Whether `before` ends straight in front of `colon` and can be the lower bound of a slice.
fn is_operand_before(before: Token, colon: Token) -> bool {
    before.end == colon.start
        && matches!(
            before.kind,
            TokenKind::Word
                | TokenKind::QuotedName
                | TokenKind::Number
                | TokenKind::Text
                | TokenKind::Close
                | TokenKind::CloseBracket
                | TokenKind::Parameter
        )
}

/// Whether a `?` can be nothing but a placeholder: nothing before it that an operator could have as its left side,
/// and no operator that it could be the beginning of (`?-`, `?|` stand before their only side).
fn must_be_placeholder(question: Token, before: Option<Token>, text: &[u8]) -> bool {
    let nothing_before = before.is_some_and(|before| {
        matches!(before.kind, TokenKind::Open | TokenKind::Comma)
            || (before.kind == TokenKind::Operator
                && (before.end < question.start
                    || matches!(byte(text, before.start), b'=' | b'<' | b'>')))
    });
    nothing_before
        && !matches!(
            byte(text, question.end),
            b'?' | b'-' | b'|' | b'&' | b'#' | b'@' | b'<' | b'~'
        )
}

#[cfg(test)]
mod tests;
