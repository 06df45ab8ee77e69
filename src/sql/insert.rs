//! How many rows an INSERT gives.

use super::boundary::Boundary;
use super::split::first_token;
use super::token::{Token, TokenKind, Tokens};
use super::{Dialect, Keyword};

/// Whether the first statement of `sql` is `INSERT INTO … VALUES (…)` with the values of one row. A WITH before it
/// is not looked through.
pub(crate) fn inserts_one_row(sql: &str, dialect: Dialect) -> bool {
    let mut tokens = Tokens::new(sql, dialect);
    let keyword = |token: Token| match token.kind {
        TokenKind::Word => Keyword::of(token.text(sql), dialect),
        _ => Keyword::Other,
    };
    let first = first_token(&mut tokens);
    if first.is_none_or(|token| keyword(token) != Keyword::Insert) {
        return false;
    }
    let mut boundary = Boundary::new(dialect);
    let mut depth = 0_usize;
    let mut in_values = false;
    while let Some(token) = tokens.next() {
        if boundary.is_end(token, sql) {
            return false;
        }
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => {
                depth = depth.saturating_sub(1);
                if in_values && depth == 0 {
                    let next = tokens.next();
                    return next.is_none_or(|token| token.kind != TokenKind::Comma);
                }
            }
            _ if in_values && depth == 0 => return false,
            _ if depth == 0 => match keyword(token) {
                Keyword::Values => in_values = true,
                Keyword::Select | Keyword::With => return false,
                _ => {}
            },
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_is_told_from_several() {
        for sql in [
            "INSERT INTO t VALUES (1, 'a), (b')",
            "insert into t (a, b) values ($1, (select max(x), (2) from u)) on conflict do nothing;",
            "INSERT INTO \"values\" VALUES (1) RETURNING a, b",
            ";INSERT INTO t VALUES(1)",
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2), (3)",
        ] {
            assert!(inserts_one_row(sql, Dialect::Postgres), "{sql}");
        }
        for sql in [
            "INSERT INTO t VALUES (1), (2)",
            "INSERT INTO t VALUES (1) , ($2)",
            "INSERT INTO t SELECT 1",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t DEFAULT VALUES",
            "INSERT INTO values VALUES (1)",
            "INSERT INTO t VALUES",
            "INSERT INTO t VALUES (1",
            "INSERT INTO t; VALUES (1)",
            "WITH x AS (SELECT 1) INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "VALUES (1)",
            "",
        ] {
            assert!(!inserts_one_row(sql, Dialect::Postgres), "{sql}");
        }
    }
}
