//! What SQLite takes and Picodata's parser does not.

use super::error::PgError;
use super::infer::Scope;
use super::lexer::{Kind, Token, syntax};
use super::sql::{is_keyword, top_level};
use super::types::Type;

/// Words that end the list of a FROM.
const ENDS: [&str; 11] = [
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "union",
    "except",
    "intersect",
    "option",
    "set",
];

/// Refuses what is no part of Picodata's SQL.
pub fn check(sql: &str, tokens: &[Token]) -> Result<(), PgError> {
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        let follows =
            |words: &[&str]| next.is_some_and(|next| words.iter().any(|word| next.is(word)));
        let fault = |expected: &str| {
            let place = next.map_or(sql.len(), |next| next.at);
            Err(syntax(sql, place, expected))
        };
        if token.is("not") && follows(&["like", "ilike"]) {
            return fault("In or Between");
        }
        if token.is("full") && follows(&["join", "outer"])
            || token.is("right") && follows(&["join", "outer"])
        {
            return fault("EOI, OrderBy, Limit, UnionOp, ExceptOp, UnionAllOp, Join, or DqlOption");
        }
        if token.is("intersect") && follows(&["select"]) {
            return fault("EOI, OrderBy, Limit, UnionOp, ExceptOp, UnionAllOp, Join, or DqlOption");
        }
        let counts = next.is_some_and(|next| matches!(next.kind, Kind::Number | Kind::Param(_)));
        if token.is("offset") && counts && at > 0 && ends_operand(&tokens[at - 1]) {
            return fault("EOI, OrderBy, Limit, UnionOp, ExceptOp, UnionAllOp, or DqlOption");
        }
        if token.is("limit") && next.is_some_and(|next| matches!(next.kind, Kind::Param(_))) {
            return fault("Null or Unsigned");
        }
        let number = next.is_some_and(|next| next.kind == Kind::Number);
        if token.is("-")
            && !number
            && !at
                .checked_sub(1)
                .is_some_and(|before| ends_operand(&tokens[before]))
        {
            return fault("Identifier or Expr");
        }
        if token.is("from")
            && let Some(comma) = comma_of(&tokens[at + 1..])
        {
            return Err(syntax(sql, comma, "EOI, IndexedByExpr, or DqlOption"));
        }
    }
    Ok(())
}

/// Refuses an ORDER BY of what is no column of the result under its own name.
pub fn check_order(
    tokens: &[Token],
    scope: &Scope<'_>,
    columns: &[(String, Type)],
) -> Result<(), PgError> {
    let order = top_level(tokens)
        .filter(|(_, token)| token.is("order"))
        .last();
    let Some((order, _)) = order else {
        return Ok(());
    };
    for (at, token) in tokens.iter().enumerate().skip(order) {
        let qualifies = tokens
            .get(at + 1)
            .is_some_and(|next| next.is(".") || next.is("("));
        let Some(name) = token.name().filter(|_| !qualifies && !is_keyword(token)) else {
            continue;
        };
        if scope.column(name).is_some() && columns.iter().all(|(column, _)| column != name) {
            return Err(PgError::sql(format!("column with name {name:?} not found")));
        }
    }
    Ok(())
}

/// Whether something that has a value may end here.
fn ends_operand(token: &Token) -> bool {
    match token.kind {
        Kind::Symbol => token.is(")"),
        Kind::Word => !is_keyword(token) || token.is("end"),
        _ => true,
    }
}

/// Where a comma stands in the list of a FROM.
fn comma_of(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0;
    for token in tokens {
        if token.is("(") {
            depth += 1;
        } else if token.is(")") {
            depth -= 1;
        }
        if depth < 0 || depth == 0 && ENDS.iter().any(|word| token.is(word)) {
            return None;
        }
        if depth == 0 && token.is(",") {
            return Some(token.at);
        }
    }
    None
}
