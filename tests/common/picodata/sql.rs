//! Picodata's SQL said in SQLite's words.

use super::error::PgError;
use super::lexer::{Kind, Token, syntax};
use super::types::Type;

/// A part of the statement in SQLite's words.
struct Piece {
    sql: String,
    /// A group in brackets after it belongs to it: it may be the name of a function or of a table.
    name: bool,
}

/// Keywords before which, or after which, a bracket is no list of arguments.
const KEYWORDS: [&str; 31] = [
    "all", "and", "any", "as", "between", "by", "case", "distinct", "else", "end", "exists",
    "from", "having", "in", "into", "is", "join", "like", "limit", "not", "on", "or", "select",
    "set", "then", "union", "using", "values", "when", "where", "with",
];

pub fn is_keyword(token: &Token) -> bool {
    token.kind == Kind::Word && KEYWORDS.contains(&&*token.text)
}

/// The statement for SQLite.
pub fn translate(sql: &str, tokens: &[Token]) -> Result<String, PgError> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.is("cast") && tokens.get(at + 1).is_some_and(|next| next.is("(")) {
            let end = closing(sql, tokens, at + 1)?;
            let inner = &tokens[at + 2..end];
            let split = top_level(inner).find(|(_, token)| token.is("as"));
            let (split, _) = split.ok_or_else(|| syntax(sql, tokens[end].at, "as"))?;
            let (target, used) = type_at(sql, inner, split + 1)?;
            if used != inner.len() {
                return Err(syntax(sql, inner[used].at, ")"));
            }
            push(&mut pieces, cast(&translate(sql, &inner[..split])?, target));
            at = end + 1;
        } else if token.is("::") {
            let value = pieces.pop().ok_or_else(|| syntax(sql, token.at, "Expr"))?;
            let (target, next) = type_at(sql, tokens, at + 1)?;
            push(&mut pieces, cast(&value.sql, target));
            at = next;
        } else if token.is("(") {
            let end = closing(sql, tokens, at)?;
            let group = format!("({})", translate(sql, &tokens[at + 1..end])?);
            match pieces.last_mut().filter(|last| last.name) {
                Some(last) => {
                    last.sql.push_str(&group);
                    last.name = false;
                }
                None => push(&mut pieces, group),
            }
            at = end + 1;
        } else if token.is(".") && at + 1 < tokens.len() {
            let last = pieces
                .last_mut()
                .ok_or_else(|| syntax(sql, token.at, "Query"))?;
            last.sql.push('.');
            last.sql.push_str(&word(&tokens[at + 1]));
            at += 2;
        } else {
            pieces.push(Piece {
                sql: word(token),
                name: token.name().is_some() && !is_keyword(token),
            });
            at += 1;
        }
    }
    let parts: Vec<_> = pieces.into_iter().map(|piece| piece.sql).collect();
    Ok(parts.join(" "))
}

fn push(pieces: &mut Vec<Piece>, sql: String) {
    pieces.push(Piece { sql, name: false });
}

fn cast(value: &str, target: Type) -> String {
    // A literal keeps the digits it is written with.
    if target == Type::Decimal && value.parse::<f64>().is_ok() {
        return format!("'{value}'");
    }
    match target.cast() {
        Some(affinity) => format!("CAST({value} AS {affinity})"),
        None => format!("({value})"),
    }
}

fn word(token: &Token) -> String {
    match token.kind {
        Kind::Text => format!("'{}'", token.text.replace('\'', "''")),
        Kind::Quoted => quote(&token.text),
        Kind::Param(number) => format!("?{number}"),
        _ => token.text.clone(),
    }
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The index of the bracket that closes the one at `open`.
pub fn closing(sql: &str, tokens: &[Token], open: usize) -> Result<usize, PgError> {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth -= 1;
            if depth == 0 {
                return Ok(index);
            }
        }
    }
    Err(syntax(sql, sql.len(), ")"))
}

/// The tokens outside of all brackets, with their indexes. The brackets themselves are left out.
pub fn top_level(tokens: &[Token]) -> impl Iterator<Item = (usize, &Token)> {
    let mut depth = 0;
    tokens.iter().enumerate().filter(move |(_, token)| {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth -= 1;
            return false;
        }
        depth == 0
    })
}

/// The parts between top-level commas.
pub fn split_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (index, token) in top_level(tokens) {
        if token.is(",") {
            parts.push(&tokens[start..index]);
            start = index + 1;
        }
    }
    parts.push(&tokens[start..]);
    parts
}

/// The type that is written at `at`, and the index behind it.
pub fn type_at(sql: &str, tokens: &[Token], at: usize) -> Result<(Type, usize), PgError> {
    let end = tokens.get(at).map_or(sql.len(), |token| token.at);
    let found = tokens.get(at).filter(|token| token.kind == Kind::Word);
    let found = found.and_then(|token| Type::named(&token.text));
    let found = found.ok_or_else(|| syntax(sql, end, "ColumnDefType"))?;
    let mut next = at + 1;
    if tokens.get(next).is_some_and(|token| token.is("(")) {
        next = closing(sql, tokens, next)? + 1;
    }
    Ok((found, next))
}

/// Takes the statement's one `OPTION (name = value, …)` off its end, and answers the pairs.
pub fn take_options(sql: &str, tokens: &mut Vec<Token>) -> Result<Vec<(String, String)>, PgError> {
    let found = top_level(tokens)
        .map(|(index, _)| index)
        .filter(|index| tokens[*index].is("option"))
        .find(|index| tokens.get(index + 1).is_some_and(|token| token.is("(")));
    let Some(start) = found else {
        return Ok(Vec::new());
    };
    let end = closing(sql, tokens, start + 1)?;
    let pairs = split_commas(&tokens[start + 2..end])
        .into_iter()
        .map(|part| match part {
            [name, equals, value] if equals.is("=") => Ok((name.text.clone(), value.text.clone())),
            _ => Err(syntax(sql, tokens[start].at, "OptionParam")),
        })
        .collect();
    tokens.drain(start..=end);
    pairs
}

/// Takes `ON CONFLICT DO what` off the end of an INSERT, and answers `what`.
pub fn take_conflict(tokens: &mut Vec<Token>) -> Option<String> {
    let start = tokens.len().checked_sub(4)?;
    let words = ["on", "conflict", "do"];
    let matches = words
        .iter()
        .zip(&tokens[start..])
        .all(|(word, token)| token.is(word));
    matches.then(|| tokens.drain(start..).next_back().map(|token| token.text))?
}
