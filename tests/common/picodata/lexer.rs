//! The words of a statement. Comments are no part of Picodata's SQL.

use super::error::PgError;

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A keyword or a name without quotes, in lower case.
    Word,
    /// A name in double quotes, without them.
    Quoted,
    Number,
    /// A text in single quotes, with its doubled quotes undone.
    Text,
    /// `$n`, with its number.
    Param(usize),
    Symbol,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// Where it begins, in bytes.
    pub at: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text == text
    }

    /// The name that this token is, if it can be one.
    pub fn name(&self) -> Option<&str> {
        matches!(self.kind, Kind::Word | Kind::Quoted).then_some(&*self.text)
    }
}

/// The symbols of more than one byte.
const SYMBOLS: [&str; 6] = ["::", "<=", ">=", "<>", "!=", "||"];

pub fn tokens(sql: &str) -> Result<Vec<Token>, PgError> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let rest = &sql[at..];
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if rest.starts_with("--") || rest.starts_with("/*") {
            return Err(syntax(sql, at, "comments are not part of the grammar"));
        }
        let (kind, text, length) = match byte {
            b'\'' | b'"' => {
                let (text, length) = quoted(rest, byte)
                    .ok_or_else(|| syntax(sql, bytes.len(), "the closing quote"))?;
                let kind = if byte == b'"' {
                    Kind::Quoted
                } else {
                    Kind::Text
                };
                (kind, text, length)
            }
            b'$' => {
                let digits = span(&rest[1..], |c| c.is_ascii_digit());
                let number = rest[1..=digits].parse().unwrap_or(0);
                if number == 0 {
                    return Err(syntax(sql, at, "Parameter"));
                }
                (Kind::Param(number), String::new(), digits + 1)
            }
            _ if byte.is_ascii_digit() => {
                let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '.');
                (Kind::Number, rest[..length].to_owned(), length)
            }
            _ if byte == b'_' || byte.is_ascii_alphabetic() || !byte.is_ascii() => {
                let length = span(rest, |c| c == '_' || c == '$' || c.is_alphanumeric());
                if length == 0 {
                    return Err(syntax(sql, at, "Query"));
                }
                (Kind::Word, rest[..length].to_lowercase(), length)
            }
            _ => {
                let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let length = symbol.map_or(1, |symbol| symbol.len());
                (Kind::Symbol, rest[..length].to_owned(), length)
            }
        };
        found.push(Token { kind, text, at });
        at += length;
    }
    Ok(found)
}

/// The error of Picodata's parser at a byte of the statement.
pub fn syntax(sql: &str, at: usize, expected: &str) -> PgError {
    let at = at.min(sql.len());
    let before = &sql.as_bytes()[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |found| found + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let text = sql.lines().nth(line - 1).unwrap_or_default();
    let margin = " ".repeat(line.to_string().len());
    PgError::sql(format!(
        "rule parsing error: {margin}--> {line}:{column}\n{margin} |\n{line} | {text}\n{margin} | {}^---\n{margin} |\n{margin} = expected {expected}",
        " ".repeat(column - 1)
    ))
}

fn span(text: &str, accept: impl Fn(char) -> bool) -> usize {
    text.find(|c| !accept(c)).unwrap_or(text.len())
}

fn quoted(rest: &str, quote: u8) -> Option<(String, usize)> {
    let quote = char::from(quote);
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            text.push(quote);
        } else {
            return Some((text, at + 1));
        }
    }
    None
}
