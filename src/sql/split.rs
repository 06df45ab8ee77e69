//! The statements of a text.

use super::Dialect;
use super::boundary::Boundary;
use super::token::{Token, TokenKind, Tokens};

/// The next token that is no `;`: the first one of a statement.
pub(super) fn first_token(tokens: &mut Tokens<'_>) -> Option<Token> {
    tokens.find(|token| token.kind != TokenKind::Semicolon)
}

/// The statements of `sql`, in order, each from its first token to its last: without the `;` that ends it, and
/// without the white space and comments around it. Empty statements are left out.
///
/// SQLite's CREATE TRIGGER and PostgreSQL's CREATE FUNCTION are one statement each with all that is in them.
pub(crate) fn statements(sql: &str, dialect: Dialect) -> impl Iterator<Item = &str> {
    let mut tokens = Tokens::new(sql, dialect);
    std::iter::from_fn(move || {
        let first = first_token(&mut tokens)?;
        let mut boundary = Boundary::new(dialect);
        boundary.is_end(first, sql);
        let mut end = first.end;
        for token in tokens.by_ref() {
            if boundary.is_end(token, sql) {
                break;
            }
            end = token.end;
        }
        sql.get(first.start..end)
    })
}

/// The first statement of `sql`, cut as [`statements`] does, and the text behind the `;` that ends it; `None` in its
/// place where none does.
pub(crate) fn first_statement(sql: &str, dialect: Dialect) -> Option<(&str, Option<&str>)> {
    let mut tokens = Tokens::new(sql, dialect);
    let first = first_token(&mut tokens)?;
    let mut boundary = Boundary::new(dialect);
    boundary.is_end(first, sql);
    let mut end = first.end;
    for token in tokens {
        if boundary.is_end(token, sql) {
            return Some((sql.get(first.start..end)?, sql.get(token.end..)));
        }
        end = token.end;
    }
    Some((sql.get(first.start..end)?, None))
}

/// The byte behind the last statement of `sql`, without its `;`.
pub(crate) fn statements_end(sql: &str, dialect: Dialect) -> usize {
    let last = statements(sql, dialect).last().unwrap_or_default();
    // A slice of the text begins where it begins.
    (last.as_ptr() as usize)
        .checked_sub(sql.as_ptr() as usize)
        .map_or(0, |start| (start + last.len()).min(sql.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_behind_the_last_statement() {
        for (sql, end) in [
            ("a; b", 4),
            ("a; b ; -- c\n", 4),
            (" a ;", 2),
            ("a;'b;", 5),
            ("; -- c", 0),
            ("", 0),
        ] {
            assert_eq!(statements_end(sql, Dialect::Sqlite), end, "{sql:?}");
        }
    }

    #[test]
    fn the_first_statement_is_cut_off_where_it_ends() {
        for (sql, expected) in [
            ("", None),
            (" ; -- a\n /* ; */", None),
            ("a", Some(("a", None))),
            ("; a -- ;\n", Some(("a", None))),
            (" a ; b; c", Some(("a", Some(" b; c")))),
            ("a; 'b", Some(("a", Some(" 'b")))),
            ("'a; b", Some(("'a; b", None))),
            (
                "create trigger t begin x;",
                Some(("create trigger t begin x;", None)),
            ),
            (
                "create trigger t begin x; end; y",
                Some(("create trigger t begin x; end", Some(" y"))),
            ),
        ] {
            let found = first_statement(sql, Dialect::Sqlite);
            assert_eq!(found, expected, "{sql:?}");
        }
    }

    fn check(dialect: Dialect, cases: &[(&str, &[&str])]) {
        for (sql, expected) in cases {
            let found: Vec<&str> = statements(sql, dialect).collect();
            assert_eq!(found, *expected, "{sql:?}");
        }
    }

    #[test]
    fn both_dialects_split_alike() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            check(
                dialect,
                &[
                    ("", &[]),
                    (" ; -- x\n ; /* ; */", &[]),
                    ("select 1", &["select 1"]),
                    ("/* a */ select 1 /* b */ ; -- c", &["select 1"]),
                    ("a;b ;; c", &["a", "b", "c"]),
                    ("select ';', \";\" -- ;\n; b", &["select ';', \";\"", "b"]),
                    ("a; 'b; c", &["a", "'b; c"]),
                    ("a; /* b; c", &["a"]),
                    (
                        "begin; select case when 1 then 2 end; end; x",
                        &["begin", "select case when 1 then 2 end", "end", "x"],
                    ),
                    ("я; 'я;'; ю", &["я", "'я;'", "ю"]),
                ],
            );
        }
    }

    #[test]
    fn a_trigger_is_one_statement() {
        for head in [
            "create trigger t",
            "CREATE TEMP TRIGGER IF NOT EXISTS t",
            "Create /* ; */ Temporary Trigger t",
            "explain create trigger t",
            "explain query plan create trigger t",
        ] {
            let trigger = format!(
                "{head} after insert on a begin \
                 update a set b = case when 1 then 2 end; \
                 select ';end;'; delete from \"end\" ; -- ; end ;\n end"
            );
            for (text, rest) in [
                (trigger.clone(), None),
                (format!("{trigger};"), None),
                (format!("{trigger}; select 1"), Some("select 1")),
                (
                    format!("{trigger} /* x */ ; create table e"),
                    Some("create table e"),
                ),
            ] {
                let found: Vec<&str> = statements(&text, Dialect::Sqlite).collect();
                let expected: Vec<&str> = [trigger.as_str()].into_iter().chain(rest).collect();
                assert_eq!(found, expected);
            }
        }
        check(
            Dialect::Sqlite,
            &[
                (
                    "create table trigger; end; a",
                    &["create table trigger", "end", "a"],
                ),
                (
                    "create temp table t(a); end; a",
                    &["create temp table t(a)", "end", "a"],
                ),
                ("create \"trigger\" x; a", &["create \"trigger\" x", "a"]),
                (
                    "explain explain create trigger x; a",
                    &["explain explain create trigger x", "a"],
                ),
                (
                    "create trigger a begin x;; end ;b",
                    &["create trigger a begin x;; end", "b"],
                ),
                (
                    "create trigger a begin x; end b; end; c",
                    &["create trigger a begin x; end b; end", "c"],
                ),
            ],
        );
    }

    #[test]
    fn postgresql_keeps_bodies_and_parentheses_whole() {
        check(
            Dialect::Postgres,
            &[
                (
                    "do $$begin a; b; end$$; c",
                    &["do $$begin a; b; end$$", "c"],
                ),
                (
                    "create rule r as on insert to t do (a; b); c",
                    &["create rule r as on insert to t do (a; b)", "c"],
                ),
                (
                    "create or replace function f() returns int begin atomic \
                     select case when 1=1 then 2 end; select 3; end; c",
                    &[
                        "create or replace function f() returns int begin atomic \
                         select case when 1=1 then 2 end; select 3; end",
                        "c",
                    ],
                ),
                (
                    "create procedure p() begin atomic a; end; c",
                    &["create procedure p() begin atomic a; end", "c"],
                ),
                (
                    "create table function (a int); begin; c",
                    &["create table function (a int)", "begin", "c"],
                ),
                (
                    "create function f() as 'begin;' language sql; c",
                    &["create function f() as 'begin;' language sql", "c"],
                ),
                (
                    "create trigger t begin; c",
                    &["create trigger t begin", "c"],
                ),
                ("a)); b", &["a))", "b"]),
            ],
        );
    }

    #[test]
    fn a_megabyte_is_split_in_linear_time() {
        let large = "select 'x''y', \"z\" /* c */ from t;\n".repeat(30_000);
        assert!(large.len() > 1_000_000);
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            assert_eq!(statements(&large, dialect).count(), 30_000);
        }
        for unit in [
            "'", "$", "$a", "$a$", "/*", "--", "[", "(", "E'a'\n", "e'a' ", ":", "::", "?",
        ] {
            let hostile = unit.repeat(1_000_000 / unit.len());
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                assert!(statements(&hostile, dialect).count() <= 1, "{unit:?}");
            }
        }
    }
}
